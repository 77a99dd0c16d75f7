//! Import of ONNX models into the float [`Graph`].
//!
//! A model is decoded, checked (names, types, shapes, sizes), and lowered node by node through the registry in `ops`, with
//! everything that is wrong collected on the way; then an independent implementation analyses the shapes of the same model, and the two must agree.

mod analysis;
mod core;
mod decode;
mod error;
mod lower;
mod ops;
mod remedy;
mod shape;
mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto, tensor_shape_proto, type_proto,
};

pub use error::{OnnxError, UnsupportedNode};

use crate::graph::{FloatOp, Graph, GraphInput};
use crate::problem::Problems;
use lower::{Activation, Lowering, Node, Value, node_name};
use ops::Registry;
use tensor::{Constant, Kind, element_kind};

/// The operator sets that are understood. The supported operators mean the same in all of them, but for attributes
/// that became inputs, which are read in both forms.
pub const MIN_OPSET: i64 = 7;
pub const MAX_OPSET: i64 = 25;

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
    let mut import = Import { registry: Registry::new(), values: BTreeMap::new(), found: Found::default() };
    let opset = import.found.note(decode::opset(model));
    let unique = import.found.note(refuse_duplicates(proto));
    let (Some(opset), Some(())) = (opset, unique) else {
        // without these nothing can be lowered, but what has no lowering is known
        for node in proto.node.iter().filter(|node| import.registry.get(&operator_name(node)).is_none()) {
            import.found.unsupported(node);
        }
        return Err(import.found);
    };
    if let Some(sparse) = proto.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |v| &v.name);
        import.found.error(malformed(&format!("initializer \"{name}\""), "sparse tensors are not supported"));
    }
    import.initializers(proto);
    let inputs = import.inputs(proto);
    let mut lowering = Lowering::new(inputs.len());
    for node in import.topological_order(proto) {
        import.lower(&mut lowering, node, opset);
    }
    let outputs = import.outputs(&mut lowering, proto);
    if !import.found.is_empty() {
        return Err(import.found);
    }
    let mut graph = Graph { inputs, nodes: lowering.nodes, outputs };
    analysis::check(model, &graph)?;
    graph.fold();
    refuse_overflow(&graph)?;
    Ok(graph)
}

/// An import under way. It goes on past what is wrong, so that all of it can be said at once.
struct Import<'a> {
    registry: Registry,
    /// Values by name; `None` for those that a problem leaves without one. What reads them is passed over, and is no problem of
    /// its own.
    values: BTreeMap<&'a str, Option<Value>>,
    found: Found,
}

impl<'a> Import<'a> {
    fn initializers(&mut self, proto: &'a GraphProto) {
        for tensor in proto.initializer.iter().filter(|t| !is_unread_text(t, proto)) {
            let constant = self.found.note(Constant::decode(&tensor.name, tensor));
            self.values.insert(&tensor.name, constant.map(|constant| Value::Constant(Rc::new(constant))));
        }
    }

    /// The graph's inputs. One that an initializer gives a default is constant.
    fn inputs(&mut self, proto: &'a GraphProto) -> Vec<GraphInput> {
        let mut inputs = vec![];
        for input in proto.input.iter().filter(|i| !self.values.contains_key(i.name.as_str())).collect::<Vec<_>>() {
            let value = self.found.note(graph_input(input)).map(|(declared, kind)| {
                let activation = Activation { id: inputs.len(), shape: declared.shape.clone(), kind };
                inputs.push(declared);
                Value::Activation(activation)
            });
            self.values.insert(&input.name, value);
        }
        inputs
    }

    /// Lowers a node whose inputs are all known, or says why it cannot be.
    fn lower(&mut self, lowering: &mut Lowering, proto: &'a NodeProto, opset: i64) {
        let outputs = proto.output.iter().filter(|name| !name.is_empty());
        let known = proto.input.iter().all(|name| !matches!(self.values.get(name.as_str()), Some(None)));
        let results = match self.registry.get(&operator_name(proto)) {
            None => {
                self.found.unsupported(proto);
                None
            }
            Some(lower) if known => {
                let value = |name: &String| self.values.get(name.as_str()).cloned().flatten();
                let inputs = proto.input.iter().map(value).collect();
                let node = Node { proto, name: node_name(proto), opset, inputs };
                self.found.note_at(proto, lower(lowering, &node))
            }
            Some(_) => None,
        };
        let Some(results) = results else {
            self.values.extend(outputs.map(|name| (name.as_str(), None)));
            return;
        };
        let defined = proto.output.iter().zip(results).filter(|(name, _)| !name.is_empty());
        self.values.extend(defined.map(|(name, value)| (name.as_str(), Some(value))));
    }

