//! Prove a statement, verify a proof.

use halo2_proofs::{
    plonk::{create_proof_from_advice, verify_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        strategy::SingleStrategy,
    },
};
use halo2curves::bn256::{Bn256, Fr};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;

use super::{
    encode::{self, Word},
    keys::{ProvingKey, VerifyingKey},
    opening::{self, OpeningVerifier},
    record::{NoOpening, ProofParams, RecordingKzg},
    transcript::{Challenge, Reader, Writer},
};
use crate::{
    circuit::{GeneralConfig, ModelCircuit, builder::field},
    graph::{IntegerModel, Interval},
};

/// What is proved: the model of the verifying key gives these public values for some input in its domain; and what the
/// proof is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The application's context: a hash of chain, consumer, sender, nonce or deadline, whatever makes the proof
    /// worthless elsewhere.
    pub context: [u8; 32],
    /// The integer outputs of the model.
    pub public_values: Vec<i128>,
}

/// A proof with its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub statement: Statement,
    /// Points, evaluations and the inverse, as the contract reads them.
    pub words: Vec<Word>,
}

/// Proving failed.
#[derive(Debug, Error)]
pub enum ProveError {
    #[error("{found} inputs, the model takes {expected}")]
    InputCount { expected: usize, found: usize },
    #[error("input \"{feature}\": {value} is outside of its domain [{}, {}] (in quantised units)", .range.lo, .range.hi)]
    OutsideDomain { feature: String, value: i128, range: Interval },
    #[error("the prover failed: {detail}; this is a bug in hallmark or a damaged proving key")]
    Prover { detail: String },
}

/// A proof does not verify.
#[derive(Debug, PartialEq, Error)]
pub enum VerifyError {
    #[error("{found} public values, the verifying key has {expected}")]
    PublicValueCount { expected: usize, found: usize },
    #[error("public value {index} is {value}, outside of its proved range [{}, {}]", .range.lo, .range.hi)]
    PublicValueRange { index: usize, value: i128, range: Interval },
    #[error("the proof has {found} words, the verifying key wants {expected}")]
    Length { expected: usize, found: usize },
    #[error("the proof is not valid for this verifying key, public values and context: {detail}")]
    Invalid { detail: String },
}

