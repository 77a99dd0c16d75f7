//! What can be wrong with a model file, by name.

use std::{fmt, path::PathBuf};

use thiserror::Error;

use super::remedy;
use crate::problem::{Problem, Problems};

/// A node whose operator has no lowering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    pub node: String,
    /// The operator, with its domain if that is not ONNX's own: `ai.onnx.ml::StringNormalizer`.
    pub operator: String,
}

/// A model that cannot be imported.
#[derive(Debug, Error)]
pub enum OnnxError {
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    NotOnnx {
        file: String,
        reason: String,
    },
    Truncated {
        file: String,
        reason: String,
    },
    Opset {
        found: i64,
        min: i64,
        max: i64,
    },
    Malformed {
        what: String,
        reason: String,
    },
    UnsupportedOperators {
        nodes: Vec<UnsupportedNode>,
        supported: Vec<&'static str>,
    },
    UnsupportedAttribute {
        node: String,
        op: String,
        attribute: String,
        reason: String,
    },
    /// One that the operator's lowering does not read.
    UnknownAttribute {
        node: String,
        op: String,
        attribute: String,
    },
    UnsupportedType {
        tensor: String,
        found: String,
        expected: String,
    },
    /// Only the first dimension, the batch, may be dynamic.
    DynamicDimension {
        input: String,
        axis: usize,
        dimension: String,
    },
    NonFinite {
        tensor: String,
        index: usize,
        value: f64,
    },
    ShapeMismatch {
        node: String,
        op: String,
        left: Vec<usize>,
        right: Vec<usize>,
        reason: String,
    },
    MissingInput {
        node: String,
        op: String,
        position: usize,
    },
    /// The consumer is described: a node with its operator, or the list of outputs.
    Undefined {
        consumer: String,
        tensor: String,
    },
    DuplicateName {
        name: String,
        what: String,
    },
    ZeroSized {
        tensor: String,
        shape: Vec<usize>,
    },
    ExternalData {
        tensor: String,
    },
    TooLarge {
        what: String,
        elements: String,
        limit: u64,
    },
    Cycle {
        nodes: Vec<String>,
    },
    Analysis {
        reason: String,
    },
    /// Two problems or more.
    Several {
        problems: Problems,
        /// The supported operators, if one of the problems is an operator that is not.
        supported: Vec<&'static str>,
    },
}

impl OnnxError {
    /// What is wrong, without the node that it is about and without the remedy.
    fn reason(&self) -> String {
        match self {
            Self::Io { path, source } => format!("cannot read {}: {source}", path.display()),
            Self::NotOnnx { file, reason } => format!("{file} is not an ONNX model: {reason}"),
            Self::Truncated { file, reason } => format!("{file} is truncated: {reason}"),
            Self::Opset { found, min, max } => {
                format!("the model's operator set is version {found}; versions {min} to {max} are understood")
            }
            Self::Malformed { what, reason } => format!("{what} is malformed: {reason}"),
            Self::UnsupportedOperators { nodes, supported } => {
                let line = |n: &UnsupportedNode| {
                    format!("\n  \"{}\": {} ({})", n.node, n.operator, remedy::for_operator(&n.operator).0)
                };
                let list: String = nodes.iter().map(line).collect();
                let count = nodes.len();
                format!("{count} of the model's nodes have no lowering:{list}\n{}", supported_list(supported))
            }
            Self::UnsupportedAttribute { attribute, reason, .. } => format!("{attribute} is not supported: {reason}"),
            Self::UnknownAttribute { attribute, .. } => {
                format!("attribute {attribute} is not known, and may change what the operator does")
            }
            Self::UnsupportedType { tensor, found, expected } => {
                format!("tensor \"{tensor}\" has element type {found}; {expected}")
            }
            Self::DynamicDimension { input, axis, dimension } => format!(
                "input \"{input}\" has a dynamic dimension {axis} ({dimension}); only the first, the batch, may be dynamic (it is \
                 fixed to 1)"
            ),
            Self::NonFinite { tensor, index, value } => {
                format!("\"{tensor}\" holds {value} at index {index}; weights must be finite")
            }
            Self::ShapeMismatch { left, right, reason, .. } => {
                format!("shapes {left:?} and {right:?} do not fit: {reason}")
            }
            Self::MissingInput { position, .. } => format!("it lacks its input {position}"),
            Self::Undefined { consumer, tensor } => {
                format!("{consumer} reads \"{tensor}\", which no input, initializer or node defines")
            }
            Self::DuplicateName { name, what } => format!("\"{name}\" is defined twice: {what}"),
            Self::ZeroSized { tensor, shape } => {
                format!("\"{tensor}\" has shape {shape:?}: tensors without elements are not supported")
            }
            Self::ExternalData { tensor } => format!("initializer \"{tensor}\" is stored outside of the model file"),
            Self::TooLarge { what, elements, limit } => {
                format!("{what} needs {elements} elements, more than the limit of {limit}")
            }
            Self::Cycle { nodes } => format!("the graph has a cycle through nodes {}", quoted(nodes)),
            Self::Analysis { reason } => format!("the model is refused by shape analysis: {reason}"),
            Self::Several { problems, supported } => {
                let list =
                    if supported.is_empty() { String::new() } else { format!("\n{}", supported_list(supported)) };
                format!("{} problems stand in the way of importing the model:{problems}{list}", problems.count)
            }
        }
    }

