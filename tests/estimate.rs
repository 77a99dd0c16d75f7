//! The estimate, which needs no key, against what the contract costs: random models of many shapes.

use std::path::PathBuf;

use hallmark::{
    chain::{CompileSettings, Search, compile},
    gas::{CalldataCost, Estimate, measure},
    graph::Interval,
    proof::protocol::Protocol,
    solidity::{Calldata, ContractInfo, verifier_source},
};
use halo2curves::bn256::G1Affine;

mod common;

use common::{Draw, random_input, random_model};

/// How far the estimate may be from what the transaction costs, and from what the execution alone costs: the bytes of the
/// values are not known in advance.
const TRANSACTION: f64 = 0.02;
const EXECUTION: f64 = 0.005;

/// The contract's source with made-up commitments: no key is needed for it.
fn source_before_keys(protocol: &Protocol, public_ranges: &[Interval]) -> String {
    let mut protocol = protocol.clone();
    protocol.fixed.fill(G1Affine::generator());
    protocol.sigma.fill(G1Affine::generator());
    let outputs = public_ranges.iter().map(|_| ("y".to_string(), 1.0)).collect();
    let info = ContractInfo { name: "Verifier".into(), model: String::new(), setup: String::new(), outputs };
    verifier_source(&protocol, public_ranges, &info).unwrap()
}

#[test]
fn estimates_before_keys_are_close_on_twenty_models() {
    let solc = Search::default().solc().unwrap();
    for seed in 0..20 {
        let model = random_model(seed);
        let (pk, source) = common::keys_and_contract(&model, "Verifier");
        let vk = pk.verifying_key();
        let expected = CalldataCost::of_verify(vk.public_ranges(), vk.protocol().proof_words());
        let estimate = Estimate::new(&source_before_keys(vk.protocol(), vk.public_ranges()), &expected).unwrap();

        let proof = common::prove(&pk, &model, &random_input(&model, &mut Draw::new(seed)));
        let calldata = Calldata::new(&proof).encode("verify");
        let sources = [(PathBuf::from("Verifier.sol"), source.clone())];
        let contract = compile(&solc, &sources, "Verifier", &CompileSettings::default()).unwrap();
        let measured = measure(&source, &contract, &calldata).unwrap().breakdown;
        let off = |estimate: u64, measured: u64| estimate as f64 / measured as f64 - 1.0;
        let transaction = off(estimate.transaction, measured.transaction);
        let execution = off(estimate.execution, measured.execution);
        println!(
            "{seed}: {}, {:+.2}%, execution {:+.2}%",
            measured.transaction,
            100.0 * transaction,
            100.0 * execution
        );
        assert!(transaction.abs() < TRANSACTION, "seed {seed}: {estimate:?} {measured:?}");
        assert!(execution.abs() < EXECUTION, "seed {seed}: {estimate:?} {measured:?}");
    }
}
