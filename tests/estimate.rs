//! The estimate, which needs no key, against what the contract costs: random models of many shapes.

use std::path::PathBuf;

use hallmark::{
    chain::{CompileSettings, Search, compile},
    circuit::{LaidOut, Layout},
    gas::{CalldataCost, Estimate, measure},
    graph::IntegerModel,
    proof::{Bn254, Curve, ProvingKey, Srs, srs::ETHEREUM_K},
    solidity::Calldata,
};

mod common;

use common::{Draw, random_functions, random_input, random_model};

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

/// The estimate for a model's contract against what it costs, on one curve and layout.
fn assert_close<C: Curve>(layout: Layout, model: &IntegerModel, seed: u64, srs: impl Fn(u32) -> Srs<C>) {
    let circuit = LaidOut::for_keygen(layout, model).unwrap();
    let pk = ProvingKey::<C>::generate(model, &circuit, srs(circuit.k() + 1)).unwrap();
    let source = common::contract(&pk, model, "Verifier");
    let vk = pk.verifying_key();
    let expected = CalldataCost::of_verify(vk.public_ranges(), vk.protocol().proof_words());
    let estimate = Estimate::new(&without_keys(&source), &expected).unwrap();

    let proof = common::prove(&pk, model, &random_input(model, &mut Draw::new(seed)));
    let calldata = Calldata::new(&proof).encode("verify");
    let sources = [(PathBuf::from("Verifier.sol"), source.clone())];
    let solc = Search::default().solc().unwrap();
    let contract = compile(&solc, &sources, "Verifier", &CompileSettings::default()).unwrap();
    let measured = measure(&source, &contract, &calldata).unwrap().breakdown;
    let off = |estimate: u64, measured: u64| estimate as f64 / measured as f64 - 1.0;
    let transaction = off(estimate.transaction, measured.transaction);
    let execution = off(estimate.execution, measured.execution);
    let case = format!("{} {layout:?} {seed}: {}", C::ID, measured.transaction);
    println!("{case}, {:+.2}%, execution {:+.2}%", 100.0 * transaction, 100.0 * execution);
    assert!(transaction.abs() < TRANSACTION, "{case}: {estimate:?} {measured:?}");
    assert!(execution.abs() < EXECUTION, "{case}: {estimate:?} {measured:?}");
}

#[test]
fn estimates_before_keys_are_close_on_twenty_models() {
    let bn254 = |k| Srs::<Bn254>::embedded(k).unwrap();
    let bls12_381 = |k: u32| Srs::ethereum(k.min(ETHEREUM_K)).unwrap();
    for seed in 0..20 {
        let model = random_model(seed);
        assert_close(if seed % 3 == 2 { Layout::Phased } else { Layout::General }, &model, seed, bn254);
    }
    let model = common::mlp(&[10, 32, 1], 1000, 1);
    assert_close(Layout::Periodic, &model, 1, bn254);
    assert_close(Layout::Periodic, &model, 1, bls12_381);
    assert_close(Layout::General, &random_model(1), 1, bls12_381);
    assert_close(Layout::Phased, &random_model(1), 1, bls12_381);
    assert_close(Layout::Phased, &random_functions(1), 1, bn254);
    assert_close(Layout::Phased, &random_functions(2), 2, bls12_381);
}
