//! The float graph: what an ONNX model means, in `f64`, over flattened tensors.

use serde::{Deserialize, Serialize};

use super::Function;
use crate::ops::Product;

/// A sparse affine map over the concatenation of a node's (flattened) input tensors: `y = W x + b`.
///
/// Rows are stored in compressed form: row `j` owns `columns[row_starts[j]..row_starts[j + 1]]` and the weights beside
/// them; columns are strictly increasing within a row and no weight is zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affine<W, B> {
    /// Length of the concatenated input.
    pub input_len: usize,
    pub row_starts: Vec<u32>,
    pub columns: Vec<u32>,
    pub weights: Vec<W>,
    /// One bias per output element.
    pub bias: Vec<B>,
}

impl<W: Copy, B> Affine<W, B> {
    /// Number of output elements.
    pub fn output_len(&self) -> usize {
        self.bias.len()
    }

    /// The `(column, weight)` pairs of row `j`.
    pub fn row(&self, j: usize) -> impl Iterator<Item = (usize, W)> + '_ {
        let range = self.row_starts[j] as usize..self.row_starts[j + 1] as usize;
        range.map(|i| (self.columns[i] as usize, self.weights[i]))
    }
}

/// A core float operator. Tensors are flattened in row-major order, so reshapes vanish at import.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    Affine(Affine<f64, f64>),
    /// `max(x, 0)`, of one input, as are all below that do not say otherwise.
    Relu,
    /// `x^2`
    Square,
    /// Sums of products of two inputs.
    Product(Product),
    /// A smooth function, elementwise.
    Function(Function),
    /// `a / b`, of two inputs of the same length. Over the whole domain `b` must keep one sign.
    Quotient,
    /// `sqrt(x)`
    Sqrt,
    /// The real number as an integer.
    Round(Rounding),
    /// Whether the number is in relation to zero: 1 or 0.
    Compare(Comparison),
    /// `floor(a / b)`, of two integer inputs of the same length; `b` is positive over the whole domain.
    FloorQuotient,
    /// Per integer element, `depth` zeros but for a one at that index. Over the whole domain it lies in `[0, depth)`.
    OneHot {
        depth: usize,
    },
}

/// How a real number becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    Floor,
    Ceil,
    /// To the nearest, halves to the even one.
    HalfEven,
}

impl Rounding {
    /// The integer.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Rounding::Floor => x.floor(),
            Rounding::Ceil => x.ceil(),
            Rounding::HalfEven => x.round_ties_even(),
        }
    }
}

/// A relation to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Above,
    AtLeast,
    Equal,
}

impl Comparison {
    /// 1 if the relation holds, else 0.
    pub fn apply(self, x: f64) -> f64 {
        f64::from(match self {
            Comparison::Above => x > 0.0,
            Comparison::AtLeast => x >= 0.0,
            Comparison::Equal => x == 0.0,
        })
    }
}

impl FloatOp {
    /// The operator applied to the concatenation `x` of its inputs.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let map = |f: &dyn Fn(f64) -> f64| x.iter().map(|&v| f(v)).collect();
        let zip = |f: &dyn Fn(f64, f64) -> f64| {
            let (a, b) = x.split_at(x.len() / 2);
            a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
        };
        match self {
            FloatOp::Affine(affine) => affine.apply(x),
            FloatOp::Relu => map(&|v| v.max(0.0)),
            FloatOp::Square => map(&|v| v * v),
            FloatOp::Product(product) => product.apply(x),
            FloatOp::Function(function) => map(&|v| function.apply(v)),
            FloatOp::Quotient => zip(&|a, b| a / b),
            FloatOp::Sqrt => map(&f64::sqrt),
            FloatOp::Round(rounding) => map(&|v| rounding.apply(v)),
            FloatOp::Compare(comparison) => map(&|v| comparison.apply(v)),
            FloatOp::FloorQuotient => zip(&|a, b| (a / b).floor()),
            FloatOp::OneHot { depth } => {
                x.iter().flat_map(|&v| (0..*depth).map(move |j| f64::from(v == j as f64))).collect()
            }
        }
    }
}

