//! Sums of products of two tensors: batches of matrix products; elementwise products are those of one-by-one matrices.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::BoundError;
use crate::{
    circuit::{Expr, Gadgets, field},
    graph::{Interval, MAX_BITS, MAX_ELEMENTS},
};

/// The most products that one operator may sum up, over all elements.
const MAX_TERMS: usize = 4 * MAX_ELEMENTS;

/// `y[b, i, j] = sum over k of a[b, i, k] * c[b, k, j]`: `batch` products of a `rows x inner` and an `inner x columns`
/// matrix. The inputs are `a`, then `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub batch: usize,
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
}

impl Product {
    /// The elementwise product of two tensors of `len` elements.
    pub fn elementwise(len: usize) -> Self {
        Self { batch: len, rows: 1, inner: 1, columns: 1 }
    }

    /// Number of elements of the left operand.
    pub fn left_len(&self) -> usize {
        self.batch * self.rows * self.inner
    }

    /// Number of elements of the result.
    pub fn output_len(&self) -> usize {
        self.batch * self.rows * self.columns
    }

    pub(super) fn accepts(&self, len: usize) -> bool {
        let count = |a: usize, b: usize| self.batch.checked_mul(a)?.checked_mul(b);
        let sizes = [count(self.rows, self.inner), count(self.inner, self.columns), count(self.rows, self.columns)];
        let [Some(left), Some(right), Some(output)] = sizes else { return false };
        let terms = output.checked_mul(self.inner);
        left.checked_add(right) == Some(len)
            && output <= MAX_ELEMENTS
            && terms.is_some_and(|terms| (1..=MAX_TERMS).contains(&terms))
    }

    /// The places in the concatenated inputs of the factors of every term of output element `j`.
    pub fn terms(&self, j: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self { rows, inner, columns, .. } = *self;
        let left_len = self.left_len();
        let (row, column) = (j / columns, j % columns);
        let batch = row / rows;
        (0..inner).map(move |k| (row * inner + k, left_len + (batch * inner + k) * columns + column))
    }

    /// [`Self::eval`] in floats: `x` holds both operands.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        (0..self.output_len()).map(|j| self.terms(j).map(|(a, b)| x[a] * x[b]).sum()).collect()
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        let x = inputs.concat();
        (0..self.output_len()).map(|j| self.terms(j).map(|(a, b)| x[a] * x[b]).sum()).collect()
    }

    /// Partial sums stay within the bound, because it is on the sum of the terms' magnitudes.
    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let x = inputs.concat();
        (0..self.output_len())
            .map(|j| {
                let (mut lo, mut hi, mut magnitude) = (0, 0, 0u128);
                for (a, b) in self.terms(j) {
                    magnitude = x[a]
                        .magnitude()
                        .checked_mul(x[b].magnitude())
                        .and_then(|term| magnitude.checked_add(term))
                        .ok_or_else(|| BoundError::overflow(j, None))?;
                    if magnitude >> MAX_BITS != 0 {
                        return Err(BoundError::overflow(j, Some(magnitude)));
                    }
                    let corners = [x[a].lo * x[b].lo, x[a].lo * x[b].hi, x[a].hi * x[b].lo, x[a].hi * x[b].hi];
                    lo += corners.into_iter().fold(i128::MAX, i128::min);
                    hi += corners.into_iter().fold(i128::MIN, i128::max);
                }
                Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(j, Some(magnitude)))
            })
            .collect()
    }

    pub(super) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        inputs: &[Expr<F>],
        values: &[i128],
    ) -> Vec<Expr<F>> {
        let factors: Vec<_> = inputs.iter().zip(values).map(|(x, &value)| (x, field(value))).collect();
        gadgets.products(self, &factors)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{assert_pinned, single_op},
        ops::Op,
    };

    #[test]
    fn every_cell_is_pinned() {
        let products = Op::Product(Product::elementwise(2));
        let model = single_op(products, &[(-2, 3), (1, 4), (-1, 1), (0, 2)]);
        for x in [[-2, 4, 1, 2], [0, 1, -1, 0], [3, 3, 0, 1]] {
            assert_pinned(&model, &x);
        }
        let dot = Op::Product(Product { batch: 1, rows: 1, inner: 2, columns: 1 });
        assert_pinned(&single_op(dot, &[(-2, 2), (5, 5), (-1, 3), (0, 1)]), &[-2, 5, 3, 1]);
    }

    #[test]
    fn matrices_that_share_squares_are_pinned() {
        let op = Op::Product(Product { batch: 1, rows: 2, inner: 1, columns: 3 });
        let model = single_op(op, &[(-2, 2), (-1, 2), (0, 3), (-3, 3), (2, 2)]);
        assert_pinned(&model, &[-2, 1, 3, -3, 2]);
    }

    #[test]
    fn what_does_not_fit_is_not_accepted() {
        let accepts =
            |batch, rows, inner, columns, len| Op::Product(Product { batch, rows, inner, columns }).accepts(len);
        assert!(accepts(2, 3, 4, 5, 2 * 4 * 8));
        assert!(!accepts(2, 3, 4, 5, 2 * 4 * 8 + 1));
        assert!(!accepts(1, 1, 0, 1, 0));
        assert!(!accepts(1, 1 << 20, 1, 1 << 20, 1 << 21));
        assert!(!accepts(usize::MAX, 2, 1, 1, 3));
    }

    proptest! {
        /// Batches of products against the definition, and intervals that hold.
        #[test]
        fn products_of_matrices(
            sizes in (1usize..3, 1usize..4, 1usize..4, 1usize..4),
            seed in prop::collection::vec((-1000i128..1000, 0i128..1000), 72),
        ) {
            let (batch, rows, inner, columns) = sizes;
            let product = Product { batch, rows, inner, columns };
            let len = batch * inner * (rows + columns);
            let ranges: Vec<_> = seed.iter().cycle().take(len).map(|&(lo, w)| Interval { lo, hi: lo + w }).collect();
            let x: Vec<i128> = ranges.iter().enumerate().map(|(i, r)| [r.lo, r.hi, (r.lo + r.hi) / 2][i % 3]).collect();
            prop_assert!(Op::Product(product).accepts(len));
            let y = Op::Product(product).eval(&[&x]);
            let bounds = Op::Product(product).bounds(&[&ranges]).unwrap();
            let right = batch * rows * inner;
            for b in 0..batch {
                for i in 0..rows {
                    for j in 0..columns {
                        let term = |k: usize| x[(b * rows + i) * inner + k] * x[right + (b * inner + k) * columns + j];
                        let at = (b * rows + i) * columns + j;
                        prop_assert_eq!(y[at], (0..inner).map(term).sum::<i128>());
                        prop_assert!(bounds[at].contains(y[at]));
                    }
                }
            }
        }
    }
}
