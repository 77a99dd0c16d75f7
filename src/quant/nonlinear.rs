//! Integer forms of the operators that are not affine.

use std::collections::HashMap;

use super::build::Builder;
use super::error::QuantError;
use super::scales::{MAX_WEIGHT_BITS, exp2};
use super::segments::Scaled;
use super::sensitivity::slope;
use crate::graph::{Affine, Comparison, FloatNode, FloatOp, IntegerNode, Interval, MAX_BITS, Rounding};
use crate::ops::{Divide, OneHot, Op, Product, Rescale, Root};

/// Bits of a function's argument beyond those that its result shows.
const SPARE_BITS: f64 = 2.0;

/// Elements of a function, at least, for a table of all of its values to be worth its rows. The argument then has no spare bits, as each
/// doubles the table; and its interval is rounded up, so that all layers of a model have the same function.
pub(super) const TABULATED: usize = 1 << 12;

/// Bits of a reciprocal beyond those of the dividend: what its rounding changes in the result is at most `2^-4` of its unit.
const RECIPROCAL_BITS: u32 = 3;

/// Quotients by one divisor, at least, for its reciprocal to be worth it.
const SHARED: usize = 4;

/// A tensor, and the exponent of its scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub tensor: usize,
    pub exponent: i32,
}

/// Appends the integer form of `node` over its operands, at the exponent `output`, and returns its tensor.
pub(super) fn build(
    builder: &mut Builder,
    node: &FloatNode,
    operand: &dyn Fn(usize) -> Operand,
    output: i32,
) -> Result<usize, QuantError> {
    let name = node.name.as_str();
    let x = operand(0);
    match &node.op {
        FloatOp::Affine(_) => Ok(x.tensor),
        FloatOp::Relu => builder.push(name, Op::Relu, vec![x.tensor]),
        FloatOp::Square => builder.push(name, Op::Square, vec![x.tensor]),
        FloatOp::Product(product) => builder.push(name, Op::Product(*product), vec![x.tensor, operand(1).tensor]),
        FloatOp::Function(function) => {
            let range = builder.hull(x.tensor);
            let real = |x: i128, exponent: i32| x as f64 * exp2(-exponent);
            if let Some(value) = function.undefined_at(real(range.lo, x.exponent), real(range.hi, x.exponent)) {
                let function = format!("{function:?}");
                return Err(QuantError::Undefined { node: name.into(), function, value });
            }
            // What the result does not show is dropped before.
            let slope = slope(function, real(range.lo, x.exponent), real(range.hi, x.exponent));
            let tabulated = builder.model.tensor_len(x.tensor) >= TABULATED;
            let spare = if tabulated { 0.0 } else { SPARE_BITS };
            let useful = (f64::from(output) + slope.log2() + spare).ceil() as i32;
            let (mut x, mut range) = (x, range);
            if let Ok(shift @ 1..) = u32::try_from(x.exponent - useful) {
                let op = Op::Rescale(Rescale { shift });
                x = Operand {
                    tensor: builder.push(&format!("{name}/argument"), op, vec![x.tensor])?,
                    exponent: useful,
                };
                range = builder.hull(x.tensor);
            }
            let relative = (-builder.precision - 1.0).exp2();
            let scaled = Scaled { function: *function, input: x.exponent, output, relative };
            let defined =
                |r: &Interval| function.undefined_at(real(r.lo, x.exponent), real(r.hi, x.exponent)).is_none();
            let rounded = if tabulated { rounded_up(range).filter(defined) } else { None };
            let rounded = rounded.and_then(|range| scaled.segments(range));
            let accepted = rounded.filter(|piecewise| Op::Piecewise(piecewise.clone()).accepts(1));
            let piecewise = accepted.or_else(|| scaled.segments(range)).ok_or_else(|| QuantError::Segments {
                node: name.into(),
                function: format!("{function:?}"),
                lo: real(range.lo, x.exponent),
                hi: real(range.hi, x.exponent),
                precision: builder.precision,
            })?;
            builder.push(name, Op::Piecewise(piecewise), vec![x.tensor])
        }
        FloatOp::Quotient => {
            let (mut a, mut b) = (x, operand(1));
            if builder.hull(b.tensor).hi < 0 {
                a.tensor = builder.scaled(&format!("{name}/dividend"), a.tensor, -1, 0)?;
                b.tensor = builder.scaled(&format!("{name}/divisor"), b.tensor, -1, 0)?;
            }
            if let Some(quotients) = by_reciprocals(builder, name, a, b, output) {
                return Ok(quotients);
            }
            let shift = output - a.exponent + b.exponent;
            builder.push(name, Op::Divide(Divide { shift, nearest: true }), vec![a.tensor, b.tensor])
        }
        FloatOp::Sqrt => {
            let shift = u32::try_from(2 * output - x.exponent);
            let shift = shift.map_err(|_| builder.too_wide(name, x.exponent.unsigned_abs()))?;
            builder.push(name, Op::Root(Root { shift }), vec![x.tensor])
        }
        FloatOp::Round(rounding) => round(builder, name, *rounding, x),
        FloatOp::Compare(comparison) => compare(builder, name, *comparison, x.tensor),
        FloatOp::FloorQuotient => {
            let op = Op::Divide(Divide { shift: operand(1).exponent - x.exponent, nearest: false });
            builder.push(name, op, vec![x.tensor, operand(1).tensor])
        }
        FloatOp::OneHot { .. } if x.exponent != 0 => Err(QuantError::NotAnInteger { node: name.into() }),
        FloatOp::OneHot { depth } => builder.push(name, Op::OneHot(OneHot { depth: *depth }), vec![x.tensor]),
    }
}

