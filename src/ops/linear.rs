//! Sparse affine maps with integer weights.

use super::BoundError;
use crate::graph::{Affine, Interval, MAX_BITS};

pub(super) fn eval(map: &Affine<i64, i128>, inputs: &[&[i128]]) -> Vec<i128> {
    let x = inputs.concat();
    let row = |j: usize| map.row(j).map(|(i, w)| i128::from(w) * x[i]).sum::<i128>();
    (0..map.output_len()).map(|j| map.bias[j] + row(j)).collect()
}

/// Every partial sum, in the order of the row's terms and starting from zero or from the bias, stays within the bound,
/// because the bound is on the sum of the terms' magnitudes.
pub(super) fn bounds(map: &Affine<i64, i128>, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
    let x = inputs.concat();
    (0..map.output_len())
        .map(|j| {
            let (mut lo, mut hi, mut magnitude) = (map.bias[j], map.bias[j], map.bias[j].unsigned_abs());
            for (i, w) in map.row(j) {
                let w = i128::from(w);
                magnitude = w
                    .unsigned_abs()
                    .checked_mul(x[i].magnitude())
                    .and_then(|term| magnitude.checked_add(term))
                    .ok_or_else(|| BoundError::new(j, None))?;
                if magnitude >> MAX_BITS != 0 {
                    return Err(BoundError::new(j, Some(magnitude)));
                }
                let (a, b) = (w * x[i].lo, w * x[i].hi);
                lo += a.min(b);
                hi += a.max(b);
            }
            Interval::new(lo, hi).ok_or_else(|| BoundError::new(j, Some(magnitude)))
        })
        .collect()
}
