//! What several operator families share: operands of one shape, filled constants, truncation, text attributes.

use super::{Lowering, Node, OnnxError, Value};
use crate::graph::Rounding;
use crate::onnx::shape::{axis, broadcast};
use crate::onnx::tensor::Kind;

/// A constant whose elements are all `value`.
pub(super) fn filled(
    lowering: &mut Lowering,
    node: &Node,
    shape: &[usize],
    kind: Kind,
    value: f64,
) -> Result<Value, OnnxError> {
    let count = lowering.charge_shape(node, shape)?;
    lowering.constant(node, shape.to_vec(), kind, vec![value; count])
}

/// All inputs, repeated to their common shape.
pub(super) fn broadcast_inputs(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let mut shape = node.input(0)?.shape().to_vec();
    for position in 1..node.inputs.len() {
        let other = node.input(position)?.shape();
        shape = broadcast(&shape, other)
            .ok_or_else(|| node.mismatch(&shape, other, "they do not broadcast to a common shape"))?;
    }
    (0..node.inputs.len()).map(|i| lowering.broadcast_to(node, node.input(i)?, &shape)).collect()
}

/// The first two inputs, repeated to their common shape.
pub(super) fn broadcast_pair(lowering: &mut Lowering, node: &Node) -> Result<(Value, Value), OnnxError> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let shape = broadcast(a.shape(), b.shape())
        .ok_or_else(|| node.mismatch(a.shape(), b.shape(), "they do not broadcast to a common shape"))?;
    Ok((lowering.broadcast_to(node, a, &shape)?, lowering.broadcast_to(node, b, &shape)?))
}

/// Refuses operands that are not all of one numeric element type; returns it.
pub(super) fn numeric(node: &Node, operands: &[&Value]) -> Result<Kind, OnnxError> {
    let kind = operands.first().map_or(Kind::Float, |v| v.kind());
    if kind == Kind::Bool || operands.iter().any(|v| v.kind() != kind) {
        return Err(node.unsupported("its element type", "both operands must be floats, or both integers"));
    }
    Ok(kind)
}

/// Refuses an operand that is not a float.
pub(super) fn float(node: &Node, operand: &Value) -> Result<(), OnnxError> {
    match operand.kind() {
        Kind::Float => Ok(()),
        _ => Err(node.unsupported("its element type", "it must be a float")),
    }
}

/// The number without its fraction: `floor(max(x, 0)) - floor(max(-x, 0))`; `kind` is that of the result.
pub(super) fn truncated(lowering: &mut Lowering, node: &Node, x: &Value, kind: Kind) -> Result<Value, OnnxError> {
    let above = lowering.relu(node, x)?;
    let negative = lowering.scaled(node, x, |_| -1.0, |_| 0.0)?;
    let below = lowering.relu(node, &negative)?;
    let above = lowering.round(node, Rounding::Floor, &above, kind)?;
    let below = lowering.round(node, Rounding::Floor, &below, kind)?;
    lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)
}

/// An attribute that is a text; `default` if it is absent.
pub(super) fn text(node: &Node, name: &str, default: &str) -> Result<String, OnnxError> {
    let Some(attribute) = node.proto.attribute.iter().find(|a| a.name == name) else { return Ok(default.into()) };
    let text = String::from_utf8(attribute.s.clone());
    text.map_err(|_| node.unsupported(&format!("attribute {name}"), "it is not a text"))
}

/// The attribute `axis`, counted from the front.
pub(super) fn axis_attribute(node: &Node, rank: usize, default: i64) -> Result<usize, OnnxError> {
    let given = node.int("axis")?.unwrap_or(default);
    axis(given, rank).ok_or_else(|| node.unsupported(&format!("axis {given}"), &format!("there are {rank} axes")))
}

/// A node's attribute that is a text, for tests.
#[cfg(test)]
pub(super) fn with_text(mut node: tract_onnx::pb::NodeProto, name: &str, text: &str) -> tract_onnx::pb::NodeProto {
    use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};
    let (name, s, r#type) = (name.into(), text.into(), AttributeType::String as i32);
    node.attribute.push(AttributeProto { name, s, r#type, ..Default::default() });
    node
}
