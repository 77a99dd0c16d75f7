//! The prover's polynomials before the opening: the permutation's running product and the quotient.

use ff::{BatchInvert, Field, PrimeField};
use halo2_proofs::poly::{Coeff, EvaluationDomain, ExtendedLagrangeCoeff, LagrangeCoeff, Polynomial};
use rayon::prelude::*;

use super::{curve::Curve, protocol::Protocol};
use crate::circuit::InstanceColumn;

/// Rows that a task of a parallel loop has at least.
const MIN_TASK: usize = 1 << 9;

/// Challenges up to the quotient.
#[derive(Clone, Copy, Debug)]
pub struct EarlyChallenges<F> {
    pub beta: F,
    pub gamma: F,
    pub y: F,
}

/// Coefficients of the polynomials that the constraints are about.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a, F> {
    pub advice: &'a [F],
    pub fixed: &'a [Vec<F>],
    /// Sigma and the running product, with a permutation.
    pub permutation: Option<(&'a [F], &'a [F])>,
}

/// Coefficients of the polynomial with these values in the rows of the domain.
pub fn coefficients<F: ff::WithSmallOrderMulGroup<3>>(domain: &EvaluationDomain<F>, values: Vec<F>) -> Vec<F> {
    domain.lagrange_to_coeff(Polynomial::<F, LagrangeCoeff>::new(values)).into_values()
}

/// Rows of sigma: `omega^(next row of the cycle)`, for cycles made of the copies.
///
/// Cycles are joined as halo2's key generation joins them, so that sigma is the same.
pub fn sigma<F: PrimeField>(n: usize, omega: F, copies: &[(usize, usize)]) -> Vec<F> {
    let mut next: Vec<usize> = (0..n).collect();
    let mut leader = next.clone();
    let mut sizes = vec![1; n];
    for &(left, right) in copies {
        let (mut left_cycle, mut right_cycle) = (leader[left], leader[right]);
        if left_cycle == right_cycle {
            continue;
        }
        if sizes[left_cycle] < sizes[right_cycle] {
            std::mem::swap(&mut left_cycle, &mut right_cycle);
        }
        sizes[left_cycle] += sizes[right_cycle];
        let mut row = right_cycle;
        loop {
            leader[row] = left_cycle;
            row = next[row];
            if row == right_cycle {
                break;
            }
        }
        next.swap(left, right);
    }
    let powers: Vec<F> = std::iter::successors(Some(F::ONE), |power| Some(*power * omega)).take(n).collect();
    next.into_iter().map(|row| powers[row]).collect()
}

/// Rows of the running product up to the permutation's last row; the rows after it are not set.
///
/// `z(0) = 1` and `z(i + 1) = z(i) (a_i + beta omega^i + gamma) / (a_i + beta sigma_i + gamma)`.
pub fn running_product<F: PrimeField>(
    advice: &[F],
    sigma: &[F],
    omega: F,
    last: usize,
    EarlyChallenges { beta, gamma, .. }: EarlyChallenges<F>,
) -> Vec<F> {
    let mut ratios: Vec<F> = advice.iter().zip(sigma).take(last).map(|(a, s)| *a + beta * s + gamma).collect();
    ratios.iter_mut().batch_invert();
    let mut identity = beta;
    for (ratio, a) in ratios.iter_mut().zip(advice) {
        *ratio *= *a + identity + gamma;
        identity *= omega;
    }
    let mut product = Vec::with_capacity(advice.len());
    product.push(F::ONE);
    for (i, ratio) in ratios.iter().enumerate() {
        product.push(product[i] * ratio);
    }
    product
}

/// The values of a periodic selector on the extended domain, as far as they do not repeat; `None` for other columns.
fn periodic_values<C: Curve>(
    protocol: &Protocol<C>,
    domain: &EvaluationDomain<C::Scalar>,
    column: &InstanceColumn<C::Scalar>,
) -> Option<Vec<C::Scalar>> {
    let periodic = protocol.shape.periodic.as_ref()?;
    let selector = match column {
        InstanceColumn::Section(section) => Some(*section),
        InstanceColumn::OutsideSections => None,
        InstanceColumn::Public(_) | InstanceColumn::EvenRows { .. } => return None,
    };
    let cycle = domain.extended_len() >> (protocol.k - periodic.log_period);
    let (g, first) = protocol.period(domain.g_coset)?;
    let (_, step) = protocol.period(domain.get_extended_omega())?;
    let sections = selector.map_or(0..periodic.sections.len(), |section| section..section + 1);
    let roots: Vec<C::Scalar> = sections.flat_map(|section| periodic.section_roots(section, g)).collect();
    let points: Vec<C::Scalar> = std::iter::successors(Some(first), |u| Some(*u * step)).take(cycle).collect();
    let product = |u: &C::Scalar| roots.iter().map(|root| *u - root).product();
    let mut values: Vec<C::Scalar> = points.par_iter().map(product).collect();
    if selector.is_some() {
        // no point of the coset is a root
        values.iter_mut().batch_invert();
        let numerator = |u: &C::Scalar| u.pow_vartime([periodic.period() as u64]) - C::Scalar::ONE;
        values.iter_mut().zip(&points).for_each(|(value, u)| *value *= numerator(u));
    }
    Some(values)
}

