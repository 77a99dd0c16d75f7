//! What a model is put through, from its bytes to a contract.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hallmark::chain::{Anvil, CompileSettings, Search, compile};
use hallmark::circuit::{LaidOut, Layout, field};
use hallmark::graph::{Graph, IntegerModel};
use hallmark::onnx;
use hallmark::proof::{Proof, verify};
use hallmark::quant::{CalibrationData, DeclaredFeature, Domain, QuantOptions, Quantised, quantise};
use hallmark::solidity::Calldata;
use halo2_proofs::dev::MockProver;
use halo2_proofs::plonk::Circuit;
use halo2curves::bn256::Fr;
use prost::Message;

use crate::common::{self, Draw, onnx::run};
use crate::sketch::Drawn;

/// What roundings of the other implementation may do to a value, relative to its magnitude.
const NARROW: f64 = 1e-5;
/// Inputs on which the float graph is compared with the other implementation.
const COMPARED: usize = 8;
/// Inputs whose traces are checked, corners of the domain among them.
const INPUTS: usize = 40;
/// What the error on an input may be, relative to the tolerance on the calibration data.
const FACTOR: f64 = 20.0;
/// Circuits of more rows are not given to the mock prover, and not proved.
const MAX_MOCK_K: u32 = 12;
const MAX_PROVED_K: u32 = 11;

/// How far a model came.
#[derive(Default)]
pub struct Report {
    pub operators: Vec<String>,
    /// Why it was refused.
    pub refused: Option<String>,
    /// Why the other implementation has no say.
    pub incomparable: Option<String>,
    /// Whether the search found a precision that meets the tolerance.
    pub within_tolerance: bool,
    pub mocked: bool,
    pub proved: bool,
    pub failures: Vec<String>,
}

/// A panic as an error.
fn caught<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|s| s.to_string()));
        format!("{what} panics: {}", text.unwrap_or_default())
    })
}

/// A message without the names and numbers of this model.
pub fn general(message: &str) -> String {
    let mut result = String::new();
    for (i, part) in message.split('"').enumerate() {
        result += &if i % 2 == 0 { part.replace(|c: char| c.is_ascii_digit(), "#") } else { "_".into() };
    }
    let mut shorter = result.replace("##", "#");
    while shorter != result {
        (result, shorter) = (shorter.clone(), shorter.replace("##", "#"));
    }
    result.lines().take(3).collect::<Vec<_>>().join(" ").chars().take(150).collect()
}

/// An input of the domain: a corner, or anything.
fn input(features: &[(f64, f64, bool)], draw: &mut Draw, corner: bool) -> Vec<f64> {
    let mut value = |&(lo, hi, integer): &(f64, f64, bool)| {
        let t = if corner { draw.index(2) as f64 } else { draw.integer(0, 1 << 24) as f64 / f64::from(1 << 24) };
        let value = f64::from((lo + t * (hi - lo)) as f32);
        if integer { value.round() } else { value }
    };
    features.iter().map(&mut value).collect()
}

/// Puts the model of `seed` through everything; a contract only if there is a chain.
pub fn judge(seed: u64, drawn: &Drawn, anvil: Option<&Anvil>) -> Report {
    let mut report = Report { operators: drawn.operators.clone(), ..Report::default() };
    if let Err(failure) = go_through(seed, drawn, anvil, &mut report) {
        report.failures.push(failure);
    }
    report
}

