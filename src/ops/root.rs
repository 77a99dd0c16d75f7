//! The square root, elementwise.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::{
    circuit::{Expr, Gadgets, field, unsigned},
    graph::{Interval, MAX_BITS},
};

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

    /// `y^2 <= x 2^shift <= y^2 + 2y` for a `y` in its proved range, which is not negative: one `y` only.
    pub(super) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Expr<F> {
        let (lo, hi) = (self.apply(range.lo), self.apply(range.hi));
        if lo == hi {
            return Expr::constant(field(lo));
        }
        let y_value = self.apply(value);
        let y = gadgets.range((y_value - lo).unsigned_abs(), (hi - lo).unsigned_abs()).offset(field(lo));
        let square = gadgets.square(&y, field(y_value));
        let mut above = x.scaled(unsigned(1 << self.shift));
        above.add_scaled(&square, -F::ONE);
        let above = gadgets.materialise(&above.merged());
        let above_value = (value << self.shift) - y_value * y_value;
        let bits = u128::BITS - (2 * hi).unsigned_abs().leading_zeros();
        gadgets.check_bits(&above, above_value.unsigned_abs(), bits);
        let mut below = y.scaled(F::from(2));
        below.add_scaled(&above, -F::ONE);
        gadgets.check_bits(&below, (2 * y_value - above_value).unsigned_abs(), bits);
        y
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{assert_pinned, single_op},
        ops::Op,
    };

    #[test]
    fn every_cell_is_pinned() {
        for (shift, domain) in [(0, (0, 20)), (2, (3, 12)), (1, (7, 7))] {
            let model = single_op(Op::Root(Root { shift }), &[domain]);
            (domain.0..=domain.1).step_by(4).for_each(|x| assert_pinned(&model, &[x]));
        }
    }

    #[test]
    fn negative_numbers_have_none() {
        let error = Op::Root(Root { shift: 0 }).bounds(&[&[Interval { lo: -1, hi: 3 }]]).unwrap_err();
        assert_eq!(error.reason, BoundReason::NegativeRoot);
    }

    proptest! {
        #[test]
        fn roots_are_rounded_down(x in 0i128..1 << 90, shift in 0u32..29) {
            let op = Op::Root(Root { shift });
            let y = op.eval(&[&[x]])[0];
            prop_assert!(y * y <= x << shift && (y + 1) * (y + 1) > x << shift);
            let half = Interval { lo: x / 2, hi: x };
            prop_assert!(op.bounds(&[&[half]]).unwrap()[0].contains(y));
        }
    }
}
