//! Piecewise linear activation functions: Abs, Clip, HardSigmoid, LeakyRelu, PRelu, Relu, Shrink, ThresholdedRelu.
//!
//! All of them are sums of a linear part and of ReLUs of affine maps: `|x| = 2 max(x, 0) - x`, for instance.

use super::common::float;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{Affine, AffineBuilder, Comparison};
use crate::onnx::shape::{broadcast, broadcast_offsets};
use crate::onnx::tensor::Kind;

fn relu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.relu(node, node.input(0)?)?])
}

/// `slope(i) * x_i + sum of factor(i) * part_i`, elementwise, over `x` and parts of its shape.
fn combined(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    slope: impl Fn(usize) -> f64,
    parts: &[(&Value, &dyn Fn(usize) -> f64)],
    offset: f64,
) -> Result<Value, OnnxError> {
    let len = x.len();
    let mut rows = AffineBuilder::new(len * (1 + parts.len()));
    for i in 0..len {
        let parts = parts.iter().enumerate().map(|(j, (_, factor))| (len * (1 + j) + i, factor(i)));
        rows.push(std::iter::once((i, slope(i))).chain(parts).collect(), offset);
    }
    let map: Affine<f64, f64> = rows.finish();
    let operands: Vec<&Value> = std::iter::once(x).chain(parts.iter().map(|(value, _)| *value)).collect();
    lowering.affine(node, &operands, map, x.shape().to_vec(), x.kind())
}

/// `|x| = 2 max(x, 0) - x`.
fn abs(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    lowering.charge(node.name, [x.len(), 3])?;
    let positive = lowering.relu(node, x)?;
    Ok(vec![combined(lowering, node, x, |_| -1.0, &[(&positive, &|_| 2.0)], 0.0)?])
}

/// `x` above zero, `slope(i) x` below: `slope x + (1 - slope) max(x, 0)`.
fn leaky(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    slope: impl Fn(usize) -> f64,
) -> Result<Vec<Value>, OnnxError> {
    lowering.charge(node.name, [x.len(), 3])?;
    let positive = lowering.relu(node, x)?;
    Ok(vec![combined(lowering, node, x, &slope, &[(&positive, &|i| 1.0 - slope(i))], 0.0)?])
}

fn leaky_relu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(0.01);
    leaky(lowering, node, node.input(0)?, |_| alpha)
}

fn p_relu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, slope) = (node.input(0)?, node.input(1)?);
    if broadcast(x.shape(), slope.shape()).as_deref() != Some(x.shape()) {
        return Err(node.mismatch(x.shape(), slope.shape(), "the slope does not broadcast to the input"));
    }
    let Some(constant) = slope.constant() else {
        // max(x, 0) + slope min(x, 0)
        let (x, slope) = lowering.broadcast_pair(node, x, slope)?;
        let above = lowering.relu(node, &x)?;
        let below = lowering.combination(node, &[(&x, 1.0), (&above, -1.0)], 0.0)?;
        let below = lowering.product(node, &below, &slope)?;
        return Ok(vec![lowering.combination(node, &[(&above, 1.0), (&below, 1.0)], 0.0)?]);
    };
    let offsets = broadcast_offsets(slope.shape(), x.shape());
    leaky(lowering, node, x, |i| constant.data[offsets[i]])
}

/// `x`, no less than `low` and no more than `high`; range analysis sees both ends.
pub(super) fn clamped(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    low: Option<f64>,
    high: Option<f64>,
) -> Result<Value, OnnxError> {
    lowering.charge(node.name, [x.len(), 6])?;
    Ok(match (low, high) {
        (None, None) => x.clone(),
        // low + max(x - low, 0)
        (Some(low), None) => {
            let above = lowering.scaled(node, x, |_| 1.0, |_| -low)?;
            let above = lowering.relu(node, &above)?;
            lowering.scaled(node, &above, |_| 1.0, |_| low)?
        }
        // high - max(high - x, 0)
        (None, Some(high)) => {
            let below = lowering.scaled(node, x, |_| -1.0, |_| high)?;
            let below = lowering.relu(node, &below)?;
            lowering.scaled(node, &below, |_| -1.0, |_| high)?
        }
        // everything is high: the upper bound goes first
        (Some(low), Some(high)) if low >= high => lowering.scaled(node, x, |_| 0.0, |_| high)?,
        // high - max((high - low) - max(x - low, 0), 0), of which interval arithmetic sees both ends
        (Some(low), Some(high)) => {
            let above = lowering.scaled(node, x, |_| 1.0, |_| -low)?;
            let above = lowering.relu(node, &above)?;
            let below = lowering.scaled(node, &above, |_| -1.0, |_| high - low)?;
            let below = lowering.relu(node, &below)?;
            lowering.scaled(node, &below, |_| -1.0, |_| high)?
        }
    })
}

