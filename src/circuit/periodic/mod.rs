//! The `periodic` layout: one advice column, one fixed column, no permutation, no lookup.
//!
//! Rows come in blocks of `P = 2^p`. Every block computes one *atom*, the magnitude `t = |A(x)| < 2^b` of an affine form
//! in the *left registers* `x`, and adds multiples of `t` to the *right registers* `y`. Copies are rotations by `P`, selectors
//! and public values are instance columns in closed form ([`crate::circuit::shape`]).
//!
//! With `S` left and `T` right registers, a block has these positions (`r = 1 + 2S`, `e = r + 2T`):
//!
//! | position | advice `a` | fixed `w` | gate |
//! | --- | --- | --- | --- |
//! | `0` | free | bias | bias |
//! | `1 + 2i`, `i < S` | accumulator `i`, first the bias | weight of `x_i` | mac |
//! | `2 + 2i`, `i < S` | `x_i` | 0 | copy |
//! | `r` | `z = A(x)` | 0 | act |
//! | `r + 1 + 2j`, `j < T` | `y_j` | coefficient of `t` | copy |
//! | `r + 2 + 2j`, `j < T - 1` | `t` | 0 | mac |
//! | `e + i`, up to `P - 10` | `t >> i` | 1 from `i = b - 1` on | digits |
//! | `P - 9` | 0 | 0 | |
//! | from `P - 8` | free | 0 | |
//!
//! With `a0`, `a1`, `a2`, `aP` the cells at rotations 0, 1, 2 and `P`:
//!
//! | gate | polynomial, times its selector |
//! | --- | --- |
//! | mac | `a2 - a0 - w a1` |
//! | copy | `aP - a0 - w a1`, less `public` in the rows of public values |
//! | act | `a2^2 - a0^2` |
//! | bias | `a1 - w` |
//! | digits | `(a0 - 2 a1)^2 - (a0 - 2 a1)` and `w a1` |
//!
//! All have degree 3 at most, so the quotient needs two commitments, the least there is.
//!
//! # Why a block computes its atom
//!
//! Rotations wrap around the domain, and there are at least two blocks, so they are distinct.
//!
//! - `x_i` is the same in all blocks: the copy gate says that the next block has it, around the cycle.
//! - `z` is forced: accumulator 0 is `w` of position 0, and each mac row adds `w x_i`.
//! - `t^2 = z^2`, so `t = z` or `t = -z`: a field has no zero divisors. Carry rows are mac rows with weight 0.
//! - Every row from `e` to `P - 10` says that `a0 - 2 a1` is a bit, and from `e + b - 1` on that the next cell is zero. So
//!   `t` is a sum of `b` bits, an integer of `[0, 2^b)`, and all cells of the expansion are forced to `t >> i`. As `b < 127`
//!   and `|z| < 2^127` (`program`), only the root that is not negative is in there: `r - |z| >= 2^b`.
//! - Position 0 and the last eight positions are read by no gate that is on: the gates of the last nine positions are off,
//!   and those of the rows before end at `P - 9`.
//!
//! # Why equations hold
//!
//! Right register `j` says that from one block to the next it grows by `w t + public`. Around the cycle it returns to where
//! it began, wherever that was: the sum of all `c t` and of all public rows is zero. With the coefficients negated, and
//! a public row of `value - constant` in the last block, the public value is `constant + sum coefficient * t`, as a field
//! element. Registers without a public row say that the sum is zero.
//!
//! Why the atoms and the equations are the model is told in `program` and `plan`.

pub mod config;
#[cfg(test)]
mod forgeries;
mod form;
mod layout;
mod plan;
mod program;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unfold;

use ff::PrimeField;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Circuit, ConstraintSystem, Error},
};
use thiserror::Error;

pub use config::{Geometry, PeriodicConfig, PeriodicParams};

use self::{
    config::{FREE_ROWS, UNUSABLE_ROWS},
    plan::Plan,
    program::Program,
};
use super::{Preprocessed, PublicRow, Shape, Witness};
use crate::graph::{IntegerModel, Trace};

