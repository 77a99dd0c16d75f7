//! Elementwise arithmetic with broadcasting: Add, Sub, Mul, Div, Neg, Pow.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Function;
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::{Constant, Kind};

/// Input `position`, which must hold floats or integers.
pub(super) fn numbers<'a>(node: &'a Node, position: usize) -> Result<&'a Value, OnnxError> {
    match node.input(position)? {
        x if x.kind() != Kind::Bool => Ok(x),
        _ => Err(node.unsupported("its element type", "it must be a number")),
    }
}

fn operands(lowering: &mut Lowering, node: &Node) -> Result<(Value, Value), OnnxError> {
    lowering.broadcast_pair(node, numbers(node, 0)?, numbers(node, 1)?)
}

/// `a + sign * b`.
fn sum(lowering: &mut Lowering, node: &Node, sign: f64) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node)?;
    Ok(vec![lowering.combination(node, &[(&a, 1.0), (&b, sign)], 0.0)?])
}

fn mul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node)?;
    Ok(vec![lowering.product(node, &a, &b)?])
}

fn div(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node)?;
    Ok(vec![match a.kind() {
        Kind::Integer => truncated_quotient(lowering, node, &a, &b)?,
        _ => lowering.quotient(node, &a, &b)?,
    }])
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
    Ok(vec![lowering.scaled(node, numbers(node, 0)?, |_| -1.0, |_| 0.0)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Pow", pow);
    registry.add("Add", |lowering, node| sum(lowering, node, 1.0));
    registry.add("Sub", |lowering, node| sum(lowering, node, -1.0));
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
