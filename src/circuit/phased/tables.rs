//! Piecewise functions by look-ups of pairs: of an element's segment ([`super::segments`]), or of its value ([`super::values`]).
//!
//! A row that is `paired` adds `theta pair a1` to what it looks up, so that entries are pairs `(first, second)`, taken together as
//! `first + theta second`. Tables of pairs stand above the range table, two rows an entry: a multiplicity, and a one below it. What
//! is looked up for a range, and the range table, have the second component zero.
//!
//! **Why entries are not taken for each other.** Tags are different multiples of `2^131`, one for every table and place. As integers
//! below the field's order:
//!
//! | entries | first component, less its tag | second component |
//! | --- | --- | --- |
//! | of segments, a number above a key | `[-2^127, 2^127)` | key or `2 key` |
//! | of segments, a number below a key | key | `[1, 2^127)` |
//! | of values | `[0, 2^20)` | `[1, 2^127)` |
//!
//! Keys lie in `[2^128, 2^129)`, and no two segments of any table have one key.
//!
//! 1. No second component of a table of pairs is zero: what is looked up for a range is in the range table.
//! 2. With a tag and what is known to lie in `[-2^130, 2^130]`, a first component is that of an entry with this tag only, and none of the
//!    range table, all of which is below `2^130`.
//!
//! For an element that looks up a value:
//!
//! 3. Its argument `x` is an integer of its proved range, as what made it says, and so is `x - lo`, of a magnitude below `2^122`. By 2 the
//!    look-up is of an entry of the function's own table, of which one has `x - lo`: the cell below holds what is paired with that.
//!
//! Where `x` is a quotient by `2^s`, `s <= 48`, of an integer `v` of a magnitude below `2^127`, that is not known before: the cell holds `x` less
//! a constant, and the limbs above it say that `v - 2^s x` has `s` bits. What it looks up is an entry of some table or of the range table, so
//! that `x` is an integer of a magnitude below `2^131 (T + 2)` for `T` tags, of which there are at most `2^16`; so is `v - 2^s x` below `2^200`, and
//! in `[0, 2^s)`. There is one such `x`, that of the function's own table.
//!
//! For an element that looks up a segment:
//!
//! 4. The first look-up says that the key's cell is the second component of some entry or zero, an integer in `[0, 2^130)`.
//! 5. So by 2 the second look-up is of the place's own table, and the key's cell is the key of one of its segments; the cell below holds that
//!    segment's number. The same goes for the other look-up below the key.
//! 6. A key is the second component of entries of its own table only, as other numbers, values, and twice a key, lie elsewhere; and so is
//!    twice the key. So the numbers above it are those of its segment, too.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ff::PrimeField;

use super::{
    builder::{Check, ONE_ROW, PhasedBuilder},
    segments::Segments,
    values::Values,
};
use crate::{
    circuit::gadgets::{Expr, Tabled},
    graph::{IntegerModel, Interval},
    ops::{Op, Piecewise},
};

/// Rows of an entry.
const ENTRY_ROWS: usize = 2;

/// Tags are multiples of `2^TAG_BITS`.
const TAG_BITS: u32 = 131;

/// The most tables beside which quotients are looked up with their values.
pub(super) const MAX_TABLES: usize = 1 << 14;

/// Tags of a table.
const PLACES: usize = 4;

/// What elements of a function look up.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Table {
    Segments(Segments),
    Values(Values),
}

impl Table {
    fn function(&self) -> &Piecewise {
        match self {
            Table::Segments(segments) => &segments.function,
            Table::Values(values) => &values.function,
        }
    }

    /// Rows that it takes, whatever looks it up.
    pub fn rows(&self) -> usize {
        ENTRY_ROWS
            * match self {
                Table::Segments(segments) => segments.len(),
                Table::Values(values) => values.len(),
            }
    }

    /// The entries of the table with the number `at`.
    fn entries<F: PrimeField>(&self, at: usize) -> Box<dyn Iterator<Item = [F; 2]> + '_> {
        match self {
            Table::Segments(segments) => Box::new(segments.entries(at)),
            Table::Values(values) => Box::new(values.entries(at)),
        }
    }
}

