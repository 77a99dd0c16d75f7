//! Functions that a model brings along: every call is written out, so that the importer meets operators alone.
//!
//! Values and nodes of a body get the name of the call in front of their own. A body sees nothing of the graph around the
//! call but its arguments, so that a name in it means one of its own values, in the graphs within its nodes, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use prost::Message;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};

use super::error::OnnxError;
use super::found::operator_name;
use super::lower::{MAX_TOTAL, node_name};
use super::malformed;
use super::ops::Registry;

/// The most calls that may lie in one another.
const MAX_DEPTH: usize = 32;

/// The fields of a model's functions that [`FunctionProto`] lacks, in the order of the functions.
#[derive(Clone, PartialEq, Message)]
struct Supplements {
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Supplement>,
}

#[derive(Clone, PartialEq, Message)]
struct Supplement {
    /// The attributes that have defaults.
    #[prost(message, repeated, tag = "11")]
    attribute_proto: Vec<AttributeProto>,
}

struct Function {
    proto: FunctionProto,
    defaults: Vec<AttributeProto>,
    /// Whether another function has the same name.
    ambiguous: bool,
}

/// Writes out all calls of the functions of `model`, which was decoded from `bytes`.
pub(super) fn inline(model: &mut ModelProto, bytes: &[u8]) -> Result<(), OnnxError> {
    let protos = std::mem::take(&mut model.functions);
    let Some(graph) = model.graph.as_mut().filter(|_| !protos.is_empty()) else { return Ok(()) };
    let supplements = Supplements::decode(bytes).map_err(|e| malformed("the list of functions", &e.to_string()))?;
    let mut defaults = supplements.functions.into_iter().map(|function| function.attribute_proto);
    let mut functions: BTreeMap<String, Function> = BTreeMap::new();
    for proto in protos {
        let defaults = defaults.next().unwrap_or_default();
        let key = operator(proto.domain(), proto.name());
        let ambiguous = functions.contains_key(&key);
        functions.insert(key, Function { proto, defaults, ambiguous });
    }
    let mut inliner = Inliner {
        functions: &functions,
        registry: Registry::new(),
        imports: &mut model.opset_import,
        names: BTreeSet::new(),
        calls: BTreeMap::new(),
        stack: vec![],
        spent: 0,
    };
    inliner.note_names(graph);
    inliner.graph(graph)
}

/// An operator's name as [`operator_name`] gives it for a node.
fn operator(domain: &str, name: &str) -> String {
    operator_name(&NodeProto { domain: domain.into(), op_type: name.into(), ..Default::default() })
}

fn is_own(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

struct Inliner<'a> {
    functions: &'a BTreeMap<String, Function>,
    registry: Registry,
    /// Those of the model.
    imports: &'a mut Vec<OperatorSetIdProto>,
    /// Of all values so far, so that the names of written out ones are new.
    names: BTreeSet<String>,
    /// How many calls have been written out, by name.
    calls: BTreeMap<String, u64>,
    /// The functions around the node at hand.
    stack: Vec<String>,
    /// Bytes of the bodies written out so far, which calls in one another could multiply.
    spent: u64,
}

