//! Columns and gates of the `phased` layout.

use ff::PrimeField;
use halo2_proofs::{
    plonk::{Advice, Challenge, Column, ConstraintSystem, Expression, FirstPhase, Fixed, Instance, SecondPhase},
    poly::Rotation,
};

use crate::circuit::{
    config::ANCHOR,
    shape::{InstanceColumn, PublicRow, Shape},
};

/// Rows at the end of the domain that hold randomness and in which the gate is off.
///
/// With projections each advice column is used at up to four rotations of two points, `x` and the setup's secret: twelve rows leave
/// `a` eight values of its own, as four are ties, and `c` eleven, as its first one is the end of its sum. The running product, used
/// at two rotations of the same points, has four.
pub const TAIL: usize = 12;

/// Columns of the `phased` layout.
#[derive(Clone, Debug)]
pub struct PhasedConfig {
    pub a: Column<Advice>,
    pub c: Column<Advice>,
    /// `alpha`, and `theta` with projections or pairs.
    pub challenges: Vec<Challenge>,
    /// In the order of [`FIXED`], then of [`PROJECTION`] with projections, then [`PAIR`] with pairs.
    pub fixed: Vec<Column<Fixed>>,
    pub public: Column<Instance>,
    pub active: Column<Instance>,
}

/// Names of the fixed columns, in order.
pub const FIXED: [&str; 5] = ["weight", "table", "lookup", "next", "product"];

/// Names of those of projections.
pub const PROJECTION: [&str; 4] = ["jump", "step_alpha", "step_theta", "times"];

/// Name of that of pairs.
pub const PAIR: [&str; 1] = ["pair"];

/// What circuits have columns for only if they need them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Projections.
    pub projected: bool,
    /// Look-ups of pairs.
    pub paired: bool,
}

impl Extras {
    fn fixed_columns(self) -> usize {
        let of = |present: bool, names: &[&str]| if present { names.len() } else { 0 };
        FIXED.len() + of(self.projected, &PROJECTION) + of(self.paired, &PAIR)
    }

    /// Both need a second challenge.
    fn challenges(self) -> usize {
        1 + usize::from(self.projected || self.paired)
    }
}

impl PhasedConfig {
    /// Declare the columns and the gates.
    pub fn configure<F: PrimeField>(cs: &mut ConstraintSystem<F>, extras: Extras) -> Self {
        let a = cs.advice_column_in(FirstPhase);
        let challenges: Vec<Challenge> =
            (0..extras.challenges()).map(|_| cs.challenge_usable_after(FirstPhase)).collect();
        let c = cs.advice_column_in(SecondPhase);
        let fixed: Vec<Column<Fixed>> = (0..extras.fixed_columns()).map(|_| cs.fixed_column()).collect();
        let (public, active) = (cs.instance_column(), cs.instance_column());
        cs.enable_equality(a);
        cs.enable_equality(c);

        cs.create_gate("phased", |cells| {
            let [a0, a1] = [0, 1].map(|rotation| cells.query_advice(a, Rotation(rotation)));
            let [c0, c1] = [0, 1].map(|rotation| cells.query_advice(c, Rotation(rotation)));
            let mut columns = fixed.iter().map(|column| cells.query_fixed(*column, Rotation::cur()));
            let mut next = || columns.next().unwrap_or(Expression::Constant(F::ZERO));
            let [weight, table, lookup, below, product] = std::array::from_fn(|_| next());
            let [jump, step_alpha, step_theta, times] =
                std::array::from_fn(|_| if extras.projected { next() } else { Expression::Constant(F::ZERO) });
            let pair = next();
            drop(columns);
            let [public, active] = [public, active].map(|column| cells.query_instance(column, Rotation::cur()));
            let alpha = cells.query_challenge(challenges[0]);
            let mut denominator = active * alpha.clone() + table + lookup.clone() * a0.clone() + below * a1.clone();
            if extras.paired {
                denominator = denominator + pair * (cells.query_challenge(challenges[1]) * a1.clone());
            }
            let mut numerator = weight * a0.clone() + product * (a0 * a1) + lookup - public;
            if !extras.projected {
                return vec![(c1 - c0) * denominator - numerator];
            }
            let one = || Expression::Constant(F::ONE);
            let theta = cells.query_challenge(challenges[1]);
            let scaled = |challenge: Expression<F>| (challenge - one()) * alpha.clone() * c0.clone();
            denominator = denominator - jump * alpha.clone();
            numerator = numerator + step_alpha * scaled(alpha.clone()) + step_theta * scaled(theta);
            let [c2, c3] = [2, 3].map(|rotation| cells.query_advice(c, Rotation(rotation)));
            let product = times * (c3 - c0.clone() - c1.clone() * c2);
            vec![(c1 - c0) * denominator - numerator, product]
        });
        Self { a, c, challenges, fixed, public, active }
    }

    /// The two instance columns, with the public values in the given rows.
    pub fn shape<F: PrimeField>(public_rows: &[usize], extras: Extras) -> Shape<F> {
        let anchor = PublicRow { row: 0, terms: Vec::new(), constant: F::from(ANCHOR) };
        let value = |(index, &row): (usize, &usize)| PublicRow { row, terms: vec![(index, F::ONE)], constant: F::ZERO };
        let public = std::iter::once(anchor).chain(public_rows.iter().enumerate().map(value)).collect();
        let instance_columns = vec![InstanceColumn::Public(public), InstanceColumn::ActiveRows { off: TAIL }];
        Shape { instance_columns, periodic: None, linear: (0..extras.fixed_columns()).collect() }
    }
}
