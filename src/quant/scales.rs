//! The choice of scales: a power of two for every feature and every tensor.
//!
//! A *precision* of `P` bits asks that the roundings at a tensor cost as much as rounding it to a multiple of `2^-P` of
//! its range on the calibration data would. From that follow the exponents of all scales, in closed form. Where
//! rescaling makes the circuit cheaper, it is planned.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::domain::{DeclaredFeature, Domain};
use super::quantise::Step;
use super::sensitivity::demands;
use crate::graph::{Affine, FloatNode, FloatOp, Graph, MAX_BITS, Spans};

/// Extra bits for affine maps that no ReLU reads: nothing is paid for the bits of an output.
const FREE_BITS: i32 = 8;
/// Exponents stay within these bounds; beyond the upper one ranges overflow anyway.
const MIN_EXPONENT: i32 = -64;
const MAX_EXPONENT: i32 = 2 * MAX_BITS as i32;
/// The most bits that one rescale drops.
const MAX_SHIFT: i32 = MAX_BITS as i32 - 1;
/// Cost per bit of a tensor that comes close to the limit: rescaling is preferred to overflow.
const OVERFLOW_COST: f64 = 1e12;
/// Integer weights have at most so many bits.
pub(super) const MAX_WEIGHT_BITS: i32 = 62;
/// Weights are exact with at most so many fractional bits, or they are rounded.
const MAX_EXACT_BITS: i32 = 24;

/// What is at most this much of what was added up may be the roundings of `f64` and nothing else.
pub(super) const ROUNDING: f64 = 1e-12;

/// Per feature the first one of the same input and domain, such as another pixel: what is known of one holds for the other, and
/// filters have the same integer weights everywhere.
fn alike(graph: &Graph, domain: &Domain) -> Vec<usize> {
    let mut first: HashMap<(usize, u64, u64, bool), usize> = HashMap::new();
    let inputs = graph.inputs.iter().enumerate().flat_map(|(input, i)| std::iter::repeat_n(input, i.len()));
    let features = inputs.zip(&domain.features).enumerate();
    let key = |input, f: &DeclaredFeature| (input, f.min.to_bits(), f.max.to_bits(), f.integer);
    features.map(|(feature, (input, f))| *first.entry(key(input, f)).or_insert(feature)).collect()
}

/// Give each the value of those that are alike, joined.
fn share<T: Copy>(values: &mut [T], alike: &[usize], join: impl Fn(T, T) -> T) {
    for (i, &first) in alike.iter().enumerate() {
        values[first] = join(values[first], values[i]);
    }
    for (i, &first) in alike.iter().enumerate() {
        values[i] = values[first];
    }
}

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scales {
    /// Per feature.
    pub features: Vec<i32>,
    /// Per node: the exponent of its integers, before a rescale.
    pub nodes: Vec<i32>,
    /// Per node: how many bits the rescale after it drops; 0 for none.
    pub shifts: Vec<i32>,
    /// Per node that is not affine: the exponent at which it should hand its result on.
    wanted: Vec<i32>,
    /// Per affine node whose operands have exponents that others asked for: the error that its roundings may cost.
    errors: Vec<Option<f64>>,
}

/// Magnitudes of a value on the calibration data, over all its elements; where there is none but zero, those that it may
/// have, or 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub greatest: f64,
    /// The least magnitude that is not zero.
    pub least: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Scales {
    /// The exponent of what node `i` hands on.
    pub fn output(&self, i: usize) -> i32 {
        self.nodes[i] - self.shifts[i]
    }
}

