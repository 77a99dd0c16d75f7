//! Sums of a linear map that are taken together: several integers side by side in one field element.
//!
//! For outputs `y_i = b_i + sum_j w[i][j] x[j]` in `[lo_i, hi_i]` and digits `d_i = y_i - lo_i < 2^(n_i)`, one run of rows says that
//!
//! ```text
//! sum_i 2^(s_i) d_i = sum_j (sum_i 2^(s_i) w[i][j]) x[j] + sum_i 2^(s_i) (b_i - lo_i),   s_i = n_0 + ... + n_(i-1)
//! ```
//!
//! so that an input takes one row, whatever the number of outputs. The digits are looked up to have `n_i` bits. Both sides are
//! integers in `[0, 2^LANES)`, which is less than the field's order, and integers have one way to be written in digits: there is
//! no other `d` than that of the outputs.

use ff::PrimeField;

use super::{
    builder::{Check, PhasedBuilder},
    gadgets::{Source, integer},
};
use crate::{
    circuit::gadgets::{Expr, Valued, field},
    graph::{Affine, Interval},
};

/// Bits of all digits together, below those of both fields.
const LANES: u32 = 252;

/// Rows of a digit beside those of the inputs: about so many, as that depends on the table.
const DIGIT_ROWS: usize = 7;

/// The most bits of a digit.
const MAX_DIGIT: u32 = 120;

/// Rows of `outputs` sums of `terms` terms together, each of at most `bits` bits, if they are of the same inputs.
pub(super) fn rows(terms: usize, outputs: usize, bits: u32) -> usize {
    let lanes = (LANES / bits.max(1)).max(1) as usize;
    terms.min(terms.div_ceil(lanes) + outputs * DIGIT_ROWS)
}

/// What the outputs of a map can be over the ranges of its inputs.
pub(super) fn output_ranges(map: &Affine<i64, i128>, ranges: &[Interval]) -> Vec<Interval> {
    let range = |j: usize| {
        map.row(j).fold(Interval { lo: map.bias[j], hi: map.bias[j] }, |sum, (i, w)| {
            let ends = [ranges[i].lo, ranges[i].hi].map(|end| i128::from(w).saturating_mul(end));
            let (lo, hi) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            Interval { lo: sum.lo.saturating_add(lo), hi: sum.hi.saturating_add(hi) }
        })
    };
    (0..map.output_len()).map(range).collect()
}

/// Bits of an output's digit.
pub(super) fn digit_bits(range: &Interval) -> u32 {
    u128::BITS - range.hi.abs_diff(range.lo).leading_zeros()
}

/// Outputs that are taken together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub outputs: Vec<usize>,
    /// Bits of their digits.
    lanes: u32,
    /// Rows that it saves.
    saved: i64,
}

/// A digit that has no cell yet: its value, its width and its place.
pub(super) struct Digit<F> {
    pub value: F,
    pub bits: u32,
    pub shift: F,
}

