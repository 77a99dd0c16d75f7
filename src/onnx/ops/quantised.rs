//! Quantised tensors: integers `q` that stand for `scale * (q - zero)`. Accumulators are integers; only the conversion
//! back to a quantised type rounds, halves to even, and saturates.

use tract_onnx::pb::tensor_proto::DataType;

use super::window::refuse_both;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Rounding};
use crate::onnx::shape::{axis, offsets, strides};
use crate::onnx::tensor::{Kind, integer_range};
use crate::ops::Product;

/// Constants that belong to a whole tensor, or one to each index of an axis.
struct Parameters {
    values: Vec<f64>,
    /// Elements below one index of the axis.
    inner: usize,
}

impl Parameters {
    /// The input at `position` for a tensor of `shape` with one value per index of `at`, or one in all; zero if left out.
    fn read(node: &Node, position: usize, what: &str, shape: &[usize], at: Option<usize>) -> Result<Self, OnnxError> {
        let Some(value) = node.optional_input(position) else { return Ok(Self { values: vec![0.0], inner: 1 }) };
        let constant = value.constant().ok_or_else(|| node.unsupported(what, "it must be constant"))?;
        let values = constant.data.clone();
        match (values.len(), at.and_then(|at| Some((*shape.get(at)?, shape.get(at + 1..)?)))) {
            (1, _) => Ok(Self { values, inner: 1 }),
            (len, Some((size, inner))) if len == size && constant.shape.len() == 1 => {
                Ok(Self { values, inner: inner.iter().product() })
            }
            (len, _) => {
                let reason = format!("its {len} elements do not fit the shape {shape:?}");
                Err(node.unsupported(what, &reason))
            }
        }
    }

    /// A zero point, which must hold integers.
    fn zero(node: &Node, position: usize, shape: &[usize], at: Option<usize>) -> Result<Self, OnnxError> {
        match node.optional_input(position) {
            Some(zero) if zero.kind() != Kind::Integer => Err(node.unsupported("its zero point", "it is no integer")),
            _ => Self::read(node, position, "its zero point", shape, at),
        }
    }

    /// A scale, which must be positive.
    fn scale(node: &Node, position: usize, shape: &[usize], at: Option<usize>) -> Result<Self, OnnxError> {
        node.input(position)?;
        let scale = Self::read(node, position, "its scale", shape, at)?;
        match scale.values.iter().all(|&v| v > 0.0) {
            true => Ok(scale),
            false => Err(node.unsupported("its scale", "it must be positive")),
        }
    }

    /// That of the element with flat index `i`.
    fn at(&self, i: usize) -> f64 {
        self.values[i / self.inner % self.values.len()]
    }
}

/// The range of the quantised type, which is that of the zero point, by default bytes.
fn saturation(node: &Node, zero: usize) -> Result<(f64, f64), OnnxError> {
    let declared = node.int("output_dtype")?.filter(|&t| t != 0).and_then(|t| i32::try_from(t).ok());
    let stored = match node.optional_input(zero) {
        None => Some(declared.unwrap_or(DataType::Uint8 as i32)),
        Some(value) => value.constant().and_then(|c| c.stored_as),
    };
    let range = stored.and_then(integer_range).filter(|&(lo, hi)| hi - lo <= f64::from(u16::MAX));
    range.ok_or_else(|| node.unsupported("the type of its zero point", "it must be a constant of 8 or 16 bits"))
}

/// `clip(round(x * factor) + zero, range)`, exactly: with `a = max(q - lo, 0)` it is `lo + a - max(a - (hi - lo), 0)`.
fn saturated(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    factor: impl Fn(usize) -> f64,
    zero: &Parameters,
    (lo, hi): (f64, f64),
) -> Result<Value, OnnxError> {
    let x = lowering.scaled(node, &x.with_kind(Kind::Float), factor, |_| 0.0)?;
    let rounded = lowering.round(node, Rounding::HalfEven, &x, Kind::Integer)?;
    let above = lowering.scaled(node, &rounded, |_| 1.0, |i| zero.at(i) - lo)?;
    let above = lowering.relu(node, &above)?;
    let excess = lowering.scaled(node, &above, |_| 1.0, |_| lo - hi)?;
    let excess = lowering.relu(node, &excess)?;
    lowering.combination(node, &[(&above, 1.0), (&excess, -1.0)], lo)
}

