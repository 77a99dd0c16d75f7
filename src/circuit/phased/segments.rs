//! Tables of segments: an element takes the same rows whatever the number of segments.
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
//! [`super::tables`] argues why there is no other choice.

use ff::PrimeField;

use super::{
    builder::{Check, PhasedBuilder},
    gadgets::Source,
    tables::{positive, tag},
};
use crate::{
    circuit::gadgets::{Expr, field},
    ops::Piecewise,
};

/// Keys begin at `2^KEY_BITS`, each table's at another multiple of `2^SPAN_BITS` from there.
const KEY_BITS: u32 = 128;

/// Keys of one table differ by less than `2^SPAN_BITS`.
const SPAN_BITS: u32 = 64;

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
pub(super) struct Segments {
    pub function: Piecewise,
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

impl Segments {
    /// The table of segments `first..=last`; `None` if its numbers are too large.
    pub fn new(function: &Piecewise, first: usize, last: usize) -> Option<Self> {
        let segments = function.segments.get(first..=last)?;
        let uses = |degree: usize| segments.iter().any(|segment| segment.coefficients[degree] != 0);
        let degree = if uses(2) { 2 } else { usize::from(uses(1)) };
        let ends = || segments.iter().enumerate().map(|(i, segment)| (segment.start, function.last(first + i)));
        let products: Vec<i128> = ends().map(|(start, end)| start.checked_mul(end)).collect::<Option<_>>()?;
        let product_shift = positive(products.iter().copied().min()?)?;
        let sign = if degree == 2 { -1 } else { 1 };
        let leading: Vec<i128> = segments.iter().map(|segment| sign * segment.coefficients[degree]).collect();
        let leading_shift = positive(leading.iter().copied().min()?)?;
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

    pub fn len(&self) -> usize {
        self.rows.len() * self.places().len()
    }

    fn places(&self) -> &'static [Place] {
        match self.degree {
            0 => &[Place::First, Place::Product],
            1 => &[Place::First, Place::Product, Place::Leading],
            _ => &[Place::First, Place::Product, Place::Constant, Place::Leading],
        }
    }

    fn key<F: PrimeField>(&self, at: usize, row: &Row) -> F {
        let (key, span) = (PhasedBuilder::<F>::power(KEY_BITS), PhasedBuilder::<F>::power(SPAN_BITS));
        key + span * F::from(at as u64) + F::from(row.key)
    }

    /// The entry of a segment in the table with number `at`.
    fn entry<F: PrimeField>(&self, at: usize, row: &Row, place: Place) -> [F; 2] {
        let (key, tag) = (self.key::<F>(at, row), tag::<F>(at, place as usize));
        let above = |number: i128| [field::<F>(number) + tag, key * scale::<F>(place)];
        let below = |number: i128| [key + tag, field(number)];
        match place {
            Place::First if self.degree == 2 => above(row.linear),
            Place::First | Place::Constant => above(row.constant),
            Place::Product => below(row.product),
            Place::Leading => below(row.leading),
        }
    }

    /// The entries, segment by segment.
    pub fn entries<F: PrimeField>(&self, at: usize) -> impl Iterator<Item = [F; 2]> {
        let of = move |row| self.places().iter().map(move |&place| self.entry(at, row, place));
        self.rows.iter().flat_map(of)
    }
}

/// How many times the key is the second component beside a number above it.
fn scale<F: PrimeField>(place: Place) -> F {
    F::from(if place == Place::Constant { 2 } else { 1 })
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// A row that looks up its cell and the next one as a pair.
    fn look_up_place(&mut self, row: usize, table: usize, place: Place) {
        self.look_up_pair(row, tag(table, place as usize), scale(place));
    }

    /// The numerator of a function at `x`, by the table of its segments, which has the number `at`.
    pub(super) fn by_segment(&mut self, at: usize, table: &Segments, x: &Expr<F>, value: i128) -> Expr<F> {
        // no value is in another segment; if one were, nothing would satisfy these rows
        let segment = table.function.segment(value).clamp(table.first, table.first + table.rows.len() - 1);
        let row = &table.rows[segment - table.first];
        let x_value: F = field(value);
        let x = self.in_cell(x, x_value);
        let product = (value - table.function.segments[segment].start) * (table.function.last(segment) - value);
        let key_value: F = table.key(at, row);

        let first = self.fresh(field(if table.degree == 2 { row.linear } else { row.constant }));
        self.look_up_place(first, at, Place::First);
        let key = self.fresh(key_value);
        self.look_up_place(key, at, Place::Product);
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
            self.look_up_place(constant, at, Place::Constant);
            constant
        } else {
            first
        };
        let again = self.copy(key);
        self.look_up_place(again, at, Place::Leading);
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
}
