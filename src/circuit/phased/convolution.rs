//! Finds convolutions in a linear map of which nothing else is known, and checks them as products of polynomials.
//!
//! A channel's inputs are the coefficients of a polynomial `x_c`, with `padding` zeros behind each of its lines, so that positions
//! beyond a line's ends have none. Filter `o` moves over all of them: for `f_oc = sum over taps of w X^(reach - offset)` the coefficient
//! of `X^(reach + s)` in `sum_c x_c f_oc` is the filter's sum at position `s`. Outputs are some of the coefficients; the others are
//! committed to as well. With `y_o` for all of them, the powers of two challenges project both sides to one number:
//!
//! ```text
//! sum_o alpha^o y_o(theta) = sum_c x_c(theta) sum over taps of theta^(reach - offset) sum_o alpha^o w
//! ```
//!
//! An input takes one row, wherever filters read it, and so does a weight. If a coefficient is wrong, the difference is a polynomial
//! that is not zero, of degree below `filters + length + reach`: the chance that both are equal is that over the field's order.

use std::{cmp::Reverse, collections::HashMap};

use ff::PrimeField;

use super::{
    builder::{ONE_ROW, PhasedBuilder},
    packed,
    projection::{Entry, Powers},
};
use crate::{
    circuit::gadgets::{Expr, Valued, field},
    graph::Affine,
};

/// Fewer outputs of the same weights are no filter.
const MIN_OUTPUTS: usize = 8;

/// The fewest terms of a map that is looked at.
const MIN_TERMS: usize = 512;

/// Terms that are looked at, over all ways to cut the inputs into channels.
const WORK: usize = 1 << 26;

/// Outputs that are compared with their neighbours before a grid is tried on all.
const PLACES: usize = 40;

/// How far apart these places are, modulo the number of outputs.
const STEP: usize = 7919;

/// A filter has at most so many times the outputs of another one.
const EDGE: usize = 4;

/// Filters that widths of lines are taken from, and widths from each.
const FILTERS: usize = 4;

/// The most zeros between two lines that are tried.
const MAX_PADDING: usize = 6;

/// Rows of a product of two sums.
const PRODUCT_ROWS: usize = 4;

/// Where the inputs of a channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grid {
    /// Inputs of a channel, and of a line.
    channel: usize,
    width: usize,
    /// Zeros between two lines.
    padding: usize,
}

impl Grid {
    /// Channel and position of an input.
    fn place(self, input: usize) -> (usize, usize) {
        let (channel, at) = (input / self.channel, input % self.channel);
        (channel, at / self.width * (self.width + self.padding) + at % self.width)
    }

    /// The input of a channel at a position, if there is one.
    fn input(self, channel: usize, position: usize) -> Option<usize> {
        let (line, at) = (position / (self.width + self.padding), position % (self.width + self.padding));
        (at < self.width && line < self.channel / self.width).then(|| channel * self.channel + line * self.width + at)
    }

    /// Positions.
    fn len(self) -> usize {
        self.channel / self.width * (self.width + self.padding) - self.padding
    }
}

/// A weight of a filter: its channel, its distance from the filter's first one, and itself.
type Tap = (usize, usize, i64);

/// A filter and its outputs, with the position of its first tap: negative in the padding before the first line.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    taps: Vec<Tap>,
    outputs: Vec<(usize, i64)>,
}

/// Filters over the same inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    grid: Grid,
    channels: usize,
    filters: Vec<Filter>,
}

impl Convolution {
    /// The greatest distance of a tap.
    fn reach(&self) -> usize {
        self.filters.iter().flat_map(|filter| filter.taps.iter().map(|tap| tap.1)).max().unwrap_or(0)
    }

    /// Per channel and distance the weights of all filters.
    fn taps(&self) -> Vec<((usize, usize), Vec<i64>)> {
        let mut taps: HashMap<(usize, usize), Vec<i64>> = HashMap::new();
        for (i, filter) in self.filters.iter().enumerate() {
            for &(channel, offset, weight) in &filter.taps {
                taps.entry((channel, offset)).or_insert_with(|| vec![0; self.filters.len()])[i] = weight;
            }
        }
        let mut taps: Vec<_> = taps.into_iter().collect();
        taps.sort_unstable_by_key(|tap| tap.0);
        taps
    }

    fn rows(&self) -> usize {
        let (filters, taps, reach) = (self.filters.len(), self.taps().len(), self.reach());
        let sums =
            filters * (self.grid.len() + reach + 1) + self.channels * (self.grid.len() + 1) + taps * (filters + 1);
        sums + reach + filters + PRODUCT_ROWS * (taps + self.channels + filters) + 12
    }

