//! The `phased` layout: two advice columns in two phases, ranges by look-ups.
//!
//! `a` holds values, one above the other; `c` is a running sum down all rows. The prover commits to `a`, the challenge `alpha` is
//! drawn, and `c` follows from both. Write `a1` and `c1` for the cells of the next row. Five fixed columns steer the one gate:
//!
//! ```text
//! (c1 - c) (active alpha + table + lookup a + next a1) = weight a + product a a1 + lookup - public
//! ```
//!
//! | row | columns | what it adds to `c` |
//! | --- | --- | --- |
//! | term | `weight` | `weight a / alpha` |
//! | product | `product` | `product a a1 / alpha`, beside a term |
//! | look-up | `lookup = w`, `next`, `table` | `w / (alpha + table + w a + next a1)` |
//! | scaled look-up | `weight = 1`, `next`, `table`, `a = 1` by copy | `1 / (alpha + table + next a1)` |
//! | table | `table = v`, `weight = -1` | `-m / (alpha + v)` for the multiplicity `m = a` |
//!
//! A *constraint* is a run of term and product rows whose sum is zero: copies tie the cells of `c` before and behind it. The sum
//! may have started from anything, so runs and look-ups follow each other without any row between them.
//!
//! **Look-ups** are logUp (<https://eprint.iacr.org/2022/1530>): the first and the last `c` are the same cell, so
//! `sum 1 / (alpha + e) = sum m_v / (alpha + v)` over all look-ups `e` and all `v` of the table `[0, 2^t)`. All `e` and `m` are
//! committed to before `alpha` is drawn. As rational functions of `alpha` both sides are equal only if every `e` is a `v`; a
//! prover for whom they are not finds an `alpha` at which they are with a chance of at most `rows / r` (the numerator of
//! their difference has no higher degree), about `2^-230`; so does one for whom a denominator is zero. A look-up counts
//! `w <= 2^18` times, and there are fewer than `2^32`, so no multiplicity wraps around.
//!
//! **Sums** whose inputs are mostly the same lie side by side in one field element ([`packed`]): an input takes one row for all.
//!
//! **Committed weights** ([`weighted`]) are laid out in the same ways, so that nothing but the column `weight` depends on them.
//!
//! **Projections** ([`projection`], [`convolution`]) check products of matrices in fewer rows than they have terms. Circuits that have some have four
//! more fixed columns, a second challenge `theta`, and a second gate:
//!
//! ```text
//! (c1 - c) (active alpha + table + lookup a + next a1 - jump alpha)
//!     = weight a + product a a1 + lookup - public + step_alpha (alpha - 1) alpha c + step_theta (theta - 1) alpha c
//! times (c3 - c - c1 c2) = 0
//! ```
//!
//! **Functions** of many elements look up their values, or the numbers of their segments, in tables of pairs ([`tables`]). Circuits that do have a fixed
//! column `pair` more, and `theta`: the first factor of the gate has `+ pair theta a1`.
//!
//! | row | columns | what it adds to `c` |
//! | --- | --- | --- |
//! | look-up of a pair | `lookup = 1`, `table`, `pair` | `1 / (alpha + table + a + theta pair a1)` |
//! | entry of a table of pairs | `table = v`, `pair = u`, `weight = -1`, `a1 = 1` by copy | `-m / (alpha + v + theta u)` for `m = a` |
//!
//! As rational functions of `alpha` over the polynomials in `theta`, two denominators have one pole only if both components are equal, and
//! the numerator of the difference of both sides is a polynomial in `alpha` and `theta` of degree below the number of rows: what is not in a
//! table passes with a chance of at most `rows / r`, as before (Schwartz, Zippel).
//!
//! **The permutation** spans both columns and all rows: there is no last row, the running product ends where it began. The last
//! [`TAIL`] rows hold randomness: `active`, which the verifier evaluates from its closed form, is zero there and one elsewhere.
//! Some of the random cells are tied in pairs, which makes the running product random in that range, too.

mod builder;
mod config;
mod convolution;
mod gadgets;
mod halo2;
mod packed;
pub mod projection;
mod segments;
mod shared;
#[cfg(test)]
mod table_tests;
mod tables;
#[cfg(test)]
mod tests;
mod values;
mod weighted;

use std::sync::Arc;

use ff::PrimeField;

pub use builder::PhasedBuilder;
pub use config::{Extras, PhasedConfig, TAIL};
use projection::Found;
use tables::Table;

use super::{
    model::{MIN_K, lay_out},
    shape::{Preprocessed, Shape, Witness, padded},
};
use crate::graph::{IntegerModel, Trace};

/// Widest table: `[0, 2^MAX_TABLE_BITS)`.
const MAX_TABLE_BITS: u32 = 18;

/// The table while rows are counted.
const SOME_TABLE_BITS: u32 = 8;

/// Pairs of cells of `a` in the tail that are tied, as rows from its start.
const TIED: [(usize, usize); 4] = [(0, 4), (1, 5), (2, 6), (3, 7)];

