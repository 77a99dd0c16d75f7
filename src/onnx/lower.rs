//! The state of an import: values by name, the float graph under construction, a budget for its size.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType};

use super::OnnxError;
use super::scope::Scope;
use super::shape::{MAX_ELEMENTS, element_count};
use super::tensor::{Constant, Kind};
use crate::graph::{Affine, AffineBuilder, FloatNode, FloatOp, Graph, GraphInput, Spans};

/// The most weights and constants that an import may create in total.
pub(super) const MAX_TOTAL: u64 = 1 << 26;

/// A value of the ONNX graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    Activation(Activation),
}

/// A value that depends on the input: a shape over a flattened value of the float graph.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    /// Value id in the float graph.
    pub id: usize,
    pub shape: Vec<usize>,
    pub kind: Kind,
}

impl Value {
    pub fn shape(&self) -> &[usize] {
        match self {
            Value::Constant(c) => &c.shape,
            Value::Activation(a) => &a.shape,
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Value::Constant(c) => c.kind,
            Value::Activation(a) => a.kind,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    pub fn constant(&self) -> Option<&Constant> {
        match self {
            Value::Constant(c) => Some(c),
            Value::Activation(_) => None,
        }
    }
}

/// An ONNX node with its inputs resolved.
pub(super) struct Node<'a> {
    pub proto: &'a NodeProto,
    /// Its name, or that of its first output.
    pub name: &'a str,
    pub opset: i64,
    /// `None` where an optional input is left out.
    pub inputs: Vec<Option<Value>>,
    /// What the graphs within the node see.
    pub scope: &'a Scope<'a>,
    /// Names of the attributes that have been asked for.
    read: RefCell<BTreeSet<String>>,
}

pub(super) fn node_name(proto: &NodeProto) -> &str {
    match proto.output.first() {
        Some(output) if proto.name.is_empty() => output,
        _ => &proto.name,
    }
}

impl<'a> Node<'a> {
    /// `proto` with the values of its inputs.
    pub fn new(proto: &'a NodeProto, opset: i64, inputs: Vec<Option<Value>>, scope: &'a Scope<'a>) -> Self {
        Self { proto, name: node_name(proto), opset, inputs, scope, read: RefCell::default() }
    }

    pub fn op(&self) -> &str {
        &self.proto.op_type
    }

    pub fn input(&self, position: usize) -> Result<&Value, OnnxError> {
        let missing = || OnnxError::MissingInput { node: self.name.into(), op: self.op().into(), position };
        self.optional_input(position).ok_or_else(missing)
    }

    pub fn optional_input(&self, position: usize) -> Option<&Value> {
        self.inputs.get(position)?.as_ref()
    }

    /// The integers of a constant input such as a target shape.
    pub fn integers(&self, position: usize, what: &str) -> Result<Vec<i64>, OnnxError> {
        let value = self.input(position)?;
        let integers = value.constant().and_then(Constant::integers);
        integers.ok_or_else(|| self.unsupported(what, "it must be a constant tensor of integers"))
    }

    /// The attribute `name`, whatever its type.
    pub fn raw(&self, name: &str) -> Option<&'a AttributeProto> {
        self.read.borrow_mut().insert(name.into());
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    /// These attributes, where they are given, have no effect in the case at hand.
    pub fn ignore(&self, names: &[&str]) {
        self.read.borrow_mut().extend(names.iter().map(|name| name.to_string()));
    }

    /// Whether the lowering has asked for the attribute.
    pub fn has_read(&self, name: &str) -> bool {
        self.read.borrow().contains(name)
    }

    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, OnnxError> {
        let Some(attribute) = self.raw(name) else { return Ok(None) };
        if attribute.r#type != kind as i32 && attribute.r#type != AttributeType::Undefined as i32 {
            let reason = format!("it has another type than {}", kind.as_str_name().to_lowercase());
            return Err(self.unsupported(&format!("attribute {name}"), &reason));
        }
        Ok(Some(attribute))
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, OnnxError> {
        Ok(self.attribute(name, AttributeType::Int)?.map(|a| a.i))
    }

