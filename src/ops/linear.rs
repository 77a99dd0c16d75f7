//! Sparse affine maps with integer weights.

use ff::PrimeField;

use super::BoundError;
use crate::{
    circuit::{Expr, builder::field},
    graph::{Affine, Interval, MAX_BITS},
};

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
                    .ok_or_else(|| BoundError::new(j, None))?;
                if magnitude >> MAX_BITS != 0 {
                    return Err(BoundError::new(j, Some(magnitude)));
                }
                let (a, b) = (w * x[i].lo, w * x[i].hi);
                lo += a.min(b);
                hi += a.max(b);
            }
            Interval::new(lo, hi).ok_or_else(|| BoundError::new(j, Some(magnitude)))
        })
        .collect()
}

/// A linear map lays out nothing by itself: its outputs are expressions, which whoever consumes them accumulates.
pub(super) fn lay_out<F: PrimeField>(map: &Affine<i64, i128>, inputs: &[Expr<F>]) -> Vec<Expr<F>> {
    let output = |j: usize| {
        let mut sum = Expr::constant(field(map.bias[j]));
        map.row(j).for_each(|(i, w)| sum.add_scaled(&inputs[i], field(w.into())));
        sum
    };
    (0..map.output_len()).map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::testing::{assert_pinned, single_op},
        ops::Op,
    };

    fn map(rows: &[&[i64]], bias: &[i128]) -> Affine<i64, i128> {
        let mut map = Affine {
            input_len: rows[0].len(),
            row_starts: vec![0],
            columns: vec![],
            weights: vec![],
            bias: bias.to_vec(),
        };
        for row in rows {
            for (i, &w) in row.iter().enumerate().filter(|(_, w)| **w != 0) {
                map.columns.push(i as u32);
                map.weights.push(w);
            }
            map.row_starts.push(map.columns.len() as u32);
        }
        map
    }

    #[test]
    fn every_cell_is_pinned() {
        let op = Op::Linear(map(&[&[3, -2, 0], &[0, 0, 0], &[-1, 1, 5]], &[7, 0, -4]));
        let model = single_op(op, &[(0, 7), (-3, 2), (5, 5)]);
        for input in [[0, -3, 5], [7, 2, 5], [3, 0, 5]] {
            assert_pinned(&model, &input);
        }
    }

    #[test]
    fn bounds_are_tight_and_overflow_is_refused() {
        let op = map(&[&[3, -2]], &[10]);
        let x = [Interval { lo: -1, hi: 4 }, Interval { lo: 0, hi: 5 }];
        assert_eq!(bounds(&op, &[&x]), Ok(vec![Interval { lo: -3, hi: 22 }]));

        let big = Interval { lo: 0, hi: (1 << 119) - 1 };
        let error = bounds(&map(&[&[0, 1], &[1, 3]], &[0, 0]), &[&[big, big]]).unwrap_err();
        assert_eq!((error.element, error.bits), (1, 121));
        let wide = Interval { lo: 0, hi: 1 << 100 };
        assert_eq!(bounds(&map(&[&[i64::MIN]], &[0]), &[&[wide]]).unwrap_err().bits, 128);
    }
}
