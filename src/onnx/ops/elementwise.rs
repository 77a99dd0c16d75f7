//! Elementwise arithmetic with broadcasting: Add, Sub, Mul, Div, Neg, Pow.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function};
use crate::onnx::shape::{broadcast, broadcast_offsets};
use crate::onnx::tensor::{Constant, Kind};

/// Two operands of one element type and, per element of the output, which of their elements it is made of.
struct Pair<'a> {
    left: &'a Value,
    right: &'a Value,
    shape: Vec<usize>,
    left_offsets: Vec<usize>,
    right_offsets: Vec<usize>,
}

impl<'a> Pair<'a> {
    fn new(lowering: &mut Lowering, node: &'a Node) -> Result<Self, OnnxError> {
        let (left, right) = (node.input(0)?, node.input(1)?);
        let Some(shape) = broadcast(left.shape(), right.shape()) else {
            return Err(node.mismatch(left.shape(), right.shape(), "they do not broadcast to a common shape"));
        };
        if left.kind() != right.kind() || left.kind() == Kind::Bool {
            return Err(node.unsupported("its element type", "both operands must be floats, or both integers"));
        }
        lowering.charge_shape(node, &shape)?;
        let left_offsets = broadcast_offsets(left.shape(), &shape);
        let right_offsets = broadcast_offsets(right.shape(), &shape);
        Ok(Self { left, right, shape, left_offsets, right_offsets })
    }

    /// `left + sign * right`.
    fn sum(self, lowering: &mut Lowering, node: &Node, sign: f64) -> Result<Vec<Value>, OnnxError> {
        let mut rows = AffineBuilder::new(self.left.len() + self.right.len());
        for (&l, &r) in self.left_offsets.iter().zip(&self.right_offsets) {
            rows.push(vec![(l, 1.0), (self.left.len() + r, sign)], 0.0);
        }
        let kind = self.left.kind();
        Ok(vec![lowering.affine(node, &[self.left, self.right], rows.finish(), self.shape, kind)?])
    }
}

/// `y[j] = factors[j] * x[offsets[j]]`.
fn scale(
    lowering: &mut Lowering,
    node: &Node,
    value: &Value,
    offsets: &[usize],
    factors: impl Iterator<Item = f64>,
    shape: Vec<usize>,
) -> Result<Vec<Value>, OnnxError> {
    let mut rows = AffineBuilder::new(value.len());
    for (&offset, factor) in offsets.iter().zip(factors) {
        rows.push(vec![(offset, factor)], 0.0);
    }
    Ok(vec![lowering.affine(node, &[value], rows.finish(), shape, value.kind())?])
}

fn add(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Pair::new(lowering, node)?.sum(lowering, node, 1.0)
}

fn sub(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Pair::new(lowering, node)?.sum(lowering, node, -1.0)
}

fn mul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let pair = Pair::new(lowering, node)?;
    let (value, offsets, constant, constant_offsets) = match (pair.left, pair.right) {
        (value, Value::Constant(c)) => (value, &pair.left_offsets, c, &pair.right_offsets),
        (Value::Constant(c), value) => (value, &pair.right_offsets, c, &pair.left_offsets),
        (left, right) => {
            let left = lowering.broadcast_to(node, left, &pair.shape)?;
            let right = lowering.broadcast_to(node, right, &pair.shape)?;
            return Ok(vec![lowering.product(node, &left, &right)?]);
        }
    };
    let factors = constant_offsets.iter().map(|&i| constant.data[i]);
    scale(lowering, node, value, offsets, factors, pair.shape.clone())
}

fn div(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let pair = Pair::new(lowering, node)?;
    if let Some(divisor) = pair.right.constant()
        && let Some(index) = divisor.data.iter().position(|&v| v == 0.0)
    {
        return Err(OnnxError::NonFinite { tensor: format!("1 / {}", divisor.name), index, value: f64::INFINITY });
    }
    let left = lowering.broadcast_to(node, pair.left, &pair.shape)?;
    let right = lowering.broadcast_to(node, pair.right, &pair.shape)?;
    match left.kind() {
        Kind::Integer => Ok(vec![truncated_quotient(lowering, node, &left, &right)?]),
        _ => Ok(vec![lowering.quotient(node, &left, &right)?]),
    }
}

