//! Division of tensors, elementwise.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::{
    circuit::{Expr, Gadgets, field, unsigned},
    graph::{Interval, MAX_BITS},
};

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

    /// `numerator = y * denominator + r` with `0 <= r < denominator`: one pair only, since with `y` in its proved range
    /// nothing here comes near the field's size.
    pub(super) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        (a, b): (&Expr<F>, &Expr<F>),
        values: (i128, i128),
        ranges: (Interval, Interval),
    ) -> Expr<F> {
        let Ok([bounds]) = self.bounds(&[&[ranges.0, ranges.1]]).as_deref().map(|b| [b[0]]) else {
            return gadgets.impossible();
        };
        if bounds.lo == bounds.hi {
            return Expr::constant(field(bounds.lo));
        }
        let power = |exponent: i32| unsigned::<F>(1 << exponent.max(0));
        let (mut numerator, mut denominator) = (a.scaled(power(self.shift)), b.scaled(power(-self.shift)));
        if self.nearest {
            numerator = numerator.scaled(F::from(2));
            numerator.add_scaled(&denominator, F::ONE);
            denominator = denominator.scaled(F::from(2));
        }
        let (numerator_value, denominator_value) = self.fraction(values.0, values.1);
        let (_, greatest) = self.fraction(0, ranges.1.hi);
        let y = numerator_value.div_euclid(denominator_value);
        let quotient = gadgets
            .range((y - bounds.lo).unsigned_abs(), (bounds.hi - bounds.lo).unsigned_abs())
            .offset(field(bounds.lo));
        let denominator = gadgets.share(denominator, 3);
        let product = gadgets.product((&quotient, field(y)), (&denominator, field(denominator_value)));
        numerator.add_scaled(&product, -F::ONE);
        let remainder = gadgets.materialise(&numerator.merged());
        let remainder_value = numerator_value - y * denominator_value;
        let bits = u128::BITS - (greatest - 1).unsigned_abs().leading_zeros();
        gadgets.check_bits(&remainder, remainder_value.unsigned_abs(), bits);
        let mut rest = denominator.offset(-F::ONE);
        rest.add_scaled(&remainder, -F::ONE);
        gadgets.check_bits(&rest, (denominator_value - 1 - remainder_value).unsigned_abs(), bits);
        quotient
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{Digits, assert_pinned, claims, complete, honest, single_op, violations},
        ops::Op,
    };

    #[test]
    fn every_cell_is_pinned() {
        for (shift, nearest) in [(0, false), (2, true), (-1, false), (0, true)] {
            let model = single_op(Op::Divide(Divide { shift, nearest }), &[(-7, 9), (2, 5)]);
            for x in [[-7, 2], [9, 5], [0, 3], [-1, 4]] {
                assert_pinned(&model, &x);
            }
            let constant = single_op(Op::Divide(Divide { shift, nearest }), &[(-7, 9), (3, 3)]);
            assert_pinned(&constant, &[-5, 3]);
        }
    }

    /// One more or one less, with the remainder that goes with it.
    #[test]
    fn another_quotient_is_rejected_whatever_its_remainder() {
        for (shift, nearest) in [(0, false), (1, true), (-1, false)] {
            let op = Divide { shift, nearest };
            let model = single_op(Op::Divide(op), &[(-7, 9), (2, 5)]);
            for x in [[-7, 2], [9, 5], [0, 3], [4, 4]] {
                let honest = honest(&model, &x);
                assert_eq!((violations(&honest), claims(&honest)), (vec![], vec![field(op.apply(x[0], x[1]))]));
                // the quotient is the value range-checked after both inputs: its cells hold 0.. of its span
                let inputs = encoded_checks(&model);
                let checks = Digits::find(&honest.layout);
                let quotient = checks[inputs];
                for delta in [Fr::ONE, -Fr::ONE] {
                    let cell = quotient.first - 1;
                    let forged = complete(&honest, &[(cell, honest.layout.a[cell] + delta)]);
                    assert_ne!(claims(&forged), claims(&honest));
                    assert!(!violations(&forged).is_empty(), "{x:?} {shift} {nearest}");
                }
            }
        }
    }

    /// How many range checks the inputs take.
    fn encoded_checks(model: &crate::graph::IntegerModel) -> usize {
        let span = |range: Interval| range.hi.abs_diff(range.lo) + 1;
        model.features.iter().map(|f| if span(f.range).is_power_of_two() { 1 } else { 2 }).sum()
    }

    #[test]
    fn divisors_must_be_positive() {
        let op = Op::Divide(Divide { shift: 0, nearest: false });
        for lo in [-1, 0] {
            let error = op.bounds(&[&[Interval { lo: 0, hi: 1 }, Interval { lo, hi: 5 }]]).unwrap_err();
            assert_eq!(error.reason, BoundReason::DivisorNotPositive);
        }
    }

    proptest! {
        #[test]
        fn quotients_are_rounded_as_stated(
            a in -1i128 << 60..1 << 60,
            b in 1i128..1 << 60,
            (da, db) in (0i128..1 << 40, 0i128..1 << 40),
            shift in -20i32..20,
            nearest: bool,
        ) {
            let op = Op::Divide(Divide { shift, nearest });
            let ranges = [Interval { lo: a, hi: a + da }, Interval { lo: b, hi: b + db }];
            let bounds = op.bounds(&[&ranges]).unwrap()[0];
            for (a, b) in [(a, b), (a + da, b), (a, b + db), (a + da / 2, b + db / 2)] {
                let y = op.eval(&[&[a, b]])[0];
                prop_assert!(bounds.contains(y));
                let (n, d) = (a << shift.max(0), b << (-shift).max(0));
                // y <= n / d < y + 1, or half a unit around it
                let (twice, low, high) = if nearest { (2 * n, 2 * y - 1, 2 * y + 1) } else { (2 * n, 2 * y, 2 * y + 2) };
                prop_assert!(low * d <= twice && twice < high * d);
            }
        }
    }
}
