//! The protocol description: everything a verifier has to know, as plain data, derived from the verifying key.
//!
//! The Solidity generator, the gas estimator, the calldata encoder and the transcripts read only this. It describes the
//! PLONKish argument of the halo2 book with SHPLONK (<https://eprint.iacr.org/2020/081>, the variant with one extra
//! challenge) as the multi-opening scheme, over KZG on BN254.

use std::collections::BTreeSet;

use ff::Field;
use halo2_proofs::{
    plonk::{self, Any, VerifyingKey},
    poly::Rotation,
};
use halo2curves::bn256::{Fr, G1Affine, G2Affine};
use sha3::{Digest, Keccak256};
use thiserror::Error;

use super::encode;
use crate::circuit::config::{ANCHOR, PARITY_OFF_ROWS};

/// The constraint system uses something that the protocol description does not cover.
#[derive(Debug, Error)]
#[error("the protocol description does not cover {feature}; use a layout without it")]
pub struct UnsupportedError {
    feature: &'static str,
}

/// A column of the constraint system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    Advice(usize),
    Fixed(usize),
    Instance(usize),
}

/// A polynomial in columns at rotations.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    Constant(Fr),
    /// A column at a rotation.
    Query(Column, i32),
    Negated(Box<Expression>),
    Sum(Box<Expression>, Box<Expression>),
    Product(Box<Expression>, Box<Expression>),
}

/// An instance column. It is not committed: verifiers evaluate it from its closed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceColumn {
    /// Constants in given rows, and the public values in given rows; zero elsewhere.
    Public { constants: Vec<(usize, u64)>, rows: Vec<usize> },
    /// One on even rows, zero on odd rows and on the last `off` rows.
    EvenRows { off: usize },
}

/// A committed polynomial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Polynomial {
    Advice(usize),
    /// The permutation's running product of one chunk of columns.
    Product(usize),
    Fixed(usize),
    Sigma(usize),
    /// The quotient, recombined from its pieces.
    Quotient,
}

/// Polynomials that are opened at the same rotations of `x`.
#[derive(Clone, Debug, PartialEq)]
pub struct RotationSet {
    pub rotations: Vec<i32>,
    pub polynomials: Vec<Polynomial>,
}

/// A factor of the one product that the verifier inverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denominator {
    /// `x - omega^row`, for the Lagrange polynomial of that row (negative rows count from the end).
    Row(i32),
    /// `x^n - 1`, for the quotient.
    Vanishing,
    /// `x`, for the interpolation through rotations of `x`.
    Point,
}

/// Challenges, in the order in which they are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Challenges {
    pub beta: Fr,
    pub gamma: Fr,
    /// Combines the constraints.
    pub y: Fr,
    /// Where the polynomials are evaluated.
    pub x: Fr,
    /// SHPLONK: combines polynomials within a rotation set.
    pub zeta: Fr,
    /// SHPLONK: combines rotation sets.
    pub nu: Fr,
    /// SHPLONK: where the combination is opened.
    pub mu: Fr,
}

/// The verifier as plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    pub k: u32,
    /// Generator of the domain of `2^k` rows.
    pub omega: Fr,
    pub fixed: Vec<G1Affine>,
    pub sigma: Vec<G1Affine>,
    pub g1: G1Affine,
    pub g2: G2Affine,
    pub s_g2: G2Affine,
    pub advice_columns: usize,
    pub advice_queries: Vec<(usize, i32)>,
    pub fixed_queries: Vec<(usize, i32)>,
    pub instance_queries: Vec<(usize, i32)>,
    pub instance_columns: Vec<InstanceColumn>,
    pub gates: Vec<Expression>,
    /// Columns under the permutation argument and how many share one running product.
    pub permutation: Vec<Column>,
    pub permutation_chunk: usize,
    /// Rows at the end that hold randomness; the row before them is the permutation's last.
    pub blinding_rows: usize,
    pub quotient_pieces: usize,
}

