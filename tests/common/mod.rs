//! Random models, their keys, contracts and proofs, for the integration tests.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

mod random;

pub use random::{Draw, mlp, random_input, random_model};

use hallmark::{
    circuit::ModelCircuit,
    graph::IntegerModel,
    proof::{Proof, ProvingKey, Srs},
    solidity::{ContractInfo, verifier_source},
};
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Keys under the embedded setup, and the contract's source.
pub fn keys_and_contract(model: &IntegerModel, name: &str) -> (ProvingKey, String) {
    let k = ModelCircuit::<Fr>::for_keygen(model).k;
    let pk = ProvingKey::generate(model, Srs::embedded(k).unwrap()).unwrap();
    let vk = pk.verifying_key();
    let info = ContractInfo {
        name: name.into(),
        model: "a random model".into(),
        setup: vk.setup().to_string(),
        outputs: model.public_names(),
    };
    let source = verifier_source(vk.protocol(), vk.public_ranges(), &info).unwrap();
    (pk, source)
}

/// A proof with blinding from a fixed seed, for context `0x0707...`.
pub fn prove(pk: &ProvingKey, model: &IntegerModel, input: &[i128]) -> Proof {
    hallmark::proof::prove(pk, model, input, [7; 32], &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
}
