//! Operators that keep some elements or reorder blocks: Slice, Split, Compress, DepthToSpace, SpaceToDepth,
//! ReverseSequence.

use super::grid::{axis_attribute, distinct_axes, permuted, picked};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::strides;

/// Every index of every axis.
fn everything(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().map(|&d| (0..d).collect()).collect()
}

/// The indices `start, start + step, ...` before `end` of an axis of `size` elements, as NumPy slices.
fn range(size: usize, start: i64, end: i64, step: i64) -> Vec<usize> {
    let Ok(size) = i64::try_from(size) else { return vec![] };
    let from_end = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
    let (start, end) = match step {
        _ if size == 0 || step == 0 => return vec![],
        1.. => (from_end(start).clamp(0, size), from_end(end).clamp(0, size)),
        _ => (from_end(start).clamp(-1, size - 1), from_end(end).clamp(-1, size - 1)),
    };
    let mut indices = vec![];
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        indices.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    indices
}

/// Starts, ends and axes are attributes up to operator set 9, inputs, with steps, from 10 on.
fn slice(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let optional = |position: usize, what: &str| match node.optional_input(position) {
        Some(_) => node.integers(position, what).map(Some),
        None => Ok(None),
    };
    let (starts, ends, axes, steps) = if node.opset < 10 {
        let missing = || node.unsupported("attributes starts and ends", "they are missing");
        let (starts, ends) = (node.ints("starts")?.ok_or_else(missing)?, node.ints("ends")?.ok_or_else(missing)?);
        (starts.to_vec(), ends.to_vec(), node.ints("axes")?.map(<[i64]>::to_vec), None)
    } else {
        let (starts, ends) = (node.integers(1, "the starts")?, node.integers(2, "the ends")?);
        (starts, ends, optional(3, "the axes")?, optional(4, "the steps")?)
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.unsupported("its starts, ends, axes and steps", "they have different lengths"));
    }
    if steps.contains(&0) {
        return Err(node.unsupported("the steps", "a step must not be zero"));
    }
    let mut picks = everything(x.shape());
    for (i, a) in distinct_axes(node, &axes, x.shape().len())?.into_iter().enumerate() {
        picks[a] = range(x.shape()[a], starts[i], ends[i], steps[i]);
    }
    Ok(vec![picked(lowering, node, x, &picks)?])
}

/// The sizes of the parts are an attribute up to operator set 12, an input from 13 on; without them the parts are
/// equal, but from 18 on the last may be smaller.
fn split(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let at = axis_attribute(node, "axis", 0, x.shape().len())?;
    let (size, count) = (x.shape()[at], node.proto.output.len());
    let given = match node.optional_input(1) {
        Some(_) if node.opset >= 13 => Some(node.integers(1, "the sizes")?),
        _ => node.ints("split")?.map(<[i64]>::to_vec),
    };
    if let Some(parts) = node.int("num_outputs")?
        && (given.is_some() || usize::try_from(parts) != Ok(count))
    {
        return Err(node.unsupported("attribute num_outputs", &format!("it is {parts} for {count} outputs")));
    }
    let sizes: Option<Vec<usize>> = match &given {
        Some(sizes) => sizes.iter().map(|&s| usize::try_from(s).ok()).collect(),
        None if count == 0 || (node.opset < 18 && !size.is_multiple_of(count)) => None,
        None => {
            let part = size.div_ceil(count);
            Some((0..count).map(|i| part.min(size.saturating_sub(i * part))).collect())
        }
    };
    let sum = |sizes: &Vec<usize>| sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    let sizes = sizes.filter(|sizes| sizes.len() == count && sum(sizes) == Some(size)).ok_or_else(|| {
        node.unsupported(
            "its parts",
            &format!("{size} elements do not split into {count} parts of the sizes {given:?}"),
        )
    })?;
    let (mut parts, mut start) = (vec![], 0);
    for (size, name) in sizes.into_iter().zip(&node.proto.output) {
        let mut picks = everything(x.shape());
        picks[at] = (start..start + size).collect();
        start += size;
        // an output that nothing reads may be empty
        parts.push(if name.is_empty() { x.clone() } else { picked(lowering, node, x, &picks)? });
    }
    Ok(parts)
}

