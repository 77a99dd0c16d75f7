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
    /// `max_abs_error / output_range`.
    pub max_relative_to_range: f64,
    /// Samples on which a decision differs: whether a single output is at or above the threshold, which of several
    /// outputs is the largest (the first, if several are).
    pub decisions_flipped: usize,
    /// Greatest less least output of the float model over all samples and outputs; where that is zero, the greatest
    /// magnitude, or 1.
    pub output_range: f64,
}

/// The float model's outputs on a set of samples: what integer models are measured against.
pub(super) struct Reference<'a> {
    file: &'a str,
    samples: &'a [Vec<f64>],
    outputs: Vec<Vec<f64>>,
    /// Number of elements of each output tensor.
    lens: Vec<usize>,
    range: f64,
    threshold: f64,
}

impl<'a> Reference<'a> {
    pub fn new(graph: &Graph, file: &'a str, samples: &'a [Vec<f64>], threshold: f64) -> Result<Self, QuantError> {
        let outputs: Vec<Vec<f64>> = samples.par_iter().map(|sample| graph.eval(sample)).collect();
        if let Some(sample) = outputs.iter().position(|o| o.iter().any(|v| !v.is_finite())) {
            return Err(QuantError::NonFiniteOutput { sample });
        }
        let all = || outputs.iter().flatten().copied();
        let spread = all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min);
        let magnitude = all().fold(0.0, |m: f64, v| m.max(v.abs()));
        let range = [spread, magnitude].into_iter().find(|&r| r > 0.0 && r.is_finite()).unwrap_or(1.0);
        let lens = graph.outputs.iter().map(|(_, id, _)| graph.value_len(*id)).collect();
        Ok(Self { file, samples, outputs, lens, range, threshold })
    }

    /// Measures `model` on the samples `which`. Sums are taken in the order of the samples, whatever the threads.
    pub fn measure(&self, model: &IntegerModel, which: &[usize]) -> Result<Accuracy, QuantError> {
        let errors: Vec<(f64, f64, bool)> =
            which.par_iter().map(|&sample| self.measure_one(model, sample)).collect::<Result<_, DataError>>()?;
        let max_abs_error = errors.iter().fold(0.0, |m: f64, e| m.max(e.0));
        let values = errors.len() * self.lens.iter().sum::<usize>();
        Ok(Accuracy {
            samples: errors.len(),
            max_abs_error,
            mean_abs_error: errors.iter().map(|e| e.1).sum::<f64>() / values.max(1) as f64,
            max_relative_to_range: max_abs_error / self.range,
            decisions_flipped: errors.iter().filter(|e| e.2).count(),
            output_range: self.range,
        })
    }

    /// Greatest and total absolute error on one sample, and whether a decision flips.
    fn measure_one(&self, model: &IntegerModel, sample: usize) -> Result<(f64, f64, bool), DataError> {
        let input = model.quantise_input(&self.samples[sample]).map_err(DataError::in_sample(self.file, sample))?;
        let outputs = model.float_outputs(&model.trace(&input));
        let expected = &self.outputs[sample];
        let errors = || outputs.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let (mut start, mut flipped) = (0, false);
        for &len in &self.lens {
            let decide = |values: &[f64]| decision(&values[start..start + len], self.threshold);
            flipped |= decide(&outputs) != decide(expected);
            start += len;
        }
        Ok((errors().fold(0.0, f64::max), errors().sum(), flipped))
    }
}

fn decision(values: &[f64], threshold: f64) -> usize {
    match values {
        [single] => usize::from(*single >= threshold),
        _ => (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best }),
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
