//! The whole collection of real models: import, quantisation, random inputs of the domain, proofs, contracts.
//!
//! Heavy, so ignored by default: `make collection`. `HALLMARK_MODELS` names the models to take, separated by commas;
//! `HALLMARK_MAX_K` is the greatest k that is proved, `HALLMARK_LAYOUT` in which layout.

use std::path::{Path, PathBuf};
use std::time::Instant;

use hallmark::chain::{Anvil, AnvilOptions, CompileSettings, Search, compile};
use hallmark::circuit::{LaidOut, Layout};
use hallmark::graph::{Graph, IntegerModel};
use hallmark::onnx;
use hallmark::proof::{Bn254, ProvingKey, Srs, prove, speed::cpu_seconds, verify};
use hallmark::quant::{CalibrationData, DeclaredFeature, Domain, QuantOptions, quantise};
use hallmark::solidity::Calldata;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

mod common;

/// `HALLMARK_LAYOUT`: the layout that is proved.
fn layout() -> Layout {
    std::env::var("HALLMARK_LAYOUT").map_or(Layout::Phased, |name| name.parse().unwrap())
}

/// Random samples that a model is calibrated on.
const SAMPLES: usize = 32;
/// Random inputs per model whose traces are checked; fewer for models of many weights.
const INPUTS: usize = 200;
/// Proofs per model, of random inputs: one if the domain has more than `2^MANY_PROOFS_K` rows.
const PROOFS: usize = 4;
const MANY_PROOFS_K: u32 = 14;

fn collection() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(folder) = root.ancestors().map(|dir| dir.join("shared/models")).find(|path| path.exists()) else {
        return vec![];
    };
    let wanted = std::env::var("HALLMARK_MODELS").ok();
    let wanted = |name: &str| wanted.as_ref().is_none_or(|list| list.split(',').any(|w| w == name));
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.retain(|path| wanted(path.file_name().unwrap().to_str().unwrap()) && path.join("network.onnx").exists());
    models.sort();
    models
}

/// What the given sample spans, rounded up: from zero if it has no negative number, else on both sides of it.
fn domain_of(graph: &Graph, sample: &[f64], name: &str) -> Vec<DeclaredFeature> {
    let integer = graph.inputs.iter().flat_map(|i| std::iter::repeat_n(i.integer, i.len()));
    let reach = sample.iter().fold(0.05, |m: f64, v| m.max(v.abs()));
    // to one digit
    let unit = 10f64.powf(reach.log10().floor());
    let reach = if graph.inputs.iter().any(|i| i.integer) { reach.ceil() } else { (reach / unit).ceil() * unit };
    let least = sample.iter().copied().fold(f64::INFINITY, f64::min);
    let least = match name {
        // not defined at zero
        "1l_sqrt" | "log" | "1l_eltwise_div" => least / 2.0,
        _ if least >= 0.0 => 0.0,
        _ => -reach,
    };
    let feature = |(i, integer)| DeclaredFeature { name: format!("f{i}"), min: least, max: reach, integer };
    integer.enumerate().map(feature).collect()
}

fn random_input(features: &[DeclaredFeature], rng: &mut ChaCha20Rng) -> Vec<f64> {
    let unit = |rng: &mut ChaCha20Rng| rng.next_u32() as f64 / f64::from(u32::MAX);
    let value = |f: &DeclaredFeature, t: f64| {
        let value = f.min + t * (f.max - f.min);
        if f.integer { value.round() } else { value }
    };
    features.iter().map(|f| value(f, unit(rng))).collect()
}

fn check_ranges(model: &IntegerModel, input: &[i128]) -> Vec<f64> {
    let trace = model.trace(input);
    for (id, values) in trace.iter().enumerate() {
        for (element, (range, &v)) in model.ranges(id).iter().zip(values).enumerate() {
            assert!(range.contains(v), "tensor {id}[{element}] = {v} is outside {range:?}");
        }
    }
    model.float_outputs(&trace)
}

struct Report {
    outcome: Result<String, String>,
    seconds: f64,
}

