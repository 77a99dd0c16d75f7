//! The gadgets of the `phased` layout.

use ff::PrimeField;

use super::{
    builder::{Check, ONE_ROW, PhasedBuilder},
    packed,
    projection::Found,
    shared::Shared,
    tables::{MAX_TABLES, Table, bytes},
    values::MAX_SHIFT,
};
use crate::{
    circuit::gadgets::{Expr, Gadgets, OneHot, Tabled, Valued, field, sum, unsigned},
    graph::{Affine, Interval},
    ops::{Piecewise, Product},
};

/// The most terms of a sum whose cell is taken again where the same sum is asked for.
const KNOWN_TERMS: usize = 4;

/// Where a value that is checked is: in a cell, or in a new one, less a constant.
#[derive(Clone, Copy)]
pub(super) struct Source<F> {
    pub cell: Option<usize>,
    pub added: F,
}

/// The integer that a field element stands for, if it is below `2^127` in magnitude.
pub(super) fn integer<F: PrimeField>(value: F) -> Option<i128> {
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
    pub(super) fn power(bits: u32) -> F {
        F::from(2).pow([u64::from(bits)])
    }

    /// Look up the limbs of `value`, lowest first: that of `low` bits, then whole ones. The row after a limb's holds the value
    /// without it and those before. The first row is a copy of `source`, whose cell holds the value less `added`. Returns that
    /// row; there are as many as limbs.
    ///
    /// A limb of fewer bits than the table's is looked up times `2^spare`: it is in range if it is an integer, of a magnitude below
    /// `2^200`, which the value must be for other reasons.
    fn limbs(&mut self, source: Source<F>, value: u128, low: u32, limbs: u32) -> usize {
        let first = match source.cell {
            Some(row) => self.copy(row),
            None => self.fresh(unsigned::<F>(value) - source.added),
        };
        let below = -Self::power(self.table_bits);
        let times = 1 << (self.table_bits - low);
        for i in 1..limbs {
            let rest = value.checked_shr(low + (i - 1) * self.table_bits).unwrap_or(0);
            let row = self.fresh(unsigned(rest));
            self.look_up(row - 1, if i == 1 { times } else { 1 }, below);
        }
        let last = self.rows() - 1;
        self.look_up(last, 1, F::ZERO);
        let times = if limbs > 1 { times } else { 1 };
        self.set_constant(first, F::from(times.into()) * source.added);
        first
    }

    /// The row of `floor(expr / 2^shift)`, of which so many limbs are looked up, below the limbs of what remains. The constant of the
    /// expression is added to what is looked up if it is an integer; else it is part of the cell.
    fn quotient(&mut self, expr: &Expr<F>, value: u128, shift: u32, limbs: u32) -> usize {
        let added = integer(expr.constant).map_or(F::ZERO, |_| expr.constant);
        let variable = Expr { terms: expr.terms.clone(), constant: expr.constant - added };
        let whole = self.in_cell(&variable, unsigned::<F>(value) - added);
        let skipped = shift.div_ceil(self.table_bits);
        let low = (shift - 1) % self.table_bits + 1;
        self.limbs(Source { cell: Some(whole), added }, value, low, skipped + limbs) + skipped as usize
    }

    /// Make the cell of a limb that is not the first hold so much less: what is looked up there and above has it added.
    fn lower(&mut self, row: usize, added: F) {
        if let Some(cell) = self.a.get_mut(row) {
            *cell -= added;
            self.table[row] += added;
            self.table[row - 1] += self.next[row - 1] * added;
        }
    }

    /// A value in `[0, 2^b)`, `bits <= b < bits + table_bits`.
    pub(super) fn at_most(&mut self, source: Source<F>, value: u128, bits: u32) -> usize {
        self.limbs(source, value, self.table_bits, Check::limbs(bits, self.table_bits))
    }

    /// A value in `[0, 2^bits)`: the highest limb is looked up shifted to the top of the table as well. `bits > 0`.
    pub(super) fn exactly(&mut self, source: Source<F>, value: u128, bits: u32) -> usize {
        let (limbs, spare) = (Check::limbs(bits, self.table_bits), self.table_bits - 1 - (bits - 1) % self.table_bits);
        if spare == 0 {
            return self.limbs(source, value, self.table_bits, limbs);
        }
        let scale = Self::power(spare);
        if limbs == 1 {
            let one = self.term(ONE_ROW, F::ONE);
            self.set_next(one, scale);
            self.set_constant(one, scale * source.added);
            return self.limbs(source, value, self.table_bits, 1);
        }
        let first = self.limbs(source, value, self.table_bits, limbs);
        let top = self.rows() - 1;
        let one = self.term(ONE_ROW, F::ONE);
        self.set_next(one, scale);
        self.copy(top);
        first
    }

    /// The cell of an expression with the given value, which may be one from before.
    pub(super) fn in_cell(&mut self, expr: &Expr<F>, value: F) -> usize {
        if let Some((row, factor, constant)) = self.single_cell(expr)
            && factor == F::ONE
            && constant == F::ZERO
        {
            return row;
        }
        if expr.terms.len() > KNOWN_TERMS {
            return self.cell_of(expr, value);
        }
        let terms = expr.terms.iter().copied().chain([(ONE_ROW, expr.constant)]);
        let key = terms.map(|(row, factor)| (row, bytes(factor))).collect();
        if let Some(&cell) = self.sums.get(&key) {
            return cell;
        }
        let cell = self.cell_of(expr, value);
        self.sums.insert(key, cell);
        cell
    }

    /// The cell, the factor and the constant that an expression is of, if it is of one cell.
    pub(super) fn single_cell(&self, expr: &Expr<F>) -> Option<(usize, F, F)> {
        match expr.terms.as_slice() {
            [(row, factor)] if self.factors_of(*row).is_none() => Some((*row, *factor, expr.constant)),
            _ => None,
        }
    }

    /// A cell with a factor and a constant that add up to the expression.
    pub(super) fn scaled_cell(&mut self, expr: &Expr<F>, value: F) -> (usize, F, F) {
        self.single_cell(expr).unwrap_or_else(|| {
            let variable = Expr { terms: expr.terms.clone(), constant: F::ZERO };
            (self.in_cell(&variable, value - expr.constant), F::ONE, expr.constant)
        })
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
        // the greatest value reaches the end of the limbs; the value is an integer, so that one limb may be shorter
        let limbs = Check::limbs(bits, self.table_bits);
        let low = if limbs > 1 { (bits - 1) % self.table_bits + 1 } else { self.table_bits };
        let added = ((1 << (low + (limbs - 1) * self.table_bits)) - 1) - max;
        let source = Source { cell: Some(cell), added: unsigned(added) };
        self.limbs(source, value.saturating_add(added), low, limbs);
        Expr::cell(cell)
    }

    fn check_bits(&mut self, expr: &Expr<F>, value: u128, bits: u32) {
        self.note(Check::AtMost(bits));
        let variable = Expr { terms: expr.terms.clone(), constant: F::ZERO };
        let cell = self.in_cell(&variable, unsigned::<F>(value) - expr.constant);
        self.at_most(Source { cell: Some(cell), added: expr.constant }, value, bits);
    }

    /// The quotient is what remains of the expression without its lowest limbs, which have `shift` bits together.
    fn shifted(&mut self, expr: &Expr<F>, value: u128, bits: u32, shift: u32, offset: i128) -> Expr<F> {
        self.note(Check::Shifted(shift, bits));
        let limbs = Check::limbs(bits.saturating_sub(shift), self.table_bits);
        let cell = self.quotient(expr, value, shift, limbs);
        self.lower(cell, -field::<F>(offset));
        Expr::cell(cell)
    }

    fn tabulates(&self, function: &Piecewise, shift: u32) -> bool {
        let table = self.table_of(function).map(|(_, table)| table);
        shift <= MAX_SHIFT && self.tables.len() <= MAX_TABLES && matches!(table.as_deref(), Some(Table::Values(_)))
    }

    /// The quotient is looked up with the function's value below it.
    fn shifted_by_table(
        &mut self,
        function: &Piecewise,
        expr: &Expr<F>,
        value: u128,
        shift: u32,
        offset: i128,
    ) -> Expr<F> {
        let Some((at, table)) = self.table_of(function) else { return self.impossible() };
        let Table::Values(values) = &*table else { return self.impossible() };
        self.note(Check::AtMost(shift));
        let quotient = self.quotient(expr, value, shift, 1);
        self.value_beside(at, values, quotient, field(offset), (value >> shift) as i128 + offset)
    }

    /// `p` is zero or the magnitude `m = 2 p - expr`, which is in range: then it is zero or the expression, whichever is not
    /// negative.
    fn rectified(&mut self, expr: &Expr<F>, value: i128, bits: u32) -> Expr<F> {
        let (positive, magnitude) = (unsigned(value.max(0).unsigned_abs()), value.unsigned_abs());
        let limbs = Check::limbs(bits, self.table_bits);
        let cell = self.single_cell(expr);
        self.note(Check::Rectified { bits, cell: cell.is_some() });
        if let (1, Some((row, factor, _))) = (limbs, cell) {
            // 2 p - expr is looked up where p stands above the cell, and p (p - expr) = 0 in the next two rows
            let product = self.fresh(positive);
            self.look_up(product, 2, -factor);
            self.set_constant(product, -expr.constant);
            let start = self.copy(row);
            self.multiply(start, -factor);
            let squared = self.term(product, -expr.constant);
            self.multiply(squared, F::ONE);
            self.pin_rows(start, squared + 1);
            self.copy(product);
            return Expr::cell(product);
        }
        // with the constant c of expr = x + c: m + c has a cell, p (p - (m + c) + c) = 0, and (m + c) - 2 p + x = 0
        let start = self.fresh(unsigned::<F>(magnitude) + expr.constant);
        self.multiply(start, -F::ONE);
        let product = self.fresh_term(positive, expr.constant);
        self.multiply(product, F::ONE);
        let sum = self.term(product, -F::from(2));
        self.pin_rows(start, sum);
        self.term(start, F::ONE);
        self.terms(&Expr { terms: expr.terms.clone(), constant: F::ZERO }, F::ONE);
        self.pin(sum);
        self.limbs(Source { cell: Some(start), added: -expr.constant }, magnitude, self.table_bits, limbs);
        Expr::cell(product)
    }

    fn conjunction(&mut self, x: Valued<'_, F>, y: Valued<'_, F>) -> Option<Expr<F>> {
        Some(self.product(x, y))
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
        // (k x + a)(m y + b) = k m x y + k b x + m a y + a b
        let (left, k, a) = self.scaled_cell(x.0, x.1);
        let (right, m, b) = if x.0 == y.0 { (left, k, a) } else { self.scaled_cell(y.0, y.1) };
        let product = self.virtual_product(left, right);
        Expr { terms: vec![(product, k * m), (left, k * b), (right, m * a)], constant: a * b }.merged()
    }

    fn in_one_cell(&mut self, expr: Expr<F>) -> Expr<F> {
        let value = self.value(&expr);
        Expr::cell(self.in_cell(&expr, value))
    }

    /// A product takes two rows wherever it is used. A constant needs no cell.
    fn share(&mut self, expr: Expr<F>, uses: usize) -> Expr<F> {
        let (constant, sum) = (expr.constant, Expr { terms: expr.terms, constant: F::ZERO });
        let rows = self.rows_of(&sum);
        if self.single_cell(&sum).is_some() || rows * uses <= rows + 1 + uses {
            return sum.offset(constant);
        }
        let value = self.value(&sum);
        Expr::cell(self.in_cell(&sum, value)).offset(constant)
    }

    /// Those with shared matrices by their projections, others together, if that saves rows.
    fn linear(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], ranges: &[Interval]) -> Vec<Expr<F>> {
        let ranges = packed::output_ranges(map, ranges);
        let mut result = vec![None; map.output_len()];
        match &*self.found_in(map, &ranges, false) {
            Found::Convolution(convolution) => self.convolve(&mut result, convolution, map, inputs),
            Found::Shared(shared) => self.project_shared(&mut result, shared, map, inputs),
        }
        self.pack(&mut result, map, inputs, &ranges);
        let inputs: Vec<&Expr<F>> = inputs.iter().map(|input| input.0).collect();
        result.into_iter().enumerate().map(|(j, cell)| cell.unwrap_or_else(|| sum(map, &inputs, j))).collect()
    }

    fn weighted(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], ranges: &[Interval]) -> Vec<Expr<F>> {
        self.committed_sums(map, inputs, ranges)
    }

    /// By projections, if that saves rows; else two rows a term, and one a sum of several. What is constant is a factor of a term.
    fn products(&mut self, product: &Product, factors: &[Valued<'_, F>]) -> Vec<Expr<F>> {
        let Product { rows, inner, columns, .. } = *product;
        if Shared::rows(rows, inner, columns) < rows * columns * (2 * inner + 1) {
            return self.projected_products(product, factors);
        }
        // of each factor a cell with a factor and a constant, or a constant
        let in_cells = |&(x, value): &Valued<'_, F>| match x.terms.is_empty() {
            true => (x.clone(), value),
            false => {
                let (cell, factor, constant) = self.scaled_cell(x, value);
                (Expr::cell(cell).scaled(factor).offset(constant), value)
            }
        };
        let factors: Vec<(Expr<F>, F)> = factors.iter().map(in_cells).collect();
        let mut of = |j: usize| {
            let mut sum = Expr::constant(F::ZERO);
            for (a, b) in product.terms(j) {
                let [a, b] = [&factors[a], &factors[b]];
                sum.add_scaled(&self.product((&a.0, a.1), (&b.0, b.1)), F::ONE);
            }
            let Expr { terms, constant } = sum.merged();
            let sum = Expr { terms, constant: F::ZERO };
            let products = sum.terms.iter().filter(|term| self.factors_of(term.0).is_some()).count();
            if products < 2 {
                return sum.offset(constant);
            }
            let value = self.value(&sum);
            Expr::cell(self.cell_of(&sum, value)).offset(constant)
        };
        (0..product.output_len()).map(&mut of).collect()
    }

    /// None is negative, and they add up to one: as integers, as they are looked up, one of them is one.
    fn one_hot(&mut self, len: usize, hot: usize) -> OneHot<F> {
        let boolean = |place: usize| {
            self.note(Check::AtMost(1));
            let row = self.fresh(F::from(u64::from(place == hot)));
            self.look_up(row, 1, F::ZERO);
            Expr::cell(row)
        };
        let one_hot = OneHot { booleans: (0..len).map(boolean).collect() };
        self.check_zero(&one_hot.select(|_| F::ONE).offset(-F::ONE));
        one_hot
    }

    fn by_table(&mut self, function: &Piecewise, x: &Expr<F>, value: i128, range: Interval) -> Option<Tabled<F>> {
        self.tabled(function, x, value, range)
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
