//! Comparisons, choices and logic, elementwise. Booleans are the integers 0 and 1.

use super::common::filled;
use super::elementwise::numbers;
use super::mask::has_infinities;
use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{Affine, Comparison};
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::Kind;

/// The comparison of `a - b`, or with `swap` of `b - a`, with zero.
fn compared(lowering: &mut Lowering, node: &Node, comparison: Comparison, swap: bool) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = lowering.broadcast_pair(node, node.input(0)?, node.input(1)?)?;
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let difference = lowering.combination(node, &[(&a, 1.0), (&b, -1.0)], 0.0)?;
    Ok(vec![lowering.compare(node, comparison, &difference)?])
}

fn choose(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![chosen(lowering, node, boolean(node, 0)?, node.input(1)?, node.input(2)?)?])
}

/// `b + condition * (a - b)`, broadcast; a constant condition selects.
pub(super) fn chosen(
    lowering: &mut Lowering,
    node: &Node,
    condition: &Value,
    a: &Value,
    b: &Value,
) -> Result<Value, OnnxError> {
    let (a, b) = lowering.broadcast_pair(node, a, b)?;
    let Some(shape) = broadcast(condition.shape(), a.shape()) else {
        return Err(node.mismatch(condition.shape(), a.shape(), "they do not broadcast to a common shape"));
    };
    let condition = lowering.broadcast_to(node, condition, &shape)?;
    let (a, b) = (lowering.broadcast_to(node, &a, &shape)?, lowering.broadcast_to(node, &b, &shape)?);
    if let Value::Constant(constant) = &condition {
        let len = lowering.charge_shape(node, &shape)?;
        let columns = constant.data.iter().enumerate().map(|(i, &c)| if c != 0.0 { i } else { len + i });
        return lowering.affine(node, &[&a, &b], Affine::selection(2 * len, columns), shape, a.kind());
    }
    let condition = condition.with_kind(a.kind());
    if a.constant().is_some() || b.constant().is_some() {
        // a difference with a huge constant, such as a mask, would lose the other operand
        let otherwise = lowering.scaled(node, &condition, |_| -1.0, |_| 1.0)?;
        let (a, b) = (lowering.product(node, &a, &condition)?, lowering.product(node, &b, &otherwise)?);
        return lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], 0.0);
    }
    let difference = lowering.combination(node, &[(&a, 1.0), (&b, -1.0)], 0.0)?;
    let chosen = lowering.product(node, &difference, &condition)?;
    lowering.combination(node, &[(&b, 1.0), (&chosen, 1.0)], 0.0)
}

/// No number is not a number, and none of a domain is infinite; only a mask is.
fn never(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if node.op() == "IsInf" && has_infinities(lowering, x) {
        return Err(node.unsupported("its input", "infinities are understood in the masks of a softmax only"));
    }
    Ok(vec![filled(lowering, node, x.shape(), Kind::Bool, 0.0)?])
}

/// Input `position`, which must hold booleans.
fn boolean<'a>(node: &'a Node, position: usize) -> Result<&'a Value, OnnxError> {
    match node.input(position)? {
        x if x.kind() == Kind::Bool => Ok(x),
        _ => Err(node.unsupported("its element type", "it must be a boolean")),
    }
}

/// `sum * (a + b) + both * [a and b]`, where `a and b` is `max(a + b - 1, 0)`.
fn connective(lowering: &mut Lowering, node: &Node, sum: f64, both: f64) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = lowering.broadcast_pair(node, boolean(node, 0)?, boolean(node, 1)?)?;
    let excess = lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], -1.0)?;
    let and = lowering.relu(node, &excess)?;
    Ok(vec![lowering.combination(node, &[(&a, sum), (&b, sum), (&and, both)], 0.0)?])
}

fn not(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.scaled(node, boolean(node, 0)?, |_| -1.0, |_| 1.0)?])
}

/// The first input and all others, by pairs.
fn fold(
    lowering: &mut Lowering,
    node: &Node,
    pair: impl Fn(&mut Lowering, &Value, &Value) -> Result<Value, OnnxError>,
) -> Result<Vec<Value>, OnnxError> {
    let mut result = numbers(node, 0)?.clone();
    for position in 1..node.inputs.len() {
        let (a, b) = lowering.broadcast_pair(node, &result, numbers(node, position)?)?;
        result = pair(lowering, &a, &b)?;
    }
    Ok(vec![result])
}

fn maximum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    fold(lowering, node, |lowering, a, b| lowering.maximum(node, a, b))
}

fn minimum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    fold(lowering, node, |lowering, a, b| lowering.minimum(node, a, b))
}

fn sum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    fold(lowering, node, |lowering, a, b| lowering.combination(node, &[(a, 1.0), (b, 1.0)], 0.0))
}

fn mean(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if node.input(0)?.kind() != Kind::Float {
        return Err(node.unsupported("its element type", "a mean is of floats"));
    }
    let sum = sum(lowering, node)?;
    let count = node.inputs.len() as f64;
    sum.iter().map(|sum| lowering.scaled(node, sum, |_| 1.0 / count, |_| 0.0)).collect()
}

