//! Proved ranges: interval arithmetic, and what it cannot see.
//!
//! An operator's own rule ([`Op::bounds`]) knows the intervals of what it reads and nothing of how these depend on each
//! other. Four dependencies matter in practice, and are followed here:
//!
//! - a ReLU is 0 or what it reads, so `b + max(a - b, 0)` is `b` or `a`: maxima, minima, clamps;
//! - the product of a boolean and a number is 0 or the number, so `b + c (a - b)` is `b` or `a`: selections;
//! - of a one-hot encoding exactly one element is 1: look-ups in tables and in tensors;
//! - `a - d floor(a / d)` is a remainder, which is not negative and less than `d`.
//!
//! What is divided by a norm of its own is a fifth one: see [`super::parts`].

use std::collections::BTreeMap;

use super::{Affine, IntegerModel, Interval, MAX_BITS, parts::Parts};
use crate::ops::{BoundError, Divide, Op, Rescale};

/// The most terms of a sum whose cases are told apart.
const MAX_TERMS: usize = 64;
/// The most cases of one sum that are told apart.
const MAX_CASES: usize = 256;

/// A sum of multiples of elements, by tensor and index in it, plus an offset.
#[derive(Clone, Debug)]
struct Sum {
    terms: BTreeMap<(usize, usize), i128>,
    offset: i128,
}

impl Sum {
    /// Adds `factor * element`; `None` if that leaves the integers at hand.
    fn add(&mut self, element: (usize, usize), factor: i128) -> Option<()> {
        let sum = self.terms.get(&element).copied().unwrap_or(0).checked_add(factor)?;
        if sum == 0 {
            self.terms.remove(&element);
        } else {
            self.terms.insert(element, sum);
        }
        Some(())
    }

    /// Where the sum is a multiple of `other`, plus a constant: its interval if `other` is positive, or is not.
    fn beside(&self, other: &Self, positive: bool) -> Option<Interval> {
        let limit = (1i128 << MAX_BITS) - 1;
        let (Some((element, &factor)), Some(&unit)) = (self.terms.iter().next(), other.terms.values().next()) else {
            return None;
        };
        let multiple = factor / unit;
        let same = |(id, w): (&(usize, usize), &i128)| {
            self.terms.get(id).is_some_and(|&own| w.checked_mul(multiple) == Some(own))
        };
        if !other.terms.contains_key(element) || self.terms.len() != other.terms.len() || !other.terms.iter().all(same)
        {
            return None;
        }
        let least = self.offset.checked_sub(other.offset.checked_mul(multiple)?)?;
        match (multiple > 0) == positive {
            true => Interval::new(least, limit),
            false => Interval::new(-limit, least),
        }
    }
}

/// What an element is if it is not 0: a sum, divided by `2^shift` and rounded to the nearest.
struct Choice {
    sum: Sum,
    shift: u32,
}

/// `2^shift` times a sum in one case, up to `slack`, and an interval that it has for that reason.
struct Case {
    sum: Sum,
    known: Option<Interval>,
    shift: u32,
    slack: i128,
}

impl Case {
    /// The interval of the integers that are in `2^-shift` times this one.
    fn rounded(&self, interval: Interval) -> Option<Interval> {
        let (lo, hi) = (interval.lo.checked_sub(self.slack)?, interval.hi.checked_add(self.slack)?);
        Interval::new(-(lo.checked_neg()? >> self.shift), hi >> self.shift)
    }
}

impl IntegerModel {
    /// Interval of every element of the result of `op` over the tensors `inputs`, from the declared input domain.
    ///
    /// `inputs` must be tensors of the model that the operator accepts.
    pub fn implied_ranges(&self, op: &Op, inputs: &[usize]) -> Result<Vec<Interval>, BoundError> {
        let ranges: Vec<Vec<Interval>> = inputs.iter().map(|&id| self.ranges(id)).collect();
        let ranges: Vec<&[Interval]> = ranges.iter().map(Vec::as_slice).collect();
        let mut bounds = op.bounds(&ranges)?;
        let refined = |j: usize| match op {
            Op::Linear(map) => self.of_row(map, inputs, j),
            Op::Product(product) => self.of_look_up(inputs, &product.terms(j).collect::<Vec<_>>()),
            _ => None,
        };
        if matches!(op, Op::Linear(_) | Op::Product(_)) && inputs.iter().any(|&id| self.has_cases(id)) {
            for (j, bound) in bounds.iter_mut().enumerate() {
                *bound = refined(j).and_then(|interval| intersection(*bound, interval)).unwrap_or(*bound);
            }
        }
        if let Some(known) = Parts::new(self).ranges(op, inputs) {
            for (bound, known) in bounds.iter_mut().zip(known) {
                *bound = known.and_then(|interval| intersection(*bound, interval)).unwrap_or(*bound);
            }
        }
        Ok(bounds)
    }

