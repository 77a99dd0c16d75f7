//! `max(x, 0)`.

use ff::PrimeField;

use crate::{
    circuit::{Builder, Expr},
    graph::Interval,
};

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x.max(0)).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Vec<Interval> {
    inputs.concat().into_iter().map(|x| Interval { lo: x.lo.max(0), hi: x.hi.max(0) }).collect()
}

/// With `t = |x|`: `(2x)^2 = (2t)^2` leaves `t = +-x`, the range of `t` leaves `t = |x|`, and `max(x, 0) = (x + t) / 2`.
pub(super) fn lay_out<F: PrimeField>(builder: &mut Builder<F>, x: &Expr<F>, value: i128, range: Interval) -> Expr<F> {
    if range.lo >= 0 {
        return x.clone();
    }
    if range.hi <= 0 {
        return Expr::constant(F::ZERO);
    }
    builder.add(&x.scaled(F::from(2)));
    let double = builder.cursor();
    let magnitude = value.unsigned_abs();
    let t = builder.half_up_to_sign(F::from_u128(magnitude));
    builder.bits(magnitude, range.bits());

    let half = F::TWO_INV;
    let mut relu = Expr::cell(double).scaled(half * half);
    relu.add_scaled(&Expr::cell(t), half);
    relu
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::testing::{assert_pinned, single_op},
        ops::Op,
    };

    #[test]
    fn every_cell_is_pinned() {
        for domain in [(-5, 5), (-8, 3), (-1, 40), (-7, 7)] {
            let model = single_op(Op::Relu, &[domain]);
            for x in [domain.0, -1, 0, 1, domain.1] {
                assert_pinned(&model, &[x]);
            }
        }
    }

    #[test]
    fn signs_known_from_the_domain_need_no_range_check() {
        let rows = |domain| {
            crate::circuit::ModelCircuit::<halo2curves::bn256::Fr>::for_keygen(&single_op(Op::Relu, &[domain]))
                .layout
                .rows()
        };
        assert!(rows((0, 7)) < rows((-1, 7)));
        assert_pinned(&single_op(Op::Relu, &[(0, 7)]), &[7]);
        assert_pinned(&single_op(Op::Relu, &[(-9, 0)]), &[-3]);
    }

    #[test]
    fn values_and_bounds() {
        assert_eq!(Op::Relu.eval(&[&[-3, 0, 5]]), [0, 0, 5]);
        let ranges = [(-3, -1), (-3, 2), (1, 2)].map(|(lo, hi)| Interval { lo, hi });
        let expected = [(0, 0), (0, 2), (1, 2)].map(|(lo, hi)| Interval { lo, hi });
        assert_eq!(Op::Relu.bounds(&[&ranges]).unwrap(), expected);
    }
}
