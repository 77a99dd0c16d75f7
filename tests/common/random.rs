//! Random integer models and inputs. The unit tests include this file by path.

use hallmark::{
    graph::{Affine, Feature, IntegerModel, IntegerNode, Interval, integer::Output},
    ops::{Divide, OneHot, Op, Piecewise, Product, Rescale, Root, Segment, Weighted},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Numbers drawn from a seed.
pub struct Draw(ChaCha20Rng);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Draw(ChaCha20Rng::seed_from_u64(seed))
    }

    /// An integer of `[lo, hi]`, which is narrower than 2^64.
    pub fn integer(&mut self, lo: i128, hi: i128) -> i128 {
        lo + i128::from(self.0.next_u64()).rem_euclid(hi - lo + 1)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        (self.0.next_u64() % len as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.index(times) == 0
    }
}

/// Append a node with the ranges that are proved of it; returns its tensor.
pub fn push(model: &mut IntegerModel, op: Op, inputs: Vec<usize>) -> usize {
    let ranges = model.implied_ranges(&op, &inputs).unwrap();
    let name = format!("node{}", model.nodes.len());
    model.nodes.push(IntegerNode { name, op, inputs, ranges });
    model.nodes.len()
}

fn output(model: &mut IntegerModel, tensor: usize) {
    let name = format!("y{}", model.outputs.len());
    model.outputs.push(Output { name, tensor, scale: 1024.0 });
}

fn features(ranges: impl IntoIterator<Item = Interval>) -> Vec<Feature> {
    let feature = |(i, range)| Feature { name: format!("x{i}"), scale: 1.0, range };
    ranges.into_iter().enumerate().map(feature).collect()
}

/// The map with these rows of weights, of which zeros are left out.
pub fn linear(input_len: usize, rows: &[Vec<i64>], bias: Vec<i128>) -> Op {
    let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias };
    for row in rows {
        for (i, &weight) in row.iter().enumerate().filter(|(_, weight)| **weight != 0) {
            map.columns.push(i as u32);
            map.weights.push(weight);
        }
        map.row_starts.push(map.columns.len() as u32);
    }
    Op::Linear(map)
}

/// A random multi-layer perceptron with ReLUs between its layers, inputs in `[-domain, domain]`.
pub fn mlp(widths: &[usize], domain: i128, seed: u64) -> IntegerModel {
    let mut draw = Draw::new(seed);
    let range = Interval::new(-domain, domain).unwrap();
    let features = features(std::iter::repeat_n(range, widths[0]));
    let mut model = IntegerModel { features, ..Default::default() };
    let mut tensor = 0;
    for (layer, pair) in widths.windows(2).enumerate() {
        if layer > 0 {
            tensor = push(&mut model, Op::Relu, vec![tensor]);
        }
        if layer > 1 {
            tensor = push(&mut model, Op::Rescale(Rescale { shift: 6 }), vec![tensor]);
        }
        let mut row = |_| (0..pair[0]).map(|_| draw.integer(-500, 500) as i64 | 1).collect();
        let rows: Vec<Vec<i64>> = (0..pair[1]).map(&mut row).collect();
        let bias = (0..pair[1]).map(|_| draw.integer(-10_000, 10_000)).collect();
        tensor = push(&mut model, linear(pair[0], &rows, bias), vec![tensor]);
    }
    output(&mut model, tensor);
    model
}

/// A domain: around zero, on either side of it, a single value, or one that is a power of two wide.
fn domain(draw: &mut Draw) -> Interval {
    let (near, width) = (draw.integer(1, 300), draw.integer(1, 4000));
    let (lo, hi) = match draw.index(6) {
        0 | 1 => (-near, width),
        2 => (near, near + width),
        3 => (-near - width, -near),
        4 => (near - 150, near - 150),
        _ => (-near, -near + (1 << draw.integer(1, 10)) - 1),
    };
    Interval::new(lo, hi).unwrap()
}

/// A dense layer of up to six neurons: one weight in four is zero, one bias in three.
fn dense(draw: &mut Draw, input_len: usize) -> Op {
    let width = 1 + draw.index(6);
    let mut weight = || if draw.once_in(4) { 0 } else { draw.integer(-200, 200) as i64 };
    let rows: Vec<Vec<i64>> = (0..width).map(|_| (0..input_len).map(|_| weight()).collect()).collect();
    let bias = (0..width).map(|_| if draw.once_in(3) { 0 } else { draw.integer(-3000, 3000) }).collect();
    linear(input_len, &rows, bias)
}

/// The sum of two tensors of `len` elements.
fn sum(len: usize) -> Op {
    let row = |j: usize| (0..2 * len).map(|i| i64::from(i % len == j)).collect();
    linear(2 * len, &(0..len).map(row).collect::<Vec<_>>(), vec![0; len])
}

