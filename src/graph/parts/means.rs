//! Proved ranges of weighted means `P / d`, where `P = sum e_j v_j` and the divisor is at least a multiple of the sum of the `e_j`.
//!
//! With `e_j >= 0`, `l <= v_j <= h`, `l <= 0 <= h` and `sum e_j <= w d`, the numerator `P` is between `l w d` and `h w d`, and the mean
//! between `l w` and `h w`, whatever the range of `P`. An `e_j` that is in `P` several times has the sum of its `v_j` for one, over its own
//! weight in the divisor. Integers are divided: `P` may have been rescaled, so that it is `f P + b` up
//! to a slack, and so may the `e_j` in it. What that adds is divided by the least divisor. A reciprocal `r` of the divisor, rounded, has
//! `r d <= c` with a `c` that [`Parts::reciprocal`] bounds; then `P r` is between `l w c` and `h w c`.

use std::collections::HashMap;

use super::{Element, MARGIN, MAX_BOUND, Norm, Parts, Tied, Total, power};
use crate::graph::Interval;
use crate::ops::{Divide, Op};

/// A number between `lo` and `hi` times the divisor, and what is added to it.
struct Numerator {
    lo: f64,
    hi: f64,
    beside: Total,
}

impl Total {
    /// Times a factor in this interval, where there are no groups.
    fn times(&self, (a, b): (f64, f64)) -> Self {
        let corners = [self.lo * a, self.lo * b, self.hi * a, self.hi * b];
        Self {
            lo: corners.into_iter().fold(f64::INFINITY, f64::min),
            hi: corners.into_iter().fold(f64::NEG_INFINITY, f64::max),
            added: self.added * a.abs().max(b.abs()),
            groups: vec![],
        }
    }
}

