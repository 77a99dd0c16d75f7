//! `hallmark submit`

use std::path::{Path, PathBuf};

use alloy::{
    json_abi::JsonAbi,
    primitives::{Address, U256, utils::format_ether},
};
use hallmark::{
    chain::{
        KnownErrors,
        call::{Argument, Parts, encode, function},
        deploy::Record,
        submit::{Landed, Submission},
    },
    project::{Project, ProjectError},
    proof::Proof,
    solidity::Calldata,
};
use serde_json::{Value, json};

use super::{
    Failure, Folder, Outcome,
    chain::{RpcArgs, SendArgs, SignerArgs, address, amount, tell},
    output::{Output, Report, table, thousands},
};

/// Send a proof to a contract in a transaction, exactly once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark submit build/credit proof.json --rpc http://127.0.0.1:8545     # to the verifier that `hallmark deploy` recorded
  hallmark submit build/credit proof.json --to 0x… --keystore key.json \\
      --function 'apply_(int256 score, uint256[12] proof)' --arg score=@output0
  hallmark submit build/credit proof.json --to 0x… --abi out/Pool.sol/Pool.json --function borrow --arg amount='1 ether'
  hallmark submit build/credit proof.json --to 0x… --cancel               # gives up what has been sent and is in no block

Without --function it calls the verifier's `verify`, or `verifyBatch` if there are several proofs. With it, parameters named context, weights,
outputs, digests and proof are filled in from the proof, with --abi also inside structs; others take --arg NAME=VALUE, where
@outputs or @output0 stand for parts of the proof.

The call is simulated first, and a revert is explained. Everything that is signed is in a journal before it is sent: run the
same command again after a crash, a kill or a timeout, and it goes on with what was sent, never twice. A transaction that
is stuck is replaced by one that offers more, up to the caps. docs/submission.md says what happens on each fault.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Proof files that `hallmark prove` wrote. More than one make a batch.
    #[arg(value_name = "PROOF.json", required = true)]
    proofs: Vec<PathBuf>,
    /// Contract to call; by default the verifier, where deployments/<chain id>.json in the folder says it is.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Option<Address>,
    /// Function to call, with the names of its parameters; or its name alone, with --abi.
    #[arg(long, value_name = "SIGNATURE", requires = "to")]
    function: Option<String>,
    /// Value of a parameter: NAME=VALUE, or NAME=@PART for a part of the proof.
    #[arg(long = "arg", value_name = "NAME=VALUE", requires = "function")]
    arguments: Vec<Argument>,
    /// ABI of the contract, as JSON or a forge artifact: its functions, and its errors for people.
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// Ether to send along, as 0.1ether.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "0wei")]
    value: U256,
    /// Take the nonce of what was sent by a transaction that does nothing.
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    send: SendArgs,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let step = output.step("verifying the proof");
    let project = Project::open(&args.folder.folder)?;
    let proofs = args.proofs.iter().map(|path| {
        let proof = project.read_proof(path)?;
        project.verify(&proof)?;
        Ok(proof)
    });
    let proofs = proofs.collect::<Result<Vec<_>, ProjectError>>()?;
    let abi = args.abi.as_deref().map(read_abi).transpose()?;
    let calldata = calldata(args, &project, &proofs, abi.as_ref())?;
    let mut errors = KnownErrors::default();
    errors.add_source(&project.contract()?.1);
    if let Ok((_, source)) = project.batch_contract() {
        errors.add_source(&source);
    }
    if let Some(abi) = &abi {
        errors.add_abi(abi);
    }

    step.set("asking the chain");
    let (endpoint, chain_id) = args.rpc.connect()?;
    let to = match args.to {
        Some(to) => to,
        None => recorded(&args.folder.folder, &project, chain_id, proofs.len() > 1)?,
    };
    let signer = args.signer.signer()?;
    let submitter = args.send.submitter(&endpoint, &signer, chain_id, errors)?;
    let submission = Submission { to, calldata: calldata.into(), value: args.value };
    let journal = submitter.journal_path(&submission);
    let landed = match args.cancel {
        true => match submitter.cancel(&submission, tell(&step))? {
            Some(landed) => landed,
            None => {
                let text = format!("cancelled: the call of {to} will not be made");
                return Ok(Report::new(text, json!({ "cancelled": true, "journal": journal })));
            }
        },
        false => submitter.submit(&submission, tell(&step))?,
    };
    drop(step);
    Ok(report(&landed, &submission, chain_id, &journal))
}