/// The tag of a place of the table with the number `at`.
pub(super) fn tag<F: PrimeField>(at: usize, place: usize) -> F {
    PhasedBuilder::<F>::power(TAG_BITS) * F::from((PLACES * at + place + 1) as u64)
}

/// What makes all numbers positive that are not below `least`.
pub(super) fn positive(least: i128) -> Option<i128> {
    1i128.checked_sub(least.min(1))
}

/// A function of a model, and the elements that it has, but for those whose result is constant.
pub(super) struct Use<'a> {
    function: &'a Piecewise,
    /// By the first and the last segment that they meet: the hull of their ranges, and how many there are.
    elements: BTreeMap<(usize, usize), (Interval, usize)>,
    /// Bits of the elements that are quotients, and nothing else is made of them.
    quotients: Vec<u32>,
}

impl Use<'_> {
    /// The table of all segments that elements meet which meet several.
    pub fn segments(&self) -> Option<Table> {
        let several = || self.elements.keys().filter(|(first, last)| first < last);
        let (first, last) = (several().map(|of| of.0).min()?, several().map(|of| of.1).max()?);
        Segments::new(self.function, first, last).map(Table::Segments)
    }

    /// The table of the values at all arguments that elements may have.
    pub fn values(&self) -> Option<Table> {
        let hull = self.elements.values().map(|of| of.0).reduce(hull)?;
        Values::new(self.function, hull).map(Table::Values)
    }

    /// Rows that the elements take with a table or without one, the table's among them.
    fn rows<F: PrimeField>(&self, table_bits: u32, table: Option<&Arc<Table>>) -> usize {
        let tables: Vec<Arc<Table>> = table.into_iter().cloned().collect();
        let of_element = |range: Interval| {
            let mut builder = PhasedBuilder::<F>::new(table_bits, 0).with_tables(tables.clone());
            let start = builder.rows();
            let result = self.function.lay_out(&mut builder, &Expr::cell(ONE_ROW), range.lo, range);
            // those of a sum that has the result are its own, too
            builder.rows() - start + builder.rows_of(&result)
        };
        let elements: usize = self.elements.values().map(|&(range, count)| count * of_element(range)).sum();
        // what is looked up beside its value is not looked up in the range table
        let of_quotients = || self.quotients.iter().map(|&bits| Check::limbs(bits, table_bits) as usize).sum();
        let saved: usize = if let Some(Table::Values(_)) = table.map(|table| &**table) { of_quotients() } else { 0 };
        elements + table.map_or(0, |table| table.rows()) - saved.min(elements)
    }
}

fn hull(one: Interval, other: Interval) -> Interval {
    Interval { lo: one.lo.min(other.lo), hi: one.hi.max(other.hi) }
}

/// For each function the table with which it takes the fewest rows beside a range table of `2^table_bits`, if it takes fewer with one.
pub(super) fn find<F: PrimeField>(model: &IntegerModel, table_bits: u32) -> Vec<Arc<Table>> {
    let best = |used: &Use<'_>| {
        let tables = [used.segments(), used.values()].into_iter().flatten().map(|table| Some(Arc::new(table)));
        [None].into_iter().chain(tables).min_by_key(|table| used.rows::<F>(table_bits, table.as_ref()))?
    };
    uses(model).iter().filter_map(best).collect()
}

