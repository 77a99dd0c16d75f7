//! Intervals of the values of a float graph: estimates, which decide how it is quantised and lowered, and prove nothing.

use std::collections::HashSet;

use super::bilinear::{self, Combination};
use super::float::{Affine, FloatOp, Graph};

/// The least and the greatest number that something may be.
pub type Span = (f64, f64);

const ANYTHING: Span = (f64::NEG_INFINITY, f64::INFINITY);

/// What is not known, or has no order, may be anything.
fn ordered((lo, hi): Span) -> Span {
    if lo <= hi { (lo, hi) } else { ANYTHING }
}

/// An element that is `reach` times one of a vector whose squares add up to at most one, and `offset`.
#[derive(Clone, Copy, Debug)]
struct Unit {
    group: (usize, usize),
    member: (usize, usize),
    reach: f64,
    offset: f64,
}

/// Intervals of a graph's values, as far as they are known, by value id. Those of elements of normalised vectors, and of their sums, follow
/// from the vectors' norms (Cauchy and Schwarz), those of weighted means from what these are of.
pub struct Spans {
    values: Vec<Vec<Span>>,
    units: Vec<Vec<Option<Unit>>>,
}

impl Spans {
    /// Those of all values, for features with these intervals.
    pub fn new(graph: &Graph, features: impl IntoIterator<Item = Span>) -> Self {
        let mut features = features.into_iter();
        let values: Vec<Vec<Span>> =
            graph.inputs.iter().map(|input| features.by_ref().take(input.len()).collect()).collect();
        let units = values.iter().map(|_| vec![]).collect();
        let mut spans = Self { values, units };
        spans.extend(graph);
        spans
    }

    /// Those of values of which nothing is known but what types the inputs have.
    pub fn of_any_input(graph: &Graph) -> Self {
        let features =
            graph.inputs.iter().flat_map(|input| std::iter::repeat_n(input.limits.unwrap_or(ANYTHING), input.len()));
        Self::new(graph, features)
    }

    /// Those of the nodes that the graph has got since.
    pub fn extend(&mut self, graph: &Graph) {
        let known = self.values.len().saturating_sub(graph.inputs.len());
        for node in graph.nodes.iter().skip(known) {
            let x: Vec<Span> = node.inputs.iter().flat_map(|&id| self.values[id].iter().copied()).collect();
            let operands = self.operands(graph, &node.inputs);
            if let (FloatOp::Affine(map), true) = (&node.op, operands.iter().any(Option::is_some)) {
                let (units, values) = (0..map.output_len()).map(|j| of_row(map, &x, &operands, j)).unzip();
                self.values.push(values);
                self.units.push(units);
                continue;
            }
            let mut values = node.op.intervals(&x);
            let mut units = vec![];
            match &node.op {
                FloatOp::Quotient => {
                    let (a, d) = (node.inputs[0], node.inputs[1]);
                    units = (0..values.len())
                        .map(|i| {
                            let Some(known) = graph.normalised(a, d, i) else {
                                if let Some(mean) = graph.mean(&self.values, a, d, i) {
                                    values[i] = intersection(values[i], mean);
                                }
                                return None;
                            };
                            let bound = known.reach.abs();
                            values[i] = intersection(values[i], (-bound, bound));
                            Some(Unit { group: known.group, member: known.member, reach: known.reach, offset: 0.0 })
                        })
                        .collect();
                }
                FloatOp::Product(product) if product.inner > 1 => {
                    let known = bilinear::spans(product, |at| {
                        let (id, element) = graph.place(&node.inputs, at)?;
                        self.combination(graph, id, element)
                    });
                    for (value, known) in values.iter_mut().zip(known.into_iter().flatten()) {
                        *value = intersection(*value, known);
                    }
                }
                // what is not negative stays as it is
                FloatOp::Relu => {
                    units = operands.into_iter().zip(&x).map(|(unit, span)| unit.filter(|_| span.0 >= 0.0)).collect();
                }
                _ => {}
            }
            self.values.push(values);
            self.units.push(units);
        }
    }

    /// An element as a sum of elements of one vector, through selections and scalings.
    fn combination(&self, graph: &Graph, mut id: usize, mut element: usize) -> Option<Combination> {
        let (mut factor, mut bias) = (1.0, 0.0);
        loop {
            let (FloatOp::Affine(map), inputs) = graph.op_and_inputs(id)? else { return None };
            bias += factor * map.bias[element];
            let mut row = map.row(element);
            if let (Some((column, weight)), None) = (row.next(), row.next()) {
                let (operand, place) = graph.place(inputs, column)?;
                if self.units[operand].get(place).copied().flatten().is_none() {
                    (id, element, factor) = (operand, place, factor * weight);
                    continue;
                }
            }
            let mut terms = vec![];
            for (column, weight) in map.row(element) {
                let (operand, place) = graph.place(inputs, column)?;
                let unit = self.units[operand].get(place).copied().flatten()?;
                terms.push((unit.group, (unit.member, unit.member), factor * weight * unit.reach));
                bias += factor * weight * unit.offset;
            }
            return Combination::new(terms, bias, 0.0);
        }
    }

