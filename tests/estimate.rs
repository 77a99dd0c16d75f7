//! The estimate, which needs no key, against what the contract costs: random models of many shapes.

use std::path::PathBuf;

use hallmark::{
    chain::{CompileSettings, Search, compile},
    gas::{CalldataCost, Estimate, measure},
    solidity::Calldata,
};

mod common;

use common::{Draw, random_input, random_model};

/// How far the estimate may be from what the transaction costs, and from what the execution alone costs: the bytes of the
/// values are not known in advance.
const TRANSACTION: f64 = 0.02;
const EXECUTION: f64 = 0.005;

/// The source with all large constants, the verifying key's among them, made up.
fn without_keys(source: &str) -> String {
    let mut pieces = source.split("0x");
    let mut out = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(piece.len());
        let made_up = if digits == 64 { "5a".repeat(32) } else { piece[..digits].to_string() };
        out += &format!("0x{made_up}{}", &piece[digits..]);
    }
    assert_ne!(out, source);
    out
}

#[test]
fn estimates_before_keys_are_close_on_twenty_models() {
    let solc = Search::default().solc().unwrap();
    for seed in 0..20 {
        let model = random_model(seed);
        let (pk, source) = common::keys_and_contract(&model, "Verifier");
        let vk = pk.verifying_key();
        let expected = CalldataCost::of_verify(vk.public_ranges(), vk.protocol().proof_words());
        let estimate = Estimate::new(&without_keys(&source), &expected).unwrap();

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
