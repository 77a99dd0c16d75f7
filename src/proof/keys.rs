//! Verifying and proving keys of a model, and their bytes.
//!
//! The proving key's file holds the setup's powers and nothing else that can be large: its polynomials follow from the
//! model in less time than reading them would take. Key generation is deterministic, so the verifying key *is* the
//! approved model.

use std::fmt;

use ff::{Field, PrimeField};
use group::{Curve as _, prime::PrimeCurveAffine};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    curve::{Bls12381, Bn254, Curve, CurveId, Word},
    fft::Domain,
    msm::msm,
    processor::Multiply,
    protocol::{Commitments, Protocol, UnsupportedError},
    quotient::{coefficients, sigma, sigma_coefficients},
    srs::{Srs, SrsOrigin, ethereum_s_g2},
};
use crate::{
    circuit::{Decisions, LaidOut, Layout, Preprocessed},
    graph::{IntegerModel, Interval},
    stages::{self, Stage},
};

/// The fixed column that weights are in, in every layout that may leave them to a commitment.
const WEIGHTS: usize = 0;

/// Bytes of the model's id in a proving key.
const ID_BYTES: usize = 32;

/// Powers of the setup that are read or written at a time.
const CHUNK: usize = 1 << 14;

/// Key generation failed, or a key's bytes are not a key.
#[derive(Debug, Error)]
pub enum KeyError {
    #[error("the setup has k = {have_k}, the circuit needs k = {need_k} or more")]
    WrongSetupSize { have_k: u32, need_k: u32 },
    #[error(transparent)]
    Unsupported(#[from] UnsupportedError),
    #[error("the {key} key is damaged: {detail}; compile the model again")]
    Damaged { key: &'static str, detail: &'static str },
    #[error("the verifying key is on the curve {found}, not on {expected}; compile the model again")]
    WrongCurve { expected: CurveId, found: CurveId },
    #[error(
        "the proving key belongs to another model (its verifying key is {found}, this one is {expected}); compile the model again"
    )]
    Foreign { expected: String, found: String },
}

/// What a verifier needs: commitments, the protocol around them, and the proved ranges of the public integers.
#[derive(Clone, Debug)]
pub struct VerifyingKey<C: Curve = Bn254> {
    decisions: Decisions,
    protocol: Protocol<C>,
    public_ranges: Vec<Interval>,
    setup: SrsOrigin,
}

/// A verifying key's bytes, as plain data. Everything else follows from the model.
#[derive(Serialize, Deserialize)]
struct VerifyingKeyData {
    curve: CurveId,
    layout: Layout,
    quotient_pieces: usize,
    fixed: Vec<Vec<Word>>,
    /// One per advice column that a permutation ties.
    sigma: Vec<Vec<Word>>,
    s_g2: Vec<u8>,
    public_ranges: Vec<Interval>,
    /// JSON of the setup's origin.
    setup: String,
}

/// The curve and the layout of a verifying key, from its bytes.
pub fn peek(bytes: &[u8]) -> Result<(CurveId, Layout), KeyError> {
    let (data, _): (VerifyingKeyData, _) =
        postcard::take_from_bytes(bytes).map_err(|_| damaged("its encoding is not valid"))?;
    Ok((data.curve, data.layout))
}

impl<C: Curve> VerifyingKey<C> {
    fn new(
        model: &IntegerModel,
        circuit: &LaidOut<C::Scalar>,
        commitments: Commitments<C>,
        quotient_pieces: usize,
        setup: SrsOrigin,
    ) -> Result<Self, KeyError> {
        let domain = (circuit.k(), crate::circuit::domain_generator(circuit.k()));
        let (cs, shape) = (circuit.constraint_system(), circuit.shape());
        let weights = model.has_committed_weights().then_some(WEIGHTS);
        let protocol = Protocol::new(domain, &cs, shape, commitments, weights, quotient_pieces)?;
        Ok(Self { decisions: circuit.decisions(), protocol, public_ranges: model.public_ranges(), setup })
    }