    pub fn of(&self, id: usize) -> &[Span] {
        &self.values[id]
    }

    pub fn into_values(self) -> Vec<Vec<Span>> {
        self.values
    }

    /// What is known of the elements of values, each member of a vector once.
    fn operands(&self, graph: &Graph, inputs: &[usize]) -> Vec<Option<Unit>> {
        let mut seen = HashSet::new();
        let mut operands = vec![];
        for &id in inputs {
            let units = &self.units[id];
            let unit = |i: usize| units.get(i).copied().flatten().filter(|unit| seen.insert((unit.group, unit.member)));
            operands.extend((0..graph.value_len(id)).map(unit));
        }
        operands
    }
}

/// A row of an affine map: what it is of a vector, if it is of one element, and its interval.
fn of_row(map: &Affine<f64, f64>, x: &[Span], operands: &[Option<Unit>], j: usize) -> (Option<Unit>, Span) {
    let (mut lo, mut hi) = (map.bias[j], map.bias[j]);
    let (mut plain, mut terms) = (lo, 0);
    let mut unit = None;
    let mut groups: Vec<((usize, usize), f64)> = vec![];
    let mut whole = (lo, hi);
    for (column, weight) in map.row(j) {
        terms += 1;
        let (a, b) = (weight * x[column].0, weight * x[column].1);
        whole = (whole.0 + a.min(b), whole.1 + a.max(b));
        let Some(known) = operands[column] else {
            (lo, hi) = (lo + a.min(b), hi + a.max(b));
            continue;
        };
        let (reach, offset) = (weight * known.reach, weight * known.offset);
        (lo, hi, plain) = (lo + offset, hi + offset, plain + offset);
        unit = Some(Unit { reach, ..known });
        match groups.iter_mut().rfind(|(group, _)| *group == known.group) {
            Some((_, squares)) => *squares += reach * reach,
            None => groups.push((known.group, reach * reach)),
        }
    }
    let reach: f64 = groups.iter().map(|(_, squares)| squares.sqrt()).sum();
    let unit = unit.filter(|_| terms == 1).map(|unit| Unit { offset: plain, ..unit });
    (unit, intersection(whole, (lo - reach, hi + reach)))
}

/// What two intervals have in common; the first one if roundings keep them apart.
fn intersection(a: Span, b: Span) -> Span {
    let (lo, hi) = (a.0.max(b.0), a.1.min(b.1));
    if lo <= hi { (lo, hi) } else { a }
}

impl FloatOp {
    /// Intervals of the result, from those of the concatenation `x` of its inputs.
    pub fn intervals(&self, x: &[Span]) -> Vec<Span> {
        match self {
            FloatOp::Relu => x.iter().map(|(lo, hi)| (lo.max(0.0), hi.max(0.0))).collect(),
            FloatOp::Affine(map) => {
                let sum = |j: usize| {
                    map.row(j).fold((map.bias[j], map.bias[j]), |(lo, hi), (i, w)| {
                        let (a, b) = (w * x[i].0, w * x[i].1);
                        (lo + a.min(b), hi + a.max(b))
                    })
                };
                (0..map.output_len()).map(sum).collect()
            }
            _ => self.other_intervals(x).into_iter().map(ordered).collect(),
        }
    }

