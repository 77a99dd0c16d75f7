//! `hallmark match`

use std::{fmt::Write, path::PathBuf};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use hallmark::{
    chain::{
        CompileSettings, Endpoint, RpcFailure, Search,
        compare::{Comparison, compare},
        rpc::Call,
        solc::EvmVersion,
        submit::on_chain,
    },
    project::{Project, compile},
    solidity::{Calldata, batch_name},
};
use serde_json::json;

use super::{
    Failure, Outcome, Threads,
    chain::{RpcArgs, address, compiled, compiler},
    options::ModelOptions,
    output::{Output, Report},
};

/// Say whether the contract at an address is a model, and where they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark match credit.onnx --data calibration.json --max-error 1e-4 --address 0x… --rpc https://…
  hallmark match build/credit --address 0x… --json

A model is compiled anew, with the options that decide what its contract is: give those that it was compiled with. Of a compiled
folder the contract's source is taken. The source is compiled and compared with the code at the address, byte for byte; a
difference is given by the names of the source.

Exits with 3 if they do not match.")]
pub struct Args {
    /// ONNX model, or a folder that `hallmark compile` wrote.
    #[arg(value_name = "MODEL.onnx|DIR")]
    model: PathBuf,
    /// Calibration data of the model, as for `hallmark compile`.
    #[arg(long, value_name = "CALIBRATION.json")]
    data: Option<PathBuf>,
    /// The contract's address.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    address: Address,
    /// Compare with the contract for many proofs a call.
    #[arg(long)]
    batch: bool,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    options: ModelOptions,
    #[command(flatten)]
    threads: Threads,
}

/// A contract of the model.
struct Subject {
    name: String,
    source: String,
    model_id: String,
    /// What the contract says that it verifies: the model's id, or its architecture's.
    contract_id: String,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    args.threads.apply()?;
    let step = output.step("asking the chain");
    // Before anything long.
    let (endpoint, chain_id) = args.rpc.connect()?;
    let code = endpoint.code(args.address)?;
    on_chain(&endpoint, chain_id)?;
    let subject = subject(args, |stage| step.set(stage))?;
    step.set("compiling the contract");
    let solc = Search::default().solc()?;
    let mut ours = compiled(&solc, &subject.name, &subject.source, &CompileSettings::default())?;
    let mut comparison = compare(&subject.source, &ours.runtime_code, &code);
    let said = if code.is_empty() { None } else { contract_id(&endpoint, args.address)? };
    let claims_to_be = said.is_some_and(|id| hex::encode(id) == subject.contract_id);
    if claims_to_be && matches!(comparison, Comparison::OtherInstructions { .. }) {
        step.set("trying other settings of the compiler");
        for other in other_settings() {
            // Not every source compiles with every setting.
            let Ok(attempt) = compiled(&solc, &subject.name, &subject.source, &other) else { continue };
            let compared = compare(&subject.source, &attempt.runtime_code, &code);
            if compared.is_match() {
                (ours, comparison) = (attempt, compared);
                break;
            }
        }
    }
    drop(step);
    let matches = comparison.is_match();
    let compiler = compiler(&ours);
    let one_of_many = subject.model_id != subject.contract_id;
    let what = if one_of_many { "architecture" } else { "model" };
    let (verdict, is) = if matches { ("match", "is") } else { ("no match", "is not") };
    let mut text = format!(
        "{verdict}: the contract at {} on chain {chain_id} {is} that of the {what} {}\n",
        args.address, subject.contract_id
    );
    if matches && one_of_many {
        let _ = writeln!(
            text,
            "the model {} is one of this architecture; whether it is approved, its consumer says",
            subject.model_id
        );
    }
    let _ = writeln!(text, "{}", words(&comparison));
    match said {
        Some(id) if !claims_to_be => {
            let _ = writeln!(text, "it says that it is that of the {what} {}", hex::encode(id));
        }
        Some(_) if !matches => text += "it says that it is, but its code is not\n",
        None if !code.is_empty() => text += "it does not say what it verifies: it is no verifier of hallmark's\n",
        _ => {}
    }
    let how = if compiler.via_ir { ", via-IR" } else { "" };
    let _ = writeln!(
        text,
        "compiled with solc {}, {} runs, EVM {}{how}",
        compiler.version, compiler.optimizer_runs, compiler.evm_version
    );
    let json = json!({
        "match": matches,
        "address": args.address,
        "chain_id": chain_id,
        "contract": subject.name,
        "model_id": subject.model_id,
        "contract_id": subject.contract_id,
        "contract_id_on_chain": said.map(hex::encode),
        "code_hash": keccak256(&ours.runtime_code),
        "code_hash_on_chain": keccak256(&code),
        "comparison": comparison,
        "compiler": compiler,
    });
    Ok(Report { no_match: !matches, ..Report::new(text, json) })
}

