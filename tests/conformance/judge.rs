//! What becomes of a test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hallmark::graph::Graph;
use hallmark::onnx::{self, OnnxError};
use hallmark::ops::BoundReason;
use hallmark::quant::{CalibrationData, DeclaredFeature, Domain, DomainSource, QuantError, QuantOptions, quantise};

use super::case::{Case, Form, Tensor};

/// What quantisation may cost, of the greatest magnitude of an output.
const TOLERANCE: f64 = 1e-3;
/// Bits that most tests are content with: only where they do not do are others tried.
const PRECISION: u32 = 20;
/// Elements of all tensors of a graph beyond which no others are tried.
const LARGE: usize = 1 << 17;

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Passed,
    /// With the reason, as the library states it.
    Refused(String),
    /// Refused because the operator is not defined for some input of every domain that holds the test's: then the float
    /// graph means nothing there.
    Undefined(String),
    Wrong(String),
}

/// How a test ended in the float graph and in the integer model.
#[derive(Debug)]
pub struct Verdict {
    pub float: Outcome,
    pub quantised: Outcome,
}

impl Verdict {
    /// What is wrong, if something is.
    pub fn wrong(&self, name: &str) -> Vec<String> {
        let named = |(which, outcome): (&str, &Outcome)| match outcome {
            Outcome::Wrong(what) => Some(format!("{name}, {which}: {what}")),
            _ => None,
        };
        [("float", &self.float), ("quantised", &self.quantised)].into_iter().filter_map(named).collect()
    }
}

/// Runs all forms of a test. One that is wrong decides, then one that passes.
pub fn judge(case: &Case) -> Verdict {
    let verdicts: Vec<Verdict> = case.forms.iter().map(|form| judge_form(case, form)).collect();
    let together = |outcome: fn(&Verdict) -> &Outcome| {
        let all = || verdicts.iter().map(outcome);
        let wrong = all().find(|o| matches!(o, Outcome::Wrong(_)));
        // the form with the most constants says what is left when they cannot be the reason
        wrong.or(all().find(|o| **o == Outcome::Passed)).or(all().next_back()).unwrap().clone()
    };
    Verdict { float: together(|v| &v.float), quantised: together(|v| &v.quantised) }
}

fn judge_form(case: &Case, form: &Form) -> Verdict {
    let run = || match imported(case, form) {
        Ok((graph, inputs, expected)) => {
            let quantised = quantised(form, &graph, case, &inputs, &expected);
            let float = match (float(case, &graph, &inputs, &expected), &quantised) {
                (Outcome::Wrong(_), Outcome::Undefined(_)) => quantised.clone(),
                (decided, _) => decided,
            };
            Verdict { float, quantised }
        }
        Err(reason) => Verdict { float: Outcome::Refused(reason.clone()), quantised: Outcome::Refused(reason) },
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let panicked = Outcome::Wrong(format!("it panics ({})", form.name));
        Verdict { float: panicked.clone(), quantised: panicked }
    })
}

/// The graph, its inputs and its outputs, both concatenated.
fn imported(case: &Case, form: &Form) -> Result<(Graph, Vec<f64>, Vec<f64>), String> {
    let graph = onnx::import(&form.model).map_err(|error| reason(&error))?;
    let concatenated = |tensors: &[Tensor]| -> Result<Vec<f64>, String> {
        Ok(tensors.iter().map(Tensor::values).collect::<Result<Vec<_>, _>>()?.concat())
    };
    let (inputs, outputs) = (concatenated(&form.inputs)?, concatenated(&case.outputs)?);
    if form.inputs.iter().any(|input| input.len() == 0) {
        return Err("inputs must have elements".into());
    }
    match inputs.iter().all(|v| v.is_finite()) {
        true => Ok((graph, inputs, outputs)),
        false => Err("inputs must be finite".into()),
    }
}

/// An error without the names that only this test has.
fn reason(error: &OnnxError) -> String {
    match error {
        OnnxError::UnsupportedOperators { nodes, .. } => {
            let mut operators: Vec<&str> = nodes.iter().map(|n| n.operator.as_str()).collect();
            operators.sort_unstable();
            operators.dedup();
            format!("no lowering for {}", operators.join(", "))
        }
        OnnxError::UnsupportedAttribute { attribute, reason, .. } => format!("{attribute}: {reason}"),
        // the first of several problems
        OnnxError::Several { problems, .. } => {
            problems.listed.first().map_or_else(String::new, |problem| problem.reason.clone())
        }
        other => other.to_string(),
    }
}

