//! Lays out rows of the `phased` layout: a cursor that walks down, and the runs it can place.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ff::{BatchInvert, PrimeField};

use super::{
    config::Extras,
    projection::{Found, Powers},
    tables::Table,
};
use crate::circuit::gadgets::Expr;

/// Row of the cell constrained to one.
pub(super) const ONE_ROW: usize = 0;

/// Terms from here on are products of two cells.
const FIRST_PRODUCT: usize = 1 << 48;

/// Range checks whose rows depend on the width of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// A value of so many bits or a few more.
    AtMost(u32),
    /// A value of so many bits exactly.
    Exactly(u32),
    /// A quotient by `2^shift` of a value of `bits`, in that order.
    Shifted(u32, u32),
    /// A magnitude of so many bits, and whether what it is of is one cell and a constant.
    Rectified { bits: u32, cell: bool },
}

impl Check {
    /// Limbs of a value of `bits`.
    pub fn limbs(bits: u32, table_bits: u32) -> u32 {
        bits.div_ceil(table_bits).max(1)
    }

    /// Rows that it takes with a table of `2^table_bits`.
    pub fn rows(self, table_bits: u32) -> usize {
        let rows = match self {
            Check::AtMost(bits) => Self::limbs(bits, table_bits),
            Check::Exactly(bits) => {
                let limbs = Self::limbs(bits, table_bits);
                match (bits.is_multiple_of(table_bits), limbs) {
                    (true, _) => limbs,
                    (false, 1) => 2,
                    (false, _) => limbs + 2,
                }
            }
            Check::Shifted(shift, bits) => {
                shift.div_ceil(table_bits) + Self::limbs(bits.saturating_sub(shift), table_bits)
            }
            Check::Rectified { bits, cell } => match (Self::limbs(bits, table_bits), cell) {
                (1, true) => 4,
                (limbs, cell) => 4 + limbs + u32::from(cell),
            },
        };
        rows as usize
    }
}

/// Cells of a sum, with the bytes of their factors.
pub(super) type Sum = Vec<(usize, [u8; 32])>;

