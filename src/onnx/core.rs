//! The core operators as lowerings use them: every one folds constants, so that no lowering treats constant operands as a
//! special case.

use std::rc::Rc;

use super::OnnxError;
use super::lower::{Activation, Lowering, Node, Value};
use super::shape::{broadcast, broadcast_offsets};
use super::tensor::{Constant, Kind};
use crate::graph::{Affine, AffineBuilder, Comparison, FloatOp, Function, Rounding};
use crate::ops::Product;

impl Lowering {
    /// A constant tensor.
    pub fn constant(&self, node: &Node, shape: Vec<usize>, kind: Kind, data: Vec<f64>) -> Result<Value, OnnxError> {
        Ok(Value::Constant(Rc::new(Constant::new(node.name, shape, kind, data)?)))
    }

    /// An operator over whole values; the result is constant if all operands are.
    fn apply(
        &mut self,
        node: &Node,
        op: FloatOp,
        operands: &[&Value],
        shape: Vec<usize>,
        kind: Kind,
    ) -> Result<Value, OnnxError> {
        self.charge_shape(node, &shape)?;
        if operands.iter().all(|v| v.constant().is_some()) {
            let x: Vec<f64> = operands.iter().filter_map(|v| v.constant()).flat_map(|c| c.data.clone()).collect();
            return self.constant(node, shape, kind, op.apply(&x));
        }
        if shape.contains(&0) {
            return self.constant(node, shape, kind, vec![]);
        }
        let inputs = operands.iter().map(|&v| self.activation(node, v)).collect();
        Ok(self.push(node, op, inputs, shape, kind))
    }

    /// The id of a value of the float graph; constants become affine maps without inputs.
    fn activation(&mut self, node: &Node, value: &Value) -> usize {
        match value {
            Value::Activation(a) => a.id,
            Value::Constant(c) => self.append(node.name, node.op(), constant_map(c), vec![]),
        }
    }

    /// A graph output that does not depend on the input: its name, value id and shape.
    pub fn constant_output(
        &mut self,
        name: &str,
        constant: &Constant,
    ) -> Result<(String, usize, Vec<usize>), OnnxError> {
        if constant.data.is_empty() {
            return Err(OnnxError::ZeroSized { tensor: name.into(), shape: constant.shape.clone() });
        }
        let id = self.append(name, "Constant", constant_map(constant), vec![]);
        Ok((name.into(), id, constant.shape.clone()))
    }