/// The axis of scales and zero points, by default 1; `None` if the tensor has no such axis.
fn channels(node: &Node, shape: &[usize]) -> Result<Option<usize>, OnnxError> {
    if node.int("block_size")?.unwrap_or(0) != 0 {
        return Err(node.unsupported("block_size", "blocks of scales are not"));
    }
    match node.int("axis")? {
        None => Ok(axis(1, shape.len())),
        Some(given) => match axis(given, shape.len()) {
            None if !shape.is_empty() => Err(node.unsupported("attribute axis", "the tensor has no such axis")),
            found => Ok(found),
        },
    }
}

fn quantize(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let at = channels(node, x.shape())?;
    let scale = Parameters::scale(node, 1, x.shape(), at)?;
    let zero = Parameters::zero(node, 2, x.shape(), at)?;
    let range = saturation(node, 2)?;
    Ok(vec![saturated(lowering, node, x, |i| 1.0 / scale.at(i), &zero, range)?])
}

fn dequantize(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = integers(node, 0)?;
    let at = channels(node, x.shape())?;
    let scale = Parameters::scale(node, 1, x.shape(), at)?;
    let zero = Parameters::zero(node, 2, x.shape(), at)?;
    let x = x.with_kind(Kind::Float);
    Ok(vec![lowering.scaled(node, &x, |i| scale.at(i), |i| -zero.at(i) * scale.at(i))?])
}

/// The input at `position`, which must hold integers.
fn integers<'a>(node: &'a Node, position: usize) -> Result<&'a Value, OnnxError> {
    let x = node.input(position)?;
    match x.kind() {
        Kind::Integer => Ok(x),
        _ => Err(node.unsupported(&format!("the element type of input {position}"), "it must be an integer")),
    }
}

/// Where an operator finds two tensors and their zero points.
struct Inputs {
    left: usize,
    left_zero: usize,
    right: usize,
    right_zero: usize,
}

/// `(a - zero of a) (b - zero of b)`, a product of matrices. Zero points may belong to rows of `a`, columns of `b`.
fn matrix_product(lowering: &mut Lowering, node: &Node, at: &Inputs) -> Result<Value, OnnxError> {
    let (a, b) = (integers(node, at.left)?, integers(node, at.right)?);
    let (left, right) = (a.shape().to_vec(), b.shape().to_vec());
    let mismatch = |reason: &str| node.mismatch(&left, &right, reason);
    let ([left_batch @ .., m, k], [right_batch @ .., inner, n]) = (left.as_slice(), right.as_slice()) else {
        return Err(mismatch("both operands must be matrices"));
    };
    if k != inner {
        return Err(mismatch(&format!("inner dimensions {k} and {inner} differ")));
    }
    let batch: usize = left_batch.iter().product();
    let product = match right_batch {
        [] => Product { batch: 1, rows: batch * m, inner: *k, columns: *n },
        _ if right_batch == left_batch => Product { batch, rows: *m, inner: *k, columns: *n },
        _ => return Err(mismatch("leading dimensions must be equal, or those of the first operand alone")),
    };
    let zero_a = Parameters::zero(node, at.left_zero, &left, left.len().checked_sub(2))?;
    let zero_b = Parameters::zero(node, at.right_zero, &right, right.len().checked_sub(1))?;
    let a = lowering.scaled(node, a, |_| 1.0, |i| -zero_a.at(i))?;
    let b = lowering.scaled(node, b, |_| 1.0, |i| -zero_b.at(i))?;
    let shape: Vec<usize> = left_batch.iter().chain([m, n]).copied().collect();
    lowering.charge_shape(node, &shape)?;
    lowering.matrix_product(node, &a, &b, product, shape)
}

fn matmul_integer(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![matrix_product(lowering, node, &Inputs { left: 0, left_zero: 2, right: 1, right_zero: 3 })?])
}

fn qlinear_matmul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let inputs = Inputs { left: 0, left_zero: 2, right: 3, right_zero: 5 };
    let sum = matrix_product(lowering, node, &inputs)?;
    let rank = sum.shape().len();
    let scale_a = Parameters::scale(node, 1, sum.shape(), rank.checked_sub(2))?;
    let scale_b = Parameters::scale(node, 4, sum.shape(), rank.checked_sub(1))?;
    requantised(lowering, node, &sum, |i| scale_a.at(i) * scale_b.at(i), 6)
}

/// `clip(round(sum * scale / output scale) + zero)`; the output's scale and zero point are inputs `at` and `at + 1`.
fn requantised(
    lowering: &mut Lowering,
    node: &Node,
    sum: &Value,
    scale: impl Fn(usize) -> f64,
    at: usize,
) -> Result<Vec<Value>, OnnxError> {
    let output = Parameters::scale(node, at, sum.shape(), None)?;
    let zero = Parameters::zero(node, at + 1, sum.shape(), None)?;
    let range = saturation(node, at + 1)?;
    Ok(vec![saturated(lowering, node, sum, |i| scale(i) / output.at(i), &zero, range)?])
}

