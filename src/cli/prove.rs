//! `hallmark prove`

use std::{fmt::Write, path::PathBuf, time::Instant};

use hallmark::{
    project::{Project, ProofFile},
    quant::read_input,
    stages::{Event, observed},
};
use rand_core::OsRng;
use serde_json::json;

use super::{
    ContextArgs, Failure, Folder, InputArgs, Outcome, SaltArgs, Threads, keep,
    measure::{self, Usage},
    output::{Output, Report, Step},
    profile::{self, Profile},
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
    threads: Threads,
    /// Say what takes the time, stage by stage.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    salts: SaltArgs,
    /// Proof file to write.
    #[arg(long, short, value_name = "PROOF.json")]
    output: PathBuf,
}

/// Makes the proof and writes it; also says how long proving alone took.
fn prove(args: &Args, context: [u8; 32], step: &Step) -> Result<(ProofFile, f64), Failure> {
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
    Ok((file, seconds))
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let began = Instant::now();
    args.threads.apply()?;
    let context = args.context.bytes()?;
    let step = output.step("loading the keys");
    let profile = Profile::default();
    let (mut progress, mut timer) = (step.listener(), profile.listener());
    let listener = move |event: Event| {
        timer(&event);
        progress(event);
    };
    let told = step.clone();
    let (file, seconds) = observed(listener, || prove(args, context, &told))?;
    let (usage, stages) = (measure::own(began), profile.stages());
    drop(told);
    drop(step);
    if args.context.context.is_none() {
        output.note("note: the context is zero, so the proof is bound to nothing and can be replayed; see --context");
    }
    let mut text = format!("proved in {seconds:.2} s, wrote {}\n", args.output.display());
    if let Some(Usage { wall_seconds, cpu_seconds, peak_rss_bytes }) = usage {
        let memory = peak_rss_bytes as f64 / 1e6;
        let _ = writeln!(
            text,
            "  {wall_seconds:.2} s with the keys' loading, {cpu_seconds:.2} CPU s, peak memory {memory:.1} MB"
        );
    }
    for value in &file.outputs {
        let _ = writeln!(text, "  {} = {} (integer {})", value.name, value.value, value.integer);
    }
    text.push_str(&digests(&file));
    if args.profile {
        let _ = write!(text, "\n{}", profile::table(&stages));
    }
    let json = json!({
        "proof_file": args.output,
        "model_id": file.model_id,
        "context": file.context,
        "outputs": file.outputs,
        "digests": file.digests,
        "prove": { "wall_seconds": seconds },
        "process": usage,
        "stages": stages,
    });
    Ok(Report::new(text, json))
}

/// A line for each digest.
pub fn digests(file: &ProofFile) -> String {
    file.digests.iter().map(|digest| format!("  digest of {} = {}\n", digest.of, digest.digest)).collect()
}
