//! Products of matrices, checked by their projections (Freivalds, 1977).
//!
//! For `y[t][i] = sum_j w[j][i] x[t][j]` the powers of two challenges project both sides to one number:
//!
//! ```text
//! sum_t theta^t sum_i alpha^i y[t][i] = sum_j (sum_t theta^t x[t][j]) (sum_i alpha^i w[j][i])
//! ```
//!
//! so `T m + m n + T n` rows take the place of `T m n`. An input with few weights stands beside the outputs that read it: it is in no sum of
//! its own, and `y[t][i] - w[j][i] x[t][j]` is summed up in the place of `y[t][i]`. All `x`, `y` and `w` are committed to, or fixed, before the challenges are
//! drawn. If some `y` is wrong, the difference of both sides is a polynomial in `alpha` and `theta` that is not zero, of degree
//! below `n + T`: both are equal with a chance of at most `(n + T) / r`, below `2^-230` (Schwartz, Zippel).
//!
//! Sums are evaluated by Horner's rule in `c`: `c1 = alpha c + w a / alpha` in a row with `step_alpha` on. They start in a cell that is
//! zero: `c` *jumps* there in a row that is off, that is, the gate says nothing of the next cell, and a copy ties it. All sums
//! have the factor `1 / alpha`, and products of two of them its square, on both sides.

use std::sync::Arc;

use ff::PrimeField;

use super::{
    builder::{ONE_ROW, PhasedBuilder},
    convolution::{self, Convolution},
    packed,
    shared::{self, Shared},
};
use crate::{
    circuit::gadgets::{Expr, Valued, field},
    graph::{Affine, Interval},
    ops::Product,
};

/// An entry of a matrix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<F> {
    Fixed(F),
    /// The cell in a row of `a`.
    Cell(usize),
}

/// Cells and constants, each with what is added to it, and the factor of all cells.
type Alike<F> = (Vec<(Entry<F>, F)>, F);

/// What sums of a linear map have in common.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Convolution(Convolution),
    Shared(Vec<Shared>),
}

/// Which challenge a sum is by the powers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Powers {
    Alpha,
    Theta,
}

impl<F: PrimeField> PhasedBuilder<F> {
    /// Rows of `c` with zero and with `1 / alpha`.
    pub(super) fn projection_constants(&mut self) -> (usize, usize) {
        if let Some(rows) = self.constants {
            return rows;
        }
        let resume = self.rows();
        self.jump(None);
        // alpha c = c leaves zero
        let zero = self.horner(ONE_ROW, F::ZERO, Powers::Alpha);
        self.pin_rows(zero, zero + 1);
        let inverse = self.term(ONE_ROW, F::ONE) + 1;
        self.jump(Some(resume));
        self.constants = Some((zero, inverse));
        (zero, inverse)
    }

    /// A row of Horner's rule with a copy of a cell.
    pub(super) fn horner(&mut self, cell: usize, weight: F, powers: Powers) -> usize {
        let row = self.term(cell, weight);
        self.step(row, powers);
        row
    }

    /// The sum of entries by powers, the first one with the highest; returns the row of `c` that it is in. That of the same cells is there
    /// once.
    pub(super) fn sum_of(&mut self, zero: usize, entries: impl Iterator<Item = Entry<F>>, powers: Powers) -> usize {
        let entries: Vec<Entry<F>> = entries.collect();
        let cell = |entry: &Entry<F>| if let Entry::Cell(cell) = entry { Some(*cell) } else { None };
        let key = entries.iter().map(cell).collect::<Option<Vec<usize>>>().map(|cells| (cells, powers));
        if let Some(row) = key.as_ref().and_then(|key| self.horner_sums.get(key)) {
            return *row;
        }
        self.jump(Some(zero));
        for entry in entries {
            match entry {
                Entry::Fixed(value) => self.horner(ONE_ROW, value, powers),
                Entry::Cell(cell) => self.horner(cell, F::ONE, powers),
            };
        }
        let row = self.rows();
        self.horner_sums.extend(key.map(|key| (key, row)));
        row
    }

    /// `from` and the products of the cells of `c` in these rows; returns the row of `c` that the sum is in.
    pub(super) fn add_products(&mut self, from: usize, factors: impl Iterator<Item = (usize, usize)>) -> usize {
        let mut sum = from;
        self.jump(Some(sum));
        for (left, right) in factors {
            self.times();
            self.jump(Some(left));
            self.jump(Some(right));
            sum = self.product_of_jumps();
        }
        sum
    }