/// One step of the graph. It defines value `graph.inputs.len() + its index`.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNode {
    /// The ONNX node's name (or its first output's name when it has none): errors quote it.
    pub name: String,
    /// The ONNX operator it came from, for messages.
    pub onnx_op: String,
    pub op: FloatOp,
    /// Value ids: `0..inputs.len()` are the graph inputs, then one per node.
    pub inputs: Vec<usize>,
}

impl FloatNode {
    /// Number of weights.
    pub fn weight_count(&self) -> usize {
        match &self.op {
            FloatOp::Affine(map) => map.weights.len(),
            FloatOp::Product(product) => product.output_len() * product.inner,
            _ => 0,
        }
    }
}

/// An input tensor of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphInput {
    pub name: String,
    /// Shape with the batch dimension fixed to 1.
    pub shape: Vec<usize>,
    /// Whether its element type is an integer or a boolean.
    pub integer: bool,
    /// The least and the greatest number of its element type, where that is an integer or a boolean.
    pub limits: Option<(f64, f64)>,
}

impl GraphInput {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element. The importer refuses such inputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A model in `f64`: inputs, then nodes in topological order, then the values that are its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    pub inputs: Vec<GraphInput>,
    pub nodes: Vec<FloatNode>,
    /// `(output name, value id, shape)`.
    pub outputs: Vec<(String, usize, Vec<usize>)>,
}

impl Graph {
    /// Number of elements of all inputs together.
    pub fn input_len(&self) -> usize {
        self.inputs.iter().map(GraphInput::len).sum()
    }

    /// Number of elements of value `id`, which must be a value of the graph.
    pub fn value_len(&self, id: usize) -> usize {
        let (mut id, mut factor) = (id, 1);
        while let Some(node) = id.checked_sub(self.inputs.len()) {
            match &self.nodes[node].op {
                FloatOp::Affine(map) => return factor * map.output_len(),
                FloatOp::Product(product) => return factor * product.output_len(),
                FloatOp::OneHot { depth } => factor *= depth,
                _ => {}
            }
            id = self.nodes[node].inputs[0];
        }
        factor * self.inputs[id].len()
    }

    /// Appends a node and returns its value's id.
    pub(crate) fn append(&mut self, node: FloatNode) -> usize {
        self.nodes.push(node);
        self.inputs.len() + self.nodes.len() - 1
    }

    /// Builds the graph anew. `rewrite` is given the new graph so far, the index of a node and the node, which reads values of the new
    /// graph; it appends what takes its place and returns that value's id.
    pub(super) fn rewrite(&mut self, mut rewrite: impl FnMut(&mut Self, usize, FloatNode) -> usize) {
        let nodes = std::mem::take(&mut self.nodes);
        let mut moved: Vec<usize> = (0..self.inputs.len()).collect();
        for (i, mut node) in nodes.into_iter().enumerate() {
            node.inputs.iter_mut().for_each(|id| *id = moved[*id]);
            let id = rewrite(self, i, node);
            moved.push(id);
        }
        self.outputs.iter_mut().for_each(|(_, id, _)| *id = moved[*id]);
    }

    /// All values of one run, by value id. `inputs` holds the elements of all inputs, concatenated.
    pub fn trace(&self, inputs: &[f64]) -> Vec<Vec<f64>> {
        let mut values = Vec::with_capacity(self.inputs.len() + self.nodes.len());
        let mut rest = inputs;
        for input in &self.inputs {
            let (head, tail) = rest.split_at(input.len());
            values.push(head.to_vec());
            rest = tail;
        }
        for node in &self.nodes {
            let operands: Vec<&[f64]> = node.inputs.iter().map(|&id| values[id].as_slice()).collect();
            values.push(node.op.apply(&operands.concat()));
        }
        values
    }

    /// Run the model: `inputs` holds the [`Self::input_len`] elements of all inputs, the result those of all outputs.
    pub fn eval(&self, inputs: &[f64]) -> Vec<f64> {
        let values = self.trace(inputs);
        self.outputs.iter().flat_map(|(_, id, _)| values[*id].iter().copied()).collect()
    }
}
