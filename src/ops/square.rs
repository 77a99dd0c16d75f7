//! `x * x`: unlike a product of two tensors it is known not to be negative.

use super::BoundError;
use crate::graph::Interval;

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x * x).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
    let bound = |(i, x): (usize, Interval)| {
        let square = |v: u128| v.checked_mul(v).and_then(|s| i128::try_from(s).ok());
        let least = if x.contains(0) { 0 } else { x.lo.unsigned_abs().min(x.hi.unsigned_abs()) };
        let (lo, hi) = square(least).zip(square(x.magnitude())).ok_or_else(|| BoundError::overflow(i, None))?;
        Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(i, Some(hi.unsigned_abs())))
    };
    inputs.concat().into_iter().enumerate().map(bound).collect()
}