/// What the choice of a node's scale depends on. Magnitudes are the greatest on the calibration data, in the units of
/// the float model; sums over a row are those of the row where they are greatest.
struct NodeFacts {
    sources: Vec<Source>,
    /// Magnitude of its output.
    observed: f64,
    /// Proved magnitude of every output element over the domain.
    magnitudes: Vec<f64>,
    /// Number of weights of every row; empty for a ReLU.
    weights: Vec<usize>,
    /// Fractional bits of the bias, if it has few.
    bias_bits: Option<i32>,
    /// Whether an operator that is not affine depends on it.
    feeds_relu: bool,
    /// Whether it is an integer at scale 1, whatever the input.
    integral: bool,
    /// Whether it hands on what it reads at the scale that it has: a ReLU or a selection.
    passed_on: bool,
    /// The nodes behind what it reads, as [`root`] has it.
    roots: Vec<Option<usize>>,
    /// Whether an operator reads it, maybe through ReLUs and selections, that needs it at a scale of its own.
    demanded: bool,
    /// Whether it is an output, directly or through a ReLU.
    output: bool,
}

/// Values of one kind that an affine map reads.
struct Source {
    kind: SourceKind,
    /// Greatest root of the sum of squares of what a row reads.
    values: f64,
    /// Greatest root of the sum of squares of a row's weights here.
    weights: f64,
    /// Greatest sum over a row of `|weight| * value`.
    products: f64,
    /// Fractional bits of its weights, if they have few.
    weight_bits: Option<i32>,
}

enum SourceKind {
    /// Integer features, which are exact.
    Integers,
    /// Real features, each with its greatest weight: their scales are chosen by who reads them.
    Reals(Vec<(usize, f64)>),
    /// The output of the affine node with this index, possibly through ReLUs.
    Node(usize),
}

/// Chooses scales for one graph, domain and set of samples.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    /// Whether a feature only takes integers.
    integer: Vec<bool>,
    /// Per feature the first one of the same input and domain: both have the same scale.
    alike: Vec<usize>,
    /// Greatest magnitude of every feature, or one that is alike, on the calibration data.
    features: Vec<f64>,
    /// Width of every feature's domain.
    spans: Vec<f64>,
    facts: Vec<NodeFacts>,
    /// By value id.
    observed: Vec<Observed>,
}

/// The most nodes for which single rescales are tried one by one.
const MAX_NODES_TO_TRY: usize = 24;

