//! Quantisation: the fewest bits whose error on the calibration data is within the tolerance.

use super::architecture::{Architecture, Limits, Weights};
use super::audit::{Accuracy, Reference};
use super::build::{Built, aligned, build};
use super::deferred::deferred;
use super::domain::Domain;
use super::error::QuantError;
use super::input::CalibrationData;
use super::scales::{Planner, Scales};
use crate::graph::{FloatOp, Graph, IntegerModel};

/// The least precision that is tried.
const MIN_PRECISION: u32 = 2;
/// The least precision that is tried for graphs with functions and products.
const MIN_SMOOTH_PRECISION: u32 = 6;
/// The search tries so many precisions per bit.
const STEPS_PER_BIT: u32 = 2;
/// A precision is taken if so many next ones pass as well: with few samples, a single one may pass by luck.
const CONFIRMATIONS: usize = 2;
/// Bits beyond what the tolerance needs that are tried for the sake of decisions that flip.
const DECISION_BITS: f64 = 8.0;
/// With fewer samples than this, half of the tolerance is aimed at: the greatest error on few samples tells little of the
/// greatest on others.
const FEW_SAMPLES: usize = 64;
/// With fewer samples than this, scales are not refined one by one, as that fits them to the samples.
const MIN_SAMPLES_TO_REFINE: usize = 16;
/// Work per candidate, in multiplications; beyond it, candidates are measured on evenly spaced samples, and only the
/// result on all of them.
const WORK_PER_CANDIDATE: usize = 1 << 25;

/// Work of all candidates of a refinement together, in multiplications: some ten seconds.
const WORK_TO_REFINE: usize = 1 << 32;
/// Samples measured before a candidate is given up.
const SAMPLES_AT_ONCE: usize = 8;

/// What quantisation is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantOptions {
    /// The greatest error allowed on the calibration data, relative to the range of the outputs there.
    pub max_error: f64,
    /// A single output decides by being at or above this.
    pub threshold: f64,
    /// Precision in bits, instead of searching for the least that meets the tolerance.
    pub precision: Option<u32>,
    /// The greatest precision that the search tries.
    pub max_precision: u32,
    /// Where the weights are.
    pub weights: Weights,
}

impl Default for QuantOptions {
    fn default() -> Self {
        Self { max_error: 1e-3, threshold: 0.0, precision: None, max_precision: 28, weights: Weights::Fixed }
    }
}

/// An integer model and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    pub model: IntegerModel,
    /// Measured on all calibration samples.
    pub accuracy: Accuracy,
    /// Bits to which every tensor is resolved, relative to its range; single scales may have been refined below it.
    pub precision: f64,
    /// Whether the error is within the tolerance.
    pub within_tolerance: bool,
    /// What further models with committed weights have to have in common with this one.
    pub architecture: Option<Architecture>,
}

/// Quantises `graph` over `domain`.
///
/// Without a forced precision, takes the least that meets the tolerance on the calibration data without flipping a
/// decision, or the least that meets it if more bits, up to a limit, do not mend decisions; if none up to the cap meets
/// it, the greatest that fits, marked as not within the tolerance. A further model of an architecture takes the precision and the scales of
/// the first one. The result depends on the arguments only.
pub fn quantise(
    graph: &Graph,
    domain: &Domain,
    calibration: &CalibrationData,
    options: &QuantOptions,
) -> Result<Quantised, QuantError> {
    check_options(options)?;
    let samples = calibration.samples(graph, &domain.names())?;
    let reference = Reference::new(graph, calibration.file(), &samples, options.threshold)?;
    let graph = aligned(graph);
    let planner = Planner::new(&graph, domain, &samples);
    let search = Search { graph: &graph, domain, options, planner, reference, samples: samples.len() };
    if let Weights::Of(architecture) = &options.weights {
        let candidate = search.candidate(architecture.precision, architecture.scales.clone())?;
        return search.finish(candidate);
    }
    match options.precision {
        Some(precision) => {
            let precision = f64::from(precision);
            let candidate = search.candidate(precision, search.planner.at_precision(precision))?;
            search.finish(candidate)
        }
        None => search.run(),
    }
}

