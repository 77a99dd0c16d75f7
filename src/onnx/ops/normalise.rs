//! Normalisations to zero mean and unit variance, and by other norms.
//!
//! Every divisor is a root of a sum of squares plus a positive constant, which range analysis sees to be positive. Such
//! quotients are clamped once the graph is whole ([`crate::graph::Graph::clamp_normalised`]).

use super::activation::clamped;
use super::common::{filled, float};
use super::grid::{axis_attribute, distinct_axes};
use super::groups::{Groups, Rows, at_least};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function};
use crate::onnx::shape::{broadcast, strides};
use crate::onnx::tensor::Kind;

/// The least norm that a vector is divided by: below it the quotient tends to zero, instead of having no limit.
const LEAST_NORM: f64 = 1e-12;

fn columns(x: &Value) -> usize {
    x.shape().get(1).copied().unwrap_or(1)
}

/// Every row less its mean, and the means.
fn centred(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<(Value, Value), OnnxError> {
    let size = columns(x);
    let each = Rows::of(x);
    let means = each.sums(lowering, node, x, 1.0 / size as f64, 0.0)?;
    let spread = each.spread(lowering, node, &means)?;
    Ok((lowering.combination(node, &[(x, 1.0), (&spread, -1.0)], 0.0)?, means))
}

/// Every row over `sqrt(mean(x^2) + epsilon)`, and these roots; no element exceeds the root of their number.
fn unit_power(lowering: &mut Lowering, node: &Node, x: &Value, epsilon: f64) -> Result<(Value, Value), OnnxError> {
    if epsilon <= 0.0 {
        return Err(node.unsupported(&format!("epsilon {epsilon}"), "it must be positive"));
    }
    let size = columns(x);
    let squares = lowering.square(node, x)?;
    let each = Rows::of(x);
    let powers = each.sums(lowering, node, &squares, 1.0 / size as f64, epsilon)?;
    let roots = lowering.sqrt(node, &powers)?;
    let divisors = each.spread(lowering, node, &roots)?;
    Ok((lowering.quotient(node, x, &divisors)?, roots))
}

/// `scale * x + bias`, both broadcast to the shape of `x`.
fn scaled_and_shifted(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    scale: &Value,
    bias: Option<&Value>,
) -> Result<Value, OnnxError> {
    let scale = broadcast_to(lowering, node, scale, x.shape())?;
    let product = lowering.product(node, x, &scale)?;
    let Some(bias) = bias else { return Ok(product) };
    let bias = broadcast_to(lowering, node, bias, x.shape())?;
    lowering.combination(node, &[(&product, 1.0), (&bias, 1.0)], 0.0)
}

fn broadcast_to(lowering: &mut Lowering, node: &Node, x: &Value, shape: &[usize]) -> Result<Value, OnnxError> {
    float(node, x)?;
    if broadcast(x.shape(), shape).as_deref() != Some(shape) {
        return Err(node.mismatch(x.shape(), shape, "the parameter does not broadcast to the input"));
    }
    lowering.broadcast_to(node, x, shape)
}

/// A vector with an element per channel, the second axis, as a tensor that broadcasts to `shape`.
fn per_channel(lowering: &mut Lowering, node: &Node, x: &Value, shape: &[usize]) -> Result<Value, OnnxError> {
    let channels = shape.get(1).copied().unwrap_or(1);
    if x.shape() != [channels] {
        return Err(node.mismatch(x.shape(), shape, "there must be one parameter per channel"));
    }
    let mut target = vec![1; shape.len()];
    if let Some(dim) = target.get_mut(1) {
        *dim = channels;
    }
    lowering.reshape(node, x, target)
}

/// `scale (x - mean) / sqrt(variance + epsilon) + bias`, all constants but `x`: an affine map.
fn batch_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    if node.flag("training_mode")? || node.int("spatial")?.unwrap_or(1) == 0 {
        return Err(node.unsupported("its mode", "export the model for inference, with statistics per channel"));
    }
    let shape = x.shape().to_vec();
    let mut parameters = vec![];
    for position in 1..5 {
        let constant = per_channel(lowering, node, node.input(position)?, &shape)?;
        let Value::Constant(constant) = constant else {
            return Err(node.unsupported(&format!("its input {position}"), "it must be constant"));
        };
        parameters.push(constant);
    }
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    let (scale, bias, mean, variance) = (&parameters[0], &parameters[1], &parameters[2], &parameters[3]);
    if let Some(index) = variance.data.iter().position(|v| v + epsilon <= 0.0) {
        let tensor = format!("1 / sqrt({} + epsilon)", variance.name);
        return Err(OnnxError::NonFinite { tensor, index, value: f64::INFINITY });
    }
    let slopes: Vec<f64> = scale.data.iter().zip(&variance.data).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
    let channels = shape.get(1).copied().unwrap_or(1);
    let inner: usize = shape.iter().skip(2).product();
    let channel = |i: usize| i / inner % channels;
    let offset = |i: usize| bias.data[channel(i)] - slopes[channel(i)] * mean.data[channel(i)];
    Ok(vec![lowering.scaled(node, x, |i| slopes[channel(i)], offset)?])
}

