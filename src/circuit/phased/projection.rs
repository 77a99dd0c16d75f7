//! Products of matrices, checked by their projections (Freivalds, 1977).
//!
//! For `y[t][i] = sum_j w[j][i] x[t][j]` the powers of two challenges project both sides to one number:
//!
//! ```text
//! sum_t theta^t sum_i alpha^i y[t][i] = sum_j (sum_t theta^t x[t][j]) (sum_i alpha^i w[j][i])
//! ```
//!
//! so `T m + m n + T n` rows take the place of `T m n`. All `x`, `y` and `w` are committed to, or fixed, before the challenges are
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

/// What sums of a linear map have in common.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Convolution(Convolution),
    Shared(Vec<Shared>),
}

/// Which challenge a sum is by the powers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// The sum of entries by powers, the first one with the highest; returns the row of `c` that it is in.
    pub(super) fn sum_of(&mut self, zero: usize, entries: impl Iterator<Item = Entry<F>>, powers: Powers) -> usize {
        self.jump(Some(zero));
        for entry in entries {
            match entry {
                Entry::Fixed(value) => self.horner(ONE_ROW, value, powers),
                Entry::Cell(cell) => self.horner(cell, F::ONE, powers),
            };
        }
        self.rows()
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

    /// New cells for `y = x w`, `y[t][i]` of the given values: `x[t][j]` are cells, `w[j][i]` cells or fixed.
    pub(super) fn project(&mut self, x: &[Vec<usize>], w: &[Vec<Entry<F>>], values: &[Vec<F>]) -> Vec<Vec<usize>> {
        let (zero, inverse) = self.projection_constants();
        let resume = self.rows();
        // outputs, of which the last is the first in Horner's rule
        let (mut outputs, mut sums) = (vec![], vec![]);
        for values in values {
            self.jump(Some(zero));
            let cells = values.iter().rev().map(|&value| {
                let row = self.fresh_term(value, F::ONE);
                self.step(row, Powers::Alpha);
                row
            });
            let mut cells: Vec<usize> = cells.collect();
            cells.reverse();
            outputs.push(cells);
            sums.push(self.rows());
        }
        let inputs: Vec<usize> =
            (0..w.len()).map(|j| self.sum_of(zero, x.iter().rev().map(|x| Entry::Cell(x[j])), Powers::Theta)).collect();
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
        let cells: Vec<usize> = factors.iter().map(|(x, value)| self.in_cell(x, *value)).collect();
        let mut result = Vec::with_capacity(product.output_len());
        for b in 0..batch {
            let left = |t: usize, j: usize| (b * rows + t) * inner + j;
            let right = |j: usize, i: usize| product.left_len() + (b * inner + j) * columns + i;
            let x: Vec<Vec<usize>> = (0..rows).map(|t| (0..inner).map(|j| cells[left(t, j)]).collect()).collect();
            let row = |j: usize| (0..columns).map(|i| Entry::Cell(cells[right(j, i)])).collect();
            let w: Vec<Vec<Entry<F>>> = (0..inner).map(row).collect();
            let value = |t: usize, i: usize| (0..inner).map(|j| factors[left(t, j)].1 * factors[right(j, i)].1).sum();
            let values: Vec<Vec<F>> = (0..rows).map(|t| (0..columns).map(|i| value(t, i)).collect()).collect();
            result.extend(self.project(&x, &w, &values).into_iter().flatten().map(Expr::cell));
        }
        result
    }

    /// What sums of a linear map have in common, found once.
    pub(super) fn found_in(&mut self, map: &Affine<i64, i128>, ranges: &[Interval]) -> Arc<Found> {
        let known = self.known.get(self.found.len()).cloned();
        let found = known.unwrap_or_else(|| {
            let bits = ranges.iter().map(packed::digit_bits).max().unwrap_or(0);
            let convolution = convolution::find(map, bits);
            let by_convolution = convolution.as_ref().map_or(0, |found| found.saved(bits));
            // nothing saves more than all rows
            let all = packed::rows(map.weights.len(), map.output_len(), bits);
            let shared = if 2 * by_convolution > all { vec![] } else { shared::find(map, bits) };
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
        let value = |output: &u32| {
            let terms = map.row(*output as usize).map(|(i, w)| field::<F>(w.into()) * inputs[i].1);
            terms.fold(field(map.bias[*output as usize]), |sum, term| sum + term)
        };
        let mut cells: Vec<Option<usize>> = vec![None; inputs.len()];
        for Shared { weights, bias, inputs: x, outputs: y } in shared {
            // an input is a cell times a factor and a constant, the same in all vectors: the weights have the factor, the bias has the
            // constant's products
            let mut columns = vec![];
            let mut bias: Vec<F> = bias.iter().map(|&bias| field(bias)).collect();
            let mut w: Vec<Vec<Entry<F>>> = vec![];
            for (j, weights) in weights.iter().enumerate() {
                let single = |x: &Vec<u32>| self.single_cell(inputs[x[j] as usize].0);
                let singles: Option<Vec<(usize, F, F)>> = x.iter().map(single).collect();
                let alike = singles.and_then(|singles| {
                    let &(_, factor, constant) = singles.first()?;
                    let same = singles.iter().all(|one| (one.1, one.2) == (factor, constant));
                    same.then(|| (singles.iter().map(|one| one.0).collect(), factor, constant))
                });
                let (column, factor, constant) = match alike {
                    Some(alike) => alike,
                    None => {
                        let mut cell = |input: usize| {
                            *cells[input].get_or_insert_with(|| self.in_cell(inputs[input].0, inputs[input].1))
                        };
                        (x.iter().map(|x| cell(x[j] as usize)).collect::<Vec<usize>>(), F::ONE, F::ZERO)
                    }
                };
                columns.push(column);
                let weights = weights.iter().map(|&weight| field::<F>(weight.into()));
                bias.iter_mut().zip(weights.clone()).for_each(|(bias, weight)| *bias += weight * constant);
                w.push(weights.map(|weight| Entry::Fixed(weight * factor)).collect());
            }
            // the bias is the weight of an input that is one
            let of_vector = |t: usize| columns.iter().map(|column| column[t]).chain([ONE_ROW]).collect();
            let x: Vec<Vec<usize>> = (0..x.len()).map(of_vector).collect();
            w.push(bias.into_iter().map(Entry::Fixed).collect());
            let values: Vec<Vec<F>> = y.iter().map(|y| y.iter().map(value).collect()).collect();
            for (places, cells) in y.iter().zip(self.project(&x, &w, &values)) {
                places.iter().zip(cells).for_each(|(&place, cell)| result[place as usize] = Some(Expr::cell(cell)));
            }
        }
    }
}