fn check_options(options: &QuantOptions) -> Result<(), QuantError> {
    let refuse = |option, value, expected| Err(QuantError::Option { option, value, expected });
    if !(options.max_error > 0.0 && options.max_error.is_finite()) {
        return refuse("max-error", options.max_error, "positive");
    }
    if !options.threshold.is_finite() {
        return refuse("threshold", options.threshold, "finite");
    }
    let precision = options.precision.unwrap_or(options.max_precision);
    if !(1..=60).contains(&precision) {
        return refuse("precision", precision.into(), "from 1 to 60 bits");
    }
    Ok(())
}

/// How a candidate does on samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passes,
    /// Within the goal, but decisions flip.
    Flips,
    Fails,
}

#[derive(Clone)]
struct Candidate {
    precision: f64,
    scales: Scales,
    model: IntegerModel,
    limits: Vec<Option<Limits>>,
}

struct Search<'a> {
    graph: &'a Graph,
    domain: &'a Domain,
    options: &'a QuantOptions,
    planner: Planner<'a>,
    reference: Reference<'a>,
    samples: usize,
}

impl Search<'_> {
    fn candidate(&self, precision: f64, scales: Scales) -> Result<Candidate, QuantError> {
        let Built { model, limits, .. } = build(self.graph, self.domain, &scales, &self.options.weights, precision)?;
        Ok(Candidate { precision, scales, model: deferred(model), limits })
    }

    /// Multiplications of one run of the model.
    fn work(&self) -> usize {
        self.graph.nodes.iter().map(|n| n.weight_count()).sum::<usize>().max(1)
    }

    /// Evenly spaced samples, as many as the work per candidate allows, but no fewer than 64.
    fn subset(&self) -> Vec<usize> {
        let count = (WORK_PER_CANDIDATE / self.work()).max(64).min(self.samples);
        (0..count).map(|i| i * self.samples / count).collect()
    }

    /// Error relative to the range of the outputs that candidates may have.
    fn goal(&self) -> f64 {
        self.options.max_error * if self.samples < FEW_SAMPLES { 0.5 } else { 1.0 }
    }

    /// How `candidate` does on the samples `which`, and so on every part of them: most miss the goal on the first.
    fn verdict(&self, candidate: &Candidate, which: &[usize]) -> Result<Verdict, QuantError> {
        let mut verdict = Verdict::Passes;
        for part in which.chunks(SAMPLES_AT_ONCE) {
            let accuracy = self.reference.measure(&candidate.model, part)?;
            if accuracy.max_relative_to_range > self.goal() {
                return Ok(Verdict::Fails);
            }
            if accuracy.decisions_flipped > 0 {
                verdict = Verdict::Flips;
            }
        }
        Ok(verdict)
    }

    fn finish(&self, candidate: Candidate) -> Result<Quantised, QuantError> {
        let all: Vec<usize> = (0..self.samples).collect();
        let accuracy = self.reference.measure(&candidate.model, &all)?;
        let within_tolerance = accuracy.max_relative_to_range <= self.options.max_error;
        let Candidate { precision, scales, model, limits } = candidate;
        let committed = self.options.weights != Weights::Fixed;
        let architecture = committed.then_some(Architecture { precision, scales, limits });
        Ok(Quantised { model, accuracy, precision, within_tolerance, architecture })
    }

    fn run(&self) -> Result<Quantised, QuantError> {
        let subset = self.subset();
        // Consecutive candidates that pass, and that are within the goal whatever their decisions.
        let (mut run, mut close): (Vec<Candidate>, Vec<Candidate>) = (vec![], vec![]);
        let (mut last, mut refusal) = (None, None);
        // Functions make candidates costly: whole bits will do, from a precision on that is of use.
        let smooth = !self.graph.nodes.iter().all(|n| matches!(n.op, FloatOp::Affine(_) | FloatOp::Relu));
        let (steps_per_bit, least) = if smooth { (1, MIN_SMOOTH_PRECISION) } else { (STEPS_PER_BIT, MIN_PRECISION) };
        let steps = |bits: u32| bits * steps_per_bit;
        for step in steps(least.min(self.options.max_precision))..=steps(self.options.max_precision) {
            let precision = f64::from(step) / f64::from(steps_per_bit);
            let candidate = match (self.candidate(precision, self.planner.at_precision(precision)), &last) {
                (Ok(candidate), _) => candidate,
                // More bits would overflow as well.
                (Err(_), Some(_)) => break,
                // Few bits may bring a root or a logarithm to the edge of what it is defined for.
                (Err(error), None) if smooth => {
                    refusal.get_or_insert(error);
                    continue;
                }
                (Err(error), None) => return Err(error),
            };
            let verdict = self.verdict(&candidate, &subset)?;
            if verdict != Verdict::Passes {
                run.clear();
            }
            // the first that is confirmed is kept
            if verdict == Verdict::Fails && close.len() <= CONFIRMATIONS {
                close.clear();
            }
            if verdict == Verdict::Passes {
                run.push(candidate.clone());
            }
            if verdict != Verdict::Fails && close.len() <= CONFIRMATIONS {
                close.push(candidate.clone());
            }
            last = Some(candidate);
            if run.len() > CONFIRMATIONS {
                let first = run.remove(0);
                let result = self.finish(if smooth { first } else { self.refine(first, &subset)? })?;
                if result.within_tolerance && result.accuracy.decisions_flipped == 0 {
                    return Ok(result);
                }
            }
            let beyond = |first: &Candidate| precision >= first.precision + DECISION_BITS;
            if close.len() > CONFIRMATIONS && run.is_empty() && close.first().is_some_and(beyond) {
                break;
            }
        }
        // The cap was hit, or the limit of what fits: candidates may pass that lack confirmation.
        for candidate in run {
            let result = self.finish(candidate)?;
            if result.within_tolerance && result.accuracy.decisions_flipped == 0 {
                return Ok(result);
            }
        }
        for candidate in close {
            let result = self.finish(candidate)?;
            if result.within_tolerance {
                return Ok(result);
            }
        }
        let expected = "from 1 to 60 bits";
        let none = QuantError::Option { option: "precision", value: self.options.max_precision.into(), expected };
        self.finish(last.ok_or(refusal.unwrap_or(none))?)
    }

    /// Takes bits away from single scales while that saves rows and the tolerance still holds on the samples `which`.
    fn refine(&self, start: Candidate, which: &[usize]) -> Result<Candidate, QuantError> {
        let mut best = start;
        if self.samples < MIN_SAMPLES_TO_REFINE {
            return Ok(best);
        }
        let mut candidates = WORK_TO_REFINE / self.work().saturating_mul(which.len().max(1));
        let mut improved = true;
        while improved {
            improved = false;
            for node in (0..self.graph.nodes.len()).filter(|&n| self.planner.can_rescale(n)) {
                for step in [Step::Output(0), Step::Output(-1), Step::Output(1), Step::Accumulator, Step::Rescaled] {
                    while let Some(scales) = self.planner.step(&best.scales, node, step) {
                        if self.planner.rows(&scales) >= self.planner.rows(&best.scales) {
                            break;
                        }
                        let Some(left) = candidates.checked_sub(1) else { return Ok(best) };
                        candidates = left;
                        let Ok(candidate) = self.candidate(best.precision, scales) else { break };
                        if self.verdict(&candidate, which)? != Verdict::Passes {
                            break;
                        }
                        best = candidate;
                        improved = true;
                    }
                }
            }
        }
        Ok(best)
    }
}

/// One bit less at one node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// What the node hands on gets one bit less, and real features that many bits more or less.
    Output(i32),
    /// The node's own integers get one bit less, what it hands on stays.
    Accumulator,
    /// What the node hands on gets one bit less by a longer rescale.
    Rescaled,
}
