//! Random models, their keys, contracts and proofs, for the integration tests.

#![allow(dead_code, unused_imports, reason = "no test file uses all of it")]

mod blocks;
mod forgery;
pub mod onnx;
mod phased;
mod random;

pub use blocks::Blocks;
pub use forgery::{Digits, claims, complete};
pub use phased::{Division, Rectified, Runs};
pub use random::{
    Draw, committed, linear, mlp, push, random_functions, random_general_model, random_input, random_model,
    random_values, reweighted,
};

use hallmark::{
    circuit::{LaidOut, Layout},
    graph::{IntegerModel, Salt},
    ops::Op,
    proof::{Bn254, Curve, Proof, ProvingKey, Srs},
    solidity::{ContractInfo, verifier_source},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Keys on BN254 under the embedded setup, and the contract's source.
pub fn keys_and_contract(model: &IntegerModel, name: &str) -> (ProvingKey, String) {
    keys_and_contract_in(Layout::General, model, name)
}

/// The same in a layout.
pub fn keys_and_contract_in(layout: Layout, model: &IntegerModel, name: &str) -> (ProvingKey, String) {
    let circuit = LaidOut::for_keygen(layout, model).unwrap();
    let pk = ProvingKey::<Bn254>::generate(model, &circuit, Srs::embedded(circuit.k() + 1).unwrap()).unwrap();
    let source = contract(&pk, model, name);
    (pk, source)
}

/// The contract's source.
pub fn contract<C: Curve>(pk: &ProvingKey<C>, model: &IntegerModel, name: &str) -> String {
    let vk = pk.verifying_key();
    let info = ContractInfo {
        name: name.into(),
        model: "a random model".into(),
        setup: vk.setup().to_string(),
        outputs: model.public_names(),
        public_inputs: vec![],
        digests: vec![vec![]; vk.digests()],
    };
    verifier_source(vk.protocol(), vk.public_ranges(), &info).unwrap()
}

/// The salts that [`prove`] takes.
pub fn salts(model: &IntegerModel) -> Vec<Salt> {
    vec![Salt([5; 32]); model.digests.len()]
}

/// A proof with blinding from a fixed seed, for context `0x0707...`.
pub fn prove<C: Curve>(pk: &ProvingKey<C>, model: &IntegerModel, input: &[i128]) -> Proof {
    hallmark::proof::prove_salted(pk, model, input, &salts(model), [7; 32], &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
}

/// The same model but for one unit of its last bias, which every input notices.
pub fn twin(model: &IntegerModel) -> IntegerModel {
    let mut twin = model.clone();
    for i in 0..twin.nodes.len() {
        let last = i + 1 == twin.nodes.len();
        if let (Op::Linear(map), true) = (&mut twin.nodes[i].op, last) {
            map.bias[0] += 1;
        }
        twin.nodes[i].ranges = twin.implied_ranges(&twin.nodes[i].op, &twin.nodes[i].inputs).unwrap();
    }
    twin
}
