//! Many proofs in one transaction.

use std::path::Path;

use hallmark::{
    chain::{Anvil, AnvilOptions, CompileSettings, GasFigures, Search, compile},
    project::Project,
    quant::read_input,
    solidity::Calldata,
};
use rand_core::OsRng;
use serde::Serialize;

use super::Args;
use crate::cli::{
    Failure,
    output::{Output, table, thousands},
};

/// What `verifyBatch` costs.
#[derive(Debug, Serialize)]
pub struct Batch {
    pub proofs: usize,
    pub gas: GasFigures,
    /// The transaction's gas over the number of proofs, rounded up.
    pub gas_per_proof: u64,
    pub contract_bytes: usize,
    pub calldata_bytes: usize,
}

/// Prove `count` times, each time with blinding and a context of its own, `context` but for its last bytes, and verify all
/// proofs in one call.
pub fn measure(
    project: &Project,
    args: &Args,
    input: &Path,
    context: [u8; 32],
    count: usize,
    output: &Output,
) -> Result<Batch, Failure> {
    let search = Search::default();
    let (solc, anvil) = (search.solc()?, search.anvil()?);
    let (name, source) = project.batch_contract()?;

    let step = output.step("proving the batch");
    let (pk, input) = (project.proving_key()?, read_input(input, project.model(), args.index)?);
    let claim = |i: usize| {
        let mut context = context;
        context[24..].copy_from_slice(&(i as u64).to_be_bytes());
        let salts = project.random_salts(&mut OsRng);
        Ok(Calldata::new(&project.prove_salted(&pk, &input, &salts, context, &mut OsRng)?))
    };
    let claims = (0..count).map(claim).collect::<Result<Vec<_>, Failure>>()?;
    let calldata = Calldata::encode_batch(&claims);

    step.set("compiling the batch contract");
    let compiled = compile(&solc, &[(format!("{name}.sol").into(), source)], &name, &CompileSettings::default())?;
    step.set("verifying the batch on anvil");
    let anvil = Anvil::start(&anvil, &AnvilOptions { port: args.port, ..AnvilOptions::default() })?;
    let deployment = anvil.deploy(&compiled.init_code)?;
    let limit = super::GAS_LIMIT + 100_000 * count as u64;
    let sent = anvil.send(deployment.address, &calldata, limit)?;
    let gas = GasFigures::from_receipt(sent.gas_used, &calldata, deployment.gas_used);
    Ok(Batch {
        proofs: count,
        gas,
        gas_per_proof: gas.transaction.div_ceil(count as u64),
        contract_bytes: compiled.runtime_code.len(),
        calldata_bytes: calldata.len(),
    })
}

/// The figures as a table.
pub fn text(batch: &Batch) -> String {
    table(&[
        ("A batch, from the receipts", String::new()),
        ("proofs", thousands(batch.proofs as u64)),
        ("verifyBatch: transaction", thousands(batch.gas.transaction)),
        ("verifyBatch: a proof", thousands(batch.gas_per_proof)),
        ("calldata, bytes", thousands(batch.calldata_bytes as u64)),
        ("contract, bytes", thousands(batch.contract_bytes as u64)),
        ("deployment", thousands(batch.gas.deployment)),
    ])
}