/// Integer division towards zero: `floor(max(a, 0) / b) - floor(max(-a, 0) / b)` for a positive `b`. The signs of
/// constant divisors go to the dividend.
pub(super) fn truncated_quotient(
    lowering: &mut Lowering,
    node: &Node,
    a: &Value,
    b: &Value,
) -> Result<Value, OnnxError> {
    let (a, b) = match b {
        Value::Constant(divisor) => {
            let magnitudes = divisor.data.iter().map(|v| v.abs()).collect();
            let magnitudes = lowering.constant(node, b.shape().to_vec(), Kind::Integer, magnitudes)?;
            (lowering.scaled(node, a, |i| divisor.data[i].signum(), |_| 0.0)?, magnitudes)
        }
        _ => (a.clone(), b.clone()),
    };
    let negative = lowering.scaled(node, &a, |_| -1.0, |_| 0.0)?;
    let (above, below) = (lowering.relu(node, &a)?, lowering.relu(node, &negative)?);
    let above = lowering.floor_quotient(node, &above, &b)?;
    let below = lowering.floor_quotient(node, &below, &b)?;
    lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)
}

/// `x^n` for a constant `n`, or `b^x` for a constant `b`.
fn pow(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (base, exponent) = (node.input(0)?, node.input(1)?);
    let Some(shape) = broadcast(base.shape(), exponent.shape()) else {
        return Err(node.mismatch(base.shape(), exponent.shape(), "they do not broadcast to a common shape"));
    };
    let uniform = |c: &Constant| c.data.first().copied().filter(|first| c.data.iter().all(|v| v == first));
    let kind = base.kind();
    if let Some(exponent) = exponent.constant().and_then(uniform) {
        let x = lowering.broadcast_to(node, base, &shape)?;
        let result = match exponent {
            0.0 => lowering.scaled(node, &x, |_| 0.0, |_| 1.0)?,
            1.0 => x,
            2.0 => lowering.square(node, &x)?,
            3.0 => {
                let square = lowering.square(node, &x)?;
                lowering.product(node, &square, &x)?
            }
            4.0 => {
                let square = lowering.square(node, &x)?;
                lowering.square(node, &square)?
            }
            _ if kind != Kind::Float => {
                return Err(node.unsupported("its exponent", "powers of integers from 0 to 4 are understood"));
            }
            0.5 => lowering.sqrt(node, &x)?,
            exponent => lowering.function(node, Function::Power { exponent }, &x)?,
        };
        return Ok(vec![result]);
    }
    match base.constant().and_then(uniform) {
        Some(base) if base > 0.0 && kind == Kind::Float && exponent.kind() == Kind::Float => {
            let x = lowering.broadcast_to(node, exponent, &shape)?;
            Ok(vec![lowering.function(node, Function::Exponential { base }, &x)?])
        }
        _ => Err(node.unsupported("its operands", "the exponent or a positive base must be one constant")),
    }
}

fn neg(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = node.input(0)?;
    if value.kind() == Kind::Bool {
        return Err(node.unsupported("its element type", "a boolean has no negative"));
    }
    let count = lowering.charge_shape(node, value.shape())?;
    let offsets: Vec<usize> = (0..count).collect();
    scale(lowering, node, value, &offsets, std::iter::repeat(-1.0), value.shape().to_vec())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Pow", pow);
    registry.add("Add", add);
    registry.add("Sub", sub);
    registry.add("Mul", mul);
    registry.add("Div", div);
    registry.add("Neg", neg);
}

#[cfg(test)]
mod tests {
    use crate::graph::FloatOp;
    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{agrees, floats, ints, model, node, weights};

    #[test]
    fn arithmetic_broadcasts_on_both_sides() {
        let shapes: [(&[i64], &[i64]); 5] =
            [(&[1, 3], &[3]), (&[1, 3], &[]), (&[1, 1, 3], &[2, 1]), (&[1, 2, 3], &[1, 1, 2, 3]), (&[1], &[4, 2])];
        for (x, w) in shapes {
            for op in ["Add", "Sub", "Mul", "Div"] {
                agrees(&model(&[("x", x)], "y", vec![weights("w", w, 3)], vec![node(op, &["x", "w"], "y", vec![])]));
            }
            for op in ["Add", "Sub", "Mul"] {
                agrees(&model(&[("x", x)], "y", vec![weights("w", w, 4)], vec![node(op, &["w", "x"], "y", vec![])]));
            }
        }
    }

