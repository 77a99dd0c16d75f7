//! Tables of values: an element takes two rows, whatever the function.
//!
//! Every integer `x` of the hull `[lo, hi]` of the elements' ranges has an entry `(x - lo + tag, y + shift)`, where the shift makes all
//! `y` positive. With `x` a cell and a constant:
//!
//! | `a` | as |
//! | --- | --- |
//! | the cell | look-up `(a + constant - lo + tag, a1)` |
//! | `y + shift` | what nothing but the pair says |
//!
//! If `x` is a quotient that nothing else reads, the limb that would be looked up for its range is that cell, below the limbs of the remainder.
//!
//! [`super::tables`] argues why it says all.

use ff::PrimeField;

use super::{
    builder::PhasedBuilder,
    tables::{positive, tag},
};
use crate::{
    circuit::gadgets::{Expr, field},
    graph::Interval,
    ops::Piecewise,
};

/// Bits that a rescale drops, at most, whose quotients are looked up with their values.
pub(super) const MAX_SHIFT: u32 = 48;

/// The most entries of a table have so many bits.
const MAX_ENTRY_BITS: u32 = 20;

/// A function's values at all arguments of an interval.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub function: Piecewise,
    hull: Interval,
    /// Added to the values.
    shift: i128,
}

impl Values {
    /// `None` if there are too many values, or none for some argument.
    pub fn new(function: &Piecewise, hull: Interval) -> Option<Self> {
        if hull.hi.abs_diff(hull.lo) >= 1 << MAX_ENTRY_BITS {
            return None;
        }
        let least = function.bounds(&[&[hull]]).ok()?.first()?.lo;
        Some(Self { function: function.clone(), hull, shift: positive(least)? })
    }

    pub fn len(&self) -> usize {
        self.hull.hi.abs_diff(self.hull.lo) as usize + 1
    }

    fn second<F: PrimeField>(&self, x: i128) -> F {
        field(self.function.apply(x) + self.shift)
    }

    /// The entries of the table with the number `at`.
    pub fn entries<F: PrimeField>(&self, at: usize) -> impl Iterator<Item = [F; 2]> {
        let tag: F = tag(at, 0);
        (self.hull.lo..=self.hull.hi).map(move |x| [tag + field::<F>(x - self.hull.lo), self.second(x)])
    }
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// A function at `x`, by the table of its values, which has the number `at`.
    pub(super) fn by_value(&mut self, at: usize, values: &Values, x: &Expr<F>, value: i128) -> Expr<F> {
        let variable = Expr { terms: x.terms.clone(), constant: F::ZERO };
        let cell = self.in_cell(&variable, field::<F>(value) - x.constant);
        let row = self.copy(cell);
        self.value_beside(at, values, row, x.constant, value)
    }

    /// The function at `value`, which is the cell in the last row and a constant.
    pub(super) fn value_beside(&mut self, at: usize, values: &Values, row: usize, constant: F, value: i128) -> Expr<F> {
        self.look_up_pair(row, constant + tag::<F>(at, 0) - field::<F>(values.hull.lo), F::ONE);
        let result = self.fresh(values.second(value));
        Expr::cell(result).offset(-field::<F>(values.shift))
    }
}
