//! What is wrong with a model, collected on the way, so that all of it can be said at once.

use tract_onnx::pb::NodeProto;

use super::error::{OnnxError, UnsupportedNode};
use super::lower::node_name;
use super::supported_operators;
use crate::problem::Problems;

/// What is wrong with a model, as it is found.
#[derive(Default)]
pub(super) struct Found {
    pub problems: Problems,
    /// The first one.
    first: Option<OnnxError>,
    unsupported: Vec<UnsupportedNode>,
    /// Whether something was too large.
    spent: bool,
}

impl From<OnnxError> for Found {
    fn from(error: OnnxError) -> Self {
        let mut found = Self::default();
        found.error(error);
        found
    }
}

impl Found {
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The value; an error is kept.
    pub fn note<T>(&mut self, result: Result<T, OnnxError>) -> Option<T> {
        result.map_err(|error| self.error(error)).ok()
    }

    /// The value; an error is kept, as one about the node.
    pub fn note_at<T>(&mut self, node: &NodeProto, result: Result<T, OnnxError>) -> Option<T> {
        result.map_err(|error| self.add(error, Some((node_name(node), &operator_name(node))))).ok()
    }

    pub fn error(&mut self, error: OnnxError) {
        self.add(error, None);
    }

    fn add(&mut self, error: OnnxError, node: Option<(&str, &str)>) {
        if let OnnxError::UnsupportedOperators { nodes, .. } = error {
            nodes.into_iter().for_each(|node| self.unsupported_node(node));
            return;
        }
        // a budget that is spent is one problem, not one of every node from there on
        if matches!(error, OnnxError::TooLarge { .. }) && std::mem::replace(&mut self.spent, true) {
            return;
        }
        self.problems.extend(error.problems_at(node).listed);
        self.first.get_or_insert(error);
    }

    pub fn unsupported(&mut self, node: &NodeProto) {
        self.unsupported_node(UnsupportedNode { node: node_name(node).into(), operator: operator_name(node) });
    }

    fn unsupported_node(&mut self, node: UnsupportedNode) {
        self.problems.push(node.clone().into());
        self.unsupported.push(node);
    }

    /// A single error as it is; several kinds together as a list.
    pub fn into_error(self) -> OnnxError {
        let Self { problems, first, unsupported, .. } = self;
        let supported = if unsupported.is_empty() { vec![] } else { supported_operators() };
        match first {
            None => OnnxError::UnsupportedOperators { nodes: unsupported, supported },
            Some(error) if problems.count == 1 => error,
            Some(_) => OnnxError::Several { problems, supported },
        }
    }

    /// The value if nothing is wrong.
    pub fn or<T>(self, value: Option<T>) -> Result<T, OnnxError> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self.into_error()),
        }
    }
}

/// The operator of a node, with its domain if that is not ONNX's own.
pub(super) fn operator_name(node: &NodeProto) -> String {
    match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}::{}", node.op_type),
    }
}
