//! `hallmark calldata`

use std::path::PathBuf;

use hallmark::{fsutil::write_atomic, project::Project, solidity::Calldata};
use serde_json::json;

use super::{Folder, Outcome, keep, output::Report};

/// Encode a proof as the calldata of the contract's `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cast send $VERIFIER --gas-limit 400000 $(hallmark calldata build/credit proof.json)
  hallmark calldata build/credit proof.json --json -o test/fixtures/proof.json   # for vm.parseJson")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Proof file that `hallmark prove` wrote.
    #[arg(value_name = "PROOF.json")]
    proof: PathBuf,
    /// File to write instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, json_output: bool) -> Outcome {
    let project = Project::open(&args.folder.folder)?;
    let proof = project.read_proof(&args.proof)?;
    project.verify(&proof)?;
    let calldata = Calldata::new(&proof);
    let (hex, json) = (format!("0x{}", hex::encode(calldata.encode("verify"))), calldata.to_json());
    let Some(path) = &args.output else { return Ok(Report::new(hex, json)) };
    keep(path, &[std::slice::from_ref(&args.proof), project.files().as_slice()].concat())?;
    let text = if json_output { serde_json::to_string_pretty(&json)? } else { hex };
    write_atomic(path, (text + "\n").as_bytes())?;
    Ok(Report::new(format!("wrote {}", path.display()), json!({ "file": path })))
}
