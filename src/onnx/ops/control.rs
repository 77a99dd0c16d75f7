//! Control flow: If, and Loop and Scan unrolled. Only what is known at import decides how often a body runs; a branch may
//! also depend on the input: both are computed, and one is selected.

use super::compare::chosen;
use super::grid::permuted;
use super::pool::stacked;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::scope::Block;
use crate::onnx::shape::{MAX_RANK, axis, strides};
use crate::onnx::tensor::Kind;

/// Refuses a condition that is not one boolean.
fn one_boolean(node: &Node, condition: &Value) -> Result<(), OnnxError> {
    match condition.kind() == Kind::Bool && condition.len() == 1 {
        true => Ok(()),
        false => Err(node.unsupported("its condition", "it must be one boolean")),
    }
}

/// The condition if it is constant.
fn known(node: &Node, condition: &Value) -> Result<Option<bool>, OnnxError> {
    one_boolean(node, condition)?;
    Ok(condition.constant().map(|c| c.data.iter().all(|&v| v != 0.0)))
}

fn branch(lowering: &mut Lowering, node: &Node, name: &str) -> Result<Vec<Value>, OnnxError> {
    Block::within(lowering, node, node.graph(name)?)?.call(lowering, node, vec![])
}

fn conditional(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let condition = node.input(0)?;
    match known(node, condition)? {
        Some(true) => return branch(lowering, node, "then_branch"),
        Some(false) => return branch(lowering, node, "else_branch"),
        None => {}
    }
    let (taken, other) = (branch(lowering, node, "then_branch")?, branch(lowering, node, "else_branch")?);
    let condition = lowering.reshape(node, condition, vec![])?;
    let pair = |(a, b): (&Value, &Value)| match a.shape() == b.shape() {
        true => chosen(lowering, node, &condition, a, b),
        false => {
            let reason = "the branches of a condition that depends on the input have different shapes";
            Err(node.mismatch(a.shape(), b.shape(), reason))
        }
    };
    taken.iter().zip(&other).map(pair).collect()
}

/// Runs the body on the number of the iteration, a condition and the carried values; it returns a condition, the values
/// to carry on, and what is stacked up along a new first axis.
fn repeated(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let limit = match node.optional_input(0) {
        None => None,
        Some(_) => match node.integers(0, "the trip count")?.as_slice() {
            &[limit] => Some(limit),
            _ => return Err(node.unsupported("the trip count", "it must be one integer")),
        },
    };
    let mut going = match node.optional_input(1) {
        None => true,
        Some(condition) => known(node, condition)?.ok_or_else(|| data_dependent(node))?,
    };
    let body = Block::within(lowering, node, node.graph("body")?)?;
    let mut carried = (2..node.inputs.len()).map(|i| node.input(i).cloned()).collect::<Result<Vec<_>, _>>()?;
    let mut scanned: Vec<Vec<Value>> = vec![];
    let mut iteration = 0i64;
    while going && limit.is_none_or(|limit| iteration < limit) {
        let number = lowering.constant(node, vec![], Kind::Integer, vec![iteration as f64])?;
        let condition = lowering.constant(node, vec![], Kind::Bool, vec![1.0])?;
        let arguments = [number, condition].into_iter().chain(carried.iter().cloned()).collect();
        let mut results = body.call(lowering, node, arguments)?.into_iter();
        let condition = results.next().ok_or_else(|| node.unsupported("its body", "it returns no condition"))?;
        going = known(node, &condition)?.ok_or_else(|| data_dependent(node))?;
        let next: Vec<Value> = results.by_ref().take(carried.len()).collect();
        if next.len() < carried.len() {
            return Err(node.unsupported("its body", "it does not return every value that it carries"));
        }
        carried = next;
        scanned.push(results.collect());
        iteration += 1;
    }
    let stacks = node.proto.output.len().saturating_sub(carried.len());
    for s in 0..stacks {
        let slices: Vec<&Value> = scanned.iter().filter_map(|slices| slices.get(s)).collect();
        carried.push(stack(lowering, node, &slices, 0)?);
    }
    Ok(carried)
}

fn data_dependent(node: &Node) -> OnnxError {
    node.unsupported("its condition", "it must not depend on the input, which would decide how often the body runs")
}

