//! The square root, elementwise.

use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::graph::{Interval, MAX_BITS};

/// `y = floor(sqrt(x * 2^shift))`; every `x` is proved not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub shift: u32,
}

impl Root {
    pub(super) fn accepts(&self) -> bool {
        self.shift < MAX_BITS
    }

    fn apply(&self, x: i128) -> i128 {
        (x << self.shift).unsigned_abs().isqrt() as i128
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        inputs.concat().into_iter().map(|x| self.apply(x)).collect()
    }

    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let bound = |(element, x): (usize, Interval)| {
            if x.lo < 0 {
                return Err(BoundError { element, reason: BoundReason::NegativeRoot });
            }
            let bits = x.bits() + self.shift;
            if bits > MAX_BITS {
                return Err(BoundError { element, reason: BoundReason::Overflow { bits } });
            }
            Ok(Interval { lo: self.apply(x.lo), hi: self.apply(x.hi) })
        };
        inputs.concat().into_iter().enumerate().map(bound).collect()
    }
}