    /// Rows that it saves, if outputs have `bits` bits.
    pub fn saved(&self, bits: u32) -> usize {
        let outputs: usize = self.filters.iter().map(|filter| filter.outputs.len()).sum();
        let terms: usize = self.filters.iter().map(|filter| filter.taps.len()).sum();
        let each = packed::rows(terms, self.filters.len(), bits);
        (each * outputs / self.filters.len().max(1)).saturating_sub(self.rows() + outputs)
    }
}

/// The convolution that saves most rows; outputs have at most `bits` bits.
pub fn find(map: &Affine<i64, i128>, bits: u32) -> Option<Convolution> {
    let divisors = |n: usize| (2..=n).filter(move |d| n.is_multiple_of(*d));
    let channels: Vec<usize> = divisors(map.input_len).collect();
    if map.weights.len() < MIN_TERMS || map.weights.len().saturating_mul(channels.len()) > WORK {
        return None;
    }
    let weights = |output: usize| &map.weights[map.row_starts[output] as usize..map.row_starts[output + 1] as usize];
    if !some_neighbours(map, |output| weights(output) == weights(output + 1)) {
        return None;
    }
    let mut best: Option<(usize, Convolution)> = None;
    let mut consider = |found: Convolution| {
        let saved = found.saved(bits);
        if saved > best.as_ref().map_or(0, |best| best.0) {
            best = Some((saved, found));
        }
    };
    for channel in channels {
        let whole = Grid { channel, width: channel, padding: 0 };
        if !moves(map, whole) {
            continue;
        }
        let Some(found) = classified(map, whole) else { continue };
        let all = found.filters.iter().map(|filter| filter.outputs.len()).sum::<usize>() == map.output_len();
        for width in if all { vec![] } else { widths(&found) } {
            let taps = found.filters.iter().flat_map(|filter| filter.taps.iter().map(|tap| tap.1 % width)).max();
            for padding in 1..=taps.unwrap_or(0).min(MAX_PADDING) {
                let padded = classified(map, Grid { channel, width, padding });
                padded.map(|found| with_borders(map, found)).into_iter().for_each(&mut consider);
            }
        }
        consider(found);
    }
    best.map(|best| best.1)
}

/// The terms of an output as taps, in order, and the position of the first.
fn taps_of(map: &Affine<i64, i128>, grid: Grid, output: usize) -> Option<(Vec<Tap>, usize)> {
    let places = || map.row(output).map(|(input, weight)| (grid.place(input), weight));
    let first = places().map(|((_, position), _)| position).min()?;
    let mut taps: Vec<Tap> =
        places().map(|((channel, position), weight)| (channel, position - first, weight)).collect();
    taps.sort_unstable();
    Some((taps, first))
}

/// Whether some outputs are the `same` as the next one: those in a few places are looked at.
fn some_neighbours(map: &Affine<i64, i128>, same: impl Fn(usize) -> bool) -> bool {
    // a prime step, as even ones may meet the ends of lines only
    let last = map.output_len().saturating_sub(1);
    (0..PLACES.min(last)).filter(|place| same(place * STEP % last)).count() > PLACES / 8
}

/// Whether some neighbours among the outputs have the same taps.
fn moves(map: &Affine<i64, i128>, grid: Grid) -> bool {
    some_neighbours(map, |output| {
        let pair = [output, output + 1].map(|output| taps_of(map, grid, output));
        matches!(pair, [Some((one, _)), Some((other, _))] if one == other)
    })
}

/// Outputs with the same taps, if there are many enough.
fn classified(map: &Affine<i64, i128>, grid: Grid) -> Option<Convolution> {
    let mut numbers: HashMap<Vec<Tap>, usize> = HashMap::new();
    let mut filters: Vec<Filter> = vec![];
    for output in 0..map.output_len() {
        let Some((taps, first)) = taps_of(map, grid, output) else { continue };
        let next = filters.len();
        let number = *numbers.entry(taps).or_insert_with_key(|taps| {
            filters.push(Filter { taps: taps.clone(), outputs: vec![] });
            next
        });
        filters[number].outputs.push((output, first as i64));
        // nothing is shared here
        if filters.len() > 64 && filters.len() > output / 2 {
            return None;
        }
    }
    filters.retain(|filter| filter.outputs.len() >= MIN_OUTPUTS && filter.taps.len() > 1);
    (!filters.is_empty()).then(|| Convolution { grid, channels: map.input_len / grid.channel, filters })
}

