//! Reductions along axes, running sums.

use super::common::float;
use super::compare::chosen;
use super::elementwise::{numbers, truncated_quotient};
use super::grid::distinct_axes;
use super::groups::{Binary, Groups, Neutral, Rows, at_least};
use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function};
use crate::onnx::shape::{axis, offsets, strides};
use crate::onnx::tensor::Kind;

/// From a matrix to one number per row.
type Reduction = fn(&mut Lowering, &Node, &Value) -> Result<Value, OnnxError>;

/// The axes are an attribute in older operator sets and an input in newer ones; without any, all are reduced, or none
/// if the attribute `noop_with_empty_axes` is set. `None` stands for none.
fn axes(node: &Node, rank: usize) -> Result<Option<Vec<usize>>, OnnxError> {
    let given = match (node.optional_input(1), node.ints("axes")?) {
        (Some(_), _) => node.integers(1, "the axes")?,
        (None, attribute) => attribute.unwrap_or_default().to_vec(),
    };
    let none = node.flag("noop_with_empty_axes")?;
    if given.is_empty() {
        return Ok((!none).then(|| (0..rank).collect()));
    }
    Ok(Some(distinct_axes(node, &given, rank)?))
}

fn reduced(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    reduction: Reduction,
    identity_if_none: bool,
) -> Result<Vec<Value>, OnnxError> {
    let keep = node.int("keepdims")?.unwrap_or(1) != 0;
    let Some(axes) = axes(node, x.shape().len())? else {
        return match identity_if_none {
            true => Ok(vec![x.clone()]),
            false => Err(node.unsupported("attribute noop_with_empty_axes", "name the axes")),
        };
    };
    let dims = x.shape().iter().enumerate();
    let shape = dims.filter(|(a, _)| keep || !axes.contains(a)).map(|(a, &d)| if axes.contains(&a) { 1 } else { d });
    let shape: Vec<usize> = shape.collect();
    let groups = Groups::new(lowering, node, x.shape(), &axes)?;
    if groups.size == 0 {
        return Err(OnnxError::ZeroSized { tensor: node.name.into(), shape: x.shape().to_vec() });
    }
    let rows = groups.gather(lowering, node, x)?;
    let result = reduction(lowering, node, &rows)?;
    Ok(vec![lowering.reshape(node, &result, shape)?])
}

fn sum(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    Rows::of(x).sums(lowering, node, x, 1.0, 0.0)
}

/// Means of integers are truncated.
fn mean(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let size = x.shape().get(1).copied().unwrap_or(1) as f64;
    if x.kind() == Kind::Float {
        return Rows::of(x).sums(lowering, node, x, 1.0 / size, 0.0);
    }
    let sums = Rows::of(x).sums(lowering, node, x, 1.0, 0.0)?;
    let sizes = lowering.constant(node, sums.shape().to_vec(), Kind::Integer, vec![size; sums.len()])?;
    truncated_quotient(lowering, node, &sums, &sizes)
}

fn greatest(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    Rows::of(x).maxima(lowering, node, x)
}

fn least(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    Rows::of(x).fold(lowering, node, x, Lowering::minimum, Neutral::Any)
}

fn product(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let pair: Binary = Lowering::product;
    Rows::of(x).fold(lowering, node, x, pair, Neutral::One)
}

/// `sum of |x|`, as `sum of 2 max(x, 0) - x`.
fn l1(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let positive = lowering.relu(node, x)?;
    let magnitude = lowering.combination(node, &[(&positive, 2.0), (x, -1.0)], 0.0)?;
    Rows::of(&magnitude).sums(lowering, node, &magnitude, 1.0, 0.0)
}

fn sum_of_squares(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let squares = lowering.square(node, x)?;
    Rows::of(&squares).sums(lowering, node, &squares, 1.0, 0.0)
}

fn l2(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    float(node, x)?;
    let squares = sum_of_squares(lowering, node, x)?;
    lowering.sqrt(node, &squares)
}

fn log_sum(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    float(node, x)?;
    let sums = sum(lowering, node, x)?;
    lowering.function(node, Function::Ln, &sums)
}

fn log_sum_exp(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    float(node, x)?;
    let Exponentials { maxima, sums, .. } = Exponentials::new(lowering, node, &Rows::of(x), x)?;
    let logarithms = lowering.function(node, Function::Ln, &sums)?;
    lowering.combination(node, &[(&maxima, 1.0), (&logarithms, 1.0)], 0.0)
}

/// Rows whose greatest number is known to within this need no maximum: the greatest exponential of a row is not less than `2^-12` of what
/// it may be.
const NARROW: f64 = 8.0;

/// The exponentials of rows of numbers, each less the greatest of its row, or less the greatest that a number of the row may be.
///
/// They lie in `(0, 1]`, and their sums are positive, as range analysis sees.
pub(super) struct Exponentials {
    /// What is taken from the numbers of every row.
    pub maxima: Value,
    /// `maximum - x`
    pub distances: Value,
    /// `exp(-distance)`
    pub exponentials: Value,
    /// The sum; less the maximum it is at least 1, as one of its terms is `exp(0)`.
    pub sums: Value,
}

