//! `x * x`: unlike a product of two tensors it is known not to be negative.

use super::BoundError;
use crate::graph::Interval;

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x * x).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
    let bound = |(i, x): (usize, Interval)| {
        let square = |v: u128| v.checked_mul(v).and_then(|s| i128::try_from(s).ok());
        let least = if x.contains(0) { 0 } else { x.lo.unsigned_abs().min(x.hi.unsigned_abs()) };
        let (lo, hi) = square(least).zip(square(x.magnitude())).ok_or_else(|| BoundError::overflow(i, None))?;
        Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(i, Some(hi.unsigned_abs())))
    };
    inputs.concat().into_iter().enumerate().map(bound).collect()
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
        for domain in [(-3, 4), (2, 5), (-1, 0)] {
            let model = single_op(Op::Square, &[domain]);
            (domain.0..=domain.1).for_each(|x| assert_pinned(&model, &[x]));
        }
    }

    proptest! {
        #[test]
        fn squares_stay_in_their_intervals(a in -1i128 << 59..1 << 59, b in -1i128 << 59..1 << 59) {
            let x = Interval::new(a.min(b), a.max(b)).unwrap();
            let bounds = Op::Square.bounds(&[&[x]]).unwrap()[0];
            for v in [x.lo, x.lo / 2 + x.hi / 2, x.hi, 0.clamp(x.lo, x.hi)] {
                prop_assert!(bounds.contains(Op::Square.eval(&[&[v]])[0]));
            }
        }
    }

    #[test]
    fn what_could_overflow_is_refused() {
        let wide = Interval::new(0, 1 << 60).unwrap();
        assert!(Op::Square.bounds(&[&[wide]]).is_err());
    }
}