    /// An attribute that is a switch, off if absent.
    pub fn flag(&self, name: &str) -> Result<bool, OnnxError> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    pub fn float(&self, name: &str) -> Result<Option<f64>, OnnxError> {
        let Some(attribute) = self.attribute(name, AttributeType::Float)? else { return Ok(None) };
        if !attribute.f.is_finite() {
            let tensor = format!("attribute {name} of node {}", self.name);
            return Err(OnnxError::NonFinite { tensor, index: 0, value: attribute.f.into() });
        }
        Ok(Some(attribute.f.into()))
    }

    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, OnnxError> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, OnnxError> {
        Ok(self.attribute(name, AttributeType::Floats)?.map(|a| a.floats.as_slice()))
    }

    pub fn string(&self, name: &str) -> Result<Option<String>, OnnxError> {
        let text = |a: &AttributeProto| String::from_utf8_lossy(&a.s).into_owned();
        Ok(self.attribute(name, AttributeType::String)?.map(text))
    }

    /// A list of strings, empty if absent.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, OnnxError> {
        let attribute = self.attribute(name, AttributeType::Strings)?;
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Ok(attribute.map(|a| a.strings.iter().map(text).collect()).unwrap_or_default())
    }

    /// A graph, which must be there.
    pub fn graph(&self, name: &str) -> Result<&'a GraphProto, OnnxError> {
        let graph = self.attribute(name, AttributeType::Graph)?.and_then(|a| a.g.as_ref());
        graph.ok_or_else(|| self.unsupported(&format!("attribute {name}"), "it is missing"))
    }

    /// The ONNX element type of an input, where the model declares it.
    pub fn element_type(&self, position: usize) -> Option<i32> {
        let stored = self.optional_input(position)?.constant().and_then(|c| c.stored_as);
        stored.or_else(|| self.scope.element_type(self.proto.input.get(position)?))
    }

    pub fn tensor(&self, name: &str) -> Result<Option<&TensorProto>, OnnxError> {
        Ok(self.attribute(name, AttributeType::Tensor)?.and_then(|a| a.t.as_ref()))
    }

    pub fn unsupported(&self, attribute: &str, reason: &str) -> OnnxError {
        OnnxError::UnsupportedAttribute {
            node: self.name.into(),
            op: self.op().into(),
            attribute: attribute.into(),
            reason: reason.into(),
        }
    }

    pub fn mismatch(&self, left: &[usize], right: &[usize], reason: &str) -> OnnxError {
        OnnxError::ShapeMismatch {
            node: self.name.into(),
            op: self.op().into(),
            left: left.into(),
            right: right.into(),
            reason: reason.into(),
        }
    }
}

/// The float graph under construction.
pub(super) struct Lowering {
    /// Without outputs.
    pub graph: Graph,
    spans: Option<Spans>,
    spent: u64,
}

impl Lowering {
    pub fn new(inputs: Vec<GraphInput>) -> Self {
        Self { graph: Graph { inputs, nodes: vec![], outputs: vec![] }, spans: None, spent: 0 }
    }

    /// Accounts for `elements` weights or constants before they are made, so that a small file cannot ask for a graph
    /// of any size.
    pub fn charge(&mut self, what: &str, elements: impl IntoIterator<Item = usize>) -> Result<(), OnnxError> {
        let count = elements.into_iter().try_fold(1u64, |n, d| n.checked_mul(d as u64));
        let total = count.and_then(|n| self.spent.checked_add(n)).filter(|&n| n <= MAX_TOTAL);
        let Some(total) = total else {
            let elements = count.map_or("over 2^64".into(), |n| n.to_string());
            return Err(OnnxError::TooLarge { what: what.into(), elements, limit: MAX_TOTAL });
        };
        self.spent = total;
        Ok(())
    }

    /// Checks the shape of a value about to be made and accounts for its elements; returns their number.
    pub fn charge_shape(&mut self, node: &Node, shape: &[usize]) -> Result<usize, OnnxError> {
        let what = format!("the output of node \"{}\" ({})", node.name, node.op());
        let Some(count) = element_count(shape) else {
            return Err(OnnxError::TooLarge { what, elements: format!("{shape:?}"), limit: MAX_ELEMENTS });
        };
        self.charge(&what, [count])?;
        Ok(count)
    }

