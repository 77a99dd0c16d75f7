//! Conv and ConvTranspose, over any number of spatial axes.

use super::window::{Axis, Padding, Tap, Windows, extent, image, sizes};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::tensor::Kind;
use crate::ops::Product;

/// Number of groups, which must divide both numbers of channels.
fn groups(node: &Node, input: usize, output: usize) -> Result<usize, OnnxError> {
    let group = usize::try_from(node.int("group")?.unwrap_or(1)).ok().filter(|&g| g > 0);
    let divides = group.filter(|&g| input > 0 && output > 0 && input.is_multiple_of(g) && output.is_multiple_of(g));
    divides.ok_or_else(|| node.unsupported("attribute group", &format!("{input} or {output} channels are not divided")))
}

/// Data, weights and the optional bias, all of floats; the weights have as many axes as the data.
fn operands<'a>(node: &'a Node) -> Result<(&'a Value, &'a Value, Option<&'a Value>), OnnxError> {
    let (x, weights, bias) = (node.input(0)?, node.input(1)?, node.optional_input(2));
    if [Some(x), Some(weights), bias].into_iter().flatten().any(|v| v.kind() != Kind::Float) {
        return Err(node.unsupported("its element type", "all operands must be floats"));
    }
    if weights.shape().len() != x.shape().len() {
        return Err(node.mismatch(x.shape(), weights.shape(), "the weights must have as many axes as the input"));
    }
    let kernel = weights.shape().get(2..).unwrap_or(&[]);
    if let Some(given) = node.ints("kernel_shape")?
        && !given.iter().map(|&k| usize::try_from(k).ok()).eq(kernel.iter().map(|&k| Some(k)))
    {
        return Err(node.unsupported(&format!("kernel_shape {given:?}"), "it is not the shape of the weights"));
    }
    Ok((x, weights, bias))
}

/// The bias of `channels` elements.
fn check_bias(node: &Node, bias: Option<&Value>, channels: usize) -> Result<(), OnnxError> {
    match bias {
        Some(bias) if bias.shape() != [channels] => {
            Err(node.mismatch(bias.shape(), &[channels], "the bias must have one element per output channel"))
        }
        _ => Ok(()),
    }
}

/// `y[n, m, o] = bias[m] + sum over c, k of w[m, c, k] * x[n, first(m) + c, place(o, k)]`, where `first(m)` is the first
/// channel of the group of `m`.
fn conv(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, weights, bias) = operands(node)?;
    let (batch, channels, spatial) = image(node, x.shape())?;
    let (outputs, inner, kernel) = image(node, weights.shape())?;
    let group = groups(node, channels, outputs)?;
    if inner != channels / group {
        return Err(node.mismatch(x.shape(), weights.shape(), "the weights do not fit the channels of a group"));
    }
    check_bias(node, bias, outputs)?;
    let windows = Windows::new(node, spatial, kernel, false)?;
    let shape: Vec<usize> = [batch, outputs].into_iter().chain(windows.output()).collect();
    let count = lowering.charge_shape(node, &shape)?;
    lowering.charge(node.name, kernel.iter().copied().chain([count, inner]))?;
    let (taps, window, plane) = (windows.taps(), windows.window_len(), spatial.iter().product::<usize>());
    let places = taps.len() / window;
    let (Value::Constant(w), None | Some(Value::Constant(_))) = (weights, bias) else {
        let size = Sizes { batch, group, inner, outputs, window, places, plane };
        return size.of_activations(lowering, node, x, weights, bias, &taps, shape);
    };
    let bias = bias.and_then(Value::constant);
    let mut rows = AffineBuilder::new(x.len());
    for row in 0..batch * outputs {
        let (n, m) = (row / outputs, row % outputs);
        let first = n * channels + m / (outputs / group) * inner;
        for covered in taps.chunks_exact(window) {
            let mut terms = vec![];
            for c in 0..inner {
                for (k, tap) in covered.iter().enumerate() {
                    if let &Tap::Inside(i) = tap {
                        terms.push(((first + c) * plane + i, w.data[(m * inner + c) * window + k]));
                    }
                }
            }
            rows.push(terms, bias.map_or(0.0, |b| b.data[m]));
        }
    }
    Ok(vec![lowering.affine(node, &[x], rows.finish(), shape, Kind::Float)?])
}

