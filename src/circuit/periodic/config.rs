//! Columns, gates and positions of the `periodic` layout.

use ff::PrimeField;
use halo2_proofs::{
    plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance},
    poly::Rotation,
};

use crate::circuit::{InstanceColumn, Periodic, PublicRow};

/// Rows at the end of a block that no gate reads: those of the last block are the domain's free rows.
pub const FREE_ROWS: usize = 8;

/// Rows at the end of the domain that halo2 fills with randomness or marks: four rotations of `a`, so it blinds six rows
/// (`ConstraintSystem::blinding_factors`) and marks one more.
pub const UNUSABLE_ROWS: usize = 7;

/// Indices of the sections.
const MAC: usize = 0;
pub const COPY: usize = 1;
const ACT: usize = 2;
const BIAS: usize = 3;

/// Where things are in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// log2 of the rows of a block.
    pub log_period: u32,
    /// The domain has `2^k` rows.
    pub k: u32,
    /// Left and right registers, at least one of each.
    pub left: usize,
    pub right: usize,
}

impl Geometry {
    /// The smallest domain for `blocks` blocks.
    pub fn new(log_period: u32, left: usize, right: usize, blocks: usize) -> Self {
        let k = log_period + blocks.max(2).next_power_of_two().ilog2();
        Self { log_period, k, left, right }
    }

    /// Digits that blocks of `2^log_period` rows have room for, beside the registers and the rows at their end.
    pub fn digits(log_period: u32, left: usize, right: usize) -> Option<u32> {
        let taken = Self { log_period, k: log_period, left, right }.digits_start() + FREE_ROWS + 1;
        let digits = (1usize << log_period).checked_sub(taken)?;
        u32::try_from(digits).ok().filter(|&digits| digits > 0)
    }

    pub fn period(&self) -> usize {
        1 << self.log_period
    }

    pub fn rows(&self) -> usize {
        1 << self.k
    }

    pub fn blocks(&self) -> usize {
        1 << (self.k - self.log_period)
    }

    /// Position of the accumulator before left register `i`, and of the form's value for `i = left`.
    pub fn accumulator(&self, i: usize) -> usize {
        1 + 2 * i
    }

    pub fn left_register(&self, i: usize) -> usize {
        2 + 2 * i
    }

    /// Position of the form's value.
    pub fn value(&self) -> usize {
        self.accumulator(self.left)
    }

    pub fn right_register(&self, j: usize) -> usize {
        self.value() + 1 + 2 * j
    }

    /// Position of the magnitude below right register `j`.
    pub fn magnitude(&self, j: usize) -> usize {
        self.right_register(j) + 1
    }

    /// Position of the last magnitude, whose digits follow.
    pub fn digits_start(&self) -> usize {
        self.magnitude(self.right - 1)
    }

    /// Position of the last cell that a digit gate reads; it is zero.
    pub fn digits_end(&self) -> usize {
        self.period() - FREE_ROWS - 1
    }

    /// The sections `mac`, `copy`, `act`, `bias` and the end, where no gate is on.
    pub fn periodic(&self) -> Periodic {
        let carried = (0..self.right - 1).map(|j| self.magnitude(j));
        let mac = (0..self.left).map(|i| self.accumulator(i)).chain(carried);
        let right = (0..self.right).map(|j| self.right_register(j));
        let copy = (0..self.left).map(|i| self.left_register(i)).chain(right);
        let end = self.digits_end()..self.period();
        let sections = vec![mac.collect(), copy.collect(), vec![self.value()], vec![0], end.collect()];
        Periodic { log_period: self.log_period, sections }
    }
}

/// Columns of the `periodic` layout. Instance columns are those of [`PeriodicConfig::instance_columns`].
#[derive(Clone, Debug)]
pub struct PeriodicConfig {
    pub a: Column<Advice>,
    pub w: Column<Fixed>,
    pub public: Column<Instance>,
    pub mac: Column<Instance>,
    pub copy: Column<Instance>,
    pub act: Column<Instance>,
    pub bias: Column<Instance>,
    pub digits: Column<Instance>,
}

/// What gates depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeriodicParams {
    /// log2 of the rows of a block.
    pub log_period: u32,
}

impl PeriodicConfig {
    /// Declare the columns and the gates.
    pub fn configure<F: PrimeField>(cs: &mut ConstraintSystem<F>, params: PeriodicParams) -> Self {
        let (a, w) = (cs.advice_column(), cs.fixed_column());
        let [public, mac, copy, act, bias, digits] = [(); 6].map(|()| cs.instance_column());
        let period = Rotation(1 << params.log_period);

        cs.create_gate("periodic", |cells| {
            let rotations = [Rotation(0), Rotation(1), Rotation(2), period];
            let [a0, a1, a2, next] = rotations.map(|rotation| cells.query_advice(a, rotation));
            let w = cells.query_fixed(w, Rotation::cur());
            let selectors = [public, mac, copy, act, bias, digits];
            let [public, mac, copy, act, bias, digits] =
                selectors.map(|column| cells.query_instance(column, Rotation::cur()));
            let bit = a0.clone() - Expression::Constant(F::from(2)) * a1.clone();
            let weighted = w.clone() * a1.clone();
            vec![
                mac * (a2.clone() - a0.clone() - weighted.clone()),
                copy * (next - a0.clone() - weighted.clone()) - public,
                act * (a2.clone() * a2 - a0.clone() * a0),
                bias * (a1 - w),
                digits.clone() * (bit.clone() * bit.clone() - bit),
                digits * weighted,
            ]
        });
        Self { a, w, public, mac, copy, act, bias, digits }
    }

    /// The instance columns, in the order in which they are declared.
    pub fn instance_columns<F>(public: Vec<PublicRow<F>>) -> Vec<InstanceColumn<F>> {
        let selectors = [MAC, COPY, ACT, BIAS].map(InstanceColumn::Section);
        let mut columns = vec![InstanceColumn::Public(public)];
        columns.extend(selectors);
        columns.push(InstanceColumn::OutsideSections);
        columns
    }
}
