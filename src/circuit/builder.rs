//! Lays out rows of the `general` layout: a cursor that walks down one column, and the gadgets it can place.
//!
//! The cursor always stands on an even row whose cell, the *accumulator*, is already assigned. Between gadgets the
//! accumulator is zero and constrained to be. Which rows, weights and copies are laid out depends on the model alone,
//! never on witness values: the same code runs for key generation and for every proof.

use ff::PrimeField;

use super::gadgets::{Expr, Gadgets, OneHot, Valued, field, unsigned};
use crate::{
    graph::{Affine, Interval},
    ops::Product,
};

/// Digits of one expansion of a one-hot number.
const DIGITS_AT_ONCE: usize = 120;

/// Everything that is assigned to the columns, row by row from row 0. Rows past the end are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Builder<F> {
    /// Advice: the witness.
    pub a: Vec<F>,
    /// Fixed: weights and row variants.
    pub w: Vec<F>,
    /// Fixed: quadratic rows.
    pub q: Vec<bool>,
    /// Pairs of rows of `a` that hold the same value.
    pub copies: Vec<(usize, usize)>,
    /// Rows of the `public` instance column, one per public value.
    pub public_rows: Vec<usize>,
    /// Rows in use. Those beyond the limit are counted, and nothing is assigned to them.
    rows: usize,
    limit: usize,
}

/// Row of a cell constrained to zero.
const ZERO_ROW: usize = 2;

/// Row of the cell constrained to minus one.
const MINUS_ONE_ROW: usize = 0;

impl<F: PrimeField> Default for Builder<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: PrimeField> Builder<F> {
    /// Rows 0 to 2: the constants. The anchor `public[0] = 1` makes row 0 say `a2 = a0 + 1`, row 1 says `a2 = 0`.
    pub fn new() -> Self {
        let (a, w) = (vec![-F::ONE, F::ZERO, F::ZERO], vec![F::ZERO, F::ONE, F::ZERO]);
        let (q, copies) = (vec![false; 3], vec![(ZERO_ROW, 1)]);
        Self { a, w, q, copies, public_rows: Vec::new(), rows: 3, limit: usize::MAX }
    }