    pub(super) fn op(&self, tensor: usize) -> Option<&Op> {
        Some(&self.nodes.get(tensor.checked_sub(1)?)?.op)
    }

    /// Whether elements of the tensor may be one of two numbers or of a one-hot encoding, directly or selected.
    fn has_cases(&self, tensor: usize) -> bool {
        match self.op(tensor) {
            Some(Op::Relu | Op::OneHot(_) | Op::Divide(_)) => true,
            Some(Op::Product(product)) => product.inner == 1,
            Some(Op::Linear(_)) => self.nodes[tensor - 1].inputs.iter().any(|&id| {
                matches!(self.op(id), Some(Op::Relu | Op::OneHot(_) | Op::Divide(_)))
                    || matches!(self.op(id), Some(Op::Product(product)) if product.inner == 1)
            }),
            _ => false,
        }
    }

    pub(super) fn range(&self, (tensor, element): (usize, usize)) -> Interval {
        match tensor.checked_sub(1) {
            None => self.features[element].range,
            Some(node) => self.nodes[node].ranges[element],
        }
    }

    /// The tensor and the index of element `at` of the concatenation of `inputs`.
    pub(super) fn place(&self, inputs: &[usize], mut at: usize) -> Option<(usize, usize)> {
        for &id in inputs {
            match at.checked_sub(self.tensor_len(id)) {
                None => return Some((id, at)),
                Some(rest) => at = rest,
            }
        }
        None
    }

    fn of_row(&self, map: &Affine<i64, i128>, inputs: &[usize], j: usize) -> Option<Interval> {
        let terms = map.row_starts[j + 1] - map.row_starts[j];
        if terms as usize > MAX_TERMS {
            return None;
        }
        let mut sum = Sum { terms: BTreeMap::new(), offset: map.bias[j] };
        for (column, weight) in map.row(j) {
            sum.add(self.place(inputs, column)?, weight.into())?;
        }
        let mut cases = MAX_CASES;
        self.of_sum(&sum, &mut cases)
    }

    /// What a sum may be. `cases` is how many more may be told apart.
    fn of_sum(&self, sum: &Sum, cases: &mut usize) -> Option<Interval> {
        let mut plain = self.without_cases(sum)?;
        for (&element, &factor) in &sum.terms {
            let remainder = self.remainder(sum, element, factor).and_then(|interval| intersection(plain, interval));
            plain = remainder.unwrap_or(plain);
        }
        let split = sum.terms.iter().rev().find_map(|(&element, &factor)| self.split(sum, element, factor));
        let hull = split.zip(cases.checked_sub(1)).and_then(|(split, left)| {
            *cases = left;
            self.of_cases(&split, cases)
        });
        Some(hull.and_then(|hull| intersection(plain, hull)).unwrap_or(plain))
    }

    /// What a sum may be in one of these cases.
    fn of_cases(&self, split: &[Case], cases: &mut usize) -> Option<Interval> {
        let mut hull: Option<Interval> = None;
        for case in split {
            let interval = self.of_sum(&case.sum, cases)?;
            // a case that contradicts itself is none
            let interval = case.known.map_or(Some(interval), |known| intersection(interval, known));
            let Some(interval) = interval else { continue };
            let interval = case.rounded(interval)?;
            hull = Some(hull.map_or(interval, |a| Interval { lo: a.lo.min(interval.lo), hi: a.hi.max(interval.hi) }));
        }
        hull
    }