pub(super) fn register(registry: &mut Registry) {
    let comparisons: [(&str, Lower); 5] = [
        ("Greater", |lowering, node| compared(lowering, node, Comparison::Above, false)),
        ("Less", |lowering, node| compared(lowering, node, Comparison::Above, true)),
        ("GreaterOrEqual", |lowering, node| compared(lowering, node, Comparison::AtLeast, false)),
        ("LessOrEqual", |lowering, node| compared(lowering, node, Comparison::AtLeast, true)),
        ("Equal", |lowering, node| compared(lowering, node, Comparison::Equal, false)),
    ];
    comparisons.into_iter().for_each(|(name, lower)| registry.add(name, lower));
    registry.add("Where", choose);
    registry.add("IsInf", never);
    registry.add("IsNaN", never);
    registry.add("And", |lowering, node| connective(lowering, node, 0.0, 1.0));
    registry.add("Or", |lowering, node| connective(lowering, node, 1.0, -1.0));
    registry.add("Xor", |lowering, node| connective(lowering, node, 1.0, -2.0));
    registry.add("Not", not);
    registry.add("Max", maximum);
    registry.add("Min", minimum);
    registry.add("Sum", sum);
    registry.add("Mean", mean);
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Attr, agrees, floats, model, node, weights};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn comparisons_with_activations_and_constants() {
        for operator in ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"] {
            let nodes =
                vec![node(operator, &["x", "z"], "b", vec![]), node("Cast", &["b"], "y", vec![("to", Attr::Int(1))])];
            agrees(&model(&[("x", &[2, 3]), ("z", &[3])], "y", vec![], nodes.clone()));
            agrees(&model(&[("x", &[2, 3])], "y", vec![weights("z", &[2, 1], 3)], nodes));
        }
    }

    #[test]
    fn logic_and_choices() {
        for operator in ["And", "Or", "Xor"] {
            let nodes = vec![
                node("Greater", &["x", "zero"], "a", vec![]),
                node("Less", &["z", "zero"], "b", vec![]),
                node(operator, &["a", "b"], "c", vec![]),
                node("Not", &["c"], "d", vec![]),
                node("Where", &["d", "x", "z"], "y", vec![]),
            ];
            agrees(&model(&[("x", &[2, 3]), ("z", &[3])], "y", vec![floats("zero", &[], &[0.0])], nodes));
        }
    }

    /// A mask of attention: the other side is kept to the last bit.
    #[test]
    fn a_huge_constant_does_not_swallow_the_other_side() {
        for inputs in [["b", "x", "mask"], ["b", "mask", "x"]] {
            let nodes = vec![node("Greater", &["x", "zero"], "b", vec![]), node("Where", &inputs, "y", vec![])];
            let constants = vec![floats("zero", &[], &[0.0]), floats("mask", &[], &[-3.4e38])];
            let graph = import_model(&model(&[("x", &[2])], "y", constants, nodes)).unwrap();
            let masked = f64::from(-3.4e38f32);
            let expected = if inputs[1] == "x" { [0.3, masked] } else { [masked, -0.7] };
            assert_eq!(graph.eval(&[0.3, -0.7]), expected);
        }
    }

    #[test]
    fn folds_of_several_tensors() {
        for operator in ["Max", "Min", "Sum", "Mean"] {
            let nodes = vec![node(operator, &["x", "w", "z"], "y", vec![])];
            agrees(&model(&[("x", &[2, 3]), ("z", &[2, 1])], "y", vec![weights("w", &[3], 4)], nodes));
        }
        let nodes = vec![node("Max", &["x", "z"], "y", vec![])];
        let error = import_model(&model(&[("x", &[2]), ("z", &[3])], "y", vec![], nodes));
        assert!(matches!(error, Err(OnnxError::ShapeMismatch { .. })));
    }

    #[test]
    fn a_constant_condition_selects() {
        let nodes = vec![
            node("IsNaN", &["x"], "never", vec![]),
            node("Greater", &["w", "zero"], "c", vec![]),
            node("Or", &["never", "c"], "d", vec![]),
            node("Where", &["d", "x", "huge"], "y", vec![]),
        ];
        let constants =
            vec![floats("zero", &[], &[0.0]), floats("w", &[2], &[1.0, -1.0]), floats("huge", &[], &[f32::MIN])];
        let graph = import_model(&model(&[("x", &[1, 2])], "y", constants, nodes)).unwrap();
        assert_eq!((graph.nodes.len(), graph.eval(&[0.1, 0.2])), (1, vec![0.1, f64::from(f32::MIN)]));
    }

    #[test]
    fn infinities_are_not_overlooked() {
        let finite = |mask: f32| {
            let nodes = vec![node("Add", &["x", "m"], "a", vec![]), node("IsInf", &["a"], "y", vec![])];
            import_model(&model(&[("x", &[2])], "y", vec![floats("m", &[2], &[0.0, mask])], nodes))
        };
        assert_eq!(finite(1.0).unwrap().eval(&[1.0, 2.0]), [0.0, 0.0]);
        assert!(finite(f32::NEG_INFINITY).is_err() && finite(f32::INFINITY).is_err());
    }
}