fn run(path: &Path, max_k: u32) -> Result<String, String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let graph = onnx::import(&path.join("network.onnx")).map_err(|e| format!("import: {e}"))?;
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let names: Vec<String> = (0..graph.input_len()).map(|i| format!("f{i}")).collect();
    let given = match path.join("input.json") {
        file if file.exists() => {
            let data = CalibrationData::read(&file).and_then(|data| data.samples(&graph, &names));
            data.map_err(|e| format!("data: {e}"))?
        }
        _ => vec![vec![1.0; graph.input_len()]],
    };
    let features = domain_of(&graph, &given[0], name);
    let mut samples = given.clone();
    samples.extend((1..SAMPLES).map(|_| random_input(&features, &mut rng)));
    let json = serde_json::json!({ "input_data": samples, "features": features });
    let calibration = CalibrationData::parse("calibration.json", &serde_json::to_vec(&json).unwrap());
    let calibration = calibration.map_err(|e| format!("data: {e}"))?;
    let domain = Domain::resolve(&graph, &calibration, None).map_err(|e| format!("domain: {e}"))?;
    let options = QuantOptions { max_error: 1e-3, ..QuantOptions::default() };
    let started = Instant::now();
    let result = quantise(&graph, &domain, &calibration, &options).map_err(|e| format!("quantise: {e}"))?;
    let quantising = started.elapsed().as_secs_f64();
    let model = &result.model;
    model.validate().map_err(|e| format!("validate: {e}"))?;
    let work: usize = graph.nodes.iter().map(|n| n.weight_count()).sum();
    let count = ((1usize << 27) / work.max(1)).clamp(4, INPUTS);
    let mut worst = 0.0f64;
    for _ in 0..count {
        let x = random_input(&features, &mut rng);
        let input = model.quantise_input(&x).map_err(|e| format!("input: {e}"))?;
        let outputs = check_ranges(model, &input);
        let error = outputs.iter().zip(graph.eval(&x)).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
        worst = worst.max(error / result.accuracy.output_range);
    }
    // every feature at one end of its range
    for corner in 0..4 {
        let pick = |(i, f): (usize, &hallmark::graph::Feature)| match corner {
            0 => f.range.lo,
            1 => f.range.hi,
            _ => {
                if i % 2 == corner % 2 {
                    f.range.lo
                } else {
                    f.range.hi
                }
            }
        };
        check_ranges(model, &model.features.iter().enumerate().map(pick).collect::<Vec<_>>());
    }
    let layout = LaidOut::<halo2curves::bn256::Fr>::for_keygen(layout(), model).map_err(|e| e.to_string())?;
    let (k, rows) = (layout.k(), layout.rows());
    let fit = if result.within_tolerance { "" } else { " NOT WITHIN TOLERANCE" };
    let accuracy = &result.accuracy;
    let mut line = format!(
        "k {k:2} rows {rows:8} bits {:4.1} error {:.1e} flips {} random {worst:.1e} of {count} quantise {quantising:.1}s{fit}",
        result.precision, accuracy.max_relative_to_range, accuracy.decisions_flipped
    );
    if k <= max_k {
        let srs = match k {
            ..=13 => Srs::<Bn254>::embedded(k + 1).map_err(|e| e.to_string())?,
            _ => Srs::generate_unsafe(k + 1, ChaCha20Rng::seed_from_u64(7)).map_err(|e| e.to_string())?,
        };
        let started = Instant::now();
        let key = ProvingKey::<Bn254>::generate(model, &layout, srs).map_err(|e| format!("keygen: {e}"))?;
        let keygen = started.elapsed().as_secs_f64();
        let sources = [("Verifier.sol".into(), common::contract(&key, model, "Verifier"))];
        let solc = Search::default().solc().map_err(|e| e.to_string())?;
        let contract = compile(&solc, &sources, "Verifier", &CompileSettings::default()).map_err(|e| e.to_string())?;
        let anvil = Search::default().anvil().map_err(|e| e.to_string())?;
        let anvil = Anvil::start(&anvil, &AnvilOptions::default()).map_err(|e| e.to_string())?;
        let address = anvil.deploy(&contract.init_code).map_err(|e| format!("deploy: {e}"))?.address;
        let (mut proving, mut proving_cpu, mut gas) = (0.0f64, 0.0f64, 0);
        for _ in 0..if k > MANY_PROOFS_K { 1 } else { PROOFS } {
            let input = model.quantise_input(&random_input(&features, &mut rng)).map_err(|e| format!("input: {e}"))?;
            let started = (Instant::now(), cpu_seconds());
            let mut proof = prove(&key, model, &input, [0; 32], &mut rng).map_err(|e| format!("prove: {e}"))?;
            proving = proving.max(started.0.elapsed().as_secs_f64());
            proving_cpu = proving_cpu.max(cpu_seconds() - started.1);
            verify(key.verifying_key(), &proof).map_err(|e| format!("verify: {e}"))?;
            let sent = anvil.send(address, &Calldata::new(&proof).encode("verify"), 16_000_000);
            gas = sent.map_err(|e| format!("the contract: {e}"))?.gas_used;
            proof.statement.public_values[0] += 1;
            assert!(
                anvil.call(address, &Calldata::new(&proof).encode("verify")).is_err(),
                "a wrong output is accepted"
            );
        }
        line += &format!(
            " keygen {keygen:.1}s prove {proving:.1}s ({proving_cpu:.1} CPU s) gas {gas} bytes {}",
            contract.runtime_code.len()
        );
    }
    Ok(line)
}

#[test]
#[ignore = "heavy: make collection"]
fn every_model_of_the_collection() {
    let max_k = std::env::var("HALLMARK_MAX_K").map_or(18, |k| k.parse().unwrap());
    let mut failed = vec![];
    for path in collection() {
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let started = Instant::now();
        let outcome = std::panic::catch_unwind(|| run(&path, max_k)).unwrap_or_else(|e| {
            let text = e.downcast_ref::<String>().cloned().or(e.downcast_ref::<&str>().map(|s| s.to_string()));
            Err(format!("PANIC {}", text.unwrap_or_default()))
        });
        let report = Report { outcome, seconds: started.elapsed().as_secs_f64() };
        match report.outcome {
            Ok(line) => println!("{name:24} {line} total {:.1}s", report.seconds),
            Err(error) => {
                println!("{name:24} FAILED {} ({:.1}s)", error.chars().take(400).collect::<String>(), report.seconds);
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
