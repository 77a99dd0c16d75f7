//! How accurate a model is at given precisions, overall and tensor by tensor.

use rayon::prelude::*;
use serde::Serialize;

use super::architecture::Weights;
use super::audit::{Accuracy, Reference, range, terms};
use super::build::{Built, aligned, build};
use super::domain::Domain;
use super::error::{DataError, QuantError};
use super::input::CalibrationData;
use super::scales::{Planner, exp2};
use crate::graph::{Graph, IntegerModel};

/// A model at one precision.
#[derive(Debug)]
pub struct AtPrecision {
    pub bits: u32,
    /// What was measured, or why the model cannot have this precision.
    pub result: Result<Measured, QuantError>,
}

/// An integer model, measured.
#[derive(Clone, Debug)]
pub struct Measured {
    pub model: IntegerModel,
    pub accuracy: Accuracy,
    /// Root of the mean square of the outputs' errors.
    pub rms_error: f64,
    /// Where outputs are integers at scale 1: the samples on which all of these are exact.
    pub exact_integers: Option<usize>,
    pub tensors: Vec<TensorError>,
}

/// How far a value of the float model is from its fixed-point counterpart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorError {
    /// The node that gives it, and its ONNX operator.
    pub node: String,
    pub operator: String,
    pub elements: usize,
    /// Bits after the point.
    pub fraction_bits: i32,
    /// Greatest less least element over all samples; the magnitude of a constant, or of the terms that cancel in it.
    pub range: f64,
    pub max_error: f64,
    /// `max_error` relative to the range.
    pub relative: f64,
}

/// What one sample tells about one tensor.
#[derive(Clone, Copy)]
struct Spread {
    error: f64,
    least: f64,
    greatest: f64,
    terms: f64,
}

impl Spread {
    const NOTHING: Self = Self { error: 0.0, least: f64::INFINITY, greatest: f64::NEG_INFINITY, terms: 0.0 };

    fn join(self, other: &Self) -> Self {
        Self {
            error: self.error.max(other.error),
            least: self.least.min(other.least),
            greatest: self.greatest.max(other.greatest),
            terms: self.terms.max(other.terms),
        }
    }
}

/// Quantises `graph` at each of the precisions, without refining single scales, and measures it on `samples`, or on the
/// calibration data.
///
/// # Errors
///
/// Where the data does not fit the model or its domain; other errors belong to one precision.
pub fn at_precisions(
    graph: &Graph,
    domain: &Domain,
    calibration: &CalibrationData,
    samples: Option<&CalibrationData>,
    threshold: f64,
    precisions: &[u32],
) -> Result<Vec<AtPrecision>, QuantError> {
    let calibrated = calibration.samples(graph, &domain.names())?;
    let measured_on = samples.unwrap_or(calibration);
    let samples = measured_on.samples(graph, &domain.names())?;
    let reference = Reference::new(graph, measured_on.file(), &samples, threshold)?;
    let graph = aligned(graph);
    let planner = Planner::new(&graph, domain, &calibrated);
    let measure = |bits: u32| -> Result<Measured, QuantError> {
        let precision = f64::from(bits);
        let scales = planner.at_precision(precision);
        let Built { model, tensors, .. } = build(&graph, domain, &scales, &Weights::Fixed, precision)?;
        let all: Vec<usize> = (0..samples.len()).collect();
        let accuracy = reference.measure(&model, &all)?;
        let counterparts: Vec<(usize, i32)> =
            tensors.into_iter().enumerate().map(|(node, tensor)| (tensor, scales.output(node))).collect();
        let compare = |(index, sample): (usize, &Vec<f64>)| {
            let compared = Compared::new(&graph, &model, &counterparts, sample);
            compared.map_err(DataError::in_sample(measured_on.file(), index))
        };
        let compared: Vec<Compared> = samples.par_iter().enumerate().map(compare).collect::<Result<_, _>>()?;
        Ok(summary(&graph, model, accuracy, &counterparts, &compared))
    };
    let at = |&bits: &u32| match measure(bits) {
        Err(error @ QuantError::Data(_)) => Err(error),
        result => Ok(AtPrecision { bits, result }),
    };
    precisions.iter().map(at).collect()
}

/// One sample in both models.
struct Compared {
    /// By node of the graph.
    tensors: Vec<Spread>,
    /// Sum of the squares of the outputs' errors, and their number.
    squares: f64,
    outputs: usize,
    /// Whether all outputs at scale 1 are exact; `None` if there is none.
    exact: Option<bool>,
}

impl Compared {
    fn new(
        graph: &Graph,
        model: &IntegerModel,
        counterparts: &[(usize, i32)],
        sample: &[f64],
    ) -> Result<Self, super::error::InputError> {
        let integers = model.trace(&model.quantise_input(sample)?);
        let floats = graph.trace(sample);
        let values = &floats[graph.inputs.len()..];
        let spread = |(id, (value, &(tensor, exponent))): (usize, (&Vec<f64>, &(usize, i32)))| {
            let terms = terms(graph, &floats, graph.inputs.len() + id);
            let one = |(&float, &integer): (&f64, &i128)| Spread {
                error: (float - integer as f64 / exp2(exponent)).abs(),
                least: float,
                greatest: float,
                terms,
            };
            value.iter().zip(&integers[tensor]).map(one).fold(Spread::NOTHING, |all, one| all.join(&one))
        };
        let tensors = values.iter().zip(counterparts).enumerate().map(spread).collect();
        let (mut squares, mut outputs, mut exact) = (0.0, 0, None);
        for (output, (_, id, _)) in model.outputs.iter().zip(&graph.outputs) {
            let errors = floats[*id].iter().zip(&integers[output.tensor]).map(|(f, &i)| f - i as f64 / output.scale);
            squares += errors.map(|error| error * error).sum::<f64>();
            outputs += floats[*id].len();
            if output.scale == 1.0 {
                let equal = floats[*id].iter().zip(&integers[output.tensor]).all(|(&f, &i)| f == i as f64);
                exact = Some(exact.unwrap_or(true) && equal);
            }
        }
        Ok(Self { tensors, squares, outputs, exact })
    }
}

