//! Prove a statement.

use ff::{Field, PrimeField};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;

use super::{
    curve::{Curve, Word, read_scalar, scalar_word},
    encode,
    equations::{Evaluations, Linearisation},
    keys::{ProvingKey, Sigma, commit},
    opening::{evaluate, first_polynomial, last_polynomial, linear_combination},
    protocol::{Challenges, Polynomial},
    quotient::{Columns, EarlyChallenges, coefficients, quotient, running_product},
    transcript::Transcript,
    verifier::verify,
};
use crate::{
    circuit::{LaidOut, NotPeriodic, Witness, digest::salt_element, field},
    graph::{IntegerModel, Interval, Salt},
    stages::{self, Stage},
};

/// What is proved: the model of the verifying key gives these public values for some input in its domain; and what the
/// proof is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The application's context: a hash of chain, consumer, sender, nonce or deadline, whatever makes the proof
    /// worthless elsewhere.
    pub context: [u8; 32],
    /// The commitment to the model's weights, a point, for verifiers that serve an architecture; else nothing.
    pub weights: Vec<Word>,
    /// The integer outputs of the model.
    pub public_values: Vec<i128>,
    /// Digests, big-endian: public values that follow the integers.
    pub digests: Vec<Word>,
}

impl Statement {
    /// All public values as the contract reads them, without the weights.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        self.public_values.iter().map(|&value| encode::public_value(value)).chain(self.digests.iter().copied())
    }

    /// All public values as field elements; `None` if a digest is none.
    pub fn elements<F: PrimeField<Repr: From<Word>>>(&self) -> Option<Vec<F>> {
        let integers = self.public_values.iter().map(|&value| Some(field(value)));
        integers.chain(self.digests.iter().map(read_scalar)).collect()
    }
}

/// A proof with its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub statement: Statement,
    /// Points and evaluations, as the contract reads them.
    pub words: Vec<Word>,
}