/// What a convolution does along one axis.
#[derive(Clone, Copy)]
struct Window {
    size: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    outputs: usize,
}

impl Window {
    fn all(node: &Node, size: &[usize], kernel: &[usize]) -> Result<Vec<Self>, OnnxError> {
        let rank = size.len();
        let list = |name: &str, len: usize, default: i64, least: i64| -> Result<Vec<usize>, OnnxError> {
            let list = node.ints(name)?.map_or(vec![default; len], <[i64]>::to_vec);
            let fits = list.len() == len && list.iter().all(|v| (least..=1 << 24).contains(v));
            match fits {
                true => Ok(list.into_iter().map(|v| v as usize).collect()),
                false => Err(node.unsupported(&format!("{name} {list:?}"), &format!("for {rank} axes"))),
            }
        };
        let (strides, dilations) = (list("strides", rank, 1, 1)?, list("dilations", rank, 1, 1)?);
        let pads = list("pads", 2 * rank, 0, 0)?;
        if let Some(declared) = node.ints("kernel_shape")?
            && !declared.iter().map(|&k| usize::try_from(k).ok()).eq(kernel.iter().map(|&k| Some(k)))
        {
            return Err(node.unsupported("kernel_shape", "it is not that of the weights"));
        }
        let auto = node.string("auto_pad")?.unwrap_or_default();
        refuse_both(node, &auto)?;
        (0..rank)
            .map(|i| {
                let too_large = || node.unsupported("its kernel", "it is larger than the padded input");
                let (size, kernel, stride, dilation) = (size[i], kernel[i], strides[i], dilations[i]);
                let extent = kernel.checked_sub(1).and_then(|k| k.checked_mul(dilation)?.checked_add(1));
                let extent = extent.ok_or_else(too_large)?;
                let same =
                    (size.div_ceil(stride).saturating_sub(1) * stride).saturating_add(extent).saturating_sub(size);
                let (before, after) = match auto.as_str() {
                    "" | "NOTSET" => (pads[i], pads[rank + i]),
                    "VALID" => (0, 0),
                    "SAME_UPPER" => (same / 2, same - same / 2),
                    "SAME_LOWER" => (same - same / 2, same / 2),
                    other => return Err(node.unsupported(&format!("auto_pad {other}"), "it is unknown")),
                };
                let room =
                    size.saturating_add(before).saturating_add(after).checked_sub(extent).ok_or_else(too_large)?;
                Ok(Self { size, stride, dilation, before, outputs: room / stride + 1 })
            })
            .collect()
    }

    /// The element that the kernel's element `k` meets at the output `o`, if that is not padding.
    fn meets(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.before).filter(|&i| i < self.size)
    }
}

/// `sum of (x - zero of x) (w - zero of w) + bias` over the windows of the input; padding adds nothing.
fn convolution(lowering: &mut Lowering, node: &Node, at: &Inputs, bias: Option<usize>) -> Result<Value, OnnxError> {
    let (x, weights) = (integers(node, at.left)?, integers(node, at.right)?);
    let weights = weights.constant().ok_or_else(|| node.unsupported("its weights", "they must be constant"))?;
    let mismatch = |reason: &str| node.mismatch(x.shape(), &weights.shape, reason);
    let (&[batch, inputs, ref size @ ..], &[outputs, per_group, ref kernel @ ..]) =
        (x.shape(), weights.shape.as_slice())
    else {
        return Err(mismatch("both have a batch or outputs, channels, and further axes"));
    };
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).unwrap_or(0);
    let grouped = groups > 0 && outputs % groups == 0 && per_group.checked_mul(groups) == Some(inputs);
    if size.len() != kernel.len() || size.is_empty() || !grouped || weights.data.is_empty() {
        return Err(mismatch(&format!("they do not fit a convolution of {groups} groups")));
    }
    let windows = Window::all(node, size, kernel)?;
    let places: Vec<usize> = windows.iter().map(|w| w.outputs).collect();
    let shape: Vec<usize> = [batch, outputs].into_iter().chain(places.iter().copied()).collect();
    let count = lowering.charge_shape(node, &shape)?;
    lowering.charge(node.name, [count, weights.data.len() / outputs])?;
    let zero_x = Parameters::zero(node, at.left_zero, x.shape(), None)?;
    let zero_w = Parameters::zero(node, at.right_zero, &weights.shape, Some(0))?;
    let bias = match bias.and_then(|position| node.optional_input(position).map(|_| position)) {
        None => None,
        Some(position) => {
            integers(node, position)?;
            Some(Parameters::read(node, position, "its bias", &[outputs], Some(0))?)
        }
    };
    let x = lowering.scaled(node, x, |_| 1.0, |_| -zero_x.at(0))?;

    let positions = indices(&places);
    let taps = indices(kernel);
    let steps = strides(size);
    let (area, taps_len) = (size.iter().product::<usize>(), taps.len());
    // Per place and tap the element of a channel that they meet.
    let meet = |o: &[usize], k: &[usize]| -> Option<usize> {
        let each = windows.iter().zip(o.iter().zip(k)).map(|(w, (&o, &k))| w.meets(o, k));
        each.zip(&steps).try_fold(0, |sum, (i, step)| Some(sum + i? * step))
    };
    let mut rows = AffineBuilder::new(x.len());
    for b in 0..batch {
        for m in 0..outputs {
            let first = m / (outputs / groups) * per_group;
            let bias = bias.as_ref().map_or(0.0, |bias| bias.at(m));
            for place in &positions {
                let mut terms = vec![];
                for (k, tap) in taps.iter().enumerate() {
                    let Some(element) = meet(place, tap) else { continue };
                    for c in 0..per_group {
                        let w = (m * per_group + c) * taps_len + k;
                        let column = (b * inputs + first + c) * area + element;
                        terms.push((column, weights.data[w] - zero_w.at(w)));
                    }
                }
                rows.push(terms, bias);
            }
        }
    }
    lowering.affine(node, &[&x], rows.finish(), shape, Kind::Integer)
}