    /// `max(x, 0)`, elementwise.
    pub fn relu(&mut self, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Relu, &[x], x.shape().to_vec(), x.kind())
    }

    /// A smooth function, elementwise.
    pub fn function(&mut self, node: &Node, function: Function, x: &Value) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Function(function), &[x], x.shape().to_vec(), Kind::Float)
    }

    /// `x^2`, elementwise.
    pub fn square(&mut self, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Square, &[x], x.shape().to_vec(), x.kind())
    }

    /// `sqrt(x)`, elementwise; over the whole domain `x` must not be negative.
    pub fn sqrt(&mut self, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Sqrt, &[x], x.shape().to_vec(), Kind::Float)
    }

    /// Elementwise rounding to integers; `kind` is that of the result.
    pub fn round(&mut self, node: &Node, rounding: Rounding, x: &Value, kind: Kind) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Round(rounding), &[x], x.shape().to_vec(), kind)
    }

    /// Elementwise comparison with zero: a boolean.
    pub fn compare(&mut self, node: &Node, comparison: Comparison, x: &Value) -> Result<Value, OnnxError> {
        self.apply(node, FloatOp::Compare(comparison), &[x], x.shape().to_vec(), Kind::Bool)
    }

    /// `scale(i) * x[i] + offset(i)`, elementwise.
    pub fn scaled(
        &mut self,
        node: &Node,
        x: &Value,
        scale: impl Fn(usize) -> f64,
        offset: impl Fn(usize) -> f64,
    ) -> Result<Value, OnnxError> {
        self.charge_shape(node, x.shape())?;
        let mut rows = AffineBuilder::new(x.len());
        (0..x.len()).for_each(|i| rows.push(vec![(i, scale(i))], offset(i)));
        self.affine(node, &[x], rows.finish(), x.shape().to_vec(), x.kind())
    }

    /// `sum of factor * part + offset`, elementwise, over parts of one shape; the result has the first part's element type.
    pub fn combination(&mut self, node: &Node, parts: &[(&Value, f64)], offset: f64) -> Result<Value, OnnxError> {
        let Some(((first, _), len)) = parts.first().map(|part| (part, part.0.len())) else {
            return Err(node.unsupported("a sum", "it has no terms"));
        };
        self.charge(node.name, [len, parts.len()])?;
        let mut rows = AffineBuilder::new(len * parts.len());
        for i in 0..len {
            rows.push(parts.iter().enumerate().map(|(p, &(_, factor))| (p * len + i, factor)).collect(), offset);
        }
        let operands: Vec<&Value> = parts.iter().map(|part| part.0).collect();
        self.affine(node, &operands, rows.finish(), first.shape().to_vec(), first.kind())
    }

    /// The elementwise product of two tensors of one shape. Equal operands are squared.
    pub fn product(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
        match (a, b) {
            (x, Value::Constant(c)) | (Value::Constant(c), x) => self.scaled(node, x, |i| c.data[i], |_| 0.0),
            (Value::Activation(x), Value::Activation(y)) if x.id == y.id => self.square(node, a),
            _ => {
                let op = FloatOp::Product(Product::elementwise(a.len()));
                self.apply(node, op, &[a, b], a.shape().to_vec(), a.kind())
            }
        }
    }

    /// A batch of matrix products, `a` in `[batch, rows, inner]` and `b` in `[batch, inner, columns]`; the result has the
    /// shape `shape`. One that has a constant operand is an affine map.
    pub fn matrix_product(
        &mut self,
        node: &Node,
        a: &Value,
        b: &Value,
        product: Product,
        shape: Vec<usize>,
    ) -> Result<Value, OnnxError> {
        self.charge(node.name, [product.output_len(), product.inner])?;
        let left_len = product.left_len();
        let (x, constant, left) = match (a, b) {
            (x, Value::Constant(c)) => (x, c, false),
            (Value::Constant(c), x) => (x, c, true),
            _ => return self.apply(node, FloatOp::Product(product), &[a, b], shape, a.kind()),
        };
        let mut rows = AffineBuilder::new(x.len());
        for j in 0..product.output_len() {
            let term = |(l, r): (usize, usize)| match left {
                true => (r - left_len, constant.data[l]),
                false => (l, constant.data[r - left_len]),
            };
            rows.push(product.terms(j).map(term).collect(), 0.0);
        }
        let map: Affine<f64, f64> = rows.finish();
        self.affine(node, &[x], map, shape, x.kind())
    }

    /// `a / b`, elementwise, of two tensors of one shape; over the whole domain `b` must keep one sign.
    pub fn quotient(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
        if let Value::Constant(divisor) = b {
            if let Some(index) = divisor.data.iter().position(|&v| v == 0.0) {
                let tensor = format!("1 / {}", divisor.name);
                return Err(OnnxError::NonFinite { tensor, index, value: f64::INFINITY });
            }
            return self.scaled(node, a, |i| 1.0 / divisor.data[i], |_| 0.0);
        }
        self.apply(node, FloatOp::Quotient, &[a, b], a.shape().to_vec(), Kind::Float)
    }

    /// `floor(a / b)` of integers, elementwise, of two tensors of one shape; over the whole domain `b` must be positive.
    pub fn floor_quotient(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
        if let Some(divisor) = b.constant()
            && divisor.data.iter().any(|&v| v <= 0.0)
        {
            return Err(node.unsupported("the divisor", "it must be positive"));
        }
        self.apply(node, FloatOp::FloorQuotient, &[a, b], a.shape().to_vec(), Kind::Integer)
    }

    /// The greater of two tensors of one shape: `b + max(a - b, 0)`.
    pub fn maximum(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
        let difference = self.combination(node, &[(a, 1.0), (b, -1.0)], 0.0)?;
        let excess = self.relu(node, &difference)?;
        self.combination(node, &[(b, 1.0), (&excess, 1.0)], 0.0)
    }

    /// The lesser of two tensors of one shape: `a - max(a - b, 0)`.
    pub fn minimum(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
        let difference = self.combination(node, &[(a, 1.0), (b, -1.0)], 0.0)?;
        let excess = self.relu(node, &difference)?;
        self.combination(node, &[(a, 1.0), (&excess, -1.0)], 0.0)
    }

    /// `value` repeated to `shape`, to which it must broadcast.
    pub fn broadcast_to(&mut self, node: &Node, value: &Value, shape: &[usize]) -> Result<Value, OnnxError> {
        if value.shape() == shape {
            return Ok(value.clone());
        }
        self.charge_shape(node, shape)?;
        let columns = broadcast_offsets(value.shape(), shape);
        if let Value::Constant(c) = value {
            // under its own name, which errors quote
            let data = columns.iter().map(|&i| c.data[i]).collect();
            return Ok(Value::Constant(Rc::new(Constant::new(&c.name, shape.to_vec(), c.kind, data)?)));
        }
        self.select(node, value, shape.to_vec(), columns)
    }

    /// Two tensors of one element type, repeated to their common shape.
    pub fn broadcast_pair(&mut self, node: &Node, a: &Value, b: &Value) -> Result<(Value, Value), OnnxError> {
        let Some(shape) = broadcast(a.shape(), b.shape()) else {
            return Err(node.mismatch(a.shape(), b.shape(), "they do not broadcast to a common shape"));
        };
        if a.kind() != b.kind() {
            return Err(node.unsupported("its element type", "all operands must have the same"));
        }
        Ok((self.broadcast_to(node, a, &shape)?, self.broadcast_to(node, b, &shape)?))
    }
}

/// The affine map that reads nothing and gives a constant.
fn constant_map(constant: &Constant) -> FloatOp {
    let mut rows = AffineBuilder::new(0);
    constant.data.iter().for_each(|&v| rows.push(vec![], v));
    FloatOp::Affine(rows.finish())
}

impl Value {
    /// The same elements as another element type.
    pub fn with_kind(&self, kind: Kind) -> Value {
        match self {
            Value::Constant(c) => Value::Constant(Rc::new(Constant { kind, ..c.as_ref().clone() })),
            Value::Activation(a) => Value::Activation(Activation { kind, ..a.clone() }),
        }
    }
}