impl Parts<'_> {
    /// The interval of element `j` of the result of `op`, if that divides a weighted sum by the sum of its weights.
    pub(super) fn mean(&mut self, op: &Op, inputs: &[usize], j: usize) -> Option<Interval> {
        match op {
            Op::Product(product) if product.inner == 1 => {
                let (left, right) = product.terms(j).next()?;
                let (left, right) = (self.model.place(inputs, left)?, self.model.place(inputs, right)?);
                let (dividend, reciprocal, (divisor, scale)) = match self.reciprocal(right) {
                    Some(found) => (left, right, found),
                    None => (right, left, self.reciprocal(left)?),
                };
                let numerator = self.numerator(dividend, divisor)?;
                let Interval { lo, hi } = self.model.range(reciprocal);
                (lo > 0 && scale > 0.0).then_some(())?;
                let mut total = numerator.beside.times((lo as f64, hi as f64));
                total.add(numerator.lo * scale, numerator.hi * scale);
                total.interval()
            }
            Op::Divide(Divide { shift, .. }) => {
                let len = self.divisions(inputs);
                let (dividend, divisor) = (self.model.place(inputs, j)?, self.model.place(inputs, len + j)?);
                let numerator = self.numerator(dividend, divisor)?;
                let Interval { lo, hi } = self.model.range(divisor);
                (lo > 0).then_some(())?;
                let scale = power(*shift);
                let mut total = numerator.beside.times((scale / hi as f64, scale / lo as f64));
                total.add(numerator.lo * scale, numerator.hi * scale);
                // rounded down, or to the nearest
                total.add(-1.0, 1.0);
                total.interval()
            }
            _ => None,
        }
    }

    /// The dividend as a weighted sum, in multiples of the divisor.
    fn numerator(&mut self, dividend: Element, divisor: Element) -> Option<Numerator> {
        let model = self.model;
        let sum = self.walk(Tied::itself(dividend), |_| true);
        let node = &model.nodes[sum.at.0.checked_sub(1)?];
        let Op::Product(product) = node.op else { return None };
        let divisor = self.exact(divisor);
        (product.inner > 1 && divisor.factor > 0.0).then_some(())?;
        self.group(divisor.at)?;
        let group = self.groups.get(&divisor.at)?.as_ref().filter(|group| group.norm == Norm::Sum)?;
        let weight = |at: Element| {
            let mut tied = Tied::itself(at);
            while !group.members.contains_key(&tied.at) {
                tied = self.step(tied)?;
            }
            Some(tied)
        };
        let mut beside = Total::default();
        let mut factors: HashMap<Element, Total> = HashMap::with_capacity(product.inner);
        for (left, right) in product.terms(sum.at.1) {
            let (left, right) = (model.place(&node.inputs, left)?, model.place(&node.inputs, right)?);
            if [left, right].iter().any(|at| model.range(*at).magnitude() == 0) {
                continue;
            }
            let (weight, other) = match weight(left) {
                Some(weight) => (weight, right),
                None => (weight(right)?, left),
            };
            let Interval { lo, hi } = model.range(other);
            let (lo, hi) = (lo as f64, hi as f64);
            factors.entry(weight.at).or_default().add(weight.factor * lo, weight.factor * hi);
            let mut rest = Total::default();
            rest.add(weight.bias - weight.slack, weight.bias + weight.slack);
            let Total { lo, hi, .. } = rest.times((lo, hi));
            beside.add(lo, hi);
        }
        let (mut lo, mut hi) = (0.0f64, 0.0f64);
        for (at, factor) in factors {
            let (weight, margin) = (group.members.get(&at)?, MARGIN * factor.added);
            (lo, hi) = (lo.min((factor.lo - margin) / weight), hi.max((factor.hi + margin) / weight));
        }
        let reach = sum.factor * group.reach / divisor.factor;
        let mut beside = beside.times((sum.factor, sum.factor));
        beside.add(sum.bias - sum.slack, sum.bias + sum.slack);
        let (lo, hi) = (reach * lo, reach * hi);
        let (lo, hi) = (lo.min(hi), lo.max(hi));
        let bounded = [lo, hi, beside.lo, beside.hi, beside.added].iter().all(|v| v.abs() < MAX_BOUND);
        bounded.then_some(Numerator { lo, hi, beside })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::circuit::testing::{Draw, linear, push, random_input};
    use crate::graph::{Feature, IntegerModel};
    use crate::ops::{Product, Rescale};

    /// Weights in this interval, then what they weight, `columns` by `columns`.
    struct Attention {
        len: usize,
        columns: usize,
        weights: (i128, i128),
        values: (i128, i128),
        /// The scale of what the product reads of the weights, and the bits that it drops of it.
        factor: i64,
        weight_shift: u32,
        /// What is dropped of the product, and what is added then.
        shift: u32,
        bias: i128,
        reciprocals: bool,
    }

    impl Default for Attention {
        fn default() -> Self {
            Self {
                len: 12,
                columns: 2,
                weights: (0, 9000),
                values: (-3000, 5000),
                factor: 1,
                weight_shift: 0,
                shift: 0,
                bias: 0,
                reciprocals: true,
            }
        }
    }

    impl Attention {
        fn features(&self) -> usize {
            self.len * (1 + self.columns)
        }

        fn map(&self, rows: usize, entry: impl Fn(usize, usize) -> i64, bias: i128) -> Op {
            let len = self.features();
            let rows: Vec<Vec<i64>> = (0..rows).map(|i| (0..len).map(|j| entry(i, j)).collect()).collect();
            let bias = vec![bias; rows.len()];
            linear(len, &rows, bias)
        }

        /// The model up to what divides, at the scale `2^12`, by `max(sum of weight * divisor(weight), 50)`, with the operator
        /// that does and what it reads. The product reads the weight `read` names in each place.
        fn divided(
            &self,
            divisor: impl Fn(usize) -> i64,
            read: impl Fn(usize) -> usize,
        ) -> (IntegerModel, Op, Vec<usize>) {
            let feature = |i| {
                let (lo, hi) = if i < self.len { self.weights } else { self.values };
                Feature { name: format!("x{i}"), scale: 1.0, range: Interval { lo, hi } }
            };
            let mut model =
                IntegerModel { features: (0..self.features()).map(feature).collect(), ..Default::default() };
            let m = &mut model;
            let mut weights = push(m, self.map(self.len, |i, j| self.factor * i64::from(j == read(i)), 0), vec![0]);
            if self.weight_shift > 0 {
                weights = push(m, Op::Rescale(Rescale { shift: self.weight_shift }), vec![weights]);
            }
            let values = push(m, self.map(self.len * self.columns, |i, j| i64::from(j == self.len + i), 0), vec![0]);
            let product = Product { batch: 1, rows: 1, inner: self.len, columns: self.columns };
            let mut sums = push(m, Op::Product(product), vec![weights, values]);
            if self.shift > 0 {
                sums = push(m, Op::Rescale(Rescale { shift: self.shift }), vec![sums]);
            }
            let own = |i: usize| (0..self.columns).map(|j| i64::from(i == j)).collect::<Vec<i64>>();
            let own: Vec<Vec<i64>> = (0..self.columns).map(own).collect();
            let sums = push(m, linear(self.columns, &own, vec![self.bias; self.columns]), vec![sums]);
            let total = |_, j: usize| if j < self.len { divisor(j) } else { 0 };
            let total = push(m, self.map(1, total, -50), vec![0]);
            let total = push(m, Op::Relu, vec![total]);
            let total = push(m, linear(1, &[vec![1]], vec![50]), vec![total]);
            let spread = linear(1, &vec![vec![1]; self.columns], vec![0; self.columns]);
            if !self.reciprocals {
                let spread = push(m, spread, vec![total]);
                return (model, Op::Divide(Divide { shift: 12, nearest: true }), vec![sums, spread]);
            }
            let one = push(m, linear(1, &[vec![0]], vec![1]), vec![total]);
            let reciprocal = push(m, Op::Divide(Divide { shift: 36, nearest: true }), vec![one, total]);
            let spread = push(m, spread, vec![reciprocal]);
            (model, Op::Product(Product::elementwise(self.columns)), vec![sums, spread])
        }

        /// The greatest magnitude of a mean at the scale `2^12`, as proved, after what was found to hold of many inputs.
        fn greatest(&self, divisor: impl Fn(usize) -> i64, read: impl Fn(usize) -> usize) -> f64 {
            let (mut model, op, inputs) = self.divided(divisor, read);
            let mut means = push(&mut model, op, inputs);
            if self.reciprocals {
                means = push(&mut model, Op::Rescale(Rescale { shift: 24 }), vec![means]);
            }
            holds(&model, self, &mut Draw::new(3));
            model.ranges(means).iter().map(|range| range.magnitude()).max().unwrap_or(0) as f64
        }
    }

    fn holds(model: &IntegerModel, of: &Attention, draw: &mut Draw) {
        for round in 0..80 {
            let mut input = random_input(model, draw);
            if round % 2 == 0 {
                // corners, where all values or all of the weights but one agree
                let corner = |x: &mut i128, up: bool, (lo, hi): (i128, i128)| *x = if up { hi } else { lo };
                let (up, one) = (draw.once_in(2), draw.index(of.len));
                input[of.len..].iter_mut().for_each(|x| corner(x, up, of.values));
                if round % 4 == 0 {
                    (0..of.len).for_each(|i| corner(&mut input[i], i == one, of.weights));
                }
            }
            for (id, values) in model.trace(&input).iter().enumerate() {
                for (range, value) in model.ranges(id).iter().zip(values) {
                    assert!(range.contains(*value), "tensor {id}: {value} outside {range:?}");
                }
            }
        }
    }

    #[test]
    fn means_are_bounded_by_what_they_are_of() {
        for reciprocals in [true, false] {
            let mean = |attention: Attention| Attention { reciprocals, ..attention }.greatest(|_| 1, |i| i);
            // the least divisor is 50, which a half in the product is divided by
            for (shift, slack) in [(0, 2.0), (5, 2.0 + 4096.0 / 100.0)] {
                let found = mean(Attention { shift, ..Default::default() });
                let bound = 5000.0 * 4096.0 / f64::from(1 << shift);
                assert!((bound..=bound * 1.001 + slack).contains(&found), "{found} {bound}");
            }
            // zero is between the extremes, as the divisor may be greater than the sum
            let found = mean(Attention { values: (700, 900), ..Default::default() });
            assert!((900.0 * 4096.0..=900.1 * 4096.0 + 2.0).contains(&found), "{found}");
            // multiples of the weights, and an offset
            let found = mean(Attention { factor: -3, bias: 70, ..Default::default() });
            let bound = 3.0 * 5000.0 * 4096.0 + 70.0 * 4096.0 / 50.0;
            assert!((3.0 * 5000.0 * 4096.0 - 4.0..=bound * 1.001).contains(&found), "{found} {bound}");
            // twelve rounded weights
            let found = mean(Attention { factor: 16, weight_shift: 2, ..Default::default() });
            let bound = (4.0 + 12.0 / 2.0 / 50.0) * 5000.0 * 4096.0;
            assert!(found <= bound * 1.001 + 2.0, "{found} {bound}");
        }
    }

    /// As the sum of a batch has them after what is repeated is computed once.
    #[test]
    fn weights_count_as_often_as_they_are_there() {
        for reciprocals in [true, false] {
            let plain = || Attention { reciprocals, ..Default::default() };
            let read = |i: usize| if i > 6 { 6 } else { i };
            let found = plain().greatest(|j| if j == 6 { 6 } else { 1 }, read);
            assert!((5000.0 * 4096.0..=5000.0 * 4096.0 * 1.001 + 2.0).contains(&found), "{found}");
            let found = plain().greatest(|j| if j == 6 { 4 } else { 2 }, read);
            assert!((7500.0 * 4096.0..=7500.0 * 4096.0 * 1.001 + 2.0).contains(&found), "{found}");
        }
    }

    /// Weights that may be negative, a sum without one of them, of others, a divisor that is no sum.
    #[test]
    fn nothing_is_known_of_others() {
        for reciprocals in [true, false] {
            let refused = |attention: Attention, divisor: &dyn Fn(usize) -> i64, read: &dyn Fn(usize) -> usize| {
                let (model, op, inputs) = attention.divided(divisor, read);
                let ranges: Vec<Vec<Interval>> = inputs.iter().map(|&id| model.ranges(id)).collect();
                let plain = op.bounds(&ranges.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
                model.implied_ranges(&op, &inputs).unwrap() == plain
            };
            let plain = || Attention { reciprocals, ..Default::default() };
            assert!(!refused(plain(), &|_| 1, &|i| i));
            assert!(refused(Attention { weights: (-1, 9000), ..plain() }, &|_| 1, &|i| i));
            assert!(refused(plain(), &|j| i64::from(j != 7), &|i| i));
            assert!(refused(plain(), &|j| if j == 7 { -1 } else { 1 }, &|i| i));
            assert!(refused(plain(), &|j| i64::from(j < 6), &|i| 11 - i));
            // what it is a greater multiple of is at most as much
            assert!(!refused(plain(), &|j| 1 + (j % 3) as i64, &|i| i));
        }
    }

    proptest! {
        #[test]
        fn no_mean_leaves_its_range(seed: u64) {
            let mut draw = Draw::new(seed);
            let low = draw.integer(-5000, 5000);
            let attention = Attention {
                len: 2 + draw.index(9),
                columns: 1 + draw.index(3),
                weights: (draw.integer(0, 40), draw.integer(40, 1 << 14)),
                values: (low, low + draw.integer(0, 9000)),
                factor: draw.integer(-40, 40) as i64,
                weight_shift: draw.index(4) as u32,
                shift: draw.index(6) as u32,
                bias: draw.integer(-200, 200),
                reciprocals: draw.once_in(2),
            };
            let weights: Vec<i64> = (0..attention.len).map(|_| 1 + draw.index(3) as i64).collect();
            let read: Vec<usize> = (0..attention.len).map(|i| if draw.once_in(3) { draw.index(i + 1) } else { i }).collect();
            let (mut model, op, inputs) = attention.divided(|j| weights[j], |i| read[i]);
            let means = push(&mut model, op, inputs);
            push(&mut model, Op::Rescale(Rescale { shift: 3 }), vec![means]);
            holds(&model, &attention, &mut draw);
        }
    }
}
