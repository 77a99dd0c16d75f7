//! ScatterElements, ScatterND, Scatter and OneHot.
//!
//! As in Gather, indices that depend on the input must lie in `[0, size)` over the whole domain.

use super::gather::{flat_indices, lines, one_hot, resolved};
use super::grid::axis_attribute;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{axis, strides};
use crate::onnx::tensor::Kind;

/// Whether updates are added to the data, or else replace it.
fn adds(node: &Node) -> Result<bool, OnnxError> {
    match node.string("reduction")?.as_deref() {
        None | Some("none") => Ok(false),
        Some("add") => Ok(true),
        Some(other) => Err(node.unsupported("attribute reduction", &format!("\"{other}\" is not supported"))),
    }
}

/// The data with update `i` at the flat index `targets[i]`; of several updates of one element that do not add up the
/// last one wins.
fn at_constants(
    lowering: &mut Lowering,
    node: &Node,
    data: &Value,
    updates: &Value,
    targets: &[usize],
    add: bool,
) -> Result<Value, OnnxError> {
    lowering.charge(node.name, [data.len() + updates.len(), 2])?;
    let mut terms: Vec<Vec<(usize, f64)>> = (0..data.len()).map(|i| vec![(i, 1.0)]).collect();
    for (i, &target) in targets.iter().enumerate() {
        if !add {
            terms[target].clear();
        }
        terms[target].push((data.len() + i, 1.0));
    }
    let mut rows = AffineBuilder::new(data.len() + updates.len());
    terms.into_iter().for_each(|terms| rows.push(terms, 0.0));
    lowering.affine(node, &[data, updates], rows.finish(), data.shape().to_vec(), data.kind())
}

/// Updates of lines of data, one after the other.
struct Lines<'a> {
    /// `[count, size]`
    data: Value,
    count: usize,
    size: usize,
    /// `[count, updates]`, as `hot`, `[count, updates, size]`, is.
    updates: &'a Value,
    hot: &'a Value,
}

impl Lines<'_> {
    /// `line <- line * (1 - hot) + hot * update` for every update, or `line <- line + hot * update`.
    fn updated(self, lowering: &mut Lowering, node: &Node, add: bool) -> Result<Value, OnnxError> {
        let Self { mut data, count, size, updates, hot } = self;
        let (kind, shape, steps) = (data.kind(), vec![count, size], updates.len() / count);
        let hot = hot.with_kind(kind);
        for u in 0..steps {
            lowering.charge(node.name, [count, size, 4])?;
            let columns = (0..count).flat_map(|c| (0..size).map(move |s| (c * steps + u) * size + s)).collect();
            let hot = lowering.select(node, &hot, shape.clone(), columns)?;
            let columns = (0..count).flat_map(|c| std::iter::repeat_n(c * steps + u, size)).collect();
            let update = lowering.select(node, updates, shape.clone(), columns)?;
            let update = lowering.product(node, &update, &hot)?;
            if !add {
                let kept = lowering.scaled(node, &hot, |_| -1.0, |_| 1.0)?;
                data = lowering.product(node, &data, &kept)?;
            }
            data = lowering.combination(node, &[(&data, 1.0), (&update, 1.0)], 0.0)?;
        }
        Ok(data)
    }
}

/// Data and updates, of one type, and whether updates add up.
fn operands<'a>(node: &'a Node) -> Result<(&'a Value, &'a Value, &'a Value, bool), OnnxError> {
    let (data, indices, updates, add) = (node.input(0)?, node.input(1)?, node.input(2)?, adds(node)?);
    if data.kind() != updates.kind() || (add && data.kind() == Kind::Bool) || indices.kind() != Kind::Integer {
        return Err(node.unsupported("its element types", "data and updates must be alike, the indices integers"));
    }
    if data.len() == 0 || updates.len() == 0 {
        return Err(node.unsupported("its operands", "they must have elements"));
    }
    Ok((data, indices, updates, add))
}

