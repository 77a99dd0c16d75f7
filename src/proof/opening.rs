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

use super::protocol::RotationSet;

/// Coefficients that a task of a parallel loop has at least.
const MIN_TASK: usize = 1 << 12;

/// Polynomials that are opened at the same points, combined.
pub struct OpenedSet<F> {
    /// `P`.
    combined: Vec<F>,
    /// `Q`.
    quotient: Vec<F>,
}

impl<F: Field> OpenedSet<F> {
    /// Combine the polynomials of a set and divide by its points, `point(rotation)`.
    pub fn new<'a>(
        set: &RotationSet,
        nu: F,
        polynomial: impl Fn(super::protocol::Polynomial) -> &'a [F],
        point: impl Fn(i32) -> F,
    ) -> Self {
        let terms: Vec<_> = set.polynomials.iter().map(|&(power, p)| (nu.pow([power as u64]), polynomial(p))).collect();
        let combined = linear_combination(&terms);
        let mut quotient = combined.clone();
        for &rotation in &set.rotations {
            divide(&mut quotient, point(rotation));
        }
        Self { combined, quotient }
    }
}

/// `W`.
pub fn first_polynomial<F: Field>(sets: &[OpenedSet<F>]) -> Vec<F> {
    linear_combination(&sets.iter().map(|set| (F::ONE, set.quotient.as_slice())).collect::<Vec<_>>())
}

/// `L / (X - v)`, for the coefficients of [`super::equations::Opening`].
pub fn last_polynomial<F: Field>(sets: &[OpenedSet<F>], w: &[F], opening: &super::equations::Opening<F>) -> Vec<F> {
    let combined = sets.iter().zip(&opening.sets).map(|(set, &coefficient)| (coefficient, set.combined.as_slice()));
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
    use crate::proof::protocol::Polynomial;

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
        let opened = OpenedSet::new(&set, Fr::from(7), |_| &polynomial, |rotation| Fr::from(rotation as u64));
        // P - Q Z has degree 2 and P's values at the points
        let z = |x: u64| set.rotations.iter().map(|&r| Fr::from(x) - Fr::from(r as u64)).product::<Fr>();
        let remainder = |x: u64| evaluate(&polynomial, Fr::from(x)) - evaluate(&opened.quotient, Fr::from(x)) * z(x);
        let third_difference =
            remainder(3) - remainder(2).double() - remainder(2) + remainder(1).double() + remainder(1) - remainder(0);
        assert_eq!(third_difference, Fr::ZERO);
        assert_eq!(remainder(5), evaluate(&polynomial, Fr::from(5)));
    }
}
