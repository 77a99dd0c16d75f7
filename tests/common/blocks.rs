//! What a prover can reach in the `periodic` layout who forges some cells and completes the rest so that as few
//! constraints as possible notice. The unit tests include this file by path.

use std::collections::HashMap;

use ff::PrimeField;
use hallmark::circuit::periodic::Geometry;

/// The blocks of a model, by what is the same for every witness.
pub struct Blocks<'a, F> {
    pub geometry: Geometry,
    /// The fixed column.
    pub fixed: &'a [F],
}

/// `value / 2`, rounded down as an integer of `[0, r)`.
fn halved<F: PrimeField>(value: F) -> F {
    (value - if bool::from(value.is_odd()) { F::ONE } else { F::ZERO }) * F::TWO_INV
}

impl<F: PrimeField + Ord> Blocks<'_, F> {
    /// Row of a position in a block.
    pub fn row(&self, block: usize, position: usize) -> usize {
        block * self.geometry.period() + position
    }

    /// Digits of a block: their fixed cells are zero, but that of the last.
    pub fn bits(&self, block: usize) -> usize {
        let first = self.row(block, self.geometry.digits_start());
        1 + self.fixed[first..].iter().take_while(|&&w| w == F::ZERO).count()
    }

    /// The witness of a prover who puts these values in these cells and goes on by the rules: copies are copies, sums
    /// are sums, magnitudes are magnitudes, and digits are bits until they have to end. What the prover is free to
    /// choose otherwise is as in `honest`.
    pub fn complete(&self, honest: &[F], chosen: &[(usize, F)]) -> Vec<F> {
        let (geometry, w) = (self.geometry, self.fixed);
        let period = geometry.period();
        let chosen: HashMap<usize, F> = chosen.iter().copied().collect();
        let mut a = honest.to_vec();
        for row in 0..a.len() {
            let (first, position) = (row < period, row % period);
            let registers = geometry.value();
            a[row] = if let Some(&value) = chosen.get(&row) {
                value
            } else if position == 0 || position > geometry.digits_end() {
                a[row]
            } else if position == 1 {
                w[row - 1]
            } else if position <= registers && position % 2 == 1 {
                a[row - 2] + w[row - 2] * a[row - 1]
            } else if position <= geometry.digits_start() && position % 2 == 0 {
                if first { a[row] } else { a[row - period] + w[row - period] * a[row - period + 1] }
            } else if position == geometry.magnitude(0) {
                a[row - 2].min(-a[row - 2])
            } else if position <= geometry.digits_start() {
                a[row - 2]
            } else if w[row - 1] == F::ONE {
                F::ZERO
            } else {
                halved(a[row - 1])
            };
        }
        a
    }

    /// Ways to pass the magnitude of a block off as one below `2^bits`: one digit, each of them in turn, takes what is
    /// between the magnitude `value` and `target`, those before it are the bits of `value`, those after it the bits of
    /// `target`.
    pub fn passed_off(&self, block: usize, value: F, target: u128) -> Vec<Vec<(usize, F)>> {
        let (first, bits) = (self.row(block, self.geometry.digits_start()), self.bits(block));
        let forged = |taker: usize| {
            let mut cell = value;
            let cells = (1..=bits).map(|i| {
                cell = if i <= taker { halved(cell) } else { F::from_u128(target.checked_shr(i as u32).unwrap_or(0)) };
                (first + i, cell)
            });
            cells.collect()
        };
        (0..bits).map(forged).collect()
    }

    /// The expansion of `value` as an integer of `[0, r)`: every digit is a bit, as far as there are rows, and the
    /// expansion goes on below the row in which it has to end. With a wrong digit, it is the expansion of `value + r`
    /// or `value - r`.
    pub fn expanded(&self, block: usize, value: F, wrong: Option<usize>) -> Vec<(usize, F)> {
        let geometry = self.geometry;
        let (first, last) = (self.row(block, geometry.digits_start()), self.row(block, geometry.digits_end()));
        let mut cell = value;
        let cells = (first + 1..=last).enumerate().map(|(i, row)| {
            let rest = halved(cell);
            cell = match (wrong == Some(i), rest.double() == cell) {
                (false, _) => rest,
                (true, true) => rest - F::TWO_INV,
                (true, false) => rest + F::TWO_INV,
            };
            (row, cell)
        });
        cells.collect()
    }

    /// Ways to expand `value + r` in place of `value`, wrong digit by wrong digit.
    pub fn wrapped(&self, block: usize, value: F) -> Vec<Vec<(usize, F)>> {
        (0..self.bits(block)).map(|wrong| self.expanded(block, value, Some(wrong))).collect()
    }
}
