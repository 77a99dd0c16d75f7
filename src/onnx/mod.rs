//! Import of ONNX models into the float [`Graph`].
//!
//! A model is decoded, checked (names, types, shapes, sizes), and lowered node by node through the registry in `ops`;
//! then an independent implementation analyses the shapes of the same model, and the two must agree.

mod analysis;
mod core;
mod decode;
mod error;
mod lower;
mod ops;
mod shape;
mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto, tensor_shape_proto, type_proto,
};

pub use error::{OnnxError, UnsupportedNode};

use crate::graph::{FloatOp, Graph, GraphInput};
use lower::{Activation, Lowering, Node, Value, node_name};
use ops::Registry;
use tensor::{Constant, Kind, element_kind};

/// The operator sets that are understood. The supported operators mean the same in all of them, but for attributes
/// that became inputs, which are read in both forms.
pub const MIN_OPSET: i64 = 7;
pub const MAX_OPSET: i64 = 28;

/// Names of the supported ONNX operators, sorted.
pub fn supported_operators() -> Vec<&'static str> {
    Registry::new().names()
}

/// Imports the ONNX model at `path`, folded (see [`Graph::fold`]).
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

fn import_model(model: &ModelProto) -> Result<Graph, OnnxError> {
    let opset = decode::opset(model)?;
    let proto = model.graph.as_ref().ok_or_else(|| malformed("the model", "it has no graph"))?;
    let registry = Registry::new();
    refuse_unsupported(proto, &registry)?;
    refuse_duplicates(proto)?;
    if let Some(sparse) = proto.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |v| &v.name);
        return Err(malformed(&format!("initializer \"{name}\""), "sparse tensors are not supported"));
    }

    let mut values = BTreeMap::new();
    for tensor in proto.initializer.iter().filter(|t| !is_unread_text(t, proto)) {
        let constant = Constant::decode(&tensor.name, tensor)?;
        values.insert(tensor.name.as_str(), Value::Constant(Rc::new(constant)));
    }
    let mut inputs = vec![];
    // An input that an initializer gives a default is constant.
    for input in proto.input.iter().filter(|i| !values.contains_key(i.name.as_str())).collect::<Vec<_>>() {
        let (declared, kind) = graph_input(input)?;
        let activation = Activation { id: inputs.len(), shape: declared.shape.clone(), kind };
        inputs.push(declared);
        values.insert(&input.name, Value::Activation(activation));
    }

    let mut lowering = Lowering::new(inputs.len());
    for node in topological_order(proto, &values)? {
        lower_node(&mut lowering, &registry, node, opset, &mut values)?;
    }
    let mut outputs = vec![];
    for output in &proto.output {
        match values.get(output.name.as_str()) {
            Some(Value::Activation(a)) => outputs.push((output.name.clone(), a.id, a.shape.clone())),
            Some(Value::Constant(constant)) => outputs.push(lowering.constant_output(&output.name, constant)),
            None => {
                return Err(OnnxError::Undefined {
                    consumer: "the list of outputs".into(),
                    tensor: output.name.clone(),
                });
            }
        }
    }
    if outputs.is_empty() {
        return Err(malformed("the graph", "it has no outputs"));
    }
    let mut graph = Graph { inputs, nodes: lowering.nodes, outputs };
    analysis::check(model, &graph)?;
    graph.fold();
    refuse_overflow(&graph)?;
    Ok(graph)
}

/// Whether `tensor` holds strings that no node reads, such as class names beside the graph.
fn is_unread_text(tensor: &TensorProto, graph: &GraphProto) -> bool {
    tensor.data_type == tensor_proto::DataType::String as i32
        && !graph.node.iter().any(|node| node.input.contains(&tensor.name))
}

/// Constants are finite, but their products, in scaled or folded weights, may not be.
fn refuse_overflow(graph: &Graph) -> Result<(), OnnxError> {
    for node in &graph.nodes {
        let FloatOp::Affine(map) = &node.op else { continue };
        if let Some((index, &value)) = map.weights.iter().chain(&map.bias).enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(OnnxError::NonFinite { tensor: format!("the folded weights of {}", node.name), index, value });
        }
    }
    Ok(())
}

fn lower_node<'a>(
    lowering: &mut Lowering,
    registry: &Registry,
    proto: &'a NodeProto,
    opset: i64,
    values: &mut BTreeMap<&'a str, Value>,
) -> Result<(), OnnxError> {
    let inputs = proto.input.iter().map(|name| values.get(name.as_str()).cloned()).collect();
    let node = Node { proto, name: node_name(proto), opset, inputs };
    let lower = registry
        .get(&operator_name(proto))
        .ok_or_else(|| malformed(&format!("node \"{}\"", node.name), "it is unknown"))?;
    let results = lower(lowering, &node)?;
    for (name, value) in proto.output.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
        values.insert(name, value);
    }
    Ok(())
}

