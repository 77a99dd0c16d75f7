//! ArgMax, ArgMin, TopK: comparisons of pairs of elements.

use super::activation::clamped;
use super::gather::one_hot;
use super::grid::axis_attribute;
use super::pool::stacked;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Comparison};
use crate::onnx::tensor::Kind;
use crate::ops::Product;

/// The longest axis of TopK, which compares every pair of its elements.
const MAX_SORTED: usize = 128;

/// The tensor `[outer, size, inner]` around axis `at`.
struct Around {
    at: usize,
    outer: usize,
    size: usize,
    inner: usize,
}

impl Around {
    fn new(node: &Node, x: &Value, default: i64) -> Result<Self, OnnxError> {
        let at = axis_attribute(node, "axis", default, x.shape().len())?;
        if x.kind() == Kind::Bool || x.shape().contains(&0) {
            return Err(node.unsupported("its input", "it must be a tensor of numbers that has elements"));
        }
        let (outer, inner) = (x.shape()[..at].iter().product(), x.shape()[at + 1..].iter().product());
        Ok(Self { at, outer, size: x.shape()[at], inner })
    }
}

/// The rows `first`, `first + 2`, ... of `count` rows of a tensor `[rows, len]`.
fn alternate(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    first: usize,
    count: usize,
    len: usize,
) -> Result<Value, OnnxError> {
    let columns = (0..count).flat_map(|i| (0..len).map(move |j| (first + 2 * i) * len + j)).collect();
    lowering.select(node, x, vec![count, len], columns)
}

/// The index of the greatest (for `sign` -1 the least) element along an axis; of equal elements the first, or with
/// `select_last_index` the last.
fn extreme(lowering: &mut Lowering, node: &Node, sign: f64) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let around = Around::new(node, x, 0)?;
    let comparison = if node.flag("select_last_index")? { Comparison::AtLeast } else { Comparison::Above };
    let indices = tournament(lowering, node, x, &around, sign, comparison)?;
    let mut shape = x.shape().to_vec();
    match node.int("keepdims")?.unwrap_or(1) {
        0 => drop(shape.remove(around.at)),
        _ => shape[around.at] = 1,
    }
    Ok(vec![lowering.reshape(node, &indices, shape)?])
}

/// Of every row of a matrix, the index of the first of the greatest elements.
pub(super) fn greatest_column(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let &[outer, size] = x.shape() else { return Err(node.mismatch(x.shape(), &[], "it is not a matrix")) };
    let around = Around { at: 1, outer, size, inner: 1 };
    let indices = tournament(lowering, node, x, &around, 1.0, Comparison::Above)?;
    lowering.reshape(node, &indices, vec![outer])
}

/// The indices of the winners along an axis of at least one element: in every pair of neighbours the second wins if
/// `comparison` holds of its distance to the first, taken `sign` times.
fn tournament(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    around: &Around,
    sign: f64,
    comparison: Comparison,
) -> Result<Value, OnnxError> {
    let &Around { outer, size, inner, .. } = around;
    let len = outer * inner;
    lowering.charge_shape(node, x.shape())?;
    let mut rows = AffineBuilder::new(x.len());
    for s in 0..size {
        (0..len).for_each(|j| rows.push(vec![((j / inner * size + s) * inner + j % inner, sign)], 0.0));
    }
    let mut values = lowering.affine(node, &[x], rows.finish(), vec![size, len], x.kind())?;
    let indices = (0..size * len).map(|i| (i / len) as f64).collect();
    let mut indices = lowering.constant(node, vec![size, len], Kind::Integer, indices)?;
    let mut count = size;
    while count > 1 {
        let (half, odd) = (count / 2, count % 2);
        lowering.charge(node.name, [count, len, 4])?;
        let a = alternate(lowering, node, &values, 0, half, len)?;
        let b = alternate(lowering, node, &values, 1, half, len)?;
        let difference = lowering.combination(node, &[(&b, 1.0), (&a, -1.0)], 0.0)?;
        let wins = lowering.compare(node, comparison, &difference)?.with_kind(Kind::Integer);
        let index_a = alternate(lowering, node, &indices, 0, half, len)?;
        let index_b = alternate(lowering, node, &indices, 1, half, len)?;
        let step = lowering.combination(node, &[(&index_b, 1.0), (&index_a, -1.0)], 0.0)?;
        let step = lowering.product(node, &step, &wins)?;
        let mut next = lowering.combination(node, &[(&index_a, 1.0), (&step, 1.0)], 0.0)?;
        if odd == 1 {
            let last = alternate(lowering, node, &indices, count - 1, 1, len)?;
            next = stacked(lowering, node, &[&next, &last], vec![half + 1, len])?;
        }
        indices = next.with_kind(Kind::Integer);
        if half + odd > 1 {
            let excess = lowering.relu(node, &difference)?;
            let mut greater = lowering.combination(node, &[(&a, 1.0), (&excess, 1.0)], 0.0)?;
            if odd == 1 {
                let last = alternate(lowering, node, &values, count - 1, 1, len)?;
                greater = stacked(lowering, node, &[&greater, &last], vec![half + 1, len])?;
            }
            values = greater;
        }
        count = half + odd;
    }
    if size <= 2 {
        return Ok(indices);
    }
    // range analysis does not see that a winner is one of a pair
    clamped(lowering, node, &indices, Some(0.0), Some((size - 1) as f64))
}