/// `y[i, indices[i, j, k], k] = updates[i, j, k]`, for the middle axis; other elements are those of the data.
fn scatter_elements(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (data, indices, updates, add) = operands(node)?;
    if indices.shape() != updates.shape() {
        return Err(node.mismatch(indices.shape(), updates.shape(), "there must be one update per index"));
    }
    let at = axis_attribute(node, "axis", 0, data.shape().len())?;
    let (shape, size, step) = (indices.shape(), data.shape()[at], strides(data.shape())[at]);
    lowering.charge_shape(node, data.shape())?;
    let lines = lines(node, data.shape(), shape, at)?;
    if let Some(integers) = indices.constant().and_then(|c| c.integers()) {
        let picks = resolved(node, &integers, size)?;
        let targets: Vec<usize> = lines.iter().zip(picks).map(|(line, pick)| line + pick * step).collect();
        return Ok(vec![at_constants(lowering, node, data, updates, &targets, add)?]);
    }
    // The axis of the updates goes last.
    let (inner, steps): (usize, usize) = (shape[at + 1..].iter().product(), shape[at]);
    let first = |line: usize| line / inner * steps * inner + line % inner;
    let count = updates.len() / steps;
    let columns: Vec<usize> = (0..count).flat_map(|c| (0..steps).map(move |u| first(c) + u * inner)).collect();
    let ordered_updates = lowering.select(node, updates, vec![count, steps], columns.clone())?;
    let ordered = lowering.select(node, indices, vec![count, steps], columns)?;
    let hot = one_hot(lowering, node, &ordered, size)?;
    lowering.charge(node.name, [count, size])?;
    let places: Vec<usize> =
        (0..count).flat_map(|c| (0..size).map(move |s| (c, s))).map(|(c, s)| lines[first(c)] + s * step).collect();
    let selected = lowering.select(node, data, vec![count, size], places.clone())?;
    let updated = Lines { data: selected, count, size, updates: &ordered_updates, hot: &hot };
    let updated = updated.updated(lowering, node, add)?;
    Ok(vec![at_constants(lowering, node, data, &updated, &places, false)?])
}

/// Slices of the data at tuples of indices, the last axis of the indices, are those of the updates.
fn scatter_nd(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (data, indices, updates, add) = operands(node)?;
    let mismatch = |reason: &str| node.mismatch(data.shape(), indices.shape(), reason);
    let Some((&width, tuples)) = indices.shape().split_last() else { return Err(mismatch("the indices have no axis")) };
    if width == 0 || width > data.shape().len() || indices.len() == 0 {
        return Err(mismatch("the indices do not fit the data"));
    }
    let (sizes, rest) = data.shape().split_at(width);
    if !tuples.iter().chain(rest).eq(updates.shape()) {
        return Err(node.mismatch(updates.shape(), rest, "there must be one slice of the data per tuple of indices"));
    }
    lowering.charge_shape(node, data.shape())?;
    let (count, inner, size) = (indices.len() / width, rest.iter().product::<usize>(), sizes.iter().product::<usize>());
    let flat = flat_indices(lowering, node, indices, sizes, count)?;
    if let Some(picks) = flat.constant().and_then(|c| c.integers()) {
        let picks = resolved(node, &picks, size)?;
        let targets: Vec<usize> = picks.iter().flat_map(|&p| (0..inner).map(move |i| p * inner + i)).collect();
        return Ok(vec![at_constants(lowering, node, data, updates, &targets, add)?]);
    }
    // Every index along the inner axes is a line of the outer ones.
    let hot = one_hot(lowering, node, &flat, size)?;
    lowering.charge(node.name, [inner, count, size])?;
    let repeated = (0..inner).flat_map(|_| 0..count * size).collect();
    let hot = lowering.select(node, &hot, vec![inner, count, size], repeated)?;
    let turned = |rows: usize| (0..inner).flat_map(move |i| (0..rows).map(move |r| r * inner + i)).collect::<Vec<_>>();
    let turned_updates = lowering.select(node, updates, vec![inner, count], turned(count))?;
    let lines = lowering.select(node, data, vec![inner, size], turned(size))?;
    let updated = Lines { data: lines, count: inner, size, updates: &turned_updates, hot: &hot };
    let updated = updated.updated(lowering, node, add)?;
    let back = (0..size).flat_map(|s| (0..inner).map(move |i| i * size + s)).collect();
    Ok(vec![lowering.select(node, &updated, data.shape().to_vec(), back)?])
}

