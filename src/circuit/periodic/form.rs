//! Affine forms with integer coefficients.

use std::collections::BTreeMap;

use crate::graph::Interval;

/// `constant + sum coefficient * value[id]`, without zero coefficients. What ids number is the owner's business.
///
/// Arithmetic is checked: `None` stands for a coefficient, a constant or a bound that leaves 128 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Form {
    pub terms: BTreeMap<usize, i128>,
    pub constant: i128,
}

impl Form {
    /// Limit of [`Self::split`].
    pub const MAX_SHIFT: u32 = 125;

    pub fn constant(constant: i128) -> Self {
        Self { terms: BTreeMap::new(), constant }
    }

    /// The value `id`.
    pub fn value(id: usize) -> Self {
        Self { terms: BTreeMap::from([(id, 1)]), constant: 0 }
    }

    /// The id whose value the form is.
    pub fn as_value(&self) -> Option<usize> {
        match (self.terms.iter().next(), self.terms.len(), self.constant) {
            (Some((&id, 1)), 1, 0) => Some(id),
            _ => None,
        }
    }

    /// Add `factor * other`.
    pub fn add_scaled(&mut self, other: &Self, factor: i128) -> Option<()> {
        self.constant = self.constant.checked_add(other.constant.checked_mul(factor)?)?;
        for (&id, coefficient) in &other.terms {
            let before = self.terms.get(&id).copied().unwrap_or(0);
            match before.checked_add(coefficient.checked_mul(factor)?)? {
                0 => self.terms.remove(&id),
                sum => self.terms.insert(id, sum),
            };
        }
        Some(())
    }

    /// The form times `factor`, plus `constant`.
    pub fn scaled(&self, factor: i128, constant: i128) -> Option<Self> {
        let mut result = Self::constant(constant);
        result.add_scaled(self, factor)?;
        Some(result)
    }

    /// Least and largest value over the box of the values' bounds. No partial sum of [`Self::eval`] leaves 128 bits if
    /// this is `Some` and the values are in their bounds.
    pub fn bounds(&self, value: impl Fn(usize) -> Interval) -> Option<Interval> {
        let constant = Interval { lo: self.constant, hi: self.constant };
        self.terms.iter().try_fold(constant, |Interval { lo, hi }, (&id, &coefficient)| {
            let bound = value(id);
            let (a, b) = (coefficient.checked_mul(bound.lo)?, coefficient.checked_mul(bound.hi)?);
            Some(Interval { lo: lo.checked_add(a.min(b))?, hi: hi.checked_add(a.max(b))? })
        })
    }

    /// The form's value.
    pub fn eval(&self, values: &[i128]) -> i128 {
        self.terms.iter().fold(self.constant, |sum, (&id, coefficient)| sum + coefficient * values[id])
    }

    /// `low + 2^shift * high` with low coefficients of at most `2^(shift-1)` in magnitude. `high` is smaller than the
    /// form in every coefficient; the constant goes to `low`. Neither coefficients nor `shift` have more than `MAX_SHIFT` bits.
    pub fn split(&self, shift: u32) -> (Self, Self) {
        let (mut low, mut high) = (Self::constant(self.constant), Self::default());
        for (&id, &coefficient) in &self.terms {
            // halves towards zero, so that repeated splitting ends
            let rounded = (coefficient.unsigned_abs() + (1 << (shift - 1)) - 1) >> shift;
            let quotient = rounded as i128 * coefficient.signum();
            for (part, share) in [(&mut high, quotient), (&mut low, coefficient - (quotient << shift))] {
                if share != 0 {
                    part.terms.insert(id, share);
                }
            }
        }
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cancelled_terms_vanish() {
        let mut form = Form::value(3);
        form.add_scaled(&Form::value(1), 2).unwrap();
        form.add_scaled(&Form::value(3), -1).unwrap();
        assert_eq!((form.as_value(), form.terms.len()), (None, 1));
        assert_eq!(Form::value(7).as_value(), Some(7));
        assert_eq!(Form::value(7).scaled(1, 5).unwrap().as_value(), None);
        assert_eq!(Form::value(0).scaled(i128::MAX, 0).unwrap().scaled(2, 0), None);
    }

    proptest! {
        #[test]
        fn forms_are_the_sum_of_their_limbs(coefficients in prop::collection::vec(any::<i64>(), 1..5), shift in 1u32..70) {
            let mut form = Form::constant(9);
            for (id, &coefficient) in coefficients.iter().enumerate() {
                form.add_scaled(&Form::value(id), coefficient.into()).unwrap();
            }
            let (low, high) = form.split(shift);
            prop_assert!(low.terms.values().all(|l| l.unsigned_abs() <= 1 << (shift - 1)));
            prop_assert!(high.terms.iter().all(|(id, h)| h.unsigned_abs() < form.terms[id].unsigned_abs()));
            let mut sum = low;
            sum.add_scaled(&high, 1 << shift).unwrap();
            prop_assert_eq!(sum, form);
        }

        /// Every corner of the box is within the bounds, and both ends are reached.
        #[test]
        fn bounds_are_those_of_the_corners(coefficients in prop::collection::vec(-9i128..9, 1..5), constant in -9i128..9) {
            let terms = coefficients.iter().copied().enumerate().filter(|(_, c)| *c != 0).collect();
            let form = Form { terms, constant };
            let corners = (0..1u32 << coefficients.len()).map(|mask| -> i128 {
                let corner: Vec<i128> = (0..coefficients.len()).map(|i| if mask >> i & 1 == 1 { 5 } else { -3 }).collect();
                form.eval(&corner)
            });
            let corners: Vec<i128> = corners.collect();
            let bounds = form.bounds(|_| Interval { lo: -3, hi: 5 }).unwrap();
            prop_assert_eq!(Some(&bounds.lo), corners.iter().min());
            prop_assert_eq!(Some(&bounds.hi), corners.iter().max());
        }
    }
}
