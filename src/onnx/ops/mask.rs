//! Masks of a softmax: elements to which a model adds minus infinity, or the least number of single precision.

use super::{Lowering, Node, OnnxError, Value};
use crate::graph::{AffineBuilder, FloatOp};
use crate::onnx::lower::Activation;
use crate::onnx::tensor::{Kind, UNBOUNDED};

/// An element to which a constant of at most this is added is left out: half the least number of single precision.
pub(super) const EXCLUDED: f64 = f32::MIN as f64 / 2.0;

/// A lesser factor might bring what is left out back among the others.
const LEAST_WEIGHT: f64 = 1.0 / 1024.0;

/// How many affine maps on top of one another are searched for a mask.
const MAX_DEPTH: usize = 4;

/// `x` without what its affine maps add to elements that are left out, which become zero, and whether each is kept.
/// `None` if none is left out.
pub(super) fn separated(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Option<(Value, Value)>, OnnxError> {
    let Value::Activation(Activation { id, shape, kind }) = x else { return Ok(None) };
    let Some(excluded) =
        summands(lowering, *id, |b| b <= EXCLUDED, MAX_DEPTH).filter(|excluded| excluded.contains(&true))
    else {
        return Ok(None);
    };
    let Some(FloatOp::Affine(map)) = lowering.producer(*id).map(|n| &n.op) else { return Ok(None) };
    let mut rows = AffineBuilder::new(map.input_len);
    for (j, &excluded) in excluded.iter().enumerate() {
        match excluded {
            true => rows.push(vec![], 0.0),
            false => rows.push(map.row(j).collect(), map.bias[j]),
        }
    }
    let inputs = lowering.producer(*id).map_or(vec![], |n| n.inputs.clone());
    lowering.charge_shape(node, shape)?;
    let kept = excluded.iter().map(|&excluded| f64::from(u8::from(!excluded))).collect();
    let kept = lowering.constant(node, shape.clone(), Kind::Bool, kept)?;
    Ok(Some((lowering.push(node, FloatOp::Affine(rows.finish()), inputs, shape.clone(), *kind), kept)))
}

/// Whether an element of `x` is the sum of an infinite constant and others.
pub(super) fn has_infinities(lowering: &Lowering, x: &Value) -> bool {
    match x {
        Value::Constant(c) => c.data.iter().any(|v| v.abs() >= UNBOUNDED),
        Value::Activation(a) => {
            summands(lowering, a.id, |b| b.abs() >= UNBOUNDED, MAX_DEPTH).is_some_and(|found| found.contains(&true))
        }
    }
}

/// Per element of the value `id`, whether it is the sum of a constant for which `found` holds and others. `None` if it is no
/// affine map.
fn summands(lowering: &Lowering, id: usize, found: fn(f64) -> bool, depth: usize) -> Option<Vec<bool>> {
    let producer = lowering.producer(id)?;
    let FloatOp::Affine(map) = &producer.op else { return None };
    let mut result: Vec<bool> = map.bias.iter().map(|&b| found(b)).collect();
    let inner: Vec<Option<Vec<bool>>> = match depth > 0 && producer.inputs.len() <= MAX_DEPTH {
        true => producer.inputs.iter().map(|&input| summands(lowering, input, found, depth - 1)).collect(),
        false => return Some(result),
    };
    // The length of one input that is no affine map follows from those of the others.
    if inner.iter().filter(|inner| inner.is_none()).count() > 1 {
        return Some(result);
    }
    let known: usize = inner.iter().flatten().map(Vec::len).sum();
    let rest = map.input_len - known;
    let columns: Vec<bool> = inner.into_iter().flat_map(|inner| inner.unwrap_or_else(|| vec![false; rest])).collect();
    for (j, result) in result.iter_mut().enumerate() {
        *result |= map.row(j).any(|(i, w)| w >= LEAST_WEIGHT && columns[i]);
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{NodeProto, TensorProto};

    use crate::graph::{FloatOp, Graph};
    use crate::onnx::testing::{Attr, floats, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    /// The softmax of a two by two matrix, masked by the nodes between `x` and `m`.
    fn masked(low: f32, nodes: Vec<NodeProto>, mut constants: Vec<TensorProto>) -> Result<Graph, OnnxError> {
        let mut nodes = nodes;
        nodes.push(node("Softmax", &["m"], "y", vec![]));
        constants.extend([floats("low", &[], &[low]), floats("scale", &[], &[0.5]), floats("zero", &[], &[0.0])]);
        import_model(&model(&[("x", &[2, 2])], "y", constants, nodes))
    }

    #[test]
    fn what_is_left_out_has_no_share() {
        for low in [f32::NEG_INFINITY, f32::MIN] {
            let causal = || floats("mask", &[2, 2], &[0.0, low, 0.0, 0.0]);
            let kept = || ints("kept", &[2, 2], &[1, 0, 1, 1]);
            let cast = node("Cast", &["kept"], "k", vec![("to", Attr::Int(9))]);
            let forms = [
                (vec![node("Add", &["x", "mask"], "m", vec![])], vec![causal()]),
                (vec![cast.clone(), node("Where", &["k", "x", "low"], "m", vec![])], vec![kept()]),
                (
                    vec![
                        cast,
                        node("Where", &["k", "zero", "low"], "w", vec![]),
                        node("Mul", &["x", "x"], "s", vec![]),
                        node("Add", &["s", "w"], "a", vec![]),
                        node("Mul", &["a", "scale"], "m", vec![]),
                    ],
                    vec![kept()],
                ),
            ];
            for (nodes, constants) in forms {
                let graph = masked(low, nodes, constants).unwrap();
                assert_eq!(graph.eval(&[1.0, 2.0, 3.0, 3.0]), [1.0, 0.0, 0.5, 0.5]);
                // nothing is computed for what is left out
                let exponentials = graph.nodes.iter().position(|n| matches!(n.op, FloatOp::Function(_))).unwrap();
                assert_eq!(graph.value_len(graph.inputs.len() + exponentials), 3);
            }
        }
    }

    #[test]
    fn a_mask_elsewhere_or_of_everything_is_refused() {
        let all = floats("mask", &[2, 2], &[0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
        let error = masked(0.0, vec![node("Add", &["x", "mask"], "m", vec![])], vec![all.clone()]).unwrap_err();
        assert!(error.to_string().contains("every element"), "{error}");
        let added = model(&[("x", &[2, 2])], "y", vec![all], vec![node("Add", &["x", "mask"], "y", vec![])]);
        let error = import_model(&added).unwrap_err();
        assert!(matches!(error, OnnxError::NonFinite { index: 6, .. }), "{error}");
    }
}
