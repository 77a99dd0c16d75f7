//! Columns and the gate of the `phased` layout.

use ff::PrimeField;
use halo2_proofs::{
    plonk::{Advice, Challenge, Column, ConstraintSystem, FirstPhase, Fixed, Instance, SecondPhase},
    poly::Rotation,
};

use crate::circuit::{
    config::ANCHOR,
    shape::{InstanceColumn, PublicRow, Shape},
};

/// Rows at the end of the domain that hold randomness and in which the gate is off.
///
/// Each advice column is opened at two points, and its commitment is one more: seven rows leave `a` four values of its own, and
/// `c`, whose first one is the end of its sum, six. The running product has three.
pub const TAIL: usize = 7;

/// Columns of the `phased` layout.
#[derive(Clone, Debug)]
pub struct PhasedConfig {
    pub a: Column<Advice>,
    pub c: Column<Advice>,
    pub alpha: Challenge,
    /// In the order of [`FIXED`].
    pub fixed: [Column<Fixed>; FIXED.len()],
    pub public: Column<Instance>,
    pub active: Column<Instance>,
}

/// Names of the fixed columns, in order.
pub const FIXED: [&str; 5] = ["weight", "table", "lookup", "next", "product"];

impl PhasedConfig {
    /// Declare the columns and the gate.
    pub fn configure<F: PrimeField>(cs: &mut ConstraintSystem<F>) -> Self {
        let a = cs.advice_column_in(FirstPhase);
        let alpha = cs.challenge_usable_after(FirstPhase);
        let c = cs.advice_column_in(SecondPhase);
        let fixed = FIXED.map(|_| cs.fixed_column());
        let (public, active) = (cs.instance_column(), cs.instance_column());
        cs.enable_equality(a);
        cs.enable_equality(c);

        cs.create_gate("phased", |cells| {
            let [a0, a1] = [0, 1].map(|rotation| cells.query_advice(a, Rotation(rotation)));
            let [c0, c1] = [0, 1].map(|rotation| cells.query_advice(c, Rotation(rotation)));
            let [weight, table, lookup, next, product] = fixed.map(|f| cells.query_fixed(f, Rotation::cur()));
            let [public, active] = [public, active].map(|column| cells.query_instance(column, Rotation::cur()));
            let alpha = cells.query_challenge(alpha);
            let denominator = active * alpha + table + lookup.clone() * a0.clone() + next * a1.clone();
            let numerator = weight * a0.clone() + product * (a0 * a1) + lookup - public;
            vec![(c1 - c0) * denominator - numerator]
        });
        Self { a, c, alpha, fixed, public, active }
    }

    /// The two instance columns, with the public values in the given rows.
    pub fn shape<F: PrimeField>(public_rows: &[usize]) -> Shape<F> {
        let anchor = PublicRow { row: 0, terms: Vec::new(), constant: F::from(ANCHOR) };
        let value = |(index, &row): (usize, &usize)| PublicRow { row, terms: vec![(index, F::ONE)], constant: F::ZERO };
        let public = std::iter::once(anchor).chain(public_rows.iter().enumerate().map(value)).collect();
        let instance_columns = vec![InstanceColumn::Public(public), InstanceColumn::ActiveRows { off: TAIL }];
        Shape { instance_columns, periodic: None, linear: (0..FIXED.len()).collect() }
    }
}
