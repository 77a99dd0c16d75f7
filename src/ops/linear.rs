//! Sparse affine maps with integer weights.

use super::BoundError;
use crate::graph::{Affine, Interval, MAX_BITS};

/// Whether the compressed rows are well formed and fit `len` inputs.
pub(super) fn accepts(map: &Affine<i64, i128>, len: usize) -> bool {
    let starts = &map.row_starts;
    map.input_len == len
        && starts.len() == map.output_len() + 1
        && starts.first() == Some(&0)
        && starts.is_sorted()
        && starts.last().is_some_and(|&end| end as usize == map.weights.len())
        && map.columns.len() == map.weights.len()
        && map.columns.iter().all(|&column| (column as usize) < len)
        && map.bias.iter().all(|bias| bias.unsigned_abs() >> MAX_BITS == 0)
}

pub(super) fn eval(map: &Affine<i64, i128>, inputs: &[&[i128]]) -> Vec<i128> {
    let x = inputs.concat();
    let row = |j: usize| map.row(j).map(|(i, w)| i128::from(w) * x[i]).sum::<i128>();
    (0..map.output_len()).map(|j| map.bias[j] + row(j)).collect()
}

/// Every partial sum, in the order of the row's terms and starting from zero or from the bias, stays within the bound,
/// because the bound is on the sum of the terms' magnitudes.
pub(super) fn bounds(map: &Affine<i64, i128>, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
    let x = inputs.concat();
    (0..map.output_len())
        .map(|j| {
            let (mut lo, mut hi, mut magnitude) = (map.bias[j], map.bias[j], map.bias[j].unsigned_abs());
            for (i, w) in map.row(j) {
                let w = i128::from(w);
                magnitude = w
                    .unsigned_abs()
                    .checked_mul(x[i].magnitude())
                    .and_then(|term| magnitude.checked_add(term))
                    .ok_or_else(|| BoundError::overflow(j, None))?;
                if magnitude >> MAX_BITS != 0 {
                    return Err(BoundError::overflow(j, Some(magnitude)));
                }
                let (a, b) = (w * x[i].lo, w * x[i].hi);
                lo += a.min(b);
                hi += a.max(b);
            }
            Interval::new(lo, hi).ok_or_else(|| BoundError::overflow(j, Some(magnitude)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{assert_pinned, single_op},
        ops::{BoundReason, Op},
    };

    fn map(rows: &[Vec<i64>], bias: &[i128]) -> Affine<i64, i128> {
        let input_len = rows[0].len();
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: bias.to_vec() };
        for row in rows {
            for (column, &weight) in row.iter().enumerate().filter(|(_, w)| **w != 0) {
                map.columns.push(column as u32);
                map.weights.push(weight);
            }
            map.row_starts.push(map.columns.len() as u32);
        }
        map
    }

    #[test]
    fn every_cell_is_pinned() {
        let op = Op::Linear(map(&[vec![3, -2, 0], vec![0, 0, 0], vec![-1, 1, 5]], &[7, 0, -4]));
        let model = single_op(op, &[(0, 7), (-3, 2), (5, 5)]);
        for input in [[0, -3, 5], [7, 2, 5], [3, 0, 5]] {
            assert_pinned(&model, &input);
        }
    }

    proptest! {
        /// The bounds are reached at corners, and nothing inside of the box leaves them.
        #[test]
        fn bounds_are_tight(
            rows in prop::collection::vec(prop::collection::vec(any::<i32>(), 4), 1..4),
            bias in any::<i64>(),
            ends in prop::collection::vec((any::<i64>(), any::<i64>()), 4),
            at in prop::collection::vec(0.0f64..=1.0, 4),
        ) {
            let rows: Vec<Vec<i64>> = rows.iter().map(|row| row.iter().map(|&w| w.into()).collect()).collect();
            let op = Op::Linear(map(&rows, &vec![bias.into(); rows.len()]));
            let x: Vec<Interval> =
                ends.iter().map(|&(a, b)| Interval::new(a.min(b).into(), a.max(b).into()).unwrap()).collect();
            let bounds = op.bounds(&[&x[..1], &x[1..]]).unwrap();
            let inside: Vec<i128> =
                x.iter().zip(&at).map(|(r, t)| r.lo + ((r.hi - r.lo) as f64 * t) as i128).map(|v| v.min(i64::MAX.into())).collect();
            for (j, bound) in bounds.iter().enumerate() {
                let corner = |least: bool| -> Vec<i128> {
                    x.iter().zip(&rows[j]).map(|(r, &w)| if (w < 0) == least { r.hi } else { r.lo }).collect()
                };
                prop_assert_eq!(op.eval(&[&corner(true)])[j], bound.lo);
                prop_assert_eq!(op.eval(&[&corner(false)])[j], bound.hi);
                if inside.iter().zip(&x).all(|(v, r)| r.contains(*v)) {
                    prop_assert!(bound.contains(op.eval(&[&inside])[j]));
                }
            }
        }
    }

    #[test]
    fn what_could_overflow_is_refused_by_element() {
        let wide = Interval::new(-(1 << 100), 1 << 100).unwrap();
        let op = Op::Linear(map(&[vec![1, 1], vec![1 << 19, 1 << 19]], &[0, 0]));
        assert_eq!(
            op.bounds(&[&[wide, wide]]),
            Err(BoundError { element: 1, reason: BoundReason::Overflow { bits: 121 } })
        );
        let op = Op::Linear(map(&[vec![i64::MAX, i64::MIN]], &[0]));
        assert_eq!(
            op.bounds(&[&[wide, wide]]),
            Err(BoundError { element: 0, reason: BoundReason::Overflow { bits: 128 } })
        );
        // Terms that cancel do not help: a partial sum is too large.
        let point = Interval::new(1 << 100, 1 << 100).unwrap();
        let op = Op::Linear(map(&[vec![1 << 20, -(1 << 20)]], &[0]));
        assert!(op.bounds(&[&[point, point]]).is_err());
    }
}
