//! Division by a power of two, halves rounded up: what brings products back to a working precision.

use serde::{Deserialize, Serialize};

use super::BoundError;
use crate::graph::Interval;

/// `y = floor((x + 2^(shift-1)) / 2^shift)`, elementwise, `1 <= shift < MAX_BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescale {
    pub shift: u32,
}

impl Rescale {
    fn apply(self, x: i128) -> i128 {
        (x + (1 << (self.shift - 1))) >> self.shift
    }

    pub(super) fn eval(self, inputs: &[&[i128]]) -> Vec<i128> {
        inputs.concat().into_iter().map(|x| self.apply(x)).collect()
    }

    pub(super) fn bounds(self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let bound = |(i, x): (usize, Interval)| {
            Interval::new(self.apply(x.lo), self.apply(x.hi)).ok_or_else(|| BoundError::new(i, Some(x.magnitude())))
        };
        inputs.concat().into_iter().enumerate().map(bound).collect()
    }
}
