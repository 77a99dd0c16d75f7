//! The choice of scales: a power of two for every feature and every tensor.
//!
//! A *precision* of `P` bits asks that no rounding costs more than `2^-P` of the range that a tensor has on the
//! calibration data: rounding an input, the weights of an affine map, or a rescaled tensor. From that follow the
//! exponents of all scales, in closed form. Where rescaling makes the circuit cheaper, it is planned.

use std::collections::BTreeSet;

use super::domain::Domain;
use super::quantise::Step;
use crate::graph::{Affine, FloatOp, Graph, MAX_BITS};

/// Extra bits for affine maps that no ReLU reads: nothing is paid for the bits of an output.
const FREE_BITS: i32 = 8;
/// Exponents stay within these bounds; beyond the upper one ranges overflow anyway.
const MIN_EXPONENT: i32 = -64;
const MAX_EXPONENT: i32 = 2 * MAX_BITS as i32;
/// Cost per bit of a tensor that comes close to the limit: rescaling is preferred to overflow.
const OVERFLOW_COST: f64 = 1e12;
/// Weights are exact with at most so many fractional bits, or they are rounded.
const MAX_EXACT_BITS: i32 = 24;

/// Rows of one output element of a linear map with `weights` weights.
fn linear_rows(weights: usize) -> f64 {
    2.0 * (weights as f64 + 1.0)
}

/// Rows of a ReLU of a value of `bits` bits.
fn relu_rows(bits: f64) -> f64 {
    bits + 10.0
}

/// Rows of rescaling a value of `bits` bits.
fn rescale_rows(bits: f64) -> f64 {
    bits + 2.0
}

/// Scales, as exponents of two.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scales {
    /// Per feature.
    pub features: Vec<i32>,
    /// Per node: the exponent of its integers, before a rescale.
    pub nodes: Vec<i32>,
    /// Per node: how many bits the rescale after it drops; 0 for none.
    pub shifts: Vec<i32>,
}

impl Scales {
    /// The exponent of what node `i` hands on.
    pub fn output(&self, i: usize) -> i32 {
        self.nodes[i] - self.shifts[i]
    }
}

/// What the choice of a node's scale depends on.
struct NodeFacts {
    /// Largest row sum of `|w|`-independent input magnitudes on the calibration data, per source.
    sources: Vec<Source>,
    /// Greatest magnitude of its output on the calibration data.
    observed: f64,
    /// Proved magnitude of every output element over the domain.
    magnitudes: Vec<f64>,
    /// Number of weights of every row; empty for a ReLU.
    weights: Vec<usize>,
    /// Whether the bias is a multiple of `2^-bits`, and the least such `bits`.
    bias_bits: Option<i32>,
    /// Whether a ReLU depends on it.
    feeds_relu: bool,
    /// Whether it is an output, directly or through a ReLU.
    output: bool,
}

/// A value that an affine map reads.
struct Source {
    /// Its value id in the graph.
    id: usize,
    /// Greatest sum, over the terms of a row, of the magnitudes of what they read.
    mass: f64,
    /// Fractional bits of its weights, if they have few.
    weight_bits: Option<i32>,
}

/// Chooses scales for one graph, domain and set of samples.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    /// Exponents of the features at precision 0; `None` for integer features.
    widths: Vec<Option<i32>>,
    /// Greatest magnitude of every feature on the calibration data.
    features: Vec<f64>,
    /// Width of every feature's domain.
    spans: Vec<f64>,
    facts: Vec<NodeFacts>,
}

