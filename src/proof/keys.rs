//! Verifying and proving keys of a model, and their bytes.
//!
//! The proving key's file holds the setup's powers and nothing else that can be large: its polynomials follow from the
//! model in less time than reading them would take. Key generation is deterministic, so the verifying key *is* the
//! approved model.

use ff::PrimeField;
use halo2_proofs::{
    plonk::{self, ConstraintSystem, keygen_pk, keygen_vk, permutation},
    poly::{EvaluationDomain, kzg::commitment::ParamsKZG},
};
use halo2curves::{
    bn256::{Bn256, Fr, G1Affine, G2Affine},
    serde::SerdeObject,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    encode,
    params::MonomialParams,
    points::{Encoding, in_g2_subgroup},
    protocol::{Protocol, UnsupportedError},
    srs::{Srs, SrsOrigin},
};
use crate::{
    circuit::{GeneralConfig, ModelCircuit, model::MIN_K},
    graph::{IntegerModel, Interval},
};

/// Key generation failed, or a key's bytes are not a key.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("the setup has k = {have_k}, the circuit needs k = {need_k}")]
    WrongSetupSize { have_k: u32, need_k: u32 },
    #[error("key generation failed: {source}")]
    Halo2 { source: plonk::Error },
    #[error(transparent)]
    Unsupported(#[from] UnsupportedError),
    #[error("the {key} key is damaged: {detail}; compile the model again")]
    Damaged { key: &'static str, detail: &'static str },
    #[error(
        "the proving key belongs to another model (its verifying key is {found}, this one is {expected}); compile the model again"
    )]
    Foreign { expected: String, found: String },
}

/// What a verifier needs: commitments, the protocol around them, and the proved ranges of the public values.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub(super) plonk: plonk::VerifyingKey<G1Affine>,
    pub(super) params: ParamsKZG<Bn256>,
    protocol: Protocol,
    public_ranges: Vec<Interval>,
    setup: SrsOrigin,
}

/// A verifying key's bytes, as plain data.
#[derive(Serialize, Deserialize)]
struct VerifyingKeyData {
    k: u32,
    fixed: Vec<[encode::Word; 2]>,
    sigma: Vec<[encode::Word; 2]>,
    s_g2: Vec<u8>,
    public_rows: Vec<usize>,
    public_ranges: Vec<Interval>,
    /// JSON of the setup's origin.
    setup: String,
}

/// The largest k that a verifying key may claim: the two-adicity of the scalar field, less one for the quotient's domain.
const MAX_K: u32 = Fr::S - 1;

impl VerifyingKey {
    fn new(
        plonk: plonk::VerifyingKey<G1Affine>,
        s_g2: G2Affine,
        public_rows: &[usize],
        public_ranges: Vec<Interval>,
        setup: SrsOrigin,
    ) -> Result<Self, KeyError> {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let protocol = Protocol::new(&plonk, (g1, g2, s_g2), public_rows)?;
        // The only public constructor from parts is a method; the receiver is not used. Verifiers use one power.
        let receiver = ParamsKZG::<Bn256>::setup(0, ChaCha20Rng::seed_from_u64(0));
        let params = receiver.from_parts(protocol.k, vec![g1], Some(Vec::new()), g2, s_g2);
        Ok(Self { plonk, params, protocol, public_ranges, setup })
    }

    /// The verifier as plain data.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Proved interval of every public value.
    pub fn public_ranges(&self) -> &[Interval] {
        &self.public_ranges
    }

    /// Where the setup comes from.
    pub fn setup(&self) -> &SrsOrigin {
        &self.setup
    }

    /// The protocol's digest in hex: the name of the approved model.
    pub fn id(&self) -> String {
        hex::encode(self.protocol.digest())
    }

