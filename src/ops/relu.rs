//! `max(x, 0)`.

use ff::PrimeField;

use crate::{
    circuit::{Expr, Gadgets},
    graph::Interval,
};

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x.max(0)).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Vec<Interval> {
    inputs.concat().into_iter().map(|x| Interval { lo: x.lo.max(0), hi: x.hi.max(0) }).collect()
}

pub(super) fn lay_out<F: PrimeField>(
    gadgets: &mut impl Gadgets<F>,
    x: &Expr<F>,
    value: i128,
    range: Interval,
) -> Expr<F> {
    if range.lo >= 0 {
        return x.clone();
    }
    if range.hi <= 0 {
        return Expr::constant(F::ZERO);
    }
    gadgets.rectified(x, value, range.bits())
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;

    use super::*;
    use crate::{
        circuit::{
            ModelCircuit, field,
            testing::{Digits, assert_pinned, claims, complete, honest, single_op, violations},
        },
        ops::Op,
    };

    /// Rows of `t` and the range checks of the magnitudes, for every ReLU of a circuit.
    fn magnitudes(circuit: &ModelCircuit<Fr>) -> Vec<(usize, Digits)> {
        let layout = &circuit.layout;
        let squares = (0..layout.rows()).filter(|&row| layout.q[row] && layout.w[row] == Fr::ONE);
        let digits = Digits::find(layout);
        squares.map(|row| (row + 2, *digits.iter().find(|digits| digits.first == row + 4).unwrap())).collect()
    }

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

    #[test]
    fn the_negative_root_is_rejected_wherever_its_digits_hide_it() {
        for domain in [(-5, 6), (-8, 3), (-1, 40)] {
            let model = single_op(Op::Relu, &[domain]);
            for x in [domain.0, -1, 1, domain.1] {
                let honest = honest(&model, &[x]);
                assert_eq!((violations(&honest), claims(&honest)), (vec![], vec![field(x.max(0))]));
                let [(t, digits)] = magnitudes(&honest)[..] else { panic!("one ReLU") };
                let root = -honest.layout.a[t];
                for mut forgery in (0..1 << digits.bits).flat_map(|target| digits.passed_off(root, target)) {
                    forgery.push((t, root));
                    let forged = complete(&honest, &forgery);
                    // with t = -|x|, (x + t) / 2 is the lesser of x and 0
                    assert_eq!(claims(&forged), [field::<Fr>(x.min(0))]);
                    assert_eq!(violations(&forged).len(), 1, "{domain:?}, {x}: the digit that is no bit tells");
                }
                for mut forgery in digits.wrapped(root).into_iter().chain([vec![]]) {
                    forgery.push((t, root));
                    assert!(
                        !violations(&complete(&honest, &forgery)).is_empty(),
                        "{domain:?}, {x}: digits without end"
                    );
                }
            }
        }
    }

    #[test]
    fn a_magnitude_in_range_that_is_no_root_is_rejected() {
        let model = single_op(Op::Relu, &[(-5, 6)]);
        for x in [-5, -1, 0, 1, 6] {
            let honest = honest(&model, &[x]);
            let [(t, digits)] = magnitudes(&honest)[..] else { panic!("one ReLU") };
            for magnitude in (0..1u64 << digits.bits).filter(|&m| i128::from(m) != x.abs()) {
                let magnitude = Fr::from(magnitude);
                let forged = complete(&honest, &[(t, magnitude)]);
                assert_ne!(claims(&forged), claims(&honest));
                assert_eq!(violations(&forged).len(), 1, "{x}: its square tells");
                // the square of t in place of that of x moves the lie to the other gate
                let forged = complete(&honest, &[(t, magnitude), (t + 1, magnitude.double().square())]);
                assert_eq!(violations(&forged).len(), 1, "{x}: the square of x tells");
            }
        }
    }
}