impl<'a> Planner<'a> {
    /// `graph` as [`super::build::aligned`] prepares it: ReLUs and outputs read nodes, never inputs.
    pub fn new(graph: &'a Graph, domain: &Domain, samples: &[Vec<f64>]) -> Self {
        let observed = observed_magnitudes(graph, samples);
        let intervals = float_intervals(graph, domain);
        let first = graph.inputs.len();
        let mut facts: Vec<NodeFacts> = vec![];
        for (i, node) in graph.nodes.iter().enumerate() {
            let peak = observed[first + i].iter().copied().fold(0.0, f64::max);
            let magnitudes: Vec<f64> = intervals[first + i].iter().map(|(lo, hi)| lo.abs().max(hi.abs())).collect();
            let proved = magnitudes.iter().copied().fold(0.0, f64::max);
            let range = [peak, proved].into_iter().find(|&r| r > 0.0 && r.is_finite()).unwrap_or(1.0);
            let (sources, weights, bias_bits) = match &node.op {
                FloatOp::Relu => (vec![], vec![], None),
                FloatOp::Affine(map) => {
                    let weights = (0..map.output_len()).map(|j| map.row(j).count()).collect();
                    (sources(graph, map, &node.inputs, &observed), weights, fractional_bits(map.bias.iter().copied()))
                }
            };
            let (feeds_relu, output) = (false, false);
            facts.push(NodeFacts { sources, observed: range, magnitudes, weights, bias_bits, feeds_relu, output });
        }
        for (_, id, _) in &graph.outputs {
            let mut id = *id;
            while let Some(node) = id.checked_sub(first) {
                facts[node].output = true;
                match graph.nodes[node].op {
                    FloatOp::Relu => id = graph.nodes[node].inputs[0],
                    FloatOp::Affine(_) => break,
                }
            }
        }
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            if facts[i].feeds_relu || node.op == FloatOp::Relu {
                node.inputs.iter().filter_map(|id| id.checked_sub(first)).for_each(|n| facts[n].feeds_relu = true);
            }
        }
        let width = |f: &super::DeclaredFeature| {
            let width = [f.max - f.min, f.max.abs()].into_iter().find(|&w| w > 0.0 && w.is_finite()).unwrap_or(1.0);
            (!f.integer).then(|| -(width.log2().ceil() as i32))
        };
        Self {
            graph,
            widths: domain.features.iter().map(width).collect(),
            features: observed[..first].concat(),
            spans: domain.features.iter().map(|f| f.max - f.min).collect(),
            facts,
        }
    }

    /// Exponents of the features: 0 for integer ones, at least 1 for others.
    fn feature_exponents(&self, precision: i32) -> Vec<i32> {
        let exponent = |width: &Option<i32>| width.map_or(0, |w| (precision + w).clamp(1, MAX_EXPONENT));
        self.widths.iter().map(exponent).collect()
    }

    /// Scales at `precision` bits, rescaling where that saves rows.
    pub fn at_precision(&self, precision: i32) -> Scales {
        let mut rescaled = BTreeSet::new();
        let mut best = self.derive(precision, &rescaled);
        let mut best_rows = self.rows(&best);
        loop {
            let candidates = (0..self.facts.len()).filter(|i| self.can_rescale(*i) && !rescaled.contains(i));
            let tried = candidates.map(|i| {
                let mut with: BTreeSet<usize> = rescaled.clone();
                with.insert(i);
                let scales = self.derive(precision, &with);
                (self.rows(&scales), i, scales)
            });
            match tried.min_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((rows, i, scales)) if rows < best_rows => {
                    rescaled.insert(i);
                    (best, best_rows) = (scales, rows);
                }
                _ => return best,
            }
        }
    }

    /// Whether a rescale after node `i` can pay off.
    pub fn can_rescale(&self, i: usize) -> bool {
        self.facts[i].feeds_relu && matches!(self.graph.nodes[i].op, FloatOp::Affine(_))
    }

    /// `scales` with one bit less at node `i`; `None` where that cannot be.
    pub fn step(&self, scales: &Scales, i: usize, step: Step) -> Option<Scales> {
        let mut next = scales.clone();
        match step {
            Step::ToInput(bits) => {
                next.nodes[i] -= 1;
                let real = next.features.iter_mut().zip(&self.widths).filter(|(_, width)| width.is_some());
                real.for_each(|(e, _)| *e = (*e + bits).clamp(1, MAX_EXPONENT));
            }
            Step::Accumulator if scales.shifts[i] > 1 => {
                next.nodes[i] -= 1;
                next.shifts[i] -= 1;
            }
            Step::Rescaled if scales.shifts[i] > 0 => next.shifts[i] += 1,
            Step::Accumulator | Step::Rescaled => return None,
        }
        let lowest = if self.facts[i].output { 0 } else { MIN_EXPONENT };
        for (n, node) in self.graph.nodes.iter().enumerate().filter(|(_, node)| node.op == FloatOp::Relu) {
            next.nodes[n] = next.output(node.inputs[0].checked_sub(self.graph.inputs.len())?);
        }
        (next.output(i) >= lowest).then_some(next)
    }

    fn derive(&self, precision: i32, rescaled: &BTreeSet<usize>) -> Scales {
        let features = self.feature_exponents(precision);
        let mut scales = Scales { features, nodes: vec![], shifts: vec![] };
        let first = self.graph.inputs.len();
        for (i, facts) in self.facts.iter().enumerate() {
            if self.graph.nodes[i].op == FloatOp::Relu {
                let input = self.graph.nodes[i].inputs[0].saturating_sub(first);
                scales.nodes.push(scales.output(input));
                scales.shifts.push(0);
                continue;
            }
            let bits = if facts.feeds_relu { precision } else { precision + FREE_BITS };
            let lowest = if facts.output { 0 } else { MIN_EXPONENT };
            let exponent = self.affine_exponent(facts, &scales, bits).clamp(lowest, MAX_EXPONENT);
            let kept = round_up(f64::from(bits - 1) - facts.observed.log2()).clamp(lowest, MAX_EXPONENT);
            scales.nodes.push(exponent);
            scales.shifts.push(if rescaled.contains(&i) { (exponent - kept).max(0) } else { 0 });
        }
        scales
    }

    /// The least exponent at which rounding the weights costs no more than `2^-bits` of the output's range, or at
    /// which they need no rounding.
    fn affine_exponent(&self, facts: &NodeFacts, scales: &Scales, bits: i32) -> i32 {
        let mut mass = 1.0;
        let mut exact = Some(MIN_EXPONENT);
        for source in &facts.sources {
            // One exponent per source: the finest of its elements.
            let (exponent, source_mass) = self.source(source, scales);
            mass += source_mass;
            exact = exact.zip(source.weight_bits).map(|(e, bits)| e.max(exponent + bits));
        }
        let of_range = f64::from(bits - 1) - facts.observed.log2();
        let rounded = round_up(of_range + mass.log2());
        let bias = facts.bias_bits.unwrap_or(MAX_EXPONENT).min(round_up(of_range));
        exact.map_or(rounded, |e| e.max(bias).min(rounded))
    }

    /// The finest exponent of a source and its mass in integers.
    fn source(&self, source: &Source, scales: &Scales) -> (i32, f64) {
        let first = self.graph.inputs.len();
        let (exponent, mass) = match source.id.checked_sub(first) {
            Some(node) => (scales.output(node), source.mass),
            None => {
                let start: usize = self.graph.inputs[..source.id].iter().map(|i| i.len()).sum();
                let own = start..start + self.graph.inputs[source.id].len();
                let finest = own.clone().map(|f| scales.features[f]).max().unwrap_or(0);
                // Features of different scales: each weighs by its own.
                let total: f64 = own.clone().map(|f| self.features[f]).sum();
                let scaled = own.map(|f| self.features[f] * exp2(scales.features[f] - finest)).sum::<f64>();
                let share = if total > 0.0 { scaled / total } else { 1.0 };
                (finest, source.mass * share)
            }
        };
        (exponent, mass * exp2(exponent))
    }

    /// Estimated rows of the circuit, from the proved ranges.
    pub fn rows(&self, scales: &Scales) -> f64 {
        let mut rows: f64 = self.spans.iter().zip(&scales.features).map(|(&w, &e)| bits(w, e)).sum();
        for (i, facts) in self.facts.iter().enumerate() {
            let own = |exponent: i32| facts.magnitudes.iter().map(move |&m| bits(m, exponent));
            rows += facts.weights.iter().map(|&w| linear_rows(w)).sum::<f64>();
            rows += own(scales.nodes[i]).map(|b| (b - f64::from(MAX_BITS - 8)).max(0.0) * OVERFLOW_COST).sum::<f64>();
            if scales.shifts[i] > 0 {
                rows += own(scales.nodes[i]).map(rescale_rows).sum::<f64>();
            }
            if self.graph.nodes[i].op == FloatOp::Relu {
                let input = self.graph.nodes[i].inputs[0].saturating_sub(self.graph.inputs.len());
                let magnitudes = self.facts[input].magnitudes.iter();
                rows += magnitudes.map(|&m| relu_rows(bits(m, scales.nodes[i]))).sum::<f64>();
            }
        }
        rows
    }
}