    /// Name, value id and shape of every output that is known.
    fn outputs(&mut self, lowering: &mut Lowering, proto: &GraphProto) -> Vec<(String, usize, Vec<usize>)> {
        let mut outputs = vec![];
        for output in &proto.output {
            match self.values.get(output.name.as_str()) {
                Some(Some(Value::Activation(a))) => outputs.push((output.name.clone(), a.id, a.shape.clone())),
                Some(Some(Value::Constant(c))) => outputs.push(lowering.constant_output(&output.name, c)),
                Some(None) => {}
                None => {
                    let (consumer, tensor) = ("the list of outputs".into(), output.name.clone());
                    self.found.error(OnnxError::Undefined { consumer, tensor });
                }
            }
        }
        if proto.output.is_empty() {
            self.found.error(malformed("the graph", "it has no outputs"));
        }
        outputs
    }

    /// The nodes in an order in which each comes after those it reads; the order of the file is kept where it can be. Nodes on
    /// a cycle and what depends on them are left out.
    fn topological_order(&mut self, graph: &'a GraphProto) -> Vec<&'a NodeProto> {
        let mut producer = BTreeMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            producer.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), i)));
        }
        let mut waiting_for = vec![0usize; graph.node.len()];
        let mut consumers = vec![vec![]; graph.node.len()];
        for (i, node) in graph.node.iter().enumerate() {
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                if self.values.contains_key(name.as_str()) {
                    continue;
                }
                if let Some(&from) = producer.get(name.as_str()) {
                    waiting_for[i] += 1;
                    consumers[from].push(i);
                } else {
                    let consumer = format!("node \"{}\" ({})", node_name(node), node.op_type);
                    self.found.error(OnnxError::Undefined { consumer, tensor: name.clone() });
                    self.values.insert(name, None);
                }
            }
        }
        let mut ready: BTreeSet<usize> = (0..graph.node.len()).filter(|&i| waiting_for[i] == 0).collect();
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
            let stuck: Vec<&NodeProto> = graph
                .node
                .iter()
                .zip(&waiting_for)
                .filter(|(_, waiting)| **waiting > 0)
                .map(|(node, _)| node)
                .collect();
            self.values.extend(stuck.iter().flat_map(|node| &node.output).map(|name| (name.as_str(), None)));
            self.found.error(OnnxError::Cycle { nodes: stuck.iter().map(|node| node_name(node).into()).collect() });
        }
        order
    }
}

/// What is wrong with a model, as it is found.
#[derive(Default)]
struct Found {
    problems: Problems,
    /// The first one.
    first: Option<OnnxError>,
    unsupported: Vec<UnsupportedNode>,
}

impl From<OnnxError> for Found {
    fn from(error: OnnxError) -> Self {
        let mut found = Self::default();
        found.error(error);
        found
    }
}

impl Found {
    fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The value; an error is kept.
    fn note<T>(&mut self, result: Result<T, OnnxError>) -> Option<T> {
        result.map_err(|error| self.error(error)).ok()
    }

    /// The value; an error is kept, as one about the node.
    fn note_at<T>(&mut self, node: &NodeProto, result: Result<T, OnnxError>) -> Option<T> {
        result.map_err(|error| self.add(error, Some((node_name(node), &operator_name(node))))).ok()
    }

    fn error(&mut self, error: OnnxError) {
        self.add(error, None);
    }

    fn add(&mut self, error: OnnxError, node: Option<(&str, &str)>) {
        self.problems.extend(error.problems_at(node).listed);
        self.first.get_or_insert(error);
    }

    fn unsupported(&mut self, node: &NodeProto) {
        let node = UnsupportedNode { node: node_name(node).into(), operator: operator_name(node) };
        self.problems.push(node.clone().into());
        self.unsupported.push(node);
    }

    /// A single error as it is; several kinds together as a list.
    fn into_error(self) -> OnnxError {
        let Self { problems, first, unsupported } = self;
        let supported = if unsupported.is_empty() { vec![] } else { supported_operators() };
        match first {
            None => OnnxError::UnsupportedOperators { nodes: unsupported, supported },
            Some(error) if problems.count == 1 => error,
            Some(_) => OnnxError::Several { problems, supported },
        }
    }
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

/// The operator of a node, with its domain if that is not ONNX's own.
fn operator_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
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
