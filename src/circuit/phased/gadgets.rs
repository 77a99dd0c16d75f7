//! The gadgets of the `phased` layout.

use ff::PrimeField;

use super::{
    builder::{Check, ONE_ROW, PhasedBuilder},
    shared::Shared,
};
use crate::{
    circuit::gadgets::{Expr, Gadgets, OneHot, Valued, field, sum},
    graph::Affine,
    ops::Product,
};

/// Where a value that is checked is: in a cell, or in a new one, less a constant.
#[derive(Clone, Copy)]
struct Source<F> {
    cell: Option<usize>,
    added: F,
}

/// The integer that a field element stands for, if it is below `2^127` in magnitude.
fn integer<F: PrimeField>(value: F) -> Option<i128> {
    let magnitude = |value: F| {
        let bytes = value.to_repr();
        let (low, high) = bytes.as_ref().split_at(16);
        let low = i128::from_le_bytes(low.try_into().ok()?);
        (high.iter().all(|&byte| byte == 0) && low >= 0).then_some(low)
    };
    magnitude(value).or_else(|| magnitude(-value).map(|value| -value))
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// `2^bits`.
    fn power(bits: u32) -> F {
        F::from(2).pow([u64::from(bits)])
    }

    /// Look up the limbs of `value`, lowest first: the row after a limb's holds the value without it and those before. The first
    /// row is a copy of `source`, whose cell holds the value less `added`. Returns that row; there are as many as limbs.
    fn limbs(&mut self, source: Source<F>, value: u128, limbs: u32) -> usize {
        let first = match source.cell {
            Some(row) => self.copy(row),
            None => self.fresh(F::from_u128(value) - source.added),
        };
        for i in 1..limbs {
            let rest = value.checked_shr(i * self.table_bits).unwrap_or(0);
            let row = self.fresh(F::from_u128(rest));
            self.look_up(row - 1, -Self::power(self.table_bits));
        }
        let last = self.rows() - 1;
        self.look_up(last, F::ZERO);
        self.set_constant(first, source.added);
        first
    }

    /// Make the cell of a limb that is not the first hold so much less: what is looked up there and above has it added.
    fn lower(&mut self, row: usize, added: F) {
        if let Some(cell) = self.a.get_mut(row) {
            *cell -= added;
            self.table[row] += added;
            self.table[row - 1] -= Self::power(self.table_bits) * added;
        }
    }

    /// A value in `[0, 2^b)`, `bits <= b < bits + table_bits`.
    fn at_most(&mut self, source: Source<F>, value: u128, bits: u32) -> usize {
        self.limbs(source, value, Check::limbs(bits, self.table_bits))
    }

    /// A value in `[0, 2^bits)`: the highest limb is looked up shifted to the top of the table as well. `bits > 0`.
    fn exactly(&mut self, source: Source<F>, value: u128, bits: u32) -> usize {
        let (limbs, spare) = (Check::limbs(bits, self.table_bits), self.table_bits - 1 - (bits - 1) % self.table_bits);
        if spare == 0 {
            return self.limbs(source, value, limbs);
        }
        let scale = Self::power(spare);
        if limbs == 1 {
            let one = self.term(ONE_ROW, F::ONE);
            self.set_next(one, scale);
            self.set_constant(one, scale * source.added);
            return self.limbs(source, value, 1);
        }
        let first = self.limbs(source, value, limbs);
        let top = self.rows() - 1;
        let one = self.term(ONE_ROW, F::ONE);
        self.set_next(one, scale);
        self.copy(top);
        first
    }

    /// A pair of rows whose cells are multiplied: copies of these.
    fn factors(&mut self, x: usize, y: usize) {
        let row = self.copy(x);
        self.multiply(row);
        self.copy(y);
    }

    /// The cell of an expression with the given value.
    pub(super) fn in_cell(&mut self, expr: &Expr<F>, value: F) -> usize {
        match expr.terms.as_slice() {
            [(row, factor)] if *factor == F::ONE && expr.constant == F::ZERO => *row,
            _ => self.cell_of(expr, value),
        }
    }
}

impl<F: PrimeField> Gadgets<F> for PhasedBuilder<F> {
    fn check_zero(&mut self, expr: &Expr<F>) {
        let start = self.rows();
        self.terms(expr, F::ONE);
        self.pin(start);
    }

