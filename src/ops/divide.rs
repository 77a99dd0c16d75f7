//! Division of tensors, elementwise.

use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::graph::{Interval, MAX_BITS};

/// `y = floor(a * 2^shift / b)`, or with `nearest` the nearest integer, halves rounded up. `shift` may be negative. The
/// inputs are `a`, then `b`, of the same length; every `b` is proved positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divide {
    pub shift: i32,
    pub nearest: bool,
}

impl Divide {
    pub(super) fn accepts(&self, len: usize) -> bool {
        len.is_multiple_of(2) && self.shift.unsigned_abs() < MAX_BITS
    }

    /// Numerator and denominator, both integers, of which `y` is the quotient rounded down.
    pub fn fraction(&self, a: i128, b: i128) -> (i128, i128) {
        let (a, b) = (a << self.shift.max(0), b << (-self.shift).max(0));
        if self.nearest { (2 * a + b, 2 * b) } else { (a, b) }
    }

    fn apply(&self, a: i128, b: i128) -> i128 {
        let (a, b) = self.fraction(a, b);
        a.div_euclid(b)
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        let x = inputs.concat();
        let (a, b) = x.split_at(x.len() / 2);
        a.iter().zip(b).map(|(&a, &b)| self.apply(a, b)).collect()
    }

    /// The quotient is monotonic in both operands, where the sign of `a` is fixed: its extremes are in the corners.
    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let x = inputs.concat();
        let (a, b) = x.split_at(x.len() / 2);
        let bound = |(element, (a, b)): (usize, (&Interval, &Interval))| {
            if b.lo <= 0 {
                return Err(BoundError { element, reason: BoundReason::DivisorNotPositive });
            }
            // fraction() adds two bits at most
            let widest = (a.bits() as i32 + self.shift.max(0)).max(b.bits() as i32 + (-self.shift).max(0)) + 2;
            if widest > MAX_BITS as i32 {
                let reason = BoundReason::Overflow { bits: widest as u32 };
                return Err(BoundError { element, reason });
            }
            let corners = [(a.lo, b.lo), (a.lo, b.hi), (a.hi, b.lo), (a.hi, b.hi)].map(|(a, b)| self.apply(a, b));
            let (lo, hi) = corners.into_iter().fold((corners[0], corners[0]), |(lo, hi), y| (lo.min(y), hi.max(y)));
            Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(element, None))
        };
        a.iter().zip(b).enumerate().map(bound).collect()
    }
}
