//! Gather, GatherElements, GatherND.
//!
//! Constant indices select elements. Indices that depend on the input become rows of zeros but for a one, and a
//! product with the data. Negative indices count from the end.

use super::grid::axis_attribute;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, FloatOp};
use crate::onnx::lower::Activation;
use crate::onnx::shape::{axis, offsets, strides};
use crate::onnx::tensor::Kind;
use crate::ops::Product;

/// Per element of `indices`, which count from the end if negative, `size` numbers: zeros but for a one at that index. Over
/// the whole domain it must lie in `[-size, size)`.
pub(super) fn one_hot(lowering: &mut Lowering, node: &Node, indices: &Value, size: usize) -> Result<Value, OnnxError> {
    if indices.kind() != Kind::Integer || size == 0 {
        return Err(node.unsupported("the indices", "they must be integers, of an axis that has elements"));
    }
    let shape: Vec<usize> = indices.shape().iter().copied().chain([size]).collect();
    let count = lowering.charge_shape(node, &shape)?;
    if let Value::Constant(c) = indices {
        let picks = resolved(node, &c.integers().unwrap_or_default(), size)?;
        let data = picks.iter().flat_map(|&pick| (0..size).map(move |j| f64::from(u8::from(j == pick))));
        return lowering.constant(node, shape, Kind::Integer, data.collect());
    }
    // Two places per element of the axis, for `index + size`. Those that the domain rules out cost nothing.
    lowering.charge(node.name, [count, 2])?;
    let Value::Activation(places) = lowering.scaled(node, indices, |_| 1.0, |_| size as f64)? else {
        return Err(node.unsupported("the indices", "they must have elements"));
    };
    let name = format!("{}/index + {size}", node.name);
    let hot = lowering.append(&name, node.op(), FloatOp::OneHot { depth: 2 * size }, vec![places.id]);
    let hot = Value::Activation(Activation { id: hot, shape: [shape.as_slice(), &[2]].concat(), kind: Kind::Integer });
    let mut rows = AffineBuilder::new(2 * count);
    for row in 0..count / size {
        (0..size).for_each(|j| rows.push([0, size].map(|half| (2 * row * size + half + j, 1.0)).to_vec(), 0.0));
    }
    lowering.affine(node, &[&hot], rows.finish(), shape, Kind::Integer)
}

/// Constant indices of an axis of `size` elements; negative ones count from the end.
pub(super) fn resolved(node: &Node, indices: &[i64], size: usize) -> Result<Vec<usize>, OnnxError> {
    let picks: Option<Vec<usize>> = indices.iter().map(|&i| axis(i, size)).collect();
    picks.ok_or_else(|| node.unsupported("an index", &format!("the axis has {size} elements")))
}

/// Tuples of indices, `[count, sizes.len()]`, as one index of a tensor of shape `sizes` each.
pub(super) fn flat_indices(
    lowering: &mut Lowering,
    node: &Node,
    tuples: &Value,
    sizes: &[usize],
    count: usize,
) -> Result<Value, OnnxError> {
    let width = sizes.len();
    let steps = strides(sizes);
    lowering.charge_shape(node, &[count])?;
    if let Value::Constant(c) = tuples {
        let indices = c.integers().ok_or_else(|| node.unsupported("the indices", "they must be integers"))?;
        let mut flat = vec![0.0; count];
        for (i, &index) in indices.iter().enumerate() {
            let at = axis(index, sizes[i % width]);
            let at = at.ok_or_else(|| node.unsupported("an index", &format!("the axes have {sizes:?} elements")))?;
            flat[i / width] += (at * steps[i % width]) as f64;
        }
        return lowering.constant(node, vec![count], Kind::Integer, flat);
    }
    if width == 1 {
        return lowering.reshape(node, tuples, vec![count]);
    }
    // Every index is checked by itself: one beyond its axis must not reach into another row.
    let mut parts = vec![];
    for (a, &size) in sizes.iter().enumerate() {
        let column = lowering.select(node, tuples, vec![count], (0..count).map(|i| i * width + a).collect())?;
        let hot = one_hot(lowering, node, &column, size)?;
        let mut rows = AffineBuilder::new(count * size);
        for i in 0..count {
            rows.push((0..size).map(|s| (i * size + s, (s * steps[a]) as f64)).collect(), 0.0);
        }
        parts.push(lowering.affine(node, &[&hot], rows.finish(), vec![count], Kind::Integer)?);
    }
    let terms: Vec<(&Value, f64)> = parts.iter().map(|p| (p, 1.0)).collect();
    lowering.combination(node, &terms, 0.0)
}