/// A tensor whose groups have zero mean and unit variance; the means and the deviations that they had.
pub(super) struct Standardised {
    value: Value,
    means: Value,
    deviations: Value,
}

/// The groups along `axes`, each to zero mean and unit variance.
fn standardised(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    axes: &[usize],
    epsilon: f64,
) -> Result<Standardised, OnnxError> {
    float(node, x)?;
    let groups = Groups::new(lowering, node, x.shape(), axes)?;
    let rows = groups.gather(lowering, node, x)?;
    let (rows, means) = centred(lowering, node, &rows)?;
    let (rows, deviations) = unit_power(lowering, node, &rows, epsilon)?;
    Ok(Standardised { value: groups.scatter(lowering, node, &rows)?, means, deviations })
}

/// Per sample and channel, over the other axes.
fn instance_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let rank = x.shape().len();
    if rank < 3 {
        return Err(node.mismatch(x.shape(), &[], "there must be an axis after the channels"));
    }
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    let standard = standardised(lowering, node, x, &(2..rank).collect::<Vec<_>>(), epsilon)?.value;
    let scale = per_channel(lowering, node, node.input(1)?, x.shape())?;
    let bias = per_channel(lowering, node, node.input(2)?, x.shape())?;
    Ok(vec![scaled_and_shifted(lowering, node, &standard, &scale, Some(&bias))?])
}

/// Over the axes from `axis` on. Further outputs are the means and the reciprocals of the deviations.
fn layer_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let at = axis_attribute(node, "axis", -1, x.shape().len())?;
    let (result, standard) = layer_normalized(lowering, node, x, at, node.input(1)?, node.optional_input(2))?;
    let mut results = vec![result];
    if node.proto.output.len() > 1 {
        let kept = [&x.shape()[..at], &vec![1; x.shape().len() - at]].concat();
        results.push(lowering.reshape(node, &standard.means, kept.clone())?);
        let one = filled(lowering, node, standard.deviations.shape(), Kind::Float, 1.0)?;
        let reciprocals = lowering.quotient(node, &one, &standard.deviations)?;
        results.push(lowering.reshape(node, &reciprocals, kept)?);
    }
    Ok(results)
}

/// The axes from `at` on to zero mean and unit variance, scaled and shifted; and what they were before.
pub(super) fn layer_normalized(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    at: usize,
    scale: &Value,
    bias: Option<&Value>,
) -> Result<(Value, Standardised), OnnxError> {
    let axes: Vec<usize> = (at..x.shape().len()).collect();
    let standard = standardised(lowering, node, x, &axes, node.float("epsilon")?.unwrap_or(1e-5))?;
    Ok((scaled_and_shifted(lowering, node, &standard.value, scale, bias)?, standard))
}

/// Over the axes from `axis` on, without a mean.
fn rms_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let at = axis_attribute(node, "axis", -1, x.shape().len())?;
    Ok(vec![rms_normalized(lowering, node, x, at, node.input(1)?)?])
}

