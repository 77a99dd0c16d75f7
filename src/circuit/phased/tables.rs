//! Piecewise functions by look-ups of pairs: an element takes the same rows whatever the number of segments.
//!
//! A row that is `paired` adds `theta pair a1` to what it looks up, so that entries are pairs `(first, second)`, taken together as
//! `first + theta second`. Tables of pairs stand above the range table, two rows an entry: a multiplicity, and a one below it. What
//! is looked up for a range, and the range table, have the second component zero.
//!
//! Say `e = start + end` and `m = start end` of a segment. Then `p = (x - start)(end - x) = e x - x^2 - m`, and `x` lies in the segment
//! exactly if the integer `p` is not negative; and the function's numerator is an affine combination of `x` and `p`:
//!
//! ```text
//! c0 + c1 (x - start) + c2 (x - start)^2 = C0 + C1 x - c2 p,   C1 = c1 + c2 (end - start),   C0 = c0 - start C1
//! ```
//!
//! A segment is chosen by its *key*, `e` and a constant of the table. Its other numbers are paired with it, those that stand above
//! the key's cell as `(number + tag, scale key)`, those below it as `(key + tag, number + shift)`. Of a function of degree two:
//!
//! | `a` | as |
//! | --- | --- |
//! | `C1` | look-up `(a + tag, a1)` |
//! | key | look-up `(a + tag, a1)` |
//! | `m + shift`, key, `x`, `x`, `P` | a run: `P = p - shift`, whose limbs follow |
//! | `C0` | look-up `(a + tag, 2 a1)` |
//! | key | look-up `(a + tag, a1)` |
//! | `shift - c2`, `P`, `C1`, `x`, `C0`, numerator | a run |
//!
//! Without `c2`, `C0` is in the place of `C1` and `c1` in that of `c2`; without `c1` the numerator is `C0`.
//!
//! **Why there is no other choice.** As integers below the field's order, numbers above a key lie in `[-2^127, 2^127)`, those below
//! one in `[1, 2^127)`, keys in `[2^128, 2^129)`, and tags are different multiples of `2^131`, one for every table and place. No two
//! segments of any table have one key.
//!
//! 1. No second component of a table of pairs is zero: what is looked up for a range is in the range table.
//! 2. The first look-up says that the key's cell is the second component of some entry, an integer in `[0, 2^130)`.
//! 3. So with its tag the second look-up's first component is a first component of the place's own table only, and the key's cell is the
//!    key of one of its segments; the cell below holds that segment's number. The same goes for the other look-up below the key.
//! 4. A key is the second component of entries of its own table only, as other numbers, and twice a key, lie elsewhere; and so is twice
//!    the key. So the numbers above it are those of its segment, too.

use std::collections::HashMap;
use std::sync::Arc;

use ff::PrimeField;

use super::{
    builder::{Check, ONE_ROW, PhasedBuilder},
    gadgets::Source,
};
use crate::{
    circuit::gadgets::{Expr, field},
    graph::IntegerModel,
    ops::{Op, Piecewise},
};

/// Rows that a segment takes in an element without a table, or some more.
const ONE_HOT_ROWS: usize = 6;

/// Rows of an entry.
const ENTRY_ROWS: usize = 2;

/// Keys begin at `2^KEY_BITS`, each table's at another multiple of `2^SPAN_BITS` from there.
const KEY_BITS: u32 = 128;

/// Keys of one table differ by less than `2^SPAN_BITS`.
const SPAN_BITS: u32 = 64;

/// Tags are multiples of `2^TAG_BITS`.
const TAG_BITS: u32 = 131;

/// The most bits of `p`.
const MAX_PRODUCT_BITS: u32 = 120;

/// What is paired with a key, by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Above the key in the first group: `C1`, or `C0` if it is alone.
    First,
    /// `m`.
    Product,
    /// `C0`, beside a `C1`.
    Constant,
    /// The coefficient of highest degree.
    Leading,
}

/// What a segment adds up to.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// `start + end`, less that of the table's first segment.
    key: u64,
    /// Shifted, so that it is positive.
    product: i128,
    /// `C0`, and what else there is.
    constant: i128,
    /// `C1` of a function of degree two.
    linear: i128,
    /// The coefficient of highest degree, shifted so that it is positive.
    leading: i128,
}

/// The segments of a function that a model uses, as pairs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    function: Piecewise,
    /// The first segment.
    first: usize,
    rows: Vec<Row>,
    degree: usize,
    /// `start + end` of the first segment.
    origin: i128,
    /// Added to `m` and to the leading coefficient.
    product_shift: i128,
    leading_shift: i128,
    /// Bits of `p`.
    bits: u32,
}