fn go_through(seed: u64, drawn: &Drawn, anvil: Option<&Anvil>, report: &mut Report) -> Result<(), String> {
    let mut draw = Draw::new(!seed);
    let bytes = drawn.model.encode_to_vec();
    let graph = match caught("import", || onnx::import_bytes("a random model", &bytes))? {
        Ok(graph) => graph,
        Err(error) => {
            report.refused = Some(format!("import: {error}"));
            return Ok(());
        }
    };
    let shapes: Vec<&Vec<usize>> = graph.outputs.iter().map(|o| &o.2).collect();
    if !shapes.iter().copied().eq(&drawn.shapes) {
        return Err(format!("the outputs have shapes {shapes:?} instead of {:?}", drawn.shapes));
    }
    if let Err(failure) = compare(drawn, &graph, &mut draw, report)? {
        report.failures.push(failure);
    }
    let quantised = match quantised(drawn, &graph, &mut draw)? {
        Ok(quantised) => quantised,
        Err(reason) => {
            report.refused = Some(reason);
            return Ok(());
        }
    };
    report.within_tolerance = quantised.within_tolerance;
    let model = &quantised.model;
    model.validate().map_err(|e| format!("the integer model is not valid: {e}"))?;
    if let Err(failure) = measure(drawn, &graph, &quantised, &mut draw)? {
        report.failures.push(failure);
    }
    let given = model.quantise_input(&input(&drawn.features, &mut draw, false)).map_err(|e| e.to_string())?;
    let k = caught("the layout", || LaidOut::<Fr>::new(Layout::General, model, &model.trace(&given)).map(|l| l.k()))?;
    let k = k.map_err(|e| e.to_string())?;
    if k <= MAX_MOCK_K {
        for layout in Layout::ALL {
            mock(layout, model, &given)?;
        }
        report.mocked = true;
    }
    if let Some(anvil) = anvil.filter(|_| k <= MAX_PROVED_K) {
        let layout = [Layout::General, Layout::Phased][draw.index(2)];
        caught("proving", || prove(layout, model, &given, anvil))??;
        report.proved = true;
    }
    Ok(())
}

/// The float graph beside the other implementation, whose numbers have fewer bits.
fn compare(drawn: &Drawn, graph: &Graph, draw: &mut Draw, report: &mut Report) -> Result<Result<(), String>, String> {
    if let Some(reason) = drawn.incomparable {
        report.incomparable = Some(format!("known: {reason}"));
        return Ok(Ok(()));
    }
    let inputs: Vec<Vec<f64>> = (0..COMPARED).map(|_| input(&drawn.features, draw, false)).collect();
    let unsteady = Unsteady::new(graph, &inputs, vec![0.0; graph.input_len()], NARROW);
    let mut differing = vec![];
    for x in &inputs {
        let narrow: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let expected = match caught("the other implementation", || run(&drawn.model, graph, &narrow)) {
            Ok(Ok(expected)) => expected,
            Ok(Err(error)) => {
                report.incomparable = Some(format!("{error:#}"));
                return Ok(Ok(()));
            }
            Err(panic) => {
                report.incomparable = Some(panic);
                return Ok(Ok(()));
            }
        };
        let found = caught("the float graph", || graph.eval(x))?;
        let near = |(a, &b): (&f64, &f32)| (a - f64::from(b)).abs() <= 1e-4 * (1.0 + a.abs());
        let same = found.len() == expected.len() && found.iter().zip(&expected).all(near);
        if !same && unsteady.moves(x, &found, &(0..found.len())) < 1e-2 {
            differing.push(format!("of {x:?} the float graph makes {found:?}, the other implementation {expected:?}"));
        }
    }
    Ok(if !differing.is_empty() { Err(differing.swap_remove(0)) } else { Ok(()) })
}

fn quantised(drawn: &Drawn, graph: &Graph, draw: &mut Draw) -> Result<Result<Quantised, String>, String> {
    let feature = |(i, &(min, max, integer)): (usize, &(f64, f64, bool))| DeclaredFeature {
        name: format!("f{i}"),
        min,
        max,
        integer,
    };
    let features: Vec<DeclaredFeature> = drawn.features.iter().enumerate().map(feature).collect();
    // few samples now and then, and samples of a corner of the domain
    let count = [1, 8, 32, 32, 80][draw.index(5)];
    let part = if draw.once_in(4) { 0.3 } else { 1.0 };
    let narrowed = |&(lo, hi, integer): &(f64, f64, bool)| (lo, lo + part * (hi - lo), integer);
    let narrowed: Vec<(f64, f64, bool)> = drawn.features.iter().map(narrowed).collect();
    let samples: Vec<Vec<f64>> = (0..count).map(|_| input(&narrowed, draw, false)).collect();
    let json = serde_json::json!({ "input_data": samples, "features": features });
    let calibration = CalibrationData::parse("calibration.json", &serde_json::to_vec(&json).unwrap());
    let calibration = calibration.map_err(|e| format!("the calibration data: {e}"))?;
    let domain = Domain::resolve(graph, &calibration, None).map_err(|e| format!("the domain: {e}"))?;
    let options = QuantOptions { max_error: 1e-3, ..QuantOptions::default() };
    let result = caught("quantisation", || quantise(graph, &domain, &calibration, &options))?;
    Ok(result.map_err(|e| format!("quantise: {e}")))
}