impl Exponentials {
    pub fn new(lowering: &mut Lowering, node: &Node, rows: &Rows, x: &Value) -> Result<Self, OnnxError> {
        let Some(greatest) = rows.greatest_of_narrow(&lowering.spans(x), NARROW) else {
            return Self::less_maxima(lowering, node, rows, x);
        };
        let maxima = lowering.constant(node, vec![greatest.len()], x.kind(), greatest)?;
        let repeated = rows.spread(lowering, node, &maxima)?;
        let distances = lowering.combination(node, &[(&repeated, 1.0), (x, -1.0)], 0.0)?;
        Self::of_distances(lowering, node, rows, maxima, distances)
    }

    fn of_distances(
        lowering: &mut Lowering,
        node: &Node,
        rows: &Rows,
        maxima: Value,
        distances: Value,
    ) -> Result<Self, OnnxError> {
        let negative = lowering.scaled(node, &distances, |_| -1.0, |_| 0.0)?;
        let exponentials = lowering.function(node, Function::Exp, &negative)?;
        let sums = rows.sums(lowering, node, &exponentials, 1.0, 0.0)?;
        Ok(Self { maxima, distances, exponentials, sums })
    }

    fn less_maxima(lowering: &mut Lowering, node: &Node, rows: &Rows, x: &Value) -> Result<Self, OnnxError> {
        let maxima = rows.maxima(lowering, node, x)?;
        let repeated = rows.spread(lowering, node, &maxima)?;
        let distances = lowering.combination(node, &[(&repeated, 1.0), (x, -1.0)], 0.0)?;
        let distances = lowering.relu(node, &distances)?;
        let all = Self::of_distances(lowering, node, rows, maxima, distances)?;
        let sums = at_least(lowering, node, &all.sums, 1.0)?;
        Ok(Self { sums, ..all })
    }

    /// Those of the elements at which `mask`, booleans, is true, and zeros at the others. A row without any has zeros and the sum 1.
    pub fn masked(
        lowering: &mut Lowering,
        node: &Node,
        rows: &Rows,
        x: &Value,
        mask: &Value,
    ) -> Result<Self, OnnxError> {
        // what is left out is replaced by what does not change the maximum of the others
        let least = rows.fold(lowering, node, x, Lowering::minimum, Neutral::Any)?;
        let least = rows.spread(lowering, node, &least)?;
        let replaced = chosen(lowering, node, mask, x, &least)?;
        let all = Self::less_maxima(lowering, node, rows, &replaced)?;
        let exponentials = lowering.product(node, &all.exponentials, &mask.with_kind(Kind::Float))?;
        let sums = rows.sums(lowering, node, &exponentials, 1.0, 0.0)?;
        let sums = at_least(lowering, node, &sums, 1.0)?;
        Ok(Self { exponentials, sums, ..all })
    }
}

/// Sums of each element and those before it along an axis, or after it if `reverse`; without itself if `exclusive`.
fn cumulative_sum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = numbers(node, 0)?;
    let rank = x.shape().len();
    let at = match node.integers(1, "the axis")?[..] {
        [given] => axis(given, rank)
            .ok_or_else(|| node.unsupported(&format!("axis {given}"), &format!("there are {rank} axes")))?,
        _ => return Err(node.unsupported("the axis", "it must be one integer")),
    };
    let (exclusive, reverse) = (node.flag("exclusive")?, node.flag("reverse")?);
    let (size, step) = (x.shape()[at], strides(x.shape())[at]);
    lowering.charge(node.name, [x.len(), size])?;
    // The index along the axis, of every element.
    let indices = offsets(x.shape(), &(0..rank).map(|a| usize::from(a == at)).collect::<Vec<_>>());
    let mut rows = AffineBuilder::new(x.len());
    for (i, &index) in indices.iter().enumerate() {
        let start = i - index * step;
        let range = match (reverse, exclusive) {
            (false, false) => 0..index + 1,
            (false, true) => 0..index,
            (true, false) => index..size,
            (true, true) => index + 1..size,
        };
        rows.push(range.map(|j| (start + j * step, 1.0)).collect(), 0.0);
    }
    Ok(vec![lowering.affine(node, &[x], rows.finish(), x.shape().to_vec(), x.kind())?])
}

