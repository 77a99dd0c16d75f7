//! Products with weights: dense layers, convolutions, Einsum, pooling.

use crate::common::onnx::Attr;
use crate::sketch::{Sketch, Value};

/// What a sum of products may be.
fn reach(x: &Value, terms: usize, weights: f64) -> (f64, f64) {
    let most = x.reach() * terms as f64 * weights;
    (-most, most)
}

pub fn gemm(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = s.of_rank(&x, 2);
    let transposed = s.draw.once_in(3);
    let (m, k) = if transposed { (x.shape[1], x.shape[0]) } else { (x.shape[0], x.shape[1]) };
    let n = 1 + s.draw.index(4);
    let turned = s.draw.once_in(3);
    let w = s.weights(&if turned { [n, k] } else { [k, n] }, -1.0, 1.0);
    let (alpha, beta) = if s.draw.once_in(3) { (0.5, -1.5) } else { (1.0, 1.0) };
    let mut attributes = vec![("transA", Attr::Int(transposed.into())), ("transB", Attr::Int(turned.into()))];
    attributes.extend([("alpha", Attr::Float(alpha)), ("beta", Attr::Float(beta))]);
    let mut inputs = vec![x.name.as_str(), &w];
    let bias_shape = s.narrower(&[m, n]);
    let bias = s.weights(&bias_shape, -1.0, 1.0);
    if !s.draw.once_in(4) {
        inputs.push(&bias);
    }
    let (lo, hi) = reach(&x, k, 1.0);
    Some(s.float("Gemm", &inputs, attributes, vec![m, n], (lo - 1.5, hi + 1.5)))
}

pub fn mat_mul(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    match s.draw.index(4) {
        0 => {
            // with itself, turned
            let x = s.within(&x, 3.0);
            let x = s.of_rank(&x, 2);
            let turned = vec![x.shape[1], x.shape[0]];
            let t = s.float("Transpose", &[&x.name], vec![], turned, (x.lo, x.hi));
            let shape = vec![x.shape[0]; 2];
            let range = reach(&x, x.shape[1], x.reach());
            Sketch::small(&shape).then(|| s.float("MatMul", &[&x.name, &t.name], vec![], shape, range))
        }
        1 => {
            // weights from the left
            let x = if x.rank() < 2 { s.of_rank(&x, 2) } else { x };
            let (rank, n) = (x.rank(), 1 + s.draw.index(3));
            let w = s.weights(&[n, x.shape[rank - 2]], -1.0, 1.0);
            let (shape, range) = (x.with_axis(rank - 2, n), reach(&x, x.shape[rank - 2], 1.0));
            Sketch::small(&shape).then(|| s.float("MatMul", &[&w, &x.name], vec![], shape, range))
        }
        _ => {
            let x = if x.rank() == 0 { s.of_rank(&x, 1) } else { x };
            let (last, k) = (x.rank() - 1, x.shape[x.rank() - 1]);
            let vector = s.draw.once_in(4);
            let n = 1 + s.draw.index(4);
            let w = s.weights(&if vector { vec![k] } else { vec![k, n] }, -1.0, 1.0);
            let shape = if vector { x.shape[..last].to_vec() } else { x.with_axis(last, n) };
            let range = reach(&x, k, 1.0);
            Sketch::small(&shape).then(|| s.float("MatMul", &[&x.name, &w], vec![], shape, range))
        }
    }
}

/// Sizes, strides, dilations and pads of a window along each spatial axis, and the sizes of what it gives.
struct Windows {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    /// Those at the starts, then those at the ends.
    pads: Vec<i64>,
    output: Vec<usize>,
}

impl Windows {
    fn draw(s: &mut Sketch, sizes: &[usize], dilate: bool) -> Self {
        let (mut starts, mut ends) = (vec![], vec![]);
        let mut windows = Self { kernel: vec![], strides: vec![], dilations: vec![], pads: vec![], output: vec![] };
        for &size in sizes {
            let kernel = 1 + s.draw.index(size.min(3));
            let dilation = if dilate && s.draw.once_in(3) { 2 } else { 1 };
            let covered = dilation * (kernel - 1) + 1;
            let mut pad = || s.draw.index(kernel);
            let (start, mut end) = (pad(), pad());
            end += covered.saturating_sub(size + start + end);
            let stride = 1 + s.draw.index(2);
            windows.output.push((size + start + end - covered) / stride + 1);
            windows.kernel.push(kernel as i64);
            windows.dilations.push(dilation as i64);
            windows.strides.push(stride as i64);
            starts.push(start as i64);
            ends.push(end as i64);
        }
        windows.pads = [starts, ends].concat();
        windows
    }

    fn attributes(&self) -> Vec<(&str, Attr<'_>)> {
        vec![
            ("kernel_shape", Attr::Ints(&self.kernel)),
            ("strides", Attr::Ints(&self.strides)),
            ("pads", Attr::Ints(&self.pads)),
        ]
    }
}