    /// New cells for `y = x w` and the terms `beside[t][i]`, `y[t][i]` of the given values. There may be none beside.
    pub(super) fn project(
        &mut self,
        x: &[Vec<Entry<F>>],
        w: &[Vec<Entry<F>>],
        beside: &[Vec<Vec<(usize, F)>>],
        values: &[Vec<F>],
    ) -> Vec<Vec<usize>> {
        let (zero, inverse) = self.projection_constants();
        let resume = self.rows();
        // outputs, of which the last is the first in Horner's rule
        let (mut outputs, mut sums) = (vec![], vec![]);
        for (t, values) in values.iter().enumerate() {
            self.jump(Some(zero));
            let cells = values.iter().enumerate().rev().map(|(i, &value)| {
                let row = self.fresh_term(value, F::ONE);
                self.step(row, Powers::Alpha);
                for &(cell, factor) in beside.get(t).and_then(|beside| beside.get(i)).into_iter().flatten() {
                    self.term(cell, -factor);
                }
                row
            });
            let mut cells: Vec<usize> = cells.collect();
            cells.reverse();
            outputs.push(cells);
            sums.push(self.rows());
        }
        let inputs: Vec<usize> =
            (0..w.len()).map(|j| self.sum_of(zero, x.iter().rev().map(|x| x[j]), Powers::Theta)).collect();
        let weights: Vec<usize> = w.iter().map(|w| self.sum_of(zero, w.iter().rev().copied(), Powers::Alpha)).collect();
        // theta^t / alpha
        self.jump(Some(inverse));
        let powers: Vec<usize> = (0..x.len()).map(|_| self.horner(ONE_ROW, F::ZERO, Powers::Theta)).collect();
        let left = self.add_products(zero, powers.into_iter().zip(sums));
        let right = self.add_products(zero, inputs.into_iter().zip(weights));
        self.pin_rows(left.min(right), left.max(right));
        self.jump(Some(resume));
        outputs
    }

    /// The products of a batch of matrices.
    pub(super) fn projected_products(&mut self, product: &Product, factors: &[Valued<'_, F>]) -> Vec<Expr<F>> {
        let Product { batch, rows, inner, columns } = *product;
        let entry = |&(x, value): &Valued<'_, F>| match x.terms.is_empty() {
            true => Entry::Fixed(x.constant),
            false => Entry::Cell(self.in_cell(x, value)),
        };
        let entries: Vec<Entry<F>> = factors.iter().map(entry).collect();
        let mut result = Vec::with_capacity(product.output_len());
        for b in 0..batch {
            let left = |t: usize, j: usize| (b * rows + t) * inner + j;
            let right = |j: usize, i: usize| product.left_len() + (b * inner + j) * columns + i;
            let matrix = |rows: usize, columns: usize, at: &dyn Fn(usize, usize) -> usize| -> Vec<Vec<Entry<F>>> {
                (0..rows).map(|t| (0..columns).map(|j| entries[at(t, j)]).collect()).collect()
            };
            let (x, w) = (matrix(rows, inner, &left), matrix(inner, columns, &right));
            let value = |t: usize, i: usize| (0..inner).map(|j| factors[left(t, j)].1 * factors[right(j, i)].1).sum();
            let values: Vec<Vec<F>> = (0..rows).map(|t| (0..columns).map(|i| value(t, i)).collect()).collect();
            result.extend(self.project(&x, &w, &[], &values).into_iter().flatten().map(Expr::cell));
        }
        result
    }

    /// What sums of a linear map have in common, found once. `biased` is as in [`shared::find`].
    pub(super) fn found_in(&mut self, map: &Affine<i64, i128>, ranges: &[Interval], biased: bool) -> Arc<Found> {
        let known = self.known.get(self.found.len()).cloned();
        let found = known.unwrap_or_else(|| {
            let bits = ranges.iter().map(packed::digit_bits).max().unwrap_or(0);
            let convolution = convolution::find(map, bits);
            let by_convolution = convolution.as_ref().map_or(0, |found| found.saved(bits));
            // nothing saves more than all rows
            let all = packed::rows(map.weights.len(), map.output_len(), bits);
            let shared = if 2 * by_convolution > all { vec![] } else { shared::find(map, bits, biased) };
            let by_sharing: usize = shared.iter().map(|shared| shared.saved(bits)).sum();
            Arc::new(match convolution {
                Some(convolution) if by_convolution > by_sharing => Found::Convolution(convolution),
                _ => Found::Shared(shared),
            })
        });
        self.found.push(found.clone());
        found
    }