/// `batch` times the rows of `data`, in `[batch, size, inner]`, at `count` indices each: those of the batch, or the
/// same in every batch.
struct Rows<'a> {
    data: &'a Value,
    indices: &'a Value,
    batch: usize,
    count: usize,
    size: usize,
    inner: usize,
}

impl Rows<'_> {
    fn gather(self, lowering: &mut Lowering, node: &Node, shape: Vec<usize>) -> Result<Value, OnnxError> {
        let Self { data, indices, batch, count, size, inner } = self;
        lowering.charge_shape(node, &shape)?;
        if let Value::Constant(c) = indices {
            let integers = c.integers().ok_or_else(|| node.unsupported("the indices", "they must be integers"))?;
            let picks = resolved(node, &integers, size)?;
            let row = |b: usize, n: usize| {
                let pick = if picks.len() == count { picks[n] } else { picks[b * count + n] };
                (0..inner).map(move |i| (b * size + pick) * inner + i)
            };
            let columns = (0..batch).flat_map(|b| (0..count).flat_map(move |n| row(b, n))).collect();
            return lowering.select(node, data, shape, columns);
        }
        let mut hot = one_hot(lowering, node, indices, size)?;
        let len = count * size;
        if hot.len() != batch * len {
            lowering.charge(node.name, [batch, len])?;
            hot = lowering.select(node, &hot, vec![batch, len], (0..batch).flat_map(|_| 0..len).collect())?;
        }
        let product = Product { batch, rows: count, inner: size, columns: inner };
        let gathered = lowering.matrix_product(node, &hot.with_kind(data.kind()), data, product, shape)?;
        Ok(gathered.with_kind(data.kind()))
    }
}

fn gather(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let at = axis_attribute(node, "axis", 0, data.shape().len())?;
    let (outer, inner, size) = (&data.shape()[..at], &data.shape()[at + 1..], data.shape()[at]);
    let shape: Vec<usize> = outer.iter().chain(indices.shape()).chain(inner).copied().collect();
    let (batch, inner) = (outer.iter().product(), inner.iter().product());
    let rows = Rows { data, indices, batch, count: indices.len(), size, inner };
    Ok(vec![rows.gather(lowering, node, shape)?])
}

/// `y[i, j, k] = x[i, indices[i, j, k], k]`, for the middle axis.
fn gather_elements(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let at = axis_attribute(node, "axis", 0, data.shape().len())?;
    let shape = indices.shape().to_vec();
    let lines = lines(node, data.shape(), &shape, at)?;
    let (size, step) = (data.shape()[at], strides(data.shape())[at]);
    let count = lowering.charge_shape(node, &shape)?;
    if let Value::Constant(c) = indices {
        let integers = c.integers().ok_or_else(|| node.unsupported("the indices", "they must be integers"))?;
        let picks = resolved(node, &integers, size)?;
        let columns = lines.iter().zip(picks).map(|(line, pick)| line + pick * step).collect();
        return Ok(vec![lowering.select(node, data, shape, columns)?]);
    }
    lowering.charge(node.name, [count, size])?;
    let columns = lines.iter().flat_map(|&line| (0..size).map(move |s| line + s * step)).collect();
    let along = lowering.select(node, data, vec![count, size], columns)?;
    let indices = lowering.reshape(node, indices, vec![count, 1])?;
    let rows = Rows { data: &along, indices: &indices, batch: count, count: 1, size, inner: 1 };
    Ok(vec![rows.gather(lowering, node, shape)?])
}