/// `[1, channels, sizes...]`, of one or two spatial axes.
fn picture(s: &mut Sketch) -> Value {
    let x = s.operand();
    let spatial = 1 + s.draw.index(2);
    let mut shape = s.factors(x.len(), 1 + spatial);
    shape.insert(0, 1);
    s.shaped(&x, shape)
}

pub fn conv(s: &mut Sketch) -> Option<Value> {
    let x = picture(s);
    let channels = x.shape[1];
    let groups = if channels.is_multiple_of(2) && s.draw.once_in(2) { 2 } else { 1 };
    let maps = groups * (1 + s.draw.index(2));
    let windows = Windows::draw(s, &x.shape[2..], true);
    let shape = [&[1, maps], windows.output.as_slice()].concat();
    if !Sketch::small(&shape) {
        return None;
    }
    let kernel: Vec<usize> = windows.kernel.iter().map(|&k| k as usize).collect();
    let w = s.weights(&[&[maps, channels / groups], kernel.as_slice()].concat(), -1.0, 1.0);
    let bias = s.weights(&[maps], -1.0, 1.0);
    let inputs = if s.draw.once_in(2) { vec![x.name.as_str(), &w, &bias] } else { vec![x.name.as_str(), &w] };
    let mut attributes = windows.attributes();
    attributes.extend([("dilations", Attr::Ints(&windows.dilations)), ("group", Attr::Int(groups as i64))]);
    let (lo, hi) = reach(&x, channels / groups * kernel.iter().product::<usize>(), 1.0);
    Some(s.float("Conv", &inputs, attributes, shape, (lo - 1.0, hi + 1.0)))
}

pub fn conv_transpose(s: &mut Sketch) -> Option<Value> {
    let x = picture(s);
    let (channels, maps) = (x.shape[1], 1 + s.draw.index(2));
    let (kernel, stride) = (1 + s.draw.index(3), 1 + s.draw.index(2));
    let spatial = x.rank() - 2;
    let shape = x.shape[2..].iter().map(|&size| (size - 1) * stride + kernel);
    let shape = [1, maps].into_iter().chain(shape).collect::<Vec<_>>();
    if !Sketch::small(&shape) {
        return None;
    }
    let w = s.weights(&[vec![channels, maps], vec![kernel; spatial]].concat(), -1.0, 1.0);
    let strides = vec![stride as i64; spatial];
    let range = reach(&x, channels * kernel.pow(spatial as u32), 1.0);
    Some(s.float("ConvTranspose", &[&x.name, &w], vec![("strides", Attr::Ints(&strides))], shape, range))
}

pub fn pool(s: &mut Sketch) -> Option<Value> {
    let x = picture(s);
    if s.draw.once_in(4) {
        let op = s.any(&["GlobalAveragePool", "GlobalMaxPool"]);
        let shape = [&x.shape[..2], &vec![1; x.rank() - 2]].concat();
        return Some(s.float(op, &[&x.name], vec![], shape, (x.lo, x.hi)));
    }
    let windows = Windows::draw(s, &x.shape[2..], false);
    let shape = [&x.shape[..2], windows.output.as_slice()].concat();
    let op = s.any(&["MaxPool", "AveragePool", "AveragePool"]);
    let mut attributes = windows.attributes();
    let counted = s.draw.once_in(2);
    if op == "AveragePool" && counted {
        attributes.push(("count_include_pad", Attr::Int(1)));
    }
    let (lo, hi) = if op == "AveragePool" { (x.lo.min(0.0), x.hi.max(0.0)) } else { (x.lo, x.hi) };
    Sketch::small(&shape).then(|| s.float(op, &[&x.name], attributes, shape, (lo, hi)))
}

pub fn einsum(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = s.within(&x, 3.0);
    let x = s.of_rank(&x, 2);
    let (i, j, k) = (x.shape[0], x.shape[1], 1 + s.draw.index(3));
    let w = s.weights(&[j, k], -1.0, 1.0);
    let (equation, inputs, shape) = match s.draw.index(6) {
        0 => ("ij,jk->ik", vec![x.name.as_str(), &w], vec![i, k]),
        1 => ("ij,jk->ki", vec![x.name.as_str(), &w], vec![k, i]),
        2 => ("ij,ij->i", vec![x.name.as_str(), &x.name], vec![i]),
        3 => ("ij->j", vec![x.name.as_str()], vec![j]),
        4 => ("ij,ik->jk", vec![x.name.as_str(), &x.name], vec![j, j]),
        _ => ("...j,jk->...k", vec![x.name.as_str(), &w], vec![i, k]),
    };
    let range = reach(&x, i * j, x.reach().max(1.0));
    Sketch::small(&shape).then(|| s.float("Einsum", &inputs, vec![("equation", Attr::Text(equation))], shape, range))
}
