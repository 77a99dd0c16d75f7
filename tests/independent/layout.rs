//! What the judges ask of a layout, and the prover who forges its cells.

use std::ops::RangeInclusive;

use hallmark::{
    graph::IntegerModel,
    proof::{ProvingKey, Srs},
};
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Advice, Circuit, Column, ConstraintSystem, Error},
};
use halo2curves::bn256::Fr;

use crate::common::Draw;

/// A circuit that halo2's own prover and key generation take, with its instance columns.
pub trait Layout: Circuit<Fr> + Clone + Send + Sync {
    /// Which models are judged: those whose circuits have `2^k` rows for these `k`, and how many of them.
    const MODELS: &'static [(RangeInclusive<u32>, usize)];

    /// Which models are judged by contract.
    const SMALL: RangeInclusive<u32>;

    /// The circuit with the witness of an input; `None` if the layout does not hold the model.
    fn lay_out(model: &IntegerModel, input: &[i128]) -> Option<Self>;

    /// The domain has `2^k` rows.
    fn k(&self) -> u32;

    /// Values of the instance columns for these public values, as far as they are not zero.
    fn instances(&self, public_values: &[Fr]) -> Vec<Vec<Fr>>;

    /// Hallmark's keys of the model.
    fn own_keys(model: &IntegerModel, srs: Srs) -> ProvingKey;

    /// Pairs of rows of the first column that Hallmark's permutation ties and halo2's has no room for.
    fn tied_rows(&self) -> Vec<(usize, usize)> {
        vec![]
    }

    /// Lies of a prover who has this honest witness of an input, at most one of each kind that the layout gives room
    /// for.
    fn lies(&self, model: &IntegerModel, input: &[i128], draw: &mut Draw) -> Vec<Lie<Self>>;
}

/// What is wrong with a forged witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An activation is not that of its argument.
    Activation,
    /// A partial sum is not the sum of what is above it.
    Accumulator,
    /// A binary digit is neither zero nor one.
    Digit,
    /// An input lies outside of its domain.
    Domain,
    /// The digits of a number are those of the number plus the field's order.
    WrapAround,
    /// A copy of a cell differs from the cell.
    Copy,
    /// The numbers of a segment are those of another one; in layouts that look them up.
    Segment,
    /// The value of a function is that of another argument; in layouts that look it up.
    Value,
}

impl Kind {
    /// Those that any model may give room for.
    pub const ALL: [Self; 6] =
        [Self::Activation, Self::Accumulator, Self::Digit, Self::Domain, Self::WrapAround, Self::Copy];
}

/// A forged witness, and the public values that it arrives at.
pub struct Lie<C> {
    pub kind: Kind,
    pub prover: Forged<C>,
    pub claims: Vec<Fr>,
}

impl<C> Lie<C> {
    /// The lie that one advice column tells in place of the honest one. What follows from that column in a later phase follows
    /// from the circuit's.
    pub fn new(kind: Kind, circuit: C, honest: &[Fr], forged: &[Fr], claims: Vec<Fr>) -> Self {
        let cells = forged.iter().zip(honest).enumerate().filter(|(_, (new, old))| new != old);
        let cells: Vec<Cell> = cells.map(|(row, (&new, _))| (0, row, new)).collect();
        assert!(!cells.is_empty(), "{kind:?}");
        Self { kind, prover: Forged { circuit, cells }, claims }
    }
}

/// One of `choices`, if there are any.
pub fn any<T: Copy>(choices: &[T], draw: &mut Draw) -> Option<T> {
    (!choices.is_empty()).then(|| choices[draw.index(choices.len())])
}

/// Column, row and value of an advice cell.
pub type Cell = (usize, usize, Fr);

/// A circuit whose advice cells are overwritten after it has assigned them.
#[derive(Clone)]
pub struct Forged<C> {
    pub circuit: C,
    pub cells: Vec<Cell>,
}

impl<C: Layout> Circuit<Fr> for Forged<C> {
    type Config = (C::Config, Vec<Column<Advice>>);
    type FloorPlanner = SimpleFloorPlanner;
    type Params = C::Params;

    fn params(&self) -> C::Params {
        self.circuit.params()
    }

    fn without_witnesses(&self) -> Self {
        Self { circuit: self.circuit.without_witnesses(), cells: vec![] }
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, params: C::Params) -> Self::Config {
        let config = C::configure_with_params(cs, params);
        let mut columns: Vec<_> = cs.advice_queries().iter().map(|(column, _)| *column).collect();
        columns.sort();
        columns.dedup();
        (config, columns)
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) -> Self::Config {
        Self::configure_with_params(cs, C::Params::default())
    }

    /// Regions begin in row 0, and the last assignment of a cell is the one that counts.
    fn synthesize(&self, (config, columns): Self::Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        self.circuit.synthesize(config, layouter.namespace(|| "honest"))?;
        layouter.assign_region(
            || "forged",
            |mut region| {
                for &(column, row, value) in &self.cells {
                    region.assign_advice(columns[column], row, Value::known(value));
                }
                Ok(())
            },
        )
    }
}