fn report(landed: &Landed, submission: &Submission, chain_id: u64, journal: &Path) -> Report {
    let place = &landed.place;
    let cost = U256::from(place.gas_used) * U256::from(place.gas_price);
    let when = if landed.before { ", sent by an earlier run" } else { "" };
    let to = submission.to;
    let text = format!(
        "landed: {to} accepted the call on chain {chain_id}{when}\n{}",
        table(&[
            ("transaction", place.hash.to_string()),
            ("block", place.block.to_string()),
            ("from", format!("{}, nonce {}", landed.from, landed.nonce)),
            ("gas", thousands(place.gas_used)),
            ("cost", format!("{} ether", format_ether(cost))),
            ("journal", journal.display().to_string()),
        ])
    );
    let json = json!({
        "chain_id": chain_id,
        "to": to,
        "from": landed.from,
        "nonce": landed.nonce,
        "transaction": place.hash,
        "block": place.block,
        "block_hash": place.block_hash,
        "gas_used": place.gas_used,
        "gas_price": place.gas_price.to_string(),
        "cost": cost.to_string(),
        "sent_before": landed.before,
        "journal": journal,
    });
    Report::new(text, json)
}

/// The call's bytes.
fn calldata(args: &Args, project: &Project, proofs: &[Proof], abi: Option<&JsonAbi>) -> Result<Vec<u8>, Failure> {
    let claims: Vec<Calldata> = proofs.iter().map(Calldata::new).collect();
    match (&args.function, claims.as_slice()) {
        (None, [claim]) => Ok(claim.encode("verify")),
        (None, claims) => {
            project.batch_contract()?;
            Ok(Calldata::encode_batch(claims))
        }
        (Some(signature), [claim]) => {
            let [context, weights, outputs, digests, proof] = claim.parts();
            let parts = Parts::default().with("context", context).with("weights", weights);
            let parts = parts.with_signed("outputs", outputs);
            let parts = parts.with("digests", digests).with("proof", proof);
            Ok(encode(&function(signature, abi)?, &parts, &args.arguments)?)
        }
        (Some(_), _) => Err("--function takes one proof".into()),
    }
}

/// Where the record of deployments says that the verifier is.
fn recorded(folder: &Path, project: &Project, chain_id: u64, batch: bool) -> Result<Address, Failure> {
    let name = if batch { project.batch_contract()?.0 } else { project.contract()?.0 };
    let path = Record::path(folder, chain_id);
    let record = Record::read(folder, chain_id)?;
    let deployed = record.as_ref().and_then(|record| record.contracts.get(&name));
    let deployed = deployed.ok_or_else(|| {
        format!("{} does not say where {name} is: give --to ADDRESS, or run `hallmark deploy` first", path.display())
    })?;
    let expected = project.verifying_key().contract_id();
    if deployed.model_id != expected {
        let found = &deployed.model_id;
        return Err(format!(
            "{} is of the model {found}, this folder holds {expected}: give --to ADDRESS, or deploy this one",
            path.display()
        )
        .into());
    }
    Ok(deployed.address)
}

/// An ABI, or the one in an artifact of forge's.
fn read_abi(path: &Path) -> Result<JsonAbi, Failure> {
    let text = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let wrong = |error: serde_json::Error| format!("{} is not an ABI: {error}", path.display());
    let mut json: Value = serde_json::from_slice(&text).map_err(wrong)?;
    let abi = json.get_mut("abi").map(Value::take).unwrap_or(json);
    Ok(serde_json::from_value(abi).map_err(wrong)?)
}