/// Prove that the model gives its outputs for `input` (one integer per feature, inside the domain).
///
/// `rng` blinds the witness; the proof is checked before it is returned.
pub fn prove(
    pk: &ProvingKey,
    model: &IntegerModel,
    input: &[i128],
    context: [u8; 32],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, ProveError> {
    if input.len() != model.features.len() {
        return Err(ProveError::InputCount { expected: model.features.len(), found: input.len() });
    }
    for (feature, &value) in model.features.iter().zip(input) {
        if !feature.range.contains(value) {
            return Err(ProveError::OutsideDomain { feature: feature.name.clone(), value, range: feature.range });
        }
    }
    let trace = model.trace(input);
    let statement = Statement { context, public_values: model.public_values(&trace) };
    let circuit = ModelCircuit::<Fr>::new(model, &trace);
    prove_circuit(pk, &circuit, statement, rng)
}

/// Prove the assignment of `circuit`, whatever it is: an unsatisfied one gives an error.
fn prove_circuit(
    pk: &ProvingKey,
    circuit: &ModelCircuit<Fr>,
    statement: Statement,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, ProveError> {
    let failed = |detail: String| ProveError::Prover { detail };
    let protocol = pk.verifying_key().protocol();
    if circuit.k != protocol.k {
        return Err(failed(format!("the circuit has k = {}, the key k = {}", circuit.k, protocol.k)));
    }
    let instances = circuit.instances(&statement.public_values);
    let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = Writer::new(protocol, &statement);
    let params = ProofParams::new(&pk.params);
    create_proof_from_advice::<RecordingKzg<'_>, NoOpening, Challenge, _, _>(
        &params,
        &pk.plonk,
        &instances,
        vec![circuit.advice()],
        rng,
        &mut transcript,
    )
    .map_err(|error| failed(error.to_string()))?;
    opening::open(pk, params.take_committed(), &mut transcript).map_err(|error| failed(error.to_string()))?;
    let (mut words, challenges) = transcript.finish().ok_or_else(|| failed("the transcript is not complete".into()))?;
    let inverse = protocol.inverse(&challenges).ok_or_else(|| failed("a challenge hit the domain".into()))?;
    words.push(encode::scalar(&inverse));

    let proof = Proof { statement, words };
    verify(pk.verifying_key(), &proof).map_err(|error| failed(error.to_string()))?;
    Ok(proof)
}

/// Verify a proof natively, with halo2's verifier. Accepts exactly what the contract accepts.
pub fn verify(vk: &VerifyingKey, proof: &Proof) -> Result<(), VerifyError> {
    let (protocol, values) = (vk.protocol(), &proof.statement.public_values);
    let ranges = vk.public_ranges();
    if values.len() != ranges.len() {
        return Err(VerifyError::PublicValueCount { expected: ranges.len(), found: values.len() });
    }
    for (index, (&value, &range)) in values.iter().zip(ranges).enumerate() {
        if !range.contains(value) {
            return Err(VerifyError::PublicValueRange { index, value, range });
        }
    }
    let (expected, found) = (protocol.proof_words(), proof.words.len());
    let (inverse, words) = match proof.words.split_last() {
        Some(split) if expected == found => split,
        _ => return Err(VerifyError::Length { expected, found }),
    };

    let outputs: Vec<(usize, Fr)> = protocol.public_rows().into_iter().zip(values.iter().map(|&v| field(v))).collect();
    let instances = GeneralConfig::instance_columns(protocol.k, &outputs);
    let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = Reader::new(protocol, &proof.statement, words);
    let params: &ParamsKZG<Bn256> = &vk.params;
    verify_proof::<KZGCommitmentScheme<Bn256>, OpeningVerifier<'_>, Challenge, _, _>(
        params,
        &vk.plonk,
        SingleStrategy::new(params),
        &[&instances],
        &mut transcript,
    )
    .map_err(|error| VerifyError::Invalid { detail: error.to_string() })?;

    let expected = transcript.challenges().and_then(|challenges| protocol.inverse(&challenges));
    if expected.map(|inverse| encode::scalar(&inverse)) != Some(*inverse) {
        return Err(VerifyError::Invalid {
            detail: "its last word is not the inverse that the contract expects".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::{circuit::testing::mlp, proof::Srs};

    fn keys(model: &IntegerModel) -> ProvingKey {
        let k = ModelCircuit::<Fr>::for_keygen(model).k;
        ProvingKey::generate(model, Srs::embedded(k).unwrap()).unwrap()
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    #[test]
    fn proofs_verify_and_depend_on_every_word() {
        let model = mlp(&[3, 4, 2], 100, 1);
        let pk = keys(&model);
        let proof = prove(&pk, &model, &[5, -100, 42], [7; 32], &mut rng()).unwrap();
        let vk = pk.verifying_key();
        assert_eq!(verify(vk, &proof), Ok(()));
        for word in 0..proof.words.len() {
            for byte in [0, 31] {
                let mut forged = proof.clone();
                forged.words[word][byte] ^= 1;
                assert!(verify(vk, &forged).is_err(), "word {word}, byte {byte}");
            }
        }
        for i in 0..2 {
            let mut forged = proof.clone();
            forged.statement.public_values[i] += 1;
            assert!(verify(vk, &forged).is_err());
        }
        let mut forged = proof.clone();
        forged.statement.context[31] ^= 1;
        assert!(verify(vk, &forged).is_err());
    }

    #[test]
    fn a_proof_of_one_model_fails_under_another() {
        let (model, other) = (mlp(&[2, 3, 1], 10, 1), mlp(&[2, 3, 1], 10, 2));
        let (pk, other_pk) = (keys(&model), keys(&other));
        assert_ne!(pk.verifying_key().id(), other_pk.verifying_key().id());
        let proof = prove(&pk, &model, &[1, 2], [0; 32], &mut rng()).unwrap();
        assert!(verify(other_pk.verifying_key(), &proof).is_err());
    }

    #[test]
    fn a_forged_witness_does_not_prove() {
        let model = mlp(&[2, 2, 1], 10, 3);
        let pk = keys(&model);
        let trace = model.trace(&[3, -4]);
        let statement = Statement { context: [0; 32], public_values: model.public_values(&trace) };
        let honest = ModelCircuit::<Fr>::new(&model, &trace);
        prove_circuit(&pk, &honest, statement.clone(), &mut rng()).unwrap();
        for row in (0..honest.layout.rows()).step_by(7) {
            let mut forged = honest.clone();
            forged.layout.a[row] += Fr::ONE;
            assert!(prove_circuit(&pk, &forged, statement.clone(), &mut rng()).is_err(), "row {row}");
        }
        let mut forged = statement.clone();
        forged.public_values[0] += 1;
        assert!(prove_circuit(&pk, &honest, forged, &mut rng()).is_err());
    }

    #[test]
    fn inputs_outside_of_the_domain_are_named() {
        let model = mlp(&[2, 2, 1], 10, 3);
        let pk = keys(&model);
        let error = prove(&pk, &model, &[3, 11], [0; 32], &mut rng()).unwrap_err();
        assert_eq!(error.to_string(), "input \"x1\": 11 is outside of its domain [-10, 10] (in quantised units)");
        assert!(prove(&pk, &model, &[3], [0; 32], &mut rng()).is_err());
    }

    #[test]
    fn keys_survive_their_bytes_and_foreign_ones_are_refused() {
        let (model, other) = (mlp(&[2, 3, 1], 10, 1), mlp(&[2, 3, 1], 10, 2));
        let pk = keys(&model);
        let vk_bytes = pk.verifying_key().to_bytes().unwrap();
        let vk = VerifyingKey::from_bytes(&vk_bytes, pk.verifying_key().protocol().k).unwrap();
        assert_eq!(vk.protocol(), pk.verifying_key().protocol());
        let read = ProvingKey::from_bytes(&pk.to_bytes(), vk.clone(), &model).unwrap();
        let proof = prove(&read, &model, &[1, 2], [0; 32], &mut rng()).unwrap();
        assert_eq!(verify(&vk, &proof), Ok(()));

        let foreign = keys(&other).to_bytes();
        assert!(
            ProvingKey::from_bytes(&foreign, vk.clone(), &model).unwrap_err().to_string().contains("another model")
        );
        assert!(ProvingKey::from_bytes(&pk.to_bytes()[..100], vk.clone(), &model).is_err());
        let mut damaged = pk.to_bytes();
        damaged[40] ^= 1;
        assert!(ProvingKey::from_bytes(&damaged, vk, &model).is_err());
        for len in 0..vk_bytes.len() {
            assert!(VerifyingKey::from_bytes(&vk_bytes[..len], 20).is_err());
        }
    }

    #[test]
    fn keys_are_the_same_whatever_the_number_of_threads() {
        let model = mlp(&[4, 6, 1], 50, 5);
        let bytes = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| keys(&model).verifying_key().to_bytes().unwrap())
        };
        assert_eq!(bytes(1), bytes(3));
    }
}
