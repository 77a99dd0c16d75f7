//! The protocol description: everything a verifier has to know, as plain data.
//!
//! The prover, the native verifier, the Solidity generator, the gas estimate and the calldata encoder read only this. It
//! describes PLONK (<https://eprint.iacr.org/2019/953>) for one advice column a phase with halo2's gates, opened by SHPLONK
//! (<https://eprint.iacr.org/2020/081>) over KZG, with one linearisation:
//!
//! - there are one or two phases; the second column is committed to after a challenge, which gates may use;
//! - constraints are polynomials in the advice columns at several rotations, in fixed columns and in instance columns. Every
//!   gate is a sum of terms with at most one of the *linear* fixed columns, in degree one;
//! - the optional permutation argument ties cells of the advice columns together, by one running product. For one column it
//!   leaves out the last rows; for two it spans all rows, and the product ends where it began;
//! - instance columns are not committed, verifiers evaluate them from closed forms. These are fractions; as every gate has
//!   degree one at most in instance columns, the verifier multiplies all of the linearisation by the *scale*, the product of
//!   the denominators, and never divides;
//! - the verifier never learns the linear columns, the last sigma, the running product or the quotient at `x`: with the other
//!   evaluations put in, the combination of all constraints is linear in those, so their commitments are combined into one
//!   polynomial, the *linearisation*, which must be zero at `x`.

use std::collections::BTreeSet;

use ff::{Field, PrimeField};
use group::prime::PrimeCurveAffine;
use halo2_proofs::{
    plonk::{self, ConstraintSystem},
    poly::Rotation,
};
use sha3::{Digest, Keccak256};
use thiserror::Error;

use super::curve::{Bn254, Curve, Word, scalar_word};
use crate::circuit::{InstanceColumn, PublicRow, Shape};

/// The constraint system uses something that the protocol description does not cover.
#[derive(Debug, Error)]
#[error("the protocol description does not cover {feature}; use a layout without it")]
pub struct UnsupportedError {
    feature: &'static str,
}

/// A polynomial in columns; advice columns are read at rotations.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression<F> {
    Constant(F),
    /// An advice column at a rotation.
    Advice(usize, i32),
    Fixed(usize),
    Instance(usize),
    /// A challenge between the phases.
    Challenge(usize),
    Negated(Box<Expression<F>>),
    Sum(Box<Expression<F>>, Box<Expression<F>>),
    Product(Box<Expression<F>>, Box<Expression<F>>),
}

/// What an expression is made of, besides constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Advice(usize, i32),
    Fixed(usize),
    Instance(usize),
    Challenge(usize),
}

impl<F: PrimeField> Expression<F> {
    /// The value, given those of columns and of the challenge.
    pub fn evaluate(&self, leaf: &impl Fn(Leaf) -> F) -> F {
        let value = |e: &Self| e.evaluate(leaf);
        match self {
            Expression::Constant(value) => *value,
            Expression::Advice(column, rotation) => leaf(Leaf::Advice(*column, *rotation)),
            Expression::Fixed(column) => leaf(Leaf::Fixed(*column)),
            Expression::Instance(column) => leaf(Leaf::Instance(*column)),
            Expression::Challenge(index) => leaf(Leaf::Challenge(*index)),
            Expression::Negated(e) => -value(e),
            Expression::Sum(a, b) => value(a) + value(b),
            Expression::Product(a, b) => value(a) * value(b),
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Expression::Constant(c) if c.is_zero_vartime())
    }

    fn sum(self, other: Self) -> Self {
        match (self.is_zero(), other.is_zero()) {
            (true, _) => other,
            (_, true) => self,
            _ => Expression::Sum(Box::new(self), Box::new(other)),
        }
    }

    fn product(self, other: Self) -> Self {
        let one = |e: &Self| matches!(e, Expression::Constant(c) if *c == F::ONE);
        match (self.is_zero() || other.is_zero(), one(&self), one(&other)) {
            (true, _, _) => Expression::Constant(F::ZERO),
            (_, true, _) => other,
            (_, _, true) => self,
            _ => Expression::Product(Box::new(self), Box::new(other)),
        }
    }