    /// A key with made-up commitments, for what depends on a key's form alone: its length, what its contract takes, how long
    /// proofs take. That to a column of zeros is the identity, which is shorter in the contract, and is not made up.
    pub fn outline(
        model: &IntegerModel,
        circuit: &LaidOut<C::Scalar>,
        quotient_pieces: usize,
        setup: SrsOrigin,
    ) -> Result<Self, KeyError> {
        let cs = circuit.constraint_system();
        let scalars = std::iter::successors(Some(C::Scalar::DELTA), |scalar| Some(*scalar * C::Scalar::DELTA));
        let mut points = scalars.map(|scalar| (C::G1Affine::generator() * scalar).to_affine());
        let is_zero = |column: &Vec<C::Scalar>| column.iter().all(|value| value.is_zero_vartime());
        let columns = circuit.preprocessed().fixed;
        let commitment = |(column, point)| if is_zero(column) { C::G1Affine::identity() } else { point };
        let fixed = columns.iter().zip(points.by_ref()).map(commitment).collect();
        let sigma = points.take(cs.permutation().get_columns().len()).collect();
        let commitments = Commitments { fixed, sigma, s_g2: outline_s_g2::<C>() };
        Self::new(model, circuit, commitments, quotient_pieces, setup)
    }

    /// The layout of the circuit.
    pub fn layout(&self) -> Layout {
        self.decisions.layout()
    }

    /// What the layout decided by looking at the model.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// The verifier as plain data.
    pub fn protocol(&self) -> &Protocol<C> {
        &self.protocol
    }

    /// Proved interval of every public integer.
    pub fn public_ranges(&self) -> &[Interval] {
        &self.public_ranges
    }

    /// How many digests follow the public integers.
    pub fn digests(&self) -> usize {
        self.protocol.public_values().saturating_sub(self.public_ranges.len())
    }

    /// Where the setup comes from.
    pub fn setup(&self) -> &SrsOrigin {
        &self.setup
    }

    /// In hex: the name of the approved model.
    pub fn id(&self) -> String {
        hex::encode(self.protocol.model_id())
    }

    /// The key's bytes, the same on every machine.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeyError> {
        let data = VerifyingKeyData {
            curve: C::ID,
            layout: self.layout(),
            quotient_pieces: self.protocol.quotient_pieces,
            fixed: self.protocol.fixed.iter().map(C::point).collect(),
            sigma: self.protocol.permutation.iter().flat_map(|p| &p.sigma).map(C::point).collect(),
            s_g2: C::to_raw2(&self.protocol.s_g2),
            public_ranges: self.public_ranges.clone(),
            setup: serde_json::to_string(&self.setup).map_err(|_| damaged("its setup cannot be encoded"))?,
        };
        postcard::to_allocvec(&data).map_err(|_| damaged("its values cannot be encoded"))
    }

    /// Read the key of a model from its bytes; `circuit` is the model, laid out. Every point is checked.
    pub fn from_bytes(bytes: &[u8], model: &IntegerModel, circuit: &LaidOut<C::Scalar>) -> Result<Self, KeyError> {
        let (data, rest): (VerifyingKeyData, _) =
            postcard::take_from_bytes(bytes).map_err(|_| damaged("its encoding is not valid"))?;
        if !rest.is_empty() {
            return Err(damaged("bytes follow its end"));
        }
        if data.curve != C::ID {
            return Err(KeyError::WrongCurve { expected: C::ID, found: data.curve });
        }
        if data.layout != circuit.layout() {
            return Err(damaged("its layout is not the one of its circuit"));
        }
        if !(1..=2).contains(&data.quotient_pieces) {
            return Err(damaged("its quotient has neither one nor two pieces"));
        }
        if data.public_ranges != model.public_ranges() {
            return Err(damaged("its public values are not those of the model"));
        }
        let point = |words: &Vec<Word>| C::read_point(words).ok_or_else(|| damaged("a commitment is not a point"));
        let fixed: Vec<_> = data.fixed.iter().map(point).collect::<Result<_, _>>()?;
        let sigma: Vec<_> = data.sigma.iter().map(point).collect::<Result<_, _>>()?;
        let cs = circuit.constraint_system();
        if fixed.len() != cs.num_fixed_columns() || sigma.len() != cs.permutation().get_columns().len() {
            return Err(damaged("its commitments are not those of its columns"));
        }
        let setup = serde_json::from_str(&data.setup).map_err(|_| damaged("its setup's origin is not known"))?;
        let s_g2 = C::from_raw2(&data.s_g2).ok_or_else(|| damaged("its setup is not a point of G2"))?;
        if !Srs::<C>::may_have_origin(&s_g2, &setup) {
            return Err(damaged("its setup claims to be a ceremony that it is not"));
        }
        let commitments = Commitments { fixed, sigma, s_g2 };
        Self::new(model, circuit, commitments, data.quotient_pieces, setup)
    }
}