/// The sizes of a convolution: `inner` channels of a group, `outputs` channels in all, windows at `places`.
struct Sizes {
    batch: usize,
    group: usize,
    inner: usize,
    outputs: usize,
    window: usize,
    places: usize,
    plane: usize,
}

impl Sizes {
    /// A matrix product per image and group: weights `[outputs / group, inner * window]` times the elements that the
    /// windows cover, `[inner * window, places]`.
    #[allow(clippy::too_many_arguments)]
    fn of_activations(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        weights: &Value,
        bias: Option<&Value>,
        taps: &[Tap],
        shape: Vec<usize>,
    ) -> Result<Vec<Value>, OnnxError> {
        let &Self { batch, group, inner, outputs, window, places, plane } = self;
        lowering.charge(node.name, [batch, weights.len()])?;
        lowering.charge(node.name, [batch * group * inner, window, places])?;
        let columns = (0..batch).flat_map(|_| 0..weights.len()).collect();
        let left = lowering.select(node, weights, vec![batch, weights.len()], columns)?;
        let mut rows = AffineBuilder::new(x.len());
        for channel in 0..batch * group * inner {
            for k in 0..window {
                for o in 0..places {
                    rows.push(
                        match taps[o * window + k] {
                            Tap::Inside(i) => vec![(channel * plane + i, 1.0)],
                            _ => vec![],
                        },
                        0.0,
                    );
                }
            }
        }
        let patches = vec![batch * group, inner * window, places];
        let right = lowering.affine(node, &[x], rows.finish(), patches, Kind::Float)?;
        let product = Product { batch: batch * group, rows: outputs / group, inner: inner * window, columns: places };
        let y = lowering.matrix_product(node, &left, &right, product, shape)?;
        Ok(vec![add_bias(lowering, node, y, bias, outputs)?])
    }
}

/// `y + bias`, one element of it per channel.
fn add_bias(
    lowering: &mut Lowering,
    node: &Node,
    y: Value,
    bias: Option<&Value>,
    channels: usize,
) -> Result<Value, OnnxError> {
    let Some(bias) = bias else { return Ok(y) };
    let mut shape = vec![1; y.shape().len() - 1];
    shape[0] = channels;
    let bias = lowering.reshape(node, bias, shape)?;
    let bias = lowering.broadcast_to(node, &bias, y.shape())?;
    lowering.combination(node, &[(&y, 1.0), (&bias, 1.0)], 0.0)
}

