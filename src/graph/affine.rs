//! Building, applying and composing float affine maps.

use super::Affine;

/// Builds an affine map row by row and keeps its invariants: columns strictly increasing, no zero weight.
pub struct AffineBuilder {
    map: Affine<f64, f64>,
}

impl AffineBuilder {
    /// A map without rows over `input_len` inputs.
    pub fn new(input_len: usize) -> Self {
        let map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: vec![] };
        Self { map }
    }

    /// Appends the row `y = bias + sum of weight * x[column]`. Terms may come in any order; those of one column are
    /// added up.
    ///
    /// Every column must be less than `input_len`.
    pub fn push(&mut self, mut terms: Vec<(usize, f64)>, bias: f64) {
        if !terms.is_sorted_by(|a, b| a.0 < b.0) {
            terms.sort_by_key(|&(column, _)| column);
            terms.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
        for (column, weight) in terms {
            debug_assert!(column < self.map.input_len);
            if weight != 0.0 {
                self.map.columns.push(column as u32);
                self.map.weights.push(weight);
            }
        }
        self.map.row_starts.push(self.map.columns.len() as u32);
        self.map.bias.push(bias);
    }

    /// The map.
    pub fn finish(self) -> Affine<f64, f64> {
        self.map
    }
}

impl Affine<f64, f64> {
    /// The map `y[j] = x[columns[j]]`: a permutation, a slice or a repetition.
    pub fn selection(input_len: usize, columns: impl IntoIterator<Item = usize>) -> Self {
        let mut rows = AffineBuilder::new(input_len);
        for column in columns {
            rows.push(vec![(column, 1.0)], 0.0);
        }
        rows.finish()
    }

    /// `W x + b`. What a sum loses is added at its end (Neumaier's summation), so that a small term survives huge ones that
    /// cancel, such as those of a mask. `x` has `input_len` elements.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        let row = |j: usize| {
            let (mut sum, mut lost) = (self.bias[j], 0.0);
            for (i, w) in self.row(j) {
                let term = w * x[i];
                let next: f64 = sum + term;
                lost += if sum.abs() >= term.abs() { (sum - next) + term } else { (term - next) + sum };
                sum = next;
            }
            sum + lost
        };
        (0..self.output_len()).map(row).collect()
    }

    /// The same map over an input whose element `i` has moved to `columns[i]` of `input_len` elements; terms that now
    /// read the same element are added up.
    pub fn relocate(&self, input_len: usize, columns: &[usize]) -> Self {
        let mut rows = AffineBuilder::new(input_len);
        for j in 0..self.output_len() {
            rows.push(self.row(j).map(|(i, w)| (columns[i], w)).collect(), self.bias[j]);
        }
        rows.finish()
    }

    /// This map with inputs `offset..offset + inner.output_len()` computed by `inner`, whose inputs take their place.
    ///
    /// `None` if the composition has more than `max_weights` weights.
    pub fn compose(&self, offset: usize, inner: &Self, max_weights: usize) -> Option<Self> {
        let end = offset + inner.output_len();
        let input_len = self.input_len - inner.output_len() + inner.input_len;
        let mut rows = AffineBuilder::new(input_len);
        let mut sums = vec![0.0; inner.input_len];
        let mut seen = vec![false; inner.input_len];
        for j in 0..self.output_len() {
            let (mut before, mut after, mut touched) = (vec![], vec![], vec![]);
            let mut bias = self.bias[j];
            for (i, w) in self.row(j) {
                if i < offset {
                    before.push((i, w));
                } else if i >= end {
                    after.push((i - end + offset + inner.input_len, w));
                } else {
                    bias += w * inner.bias[i - offset];
                    for (k, v) in inner.row(i - offset) {
                        if !std::mem::replace(&mut seen[k], true) {
                            touched.push(k);
                        }
                        sums[k] += w * v;
                    }
                }
            }
            touched.sort_unstable();
            for k in touched {
                seen[k] = false;
                before.push((offset + k, std::mem::take(&mut sums[k])));
            }
            before.append(&mut after);
            rows.push(before, bias);
            if rows.map.weights.len() > max_weights {
                return None;
            }
        }
        Some(rows.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(rows: &[(&[f64], f64)]) -> Affine<f64, f64> {
        let mut map = AffineBuilder::new(rows[0].0.len());
        for (weights, bias) in rows {
            map.push(weights.iter().copied().enumerate().collect(), *bias);
        }
        map.finish()
    }

    #[test]
    fn rows_are_sorted_merged_and_sparse() {
        let mut rows = AffineBuilder::new(4);
        rows.push(vec![(3, 1.0), (1, 2.0), (3, 0.5), (0, 0.0)], 7.0);
        let map = rows.finish();
        assert_eq!((map.columns.clone(), map.weights.clone()), (vec![1, 3], vec![2.0, 1.5]));
        assert_eq!(map.apply(&[9.0, 1.0, 9.0, 2.0]), [12.0]);
    }

    #[test]
    fn composition_is_application_after_application() {
        let inner = dense(&[(&[1.0, -2.0], 0.5), (&[0.0, 4.0], -1.0)]);
        let outer = dense(&[(&[1.0, 2.0, 3.0, 4.0], 10.0), (&[0.0, -1.0, 0.5, 0.0], 0.0)]);
        let composed = outer.compose(1, &inner, 100).unwrap();
        let y = inner.apply(&[3.0, 5.0]);
        assert_eq!(composed.apply(&[7.0, 3.0, 5.0, 2.0]), outer.apply(&[7.0, y[0], y[1], 2.0]));
        assert_eq!(outer.compose(1, &inner, 5), None);
    }

    #[test]
    fn cancelled_weights_vanish() {
        let inner = dense(&[(&[1.0, 2.0], 0.0), (&[1.0, -2.0], 0.0)]);
        let composed = dense(&[(&[1.0, 1.0], 0.0)]).compose(0, &inner, 100).unwrap();
        assert_eq!((composed.columns, composed.weights), (vec![0], vec![2.0]));
    }
}
