//! Quantisation: the fewest bits whose error on the calibration data is within the tolerance.

use super::audit::{Accuracy, Reference};
use super::build::{aligned, build};
use super::domain::Domain;
use super::error::QuantError;
use super::input::CalibrationData;
use super::scales::{Planner, Scales};
use crate::graph::{Graph, IntegerModel};

/// The least precision that is tried.
const MIN_PRECISION: u32 = 2;
/// The search tries so many precisions per bit.
const STEPS_PER_BIT: u32 = 2;
/// A precision is taken if so many next ones pass as well: with few samples, a single one may pass by luck.
const CONFIRMATIONS: u32 = 2;
/// With fewer samples than this, scales are not refined one by one, as that fits them to the samples.
const MIN_SAMPLES_TO_REFINE: usize = 16;
/// Work per candidate, in multiplications; beyond it, candidates are measured on evenly spaced samples, and only the
/// result on all of them.
const WORK_PER_CANDIDATE: usize = 1 << 27;

/// What quantisation is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantOptions {
    /// The greatest error allowed on the calibration data, relative to the range of the outputs there.
    pub tolerance: f64,
    /// A single output decides by being at or above this.
    pub threshold: f64,
    /// Precision in bits, instead of searching for the least that meets the tolerance.
    pub precision: Option<u32>,
    /// The greatest precision that the search tries.
    pub max_precision: u32,
}

impl Default for QuantOptions {
    fn default() -> Self {
        Self { tolerance: 1e-4, threshold: 0.0, precision: None, max_precision: 28 }
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
    /// Whether the error is within the tolerance and no decision flips.
    pub within_tolerance: bool,
}

/// Quantises `graph` over `domain`.
///
/// Without a forced precision, takes the least that meets the tolerance on the calibration data without flipping a
/// decision; if none up to the cap does, the most accurate one, marked as not within the tolerance. The result depends
/// on the arguments only.
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
    if !(options.tolerance > 0.0 && options.tolerance.is_finite()) {
        return refuse("tolerance", options.tolerance, "positive");
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

struct Candidate {
    precision: f64,
    scales: Scales,
    model: IntegerModel,
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
        let model = build(self.graph, self.domain, &scales, precision)?;
        Ok(Candidate { precision, scales, model })
    }

    /// Evenly spaced samples, as many as the work per candidate allows, but no fewer than 64.
    fn subset(&self) -> Vec<usize> {
        let weights: usize = self.graph.nodes.iter().map(|n| n.weight_count()).sum();
        let count = (WORK_PER_CANDIDATE / weights.max(1)).max(64).min(self.samples);
        (0..count).map(|i| i * self.samples / count).collect()
    }

    fn passes(&self, accuracy: &Accuracy) -> bool {
        accuracy.max_relative_to_range <= self.options.tolerance && accuracy.decisions_flipped == 0
    }

    fn passes_on(&self, candidate: &Candidate, which: &[usize]) -> Result<bool, QuantError> {
        Ok(self.passes(&self.reference.measure(&candidate.model, which)?))
    }

    fn finish(&self, candidate: Candidate) -> Result<Quantised, QuantError> {
        let all: Vec<usize> = (0..self.samples).collect();
        let accuracy = self.reference.measure(&candidate.model, &all)?;
        let within_tolerance = self.passes(&accuracy);
        Ok(Quantised { model: candidate.model, accuracy, precision: candidate.precision, within_tolerance })
    }

    fn run(&self) -> Result<Quantised, QuantError> {
        let subset = self.subset();
        let mut run: Vec<Candidate> = vec![];
        let mut best: Option<Quantised> = None;
        let mut failure = None;
        let steps = |bits: u32| bits * STEPS_PER_BIT;
        for step in steps(MIN_PRECISION.min(self.options.max_precision))..=steps(self.options.max_precision) {
            let precision = f64::from(step) / f64::from(STEPS_PER_BIT);
            let candidate = match self.candidate(precision, self.planner.at_precision(precision)) {
                Ok(candidate) => candidate,
                // More bits would overflow as well.
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            if !self.passes_on(&candidate, &subset)? {
                run.clear();
                best = Some(more_accurate(best, self.finish(candidate)?));
                continue;
            }
            run.push(candidate);
            if run.len() as u32 > CONFIRMATIONS {
                let first = run.remove(0);
                let result = self.finish(self.refine(first, &subset)?)?;
                if result.within_tolerance {
                    return Ok(result);
                }
                best = Some(more_accurate(best, result));
            }
        }
        // The cap was hit: the remaining candidates pass on the subset, but lack confirmation.
        for candidate in run {
            let result = self.finish(candidate)?;
            if result.within_tolerance {
                return Ok(result);
            }
            best = Some(more_accurate(best, result));
        }
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(failure)) => Err(failure),
            (None, None) => {
                let value = self.options.max_precision.into();
                Err(QuantError::Option { option: "precision", value, expected: "from 1 to 60 bits" })
            }
        }
    }

    /// Takes bits away from single scales while that saves rows and the tolerance still holds on the samples `which`.
    fn refine(&self, start: Candidate, which: &[usize]) -> Result<Candidate, QuantError> {
        let mut best = start;
        if self.samples < MIN_SAMPLES_TO_REFINE {
            return Ok(best);
        }
        let mut improved = true;
        while improved {
            improved = false;
            for node in (0..self.graph.nodes.len()).filter(|&n| self.planner.can_rescale(n)) {
                for step in [Step::ToInput(0), Step::ToInput(-1), Step::ToInput(1), Step::Accumulator, Step::Rescaled] {
                    while let Some(scales) = self.planner.step(&best.scales, node, step) {
                        if self.planner.rows(&scales) >= self.planner.rows(&best.scales) {
                            break;
                        }
                        let Ok(candidate) = self.candidate(best.precision, scales) else { break };
                        if !self.passes_on(&candidate, which)? {
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

/// The better of two results; the earlier, of fewer bits, if they are equal.
fn more_accurate(best: Option<Quantised>, other: Quantised) -> Quantised {
    let key = |q: &Quantised| (q.accuracy.decisions_flipped, q.accuracy.max_abs_error);
    match best {
        Some(best) if key(&best) <= key(&other) => best,
        _ => other,
    }
}

/// One bit less at one node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// What the node hands on gets one bit less, and real features that many bits more or less.
    ToInput(i32),
    /// The node's own integers get one bit less, what it hands on stays.
    Accumulator,
    /// What the node hands on gets one bit less by a longer rescale.
    Rescaled,
}
