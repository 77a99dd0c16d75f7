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

/// An input tensor of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphInput {
    pub name: String,
    /// Shape with the batch dimension fixed to 1.
    pub shape: Vec<usize>,
}

/// A model in `f64`: inputs, then nodes in topological order, then the values that are its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    pub inputs: Vec<GraphInput>,
    pub nodes: Vec<FloatNode>,
    /// `(output name, value id, shape)`.
    pub outputs: Vec<(String, usize, Vec<usize>)>,
}
