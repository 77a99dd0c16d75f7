//! Accuracy of an integer model, measured against the float model.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::{DataError, QuantError};
use super::input::CalibrationData;
use super::scales::ROUNDING;
use crate::graph::{FloatOp, Graph, IntegerModel, Trace};

/// How far the integer model is from the float model on a set of samples, in the units of the float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    pub samples: usize,
    pub max_abs_error: f64,
    pub mean_abs_error: f64,
    /// Greatest error relative to the range of its output tensor.
    pub max_relative_to_range: f64,
    /// Samples on which a decision differs: whether a single output is at or above the threshold, which of several
    /// outputs is the largest (any of them, if several are).
    pub decisions_flipped: usize,
    /// Range of the output tensor that has the greatest: greatest less least element of the float model over all
    /// samples; where that is zero but for roundings, the greatest magnitude, that of the terms that cancel, or 1.
    pub output_range: f64,
}

/// The float model's outputs on a set of samples: what integer models are measured against.
pub(super) struct Reference<'a> {
    file: &'a str,
    samples: &'a [Vec<f64>],
    outputs: Vec<Vec<f64>>,
    /// Number of elements and range of each output tensor.
    tensors: Vec<(usize, f64)>,
    threshold: f64,
}

impl<'a> Reference<'a> {
    pub fn new(graph: &Graph, file: &'a str, samples: &'a [Vec<f64>], threshold: f64) -> Result<Self, QuantError> {
        let run = |sample: &Vec<f64>| {
            let trace = graph.trace(sample);
            let output = graph.outputs.iter().flat_map(|(_, id, _)| trace[*id].iter().copied()).collect();
            let terms = graph.outputs.iter().map(|(_, id, _)| terms(graph, &trace, *id)).collect();
            (output, terms)
        };
        let (outputs, terms): (Vec<Vec<f64>>, Vec<Vec<f64>>) = samples.par_iter().map(run).unzip();
        if let Some(sample) = outputs.iter().position(|o| o.iter().any(|v| !v.is_finite())) {
            return Err(QuantError::NonFiniteOutput { sample });
        }
        let (mut tensors, mut start) = (vec![], 0);
        for (i, (_, id, _)) in graph.outputs.iter().enumerate() {
            let len = graph.value_len(*id);
            let all = || outputs.iter().flat_map(|o| o[start..start + len].iter().copied());
            let spread = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
            let magnitude = all().fold(0.0, |m: f64, v| m.max(v.abs()));
            let terms = terms.iter().map(|t| t[i]).fold(0.0, f64::max);
            tensors.push((len, range(spread, magnitude, terms)));
            start += len;
        }
        Ok(Self { file, samples, outputs, tensors, threshold })
    }

    /// Measures `model` on the samples `which`. Sums are taken in the order of the samples, whatever the threads.
    pub fn measure(&self, model: &IntegerModel, which: &[usize]) -> Result<Accuracy, QuantError> {
        let errors: Vec<SampleErrors> =
            which.par_iter().map(|&sample| self.measure_one(model, sample)).collect::<Result<_, DataError>>()?;
        let greatest = |of: fn(&SampleErrors) -> f64| errors.iter().map(of).fold(0.0, f64::max);
        let values = errors.len() * self.tensors.iter().map(|t| t.0).sum::<usize>();
        Ok(Accuracy {
            samples: errors.len(),
            max_abs_error: greatest(|e| e.greatest),
            mean_abs_error: errors.iter().map(|e| e.total).sum::<f64>() / values.max(1) as f64,
            max_relative_to_range: greatest(|e| e.relative),
            decisions_flipped: errors.iter().filter(|e| e.flipped).count(),
            output_range: self.tensors.iter().map(|t| t.1).fold(0.0, f64::max),
        })
    }

