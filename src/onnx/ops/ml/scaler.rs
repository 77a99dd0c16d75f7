//! Features one by one: Scaler, Normalizer, Binarizer, Imputer.

use super::post::{greatest, is_softmax, row_sums};
use super::{Lowering, Node, OnnxError, Registry, Value, matrix, numbers};
use crate::graph::Comparison;
use crate::onnx::tensor::Kind;

/// `(x - offset) * scale`, per feature.
fn scaler(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, _, features) = matrix(node)?;
    let list = |name: &str, default: f64| match numbers(node, name)? {
        None => Ok(vec![default; features]),
        Some(one) if one.len() == 1 => Ok(vec![one[0]; features]),
        Some(list) => super::check_len(node, name, list.len(), features).map(|()| list),
    };
    let (offset, scale) = (list("offset", 0.0)?, list("scale", 1.0)?);
    let place = |i: usize| i % features;
    let scaled = lowering.scaled(node, &x, |i| scale[place(i)], |i| -offset[place(i)] * scale[place(i)])?;
    Ok(vec![scaled])
}

/// Rows divided by their greatest element, the sum of their magnitudes, or the root of the sum of their squares.
fn normalizer(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, _, _) = matrix(node)?;
    let norm = match node.string("norm")?.as_deref() {
        None | Some("MAX") => greatest(lowering, node, &x)?,
        // Exporters put it behind classifiers, whose probabilities it leaves as they are.
        Some("L1") if is_softmax(lowering, &x) => return Ok(vec![x]),
        Some("L1") => {
            let negative = lowering.scaled(node, &x, |_| -1.0, |_| 0.0)?;
            let (above, below) = (lowering.relu(node, &x)?, lowering.relu(node, &negative)?);
            let magnitudes = lowering.combination(node, &[(&above, 1.0), (&below, 1.0)], 0.0)?;
            row_sums(lowering, node, &magnitudes)?
        }
        Some("L2") => {
            let squares = lowering.square(node, &x)?;
            let sum = row_sums(lowering, node, &squares)?;
            lowering.sqrt(node, &sum)?
        }
        Some(other) => return Err(node.unsupported(&format!("norm {other}"), "MAX, L1 and L2 are")),
    };
    let norm = lowering.broadcast_to(node, &norm, x.shape())?;
    Ok(vec![lowering.quotient(node, &x, &norm)?])
}

/// `[x > threshold]`.
fn binarizer(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let threshold = node.float("threshold")?.unwrap_or(0.0);
    let excess = lowering.scaled(node, &x.with_kind(Kind::Float), |_| 1.0, |_| -threshold)?;
    Ok(vec![lowering.compare(node, Comparison::Above, &excess)?.with_kind(x.kind())])
}

/// The identity: what is replaced is NaN, which no finite value is.
fn imputer(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let replaced = node.raw("replaced_value_float");
    let replaces_numbers = replaced.is_some_and(|a| !a.f.is_nan()) || x.kind() != Kind::Float;
    if replaces_numbers || numbers(node, "imputed_value_floats")?.is_none() {
        return Err(node.unsupported("the value it replaces", "only NaN, in floats, is understood"));
    }
    // what integers would be replaced by
    node.ignore(&["replaced_value_int64", "imputed_value_int64s"]);
    Ok(vec![x.clone()])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::Scaler", scaler);
    registry.add("ai.onnx.ml::Normalizer", normalizer);
    registry.add("ai.onnx.ml::Binarizer", binarizer);
    registry.add("ai.onnx.ml::Imputer", imputer);
}