/// A random model: one to six inputs, one to three layers, some with a ReLU, a rescale or a residual connection, and one
/// or several outputs, any of which may be an inner tensor.
pub fn random_model(seed: u64) -> IntegerModel {
    let mut draw = Draw::new(seed);
    let ranges: Vec<Interval> = (0..1 + draw.index(6)).map(|_| domain(&mut draw)).collect();
    let mut model = IntegerModel { features: features(ranges), ..Default::default() };
    let mut tensor = 0;
    for _ in 0..1 + draw.index(3) {
        let before = tensor;
        tensor = if before > 0 && draw.once_in(3) {
            let inputs = vec![before, draw.index(before)];
            let op = dense(&mut draw, inputs.iter().map(|&id| model.tensor_len(id)).sum());
            push(&mut model, op, inputs)
        } else {
            let op = dense(&mut draw, model.tensor_len(before));
            push(&mut model, op, vec![before])
        };
        if draw.once_in(2) {
            tensor = push(&mut model, Op::Relu, vec![tensor]);
        }
        if draw.once_in(2) {
            let shift = 1 + draw.index(8) as u32;
            tensor = push(&mut model, Op::Rescale(Rescale { shift }), vec![tensor]);
        }
        let len = model.tensor_len(tensor);
        if let Some(equal) = (0..tensor).find(|&id| model.tensor_len(id) == len) {
            tensor = push(&mut model, sum(len), vec![tensor, equal]);
        }
    }
    if draw.once_in(3) {
        let inner = draw.index(tensor);
        output(&mut model, inner);
    }
    output(&mut model, tensor);
    model
}

/// A random model with one to three operators of the kinds that only the general layout has, each over a rescaled layer.
pub fn random_general_model(seed: u64) -> IntegerModel {
    let mut draw = Draw::new(seed);
    let ranges: Vec<Interval> = (0..1 + draw.index(3)).map(|_| domain(&mut draw)).collect();
    let mut model = IntegerModel { features: features(ranges), ..Default::default() };
    let mut tensor = 0;
    for _ in 0..1 + draw.index(3) {
        let layer = dense(&mut draw, model.tensor_len(tensor));
        let layer = push(&mut model, layer, vec![tensor]);
        let bits = model.ranges(layer).iter().map(Interval::bits).max().unwrap_or(0);
        // values below 2^5 in magnitude
        let x = push(&mut model, Op::Rescale(Rescale { shift: bits.saturating_sub(5).max(1) }), vec![layer]);
        let len = model.tensor_len(x);
        let constant = |value: i128| linear(len, &vec![vec![0; len]; len], vec![value; len]);
        let squared = |model: &mut IntegerModel| push(model, Op::Square, vec![x]);
        tensor = match draw.index(6) {
            0 => squared(&mut model),
            1 => push(&mut model, Op::Product(Product::elementwise(len)), vec![x, x]),
            2 => {
                let coefficients = |draw: &mut Draw| [0, 1, 2].map(|_| draw.integer(-20, 20));
                let segments = [-64, -9, 0, 13].map(|start| Segment { start, coefficients: coefficients(&mut draw) });
                push(&mut model, Op::Piecewise(Piecewise { segments: segments.into(), end: 64, shift: 2 }), vec![x])
            }
            3 => {
                let square = squared(&mut model);
                let one = push(&mut model, constant(1), vec![x]);
                let divisor = push(&mut model, sum(len), vec![square, one]);
                push(&mut model, Op::Divide(Divide { shift: 6, nearest: draw.once_in(2) }), vec![x, divisor])
            }
            4 => {
                let square = squared(&mut model);
                push(&mut model, Op::Root(Root { shift: 3 }), vec![square])
            }
            _ => {
                let offset = push(&mut model, constant(64), vec![x]);
                let index = push(&mut model, sum(len), vec![x, offset]);
                push(&mut model, Op::OneHot(OneHot { depth: 128 }), vec![index])
            }
        };
    }
    if model.tensor_len(tensor) > 6 {
        let few = dense(&mut draw, model.tensor_len(tensor));
        tensor = push(&mut model, few, vec![tensor]);
    }
    output(&mut model, tensor);
    model
}

/// A random model with three functions, each over several elements of a layer, so that in the layout `phased` a look-up of the segment
/// takes fewer rows than a choice among all: a parabola per segment, a line, a step.
pub fn random_functions(seed: u64) -> IntegerModel {
    let mut draw = Draw::new(seed);
    let mut model = IntegerModel { features: features((0..3).map(|_| domain(&mut draw))), ..Default::default() };
    let mut outputs = vec![];
    for degree in 0..3 {
        let row = |draw: &mut Draw| (0..3).map(|_| draw.integer(-200, 200) as i64 | 1).collect();
        let rows: Vec<Vec<i64>> = (0..8).map(|_| row(&mut draw)).collect();
        let layer = push(&mut model, linear(3, &rows, vec![draw.integer(-3000, 3000); 8]), vec![0]);
        let function = random_function(&mut model, &mut draw, layer, degree, (7, 12));
        let sum = linear(8, &[vec![1, -1, 2, 1, 0, 3, -2, 1]], vec![5]);
        outputs.push(push(&mut model, sum, vec![function]));
    }
    outputs.into_iter().for_each(|tensor| output(&mut model, tensor));
    model
}