/// The quotient: all constraints, combined as in [`Protocol::linearisation`], over `X^n - 1`; `2 n` coefficients.
///
/// If a constraint does not hold, the result is not a quotient, and no verifier accepts a proof made with it.
pub fn quotient<C: Curve>(
    protocol: &Protocol<C>,
    domain: &EvaluationDomain<C::Scalar>,
    columns: Columns<'_, C::Scalar>,
    public_values: &[C::Scalar],
    challenges: EarlyChallenges<C::Scalar>,
) -> Vec<C::Scalar> {
    let EarlyChallenges { beta, gamma, y } = challenges;
    let (zero, one) = (C::Scalar::ZERO, C::Scalar::ONE);
    let extend = |coefficients: &[C::Scalar]| {
        domain.coeff_to_extended(&Polynomial::<C::Scalar, Coeff>::new(coefficients.to_vec())).into_values()
    };
    let advice = extend(columns.advice);
    let fixed: Vec<Vec<C::Scalar>> = columns.fixed.par_iter().map(|column| extend(column)).collect();
    let instance = |column: &InstanceColumn<C::Scalar>| {
        periodic_values(protocol, domain, column).unwrap_or_else(|| {
            extend(&coefficients(domain, protocol.shape.column_values(column, protocol.k, public_values)))
        })
    };
    let instances: Vec<Vec<C::Scalar>> = protocol.shape.instance_columns.par_iter().map(instance).collect();
    let len = domain.extended_len();
    let step = len >> protocol.k;
    let rotated =
        |row: usize, rotation: i32| (row as i64 + i64::from(rotation) * step as i64).rem_euclid(len as i64) as usize;

    let permutation = columns.permutation.zip(protocol.last_rotation()).map(|((sigma, product), last)| {
        let n = protocol.n();
        let last = n - last.unsigned_abs() as usize;
        let indicator = |on: &dyn Fn(usize) -> bool| {
            let values = (0..n).map(|row| if on(row) { one } else { zero }).collect();
            extend(&coefficients(domain, values))
        };
        let lagrange = [indicator(&|row| row == 0), indicator(&|row| row == last), indicator(&|row| row < last)];
        (extend(sigma), extend(product), lagrange)
    });
    let extended_omega = domain.get_extended_omega();
    let row_value = |row: usize, x: C::Scalar| {
        let (a, w, i) = (
            |r| advice[rotated(row, r)],
            |column: usize| fixed[column][row],
            |column: usize| instances[column][row % instances[column].len()],
        );
        let mut sum = zero;
        for gate in &protocol.gates {
            sum = sum * y + gate.evaluate(&a, &w, &i);
        }
        if let Some((sigma, product, [first, last, active])) = &permutation {
            let (z, z_next) = (product[row], product[rotated(row, 1)]);
            sum = sum * y + first[row] * (one - z);
            sum = sum * y + last[row] * (one - z);
            let (left, right) = (advice[row] + beta * sigma[row] + gamma, advice[row] + beta * x + gamma);
            sum = sum * y + active[row] * (z_next * left - z * right);
        }
        sum
    };
    let mut values = vec![zero; len];
    values.par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, values)| {
        let start = chunk * MIN_TASK;
        let mut x = domain.g_coset * extended_omega.pow_vartime([start as u64]);
        for (i, value) in values.iter_mut().enumerate() {
            *value = row_value(start + i, x);
            x *= extended_omega;
        }
    });
    let values = Polynomial::<C::Scalar, ExtendedLagrangeCoeff>::new(values);
    domain.extended_to_coeff(domain.divide_by_vanishing_poly(values))
}