/// Everything that is assigned to the columns, row by row from row 0. Rows past the end are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct PhasedBuilder<F> {
    /// Advice of the first phase: the witness.
    pub a: Vec<F>,
    /// Fixed: coefficients of the cells.
    pub weight: Vec<F>,
    /// Fixed: the table's entries, and in other rows what is added to what is looked up.
    pub table: Vec<F>,
    /// Fixed: coefficients of the next cells in what is looked up.
    pub next: Vec<F>,
    /// Fixed: how often rows look up so many times their cell; zero in rows that do not.
    pub lookup: Vec<u32>,
    /// Fixed: coefficients of the products of the cells and the next ones.
    pub product: Vec<F>,
    /// Pairs of rows of `a` that hold the same value.
    pub copies: Vec<(usize, usize)>,
    /// Pairs of rows of `c` that hold the same value.
    pub pins: Vec<(usize, usize)>,
    /// Rows of the `public` instance column, one per public value.
    pub public_rows: Vec<usize>,
    /// What the witness says that the public values are.
    pub public_values: Vec<F>,
    /// The table is `[0, 2^table_bits)`.
    pub table_bits: u32,
    /// Its first row, once it is laid out.
    pub table_start: Option<usize>,
    /// Steps of Horner's rule: rows, and by powers of which challenge.
    pub steps: Vec<(usize, Powers)>,
    /// Rows that the gate says nothing about, and the row whose cell of `c` the next one is a copy of, if it is one.
    pub jumps: Vec<(usize, Option<usize>)>,
    /// Rows of `c` that, with the product of the next two, add up to the third after them.
    pub times: Vec<usize>,
    /// Fixed: rows with pairs, and the coefficients of their next cells in the second components.
    pub pairs: Vec<(usize, F)>,
    /// Functions that are looked up.
    pub(super) tables: Vec<Arc<Table>>,
    /// Rows of `c` with zero and with `1 / alpha`, once they are there.
    pub(super) constants: Option<(usize, usize)>,
    /// What was found in the linear maps laid out so far, and what is known of them from before.
    pub(super) found: Vec<Arc<Found>>,
    pub(super) known: Vec<Arc<Found>>,
    /// Products of two cells that have no cell of their own: those of [`Self::virtual_product`].
    products: Vec<(usize, usize)>,
    /// Cells of sums that have one, by their terms and their constants.
    pub(super) sums: HashMap<Sum, usize>,
    /// Rows of `c` with sums of cells by powers.
    pub(super) horner_sums: HashMap<(Vec<usize>, Powers), usize>,
    /// Range checks so far.
    checks: BTreeMap<Check, usize>,
    /// Rows in use. Those beyond the limit are counted, and nothing is assigned to them.
    rows: usize,
    limit: usize,
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// Row 0: the constant. The anchor `public[0] = 1` makes the cell of row 0 one. At most `limit` rows are kept, the others are
    /// only counted.
    pub fn new(table_bits: u32, limit: usize) -> Self {
        let mut builder = Self {
            a: vec![],
            weight: vec![],
            table: vec![],
            next: vec![],
            lookup: vec![],
            product: vec![],
            copies: vec![],
            pins: vec![],
            public_rows: vec![],
            public_values: vec![],
            table_bits,
            table_start: None,
            steps: vec![],
            jumps: vec![],
            times: vec![],
            pairs: vec![],
            tables: vec![],
            constants: None,
            found: vec![],
            known: vec![],
            products: vec![],
            sums: HashMap::new(),
            horner_sums: HashMap::new(),
            checks: BTreeMap::new(),
            rows: 0,
            limit,
        };
        builder.fresh_term(F::ONE, F::ONE);
        builder.pin(ONE_ROW);
        builder
    }

    /// The same with what is known of the model's linear maps.
    pub(super) fn knowing(mut self, known: Vec<Arc<Found>>) -> Self {
        self.known = known;
        self
    }

    /// The same with tables of these functions.
    pub(super) fn with_tables(mut self, tables: Vec<Arc<Table>>) -> Self {
        self.tables = tables;
        self
    }

    /// Rows that are in use.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that the layout so far takes with another table, and that table.
    pub(super) fn rows_with(&self, table_bits: u32) -> usize {
        let of = |bits: u32| self.checks.iter().map(|(check, count)| count * check.rows(bits)).sum::<usize>();
        let table = if self.looks_up() { 1 << table_bits } else { 0 };
        let pairs: usize = self.tables.iter().map(|table| table.rows()).sum();
        self.rows() - of(self.table_bits) + of(table_bits) + table + pairs
    }

    /// Note a range check whose rows follow.
    pub(super) fn note(&mut self, check: Check) {
        *self.checks.entry(check).or_default() += 1;
    }

    /// Append a row with a value that nothing constrains yet.
    pub(super) fn fresh(&mut self, value: F) -> usize {
        if self.rows < self.limit {
            self.a.push(value);
            self.weight.push(F::ZERO);
            self.table.push(F::ZERO);
            self.next.push(F::ZERO);
            self.lookup.push(0);
            self.product.push(F::ZERO);
        }
        self.rows += 1;
        self.rows - 1
    }

    /// Append a row with a copy of the cell in `row`.
    pub(super) fn copy(&mut self, row: usize) -> usize {
        let copy = self.fresh(self.cell(row));
        self.tie(row, copy);
        copy
    }

    /// A term with a value that is new; returns its cell.
    pub(super) fn fresh_term(&mut self, value: F, weight: F) -> usize {
        let row = self.fresh(value);
        self.set_weight(row, weight);
        row
    }

    /// A term with a copy of a cell.
    pub(super) fn term(&mut self, row: usize, weight: F) -> usize {
        let copy = self.copy(row);
        self.set_weight(copy, weight);
        copy
    }

    /// The product of two cells as a term of expressions: it takes two rows wherever it is used, and no cell.
    pub(super) fn virtual_product(&mut self, x: usize, y: usize) -> usize {
        self.products.push((x, y));
        FIRST_PRODUCT + self.products.len() - 1
    }

    /// The factors of a term that is a product.
    pub(super) fn factors_of(&self, term: usize) -> Option<(usize, usize)> {
        self.products.get(term.checked_sub(FIRST_PRODUCT)?).copied()
    }

    /// Rows of an expression's terms, and one for its constant.
    pub(super) fn rows_of(&self, expr: &Expr<F>) -> usize {
        let constant = usize::from(expr.constant != F::ZERO);
        let rows = |term: &(usize, F)| if self.factors_of(term.0).is_some() { 2 } else { 1 };
        expr.terms.iter().map(rows).sum::<usize>() + constant
    }

    /// The terms of an expression, times a factor. Rows of a product have room for terms with the same cells.
    pub(super) fn terms(&mut self, expr: &Expr<F>, factor: F) {
        let mut linear: Vec<(usize, F)> = vec![];
        let mut room: HashMap<usize, usize> = HashMap::new();
        for &(term, coefficient) in &expr.terms {
            let Some((x, y)) = self.factors_of(term) else {
                linear.push((term, coefficient * factor));
                continue;
            };
            let row = self.factors(x, y, coefficient * factor);
            room.insert(x, row);
            room.insert(y, row + 1);
        }
        for (cell, weight) in linear {
            match room.remove(&cell) {
                Some(row) => self.set_weight(row, weight),
                None => {
                    self.term(cell, weight);
                }
            }
        }
        if expr.constant != F::ZERO {
            self.term(ONE_ROW, expr.constant * factor);
        }
    }

    /// The rows from `start` on add up to zero.
    pub(super) fn pin(&mut self, start: usize) {
        if start < self.rows {
            self.pin_rows(start, self.rows);
        }
    }

    /// The cells of `c` in these rows are equal.
    pub(super) fn pin_rows(&mut self, start: usize, end: usize) {
        if end <= self.limit {
            self.pins.push((start, end));
        }
    }

    /// A row of Horner's rule.
    pub(super) fn step(&mut self, row: usize, powers: Powers) {
        if row < self.limit {
            self.steps.push((row, powers));
        }
    }

    /// A row that is off: the next cell of `c` is a copy of the one in row `to`, or, without one, whatever holds further on.
    pub(super) fn jump(&mut self, to: Option<usize>) {
        let row = self.copy(ONE_ROW);
        if row < self.limit {
            self.jumps.push((row, to));
            if let Some(to) = to {
                self.pin_rows(to, row + 1);
            }
        }
    }

    /// The next row begins a product: its cell of `c`, and those of the two rows after it, to which `c` jumps.
    pub(super) fn times(&mut self) {
        if self.rows < self.limit {
            self.times.push(self.rows);
        }
    }

    /// Behind a product: `c` goes on with the sum. Returns its row.
    pub(super) fn product_of_jumps(&mut self) -> usize {
        self.jump(None);
        self.rows
    }

    /// The cell in row `copy` is a copy of that in `row`.
    pub(super) fn tie(&mut self, row: usize, copy: usize) {
        if copy < self.limit {
            self.copies.push((row, copy));
        }
    }

    /// The value of a cell or of a product; zero beyond the limit.
    fn cell(&self, row: usize) -> F {
        match self.factors_of(row) {
            Some((x, y)) => self.cell(x) * self.cell(y),
            None => self.a.get(row).copied().unwrap_or(F::ZERO),
        }
    }

    pub(super) fn set_weight(&mut self, row: usize, weight: F) {
        if let Some(cell) = self.weight.get_mut(row) {
            *cell = weight;
        }
    }

    /// Multiply the cells in a row and the next one, and the product with a coefficient.
    pub(super) fn multiply(&mut self, row: usize, coefficient: F) {
        if let Some(cell) = self.product.get_mut(row) {
            *cell = coefficient;
        }
    }

    /// A pair of rows whose cells are multiplied: copies of these. Returns the first one.
    pub(super) fn factors(&mut self, x: usize, y: usize, coefficient: F) -> usize {
        let row = self.copy(x);
        self.multiply(row, coefficient);
        self.copy(y);
        row
    }

    /// What is looked up in a row has so many times the next cell.
    pub(super) fn set_next(&mut self, row: usize, next: F) {
        if let Some(cell) = self.next.get_mut(row) {
            *cell = next;
        }
    }

    /// A new cell with the value of an expression: terms and the cell.
    pub(super) fn cell_of(&mut self, expr: &Expr<F>, value: F) -> usize {
        let start = self.rows();
        self.terms(expr, F::ONE);
        let cell = self.fresh_term(value, -F::ONE);
        self.pin(start);
        cell
    }

    /// The value of an expression.
    pub(super) fn value(&self, expr: &Expr<F>) -> F {
        expr.terms.iter().fold(expr.constant, |sum, &(row, coefficient)| sum + coefficient * self.cell(row))
    }

    /// What is looked up in a row has this constant.
    pub(super) fn set_constant(&mut self, row: usize, constant: F) {
        if let Some(cell) = self.table.get_mut(row) {
            *cell = constant;
        }
    }

    /// Look up `times` the cell in `row` plus `next` times the cell below, as often as that.
    pub(super) fn look_up(&mut self, row: usize, times: u32, next: F) {
        if let Some(cell) = self.lookup.get_mut(row) {
            *cell = times;
        }
        self.set_next(row, next);
    }

    /// What a row looks up, or is an entry of, has a second component: so many times the next cell.
    pub(super) fn set_pair(&mut self, row: usize, coefficient: F) {
        if row < self.limit {
            self.pairs.push((row, coefficient));
        }
    }

    /// Look up the cell in `row` plus a constant, paired with so many times the cell below.
    pub(super) fn look_up_pair(&mut self, row: usize, constant: F, coefficient: F) {
        self.look_up(row, 1, F::ZERO);
        self.set_constant(row, constant);
        self.set_pair(row, coefficient);
    }

    /// What is looked up in a row, if anything is, without a second component, and how often.
    pub(super) fn looked_up(&self, a: &[F], row: usize) -> Option<(F, u64)> {
        let next = self.table[row] + self.next[row] * a.get(row + 1).copied().unwrap_or(F::ZERO);
        match self.lookup[row] {
            0 => (self.next[row] != F::ZERO).then_some((next, 1)),
            1 => Some((a[row] + next, 1)),
            times => Some((F::from(times.into()) * a[row] + next, times.into())),
        }
    }

    /// Whether there are tables: that of ranges, and above it those of functions.
    fn looks_up(&self) -> bool {
        !self.checks.is_empty() || !self.tables.is_empty()
    }

    /// Append the tables, and tie the end of the running sum to its start. Nothing follows.
    pub(super) fn finish(&mut self) {
        (self.sums, self.horner_sums) = Default::default();
        if self.looks_up() {
            // what the last row reads below it, if anything, is in place: a look-up never is the last row of a gadget that
            // reads further
            self.append_tables();
            self.table_start = Some(self.rows);
            for entry in 0..1 << self.table_bits {
                let row = self.fresh_term(F::ZERO, -F::ONE);
                self.set_constant(row, F::from(entry));
            }
            let mut a = std::mem::take(&mut self.a);
            self.count(&mut a);
            self.a = a;
        }
        self.pin_rows(0, self.rows);
    }

    /// The fixed columns, in the order of [`super::config::FIXED`].
    pub(super) fn fixed(&self) -> Vec<Vec<F>> {
        let lookup = self.lookup.iter().map(|&times| F::from(times.into())).collect();
        let at = |rows: &mut dyn Iterator<Item = usize>| {
            let mut column = vec![F::ZERO; self.rows];
            rows.for_each(|row| column[row] = F::ONE);
            column
        };
        let mut fixed = vec![self.weight.clone(), self.table.clone(), lookup, self.next.clone(), self.product.clone()];
        if self.extras().projected {
            let by = |powers: Powers| self.steps.iter().filter(move |step| step.1 == powers).map(|step| step.0);
            fixed.push(at(&mut self.jumps.iter().map(|jump| jump.0)));
            fixed.extend([Powers::Alpha, Powers::Theta].map(|powers| at(&mut by(powers))));
            fixed.push(at(&mut self.times.iter().copied()));
        }
        if self.extras().paired {
            let mut column = vec![F::ZERO; self.rows];
            self.pairs.iter().for_each(|&(row, coefficient)| column[row] = coefficient);
            fixed.push(column);
        }
        fixed
    }

    /// What there is besides look-ups of ranges and runs.
    pub fn extras(&self) -> Extras {
        Extras { projected: !self.jumps.is_empty(), paired: !self.pairs.is_empty() }
    }

    /// The cells of `c` in rows `0..=rows`, from zero on, for these cells of `a` and the challenges `alpha` and `theta`.
    pub(super) fn running_sum(&self, a: &[F], challenges: [F; 2], rows: usize) -> Vec<F> {
        self.continued(vec![F::ZERO], a, challenges, rows)
    }

    /// The same for given first cells.
    pub(super) fn continued(&self, mut sum: Vec<F>, a: &[F], [alpha, theta]: [F; 2], rows: usize) -> Vec<F> {
        let used = self.rows().min(rows);
        let Some((&first, start)) = sum.last().zip(sum.len().checked_sub(1)) else { return sum };
        let mut last = first;
        let inverse = alpha.invert().unwrap_or(F::ZERO);
        // denominators of the rows that have others than alpha
        let mut pairs = self.pairs.iter().skip_while(|pair| pair.0 < start).peekable();
        let denominator = |row: usize| {
            let pair = pairs.next_if(|pair| pair.0 == row);
            let first = match self.table_start {
                Some(start) if row >= start => Some(F::from((row - start) as u64)),
                _ => self.looked_up(a, row).map(|(entry, _)| entry),
            };
            let first = first.or_else(|| pair.map(|_| self.table[row]));
            first.map(|first| alpha + first + pair.map_or(F::ZERO, |pair| theta * Self::second(a, pair)))
        };
        let mut inverses: Vec<F> = (start..used).filter_map(denominator).collect();
        inverses.iter_mut().batch_invert();
        let mut inverses = inverses.into_iter();
        sum.reserve((rows + 1).saturating_sub(sum.len()));
        let mut public = self.public_rows.iter().zip(&self.public_values).skip_while(|at| *at.0 < start).peekable();
        let mut steps = self.steps.iter().skip_while(|step| step.0 < start).peekable();
        let mut jumps = self.jumps.iter().skip_while(|jump| jump.0 < start).peekable();
        let mut pairs = self.pairs.iter().skip_while(|pair| pair.0 < start).peekable();
        // a product is known two rows after its first one
        let mut times = self.times.iter().skip_while(|first| **first + 2 < start).peekable();
        for row in start..used {
            if let Some((_, to)) = jumps.next_if(|jump| jump.0 == row) {
                last = match to {
                    Some(to) => sum[*to],
                    // behind a product, or where zero is made
                    None => times
                        .next_if(|first| **first + 2 == row)
                        .map_or(F::ZERO, |first| sum[*first] + sum[first + 1] * sum[first + 2]),
                };
                sum.push(last);
                continue;
            }
            let mut numerator = self.weight[row] * a[row];
            if self.product[row] != F::ZERO {
                numerator += self.product[row] * a[row] * a.get(row + 1).copied().unwrap_or(F::ZERO);
            }
            let times = self.lookup[row];
            let paired = pairs.next_if(|pair| pair.0 == row).is_some();
            let in_table = paired || self.table_start.is_some_and(|start| row >= start);
            let special = times > 0 || self.next[row] != F::ZERO || in_table;
            if times > 0 {
                numerator += F::from(times.into());
            }
            if row == 0 {
                numerator -= F::ONE;
            }
            if let Some((_, value)) = public.next_if(|(public_row, _)| **public_row == row) {
                numerator -= value;
            }
            if let Some((_, powers)) = steps.next_if(|step| step.0 == row) {
                last *= if *powers == Powers::Alpha { alpha } else { theta };
            }
            last += numerator * if special { inverses.next().unwrap_or(F::ZERO) } else { inverse };
            sum.push(last);
        }
        sum.resize(rows + 1, last);
        sum
    }
}
