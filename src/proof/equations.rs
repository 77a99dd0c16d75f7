//! What the verifier computes in the field: closed forms of the instance columns, the coefficients of the linearisation, and
//! those of the opening. Prover and native verifier share it; the contract does the same from the same description.

use ff::{Field, PrimeField};

use super::{
    curve::Curve,
    protocol::{Challenges, Polynomial, Protocol, off_rows},
};
use crate::circuit::{InstanceColumn, PublicRow};

/// The evaluations of a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluations<F> {
    values: Vec<(Polynomial, i32, F)>,
}

impl<F: PrimeField> Evaluations<F> {
    /// `values` in the order of [`Protocol::evaluations`].
    pub fn new<C: Curve<Scalar = F>>(protocol: &Protocol<C>, values: &[F]) -> Option<Self> {
        let evaluations = protocol.evaluations();
        let complete = evaluations.len() == values.len();
        let value = |((polynomial, rotation), value): ((Polynomial, i32), &F)| (polynomial, rotation, *value);
        complete.then(|| Self { values: evaluations.into_iter().zip(values).map(value).collect() })
    }

    /// The evaluation of a polynomial; that of the linearisation is zero.
    pub fn get(&self, polynomial: Polynomial, rotation: i32) -> F {
        let known = self.values.iter().find(|(p, r, _)| (*p, *r) == (polynomial, rotation));
        known.map_or(F::ZERO, |(_, _, value)| *value)
    }
}

/// The linearisation: `constant + weights [w] + sigma [sigma] + product [z] + sum quotient_i [h_i]`, zero at `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linearisation<F> {
    pub constant: F,
    pub weights: F,
    pub sigma: F,
    pub product: F,
    /// Coefficients of the pieces of the quotient.
    pub quotient: Vec<F>,
}

/// The combination that SHPLONK opens at `mu`, to zero: `sum_s c_s (P_s - R_s(mu)) - Z(mu) W`, where `P_s` combines the
/// polynomials of a rotation set.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening<F> {
    /// Per rotation set: the coefficient of its combination, `prod (mu - omega^r x)` over the rotations not in the set.
    pub sets: Vec<F>,
    /// `sum c_s R_s(mu)`.
    pub remainder: F,
    /// `Z(mu)`, over all rotations.
    pub vanishing: F,
}

impl<C: Curve> Protocol<C> {
    /// `L_row(x)`; `None` if `x` is in the domain.
    pub fn lagrange(&self, row: i32, x: C::Scalar) -> Option<C::Scalar> {
        let n = C::Scalar::from(self.n() as u64);
        let omega = self.omega_power(row);
        let divisor = Option::<C::Scalar>::from((n * (x - omega)).invert())?;
        Some(omega * (x.pow([self.n() as u64]) - C::Scalar::ONE) * divisor)
    }

    /// The instance columns at `x`; `None` if `x` is where a closed form divides by zero.
    pub fn instance_evaluations(&self, x: C::Scalar, public_values: &[C::Scalar]) -> Option<Vec<C::Scalar>> {
        let one = C::Scalar::ONE;
        let product = |section| {
            let (periodic, (g, u)) = (self.shape.periodic.as_ref()?, self.period(x)?);
            Some(periodic.section_product(section, g, u))
        };
        let column = |column: &InstanceColumn<C::Scalar>| match column {
            InstanceColumn::Public(rows) => rows.iter().try_fold(C::Scalar::ZERO, |sum, public| {
                Some(sum + public_value(public, public_values) * self.lagrange(public.row as i32, x)?)
            }),
            InstanceColumn::EvenRows { off } => {
                let even = (x.pow([self.n() as u64 / 2]) + one) * C::Scalar::TWO_INV;
                off_rows(*off).into_iter().try_fold(even, |sum, row| Some(sum - self.lagrange(row, x)?))
            }
            InstanceColumn::Section(section) => {
                let divisor = Option::<C::Scalar>::from(product(*section)?.invert())?;
                Some((x.pow([self.n() as u64]) - one) * divisor)
            }
            InstanceColumn::OutsideSections => {
                let sections = self.shape.periodic.as_ref()?.sections.len();
                (0..sections).try_fold(one, |all, section| Some(all * product(section)?))
            }
        };
        self.shape.instance_columns.iter().map(column).collect()
    }