impl Protocol {
    /// Describe the verifier of a circuit in the `general` layout with the given rows of public values.
    pub fn new(
        vk: &VerifyingKey<G1Affine>,
        (g1, g2, s_g2): (G1Affine, G2Affine, G2Affine),
        public_rows: &[usize],
    ) -> Result<Self, UnsupportedError> {
        let cs = vk.cs();
        let unsupported = |feature| Err(UnsupportedError { feature });
        if !cs.lookups().is_empty() {
            return unsupported("lookup arguments");
        }
        if cs.num_challenges() != 0 {
            return unsupported("challenges of several phases");
        }
        if cs.instance_queries().iter().any(|(_, rotation)| *rotation != Rotation::cur()) {
            return unsupported("rotated instance columns");
        }
        let gates = cs.gates().iter().flat_map(|gate| gate.polynomials()).map(expression);
        let degree = cs.degree();
        Ok(Self {
            k: vk.get_domain().k(),
            omega: vk.get_domain().get_omega(),
            fixed: vk.fixed_commitments().clone(),
            sigma: vk.permutation().commitments().clone(),
            g1,
            g2,
            s_g2,
            advice_columns: cs.num_advice_columns(),
            advice_queries: cs.advice_queries().iter().map(|(c, r)| (c.index(), r.0)).collect(),
            fixed_queries: cs.fixed_queries().iter().map(|(c, r)| (c.index(), r.0)).collect(),
            instance_queries: cs.instance_queries().iter().map(|(c, r)| (c.index(), r.0)).collect(),
            instance_columns: vec![
                InstanceColumn::Public { constants: vec![(0, ANCHOR)], rows: public_rows.to_vec() },
                InstanceColumn::EvenRows { off: PARITY_OFF_ROWS },
            ],
            gates: gates.collect::<Result<_, _>>()?,
            permutation: cs.permutation().get_columns().iter().map(column).collect(),
            permutation_chunk: degree - 2,
            blinding_rows: cs.blinding_factors(),
            quotient_pieces: vk.get_domain().get_quotient_poly_degree(),
        })
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        1 << self.k
    }

    /// Rows of the public values, in their order.
    pub fn public_rows(&self) -> Vec<usize> {
        let rows = |column: &InstanceColumn| match column {
            InstanceColumn::Public { rows, .. } => rows.clone(),
            InstanceColumn::EvenRows { .. } => Vec::new(),
        };
        self.instance_columns.iter().flat_map(rows).collect()
    }

    /// Number of running products of the permutation argument.
    pub fn products(&self) -> usize {
        self.permutation.len().div_ceil(self.permutation_chunk)
    }

    /// Rotation of the permutation's last row.
    pub fn last_rotation(&self) -> i32 {
        -(self.blinding_rows as i32 + 1)
    }

    /// Rotations at which running product `i` is opened, in the order of their evaluations in the proof.
    pub fn product_rotations(&self, i: usize) -> Vec<i32> {
        let last = (i + 1 < self.products()).then_some(self.last_rotation());
        [0, 1].into_iter().chain(last).collect()
    }

    /// Every evaluation of the proof, in order: which polynomial, at which rotation. The quotient's is not among them,
    /// verifiers compute it.
    pub fn evaluations(&self) -> Vec<(Polynomial, i32)> {
        let advice = self.advice_queries.iter().map(|&(column, rotation)| (Polynomial::Advice(column), rotation));
        let fixed = self.fixed_queries.iter().map(|&(column, rotation)| (Polynomial::Fixed(column), rotation));
        let sigma = (0..self.sigma.len()).map(|i| (Polynomial::Sigma(i), 0));
        let products = (0..self.products())
            .flat_map(|i| self.product_rotations(i).into_iter().map(move |r| (Polynomial::Product(i), r)));
        advice.chain(fixed).chain(sigma).chain(products).collect()
    }

    /// Number of points in the proof: advice, running products, quotient pieces, two of the opening.
    pub fn points(&self) -> usize {
        self.advice_columns + self.products() + self.quotient_pieces + 2
    }

    /// Words of 32 bytes in an encoded proof: points, evaluations, the inverse.
    pub fn proof_words(&self) -> usize {
        2 * self.points() + self.evaluations().len() + 1
    }

    /// The rotation sets of the multi-opening, in the order in which halo2 meets their first polynomials.
    pub fn rotation_sets(&self) -> Vec<RotationSet> {
        let evaluations = self.evaluations();
        let opened = |kind: fn(&Polynomial) -> bool| evaluations.iter().copied().filter(move |(p, _)| kind(p));
        let queries = opened(|p| matches!(p, Polynomial::Advice(_)))
            .chain(opened(|p| matches!(p, Polynomial::Product(_))))
            .chain(opened(|p| matches!(p, Polynomial::Fixed(_))))
            .chain(opened(|p| matches!(p, Polynomial::Sigma(_))))
            .chain([(Polynomial::Quotient, 0)]);

        let mut polynomials: Vec<(Polynomial, BTreeSet<i32>)> = Vec::new();
        for (polynomial, rotation) in queries {
            match polynomials.iter_mut().find(|(p, _)| *p == polynomial) {
                Some((_, rotations)) => {
                    rotations.insert(rotation);
                }
                None => polynomials.push((polynomial, BTreeSet::from([rotation]))),
            }
        }
        let mut sets: Vec<RotationSet> = Vec::new();
        for (polynomial, rotations) in polynomials {
            let rotations: Vec<i32> = rotations.into_iter().collect();
            match sets.iter_mut().find(|set| set.rotations == rotations) {
                Some(set) => set.polynomials.push(polynomial),
                None => sets.push(RotationSet { rotations, polynomials: vec![polynomial] }),
            }
        }
        sets
    }