/// The functions of a model whose results are not all constant.
pub(super) fn uses(model: &IntegerModel) -> Vec<Use<'_>> {
    let mut uses: Vec<Use<'_>> = vec![];
    for (node, rescale) in model.nodes.iter().zip(model.rescales_of_functions()) {
        let Op::Piecewise(function) = &node.op else { continue };
        let at = uses.iter().position(|known| known.function == function).unwrap_or_else(|| {
            uses.push(Use { function, elements: BTreeMap::new(), quotients: vec![] });
            uses.len() - 1
        });
        let ranges = node.inputs.iter().flat_map(|&input| model.ranges(input));
        for (range, _) in ranges.zip(&node.ranges).filter(|(_, result)| result.lo < result.hi) {
            let met = (function.segment(range.lo), function.segment(range.hi));
            let known = uses[at].elements.entry(met).or_insert((range, 0));
            *known = (hull(known.0, range), known.1 + 1);
            if rescale.is_some() && range.lo < range.hi {
                uses[at].quotients.push(u128::BITS - range.hi.abs_diff(range.lo).leading_zeros());
            }
        }
    }
    uses.retain(|known| !known.elements.is_empty());
    uses
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// What a table has of a function at `x`. Who meets one segment only has no use for a table of segments.
    pub(super) fn tabled(
        &mut self,
        function: &Piecewise,
        x: &Expr<F>,
        value: i128,
        range: Interval,
    ) -> Option<Tabled<F>> {
        let (at, table) = self.table_of(function)?;
        match &*table {
            Table::Values(values) => Some(Tabled::Value(self.by_value(at, values, x, value))),
            Table::Segments(segments) => (function.segment(range.lo) < function.segment(range.hi))
                .then(|| Tabled::Numerator(self.by_segment(at, segments, x, value))),
        }
    }

    /// The table of a function, and its number.
    pub(super) fn table_of(&self, function: &Piecewise) -> Option<(usize, Arc<Table>)> {
        let at = self.tables.iter().position(|table| table.function() == function)?;
        Some((at, self.tables[at].clone()))
    }

    /// Append the tables of pairs, with multiplicities that are zero.
    pub(super) fn append_tables(&mut self) {
        for at in 0..self.tables.len() {
            let table = self.tables[at].clone();
            for [first, second] in table.entries(at) {
                let entry = self.fresh_term(F::ZERO, -F::ONE);
                self.set_constant(entry, first);
                self.set_pair(entry, second);
                self.copy(ONE_ROW);
            }
        }
    }

    /// The second component of a pair in a row.
    pub(super) fn second(a: &[F], &(row, coefficient): &(usize, F)) -> F {
        coefficient * a.get(row + 1).copied().unwrap_or(F::ZERO)
    }

    /// Set all multiplicities: how often each entry of a table is looked up. What is in no table is not counted.
    pub(super) fn count(&self, a: &mut [F]) {
        let Some(start) = self.table_start else { return };
        let mut counts = vec![0u64; 1 << self.table_bits];
        let mut count = |entry: F, times: u64| {
            if let Some(count) = small(entry).and_then(|entry| counts.get_mut(entry)) {
                *count += times;
            }
        };
        let mut pairs: HashMap<[[u8; 32]; 2], u64> = HashMap::new();
        let mut paired = self.pairs.iter().peekable();
        for row in 0..start {
            let second = paired.next_if(|pair| pair.0 == row).map_or(F::ZERO, |pair| Self::second(a, pair));
            match self.looked_up(a, row) {
                Some((first, times)) if second == F::ZERO => count(first, times),
                Some((first, times)) => *pairs.entry([first, second].map(bytes)).or_default() += times,
                None => {}
            }
        }
        let entries = self.pairs.iter().filter(|pair| self.lookup[pair.0] == 0);
        for pair in entries {
            let entry = [self.table[pair.0], Self::second(a, pair)].map(bytes);
            a[pair.0] = F::from(pairs.get(&entry).copied().unwrap_or(0));
        }
        a[start..].iter_mut().zip(counts).for_each(|(cell, count)| *cell = F::from(count));
    }
}

/// The bytes of a field element, of which there are 32 at most.
pub(super) fn bytes<F: PrimeField>(value: F) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(value.to_repr().as_ref()).for_each(|(byte, of)| *byte = *of);
    bytes
}

/// The integer that a field element stands for, if it has 64 bits at most.
fn small<F: PrimeField>(value: F) -> Option<usize> {
    let bytes = value.to_repr();
    let (low, high) = bytes.as_ref().split_at(8);
    let low = u64::from_le_bytes(low.try_into().ok()?);
    high.iter().all(|&byte| byte == 0).then_some(low as usize)
}