/// For every element of a tensor of indices, the flat index in the data of the first element along axis `at` whose
/// other indices are the same.
pub(super) fn lines(node: &Node, data: &[usize], indices: &[usize], at: usize) -> Result<Vec<usize>, OnnxError> {
    let fits = data.len() == indices.len() && (0..data.len()).all(|a| a == at || indices[a] <= data[a]);
    if !fits || crate::onnx::shape::element_count(indices).is_none() {
        return Err(node.mismatch(data, indices, "the indices do not fit the data"));
    }
    let mut steps = strides(data);
    steps[at] = 0;
    Ok(offsets(indices, &steps))
}

/// Slices of the data at tuples of indices, the last axis of the indices, in every one of the leading `batch_dims` axes.
fn gather_nd(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let mismatch = |reason: &str| node.mismatch(data.shape(), indices.shape(), reason);
    let leading = usize::try_from(node.int("batch_dims")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let Some((&width, tuples)) = indices.shape().split_last() else { return Err(mismatch("the indices have no axis")) };
    if leading > tuples.len() || data.shape().get(..leading) != Some(&tuples[..leading]) {
        return Err(mismatch("the leading axes are not the same"));
    }
    if width == 0 || data.shape().len() - leading < width || data.shape().contains(&0) || indices.len() == 0 {
        return Err(mismatch("the indices do not fit the data"));
    }
    let (sizes, rest) = data.shape()[leading..].split_at(width);
    let batch: usize = tuples[..leading].iter().product();
    let count = indices.len() / width;
    let flat = flat_indices(lowering, node, indices, sizes, count)?;
    let shape = tuples.iter().chain(rest).copied().collect();
    let (size, inner) = (sizes.iter().product(), rest.iter().product());
    let rows = Rows { data, indices: &flat, batch, count: count / batch, size, inner };
    Ok(vec![rows.gather(lowering, node, shape)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Gather", gather);
    registry.add("GatherElements", gather_elements);
    registry.add("GatherND", gather_nd);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, declare, graph_of, ints, model, node, weights};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn gather_along_every_axis() {
        for (axis, indices) in [(0, vec![1, 0, 1]), (1, vec![-1]), (2, vec![3, 0])] {
            let indices = ints("i", &[indices.len() as i64], &indices);
            let nodes = vec![node("Gather", &["x", "i"], "y", vec![("axis", Attr::Int(axis))])];
            agrees(&model(&[("x", &[2, 3, 4])], "y", vec![indices], nodes));
        }
        let nodes = vec![node("Gather", &["x", "i"], "y", vec![])];
        let beyond = model(&[("x", &[2, 3])], "y", vec![ints("i", &[1], &[2])], nodes.clone());
        assert!(matches!(import_model(&beyond), Err(OnnxError::UnsupportedAttribute { .. })));
        let nothing = model(&[("x", &[2, 3])], "y", vec![ints("i", &[0], &[])], nodes);
        assert!(matches!(import_model(&nothing), Err(OnnxError::ZeroSized { .. })));
    }

    #[test]
    fn elements_and_tuples_agree() {
        for (axis, dims, indices) in [(0, [2, 3], [1i64, 0, 1, 0, 0, 1]), (1, [2, 3], [2, 2, 0, -1, 1, 0])] {
            let nodes = vec![node("GatherElements", &["x", "i"], "y", vec![("axis", Attr::Int(axis))])];
            agrees(&model(&[("x", &[2, 3])], "y", vec![ints("i", &dims, &indices)], nodes));
        }
        let cases: [(&[i64], i64, &[i64]); 4] = [
            (&[2, 3], 0, &[1, 0, 2, 0, 1, 3]),
            (&[2, 1], 0, &[1, 0]),
            (&[2, 2, 1], 1, &[2, 0, 1, 1]),
            (&[2], 0, &[1, 2]),
        ];
        for (dims, batch, indices) in cases {
            let nodes = vec![node("GatherND", &["x", "i"], "y", vec![("batch_dims", Attr::Int(batch))])];
            agrees(&model(&[("x", &[2, 3, 4])], "y", vec![ints("i", dims, indices)], nodes));
        }
    }

    /// The node's result for every one of `indices`, checked to be the same with constant indices, with the data
    /// constant or not.
    fn same(
        op: &str,
        x: &[i64],
        dims: &[i64],
        attributes: impl Fn() -> Vec<(&'static str, Attr<'static>)>,
        indices: &[&[i64]],
    ) {
        let nodes = || vec![node(op, &["x", "i"], "y", attributes())];
        let data: Vec<f64> = weights("x", x, 3).float_data.iter().map(|&v| v.into()).collect();
        let declared = |inputs: &[(&str, &[i64])], constants| {
            let mut model = model(inputs, "y", constants, nodes());
            graph_of(&mut model).input.push(declare("i", dims, DataType::Int64));
            import_model(&model).unwrap()
        };
        let (both, only): (Graph, Graph) = (declared(&[("x", x)], vec![]), declared(&[], vec![weights("x", x, 3)]));
        for &indices in indices {
            let constant = import_model(&model(&[("x", x)], "y", vec![ints("i", dims, indices)], nodes())).unwrap();
            let expected = constant.eval(&data);
            let wide: Vec<f64> = indices.iter().map(|&i| i as f64).collect();
            assert_eq!(both.eval(&[data.clone(), wide.clone()].concat()), expected);
            assert_eq!(only.eval(&wide), expected);
            assert_eq!(both.outputs[0].2, constant.outputs[0].2);
        }
    }

    #[test]
    fn indices_may_depend_on_the_input() {
        let along = |a| move || vec![("axis", Attr::Int(a))];
        for a in [0, 1] {
            same("Gather", &[3, 3, 2], &[2], along(a), &[&[0, 2], &[1, 1], &[-1, -3]]);
            same("Gather", &[3, 3, 2], &[1, 2], along(a), &[&[0, 2]]);
            same("Gather", &[3, 3], &[], along(a), &[&[0], &[2]]);
            same("GatherElements", &[3, 3], &[2, 2], along(a), &[&[0, 2, 1, 1], &[2, -3, -1, 1]]);
        }
        same("GatherND", &[2, 3, 2], &[2, 2], Vec::new, &[&[0, 2, 1, 1], &[1, 0, -1, -3]]);
        same("GatherND", &[2, 3, 2], &[2, 1], Vec::new, &[&[0, 1], &[1, -2]]);
        same("GatherND", &[2, 3, 2], &[2, 1], || vec![("batch_dims", Attr::Int(1))], &[&[2, 1], &[1, 0]]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (op, dims, indices) in [
            ("GatherElements", &[3i64, 1][..], &[0i64, 0, 0][..]),
            ("GatherElements", &[2], &[0, 0]),
            ("GatherElements", &[1, 1], &[i64::MIN]),
            ("GatherND", &[1, 3], &[0, 0, 0]),
            ("GatherND", &[1, 2], &[0, 3]),
            ("GatherND", &[], &[0]),
        ] {
            let attributes = vec![("axis", Attr::Int(1))];
            let nodes = vec![node(op, &["x", "i"], "y", attributes)];
            assert!(import_model(&model(&[("x", &[2, 3])], "y", vec![ints("i", dims, indices)], nodes)).is_err());
        }
        for batch in [-1, 2, i64::MAX] {
            let nodes = vec![node("GatherND", &["x", "i"], "y", vec![("batch_dims", Attr::Int(batch))])];
            assert!(import_model(&model(&[("x", &[2, 3])], "y", vec![ints("i", &[2, 1], &[0, 0])], nodes)).is_err());
        }
    }
}
