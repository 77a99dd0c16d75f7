//! `hallmark compile`

use std::{fmt::Write, path::PathBuf};

use hallmark::{
    circuit::Layout,
    plan::Choice,
    project::{Build, CompileOptions, PublicInputs, Setup, compile},
    proof::CurveId,
    quant::{DomainSource, QuantOptions},
    solidity::batch_name,
};
use serde_json::{Value, json};

use super::{
    Outcome,
    output::{Output, Report, table, thousands},
};

/// Compile an ONNX model into keys and a verifier contract.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark compile credit.onnx --data calibration.json -o build/credit
  hallmark compile credit.onnx --data calibration.json --domain features.json --tolerance 1e-5 -o build/credit

The input domain is that of --domain, else of the \"features\" block in the calibration file, else what the calibration
data spans. Proofs exist for every input inside of it and for no other.")]
pub struct Args {
    /// ONNX model.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration data: {"input_data": [[...], ...]}, optionally with a "features" block that declares the domain.
    #[arg(long, value_name = "CALIBRATION.json")]
    data: PathBuf,
    /// Folder to write. Replaced as a whole, once everything has succeeded.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Input domain: {"features": [{"name", "min", "max", "integer"}, ...]}.
    #[arg(long, value_name = "DOMAIN.json")]
    domain: Option<PathBuf>,
    /// Name of the contract; from the model's file name by default.
    #[arg(long)]
    name: Option<String>,
    /// Greatest error on the calibration data, relative to the range of the outputs.
    #[arg(long, default_value_t = QuantOptions::default().tolerance)]
    tolerance: f64,
    /// A single output decides by being at or above this.
    #[arg(long, default_value_t = QuantOptions::default().threshold, allow_negative_numbers = true)]
    threshold: f64,
    /// Precision in bits, instead of the least that meets the tolerance.
    #[arg(long, value_name = "BITS")]
    precision: Option<u32>,
    /// Trusted setup: a file from `hallmark srs import`. The embedded ceremony by default, up to k = 14.
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Layout of the circuit: general, periodic, or auto for the one whose verification costs least.
    #[arg(long, default_value_t = Choice::Auto)]
    layout: Choice<Layout>,
    /// Curve: bn254 (any EVM chain), bls12-381 (chains with the precompiles of EIP-2537 and EIP-4844), or auto for the one
    /// whose verification costs least.
    #[arg(long, default_value_t = Choice::Only(CurveId::Bn254))]
    curve: Choice<CurveId>,
    /// Inputs that a proof says in the open: names with commas between them, or all. They are packed, several in a word.
    #[arg(long, value_name = "NAMES", value_parser = public_inputs)]
    public_inputs: Option<PublicInputs>,
    /// Accept a setup whose secret is known. The contract says UNSAFE in its name.
    #[arg(long)]
    allow_unsafe_srs: bool,
}

/// `all`, or names with commas between them.
fn public_inputs(text: &str) -> Result<PublicInputs, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_string()).collect();
    match names.as_slice() {
        [all] if all == "all" => Ok(PublicInputs::All),
        names if names.iter().any(String::is_empty) => Err("a name is empty".into()),
        _ => Ok(PublicInputs::Only(names)),
    }
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let options = CompileOptions {
        model: args.model.clone(),
        data: args.data.clone(),
        domain: args.domain.clone(),
        name: args.name.clone(),
        quant: QuantOptions {
            tolerance: args.tolerance,
            threshold: args.threshold,
            precision: args.precision,
            ..QuantOptions::default()
        },
        setup: args.srs.clone().map_or(Setup::Embedded, Setup::File),
        layout: args.layout,
        curve: args.curve,
        public_inputs: args.public_inputs.clone().unwrap_or_default(),
        allow_unsafe_srs: args.allow_unsafe_srs,
    };
    let step = output.step("");
    let build = compile(&options, |stage| step.set(stage.to_string()))?;
    step.set("writing artifacts");
    build.write(&args.output)?;
    drop(step);
    if build.domain.source == DomainSource::Calibration {
        output.note(
            "note: no domain was declared, so it is what the calibration data spans; inputs beyond cannot be proved. \
             Declare it with --domain or a \"features\" block.",
        );
    }
    let json = json!({ "folder": args.output, "manifest": Value::Object(build.manifest()) });
    let mut text = format!("compiled {} to {}\n", args.model.display(), args.output.display());
    text.push_str(&summary(&build));
    let _ = write!(text, "\nnext: hallmark prove {} --input INPUT.json -o proof.json", args.output.display());
    Ok(Report::new(text, json))
}

/// What was built, as a table.
pub fn summary(build: &Build) -> String {
    let (vk, plan, accuracy) = (&build.verifying_key, &build.plan, &build.quantised.accuracy);
    let mut rows = vec![
        ("model id", vk.id()),
        ("setup", vk.setup().to_string()),
        ("circuit", format!("{} on {}, {} rows of 2^{}", plan.layout, plan.curve, thousands(plan.rows as u64), plan.k)),
        ("estimated gas", format!("{} for a verifying transaction", thousands(plan.estimate.transaction))),
    ];
    for other in build.alternatives.iter().filter(|other| (other.layout, other.curve) != (plan.layout, plan.curve)) {
        let cost = match (&other.plan, &other.reason) {
            (Some(other), _) => format!("{} gas, 2^{} rows", thousands(other.estimate.transaction), other.k),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        rows.push(("instead of", format!("{} on {}: {cost}", other.layout, other.curve)));
    }
    rows.extend([
        (
            "contract",
            match build.batch_contract {
                Some(_) => {
                    format!("{0}; {1} for many proofs a call", build.contract_name, batch_name(&build.contract_name))
                }
                None => build.contract_name.clone(),
            },
        ),
        (
            "error",
            format!(
                "max {:.2e}, mean {:.2e}, {:.2e} of the output range on {} samples",
                accuracy.max_abs_error, accuracy.mean_abs_error, accuracy.max_relative_to_range, accuracy.samples
            ),
        ),
        ("decisions that flip", accuracy.decisions_flipped.to_string()),
        ("key generation", format!("{:.2} s", build.keygen.as_secs_f64())),
    ]);
    table(&rows)
}