/// The bounds are attributes up to operator set 10, inputs from 11 on. The upper one goes last.
fn clip(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if node.opset < 11 {
        let (low, high) = (finite(node.float("min")?), finite(node.float("max")?));
        return Ok(vec![clamped(lowering, node, x, low, high)?]);
    }
    let bounds = [(1, "min"), (2, "max")].map(|(position, name)| match node.optional_input(position) {
        Some(bound) if bound.len() != 1 || bound.kind() != x.kind() => {
            Err(node.unsupported(name, "it must be one number of the input's element type"))
        }
        bound => Ok(bound),
    });
    let [low, high] = bounds;
    let (low, high) = (low?, high?);
    let constant = |bound: Option<&Value>| bound.is_none_or(|b| b.constant().is_some());
    if constant(low) && constant(high) {
        let number =
            |bound: Option<&Value>| finite(bound.and_then(Value::constant).and_then(|c| c.data.first().copied()));
        return Ok(vec![clamped(lowering, node, x, number(low), number(high))?]);
    }
    let mut result = x.clone();
    if let Some(low) = low {
        let low = lowering.reshape(node, low, vec![])?;
        let low = lowering.broadcast_to(node, &low, x.shape())?;
        result = lowering.maximum(node, &result, &low)?;
    }
    if let Some(high) = high {
        let high = lowering.reshape(node, high, vec![])?;
        let high = lowering.broadcast_to(node, &high, x.shape())?;
        result = lowering.minimum(node, &high, &result)?;
    }
    Ok(vec![result])
}

/// The bound, unless it stands for none.
fn finite(bound: Option<f64>) -> Option<f64> {
    bound.filter(|bound| bound.abs() < f64::from(f32::MAX))
}

/// `x - bias` above `lambd`, `x + bias` below `-lambd`, zero between: `s(x) - s(-x)` for
/// `s(x) = max(x - lambd, 0) + (lambd - bias) [x > lambd]`.
fn shrink(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let (lambd, bias) = (node.float("lambd")?.unwrap_or(0.5), node.float("bias")?.unwrap_or(0.0));
    if lambd < 0.0 {
        return Err(node.unsupported("attribute lambd", "it must not be negative"));
    }
    let side = |lowering: &mut Lowering, sign: f64| {
        let distance = lowering.scaled(node, x, |_| sign, |_| -lambd)?;
        let above = lowering.relu(node, &distance)?;
        if lambd == bias {
            return Ok(above);
        }
        let beyond = lowering.compare(node, Comparison::Above, &distance)?.with_kind(Kind::Float);
        lowering.combination(node, &[(&above, 1.0), (&beyond, lambd - bias)], 0.0)
    };
    let (above, below) = (side(lowering, 1.0)?, side(lowering, -1.0)?);
    Ok(vec![lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)?])
}

/// `x` above `alpha`, zero elsewhere: `max(x - alpha, 0) + alpha [x > alpha]`.
fn thresholded_relu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    let distance = lowering.scaled(node, x, |_| 1.0, |_| -alpha)?;
    let above = lowering.relu(node, &distance)?;
    if alpha == 0.0 {
        return Ok(vec![above]);
    }
    let beyond = lowering.compare(node, Comparison::Above, &distance)?.with_kind(Kind::Float);
    Ok(vec![lowering.combination(node, &[(&above, 1.0), (&beyond, alpha)], 0.0)?])
}

