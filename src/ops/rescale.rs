//! Division by a power of two, halves rounded up: what brings products back to a working precision.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, Piecewise};
use crate::{
    circuit::{Expr, Gadgets, field},
    graph::Interval,
};

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
            Interval::new(self.apply(x.lo), self.apply(x.hi))
                .ok_or_else(|| BoundError::overflow(i, Some(x.magnitude())))
        };
        inputs.concat().into_iter().enumerate().map(bound).collect()
    }

    /// `x`, shifted into non-negative numbers, has one quotient and one remainder.
    pub(super) fn lay_out<F: PrimeField>(
        self,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Expr<F> {
        let lowest = self.apply(range.lo);
        if lowest == self.apply(range.hi) {
            return Expr::constant(field(lowest));
        }
        let offset = self.offset(lowest);
        let bits = u128::BITS - (range.hi + offset).unsigned_abs().leading_zeros();
        let x = x.clone().offset(field(offset));
        gadgets.shifted(&x, (value + offset).unsigned_abs(), bits, self.shift, lowest)
    }

    /// `x + offset = 2^shift (y - lowest) + remainder`, with `0 <= remainder < 2^shift`.
    fn offset(self, lowest: i128) -> i128 {
        (1 << (self.shift - 1)) - (lowest << self.shift)
    }

    /// `function` at the rescaled `x`, by a table of its values.
    pub(crate) fn lay_out_below<F: PrimeField>(
        self,
        function: &Piecewise,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Expr<F> {
        let lowest = self.apply(range.lo);
        let quotients = Interval { lo: lowest, hi: self.apply(range.hi) };
        match function.bounds(&[&[quotients]]).as_deref() {
            Ok([bounds]) if bounds.lo == bounds.hi => Expr::constant(field(bounds.lo)),
            Ok(_) => {
                let offset = self.offset(lowest);
                let x = x.clone().offset(field(offset));
                gadgets.shifted_by_table(function, &x, (value + offset).unsigned_abs(), self.shift, lowest)
            }
            Err(_) => gadgets.impossible(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::{
            ModelCircuit,
            testing::{Digits, assert_pinned, claims, complete, honest, single_op, violations},
        },
        graph::IntegerModel,
        ops::Op,
    };

    #[test]
    fn halves_are_rounded_up() {
        let rescale = |shift, x: &[i128]| Op::Rescale(Rescale { shift }).eval(&[x]);
        assert_eq!(rescale(1, &[-3, -2, -1, 0, 1, 2, 3]), [-1, -1, 0, 0, 1, 1, 2]);
        assert_eq!(rescale(2, &[-7, -6, -5, -2, 1, 2, 5, 6]), [-2, -1, -1, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn every_cell_is_pinned() {
        for (shift, domain) in [(1, (-5, 5)), (3, (-40, 21)), (2, (100, 131)), (4, (-3, 3)), (5, (-16, 15))] {
            let model = single_op(Op::Rescale(Rescale { shift }), &[domain]);
            for x in [domain.0, (domain.0 + domain.1) / 2, domain.1] {
                assert_pinned(&model, &[x]);
            }
        }
    }

    /// The last range check of a circuit of one rescale, and the integer that it is of.
    fn expansion(model: &IntegerModel, x: i128) -> (ModelCircuit<Fr>, Digits, u128) {
        let honest = honest(model, &[x]);
        let digits = *Digits::find(&honest.layout).last().unwrap();
        let value = (0..1u128 << digits.bits).find(|&v| Fr::from_u128(v) == honest.layout.a[digits.first]).unwrap();
        (honest, digits, value)
    }

    #[test]
    fn another_quotient_is_rejected_whatever_its_remainder() {
        for (shift, domain) in [(1, (-5, 5)), (3, (-40, 21)), (2, (100, 131))] {
            let op = Rescale { shift };
            let model = single_op(Op::Rescale(op), &[domain]);
            for x in [domain.0, (domain.0 + domain.1) / 2, domain.1] {
                let (honest, digits, value) = expansion(&model, x);
                assert_eq!((violations(&honest), claims(&honest)), (vec![], vec![field(op.apply(x))]));
                // One more, with a remainder of -1 to -2^shift; one less, with a remainder of 2^shift to 2^(shift+1) - 1.
                let quotient = value >> shift;
                let others = [quotient + 1, quotient.wrapping_sub(1)]
                    .into_iter()
                    .filter(|q| q >> (digits.bits as u32 - shift) == 0);
                for forged_quotient in others {
                    let remainders = (0..1 << shift).map(|remainder| (forged_quotient << shift) | remainder);
                    for target in remainders {
                        for forgery in digits.passed_off(field(value as i128), target).into_iter().take(shift as usize)
                        {
                            let forged = complete(&honest, &forgery);
                            let claim = op.apply(x) + forged_quotient as i128 - quotient as i128;
                            assert_eq!(claims(&forged), [field::<Fr>(claim)]);
                            assert_eq!(violations(&forged).len(), 1, "{shift}, {x}: the digit that is no bit tells");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_quotient_that_wraps_around_the_field_is_rejected() {
        for (shift, domain) in [(1, (-5, 5)), (3, (-40, 21)), (2, (100, 131))] {
            let model = single_op(Op::Rescale(Rescale { shift }), &[domain]);
            for x in [domain.0, (domain.0 + domain.1) / 2, domain.1] {
                let (honest, digits, value) = expansion(&model, x);
                // 2^shift quotient + remainder = x + offset + r: every digit is a bit, but they do not end
                for forgery in digits.wrapped(field(value as i128)).into_iter().take(shift as usize) {
                    let forged = complete(&honest, &forgery);
                    assert_ne!(claims(&forged), claims(&honest));
                    assert_eq!(violations(&forged).len(), 1, "{shift}, {x}: the end of the digits tells");
                }
                // a quotient of -1 with the remainder that goes with it
                let forged = complete(&honest, &[(digits.first + shift as usize, -Fr::ONE)]);
                assert_ne!(claims(&forged), claims(&honest));
                assert!(!violations(&forged).is_empty());
            }
        }
    }

    proptest! {
        /// `y * 2^s` is within half a step of `x`; bounds are those of the ends, since rounding is monotonic.
        #[test]
        fn rounds_to_the_nearest(a: i64, b: i64, shift in 1u32..119) {
            let op = Op::Rescale(Rescale { shift });
            let x = Interval::new(a.min(b).into(), a.max(b).into()).unwrap();
            let bounds = op.bounds(&[&[x]]).unwrap()[0];
            for v in [x.lo, x.lo / 2 + x.hi / 2, x.hi] {
                let y = op.eval(&[&[v]])[0];
                prop_assert!(bounds.contains(y));
                prop_assert!((v - (y << shift)).abs() <= 1 << (shift - 1));
            }
            prop_assert_eq!((bounds.lo, bounds.hi), (op.eval(&[&[x.lo]])[0], op.eval(&[&[x.hi]])[0]));
        }
    }
}