    fn negated(self) -> Self {
        if self.is_zero() { self } else { Expression::Negated(Box::new(self)) }
    }

    /// The parts without the fixed column `column`, and its coefficient; `None` if the degree in it is above one.
    fn linear_in(&self, column: usize) -> Option<(Self, Self)> {
        let zero = || Expression::Constant(F::ZERO);
        Some(match self {
            Expression::Fixed(fixed) if *fixed == column => (zero(), Expression::Constant(F::ONE)),
            Expression::Negated(e) => {
                let (rest, coefficient) = e.linear_in(column)?;
                (rest.negated(), coefficient.negated())
            }
            Expression::Sum(a, b) => {
                let ((a, a1), (b, b1)) = (a.linear_in(column)?, b.linear_in(column)?);
                (a.sum(b), a1.sum(b1))
            }
            Expression::Product(a, b) => {
                let ((a, a1), (b, b1)) = (a.linear_in(column)?, b.linear_in(column)?);
                if !(a1.is_zero() || b1.is_zero()) {
                    return None;
                }
                (a.clone().product(b.clone()), a1.product(b).sum(b1.product(a)))
            }
            other => (other.clone(), zero()),
        })
    }

    /// The part without instance columns, and the part that is linear in them; `None` if the degree in them is above one.
    fn by_instance(&self) -> Option<[Self; 2]> {
        let zero = || Expression::Constant(F::ZERO);
        Some(match self {
            Expression::Instance(_) => [zero(), self.clone()],
            Expression::Negated(e) => e.by_instance()?.map(Self::negated),
            Expression::Sum(a, b) => {
                let ([a, a1], [b, b1]) = (a.by_instance()?, b.by_instance()?);
                [a.sum(b), a1.sum(b1)]
            }
            Expression::Product(a, b) => {
                let ([a, a1], [b, b1]) = (a.by_instance()?, b.by_instance()?);
                if !(a1.is_zero() || b1.is_zero()) {
                    return None;
                }
                [a.clone().product(b.clone()), a1.product(b).sum(a.product(b1))]
            }
            other => [other.clone(), zero()],
        })
    }

    /// The expression as a gate; `None` if its degree in the linear columns together or in the instance columns is above one.
    fn gate(&self, linear: &[usize]) -> Option<Gate<F>> {
        let (mut rest, mut coefficients) = (self.clone(), Vec::with_capacity(linear.len()));
        for &column in linear {
            let (without, coefficient) = rest.linear_in(column)?;
            if linear.iter().any(|&other| coefficient.linear_in(other).is_none_or(|(_, c)| !c.is_zero())) {
                return None;
            }
            coefficients.push(coefficient.by_instance()?);
            rest = without;
        }
        Some(Gate { rest: rest.by_instance()?, coefficients })
    }
}

/// A gate, taken apart: it is `rest + sum coefficient * column` over the linear columns, and each of these is a part without
/// instance columns plus a part that is linear in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate<F> {
    pub rest: [Expression<F>; 2],
    pub coefficients: Vec<[Expression<F>; 2]>,
}

/// A committed polynomial that is opened, or the linearisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Polynomial {
    Advice(usize),
    Fixed(usize),
    /// The permutation's polynomial of an advice column.
    Sigma(usize),
    /// The permutation's running product.
    Product,
    /// Linear columns, last sigma, running product and quotient, combined so that the value at `x` is zero.
    Linearisation,
}

/// Polynomials that are opened at the same rotations of `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct RotationSet {
    pub rotations: Vec<i32>,
    /// The polynomials, each with the power of `nu` that it is combined by.
    pub polynomials: Vec<(usize, Polynomial)>,
}

/// What closed forms at `x` divide by. The verifier multiplies by the product of all of them instead, the *scale*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denominator {
    /// `x - omega^row`, for the Lagrange polynomial of that row (negative rows count from the end).
    Row(i32),
    /// `D_s(x^(n/P))`, for the selector of that section.
    Section(usize),
}

