//! A model under construction: its values with their shapes, types and reach, and what every family of layers needs.

use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto, TensorProto, tensor_proto::DataType};

use crate::common::Draw;
use crate::common::onnx::{Attr, declare, floats, graph_of, ints, model, node};

/// No tensor has more elements.
const MAX_LEN: usize = 24;

/// A value of the model.
#[derive(Clone, Debug)]
pub struct Value {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: DataType,
    /// What its elements stay within, roughly.
    pub lo: f64,
    pub hi: f64,
}

impl Value {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    pub fn reach(&self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    pub fn is_float(&self) -> bool {
        self.kind == DataType::Float
    }

    pub fn is_integer(&self) -> bool {
        !self.is_float() && self.kind != DataType::Bool
    }

    /// The sizes but that of one axis, which becomes `size`.
    pub fn with_axis(&self, axis: usize, size: usize) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape[axis] = size;
        shape
    }
}

/// A finished model.
pub struct Drawn {
    pub model: ModelProto,
    /// Features: least, greatest, whether it is an integer.
    pub features: Vec<(f64, f64, bool)>,
    /// Shapes of the outputs.
    pub shapes: Vec<Vec<usize>>,
    /// Names of the operators, in order.
    pub operators: Vec<String>,
    /// What the other implementation is known to do otherwise.
    pub incomparable: Option<&'static str>,
}

impl Drawn {
    /// Its nodes and constants, one a line.
    pub fn text(&self) -> String {
        let graph = self.model.graph.as_ref().unwrap();
        let mut text = String::new();
        for tensor in &graph.initializer {
            let floats = tensor.float_data.iter().map(|v| v.to_string());
            let integers = tensor.int64_data.iter().map(|v| v.to_string());
            let others =
                tensor.int32_data.iter().map(|v| v.to_string()).chain(tensor.uint64_data.iter().map(|v| v.to_string()));
            let values: Vec<String> = floats.chain(integers).chain(others).collect();
            text += &format!("  {} {:?} = {}\n", tensor.name, tensor.dims, values.join(" "));
        }
        for node in &graph.node {
            text += &format!("  {} = {}({})", node.output.join(", "), node.op_type, node.input.join(", "));
            for a in &node.attribute {
                let (s, t) =
                    (String::from_utf8_lossy(&a.s), a.t.as_ref().map(|t| (&t.dims, &t.float_data, &t.int64_data)));
                let (i, f) = (a.i, a.f);
                text += &format!(" {}: {s}{t:?} {i} {f} {:?} {:?}", a.name, a.ints, a.floats)
                    .replace("None", "")
                    .replace("[]", "");
            }
            text += "\n";
        }
        for value in graph.input.iter().chain(&graph.output) {
            text += &format!("  {} ", value.name);
        }
        text
    }
}

pub struct Sketch {
    pub draw: Draw,
    pub opset: i64,
    pub values: Vec<Value>,
    inputs: Vec<Value>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: usize,
    pub incomparable: Option<&'static str>,
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&d| d as i64).collect()
}