/// All indices of a tensor of `shape`, in row-major order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let steps = strides(shape);
    let split = |flat: usize| steps.iter().zip(shape).map(|(step, d)| flat / step % d).collect();
    offsets(shape, &steps).into_iter().map(split).collect()
}

fn conv_integer(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let inputs = Inputs { left: 0, left_zero: 2, right: 1, right_zero: 3 };
    Ok(vec![convolution(lowering, node, &inputs, None)?])
}

fn qlinear_conv(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let inputs = Inputs { left: 0, left_zero: 2, right: 3, right_zero: 5 };
    let sum = convolution(lowering, node, &inputs, Some(8))?;
    let scale_x = Parameters::scale(node, 1, sum.shape(), None)?;
    let scale_w = Parameters::scale(node, 4, sum.shape(), Some(1))?;
    requantised(lowering, node, &sum, |i| scale_x.at(i) * scale_w.at(i), 6)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("QuantizeLinear", quantize);
    registry.add("DequantizeLinear", dequantize);
    registry.add("QLinearMatMul", qlinear_matmul);
    registry.add("MatMulInteger", matmul_integer);
    registry.add("QLinearConv", qlinear_conv);
    registry.add("ConvInteger", conv_integer);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{NodeProto, TensorProto, tensor_proto::DataType};

    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, ints, model, node, random};

    /// Bytes, signed or not.
    fn bytes(name: &str, dims: &[i64], data: &[i32], data_type: DataType) -> TensorProto {
        let (name, dims, data_type) = (name.into(), dims.to_vec(), data_type as i32);
        TensorProto { name, dims, data_type, int32_data: data.to_vec(), ..Default::default() }
    }

    fn random_bytes(name: &str, dims: &[i64], seed: u64) -> TensorProto {
        let data: Vec<i32> =
            random(dims.iter().product::<i64>() as usize, seed).iter().map(|v| (v * 60.0) as i32).collect();
        bytes(name, dims, &data, DataType::Int8)
    }

    fn quantise() -> NodeProto {
        node("QuantizeLinear", &["x", "xs", "xz"], "q", vec![])
    }

    /// Scales and zero points: `x` saturates at both ends.
    fn parameters() -> Vec<TensorProto> {
        vec![
            floats("xs", &[], &[0.0137]),
            bytes("xz", &[], &[131], DataType::Uint8),
            floats("ws", &[], &[0.021]),
            bytes("wz", &[], &[-3], DataType::Int8),
            floats("ys", &[], &[0.031]),
            bytes("yz", &[], &[120], DataType::Uint8),
        ]
    }

    #[test]
    fn rounding_saturates_per_tensor_and_per_axis() {
        for (zero, data_type) in [(131, DataType::Uint8), (-7, DataType::Int8)] {
            let nodes = vec![quantise(), node("DequantizeLinear", &["q", "xs", "xz"], "y", vec![])];
            let constants = vec![floats("xs", &[], &[0.0137]), bytes("xz", &[], &[zero], data_type)];
            agrees(&model(&[("x", &[2, 3])], "y", constants, nodes));
        }
        let axis = || vec![("axis", Attr::Int(0))];
        let nodes = vec![
            node("QuantizeLinear", &["x", "s", "z"], "q", axis()),
            node("DequantizeLinear", &["q", "s", "z"], "y", axis()),
        ];
        let constants = vec![floats("s", &[2], &[0.5, 0.005]), bytes("z", &[2], &[3, -4], DataType::Int8)];
        let graph = import_model(&model(&[("x", &[2, 2])], "y", constants, nodes)).unwrap();
        // Halves go to the even integer.
        let step = f64::from(0.005f32);
        assert_eq!(graph.eval(&[0.75, 1.25, -0.011, 2.0]), [1.0, 1.0, -2.0 * step, 131.0 * step]);
    }

    #[test]
    fn integer_products_and_convolutions() {
        let cast = node("Cast", &["i"], "y", vec![("to", Attr::Int(1))]);
        let product = node("MatMulInteger", &["q", "w", "xz", "wz"], "i", vec![]);
        let mut constants = parameters();
        constants.push(random_bytes("w", &[4, 3], 1));
        agrees(&model(&[("x", &[2, 4])], "y", constants, vec![quantise(), product, cast.clone()]));

        let attributes = vec![("pads", Attr::Ints(&[1, 0, 0, 1])), ("strides", Attr::Ints(&[2, 1]))];
        let convolution = node("ConvInteger", &["q", "w", "xz", "wz"], "i", attributes);
        let mut constants = parameters();
        constants.push(random_bytes("w", &[3, 2, 2, 3], 2));
        agrees(&model(&[("x", &[1, 2, 4, 5])], "y", constants, vec![quantise(), convolution, cast]));
    }

    #[test]
    fn requantised_products_and_convolutions() {
        let dequantise = node("DequantizeLinear", &["i", "ys", "yz"], "y", vec![]);
        let inputs = ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
        let mut constants = parameters();
        constants.push(random_bytes("w", &[4, 3], 3));
        let nodes = vec![quantise(), node("QLinearMatMul", &inputs, "i", vec![]), dequantise.clone()];
        agrees(&model(&[("x", &[2, 4])], "y", constants, nodes));

        let mut constants = parameters();
        constants.push(random_bytes("w", &[4, 1, 3, 3], 4));
        let mut bias = bytes("b", &[4], &[100, -2000, 300, 0], DataType::Int32);
        bias.name = "b".into();
        constants.push(bias);
        let attributes = vec![("group", Attr::Int(2)), ("pads", Attr::Ints(&[1, 1, 1, 1]))];
        let inputs = ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"];
        let nodes = vec![quantise(), node("QLinearConv", &inputs, "i", attributes), dequantise];
        agrees(&model(&[("x", &[1, 2, 4, 4])], "y", constants, nodes));
    }

    #[test]
    fn the_type_of_the_output_must_be_known() {
        let to = |zero: TensorProto| {
            let constants = vec![floats("xs", &[], &[0.1]), zero];
            import_model(&model(&[("x", &[1, 2])], "q", constants, vec![quantise()])).unwrap_err().to_string()
        };
        assert!(to(ints("xz", &[], &[0])).contains("8 or 16 bits"));
        assert!(to(floats("xz", &[], &[0.0])).contains("no integer"));
        assert!(to(bytes("xz", &[3], &[0, 0, 0], DataType::Int8)).contains("do not fit"));
        let zero = vec![floats("xs", &[], &[0.0]), bytes("xz", &[], &[0], DataType::Int8)];
        let error = import_model(&model(&[("x", &[1, 2])], "q", zero, vec![quantise()])).unwrap_err();
        assert!(error.to_string().contains("positive"), "{error}");
    }

    #[test]
    fn kernels_that_do_not_fit_are_refused() {
        for (dims, attributes) in [
            ([3i64, 2, 9, 3], vec![]),
            ([3, 3, 2, 3], vec![]),
            ([3, 2, 2, 3], vec![("strides", Attr::Ints(&[0, 1]))]),
            ([3, 2, 2, 3], vec![("pads", Attr::Ints(&[i64::MAX, 0, 0, 0]))]),
            ([3, 2, 2, 3], vec![("group", Attr::Int(0))]),
        ] {
            let mut constants = parameters();
            constants.push(random_bytes("w", &dims, 2));
            let convolution = node("ConvInteger", &["q", "w", "xz", "wz"], "i", attributes);
            assert!(
                import_model(&model(&[("x", &[1, 2, 4, 5])], "i", constants, vec![quantise(), convolution])).is_err()
            );
        }
    }
}
