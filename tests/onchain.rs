//! The generated contract on anvil, beside the native verifier.

use hallmark::{
    chain::{Anvil, AnvilOptions, CompileSettings, GasFigures, Search, compile},
    solidity::Calldata,
};

mod common;

#[test]
fn generated_contracts_accept_real_proofs_and_no_flipped_byte() {
    let model = common::mlp(&[10, 32, 1], 1 << 10, 7);
    let (pk, source) = common::keys_and_contract(&model, "Verifier");
    let proof = common::prove(&pk, &model, &[1, -2, 3, 1000, 5, -6, 7, 8, 9, -1024]);
    let solc = Search::default().solc().unwrap();
    let compiled = compile(&solc, &[("Verifier.sol".into(), source)], "Verifier", &CompileSettings::default()).unwrap();
    let anvil = Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap();
    let deployment = anvil.deploy(&compiled.init_code).unwrap();
    let calldata = Calldata::new(&proof).encode("verify");
    let sent = anvil.send(deployment.address, &calldata, 1_000_000).unwrap();
    let gas = GasFigures::from_receipt(sent.gas_used, &calldata, deployment.gas_used);
    eprintln!("{gas:?} runtime {} calldata {}", compiled.runtime_code.len(), calldata.len());
}