/// Proving failed.
#[derive(Debug, Error)]
pub enum ProveError {
    #[error("{found} inputs, the model takes {expected}")]
    InputCount { expected: usize, found: usize },
    #[error("input \"{feature}\": {value} is outside of its domain [{}, {}] (in quantised units)", .range.lo, .range.hi)]
    OutsideDomain { feature: String, value: i128, range: Interval },
    #[error("the proof has {expected} digests and {found} salts; every digest wants the salt that it is made with")]
    SaltCount { expected: usize, found: usize },
    #[error(
        "the salt of the digest of {of} is not below the order of the curve's group; choose another, 0x and 64 digits"
    )]
    SaltRange { of: &'static str },
    #[error(transparent)]
    Layout(#[from] NotPeriodic),
    #[error("the prover failed: {detail}; this is a bug in hallmark or a damaged proving key")]
    Prover { detail: String },
}

/// Prove that the model gives its outputs for `input` (one integer per feature, inside the domain).
///
/// `rng` blinds the witness; the proof is checked before it is returned. For models that hash nothing; see [`prove_salted`].
pub fn prove<C: Curve>(
    pk: &ProvingKey<C>,
    model: &IntegerModel,
    input: &[i128],
    context: [u8; 32],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, ProveError> {
    prove_salted(pk, model, input, &[], context, rng)
}

/// The same for a model with digests, made with these salts, in the order of the model's digests.
pub fn prove_salted<C: Curve>(
    pk: &ProvingKey<C>,
    model: &IntegerModel,
    input: &[i128],
    salts: &[Salt],
    context: [u8; 32],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, ProveError> {
    check_salts::<C>(model, salts)?;
    if input.len() != model.features.len() {
        return Err(ProveError::InputCount { expected: model.features.len(), found: input.len() });
    }
    for (feature, &value) in model.features.iter().zip(input) {
        if !feature.range.contains(value) {
            return Err(ProveError::OutsideDomain { feature: feature.name.clone(), value, range: feature.range });
        }
    }
    let trace = model.trace(input).salted(salts);
    let digests = model.digests_of::<C::Scalar>(&trace).iter().map(scalar_word).collect();
    let weights = pk.verifying_key().protocol().weights_words();
    let statement = Statement { context, weights, public_values: model.public_values(&trace), digests };
    let circuit = LaidOut::decided(pk.verifying_key().decisions(), model, &trace)?;
    drop(trace);
    prove_circuit(pk, circuit, statement, rng)
}

/// There is a salt for every digest, below the order of the curve's group.
pub fn check_salts<C: Curve>(model: &IntegerModel, salts: &[Salt]) -> Result<(), ProveError> {
    if salts.len() != model.digests.len() {
        return Err(ProveError::SaltCount { expected: model.digests.len(), found: salts.len() });
    }
    let wide = model.digests.iter().zip(salts).find(|(_, salt)| salt_element::<C::Scalar>(salt).is_none());
    wide.map_or(Ok(()), |(digest, _)| Err(ProveError::SaltRange { of: digest.of() }))
}

/// Prove the assignment of `circuit`, whatever it is: an unsatisfied one gives an error.
fn prove_circuit<C: Curve>(
    pk: &ProvingKey<C>,
    circuit: LaidOut<C::Scalar>,
    statement: Statement,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<Proof, ProveError> {
    let failed = |detail: String| ProveError::Prover { detail };
    let protocol = pk.verifying_key().protocol();
    if circuit.k() != protocol.k {
        return Err(failed(format!("the circuit has k = {}, the key k = {}", circuit.k(), protocol.k)));
    }
    let words = proof_words(pk, circuit, &statement, rng).ok_or_else(|| failed("an evaluation is missing".into()))?;
    let proof = Proof { statement, words };
    let _stage = stages::enter(Stage::Verifying);
    verify(pk.verifying_key(), &proof).map_err(|error| failed(error.to_string()))?;
    Ok(proof)
}

/// The words of a proof; `None` if the protocol asks for an evaluation that it has no place for, or a digest is no field element.
fn proof_words<C: Curve>(
    pk: &ProvingKey<C>,
    circuit: LaidOut<C::Scalar>,
    statement: &Statement,
    rng: &mut (impl RngCore + CryptoRng),
) -> Option<Vec<Word>> {
    let protocol = pk.verifying_key().protocol();
    let (domain, n) = (&pk.domain, protocol.n());
    let mut transcript = Transcript::new(protocol, statement);
    let mut words: Vec<Word> = Vec::with_capacity(protocol.proof_words());
    let commit_to = |polynomial: &[C::Scalar]| C::point(&commit::<C>(polynomial, &pk.powers));
    let mut send = |transcript: &mut Transcript, sent: Vec<Word>| {
        transcript.absorb(&sent);
        words.extend(sent);
    };

    let Witness { advice: mut rows, free_rows, tied_rows } = circuit.witness();
    free_rows.into_iter().for_each(|row| rows[row] = C::Scalar::random(&mut *rng));
    tied_rows.into_iter().for_each(|(row, other)| rows[other] = rows[row]);
    let mut advice = vec![coefficients(domain, rows.clone())];
    send(&mut transcript, commit_to(&advice[0]));

    let zero = C::Scalar::ZERO;
    let mut early = EarlyChallenges { between: [zero; 2], beta: zero, gamma: zero, y: zero };
    let mut rows = vec![rows];
    if protocol.phases > 1 {
        early.between[..protocol.challenges].fill_with(|| transcript.challenge());
        let mut values = circuit.second_phase(early.between)?;
        drop(circuit);
        values.resize_with(n, || C::Scalar::random(&mut *rng));
        let polynomial = coefficients(domain, values.clone());
        send(&mut transcript, commit_to(&polynomial));
        advice.push(polynomial);
        rows.push(values);
    } else {
        drop(circuit);
    }
    let mut product = Vec::new();
    if protocol.permutation.is_some() {
        early.beta = transcript.challenge();
        early.gamma = transcript.challenge();
        let last = n - protocol.last_rotation().map_or(1, |last| last.unsigned_abs() as usize);
        let mut values = running_product(&rows, &pk.sigma, domain, last, early);
        drop(rows);
        values.resize_with(n, || C::Scalar::random(&mut *rng));
        product = coefficients(domain, values);
        send(&mut transcript, commit_to(&product));
    }

    early.y = transcript.challenge();
    let public_values: Vec<C::Scalar> = statement.elements()?;
    let permutation = protocol.permutation.as_ref().map(|_| (pk.sigma.as_slice(), product.as_slice()));
    let columns = Columns { advice: &advice, fixed: &pk.fixed, permutation };
    let quotient = quotient(protocol, domain, columns, &public_values, early);
    let pieces: Vec<&[C::Scalar]> = quotient.chunks(quotient.len() / protocol.quotient_pieces).collect();
    for piece in &pieces {
        send(&mut transcript, commit_to(piece));
    }

    let _stage = stages::enter(Stage::Opening);
    let x: C::Scalar = transcript.challenge();
    let point = |rotation: i32| protocol.omega_power(rotation) * x;
    let opened = |polynomial| match polynomial {
        Polynomial::Advice(column) => advice[column].as_slice(),
        Polynomial::Sigma(column) => pk.sigma[column].coefficients.as_slice(),
        Polynomial::Fixed(column) => pk.fixed[column].as_slice(),
        Polynomial::Product | Polynomial::Linearisation => product.as_slice(),
    };
    let values = protocol.evaluations().into_iter().map(|(p, rotation)| evaluate(opened(p), point(rotation)));
    let values: Vec<C::Scalar> = values.collect();
    send(&mut transcript, values.iter().map(scalar_word).collect());

    let evaluations = Evaluations::new(protocol, &values)?;
    let nu: C::Scalar = transcript.challenge();
    let EarlyChallenges { between, beta, gamma, y } = early;
    let mut challenges = Challenges { between, beta, gamma, y, x, nu, mu: C::Scalar::ZERO };
    let scalars = protocol.linearisation(&challenges, &evaluations, &public_values);
    let linear: Vec<&[C::Scalar]> = protocol.shape.linear.iter().map(|&column| pk.fixed[column].as_slice()).collect();
    let linearisation = linearised(&scalars, &linear, permutation, &pieces);
    drop(quotient);
    let opened = |polynomial| match polynomial {
        Polynomial::Linearisation => linearisation.as_slice(),
        other => opened(other),
    };
    let sets = protocol.rotation_sets();
    let w = first_polynomial(&sets, nu, opened, point);
    send(&mut transcript, commit_to(&w));

    challenges.mu = transcript.challenge();
    let opening = protocol.opening(&challenges, &evaluations);
    let last = last_polynomial(&sets, nu, opened, &w, &opening);
    words.extend(C::last_point(&commit::<C>(&last, &pk.powers)));
    Some(words)
}

/// The coefficients of the linearisation.
fn linearised<F: PrimeField>(
    scalars: &Linearisation<F>,
    linear: &[&[F]],
    permutation: Option<(&[Sigma<F>], &[F])>,
    pieces: &[&[F]],
) -> Vec<F> {
    let mut terms: Vec<(F, &[F])> = scalars.linear.iter().copied().zip(linear.iter().copied()).collect();
    if let Some((sigma, product)) = permutation {
        terms.extend(sigma.last().map(|sigma| (scalars.sigma, sigma.coefficients.as_slice())));
        terms.push((scalars.product, product));
    }
    terms.extend(scalars.quotient.iter().copied().zip(pieces.iter().copied()));
    let mut polynomial = linear_combination(&terms);
    if let Some(constant) = polynomial.first_mut() {
        *constant += scalars.constant;
    }
    polynomial
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::{
        circuit::{Layout, testing::mlp},
        proof::{Bls12381, Bn254, Srs, VerifyingKey},
    };
    use halo2curves::{bls12_381, bn256::Fr};

    fn laid_out<F: PrimeField>(layout: Layout, model: &IntegerModel) -> LaidOut<F> {
        LaidOut::for_keygen(layout, model).unwrap()
    }

    /// Keys on BN254; `whole` says whether the quotient is committed to as a whole.
    fn keys_with(layout: Layout, model: &IntegerModel, whole: bool) -> ProvingKey {
        let circuit = laid_out(layout, model);
        let srs = Srs::embedded(circuit.k() + u32::from(whole)).unwrap();
        ProvingKey::generate(model, &circuit, srs).unwrap()
    }

    fn keys(model: &IntegerModel) -> ProvingKey {
        keys_with(Layout::General, model, true)
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    fn every_word_counts<C: Curve>(pk: &ProvingKey<C>, model: &IntegerModel) {
        let proof = prove(pk, model, &[5, -100, 42], [7; 32], &mut rng()).unwrap();
        let vk = pk.verifying_key();
        assert_eq!(verify(vk, &proof), Ok(()));
        for word in 0..proof.words.len() {
            for byte in [0, 15, 31] {
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
    fn proofs_verify_and_depend_on_every_word() {
        let model = mlp(&[3, 4, 2], 100, 1);
        for layout in Layout::ALL {
            let circuit = laid_out::<bls12_381::Fr>(layout, &model);
            for pieces in [1, 2] {
                every_word_counts(&keys_with(layout, &model, pieces == 1), &model);
                let srs = Srs::ethereum(circuit.k() + 2 - pieces).unwrap();
                let pk = ProvingKey::<Bls12381>::generate(&model, &circuit, srs).unwrap();
                assert_eq!(pk.verifying_key().protocol().quotient_pieces, pieces as usize);
                every_word_counts(&pk, &model);
            }
        }
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
        let public_values = model.public_values(&trace);
        let statement = Statement { context: [0; 32], weights: vec![], public_values, digests: vec![] };
        let honest = LaidOut::<Fr>::new(Layout::General, &model, &trace).unwrap();
        prove_circuit(&pk, honest.clone(), statement.clone(), &mut rng()).unwrap();
        for row in (0..honest.rows()).step_by(7) {
            let LaidOut::General(mut forged) = honest.clone() else { panic!("another layout") };
            forged.layout.a[row] += Fr::ONE;
            let forged = LaidOut::General(forged);
            assert!(prove_circuit(&pk, forged, statement.clone(), &mut rng()).is_err(), "row {row}");
        }
        let mut forged = statement.clone();
        forged.public_values[0] += 1;
        assert!(prove_circuit(&pk, honest, forged, &mut rng()).is_err());
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
        let circuit = laid_out(Layout::General, &model);
        let read_vk = |bytes: &[u8]| VerifyingKey::<Bn254>::from_bytes(bytes, &model, &circuit);
        let vk = read_vk(&vk_bytes).unwrap();
        assert_eq!(vk.protocol(), pk.verifying_key().protocol());
        let read = ProvingKey::from_bytes(&pk.to_bytes(), vk.clone(), &circuit).unwrap();
        let proof = prove(&read, &model, &[1, 2], [0; 32], &mut rng()).unwrap();
        assert_eq!(verify(&vk, &proof), Ok(()));

        let foreign = keys(&other).to_bytes();
        assert!(
            ProvingKey::from_bytes(&foreign, vk.clone(), &circuit).unwrap_err().to_string().contains("another model")
        );
        assert!(ProvingKey::from_bytes(&pk.to_bytes()[..100], vk.clone(), &circuit).is_err());
        let mut damaged = pk.to_bytes();
        damaged[40] ^= 1;
        assert!(ProvingKey::from_bytes(&damaged, vk, &circuit).is_err());
        for len in 0..vk_bytes.len() {
            assert!(read_vk(&vk_bytes[..len]).is_err());
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