fn float(case: &Case, graph: &Graph, inputs: &[f64], expected: &[f64]) -> Outcome {
    let found = graph.eval(inputs);
    let tolerances = case.outputs.iter().flat_map(|output| {
        let (rtol, atol) = if output.exact() { (0.0, 0.0) } else { (case.rtol, case.atol) };
        std::iter::repeat_n((rtol, atol), output.len())
    });
    compared(&found, expected, tolerances.zip(expected).map(|((rtol, atol), e)| atol + rtol * e.abs()))
}

fn compared(found: &[f64], expected: &[f64], tolerances: impl Iterator<Item = f64>) -> Outcome {
    if found.len() != expected.len() {
        return Outcome::Wrong(format!("{} elements instead of {}", found.len(), expected.len()));
    }
    let near = |a: f64, b: f64, tolerance: f64| b.is_finite() && (a - b).abs() <= tolerance;
    let same = |a: f64, b: f64, tolerance: f64| a == b || (a.is_nan() && b.is_nan()) || near(a, b, tolerance);
    let mut all = found.iter().zip(expected).zip(tolerances).enumerate();
    match all.find(|(_, ((a, b), tolerance))| !same(**a, **b, *tolerance)) {
        None => Outcome::Passed,
        Some((i, ((a, b), _))) => Outcome::Wrong(format!("element {i} is {a} instead of {b}")),
    }
}

/// The integer model over a domain that reaches past the test's inputs, else over what they span.
fn quantised(form: &Form, graph: &Graph, case: &Case, inputs: &[f64], expected: &[f64]) -> Outcome {
    let elements: usize = (0..graph.inputs.len() + graph.nodes.len()).map(|id| graph.value_len(id)).sum();
    let searches = if elements > LARGE { vec![Some(PRECISION)] } else { vec![Some(PRECISION), None] };
    let mut refused = Outcome::Passed;
    for (precision, span) in searches.into_iter().flat_map(|precision| [(precision, false), (precision, true)]) {
        match quantised_over(features(form, inputs, span), precision, graph, case, inputs, expected) {
            Outcome::Refused(reason) => refused = Outcome::Refused(reason),
            Outcome::Undefined(reason) => refused = Outcome::Undefined(reason),
            decided => return decided,
        }
    }
    refused
}

fn features(form: &Form, inputs: &[f64], span: bool) -> Vec<DeclaredFeature> {
    let (mut features, mut rest) = (vec![], inputs);
    for tensor in &form.inputs {
        let (own, left) = rest.split_at(tensor.len());
        rest = left;
        let least = own.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (min, max) = if span { (least, greatest) } else { tensor.around(own) };
        for _ in own {
            features.push(DeclaredFeature { name: format!("f{}", features.len()), min, max, integer: tensor.exact() });
        }
    }
    features
}

fn quantised_over(
    features: Vec<DeclaredFeature>,
    precision: Option<u32>,
    graph: &Graph,
    case: &Case,
    inputs: &[f64],
    expected: &[f64],
) -> Outcome {
    let data = serde_json::json!({ "input_data": [inputs] });
    let data = CalibrationData::parse("the inputs", &serde_json::to_vec(&data).unwrap());
    let domain = Domain { features, source: DomainSource::Declared };
    // integers leave no room for an error
    let greatest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let exact = case.outputs.iter().any(Tensor::exact);
    let tolerance = if exact { TOLERANCE.min(0.25 / greatest.max(1.0)) } else { TOLERANCE };
    let options = QuantOptions { max_error: tolerance, precision, ..QuantOptions::default() };
    let result = match data.map_err(Into::into).and_then(|data| quantise(graph, &domain, &data, &options)) {
        Ok(result) => result,
        Err(error @ QuantError::Undefined { .. }) => return Outcome::Undefined(error.to_string()),
        Err(QuantError::Bound { reason, .. }) if !matches!(reason, BoundReason::Overflow { .. }) => {
            return Outcome::Undefined(reason.to_string());
        }
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    if let Err(error) = result.model.validate() {
        return Outcome::Wrong(format!("the integer model is not valid: {error}"));
    }
    let model = &result.model;
    let trace = model.trace(&model.quantise_input(inputs).unwrap());
    for (id, values) in trace.iter().enumerate() {
        if !model.ranges(id).iter().zip(values).all(|(range, &v)| range.contains(v)) {
            return Outcome::Wrong(format!("tensor {id} leaves its proved range"));
        }
    }
    let found = model.float_outputs(&trace);
    if result.accuracy.max_relative_to_range > tolerance {
        return Outcome::Refused(format!(
            "an error of {:.0e} of the output range",
            result.accuracy.max_relative_to_range
        ));
    }
    let tolerances = case.outputs.iter().flat_map(|output| {
        let tolerance = if output.exact() { 0.0 } else { case.atol + (TOLERANCE + case.rtol) * greatest };
        std::iter::repeat_n(tolerance, output.len())
    });
    compared(&found, expected, tolerances)
}
