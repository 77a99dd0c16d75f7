//! What several operator families share: filled constants, element types, truncation.

use super::{Lowering, Node, OnnxError, Value};
use crate::graph::Rounding;
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