/// Ranges and errors on inputs of the whole domain.
fn measure(drawn: &Drawn, graph: &Graph, quantised: &Quantised, draw: &mut Draw) -> Result<Result<(), String>, String> {
    let model = &quantised.model;
    let inputs: Vec<Vec<f64>> = (0..INPUTS).map(|i| input(&drawn.features, draw, i % 4 == 0)).collect();
    let expected: Vec<Vec<f64>> = inputs.iter().map(|x| graph.eval(x)).collect();
    let mut found = vec![];
    for x in &inputs {
        let integers = model.quantise_input(x).map_err(|e| format!("input {x:?}: {e}"))?;
        let trace = caught("the interpreter", || model.trace(&integers))?;
        for (id, values) in trace.iter().enumerate() {
            for (element, (range, &v)) in model.ranges(id).iter().zip(values).enumerate() {
                if !range.contains(v) {
                    let name = id.checked_sub(1).map_or("the input", |n| &model.nodes[n].name);
                    return Err(format!("{name}[{element}] = {v} is outside of {range:?} with input {x:?}"));
                }
            }
        }
        found.push(model.float_outputs(&trace));
    }
    let tolerance = FACTOR * quantised.accuracy.max_relative_to_range.max(1e-3);
    let steps = model.features.iter().zip(&drawn.features).map(|(f, drawn)| if drawn.2 { 0.0 } else { 1.0 / f.scale });
    let unsteady = Unsteady::new(graph, &inputs, steps.collect(), 4.0 * (-quantised.precision).exp2());
    let (mut start, mut outliers) = (0, vec![]);
    for (name, _, shape) in &graph.outputs {
        let own = start..start + shape.iter().product::<usize>();
        start = own.end;
        let all = || expected.iter().flat_map(|e| e[own.clone()].iter().copied());
        let (lo, hi) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let range = if hi - lo > 1e-9 * hi.abs().max(lo.abs()) { hi - lo } else { 1.0 };
        for (x, (found, all)) in inputs.iter().zip(found.iter().zip(&expected)) {
            let (found, expected) = (&found[own.clone()], &all[own.clone()]);
            let error = found.iter().zip(expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
            if error > tolerance * range && error > tolerance * range + 2.0 * unsteady.moves(x, all, &own) {
                outliers.push(format!(
                    "output {name} is off by {:.1e} of its range, {:.1e} on the calibration data: {found:?} instead of \
                     {expected:?} with input {x:?} at {} bits",
                    error / range,
                    quantised.accuracy.max_relative_to_range,
                    quantised.precision
                ));
            }
        }
    }
    Ok(match outliers.len() {
        0 => Ok(()),
        n => Err(format!("{n} of {INPUTS} inputs: {}", outliers.swap_remove(0))),
    })
}

/// How far each output moves if values that are no integers are off by some units of the precision: how ties are broken,
/// and on which side of a jump a value falls, is nobody's promise.
struct Unsteady<'a> {
    graph: &'a Graph,
    /// By feature, and by node, what elements may be off by.
    features: Vec<f64>,
    noise: Vec<f64>,
}

impl<'a> Unsteady<'a> {
    /// Features are off by these, other values by so much of the greatest magnitude that they have for these inputs.
    fn new(graph: &'a Graph, inputs: &[Vec<f64>], features: Vec<f64>, relative: f64) -> Self {
        let traces: Vec<Vec<Vec<f64>>> = inputs.iter().map(|x| graph.trace(x)).collect();
        let of_node = |id: usize| {
            let all = || traces.iter().flat_map(|trace| trace[id].iter());
            let integers = all().all(|v| v.fract() == 0.0);
            if integers { 0.0 } else { all().fold(0.0, |m: f64, v| m.max(v.abs())) * relative }
        };
        let first = graph.inputs.len();
        Self { graph, features, noise: (first..first + graph.nodes.len()).map(of_node).collect() }
    }