    /// Keep at most so many rows: the others are only counted.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::new() }
    }

    /// Row of the accumulator.
    pub fn cursor(&self) -> usize {
        self.rows - 1
    }

    /// The value of a cell; zero beyond the limit.
    fn cell(&self, row: usize) -> F {
        self.a.get(row).copied().unwrap_or(F::ZERO)
    }

    /// The accumulator's value.
    fn accumulator(&self) -> F {
        self.cell(self.cursor())
    }

    fn set_weight(&mut self, row: usize, weight: F) {
        if let Some(cell) = self.w.get_mut(row) {
            *cell = weight;
        }
    }

    fn set_quadratic(&mut self, row: usize) {
        if let Some(cell) = self.q.get_mut(row) {
            *cell = true;
        }
    }

    fn tie(&mut self, row: usize, copy: usize) {
        if copy < self.limit {
            self.copies.push((row, copy));
        }
    }

    /// Rows that are in use.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn append(&mut self, value: F) -> usize {
        if self.rows < self.limit {
            self.a.push(value);
            self.w.push(F::ZERO);
            self.q.push(false);
        }
        self.rows += 1;
        self.rows - 1
    }

    /// Append a copy of the cell in `row`.
    fn append_copy(&mut self, row: usize) -> usize {
        let copy = self.append(self.cell(row));
        self.tie(row, copy);
        copy
    }

    /// The odd row above the cursor pins the accumulator to zero.
    fn pin_zero(&mut self) {
        debug_assert_eq!(self.accumulator(), F::ZERO);
        self.set_weight(self.cursor() - 1, F::ONE);
    }

    /// One linear row: `accumulator += weight * operand`, where the operand cell was just appended.
    fn accumulate(&mut self, operand: usize, weight: F) {
        self.set_weight(operand - 1, weight);
        let sum = self.cell(operand - 1) + weight * self.cell(operand);
        self.append(sum);
    }

    /// Add an expression to the accumulator: two rows per term, two more if the constant is not zero.
    pub fn add(&mut self, expr: &Expr<F>) {
        for &(row, coefficient) in &expr.terms {
            let operand = self.append_copy(row);
            self.accumulate(operand, coefficient);
        }
        if expr.constant != F::ZERO {
            let operand = self.append_copy(MINUS_ONE_ROW);
            self.accumulate(operand, -expr.constant);
        }
    }

    /// Add a witness value that nothing constrains yet; returns its cell.
    fn add_free(&mut self, value: F) -> usize {
        let operand = self.append(value);
        self.accumulate(operand, F::ONE);
        operand
    }

    /// Return to a zero accumulator, keeping its value in the row it had, which is returned.
    pub fn close(&mut self) -> usize {
        let row = self.cursor();
        let operand = self.append(self.accumulator());
        self.accumulate(operand, -F::ONE);
        self.pin_zero();
        row
    }

    /// Constrain the accumulator to `[0, 2^bits)` by its binary expansion, one bit a row; the accumulator is zero afterwards.
    ///
    /// `value` is the accumulator's value. Returns the row of its first cell: row `r + i` then holds `value >> i`, for
    /// `i <= bits`. With `bits = 0` the value is constrained to zero.
    pub fn bits(&mut self, value: u128, bits: u32) -> usize {
        debug_assert!(self.rows > self.limit || self.accumulator() == unsigned::<F>(value));
        debug_assert!(bits >= u128::BITS || value >> bits == 0);
        let first = self.cursor();
        if bits == 0 {
            self.tie(ZERO_ROW, first);
            return first;
        }
        for i in 1..=bits {
            let shifted = unsigned::<F>(value.checked_shr(i).unwrap_or(0));
            if i % 2 == 1 {
                self.set_quadratic(self.cursor());
            }
            if i == bits && i % 2 == 1 {
                self.append_copy(ZERO_ROW); // an odd number of bits: the quotient after the last is zero by copy
            } else {
                self.append(shifted);
            }
        }
        if bits % 2 == 1 {
            self.append(F::ZERO);
        }
        self.pin_zero();
        first
    }

    /// Constrain the accumulator to one of the two values `+-2 t` for a new cell `t`, which becomes the accumulator.
    ///
    /// `t` is the witness value; the caller must constrain its sign by a range check.
    pub fn half_up_to_sign(&mut self, t: F) -> usize {
        let row = self.cursor();
        self.set_quadratic(row);
        self.set_weight(row, F::ONE);
        let double = self.cell(row);
        self.append_copy(ZERO_ROW);
        let cell = self.append(t);
        // both squares equal this cell: (2z)^2 = (2t)^2. The row of `t` is linear with weight 0 and carries `t` along.
        let square = self.append(double * double);
        self.accumulate(square, F::ZERO);
        cell
    }
}

impl<F: PrimeField> Gadgets<F> for Builder<F> {
    /// Constrain an expression to zero.
    fn check_zero(&mut self, expr: &Expr<F>) {
        self.add(expr);
        self.tie(ZERO_ROW, self.cursor());
    }

    /// The expression in a single cell (and no constant), for values that are used many times.
    fn materialise(&mut self, expr: &Expr<F>) -> Expr<F> {
        self.add(expr);
        Expr::cell(self.close())
    }

