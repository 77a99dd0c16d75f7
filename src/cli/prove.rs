//! `hallmark prove`

use std::{fmt::Write, path::PathBuf, time::Instant};

use hallmark::{
    project::{Project, ProofFile},
    quant::read_input,
};
use rand_core::OsRng;
use serde_json::json;

use super::{
    ContextArgs, Folder, InputArgs, Outcome, SaltArgs, keep,
    output::{Output, Report},
};

/// Prove the model's output for one input.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  hallmark prove build/credit --input applicant.json -o proof.json --context $(cast keccak \"$ORDER\")

The input stays private: neither the proof nor the file that is written contains it.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    salts: SaltArgs,
    /// Proof file to write.
    #[arg(long, short, value_name = "PROOF.json")]
    output: PathBuf,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let context = args.context.bytes()?;
    let step = output.step("loading the keys");
    let project = Project::open(&args.folder.folder)?;
    keep(&args.output, &[std::slice::from_ref(&args.input.input), project.files().as_slice()].concat())?;
    let input = read_input(&args.input.input, project.model(), args.input.index)?;
    let [inputs, outputs] = args.salts.read()?;
    let salts = project.salts(inputs, outputs)?;
    let pk = project.proving_key()?;
    step.set("proving");
    let start = Instant::now();
    let proof = project.prove_salted(&pk, &input, &salts, context, &mut OsRng)?;
    let seconds = start.elapsed().as_secs_f64();
    let file = project.proof_file(&proof);
    file.write(&args.output)?;
    drop(step);
    if args.context.context.is_none() {
        output.note("note: the context is zero, so the proof is bound to nothing and can be replayed; see --context");
    }
    let mut text = format!("proved in {seconds:.2} s, wrote {}\n", args.output.display());
    for value in &file.outputs {
        let _ = writeln!(text, "  {} = {} (integer {})", value.name, value.value, value.integer);
    }
    text.push_str(&digests(&file));
    let json = json!({
        "proof_file": args.output,
        "model_id": file.model_id,
        "context": file.context,
        "outputs": file.outputs,
        "digests": file.digests,
        "prove": { "wall_seconds": seconds },
    });
    Ok(Report::new(text, json))
}

/// A line for each digest.
pub fn digests(file: &ProofFile) -> String {
    file.digests.iter().map(|digest| format!("  digest of {} = {}\n", digest.of, digest.digest)).collect()
}