    /// The sum without and with a term that is 0 or a sum, if putting that sum in cancels something.
    fn split(&self, sum: &Sum, element: (usize, usize), factor: i128) -> Option<[Case; 2]> {
        // a ReLU is 0 where what it reads is not positive
        let relu = matches!(self.op(element.0), Some(Op::Relu));
        self.choices(element)?.into_iter().find_map(|Choice { sum: choice, shift }| {
            let scale = 1i128 << shift;
            let half = scale / 2;
            let mut without = Sum { terms: BTreeMap::new(), offset: sum.offset.checked_mul(scale)? };
            for (&part, &weight) in sum.terms.iter().filter(|term| *term.0 != element) {
                without.terms.insert(part, weight.checked_mul(scale)?);
            }
            let mut with = without.clone();
            with.offset = with.offset.checked_add(choice.offset.checked_mul(factor)?)?;
            for (&part, &weight) in &choice.terms {
                with.add(part, weight.checked_mul(factor)?)?;
            }
            if with.terms.len() == without.terms.len() + choice.terms.len() {
                return None;
            }
            let case = |sum: Sum, positive: bool, slack: i128| {
                let offset = choice.offset.checked_add(if positive { half } else { -half })?;
                let limit = Sum { terms: choice.terms.clone(), offset };
                let known = relu.then(|| sum.beside(&limit, positive)).flatten();
                Some(Case { sum, known, shift, slack })
            };
            Some([case(without, false, 0)?, case(with, true, factor.checked_abs()?.checked_mul(half)?)?])
        })
    }

    /// What an element is that is 0 or this.
    fn choices(&self, (tensor, element): (usize, usize)) -> Option<Vec<Choice>> {
        let node = self.nodes.get(tensor.checked_sub(1)?)?;
        let source = match &node.op {
            Op::Relu => self.place(&node.inputs, element)?,
            Op::Product(product) if product.inner == 1 => {
                let (left, right) = product.terms(element).next()?;
                let (left, right) = (self.place(&node.inputs, left)?, self.place(&node.inputs, right)?);
                match (self.is_boolean(left), self.is_boolean(right)) {
                    (true, _) => right,
                    (_, true) => left,
                    _ => return None,
                }
            }
            _ => return None,
        };
        let itself = Sum { terms: BTreeMap::from([(source, 1)]), offset: 0 };
        let mut choices = vec![Choice { sum: itself, shift: 0 }, Choice { sum: self.sum_at(source)?, shift: 0 }];
        if let Some(Op::Rescale(Rescale { shift })) = self.op(source.0) {
            let rescaled = self.place(&self.nodes[source.0 - 1].inputs, source.1)?;
            choices.push(Choice { sum: self.sum_at(rescaled)?, shift: *shift });
        }
        Some(choices)
    }

    /// The interval of a sum that has `factor` times the quotient `element`, as far as that is part of a remainder.
    fn remainder(&self, sum: &Sum, element: (usize, usize), factor: i128) -> Option<Interval> {
        let Some(Op::Divide(Divide { shift: 0, nearest: false })) = self.op(element.0) else { return None };
        let operands = &self.nodes[element.0 - 1].inputs;
        let len = self.tensor_len(element.0);
        let (dividend, divisor) = (self.place(operands, element.1)?, self.place(operands, len + element.1)?);
        let Interval { lo: divisor, hi } = self.range(divisor);
        if divisor != hi || divisor <= 0 || factor % divisor != 0 {
            return None;
        }
        let times = -factor / divisor;
        let single = Sum { terms: BTreeMap::from([(dividend, 1)]), offset: 0 };
        [Some(single), self.sum_at(dividend)].into_iter().flatten().find_map(|dividend| {
            let mut rest = sum.clone();
            rest.terms.remove(&element);
            rest.offset = rest.offset.checked_sub(dividend.offset.checked_mul(times)?)?;
            for (&part, &weight) in &dividend.terms {
                rest.add(part, weight.checked_mul(times)?.checked_neg()?)?;
            }
            if rest.terms.len() + dividend.terms.len() >= sum.terms.len() {
                return None;
            }
            let rest = self.without_cases(&rest)?;
            let most = times.checked_mul(divisor - 1)?;
            Interval::new(rest.lo.checked_add(most.min(0))?, rest.hi.checked_add(most.max(0))?)
        })
    }

    /// An element as a sum: of what a linear map reads, or itself.
    fn sum_at(&self, (tensor, element): (usize, usize)) -> Option<Sum> {
        let mut sum = Sum { terms: BTreeMap::new(), offset: 0 };
        match self.op(tensor) {
            Some(Op::Linear(map)) => {
                sum.offset = map.bias[element];
                if map.row_starts[element + 1] - map.row_starts[element] > MAX_TERMS as u32 {
                    return None;
                }
                for (column, weight) in map.row(element) {
                    sum.add(self.place(&self.nodes[tensor - 1].inputs, column)?, weight.into())?;
                }
            }
            _ => sum.add((tensor, element), 1)?,
        }
        Some(sum)
    }