impl<'a> Planner<'a> {
    /// `graph` as [`super::build::aligned`] prepares it: ReLUs and outputs read nodes, never inputs.
    pub fn new(graph: &'a Graph, domain: &Domain, samples: &[Vec<f64>]) -> Self {
        let features = domain.features.iter().map(|f| (f.min, f.max));
        let intervals = Spans::new(graph, features).into_values();
        let (observed, summary) = observed_magnitudes(graph, samples, &intervals);
        let integer: Vec<bool> = domain.features.iter().map(|f| f.integer).collect();
        let first = graph.inputs.len();
        let mut facts: Vec<NodeFacts> = vec![];
        for (i, node) in graph.nodes.iter().enumerate() {
            let peak = observed[first + i].iter().copied().fold(0.0, f64::max);
            let magnitudes: Vec<f64> = intervals[first + i].iter().copied().map(magnitude).collect();
            let proved = magnitudes.iter().copied().fold(0.0, f64::max);
            let (sources, weights, bias_bits) = match &node.op {
                FloatOp::Affine(map) => {
                    let weights = (0..map.output_len()).map(|j| map.row(j).count()).collect();
                    (sources(graph, node, map, &observed, &integer), weights, fractional_bits(map.bias.iter().copied()))
                }
                _ => (vec![], vec![], None),
            };
            let integral = integral(graph, node, &facts, &integer);
            let (feeds_relu, output, observed) = (false, false, positive([peak, proved]));
            let demanded = false;
            let passed_on = is_passed_on(graph, i);
            let roots = node.inputs.iter().map(|&id| root(graph, id)).collect();
            facts.push(NodeFacts {
                sources,
                observed,
                magnitudes,
                weights,
                bias_bits,
                feeds_relu,
                integral,
                passed_on,
                roots,
                demanded,
                output,
            });
        }
        for (_, id, _) in &graph.outputs {
            if let Some(node) = root(graph, *id) {
                facts[node].output = true;
            }
        }
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            if facts[i].feeds_relu || !matches!(node.op, FloatOp::Affine(_)) {
                node.inputs.iter().filter_map(|id| id.checked_sub(first)).for_each(|n| facts[n].feeds_relu = true);
            }
            if !matches!(node.op, FloatOp::Affine(_) | FloatOp::Relu) {
                let roots = facts[i].roots.clone();
                roots.into_iter().flatten().for_each(|n| facts[n].demanded = true);
            }
        }
        let features = observed[..first].concat();
        let features = features.iter().zip(&domain.features).map(|(&x, f)| positive([x, f.min.abs(), f.max.abs()]));
        let mut features: Vec<f64> = features.collect();
        let spans = domain.features.iter().map(|f| f.max - f.min).collect();
        let alike = alike(graph, domain);
        share(&mut features, &alike, f64::max);
        Self { graph, integer, alike, features, spans, facts, observed: summary }
    }

    /// Scales at `precision` bits, rescaling where that saves rows.
    pub fn at_precision(&self, precision: f64) -> Scales {
        let all = self.facts.len() > MAX_NODES_TO_TRY;
        let fixed = |i: &usize| self.can_rescale(*i) && (all || self.facts[*i].demanded);
        let mut rescaled: BTreeSet<usize> = (0..self.facts.len()).filter(fixed).collect();
        let mut best = self.derive(precision, &rescaled);
        if all {
            return best;
        }
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
        let facts = &self.facts[i];
        let affine = matches!(self.graph.nodes[i].op, FloatOp::Affine(_)) && !facts.passed_on;
        affine && facts.feeds_relu && !facts.integral
    }

    /// `scales` with one bit less at node `i`; `None` where that cannot be.
    pub fn step(&self, scales: &Scales, i: usize, step: Step) -> Option<Scales> {
        let mut next = scales.clone();
        match step {
            Step::Output(bits) => {
                next.nodes[i] -= 1;
                let real = next.features.iter_mut().zip(&self.integer).filter(|(_, integer)| !**integer);
                real.for_each(|(e, _)| *e = (*e + bits).clamp(1, MAX_EXPONENT));
            }
            Step::Accumulator if scales.shifts[i] > 1 => {
                next.nodes[i] -= 1;
                next.shifts[i] -= 1;
            }
            Step::Rescaled if (1..MAX_SHIFT).contains(&scales.shifts[i]) => next.shifts[i] += 1,
            Step::Accumulator | Step::Rescaled => return None,
        }
        let lowest = if self.facts[i].output { 0 } else { MIN_EXPONENT };
        self.settle(&mut next);
        (next.output(i) >= lowest).then_some(next)
    }

    /// The root mean square of rounding to a multiple of `2^-e` is `2^-e / sqrt(12)`; that factor is common to all
    /// roundings and left out.
    ///
    /// A node's output has exponent `e`, what it reads exponent `a`. Its weights are then rounded to multiples of
    /// `2^(a-e)`, which costs `values * 2^(a-e)`. Where `a` can be chosen (real features, rescaled tensors), rounding
    /// what is read costs `weights * 2^-a`, and the sum of squares is least at `2^2a = 2^e * weights / values`.
    ///
    /// Of several readers, the one that wants most decides `a`. The others' weights would then be too coarse: their
    /// exponents are chosen once more, for the `a` that they get.
    pub(super) fn derive(&self, precision: f64, rescaled: &BTreeSet<usize>) -> Scales {
        let (scales, contested) = self.derive_for(precision, rescaled, None);
        // beside operators that ask for exponents, `settle` makes room for the weights
        if !contested || self.facts.iter().any(|facts| facts.demanded) {
            return scales;
        }
        self.derive_for(precision, rescaled, Some(&scales)).0
    }

    /// Scales, and whether readers of one value wanted different exponents. What is read has those of `given`, if there
    /// are any.
    fn derive_for(&self, precision: f64, rescaled: &BTreeSet<usize>, given: Option<&Scales>) -> (Scales, bool) {
        let mut contested = false;
        let mut want = |exponent: &mut i32, least: i32, wanted: i32| {
            contested |= wanted < least || *exponent != least && *exponent != wanted;
            *exponent = wanted.max(*exponent);
        };
        let mut nodes: Vec<i32> = vec![];
        let least: Vec<i32> = self.integer.iter().map(|&integer| if integer { 0 } else { 1 }).collect();
        let mut features = given.map_or(least.clone(), |scales| scales.features.clone());
        let wanted = self.wanted(precision);
        let mut kept = match given {
            Some(scales) => (0..self.facts.len()).map(|i| scales.output(i)).collect(),
            None => wanted.clone(),
        };
        let mut errors = vec![None; self.facts.len()];
        let demanded = self.facts.iter().any(|facts| facts.demanded);
        for (i, facts) in self.facts.iter().enumerate() {
            if facts.integral || facts.passed_on {
                nodes.push(0);
                continue;
            }
            if !matches!(self.graph.nodes[i].op, FloatOp::Affine(_)) {
                nodes.push(wanted[i]);
                continue;
            }
            let error = (facts.observed * (-precision).exp2()).min((-f64::from(wanted[i])).exp2());
            errors[i] = demanded.then_some(error);
            let lowest = if facts.output { 0 } else { MIN_EXPONENT };
            let (exponent, exact) = affine_exponent(facts, error, &nodes, rescaled, given);
            let exponent = exponent.clamp(lowest, MAX_EXPONENT);
            for source in facts.sources.iter().filter(|_| given.is_none()) {
                let balanced = |weight: f64, value: f64| {
                    let twice = f64::from(exponent) + (weight / value).log2();
                    let chosen = match source.weight_bits {
                        Some(bits) if exact => exponent - bits,
                        _ => (twice / 2.0).round() as i32,
                    };
                    chosen.clamp(MIN_EXPONENT, MAX_EXPONENT)
                };
                match &source.kind {
                    SourceKind::Integers => {}
                    SourceKind::Reals(read) => {
                        for &(feature, weight) in read {
                            want(&mut features[feature], least[feature], balanced(weight, self.features[feature]));
                        }
                    }
                    SourceKind::Node(n) => {
                        want(&mut kept[*n], wanted[*n], balanced(source.weights, positive([source.values])));
                    }
                }
            }
            if facts.output {
                kept[i] = kept[i].max(round_up(-error.log2()));
            }
            let free = if facts.feeds_relu { 0 } else { FREE_BITS };
            nodes.push((exponent + free).min(widest_exponent(facts, &nodes, rescaled)).max(lowest));
        }
        let own = features.clone();
        share(&mut features, &self.alike, i32::max);
        contested |= features != own;
        let shift = |i: usize| if rescaled.contains(&i) { (nodes[i] - kept[i]).clamp(0, MAX_SHIFT) } else { 0 };
        let shifts = (0..nodes.len()).map(shift).collect();
        let mut scales = Scales { features, nodes, shifts, wanted, errors };
        self.settle(&mut scales);
        (scales, contested)
    }

    /// Exponents that operators which are not affine ask of the affine nodes and of each other; the least exponent for
    /// the affine nodes that none of them reads.
    fn wanted(&self, precision: f64) -> Vec<i32> {
        let mut wanted = vec![MIN_EXPONENT; self.facts.len()];
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if self.facts[i].integral {
                wanted[i] = 0;
            } else if !matches!(node.op, FloatOp::Affine(_) | FloatOp::Relu) {
                wanted[i] = wanted[i].max(round_up(precision + 1.0 - self.facts[i].observed.log2()));
            }
            for (root, demand) in self.facts[i].roots.iter().zip(demands(self.graph, i, &self.observed, precision)) {
                if let Some(n) = root.filter(|&n| !self.facts[n].integral) {
                    wanted[n] = wanted[n].max(demand.clamp(MIN_EXPONENT, MAX_EXPONENT));
                }
            }
        }
        wanted
    }

    /// The exponents that follow from others: a ReLU keeps that of what it reads, a product has the sum of its operands'
    /// and drops what is not wanted, a root has no less than half of its operand's.
    fn settle(&self, scales: &mut Scales) {
        let first = self.graph.inputs.len();
        for (i, node) in self.graph.nodes.iter().enumerate().filter(|(i, _)| !self.facts[*i].integral) {
            let operand = |position: usize| {
                node.inputs.get(position).and_then(|id| id.checked_sub(first)).map_or(0, |n| scales.output(n))
            };
            let product = match node.op {
                FloatOp::Square => 2 * operand(0),
                FloatOp::Product(_) => operand(0) + operand(1),
                FloatOp::Sqrt => {
                    scales.nodes[i] = scales.wanted[i].max(operand(0).div_euclid(2) + 1);
                    continue;
                }
                _ if self.facts[i].passed_on => {
                    scales.nodes[i] = operand(0);
                    continue;
                }
                _ => {
                    self.make_room_for_weights(scales, i);
                    continue;
                }
            };
            scales.nodes[i] = product;
            scales.shifts[i] = (product - scales.wanted[i]).clamp(0, MAX_SHIFT);
        }
    }

    /// Raises the exponent of an affine node, but not that of what it hands on if it is rescaled, until its weights are
    /// precise enough beside operands whose exponents others have raised.
    fn make_room_for_weights(&self, scales: &mut Scales, i: usize) {
        let Some(error) = scales.errors[i] else { return };
        let needed = |source: &Source| {
            let exponent = match &source.kind {
                SourceKind::Integers => return MIN_EXPONENT,
                SourceKind::Reals(read) => read.iter().map(|r| scales.features[r.0]).fold(MIN_EXPONENT, i32::max),
                SourceKind::Node(n) => scales.output(*n),
            };
            let rounded = round_up((source.values / error).log2());
            exponent + source.weight_bits.map_or(rounded, |bits| bits.min(rounded))
        };
        let missing = self.facts[i].sources.iter().map(needed).fold(MIN_EXPONENT, i32::max) - scales.nodes[i];
        if missing > 0 {
            scales.nodes[i] += missing;
            if self.can_rescale(i) && (scales.shifts[i] > 0 || self.facts[i].demanded) {
                scales.shifts[i] = (scales.shifts[i] + missing).min(MAX_SHIFT);
            }
        }
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

/// The least exponent that is not below `value`, within the bounds.
fn round_up(value: f64) -> i32 {
    (value.ceil() as i32).clamp(MIN_EXPONENT, MAX_EXPONENT)
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

/// The exponent at which an affine map's roundings cost `error`, and whether its weights need no rounding there.
fn affine_exponent(
    facts: &NodeFacts,
    error: f64,
    nodes: &[i32],
    rescaled: &BTreeSet<usize>,
    given: Option<&Scales>,
) -> (i32, bool) {
    // what is read is not known better than it is computed
    let mut chosen = rescaled.clone();
    loop {
        let found = balanced_exponent(facts, error, nodes, &chosen, given);
        let known = |source: &Source| match source.kind {
            SourceKind::Node(n) => {
                let twice = f64::from(found.0) + (source.weights / positive([source.values])).log2();
                Some(n).filter(|&n| given.is_none() && twice / 2.0 > f64::from(nodes[n]))
            }
            _ => None,
        };
        let before = chosen.len();
        facts.sources.iter().filter_map(known).for_each(|n| {
            chosen.remove(&n);
        });
        if chosen.len() == before {
            return found;
        }
    }
}

/// The same, if the exponents of the sources that are `rescaled` are chosen as well.
fn balanced_exponent(
    facts: &NodeFacts,
    error: f64,
    nodes: &[i32],
    rescaled: &BTreeSet<usize>,
    given: Option<&Scales>,
) -> (i32, bool) {
    // error^2 * s^2 = 2 * balanced * s + fixed, for s = 2^exponent; the bias is rounded as well.
    let unbiased = facts.bias_bits == Some(MIN_EXPONENT) && !facts.sources.is_empty();
    let (mut balanced, mut fixed) = (0.0, if unbiased { 0.0 } else { 1.0 });
    let mut exact = Some(MIN_EXPONENT);
    for source in &facts.sources {
        let chosen = |weight: f64| round_up((weight / error).log2());
        let exponent = match &source.kind {
            SourceKind::Integers => Some(0),
            SourceKind::Reals(read) => {
                given.and_then(|scales| read.iter().map(|(feature, _)| scales.features[*feature]).max())
            }
            SourceKind::Node(n) if !rescaled.contains(n) => Some(nodes[*n]),
            SourceKind::Node(n) => given.map(|scales| scales.output(*n)),
        };
        match exponent {
            Some(e) => fixed += (source.values * exp2(e)).powi(2),
            None => balanced += source.products,
        }
        let exponent = exponent.unwrap_or_else(|| chosen(source.weights));
        exact = exact.zip(source.weight_bits).map(|(e, bits)| e.max(exponent + bits));
    }
    let rounded =
        round_up(((balanced + (balanced * balanced + error * error * fixed).sqrt()) / (error * error)).log2());
    let bias = facts.bias_bits.unwrap_or(MAX_EXPONENT).min(round_up(-error.log2()));
    match exact.map(|e| e.max(bias)) {
        Some(exact) if exact <= rounded => (exact, true),
        _ => (rounded, false),
    }
}

/// The greatest exponent at which the weights still fit their integer type.
fn widest_exponent(facts: &NodeFacts, nodes: &[i32], rescaled: &BTreeSet<usize>) -> i32 {
    let widest = |source: &Source| {
        let exponent = match &source.kind {
            SourceKind::Integers => 0,
            SourceKind::Node(n) if !rescaled.contains(n) => nodes[*n],
            // Chosen in proportion to the node's own.
            _ => return MAX_EXPONENT,
        };
        exponent + MAX_WEIGHT_BITS - round_up(source.weights.log2())
    };
    facts.sources.iter().map(widest).fold(MAX_EXPONENT, i32::min)
}

/// The first positive finite number, or 1.
fn positive<const N: usize>(candidates: [f64; N]) -> f64 {
    candidates.into_iter().find(|&v| v > 0.0 && v.is_finite()).unwrap_or(1.0)
}

/// The node behind value `id`, through ReLUs and selections, which keep its scale; `None` for an input.
fn root(graph: &Graph, mut id: usize) -> Option<usize> {
    loop {
        let node = id.checked_sub(graph.inputs.len())?;
        if !is_passed_on(graph, node) {
            return Some(node);
        }
        id = graph.nodes[node].inputs[0];
    }
}

/// Whether a node is a ReLU or only picks elements of another node's value.
fn is_passed_on(graph: &Graph, node: usize) -> bool {
    let node = &graph.nodes[node];
    let FloatOp::Affine(map) = &node.op else { return node.op == FloatOp::Relu };
    node.inputs.len() == 1
        && node.inputs[0] >= graph.inputs.len()
        && map.weights.len() == map.output_len()
        && map.row_starts.iter().enumerate().all(|(j, &start)| start as usize == j)
        && map.weights.iter().all(|&w| w == 1.0)
        && map.bias.iter().all(|&b| b == 0.0)
}

/// Whether a node's value is an integer for all inputs, at scale 1.
fn integral(graph: &Graph, node: &FloatNode, facts: &[NodeFacts], integer: &[bool]) -> bool {
    let read = |id: usize| match id.checked_sub(graph.inputs.len()) {
        Some(n) => vec![facts[n].integral; graph.value_len(id)],
        None => {
            let start: usize = graph.inputs[..id].iter().map(|i| i.len()).sum();
            integer[start..start + graph.inputs[id].len()].to_vec()
        }
    };
    let whole = |v: &f64| v.fract() == 0.0;
    match &node.op {
        FloatOp::Round(_) | FloatOp::Compare(_) | FloatOp::FloorQuotient | FloatOp::OneHot { .. } => true,
        FloatOp::Function(_) | FloatOp::Quotient | FloatOp::Sqrt => false,
        FloatOp::Relu | FloatOp::Square | FloatOp::Product(_) => {
            node.inputs.iter().all(|&id| read(id).iter().all(|&i| i))
        }
        FloatOp::Affine(map) => {
            let columns: Vec<bool> = node.inputs.iter().flat_map(|&id| read(id)).collect();
            map.weights.iter().chain(&map.bias).all(whole) && map.columns.iter().all(|&c| columns[c as usize])
        }
    }
}

fn sources(
    graph: &Graph,
    node: &FloatNode,
    map: &Affine<f64, f64>,
    observed: &[Vec<f64>],
    integer: &[bool],
) -> Vec<Source> {
    let mut result = vec![];
    let mut start = 0;
    for &id in &node.inputs {
        let own = start..start + graph.value_len(id);
        start = own.end;
        let (column, values) = (own.start, observed[id].as_slice());
        if let Some(n) = root(graph, id) {
            let groups = encodings(graph, id).unwrap_or_else(|| (0..own.len()).collect());
            let place = |i: usize| own.contains(&i).then(|| i - column);
            result.push(Source::new(map, values, place, &groups, SourceKind::Node(n)));
            continue;
        }
        let offset: usize = graph.inputs[..id].iter().map(|i| i.len()).sum();
        let place =
            |i: usize, kind: bool| (own.contains(&i) && integer[offset + i - column] == kind).then(|| i - column);
        let (mut read, groups) = (vec![0.0f64; own.len()], (0..own.len()).collect::<Vec<_>>());
        for j in 0..map.output_len() {
            map.row(j).for_each(|(i, w)| place(i, false).into_iter().for_each(|p| read[p] = read[p].max(w.abs())));
        }
        let read: Vec<(usize, f64)> =
            read.into_iter().enumerate().filter(|r| r.1 > 0.0).map(|(p, w)| (offset + p, w)).collect();
        result.push(Source::new(map, values, |i| place(i, true), &groups, SourceKind::Integers));
        result.push(Source::new(map, values, |i| place(i, false), &groups, SourceKind::Reals(read)));
    }
    result.retain(|source| source.weights > 0.0);
    result
}

/// Per element of a value the encoding that it is of, if all are of one-hot encodings.
fn encodings(graph: &Graph, id: usize) -> Option<Vec<usize>> {
    let node = id.checked_sub(graph.inputs.len())?;
    match &graph.nodes[node].op {
        FloatOp::OneHot { depth } => Some((0..graph.value_len(id)).map(|element| element / depth).collect()),
        FloatOp::Affine(map) if is_passed_on(graph, node) => {
            let read = encodings(graph, graph.nodes[node].inputs[0])?;
            map.columns.iter().map(|&column| read.get(column as usize).copied()).collect()
        }
        _ => None,
    }
}

impl Source {
    /// The columns that `place` maps to an index of `values`. Of those of one of the `groups`, one at most is not zero.
    fn new(
        map: &Affine<f64, f64>,
        values: &[f64],
        place: impl Fn(usize) -> Option<usize>,
        groups: &[usize],
        kind: SourceKind,
    ) -> Self {
        let terms = |j: usize| map.row(j).filter_map(|(i, w)| place(i).map(|at| (groups[at], values[at], w)));
        let greatest = |sum: &dyn Fn(usize) -> f64| (0..map.output_len()).map(sum).fold(0.0, f64::max);
        // the sum over groups, as far as they are next to each other, of the greatest in them
        let grouped = |j: usize, of: &dyn Fn(f64, f64) -> f64| {
            let add = |(sum, last, most): (f64, usize, f64), (at, x, w): (usize, f64, f64)| match at == last {
                true => (sum, last, most.max(of(x, w))),
                false => (sum + most, at, of(x, w)),
            };
            let (sum, _, most) = terms(j).fold((0.0, 0, 0.0), add);
            sum + most
        };
        Self {
            values: greatest(&|j| grouped(j, &|x, _| x * x).sqrt()),
            weights: greatest(&|j| terms(j).map(|(_, _, w)| w * w).sum::<f64>().sqrt()),
            products: greatest(&|j| grouped(j, &|x, w| x * w.abs())),
            weight_bits: fractional_bits((0..map.output_len()).flat_map(terms).map(|(_, _, w)| w)),
            kind,
        }
    }
}

/// Greatest magnitude of every element of every value over the samples, and a summary of every value.
///
/// That no sample moves an element away from zero does not mean that it is zero: a ReLU may be off on all samples, and
/// of a sum that cancels the rounding is left. Such an element is taken to be what the magnitudes of its operands allow
/// within what is proved of it.
fn observed_magnitudes(
    graph: &Graph,
    samples: &[Vec<f64>],
    proved: &[Vec<(f64, f64)>],
) -> (Vec<Vec<f64>>, Vec<Observed>) {
    let values = graph.inputs.len() + graph.nodes.len();
    let mut greatest: Vec<Vec<f64>> = (0..values).map(|id| vec![0.0; graph.value_len(id)]).collect();
    let none = Observed { greatest: 0.0, least: f64::INFINITY, lowest: f64::INFINITY, highest: f64::NEG_INFINITY };
    let mut summary = vec![none; values];
    for sample in samples {
        for ((most, seen), value) in greatest.iter_mut().zip(&mut summary).zip(graph.trace(sample)) {
            for (m, v) in most.iter_mut().zip(value) {
                *m = m.max(v.abs());
                if v != 0.0 {
                    seen.least = seen.least.min(v.abs());
                }
                (seen.lowest, seen.highest) = (seen.lowest.min(v), seen.highest.max(v));
            }
        }
    }
    for id in 0..values {
        let (before, own) = greatest.split_at_mut(id);
        let node = id.checked_sub(graph.inputs.len()).map(|n| &graph.nodes[n]);
        let allowed = match node {
            Some(node) => {
                let operands = node.inputs.iter().flat_map(|&id| before[id].iter().map(|&m| (-m, m)));
                node.op.intervals(&operands.collect::<Vec<_>>())
            }
            None => proved[id].clone(),
        };
        let sums = node.is_some_and(|n| {
            matches!(n.op, FloatOp::Affine(_) | FloatOp::Relu | FloatOp::Square | FloatOp::Product(_))
        });
        let seen = &mut summary[id];
        for (m, (allowed, proved)) in own[0].iter_mut().zip(allowed.into_iter().zip(&proved[id])) {
            let noise = if sums { ROUNDING * magnitude(allowed) } else { 0.0 };
            if *m > noise {
                continue;
            }
            let lo = if allowed.0.is_finite() { allowed.0.max(proved.0) } else { proved.0 };
            let hi = if allowed.1.is_finite() { allowed.1.min(proved.1) } else { proved.1 };
            // what is near zero rounds to zero: that says nothing of others
            let known = if magnitude((lo, hi)) > 0.0 { (lo, hi) } else { *proved };
            if known.0.is_finite() && known.1.is_finite() && known.0 <= known.1 {
                let (lo, hi) = known;
                *m = magnitude(known);
                (seen.lowest, seen.highest) = (seen.lowest.min(lo), seen.highest.max(hi));
            }
        }
        seen.greatest = own[0].iter().copied().fold(0.0, f64::max);
        seen.least = if seen.least >= ROUNDING * seen.greatest { seen.least.min(seen.greatest) } else { seen.greatest };
        if !(seen.greatest > 0.0 && seen.greatest.is_finite()) {
            *seen = Observed { greatest: 1.0, least: 1.0, lowest: -1.0, highest: 1.0 };
        }
    }
    (greatest, summary)
}

fn magnitude((lo, hi): (f64, f64)) -> f64 {
    lo.abs().max(hi.abs())
}
