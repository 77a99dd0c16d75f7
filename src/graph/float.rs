//! The float graph: what an ONNX model means, in `f64`, over flattened tensors.

use serde::{Deserialize, Serialize};

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
    /// Of one input.
    Relu,
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
            FloatOp::Relu => 0,
        }
    }
}

/// An input tensor of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphInput {
    pub name: String,
    /// Shape with the batch dimension fixed to 1.
    pub shape: Vec<usize>,
    /// Whether its element type is an integer.
    pub integer: bool,
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
        let mut id = id;
        while let Some(node) = id.checked_sub(self.inputs.len()) {
            match &self.nodes[node].op {
                FloatOp::Affine(map) => return map.output_len(),
                FloatOp::Relu => id = self.nodes[node].inputs[0],
            }
        }
        self.inputs[id].len()
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
            let x = operands.concat();
            values.push(match &node.op {
                FloatOp::Affine(map) => map.apply(&x),
                FloatOp::Relu => x.into_iter().map(|v| v.max(0.0)).collect(),
            });
        }
        values
    }

    /// Run the model: `inputs` holds the [`Self::input_len`] elements of all inputs, the result those of all outputs.
    pub fn eval(&self, inputs: &[f64]) -> Vec<f64> {
        let values = self.trace(inputs);
        self.outputs.iter().flat_map(|(_, id, _)| values[*id].iter().copied()).collect()
    }
}