/// What makes the least of the values one.
fn shift(values: impl Iterator<Item = i128>) -> Option<i128> {
    1i128.checked_sub(values.min()?.min(1))
}

impl Table {
    /// The table of segments `first..=last`; `None` if its numbers are too large.
    fn new(function: &Piecewise, first: usize, last: usize) -> Option<Self> {
        let segments = function.segments.get(first..=last)?;
        let uses = |degree: usize| segments.iter().any(|segment| segment.coefficients[degree] != 0);
        let degree = if uses(2) { 2 } else { usize::from(uses(1)) };
        let ends = || segments.iter().enumerate().map(|(i, segment)| (segment.start, function.last(first + i)));
        let products: Vec<i128> = ends().map(|(start, end)| start.checked_mul(end)).collect::<Option<_>>()?;
        let product_shift = shift(products.iter().copied())?;
        let sign = if degree == 2 { -1 } else { 1 };
        let leading: Vec<i128> = segments.iter().map(|segment| sign * segment.coefficients[degree]).collect();
        let leading_shift = shift(leading.iter().copied())?;
        let origin = segments.first()?.start.checked_add(function.last(first))?;
        let mut bits = 1;
        let mut rows = Vec::with_capacity(segments.len());
        for (i, (start, end)) in ends().enumerate() {
            let [c0, c1, c2] = segments[i].coefficients;
            let width = end.checked_sub(start)?;
            bits = bits.max(u128::BITS - (width.checked_mul(width)? / 4).unsigned_abs().leading_zeros());
            let linear = c1.checked_add(c2.checked_mul(width)?)?;
            // P is less than p by the product's shift
            let constant = c0.checked_sub(start.checked_mul(linear)?)?.checked_sub(c2.checked_mul(product_shift)?)?;
            rows.push(Row {
                key: u64::try_from(start.checked_add(end)?.checked_sub(origin)?).ok()?,
                product: products[i].checked_add(product_shift)?,
                constant,
                linear,
                leading: leading[i].checked_add(leading_shift)?,
            });
        }
        (bits <= MAX_PRODUCT_BITS).then(|| Self {
            function: function.clone(),
            first,
            rows,
            degree,
            origin,
            product_shift,
            leading_shift,
            bits,
        })
    }

    /// Rows that it takes, whatever looks it up.
    pub fn rows(&self) -> usize {
        ENTRY_ROWS * self.rows.len() * self.places().len()
    }

    fn places(&self) -> &'static [Place] {
        match self.degree {
            0 => &[Place::First, Place::Product],
            1 => &[Place::First, Place::Product, Place::Leading],
            _ => &[Place::First, Place::Product, Place::Constant, Place::Leading],
        }
    }
}

/// Functions that are worth a table: those whose elements meet so many segments together that the table takes fewer rows.
pub(super) fn find(model: &IntegerModel) -> Vec<Arc<Table>> {
    let worth = |(table, met): (Table, usize)| (ONE_HOT_ROWS * met > table.rows()).then(|| Arc::new(table));
    candidates(model).into_iter().filter_map(worth).collect()
}

/// The tables that there could be, each with the number of segments that elements meet.
pub(super) fn candidates(model: &IntegerModel) -> Vec<(Table, usize)> {
    struct Use<'a> {
        function: &'a Piecewise,
        first: usize,
        last: usize,
        met: usize,
    }
    let mut uses: Vec<Use<'_>> = vec![];
    for node in &model.nodes {
        let Op::Piecewise(function) = &node.op else { continue };
        let at = uses.iter().position(|known| known.function == function).unwrap_or_else(|| {
            uses.push(Use { function, first: usize::MAX, last: 0, met: 0 });
            uses.len() - 1
        });
        let known = &mut uses[at];
        for range in node.inputs.iter().flat_map(|&input| model.ranges(input)) {
            let (first, last) = (function.segment(range.lo), function.segment(range.hi));
            if first < last {
                (known.first, known.last) = (known.first.min(first), known.last.max(last));
                known.met += last - first + 1;
            }
        }
    }
    let table = |known: &Use<'_>| Some((Table::new(known.function, known.first, known.last)?, known.met));
    uses.iter().filter(|known| known.met > 0).filter_map(table).collect()
}

impl<F: PrimeField> PhasedBuilder<F> {
    fn tag(&self, table: usize, place: Place) -> F {
        Self::power(TAG_BITS) * F::from((4 * table + place as usize + 1) as u64)
    }

    fn key(&self, table: usize, row: &Row) -> F {
        Self::power(KEY_BITS) + Self::power(SPAN_BITS) * F::from(table as u64) + F::from(row.key)
    }

    /// How many times the key is the second component beside a number above it.
    fn scale(place: Place) -> F {
        F::from(if place == Place::Constant { 2 } else { 1 })
    }