/// An interval around `range` whose ends are powers of two, the same ones on both sides of zero; `None` beyond the greatest integers.
fn rounded_up(range: Interval) -> Option<Interval> {
    let above = |v: i128| v.unsigned_abs().next_power_of_two() as i128;
    let below = |v: i128| if v > 0 { 1 << v.ilog2() } else { 0 };
    match (range.lo < 0, range.hi > 0) {
        (true, true) => {
            let greatest = above(range.hi.max(-range.lo));
            Interval::new(-greatest, greatest)
        }
        (true, false) => Interval::new(-above(range.lo), -below(-range.hi)),
        _ => Interval::new(below(range.lo), above(range.hi)),
    }
}

/// `a / b` as `a * (1 / b)`, if the divisors are few numbers, each that of many quotients: those of a softmax or of a normalisation. A
/// product and a rescale take half of the rows of a division. `None` if that is not so, or if integers would get too large.
fn by_reciprocals(builder: &mut Builder, name: &str, a: Operand, b: Operand, output: i32) -> Option<usize> {
    let Shared { rows: divisors, inputs, places } = Shared::of(builder, b.tensor)?;
    let nodes = builder.model.nodes.len();
    let made = || -> Result<usize, QuantError> {
        let shift = builder.hull(a.tensor).bits() + RECIPROCAL_BITS;
        let exponent = output - a.exponent + shift as i32;
        let len = divisors.output_len();
        let ones =
            Affine { row_starts: vec![0; len + 1], columns: vec![], weights: vec![], bias: vec![1; len], ..divisors };
        let ones = builder.push(&format!("{name}/ones"), Op::Linear(ones), inputs.clone())?;
        let divisors = builder.push(&format!("{name}/divisors"), Op::Linear(divisors), inputs)?;
        let op = Op::Divide(Divide { shift: exponent + b.exponent, nearest: true });
        let reciprocals = builder.push(&format!("{name}/reciprocals"), op, vec![ones, divisors])?;
        let spread = Affine {
            input_len: len,
            row_starts: (0..=places.len() as u32).collect(),
            weights: vec![1; places.len()],
            bias: vec![0; places.len()],
            columns: places,
        };
        let spread = builder.push(&format!("{name}/spread"), Op::Linear(spread), vec![reciprocals])?;
        let op = Op::Product(Product::elementwise(builder.model.tensor_len(a.tensor)));
        let product = builder.push(&format!("{name}/product"), op, vec![a.tensor, spread])?;
        builder.push(name, Op::Rescale(Rescale { shift }), vec![product])
    };
    let made = made();
    if made.is_err() {
        builder.model.nodes.truncate(nodes);
    }
    made.ok()
}

/// The distinct rows of the linear map that a tensor is the result of.
struct Shared {
    rows: Affine<i64, i128>,
    /// What the map reads.
    inputs: Vec<usize>,
    /// Per element its row.
    places: Vec<u32>,
}

impl Shared {
    /// `None` if they are more than a [`SHARED`]th.
    fn of(builder: &Builder, tensor: usize) -> Option<Self> {
        let IntegerNode { op: Op::Linear(map), inputs, .. } = &builder.model.nodes[tensor.checked_sub(1)?] else {
            return None;
        };
        let mut known = HashMap::new();
        let mut rows = Affine { row_starts: vec![0], columns: vec![], weights: vec![], bias: vec![], ..*map };
        let mut places = Vec::with_capacity(map.output_len());
        for j in 0..map.output_len() {
            let range = map.row_starts[j] as usize..map.row_starts[j + 1] as usize;
            let row = (&map.columns[range.clone()], &map.weights[range], map.bias[j]);
            let next = known.len() as u32;
            let place = *known.entry(row).or_insert(next);
            if place == next {
                rows.columns.extend(row.0);
                rows.weights.extend(row.1);
                rows.bias.push(row.2);
                rows.row_starts.push(rows.columns.len() as u32);
            }
            places.push(place);
        }
        (SHARED * known.len() <= places.len()).then(|| Self { rows, inputs: inputs.clone(), places })
    }
}