    #[test]
    fn two_activations() {
        let inputs: [(&str, &[i64]); 2] = [("a", &[2, 3]), ("b", &[2, 1])];
        for op in ["Add", "Sub", "Mul"] {
            agrees(&model(&inputs, "y", vec![], vec![node(op, &["a", "b"], "y", vec![])]));
        }
        // a divisor of at least a half
        let nodes = vec![
            node("Abs", &["b"], "c", vec![]),
            node("Add", &["c", "half"], "d", vec![]),
            node("Div", &["a", "d"], "y", vec![]),
        ];
        agrees(&model(&inputs, "y", vec![floats("half", &[], &[0.5])], nodes));
        let square = agrees(&model(&[("a", &[3])], "y", vec![], vec![node("Mul", &["a", "a"], "y", vec![])]));
        assert_eq!(square.nodes[0].op, FloatOp::Square);
    }

    #[test]
    fn powers() {
        for exponent in [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] {
            let nodes = vec![node("Pow", &["x", "n"], "y", vec![])];
            agrees(&model(&[("x", &[2, 3])], "y", vec![floats("n", &[], &[exponent])], nodes));
        }
        for exponent in [0.5, -0.5, 1.7] {
            let nodes = vec![
                node("Abs", &["x"], "a", vec![]),
                node("Add", &["a", "half"], "b", vec![]),
                node("Pow", &["b", "n"], "y", vec![]),
            ];
            let constants = vec![floats("n", &[], &[exponent]), floats("half", &[], &[0.5])];
            agrees(&model(&[("x", &[2, 3])], "y", constants, nodes));
        }
        let nodes = vec![node("Pow", &["b", "x"], "y", vec![])];
        agrees(&model(&[("x", &[2, 3])], "y", vec![floats("b", &[1], &[1.7])], nodes));
    }

    #[test]
    fn the_same_activation_twice_is_one_input() {
        let nodes = vec![node("Neg", &["x"], "n", vec![]), node("Sub", &["x", "n"], "y", vec![])];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![], nodes));
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.eval(&[1.0, 2.0, 3.0]), [2.0, 4.0, 6.0]);
    }

    #[test]
    fn constants_are_folded_and_integers_truncate() {
        let nodes = vec![
            node("Div", &["six", "minus_four"], "minus_one", vec![]),
            node("Mul", &["minus_one", "minus_one"], "one", vec![]),
            node("Reshape", &["x", "one"], "flat", vec![]),
            node("Div", &["w", "w"], "ones", vec![]),
            node("Mul", &["flat", "ones"], "y", vec![]),
        ];
        let initializers = vec![ints("six", &[1], &[6]), ints("minus_four", &[1], &[-4]), floats("w", &[1], &[0.3])];
        let graph = import_model(&model(&[("x", &[1, 1])], "y", initializers, nodes)).unwrap();
        assert_eq!((graph.outputs[0].2.clone(), graph.eval(&[7.0])), (vec![1], vec![7.0]));
    }

    #[test]
    fn errors_name_the_node() {
        let divide = model(
            &[("x", &[1, 2])],
            "y",
            vec![floats("w", &[2], &[1.0, 0.0])],
            vec![node("Div", &["x", "w"], "y", vec![])],
        );
        assert_eq!(
            import_model(&divide).unwrap_err().to_string(),
            "\"1 / w\" holds inf at index 1; weights must be finite"
        );
        let add =
            model(&[("x", &[1, 2])], "y", vec![weights("w", &[3], 0)], vec![node("Add", &["x", "w"], "y", vec![])]);
        assert_eq!(
            import_model(&add).unwrap_err().to_string(),
            "node \"Add_y\" (Add): shapes [1, 2] and [3] do not fit: they do not broadcast to a common shape"
        );
        let mixed =
            model(&[("x", &[1, 2])], "y", vec![ints("w", &[2], &[1, 2])], vec![node("Add", &["x", "w"], "y", vec![])]);
        assert!(matches!(import_model(&mixed), Err(OnnxError::UnsupportedAttribute { .. })));
    }
}