    fn materialise(&mut self, expr: &Expr<F>) -> Expr<F> {
        let value = self.value(expr);
        Expr::cell(self.cell_of(expr, value))
    }

    fn free(&mut self, value: F) -> Expr<F> {
        Expr::cell(self.fresh(value))
    }

    /// A value of bits, or one that is at least zero and at most `max`.
    fn range(&mut self, value: u128, max: u128) -> Expr<F> {
        if max == 0 {
            return Expr::constant(F::ZERO);
        }
        let bits = u128::BITS - max.leading_zeros();
        if (max + 1).is_power_of_two() {
            self.note(Check::Exactly(bits));
            return Expr::cell(self.exactly(Source { cell: None, added: F::ZERO }, value, bits));
        }
        (0..2).for_each(|_| self.note(Check::AtMost(bits)));
        let cell = self.at_most(Source { cell: None, added: F::ZERO }, value, bits);
        let rest = self.cell_of(&Expr::cell(cell).scaled(-F::ONE), -F::from_u128(value));
        self.at_most(Source { cell: Some(rest), added: F::from_u128(max) }, max.saturating_sub(value), bits);
        Expr::cell(cell)
    }

    fn check_bits(&mut self, expr: &Expr<F>, value: u128, bits: u32) {
        self.note(Check::AtMost(bits));
        let variable = Expr { terms: expr.terms.clone(), constant: F::ZERO };
        let cell = self.in_cell(&variable, F::from_u128(value) - expr.constant);
        self.at_most(Source { cell: Some(cell), added: expr.constant }, value, bits);
    }

    /// `expr = 2^shift quotient + remainder`. If the shift is a number of whole limbs, the quotient is what remains of the
    /// expression without them; else both have cells of their own and checks. The constant of the expression is added to what is
    /// looked up.
    fn shifted(&mut self, expr: &Expr<F>, value: u128, bits: u32, shift: u32) -> Expr<F> {
        self.note(Check::Shifted(shift, bits));
        let variable = Expr { terms: expr.terms.clone(), constant: F::ZERO };
        let (quotient, remainder) = (value >> shift, value & ((1 << shift) - 1));
        let constant = integer(expr.constant);
        let [of_quotient, of_remainder] =
            constant.map_or([F::ZERO; 2], |c| [field(c.div_euclid(1 << shift)), field(c.rem_euclid(1 << shift))]);
        if shift.is_multiple_of(self.table_bits) {
            let whole = self.cell_of(&variable, F::from_u128(value) - expr.constant);
            let skipped = shift / self.table_bits;
            let source = Source { cell: Some(whole), added: expr.constant };
            let first = self.limbs(source, value, Check::limbs(bits, self.table_bits).max(skipped + 1));
            let cell = first + skipped as usize;
            self.lower(cell, of_quotient);
            return Expr::cell(cell).offset(of_quotient);
        }
        let start = self.rows();
        self.terms(if constant.is_some() { &variable } else { expr }, F::ONE);
        let quotient_cell = self.fresh_term(F::from_u128(quotient) - of_quotient, -Self::power(shift));
        let remainder_cell = self.fresh_term(F::from_u128(remainder) - of_remainder, -F::ONE);
        self.pin(start);
        self.exactly(Source { cell: Some(remainder_cell), added: of_remainder }, remainder, shift);
        self.at_most(Source { cell: Some(quotient_cell), added: of_quotient }, quotient, bits - shift);
        Expr::cell(quotient_cell).offset(of_quotient)
    }

    /// `expr = p - n` with `p n = 0` and `p + n` in range: one of the two is zero, the other is not negative.
    fn rectified(&mut self, expr: &Expr<F>, value: i128, bits: u32) -> Expr<F> {
        self.note(Check::Rectified(bits));
        let (positive, negative) = (value.max(0).unsigned_abs(), value.min(0).unsigned_abs());
        let limbs = Check::limbs(bits, self.table_bits);
        // the rows n, p, n: the first two are looked up as their sum, if that is one limb, the last two are multiplied
        let above = (limbs == 1).then(|| self.fresh(F::from_u128(negative)));
        let product = self.fresh(F::from_u128(positive));
        self.multiply(product);
        self.pin_rows(product, product + 1);
        let rest = self.fresh_term(F::from_u128(negative), F::ONE);
        self.term(product, -F::ONE);
        self.terms(expr, F::ONE);
        self.pin(rest);
        match above {
            Some(above) => {
                self.tie(rest, above);
                self.look_up(above, F::ONE);
            }
            None => {
                let magnitude = self.limbs(Source { cell: None, added: F::ZERO }, positive + negative, limbs);
                let start = self.term(magnitude, -F::ONE);
                self.term(product, F::ONE);
                self.term(rest, F::ONE);
                self.pin(start);
            }
        }
        Expr::cell(product)
    }