/// The axes from `at` on to unit power, scaled.
pub(super) fn rms_normalized(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    at: usize,
    scale: &Value,
) -> Result<Value, OnnxError> {
    float(node, x)?;
    let axes: Vec<usize> = (at..x.shape().len()).collect();
    let groups = Groups::new(lowering, node, x.shape(), &axes)?;
    let rows = groups.gather(lowering, node, x)?;
    let (rows, _) = unit_power(lowering, node, &rows, node.float("epsilon")?.unwrap_or(1e-5))?;
    let unit = groups.scatter(lowering, node, &rows)?;
    scaled_and_shifted(lowering, node, &unit, scale, None)
}

/// Per sample and group of channels. The parameters are per group up to operator set 20, per channel from 21 on.
fn group_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let shape = x.shape().to_vec();
    let groups = node.int("num_groups")?.and_then(|g| usize::try_from(g).ok()).filter(|&g| g > 0);
    let (Some(groups), &[samples, channels, ..]) = (groups, shape.as_slice()) else {
        return Err(node.unsupported("num_groups", "it must be positive, and the input must have channels"));
    };
    if channels % groups != 0 {
        return Err(node.unsupported(&format!("num_groups {groups}"), &format!("there are {channels} channels")));
    }
    let each: usize = channels / groups * shape.iter().skip(2).product::<usize>();
    let split = lowering.reshape(node, x, vec![samples, groups, each])?;
    let standard = standardised(lowering, node, &split, &[2], node.float("epsilon")?.unwrap_or(1e-5))?.value;
    let inner = if node.opset < 21 { split.shape().to_vec() } else { shape.clone() };
    let standard = lowering.reshape(node, &standard, inner.clone())?;
    let scale = per_channel(lowering, node, node.input(1)?, &inner)?;
    let bias = per_channel(lowering, node, node.input(2)?, &inner)?;
    let result = scaled_and_shifted(lowering, node, &standard, &scale, Some(&bias))?;
    Ok(vec![lowering.reshape(node, &result, shape)?])
}

/// `(x - mean) / (sqrt(variance) + 1e-9)`
fn mean_variance_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let rank = x.shape().len();
    let given = node.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = distinct_axes(node, given, rank)?;
    let groups = Groups::new(lowering, node, x.shape(), &axes)?;
    let rows = groups.gather(lowering, node, x)?;
    let (rows, _) = centred(lowering, node, &rows)?;
    let squares = lowering.square(node, &rows)?;
    let variances = Rows::of(&squares).sums(lowering, node, &squares, 1.0 / groups.size as f64, 0.0)?;
    let roots = lowering.sqrt(node, &variances)?;
    let roots = lowering.scaled(node, &roots, |_| 1.0, |_| 1e-9)?;
    let roots = Rows::of(&rows).spread(lowering, node, &roots)?;
    let rows = lowering.quotient(node, &rows, &roots)?;
    Ok(vec![groups.scatter(lowering, node, &rows)?])
}

/// `x / |x|` along an axis, in the norm of order 1 or 2.
fn lp_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let at = axis_attribute(node, "axis", -1, x.shape().len())?;
    let groups = Groups::new(lowering, node, x.shape(), &[at])?;
    let rows = groups.gather(lowering, node, x)?;
    let norms = match node.int("p")?.unwrap_or(2) {
        1 => {
            let positive = lowering.relu(node, &rows)?;
            let magnitudes = lowering.combination(node, &[(&positive, 2.0), (&rows, -1.0)], 0.0)?;
            Rows::of(&magnitudes).sums(lowering, node, &magnitudes, 1.0, 0.0)?
        }
        2 => {
            let squares = lowering.square(node, &rows)?;
            let sums = Rows::of(&squares).sums(lowering, node, &squares, 1.0, 0.0)?;
            lowering.sqrt(node, &sums)?
        }
        p => return Err(node.unsupported(&format!("p {p}"), "it must be 1 or 2")),
    };
    let norms = at_least(lowering, node, &norms, LEAST_NORM)?;
    let norms = Rows::of(&rows).spread(lowering, node, &norms)?;
    let quotients = lowering.quotient(node, &rows, &norms)?;
    let rows = clamped(lowering, node, &quotients, Some(-1.0), Some(1.0))?;
    Ok(vec![groups.scatter(lowering, node, &rows)?])
}