    /// The linearisation for these evaluations. Constraints are combined by Horner's rule in `y`: the gates, then those of
    /// the permutation: `l_0 (1 - z)`, `l_last (1 - z)`, and on the rows before the last
    /// `z(omega X) (a + beta sigma + gamma) - z (a + beta X + gamma)`.
    ///
    /// `None` if `x` is where a closed form divides by zero.
    pub fn linearisation(
        &self,
        challenges: &Challenges<C::Scalar>,
        evaluations: &Evaluations<C::Scalar>,
        public_values: &[C::Scalar],
    ) -> Option<Linearisation<C::Scalar>> {
        let Challenges { beta, gamma, y, x, .. } = *challenges;
        let (zero, one) = (C::Scalar::ZERO, C::Scalar::ONE);
        let instances = self.instance_evaluations(x, public_values)?;
        let advice = |rotation| evaluations.get(Polynomial::Advice, rotation);
        let fixed = |column| evaluations.get(Polynomial::Fixed(column), 0);
        let value = |e: &super::protocol::Expression<C::Scalar>| e.evaluate(&advice, &fixed, &|i| instances[i]);
        let (mut constant, mut weights) = (zero, zero);
        for gate in &self.gates {
            let (rest, coefficient) = gate.linear_in(self.shape.weights)?;
            constant = constant * y + value(&rest);
            weights = weights * y + value(&coefficient);
        }
        let (mut sigma, mut product) = (zero, zero);
        if let Some(last) = self.last_rotation() {
            let (first, last_row) = (self.lagrange(0, x)?, self.lagrange(last, x)?);
            let inactive = (last..0).try_fold(zero, |sum, row| Some(sum + self.lagrange(row, x)?))?;
            let (active, a) = (one - inactive, advice(0));
            let next = active * evaluations.get(Polynomial::Product, 1);
            constant = (constant * y + first) * y + last_row;
            constant = constant * y + next * (a + gamma);
            weights *= y.square() * y;
            sigma = next * beta;
            product = -((first * y + last_row) * y + active * (a + beta * x + gamma));
        }
        let x_n = x.pow([self.n() as u64]);
        let pieces = std::iter::successors(Some(one - x_n), |coefficient| Some(*coefficient * x_n));
        let quotient = pieces.take(self.quotient_pieces).collect();
        Some(Linearisation { constant, weights, sigma, product, quotient })
    }

    /// The combination that is opened at `mu`; `None` if `x` is zero.
    pub fn opening(
        &self,
        challenges: &Challenges<C::Scalar>,
        evaluations: &Evaluations<C::Scalar>,
    ) -> Option<Opening<C::Scalar>> {
        let Challenges { x, nu, mu, .. } = *challenges;
        let point = |rotation: i32| self.omega_power(rotation) * x;
        let distance = |rotation: &i32| mu - point(*rotation);
        let rotations = self.rotations();
        let mut opening = Opening {
            sets: Vec::new(),
            remainder: C::Scalar::ZERO,
            vanishing: rotations.iter().map(distance).product(),
        };
        for set in self.rotation_sets() {
            let others = rotations.iter().filter(|rotation| !set.rotations.contains(rotation));
            let coefficient: C::Scalar = others.map(distance).product();
            for &rotation in &set.rotations {
                let values =
                    set.polynomials.iter().map(|&(power, p)| nu.pow([power as u64]) * evaluations.get(p, rotation));
                let others = || set.rotations.iter().filter(move |other| **other != rotation);
                let basis: C::Scalar = others().map(distance).product();
                let divisor: C::Scalar = others().map(|&other| point(rotation) - point(other)).product();
                let divisor = Option::<C::Scalar>::from(divisor.invert())?;
                opening.remainder += coefficient * basis * divisor * values.sum::<C::Scalar>();
            }
            opening.sets.push(coefficient);
        }
        Some(opening)
    }
}

/// The value of a row of the public column.
pub fn public_value<F: PrimeField>(row: &PublicRow<F>, public_values: &[F]) -> F {
    let value = |index: usize| public_values.get(index).copied().unwrap_or(F::ZERO);
    row.terms.iter().fold(row.constant, |sum, &(index, coefficient)| sum + coefficient * value(index))
}