/// The operator of a node, with its domain if that is not ONNX's own.
fn operator_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

/// Every node must have a lowering; all those that have none are named at once.
fn refuse_unsupported(graph: &GraphProto, registry: &Registry) -> Result<(), OnnxError> {
    let unsupported = graph.node.iter().filter(|n| registry.get(&operator_name(n)).is_none());
    let nodes: Vec<_> =
        unsupported.map(|n| UnsupportedNode { node: node_name(n).into(), operator: operator_name(n) }).collect();
    match nodes.is_empty() {
        true => Ok(()),
        false => Err(OnnxError::UnsupportedOperators { nodes, supported: registry.names() }),
    }
}

/// Every value is defined once; an initializer may repeat the name of an input.
fn refuse_duplicates(graph: &GraphProto) -> Result<(), OnnxError> {
    let groups: [(&str, Vec<&str>); 3] = [
        ("as an input", graph.input.iter().map(|i| i.name.as_str()).collect()),
        ("as an initializer", graph.initializer.iter().map(|t| t.name.as_str()).collect()),
        ("as an output", graph.output.iter().map(|o| o.name.as_str()).collect()),
    ];
    for (what, mut names) in groups {
        names.sort_unstable();
        if names.first() == Some(&"") {
            return Err(malformed("the graph", &format!("a tensor without a name is used {what}")));
        }
        if let Some(pair) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(OnnxError::DuplicateName { name: pair[0].into(), what: format!("twice {what}") });
        }
    }
    let given = graph.input.iter().map(|i| &i.name).chain(graph.initializer.iter().map(|t| &t.name));
    let mut defined: BTreeMap<&str, &str> = given.map(|name| (name.as_str(), "an input or initializer")).collect();
    for node in &graph.node {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if let Some(other) = defined.insert(name, node_name(node)) {
                let what = format!("by {other} and by node {}", node_name(node));
                return Err(OnnxError::DuplicateName { name: name.clone(), what });
            }
        }
    }
    Ok(())
}

/// The nodes in an order in which each comes after those it reads; the order of the file is kept where it can be.
fn topological_order<'a>(
    graph: &'a GraphProto,
    given: &BTreeMap<&str, Value>,
) -> Result<Vec<&'a NodeProto>, OnnxError> {
    let mut producer = BTreeMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        producer.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), i)));
    }
    let mut waiting_for = vec![0usize; graph.node.len()];
    let mut consumers = vec![vec![]; graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.input.iter().filter(|name| !name.is_empty() && !given.contains_key(name.as_str())) {
            let Some(&from) = producer.get(name.as_str()) else {
                let consumer = format!("node \"{}\" ({})", node_name(node), node.op_type);
                return Err(OnnxError::Undefined { consumer, tensor: name.clone() });
            };
            waiting_for[i] += 1;
            consumers[from].push(i);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..graph.node.len()).filter(|&i| waiting_for[i] == 0).collect();
    let mut order = vec![];
    while let Some(i) = ready.pop_first() {
        order.push(&graph.node[i]);
        for &consumer in &consumers[i] {
            waiting_for[consumer] -= 1;
            if waiting_for[consumer] == 0 {
                ready.insert(consumer);
            }
        }
    }
    if order.len() < graph.node.len() {
        let stuck = (0..graph.node.len()).filter(|&i| waiting_for[i] > 0);
        return Err(OnnxError::Cycle { nodes: stuck.map(|i| node_name(&graph.node[i]).to_string()).collect() });
    }
    Ok(order)
}

/// Shape and element type of an input; a dynamic first dimension becomes 1.
fn graph_input(info: &ValueInfoProto) -> Result<(GraphInput, Kind), OnnxError> {
    use tensor_shape_proto::dimension::Value;
    let name = &info.name;
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(malformed(&format!("input \"{name}\""), "it is not a tensor"));
    };
    let kind = element_kind(name, tensor.elem_type)?;
    let Some(declared) = &tensor.shape else {
        return Err(malformed(&format!("input \"{name}\""), "its shape is not declared"));
    };
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
    Ok((GraphInput { name: name.clone(), shape, integer: kind != Kind::Float }, kind))
}

fn malformed(what: &str, reason: &str) -> OnnxError {
    OnnxError::Malformed { what: what.into(), reason: reason.into() }
}
