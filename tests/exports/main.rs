//! Models that scikit-learn, XGBoost, LightGBM, PyTorch and Keras users train and export, from the file to a proof that a
//! contract accepts. `make exports` trains them (`train.py`) and runs this; it takes minutes.
//!
//! On every row of the test set the integer model must decide as the library that trained the model does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use hallmark::{
    chain::{Anvil, AnvilOptions, ChainError, CompileSettings, Search},
    graph::IntegerModel,
    plan::Choice,
    project::{Build, CompileOptions, Project, ProjectError, Setup},
    proof::{CurveId, srs_file::generate_unsafe_file},
    quant::QuantOptions,
    solidity::Calldata,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;

/// Of the range of the outputs.
const TOLERANCE: f64 = 1e-3;
/// Setups of more powers than the embedded ceremony has are made up: nothing here is worth forging.
const UNSAFE_K: u32 = 18;

/// What the library that trained a model says.
#[derive(Deserialize)]
struct Expected {
    /// Whether predictions are labels.
    classifier: bool,
    rows: Vec<Vec<f64>>,
    predicted: Vec<f64>,
}

/// The label of a classifier, which is its first output or the greatest score; the value of a regressor.
fn prediction(model: &IntegerModel, row: &[f64], classifier: bool) -> f64 {
    let outputs = model.float_outputs(&model.trace(&model.quantise_input(row).unwrap()));
    let label_first = model.outputs.len() > 1;
    match classifier && !label_first {
        false => outputs[0],
        true => (0..outputs.len()).fold(0, |best, i| if outputs[i] > outputs[best] { i } else { best }) as f64,
    }
}

/// Compiles under the embedded ceremony, else under a setup that is not one.
fn compiled(model: &Path, work: &Path) -> Result<Build, ProjectError> {
    let options = |setup, allow_unsafe_srs| CompileOptions {
        quant: QuantOptions { max_error: TOLERANCE, ..QuantOptions::default() },
        setup,
        curve: Choice::Only(CurveId::Bn254),
        allow_unsafe_srs,
        ..CompileOptions::new(model, model.with_extension("data.json"))
    };
    let compile = |options: CompileOptions| hallmark::project::compile(&options, |_| ());
    match compile(options(Setup::Embedded, false)) {
        Err(ProjectError::Srs(_)) => {}
        result => return result,
    }
    let setup = work.join(format!("unsafe{UNSAFE_K}.srs"));
    if !setup.exists() {
        generate_unsafe_file(&setup, UNSAFE_K, ChaCha20Rng::seed_from_u64(7), |_, _| ()).unwrap();
    }
    compile(options(Setup::File(setup), true))
}

/// Proves the first row and has the contract judge it: the gas of the transaction that accepts it.
fn proved_on_chain(project: &Project, row: &[f64], anvil: &Anvil) -> u64 {
    let key = project.proving_key().unwrap();
    let proof = project.prove(&key, row, [7; 32], &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    project.verify(&proof).unwrap();

    let solc = Search::default().solc().unwrap();
    let (name, source) = project.contract().unwrap();
    let sources = [(format!("{name}.sol").into(), source)];
    let contract = hallmark::chain::compile(&solc, &sources, &name, &CompileSettings::default()).unwrap();
    let address = anvil.deploy(&contract.init_code).unwrap().address;
    let mut calldata = Calldata::new(&proof).encode("verify");
    let accepted = anvil.send(address, &calldata, 5_000_000).unwrap();
    *calldata.last_mut().unwrap() ^= 1;
    assert!(
        matches!(anvil.call(address, &calldata), Err(ChainError::Reverted { .. })),
        "{name} accepts a forged proof"
    );
    accepted.gas_used
}

/// What there is to say of an export that went all the way, or why it did not.
fn judged(path: &Path, name: &str, work: &Path, anvil: &Anvil) -> Result<String, String> {
    let start = Instant::now();
    let expected: Expected = serde_json::from_slice(&fs::read(path.with_extension("expected.json")).unwrap()).unwrap();
    let build = compiled(path, work).map_err(|error| error.to_string())?;
    build.write(&work.join(name), false).unwrap();
    let project = Project::open(&work.join(name)).unwrap();
    let found = expected.rows.iter().map(|row| prediction(project.model(), row, expected.classifier));
    let errors: Vec<f64> = found.zip(&expected.predicted).map(|(a, b)| (a - b).abs()).collect();
    let limit = if expected.classifier { 0.0 } else { TOLERANCE * build.quantised.accuracy.output_range };
    let (beyond, worst) =
        (errors.iter().filter(|&&error| error > limit).count(), errors.iter().copied().fold(0.0, f64::max));
    let (rows, k) = (build.plan.rows, build.plan.k);
    if beyond > 0 {
        return Err(format!(
            "{beyond} of {} predictions differ, by {worst} at most ({rows} rows, k {k})",
            errors.len()
        ));
    }
    let gas = proved_on_chain(&project, &expected.rows[0], anvil);
    let seconds = start.elapsed().as_secs_f64();
    Ok(format!("all of {} predictions, {rows} rows, k {k}, {gas} gas, {seconds:.0} s", errors.len()))
}

#[test]
#[ignore = "`make exports` trains the models and runs it"]
fn exported_models_are_proved() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/exports/models");
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}; run `make exports`", folder.display()));
    let mut models: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    models.sort();
    assert!(!models.is_empty(), "{} holds no models", folder.display());

    let work = tempfile::tempdir().unwrap();
    let anvil = Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap();
    let mut failed = vec![];
    for path in models {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let judged = judged(&path, name, work.path(), &anvil);
        println!("{name}: {}", judged.as_ref().unwrap_or_else(|error| error));
        failed.extend(judged.is_err().then(|| name.to_string()));
    }
    assert!(failed.is_empty(), "{} failed, see above", failed.join(", "));
}
