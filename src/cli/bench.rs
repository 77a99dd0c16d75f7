//! `hallmark bench`

mod batch;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use hallmark::{
    chain::{Anvil, AnvilOptions, CompileSettings, GasFigures, Search, compile},
    gas::{CalldataCost, Estimate},
    project::{Project, ProofFile, ProverForecast, hex_word},
    proof::Proof,
    solidity::Calldata,
};
use rand_core::OsRng;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use super::{
    ContextArgs, Failure, Folder, Outcome, Threads,
    measure::{self, Usage},
    output::{Output, Report, table, thousands},
    peers,
};

/// Measure: prove in a process of its own, deploy on anvil, verify in a transaction, read the receipt.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark bench build/credit --input applicant.json
  hallmark bench build/credit --json | jq .gas.transaction
  hallmark bench build/credit --batch 16       # also sixteen proofs in one call of verifyBatch
  hallmark bench build/credit --compare        # beside EZKL, snarkjs and others

Without --input, the middle of the input domain is proved. Without --context, a hash is the context, as an application would have it:
zero bytes of calldata are cheaper. --compare shows figures that were measured before, on a model of the
credit example's shape; benches/peers has the scripts that measure them again.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Input file, as for `hallmark prove`.
    #[arg(long, value_name = "INPUT.json")]
    input: Option<PathBuf>,
    /// Which sample of a file that holds several, from 0.
    #[arg(long, value_name = "N", requires = "input")]
    index: Option<usize>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    threads: Threads,
    /// Port for anvil; a free one by default.
    #[arg(long)]
    port: Option<u16>,
    /// Also verify so many proofs in one transaction, by the batch contract.
    #[arg(long, value_name = "PROOFS", value_parser = clap::value_parser!(u16).range(1..=MAX_BATCH))]
    batch: Option<u16>,
    /// Show other systems' verifiers beside this one.
    #[arg(long)]
    compare: bool,
}

/// Everything that `bench` measures.
#[derive(Debug)]
pub struct Measured {
    pub proof: Proof,
    pub file: ProofFile,
    pub usage: Usage,
    /// What proving and the transaction were expected to take.
    pub forecast: ProverForecast,
    pub estimate: Estimate,
    pub gas: GasFigures,
    pub contract_bytes: usize,
    pub calldata_bytes: usize,
    pub solc_version: String,
    /// The contract's address and the transaction's hash on the local chain.
    pub address: String,
    pub transaction: String,
}

/// Gas given to the verifying transaction: what it takes is far less, and an estimate is never asked for.
const GAS_LIMIT: u64 = 2_000_000;

/// The most proofs of `--batch`: what one transaction can hold under EIP-7825's limit of 2^24 gas.
const MAX_BATCH: i64 = 256;

pub fn run(args: &Args, output: &Output) -> Outcome {
    args.threads.apply()?;
    let project = Project::open(&args.folder.folder)?;
    if args.batch.is_some() {
        project.batch_contract()?;
    }
    let scratch = tempfile::tempdir()?;
    let input = match &args.input {
        Some(path) => path.clone(),
        None => {
            let path = scratch.path().join("input.json");
            std::fs::write(&path, json!({ "input_data": [middle(&project)] }).to_string())?;
            path
        }
    };
    let context = args.context.context.clone().unwrap_or_else(some_hash);
    let context = ContextArgs { context: Some(context) };
    let folder = &args.folder.folder;
    let proved = Proved { folder, input: &input, index: args.index, context: &context, threads: args.threads };
    let measured = measure_project(&project, &proved, args.port, scratch.path(), output)?;
    let (mut text, mut json) = (text(&measured), json(&measured));
    if let Some(count) = args.batch {
        let batch = batch::measure(&project, args, &input, context.bytes()?, count.into(), output)?;
        text += &format!("\n{}", batch::text(&batch));
        json["batch"] = json!(batch);
    }
    if args.compare {
        let (ours, peers) = (peer_row(&measured), peers::read()?);
        text += &format!("\n{}", peers::text(&ours, &peers));
        json["compare"] = json!({ "ours": ours, "model": peers.model, "chain": peers.chain, "peers": peers.peers });
    }
    Ok(Report::new(text, json))
}

/// Our row of the comparison.
fn peer_row(measured: &Measured) -> peers::Row {
    let outputs = measured.file.outputs.len();
    peers::Row {
        name: "Hallmark".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        date: None,
        statement: format!("private input, {outputs} public output{}", if outputs == 1 { "" } else { "s" }),
        transaction_gas: measured.gas.transaction,
        execution_gas: measured.gas.execution,
        deployment_gas: Some(measured.gas.deployment),
        proof_bytes: Some(32 * measured.proof.words.len() as u64),
        calldata_bytes: Some(measured.calldata_bytes as u64),
        contract_bytes: Some(measured.contract_bytes as u64),
        prove_cpu_seconds: Some(measured.usage.cpu_seconds),
        prove_peak_rss_bytes: Some(measured.usage.peak_rss_bytes),
        source: "hallmark bench --compare".into(),
    }
}

/// The middle of the input domain, in the model's units.
pub fn middle(project: &Project) -> Vec<f64> {
    let features = &project.model().features;
    features.iter().map(|f| (f.range.lo + (f.range.hi - f.range.lo) / 2) as f64 / f.scale).collect()
}

/// The context of a measurement: some hash.
fn some_hash() -> String {
    format!("0x{}", hex::encode(Keccak256::digest(b"hallmark bench")))
}