    /// The key's bytes, the same on every machine.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let data = VerifyingKeyData {
            k: self.protocol.k,
            fixed: self.protocol.fixed.iter().map(encode::g1).collect(),
            sigma: self.protocol.sigma.iter().map(encode::g1).collect(),
            s_g2: self.protocol.s_g2.to_raw_bytes(),
            public_rows: self.protocol.public_rows(),
            public_ranges: self.public_ranges.clone(),
            setup: serde_json::to_string(&self.setup).map_err(|_| damaged("its setup cannot be encoded"))?,
        };
        postcard::to_allocvec(&data).map_err(|_| damaged("its values cannot be encoded"))
    }

    /// Read the key of a circuit with at most `2^max_k` rows from its bytes. Every point is checked.
    ///
    /// Time and memory grow with the rows that the bytes claim: `max_k` bounds both.
    pub fn from_bytes(bytes: &[u8], max_k: u32) -> Result<Self, KeyError> {
        let (data, rest): (VerifyingKeyData, _) =
            postcard::take_from_bytes(bytes).map_err(|_| damaged("its encoding is not valid"))?;
        if !rest.is_empty() {
            return Err(damaged("bytes follow its end"));
        }
        if !(MIN_K..=MAX_K.min(max_k)).contains(&data.k) {
            return Err(damaged("its k is out of range for its circuit"));
        }
        if data.public_rows.iter().any(|&row| row >> data.k != 0) || data.public_rows.len() != data.public_ranges.len()
        {
            return Err(damaged("its public values do not fit its rows"));
        }
        let mut cs = ConstraintSystem::<Fr>::default();
        GeneralConfig::configure(&mut cs);
        let points = |words: &[[encode::Word; 2]], len: usize| -> Result<Vec<G1Affine>, KeyError> {
            let points: Option<Vec<_>> = words.iter().map(encode::read_g1).collect();
            points.filter(|points| points.len() == len).ok_or_else(|| damaged("a commitment is not a point"))
        };
        let fixed = points(&data.fixed, cs.num_fixed_columns())?;
        let sigma = points(&data.sigma, cs.permutation().get_columns().len())?;
        let setup = serde_json::from_str(&data.setup).map_err(|_| damaged("its setup's origin is not known"))?;
        let s_g2 = Encoding::Raw.g2(&data.s_g2).filter(in_g2_subgroup);
        let s_g2 = s_g2.ok_or_else(|| damaged("its setup is not a point of G2"))?;
        if setup == SrsOrigin::AztecIgnition && !Srs::is_aztec_ignition(&s_g2).is_ok_and(|same| same) {
            return Err(damaged("its setup claims to be the Aztec Ignition ceremony and is not"));
        }
        let domain = EvaluationDomain::new(cs.degree() as u32, data.k);
        let sigma = permutation::VerifyingKey::from_commitments(sigma);
        let plonk = plonk::VerifyingKey::from_parts(domain, fixed, sigma, cs, Vec::new(), false);
        Self::new(plonk, s_g2, &data.public_rows, data.public_ranges, setup)
    }
}

fn damaged(detail: &'static str) -> KeyError {
    KeyError::Damaged { key: "verifying", detail }
}

/// What a prover needs.
#[derive(Debug)]
pub struct ProvingKey {
    pub(super) plonk: plonk::ProvingKey<G1Affine>,
    pub(super) params: MonomialParams,
    vk: VerifyingKey,
}

impl ProvingKey {
    /// Generate the keys of a model. `srs` must have exactly the k that [`ModelCircuit`] needs.
    pub fn generate(model: &IntegerModel, srs: Srs) -> Result<Self, KeyError> {
        let circuit = ModelCircuit::<Fr>::for_keygen(model);
        if srs.k() != circuit.k {
            return Err(KeyError::WrongSetupSize { have_k: srs.k(), need_k: circuit.k });
        }
        let (s_g2, setup) = (srs.s_g2(), srs.origin().clone());
        let params = MonomialParams::new(srs);
        let plonk = keygen_vk(&params, &circuit).map_err(|source| KeyError::Halo2 { source })?;
        let vk = VerifyingKey::new(plonk, s_g2, &circuit.layout.public_rows, model.public_ranges(), setup)?;
        Self::with_verifying_key(params, vk, &circuit)
    }

    fn with_verifying_key(
        params: MonomialParams,
        vk: VerifyingKey,
        circuit: &ModelCircuit<Fr>,
    ) -> Result<Self, KeyError> {
        let plonk = keygen_pk(&params, vk.plonk.clone(), circuit).map_err(|source| KeyError::Halo2 { source })?;
        Ok(Self { plonk, params, vk })
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.vk
    }

    /// The key's bytes: the digest of the verifying key's protocol, then the setup's powers, uncompressed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let powers = self.params.powers();
        let mut bytes = Vec::with_capacity(32 + 64 * powers.len());
        bytes.extend(self.vk.protocol.digest());
        powers.iter().for_each(|point| bytes.extend(point.to_raw_bytes()));
        bytes
    }

    /// Read a key from its bytes, the verifying key and the model that it was generated for.
    pub fn from_bytes(bytes: &[u8], vk: VerifyingKey, model: &IntegerModel) -> Result<Self, KeyError> {
        let damaged = |detail| KeyError::Damaged { key: "proving", detail };
        let (digest, powers) = bytes.split_at_checked(32).ok_or_else(|| damaged("it is too short"))?;
        if digest != vk.protocol.digest() {
            return Err(KeyError::Foreign { expected: vk.id(), found: hex::encode(digest) });
        }
        if powers.len() != 64 * vk.protocol.n() {
            return Err(damaged("its length does not fit its rows"));
        }
        let powers: Option<Vec<G1Affine>> = powers.par_chunks(64).map(G1Affine::from_raw_bytes).collect();
        let powers = powers.ok_or_else(|| damaged("a power of the setup is not a point"))?;
        let circuit = ModelCircuit::<Fr>::for_keygen(model);
        if circuit.k != vk.protocol.k {
            return Err(KeyError::WrongSetupSize { have_k: vk.protocol.k, need_k: circuit.k });
        }
        let srs = Srs::from_checked_parts(vk.setup.clone(), vk.protocol.k, powers, vk.protocol.s_g2);
        Self::with_verifying_key(MonomialParams::new(srs), vk, &circuit)
    }
}