/// `x / (bias + alpha / size * sum of x^2 over the nearest size channels)^beta`
fn local_response_normalization(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let (shape, steps) = (x.shape().to_vec(), strides(x.shape()));
    let size = node.int("size")?.and_then(|s| usize::try_from(s).ok()).filter(|&s| s > 0);
    let (Some(size), Some(&channels)) = (size, shape.get(1)) else {
        return Err(node.unsupported("size", "it must be positive, and the input must have channels"));
    };
    let alpha = node.float("alpha")?.unwrap_or(1e-4) / size as f64;
    let (beta, bias) = (node.float("beta")?.unwrap_or(0.75), node.float("bias")?.unwrap_or(1.0));
    lowering.charge(node.name, [x.len(), size.min(channels)])?;
    let squares = lowering.square(node, x)?;
    let mut rows = AffineBuilder::new(x.len());
    for i in 0..x.len() {
        let channel = i / steps[1] % channels;
        let window = channel.saturating_sub((size - 1) / 2)..channel.saturating_add(size / 2 + 1).min(channels);
        rows.push(window.map(|c| (i - channel * steps[1] + c * steps[1], alpha)).collect(), bias);
    }
    let powers = lowering.affine(node, &[&squares], rows.finish(), shape, Kind::Float)?;
    let factors = lowering.function(node, Function::Power { exponent: -beta }, &powers)?;
    Ok(vec![lowering.product(node, x, &factors)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("BatchNormalization", batch_normalization);
    registry.add("GroupNormalization", group_normalization);
    registry.add("InstanceNormalization", instance_normalization);
    registry.add("LRN", local_response_normalization);
    registry.add("LayerNormalization", layer_normalization);
    registry.add("LpNormalization", lp_normalization);
    registry.add("MeanVarianceNormalization", mean_variance_normalization);
    registry.add("RMSNormalization", rms_normalization);
    registry.add("SimplifiedLayerNormalization", rms_normalization);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, TensorProto, ValueInfoProto};

    use crate::graph::FloatOp;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, graph_of, model, node, weights};

    const X: &[i64] = &[2, 4, 3, 2];

    fn of(op: &str, opset: i64, parameters: Vec<TensorProto>, attributes: Vec<(&str, Attr)>) -> ModelProto {
        let names: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
        let inputs: Vec<&str> = std::iter::once("x").chain(names.iter().map(String::as_str)).collect();
        let nodes = vec![node(op, &inputs, "y", attributes)];
        let mut model = model(&[("x", X)], "y", parameters, nodes);
        model.opset_import[0].version = opset;
        model
    }

    #[test]
    fn batch_normalization_is_affine() {
        let parameters = || {
            let variance = floats("v", &[4], &[0.5, 1.0, 2.0, 0.25]);
            vec![weights("s", &[4], 1), weights("b", &[4], 2), weights("m", &[4], 3), variance]
        };
        let graph = agrees(&of("BatchNormalization", 13, parameters(), vec![("epsilon", Attr::Float(0.01))]));
        assert_eq!(graph.nodes.len(), 1);
        let mut short = parameters();
        short[2] = weights("m", &[3], 3);
        assert!(import_model(&of("BatchNormalization", 13, short, vec![])).is_err());
    }

    #[test]
    fn instance_normalization() {
        agrees(&of("InstanceNormalization", 13, vec![weights("s", &[4], 1), weights("b", &[4], 2)], vec![]));
    }

    /// Of a stream that is only normalised and added to no mean is computed.
    #[test]
    fn streams_between_layer_normalizations_are_carried_centred() {
        let normalised =
            |x: &str, y: &str| node("LayerNormalization", &[x, "s"], y, vec![("epsilon", Attr::Float(0.01))]);
        let nodes = vec![
            node("MatMul", &["x", "w"], "h", vec![]),
            normalised("h", "n"),
            node("MatMul", &["n", "v"], "u", vec![]),
            node("Relu", &["u"], "r", vec![]),
            node("MatMul", &["r", "w"], "a", vec![]),
            node("Add", &["h", "a"], "k", vec![]),
            normalised("k", "y"),
        ];
        let parameters = vec![weights("w", &[5, 4], 1), weights("v", &[4, 5], 2), weights("s", &[4], 3)];
        let mut model = model(&[("x", &[2, 3, 5])], "y", parameters, nodes);
        model.opset_import[0].version = 17;
        let graph = agrees(&model);
        let squared = graph.nodes.iter().find(|node| node.op == FloatOp::Square).unwrap().inputs[0];
        assert_eq!(graph.nodes[squared - 1].onnx_op, "MatMul");
        assert_eq!(graph.nodes.iter().filter(|node| node.inputs.len() > 1 && node.op != FloatOp::Quotient).count(), 1);
    }

    #[test]
    fn layer_normalization_from_any_axis() {
        for (at, dims) in [(-1, &[2][..]), (2, &[3, 2]), (1, &[4, 3, 2]), (-2, &[3, 1])] {
            let attributes = || vec![("axis", Attr::Int(at)), ("epsilon", Attr::Float(0.01))];
            agrees(&of("LayerNormalization", 17, vec![weights("s", dims, 1), weights("b", dims, 2)], attributes()));
            agrees(&of("LayerNormalization", 17, vec![weights("s", dims, 1)], attributes()));
            agrees(&of("RMSNormalization", 23, vec![weights("s", dims, 1)], attributes()));
        }
    }

    #[test]
    fn layer_normalization_gives_means_and_deviations() {
        let mut model = of("LayerNormalization", 17, vec![weights("s", &[2], 1)], vec![("epsilon", Attr::Float(0.25))]);
        let graph = graph_of(&mut model);
        graph.node[0].output.extend(["mean".into(), "deviation".into()]);
        graph.output =
            ["mean", "deviation"].map(|name| ValueInfoProto { name: name.into(), ..Default::default() }).into();
        let graph = import_model(&model).unwrap();
        assert_eq!(graph.outputs[0].2, [&graph.inputs[0].shape[..graph.inputs[0].shape.len() - 1], &[1]].concat());
        let x: Vec<f64> = (0..graph.input_len()).map(|i| (i as f64 * 0.7).sin()).collect();
        let means = x.chunks(2).map(|pair| (pair[0] + pair[1]) / 2.0);
        let deviations = x.chunks(2).map(|pair| 1.0 / (((pair[0] - pair[1]) / 2.0).powi(2) + 0.25).sqrt());
        for (found, expected) in graph.eval(&x).into_iter().zip(means.chain(deviations)) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn group_normalization_with_parameters_per_group_or_channel() {
        let attributes = || vec![("num_groups", Attr::Int(2))];
        agrees(&of("GroupNormalization", 21, vec![weights("s", &[4], 1), weights("b", &[4], 2)], attributes()));
        let old = of("GroupNormalization", 18, vec![weights("s", &[2], 1), weights("b", &[2], 2)], attributes());
        let scales = weights("s", &[2], 1).float_data;
        let shifts = weights("b", &[2], 2).float_data;
        let wide = |v: &[f32]| floats("w", &[4], &[v[0], v[0], v[1], v[1]]).float_data;
        let new = of(
            "GroupNormalization",
            21,
            vec![floats("s", &[4], &wide(&scales)), floats("b", &[4], &wide(&shifts))],
            attributes(),
        );
        let x: Vec<f64> = (0..48).map(|i| (f64::from(i) * 0.7).sin()).collect();
        assert_eq!(import_model(&old).unwrap().eval(&x), import_model(&new).unwrap().eval(&x));
    }

    #[test]
    fn norms_along_axes() {
        for (at, p) in [(1, 1), (1, 2), (-1, 2), (0, 1)] {
            agrees(&of("LpNormalization", 13, vec![], vec![("axis", Attr::Int(at)), ("p", Attr::Int(p))]));
        }
        agrees(&of("MeanVarianceNormalization", 13, vec![], vec![]));
        agrees(&of("MeanVarianceNormalization", 13, vec![], vec![("axes", Attr::Ints(&[1, 3]))]));
        let zero = import_model(&of("LpNormalization", 13, vec![], vec![])).unwrap();
        assert!(zero.eval(&[0.0; 48]).iter().all(|&v| v == 0.0));
    }

    #[test]
    fn responses_of_near_channels() {
        for size in [1, 2, 3, 5, 9] {
            let attributes = vec![("size", Attr::Int(size)), ("alpha", Attr::Float(0.3)), ("beta", Attr::Float(0.6))];
            agrees(&of("LRN", 13, vec![], attributes));
        }
    }
}