/// What is proved, and how.
#[derive(Clone, Copy, Debug)]
pub struct Proved<'a> {
    pub folder: &'a Path,
    pub input: &'a Path,
    pub index: Option<usize>,
    pub context: &'a ContextArgs,
    pub threads: Threads,
}

/// Prove, deploy, verify, measure.
pub fn measure_project(
    project: &Project,
    &Proved { folder, input, index, context, threads }: &Proved<'_>,
    port: Option<u16>,
    scratch: &Path,
    output: &Output,
) -> Result<Measured, Failure> {
    // look for the tools before anything long
    let search = Search::default();
    let (solc, anvil) = (search.solc()?, search.anvil()?);

    let step = output.step("forecasting");
    let forecast = project.verifying_key().forecast(project.model())?;
    step.set("proving");
    let proof_path = scratch.join("proof.json");
    let mut prove = Command::new(std::env::current_exe()?);
    prove.arg("--json").arg("prove").arg(folder).arg("--input").arg(input).arg("-o").arg(&proof_path);
    if let Some(index) = index {
        prove.args(["--index", &index.to_string()]);
    }
    if let Some(context) = &context.context {
        prove.args(["--context", context]);
    }
    if let Some(count) = threads.threads {
        prove.args(["--threads", &count.to_string()]);
    }
    // nobody opens the digests of this proof
    for digest in &project.model().digests {
        let option = if digest.of() == "inputs" { "--salt" } else { "--output-salt" };
        prove.args([option, &hex_word(&project.random_salt(&mut OsRng).0)]);
    }
    let usage = measure::run(&mut prove)?;
    let proof = project.read_proof(&proof_path)?;

    step.set("compiling the contract");
    let (name, source) = project.contract()?;
    let key = project.verifying_key();
    let expected =
        CalldataCost::of_verify(key.public_ranges(), key.weights_words() + key.digests() + key.proof_words());
    let estimate = Estimate::new(&source, &expected)?;
    let compiled = compile(&solc, &[(format!("{name}.sol").into(), source)], &name, &CompileSettings::default())?;

    step.set("verifying on anvil");
    let anvil = Anvil::start(&anvil, &AnvilOptions { port, ..AnvilOptions::default() })?;
    let deployment = anvil.deploy(&compiled.init_code)?;
    let calldata = Calldata::new(&proof).encode("verify");
    let sent = anvil.send(deployment.address, &calldata, GAS_LIMIT)?;
    Ok(Measured {
        file: project.proof_file(&proof),
        proof,
        usage,
        forecast,
        estimate,
        gas: GasFigures::from_receipt(sent.gas_used, &calldata, deployment.gas_used),
        contract_bytes: compiled.runtime_code.len(),
        calldata_bytes: calldata.len(),
        solc_version: compiled.solc_version,
        address: deployment.address.to_string(),
        transaction: sent.hash.to_string(),
    })
}

/// How far a forecast was off, in percent.
fn off(forecast: f64, measured: f64) -> String {
    if measured > 0.0 { format!(" ({:+.1}%)", 100.0 * (forecast / measured - 1.0)) } else { String::new() }
}

/// The measurements as JSON.
pub fn json(measured: &Measured) -> Value {
    json!({
        "gas": measured.gas,
        "contract_bytes": measured.contract_bytes,
        "calldata_bytes": measured.calldata_bytes,
        "proof_bytes": 32 * measured.proof.words.len(),
        "prove": measured.usage,
        "forecast": { "prove": measured.forecast, "gas": measured.estimate },
        "outputs": measured.file.outputs,
        "model_id": measured.file.model_id,
        "context": measured.file.context,
        "solc": measured.solc_version,
        "address": measured.address,
        "transaction": measured.transaction,
    })
}

/// The measurements as a table.
pub fn text(measured: &Measured) -> String {
    let (gas, usage, forecast) = (&measured.gas, &measured.usage, &measured.forecast);
    let execution = gas.execution.map_or("not known: the calldata floor was charged".into(), thousands);
    let mut rows = vec![("Proof", String::new())];
    for value in &measured.file.outputs {
        rows.push(("output", format!("{} = {} (integer {})", value.name, value.value, value.integer)));
    }
    rows.extend([
        (
            "proving time",
            format!(
                "{:.2} s ({:.2} CPU s), forecast {:.2} s{} ({:.2} CPU s{})",
                usage.wall_seconds,
                usage.cpu_seconds,
                forecast.time.wall_seconds,
                off(forecast.time.wall_seconds, usage.wall_seconds),
                forecast.time.cpu_seconds,
                off(forecast.time.cpu_seconds, usage.cpu_seconds),
            ),
        ),
        (
            "peak memory",
            format!(
                "{:.1} MB, forecast {:.1} MB{}",
                usage.peak_rss_bytes as f64 / 1e6,
                forecast.peak_bytes as f64 / 1e6,
                off(forecast.peak_bytes as f64, usage.peak_rss_bytes as f64)
            ),
        ),
        ("Sizes, bytes", String::new()),
        ("proof", thousands(32 * measured.proof.words.len() as u64)),
        ("calldata", thousands(measured.calldata_bytes as u64)),
        ("contract", thousands(measured.contract_bytes as u64)),
        ("Gas, from the receipts on anvil (osaka)", String::new()),
        (
            "verify: transaction",
            format!(
                "{}, forecast {}{}",
                thousands(gas.transaction),
                thousands(measured.estimate.transaction),
                off(measured.estimate.transaction as f64, gas.transaction as f64)
            ),
        ),
        ("verify: execution", execution),
        ("verify: calldata", thousands(gas.calldata)),
        ("deployment", thousands(gas.deployment)),
    ]);
    table(&rows)
}