/// `[x >= 0]`: `floor(x / 2^bits) + 1` for `|x| < 2^bits`.
fn sign(builder: &mut Builder, name: &str, x: usize, offset: i128) -> Result<usize, QuantError> {
    let range = builder.hull(x);
    let shifted = Interval { lo: range.lo + offset, hi: range.hi + offset };
    // rescaling rounds to the nearest: half a step less rounds down
    let bits = shifted.bits().max(1);
    if bits >= MAX_BITS {
        return Err(builder.too_wide(name, bits));
    }
    let x = builder.scaled(&format!("{name}/shifted"), x, 1, offset - (1 << (bits - 1)))?;
    let floor = builder.push(&format!("{name}/sign"), Op::Rescale(Rescale { shift: bits }), vec![x])?;
    builder.scaled(name, floor, 1, 1)
}

fn compare(builder: &mut Builder, name: &str, comparison: Comparison, x: usize) -> Result<usize, QuantError> {
    match comparison {
        Comparison::AtLeast => sign(builder, name, x, 0),
        Comparison::Above => sign(builder, name, x, -1),
        Comparison::Equal => {
            let at_least = sign(builder, &format!("{name}/at-least"), x, 0)?;
            let above = sign(builder, &format!("{name}/above"), x, -1)?;
            builder.combination(name, &[(at_least, 1), (above, -1)])
        }
    }
}

fn round(builder: &mut Builder, name: &str, rounding: Rounding, x: Operand) -> Result<usize, QuantError> {
    if x.exponent.unsigned_abs() >= MAX_WEIGHT_BITS as u32 {
        return Err(builder.too_wide(name, x.exponent.unsigned_abs()));
    }
    let Ok(bits @ 1..) = u32::try_from(x.exponent) else {
        // integers, or multiples of a power of two
        return builder.scaled(name, x.tensor, 1 << -x.exponent, 0);
    };
    let rescaled = |builder: &mut Builder, part: &str, x: usize, factor: i64, offset: i128, bits: u32| {
        let x = builder.scaled(&format!("{name}/{part}-shifted"), x, factor, offset - (1 << (bits - 1)))?;
        builder.push(&format!("{name}/{part}"), Op::Rescale(Rescale { shift: bits }), vec![x])
    };
    match rounding {
        Rounding::Floor => rescaled(builder, "floor", x.tensor, 1, 0, bits),
        Rounding::Ceil => {
            let floor = rescaled(builder, "floor", x.tensor, -1, 0, bits)?;
            builder.scaled(name, floor, -1, 0)
        }
        Rounding::HalfEven => {
            // With v = x + 1/2 and u = v - 2 floor(v / 2) in [0, 2): the result is 2 floor(v / 2), and one more if u > 1.
            let half = 1i128 << (bits - 1);
            let pairs = rescaled(builder, "pairs", x.tensor, 1, half, bits + 1)?;
            let rest =
                builder.combination(&format!("{name}/rest"), &[(x.tensor, 1), (pairs, -(1i64 << (bits + 1)))])?;
            let odd = sign(builder, &format!("{name}/odd"), rest, half - (1 << bits) - 1)?;
            builder.combination(name, &[(pairs, 2), (odd, 1)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Feature, Function, IntegerModel};

    #[test]
    fn intervals_are_rounded_to_powers_of_two() {
        let rounded = |lo, hi| rounded_up(Interval { lo, hi }).map(|range| (range.lo, range.hi));
        assert_eq!(rounded(-5, 3), Some((-8, 8)));
        assert_eq!(rounded(-5, 9), Some((-16, 16)));
        assert_eq!(rounded(3, 9), Some((2, 16)));
        assert_eq!(rounded(0, 5), Some((0, 8)));
        assert_eq!(rounded(-9, -3), Some((-16, -2)));
        assert_eq!(rounded(-4, 0), Some((-4, 0)));
        assert_eq!(rounded(0, 1 << (MAX_BITS - 1)), Some((0, 1 << (MAX_BITS - 1))));
        assert_eq!(rounded(0, (1 << (MAX_BITS - 1)) + 1), None);
    }

    /// The operator that a function of elements in `range / 2^8` becomes.
    fn quantised(function: Function, elements: usize, (lo, hi): (i128, i128)) -> Op {
        let feature = |i| Feature { name: format!("x{i}"), scale: 256.0, range: Interval { lo, hi } };
        let model = IntegerModel { features: (0..elements).map(feature).collect(), ..Default::default() };
        let mut builder = Builder { model, precision: 8.0 };
        let node =
            FloatNode { name: "f".into(), onnx_op: "F".into(), op: FloatOp::Function(function), inputs: vec![0] };
        build(&mut builder, &node, &|_| Operand { tensor: 0, exponent: 8 }, 8).unwrap();
        builder.model.nodes.pop().unwrap().op
    }

    #[test]
    fn functions_of_many_elements_are_the_same_in_every_layer() {
        let of = |elements, range| quantised(Function::Gelu, elements, range);
        assert_eq!(of(TABULATED, (-1000, 800)), of(TABULATED, (-700, 1020)));
        assert_ne!(of(TABULATED - 1, (-1000, 800)), of(TABULATED - 1, (-700, 1020)));
        // where the exponential of 66 fits and that of 128 does not, the interval stays as it is
        let Op::Piecewise(exponential) = quantised(Function::Exp, TABULATED, (0, 66 << 8)) else { panic!() };
        assert_eq!(exponential.end, 66 << 8);
    }
}