pub(super) fn register(registry: &mut Registry) {
    let reductions: [(&'static str, Lower); 10] = [
        ("ReduceSum", |lowering, node| reduced(lowering, node, numbers(node, 0)?, sum, true)),
        ("ReduceMean", |lowering, node| reduced(lowering, node, numbers(node, 0)?, mean, true)),
        ("ReduceMax", |lowering, node| reduced(lowering, node, node.input(0)?, greatest, true)),
        ("ReduceMin", |lowering, node| reduced(lowering, node, node.input(0)?, least, true)),
        ("ReduceProd", |lowering, node| reduced(lowering, node, numbers(node, 0)?, product, true)),
        ("ReduceL1", |lowering, node| reduced(lowering, node, numbers(node, 0)?, l1, false)),
        ("ReduceL2", |lowering, node| reduced(lowering, node, numbers(node, 0)?, l2, false)),
        ("ReduceSumSquare", |lowering, node| reduced(lowering, node, numbers(node, 0)?, sum_of_squares, false)),
        ("ReduceLogSum", |lowering, node| reduced(lowering, node, numbers(node, 0)?, log_sum, false)),
        ("ReduceLogSumExp", |lowering, node| reduced(lowering, node, numbers(node, 0)?, log_sum_exp, false)),
    ];
    reductions.into_iter().for_each(|(name, lower)| registry.add(name, lower));
    registry.add("CumSum", cumulative_sum);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node};

    #[test]
    fn reductions_along_any_axes() {
        for op in ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"] {
            let op = format!("Reduce{op}");
            for axes in [&[0i64][..], &[1], &[2], &[-1, 0], &[0, 1, 2], &[1, 2]] {
                for keep in [0, 1] {
                    let attributes = || vec![("axes", Attr::Ints(axes)), ("keepdims", Attr::Int(keep))];
                    let mut nodes = vec![node(&op, &["p"], "y", attributes())];
                    // logarithms of sums need positive numbers
                    match op.as_str() {
                        "ReduceLogSum" => {
                            nodes.insert(0, node("Abs", &["x"], "a", vec![]));
                            nodes.insert(1, node("Add", &["a", "half"], "p", vec![]));
                        }
                        _ => nodes[0].input[0] = "x".into(),
                    }
                    if op == "ReduceSum" {
                        nodes[0] = node(&op, &["x", "axes"], "y", vec![("keepdims", Attr::Int(keep))]);
                    }
                    let initializers = vec![floats("half", &[], &[0.5]), ints("axes", &[axes.len() as i64], axes)];
                    agrees(&model(&[("x", &[2, 5, 3])], "y", initializers, nodes));
                }
            }
            let whole = vec![node("Exp", &["x"], "p", vec![]), node(&op, &["p"], "y", vec![])];
            agrees(&model(&[("x", &[2, 7])], "y", vec![], whole));
        }
    }

    #[test]
    fn maxima_are_trees() {
        let nodes = vec![node("ReduceMax", &["x"], "y", vec![])];
        let graph = agrees(&model(&[("x", &[1, 33])], "y", vec![], nodes));
        assert!(graph.nodes.len() <= 18, "{}", graph.nodes.len());
    }

    #[test]
    fn no_axes_may_mean_none() {
        let attributes = || vec![("noop_with_empty_axes", Attr::Int(1))];
        let sum = model(
            &[("x", &[1, 2])],
            "y",
            vec![],
            vec![node("ReduceSum", &["x"], "s", attributes()), node("Neg", &["s"], "y", vec![])],
        );
        assert_eq!(import_model(&sum).unwrap().eval(&[1.0, 2.0]), [-1.0, -2.0]);
        let l2 = model(&[("x", &[1, 2])], "y", vec![], vec![node("ReduceL2", &["x"], "y", attributes())]);
        assert!(import_model(&l2).unwrap_err().to_string().contains("noop_with_empty_axes"));
    }

    #[test]
    fn axes_are_distinct_and_in_range() {
        for axes in [&[2i64][..], &[0, -2], &[i64::MIN]] {
            let nodes = vec![node("ReduceMax", &["x"], "y", vec![("axes", Attr::Ints(axes))])];
            let error = import_model(&model(&[("x", &[1, 2])], "y", vec![], nodes)).unwrap_err();
            assert!(error.to_string().contains(&format!("axes {axes:?}")), "{error}");
        }
    }

    #[test]
    fn integers_stay_integers() {
        for (op, expected) in [("Sum", -5.0), ("Mean", -1.0), ("Max", 4.0), ("Prod", -28.0), ("L1", 13.0)] {
            let nodes =
                vec![node(&format!("Reduce{op}"), &["x"], "r", vec![]), node("Add", &["r", "zero"], "y", vec![])];
            let mut model = model(&[], "y", vec![ints("zero", &[], &[0])], nodes);
            graph_of(&mut model).input.push(declare("x", &[1, 4], DataType::Int64));
            assert_eq!(import_model(&model).unwrap().eval(&[4.0, -7.0, -1.0, -1.0]), [expected], "{op}");
        }
    }

    #[test]
    fn running_sums() {
        for flags in 0..4 {
            for at in [0i64, 1, -1] {
                let attributes = vec![("exclusive", Attr::Int(flags & 1)), ("reverse", Attr::Int(flags >> 1))];
                let nodes = vec![node("CumSum", &["x", "at"], "y", attributes)];
                agrees(&model(&[("x", &[2, 3, 4])], "y", vec![ints("at", &[], &[at])], nodes));
            }
        }
    }
}