/// Challenges, in the order in which they are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Challenges<F> {
    /// Between the phases, as many as the protocol has.
    pub between: [F; 2],
    /// Of the permutation; drawn only if there is one, as is `gamma`.
    pub beta: F,
    pub gamma: F,
    /// Combines the constraints.
    pub y: F,
    /// Where the polynomials are evaluated.
    pub x: F,
    /// SHPLONK: combines the opened polynomials.
    pub nu: F,
    /// SHPLONK: the combination is opened at `mu x`, so that the distances of that point from rotations of `x` are multiples
    /// of `x` by what does not depend on `x`.
    pub mu: F,
}

/// The permutation argument on the advice columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Permutation<C: Curve> {
    /// Commitments to sigma, one per column.
    pub sigma: Vec<C::G1Affine>,
    /// Rows at the end that hold randomness; the row before them is the last of the argument. `None`: the argument spans all
    /// rows.
    pub blinding_rows: Option<usize>,
}

/// The verifier as plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol<C: Curve = Bn254> {
    pub k: u32,
    /// Generator of the domain of `2^k` rows.
    pub omega: C::Scalar,
    /// Commitments to the fixed columns.
    pub fixed: Vec<C::G1Affine>,
    /// The fixed column whose commitment is part of the statement and names the model's weights, if the verifier is one for all models
    /// of an architecture. It is one of the linear columns.
    pub weights: Option<usize>,
    pub permutation: Option<Permutation<C>>,
    /// `[tau]_2`.
    pub s_g2: C::G2Affine,
    /// Number of advice columns; each is a phase.
    pub phases: usize,
    /// Number of challenges between the phases.
    pub challenges: usize,
    /// Rotations at which advice columns are opened, ascending.
    pub advice_rotations: Vec<i32>,
    /// Instance columns, and the fixed columns that are part of the linearisation.
    pub shape: Shape<C::Scalar>,
    pub gates: Vec<Expression<C::Scalar>>,
    pub quotient_pieces: usize,
}

/// Commitments that key generation makes, and the setup they are made under.
#[derive(Clone, Debug)]
pub struct Commitments<C: Curve> {
    pub fixed: Vec<C::G1Affine>,
    /// One per advice column; none for layouts without a permutation.
    pub sigma: Vec<C::G1Affine>,
    pub s_g2: C::G2Affine,
}

