//! Graphs, and graphs within graphs: a name stands for a value of its graph or else of one around it.
//!
//! The walk goes on past what is wrong. Values that a problem leaves unknown have names nevertheless, and what reads them is
//! passed over: it is no problem of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto, type_proto};

use super::attributes;
use super::error::OnnxError;
use super::found::{Found, operator_name};
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
    /// `None` for those that are not known.
    values: BTreeMap<&'a str, Option<Value>>,
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

    pub fn define(&mut self, name: &'a str, value: Option<Value>) {
        self.values.insert(name, value);
    }

    fn find(&self, name: &str) -> Option<&Option<Value>> {
        self.values.get(name).or_else(|| self.outer?.find(name))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.find(name)?.as_ref()
    }

    /// The ONNX element type that the model declares for a name.
    pub fn element_type(&self, name: &str) -> Option<i32> {
        self.types.get(name).copied().or_else(|| self.outer?.element_type(name))
    }
}

/// A graph that has been checked: every value is defined once and before it is read.
pub(super) struct Block<'a> {
    graph: &'a GraphProto,
    /// By name: what initializers hold, and nothing for names that no value can have.
    constants: BTreeMap<&'a str, Option<Value>>,
    types: Rc<BTreeMap<&'a str, i32>>,
    order: Vec<&'a NodeProto>,
}

impl<'a> Block<'a> {
    /// A graph whose nodes see what is in `scope` besides its own values; `None` if it cannot be walked.
    pub fn new(graph: &'a GraphProto, scope: &Scope, found: &mut Found) -> Option<Self> {
        if found.note(refuse_duplicates(graph, scope)).is_none() {
            unsupported(graph, scope.registry, found);
            return None;
        }
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |v| &v.name);
            found.error(malformed(&format!("initializer \"{name}\""), "sparse tensors are not supported"));
        }
        let mut constants = BTreeMap::new();
        for tensor in graph.initializer.iter().filter(|t| !is_unread_text(t, graph)) {
            let constant = found.note(Constant::decode(&tensor.name, tensor));
            constants.insert(tensor.name.as_str(), constant.map(|constant| Value::Constant(Rc::new(constant))));
        }
        let declared = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
        let mut types: BTreeMap<&str, i32> =
            declared.filter_map(|info| Some((info.name.as_str(), declared_type(info)?))).collect();
        types.extend(graph.initializer.iter().map(|t| (t.name.as_str(), t.data_type)));
        let inputs: BTreeSet<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
        let given = |name: &str| constants.contains_key(name) || inputs.contains(name) || scope.find(name).is_some();
        let (order, unknown) = topological_order(graph, given, found);
        constants.extend(unknown.into_iter().map(|name| (name, None)));
        Some(Self { graph, constants, types: Rc::new(types), order })
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
        let mut found = Found::default();
        let block = Self::new(graph, node.scope, &mut found);
        found.or(block)
    }

    /// The inputs to which no initializer gives a default.
    pub fn inputs(&self) -> impl Iterator<Item = &'a ValueInfoProto> + use<'a, '_> {
        self.graph.input.iter().filter(|i| !self.constants.contains_key(i.name.as_str()))
    }

    /// The outputs, by the values of the inputs in `scope`; `None` for those that are not known.
    pub fn lower<'s>(&self, lowering: &mut Lowering, mut scope: Scope<'s>, found: &mut Found) -> Vec<Option<Value>>
    where
        'a: 's,
    {
        scope.types = Rc::clone(&self.types);
        for (&name, value) in &self.constants {
            scope.values.entry(name).or_insert_with(|| value.clone());
        }
        for &proto in &self.order {
            let known = reads(proto).into_iter().all(|name| !matches!(scope.find(name), Some(None)));
            let results = match scope.registry.get(&operator_name(proto)) {
                None => {
                    found.unsupported(proto);
                    None
                }
                Some(lower) if known => {
                    let inputs = proto.input.iter().map(|name| scope.get(name).cloned()).collect();
                    let node = Node::new(proto, scope.opset, inputs, &scope);
                    let results = found.note_at(proto, lower(lowering, &node));
                    if results.is_some() {
                        attributes::refused(&node).into_iter().for_each(|error| found.error(error));
                    }
                    results
                }
                Some(_) => {
                    graphs(proto).for_each(|graph| unsupported(graph, scope.registry, found));
                    None
                }
            };
            let outputs = proto.output.iter().filter(|name| !name.is_empty());
            match results {
                None => outputs.for_each(|name| scope.define(name, None)),
                Some(results) => {
                    let values = proto.output.iter().zip(results).filter(|(name, _)| !name.is_empty());
                    values.for_each(|(name, value)| scope.define(name, Some(value)));
                }
            }
        }
        let mut result = |output: &ValueInfoProto| match scope.find(&output.name) {
            Some(value) => value.clone(),
            None => {
                let (consumer, tensor) = ("the list of outputs".into(), output.name.clone());
                found.error(OnnxError::Undefined { consumer, tensor });
                None
            }
        };
        self.graph.output.iter().map(&mut result).collect()
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
            scope.define(&input.name, Some(value));
        }
        let mut found = Found::default();
        let results = self.lower(lowering, scope, &mut found).into_iter().collect();
        found.or(results)
    }
}

fn declared_type(info: &ValueInfoProto) -> Option<i32> {
    info.r#type.as_ref()?.value.as_ref().map(|type_proto::Value::TensorType(tensor)| tensor.elem_type)
}

/// Whether `tensor` holds strings that no node reads, such as class names beside the graph.
fn is_unread_text(tensor: &TensorProto, graph: &GraphProto) -> bool {
    tensor.data_type == tensor_proto::DataType::String as i32
        && !graph.node.iter().any(|node| node.input.contains(&tensor.name))
}

fn graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Notes the nodes that have no lowering, but for those in a branch, which may never be taken.
pub(super) fn unsupported(graph: &GraphProto, registry: &Registry, found: &mut Found) {
    for node in &graph.node {
        let operator = operator_name(node);
        if registry.get(&operator).is_none() {
            found.unsupported(node);
        } else if operator != "If" {
            graphs(node).for_each(|graph| unsupported(graph, registry, found));
        }
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
    match defined.keys().find(|name| scope.find(name).is_some()) {
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

/// The nodes in an order in which each comes after those it reads, in that of the file where it can be; and names without a
/// value: those that nothing defines, and those that nodes on a cycle, or what depends on it, define.
fn topological_order<'a>(
    graph: &'a GraphProto,
    given: impl Fn(&str) -> bool,
    found: &mut Found,
) -> (Vec<&'a NodeProto>, BTreeSet<&'a str>) {
    let mut producer = BTreeMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        producer.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), i)));
    }
    let mut waiting_for = vec![0usize; graph.node.len()];
    let mut consumers = vec![vec![]; graph.node.len()];
    let mut unknown = BTreeSet::new();
    for (i, node) in graph.node.iter().enumerate() {
        for name in reads(node) {
            if let Some(&from) = producer.get(name) {
                waiting_for[i] += 1;
                consumers[from].push(i);
            } else if !given(name) && unknown.insert(name) {
                let consumer = format!("node \"{}\" ({})", node_name(node), node.op_type);
                found.error(OnnxError::Undefined { consumer, tensor: name.into() });
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
        let stuck = || graph.node.iter().zip(&waiting_for).filter(|(_, waiting)| **waiting > 0).map(|(node, _)| node);
        found.error(OnnxError::Cycle { nodes: stuck().map(|node| node_name(node).to_string()).collect() });
        unknown.extend(stuck().flat_map(|node| &node.output).map(String::as_str));
    }
    (order, unknown)
}
