//! Graphs, and graphs within graphs: a name stands for a value of its graph or else of one around it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto, type_proto};

use super::error::{OnnxError, UnsupportedNode};
use super::lower::{Lowering, Node, Value, node_name};
use super::malformed;
use super::ops::Registry;
use super::tensor::Constant;

/// The most graphs that may lie in one another.
const MAX_DEPTH: usize = 32;
/// What a node, and a pass through a graph within another, counts for in the budget of elements, so that loops in one
/// another end.
const STEP: usize = 64;

/// What the nodes of a graph can see.
pub(super) struct Scope<'a> {
    registry: &'a Registry,
    opset: i64,
    outer: Option<&'a Scope<'a>>,
    depth: usize,
    values: BTreeMap<&'a str, Value>,
    types: Rc<BTreeMap<&'a str, i32>>,
}

impl<'a> Scope<'a> {
    /// That of a model's own graph.
    pub fn new(registry: &'a Registry, opset: i64) -> Self {
        Self { registry, opset, outer: None, depth: 0, values: BTreeMap::new(), types: Rc::default() }
    }

    /// That of a graph within a node which sees `outer`.
    fn within(outer: &'a Scope<'a>) -> Self {
        Self { outer: Some(outer), depth: outer.depth + 1, ..Self::new(outer.registry, outer.opset) }
    }

    pub fn define(&mut self, name: &'a str, value: Value) {
        self.values.insert(name, value);
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.outer?.get(name))
    }

    /// The ONNX element type that the model declares for a name.
    pub fn element_type(&self, name: &str) -> Option<i32> {
        self.types.get(name).copied().or_else(|| self.outer?.element_type(name))
    }
}

/// A graph that has been checked: every value is defined once and before it is read.
pub(super) struct Block<'a> {
    graph: &'a GraphProto,
    constants: BTreeMap<&'a str, Value>,
    types: Rc<BTreeMap<&'a str, i32>>,
    order: Vec<&'a NodeProto>,
}

impl<'a> Block<'a> {
    /// A graph whose nodes see what is in `scope` besides its own values.
    pub fn new(graph: &'a GraphProto, scope: &Scope) -> Result<Self, OnnxError> {
        refuse_unsupported(graph, scope.registry)?;
        refuse_duplicates(graph, scope)?;
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |v| &v.name);
            return Err(malformed(&format!("initializer \"{name}\""), "sparse tensors are not supported"));
        }
        let mut constants = BTreeMap::new();
        for tensor in graph.initializer.iter().filter(|t| !is_unread_text(t, graph)) {
            let constant = Constant::decode(&tensor.name, tensor)?;
            constants.insert(tensor.name.as_str(), Value::Constant(Rc::new(constant)));
        }
        let declared = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
        let mut types: BTreeMap<&str, i32> =
            declared.filter_map(|info| Some((info.name.as_str(), declared_type(info)?))).collect();
        types.extend(graph.initializer.iter().map(|t| (t.name.as_str(), t.data_type)));
        let inputs: BTreeSet<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
        let given = |name: &str| constants.contains_key(name) || inputs.contains(name) || scope.get(name).is_some();
        let order = topological_order(graph, given)?;
        Ok(Self { graph, constants, types: Rc::new(types), order })
    }

    /// A graph within a node, which may be lowered many times.
    pub fn within(lowering: &mut Lowering, node: &Node<'a>, graph: &'a GraphProto) -> Result<Self, OnnxError> {
        if node.scope.depth == MAX_DEPTH {
            return Err(node.unsupported("its graph", &format!("it lies in more than {MAX_DEPTH} others")));
        }
        lowering.charge(node.name, [graph.node.len() + 1, STEP])?;
        for tensor in &graph.initializer {
            lowering.charge(&tensor.name, tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)))?;
        }
        Self::new(graph, node.scope)
    }

    /// The inputs to which no initializer gives a default.
    pub fn inputs(&self) -> impl Iterator<Item = &'a ValueInfoProto> + use<'a, '_> {
        self.graph.input.iter().filter(|i| !self.constants.contains_key(i.name.as_str()))
    }

    /// The outputs, by the values of the inputs in `scope`.
    pub fn lower<'s>(&self, lowering: &mut Lowering, mut scope: Scope<'s>) -> Result<Vec<Value>, OnnxError>
    where
        'a: 's,
    {
        scope.types = Rc::clone(&self.types);
        for (&name, value) in &self.constants {
            scope.values.entry(name).or_insert_with(|| value.clone());
        }
        for &proto in &self.order {
            let inputs = proto.input.iter().map(|name| scope.get(name).cloned()).collect();
            let node = Node { proto, name: node_name(proto), opset: scope.opset, inputs, scope: &scope };
            let lower = scope.registry.get(&operator_name(proto));
            let results = match lower {
                Some(lower) => lower(lowering, &node)?,
                None => return Err(malformed(&format!("node \"{}\"", node.name), "it is unknown")),
            };
            for (name, value) in proto.output.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
                scope.define(name, value);
            }
        }
        let result = |output: &ValueInfoProto| {
            scope.get(&output.name).cloned().ok_or_else(|| OnnxError::Undefined {
                consumer: "the list of outputs".into(),
                tensor: output.name.clone(),
            })
        };
        self.graph.output.iter().map(result).collect()
    }

    /// The outputs of a graph within `node`, for as many `arguments` as it has inputs.
    pub fn call(&self, lowering: &mut Lowering, node: &Node, arguments: Vec<Value>) -> Result<Vec<Value>, OnnxError> {
        if self.graph.input.len() != arguments.len() {
            let reason = format!("it has {} inputs for {} values", self.graph.input.len(), arguments.len());
            return Err(node.unsupported("its graph", &reason));
        }
        lowering.charge(node.name, [self.order.len() + 1, STEP])?;
        let mut scope = Scope::within(node.scope);
        for (input, value) in self.graph.input.iter().zip(arguments) {
            scope.define(&input.name, value);
        }
        self.lower(lowering, scope)
    }
}

