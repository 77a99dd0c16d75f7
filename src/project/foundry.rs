//! The Foundry project around a compiled model: typed library, suite with an example's proof, deployment script, and
//! what applications outside the chain read.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::{Build, ProjectError, proof_file::hex_word};
use crate::{
    graph::{IntegerModel, Salt},
    proof::{
        Proof,
        encode::{Word, public_value},
    },
    solidity::{Calldata, Interface, Suite, TypedInput, TypedOutput, arguments, batch_name, typed_name},
};

/// What the example's proof is bound to: nothing that anybody would use.
fn example_context() -> [u8; 32] {
    Keccak256::digest(b"hallmark: an example, good for nothing").into()
}

/// `log2` of a scale, which is a power of two.
fn exponent(scale: f64) -> i32 {
    scale.log2().round() as i32
}

impl Build {
    /// Words of the arguments of `verify`: commitment to the weights, outputs, digests, proof.
    fn words(&self) -> [usize; 4] {
        let vk = &self.verifying_key;
        [vk.weights_words(), vk.public_ranges().len(), vk.digests(), vk.proof_words()]
    }

    /// What proofs say, by name and type.
    pub fn interface(&self) -> Interface {
        let (vk, model) = (&self.verifying_key, &self.quantised.model);
        let packed = model.packed_inputs();
        let architecture = vk.architecture().map(|(id, _)| id);
        let outputs = model.computed_outputs().into_iter().filter_map(|(first, output)| {
            let ranges = model.ranges(output.tensor);
            let lo = ranges.iter().map(|range| range.lo).min()?;
            let hi = ranges.iter().map(|range| range.hi).max()?;
            let range = (lo as f64 / output.scale, hi as f64 / output.scale);
            let (name, len) = (output.name.clone(), ranges.len());
            Some(TypedOutput { name, first, len, exponent: exponent(output.scale), range })
        });
        let outputs = outputs.collect();
        let inputs = packed.iter().filter_map(|packed| {
            let feature = model.features.get(packed.feature)?;
            let range = (feature.range.lo as f64 / feature.scale, feature.range.hi as f64 / feature.scale);
            Some(TypedInput {
                name: feature.name.clone(),
                public_value: packed.public_value,
                shift: packed.shift,
                bits: packed.bits,
                plus: feature.range.lo,
                exponent: exponent(feature.scale),
                range,
            })
        });
        Interface {
            verifier: self.contract_name.clone(),
            onnx_sha256: architecture.is_none().then(|| self.model_sha256.clone()),
            verifying_key: architecture.unwrap_or_else(|| vk.id()),
            words: self.words(),
            outputs,
            inputs: inputs.collect(),
            digests: model.digests.iter().map(|digest| digest.of()).collect(),
            hidden: [self.seen.private.inputs.clone(), self.seen.hashed.inputs.clone()].concat(),
            threshold: Some(self.threshold),
        }
    }

    /// The files for applications outside the chain: the ABI of every contract, and types and a reader of proofs for TypeScript. Paths and content.
    pub fn web(&self) -> Vec<(String, String)> {
        let (interface, name, batch) = (self.interface(), &self.contract_name, self.batch_contract.as_deref());
        let abi = |name: &str, abi: Value| (format!("abi/{name}.json"), format!("{abi:#}\n"));
        let mut files = vec![abi(name, interface.abi(&self.contract))];
        files.extend(batch.map(|source| abi(&batch_name(name), interface.batch_abi(source))));
        let typescript = interface.typescript(&self.contract, batch);
        files.push((format!("typescript/{}.ts", typed_name(name)), typescript));
        files
    }

    /// Settings, suite and script.
    pub(super) fn suite(&self) -> Suite {
        Suite {
            verifier: self.contract_name.clone(),
            batch: self.batch_contract.is_some(),
            arguments: arguments(self.words()).map(|(name, kind, len)| (format!("{kind}[{len}]"), name)).collect(),
            is_unsafe: self.verifying_key.setup().is_unsafe(),
        }
    }

    /// A proof for the middle of the domain, which is nobody's data. `circuit` is the circuit's file: it has the weights, and the
    /// randomness of the proof follows from it, so that it is the same on every machine and known to nobody who has not got them.
    fn example(&self, circuit: &[u8]) -> Result<Proof, ProjectError> {
        let model = &self.quantised.model;
        let middle = |range: &crate::graph::Interval| range.lo + (range.hi - range.lo) / 2;
        let input: Vec<i128> = model.features.iter().map(|feature| middle(&feature.range)).collect();
        let seed = Sha256::new_with_prefix(b"hallmark example").chain_update(circuit).finalize();
        let mut rng = ChaCha20Rng::from_seed(seed.into());
        let salts: Vec<Salt> = model.digests.iter().map(|_| self.verifying_key.random_salt(&mut rng)).collect();
        self.proving_key.prove_salted(model, &input, &salts, example_context(), &mut rng)
    }

    /// The suite's fixture: an example's proof, as calldata and as Foundry reads it, and what the typed library makes of it.
    pub(super) fn fixture(&self, circuit: &[u8]) -> Result<Value, ProjectError> {
        let proof = self.example(circuit)?;
        let calldata = Calldata::new(&proof);
        let mut json = calldata.to_json();
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let bytes = calldata.encode("verify");
        json["arguments"] = json!(hex(bytes.get(4..).unwrap_or_default()));
        json["result"] = json!(hex(&result(&self.quantised.model, &proof).concat()));
        json["modelId"] = json!(hex_word(&self.verifying_key.id_word()));
        Ok(json)
    }
}

/// What a proof says, as the ABI encodes the typed library's struct: outputs, public inputs, digests.
fn result(model: &IntegerModel, proof: &Proof) -> Vec<Word> {
    let values = &proof.statement.public_values;
    let packed = model.packed_inputs();
    let is_word = |place: usize| packed.iter().any(|packed| packed.public_value == place);
    let outputs = values.iter().enumerate().filter(|(place, _)| !is_word(*place)).map(|(_, value)| *value);
    let inputs = packed.iter().filter_map(|packed| packed.read(model.features.get(packed.feature)?.range, values));
    outputs.chain(inputs).map(public_value).chain(proof.statement.digests.iter().copied()).collect()
}
