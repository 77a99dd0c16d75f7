//! Softmax, its logarithm, Hardmax.

use super::common::{filled, float};
use super::gather::one_hot;
use super::grid::axis_attribute;
use super::groups::{Groups, Rows};
use super::mask::separated;
use super::order::greatest_column;
use super::reduce::Exponentials;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function};
use crate::onnx::tensor::{Constant, Kind};

/// The groups that are normalised: along one axis from operator set 13 on; over all axes from the given one on before.
fn groups(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Groups, OnnxError> {
    float(node, x)?;
    let rank = x.shape().len();
    let old = node.opset < 13;
    let at = axis_attribute(node, "axis", if old { 1 } else { -1 }, rank)?;
    let axes: Vec<usize> = if old { (at..rank).collect() } else { vec![at] };
    Groups::new(lowering, node, x.shape(), &axes)
}

/// `exp(x - maximum) / sum of exp(x - maximum)`, in `[0, 1]`.
fn softmax(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let groups = groups(lowering, node, x)?;
    let rows = match separated(lowering, node, x)? {
        None => {
            let rows = groups.gather(lowering, node, x)?;
            of_rows(lowering, node, &rows, None)?
        }
        Some((x, kept)) => {
            let rows = groups.gather(lowering, node, &x)?;
            let kept = groups.gather(lowering, node, &kept)?;
            let all_excluded = |kept: &Constant| kept.data.chunks(groups.size.max(1)).any(|row| !row.contains(&1.0));
            if kept.constant().is_none_or(all_excluded) {
                return Err(node.unsupported("its mask", "it leaves out every element that is normalised with others"));
            }
            of_rows(lowering, node, &rows, Some(&kept))?
        }
    };
    Ok(vec![groups.scatter(lowering, node, &rows)?])
}

/// The softmax of every row of a matrix, or only of the elements at which `mask` is true; the others are zero.
pub(super) fn of_rows(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    mask: Option<&Value>,
) -> Result<Value, OnnxError> {
    let rows = Rows::of(x);
    let found = match mask {
        None => Exponentials::new(lowering, node, &rows, x)?,
        Some(Value::Constant(kept)) => return of_some(lowering, node, x, &kept.data),
        Some(mask) => Exponentials::masked(lowering, node, &rows, x, mask)?,
    };
    shares(lowering, node, &rows, &found)
}

/// The exponentials over the sums of their rows.
fn shares(lowering: &mut Lowering, node: &Node, rows: &Rows, of: &Exponentials) -> Result<Value, OnnxError> {
    let sums = rows.spread(lowering, node, &of.sums)?;
    lowering.quotient(node, &of.exponentials, &sums)
}

/// The softmax of the elements of every row of a matrix that are kept, those that are not zero in `kept`. Nothing is computed for
/// the others: they are zero.
fn of_some(lowering: &mut Lowering, node: &Node, x: &Value, kept: &[f64]) -> Result<Value, OnnxError> {
    let size = x.shape().get(1).copied().unwrap_or(1).max(1);
    let places: Vec<usize> = (0..kept.len()).filter(|&i| kept[i] != 0.0).collect();
    if places.is_empty() {
        return filled(lowering, node, x.shape(), Kind::Float, 0.0);
    }
    let lengths = kept.chunks(size).map(|row| row.iter().filter(|&&k| k != 0.0).count());
    let rows = Rows::of_lengths(lengths.filter(|&len| len > 0).collect());
    let mut spread = AffineBuilder::new(places.len());
    let compact = lowering.select(node, x, vec![places.len()], places)?;
    let found = Exponentials::new(lowering, node, &rows, &compact)?;
    let shares = shares(lowering, node, &rows, &found)?;
    lowering.charge_shape(node, x.shape())?;
    let mut next = 0..;
    kept.iter()
        .for_each(|&kept| spread.push(next.by_ref().take(usize::from(kept != 0.0)).map(|i| (i, 1.0)).collect(), 0.0));
    lowering.affine(node, &[&shares], spread.finish(), x.shape().to_vec(), Kind::Float)
}

/// `x - maximum - ln(sum of exp(x - maximum))`
fn log_softmax(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let groups = groups(lowering, node, x)?;
    let rows = groups.gather(lowering, node, x)?;
    let each = Rows::of(&rows);
    let Exponentials { distances, sums, .. } = Exponentials::new(lowering, node, &each, &rows)?;
    let logarithms = lowering.function(node, Function::Ln, &sums)?;
    let logarithms = each.spread(lowering, node, &logarithms)?;
    let rows = lowering.combination(node, &[(&distances, -1.0), (&logarithms, -1.0)], 0.0)?;
    Ok(vec![groups.scatter(lowering, node, &rows)?])
}

/// 1 at the first of the greatest elements, 0 elsewhere.
fn hardmax(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let groups = groups(lowering, node, x)?;
    let rows = groups.gather(lowering, node, x)?;
    let places = greatest_column(lowering, node, &rows)?;
    let rows = one_hot(lowering, node, &places, groups.size)?.with_kind(Kind::Float);
    Ok(vec![groups.scatter(lowering, node, &rows)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Hardmax", hardmax);
    registry.add("LogSoftmax", log_softmax);
    registry.add("Softmax", softmax);
}

#[cfg(test)]
mod tests {
    use crate::graph::FloatOp;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, model, node};

    #[test]
    fn along_any_axis() {
        for op in ["Softmax", "LogSoftmax"] {
            for at in [0, 1, 2, -1, -3] {
                for opset in [11, 13] {
                    let nodes = vec![node(op, &["x"], "y", vec![("axis", Attr::Int(at))])];
                    let mut model = model(&[("x", &[2, 3, 4])], "y", vec![], nodes);
                    model.opset_import[0].version = opset;
                    agrees(&model);
                }
            }
            let mut old = model(&[("x", &[2, 3, 4])], "y", vec![], vec![node(op, &["x"], "y", vec![])]);
            agrees(&old);
            old.opset_import[0].version = 9;
            agrees(&old);
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let graph = agrees(&model(&[("x", &[1, 2])], "y", vec![], vec![node("Softmax", &["x"], "y", vec![])]));
        assert_eq!(graph.eval(&[5000.0, 5000.0]), [0.5, 0.5]);
    }

    /// What a normalisation says of its elements is enough to do without a maximum, if they are close.
    #[test]
    fn scores_that_are_known_to_be_close_need_no_maximum() {
        for op in ["Softmax", "LogSoftmax", "ReduceLogSumExp"] {
            let relus = |scale: f32| {
                let normalised = node("LayerNormalization", &["x", "s"], "n", vec![("epsilon", Attr::Float(0.01))]);
                let nodes = vec![normalised, node(op, &["n"], "y", vec![])];
                let scales = floats("s", &[4], &[scale; 4]);
                let mut model = model(&[("x", &[2, 3, 4])], "y", vec![scales], nodes);
                model.opset_import[0].version = 17;
                agrees(&model).nodes.iter().filter(|node| node.op == FloatOp::Relu).count()
            };
            // elements are at most twice the scale; two clamp them
            assert_eq!(relus(1.0), 2, "{op}");
            assert!(relus(5.0) > 2, "{op}");
        }
    }

    #[test]
    fn the_first_of_the_greatest_is_one() {
        let eval = |at, opset| {
            let nodes = vec![node("Hardmax", &["x"], "y", vec![("axis", Attr::Int(at))])];
            let mut model = model(&[("x", &[1, 2, 3])], "y", vec![], nodes);
            model.opset_import[0].version = opset;
            import_model(&model).unwrap().eval(&[1.0, 3.0, 3.0, 2.0, 0.0, 4.0])
        };
        assert_eq!(eval(-1, 13), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(eval(1, 13), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(eval(1, 11), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
