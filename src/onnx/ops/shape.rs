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

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Attr, agrees, graph_of, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    /// The output shape of one node over an input of shape `x`, with one integer tensor beside it.
    fn shape_of(
        op: &str,
        x: &[i64],
        given: Option<&[i64]>,
        attributes: Vec<(&str, Attr)>,
        opset: i64,
    ) -> Result<Vec<usize>, OnnxError> {
        let tensors = given.map(|v| ints("v", &[v.len() as i64], v));
        let inputs: &[&str] = if given.is_some() { &["x", "v"] } else { &["x"] };
        let mut model = model(&[("x", x)], "y", tensors.into_iter().collect(), vec![node(op, inputs, "y", attributes)]);
        model.opset_import[0].version = opset;
        import_model(&model)?;
        Ok(agrees(&model).outputs[0].2.clone())
    }

    #[test]
    fn reshape_infers_and_copies() {
        let reshape = |x: &[i64], target: &[i64]| shape_of("Reshape", x, Some(target), vec![], 13);
        assert_eq!(reshape(&[1, 2, 6], &[0, 4, -1]).unwrap(), [1, 4, 3]);
        assert_eq!(reshape(&[1, 6], &[6]).unwrap(), [6]);
        assert_eq!(reshape(&[1, 1], &[]).unwrap(), Vec::<usize>::new());
        assert!(matches!(reshape(&[1, 6], &[4]), Err(OnnxError::ShapeMismatch { .. })));
        assert!(matches!(reshape(&[1, 6], &[-1, 5]), Err(OnnxError::ShapeMismatch { .. })));
        let refused: [&[i64]; 5] = [&[-1, -1], &[1, 6, 0], &[-2, -3], &[1 << 40, 1 << 40, 2], &[1; 40]];
        for target in refused {
            assert!(matches!(reshape(&[1, 6], target), Err(OnnxError::UnsupportedAttribute { .. })), "{target:?}");
        }
    }

    #[test]
    fn flatten_at_every_axis() {
        let flatten = |axis| shape_of("Flatten", &[1, 2, 3], None, vec![("axis", Attr::Int(axis))], 13);
        assert_eq!(flatten(0).unwrap(), [1, 6]);
        assert_eq!(flatten(2).unwrap(), [2, 3]);
        assert_eq!(flatten(3).unwrap(), [6, 1]);
        assert_eq!(flatten(-1).unwrap(), [2, 3]);
        assert!(flatten(4).is_err());
        assert!(flatten(i64::MIN).is_err());
        assert_eq!(shape_of("Flatten", &[1, 2, 3], None, vec![], 9).unwrap(), [1, 6]);
    }

    #[test]
    fn axes_are_an_attribute_or_an_input() {
        let old = |op, x: &[i64], axes: &[i64]| shape_of(op, x, None, vec![("axes", Attr::Ints(axes))], 11);
        let new = |op, x: &[i64], axes: &[i64]| shape_of(op, x, Some(axes), vec![], 13);
        for axes in [old, new] {
            assert_eq!(axes("Squeeze", &[1, 2, 1], &[0, -1]).unwrap(), [2]);
            assert_eq!(axes("Unsqueeze", &[1, 2], &[0, 3]).unwrap(), [1, 1, 2, 1]);
            assert!(matches!(axes("Squeeze", &[1, 2, 1], &[1]), Err(OnnxError::ShapeMismatch { .. })));
            assert!(matches!(axes("Squeeze", &[1, 2], &[0, 0]), Err(OnnxError::UnsupportedAttribute { .. })));
            assert!(matches!(axes("Unsqueeze", &[1, 2], &[5]), Err(OnnxError::UnsupportedAttribute { .. })));
        }
        assert_eq!(shape_of("Squeeze", &[1, 2, 1], None, vec![], 13).unwrap(), [2]);
    }

    #[test]
    fn a_target_that_depends_on_the_input_is_refused() {
        let mut model =
            model(&[("x", &[1, 2]), ("v", &[2])], "y", vec![], vec![node("Reshape", &["x", "v"], "y", vec![])]);
        assert!(matches!(import_model(&model), Err(OnnxError::UnsupportedAttribute { .. })));
        graph_of(&mut model).node[0].input.pop();
        assert!(matches!(import_model(&model), Err(OnnxError::MissingInput { position: 1, .. })));
    }
}