    /// The node that it is about, and its operator.
    fn node(&self) -> Option<(&str, &str)> {
        match self {
            Self::UnsupportedAttribute { node, op, .. }
            | Self::UnknownAttribute { node, op, .. }
            | Self::ShapeMismatch { node, op, .. }
            | Self::MissingInput { node, op, .. } => Some((node, op)),
            _ => None,
        }
    }

    /// What to do, where that is known.
    fn suggestion(&self) -> Option<String> {
        let text = match self {
            Self::Truncated { .. } => "export or copy it again",
            Self::Opset { .. } => "export it with one of these",
            Self::UnknownAttribute { .. } => {
                "remove it if it has no effect, else rewrite this part with the operators of ONNX's standard"
            }
            Self::DynamicDimension { .. } => "export the model with a fixed shape",
            Self::ExternalData { .. } => "save the model with its weights inside",
            Self::TooLarge { .. } => "a smaller input or batch may do",
            _ => return None,
        };
        Some(text.into())
    }

    /// All that is wrong, one by one. `node` and its operator are where it was noticed, if the error does not say.
    pub(super) fn problems_at(&self, node: Option<(&str, &str)>) -> Problems {
        let mut problems = Problems::default();
        match self {
            Self::Several { problems, .. } => return problems.clone(),
            Self::UnsupportedOperators { nodes, .. } => problems.extend(nodes.iter().cloned().map(Problem::from)),
            error => {
                let (node, operator) = error.node().or(node).unzip();
                let attribute = match error {
                    Self::UnsupportedAttribute { attribute, .. } => attribute.strip_prefix("attribute "),
                    Self::UnknownAttribute { attribute, .. } => Some(attribute.as_str()),
                    _ => None,
                };
                problems.push(Problem {
                    node: node.map(String::from),
                    operator: operator.map(String::from),
                    attribute: attribute.map(String::from),
                    reason: error.reason(),
                    suggestion: error.suggestion(),
                });
            }
        }
        problems
    }

    /// All that is wrong, one by one.
    pub fn problems(&self) -> Problems {
        self.problems_at(None)
    }
}

impl From<UnsupportedNode> for Problem {
    fn from(UnsupportedNode { node, operator }: UnsupportedNode) -> Self {
        let (reason, suggestion) = remedy::for_operator(&operator);
        let reason = format!("the operator is not supported: {reason}");
        Self {
            node: Some(node),
            operator: Some(operator),
            attribute: None,
            reason,
            suggestion: Some(suggestion.into()),
        }
    }
}

impl fmt::Display for OnnxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((node, op)) = self.node() {
            write!(f, "node \"{node}\" ({op}): ")?;
        }
        f.write_str(&self.reason())?;
        self.suggestion().iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

fn supported_list(supported: &[&str]) -> String {
    format!("supported operators: {}", supported.join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}