    fn square(&mut self, expr: &Expr<F>, value: F) -> Expr<F> {
        self.product((expr, value), (expr, value))
    }

    fn product(&mut self, x: Valued<'_, F>, y: Valued<'_, F>) -> Expr<F> {
        if x.0.terms.is_empty() {
            return y.0.scaled(x.0.constant);
        }
        if y.0.terms.is_empty() {
            return x.0.scaled(y.0.constant);
        }
        let (left, right) = (self.in_cell(x.0, x.1), self.in_cell(y.0, y.1));
        let start = self.rows();
        self.factors(left, right);
        let product = self.fresh_term(x.1 * y.1, -F::ONE);
        self.pin(start);
        Expr::cell(product)
    }

    /// Those with shared matrices by their projections, if that saves rows.
    fn linear(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>]) -> Vec<Expr<F>> {
        let shared = self.shared_in(map);
        let projected = self.project_shared(&shared, map, inputs);
        let inputs: Vec<&Expr<F>> = inputs.iter().map(|input| input.0).collect();
        projected.into_iter().enumerate().map(|(j, cell)| cell.unwrap_or_else(|| sum(map, &inputs, j))).collect()
    }

    /// By projections, if that saves rows; else two rows a term, one a sum. What is constant is a factor of a term.
    fn products(&mut self, product: &Product, factors: &[Valued<'_, F>]) -> Vec<Expr<F>> {
        let Product { rows, inner, columns, .. } = *product;
        if Shared::rows(rows, inner, columns) < rows * columns * (2 * inner + 1) {
            return self.projected_products(product, factors);
        }
        // a cell for each factor that is used; constants have none
        let cells: Vec<Option<usize>> =
            factors.iter().map(|&(x, value)| (!x.terms.is_empty()).then(|| self.in_cell(x, value))).collect();
        let mut outputs = Vec::with_capacity(product.output_len());
        for j in 0..product.output_len() {
            let mut linear = Expr::constant(F::ZERO);
            let start = self.rows();
            let mut sum = F::ZERO;
            for (a, b) in product.terms(j) {
                match (cells[a], cells[b]) {
                    (Some(x), Some(y)) => {
                        self.factors(x, y);
                        sum += factors[a].1 * factors[b].1;
                    }
                    (Some(x), None) => linear.add_scaled(&Expr::cell(x), factors[b].0.constant),
                    (None, Some(y)) => linear.add_scaled(&Expr::cell(y), factors[a].0.constant),
                    (None, None) => linear.constant += factors[a].0.constant * factors[b].0.constant,
                }
            }
            if self.rows() > start {
                let cell = self.fresh_term(sum, -F::ONE);
                self.pin(start);
                linear.add_scaled(&Expr::cell(cell), F::ONE);
            }
            outputs.push(linear);
        }
        outputs
    }

    /// Every boolean is its own square, and they add up to one.
    fn one_hot(&mut self, len: usize, hot: usize) -> OneHot<F> {
        let boolean = |place: usize| {
            let value = F::from(u64::from(place == hot));
            let row = self.fresh_term(value, -F::ONE);
            self.multiply(row);
            self.pin_rows(row, row + 1);
            self.copy(row);
            Expr::cell(row)
        };
        let one_hot = OneHot { booleans: (0..len).map(boolean).collect() };
        self.check_zero(&one_hot.select(|_| F::ONE).offset(-F::ONE));
        one_hot
    }

    fn bind_public(&mut self, expr: &Expr<F>) {
        self.public_values.push(self.value(expr));
        let start = self.rows();
        self.terms(expr, F::ONE);
        if self.rows() == start {
            // an output that is the constant zero still needs a row of its own
            self.term(ONE_ROW, F::ZERO);
        }
        self.public_rows.push(self.rows() - 1);
        self.pin(start);
    }
}