    /// The entry of a segment.
    fn entry(&self, table: usize, row: &Row, place: Place) -> [F; 2] {
        let (key, tag) = (self.key(table, row), self.tag(table, place));
        let above = |number: i128| [field::<F>(number) + tag, key * Self::scale(place)];
        let below = |number: i128| [key + tag, field(number)];
        match place {
            Place::First if self.tables[table].degree == 2 => above(row.linear),
            Place::First | Place::Constant => above(row.constant),
            Place::Product => below(row.product),
            Place::Leading => below(row.leading),
        }
    }

    /// A row that looks up its cell and the next one as a pair.
    fn look_up_pair(&mut self, row: usize, table: usize, place: Place) {
        self.look_up(row, 1, F::ZERO);
        self.set_constant(row, self.tag(table, place));
        self.set_pair(row, Self::scale(place));
    }

    /// The numerator of a function of which there is a table, at `x`.
    pub(super) fn tabled(&mut self, at: usize, x: &Expr<F>, value: i128) -> Expr<F> {
        let table = self.tables[at].clone();
        // no value is in another segment; if one were, nothing would satisfy these rows
        let segment = table.function.segment(value).clamp(table.first, table.first + table.rows.len() - 1);
        let row = &table.rows[segment - table.first];
        let x_value: F = field(value);
        let x = self.in_cell(x, x_value);
        let product = (value - table.function.segments[segment].start) * (table.function.last(segment) - value);
        let key_value = self.key(at, row);

        let first = self.fresh(field(if table.degree == 2 { row.linear } else { row.constant }));
        self.look_up_pair(first, at, Place::First);
        let key = self.fresh(key_value);
        self.look_up_pair(key, at, Place::Product);
        // e x - x^2 - m - shift - P = 0, where the key is e and a constant
        let start = self.fresh_term(field(row.product), -F::ONE);
        self.factors(key, x, F::ONE);
        let squared = self.rows() - 1;
        self.multiply(squared, -F::ONE);
        self.set_weight(squared, field::<F>(table.origin) + F::from(row.key) - key_value);
        self.copy(x);
        let rest = self.fresh_term(field(product - table.product_shift), -F::ONE);
        self.pin(start);
        self.note(Check::AtMost(table.bits));
        let source = Source { cell: Some(rest), added: field(table.product_shift) };
        self.at_most(source, product.unsigned_abs(), table.bits);

        if table.degree == 0 {
            return Expr::cell(first);
        }
        let constant = if table.degree == 2 {
            let constant = self.fresh(field(row.constant));
            self.look_up_pair(constant, at, Place::Constant);
            constant
        } else {
            first
        };
        let again = self.copy(key);
        self.look_up_pair(again, at, Place::Leading);
        let start = self.fresh(field(row.leading));
        self.multiply(start, F::ONE);
        let (factor, factor_value) = if table.degree == 2 { (rest, product - table.product_shift) } else { (x, value) };
        self.term(factor, -field::<F>(table.leading_shift));
        if table.degree == 2 {
            self.factors(first, x, F::ONE);
        }
        self.term(constant, F::ONE);
        let leading = field::<F>(row.leading) - field::<F>(table.leading_shift);
        let linear = if table.degree == 2 { field::<F>(row.linear) * x_value } else { F::ZERO };
        let numerator = leading * field::<F>(factor_value) + linear + field::<F>(row.constant);
        let numerator = self.fresh_term(numerator, -F::ONE);
        self.pin(start);
        Expr::cell(numerator)
    }

    /// The table of a function, if there is one.
    pub(super) fn table_of(&self, function: &Piecewise) -> Option<usize> {
        self.tables.iter().position(|table| table.function == *function)
    }

    /// Append the tables of pairs, with multiplicities that are zero.
    pub(super) fn append_tables(&mut self) {
        for at in 0..self.tables.len() {
            let table = self.tables[at].clone();
            for row in &table.rows {
                for &place in table.places() {
                    let [first, second] = self.entry(at, row, place);
                    let entry = self.fresh_term(F::ZERO, -F::ONE);
                    self.set_constant(entry, first);
                    self.set_pair(entry, second);
                    self.copy(ONE_ROW);
                }
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
        let mut pairs: HashMap<[Vec<u8>; 2], u64> = HashMap::new();
        let bytes = |value: F| value.to_repr().as_ref().to_vec();
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

/// The integer that a field element stands for, if it has 64 bits at most.
fn small<F: PrimeField>(value: F) -> Option<usize> {
    let bytes = value.to_repr();
    let (low, high) = bytes.as_ref().split_at(8);
    let low = u64::from_le_bytes(low.try_into().ok()?);
    high.iter().all(|&byte| byte == 0).then_some(low as usize)
}