/// Contracts on BLS12-381 are for the one setup that the precompile knows.
fn outline_s_g2<C: Curve>() -> C::G2Affine {
    let ethereum = ethereum_s_g2().ok().filter(|_| C::ID == CurveId::Bls12381);
    ethereum.and_then(|point| C::from_raw2(&Bls12381::to_raw2(&point))).unwrap_or_else(C::G2Affine::generator)
}

fn damaged(detail: &'static str) -> KeyError {
    KeyError::Damaged { key: "verifying", detail }
}

fn damaged_proving(detail: &'static str) -> KeyError {
    KeyError::Damaged { key: "proving", detail }
}

/// What a prover needs.
pub struct ProvingKey<C: Curve = Bn254> {
    pub(super) domain: Domain<C::Scalar>,
    pub(super) powers: Vec<C::G1Affine>,
    /// Coefficients of the fixed columns.
    pub(super) fixed: Vec<Vec<C::Scalar>>,
    /// One per advice column, for layouts with a permutation.
    pub(super) sigma: Vec<Sigma<C::Scalar>>,
    vk: VerifyingKey<C>,
}

impl<C: Curve> fmt::Debug for ProvingKey<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvingKey").field("vk", &self.vk).finish_non_exhaustive()
    }
}

/// The permutation's polynomial of an advice column.
#[derive(Debug)]
pub struct Sigma<F> {
    /// Per row, the next cell of its cycle: row `i` of column `j` is cell `2^k j + i`.
    pub next: Vec<u32>,
    pub coefficients: Vec<F>,
}

/// Polynomials that key generation commits to.
struct FixedPolynomials<F: ff::WithSmallOrderMulGroup<3> + Multiply> {
    domain: Domain<F>,
    fixed: Vec<Vec<F>>,
    sigma: Vec<Sigma<F>>,
}

impl<F: ff::WithSmallOrderMulGroup<3> + Multiply> FixedPolynomials<F> {
    fn new(circuit: &LaidOut<F>) -> Self {
        let Preprocessed { k, fixed, copies } = circuit.preprocessed();
        let domain = Domain::new(k);
        let permuted = circuit.constraint_system().permutation().get_columns().len();
        let next = if permuted > 0 { sigma(permuted, 1 << k, &copies) } else { vec![] };
        drop(copies);
        let fixed = fixed.into_iter().map(|column| coefficients(&domain, column)).collect();
        let sigma = next.into_iter().map(|next| {
            let coefficients = sigma_coefficients(&domain, permuted, &next);
            Sigma { next, coefficients }
        });
        let sigma = sigma.collect();
        Self { domain, fixed, sigma }
    }
}

/// Commit to a polynomial of no more coefficients than there are powers.
pub(super) fn commit<C: Curve>(coefficients: &[C::Scalar], powers: &[C::G1Affine]) -> C::G1Affine {
    let _stage = stages::enter(Stage::Commitments);
    let degree = coefficients.iter().rposition(|c| !bool::from(ff::Field::is_zero(c))).map_or(0, |last| last + 1);
    msm::<C>(&coefficients[..degree], &powers[..degree]).to_affine()
}