    /// The outputs of products with shared matrices.
    pub(super) fn project_shared(
        &mut self,
        result: &mut [Option<Expr<F>>],
        shared: &[Shared],
        map: &Affine<i64, i128>,
        inputs: &[Valued<'_, F>],
    ) {
        let mut cells: Vec<Option<usize>> = vec![None; inputs.len()];
        for of @ Shared { weights, bias, inputs: x, outputs: y } in shared {
            // an input is a cell times a factor, the same in all vectors, and a constant: the weights have the factor, and the constant's
            // product with them is added to what comes out
            let [mut columns, mut w]: [Vec<Vec<Entry<F>>>; 2] = [vec![], vec![]];
            let mut added: Vec<Vec<F>> = vec![vec![F::ZERO; of.len()]; x.len()];
            let mut beside: Vec<Vec<Vec<(usize, F)>>> = vec![];
            for (j, weights) in weights.iter().enumerate() {
                if of.is_beside(weights) {
                    beside.resize(x.len(), vec![vec![]; of.len()]);
                    for ((x, beside), added) in x.iter().zip(&mut beside).zip(&mut added) {
                        let (x, value) = inputs[x[j] as usize];
                        let cell = (!x.terms.is_empty()).then(|| self.scaled_cell(x, value));
                        let constant = cell.map_or(x.constant, |cell| cell.2);
                        for ((beside, added), &weight) in
                            beside.iter_mut().zip(added).zip(weights).filter(|of| *of.1 != 0)
                        {
                            let weight: F = field(weight.into());
                            beside.extend(cell.map(|(cell, factor, _)| (cell, weight * factor)));
                            *added += weight * constant;
                        }
                    }
                    continue;
                }
                let inputs = || x.iter().map(|x| (x[j] as usize, inputs[x[j] as usize]));
                let (column, factor) = self.alike(inputs().map(|(_, input)| input.0)).unwrap_or_else(|| {
                    let mut cell = |(place, (x, value)): (usize, Valued<'_, F>)| {
                        *cells[place].get_or_insert_with(|| self.in_cell(x, value))
                    };
                    (inputs().map(|input| (Entry::Cell(cell(input)), F::ZERO)).collect(), F::ONE)
                });
                let weights: Vec<F> = weights.iter().map(|&weight| field(weight.into())).collect();
                for (added, (_, constant)) in added.iter_mut().zip(&column).filter(|(_, (_, c))| *c != F::ZERO) {
                    added.iter_mut().zip(&weights).for_each(|(added, weight)| *added += *weight * constant);
                }
                columns.push(column.into_iter().map(|of| of.0).collect());
                w.push(weights.into_iter().map(|weight| Entry::Fixed(weight * factor)).collect());
            }
            match bias {
                // the weight of an input that is one
                Some(bias) => {
                    columns.push(vec![Entry::Cell(ONE_ROW); x.len()]);
                    w.push(bias.iter().map(|&bias| Entry::Fixed(field(bias))).collect());
                }
                None => {
                    let biases = y.iter().map(|y| y.iter().map(|&output| field::<F>(map.bias[output as usize])));
                    added.iter_mut().zip(biases).for_each(|(added, biases)| {
                        added.iter_mut().zip(biases).for_each(|(added, bias)| *added += bias);
                    });
                }
            }
            let x: Vec<Vec<Entry<F>>> =
                (0..x.len()).map(|t| columns.iter().map(|column| column[t]).collect()).collect();
            let value = |(&output, &added): (&u32, &F)| {
                let terms = map.row(output as usize).map(|(i, w)| field::<F>(w.into()) * inputs[i].1);
                terms.fold(field::<F>(map.bias[output as usize]) - added, |sum, term| sum + term)
            };
            let values: Vec<Vec<F>> =
                y.iter().zip(&added).map(|(y, added)| y.iter().zip(added).map(value).collect()).collect();
            for ((places, cells), added) in y.iter().zip(self.project(&x, &w, &beside, &values)).zip(added) {
                for ((&place, cell), added) in places.iter().zip(cells).zip(added) {
                    result[place as usize] = Some(Expr::cell(cell).offset(added));
                }
            }
        }
    }

    /// Expressions as cells and constants with one factor for all cells, if they are of one cell at most and have that in common.
    fn alike<'a>(&self, expressions: impl Iterator<Item = &'a Expr<F>>) -> Option<Alike<F>>
    where
        F: 'a,
    {
        let mut common = None;
        let of = |x: &Expr<F>| {
            if x.terms.is_empty() {
                return Some((Entry::Fixed(F::ZERO), x.constant));
            }
            let (cell, factor, constant) = self.single_cell(x)?;
            (*common.get_or_insert(factor) == factor).then_some((Entry::Cell(cell), constant))
        };
        let entries: Option<Vec<(Entry<F>, F)>> = expressions.map(of).collect();
        Some((entries?, common.unwrap_or(F::ONE)))
    }
}
