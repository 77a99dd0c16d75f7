//! Operators that change the shape and keep the order of elements: Reshape, Flatten, Squeeze, Unsqueeze.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::{MAX_RANK, axis, element_count};

fn reshape(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (value, target) = (node.input(0)?, node.integers(1, "the target shape")?);
    let keep_zero = node.flag("allowzero")?;
    let refuse = |reason: &str| node.unsupported(&format!("target shape {target:?}"), reason);
    if target.len() > MAX_RANK {
        return Err(refuse("it has too many dimensions"));
    }
    let mut shape = vec![];
    let mut inferred = None;
    for (i, &dim) in target.iter().enumerate() {
        shape.push(match dim {
            -1 if inferred.replace(i).is_some() => return Err(refuse("more than one dimension is -1")),
            -1 => 1,
            0 if !keep_zero => {
                *value.shape().get(i).ok_or_else(|| refuse("it copies a dimension that does not exist"))?
            }
            _ => usize::try_from(dim).map_err(|_| refuse("it has a negative dimension"))?,
        });
    }
    let count = element_count(&shape).ok_or_else(|| refuse("it has too many elements"))?;
    if let Some(i) = inferred
        && let Some(missing) = value.len().checked_div(count)
    {
        shape[i] = missing;
    }
    if element_count(&shape) != Some(value.len()) {
        return Err(node.mismatch(value.shape(), &shape, "they have different numbers of elements"));
    }
    Ok(vec![lowering.reshape(node, value, shape)?])
}

fn flatten(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = node.input(0)?;
    let rank = value.shape().len();
    // The axis may also be the rank itself: all dimensions go to the first one.
    let at = node.int("axis")?.unwrap_or(1);
    let at = if at == rank as i64 { Some(rank) } else { axis(at, rank) };
    let at = at.ok_or_else(|| node.unsupported("attribute axis", &format!("the input has {rank} axes")))?;
    let (outer, inner) = value.shape().split_at(at);
    let shape = vec![outer.iter().product(), inner.iter().product()];
    Ok(vec![lowering.reshape(node, value, shape)?])
}

/// The axes of Squeeze or Unsqueeze in a tensor of `rank` axes, sorted: an attribute up to operator set 12, an input
/// since 13.
fn axes(node: &Node, rank: usize) -> Result<Option<Vec<usize>>, OnnxError> {
    let given = match node.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None if node.opset >= 13 && node.optional_input(1).is_some() => node.integers(1, "the axes")?,
        None => return Ok(None),
    };
    let refuse = |reason: String| node.unsupported(&format!("axes {given:?}"), &reason);
    let axes: Option<Vec<usize>> = given.iter().map(|&a| axis(a, rank)).collect();
    let mut axes = axes.ok_or_else(|| refuse(format!("there are {rank} axes")))?;
    axes.sort_unstable();
    if axes.windows(2).any(|w| w[0] == w[1]) {
        return Err(refuse("an axis is repeated".into()));
    }
    Ok(Some(axes))
}

fn squeeze(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = node.input(0)?;
    let shape = value.shape();
    let axes = axes(node, shape.len())?;
    let axes = axes.unwrap_or_else(|| (0..shape.len()).filter(|&a| shape[a] == 1).collect());
    if let Some(&a) = axes.iter().find(|&&a| shape[a] != 1) {
        return Err(node.mismatch(shape, &axes, &format!("axis {a} has {} elements", shape[a])));
    }
    let kept = (0..shape.len()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect();
    Ok(vec![lowering.reshape(node, value, kept)?])
}

fn unsqueeze(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = node.input(0)?;
    let count = match node.ints("axes")? {
        Some(axes) => axes.len(),
        None => node.input(1)?.len(),
    };
    let rank = value.shape().len() + count;
    if rank > MAX_RANK {
        return Err(node.unsupported("the axes", "the result has too many dimensions"));
    }
    let axes = axes(node, rank)?.ok_or_else(|| node.unsupported("the axes", "they are missing"))?;
    let mut dims = value.shape().iter().copied();
    let shape = (0..rank).map(|a| if axes.contains(&a) { 1 } else { dims.next().unwrap_or(1) }).collect();
    Ok(vec![lowering.reshape(node, value, shape)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Reshape", reshape);
    registry.add("Flatten", flatten);
    registry.add("Squeeze", squeeze);
    registry.add("Unsqueeze", unsqueeze);
}
