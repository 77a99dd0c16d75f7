//! Import of ONNX models into the float [`Graph`].
//!
//! A model is decoded, its functions are written out, it is checked (names, types, shapes, sizes), and lowered node by node
//! through the registry in `ops`, with everything that is wrong collected on the way; then an independent implementation
//! analyses the shapes of the same model, and the two must agree.

mod analysis;
mod attributes;
mod core;
mod decode;
mod error;
mod found;
mod functions;
mod lower;
mod ops;
mod remedy;
mod scope;
mod shape;
mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;

use tract_onnx::pb::{ModelProto, ValueInfoProto, tensor_shape_proto, type_proto};

pub use error::{OnnxError, UnsupportedNode};

use crate::graph::{FloatOp, Graph, GraphInput};
use crate::problem::Problems;
use found::Found;
use lower::{Activation, Lowering, Value};
use ops::Registry;
use scope::{Block, Scope};
use tensor::{Kind, UNBOUNDED, element_kind, integer_range};

/// The operator sets that are understood. The supported operators mean the same in all of them, but for attributes
/// that became inputs, which are read in both forms.
pub const MIN_OPSET: i64 = 7;
pub const MAX_OPSET: i64 = 28;

/// Names of the supported ONNX operators, sorted.
pub fn supported_operators() -> Vec<&'static str> {
    Registry::new().names()
}

/// Imports the ONNX model at `path`, folded (see [`Graph::fold`]), with activations that it writes out
/// as functions ([`Graph::recognise_activations`]), what is only centred carried so ([`Graph::carry_centred`]), what is repeated
/// computed once ([`Graph::share_repeated`]), weighted sums divided instead of their weights ([`Graph::divide_sums`]), and what is
/// normalised clamped ([`Graph::clamp_normalised`]).
///
/// A first dimension that is dynamic is fixed to 1; every other one must be static.
pub fn import(path: &Path) -> Result<Graph, OnnxError> {
    let bytes = std::fs::read(path).map_err(|source| OnnxError::Io { path: path.into(), source })?;
    import_bytes(&path.display().to_string(), &bytes)
}

/// Imports an ONNX model from memory, as [`import`] does; `name` stands for the file in messages.
pub fn import_bytes(name: &str, bytes: &[u8]) -> Result<Graph, OnnxError> {
    import_model(&decode::model(name, bytes)?)
}

/// Imports as [`import_bytes`] does; everything that is wrong comes with the node where it was noticed.
pub fn examine(name: &str, bytes: &[u8]) -> Result<Graph, Problems> {
    let model = decode::model(name, bytes).map_err(|error| error.problems())?;
    collect(&model).map_err(|found| found.problems)
}

fn import_model(model: &ModelProto) -> Result<Graph, OnnxError> {
    collect(model).map_err(Found::into_error)
}

fn collect(model: &ModelProto) -> Result<Graph, Found> {
    let proto = model.graph.as_ref().ok_or_else(|| malformed("the model", "it has no graph"))?;
    let (registry, mut found) = (Registry::new(), Found::default());
    let Some(opset) = found.note(decode::opset(model)) else {
        // what has no lowering in any version is known
        scope::unsupported(proto, &registry, &mut found);
        return Err(found);
    };
    let mut scope = Scope::new(&registry, opset);
    let Some(block) = Block::new(proto, &scope, &mut found) else { return Err(found) };
    let mut inputs = vec![];
    for input in block.inputs() {
        let value = found.note(graph_input(input)).map(|(declared, kind)| {
            let activation = Activation { id: inputs.len(), shape: declared.shape.clone(), kind };
            inputs.push(declared);
            Value::Activation(activation)
        });
        scope.define(&input.name, value);
    }
    let mut lowering = Lowering::new(inputs);
    let results = block.lower(&mut lowering, scope, &mut found);
    let mut outputs = vec![];
    for (output, value) in proto.output.iter().zip(results) {
        match value {
            Some(Value::Activation(a)) => outputs.push((output.name.clone(), a.id, a.shape)),
            Some(Value::Constant(c)) => outputs.extend(found.note(lowering.constant_output(&output.name, &c))),
            None => {}
        }
    }
    if proto.output.is_empty() {
        found.error(malformed("the graph", "it has no outputs"));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut graph = Graph { outputs, ..lowering.graph };
    analysis::check(model, &graph)?;
    graph.recognise_activations();
    graph.fold();
    graph.carry_centred();
    graph.share_repeated();
    graph.divide_sums();
    graph.clamp_normalised();
    refuse_overflow(&graph)?;
    Ok(graph)
}

/// Nothing may be left of infinite constants, and products of finite ones, in scaled or folded weights, may not overflow.
fn refuse_overflow(graph: &Graph) -> Result<(), OnnxError> {
    for node in &graph.nodes {
        let FloatOp::Affine(map) = &node.op else { continue };
        let mut weights = map.weights.iter().chain(&map.bias).enumerate();
        if let Some((index, &value)) = weights.find(|(_, v)| v.is_nan() || v.abs() >= UNBOUNDED) {
            let value = if value.is_nan() { value } else { f64::INFINITY.copysign(value) };
            return Err(OnnxError::NonFinite { tensor: format!("the folded weights of {}", node.name), index, value });
        }
    }
    Ok(())
}

/// Shape and element type of an input; a dynamic first dimension becomes 1.
fn graph_input(info: &ValueInfoProto) -> Result<(GraphInput, Kind), OnnxError> {
    use tensor_shape_proto::dimension::Value;
    let name = &info.name;
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(malformed(&format!("input \"{name}\""), "it is not a tensor"));
    };
    let kind = element_kind(name, tensor.elem_type)?;
    let limits = if kind == Kind::Bool { Some((0.0, 1.0)) } else { integer_range(tensor.elem_type) };
    let Some(declared) = &tensor.shape else {
        return Err(malformed(&format!("input \"{name}\""), "its shape is not declared"));
    };
    if declared.dim.iter().any(|dim| dim.value == Some(Value::DimValue(0))) {
        let size = |dim: &tensor_shape_proto::Dimension| match dim.value {
            Some(Value::DimValue(d)) => usize::try_from(d).unwrap_or(1),
            _ => 1,
        };
        return Err(OnnxError::ZeroSized { tensor: name.clone(), shape: declared.dim.iter().map(size).collect() });
    }
    let mut shape = vec![];
    for (axis, dim) in declared.dim.iter().enumerate() {
        let dimension = match &dim.value {
            Some(Value::DimValue(d)) if *d > 0 => {
                shape.push(usize::try_from(*d).unwrap_or(usize::MAX));
                continue;
            }
            Some(Value::DimValue(d)) => d.to_string(),
            Some(Value::DimParam(symbol)) => format!("\"{symbol}\""),
            None => "not declared".into(),
        };
        if axis > 0 {
            return Err(OnnxError::DynamicDimension { input: name.clone(), axis, dimension });
        }
        shape.push(1);
    }
    if shape::element_count(&shape).is_none() {
        let (what, elements) = (format!("input \"{name}\""), format!("{shape:?}"));
        return Err(OnnxError::TooLarge { what, elements, limit: shape::MAX_ELEMENTS });
    }
    Ok((GraphInput { name: name.clone(), shape, integer: kind != Kind::Float, limits }, kind))
}

fn malformed(what: &str, reason: &str) -> OnnxError {
    OnnxError::Malformed { what: what.into(), reason: reason.into() }
}
