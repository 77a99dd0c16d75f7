//! `hallmark calldata`

use std::path::PathBuf;

use hallmark::{
    fsutil::write_atomic,
    project::{Project, ProjectError},
    solidity::Calldata,
};
use serde_json::json;

use super::{Folder, Outcome, keep, output::Report};

/// Encode a proof as the calldata of the contract's `verify`, or several as that of the batch contract's `verifyBatch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cast send $VERIFIER --gas-limit 400000 $(hallmark calldata build/credit proof.json)
  hallmark calldata build/credit proof.json --json -o test/fixtures/proof.json   # for vm.parseJson
  hallmark calldata build/credit proofs/*.json                                   # for verifyBatch")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Proof files that `hallmark prove` wrote. More than one make a batch.
    #[arg(value_name = "PROOF.json", required = true)]
    proofs: Vec<PathBuf>,
    /// Encode for `verifyBatch` even if there is one proof only.
    #[arg(long)]
    batch: bool,
    /// File to write instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, json_output: bool) -> Outcome {
    let project = Project::open(&args.folder.folder)?;
    let claims = args.proofs.iter().map(|path| {
        let proof = project.read_proof(path)?;
        project.verify(&proof)?;
        Ok(Calldata::new(&proof))
    });
    let claims = claims.collect::<Result<Vec<_>, ProjectError>>()?;
    let (bytes, json) = match claims.as_slice() {
        [claim] if !args.batch => (claim.encode("verify"), claim.to_json()),
        claims => {
            project.batch_contract()?;
            (Calldata::encode_batch(claims), Calldata::batch_to_json(claims))
        }
    };
    let hex = format!("0x{}", hex::encode(bytes));
    let Some(path) = &args.output else { return Ok(Report::new(hex, json)) };
    keep(path, &[args.proofs.as_slice(), project.files().as_slice()].concat())?;
    let text = if json_output { serde_json::to_string_pretty(&json)? } else { hex };
    write_atomic(path, (text + "\n").as_bytes())?;
    Ok(Report::new(format!("wrote {}", path.display()), json!({ "file": path })))
}