fn subject(args: &Args, mut stage: impl FnMut(String)) -> Result<Subject, Failure> {
    if args.model.is_dir() {
        let project = Project::open(&args.model)?;
        let (name, source) = if args.batch { project.batch_contract()? } else { project.contract()? };
        let (model_id, contract_id) = (project.verifying_key().id(), project.verifying_key().contract_id());
        return Ok(Subject { name, source, model_id, contract_id });
    }
    let data =
        args.data.clone().ok_or("a model needs the calibration data that it was compiled with: give --data FILE")?;
    let options = args.options.compile_options(args.model.clone(), data);
    let build = compile(&options, |step| stage(step.to_string()))?;
    let (model_id, contract_id) = (build.verifying_key.id(), build.verifying_key.contract_id());
    let (name, source) = match (args.batch, build.batch_contract) {
        (false, _) => (build.contract_name, build.contract),
        (true, Some(source)) => (batch_name(&build.contract_name), source),
        (true, None) => return Err("this model has no contract for batches: it is not on bn254".into()),
    };
    Ok(Subject { name, source, model_id, contract_id })
}

/// What a contract says that it verifies; `None` where it does not say it.
fn contract_id(endpoint: &Endpoint, address: Address) -> Result<Option<B256>, RpcFailure> {
    for function in ["MODEL_ID()", "ARCHITECTURE_ID()"] {
        let selector = Calldata::selector(function);
        match endpoint.call(Call { to: Some(address), data: &selector, ..Call::default() }, "latest") {
            Ok(word) if word_of(&word).is_some() => return Ok(word_of(&word)),
            Ok(_) | Err(RpcFailure::Refused { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

fn word_of(bytes: &Bytes) -> Option<B256> {
    (bytes.len() == 32).then(|| B256::from_slice(bytes))
}

/// Settings that others compile with: Foundry's and Hardhat's defaults and their neighbours.
fn other_settings() -> Vec<CompileSettings> {
    let mut all = Vec::new();
    for via_ir in [false, true] {
        for optimizer_runs in [200, 1_000_000] {
            for evm_version in [EvmVersion::Osaka, EvmVersion::Cancun, EvmVersion::Paris] {
                all.push(CompileSettings { optimizer_runs, via_ir, evm_version });
            }
        }
    }
    all.retain(|settings| *settings != CompileSettings::default());
    all
}

/// A comparison for people.
fn words(comparison: &Comparison) -> String {
    let hex = |value: &U256| format!("{value:#x}");
    match comparison {
        Comparison::Same => "byte for byte".into(),
        Comparison::SameButMetadata { solc } => {
            let by = solc.as_ref().map(|version| format!(", by solc {version}")).unwrap_or_default();
            format!("byte for byte, but for the metadata that the compiler appended{by}, which is not executed")
        }
        Comparison::NoCode => "there is no code at this address".into(),
        Comparison::OtherConstants { constants, unnamed } => {
            let mut text = String::from("its instructions are the same, with other constants:");
            for change in constants {
                let (names, expected, found) = (change.names.join(" or "), hex(&change.expected), hex(&change.found));
                let _ = write!(text, "\n  {names}: {found} instead of {expected}");
            }
            if *unnamed > 0 {
                let _ = write!(text, "\n  and {unnamed} that the source does not name");
            }
            text
        }
        Comparison::OtherInstructions { missing } if missing.is_empty() => {
            "its instructions are others, and the constants of the source are all there: another compiler or other settings may have made it \
             of the same source, or of a source that somebody has changed"
                .into()
        }
        Comparison::OtherInstructions { missing } => {
            let mut text = String::from("its instructions are others, and it lacks constants of the source:");
            for constant in missing {
                let _ = write!(text, "\n  {} = {}", constant.name, hex(&constant.value));
            }
            text
        }
    }
}