    /// The affine map `map` over the concatenated operands. Constant operands become part of the bias; if all of them
    /// are constant, so is the result, and a result without elements depends on nothing.
    ///
    /// `map` has one row per element of `shape` and as many inputs as the operands have elements.
    pub fn affine(
        &mut self,
        node: &Node,
        operands: &[&Value],
        map: Affine<f64, f64>,
        shape: Vec<usize>,
        kind: Kind,
    ) -> Result<Value, OnnxError> {
        let map = absorb_constants(operands, map);
        let activations = operands.iter().filter_map(|v| match v {
            Value::Activation(a) => Some(a.id),
            Value::Constant(_) => None,
        });
        let inputs: Vec<usize> = activations.collect();
        if inputs.is_empty() || shape.contains(&0) {
            return Ok(Value::Constant(Rc::new(Constant::new(node.name, shape, kind, map.bias)?)));
        }
        Ok(self.push(node, FloatOp::Affine(map), inputs, shape, kind))
    }

    /// Appends a node over activations.
    pub fn push(&mut self, node: &Node, op: FloatOp, inputs: Vec<usize>, shape: Vec<usize>, kind: Kind) -> Value {
        Value::Activation(Activation { id: self.append(node.name, node.op(), op, inputs), shape, kind })
    }

    /// Appends a node and returns its value id.
    pub fn append(&mut self, name: &str, onnx_op: &str, op: FloatOp, inputs: Vec<usize>) -> usize {
        self.graph.append(FloatNode { name: name.into(), onnx_op: onnx_op.into(), op, inputs })
    }

    /// The least and the greatest number that every element of `value` may be, as far as that is known without a domain.
    pub fn spans(&mut self, value: &Value) -> Vec<(f64, f64)> {
        match value {
            Value::Constant(c) => c.data.iter().map(|&v| (v, v)).collect(),
            Value::Activation(a) => {
                let spans = self.spans.get_or_insert_with(|| Spans::of_any_input(&self.graph));
                spans.extend(&self.graph);
                spans.of(a.id).to_vec()
            }
        }
    }

    /// The node that defines the value `id`; none for inputs.
    pub fn producer(&self, id: usize) -> Option<&FloatNode> {
        self.graph.nodes.get(id.checked_sub(self.graph.inputs.len())?)
    }

    /// The elements of `value` at the flat indices `columns`, with shape `shape`.
    pub fn select(
        &mut self,
        node: &Node,
        value: &Value,
        shape: Vec<usize>,
        columns: Vec<usize>,
    ) -> Result<Value, OnnxError> {
        let map = Affine::selection(value.len(), columns);
        self.affine(node, &[value], map, shape, value.kind())
    }

    /// The same elements under another shape of as many elements.
    pub fn reshape(&mut self, node: &Node, value: &Value, shape: Vec<usize>) -> Result<Value, OnnxError> {
        Ok(match value {
            Value::Constant(c) => {
                self.charge_shape(node, &shape)?;
                Value::Constant(Rc::new(Constant { shape, ..c.as_ref().clone() }))
            }
            Value::Activation(a) => Value::Activation(Activation { shape, ..a.clone() }),
        })
    }
}

fn absorb_constants(operands: &[&Value], map: Affine<f64, f64>) -> Affine<f64, f64> {
    if operands.iter().all(|v| v.constant().is_none()) {
        return map;
    }
    // Per column: its place among the activations, or the constant there.
    let mut columns = Vec::with_capacity(map.input_len);
    let mut input_len = 0;
    for operand in operands {
        match operand {
            Value::Constant(c) => columns.extend(c.data.iter().map(|&v| Err(v))),
            Value::Activation(_) => {
                columns.extend((input_len..input_len + operand.len()).map(Ok));
                input_len += operand.len();
            }
        }
    }
    let mut rows = AffineBuilder::new(input_len);
    for j in 0..map.output_len() {
        let (mut terms, mut bias) = (vec![], map.bias[j]);
        for (i, w) in map.row(j) {
            match columns[i] {
                Ok(column) => terms.push((column, w)),
                Err(value) => bias += w * value,
            }
        }
        rows.push(terms, bias);
    }
    rows.finish()
}