/// `values[1]` at the index, `values[0]` elsewhere, along a new axis; a constant index that is out of range is nowhere.
fn one_hot_operator(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (indices, values) = (node.input(0)?, node.input(2)?);
    let depth = node.input(1)?.constant().map(|c| c.data.as_slice());
    let depth = match depth {
        Some(&[depth]) if depth >= 1.0 && depth.fract() == 0.0 => depth as usize,
        _ => return Err(node.unsupported("the depth", "it must be one constant positive integer")),
    };
    if values.shape() != [2] {
        return Err(node.mismatch(values.shape(), &[2], "there must be a value for off and one for on"));
    }
    let rank = indices.shape().len();
    let at = axis_attribute(node, "axis", -1, rank + 1)?;
    let mut shape = indices.shape().to_vec();
    shape.insert(at, depth);
    let count = lowering.charge_shape(node, &shape)?;
    let hot = match indices {
        Value::Constant(c) => {
            let picks: Vec<Option<usize>> =
                c.data.iter().map(|&i| if i.fract() == 0.0 { axis(i as i64, depth) } else { None }).collect();
            let on = |pick: &Option<usize>| {
                let pick = *pick;
                (0..depth).map(move |j| f64::from(u8::from(Some(j) == pick)))
            };
            lowering.constant(node, vec![count], Kind::Integer, picks.iter().flat_map(on).collect())?
        }
        Value::Activation(_) => one_hot(lowering, node, indices, depth)?,
    };
    let inner: usize = shape[at + 1..].iter().product();
    let column = |i: usize| (i / (inner * depth) * inner + i % inner) * depth + i / inner % depth;
    let hot = lowering.select(node, &hot, shape.clone(), (0..count).map(column).collect())?;
    let hot = hot.with_kind(values.kind());
    if let Some(&[off, on]) = values.constant().map(|c| c.data.as_slice()) {
        return Ok(vec![lowering.scaled(node, &hot, |_| on - off, |_| off)?]);
    }
    let off = lowering.select(node, values, shape.clone(), vec![0; count])?;
    let on = lowering.select(node, values, shape, vec![1; count])?;
    let difference = lowering.combination(node, &[(&on, 1.0), (&off, -1.0)], 0.0)?;
    let chosen = lowering.product(node, &difference, &hot)?;
    Ok(vec![lowering.combination(node, &[(&off, 1.0), (&chosen, 1.0)], 0.0)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Scatter", scatter_elements);
    registry.add("ScatterElements", scatter_elements);
    registry.add("ScatterND", scatter_nd);
    registry.add("OneHot", one_hot_operator);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, NodeProto, tensor_proto::DataType};

    use super::super::testing::with_text;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node};

    fn wide(v: &[i64]) -> Vec<f64> {
        v.iter().map(|&i| i as f64).collect()
    }

    /// A scatter into data of shape `x`, with indices of shape `dims` that are constant or an input.
    fn scatter(node: &NodeProto, x: &[i64], u: &[i64], dims: &[i64], indices: Option<&[i64]>) -> ModelProto {
        let constant = indices.iter().map(|v| ints("i", dims, v)).collect();
        let mut model = model(&[("x", x), ("u", u)], "y", constant, vec![node.clone()]);
        model.opset_import[0].version = 18;
        if indices.is_none() {
            graph_of(&mut model).input.push(declare("i", dims, DataType::Int64));
        }
        model
    }

    fn element(axis: i64, add: bool) -> NodeProto {
        let scatter = node("ScatterElements", &["x", "i", "u"], "y", vec![("axis", Attr::Int(axis))]);
        with_text(scatter, "reduction", if add { "add" } else { "none" })
    }

    fn tuple(add: bool) -> NodeProto {
        let scatter = node("ScatterND", &["x", "i", "u"], "y", vec![]);
        with_text(scatter, "reduction", if add { "add" } else { "none" })
    }

    #[test]
    fn scatters_agree() {
        for (axis, indices) in [(0, [1i64, 0, 2, 0, 2, 1]), (1, [0, 2, 1, -1, 0, 1])] {
            agrees(&scatter(&element(axis, false), &[3, 3], &[2, 3], &[2, 3], Some(&indices)));
        }
        agrees(&scatter(&tuple(false), &[3, 2], &[2, 2], &[2, 1], Some(&[2, 0])));
        agrees(&scatter(&tuple(false), &[3, 2], &[2], &[2, 2], Some(&[2, 0, 1, 1])));
    }

    #[test]
    fn indices_may_depend_on_the_input() {
        type Case<'a> = (NodeProto, &'a [i64], &'a [i64], &'a [&'a [i64]]);
        let cases: [Case; 6] = [
            (element(0, false), &[2, 3], &[2, 3], &[&[1, 0, 2, 1, 0, 1], &[1, 0, 2, 0, 2, 1]]),
            (element(1, false), &[2, 2], &[2, 2], &[&[0, 2, 1, 1]]),
            (element(0, true), &[2, 2], &[2, 2], &[&[0, 2, 0, 1], &[1, 1, 2, 1]]),
            (tuple(false), &[2, 3], &[2, 1], &[&[0, 2], &[1, 1]]),
            (tuple(true), &[2], &[2, 2], &[&[0, 2, 0, 2], &[1, 1, 2, 0]]),
            (tuple(false), &[2], &[2, 2], &[&[0, 2, 0, 2], &[1, 1, 2, 0]]),
        ];
        for (node, u, dims, indices) in cases {
            let general = import_model(&scatter(&node, &[3, 3], u, dims, None)).unwrap();
            for &indices in indices {
                let constant = import_model(&scatter(&node, &[3, 3], u, dims, Some(indices))).unwrap();
                let x: Vec<f64> = (0..constant.input_len()).map(|i| (i * i) as f64 - 3.0).collect();
                assert_eq!(general.eval(&[x.clone(), wide(indices)].concat()), constant.eval(&x));
            }
        }
    }

    #[test]
    fn the_last_update_wins_or_all_add_up() {
        let of = |add, indices: &[i64]| {
            let graph = import_model(&scatter(&element(0, add), &[2], &[2], &[2], Some(indices))).unwrap();
            graph.eval(&[1.0, 2.0, 10.0, 20.0])
        };
        assert_eq!(of(false, &[1, 1]), [1.0, 20.0]);
        assert_eq!(of(true, &[1, 1]), [1.0, 32.0]);
        assert_eq!(of(false, &[-1, 0]), [20.0, 10.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |node: &NodeProto, u: &[i64], dims: &[i64], indices: &[i64]| {
            assert!(import_model(&scatter(node, &[3, 3], u, dims, Some(indices))).is_err());
        };
        refused(&element(0, false), &[2], &[1], &[0]);
        refused(&element(0, false), &[1, 1], &[1, 1], &[3]);
        refused(&element(0, false), &[1, 1], &[1, 1], &[-4]);
        refused(&element(2, false), &[1, 1], &[1, 1], &[0]);
        refused(&element(0, false), &[1, 4], &[1, 4], &[0; 4]);
        refused(&tuple(false), &[2, 2], &[2, 1], &[0, 1]);
        refused(&tuple(false), &[1], &[1, 3], &[0, 0, 0]);
        refused(&tuple(false), &[1], &[1, 2], &[0, 3]);
        let multiply = with_text(node("ScatterND", &["x", "i", "u"], "y", vec![]), "reduction", "mul");
        refused(&multiply, &[1], &[1, 2], &[0, 0]);
    }

    #[test]
    fn one_hot_rows() {
        let of = |axis: i64, indices: Option<&[i64]>, values: Option<&[f32]>| {
            let attributes = vec![("axis", Attr::Int(axis))];
            let nodes = vec![node("OneHot", &["i", "d", "v"], "y", attributes)];
            let mut tensors = vec![ints("d", &[], &[3])];
            tensors.extend(indices.map(|v| ints("i", &[2], v)));
            tensors.extend(values.map(|v| floats("v", &[2], v)));
            let mut model = model(&[("x", &[1])], "y", tensors, nodes);
            let inputs = &mut graph_of(&mut model).input;
            inputs.clear();
            if indices.is_none() {
                inputs.push(declare("i", &[2], DataType::Int64));
            }
            if values.is_none() {
                inputs.push(declare("v", &[2], DataType::Float));
            }
            import_model(&model).unwrap()
        };
        let (rows, columns) = ([5.0, 5.0, 7.0, 7.0, 5.0, 5.0], [5.0, 7.0, 5.0, 5.0, 7.0, 5.0]);
        for (axis, expected) in [(-1, rows), (1, rows), (0, columns)] {
            assert_eq!(of(axis, None, Some(&[5.0, 7.0])).eval(&[2.0, 0.0]), expected);
            assert_eq!(of(axis, None, None).eval(&[2.0, 0.0, 5.0, 7.0]), expected);
            assert_eq!(of(axis, None, None).eval(&[-1.0, -3.0, 5.0, 7.0]), expected);
            assert_eq!(of(axis, Some(&[2, 0]), None).eval(&[5.0, 7.0]), expected);
            assert_eq!(of(axis, Some(&[-1, -3]), None).eval(&[5.0, 7.0]), expected);
        }
        assert_eq!(of(-1, Some(&[3, -4]), None).eval(&[5.0, 7.0]), [5.0; 6]);
    }
}
