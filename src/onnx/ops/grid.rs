//! Index arithmetic that several families share: grids of indices, permuted axes.

use super::{Lowering, Node, OnnxError, Value};
use crate::onnx::shape::{axis, offsets, strides};

/// The flat indices of the elements of a tensor of shape `shape` whose index along every axis is one of `picks`, in
/// row-major order. Their number must have been charged for.
pub(super) fn grid(shape: &[usize], picks: &[Vec<usize>]) -> Vec<usize> {
    if picks.iter().any(Vec::is_empty) {
        return vec![];
    }
    let mut columns = vec![0];
    for (pick, stride) in picks.iter().zip(strides(shape)) {
        columns = columns.iter().flat_map(|&c| pick.iter().map(move |&p| c + p * stride)).collect();
    }
    columns
}

/// The elements of `value` at the indices `picks` along every axis.
pub(super) fn picked(
    lowering: &mut Lowering,
    node: &Node,
    value: &Value,
    picks: &[Vec<usize>],
) -> Result<Value, OnnxError> {
    let shape: Vec<usize> = picks.iter().map(Vec::len).collect();
    lowering.charge_shape(node, &shape)?;
    lowering.select(node, value, shape, grid(value.shape(), picks))
}

/// `value` under the shape `split`, its axes permuted, under the shape `shape`.
pub(super) fn permuted(
    lowering: &mut Lowering,
    node: &Node,
    value: &Value,
    split: &[usize],
    permutation: &[usize],
    shape: Vec<usize>,
) -> Result<Value, OnnxError> {
    lowering.charge_shape(node, &shape)?;
    let own = strides(split);
    let sizes: Vec<usize> = permutation.iter().map(|&a| split[a]).collect();
    let steps: Vec<usize> = permutation.iter().map(|&a| own[a]).collect();
    lowering.select(node, value, shape, offsets(&sizes, &steps))
}

/// The axis that attribute `name` gives in a tensor of `rank` axes.
pub(super) fn axis_attribute(node: &Node, name: &str, default: i64, rank: usize) -> Result<usize, OnnxError> {
    let given = node.int(name)?.unwrap_or(default);
    let reason = || format!("{given} is not one of {rank} axes");
    axis(given, rank).ok_or_else(|| node.unsupported(&format!("attribute {name}"), &reason()))
}

/// The axes that `given` names in a tensor of `rank` axes, all different.
pub(super) fn distinct_axes(node: &Node, given: &[i64], rank: usize) -> Result<Vec<usize>, OnnxError> {
    let axes: Option<Vec<usize>> = given.iter().map(|&a| axis(a, rank)).collect();
    let distinct = |axes: &Vec<usize>| axes.len() <= rank && (1..axes.len()).all(|i| !axes[..i].contains(&axes[i]));
    let refuse =
        || node.unsupported(&format!("axes {given:?}"), &format!("they are not different ones of {rank} axes"));
    axes.filter(distinct).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{floats, ints, model, node};
    use crate::onnx::{import_model, supported_operators};

    #[test]
    fn tensors_without_elements_do_no_harm() {
        for dims in [&[0][..], &[0, 1 << 24], &[2, 0], &[0, 1 << 40, 1 << 40], &[1 << 24, 0, 1 << 60]] {
            for operator in supported_operators() {
                for inputs in [["e", "e", "e"], ["e", "i", "i"], ["e", "i", "f"], ["x", "e", "e"], ["x", "e", "f"]] {
                    for empty in [ints("e", dims, &[]), floats("e", dims, &[])] {
                        let tensors = vec![empty, ints("i", &[1], &[0]), floats("f", &[1], &[1.0])];
                        let nodes = vec![node(operator, &inputs, "y", vec![]), node("Identity", &["x"], "z", vec![])];
                        // only that it returns
                        let _ = import_model(&model(&[("x", &[1, 2, 2])], "z", tensors, nodes));
                    }
                }
            }
        }
    }
}