impl<C: Curve> Protocol<C> {
    /// Describe the verifier of a constraint system over a domain of `2^k` rows generated by `omega`.
    pub fn new(
        (k, omega): (u32, C::Scalar),
        cs: &ConstraintSystem<C::Scalar>,
        shape: Shape<C::Scalar>,
        commitments: Commitments<C>,
        weights: Option<usize>,
        quotient_pieces: usize,
    ) -> Result<Self, UnsupportedError> {
        let unsupported = |feature| Err(UnsupportedError { feature });
        let Commitments { fixed, sigma, s_g2 } = commitments;
        if !cs.lookups().is_empty() {
            return unsupported("lookup arguments");
        }
        let phases = cs.num_advice_columns();
        let challenges = cs.num_challenges();
        if !(1..=2).contains(&phases) || challenges > 2 || (challenges > 0) != (phases > 1) {
            return unsupported("phases that are not one column each, more than two, or more than two challenges");
        }
        if cs.permutation().get_columns().len() != sigma.len() || !(sigma.is_empty() || sigma.len() == phases) {
            return unsupported("permutations of some columns");
        }
        if cs.num_fixed_columns() != fixed.len() || cs.num_instance_columns() != shape.instance_columns.len() {
            return unsupported("columns without a description");
        }
        if weights.is_some_and(|column| !shape.linear.contains(&column)) {
            return unsupported("committed weights in a column that is evaluated in the open");
        }
        if cs.degree() != 3 {
            return unsupported("constraints of a degree other than three");
        }
        let at_zero = |rotation: &Rotation| *rotation == Rotation::cur();
        if !cs.instance_queries().iter().all(|(_, r)| at_zero(r)) || !cs.fixed_queries().iter().all(|(_, r)| at_zero(r))
        {
            return unsupported("rotated fixed or instance columns");
        }
        let gates = cs.gates().iter().flat_map(|gate| gate.polynomials()).map(expression);
        let gates: Vec<_> = gates.collect::<Result<_, _>>()?;
        if gates.iter().any(|gate| gate.gate(&shape.linear).is_none()) {
            return unsupported("gates of a higher degree in linear or instance columns");
        }
        let advice: BTreeSet<i32> = cs.advice_queries().iter().map(|(_, rotation)| rotation.0).collect();
        let blinding_rows = (phases == 1).then(|| cs.blinding_factors());
        let permutation = (!sigma.is_empty()).then_some(Permutation { sigma, blinding_rows });
        let advice_rotations = advice.into_iter().collect();
        let protocol = Self {
            k,
            omega,
            fixed,
            weights,
            permutation,
            s_g2,
            phases,
            challenges,
            advice_rotations,
            shape,
            gates,
            quotient_pieces,
        };

        // every polynomial is opened at some of the rotations of the advice column, and no two of these are one point
        let rotations = protocol.rotations();
        let points: BTreeSet<i32> = rotations.iter().map(|rotation| rotation.rem_euclid(protocol.n() as i32)).collect();
        if rotations != protocol.advice_rotations || points.len() != rotations.len() {
            return unsupported("rotations that meet, or that the advice column is not opened at");
        }
        Ok(protocol)
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        1 << self.k
    }

    /// Number of public values.
    pub fn public_values(&self) -> usize {
        let terms = self.public_rows().flat_map(|row| &row.terms);
        terms.map(|(index, _)| index + 1).max().unwrap_or(0)
    }

    /// Rows of the public column.
    pub fn public_rows(&self) -> impl Iterator<Item = &PublicRow<C::Scalar>> {
        let columns = self.shape.instance_columns.iter();
        columns.flat_map(|column| match column {
            InstanceColumn::Public(rows) => rows.as_slice(),
            _ => &[],
        })
    }

    /// Rotation of the permutation's last row, if it does not span all rows.
    pub fn last_rotation(&self) -> Option<i32> {
        Some(-(self.permutation.as_ref()?.blinding_rows? as i32 + 1))
    }

    /// Fixed columns that are opened on their own.
    pub fn evaluated_fixed(&self) -> impl Iterator<Item = usize> {
        (0..self.fixed.len()).filter(|column| !self.shape.linear.contains(column))
    }

    /// Every evaluation of the proof, in order: which polynomial, at which rotation.
    pub fn evaluations(&self) -> Vec<(Polynomial, i32)> {
        let advice = (0..self.phases).flat_map(|column| {
            self.advice_rotations.iter().map(move |&rotation| (Polynomial::Advice(column), rotation))
        });
        let fixed = self.evaluated_fixed().map(|column| (Polynomial::Fixed(column), 0));
        let sigma = self.evaluated_sigma().map(|column| (Polynomial::Sigma(column), 0));
        let product = self.permutation.iter().map(|_| (Polynomial::Product, 1));
        advice.chain(fixed).chain(sigma).chain(product).collect()
    }

    /// Sigmas that are opened on their own: all but the last.
    pub fn evaluated_sigma(&self) -> std::ops::Range<usize> {
        0..self.permutation.as_ref().map_or(0, |permutation| permutation.sigma.len().saturating_sub(1))
    }

    /// Number of points in the proof but for the last: advice, running product, quotient, first of the opening.
    pub fn points(&self) -> usize {
        1 + self.phases + usize::from(self.permutation.is_some()) + self.quotient_pieces
    }

    /// Words of 32 bytes in an encoded proof: points and evaluations.
    pub fn proof_words(&self) -> usize {
        C::POINT_WORDS * self.points() + C::LAST_POINT_WORDS + self.evaluations().len()
    }

