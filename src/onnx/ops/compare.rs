//! Comparisons, choices and logic, elementwise. Booleans are the integers 0 and 1.

use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Comparison;
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::Kind;

/// Inputs `a` and `b`, of one element type, broadcast to their common shape.
pub(super) fn operands(lowering: &mut Lowering, node: &Node, a: usize, b: usize) -> Result<(Value, Value), OnnxError> {
    let (a, b) = (node.input(a)?, node.input(b)?);
    let Some(shape) = broadcast(a.shape(), b.shape()) else {
        return Err(node.mismatch(a.shape(), b.shape(), "they do not broadcast to a common shape"));
    };
    if a.kind() != b.kind() {
        return Err(node.unsupported("its element type", "both operands must have the same"));
    }
    Ok((lowering.broadcast_to(node, a, &shape)?, lowering.broadcast_to(node, b, &shape)?))
}

/// The comparison of `a - b`, or with `swap` of `b - a`, with zero.
fn compared(lowering: &mut Lowering, node: &Node, comparison: Comparison, swap: bool) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node, 0, 1)?;
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let difference = lowering.combination(node, &[(&a, 1.0), (&b, -1.0)], 0.0)?;
    Ok(vec![lowering.compare(node, comparison, &difference)?])
}

/// `b + condition * (a - b)`.
fn choose(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let condition = node.input(0)?;
    if condition.kind() != Kind::Bool {
        return Err(node.unsupported("its condition", "it must be a boolean"));
    }
    let (a, b) = operands(lowering, node, 1, 2)?;
    let Some(shape) = broadcast(condition.shape(), a.shape()) else {
        return Err(node.mismatch(condition.shape(), a.shape(), "they do not broadcast to a common shape"));
    };
    let condition = lowering.broadcast_to(node, condition, &shape)?;
    let (a, b) = (lowering.broadcast_to(node, &a, &shape)?, lowering.broadcast_to(node, &b, &shape)?);
    let difference = lowering.combination(node, &[(&a, 1.0), (&b, -1.0)], 0.0)?;
    let chosen = lowering.product(node, &difference, &condition.with_kind(a.kind()))?;
    Ok(vec![lowering.combination(node, &[(&b, 1.0), (&chosen, 1.0)], 0.0)?])
}

fn booleans(lowering: &mut Lowering, node: &Node) -> Result<(Value, Value), OnnxError> {
    let (a, b) = operands(lowering, node, 0, 1)?;
    if a.kind() != Kind::Bool {
        return Err(node.unsupported("its element type", "it must be a boolean"));
    }
    Ok((a, b))
}

/// `sum * (a + b) + both * [a and b]`, where `a and b` is `max(a + b - 1, 0)`.
fn connective(lowering: &mut Lowering, node: &Node, sum: f64, both: f64) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = booleans(lowering, node)?;
    let excess = lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], -1.0)?;
    let and = lowering.relu(node, &excess)?;
    Ok(vec![lowering.combination(node, &[(&a, sum), (&b, sum), (&and, both)], 0.0)?])
}

fn not(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if x.kind() != Kind::Bool {
        return Err(node.unsupported("its element type", "it must be a boolean"));
    }
    Ok(vec![lowering.scaled(node, x, |_| -1.0, |_| 1.0)?])
}

/// The first input and all others, by pairs.
fn fold(
    lowering: &mut Lowering,
    node: &Node,
    pair: impl Fn(&mut Lowering, &Value, &Value) -> Result<Value, OnnxError>,
) -> Result<Vec<Value>, OnnxError> {
    let mut result = node.input(0)?.clone();
    for position in 1..node.inputs.len() {
        let next = node.input(position)?;
        let Some(shape) = broadcast(result.shape(), next.shape()) else {
            return Err(node.mismatch(result.shape(), next.shape(), "they do not broadcast to a common shape"));
        };
        if result.kind() != next.kind() || next.kind() == Kind::Bool {
            return Err(node.unsupported("its element type", "all operands must be floats, or all integers"));
        }
        result = lowering.broadcast_to(node, &result, &shape)?;
        let next = lowering.broadcast_to(node, next, &shape)?;
        result = pair(lowering, &result, &next)?;
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
}
