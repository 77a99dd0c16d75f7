//! Operators of `ai.onnx.ml`: trees, linear models, support vector machines, and what stands around them.
//!
//! Labels that are strings are not tensors of numbers: a label then is the index of its class.

mod features;
mod forest;
mod labels;
mod linear;
mod post;
mod scaler;
mod svm;
mod tree;

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::tensor::{Constant, Kind};

/// The first input as a matrix of floats, and its numbers of rows and of features.
fn matrix(node: &Node) -> Result<(Value, usize, usize), OnnxError> {
    let x = node.input(0)?;
    match *x.shape() {
        [rows, features] if features > 0 => Ok((x.with_kind(Kind::Float), rows, features)),
        _ => Err(node.unsupported("its input", &format!("a matrix is needed, its shape is {:?}", x.shape()))),
    }
}

/// The numbers of a list attribute, which may also be a tensor (`name_as_tensor`); an empty one is absent.
fn numbers(node: &Node, name: &str) -> Result<Option<Vec<f64>>, OnnxError> {
    let (list, tensor) = (node.floats(name)?, node.tensor(&format!("{name}_as_tensor"))?);
    let what = format!("attribute {name} of node {}", node.name);
    match (list.filter(|list| !list.is_empty()), tensor) {
        (Some(_), Some(_)) => {
            Err(node.unsupported(&format!("attribute {name}"), "it is given both as a list and as a tensor"))
        }
        (Some(list), None) => {
            let data = list.iter().map(|&v| v.into()).collect();
            Ok(Some(Constant::new(&what, vec![list.len()], Kind::Float, data)?.data))
        }
        (None, Some(tensor)) => Ok(Some(Constant::decode(&what, tensor)?.data).filter(|data| !data.is_empty())),
        (None, None) => Ok(None),
    }
}

/// The list `name`, which must have `len` elements.
fn numbers_of(node: &Node, name: &str, len: usize) -> Result<Vec<f64>, OnnxError> {
    let list = numbers(node, name)?.unwrap_or_default();
    check_len(node, name, list.len(), len)?;
    Ok(list)
}

/// The integers of the list `name`, which must have `len` elements.
fn integers_of<'a>(node: &'a Node, name: &str, len: usize) -> Result<&'a [i64], OnnxError> {
    let list = node.ints(name)?.unwrap_or_default();
    check_len(node, name, list.len(), len)?;
    Ok(list)
}

fn check_len(node: &Node, name: &str, found: usize, expected: usize) -> Result<(), OnnxError> {
    match found == expected {
        true => Ok(()),
        false => {
            let reason = format!("it has {found} elements, {expected} are needed");
            Err(node.unsupported(&format!("attribute {name}"), &reason))
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    features::register(registry);
    labels::register(registry);
    linear::register(registry);
    scaler::register(registry);
    svm::register(registry);
    tree::register(registry);
}

#[cfg(test)]
mod tests;