    /// The gates, taken apart.
    pub fn split_gates(&self) -> impl Iterator<Item = Gate<C::Scalar>> {
        self.gates.iter().filter_map(|gate| gate.gate(&self.shape.linear))
    }

    /// The opened polynomials, each with its rotations; combined by ascending powers of `nu`.
    fn opened(&self) -> Vec<(Polynomial, Vec<i32>)> {
        let advice = (0..self.phases).map(|column| (Polynomial::Advice(column), self.advice_rotations.clone()));
        let mut opened: Vec<(Polynomial, Vec<i32>)> = advice.collect();
        opened.extend(self.evaluated_fixed().map(|column| (Polynomial::Fixed(column), vec![0])));
        opened.extend(self.evaluated_sigma().map(|column| (Polynomial::Sigma(column), vec![0])));
        opened.push((Polynomial::Linearisation, vec![0]));
        opened.extend(self.permutation.iter().map(|_| (Polynomial::Product, vec![1])));
        opened
    }

    /// The rotation sets of the multi-opening. The first is that of the advice column and has all rotations.
    pub fn rotation_sets(&self) -> Vec<RotationSet> {
        let mut sets: Vec<RotationSet> = Vec::new();
        for (power, (polynomial, rotations)) in self.opened().into_iter().enumerate() {
            match sets.iter_mut().find(|set| set.rotations == rotations) {
                Some(set) => set.polynomials.push((power, polynomial)),
                None => sets.push(RotationSet { rotations, polynomials: vec![(power, polynomial)] }),
            }
        }
        sets
    }

    /// Every rotation at which something is opened, ascending.
    pub fn rotations(&self) -> Vec<i32> {
        let all: BTreeSet<i32> = self.opened().into_iter().flat_map(|(_, rotations)| rotations).collect();
        all.into_iter().collect()
    }

    /// Rows whose Lagrange polynomials the verifier evaluates, ascending: the last ones as negative rows, the first,
    /// those of the public values.
    pub fn lagrange_rows(&self) -> Vec<i32> {
        let mut rows = BTreeSet::new();
        if self.permutation.is_some() {
            rows.extend(self.last_rotation().unwrap_or(0)..=0);
        }
        for column in &self.shape.instance_columns {
            match column {
                InstanceColumn::Public(public) => rows.extend(public.iter().map(|public| public.row as i32)),
                InstanceColumn::EvenRows { off } => rows.extend(off_rows(*off)),
                InstanceColumn::ActiveRows { off } => rows.extend(last_rows(*off)),
                InstanceColumn::Section(_) | InstanceColumn::OutsideSections => {}
            }
        }
        rows.into_iter().collect()
    }

    /// What closed forms divide by.
    pub fn denominators(&self) -> Vec<Denominator> {
        let rows = self.lagrange_rows().into_iter().map(Denominator::Row);
        let sections = self.shape.instance_columns.iter().filter_map(|column| match column {
            InstanceColumn::Section(section) => Some(Denominator::Section(*section)),
            _ => None,
        });
        rows.chain(sections).collect()
    }

    /// `omega^row`.
    pub fn omega_power(&self, row: i32) -> C::Scalar {
        self.omega.pow([row.rem_euclid(self.n() as i32) as u64])
    }

    /// The generator of a period's domain and `x^(n/P)`; `None` if the layout has no periodic selector.
    pub fn period(&self, x: C::Scalar) -> Option<(C::Scalar, C::Scalar)> {
        let periods = 1u64 << (self.k - self.shape.periodic.as_ref()?.log_period);
        Some((self.omega.pow([periods]), x.pow([periods])))
    }

    /// The value of a denominator at `x`.
    pub fn denominator(&self, denominator: Denominator, x: C::Scalar) -> C::Scalar {
        match denominator {
            Denominator::Row(row) => x - self.omega_power(row),
            Denominator::Section(section) => match (&self.shape.periodic, self.period(x)) {
                (Some(periodic), Some((g, u))) => periodic.section_product(section, g, u),
                _ => C::Scalar::ZERO,
            },
        }
    }

