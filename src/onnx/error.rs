//! What can be wrong with a model file, by name.

use std::path::PathBuf;

use thiserror::Error;

/// A node whose operator has no lowering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    pub node: String,
    /// The operator, with its domain if that is not ONNX's own: `ai.onnx.ml::TreeEnsembleRegressor`.
    pub operator: String,
}

/// A model that cannot be imported.
#[derive(Debug, Error)]
pub enum OnnxError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{file} is not an ONNX model: {reason}")]
    NotOnnx { file: String, reason: String },
    #[error("{file} is truncated: {reason}; export or copy it again")]
    Truncated { file: String, reason: String },
    #[error(
        "the model's operator set is version {found}; versions {min} to {max} are understood, export it with one of these"
    )]
    Opset { found: i64, min: i64, max: i64 },
    #[error("{what} is malformed: {reason}")]
    Malformed { what: String, reason: String },
    #[error("{} of the model's nodes have no lowering:{}\nsupported operators: {}", nodes.len(), list(nodes), supported.join(", "))]
    UnsupportedOperators { nodes: Vec<UnsupportedNode>, supported: Vec<&'static str> },
    #[error("node \"{node}\" ({op}): {attribute} is not supported: {reason}")]
    UnsupportedAttribute { node: String, op: String, attribute: String, reason: String },
    #[error("tensor \"{tensor}\" has element type {found}; {expected}")]
    UnsupportedType { tensor: String, found: String, expected: String },
    #[error(
        "input \"{input}\" has a dynamic dimension {axis} ({dimension}); only the first, the batch, may be dynamic (it is fixed to 1): \
         export the model with a fixed shape"
    )]
    DynamicDimension { input: String, axis: usize, dimension: String },
    #[error("\"{tensor}\" holds {value} at index {index}; weights must be finite")]
    NonFinite { tensor: String, index: usize, value: f64 },
    #[error("node \"{node}\" ({op}): shapes {left:?} and {right:?} do not fit: {reason}")]
    ShapeMismatch { node: String, op: String, left: Vec<usize>, right: Vec<usize>, reason: String },
    #[error("node \"{node}\" ({op}) lacks its input {position}")]
    MissingInput { node: String, op: String, position: usize },
    #[error("{consumer} reads \"{tensor}\", which no input, initializer or node defines")]
    Undefined { consumer: String, tensor: String },
    #[error("\"{name}\" is defined twice: {what}")]
    DuplicateName { name: String, what: String },
    #[error("\"{tensor}\" has shape {shape:?}: tensors without elements are not supported")]
    ZeroSized { tensor: String, shape: Vec<usize> },
    #[error("initializer \"{tensor}\" is stored outside of the model file; save the model with its weights inside")]
    ExternalData { tensor: String },
    #[error("{what} needs {elements} elements, more than the limit of {limit}")]
    TooLarge { what: String, elements: String, limit: u64 },
    #[error("the graph has a cycle through nodes {}", quoted(nodes))]
    Cycle { nodes: Vec<String> },
    #[error("the model is refused by shape analysis: {reason}")]
    Analysis { reason: String },
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let line = |n: &UnsupportedNode| {
        let reason = super::ops::reason(&n.operator).map_or(String::new(), |reason| format!(" ({reason})"));
        format!("\n  \"{}\": {}{reason}", n.node, n.operator)
    };
    nodes.iter().map(line).collect()
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}