    /// Every rotation at which something is opened, ascending.
    pub fn rotations(&self) -> Vec<i32> {
        let all: BTreeSet<i32> = self.rotation_sets().iter().flat_map(|set| set.rotations.clone()).collect();
        all.into_iter().collect()
    }

    /// Rows whose Lagrange polynomials the verifier evaluates: the first, those of the public values, the last rows.
    pub fn lagrange_rows(&self) -> Vec<i32> {
        let mut rows = BTreeSet::from([0]);
        rows.extend((self.last_rotation()..0).collect::<Vec<_>>());
        for column in &self.instance_columns {
            match column {
                InstanceColumn::Public { constants, rows: public } => {
                    rows.extend(constants.iter().map(|(row, _)| *row as i32));
                    rows.extend(public.iter().map(|row| *row as i32));
                }
                InstanceColumn::EvenRows { off } => rows.extend(self.off_rows(*off)),
            }
        }
        rows.into_iter().collect()
    }

    /// The even rows among the last `off`, as negative rows.
    pub fn off_rows(&self, off: usize) -> Vec<i32> {
        (1..=off as i32).filter(|row| row % 2 == 0).map(|row| -row).collect()
    }

    /// The factors of the product whose inverse comes with the proof.
    pub fn denominators(&self) -> Vec<Denominator> {
        let rows = self.lagrange_rows().into_iter().map(Denominator::Row);
        rows.chain([Denominator::Vanishing, Denominator::Point]).collect()
    }

    /// `omega^row`.
    pub fn omega_power(&self, row: i32) -> Fr {
        self.omega.pow([row.rem_euclid(self.n() as i32) as u64])
    }

    /// The inverse that the proof carries; `None` if the product is zero, for which no proof verifies (one `x` in
    /// about 2^240).
    pub fn inverse(&self, challenges: &Challenges) -> Option<Fr> {
        let x = challenges.x;
        let factor = |denominator| match denominator {
            Denominator::Row(row) => x - self.omega_power(row),
            Denominator::Vanishing => x.pow([self.n() as u64]) - Fr::ONE,
            Denominator::Point => x,
        };
        self.denominators().into_iter().map(factor).product::<Fr>().invert().into()
    }

    /// Keccak-256 of the description: what the transcript starts with. It binds the verifying key, the setup, the
    /// gates, the rows of the public values and the order of everything.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Keccak256::new();
        hasher.update(b"hallmark protocol 1: plonk, shplonk, kzg, bn254, keccak-256");
        hasher.update(self.k.to_be_bytes());
        hasher.update(encode::scalar(&self.omega));
        for points in [&self.fixed, &self.sigma, &vec![self.g1]] {
            hasher.update((points.len() as u64).to_be_bytes());
            points.iter().for_each(|point| hasher.update(encode::g1(point).concat()));
        }
        for point in [&self.g2, &self.s_g2] {
            hasher.update(encode::g2(point).concat());
        }
        // plain data without maps or floats: its debug form is a canonical encoding of the shape
        let shape = (
            (self.advice_columns, &self.advice_queries, &self.fixed_queries, &self.instance_queries),
            (&self.instance_columns, &self.gates, &self.permutation, self.permutation_chunk),
            (self.blinding_rows, self.quotient_pieces, self.rotation_sets(), self.denominators()),
        );
        hasher.update(format!("{shape:?}"));
        hasher.finalize().into()
    }
}

fn column(column: &plonk::Column<Any>) -> Column {
    match column.column_type() {
        Any::Advice(_) => Column::Advice(column.index()),
        Any::Fixed => Column::Fixed(column.index()),
        Any::Instance => Column::Instance(column.index()),
    }
}

fn expression(source: &plonk::Expression<Fr>) -> Result<Expression, UnsupportedError> {
    let boxed = |e: &plonk::Expression<Fr>| expression(e).map(Box::new);
    Ok(match source {
        plonk::Expression::Constant(value) => Expression::Constant(*value),
        plonk::Expression::Selector(_) => return Err(UnsupportedError { feature: "virtual selectors" }),
        plonk::Expression::Challenge(_) => return Err(UnsupportedError { feature: "challenges in gates" }),
        plonk::Expression::Advice(query) => Expression::Query(Column::Advice(query.column_index()), query.rotation().0),
        plonk::Expression::Fixed(query) => Expression::Query(Column::Fixed(query.column_index()), query.rotation().0),
        plonk::Expression::Instance(query) => {
            Expression::Query(Column::Instance(query.column_index()), query.rotation().0)
        }
        plonk::Expression::Negated(e) => Expression::Negated(boxed(e)?),
        plonk::Expression::Sum(a, b) => Expression::Sum(boxed(a)?, boxed(b)?),
        plonk::Expression::Product(a, b) => Expression::Product(boxed(a)?, boxed(b)?),
        plonk::Expression::Scaled(e, factor) => Expression::Product(boxed(e)?, Box::new(Expression::Constant(*factor))),
    })
}
