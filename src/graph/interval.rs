//! Closed integer intervals: the currency of range analysis.

use serde::{Deserialize, Serialize};

/// Every value of an integer model satisfies `|value| < 2^MAX_BITS`.
///
/// The interpreter computes in `i128` and the circuit in a field of at least 254 bits; this bound leaves both far from
/// wrapping around, products of two values and the gadgets' offsets included.
pub const MAX_BITS: u32 = 120;

/// A closed interval `[lo, hi]` of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub lo: i128,
    pub hi: i128,
}

impl Interval {
    /// The interval `[lo, hi]`; `None` if it is empty or leaves `|value| < 2^MAX_BITS`.
    pub fn new(lo: i128, hi: i128) -> Option<Self> {
        let limit = 1i128 << MAX_BITS;
        (lo <= hi && lo > -limit && hi < limit).then_some(Self { lo, hi })
    }

    /// Whether `value` lies in the interval.
    pub fn contains(&self, value: i128) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// The largest absolute value in the interval.
    pub fn magnitude(&self) -> u128 {
        self.lo.unsigned_abs().max(self.hi.unsigned_abs())
    }

    /// The least `b` with `|value| < 2^b` for every value of the interval.
    pub fn bits(&self) -> u32 {
        u128::BITS - self.magnitude().leading_zeros()
    }
}
