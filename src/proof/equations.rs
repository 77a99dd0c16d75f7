//! What the verifier computes in the field: closed forms of the instance columns, the coefficients of the linearisation, and
//! those of the opening. Prover and native verifier share it; the contract does the same from the same description.

use ff::{Field, PrimeField};

use super::{
    curve::Curve,
    protocol::{Challenges, Denominator, Leaf, Polynomial, Protocol, last_rows, off_rows},
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

/// Fractions at `x`, multiplied by the product of all denominators, so that there is nothing to divide by.
#[derive(Clone, Debug)]
pub struct ClosedForms<F> {
    /// The product of all denominators.
    pub scale: F,
    /// `(x^n - 1) / denominator`, times the scale.
    fractions: Vec<(Denominator, F)>,
}

impl<F: PrimeField> ClosedForms<F> {
    fn get(&self, denominator: Denominator) -> F {
        let known = self.fractions.iter().find(|(other, _)| *other == denominator);
        known.map_or(F::ZERO, |(_, value)| *value)
    }
}

/// The linearisation, times the scale: `constant + sum linear_i [w_i] + sigma [sigma] + product [z] + sum quotient_i [h_i]`,
/// zero at `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linearisation<F> {
    pub constant: F,
    /// Coefficients of the linear columns.
    pub linear: Vec<F>,
    /// Of the last sigma.
    pub sigma: F,
    pub product: F,
    /// Coefficients of the pieces of the quotient.
    pub quotient: Vec<F>,
}

/// The combination that SHPLONK opens at `v = mu x`, to zero: `sum_s c_s (P_s - R_s(v)) - Z(v) W`, where `P_s` combines the
/// polynomials of a rotation set.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening<F> {
    /// `v`.
    pub point: F,
    /// Per rotation set: the coefficient of its combination, `prod (v - omega^r x)` over the rotations not in the set.
    pub sets: Vec<F>,
    /// `sum c_s R_s(v)`.
    pub remainder: F,
    /// `Z(v)`, over all rotations.
    pub vanishing: F,
}

impl<C: Curve> Protocol<C> {
    /// The closed forms at `x`.
    pub fn closed_forms(&self, x: C::Scalar) -> ClosedForms<C::Scalar> {
        let denominators = self.denominators();
        let factors: Vec<C::Scalar> = denominators.iter().map(|&d| self.denominator(d, x)).collect();
        let vanishing = x.pow([self.n() as u64]) - C::Scalar::ONE;
        // before each factor the product of those that precede it, then from the end those that follow
        let mut scale = C::Scalar::ONE;
        let mut fractions = Vec::with_capacity(factors.len());
        for factor in &factors {
            fractions.push(scale);
            scale *= factor;
        }
        let mut after = vanishing;
        for (fraction, factor) in fractions.iter_mut().zip(&factors).rev() {
            *fraction *= after;
            after *= factor;
        }
        ClosedForms { scale, fractions: denominators.into_iter().zip(fractions).collect() }
    }

    /// `L_row(x)`, scaled.
    fn lagrange(&self, row: i32, forms: &ClosedForms<C::Scalar>) -> C::Scalar {
        let n_inverse = C::Scalar::TWO_INV.pow([u64::from(self.k)]);
        forms.get(Denominator::Row(row)) * self.omega_power(row) * n_inverse
    }

    /// The instance columns at `x`, scaled.
    pub fn instance_evaluations(
        &self,
        x: C::Scalar,
        forms: &ClosedForms<C::Scalar>,
        public_values: &[C::Scalar],
    ) -> Vec<C::Scalar> {
        let outside = || {
            let (periodic, (g, u)) = (self.shape.periodic.as_ref()?, self.period(x)?);
            Some((0..periodic.sections.len()).map(|section| periodic.section_product(section, g, u)).product())
        };
        let column = |column: &InstanceColumn<C::Scalar>| match column {
            InstanceColumn::Public(rows) => {
                let term = |row: &PublicRow<_>| public_value(row, public_values) * self.lagrange(row.row as i32, forms);
                rows.iter().map(term).sum()
            }
            InstanceColumn::EvenRows { off } => {
                let even = (x.pow([self.n() as u64 / 2]) + C::Scalar::ONE) * C::Scalar::TWO_INV;
                let off: C::Scalar = off_rows(*off).into_iter().map(|row| self.lagrange(row, forms)).sum();
                even * forms.scale - off
            }
            InstanceColumn::ActiveRows { off } => {
                forms.scale - last_rows(*off).map(|row| self.lagrange(row, forms)).sum::<C::Scalar>()
            }
            InstanceColumn::Section(section) => forms.get(Denominator::Section(*section)),
            InstanceColumn::OutsideSections => outside().unwrap_or(C::Scalar::ZERO) * forms.scale,
        };
        self.shape.instance_columns.iter().map(column).collect()
    }