/// Keeps the indices of an axis, or the elements of the flattened tensor, at which the condition holds.
fn compress(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let Some(condition) = node.input(1)?.constant() else {
        return Err(node.unsupported("its condition", "it must be constant"));
    };
    if condition.shape.len() != 1 {
        return Err(node.mismatch(x.shape(), &condition.shape, "the condition must have one axis"));
    }
    let at = node.int("axis")?.map(|a| axis_attribute(node, "axis", a, x.shape().len())).transpose()?;
    let size = at.map_or(x.len(), |a| x.shape()[a]);
    let kept: Vec<usize> = (0..condition.data.len()).filter(|&i| condition.data[i] != 0.0).collect();
    if kept.last().is_some_and(|&last| last >= size) {
        return Err(node.mismatch(&[size], &condition.shape, "the condition is longer than the axis"));
    }
    let Some(at) = at else {
        lowering.charge_shape(node, &[kept.len()])?;
        return Ok(vec![lowering.select(node, x, vec![kept.len()], kept)?]);
    };
    let mut picks = everything(x.shape());
    picks[at] = kept;
    Ok(vec![picked(lowering, node, x, &picks)?])
}

/// Batch, channels, height, width and the block size of DepthToSpace and SpaceToDepth.
fn blocks(node: &Node) -> Result<([usize; 4], usize), OnnxError> {
    let x = node.input(0)?;
    let &[n, c, h, w] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "the input must have batch, channels, height and width"));
    };
    let size = node.int("blocksize")?.and_then(|b| usize::try_from(b).ok()).filter(|b| (1..1 << 12).contains(b));
    Ok(([n, c, h, w], size.ok_or_else(|| node.unsupported("attribute blocksize", "it must be from 1 to 4095"))?))
}

fn depth_to_space(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let ([n, c, h, w], b) = blocks(node)?;
    if !c.is_multiple_of(b * b) {
        return Err(node.unsupported("attribute blocksize", &format!("{c} channels are no blocks of {b} by {b}")));
    }
    let depth = c / (b * b);
    let (split, permutation) = match node.string("mode")?.as_deref() {
        None | Some("DCR") => ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2]),
        Some("CRD") => ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        Some(other) => return Err(node.unsupported("attribute mode", &format!("\"{other}\" is not known"))),
    };
    let shape = vec![n, depth, h.saturating_mul(b), w.saturating_mul(b)];
    Ok(vec![permuted(lowering, node, node.input(0)?, &split, &permutation, shape)?])
}

fn space_to_depth(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let ([n, c, h, w], b) = blocks(node)?;
    if let Some(mode) = node.string("mode")?.filter(|mode| mode != "DCR") {
        return Err(node.unsupported("attribute mode", &format!("\"{mode}\" is not supported")));
    }
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(
            node.unsupported("attribute blocksize", &format!("{h} by {w} is no number of blocks of {b} by {b}"))
        );
    }
    let shape = vec![n, c.saturating_mul(b * b), h / b, w / b];
    let split = [n, c, h / b, b, w / b, b];
    Ok(vec![permuted(lowering, node, node.input(0)?, &split, &[0, 3, 5, 1, 2, 4], shape)?])
}