/// How many inputs a line may have: where the distances of taps, in the filters with most of them, skip some.
fn widths(found: &Convolution) -> Vec<usize> {
    let mut filters: Vec<&Filter> = found.filters.iter().collect();
    filters.sort_by_key(|filter| Reverse(filter.taps.len()));
    let mut widths: Vec<usize> = vec![];
    for filter in filters.into_iter().take(FILTERS) {
        let mut offsets: Vec<usize> = filter.taps.iter().map(|tap| tap.1).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let skips = offsets.windows(2).filter(|pair| pair[1] > pair[0] + 1).map(|pair| pair[1]);
        widths.extend(skips.filter(|width| found.grid.channel.is_multiple_of(*width)).take(FILTERS));
    }
    widths.sort_unstable();
    widths.dedup();
    widths
}

/// The same filters with outputs whose other taps are in the padding.
fn with_borders(map: &Affine<i64, i128>, mut found: Convolution) -> Convolution {
    let grid = found.grid;
    // what is left of a filter along an edge is no filter of its own
    let most = found.filters.iter().map(|filter| filter.outputs.len()).max().unwrap_or(0);
    found.filters.retain(|filter| EDGE * filter.outputs.len() >= most);
    let mut missing = vec![true; map.output_len()];
    found.filters.iter().flat_map(|filter| &filter.outputs).for_each(|(output, _)| missing[*output] = false);
    // by channel and weight, the filters and distances of taps
    let mut known: HashMap<(usize, i64), Vec<(usize, usize)>> = HashMap::new();
    for (i, filter) in found.filters.iter().enumerate() {
        for &(channel, offset, weight) in &filter.taps {
            known.entry((channel, weight)).or_default().push((i, offset));
        }
    }
    for output in (0..map.output_len()).filter(|output| missing[*output]) {
        let terms: HashMap<usize, i64> = map.row(output).collect();
        let Some((input, weight)) = map.row(output).next() else { continue };
        let (channel, position) = grid.place(input);
        let candidates = known.get(&(channel, weight)).map_or(&[][..], Vec::as_slice);
        let fits = |&(i, offset): &(usize, usize)| {
            let first = position as i64 - offset as i64;
            let mut seen = 0;
            let same = found.filters[i].taps.iter().all(|&(channel, offset, weight)| {
                let input = usize::try_from(first + offset as i64).ok().and_then(|at| grid.input(channel, at));
                seen += usize::from(input.is_some());
                input.is_none_or(|input| terms.get(&input) == Some(&weight))
            });
            (same && seen == terms.len()).then_some((i, first))
        };
        if let Some((i, first)) = candidates.iter().find_map(fits) {
            found.filters[i].outputs.push((output, first));
        }
    }
    found
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// The outputs of filters.
    pub(super) fn convolve(
        &mut self,
        result: &mut [Option<Expr<F>>],
        found: &Convolution,
        map: &Affine<i64, i128>,
        inputs: &[Valued<'_, F>],
    ) {
        let (grid, reach, taps) = (found.grid, found.reach(), found.taps());
        let cells: Vec<usize> = inputs.iter().map(|(x, value)| self.in_cell(x, *value)).collect();
        let mut values = vec![vec![F::ZERO; grid.len() + reach]; found.filters.len()];
        for ((channel, offset), weights) in &taps {
            let weights: Vec<F> = weights.iter().map(|&weight| field(weight.into())).collect();
            for position in 0..grid.len() {
                let Some(input) = grid.input(*channel, position) else { continue };
                let x = inputs[input].1;
                values.iter_mut().zip(&weights).for_each(|(y, w)| y[position + reach - offset] += x * w);
            }
        }

        let (zero, inverse) = self.projection_constants();
        let resume = self.rows();
        let (mut coefficients, mut sums) = (vec![], vec![]);
        for values in &values {
            self.jump(Some(zero));
            let rows = values.iter().rev().map(|&value| {
                let row = self.fresh_term(value, F::ONE);
                self.step(row, Powers::Theta);
                row
            });
            let mut rows: Vec<usize> = rows.collect();
            rows.reverse();
            coefficients.push(rows);
            sums.push(self.rows());
        }
        let entry = |input: Option<usize>| input.map_or(Entry::Fixed(F::ZERO), |input| Entry::Cell(cells[input]));
        let entries = |channel| (0..grid.len()).rev().map(move |at| entry(grid.input(channel, at)));
        let x: Vec<usize> = (0..found.channels).map(|c| self.sum_of(zero, entries(c), Powers::Theta)).collect();
        let weight = |&weight: &i64| Entry::Fixed(field(weight.into()));
        let weights: Vec<usize> =
            taps.iter().map(|(_, w)| self.sum_of(zero, w.iter().rev().map(weight), Powers::Alpha)).collect();
        // alpha^o / alpha, and theta^i behind a one
        self.jump(Some(inverse));
        let alpha: Vec<usize> = values.iter().map(|_| self.horner(ONE_ROW, F::ZERO, Powers::Alpha)).collect();
        self.jump(Some(inverse));
        self.horner(ONE_ROW, F::ZERO, Powers::Alpha);
        let theta: Vec<usize> = (0..=reach).map(|_| self.horner(ONE_ROW, F::ZERO, Powers::Theta)).collect();
        let filters: Vec<usize> = (0..found.channels)
            .map(|c| {
                let own = taps.iter().zip(&weights).filter(|(((channel, _), _), _)| *channel == c);
                let factors: Vec<_> = own.map(|(((_, offset), _), &w)| (theta[reach - offset], w)).collect();
                self.add_products(zero, factors.into_iter())
            })
            .collect();
        let left = self.add_products(zero, alpha.into_iter().zip(sums));
        let right = self.add_products(zero, x.into_iter().zip(filters));
        self.pin_rows(left.min(right), left.max(right));
        self.jump(Some(resume));
        for (filter, rows) in found.filters.iter().zip(&coefficients) {
            for &(output, first) in &filter.outputs {
                let at = usize::try_from(first + reach as i64).ok().and_then(|at| rows.get(at));
                result[output] = at.map(|&row| Expr::cell(row).offset(field(map.bias[output])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A convolution of `channels` images of `side x side` with `filters` filters of `kernel x kernel`; a weight in five is zero.
    pub fn convolution(
        (channels, side): (usize, usize),
        (filters, kernel): (usize, usize),
        (padding, stride): (usize, usize),
    ) -> Affine<i64, i128> {
        let input_len = channels * side * side;
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: vec![] };
        let weight = |o: usize, c: usize, k: usize| (7 * o * o + 5 * c + 3 * k * k + o * k) as i64 % 19 - 9;
        let out = (side + 2 * padding - kernel) / stride + 1;
        for o in 0..filters {
            for at in 0..out * out {
                for c in 0..channels {
                    for k in 0..kernel * kernel {
                        let y = (at / out * stride + k / kernel).wrapping_sub(padding);
                        let x = (at % out * stride + k % kernel).wrapping_sub(padding);
                        let weight = weight(o, c, k);
                        if y < side && x < side && (k + o) % 5 != 1 && weight != 0 {
                            map.columns.push((side * side * c + side * y + x) as u32);
                            map.weights.push(weight);
                        }
                    }
                }
                map.row_starts.push(map.columns.len() as u32);
                map.bias.push(o as i128);
            }
        }
        map
    }

    /// Every output that is found is the sum of its filter's taps at its position.
    fn holds(map: &Affine<i64, i128>, found: &Convolution) -> usize {
        let mut seen = vec![false; map.output_len()];
        for filter in &found.filters {
            for &(output, first) in &filter.outputs {
                assert!(!std::mem::replace(&mut seen[output], true));
                assert!(first + found.reach() as i64 >= 0);
                let input = |&(channel, offset, weight): &Tap| {
                    let position = usize::try_from(first + offset as i64).ok()?;
                    Some((found.grid.input(channel, position)?, weight))
                };
                let mut terms: Vec<(usize, i64)> = filter.taps.iter().filter_map(input).collect();
                terms.sort_unstable();
                assert_eq!(terms, map.row(output).collect::<Vec<_>>());
            }
        }
        seen.into_iter().filter(|seen| *seen).count()
    }

    #[test]
    fn convolutions_are_found() {
        let cases = [
            ((1, 12), (4, 5), (0, 1), 12),
            ((3, 10), (8, 3), (0, 1), 10),
            ((3, 10), (8, 3), (1, 1), 10),
            ((2, 12), (8, 5), (2, 1), 12),
            ((2, 13), (8, 5), (0, 2), 13),
        ];
        for (images, filters, geometry, side) in cases {
            let map = convolution(images, filters, geometry);
            let found = find(&map, 100).unwrap_or_else(|| panic!("{images:?} {filters:?} {geometry:?}"));
            assert_eq!((found.grid.channel, found.filters.len()), (side * side, filters.0), "{images:?} {geometry:?}");
            assert_eq!(holds(&map, &found), map.output_len(), "{images:?} {filters:?} {geometry:?}");
            assert_eq!(found.grid.padding > 0, geometry.0 > 0);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_moves() {
        let row = |i: usize| (0..40usize).map(move |j| (31 * j + 17 * i * i) as i64 % 101 - 50);
        let map = Affine {
            input_len: 40,
            row_starts: (0..=40).map(|i| 40 * i).collect(),
            columns: (0..40).flat_map(|_| 0..40).collect(),
            weights: (0..40).flat_map(row).collect(),
            bias: vec![0; 40],
        };
        assert_eq!(find(&map, 30), None);
    }
}