/// Bits of the integer that `magnitude` becomes.
fn bits(magnitude: f64, exponent: i32) -> f64 {
    if magnitude > 0.0 { (magnitude.log2() + f64::from(exponent)).floor().max(-1.0) + 1.0 } else { 0.0 }
}

pub(super) fn exp2(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

/// The least integer that is not below, saturating.
fn round_up(value: f64) -> i32 {
    value.ceil() as i32
}

/// The least `bits` such that all values are multiples of `2^-bits`, if it is small.
fn fractional_bits(values: impl Iterator<Item = f64>) -> Option<i32> {
    let mut most = MIN_EXPONENT;
    for value in values.filter(|&v| v != 0.0) {
        let bits = (MIN_EXPONENT..=MAX_EXACT_BITS).find(|&b| (value * exp2(b)).fract() == 0.0)?;
        most = most.max(bits);
    }
    Some(most)
}

fn sources(graph: &Graph, map: &Affine<f64, f64>, inputs: &[usize], observed: &[Vec<f64>]) -> Vec<Source> {
    let mut start = 0;
    let source = |&id: &usize| {
        let own = start..start + graph.value_len(id);
        start = own.end;
        let terms = |j: usize| map.row(j).filter(|(i, _)| own.contains(i));
        let mass = |j: usize| terms(j).map(|(i, _)| observed[id][i - own.start]).sum::<f64>();
        let masses = (0..map.output_len()).map(mass).fold(0.0, f64::max);
        let weight_bits = fractional_bits((0..map.output_len()).flat_map(terms).map(|(_, w)| w));
        Source { id, mass: masses, weight_bits }
    };
    inputs.iter().map(source).collect()
}

/// Greatest magnitude of every element of every value over the samples.
fn observed_magnitudes(graph: &Graph, samples: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let values = graph.inputs.len() + graph.nodes.len();
    let mut greatest: Vec<Vec<f64>> = (0..values).map(|id| vec![0.0; graph.value_len(id)]).collect();
    for sample in samples {
        for (most, value) in greatest.iter_mut().zip(graph.trace(sample)) {
            most.iter_mut().zip(value).for_each(|(m, v)| *m = m.max(v.abs()));
        }
    }
    greatest
}

/// Interval of every element of every value over the domain, in floats: for estimates only.
fn float_intervals(graph: &Graph, domain: &Domain) -> Vec<Vec<(f64, f64)>> {
    let mut features = domain.features.iter().map(|f| (f.min, f.max));
    let mut values: Vec<Vec<(f64, f64)>> =
        graph.inputs.iter().map(|input| features.by_ref().take(input.len()).collect()).collect();
    for node in &graph.nodes {
        let x: Vec<(f64, f64)> = node.inputs.iter().flat_map(|&id| values[id].iter().copied()).collect();
        values.push(match &node.op {
            FloatOp::Relu => x.into_iter().map(|(lo, hi)| (lo.max(0.0), hi.max(0.0))).collect(),
            FloatOp::Affine(map) => (0..map.output_len())
                .map(|j| {
                    map.row(j).fold((map.bias[j], map.bias[j]), |(lo, hi), (i, w)| {
                        let (a, b) = (w * x[i].0, w * x[i].1);
                        (lo + a.min(b), hi + a.max(b))
                    })
                })
                .collect(),
        });
    }
    values
}