/// `alpha x + beta`, clamped to `[0, 1]`.
fn hard_sigmoid(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (alpha, beta) = (node.float("alpha")?.unwrap_or(0.2), node.float("beta")?.unwrap_or(0.5));
    let x = node.input(0)?;
    lowering.charge(node.name, [x.len()])?;
    let line = lowering.scaled(node, x, |_| alpha, |_| beta)?;
    Ok(vec![clamped(lowering, node, &line, Some(0.0), Some(1.0))?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Abs", abs);
    registry.add("Clip", clip);
    registry.add("HardSigmoid", hard_sigmoid);
    registry.add("LeakyRelu", leaky_relu);
    registry.add("PRelu", p_relu);
    registry.add("Relu", relu);
    registry.add("Shrink", shrink);
    registry.add("ThresholdedRelu", thresholded_relu);
}

#[cfg(test)]
mod tests {
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, graph_of, model, node};

    #[test]
    fn relu_of_an_activation_and_of_a_constant() {
        let nodes = vec![
            node("Relu", &["x"], "a", vec![]),
            node("Relu", &["w"], "b", vec![]),
            node("Add", &["a", "b"], "y", vec![]),
        ];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![floats("w", &[3], &[-1.0, 0.0, 2.5])], nodes));
        assert_eq!(graph.eval(&[-5.0, 2.0, 1.0]), [0.0, 2.0, 3.5]);
    }

    #[test]
    fn piecewise_linear_functions_agree() {
        let one =
            |op, attributes| agrees(&model(&[("x", &[1, 3])], "y", vec![], vec![node(op, &["x"], "y", attributes)]));
        assert_eq!(one("Abs", vec![]).eval(&[-5.0, 0.0, 1.5]), [5.0, 0.0, 1.5]);
        assert_eq!(one("LeakyRelu", vec![("alpha", Attr::Float(0.25))]).eval(&[-4.0, 0.0, 2.0]), [-1.0, 0.0, 2.0]);
        one("LeakyRelu", vec![]);
        one("HardSigmoid", vec![]);
        let steep = one("HardSigmoid", vec![("alpha", Attr::Float(1.0)), ("beta", Attr::Float(0.0))]);
        assert_eq!(steep.eval(&[-1.0, 0.5, 7.0]), [0.0, 0.5, 1.0]);
        let slopes = floats("s", &[3], &[0.5, -1.0, 2.0]);
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![slopes], vec![node("PRelu", &["x", "s"], "y", vec![])]));
        assert_eq!(graph.eval(&[-2.0, -2.0, -2.0]), [-1.0, 2.0, -4.0]);
    }

    #[test]
    fn clip_has_one_bound_or_two_as_inputs_or_attributes() {
        let bounds = || vec![floats("lo", &[], &[-0.5]), floats("hi", &[], &[1.25])];
        let clip = |inputs: &[&str]| {
            agrees(&model(&[("x", &[1, 3])], "y", bounds(), vec![node("Clip", inputs, "y", vec![])]))
                .eval(&[-9.0, 0.25, 9.0])
        };
        assert_eq!(clip(&["x", "lo", "hi"]), [-0.5, 0.25, 1.25]);
        assert_eq!(clip(&["x", "lo"]), [-0.5, 0.25, 9.0]);
        assert_eq!(clip(&["x", "", "hi"]), [-9.0, 0.25, 1.25]);
        assert_eq!(clip(&["x"]), [-9.0, 0.25, 9.0]);
        let attributes = vec![("min", Attr::Float(-1.0)), ("max", Attr::Float(1.0))];
        let mut old = model(&[("x", &[1, 3])], "y", vec![], vec![node("Clip", &["x"], "y", attributes)]);
        old.opset_import[0].version = 9;
        assert_eq!(graph_of(&mut old).node.len(), 1);
        assert_eq!(agrees(&old).eval(&[-9.0, 0.25, 9.0]), [-1.0, 0.25, 1.0]);
    }

    #[test]
    fn bounds_and_slopes_that_depend_on_the_input() {
        let inputs: [(&str, &[i64]); 3] = [("x", &[2, 3]), ("a", &[1]), ("b", &[1])];
        let eval = |names: &[&str]| {
            let nodes = vec![node("Clip", names, "c", vec![]), node("PRelu", &["c", "b"], "y", vec![])];
            agrees(&model(&inputs, "y", vec![floats("w", &[], &[0.5])], nodes))
                .eval(&[-9.0, -2.0, -0.5, 0.0, 2.0, 9.0, -1.0, 3.0])
        };
        assert_eq!(eval(&["x", "a"]), [-3.0, -3.0, -1.5, 0.0, 2.0, 9.0]);
        assert_eq!(eval(&["x", "", "b"]), [-27.0, -6.0, -1.5, 0.0, 2.0, 3.0]);
        assert_eq!(eval(&["x", "a", "w"]), [-3.0, -3.0, -1.5, 0.0, 0.5, 0.5]);
        // everything is the upper bound
        assert_eq!(eval(&["x", "b", "a"]), [-3.0; 6]);
    }

    #[test]
    fn thresholds() {
        let eval = |op, attributes: Vec<(&str, f32)>| {
            let attributes = attributes.into_iter().map(|(name, value)| (name, Attr::Float(value))).collect();
            let nodes = vec![node(op, &["x"], "y", attributes)];
            import_model(&model(&[("x", &[6])], "y", vec![], nodes)).unwrap().eval(&[-2.0, -1.5, -0.25, 0.25, 1.5, 2.0])
        };
        assert_eq!(eval("Shrink", vec![]), [-2.0, -1.5, 0.0, 0.0, 1.5, 2.0]);
        assert_eq!(eval("Shrink", vec![("lambd", 1.5), ("bias", 1.0)]), [-1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(eval("Shrink", vec![("lambd", 1.5), ("bias", 1.5)]), [-0.5, 0.0, 0.0, 0.0, 0.0, 0.5]);
        assert_eq!(eval("ThresholdedRelu", vec![]), [0.0, 0.0, 0.0, 0.0, 1.5, 2.0]);
        assert_eq!(eval("ThresholdedRelu", vec![("alpha", -1.5)]), [0.0, 0.0, -0.25, 0.25, 1.5, 2.0]);
        assert_eq!(eval("ThresholdedRelu", vec![("alpha", 0.0)]), [0.0, 0.0, 0.0, 0.25, 1.5, 2.0]);
    }
}