    fn measure_one(&self, model: &IntegerModel, sample: usize) -> Result<SampleErrors, DataError> {
        let input = model.quantise_input(&self.samples[sample]).map_err(DataError::in_sample(self.file, sample))?;
        let outputs = model.float_outputs(&model.trace(&input));
        let expected = &self.outputs[sample];
        let (mut errors, mut start) = (SampleErrors::default(), 0);
        for &(len, range) in &self.tensors {
            let (found, expected) = (&outputs[start..start + len], &expected[start..start + len]);
            for error in found.iter().zip(expected).map(|(a, b)| (a - b).abs()) {
                errors.greatest = errors.greatest.max(error);
                errors.relative = errors.relative.max(error / range);
                errors.total += error;
            }
            errors.flipped |= differs(found, expected, self.threshold, ROUNDING * range);
            start += len;
        }
        Ok(errors)
    }
}

/// What errors of a tensor are relative to: its spread, else its magnitude, else that of the terms that make it up;
/// roundings of these are no spread and no magnitude.
pub(super) fn range(spread: f64, magnitude: f64, terms: f64) -> f64 {
    let mut ranges = [spread, magnitude, terms].into_iter();
    ranges.find(|&r| r > ROUNDING * terms && r > 0.0 && r.is_finite()).unwrap_or(1.0)
}

/// The greatest magnitude of a value, or for sums of what is added up: what the roundings of `f64` are relative to.
pub(super) fn terms(graph: &Graph, trace: &[Vec<f64>], id: usize) -> f64 {
    let greatest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |m: f64, v| m.max(v.abs()));
    let Some(node) = id.checked_sub(graph.inputs.len()).map(|n| &graph.nodes[n]) else {
        return greatest(&mut trace[id].iter().copied());
    };
    let x = || node.inputs.iter().flat_map(|&id| trace[id].iter().copied()).collect::<Vec<f64>>();
    match &node.op {
        FloatOp::Relu => terms(graph, trace, node.inputs[0]),
        FloatOp::Affine(map) => {
            let x = x();
            let sum = |j: usize| map.row(j).fold(map.bias[j].abs(), |sum, (i, w)| sum + (w * x[i]).abs());
            greatest(&mut (0..map.output_len()).map(sum))
        }
        FloatOp::Product(product) => {
            let x = x();
            greatest(&mut (0..product.output_len()).map(|j| product.terms(j).map(|(a, b)| (x[a] * x[b]).abs()).sum()))
        }
        _ => greatest(&mut trace[id].iter().copied()),
    }
}

/// What is measured on one sample.
#[derive(Default)]
struct SampleErrors {
    greatest: f64,
    relative: f64,
    total: f64,
    flipped: bool,
}

/// Whether the decision is another than it should be.
fn differs(found: &[f64], expected: &[f64], threshold: f64, tie: f64) -> bool {
    match (found, expected) {
        ([found], [expected]) => (*found >= threshold) != (*expected >= threshold),
        _ => {
            let best = (0..found.len()).fold(0, |best, i| if found[i] > found[best] { i } else { best });
            let greatest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            expected.get(best).is_some_and(|&chosen| chosen < greatest - tie)
        }
    }
}

impl IntegerModel {
    /// All outputs of a trace in the units of the float model, concatenated.
    pub fn float_outputs(&self, trace: &Trace) -> Vec<f64> {
        self.outputs.iter().flat_map(|o| trace[o.tensor].iter().map(|&v| v as f64 / o.scale)).collect()
    }
}

/// Measures `model` against `graph` on all samples of `data`, each of which must lie in the model's domain.
pub fn audit(
    graph: &Graph,
    model: &IntegerModel,
    data: &CalibrationData,
    threshold: f64,
) -> Result<Accuracy, QuantError> {
    let names: Vec<String> = model.features.iter().map(|f| f.name.clone()).collect();
    let samples = data.samples(graph, &names)?;
    let all: Vec<usize> = (0..samples.len()).collect();
    Reference::new(graph, data.file(), &samples, threshold)?.measure(model, &all)
}
