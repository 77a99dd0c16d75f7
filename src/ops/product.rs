//! Sums of products of two tensors: batches of matrix products; elementwise products are those of one-by-one matrices.

use serde::{Deserialize, Serialize};

use super::BoundError;
use crate::graph::{Interval, MAX_BITS};

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
        let [Some(left), Some(right), Some(_)] = sizes else { return false };
        self.inner > 0 && left.checked_add(right) == Some(len)
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
}