/// The first `k` elements of an axis in order, and their indices; of equal elements the first comes first.
///
/// The place of element `i` is the number of elements that come before it,
/// `sum over j > i of [x_j > x_i] + sum over j < i of (1 - [x_i > x_j])`.
fn top_k(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let Around { at, outer, size, inner } = Around::new(node, x, -1)?;
    let k = match node.opset {
        ..10 => node.int("k")?,
        _ => match node.integers(1, "k")?.as_slice() {
            &[k] => Some(k),
            _ => None,
        },
    };
    let k = k.and_then(|k| usize::try_from(k).ok()).filter(|k| (1..=size).contains(k));
    let k = k.ok_or_else(|| node.unsupported("k", &format!("it must be a number from 1 to {size}")))?;
    if size > MAX_SORTED {
        let reason = format!("the axis has {size} elements, and at most {MAX_SORTED} are compared with each other");
        return Err(node.unsupported("its axis", &reason));
    }
    let sign = if node.int("largest")?.unwrap_or(1) != 0 { 1.0 } else { -1.0 };
    let lines = outer * inner;
    lowering.charge(node.name, [lines, size, size + k, 4])?;
    let place = |line: usize, s: usize| (line / inner * size + s) * inner + line % inner;
    let pairs: Vec<(usize, usize)> = (0..size).flat_map(|i| (i + 1..size).map(move |j| (i, j))).collect();

    let mut rows = AffineBuilder::new(x.len());
    for line in 0..lines {
        pairs.iter().for_each(|&(i, j)| rows.push(vec![(place(line, j), sign), (place(line, i), -sign)], 0.0));
    }
    let differences = lowering.affine(node, &[x], rows.finish(), vec![lines, pairs.len()], x.kind());
    let mut terms = vec![vec![]; size];
    for (p, &(i, j)) in pairs.iter().enumerate() {
        terms[i].push((p, 1.0));
        terms[j].push((p, -1.0));
    }
    let ranks = match pairs.is_empty() {
        true => lowering.constant(node, vec![lines, 1], Kind::Integer, vec![0.0; lines])?,
        false => {
            let greater = lowering.compare(node, Comparison::Above, &differences?)?;
            let mut rows = AffineBuilder::new(greater.len());
            for line in 0..lines {
                for (i, terms) in terms.iter().enumerate() {
                    rows.push(terms.iter().map(|&(p, w)| (line * pairs.len() + p, w)).collect(), i as f64);
                }
            }
            lowering.affine(node, &[&greater], rows.finish(), vec![lines, size], Kind::Integer)?
        }
    };
    let hot = one_hot(lowering, node, &ranks, size)?;
    // [lines, k, size]: whether element i has place r
    let column = |line: usize, r: usize| (0..size).map(move |i| (line * size + i) * size + r);
    let columns = (0..lines).flat_map(|line| (0..k).flat_map(move |r| column(line, r))).collect();
    let chosen = lowering.select(node, &hot, vec![lines, k, size], columns)?;
    let data = (0..lines * size).map(|i| place(i / size, i % size)).collect();
    let data = lowering.select(node, x, vec![lines, size], data)?;
    let product = Product { batch: lines, rows: k, inner: size, columns: 1 };
    let kind = x.kind();
    let values = lowering.matrix_product(node, &chosen.with_kind(kind), &data, product, vec![lines, k])?;
    let mut rows = AffineBuilder::new(chosen.len());
    for row in 0..lines * k {
        rows.push((0..size).map(|i| (row * size + i, i as f64)).collect(), 0.0);
    }
    let indices = lowering.affine(node, &[&chosen], rows.finish(), vec![lines, k], Kind::Integer)?;

    let mut shape = x.shape().to_vec();
    shape[at] = k;
    let back: Vec<usize> = (0..lines * k).map(|i| (i / (inner * k) * inner + i % inner) * k + i / inner % k).collect();
    let values = lowering.select(node, &values.with_kind(kind), shape.clone(), back.clone())?;
    Ok(vec![values, lowering.select(node, &indices, shape, back)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ArgMax", |lowering, node| extreme(lowering, node, 1.0));
    registry.add("ArgMin", |lowering, node| extreme(lowering, node, -1.0));
    registry.add("TopK", top_k);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::ValueInfoProto;

    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, graph_of, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn extremes_agree() {
        for op in ["ArgMax", "ArgMin"] {
            for (axis, keep) in [(0, 1), (1, 0), (-1, 1)] {
                for x in [[2i64, 3, 4], [1, 5, 7], [6, 1, 2]] {
                    let attributes = vec![("axis", Attr::Int(axis)), ("keepdims", Attr::Int(keep))];
                    agrees(&model(&[("x", &x)], "y", vec![], vec![node(op, &["x"], "y", attributes)]));
                }
            }
        }
    }

    #[test]
    fn the_first_or_the_last_of_equal_elements() {
        let of = |op, last, x: &[f64]| {
            let nodes = vec![node(op, &["x"], "y", vec![("select_last_index", Attr::Int(last))])];
            import_model(&model(&[("x", &[x.len() as i64])], "y", vec![], nodes)).unwrap().eval(x)[0]
        };
        // every tensor of up to six elements out of three values
        for len in 1..=6 {
            for code in 0..3usize.pow(len) {
                let x: Vec<f64> = (0..len).map(|i| (code / 3usize.pow(i) % 3) as f64).collect();
                let (least, greatest) =
                    x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
                let first = |v: f64| x.iter().position(|&w| w == v).unwrap() as f64;
                let last = |v: f64| x.iter().rposition(|&w| w == v).unwrap() as f64;
                if code % 5 == 0 {
                    assert_eq!(of("ArgMax", 0, &x), first(greatest), "{x:?}");
                    assert_eq!(of("ArgMax", 1, &x), last(greatest), "{x:?}");
                    assert_eq!(of("ArgMin", 0, &x), first(least), "{x:?}");
                    assert_eq!(of("ArgMin", 1, &x), last(least), "{x:?}");
                }
            }
        }
    }

    /// Values, then indices.
    fn top(x: &[i64], k: i64, axis: i64, largest: i64) -> Result<Graph, OnnxError> {
        let attributes = vec![("axis", Attr::Int(axis)), ("largest", Attr::Int(largest))];
        let mut top = node("TopK", &["x", "k"], "v", attributes);
        top.output.push("i".into());
        let mut model = model(&[("x", x)], "v", vec![ints("k", &[1], &[k])], vec![top]);
        graph_of(&mut model).output.push(ValueInfoProto { name: "i".into(), ..Default::default() });
        let graph = import_model(&model)?;
        if largest == 1 {
            agrees(&model);
        }
        Ok(graph)
    }

    #[test]
    fn the_first_elements_in_order() {
        for (axis, k) in [(0, 1), (1, 2), (-1, 4), (1, 3)] {
            top(&[2, 3, 4], k, axis, 1).unwrap();
        }
        let x = [3.0, 1.0, 3.0, 2.0, 1.0];
        assert_eq!(top(&[5], 3, 0, 1).unwrap().eval(&x), [3.0, 3.0, 2.0, 0.0, 2.0, 3.0]);
        assert_eq!(top(&[5], 4, 0, 0).unwrap().eval(&x), [1.0, 1.0, 2.0, 3.0, 1.0, 4.0, 3.0, 0.0]);
        assert_eq!(top(&[1, 2], 1, 0, 0).unwrap().eval(&x[..2]), [3.0, 1.0, 0.0, 0.0]);
        for (size, k) in [(5, 0), (5, 6), (5, i64::MIN), (129, 1)] {
            assert!(top(&[size], k, 0, 1).is_err());
        }
    }
}