/// A random model with two functions, each over many elements of few values, so that in the layout `phased` a look-up of the value takes
/// the fewest rows, and one over few elements of many values, so that one of the segment does.
pub fn random_values(seed: u64) -> IntegerModel {
    let mut draw = Draw::new(seed);
    let range = |draw: &mut Draw| {
        let lo = draw.integer(-6, 3);
        Interval { lo, hi: lo + draw.integer(3, 6) }
    };
    let mut model = IntegerModel { features: features((0..3).map(|_| range(&mut draw))), ..Default::default() };
    let mut outputs = vec![];
    for (degree, len, limit, count) in [(2, 50, 3, (3, 5)), (1, 50, 1, (3, 4)), (2, 8, 2000, (9, 12))] {
        let row = |draw: &mut Draw| (0..3).map(|_| draw.integer(-limit, limit) as i64 | 1).collect();
        let rows: Vec<Vec<i64>> = (0..len).map(|_| row(&mut draw)).collect();
        let bias = (0..len).map(|_| draw.integer(-limit, limit)).collect();
        let layer = push(&mut model, linear(3, &rows, bias), vec![0]);
        let function = random_function(&mut model, &mut draw, layer, degree, count);
        let weights = (0..len).map(|i| [1, -1, 2, 1, 0, 3, -2, 1][i % 8]).collect();
        outputs.push(push(&mut model, linear(len, &[weights], vec![5]), vec![function]));
    }
    outputs.into_iter().for_each(|tensor| output(&mut model, tensor));
    model
}

/// Append a function of a tensor's elements, of so many segments.
fn random_function(
    model: &mut IntegerModel,
    draw: &mut Draw,
    tensor: usize,
    degree: usize,
    (fewest, most): (i128, i128),
) -> usize {
    let hull = model.ranges(tensor).iter().fold((0, 0), |hull, range| (hull.0.min(range.lo), hull.1.max(range.hi)));
    let count = draw.integer(fewest, most);
    let width = (hull.1 - hull.0) / count;
    let segment = |i: i128| {
        let coefficients = [20, 9, 1].map(|limit| draw.integer(-limit, limit));
        let coefficient = |i: usize| if i <= degree { coefficients[i] } else { 0 };
        let start = hull.0 + i * width + if i == 0 { 0 } else { draw.integer(-width / 3, width / 3) };
        Segment { start, coefficients: [0, 1, 2].map(coefficient) }
    };
    let segments: Vec<Segment> = (0..count).map(segment).collect();
    let shift = if degree == 0 { 0 } else { draw.index(6) as u32 };
    push(model, Op::Piecewise(Piecewise { segments, end: hull.1, shift }), vec![tensor])
}

/// The model with committed weights, with room for weights of twice the magnitude.
pub fn committed(model: &IntegerModel) -> IntegerModel {
    let mut result = IntegerModel { nodes: vec![], ..model.clone() };
    for node in &model.nodes {
        let op = match &node.op {
            Op::Linear(map) => {
                let greatest = map.weights.iter().map(|weight| weight.abs()).max().unwrap_or(0);
                let bias_limit = 2 * map.bias.iter().map(|bias| bias.abs()).max().unwrap_or(0);
                Op::Weighted(Weighted {
                    map: map.clone(),
                    weight_limits: vec![2 * greatest; map.input_len],
                    bias_limit,
                })
            }
            other => other.clone(),
        };
        push(&mut result, op, node.inputs.clone());
    }
    result
}

/// The same model with other committed weights: equal ones stay equal.
pub fn reweighted(model: &IntegerModel) -> IntegerModel {
    let mut result = model.clone();
    for node in &mut result.nodes {
        if let Op::Weighted(Weighted { map, .. }) = &mut node.op {
            map.weights.iter_mut().for_each(|weight| *weight = -*weight + weight.signum());
            map.bias.iter_mut().for_each(|bias| *bias = -*bias);
        }
    }
    result
}

/// An input inside the domain; every third value is a corner of its own.
pub fn random_input(model: &IntegerModel, draw: &mut Draw) -> Vec<i128> {
    let mut value = |range: Interval| match draw.index(6) {
        0 => range.lo,
        1 => range.hi,
        _ => draw.integer(range.lo, range.hi),
    };
    model.features.iter().map(|feature| value(feature.range)).collect()
}