    fn is_boolean(&self, element: (usize, usize)) -> bool {
        let range = self.range(element);
        range.lo >= 0 && range.hi <= 1
    }

    /// Interval arithmetic, but for one-hot encodings. `None` if it leaves the integers at hand.
    fn without_cases(&self, sum: &Sum) -> Option<Interval> {
        let (mut lo, mut hi) = (sum.offset, sum.offset);
        let mut encoding: Option<Encoding> = None;
        for (&(tensor, element), &factor) in &sum.terms {
            if let Some(Op::OneHot(one_hot)) = self.op(tensor) {
                let group = (tensor, element / one_hot.depth);
                if encoding.as_ref().is_none_or(|e| e.group != group) {
                    encoding.take().map_or(Some(()), |e| e.finish(self, &mut lo, &mut hi))?;
                    encoding = Some(Encoding { group, depth: one_hot.depth, factors: vec![] });
                }
                encoding.as_mut()?.factors.push((element % one_hot.depth, factor));
                continue;
            }
            let range = self.range((tensor, element));
            let (a, b) = (factor.checked_mul(range.lo)?, factor.checked_mul(range.hi)?);
            lo = lo.checked_add(a.min(b))?;
            hi = hi.checked_add(a.max(b))?;
        }
        encoding.map_or(Some(()), |e| e.finish(self, &mut lo, &mut hi))?;
        Interval::new(lo, hi)
    }

    /// A sum of products of which one operand is a one-hot encoding: one of the others.
    fn of_look_up(&self, inputs: &[usize], terms: &[(usize, usize)]) -> Option<Interval> {
        let left: Option<Vec<_>> = terms.iter().map(|t| self.one_hot_element(inputs, t.0)).collect();
        let (hot, others) = match left {
            Some(hot) => (hot, terms.iter().map(|t| t.1).collect::<Vec<_>>()),
            None => {
                let right: Option<Vec<_>> = terms.iter().map(|t| self.one_hot_element(inputs, t.1)).collect();
                (right?, terms.iter().map(|t| t.0).collect())
            }
        };
        let &(tensor, first) = hot.first()?;
        let Some(Op::OneHot(one_hot)) = self.op(tensor) else { return None };
        let depth = one_hot.depth;
        let mut seen = vec![false; depth];
        let mut result: Option<Interval> = None;
        let mut include = |interval: Interval| {
            let known = result.unwrap_or(interval);
            result = Some(Interval { lo: known.lo.min(interval.lo), hi: known.hi.max(interval.hi) });
        };
        for (&(id, element), &other) in hot.iter().zip(&others) {
            let index = element % depth;
            if (id, element / depth) != (tensor, first / depth) || std::mem::replace(&mut seen[index], true) {
                return None;
            }
            if self.range((id, element)).hi == 1 {
                include(self.range(self.place(inputs, other)?));
            }
        }
        let start = first / depth * depth;
        if (0..depth).any(|index| !seen[index] && self.range((tensor, start + index)).hi == 1) {
            include(Interval { lo: 0, hi: 0 });
        }
        result
    }

    /// The element of a one-hot encoding that element `at` of the concatenation of `inputs` is, through selections.
    fn one_hot_element(&self, inputs: &[usize], at: usize) -> Option<(usize, usize)> {
        let (mut tensor, mut element) = self.place(inputs, at)?;
        loop {
            match self.op(tensor)? {
                Op::OneHot(_) => return Some((tensor, element)),
                Op::Linear(map) if map.bias[element] == 0 => {
                    let mut row = map.row(element);
                    let (Some((column, 1)), None) = (row.next(), row.next()) else { return None };
                    (tensor, element) = self.place(&self.nodes[tensor - 1].inputs, column)?;
                }
                _ => return None,
            }
        }
    }
}

/// The factors of the elements of one one-hot encoding in a sum.
struct Encoding {
    /// Tensor, and which of its encodings.
    group: (usize, usize),
    depth: usize,
    /// By index in the encoding, in order.
    factors: Vec<(usize, i128)>,
}

