//! Piecewise quadratic functions: what smooth functions, tables and steps become.

use std::collections::HashMap;

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::{
    circuit::{Expr, Gadgets, Tabled, field},
    graph::{Interval, MAX_BITS},
};

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
            magnitude.is_some_and(|m| m < limit)
        };
        let places = self.segments.iter().map(|segment| segment.start).chain([self.end]);
        self.shift < MAX_BITS
            && places.into_iter().all(in_limit)
            && !self.segments.is_empty()
            && (0..self.segments.len()).all(fits)
    }

    /// The value at `x`, which lies between the first start and `end`.
    pub(crate) fn apply(&self, x: i128) -> i128 {
        let segment = &self.segments[self.segment(x)];
        segment.numerator(x - segment.start) >> self.shift
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        inputs.concat().into_iter().map(|x| self.apply(x)).collect()
    }

    /// Exact: a quadratic is greatest and least at the ends or beside its vertex, and division keeps the order.
    pub(crate) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let bound = |(element, x): (usize, Interval)| {
            if x.lo < self.segments[0].start || x.hi > self.end {
                return Err(BoundError { element, reason: BoundReason::OutsideTable });
            }
            let (mut lo, mut hi) = (i128::MAX, i128::MIN);
            for i in self.segment(x.lo)..=self.segment(x.hi) {
                let segment = &self.segments[i];
                let (first, last) = (x.lo.max(segment.start) - segment.start, x.hi.min(self.last(i)) - segment.start);
                let [_, c1, c2] = segment.coefficients;
                // rounded down, for either sign: the vertex lies between this and the next integer
                let vertex = if c2 == 0 { first } else { (-c1 * c2.signum()).div_euclid(2 * c2.abs()) };
                for t in [first, last, vertex.clamp(first, last), (vertex + 1).clamp(first, last)] {
                    let y = segment.numerator(t) >> self.shift;
                    (lo, hi) = (lo.min(y), hi.max(y));
                }
            }
            Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(element, None))
        };
        // elements often share an interval, and intervals may span many segments
        let mut known: HashMap<(i128, i128), Interval> = HashMap::new();
        let memoised = |(element, x): (usize, Interval)| match known.get(&(x.lo, x.hi)) {
            Some(interval) => Ok(*interval),
            None => {
                let interval = bound((element, x))?;
                known.insert((x.lo, x.hi), interval);
                Ok(interval)
            }
        };
        inputs.concat().into_iter().enumerate().map(memoised).collect()
    }

    /// The numerator is within the bound of `accepts`, so it does not wrap, and its expansion has one quotient and one remainder.
    pub(crate) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Expr<F> {
        let Ok([bounds]) = self.bounds(&[&[range]]).as_deref().map(|b| [b[0]]) else { return gadgets.impossible() };
        if bounds.lo == bounds.hi {
            return Expr::constant(field(bounds.lo));
        }
        let numerator = match gadgets.by_table(self, x, value, range) {
            Some(Tabled::Value(result)) => return result,
            Some(Tabled::Numerator(numerator)) => numerator,
            None => self.numerator(gadgets, x, value, range),
        };
        if self.shift == 0 {
            return numerator;
        }
        let lowest = bounds.lo << self.shift;
        let bits = u128::BITS - (bounds.hi - bounds.lo).unsigned_abs().leading_zeros() + self.shift;
        let segment = &self.segments[self.segment(value)];
        let value = segment.numerator(value - segment.start) - lowest;
        let numerator = numerator.offset(field(-lowest));
        gadgets.shifted(&numerator, value.unsigned_abs(), bits, self.shift, bounds.lo)
    }

    /// By a one-hot choice of the segment. The hot one is that whose start and last `x` enclose `x`: there is one only.
    fn numerator<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Expr<F> {
        let (first, hot) = (self.segment(range.lo), self.segment(value));
        let segments = &self.segments[first..=self.segment(range.hi)];
        let width = |i: usize| self.last(first + i) - segments[i].start;
        let t_value = value - self.segments[hot].start;

        let one_hot = (segments.len() > 1).then(|| gadgets.one_hot(segments.len(), hot - first));
        let select = |of: &dyn Fn(usize) -> i128| match &one_hot {
            None => Expr::constant(field(of(0))),
            Some(one_hot) => one_hot.select(|i| field(of(i))),
        };
        let t;
        if one_hot.is_none() {
            t = gadgets.materialise(&x.clone().offset(field(-segments[0].start)));
        } else {
            let mut distance = x.clone();
            distance.add_scaled(&select(&|i| segments[i].start), -F::ONE);
            t = gadgets.materialise(&distance.merged());
            let widest = (0..segments.len()).map(width).max().unwrap_or(0);
            let bits = u128::BITS - widest.unsigned_abs().leading_zeros();
            gadgets.check_bits(&t, t_value.unsigned_abs(), bits);
            let mut rest = select(&width);
            rest.add_scaled(&t, -F::ONE);
            gadgets.check_bits(&rest, (width(hot - first) - t_value).unsigned_abs(), bits);
        }

        let coefficient = |degree: usize| select(&|i| segments[i].coefficients[degree]);
        let [_, c1_value, c2_value] = self.segments[hot].coefficients;
        let t_field: F = field(t_value);
        let mut slope = coefficient(1);
        if segments.iter().any(|segment| segment.coefficients[2] != 0) {
            let c2 = gadgets.share(coefficient(2), 2);
            slope.add_scaled(&gadgets.product((&c2, field(c2_value)), (&t, t_field)), F::ONE);
        }
        let slope = gadgets.share(slope, 2);
        let slope_value = field::<F>(c1_value) + field::<F>(c2_value) * t_field;
        let mut numerator = coefficient(0);
        numerator.add_scaled(&gadgets.product((&slope, slope_value), (&t, t_field)), F::ONE);
        numerator
    }
}

