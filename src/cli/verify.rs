//! `hallmark verify`

use std::{fmt::Write, path::PathBuf};

use hallmark::project::Project;
use serde_json::json;

use super::{Folder, Outcome, output::Report, prove::digests};

/// Verify a proof natively: the same judgement as the contract's.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  hallmark verify build/credit proof.json\n\nExits with 3 if the proof does not verify."
)]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Proof file that `hallmark prove` wrote.
    #[arg(value_name = "PROOF.json")]
    proof: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let project = Project::open(&args.folder.folder)?;
    let proof = project.read_proof(&args.proof)?;
    project.verify(&proof)?;
    let file = project.proof_file(&proof);
    let mut text = format!("valid: the model {} gives, for some input in its domain,\n", file.model_id);
    for value in &file.outputs {
        let _ = writeln!(text, "  {} = {} (integer {})", value.name, value.value, value.integer);
    }
    text.push_str(&digests(&file));
    let hidden = project.seen();
    for (title, alike) in [("hashed", &hidden.hashed), ("private", &hidden.private)] {
        let _ = writeln!(text, "{title}: {alike}");
    }
    let _ = write!(text, "bound to context {}", file.context);
    let json = json!({
        "valid": true,
        "model_id": file.model_id,
        "context": file.context,
        "outputs": file.outputs,
        "public_inputs": file.public_inputs,
        "digests": file.digests,
        "visibility": hidden,
    });
    Ok(Report::new(text, json))
}