/// Outputs that are worth being taken together, of those that `may`: such as have most of their inputs in common.
pub(super) fn groups(map: &Affine<i64, i128>, may: impl Fn(usize) -> bool, bits: &[u32]) -> Vec<Group> {
    let span = |output: usize| {
        let columns = &map.columns[map.row_starts[output] as usize..map.row_starts[output + 1] as usize];
        (columns.iter().min().copied(), columns.iter().max().copied())
    };
    let fits = |output: &usize| (1..=MAX_DIGIT).contains(&bits[*output]) && may(*output);
    let mut outputs: Vec<usize> = (0..map.output_len()).filter(fits).collect();
    outputs.sort_by_cached_key(|&output| (span(output), output));
    let mut groups: Vec<Group> = vec![];
    // per input how many groups there were when the last one began to read it
    let mut read = vec![0; map.input_len];
    for output in outputs {
        let new = map.row(output).filter(|(i, _)| read[*i] != groups.len()).count();
        let gain = (map.row(output).count() - new) as i64 - DIGIT_ROWS as i64;
        if groups.last().is_none_or(|group| group.lanes + bits[output] > LANES || gain <= 0) {
            groups.push(Group { saved: -(DIGIT_ROWS as i64), ..Group::default() });
        } else if let Some(group) = groups.last_mut() {
            group.saved += gain;
        }
        let number = groups.len();
        map.row(output).for_each(|(i, _)| read[i] = number);
        if let Some(group) = groups.last_mut() {
            group.outputs.push(output);
            group.lanes += bits[output];
        }
    }
    groups.retain(|group| group.saved > 0);
    groups
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// The outputs that are worth being taken together, of those that have none in `result` yet.
    pub(super) fn pack(
        &mut self,
        result: &mut [Option<Expr<F>>],
        map: &Affine<i64, i128>,
        inputs: &[Valued<'_, F>],
        ranges: &[Interval],
    ) {
        let bits: Vec<u32> = ranges.iter().map(digit_bits).collect();
        for Group { outputs, .. } in groups(map, |output| result[output].is_none(), &bits) {
            let shifts = Self::shifts(outputs.iter().map(|&output| bits[output]));
            // per input its factor
            let mut terms: Vec<(usize, F)> = vec![];
            let mut sum = Expr::constant(F::ZERO);
            for (&output, &shift) in outputs.iter().zip(&shifts) {
                terms.extend(map.row(output).map(|(i, w)| (i, shift * field::<F>(w.into()))));
                sum.constant += shift * field::<F>(map.bias[output] - ranges[output].lo);
            }
            let factors = Expr { terms, constant: F::ZERO }.merged();
            factors.terms.into_iter().for_each(|(input, factor)| sum.add_scaled(inputs[input].0, factor));
            let start = self.rows();
            self.terms(&sum.merged(), F::ONE);
            let value = |output: usize| value(map, inputs, output, field(map.bias[output] - ranges[output].lo));
            let digits = outputs.iter().zip(&shifts);
            let digits = digits.map(|(&output, &shift)| Digit { value: value(output), bits: bits[output], shift });
            for (&output, cell) in outputs.iter().zip(self.close_with(start, &digits.collect::<Vec<_>>())) {
                result[output] = Some(Expr::cell(cell).offset(field(ranges[output].lo)));
            }
        }
    }

    /// The place of every digit, for digits of so many bits: `2^(s_i)`.
    pub(super) fn shifts(bits: impl Iterator<Item = u32>) -> Vec<F> {
        let place = |shift: &mut F, bits: u32| {
            let next = *shift * Self::power(bits);
            Some(std::mem::replace(shift, next))
        };
        bits.scan(F::ONE, place).collect()
    }

    /// Ends the run from row `start` on, whose sum is that of the digits in their places. Returns their cells.
    pub(super) fn close_with(&mut self, start: usize, digits: &[Digit<F>]) -> Vec<usize> {
        // the lowest one closes the run
        let mut cells: Vec<usize> =
            digits.iter().rev().map(|digit| self.fresh_term(digit.value, -digit.shift)).collect();
        self.pin(start);
        for (&Digit { value, bits, .. }, &cell) in digits.iter().rev().zip(&cells) {
            self.note(Check::Exactly(bits));
            let value = integer(value).map_or(0, i128::unsigned_abs);
            self.exactly(Source { cell: Some(cell), added: F::ZERO }, value, bits);
        }
        cells.reverse();
        cells
    }
}

/// The value of an output with this bias.
pub(super) fn value<F: PrimeField>(map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], output: usize, bias: F) -> F {
    map.row(output).fold(bias, |sum, (i, w)| sum + field::<F>(w.into()) * inputs[i].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map of a matrix with these rows.
    fn map(rows: &[Vec<i64>]) -> Affine<i64, i128> {
        let input_len = rows[0].len();
        let bias = vec![0; rows.len()];
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias };
        for row in rows {
            for (column, &weight) in row.iter().enumerate().filter(|(_, w)| **w != 0) {
                map.columns.push(column as u32);
                map.weights.push(weight);
            }
            map.row_starts.push(map.columns.len() as u32);
        }
        map
    }

    fn found(rows: &[Vec<i64>], bits: u32) -> Vec<Vec<usize>> {
        let groups = groups(&map(rows), |_| true, &vec![bits; rows.len()]);
        groups.into_iter().map(|group| group.outputs).collect()
    }

    #[test]
    fn outputs_of_the_same_inputs_fill_lanes() {
        let dense = |outputs: usize| vec![vec![1; 40]; outputs];
        assert_eq!(found(&dense(5), 60), [vec![0, 1, 2, 3]]);
        assert_eq!(found(&dense(8), 60), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert_eq!(found(&dense(3), 121), Vec::<Vec<usize>>::new());
        // digits would take more rows than terms are saved
        assert_eq!(found(&vec![vec![1; 6]; 30], 20), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn outputs_of_other_inputs_are_left_alone() {
        // even outputs read the first half, odd ones the second; a zero in each row
        let weight = |i: usize, j: usize| i64::from(j / 30 == i % 2 && j % 30 != i % 30);
        let rows: Vec<Vec<i64>> = (0..8).map(|i| (0..60).map(|j| weight(i, j)).collect()).collect();
        let mut groups = found(&rows, 20);
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort();
        assert_eq!(groups, [vec![0, 2, 4, 6], vec![1, 3, 5, 7]]);
        let apart: Vec<Vec<i64>> = (0..8).map(|i| (0..80).map(|j| i64::from(j / 10 == i)).collect()).collect();
        assert_eq!(found(&apart, 20), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn ranges_are_those_of_the_sums() {
        let mut map = map(&[vec![3, -2], vec![0, 0]]);
        map.bias = vec![5, 7];
        let ranges = output_ranges(&map, &[Interval { lo: -1, hi: 4 }, Interval { lo: 0, hi: 10 }]);
        assert_eq!(ranges, [Interval { lo: -18, hi: 17 }, Interval { lo: 7, hi: 7 }]);
        assert_eq!(ranges.iter().map(digit_bits).collect::<Vec<_>>(), [6, 0]);
    }
}