#[cfg(test)]
mod tests {
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::{
            ModelCircuit,
            testing::{Digits, assert_pinned, complete, honest, single_op, violations},
        },
        ops::Op,
    };

    /// Three segments: a line, a parabola with its vertex inside, and a constant.
    fn bent(shift: u32) -> Piecewise {
        let segment = |start, coefficients| Segment { start, coefficients };
        let segments = vec![segment(-6, [3, 2, 0]), segment(-2, [9, -5, 1]), segment(4, [8, 0, 0])];
        Piecewise { segments, end: 7, shift }
    }

    #[test]
    fn every_cell_is_pinned() {
        for (shift, domain) in [(0, (-3, 5)), (2, (-6, 7)), (1, (-1, 2)), (1, (4, 7)), (3, (-2, 4))] {
            let model = single_op(Op::Piecewise(bent(shift)), &[domain]);
            (domain.0..=domain.1).step_by(2).for_each(|x| assert_pinned(&model, &[x]));
        }
    }

    /// Another segment than that of `x`: the distance from its start, or what is left of it, is out of range.
    #[test]
    fn the_segment_of_another_argument_is_rejected() {
        let model = single_op(Op::Piecewise(bent(1)), &[(-6, 7)]);
        for x in [-6, -3, -2, 0, 3, 4, 7] {
            let honest = honest(&model, &[x]);
            assert_eq!(violations(&honest), vec![]);
            let hot = *Digits::find(&honest.layout)
                .iter()
                .find(|check| check.bits == 3 && one_hot_of(&honest, check))
                .unwrap();
            let own = bent(1).segment(x);
            for other in (0..3).filter(|&segment| segment != own) {
                let forged = complete(&honest, &[(hot.first - 1, Fr::from(1u64 << other))]);
                assert_ne!(forged.layout.a, honest.layout.a);
                assert!(!violations(&forged).is_empty(), "{x} in segment {other}");
            }
        }
    }

    /// Whether a range check is of the number whose digits choose the segment: it is a power of two and a witness of its own.
    fn one_hot_of(circuit: &ModelCircuit<Fr>, check: &Digits) -> bool {
        let own = !circuit.layout.copies.iter().any(|&(_, copy)| copy == check.first - 1);
        own && check.first > Digits::find(&circuit.layout)[1].first
    }

    #[test]
    fn intervals_are_exact() {
        for shift in 0..3 {
            let op = Op::Piecewise(bent(shift));
            for lo in -6..=7 {
                for hi in lo..=7 {
                    let values: Vec<i128> = op.eval(&[&(lo..=hi).collect::<Vec<_>>()]);
                    let bounds = op.bounds(&[&[Interval { lo, hi }]]).unwrap()[0];
                    assert_eq!(Some(&bounds.lo), values.iter().min());
                    assert_eq!(Some(&bounds.hi), values.iter().max());
                }
            }
        }
        assert!(Op::Piecewise(bent(0)).bounds(&[&[Interval { lo: -7, hi: 0 }]]).is_err());
        assert!(Op::Piecewise(bent(0)).bounds(&[&[Interval { lo: 0, hi: 8 }]]).is_err());
    }

    /// Parabolas open to either side, with the vertex at an integer, beside one, and between two.
    #[test]
    fn the_extremes_of_every_small_parabola_are_found() {
        for c2 in -6..=6 {
            for c1 in -20..=20 {
                for shift in [0, 2] {
                    let segments = vec![Segment { start: -3, coefficients: [5, c1, c2] }];
                    let op = Op::Piecewise(Piecewise { segments, end: 4, shift });
                    for (lo, hi) in [(-3, 4), (-3, -1), (-2, 1), (0, 3), (2, 4), (1, 1)] {
                        let values = op.eval(&[&(lo..=hi).collect::<Vec<_>>()]);
                        let bounds = op.bounds(&[&[Interval { lo, hi }]]).unwrap()[0];
                        assert_eq!(Some(&bounds.lo), values.iter().min(), "{c1} {c2} in {lo}..{hi}");
                        assert_eq!(Some(&bounds.hi), values.iter().max(), "{c1} {c2} in {lo}..{hi}");
                    }
                }
            }
        }
    }

    #[test]
    fn malformed_segments_are_not_accepted() {
        let accepts = |change: &dyn Fn(&mut Piecewise)| {
            let mut piecewise = bent(1);
            change(&mut piecewise);
            Op::Piecewise(piecewise).accepts(1)
        };
        assert!(accepts(&|_| {}));
        assert!(!accepts(&|p| p.segments.clear()));
        assert!(!accepts(&|p| p.segments.swap(0, 1)));
        assert!(!accepts(&|p| p.end = 3));
        assert!(!accepts(&|p| p.end = i128::MAX));
        assert!(!accepts(&|p| p.segments[1].start = i128::MIN));
        assert!(!accepts(&|p| p.segments[0].coefficients[2] = i128::MIN));
        assert!(!accepts(&|p| p.shift = 127));
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_definition(x in -6i128..=7, shift in 0u32..4) {
            let numerator = match x {
                ..-2 => 3 + 2 * (x + 6),
                -2..4 => 9 - 5 * (x + 2) + (x + 2) * (x + 2),
                _ => 8,
            };
            prop_assert_eq!(Op::Piecewise(bent(shift)).eval(&[&[x]]), [numerator.div_euclid(1 << shift)]);
        }
    }
}
