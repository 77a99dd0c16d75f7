//! `hallmark compile`

use std::{fmt::Write, path::PathBuf};

use hallmark::{
    plan::{Alternative, Plan, front},
    project::{Build, CompileOptions, compile, hex_word},
    quant::DomainSource,
    solidity::batch_name,
    stages::observed,
};
use serde_json::{Value, json};

use super::{
    Outcome, Threads,
    options::ModelOptions,
    output::{Output, Report, table, thousands},
};

/// Compile an ONNX model into keys and a verifier contract.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark compile credit.onnx --data calibration.json -o build/credit
  hallmark compile credit.onnx --data calibration.json --domain features.json --max-error 1e-5 -o build/credit
  hallmark compile credit.onnx --data calibration.json --weights committed -o build/credit
  hallmark compile retrained.onnx --data calibration.json --like build/credit -o build/retrained

The input domain is that of --domain, else of the \"features\" block in the calibration file, else what the calibration
data spans. Proofs exist for every input inside of it and for no other.")]
pub struct Args {
    /// ONNX model.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration data: {"input_data": [[...], ...]}, optionally with a "features" block that declares the domain; or .npy,
    /// .npz, .csv.
    #[arg(long, value_name = "CALIBRATION.json")]
    data: PathBuf,
    /// Folder to write. Replaced as a whole, once everything has succeeded.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Compiled folder of a model with committed weights: MODEL is another one of its architecture, for the same contract.
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "domain", "name", "precision", "weights", "layout", "curve", "optimize", "output_names", "public_inputs", "hashed_inputs", "hashed_outputs",
        "private_outputs",
    ])]
    like: Option<PathBuf>,
    /// Leave out the Foundry suite, whose fixture is an example's proof that has to be made first.
    #[arg(long)]
    no_tests: bool,
    #[command(flatten)]
    options: ModelOptions,
    #[command(flatten)]
    threads: Threads,
}

/// What to know where the domain comes from the calibration data.
pub const NO_DOMAIN: &str = "note: no domain was declared, so it is what the calibration data spans; inputs beyond cannot be proved. \
                             Declare it with --domain or a \"features\" block.";

pub fn run(args: &Args, output: &Output) -> Outcome {
    args.threads.apply()?;
    let options = args.options.compile_options(args.model.clone(), args.data.clone());
    let options = CompileOptions { like: args.like.clone(), ..options };
    let step = output.step("");
    let told = step.clone();
    let build = observed(step.listener(), || compile(&options, |stage| told.set(stage.to_string())))?;
    step.set(if args.no_tests { "writing artifacts" } else { "proving an example, writing artifacts" });
    build.write(&args.output, !args.no_tests)?;
    drop(step);
    if build.domain.source == DomainSource::Calibration {
        output.note(NO_DOMAIN);
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
    let mut rows = vec![("model id", vk.id())];
    if let Some((architecture, commitment)) = vk.architecture() {
        rows.push(("architecture", architecture));
        rows.push(("weights", commitment.iter().map(hex_word).collect::<Vec<_>>().join(" ")));
    }
    rows.extend([
        ("setup", vk.setup().to_string()),
        ("circuit", format!("{plan}, {} rows of 2^{}", thousands(plan.rows as u64), plan.k)),
        ("estimated gas", format!("{} for a verifying transaction", thousands(plan.estimate.transaction))),
    ]);
    rows.extend(build.seen.rows());
    rows.extend(others(plan, &build.alternatives));
    rows.push(not_printed(plan, &build.alternatives, "report.html has them all"));
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

/// What the alternatives to a plan would cost, as far as no plan beats them in both gas and proving time.
pub fn others(plan: &Plan, alternatives: &[Alternative]) -> Vec<(&'static str, String)> {
    let row = |other: &Plan| {
        let (gas, relative) = (thousands(other.estimate.transaction), other.proving / plan.proving);
        ("instead of", format!("{other}: {gas} gas, 2^{} rows, {relative:.2} x the proving time", other.k))
    };
    front(alternatives).into_iter().filter(|other| *other != plan).map(row).collect()
}

/// How many alternatives [`others`] leaves out, and where they are.
pub fn not_printed(plan: &Plan, alternatives: &[Alternative], place: &str) -> (&'static str, String) {
    let printed = front(alternatives);
    let plans = alternatives.iter().filter_map(|a| a.plan.as_ref());
    let worse = plans.filter(|other| *other != plan && !printed.contains(other)).count();
    let impossible = alternatives.iter().filter(|a| a.plan.is_none()).count();
    ("not shown", format!("{worse} that others beat in both, {impossible} that are not possible; {place}"))
}
