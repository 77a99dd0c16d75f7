//! Powers: constant exponents by squaring or as smooth functions, others through exponentials and logarithms.

use super::pool::stacked;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Function;
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::Kind;

/// The greatest exponent of an integer: no other power of 2 is exact.
const MAX_EXPONENT: f64 = 53.0;

/// `x^n`, elementwise; the result has the element type of `x`.
fn pow(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (base, exponent) = (node.input(0)?, node.input(1)?);
    if base.kind() == Kind::Bool || exponent.kind() == Kind::Bool {
        return Err(node.unsupported("its element type", "it must be a number"));
    }
    let Some(shape) = broadcast(base.shape(), exponent.shape()) else {
        return Err(node.mismatch(base.shape(), exponent.shape(), "they do not broadcast to a common shape"));
    };
    let base = lowering.broadcast_to(node, base, &shape)?;
    let exponent = lowering.broadcast_to(node, exponent, &shape)?;
    if let Value::Constant(exponents) = &exponent {
        return Ok(vec![constant_powers(lowering, node, &base, &exponents.data)?]);
    }
    if base.kind() != Kind::Float {
        return Err(node.unsupported("its exponent", "that of an integer must be constant"));
    }
    let exponent = exponent.with_kind(Kind::Float);
    let logarithm = match &base {
        Value::Constant(c) => match c.data.as_slice() {
            data if data.iter().any(|&b| b <= 0.0) => {
                return Err(node.unsupported("its base", "a constant one must be positive"));
            }
            &[base, ref rest @ ..] if rest.iter().all(|&b| b == base) => {
                return Ok(vec![lowering.function(node, Function::Exponential { base }, &exponent)?]);
            }
            data => lowering.constant(node, shape, Kind::Float, data.iter().map(|b| b.ln()).collect())?,
        },
        // over the whole domain it must be positive, as for any logarithm
        Value::Activation(_) => lowering.function(node, Function::Ln, &base)?,
    };
    let product = lowering.product(node, &exponent, &logarithm)?;
    Ok(vec![lowering.function(node, Function::Exp, &product)?])
}

/// One exponent per element: equal ones are raised together.
fn constant_powers(lowering: &mut Lowering, node: &Node, x: &Value, exponents: &[f64]) -> Result<Value, OnnxError> {
    let mut order: Vec<usize> = (0..exponents.len()).collect();
    order.sort_by(|&i, &j| exponents[i].total_cmp(&exponents[j]));
    let groups: Vec<&[usize]> = order.chunk_by(|&i, &j| exponents[i] == exponents[j]).collect();
    if let &[all] = groups.as_slice() {
        return all.first().map_or_else(|| Ok(x.clone()), |&i| power(lowering, node, x, exponents[i]));
    }
    let mut parts = vec![];
    for &group in &groups {
        lowering.charge_shape(node, &[group.len()])?;
        let part = lowering.select(node, x, vec![group.len()], group.to_vec())?;
        parts.push(power(lowering, node, &part, exponents[group[0]])?);
    }
    let powers = stacked(lowering, node, &parts.iter().collect::<Vec<_>>(), vec![order.len()])?;
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &i)| places[i] = place);
    lowering.select(node, &powers, x.shape().to_vec(), places)
}

fn power(lowering: &mut Lowering, node: &Node, x: &Value, exponent: f64) -> Result<Value, OnnxError> {
    match exponent {
        0.0 => lowering.scaled(node, x, |_| 0.0, |_| 1.0),
        1.0 => Ok(x.clone()),
        0.5 if x.kind() == Kind::Float => lowering.sqrt(node, x),
        n if n.fract() == 0.0 && (2.0..=4.0).contains(&n) => integer_power(lowering, node, x, n as u32),
        exponent if x.kind() == Kind::Float => lowering.function(node, Function::Power { exponent }, x),
        n if n.fract() == 0.0 && (0.0..=MAX_EXPONENT).contains(&n) => integer_power(lowering, node, x, n as u32),
        n => {
            let reason = format!("that of an integer must be an integer from 0 to {MAX_EXPONENT}");
            Err(node.unsupported(&format!("exponent {n}"), &reason))
        }
    }
}

/// `x^n` for a positive `n`, by repeated squaring.
fn integer_power(lowering: &mut Lowering, node: &Node, x: &Value, n: u32) -> Result<Value, OnnxError> {
    let mut result = x.clone();
    // the bits of n below its leading one, from the top
    for bit in (0..n.ilog2()).rev() {
        result = lowering.square(node, &result)?;
        if n >> bit & 1 == 1 {
            result = lowering.product(node, &result, x)?;
        }
    }
    Ok(result)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Pow", pow);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::onnx::import_model;
    use crate::onnx::testing::{agrees, declare, floats, graph_of, ints, model, node};

    /// Nodes that make `p` of `x`, at least a half.
    fn positive() -> Vec<tract_onnx::pb::NodeProto> {
        vec![node("Abs", &["x"], "a", vec![]), node("Add", &["a", "half"], "p", vec![])]
    }

    #[test]
    fn constant_exponents() {
        for exponent in [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] {
            let nodes = vec![node("Pow", &["x", "n"], "y", vec![])];
            agrees(&model(&[("x", &[2, 3])], "y", vec![floats("n", &[], &[exponent])], nodes));
        }
        let all = [-1.5, 0.0, 0.5, 1.0, 2.0, 0.5];
        for exponents in [&all[..1], &all[2..3], &all[..3], &all] {
            let mut nodes = positive();
            nodes.push(node("Pow", &["p", "n"], "y", vec![]));
            let dims: &[i64] = if exponents.len() == 6 { &[2, 3] } else { &[exponents.len() as i64] };
            let constants = vec![floats("n", dims, exponents), floats("half", &[], &[0.5])];
            agrees(&model(&[("x", &[2, 3])], "y", constants, nodes));
        }
    }

    #[test]
    fn exponents_that_depend_on_the_input() {
        for bases in [&[1.7f32][..], &[0.5, 1.0, 3.0]] {
            let nodes = vec![node("Pow", &["b", "x"], "y", vec![])];
            let base = floats("b", &[bases.len() as i64], bases);
            agrees(&model(&[("x", &[2, 3])], "y", vec![base], nodes));
        }
        let mut nodes = positive();
        nodes.push(node("Pow", &["p", "z"], "y", vec![]));
        agrees(&model(&[("x", &[2, 3]), ("z", &[3])], "y", vec![floats("half", &[], &[0.5])], nodes));
        let nodes = vec![node("Pow", &["b", "x"], "y", vec![])];
        assert!(import_model(&model(&[("x", &[1])], "y", vec![floats("b", &[1], &[-1.0])], nodes)).is_err());
    }

    #[test]
    fn powers_of_integers_are_exact() {
        let of = |exponent: i64| {
            let nodes = vec![node("Pow", &["x", "n"], "y", vec![])];
            let mut model = model(&[], "y", vec![ints("n", &[], &[exponent])], nodes);
            graph_of(&mut model).input.push(declare("x", &[1, 2], DataType::Int64));
            import_model(&model)
        };
        for n in [0, 1, 2, 3, 4, 7, 12, 31] {
            let expected = [3i64.pow(n).min(1 << 53) as f64, (-2i64).pow(n) as f64];
            assert_eq!(of(i64::from(n)).unwrap().eval(&[3.0, -2.0]), expected, "{n}");
        }
        assert!(of(-1).is_err() && of(54).is_err());
    }
}