/// Why a model has no periodic layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotPeriodic {
    /// Composed with the affine maps before it, a node's coefficients or bounds leave 128 bits.
    #[error("node \"{node}\": with the affine maps before it composed, its numbers leave 128 bits; use layout general")]
    TooWide { node: String },
    /// Blocks hold no products of values that depend on the input.
    #[error("inputs or outputs are hashed, which it has no blocks for; use layout general or phased")]
    Hashed,
    /// Blocks hold dense layers only.
    #[error("node \"{node}\" is a {operator}, which it has no blocks for; use layout general")]
    Operator { node: String, operator: &'static str },
    /// No domain of the field is long enough.
    #[error("the model needs more than 2^{limit} rows in blocks; use layout general")]
    TooLong { limit: u32 },
}

/// An integer model laid out in blocks, with the witness of one run.
#[derive(Clone, Debug)]
pub struct PeriodicCircuit<F> {
    geometry: Geometry,
    /// Blocks that are not idle.
    blocks: usize,
    /// Both columns, all `2^k` rows.
    advice: Vec<F>,
    fixed: Vec<F>,
    public: Vec<PublicRow<F>>,
}

impl<F: PrimeField> PeriodicCircuit<F> {
    /// Lay out the model with the witness `trace`.
    ///
    /// All but the advice column is the same for every trace.
    pub fn new(model: &IntegerModel, trace: &Trace) -> Result<Self, NotPeriodic> {
        let plan = Plan::new(Program::new(model)?)?;
        let input = trace.first().map_or(&[][..], Vec::as_slice);
        let advice = layout::advice(&plan, &plan.program.witness(input));
        let (fixed, public) = (layout::fixed(&plan), layout::public_rows(&plan));
        Ok(Self { geometry: plan.geometry, blocks: plan.blocks.len(), advice, fixed, public })
    }

    /// The circuit for key generation: the layout with the witness of one in-domain input, the lower corner.
    pub fn for_keygen(model: &IntegerModel) -> Result<Self, NotPeriodic> {
        let corner: Vec<i128> = model.features.iter().map(|f| f.range.lo).collect();
        Self::new(model, &model.trace(&corner))
    }

    /// Blocks and domain of a model, without laying out its rows.
    pub fn plan(model: &IntegerModel) -> Result<Geometry, NotPeriodic> {
        Ok(Plan::<F>::new(Program::new(model)?)?.geometry)
    }

    /// The domain has `2^k` rows.
    pub fn k(&self) -> u32 {
        self.geometry.k
    }

    /// Rows in use: those of blocks that are not idle.
    pub fn rows(&self) -> usize {
        self.blocks * self.geometry.period()
    }

    /// Where things are in a block.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// What verifiers know of the layout besides its gates.
    pub fn shape(&self) -> Shape<F> {
        let instance_columns = PeriodicConfig::instance_columns(self.public.clone());
        Shape { instance_columns, periodic: Some(self.geometry.periodic()), linear: vec![0] }
    }

    /// The column that the prover commits to.
    pub fn witness(&self) -> Witness<F> {
        let n = self.geometry.rows();
        Witness { advice: self.advice.clone(), free_rows: (n - FREE_ROWS..n).collect(), tied_rows: Vec::new() }
    }

    /// The fixed column; there are no copies.
    pub fn preprocessed(&self) -> Preprocessed<F> {
        Preprocessed { k: self.geometry.k, fixed: vec![self.fixed.clone()], copies: Vec::new() }
    }
}

impl<F: PrimeField> Circuit<F> for PeriodicCircuit<F> {
    type Config = PeriodicConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = PeriodicParams;

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> PeriodicParams {
        PeriodicParams { log_period: self.geometry.log_period }
    }

    fn configure_with_params(cs: &mut ConstraintSystem<F>, params: PeriodicParams) -> PeriodicConfig {
        PeriodicConfig::configure(cs, params)
    }

    fn configure(_: &mut ConstraintSystem<F>) -> PeriodicConfig {
        unreachable!("halo2's feature `circuit-params` is on: it calls configure_with_params")
    }

    fn synthesize(&self, config: PeriodicConfig, mut layouter: impl Layouter<F>) -> Result<(), Error> {
        layouter.assign_region(
            || "periodic",
            |mut region| {
                let usable = self.geometry.rows() - UNUSABLE_ROWS;
                for (row, (&a, &w)) in self.advice.iter().zip(&self.fixed).enumerate().take(usable) {
                    region.assign_advice(config.a, row, Value::known(a));
                    region.assign_fixed(config.w, row, w);
                }
                Ok(())
            },
        )
    }
}