fn summary(
    graph: &Graph,
    model: IntegerModel,
    accuracy: Accuracy,
    counterparts: &[(usize, i32)],
    samples: &[Compared],
) -> Measured {
    let tensors = graph.nodes.iter().zip(counterparts).enumerate().map(|(i, (node, &(tensor, fraction_bits)))| {
        let of_node = samples.iter().filter_map(|sample| sample.tensors.get(i));
        let Spread { error, least, greatest, terms } = of_node.fold(Spread::NOTHING, |all, one| all.join(one));
        let range = range(greatest - least, greatest.abs().max(least.abs()), terms);
        TensorError {
            node: node.name.clone(),
            operator: node.onnx_op.clone(),
            elements: model.tensor_len(tensor),
            fraction_bits,
            range,
            max_error: error,
            relative: error / range,
        }
    });
    let tensors = tensors.collect();
    let outputs: usize = samples.iter().map(|sample| sample.outputs).sum();
    let squares: f64 = samples.iter().map(|sample| sample.squares).sum();
    let exact: Vec<bool> = samples.iter().filter_map(|sample| sample.exact).collect();
    let exact_integers = (!exact.is_empty()).then(|| exact.iter().filter(|exact| **exact).count());
    Measured { model, accuracy, rms_error: (squares / outputs.max(1) as f64).sqrt(), exact_integers, tensors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AffineBuilder, FloatNode, FloatOp, GraphInput};

    /// `round(2 relu(x))`, and the ReLU alone.
    fn graph() -> Graph {
        let mut double = AffineBuilder::new(2);
        (0..2).for_each(|i| double.push(vec![(i, 2.0)], 0.1));
        let node =
            |name: &str, op, input| FloatNode { name: name.into(), onnx_op: "Op".into(), op, inputs: vec![input] };
        Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![2], integer: false, limits: None }],
            nodes: vec![
                node("relu", FloatOp::Relu, 0),
                node("double", FloatOp::Affine(double.finish()), 1),
                node("round", FloatOp::Round(crate::graph::Rounding::HalfEven), 2),
            ],
            outputs: vec![("relu".into(), 1, vec![2]), ("round".into(), 3, vec![2])],
        }
    }

    fn data(text: &str) -> CalibrationData {
        CalibrationData::parse("data", text.as_bytes()).unwrap()
    }

    #[test]
    fn errors_shrink_with_bits_in_every_tensor() {
        let graph = graph();
        let calibration = data(r#"{"input_data": [[0.3, -1.5], [1.9, 0.77], [-1.1, 1.3], [-2, 2]]}"#);
        let domain = Domain::resolve(&graph, &calibration, None).unwrap();
        let found = at_precisions(&graph, &domain, &calibration, None, 0.0, &[6, 10, 16, 60]).unwrap();
        assert_eq!(found.iter().map(|at| at.bits).collect::<Vec<_>>(), [6, 10, 16, 60]);
        assert!(found[3].result.is_err(), "60 bits are too many");
        let measured: Vec<&Measured> = found[..3].iter().map(|at| at.result.as_ref().unwrap()).collect();
        for pair in measured.windows(2) {
            assert!(pair[1].rms_error < pair[0].rms_error);
            for (coarse, fine) in pair[0].tensors.iter().zip(&pair[1].tensors).filter(|(t, _)| t.node != "round") {
                assert!(fine.max_error < coarse.max_error, "{coarse:?} {fine:?}");
            }
        }
        let last = measured[2];
        let names: Vec<&str> = last.tensors.iter().map(|tensor| tensor.node.as_str()).collect();
        assert_eq!(names, ["x/align", "relu", "double", "round"]);
        let round = &last.tensors[3];
        assert_eq!((round.max_error, round.fraction_bits, last.exact_integers), (0.0, 0, Some(4)), "{round:?}");
        assert!((last.tensors[1].range - 2.0).abs() < 1e-9);
        // no error is greater than that of the tensor that it is of, and the mean is no greater than the greatest
        assert!(last.rms_error <= last.accuracy.max_abs_error);
        assert!((last.accuracy.max_abs_error - last.tensors[1].max_error).abs() < 1e-12);
    }

    #[test]
    fn other_samples_are_measured_at_the_same_scales() {
        let graph = graph();
        let calibration = data(r#"{"input_data": [[-2, -2], [2, 2]]}"#);
        let domain = Domain::resolve(&graph, &calibration, None).unwrap();
        let other = data(r#"{"input_data": [[0.3, 0.1], [0.7, 0.2], [0.01, 0.9]]}"#);
        let measured = |samples| {
            let found = at_precisions(&graph, &domain, &calibration, samples, 0.0, &[8]).unwrap();
            found.into_iter().next().unwrap().result.unwrap()
        };
        let (own, others) = (measured(None), measured(Some(&other)));
        assert_eq!(own.model, others.model);
        assert_eq!((own.accuracy.samples, others.accuracy.samples), (2, 3));
        assert!(others.rms_error > own.rms_error, "two at scale 2^k is exact");
        let outside = data(r#"{"input_data": [[0.3, 2.1]]}"#);
        let found = at_precisions(&graph, &domain, &calibration, Some(&outside), 0.0, &[8]);
        assert!(matches!(found, Err(QuantError::Data(_))));
    }
}