/// The first `lengths[batch]` elements of the time axis, in reverse; the others stay.
fn reverse_sequence(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, lengths) = (node.input(0)?, node.integers(1, "the lengths")?);
    let shape = x.shape();
    let batch_axis = axis_attribute(node, "batch_axis", 1, shape.len())?;
    let time_axis = axis_attribute(node, "time_axis", 0, shape.len())?;
    if batch_axis == time_axis {
        return Err(node.unsupported("attribute time_axis", "it is the batch axis"));
    }
    let lengths: Option<Vec<usize>> =
        lengths.iter().map(|&l| usize::try_from(l).ok().filter(|&l| l <= shape[time_axis])).collect();
    let lengths = lengths.filter(|l| l.len() == shape[batch_axis]);
    let lengths =
        lengths.ok_or_else(|| node.unsupported("the lengths", &format!("they do not fit the shape {shape:?}")))?;
    let count = lowering.charge_shape(node, shape)?;
    let steps = strides(shape);
    let source = |i: usize| {
        let time = i / steps[time_axis] % shape[time_axis];
        let length = lengths[i / steps[batch_axis] % shape[batch_axis]];
        if time < length { i - time * steps[time_axis] + (length - 1 - time) * steps[time_axis] } else { i }
    };
    Ok(vec![lowering.select(node, x, shape.to_vec(), (0..count).map(source).collect())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Slice", slice);
    registry.add("Split", split);
    registry.add("Compress", compress);
    registry.add("DepthToSpace", depth_to_space);
    registry.add("SpaceToDepth", space_to_depth);
    registry.add("ReverseSequence", reverse_sequence);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

    use super::super::testing::with_text;
    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, graph_of, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn slices_agree() {
        type Case<'a> = [&'a [i64]; 4];
        let cases: [Case; 6] = [
            [&[0], &[2], &[1], &[1]],
            [&[1, -3], &[9, -1], &[0, 2], &[1, 1]],
            [&[-1], &[-9], &[1], &[-1]],
            [&[3, 2], &[0, -4], &[2, 1], &[-2, -1]],
            [&[0], &[1 << 40], &[-1], &[3]],
            [&[5], &[0], &[2], &[-3]],
        ];
        for [starts, ends, axes, steps] in cases {
            let tensor = |name, v: &[i64]| ints(name, &[v.len() as i64], v);
            let tensors = vec![tensor("s", starts), tensor("e", ends), tensor("a", axes), tensor("t", steps)];
            let nodes = vec![node("Slice", &["x", "s", "e", "a", "t"], "y", vec![])];
            agrees(&model(&[("x", &[2, 3, 4])], "y", tensors, nodes));
            if steps.iter().all(|&s| s == 1) {
                let given =
                    vec![("starts", Attr::Ints(starts)), ("ends", Attr::Ints(ends)), ("axes", Attr::Ints(axes))];
                let mut old = model(&[("x", &[2, 3, 4])], "y", vec![], vec![node("Slice", &["x"], "y", given)]);
                old.opset_import[0].version = 9;
                agrees(&old);
            }
        }
    }

    #[test]
    fn ranges_follow_numpy() {
        use super::range;
        assert_eq!(range(4, i64::MIN, i64::MAX, 1), [0, 1, 2, 3]);
        assert_eq!(range(4, i64::MAX, i64::MIN, -1), [3, 2, 1, 0]);
        assert_eq!(range(4, -9, -9, -1), [0usize; 0]);
        assert_eq!(range(4, 3, 1, 1), [0usize; 0]);
        assert_eq!(range(4, 0, 4, i64::MAX), [0]);
        assert_eq!(range(4, 3, -5, i64::MIN), [3]);
        assert_eq!(range(0, 0, 5, -1), [0usize; 0]);
    }

    fn split(
        outputs: &[&str],
        sizes: Option<&[i64]>,
        attributes: Vec<(&str, Attr)>,
        opset: i64,
    ) -> Result<Graph, OnnxError> {
        let inputs: &[&str] = if sizes.is_some() && opset >= 13 { &["x", "s"] } else { &["x"] };
        let mut split = node("Split", inputs, "y", attributes);
        split.output = outputs.iter().map(|o| o.to_string()).collect();
        let tensors = sizes.iter().map(|s| ints("s", &[s.len() as i64], s)).collect();
        let mut model = model(&[("x", &[2, 5])], outputs[0], tensors, vec![split]);
        model.opset_import[0].version = opset;
        let declared = |o: &&str| tract_onnx::pb::ValueInfoProto { name: o.to_string(), ..Default::default() };
        graph_of(&mut model).output = outputs.iter().map(declared).collect();
        import_model(&model)?;
        Ok(agrees(&model))
    }

    #[test]
    fn splits_agree() {
        let along = |a| ("axis", Attr::Int(a));
        assert!(split(&["a", "b"], None, vec![along(0)], 13).is_ok());
        assert!(split(&["a", "b"], Some(&[2, 3]), vec![along(1)], 13).is_ok());
        assert!(split(&["a", "b", "c"], None, vec![along(-1), ("split", Attr::Ints(&[1, 2, 2]))], 11).is_ok());
        assert!(split(&["a", "b"], None, vec![along(1), ("num_outputs", Attr::Int(2))], 18).is_ok());
        assert!(split(&["a", "b"], None, vec![along(1)], 13).is_err());
        assert!(split(&["a", "b"], Some(&[2, 2]), vec![along(1)], 13).is_err());
        assert!(split(&["a", "b"], Some(&[-1, 6]), vec![along(1)], 13).is_err());
        assert!(split(&["a", "b"], Some(&[i64::MAX, i64::MAX]), vec![along(1)], 13).is_err());
        assert!(split(&["a", "b", "c"], Some(&[2, 3]), vec![along(1)], 13).is_err());
        assert!(split(&["a", "b"], None, vec![along(1), ("num_outputs", Attr::Int(3))], 18).is_err());
    }

    #[test]
    fn conditions_keep_elements() {
        let booleans = |v: &[i32]| TensorProto {
            name: "c".into(),
            dims: vec![v.len() as i64],
            data_type: DataType::Bool as i32,
            int32_data: v.to_vec(),
            ..Default::default()
        };
        let of = |condition: &[i32], attributes| {
            let nodes = vec![node("Compress", &["x", "c"], "y", attributes)];
            import_model(&model(&[("x", &[2, 3])], "y", vec![booleans(condition)], nodes))
        };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(of(&[0, 1, 1], vec![("axis", Attr::Int(1))]).unwrap().eval(&x), [2.0, 3.0, 5.0, 6.0]);
        assert_eq!(of(&[0, 1], vec![("axis", Attr::Int(-2))]).unwrap().eval(&x), [4.0, 5.0, 6.0]);
        assert_eq!(of(&[1, 0, 0, 0, 1], vec![]).unwrap().eval(&x), [1.0, 5.0]);
        assert!(of(&[0, 0, 1], vec![("axis", Attr::Int(0))]).is_err());
        assert!(of(&[0, 0], vec![]).is_err());
    }

    #[test]
    fn blocks_move_between_depth_and_space() {
        for mode in ["DCR", "CRD"] {
            let nodes =
                vec![with_text(node("DepthToSpace", &["x"], "y", vec![("blocksize", Attr::Int(2))]), "mode", mode)];
            agrees(&model(&[("x", &[2, 8, 2, 3])], "y", vec![], nodes));
        }
        let nodes = vec![node("SpaceToDepth", &["x"], "y", vec![("blocksize", Attr::Int(2))])];
        agrees(&model(&[("x", &[1, 2, 4, 6])], "y", vec![], nodes));
        for (op, size) in [("DepthToSpace", 3), ("SpaceToDepth", 5), ("SpaceToDepth", 0), ("DepthToSpace", i64::MAX)] {
            let nodes = vec![node(op, &["x"], "y", vec![("blocksize", Attr::Int(size))])];
            assert!(import_model(&model(&[("x", &[1, 4, 4, 4])], "y", vec![], nodes)).is_err());
        }
    }

    #[test]
    fn sequences_are_reversed_up_to_their_lengths() {
        let of = |lengths: &[i64], attributes| {
            let nodes = vec![node("ReverseSequence", &["x", "l"], "y", attributes)];
            let lengths = ints("l", &[lengths.len() as i64], lengths);
            import_model(&model(&[("x", &[3, 2])], "y", vec![lengths], nodes))
        };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(of(&[3, 2], vec![]).unwrap().eval(&x), [5.0, 4.0, 3.0, 2.0, 1.0, 6.0]);
        let swapped = vec![("batch_axis", Attr::Int(0)), ("time_axis", Attr::Int(1))];
        assert_eq!(of(&[2, 1, 0], swapped).unwrap().eval(&x), [2.0, 1.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(of(&[3, 4], vec![]).is_err());
        assert!(of(&[3], vec![]).is_err());
    }
}