fn declared_type(info: &ValueInfoProto) -> Option<i32> {
    info.r#type.as_ref()?.value.as_ref().map(|type_proto::Value::TensorType(tensor)| tensor.elem_type)
}

/// The operator of a node, with its domain if that is not ONNX's own.
fn operator_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}

/// Whether `tensor` holds strings that no node reads, such as class names beside the graph.
fn is_unread_text(tensor: &TensorProto, graph: &GraphProto) -> bool {
    tensor.data_type == tensor_proto::DataType::String as i32
        && !graph.node.iter().any(|node| node.input.contains(&tensor.name))
}

fn graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Every node must have a lowering; all those that have none are named at once, but for those in a branch, which may
/// never be taken.
fn refuse_unsupported(graph: &GraphProto, registry: &Registry) -> Result<(), OnnxError> {
    fn collect(graph: &GraphProto, registry: &Registry, nodes: &mut Vec<UnsupportedNode>) {
        for node in &graph.node {
            let operator = operator_name(node);
            if registry.get(&operator).is_none() {
                nodes.push(UnsupportedNode { node: node_name(node).into(), operator });
            } else if operator != "If" {
                graphs(node).for_each(|graph| collect(graph, registry, nodes));
            }
        }
    }
    let mut nodes = vec![];
    collect(graph, registry, &mut nodes);
    match nodes.is_empty() {
        true => Ok(()),
        false => Err(OnnxError::UnsupportedOperators { nodes, supported: registry.names() }),
    }
}

/// Every value is defined once, in a graph and those around it; an initializer may repeat the name of an input.
fn refuse_duplicates(graph: &GraphProto, scope: &Scope) -> Result<(), OnnxError> {
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
    match defined.keys().find(|name| scope.get(name).is_some()) {
        Some(&name) => Err(OnnxError::DuplicateName { name: name.into(), what: "in a graph and around it".into() }),
        None => Ok(()),
    }
}

/// The names that a node reads: its inputs, and what the graphs within it do not define themselves.
fn reads(node: &NodeProto) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    names.extend(graphs(node).flat_map(captured));
    names
}

fn captured(graph: &GraphProto) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = graph.node.iter().flat_map(reads).collect();
    names.extend(graph.output.iter().map(|o| o.name.as_str()));
    let own = graph.input.iter().map(|i| &i.name).chain(graph.initializer.iter().map(|t| &t.name));
    for name in own.chain(graph.node.iter().flat_map(|n| &n.output)) {
        names.remove(name.as_str());
    }
    names
}

/// The nodes in an order in which each comes after those it reads; the order of the file is kept where it can be.
fn topological_order(graph: &GraphProto, given: impl Fn(&str) -> bool) -> Result<Vec<&NodeProto>, OnnxError> {
    let mut producer = BTreeMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        producer.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), i)));
    }
    let mut waiting_for = vec![0usize; graph.node.len()];
    let mut consumers = vec![vec![]; graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        for name in reads(node) {
            let Some(&from) = producer.get(name) else {
                if given(name) {
                    continue;
                }
                let consumer = format!("node \"{}\" ({})", node_name(node), node.op_type);
                return Err(OnnxError::Undefined { consumer, tensor: name.into() });
            };
            waiting_for[i] += 1;
            consumers[from].push(i);
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
        let stuck = (0..graph.node.len()).filter(|&i| waiting_for[i] > 0);
        return Err(OnnxError::Cycle { nodes: stuck.map(|i| node_name(&graph.node[i]).to_string()).collect() });
    }
    Ok(order)
}