impl<C: Curve> ProvingKey<C> {
    /// Generate the keys of a model in a layout.
    ///
    /// With twice as many powers as rows (`srs.k() > k`) the quotient is committed to as a whole, which saves the verifier a
    /// commitment; with as many as rows, in two pieces.
    pub fn generate(model: &IntegerModel, circuit: &LaidOut<C::Scalar>, srs: Srs<C>) -> Result<Self, KeyError> {
        let k = circuit.k();
        if srs.k() < k {
            return Err(KeyError::WrongSetupSize { have_k: srs.k(), need_k: k });
        }
        let quotient_pieces = if srs.k() > k { 1 } else { 2 };
        let (setup, _, mut powers, s_g2) = srs.into_parts();
        powers.truncate((2 << k) / quotient_pieces);
        powers.shrink_to_fit();
        let FixedPolynomials { domain, fixed, sigma } = FixedPolynomials::new(circuit);
        let commitments = Commitments {
            fixed: fixed.iter().map(|poly| commit::<C>(poly, &powers)).collect(),
            sigma: sigma.iter().map(|sigma| commit::<C>(&sigma.coefficients, &powers)).collect(),
            s_g2,
        };
        let vk = VerifyingKey::new(model, circuit, commitments, quotient_pieces, setup)?;
        Ok(Self { domain, powers, fixed, sigma, vk })
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey<C> {
        &self.vk
    }

    /// The length of the key in bytes.
    pub fn bytes_len(&self) -> usize {
        ID_BYTES + C::RAW_BYTES * self.powers.len()
    }

    /// Hand the key's bytes to `write`, part by part: the model's id, then the setup's powers, uncompressed.
    pub fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        write(&self.vk.protocol.model_id())?;
        let mut bytes = Vec::with_capacity(CHUNK * C::RAW_BYTES);
        for powers in self.powers.chunks(CHUNK) {
            bytes.clear();
            powers.iter().for_each(|point| bytes.extend(C::to_raw(point)));
            write(&bytes)?;
        }
        Ok(())
    }

    /// The key's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_len());
        let Ok(()) = self.write(|part| {
            bytes.extend_from_slice(part);
            Ok::<_, std::convert::Infallible>(())
        });
        bytes
    }

    /// Read a key from its bytes, the verifying key and the circuit that it was generated for.
    pub fn from_bytes(bytes: &[u8], vk: VerifyingKey<C>, circuit: &LaidOut<C::Scalar>) -> Result<Self, KeyError> {
        let mut rest = bytes;
        Self::read(bytes.len() as u64, vk, circuit, |buffer| {
            let (part, after) = rest.split_at_checked(buffer.len()).ok_or(damaged_proving("it is too short"))?;
            buffer.copy_from_slice(part);
            rest = after;
            Ok(())
        })
    }

    /// The same from `len` bytes that `read` fills buffers with, part by part.
    pub fn read<E: From<KeyError>>(
        len: u64,
        vk: VerifyingKey<C>,
        circuit: &LaidOut<C::Scalar>,
        mut read: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let stage = stages::enter(Stage::Loading);
        if len < ID_BYTES as u64 {
            return Err(damaged_proving("it is too short").into());
        }
        let mut id = [0; ID_BYTES];
        read(&mut id)?;
        if id != vk.protocol.model_id() {
            return Err(KeyError::Foreign { expected: vk.id(), found: hex::encode(id) }.into());
        }
        let count = 2 * vk.protocol.n() / vk.protocol.quotient_pieces;
        if len != (ID_BYTES + C::RAW_BYTES * count) as u64 {
            return Err(damaged_proving("its length does not fit its rows").into());
        }
        let mut powers: Vec<C::G1Affine> = Vec::with_capacity(count);
        let mut bytes = vec![0; CHUNK.min(count) * C::RAW_BYTES];
        while powers.len() < count {
            bytes.truncate((count - powers.len()) * C::RAW_BYTES);
            read(&mut bytes)?;
            let points: Option<Vec<C::G1Affine>> = bytes.par_chunks(C::RAW_BYTES).map(C::from_raw).collect();
            powers.extend(points.ok_or(damaged_proving("a power of the setup is not a point"))?);
        }
        drop(stage);
        let FixedPolynomials { domain, fixed, sigma } = FixedPolynomials::new(circuit);
        Ok(Self { domain, powers, fixed, sigma, vk })
    }
}