/// Slices of one shape along a new axis `at`; negative ones count from the end.
fn stack(lowering: &mut Lowering, node: &Node, slices: &[&Value], at: i64) -> Result<Value, OnnxError> {
    let Some(first) = slices.first() else {
        return Err(
            node.unsupported("its result", "the body never runs, and tensors without elements are not supported")
        );
    };
    for slice in slices {
        if slice.shape() != first.shape() || slice.kind() != first.kind() {
            return Err(node.mismatch(first.shape(), slice.shape(), "what is stacked up differs between iterations"));
        }
    }
    let rank = first.shape().len();
    let at = axis(at, rank + 1).filter(|_| rank < MAX_RANK);
    let at = at.ok_or_else(|| node.unsupported("its axes", &format!("there are {rank} axes")))?;
    let stacked_first: Vec<usize> = std::iter::once(slices.len()).chain(first.shape().iter().copied()).collect();
    let all = stacked(lowering, node, slices, stacked_first.clone())?;
    let permutation: Vec<usize> = (1..=at).chain([0]).chain(at + 1..=rank).collect();
    let shape: Vec<usize> = permutation.iter().map(|&a| stacked_first[a]).collect();
    permuted(lowering, node, &all, &stacked_first, &permutation, shape)
}

/// The attribute `name`: one number for each of `count` tensors, 0 if it is absent.
fn per_tensor(node: &Node, name: &str, count: usize) -> Result<Vec<i64>, OnnxError> {
    match node.ints(name)? {
        None => Ok(vec![0; count]),
        Some(given) if given.len() == count => Ok(given.to_vec()),
        Some(given) => {
            Err(node.unsupported(&format!("attribute {name}"), &format!("{given:?} is not {count} numbers")))
        }
    }
}

/// Slice `i` of `size` of a tensor along axis `at`, or with `reverse` the one as far from the end.
fn slice(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    (at, size): (usize, usize),
    i: usize,
    reverse: bool,
) -> Result<Value, OnnxError> {
    let i = if reverse { size - 1 - i } else { i };
    let (shape, step) = (x.shape(), strides(x.shape())[at]);
    let rest: Vec<usize> = shape[..at].iter().chain(&shape[at + 1..]).copied().collect();
    let count = lowering.charge_shape(node, &rest)?;
    let columns = (0..count).map(|j| (j / step * size + i) * step + j % step).collect();
    lowering.select(node, x, rest, columns)
}

/// Runs the body on the state and on one slice of every scanned input at a time.
fn scan(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if node.opset < 9 {
        return Err(node.unsupported("its operator set", "scans are understood from version 9 on"));
    }
    let count = node.int("num_scan_inputs")?.and_then(|n| usize::try_from(n).ok());
    let count = count.filter(|n| (1..=node.inputs.len()).contains(n)).ok_or_else(|| {
        node.unsupported("attribute num_scan_inputs", &format!("there are {} inputs", node.inputs.len()))
    })?;
    let states = node.inputs.len() - count;
    let stacks = node.proto.output.len().saturating_sub(states);
    let body = Block::within(lowering, node, node.graph("body")?)?;
    let mut carried = (0..states).map(|i| node.input(i).cloned()).collect::<Result<Vec<_>, _>>()?;
    let (input_axes, reversed) =
        (per_tensor(node, "scan_input_axes", count)?, per_tensor(node, "scan_input_directions", count)?);
    let (output_axes, output_reversed) =
        (per_tensor(node, "scan_output_axes", stacks)?, per_tensor(node, "scan_output_directions", stacks)?);
    let mut inputs = vec![];
    for (i, &given) in input_axes.iter().enumerate() {
        let x = node.input(states + i)?;
        let at = axis(given, x.shape().len()).ok_or_else(|| {
            node.unsupported("attribute scan_input_axes", &format!("{given} is not one of {} axes", x.shape().len()))
        })?;
        inputs.push((x, at, reversed[i] != 0));
    }
    let steps = inputs.first().map_or(0, |(x, at, _)| x.shape()[*at]);
    if let Some((x, ..)) = inputs.iter().find(|(x, at, _)| x.shape()[*at] != steps) {
        return Err(node.mismatch(x.shape(), &[steps], "the scanned axes have different lengths"));
    }
    let mut scanned: Vec<Vec<Value>> = vec![];
    for step in 0..steps {
        let mut arguments = carried.clone();
        for &(x, at, reverse) in &inputs {
            arguments.push(slice(lowering, node, x, (at, steps), step, reverse)?);
        }
        let mut results = body.call(lowering, node, arguments)?.into_iter();
        carried = results.by_ref().take(states).collect();
        if carried.len() < states {
            return Err(node.unsupported("its body", "it does not return every value that it carries"));
        }
        scanned.push(results.collect());
    }
    for s in 0..stacks {
        let mut slices: Vec<&Value> = scanned.iter().filter_map(|slices| slices.get(s)).collect();
        if output_reversed[s] != 0 {
            slices.reverse();
        }
        carried.push(stack(lowering, node, &slices, output_axes[s])?);
    }
    Ok(carried)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("If", conditional);
    registry.add("Loop", repeated);
    registry.add("Scan", scan);
}