    /// The outputs for `x`, with other noise each time.
    fn outputs(&self, x: &[f64], draw: &mut Draw) -> Vec<f64> {
        let mut off = || draw.integer(-100, 100) as f64 / 100.0;
        let noisy: Vec<f64> = x.iter().zip(&self.features).map(|(v, noise)| v + noise * off()).collect();
        let mut values = vec![];
        let mut rest = noisy.as_slice();
        for input in &self.graph.inputs {
            let (head, tail) = rest.split_at(input.len());
            values.push(head.to_vec());
            rest = tail;
        }
        for (node, noise) in self.graph.nodes.iter().zip(&self.noise) {
            let operands: Vec<f64> = node.inputs.iter().flat_map(|&id| values[id].iter().copied()).collect();
            let noisy = |v: f64| v + noise * off();
            values.push(node.op.apply(&operands).into_iter().map(noisy).collect());
        }
        self.graph.outputs.iter().flat_map(|(_, id, _)| values[*id].iter().copied()).collect()
    }

    fn moves(&self, x: &[f64], expected: &[f64], own: &Range<usize>) -> f64 {
        let mut draw = Draw::new(0);
        (0..32).fold(0.0, |most, _| {
            let there = self.outputs(x, &mut draw);
            own.clone().fold(most, |m: f64, i| m.max((there[i] - expected[i]).abs()))
        })
    }
}

/// The constraint system accepts the outputs and no others.
fn mock(layout: Layout, model: &IntegerModel, given: &[i128]) -> Result<(), String> {
    fn satisfied<C: Circuit<Fr>>(k: u32, circuit: &C, instances: Vec<Vec<Fr>>) -> bool {
        MockProver::run(k, circuit, instances).expect("the circuit fits its domain").verify().is_ok()
    }
    let trace = model.trace(given);
    let Ok(circuit) = caught("the layout", || LaidOut::<Fr>::new(layout, model, &trace))? else { return Ok(()) };
    let k = circuit.k();
    let accepts = |values: &[i128]| {
        let values: Vec<Fr> = values.iter().map(|&v| field(v)).collect();
        match &circuit {
            LaidOut::General(circuit) => satisfied(k, circuit, circuit.instances(&values)),
            LaidOut::Periodic(circuit) => {
                let mut instances = circuit.shape().instance_values(k, &values);
                let kept = hallmark::circuit::periodic::config::UNUSABLE_ROWS;
                instances.iter_mut().for_each(|column| column.truncate(column.len() - kept));
                satisfied(k, circuit, instances)
            }
            LaidOut::Phased(circuit) => {
                // the running sum of a prover who claims these outputs
                let mut circuit = circuit.clone();
                circuit.layout.public_values = values.clone();
                satisfied(k, &*circuit, circuit.instances(&values))
            }
        }
    };
    if k > MAX_MOCK_K {
        return Ok(());
    }
    let values = model.public_values(&trace);
    if !caught("the mock prover", || accepts(&values))? {
        return Err(format!("the {layout} constraint system rejects the outputs of {given:?}"));
    }
    for i in 0..values.len().min(3) {
        let mut other = values.clone();
        other[i] += if i % 2 == 0 { 1 } else { -1 };
        if caught("the mock prover", || accepts(&other))? {
            return Err(format!("the {layout} constraint system accepts {other:?} for {given:?}"));
        }
    }
    Ok(())
}

/// Keys, a proof, and what the native verifier and the contract say to it and to another output.
fn prove(layout: Layout, model: &IntegerModel, given: &[i128], anvil: &Anvil) -> Result<(), String> {
    let (key, source) = common::keys_and_contract_in(layout, model, "Verifier");
    let solc = Search::default().solc().map_err(|e| e.to_string())?;
    let contract = compile(&solc, &[("Verifier.sol".into(), source)], "Verifier", &CompileSettings::default());
    let contract = contract.map_err(|e| e.to_string())?;
    let address = anvil.deploy(&contract.init_code).map_err(|e| format!("deployment: {e}"))?.address;
    let mut proof = common::prove(&key, model, given);
    let accepts = |proof: &Proof| anvil.call(address, &Calldata::new(proof).encode("verify"));
    verify(key.verifying_key(), &proof).map_err(|e| format!("the native verifier rejects ({layout}): {e}"))?;
    accepts(&proof).map_err(|e| format!("the contract rejects ({layout}): {e}"))?;
    for i in 0..proof.statement.public_values.len().min(3) {
        let value = proof.statement.public_values[i];
        proof.statement.public_values[i] += if i % 2 == 0 { 1 } else { -1 };
        if verify(key.verifying_key(), &proof).is_ok() || accepts(&proof).is_ok() {
            return Err(format!("public value {i} is not bound ({layout}): {value} may be off by one"));
        }
        proof.statement.public_values[i] = value;
    }
    Ok(())
}
