//! Elementwise arithmetic with broadcasting: Add, Sub, Mul, Div, Mod, Neg.

use super::common::truncated;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{Comparison, Rounding};
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
        Value::Constant(divisor) => positive_divisor(lowering, node, a, divisor)?,
        _ => (a.clone(), b.clone()),
    };
    let negative = lowering.scaled(node, &a, |_| -1.0, |_| 0.0)?;
    let (above, below) = (lowering.relu(node, &a)?, lowering.relu(node, &negative)?);
    let above = lowering.floor_quotient(node, &above, &b)?;
    let below = lowering.floor_quotient(node, &below, &b)?;
    lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)
}

/// `a - b floor(a / b)`, which has the sign of `b`, or with attribute fmod `a - b trunc(a / b)`, which has that of `a`.
fn modulo(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node)?;
    let truncate = node.flag("fmod")?;
    if let (Kind::Float, Value::Constant(divisor)) = (a.kind(), &b) {
        return Ok(vec![float_remainder(lowering, node, &a, &divisor.data, truncate)?]);
    }
    let quotient = match (a.kind(), truncate, &b) {
        (Kind::Float, true, _) => {
            let quotient = lowering.quotient(node, &a, &b)?;
            truncated(lowering, node, &quotient, Kind::Float)?
        }
        (Kind::Float, false, _) => {
            let quotient = lowering.quotient(node, &a, &b)?;
            lowering.round(node, Rounding::Floor, &quotient, Kind::Float)?
        }
        (_, true, _) => truncated_quotient(lowering, node, &a, &b)?,
        (_, false, Value::Constant(divisor)) => {
            let (a, magnitudes) = positive_divisor(lowering, node, &a, divisor)?;
            lowering.floor_quotient(node, &a, &magnitudes)?
        }
        (_, false, Value::Activation(_)) => lowering.floor_quotient(node, &a, &b)?,
    };
    let multiple = lowering.product(node, &quotient, &b)?;
    Ok(vec![lowering.combination(node, &[(&a, 1.0), (&multiple, -1.0)], 0.0)?])
}

/// A dividend and a constant divisor of its shape whose quotient is `a / divisor`: the divisor's signs go to the dividend.
fn positive_divisor(
    lowering: &mut Lowering,
    node: &Node,
    a: &Value,
    divisor: &Constant,
) -> Result<(Value, Value), OnnxError> {
    let magnitudes = divisor.data.iter().map(|v| v.abs()).collect();
    let magnitudes = lowering.constant(node, divisor.shape.clone(), Kind::Integer, magnitudes)?;
    Ok((lowering.scaled(node, a, |i| divisor.data[i].signum(), |_| 0.0)?, magnitudes))
}

/// [`modulo`] of floats by constants. The quotient by a rounded reciprocal may be off by one next to a multiple of the
/// divisor; the remainder, which is exact, shows it and is corrected.
fn float_remainder(
    lowering: &mut Lowering,
    node: &Node,
    a: &Value,
    divisor: &[f64],
    truncate: bool,
) -> Result<Value, OnnxError> {
    if let Some(index) = divisor.iter().position(|&b| b == 0.0) {
        let tensor = format!("1 / the divisor of node {}", node.name);
        return Err(OnnxError::NonFinite { tensor, index, value: f64::INFINITY });
    }
    let sign = |i: usize| divisor[i].signum();
    // of the magnitude, or of the number with the sign of the divisor, by the magnitude of the divisor
    let dividend = match truncate {
        true => {
            let above = lowering.relu(node, a)?;
            lowering.combination(node, &[(&above, 2.0), (a, -1.0)], 0.0)?
        }
        false => lowering.scaled(node, a, sign, |_| 0.0)?,
    };
    let quotient = lowering.scaled(node, &dividend, |i| 1.0 / divisor[i].abs(), |_| 0.0)?;
    let quotient = lowering.round(node, Rounding::Floor, &quotient, Kind::Float)?;
    let multiple = lowering.scaled(node, &quotient, |i| divisor[i].abs(), |_| 0.0)?;
    let rest = lowering.combination(node, &[(&dividend, 1.0), (&multiple, -1.0)], 0.0)?;
    let beyond = lowering.scaled(node, &rest, |_| 1.0, |i| -divisor[i].abs())?;
    let beyond = lowering.compare(node, Comparison::AtLeast, &beyond)?.with_kind(Kind::Float);
    let below = lowering.scaled(node, &rest, |_| -1.0, |_| 0.0)?;
    let below = lowering.compare(node, Comparison::Above, &below)?.with_kind(Kind::Float);
    let off_by = lowering.combination(node, &[(&below, 1.0), (&beyond, -1.0)], 0.0)?;
    let correction = lowering.scaled(node, &off_by, |i| divisor[i].abs(), |_| 0.0)?;
    let rest = lowering.combination(node, &[(&rest, 1.0), (&correction, 1.0)], 0.0)?;
    if !truncate {
        return lowering.scaled(node, &rest, sign, |_| 0.0);
    }
    let positive = lowering.compare(node, Comparison::AtLeast, a)?.with_kind(Kind::Float);
    let signs = lowering.scaled(node, &positive, |_| 2.0, |_| -1.0)?;
    lowering.product(node, &rest, &signs)
}

fn neg(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.scaled(node, numbers(node, 0)?, |_| -1.0, |_| 0.0)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Mod", modulo);
    registry.add("Add", |lowering, node| sum(lowering, node, 1.0));
    registry.add("Sub", |lowering, node| sum(lowering, node, -1.0));
    registry.add("Mul", mul);
    registry.add("Div", div);
    registry.add("Neg", neg);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::graph::FloatOp;
    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node, weights};

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
    fn remainders_have_the_sign_of_the_divisor_or_of_the_dividend() {
        let floor = |a: f64, b: f64| a - b * (a / b).floor();
        let trunc = |a: f64, b: f64| a % b;
        for (fmod, expected) in [(0, floor as fn(f64, f64) -> f64), (1, trunc)] {
            for data_type in [DataType::Int64, DataType::Float] {
                let (x, w): ([f64; 6], [i64; 6]) = ([7.0, -7.0, 7.0, -7.0, 98.0, -98.0], [3, 3, -3, -3, 49, 49]);
                let attributes = vec![("fmod", Attr::Int(fmod))];
                let cast = node("Cast", &["w"], "v", vec![("to", Attr::Int(data_type as i64))]);
                let nodes = vec![cast, node("Mod", &["x", "v"], "y", attributes)];
                let mut model = model(&[], "y", vec![ints("w", &[6], &w)], nodes);
                graph_of(&mut model).input.push(declare("x", &[6], data_type));
                let expected: Vec<f64> = x.iter().zip(w).map(|(&a, b)| expected(a, b as f64)).collect();
                assert_eq!(import_model(&model).unwrap().eval(&x), expected, "{fmod} {data_type:?}");
            }
            let nodes = vec![node("Mod", &["x", "z"], "y", vec![("fmod", Attr::Int(fmod))])];
            let graph = import_model(&model(&[("x", &[2]), ("z", &[1])], "y", vec![], nodes)).unwrap();
            assert_eq!(graph.eval(&[5.5, -5.5, 2.0]), [1.5, expected(-5.5, 2.0)]);
        }
        let zero =
            model(&[("x", &[1])], "y", vec![floats("w", &[], &[0.0])], vec![node("Mod", &["x", "w"], "y", vec![])]);
        assert!(matches!(import_model(&zero), Err(OnnxError::NonFinite { .. })));
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
