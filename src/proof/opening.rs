//! SHPLONK, the multi-opening: all committed polynomials at all their points by two commitments.
//!
//! Polynomials `p_0, p_1, ...` are combined by powers of `nu`. Those that are opened at the same points form a set `s` and are
//! summed to `P_s = sum nu^i p_i`. With `Z_s` vanishing on the set's points, `P_s = Q_s Z_s + R_s`, where `R_s` interpolates the
//! claimed values. The first commitment is to `W = sum Q_s`. At a random point `v`, with `Z` vanishing on the points of all sets
//! and `c_s = Z(v) / Z_s(v)`,
//!
//! ```text
//! L = sum c_s (P_s - R_s(v)) - Z(v) W
//! ```
//!
//! is zero, and the second commitment is to `L / (X - v)`. All points are multiples of `x`, and so is `v = mu x`: what the verifier
//! interpolates by depends on `mu` alone.

use ff::Field;
use rayon::prelude::*;

use super::protocol::{Polynomial, RotationSet};

/// Coefficients that a task of a parallel loop has at least.
const MIN_TASK: usize = 1 << 12;

/// The scaled polynomials of a set: `scale nu^i p_i`.
fn terms<'a, F: Field>(
    set: &RotationSet,
    (nu, scale): (F, F),
    polynomial: impl Fn(Polynomial) -> &'a [F],
) -> Vec<(F, &'a [F])> {
    set.polynomials.iter().map(|&(power, p)| (scale * nu.pow([power as u64]), polynomial(p))).collect()
}

/// `Q`, for the points `point(rotation)`.
fn quotient<'a, F: Field>(
    set: &RotationSet,
    nu: F,
    polynomial: impl Fn(Polynomial) -> &'a [F],
    point: impl Fn(i32) -> F,
) -> Vec<F> {
    let mut quotient = linear_combination(&terms(set, (nu, F::ONE), polynomial));
    for &rotation in &set.rotations {
        divide(&mut quotient, point(rotation));
    }
    quotient
}

/// `W`, for the points `point(rotation)`.
pub fn first_polynomial<'a, F: Field>(
    sets: &[RotationSet],
    nu: F,
    polynomial: impl Fn(Polynomial) -> &'a [F],
    point: impl Fn(i32) -> F,
) -> Vec<F> {
    let mut w: Vec<F> = vec![];
    for set in sets {
        let mut quotient = quotient(set, nu, &polynomial, &point);
        if quotient.len() > w.len() {
            std::mem::swap(&mut quotient, &mut w);
        }
        w.par_iter_mut().zip(&quotient).with_min_len(MIN_TASK).for_each(|(sum, term)| *sum += term);
    }
    w
}

/// `L / (X - v)`, for the coefficients of [`super::equations::Opening`].
pub fn last_polynomial<'a, F: Field>(
    sets: &[RotationSet],
    nu: F,
    polynomial: impl Fn(Polynomial) -> &'a [F],
    w: &[F],
    opening: &super::equations::Opening<F>,
) -> Vec<F> {
    let combined = sets.iter().zip(&opening.sets).flat_map(|(set, &scale)| terms(set, (nu, scale), &polynomial));
    let terms: Vec<_> = combined.chain([(-opening.vanishing, w)]).collect();
    let mut l = linear_combination(&terms);
    if let Some(constant) = l.first_mut() {
        *constant -= opening.remainder;
    }
    divide(&mut l, opening.point);
    l
}

/// The sum of the scaled polynomials.
pub fn linear_combination<F: Field>(terms: &[(F, &[F])]) -> Vec<F> {
    let len = terms.iter().map(|(_, polynomial)| polynomial.len()).max().unwrap_or(0);
    let coefficient = |i| terms.iter().filter_map(|(scale, polynomial)| Some(*scale * polynomial.get(i)?)).sum();
    (0..len).into_par_iter().with_min_len(MIN_TASK).map(coefficient).collect()
}

/// The value at `point`.
pub fn evaluate<F: Field>(polynomial: &[F], point: F) -> F {
    polynomial.iter().rev().fold(F::ZERO, |value, coefficient| value * point + coefficient)
}

/// Divide a polynomial by `X - point`; returns the remainder, its value at the point.
fn divide<F: Field>(polynomial: &mut Vec<F>, point: F) -> F {
    let mut value = F::ZERO;
    for coefficient in polynomial.iter_mut().rev() {
        value = value * point + *coefficient;
        *coefficient = value;
    }
    // the quotient's coefficients, above the remainder
    polynomial.drain(..polynomial.len().min(1));
    value
}

#[cfg(test)]
mod tests {
    use halo2curves::bn256::Fr;

    use super::*;

    #[test]
    fn division_leaves_the_value() {
        // X^3 + 2 X + 5 = (X - 3) (X^2 + 3 X + 11) + 38
        let mut polynomial = [5, 2, 0, 1].map(Fr::from).to_vec();
        assert_eq!(evaluate(&polynomial, Fr::from(3)), Fr::from(38));
        assert_eq!(divide(&mut polynomial, Fr::from(3)), Fr::from(38));
        assert_eq!(polynomial, [11, 3, 1].map(Fr::from));
        let mut empty = Vec::new();
        assert_eq!((divide(&mut empty, Fr::ONE), empty.len()), (Fr::ZERO, 0));
    }

    #[test]
    fn quotients_leave_the_interpolation() {
        let polynomial: Vec<Fr> = (1..9).map(Fr::from).collect();
        let set = RotationSet { rotations: vec![2, 5, 11], polynomials: vec![(0, Polynomial::Advice(0))] };
        let quotient = quotient(&set, Fr::from(7), |_| &polynomial, |rotation| Fr::from(rotation as u64));
        // P - Q Z has degree 2 and P's values at the points
        let z = |x: u64| set.rotations.iter().map(|&r| Fr::from(x) - Fr::from(r as u64)).product::<Fr>();
        let remainder = |x: u64| evaluate(&polynomial, Fr::from(x)) - evaluate(&quotient, Fr::from(x)) * z(x);
        let third_difference =
            remainder(3) - remainder(2).double() - remainder(2) + remainder(1).double() + remainder(1) - remainder(0);
        assert_eq!(third_difference, Fr::ZERO);
        assert_eq!(remainder(5), evaluate(&polynomial, Fr::from(5)));
    }
}
