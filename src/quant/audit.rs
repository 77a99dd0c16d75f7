//! Accuracy of an integer model, measured against the float model.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::{DataError, QuantError};
use super::input::CalibrationData;
use crate::graph::{Graph, IntegerModel, Trace};

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
    /// samples; where that is zero, the greatest magnitude, or 1.
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
        let outputs: Vec<Vec<f64>> = samples.par_iter().map(|sample| graph.eval(sample)).collect();
        if let Some(sample) = outputs.iter().position(|o| o.iter().any(|v| !v.is_finite())) {
            return Err(QuantError::NonFiniteOutput { sample });
        }
        let (mut tensors, mut start) = (vec![], 0);
        for (_, id, _) in &graph.outputs {
            let len = graph.value_len(*id);
            let all = || outputs.iter().flat_map(|o| o[start..start + len].iter().copied());
            let spread = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
            let magnitude = all().fold(0.0, |m: f64, v| m.max(v.abs()));
            let range = [spread, magnitude].into_iter().find(|&r| r > 0.0 && r.is_finite()).unwrap_or(1.0);
            tensors.push((len, range));
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
            errors.flipped |= differs(found, expected, self.threshold, TIE * range);
            start += len;
        }
        Ok(errors)
    }
}

/// Relative to the range of outputs: numbers closer than this are equal but for the rounding of `f64`.
const TIE: f64 = 1e-12;

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
