//! `hallmark demo`

use std::path::PathBuf;

use hallmark::{
    graph::Graph,
    onnx,
    plan::Choice,
    project::{CompileOptions, Project, compile},
    proof::CurveId,
    quant::{QuantOptions, read_input},
};
use serde_json::json;

use super::{
    ContextArgs, Outcome, Threads, bench, compile as compile_command,
    output::{Output, Report},
};

const MODEL: &[u8] = include_bytes!("../../examples/credit/credit.onnx");
const CALIBRATION: &[u8] = include_bytes!("../../examples/credit/calibration.json");
const APPLICANT: &[u8] = include_bytes!("../../examples/credit/applicant.json");

/// The whole road once, on the credit example: compile, prove, deploy on anvil, verify in a transaction.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hallmark demo -o build/credit")]
pub struct Args {
    /// Folder for the artifacts.
    #[arg(long, short, value_name = "DIR", default_value = "build/credit")]
    output: PathBuf,
    /// Port for anvil; a free one by default.
    #[arg(long)]
    port: Option<u16>,
}

/// The context of the demo's proof: an application hashes chain, consumer, sender and nonce.
const CONTEXT: &str = "0x68616c6c6d61726b2064656d6f00000000000000000000000000000000000000";

pub fn run(args: &Args, output: &Output) -> Outcome {
    let scratch = tempfile::tempdir()?;
    let file = |name: &str, bytes: &[u8]| -> std::io::Result<PathBuf> {
        let path = scratch.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let model = file("credit.onnx", MODEL)?;
    let data = file("calibration.json", CALIBRATION)?;
    let applicant = file("applicant.json", APPLICANT)?;

    let step = output.step("");
    let options = CompileOptions {
        quant: QuantOptions { max_error: 1e-4, ..QuantOptions::default() },
        curve: Choice::Only(CurveId::Bn254),
        ..CompileOptions::new(model, data)
    };
    let build = compile(&options, |stage| step.set(stage.to_string()))?;
    build.write(&args.output, true)?;
    drop(step);

    let graph: Graph = onnx::import_bytes("credit.onnx", MODEL)?;
    let project = Project::open(&args.output)?;
    let float = graph.eval(&read_input(&applicant, project.model(), None)?);
    let context = ContextArgs { context: Some(CONTEXT.into()) };
    let threads = Threads { threads: None };
    let proved = bench::Proved { folder: &args.output, input: &applicant, index: None, context: &context, threads };
    let measured = bench::measure_project(&project, &proved, args.port, scratch.path(), output)?;

    let score = &measured.file.outputs;
    let fixed_point = score.first().map_or(f64::NAN, |value| value.value);
    let integer = score.first().map_or("", |value| value.integer.as_str());
    let folder = args.output.display();
    let contract = &build.contract_name;
    let text = format!(
        "\
Statement
  The approved credit model, its weights hidden behind the commitments in {contract},
  gives this score (public) for an applicant in its domain (ten inputs, private),
  and the proof is bound to context {CONTEXT}.

Compiled
{}
Score
  float model        {:.9}
  fixed point        {fixed_point:.9}
  contract accepted  {integer} / {} (transaction {})
{}
Artifacts: {folder} (manifest.json, contracts/{contract}.sol, keys)
Next:
  hallmark prove {folder} --input INPUT.json -o proof.json --context 0x...
  hallmark verify {folder} proof.json
  hallmark calldata {folder} proof.json
  hallmark bench {folder} --json",
        compile_command::summary(&build),
        float.first().copied().unwrap_or(f64::NAN),
        project.model().outputs.first().map_or(f64::NAN, |output| output.scale),
        measured.transaction,
        bench::text(&measured),
    );
    let json = json!({
        "folder": args.output,
        "contract": contract,
        "score": { "float": float.first(), "fixed_point": fixed_point, "contract": integer },
        "bench": bench::json(&measured),
    });
    Ok(Report::new(text, json))
}