    /// The same for operators that are neither affine nor a ReLU.
    fn other_intervals(&self, x: &[Span]) -> Vec<Span> {
        let hull = |values: [f64; 4]| {
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)))
        };
        let corners = |a: (f64, f64), b: (f64, f64), f: &dyn Fn(f64, f64) -> f64| {
            hull([f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)])
        };
        let map = |f: &dyn Fn((f64, f64)) -> (f64, f64)| x.iter().map(|&v| f(v)).collect();
        let zip = |f: &dyn Fn(f64, f64) -> f64| {
            let (a, b) = x.split_at(x.len() / 2);
            a.iter().zip(b).map(|(&a, &b)| corners(a, b, f)).collect()
        };
        match self {
            FloatOp::Affine(_) | FloatOp::Relu => x.to_vec(),
            FloatOp::Square => map(&|(lo, hi)| {
                let least = if lo <= 0.0 && hi >= 0.0 { 0.0 } else { lo.abs().min(hi.abs()) };
                (least * least, lo.abs().max(hi.abs()).powi(2))
            }),
            FloatOp::Product(product) => {
                let sum = |j| {
                    let terms = product.terms(j).map(|(a, b)| corners(x[a], x[b], &|a, b| a * b));
                    terms.fold((0.0, 0.0), |(lo, hi), (a, b)| (lo + a, hi + b))
                };
                (0..product.output_len()).map(sum).collect()
            }
            FloatOp::Function(function) => map(&|(lo, hi)| match lo.is_finite() && hi.is_finite() {
                true => function.range(lo, hi),
                false => ANYTHING,
            }),
            FloatOp::Quotient | FloatOp::FloorQuotient
                if x.iter().any(|(lo, hi)| !lo.is_finite() || !hi.is_finite()) =>
            {
                vec![ANYTHING; x.len() / 2]
            }
            FloatOp::Quotient => zip(&|a, b| a / b),
            FloatOp::Sqrt => map(&|(lo, hi)| (lo.max(0.0).sqrt(), hi.max(0.0).sqrt())),
            FloatOp::Round(rounding) => map(&|(lo, hi)| (rounding.apply(lo), rounding.apply(hi))),
            FloatOp::FloorQuotient => zip(&|a, b| (a / b).floor()),
            FloatOp::Compare(_) => map(&|_| (0.0, 1.0)),
            FloatOp::OneHot { depth } => vec![(0.0, 1.0); depth * x.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AffineBuilder, FloatNode, GraphInput};

    /// `x / sqrt(mean of x^2 + 0.01)` of four numbers, and what follows.
    fn graph(further: Vec<(FloatOp, usize)>) -> Graph {
        let map = |rows: &[[f64; 4]], bias: f64| {
            let mut map = AffineBuilder::new(4);
            rows.iter()
                .for_each(|row| map.push(row.iter().copied().enumerate().filter(|t| t.1 != 0.0).collect(), bias));
            FloatOp::Affine(map.finish())
        };
        let mut one = AffineBuilder::new(1);
        one.push(vec![(0, 1.0)], 0.01);
        let spread = Affine::selection(1, vec![0; 4]);
        let mut nodes = vec![
            (FloatOp::Square, vec![0]),
            (map(&[[0.25; 4]], 0.0), vec![1]),
            (FloatOp::Affine(one.finish()), vec![2]),
            (FloatOp::Sqrt, vec![3]),
            (FloatOp::Affine(spread), vec![4]),
            (FloatOp::Quotient, vec![0, 5]),
            (
                map(&[[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 2.0]], 1.0),
                vec![6],
            ),
            (map(&[[1.0, -1.0, 1.0, -1.0], [3.0, 0.0, 0.0, 4.0]], 0.5), vec![7]),
        ];
        nodes.extend(further.into_iter().map(|(op, id)| (op, vec![id])));
        let node = |(op, inputs)| FloatNode { name: "n".into(), onnx_op: "N".into(), op, inputs };
        Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![1, 4], integer: false, limits: None }],
            nodes: nodes.into_iter().map(node).collect(),
            outputs: vec![],
        }
    }

    #[test]
    fn sums_of_normalised_elements_are_bounded_whatever_the_input() {
        let spans = Spans::of_any_input(&graph(vec![]));
        assert!(spans.of(6).iter().all(|&(lo, hi)| (lo, hi) == (-2.0, 2.0)));
        assert!(spans.of(7).iter().all(|&(lo, hi)| (lo, hi) == (-3.0, 5.0)));
        // 2 times a norm of 2 times that of the weights; the offsets are 1 times their sum, and a half
        let near = |(lo, hi): Span, offset: f64, reach: f64| {
            assert!((lo - (offset - reach)).abs() < 1e-9 && (hi - (offset + reach)).abs() < 1e-9, "{lo} {hi}");
        };
        near(spans.of(8)[0], 0.5, 8.0);
        near(spans.of(8)[1], 7.5, 20.0);
    }

    #[test]
    fn values_are_within_what_is_known() {
        let graph = graph(vec![(FloatOp::Function(crate::graph::Function::Exp), 8), (FloatOp::Relu, 7)]);
        for reach in [1e-3, 1.0, 1e6] {
            let spans = Spans::new(&graph, [(-reach, reach); 4]);
            for i in 0..200u32 {
                let x: Vec<f64> = (0..4).map(|j| (f64::from(i * 7 + j * j + 1) * 1.7).sin() * reach).collect();
                for (id, values) in graph.trace(&x).iter().enumerate() {
                    for (value, (lo, hi)) in values.iter().zip(spans.of(id)) {
                        let slack = 1e-9 * value.abs().max(1.0);
                        assert!((lo - slack..=hi + slack).contains(value), "value {id}: {value} outside {lo}..{hi}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_of_what_reads_the_input() {
        let function = FloatOp::Function(crate::graph::Function::Sin);
        let spans = Spans::of_any_input(&graph(vec![(function, 0), (FloatOp::Relu, 0)]));
        assert!(spans.of(9).iter().all(|&span| span == ANYTHING));
        assert!(spans.of(10).iter().all(|&span| span == (0.0, f64::INFINITY)));
        // a quotient by what may be anything
        let [one, any] = [(1.0, 1.0), ANYTHING];
        assert_eq!(FloatOp::Quotient.intervals(&[one, any]), [ANYTHING]);
    }
}