/// The axes of a transposed convolution: what Conv calls its output is the input here.
///
/// `output = stride * (input - 1) + output_padding + extent - begin - end`; where `output_shape` or a "SAME" padding
/// give the output size, what is too much is cut from both ends.
fn transposed_axes(node: &Node, input: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, OnnxError> {
    let count = input.len();
    let (strides, dilations) = (sizes(node, "strides", count, 1, 1)?, sizes(node, "dilations", count, 1, 1)?);
    let extra = sizes(node, "output_padding", count, 0, 0)?;
    let wanted = match node.ints("output_shape")? {
        // some exporters write all axes
        Some(all) if all.len() == count + 2 => {
            return Err(node.unsupported(&format!("output_shape {all:?}"), "it must hold the spatial axes only"));
        }
        Some(_) => Some(sizes(node, "output_shape", count, 1, 1)?),
        None => None,
    };
    let padding = Padding::read(node, count)?;
    let mut axes = vec![];
    for (a, (&input, &kernel)) in input.iter().zip(kernel).enumerate() {
        let full = input.saturating_sub(1) * strides[a] + extra[a] + extent(node, kernel, dilations[a])?;
        let same = match padding {
            Padding::Explicit { .. } => None,
            _ => Some(input * strides[a]),
        };
        let wanted = wanted.as_ref().map(|w| w[a]).or(same);
        let (begin, output) = match (wanted, &padding) {
            (None, Padding::Explicit { begin, end }) => (begin[a], full.checked_sub(begin[a] + end[a])),
            (wanted, padding) => {
                let output = wanted.unwrap_or(full);
                let total = full.saturating_sub(output);
                let begin = if matches!(padding, Padding::SameUpper) { total / 2 } else { total - total / 2 };
                (begin, Some(output))
            }
        };
        let Some(output) = output.filter(|&o| o > 0 && input > 0) else {
            return Err(node.mismatch(&[input], &[kernel], "the padding is more than the output"));
        };
        let (stride, dilation) = (strides[a], dilations[a]);
        axes.push(Axis { input: output, output: input, kernel, stride, dilation, begin, end: 0 });
    }
    Ok(axes)
}

/// `y[n, m, o] = bias[m] + sum over c, i, k with place(i, k) = o of w[c, m, k] * x[n, c, i]`: the products
/// `z[m, k, i] = sum over c of w[c, m, k] * x[n, c, i]` are added up where they fall.
fn conv_transpose(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, weights, bias) = operands(node)?;
    let (batch, channels, spatial) = image(node, x.shape())?;
    let (inputs, per_group, kernel) = image(node, weights.shape())?;
    let group = groups(node, channels, channels)?;
    if inputs != channels || per_group == 0 {
        return Err(node.mismatch(x.shape(), weights.shape(), "the weights do not fit the channels"));
    }
    let outputs = per_group.saturating_mul(group);
    check_bias(node, bias, outputs)?;
    let windows = Windows { axes: transposed_axes(node, spatial, kernel)? };
    let shape: Vec<usize> = [batch, outputs].into_iter().chain(windows.axes.iter().map(|a| a.input)).collect();
    let count = lowering.charge_shape(node, &shape)?;
    let (places, inner) = (spatial.iter().product::<usize>(), channels / group);
    lowering.charge(node.name, kernel.iter().copied().chain([places, batch, outputs]))?;
    lowering.charge(node.name, [batch, weights.len()])?;
    let (taps, window, plane) = (windows.taps(), windows.window_len(), count / (batch * outputs));

    // [batch, group, per_group, window, inner] from [group, inner, per_group, window]
    let rows_of_group = per_group * window;
    let group_columns = move |g: usize| {
        (0..rows_of_group).flat_map(move |row| (0..inner).map(move |c| (g * inner + c) * rows_of_group + row))
    };
    let columns = (0..batch).flat_map(|_| (0..group).flat_map(group_columns)).collect();
    let left = lowering.select(node, weights, vec![batch * group, rows_of_group, inner], columns)?;
    let product = Product { batch: batch * group, rows: rows_of_group, inner, columns: places };
    let z = lowering.matrix_product(node, &left, x, product, vec![batch * outputs, window, places])?;

    let mut sources = vec![vec![]; plane];
    for (place, covered) in taps.chunks_exact(window).enumerate() {
        for (k, tap) in covered.iter().enumerate() {
            if let &Tap::Inside(o) = tap {
                sources[o].push(k * places + place);
            }
        }
    }
    let mut rows = AffineBuilder::new(z.len());
    for channel in 0..batch * outputs {
        for terms in &sources {
            rows.push(terms.iter().map(|&s| (channel * window * places + s, 1.0)).collect(), 0.0);
        }
    }
    let y = lowering.affine(node, &[&z], rows.finish(), shape, Kind::Float)?;
    Ok(vec![add_bias(lowering, node, y, bias, outputs)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Conv", conv);
    registry.add("ConvTranspose", conv_transpose);
}

#[cfg(test)]
mod tests {
    use super::super::testing::text;
    use crate::onnx::testing::{Attr, agrees, model, node, weights};
    use crate::onnx::{OnnxError, import_model};

    type Attributes<'a> = Vec<(&'a str, &'a [i64])>;

    fn attributes<'a>(given: &Attributes<'a>) -> Vec<(&'a str, Attr<'a>)> {
        let attribute = |&(name, v): &(&'a str, &'a [i64])| match name {
            "group" => (name, Attr::Int(v[0])),
            _ => (name, Attr::Ints(v)),
        };
        given.iter().map(attribute).collect()
    }

    #[test]
    fn convolutions_agree() {
        let cases: [(&[i64], &[i64], Attributes); 8] = [
            (&[1, 2, 5], &[3, 2, 3], vec![]),
            (&[2, 2, 6], &[4, 1, 2], vec![("group", &[2]), ("strides", &[2]), ("pads", &[1, 0])]),
            (&[1, 3, 5, 4], &[2, 3, 3, 2], vec![("pads", &[1, 0, 2, 1]), ("kernel_shape", &[3, 2])]),
            (&[1, 2, 7, 7], &[2, 2, 3, 3], vec![("dilations", &[2, 1]), ("strides", &[1, 3])]),
            (&[1, 4, 3, 3], &[4, 1, 2, 2], vec![("group", &[4])]),
            (&[2, 1, 1, 1], &[2, 1, 1, 1], vec![]),
            (&[1, 2, 3, 4, 3], &[2, 2, 2, 2, 2], vec![("pads", &[1, 0, 0, 0, 1, 1])]),
            (&[1, 2, 3], &[2, 2, 3], vec![("pads", &[2, 2])]),
        ];
        for (x, w, given) in cases {
            for bias in [false, true] {
                let inputs: &[&str] = if bias { &["x", "w", "b"] } else { &["x", "w"] };
                let nodes = || vec![node("Conv", inputs, "y", attributes(&given))];
                let tensors = vec![weights("w", w, 1), weights("b", &w[..1], 2)];
                let graph = agrees(&model(&[("x", x)], "y", tensors, nodes()));
                assert_eq!(graph.nodes.len(), 1);
                // weights that depend on the input, data that does not, neither constant
                let bias = weights("b", &w[..1], 2);
                agrees(&model(&[("w", w)], "y", vec![weights("x", x, 3), bias.clone()], nodes()));
                agrees(&model(&[("x", x), ("w", w)], "y", vec![bias], nodes()));
            }
        }
    }

    #[test]
    fn automatic_padding_agrees() {
        for mode in ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"] {
            for stride in [1, 2] {
                let strides = [stride; 2];
                let attributes = vec![("strides", Attr::Ints(&strides))];
                let mut conv = node("Conv", &["x", "w"], "y", attributes);
                conv.attribute.push(text("auto_pad", mode));
                agrees(&model(&[("x", &[1, 1, 5, 4])], "y", vec![weights("w", &[1, 1, 2, 3], 1)], vec![conv]));
            }
        }
    }

    #[test]
    fn transposed_convolutions_agree() {
        let cases: [(&[i64], &[i64], Attributes); 7] = [
            (&[1, 2, 4], &[2, 3, 3], vec![]),
            (&[2, 2, 3], &[2, 1, 2], vec![("group", &[2]), ("strides", &[2])]),
            (&[1, 2, 3, 4], &[2, 2, 3, 2], vec![("strides", &[2, 3]), ("pads", &[1, 0, 1, 1])]),
            (&[1, 1, 3, 3], &[1, 2, 3, 3], vec![("strides", &[2, 2]), ("output_padding", &[1, 1])]),
            (&[1, 1, 3, 3], &[1, 1, 2, 2], vec![("dilations", &[2, 1]), ("strides", &[3, 2])]),
            (&[1, 4, 2, 2], &[4, 2, 2, 2], vec![("group", &[2]), ("strides", &[2, 2]), ("pads", &[1, 1, 0, 0])]),
            (&[1, 1, 3], &[1, 1, 4], vec![("pads", &[2, 1])]),
        ];
        for (x, w, given) in cases {
            let group = given.iter().find(|a| a.0 == "group").map_or(1, |a| a.1[0]);
            let bias = || weights("b", &[w[1] * group], 2);
            let nodes = || vec![node("ConvTranspose", &["x", "w", "b"], "y", attributes(&given))];
            let graph = agrees(&model(&[("x", x)], "y", vec![weights("w", w, 1), bias()], nodes()));
            assert_eq!(graph.nodes.len(), 1);
            agrees(&model(&[("x", x)], "y", vec![weights("w", w, 1)], {
                vec![node("ConvTranspose", &["x", "w"], "y", attributes(&given))]
            }));
            let graph = import_model(&model(&[("x", x), ("w", w)], "y", vec![bias()], nodes())).unwrap();
            let constant = import_model(&model(&[("x", x)], "y", vec![weights("w", w, 1), bias()], nodes())).unwrap();
            let x = crate::onnx::testing::random(constant.input_len(), 5);
            let x: Vec<f64> = x.iter().map(|&v| v.into()).collect();
            let both: Vec<f64> =
                x.iter().copied().chain(weights("w", w, 1).float_data.iter().map(|&v| v.into())).collect();
            for (a, b) in graph.eval(&both).iter().zip(constant.eval(&x)) {
                assert!((a - b).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn transposed_convolutions_to_a_given_shape() {
        // three ones spread by 2 and a kernel of [1, 2, 4] give [1, 2, 5, 2, 5, 2, 4]; what is cut from 7 to 6 is the start
        let w = crate::onnx::testing::floats("w", &[1, 1, 3], &[1.0, 2.0, 4.0]);
        let of = |given: Attributes, mode: &str| {
            let mut given: Vec<_> = attributes(&given);
            given.push(("strides", Attr::Ints(&[2])));
            let mut conv = node("ConvTranspose", &["x", "w"], "y", given);
            conv.attribute.push(text("auto_pad", mode));
            import_model(&model(&[("x", &[1, 1, 3])], "y", vec![w.clone()], vec![conv])).unwrap().eval(&[1.0; 3])
        };
        assert_eq!(of(vec![], "NOTSET"), [1.0, 2.0, 5.0, 2.0, 5.0, 2.0, 4.0]);
        assert_eq!(of(vec![("output_shape", &[6])], "NOTSET"), [2.0, 5.0, 2.0, 5.0, 2.0, 4.0]);
        assert_eq!(of(vec![("output_shape", &[6])], "SAME_UPPER"), [1.0, 2.0, 5.0, 2.0, 5.0, 2.0]);
        assert_eq!(of(vec![], "SAME_UPPER"), [1.0, 2.0, 5.0, 2.0, 5.0, 2.0]);
        assert_eq!(of(vec![("output_shape", &[8])], "NOTSET"), [1.0, 2.0, 5.0, 2.0, 5.0, 2.0, 4.0, 0.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cases: [(&[i64], &[i64], Attributes); 10] = [
            (&[1, 2, 5], &[3, 1, 3], vec![]),
            (&[1, 2, 5], &[3, 2, 6], vec![]),
            (&[1, 2, 5], &[3, 2, 3], vec![("group", &[0])]),
            (&[1, 2, 5], &[3, 2, 3], vec![("group", &[i64::MIN])]),
            (&[1, 2, 5], &[3, 2, 3], vec![("strides", &[0])]),
            (&[1, 2, 5], &[3, 2, 3], vec![("pads", &[i64::MAX, i64::MAX])]),
            (&[1, 2, 5], &[3, 2, 3], vec![("dilations", &[i64::MAX])]),
            (&[1, 2, 5], &[3, 2, 3], vec![("kernel_shape", &[2])]),
            (&[1, 2, 5], &[3, 2, 3, 1], vec![]),
            (&[1, 2, 5], &[3, 2, 3], vec![("pads", &[1 << 24, 1 << 24])]),
        ];
        for (x, w, given) in cases {
            for op in ["Conv", "ConvTranspose"] {
                if op == "ConvTranspose" && (w[2..] == [6] || w[1] == 1 || given.iter().any(|g| g.0 == "pads")) {
                    continue;
                }
                let nodes = vec![node(op, &["x", "w"], "y", attributes(&given))];
                let error = import_model(&model(&[("x", x)], "y", vec![weights("w", w, 1)], nodes)).unwrap_err();
                assert!(!matches!(error, OnnxError::Analysis { .. }), "{op} {x:?} {w:?} {given:?} {error}");
            }
        }
    }
}