impl Inliner<'_> {
    fn note_names(&mut self, graph: &GraphProto) {
        self.names.extend(graph.input.iter().chain(&graph.output).map(|v| v.name.clone()));
        self.names.extend(graph.initializer.iter().map(|t| t.name.clone()));
        graph.node.iter().for_each(|node| self.note_names_of(node));
    }

    fn note_names_of(&mut self, node: &NodeProto) {
        self.names.extend(node.input.iter().chain(&node.output).cloned());
        graphs(node).for_each(|graph| self.note_names(graph));
    }

    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), OnnxError> {
        let nodes = std::mem::take(&mut graph.node);
        graph.node = self.nodes(nodes)?;
        Ok(())
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, OnnxError> {
        let mut result = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            let key = operator_name(&node);
            if let Some(function) = self.functions.get(&key) {
                let body = self.body(&node, &key, function)?;
                self.stack.push(key);
                result.extend(self.nodes(body)?);
                self.stack.pop();
                continue;
            }
            for attribute in &mut node.attribute {
                attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|graph| self.graph(graph))?;
            }
            result.push(node);
        }
        Ok(result)
    }

    /// The nodes of `function` for the call `node`, calls among them.
    fn body(&mut self, node: &NodeProto, key: &str, function: &Function) -> Result<Vec<NodeProto>, OnnxError> {
        let what = format!("node \"{}\" ({key})", node_name(node));
        self.check(&what, key, function)?;
        let (proto, given) = (&function.proto, &node.attribute);
        for (what_is, given, declared) in
            [("inputs", &node.input, &proto.input), ("outputs", &node.output, &proto.output)]
        {
            if given.len() > declared.len() {
                let reason = format!("it has {} {what_is}, the function {}", given.len(), declared.len());
                return Err(malformed(&what, &reason));
            }
        }
        let declared = |a: &&AttributeProto| {
            !proto.attribute.contains(&a.name) && function.defaults.iter().all(|default| default.name != a.name)
        };
        if let Some(unknown) = given.iter().find(declared) {
            let (node, op, attribute) = (node_name(node).into(), key.into(), unknown.name.clone());
            return Err(OnnxError::UnknownAttribute { node, op, attribute });
        }

        let prefix = self.prefix(node_name(node));
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for (i, name) in proto.input.iter().enumerate() {
            values.insert(name, node.input.get(i).cloned().unwrap_or_default());
        }
        let mut extra = vec![];
        for (i, name) in proto.output.iter().enumerate() {
            let Some(target) = node.output.get(i).filter(|target| !target.is_empty()) else { continue };
            // an argument that is passed on, or a result that is given twice, has a name already
            match values.get(name.as_str()) {
                Some(source) => extra.push((source.clone(), target.clone())),
                None => drop(values.insert(name, target.clone())),
            }
        }
        let body = Body { prefix, values, given, defaults: &function.defaults };
        self.charge(&what, &body, &proto.node)?;
        let mut nodes: Vec<NodeProto> = proto.node.iter().map(|node| body.node(node)).collect();
        nodes.extend(extra.into_iter().enumerate().map(|(i, (source, target))| NodeProto {
            op_type: "Identity".into(),
            name: format!("{}result_{i}", body.prefix),
            input: vec![source],
            output: vec![target],
            ..Default::default()
        }));
        nodes.iter().for_each(|node| self.note_names_of(node));
        Ok(nodes)
    }

    /// Refuses calls without end and what readers understand differently.
    fn check(&mut self, what: &str, key: &str, function: &Function) -> Result<(), OnnxError> {
        if self.stack.iter().any(|around| around == key) {
            return Err(malformed(what, "the function calls itself"));
        }
        if self.stack.len() == MAX_DEPTH {
            return Err(malformed(what, &format!("it lies in more than {MAX_DEPTH} other calls")));
        }
        if function.ambiguous {
            return Err(malformed(what, "the model has two functions of this name"));
        }
        let standard = is_own(function.proto.domain()) || function.proto.domain() == "ai.onnx.ml";
        if standard && self.registry.get(key).is_some() {
            return Err(malformed(what, "the model has a function of this name, which is that of an operator of ONNX"));
        }
        for import in function.proto.opset_import.iter().filter(|import| is_own(&import.domain)) {
            match self.imports.iter().find(|other| is_own(&other.domain)) {
                None => self.imports.push(import.clone()),
                Some(other) if other.version == import.version => {}
                Some(other) => {
                    let reason = format!(
                        "the function is written in operator set {}, the model in {}; write them in one, or out with \
                         onnx.inliner",
                        import.version, other.version
                    );
                    return Err(malformed(what, &reason));
                }
            }
        }
        Ok(())
    }

    /// Accounts for the bytes of a body before it is written out.
    fn charge(&mut self, what: &str, body: &Body, nodes: &[NodeProto]) -> Result<(), OnnxError> {
        let attribute = body.given.iter().chain(body.defaults).map(|a| a.encoded_len()).max().unwrap_or(0);
        let name = body.values.values().map(String::len).fold(body.prefix.len(), usize::max);
        for node in nodes {
            let (references, names) = extent(node);
            let bytes = references.saturating_mul(attribute).saturating_add(names.saturating_mul(name));
            self.spent = self.spent.saturating_add(bytes.saturating_add(node.encoded_len()) as u64);
        }
        match self.spent > MAX_TOTAL {
            false => Ok(()),
            true => Err(OnnxError::TooLarge {
                what: format!("writing out the model's functions, up to {what},"),
                elements: self.spent.to_string(),
                limit: MAX_TOTAL,
            }),
        }
    }

    /// What begins no name so far.
    fn prefix(&mut self, call: &str) -> String {
        let count = self.calls.entry(call.into()).or_default();
        loop {
            *count += 1;
            let prefix = if *count == 1 { format!("{call}/") } else { format!("{call}_{count}/") };
            let next = self.names.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded)).next();
            if next.is_none_or(|name| !name.starts_with(&prefix)) {
                return prefix;
            }
        }
    }
}