    /// The linearisation for these evaluations. Constraints are combined by Horner's rule in `y`: the gates, then those of
    /// the permutation: `l_0 (1 - z)`, `l_last (1 - z)` if there is a last row, and on the rows before it, or on all,
    /// `z(omega X) prod (a_j + beta sigma_j + gamma) - z prod (a_j + beta delta^j X + gamma)`.
    pub fn linearisation(
        &self,
        challenges: &Challenges<C::Scalar>,
        evaluations: &Evaluations<C::Scalar>,
        public_values: &[C::Scalar],
    ) -> Linearisation<C::Scalar> {
        let Challenges { between, beta, gamma, y, x, .. } = *challenges;
        let zero = C::Scalar::ZERO;
        let forms = self.closed_forms(x);
        let instances = self.instance_evaluations(x, &forms, public_values);
        let leaf = |leaf: Leaf| match leaf {
            Leaf::Advice(column, rotation) => evaluations.get(Polynomial::Advice(column), rotation),
            Leaf::Fixed(column) => evaluations.get(Polynomial::Fixed(column), 0),
            Leaf::Instance(column) => instances[column],
            Leaf::Challenge(index) => between[index],
        };
        // instance columns are scaled already
        let value = |[plain, scaled]: &[super::protocol::Expression<C::Scalar>; 2]| {
            plain.evaluate(&leaf) * forms.scale + scaled.evaluate(&leaf)
        };
        let (mut constant, mut linear) = (zero, vec![zero; self.shape.linear.len()]);
        for gate in self.split_gates() {
            constant = constant * y + value(&gate.rest);
            for (sum, coefficient) in linear.iter_mut().zip(&gate.coefficients) {
                *sum = *sum * y + value(coefficient);
            }
        }
        let (mut sigma, mut product) = (zero, zero);
        if let Some(permutation) = &self.permutation {
            let mut ends = self.lagrange(0, &forms);
            let (mut active, mut shift) = (forms.scale, y);
            if let Some(last) = self.last_rotation() {
                ends = ends * y + self.lagrange(last, &forms);
                active -= (last..0).map(|row| self.lagrange(row, &forms)).sum::<C::Scalar>();
                shift *= y;
            }
            let advice = |column| evaluations.get(Polynomial::Advice(column), 0) + gamma;
            let columns = permutation.sigma.len();
            let mut next = active * evaluations.get(Polynomial::Product, 1);
            for column in self.evaluated_sigma() {
                next *= advice(column) + beta * evaluations.get(Polynomial::Sigma(column), 0);
            }
            let identity = |column: usize| advice(column) + beta * C::Scalar::DELTA.pow([column as u64]) * x;
            constant = (constant * shift + ends) * y + next * advice(columns.saturating_sub(1));
            linear.iter_mut().for_each(|sum| *sum *= shift * y);
            sigma = next * beta;
            product = -(ends * y + active * (0..columns).map(identity).product::<C::Scalar>());
        }
        let x_n = x.pow([self.n() as u64]);
        let first = (C::Scalar::ONE - x_n) * forms.scale;
        let pieces = std::iter::successors(Some(first), |coefficient| Some(*coefficient * x_n));
        let quotient = pieces.take(self.quotient_pieces).collect();
        Linearisation { constant, linear, sigma, product, quotient }
    }

    /// The combination that is opened at `mu x`.
    pub fn opening(
        &self,
        challenges: &Challenges<C::Scalar>,
        evaluations: &Evaluations<C::Scalar>,
    ) -> Opening<C::Scalar> {
        let Challenges { x, nu, mu, .. } = *challenges;
        // points and distances over x
        let distance = |rotation: &i32| mu - self.omega_power(*rotation);
        let rotations = self.rotations();
        let vanishing: C::Scalar = rotations.iter().map(|rotation| distance(rotation) * x).product();
        let mut opening = Opening { point: mu * x, sets: Vec::new(), remainder: C::Scalar::ZERO, vanishing };
        for set in self.rotation_sets() {
            let others = rotations.iter().filter(|rotation| !set.rotations.contains(rotation));
            let coefficient: C::Scalar = others.map(|rotation| distance(rotation) * x).product();
            for &rotation in &set.rotations {
                let values =
                    set.polynomials.iter().map(|&(power, p)| nu.pow([power as u64]) * evaluations.get(p, rotation));
                let others = || set.rotations.iter().filter(move |other| **other != rotation);
                let basis: C::Scalar = others().map(distance).product();
                let gap = |other: &i32| self.omega_power(rotation) - self.omega_power(*other);
                let divisor: C::Scalar = others().map(gap).product();
                // rotations are distinct modulo n: no gap is zero
                let weight = divisor.invert().unwrap_or(C::Scalar::ZERO);
                opening.remainder += coefficient * basis * weight * values.sum::<C::Scalar>();
            }
            opening.sets.push(coefficient);
        }
        opening
    }
}

/// The value of a row of the public column.
pub fn public_value<F: PrimeField>(row: &PublicRow<F>, public_values: &[F]) -> F {
    let value = |index: usize| public_values.get(index).copied().unwrap_or(F::ZERO);
    row.terms.iter().fold(row.constant, |sum, &(index, coefficient)| sum + coefficient * value(index))
}
