//! How precisely operators that are not affine must know what they read.
//!
//! At a precision of `P` bits, an operator's result should be as good as one rounded to a multiple of `2^-P` of its range
//! on the calibration data. What it reads is rounded, too, and the derivative of the operator says how much that shows.
//! Everything here is an estimate: it decides scales, not ranges, and accuracy is measured afterwards.

use super::nonlinear::TABULATED;
use super::scales::Observed;
use crate::graph::{FloatOp, Function, Graph};

/// The most bits beyond the precision that are asked of an operand, relative to its own range.
const MAX_EXTRA_BITS: i32 = 10;
/// Bits beyond the precision for operators that jump: a rounded operand may fall on the other side.
const JUMP_BITS: f64 = 4.0;
/// Points at which a derivative is looked at.
const POINTS: u32 = 64;

/// The exponents that node `i`, which is not affine, asks of the values that it reads, in their order.
pub(super) fn demands(graph: &Graph, i: usize, observed: &[Observed], precision: f64) -> Vec<i32> {
    let node = &graph.nodes[i];
    // these read what they read as it is; constants read nothing
    if matches!(node.op, FloatOp::Affine(_) | FloatOp::Relu | FloatOp::OneHot { .. } | FloatOp::FloorQuotient) {
        return vec![];
    }
    let result = observed[graph.inputs.len() + i];
    let error = result.greatest * (-precision).exp2();
    let operands: Vec<Observed> = node.inputs.iter().map(|&id| observed[id]).collect();
    let x = operands[0];
    let by_gain = |x: Observed, gain: f64| cap((gain / error).log2().ceil() + 1.0, x, precision);
    // relative to the least value that was seen
    let relative = |x: Observed| cap(precision + 1.0 - x.least.log2(), x, precision);
    let jump = |x: Observed| (precision + JUMP_BITS - x.greatest.log2()).ceil() as i32;
    match &node.op {
        FloatOp::Affine(_) | FloatOp::Relu | FloatOp::OneHot { .. } | FloatOp::FloorQuotient => vec![],
        FloatOp::Square => vec![by_gain(x, 2.0 * x.greatest)],
        FloatOp::Product(product) => {
            let terms = (product.inner as f64).sqrt();
            vec![by_gain(x, operands[1].greatest * terms), by_gain(operands[1], x.greatest * terms)]
        }
        FloatOp::Function(function) => {
            // of many elements the argument has no spare bit: each doubles the table of values
            let spare = if graph.value_len(node.inputs[0]) >= TABULATED { 0.0 } else { 1.0 };
            vec![cap((slope(function, x.lowest, x.highest) / error).log2().ceil() + spare, x, precision)]
        }
        FloatOp::Quotient => vec![by_gain(x, 1.0 / operands[1].least), relative(operands[1])],
        FloatOp::Sqrt => vec![relative(x)],
        FloatOp::Round(_) => vec![jump(Observed { greatest: x.greatest.max(1.0), ..x })],
        FloatOp::Compare(_) => vec![jump(x)],
    }
}

fn cap(exponent: f64, x: Observed, precision: f64) -> i32 {
    let own = (precision - x.greatest.log2()).ceil() as i32;
    (exponent.ceil() as i32).clamp(own - MAX_EXTRA_BITS, own + MAX_EXTRA_BITS)
}

/// The steepest slope between points of an interval.
pub(super) fn slope(function: &Function, lo: f64, hi: f64) -> f64 {
    let step = (hi - lo).max(lo.abs().max(hi.abs()) / 16.0) / f64::from(POINTS);
    let values: Vec<f64> = (0..=POINTS).map(|i| function.apply(lo + step * f64::from(i))).collect();
    let slopes = values.windows(2).map(|pair| ((pair[1] - pair[0]) / step).abs()).filter(|slope| slope.is_finite());
    let steepest = slopes.fold(0.0, f64::max);
    if steepest > 0.0 { steepest } else { 1.0 }
}