fn graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// How many attributes by reference and how many names a node has, with the graphs within it.
fn extent(node: &NodeProto) -> (usize, usize) {
    let references = node.attribute.iter().filter(|a| !a.ref_attr_name.is_empty()).count();
    let names = 1 + node.input.len() + node.output.len();
    graphs(node).fold((references, names), |(references, names), graph| {
        let own = graph.input.len() + graph.output.len() + graph.value_info.len() + graph.initializer.len();
        let add = |(r, n): (usize, usize), (s, m): (usize, usize)| (r + s, n + m);
        graph.node.iter().map(extent).fold((references, names + own), add)
    })
}

/// What the names in a function's body stand for, in one call.
struct Body<'a> {
    prefix: String,
    /// Names of arguments and results; "" for arguments that are left out.
    values: BTreeMap<&'a str, String>,
    given: &'a [AttributeProto],
    defaults: &'a [AttributeProto],
}

impl Body<'_> {
    fn name(&self, name: &str) -> String {
        match self.values.get(name) {
            _ if name.is_empty() => String::new(),
            Some(value) => value.clone(),
            None => format!("{}{name}", self.prefix),
        }
    }

    fn node(&self, node: &NodeProto) -> NodeProto {
        let names = |names: &[String]| names.iter().map(|name| self.name(name)).collect();
        NodeProto {
            input: names(&node.input),
            output: names(&node.output),
            name: format!("{}{}", self.prefix, node_name(node)),
            attribute: node.attribute.iter().filter_map(|attribute| self.attribute(attribute)).collect(),
            ..node.clone()
        }
    }

    /// The attribute itself, or the one of the call that it refers to; `None` if that is not given and has no default.
    fn attribute(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        if !attribute.ref_attr_name.is_empty() {
            let mut values = self.given.iter().chain(self.defaults);
            let value = values.find(|value| value.name == attribute.ref_attr_name)?;
            return Some(AttributeProto { name: attribute.name.clone(), ..value.clone() });
        }
        let mut attribute = attribute.clone();
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|graph| self.graph(graph));
        Some(attribute)
    }

    fn graph(&self, graph: &mut GraphProto) {
        graph.input.iter_mut().for_each(|v| v.name = self.name(&v.name));
        graph.output.iter_mut().for_each(|v| v.name = self.name(&v.name));
        graph.value_info.iter_mut().for_each(|v| v.name = self.name(&v.name));
        graph.initializer.iter_mut().for_each(|t| t.name = self.name(&t.name));
        graph.node = graph.node.iter().map(|node| self.node(node)).collect();
    }
}

#[cfg(test)]
mod tests;
