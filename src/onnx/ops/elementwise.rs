//! Elementwise arithmetic with broadcasting: Add, Sub, Mul, Div, Neg.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
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
        _ => return Err(node.not_linear("both operands depend on the input")),
    };
    let factors = constant_offsets.iter().map(|&i| constant.data[i]);
    scale(lowering, node, value, offsets, factors, pair.shape.clone())
}

fn div(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let pair = Pair::new(lowering, node)?;
    let Some(divisor) = pair.right.constant() else {
        return Err(node.not_linear("the divisor depends on the input"));
    };
    if let Some(index) = divisor.data.iter().position(|&v| v == 0.0) {
        return Err(OnnxError::NonFinite { tensor: format!("1 / {}", divisor.name), index, value: f64::INFINITY });
    }
    if pair.left.kind() == Kind::Integer {
        let Some(dividend) = pair.left.constant() else {
            return Err(node.unsupported("division of integers", "it truncates; cast the input to float first"));
        };
        let quotient = |(&l, &r): (&usize, &usize)| (dividend.data[l] / divisor.data[r]).trunc();
        let data = pair.left_offsets.iter().zip(&pair.right_offsets).map(quotient).collect();
        let constant = Constant::new(node.name, pair.shape, Kind::Integer, data)?;
        return Ok(vec![Value::Constant(constant.into())]);
    }
    let factors = pair.right_offsets.iter().map(|&i| 1.0 / divisor.data[i]);
    scale(lowering, node, pair.left, &pair.left_offsets, factors, pair.shape.clone())
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
    registry.add("Add", add);
    registry.add("Sub", sub);
    registry.add("Mul", mul);
    registry.add("Div", div);
    registry.add("Neg", neg);
}

#[cfg(test)]
mod tests {
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
    fn two_activations_add_but_do_not_multiply() {
        let inputs: [(&str, &[i64]); 2] = [("a", &[1, 3]), ("b", &[1, 1])];
        let binary = |op: &str| model(&inputs, "y", vec![], vec![node(op, &["a", "b"], "y", vec![])]);
        agrees(&binary("Add"));
        agrees(&binary("Sub"));
        for op in ["Mul", "Div"] {
            let error = import_model(&binary(op)).unwrap_err();
            assert!(matches!(&error, OnnxError::NotLinear { node, .. } if *node == format!("{op}_y")), "{error}");
        }
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