impl Sketch {
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let opset = [13, 13, 18, 20][draw.index(4)];
        let (values, inputs, nodes, initializers) = (vec![], vec![], vec![], vec![]);
        let mut sketch = Self { draw, opset, values, inputs, nodes, initializers, names: 0, incomparable: None };
        for _ in 0..[1, 1, 1, 2, 3][sketch.draw.index(5)] {
            sketch.input();
        }
        sketch
    }

    /// One of a few.
    pub fn any<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.draw.index(of.len())].clone()
    }

    /// A number of `[lo, hi]`, on a coarse grid or a fine one.
    pub fn number(&mut self, lo: f64, hi: f64) -> f64 {
        let steps = if self.draw.once_in(4) { 8 } else { 1 << 20 };
        lo + (hi - lo) * self.draw.integer(0, steps) as f64 / steps as f64
    }

    pub fn fresh(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn input(&mut self) {
        let rank = self.draw.index(4).max(1);
        let shape: Vec<usize> = (0..rank).map(|_| 1 + self.draw.index(3)).collect();
        let kind = self.any(&[
            DataType::Float,
            DataType::Float,
            DataType::Float,
            DataType::Float,
            DataType::Float,
            DataType::Int64,
            DataType::Int32,
            DataType::Bool,
        ]);
        let (lo, hi) = match kind {
            DataType::Bool => (0.0, 1.0),
            DataType::Float => self.any(&[(-1.0, 1.0), (-2.0, 3.0), (0.0, 1.0), (0.5, 2.0), (-3.0, -1.0)]),
            _ => self.any(&[(-8.0, 8.0), (0.0, 9.0), (1.0, 20.0)]),
        };
        let value = Value { name: format!("x{}", self.inputs.len()), shape, kind, lo, hi };
        self.inputs.push(value.clone());
        self.values.push(value);
    }

    // constants

    pub fn weights(&mut self, shape: &[usize], lo: f64, hi: f64) -> String {
        let data: Vec<f32> = (0..shape.iter().product()).map(|_| self.number(lo, hi) as f32).collect();
        self.floats(shape, &data)
    }

    pub fn floats(&mut self, shape: &[usize], data: &[f32]) -> String {
        let name = self.fresh();
        let tensor = floats(&name, &dims(shape), data);
        self.constant(tensor)
    }

    pub fn scalar(&mut self, value: f64) -> String {
        self.floats(&[], &[value as f32])
    }

    pub fn ints(&mut self, shape: &[usize], data: &[i64]) -> String {
        let name = self.fresh();
        self.constant(ints(&name, &dims(shape), data))
    }

    /// A list of integers.
    pub fn list(&mut self, data: &[i64]) -> String {
        self.ints(&[data.len()], data)
    }

    pub fn integers(&mut self, kind: DataType, shape: &[usize], data: &[i64]) -> String {
        if kind == DataType::Int64 {
            return self.ints(shape, data);
        }
        let int32_data = data.iter().map(|&v| v as i32).collect();
        let name = self.fresh();
        let tensor = TensorProto { name, dims: dims(shape), data_type: kind as i32, int32_data, ..Default::default() };
        self.constant(tensor)
    }

    /// One of 32 bits without a sign.
    pub fn unsigned(&mut self, value: u64) -> String {
        let (name, data_type) = (self.fresh(), DataType::Uint32 as i32);
        self.constant(TensorProto { name, data_type, uint64_data: vec![value], ..Default::default() })
    }

    pub fn booleans(&mut self, shape: &[usize], data: &[bool]) -> String {
        let data: Vec<i64> = data.iter().map(|&b| b.into()).collect();
        self.integers(DataType::Bool, shape, &data)
    }

    /// An initializer, or the result of a node.
    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        if self.draw.once_in(6) {
            let tensor = TensorProto { name: String::new(), ..tensor };
            self.nodes.push(node("Constant", &[], &name, vec![("value", Attr::Tensor(&tensor))]));
        } else {
            self.initializers.push(tensor);
        }
        name
    }

    // nodes

    /// A node of one output, which is returned and may be read by others.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attr)>,
        shape: Vec<usize>,
        kind: DataType,
        (lo, hi): (f64, f64),
    ) -> Value {
        let name = self.fresh();
        self.nodes.push(node(op, inputs, &name, attributes));
        let value = Value { name, shape, kind, lo, hi };
        self.values.push(value.clone());
        value
    }

    /// A node of one float result.
    pub fn float(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attr)>,
        shape: Vec<usize>,
        range: (f64, f64),
    ) -> Value {
        self.node(op, inputs, attributes, shape, DataType::Float, range)
    }

    /// Changes the node that was made last.
    pub fn last_node(&mut self) -> &mut NodeProto {
        self.nodes.last_mut().unwrap()
    }

    /// Makes a value known that a node of several outputs gives.
    pub fn also(&mut self, name: String, shape: Vec<usize>, kind: DataType, (lo, hi): (f64, f64)) {
        self.values.push(Value { name, shape, kind, lo, hi });
    }

    // operands

    /// Any value, rather a late one.
    pub fn value(&mut self) -> Value {
        let late = self.values.len().saturating_sub(2);
        let from = if self.draw.once_in(3) { 0 } else { late };
        self.values[from + self.draw.index(self.values.len() - from)].clone()
    }

    /// A float value: one that is, rather a late one, or a cast.
    pub fn operand(&mut self) -> Value {
        for _ in 0..3 {
            let value = self.value();
            if value.is_float() {
                return value;
            }
        }
        let value = self.value();
        self.as_float(&value)
    }

    pub fn as_float(&mut self, value: &Value) -> Value {
        if value.is_float() {
            return value.clone();
        }
        let to = vec![("to", Attr::Int(DataType::Float as i64))];
        self.float("Cast", &[&value.name], to, value.shape.clone(), (value.lo, value.hi))
    }

    /// An integer value: one that there is, or a rounded one.
    pub fn integer(&mut self) -> Value {
        let integers: Vec<Value> = self.values.iter().filter(|v| v.is_integer()).cloned().collect();
        if !integers.is_empty() && !self.draw.once_in(4) {
            return self.any(&integers);
        }
        let x = self.operand();
        let x = self.within(&x, 8.0);
        let op = self.any(&["Floor", "Round", "Ceil"]);
        let whole = self.float(op, &[&x.name], vec![], x.shape.clone(), (x.lo.floor(), x.hi.ceil()));
        let kind = self.any(&[DataType::Int64, DataType::Int32]);
        let to = vec![("to", Attr::Int(kind as i64))];
        self.node("Cast", &[&whole.name], to, x.shape, kind, (whole.lo, whole.hi))
    }

    /// A boolean value: one that there is, or a comparison.
    pub fn boolean(&mut self) -> Value {
        let booleans: Vec<Value> = self.values.iter().filter(|v| v.kind == DataType::Bool).cloned().collect();
        if !booleans.is_empty() && !self.draw.once_in(3) {
            return self.any(&booleans);
        }
        let x = self.operand();
        let t = self.number(x.lo, x.hi);
        let threshold = self.scalar(t);
        let op = self.any(&["Greater", "Less", "GreaterOrEqual", "LessOrEqual"]);
        self.node(op, &[&x.name, &threshold], vec![], x.shape, DataType::Bool, (0.0, 1.0))
    }

    /// The value, made smaller until its elements do not exceed `reach` in magnitude.
    pub fn within(&mut self, x: &Value, reach: f64) -> Value {
        if x.reach() <= reach {
            return x.clone();
        }
        match self.draw.index(3) {
            0 if reach >= 1.0 => self.float("Tanh", &[&x.name], vec![], x.shape.clone(), (-1.0, 1.0)),
            1 => {
                let (low, high) = (self.scalar(-reach), self.scalar(reach));
                let range = (x.lo.clamp(-reach, reach), x.hi.clamp(-reach, reach));
                self.float("Clip", &[&x.name, &low, &high], vec![], x.shape.clone(), range)
            }
            _ => {
                let factor = reach / x.reach();
                let scale = self.scalar(factor);
                let range = (x.lo * factor, x.hi * factor);
                self.float("Mul", &[&x.name, &scale], vec![], x.shape.clone(), range)
            }
        }
    }

    /// The value, with elements of at least `least`.
    pub fn above(&mut self, x: &Value, least: f64) -> Value {
        if x.lo >= least {
            return x.clone();
        }
        let (x, range) = match self.draw.index(3) {
            0 => {
                let range = (0.0, x.reach());
                (self.float("Abs", &[&x.name], vec![], x.shape.clone(), range), range)
            }
            1 => {
                let x = self.within(x, 2.0);
                let range = (x.lo.exp(), x.hi.exp());
                (self.float("Exp", &[&x.name], vec![], x.shape, range), range)
            }
            _ => (x.clone(), (x.lo, x.hi)),
        };
        if range.0 >= least {
            return x;
        }
        let by = least - range.0;
        let shift = self.scalar(by);
        self.float("Add", &[&x.name, &shift], vec![], x.shape.clone(), (least, range.1 + by))
    }

    /// The value in another shape of that many axes.
    pub fn of_rank(&mut self, x: &Value, rank: usize) -> Value {
        if x.rank() == rank {
            return x.clone();
        }
        let shape = self.factors(x.len(), rank);
        self.shaped(x, shape)
    }

    pub fn shaped(&mut self, x: &Value, shape: Vec<usize>) -> Value {
        if x.shape == shape {
            return x.clone();
        }
        let target = self.list(&dims(&shape));
        self.node("Reshape", &[&x.name, &target], vec![], shape, x.kind, (x.lo, x.hi))
    }

    /// Sizes of that many axes with the given product.
    pub fn factors(&mut self, len: usize, rank: usize) -> Vec<usize> {
        let (mut shape, mut rest) = (vec![1; rank], len);
        for prime in 2..=len {
            while rest % prime == 0 {
                rest /= prime;
                if rank > 0 {
                    shape[self.draw.index(rank)] *= prime;
                }
            }
        }
        shape
    }

    /// An axis of the value, which has one, as it is or counted from the end.
    pub fn axis(&mut self, x: &Value) -> (usize, i64) {
        let axis = self.draw.index(x.rank());
        (axis, self.signed(axis, x.rank()))
    }

    pub fn signed(&mut self, axis: usize, rank: usize) -> i64 {
        axis as i64 - if self.draw.once_in(3) { rank as i64 } else { 0 }
    }

    /// A shape that broadcasts to that one.
    pub fn narrower(&mut self, shape: &[usize]) -> Vec<usize> {
        let from = self.draw.index(shape.len() + 1);
        shape[from..].iter().map(|&d| if self.draw.once_in(3) { 1 } else { d }).collect()
    }

    /// A float value or constant of at most that reach which broadcasts to the shape.
    pub fn beside(&mut self, shape: &[usize], reach: f64) -> Value {
        let fits = |v: &&Value| {
            let tail = shape.iter().rev().zip(v.shape.iter().rev());
            v.is_float() && v.rank() <= shape.len() && tail.into_iter().all(|(&d, &own)| own == d || own == 1)
        };
        let fitting: Vec<Value> = self.values.iter().filter(fits).cloned().collect();
        if !fitting.is_empty() && !self.draw.once_in(3) {
            let x = self.any(&fitting);
            return self.within(&x, reach);
        }
        let (shape, reach) = (self.narrower(shape), reach.min(2.0));
        let name = self.weights(&shape, -reach, reach);
        Value { name, shape, kind: DataType::Float, lo: -reach, hi: reach }
    }

    /// The model. What nobody reads is an output, with something else now and then.
    pub fn finish(mut self) -> Drawn {
        let computed: Vec<Value> = self.values[self.inputs.len()..].to_vec();
        let read = |v: &Value| self.nodes.iter().any(|n| n.input.contains(&v.name));
        let mut outputs: Vec<Value> = computed.iter().filter(|v| !read(v)).cloned().collect();
        while outputs.len() > 3 {
            let other = self.draw.index(outputs.len() - 1);
            outputs.remove(other);
        }
        if self.draw.once_in(5) {
            let more = self.any(&self.values.clone());
            let known = outputs.iter().any(|o| o.name == more.name) || self.inputs.iter().any(|i| i.name == more.name);
            outputs.extend((!known).then_some(more));
        }
        let operators = self.nodes.iter().filter(|n| n.op_type != "Constant").map(|n| n.op_type.clone()).collect();
        let mut model = model(&[], "", self.initializers, self.nodes);
        let graph = graph_of(&mut model);
        graph.input = self.inputs.iter().map(|i| declare(&i.name, &dims(&i.shape), i.kind)).collect();
        graph.output = outputs.iter().map(|o| declare(&o.name, &dims(&o.shape), o.kind)).collect();
        model.opset_import[0].version = self.opset;
        if graph_of(&mut model).node.iter().any(|n| n.domain == "ai.onnx.ml") {
            model.opset_import.push(OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 });
        }
        let integer = |v: &Value| !v.is_float();
        let features =
            self.inputs.iter().flat_map(|i| std::iter::repeat_n((i.lo, i.hi, integer(i)), i.len())).collect();
        let shapes = outputs.into_iter().map(|o| o.shape).collect();
        Drawn { model, features, shapes, operators, incomparable: self.incomparable }
    }

    /// Whether a tensor of that shape is small enough.
    pub fn small(shape: &[usize]) -> bool {
        shape.iter().product::<usize>() <= MAX_LEN
    }

    /// Nodes so far, without constants.
    pub fn size(&self) -> usize {
        self.nodes.iter().filter(|n| n.op_type != "Constant").count()
    }
}
