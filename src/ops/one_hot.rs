//! One-hot encoding: how data-dependent indices become linear algebra.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::{
    circuit::{Expr, Gadgets, field},
    graph::{Interval, MAX_ELEMENTS},
};

/// `y[i * depth + j] = 1` if `x[i] = j`, else 0. Every `x` is proved to lie in `[0, depth)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    pub depth: usize,
}

impl OneHot {
    pub(super) fn accepts(&self, len: usize) -> bool {
        self.depth > 0 && self.depth.checked_mul(len).is_some_and(|elements| elements <= MAX_ELEMENTS)
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        let hot = |x: i128| (0..self.depth).map(move |j| i128::from(x == j as i128));
        inputs.concat().into_iter().flat_map(hot).collect()
    }

    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let mut result = vec![];
        for (element, x) in inputs.concat().into_iter().enumerate() {
            if x.lo < 0 || x.hi >= self.depth as i128 {
                return Err(BoundError { element, reason: BoundReason::IndexOutside { depth: self.depth } });
            }
            let possible = |j: usize| x.contains(j as i128);
            let certain = |j: usize| x.lo == x.hi && possible(j);
            result.extend((0..self.depth).map(|j| Interval { lo: certain(j).into(), hi: possible(j).into() }));
        }
        Ok(result)
    }

    /// One boolean for every index in the proved range, and the hot one's index is `x`.
    pub(super) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Vec<Expr<F>> {
        let constant = |hot: bool| Expr::constant(F::from(u64::from(hot)));
        if range.lo == range.hi {
            return (0..self.depth).map(|j| constant(j as i128 == value)).collect();
        }
        let (len, hot) = (range.hi.abs_diff(range.lo) as usize + 1, value.abs_diff(range.lo) as usize);
        let one_hot = gadgets.one_hot(len, hot);
        let mut index = one_hot.select(|i| F::from(i as u64));
        index.add_scaled(x, -F::ONE);
        gadgets.check_zero(&index.merged().offset(field(range.lo)));
        let boolean = |j: usize| match usize::try_from(j as i128 - range.lo) {
            Ok(place) if place < len => one_hot.boolean(place),
            _ => constant(false),
        };
        (0..self.depth).map(boolean).collect()
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{Digits, assert_pinned, complete, honest, single_op, violations},
        ops::Op,
    };

    #[test]
    fn every_cell_is_pinned() {
        for (depth, domain) in [(4, (0, 3)), (6, (2, 4)), (3, (1, 1))] {
            let model = single_op(Op::OneHot(OneHot { depth }), &[domain]);
            (domain.0..=domain.1).for_each(|x| assert_pinned(&model, &[x]));
        }
    }

    /// More places than one expansion holds, so that digits of two of them meet in the sum.
    #[test]
    fn none_or_two_hot_places_are_rejected() {
        let model = single_op(Op::OneHot(OneHot { depth: 130 }), &[(0, 129)]);
        for x in [0, 119, 120, 129] {
            let honest = honest(&model, &[x]);
            assert_eq!(violations(&honest), vec![]);
            // the range checks of the input come first, then the two expansions
            let checks = Digits::find(&honest.layout);
            let [low, high] = [120, 10].map(|bits| *checks.iter().find(|check| check.bits == bits).unwrap());
            let hot = |check: Digits, place: Option<u32>| {
                (check.first - 1, place.map_or(Fr::ZERO, |p| Fr::from_u128(1 << p)))
            };
            for (a, b) in [(None, None), (Some(3), Some(4)), (Some(0), Some(0)), (Some(119), None), (None, Some(9))] {
                let forged = complete(&honest, &[hot(low, a), hot(high, b)]);
                let same = forged.layout.a == honest.layout.a;
                assert!(same || !violations(&forged).is_empty(), "{x}: {a:?} and {b:?}");
            }
            // two hot places of one expansion whose indices add up
            let forged = complete(&honest, &[(low.first - 1, Fr::from(0b110)), hot(high, None)]);
            assert!(!violations(&forged).is_empty());
        }
    }

    #[test]
    fn what_would_fill_the_memory_is_not_accepted() {
        assert!(Op::OneHot(OneHot { depth: 4 }).accepts(3));
        assert!(!Op::OneHot(OneHot { depth: 1 << 40 }).accepts(1));
        assert!(!Op::OneHot(OneHot { depth: usize::MAX }).accepts(2));
        assert!(!Op::OneHot(OneHot { depth: 0 }).accepts(1));
    }

    #[test]
    fn indices_must_be_inside() {
        for range in [(-1, 2), (0, 4)] {
            let error =
                Op::OneHot(OneHot { depth: 4 }).bounds(&[&[Interval { lo: range.0, hi: range.1 }]]).unwrap_err();
            assert_eq!(error.reason, BoundReason::IndexOutside { depth: 4 });
        }
    }

    proptest! {
        #[test]
        fn one_boolean_is_hot(depth in 1usize..300, at in 0usize..300) {
            let at = at % depth;
            let op = Op::OneHot(OneHot { depth });
            let y = op.eval(&[&[at as i128]]);
            prop_assert!(y.iter().enumerate().all(|(j, &v)| v == i128::from(j == at)));
            let bounds = op.bounds(&[&[Interval { lo: 0, hi: at as i128 }]]).unwrap();
            prop_assert!(bounds.iter().zip(&y).all(|(b, &v)| b.contains(v)));
        }
    }
}