    /// Two rows a weight and two for the bias, then those of the new cell: weights of even rows are all that depends on the map's.
    fn weighted(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], _ranges: &[Interval]) -> Vec<Expr<F>> {
        let output = |j: usize| {
            for (i, weight) in map.row(j) {
                for &(cell, factor) in &inputs[i].0.terms {
                    let operand = self.append_copy(cell);
                    self.accumulate(operand, factor * field::<F>(weight.into()));
                }
            }
            let operand = self.append_copy(MINUS_ONE_ROW);
            self.accumulate(operand, field(-map.bias[j]));
            Expr::cell(self.close())
        };
        (0..map.output_len()).map(output).collect()
    }

    /// An operand of weight zero: the accumulator stays as it is.
    fn free(&mut self, value: F) -> Expr<F> {
        let operand = self.append(value);
        self.accumulate(operand, F::ZERO);
        Expr::cell(operand)
    }

    /// An input or any other fresh value: a cell constrained to `[0, max]`, exactly. `value <= max < 2^127`.
    fn range(&mut self, value: u128, max: u128) -> Expr<F> {
        debug_assert!(value <= max);
        if max == 0 {
            return Expr::constant(F::ZERO);
        }
        let bits = (max + 1).ilog2();
        // [0, max] = { t + excess * top : t < 2^bits, top a bit }
        let excess = max + 1 - (1u128 << bits);
        let top = excess != 0 && value >> bits != 0;
        let low = if top { value - excess } else { value };

        let low_cell = self.add_free(unsigned::<F>(low));
        self.bits(low, bits);
        let mut sum = Expr::cell(low_cell);
        if excess != 0 {
            let top_cell = self.add_free(F::from(u64::from(top)));
            self.bits(u128::from(top), 1);
            sum.add_scaled(&Expr::cell(top_cell), unsigned::<F>(excess));
        }
        sum
    }

    fn check_bits(&mut self, expr: &Expr<F>, value: u128, bits: u32) {
        self.add(expr);
        self.bits(value, bits);
    }

    /// The binary expansion without its `shift` lowest bits. Those bits are the remainder, so both are in range and the pair is
    /// unique.
    fn shifted(&mut self, expr: &Expr<F>, value: u128, bits: u32, shift: u32, offset: i128) -> Expr<F> {
        self.add(expr);
        Expr::cell(self.bits(value, bits) + shift as usize).offset(field(offset))
    }

    /// With `t = |x|`: `(2x)^2 = (2t)^2` leaves `t = +-x`, the range of `t` leaves `t = |x|`, and `max(x, 0) = (x + t) / 2`.
    fn rectified(&mut self, expr: &Expr<F>, value: i128, bits: u32) -> Expr<F> {
        self.add(&expr.scaled(F::from(2)));
        let double = self.cursor();
        let magnitude = value.unsigned_abs();
        let t = self.half_up_to_sign(unsigned::<F>(magnitude));
        self.bits(magnitude, bits);

        let half = F::TWO_INV;
        let mut rectified = Expr::cell(double).scaled(half * half);
        rectified.add_scaled(&Expr::cell(t), half);
        rectified
    }

    /// The square of an expression with the given value: `z^2 = (2t)^2` for a new cell `t = +-z/2`, whose sign is free and
    /// matters to nobody.
    fn square(&mut self, expr: &Expr<F>, value: F) -> Expr<F> {
        if expr.terms.is_empty() {
            return Expr::constant(expr.constant.square());
        }
        self.add(expr);
        let root = self.half_up_to_sign(value * F::TWO_INV);
        self.close();
        Expr::cell(root + 1)
    }

    /// The product of two expressions with the given values: `4xy = (x + y)^2 - (x - y)^2`.
    fn product(&mut self, x: (&Expr<F>, F), y: (&Expr<F>, F)) -> Expr<F> {
        if x.0.terms.is_empty() {
            return y.0.scaled(x.0.constant);
        }
        if y.0.terms.is_empty() {
            return x.0.scaled(y.0.constant);
        }
        let combined = |factor: F| {
            let mut sum = x.0.clone();
            sum.add_scaled(y.0, factor);
            sum.merged()
        };
        let quarter = F::TWO_INV.square();
        let mut product = self.square(&combined(F::ONE), x.1 + y.1).scaled(quarter);
        product.add_scaled(&self.square(&combined(-F::ONE), x.1 - y.1), -quarter);
        product
    }

    /// `2xy = (x + y)^2 - x^2 - y^2` where squares of the operands serve many products, else two squares a product.
    fn products(&mut self, product: &Product, factors: &[Valued<'_, F>]) -> Vec<Expr<F>> {
        let shared = product.rows * product.columns > product.rows + product.columns;
        let squares: Vec<Option<Expr<F>>> =
            factors.iter().map(|&(x, value)| (shared && !x.terms.is_empty()).then(|| self.square(x, value))).collect();
        let mut outputs = Vec::with_capacity(product.output_len());
        for j in 0..product.output_len() {
            let mut sum = Expr::constant(F::ZERO);
            for (a, b) in product.terms(j) {
                let (x, y) = (factors[a], factors[b]);
                match (&squares[a], &squares[b]) {
                    (Some(left), Some(right)) => {
                        let mut both = x.0.clone();
                        both.add_scaled(y.0, F::ONE);
                        sum.add_scaled(&self.square(&both.merged(), x.1 + y.1), F::TWO_INV);
                        sum.add_scaled(left, -F::TWO_INV);
                        sum.add_scaled(right, -F::TWO_INV);
                    }
                    _ => sum.add_scaled(&self.product(x, y), F::ONE),
                }
            }
            outputs.push(sum);
        }
        outputs
    }

    /// Booleans of which exactly one is 1: the one at `hot`. They are the binary digits of powers of two.
    fn one_hot(&mut self, len: usize, hot: usize) -> OneHot<F> {
        let mut digits = Vec::with_capacity(len);
        for start in (0..len).step_by(DIGITS_AT_ONCE) {
            let count = DIGITS_AT_ONCE.min(len - start);
            let value = if (start..start + count).contains(&hot) { 1u128 << (hot - start) } else { 0 };
            self.add_free(unsigned::<F>(value));
            let first = self.bits(value, count as u32);
            digits.extend((0..count).map(|i| (first + i, (i + 1 < count).then_some(first + i + 1))));
        }
        // digit `i` is `a[row] - 2 a[next]`
        let boolean = |(row, next): (usize, Option<usize>)| {
            let mut digit = Expr::cell(row);
            digit.terms.extend(next.map(|next| (next, -F::ONE.double())));
            digit
        };
        let one_hot = OneHot { booleans: digits.into_iter().map(boolean).collect() };
        self.check_zero(&one_hot.select(|_| F::ONE).offset(-F::ONE));
        one_hot
    }

    /// Bind an expression to the next public value.
    fn bind_public(&mut self, expr: &Expr<F>) {
        let start = self.cursor();
        self.add(expr);
        if self.cursor() == start {
            // an output that is the constant zero still needs a row of its own
            let operand = self.append_copy(ZERO_ROW);
            self.accumulate(operand, F::ZERO);
        }
        // the odd row above: -accumulator + public = 0
        let row = self.cursor() - 1;
        self.set_weight(row, -F::ONE);
        self.public_rows.push(row);
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;

    use crate::circuit::field;
    use crate::{
        circuit::testing::{Digits, claims, complete, encoded_input, honest, single_op, tells_the_truth, violations},
        graph::{Affine, IntegerModel},
        ops::Op,
    };

    /// The identity on one input: what is public is the input.
    fn identity(domain: (i128, i128)) -> IntegerModel {
        let map = Affine { input_len: 1, row_starts: vec![0, 1], columns: vec![0], weights: vec![1], bias: vec![0] };
        single_op(Op::Linear(map), &[domain])
    }

    /// An input outside of its domain, and a way to write it.
    struct Outside {
        value: i128,
        /// The cells of its two parts.
        cells: Vec<(usize, Fr)>,
        /// The range check of the part that is out of range, and that part.
        check: Digits,
        part: Fr,
    }

    /// Ways to write inputs outside of the domain, for every part and on both sides of its range.
    fn outside((lo, hi): (i128, i128), low: Digits, top: Option<Digits>) -> Vec<Outside> {
        let below = 1 << low.bits;
        let excess = hi - lo + 1 - below;
        let write = |check: Digits, low_part: i128, top_part: i128| {
            let mut cells = vec![(low.first - 1, field(low_part))];
            cells.extend(top.map(|top| (top.first - 1, field(top_part))));
            let part = field(if check.first == low.first { low_part } else { top_part });
            Outside { value: lo + low_part + excess * top_part, cells, check, part }
        };
        let mut written = vec![write(low, -1, 0)];
        match top {
            None => written.push(write(low, below, 0)),
            Some(top) => {
                written.push(write(low, below, 1));
                let parts = [2, 3, -1].into_iter().flat_map(|part| [(0, part), (below - 1, part)]);
                written.extend(parts.map(|(low_part, top_part)| write(top, low_part, top_part)));
            }
        }
        written
    }

    #[test]
    fn inputs_outside_of_the_domain_are_rejected_however_they_are_split() {
        // spans: 12 = 8 + 4, 8, 2, 3 = 2 + 1, 31 = 16 + 15
        for domain in [(-5, 6), (-4, 3), (0, 1), (-7, -5), (100, 130)] {
            let model = identity(domain);
            for x in domain.0..=domain.1 {
                let honest = honest(&model, &[x]);
                assert_eq!((violations(&honest), claims(&honest)), (vec![], vec![field(x)]));
                assert_eq!(encoded_input(&model, &honest), [field::<Fr>(x)]);
                assert!(tells_the_truth(&model, &honest));
            }
            let honest = honest(&model, &[domain.0]);
            let checks = Digits::find(&honest.layout);
            let (low, top) = (checks[0], checks.get(1).copied());
            for Outside { value, cells, check, part } in outside(domain, low, top) {
                for digits in (0..1 << check.bits).flat_map(|target| check.passed_off(part, target)) {
                    let forged = complete(&honest, &[cells.clone(), digits].concat());
                    assert_eq!(claims(&forged), [field::<Fr>(value)], "{domain:?}");
                    assert_eq!(violations(&forged).len(), 1, "{domain:?}: {value}, the digit that is no bit tells");
                }
                for digits in check.wrapped(part).into_iter().chain([vec![]]) {
                    let forged = complete(&honest, &[cells.clone(), digits].concat());
                    assert!(!violations(&forged).is_empty(), "{domain:?}: {value}, digits without end");
                }
            }
        }
    }

    #[test]
    fn both_ways_to_split_an_input_are_the_same_input() {
        let model = identity((-5, 6));
        let honest = honest(&model, &[0]);
        let checks = Digits::find(&honest.layout);
        // 5 = 5 + 4 * 0 = 1 + 4 * 1
        let other = complete(&honest, &[(checks[0].first - 1, Fr::ONE), (checks[1].first - 1, Fr::ONE)]);
        assert_ne!(other.layout.a, honest.layout.a);
        assert_eq!((violations(&other), claims(&other)), (vec![], claims(&honest)));
    }

    #[test]
    fn no_gadget_hands_a_leftover_to_the_next() {
        let model = identity((-5, 6));
        let honest = honest(&model, &[3]);
        let layout = &honest.layout;
        let closing = |&row: &usize| row % 2 == 1 && layout.w[row - 1] == -Fr::ONE && layout.w[row] == Fr::ONE;
        let rows: Vec<usize> = (3..layout.rows()).filter(closing).collect();
        assert_eq!(rows.len(), layout.public_rows.len());
        for row in rows {
            let forged = complete(&honest, &[(row, layout.a[row] - Fr::ONE)]);
            assert!(!violations(&forged).is_empty());
        }
    }

    #[test]
    fn the_constants_follow_from_the_anchor() {
        let honest = honest(&identity((0, 1)), &[1]);
        assert_eq!(honest.layout.a[..3], [-Fr::ONE, Fr::ZERO, Fr::ZERO]);
        for forged in [[Fr::ZERO, Fr::ONE, Fr::ONE], [-Fr::from(2), -Fr::ONE, -Fr::ONE], [Fr::ONE, Fr::ZERO, Fr::ZERO]]
        {
            let mut circuit = honest.clone();
            circuit.layout.a[..3].copy_from_slice(&forged);
            assert!(!violations(&complete(&circuit, &[])).is_empty());
        }
    }
}
