//! `hallmark deploy`

use alloy::primitives::{B256, keccak256};
use hallmark::{
    chain::{
        CompileSettings, KnownErrors, Search, Tool,
        deploy::{DEPLOYER, Deployable, Deployed, Record},
        submit::{LOCAL_CHAINS, on_chain},
    },
    project::Project,
};
use serde_json::json;

use super::{
    Failure, Folder, Outcome,
    chain::{RpcArgs, SendArgs, SignerArgs, compiled, compiler, tell},
    output::{Output, Report, table, thousands},
};

/// Deploy the contract to an address that is the same on every chain.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark deploy build/credit --dry-run                                   # the address
  hallmark deploy build/credit --rpc http://127.0.0.1:8545 --key-env KEY
  hallmark deploy build/credit --keystore key.json --chain-id 1            # the endpoint is $ETH_RPC_URL

The deterministic deployer at 0x4e59b44847b379578588920cA78FbF26c0B4956C creates it by CREATE2: the address follows from the salt and
the creation code. The constructor tries the precompiles that the contract relies on; it is rehearsed before anything is
sent. What is at the address afterwards is compared with what was compiled, and deployments/<chain id>.json in the folder
says what is where. A contract that is there already is left alone. Killed on the way, the same command goes on with what
it has sent.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    send: SendArgs,
    /// Deploy the contract for many proofs a call.
    #[arg(long)]
    batch: bool,
    /// 32 bytes that the address depends on.
    #[arg(long, value_name = "0xHEX", default_value_t = B256::ZERO)]
    salt: B256,
    /// Print the address only. Nothing is asked of a chain, and nothing sent.
    #[arg(long)]
    dry_run: bool,
    /// Put the deterministic deployer onto a chain that lacks it, for 0.01 ether. Local chains get it unasked.
    #[arg(long)]
    install_deployer: bool,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let step = output.step("compiling the contract");
    let folder = &args.folder.folder;
    let project = Project::open(folder)?;
    let (name, source) = if args.batch { project.batch_contract()? } else { project.contract()? };
    let solc = Tool { hidden: vec![args.signer.key_env.clone()], ..Search::default().solc()? };
    let compiled = compiled(&solc, &name, &source, &CompileSettings::default())?;
    let mut errors = KnownErrors::default();
    errors.add_source(&source);
    let deployable = Deployable {
        init_code: compiled.init_code.clone(),
        runtime_code: compiled.runtime_code.clone(),
        salt: args.salt,
        errors: errors.clone(),
    };
    let address = deployable.address();
    let mut deployed = Deployed {
        address,
        code_hash: deployable.code_hash(),
        model_id: project.verifying_key().contract_id(),
        init_code_hash: keccak256(&deployable.init_code),
        salt: args.salt,
        deployer: DEPLOYER,
        transaction: None,
        block: None,
        compiler: compiler(&compiled),
    };
    if args.dry_run {
        let text = format!("{name} goes to {address} on every chain\n{}", rows(&deployed));
        return Ok(Report::new(text, json!({ "dry_run": true, "contract": name, "deployment": deployed })));
    }

    step.set("asking the chain");
    let (endpoint, chain_id) = args.rpc.connect()?;
    let local = LOCAL_CHAINS.contains(&chain_id);
    if project.verifying_key().setup().is_unsafe() && !local {
        return Err(unsafe_setup(&name, chain_id));
    }
    // A damaged record is said before anything is sent.
    Record::read(folder, chain_id)?;
    let landed = match deployable.is_there(&endpoint)? {
        true => None,
        false => {
            let signer = args.signer.signer()?;
            let submitter = args.send.submitter(&endpoint, &signer, chain_id, errors)?;
            deployable.deploy(&endpoint, &submitter, args.install_deployer || local, tell(&step))?
        }
    };
    on_chain(&endpoint, chain_id)?;
    drop(step);
    // Another deployment may have written to it meanwhile.
    let mut record = Record::read(folder, chain_id)?.unwrap_or_else(|| Record::new(chain_id));
    match (&landed, record.contracts.get(&name)) {
        (Some(landed), _) => {
            (deployed.transaction, deployed.block) = (Some(landed.place.hash), Some(landed.place.block));
        }
        // what an earlier run knew
        (None, Some(before)) if before.address == address && before.code_hash == deployed.code_hash => {
            (deployed.transaction, deployed.block) = (before.transaction, before.block);
        }
        (None, _) => {}
    }
    let changed = record.contracts.insert(name.clone(), deployed.clone()).as_ref() != Some(&deployed);
    let path = if changed { record.write(folder)? } else { Record::path(folder, chain_id) };
    let head = match landed {
        Some(landed) => {
            format!("deployed {name} to {address} on chain {chain_id} for {} gas", thousands(landed.place.gas_used))
        }
        None => format!("{name} is at {address} on chain {chain_id} already, with the same code"),
    };
    let text = format!("{head}\n{}\nrecorded in {}", rows(&deployed).trim_end(), path.display());
    let json = json!({
        "contract": name,
        "chain_id": chain_id,
        "already_there": landed.is_none(),
        "deployment": deployed,
        "file": path,
    });
    Ok(Report::new(text, json))
}

fn unsafe_setup(name: &str, chain_id: u64) -> Failure {
    format!(
        "{name} is UNSAFE: whoever generated its setup can forge proofs, so it is deployed to local chains only ({}), and this is chain \
         {chain_id}; compile on a ceremony",
        LOCAL_CHAINS.map(|id| id.to_string()).join(", ")
    )
    .into()
}

fn rows(deployed: &Deployed) -> String {
    let mut rows = vec![
        ("model id", deployed.model_id.clone()),
        ("code hash", deployed.code_hash.to_string()),
        ("creation code hash", deployed.init_code_hash.to_string()),
        ("salt", deployed.salt.to_string()),
        ("compiler", format!("solc {}", deployed.compiler.version)),
    ];
    if let (Some(transaction), Some(block)) = (deployed.transaction, deployed.block) {
        rows.push(("transaction", format!("{transaction}, block {block}")));
    }
    table(&rows)
}
