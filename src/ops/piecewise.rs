//! Piecewise quadratic functions: what smooth functions, tables and steps become.

use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::graph::{Interval, MAX_BITS};

/// `y = floor((c0 + c1 t + c2 t^2) / 2^shift)` with `t = x - start` and the coefficients of the segment of `x`: the one
/// with the greatest start that is not above `x`. Elementwise, all elements by the same segments.
///
/// Starts increase strictly; `x` lies between the first start and `end`, inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piecewise {
    pub segments: Vec<Segment>,
    /// The greatest `x`.
    pub end: i128,
    pub shift: u32,
}

/// One piece of a [`Piecewise`] function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The least `x` of the segment.
    pub start: i128,
    /// `c0`, `c1`, `c2`.
    pub coefficients: [i128; 3],
}

impl Segment {
    fn numerator(&self, t: i128) -> i128 {
        let [c0, c1, c2] = self.coefficients;
        c0 + t * (c1 + t * c2)
    }
}

impl Piecewise {
    /// The last `x` of segment `i`.
    pub fn last(&self, i: usize) -> i128 {
        self.segments.get(i + 1).map_or(self.end, |next| next.start - 1)
    }

    /// The segment of `x`, which must not be below the first start.
    pub fn segment(&self, x: i128) -> usize {
        self.segments.partition_point(|segment| segment.start <= x).saturating_sub(1)
    }

    pub(super) fn accepts(&self) -> bool {
        let limit = 1u128 << MAX_BITS;
        let in_limit = |v: i128| v.unsigned_abs() < limit;
        let fits = |i: usize| {
            let segment = &self.segments[i];
            let width = self.last(i).checked_sub(segment.start).filter(|&width| width >= 0);
            let [c0, c1, c2] = segment.coefficients.map(i128::unsigned_abs);
            let magnitude = width
                .map(i128::unsigned_abs)
                .and_then(|t| c2.checked_mul(t)?.checked_add(c1)?.checked_mul(t)?.checked_add(c0));
            in_limit(segment.start) && magnitude.is_some_and(|m| m < limit)
        };
        self.shift < MAX_BITS && in_limit(self.end) && !self.segments.is_empty() && (0..self.segments.len()).all(fits)
    }

    fn apply(&self, x: i128) -> i128 {
        let segment = &self.segments[self.segment(x)];
        segment.numerator(x - segment.start) >> self.shift
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        inputs.concat().into_iter().map(|x| self.apply(x)).collect()
    }

    /// Exact: a quadratic is greatest and least at the ends or beside its vertex, and division keeps the order.
    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let bound = |(element, x): (usize, Interval)| {
            if x.lo < self.segments[0].start || x.hi > self.end {
                return Err(BoundError { element, reason: BoundReason::OutsideTable });
            }
            let (mut lo, mut hi) = (i128::MAX, i128::MIN);
            for i in self.segment(x.lo)..=self.segment(x.hi) {
                let segment = &self.segments[i];
                let (first, last) = (x.lo.max(segment.start) - segment.start, x.hi.min(self.last(i)) - segment.start);
                let [_, c1, c2] = segment.coefficients;
                let vertex = if c2 == 0 { first } else { (-c1).div_euclid(2 * c2) };
                for t in [first, last, vertex.clamp(first, last), (vertex + 1).clamp(first, last)] {
                    let y = segment.numerator(t) >> self.shift;
                    (lo, hi) = (lo.min(y), hi.max(y));
                }
            }
            Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(element, None))
        };
        inputs.concat().into_iter().enumerate().map(bound).collect()
    }
}