/// What a layout decides by looking at the model, which takes longer than laying it out.
#[derive(Clone, Debug)]
pub struct Decisions {
    table_bits: u32,
    found: Vec<Arc<Found>>,
    tables: Vec<Arc<Table>>,
}

/// The domain that holds so many rows has `2^k`.
fn k_of(rows: usize) -> u32 {
    (rows + TAIL).next_power_of_two().ilog2().max(MIN_K)
}

/// Rows of `a` that are tied in pairs, for the first row of the tail.
fn tied(tail: usize) -> [(usize, usize); TIED.len()] {
    TIED.map(|(left, right)| (tail + left, tail + right))
}

/// An integer model laid out on the columns, with the witness of one run.
#[derive(Clone, Debug)]
pub struct PhasedCircuit<F> {
    pub layout: PhasedBuilder<F>,
    /// The domain has `2^k` rows.
    pub k: u32,
}

impl<F: PrimeField> PhasedCircuit<F> {
    /// Lay out the model with the witness `trace`, in the smallest domain that holds it and with the table that takes the fewest
    /// rows; with tables of functions if the domain is smaller for them. Everything but the cells of `a` is the same for every trace.
    pub fn new(model: &IntegerModel, trace: &Trace) -> Self {
        Self::within(usize::MAX, model, trace)
    }

    /// The same, with no more than `limit` rows kept: a circuit that takes more rows is good for its size only.
    pub(super) fn within(limit: usize, model: &IntegerModel, trace: &Trace) -> Self {
        let count = |known, tables| {
            let builder = PhasedBuilder::new(SOME_TABLE_BITS, 0).knowing(known).with_tables(tables);
            let counted: PhasedBuilder<F> = lay_out(builder, model, trace);
            let rows = |bits: u32| (counted.rows_with(bits), bits);
            let (rows, bits) = (1..=MAX_TABLE_BITS).map(rows).min().unwrap_or((counted.rows(), SOME_TABLE_BITS));
            (k_of(rows), rows, bits, counted)
        };
        let mut best = count(vec![], vec![]);
        let tables = tables::find::<F>(model, best.2);
        if !tables.is_empty() {
            let tabled = count(best.3.found.clone(), tables);
            if tabled.0 < best.0 {
                best = tabled;
            }
        }
        let (k, rows, bits, counted) = best;
        if rows > limit {
            return Self { k, layout: counted };
        }
        let builder = PhasedBuilder::new(bits, limit).knowing(counted.found).with_tables(counted.tables);
        Self::laid_out(builder, model, trace)
    }

    fn laid_out(builder: PhasedBuilder<F>, model: &IntegerModel, trace: &Trace) -> Self {
        let mut layout = lay_out(builder, model, trace);
        layout.finish();
        Self { k: k_of(layout.rows()), layout }
    }

    /// What was decided by looking at the model.
    pub fn decisions(&self) -> Decisions {
        let PhasedBuilder { table_bits, found, tables, .. } = &self.layout;
        Decisions { table_bits: *table_bits, found: found.clone(), tables: tables.clone() }
    }

    /// As [`Self::new`] for a model of which this is known.
    pub fn decided(decisions: &Decisions, model: &IntegerModel, trace: &Trace) -> Self {
        let Decisions { table_bits, found, tables } = decisions.clone();
        let builder = PhasedBuilder::new(table_bits, usize::MAX).knowing(found).with_tables(tables);
        Self::laid_out(builder, model, trace)
    }

    /// What verifiers know of the layout besides its gate.
    pub fn shape(&self) -> Shape<F> {
        PhasedConfig::shape(&self.layout.public_rows, self.layout.extras())
    }

    /// What the prover commits to, but for `c`.
    pub fn witness(&self) -> Witness<F> {
        let n = 1usize << self.k;
        let tail = n - TAIL;
        Witness { advice: padded(&self.layout.a, n), free_rows: (tail..n).collect(), tied_rows: tied(tail).into() }
    }

    /// The fixed columns and the copies.
    pub fn preprocessed(&self) -> Preprocessed<F> {
        let n = 1usize << self.k;
        let PhasedBuilder { copies, pins, .. } = &self.layout;
        // cells of `c` follow those of `a`
        let pins = pins.iter().map(|&(start, end)| (n + start, n + end));
        let copies = copies.iter().copied().chain(pins).chain(tied(n - TAIL)).collect();
        let mut fixed = self.layout.fixed();
        fixed.iter_mut().for_each(|column| column.resize(n, F::ZERO));
        Preprocessed { k: self.k, fixed, copies }
    }

    /// The cells of `c` for the challenges `alpha` and `theta`, from row 0 to the first of the tail; the random ones follow.
    pub fn running_sum(&self, challenges: [F; 2]) -> Vec<F> {
        self.layout.running_sum(&self.layout.a, challenges, (1 << self.k) - TAIL)
    }
}