    /// The commitment to the weights as the statement has it; no words if they are fixed.
    pub fn weights_words(&self) -> Vec<Word> {
        self.weights.iter().flat_map(|&column| C::point(&self.fixed[column])).collect()
    }

    /// Names the model: the digest, and with committed weights that of it and the commitment.
    pub fn model_id(&self) -> [u8; 32] {
        let digest = self.digest();
        if self.weights.is_none() {
            return digest;
        }
        let mut hasher = Keccak256::new();
        hasher.update(digest);
        self.weights_words().iter().for_each(|word| hasher.update(word));
        hasher.finalize().into()
    }

    /// Keccak-256 of the description: what the transcript starts with. It binds the verifying key, the setup, the
    /// gates, the rows of the public values and the order of everything; but not weights that the statement names.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Keccak256::new();
        hasher.update(format!("hallmark protocol 4: plonk, shplonk, kzg, {}, keccak-256", C::ID));
        hasher.update(self.k.to_be_bytes());
        hasher.update(scalar_word(&self.omega));
        let sigma: Vec<C::G1Affine> = self.permutation.iter().flat_map(|p| p.sigma.iter().copied()).collect();
        let fixed = self.fixed.iter().enumerate().filter(|(column, _)| Some(*column) != self.weights);
        let fixed: Vec<C::G1Affine> = fixed.map(|(_, point)| *point).collect();
        for points in [&fixed, &sigma, &vec![C::G1Affine::generator()]] {
            hasher.update((points.len() as u64).to_be_bytes());
            points.iter().flat_map(C::point).for_each(|word| hasher.update(word));
        }
        for point in [&C::G2Affine::generator(), &self.s_g2] {
            C::point2(point).iter().for_each(|word| hasher.update(word));
        }
        // plain data without maps or floats: its debug form is a canonical encoding of the shape
        let shape = (
            (&self.shape, &self.gates, (self.phases, self.challenges), &self.advice_rotations, self.quotient_pieces),
            (self.permutation.as_ref().map(|permutation| permutation.blinding_rows), self.evaluations()),
            (self.rotation_sets(), self.denominators()),
        );
        hasher.update(format!("{shape:?}"));
        if let Some(column) = self.weights {
            hasher.update(format!("weights of column {column} in the statement"));
        }
        hasher.finalize().into()
    }
}

/// The last `off` rows, as negative rows.
pub fn last_rows(off: usize) -> std::ops::Range<i32> {
    -(off as i32)..0
}

/// The even rows among the last `off`, as negative rows, from the last up.
pub fn off_rows(off: usize) -> Vec<i32> {
    (1..=off as i32).filter(|row| row % 2 == 0).map(|row| -row).collect()
}

fn expression<F: PrimeField>(source: &plonk::Expression<F>) -> Result<Expression<F>, UnsupportedError> {
    let boxed = |e: &plonk::Expression<F>| expression(e).map(Box::new);
    Ok(match source {
        plonk::Expression::Constant(value) => Expression::Constant(*value),
        plonk::Expression::Selector(_) => return Err(UnsupportedError { feature: "virtual selectors" }),
        plonk::Expression::Challenge(challenge) => Expression::Challenge(challenge.index()),
        plonk::Expression::Advice(query) => Expression::Advice(query.column_index(), query.rotation().0),
        plonk::Expression::Fixed(query) => Expression::Fixed(query.column_index()),
        plonk::Expression::Instance(query) => Expression::Instance(query.column_index()),
        plonk::Expression::Negated(e) => Expression::Negated(boxed(e)?),
        plonk::Expression::Sum(a, b) => Expression::Sum(boxed(a)?, boxed(b)?),
        plonk::Expression::Product(a, b) => Expression::Product(boxed(a)?, boxed(b)?),
        plonk::Expression::Scaled(e, factor) => Expression::Product(boxed(e)?, Box::new(Expression::Constant(*factor))),
    })
}