impl Encoding {
    /// Exactly one of the factors of the possible elements counts, which is 0 for those that are not named.
    fn finish(self, model: &IntegerModel, lo: &mut i128, hi: &mut i128) -> Option<()> {
        let (tensor, which) = self.group;
        let possible = |index: usize| model.range((tensor, which * self.depth + index)).hi == 1;
        let mut named = self.factors.iter().peekable();
        let factors = (0..self.depth).filter_map(|index| {
            let factor = named.next_if(|f| f.0 == index).map_or(0, |f| f.1);
            possible(index).then_some(factor)
        });
        let (least, greatest) = factors.fold((i128::MAX, i128::MIN), |(a, b), f| (a.min(f), b.max(f)));
        *lo = lo.checked_add(least)?;
        *hi = hi.checked_add(greatest)?;
        Some(())
    }
}

fn intersection(a: Interval, b: Interval) -> Option<Interval> {
    Interval::new(a.lo.max(b.lo), a.hi.min(b.hi))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::circuit::testing::{linear, push};
    use crate::graph::Feature;
    use crate::ops::{OneHot, Product};

    fn model(domain: &[(i128, i128)]) -> IntegerModel {
        let range = |&(lo, hi)| Interval { lo, hi };
        let feature = |(i, range)| Feature { name: format!("x{i}"), scale: 1.0, range };
        IntegerModel { features: domain.iter().map(range).enumerate().map(feature).collect(), ..Default::default() }
    }

    /// `x + 2 - 3 floor((x + 2) / 3)` and twice that from 1, with the dividend as a tensor and written out.
    #[test]
    fn remainders_are_less_than_the_divisor() {
        let mut model = model(&[(-50, 70)]);
        let shifted = push(&mut model, linear(1, &[vec![1]], vec![2]), vec![0]);
        let three = push(&mut model, linear(1, &[vec![0]], vec![3]), vec![0]);
        let quotient = push(&mut model, Op::Divide(Divide { shift: 0, nearest: false }), vec![shifted, three]);
        let of_tensor = push(&mut model, linear(2, &[vec![1, -3], vec![-2, 6]], vec![0, 1]), vec![shifted, quotient]);
        assert_eq!(model.ranges(of_tensor), [Interval { lo: 0, hi: 2 }, Interval { lo: -3, hi: 1 }]);
        let written_out = push(&mut model, linear(2, &[vec![1, -3], vec![1, -2]], vec![2, 0]), vec![0, quotient]);
        let ranges = model.ranges(written_out);
        assert_eq!(ranges[0], Interval { lo: 0, hi: 2 });
        // no remainder
        assert_eq!(ranges[1], Interval { lo: -50 - 2 * 24, hi: 70 + 2 * 16 });
        for x in -50..=70 {
            let trace = model.trace(&[x]);
            assert!(ranges.iter().zip(&trace[written_out]).all(|(range, &v)| range.contains(v)));
        }
    }

    /// `sign * max(sign * x[2i], sign * x[2i + 1])` of the pairs of a tensor.
    fn extremes(model: &mut IntegerModel, x: usize, sign: i64) -> usize {
        let len = model.tensor_len(x);
        let row = |i: usize, a: i64, b: i64| {
            (0..len)
                .map(|j| {
                    if j == 2 * i {
                        a
                    } else if j == 2 * i + 1 {
                        b
                    } else {
                        0
                    }
                })
                .collect()
        };
        let rows: Vec<Vec<i64>> = (0..len / 2).map(|i| row(i, sign, -sign)).collect();
        let excess = push(model, linear(len, &rows, vec![0; len / 2]), vec![x]);
        let excess = push(model, Op::Relu, vec![excess]);
        let rows: Vec<Vec<i64>> = (0..len / 2)
            .map(|i| {
                let mut row: Vec<i64> = row(i, 0, 1);
                row.extend((0..len / 2).map(|j| if i == j { sign } else { 0 }));
                row
            })
            .collect();
        push(model, linear(len + len / 2, &rows, vec![0; len / 2]), vec![x, excess])
    }

    fn range(model: &IntegerModel, tensor: usize) -> (i128, i128) {
        let range = model.ranges(tensor)[0];
        (range.lo, range.hi)
    }

    #[test]
    fn maxima_and_minima_of_many() {
        let mut model = model(&[(-3, 5), (0, 9), (-20, 2), (1, 1), (-7, 7), (2, 3), (-1, 0), (0, 6)]);
        for (sign, bounds) in [(1, (1, 9)), (-1, (-20, 1))] {
            let mut x = 0;
            while model.tensor_len(x) > 1 {
                x = extremes(&mut model, x, sign);
            }
            let (lo, hi) = range(&model, x);
            assert!(lo <= bounds.0 && bounds.1 <= hi && lo >= -20 && hi <= 9, "{lo} {hi}");
            assert!(if sign > 0 { hi == 9 } else { lo == -20 });
        }
    }

    /// `2 max(x, 0) - x` and `max(x - 3, 0) - x`.
    #[test]
    fn magnitudes_are_not_negative() {
        let mut model = model(&[(-5, 9)]);
        let shifted = push(&mut model, linear(1, &[vec![1], vec![1]], vec![0, -3]), vec![0]);
        let positive = push(&mut model, Op::Relu, vec![shifted]);
        let rows = [vec![-1, 2, 0], vec![-1, 0, 1]];
        let magnitude = push(&mut model, linear(3, &rows, vec![0, 0]), vec![0, positive]);
        assert_eq!(range(&model, magnitude), (0, 9));
        assert_eq!((model.ranges(magnitude)[1].lo, model.ranges(magnitude)[1].hi), (-3, 5));
    }

    /// `2 max(y, 0) - y` of a tensor `y` that is itself a sum.
    #[test]
    fn magnitudes_of_sums_are_not_negative() {
        let mut model = model(&[(-5, 9), (0, 2)]);
        let sum = push(&mut model, linear(2, &[vec![3, -7]], vec![2]), vec![0]);
        let positive = push(&mut model, Op::Relu, vec![sum]);
        let magnitude = push(&mut model, linear(2, &[vec![-1, 2]], vec![0]), vec![sum, positive]);
        assert_eq!(range(&model, magnitude), (0, 29));
    }

    /// `2 max(r, 0) - x / 4` where `r` is `x / 4` and rounded: less than zero by the rounding at most.
    #[test]
    fn magnitudes_of_rescaled_values_are_hardly_negative() {
        let mut model = model(&[(-1000, 900)]);
        let raised = push(&mut model, linear(1, &[vec![16]], vec![0]), vec![0]);
        let rescaled = push(&mut model, Op::Rescale(Rescale { shift: 6 }), vec![raised]);
        let positive = push(&mut model, Op::Relu, vec![rescaled]);
        let magnitude = push(&mut model, linear(2, &[vec![-1, 8], vec![-4, 32]], vec![0, 100]), vec![0, positive]);
        let found = model.ranges(magnitude);
        assert!(found[0].lo >= -8 && found[0].hi <= 1008, "{found:?}");
        assert!(found[1].lo >= 100 - 32 && found[1].hi <= 4100 + 32, "{found:?}");
        for x in -1000..=900 {
            let trace = model.trace(&[x]);
            assert!(found.iter().zip(&trace[magnitude]).all(|(range, &v)| range.contains(v)));
        }
    }

    /// `max(x, 0) + max(-x, 0)` of a positive number, as `2 max(x, 0) - x`.
    #[test]
    fn cases_that_cannot_be_do_not_count() {
        let mut model = model(&[(5, 9)]);
        let same = push(&mut model, linear(1, &[vec![1]], vec![0]), vec![0]);
        let positive = push(&mut model, Op::Relu, vec![same]);
        let magnitude = push(&mut model, linear(2, &[vec![-1, 2]], vec![0]), vec![0, positive]);
        assert_eq!(range(&model, magnitude), (5, 9));
    }

    #[test]
    fn a_boolean_selects() {
        let mut model = model(&[(0, 1), (100, 107), (90, 101)]);
        let difference = push(&mut model, linear(3, &[vec![0, 1, -1]], vec![0]), vec![0]);
        let condition = push(&mut model, linear(3, &[vec![1, 0, 0]], vec![0]), vec![0]);
        let product = push(&mut model, Op::Product(Product::elementwise(1)), vec![condition, difference]);
        let chosen = push(&mut model, linear(4, &[vec![0, 0, 1, 1]], vec![0]), vec![0, product]);
        assert_eq!(range(&model, chosen), (90, 107));
        // twice the product is another matter
        let other = push(&mut model, linear(4, &[vec![0, 0, 1, 2]], vec![0]), vec![0, product]);
        assert_eq!(range(&model, other), (90, 2 * 107 - 90));
    }

    #[test]
    fn tables_give_one_of_their_entries() {
        let mut model = model(&[(1, 3), (0, 1)]);
        let index = push(&mut model, linear(2, &[vec![1, 0], vec![0, 1]], vec![0, 0]), vec![0]);
        let hot = push(&mut model, Op::OneHot(OneHot { depth: 4 }), vec![index]);
        let table = linear(8, &[vec![90, 2, 0, 5, 10, 10, 99, 99], vec![0, 0, 0, 0, -4, 0, 0, 0]], vec![1, 0]);
        let entry = push(&mut model, table, vec![hot]);
        assert_eq!(range(&model, entry), (11, 16));
        assert_eq!((model.ranges(entry)[1].lo, model.ranges(entry)[1].hi), (-4, 0));
    }

    #[test]
    fn look_ups_in_tensors_give_one_of_their_elements() {
        let mut model = model(&[(0, 2), (5, 6), (50, 60), (-3, 8), (900, 901)]);
        let index = push(&mut model, linear(5, &[vec![1, 0, 0, 0, 0]], vec![0]), vec![0]);
        let hot = push(&mut model, Op::OneHot(OneHot { depth: 4 }), vec![index]);
        let rows: Vec<Vec<i64>> = (0..4).map(|i| (0..4).map(|j| i64::from(i == j)).collect()).collect();
        let copied = push(&mut model, linear(4, &rows, vec![0; 4]), vec![hot]);
        let rows: Vec<Vec<i64>> = (0..4).map(|i| (0..5).map(|j| i64::from(j == i + 1)).collect()).collect();
        let data = push(&mut model, linear(5, &rows, vec![0; 4]), vec![0]);
        let product = Product { batch: 1, rows: 1, inner: 4, columns: 1 };
        for inputs in [vec![hot, data], vec![copied, data], vec![data, copied]] {
            let found = push(&mut model, Op::Product(product), inputs);
            assert_eq!(range(&model, found), (-3, 60));
        }
    }

    proptest! {
        /// Sums of maxima, choices and look-ups of one another: no value leaves its range.
        #[test]
        fn every_value_is_in_its_range(seed in any::<u64>()) {
            let mut draw = crate::circuit::testing::Draw::new(seed);
            let mut model = model(&[(-40, 30), (0, 1), (0, 3), (5, 5), (-9, 90)]);
            let mut tensors = vec![push(&mut model, linear(5, &(0..4).map(|i| (0..5).map(|j| i64::from(i == j)).collect()).collect::<Vec<_>>(), vec![0; 4]), vec![0])];
            for _ in 0..6 {
                let inputs: Vec<usize> = (0..1 + draw.index(3)).map(|_| tensors[draw.index(tensors.len())]).collect();
                let len = inputs.iter().map(|&id| model.tensor_len(id)).sum();
                let width = 2 * (1 + draw.index(2));
                let mut weight = || if draw.once_in(2) { draw.integer(-1, 1) as i64 } else { 0 };
                let rows: Vec<Vec<i64>> = (0..width).map(|_| (0..len).map(|_| weight()).collect()).collect();
                let sum = push(&mut model, linear(len, &rows, vec![draw.integer(-3, 3); width]), inputs);
                tensors.push(sum);
                tensors.push(match draw.index(3) {
                    0 => extremes(&mut model, sum, 1),
                    1 => extremes(&mut model, sum, -1),
                    _ => {
                        let small = push(&mut model, linear(5, &vec![vec![0, 0, 1, 0, 0]; width], vec![0; width]), vec![0]);
                        let hot = push(&mut model, Op::OneHot(OneHot { depth: 4 }), vec![small]);
                        let flags = push(&mut model, linear(4 * width, &(0..width).map(|i| (0..4 * width).map(|j| i64::from(j == 4 * i + i % 4)).collect()).collect::<Vec<_>>(), vec![0; width]), vec![hot]);
                        push(&mut model, Op::Product(Product::elementwise(width)), vec![flags, sum])
                    }
                });
            }
            for _ in 0..40 {
                let input = crate::circuit::testing::random_input(&model, &mut draw);
                for (id, values) in model.trace(&input).iter().enumerate() {
                    for (range, value) in model.ranges(id).iter().zip(values) {
                        prop_assert!(range.contains(*value), "tensor {}: {} outside {:?}", id, value, range);
                    }
                }
            }
        }
    }
}
