//! The polynomials that halo2's prover commits to, kept for their opening.
//!
//! halo2 hands its multi-open prover queries that only halo2's own provers can look into. So the prover of this project
//! leaves halo2 before the opening ([`NoOpening`]), and parameters made for one proof ([`ProofParams`]) keep what was
//! committed to.

use std::{
    collections::HashMap,
    io,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use group::{Curve, Group};
use halo2_proofs::{
    poly::{
        Coeff, LagrangeCoeff, Polynomial, ProverQuery,
        commitment::{Blind, CommitmentScheme, Params, ParamsProver, Prover},
        kzg::{commitment::ParamsKZG, msm::MSMKZG},
    },
    transcript::{EncodedChallenge, TranscriptWrite},
};
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine};
use rand_core::RngCore;

use super::{
    encode::{self, Word},
    params::MonomialParams,
};

/// Coefficients of committed polynomials, by their commitments as words of the proof.
pub type Committed = HashMap<[Word; 2], Vec<Fr>>;

/// Parameters for one proof.
///
/// [`ParamsProver::commit`] is called for the vanishing argument's random polynomial first, and that commitment is never
/// sent ([`super::transcript`]): it is not computed.
#[derive(Clone, Debug)]
pub struct ProofParams<'a> {
    params: &'a MonomialParams,
    record: Arc<Mutex<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    committed: Committed,
    past_random: bool,
}

impl<'a> ProofParams<'a> {
    pub fn new(params: &'a MonomialParams) -> Self {
        Self { params, record: Arc::default() }
    }

    /// What has been committed to so far; the record is empty afterwards.
    pub fn take_committed(&self) -> Committed {
        std::mem::take(&mut self.record().committed)
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_and_keep(&self, coefficients: Vec<Fr>) -> G1 {
        let commitment = self.params.commit(&coefficients);
        self.record().committed.insert(encode::g1(&commitment.to_affine()), coefficients);
        commitment
    }
}

impl<'params> Params<'params, G1Affine> for ProofParams<'_> {
    type MSM = MSMKZG<Bn256>;

    fn k(&self) -> u32 {
        self.params.k()
    }

    fn n(&self) -> u64 {
        self.params.n()
    }

    /// # Panics
    /// Always: a proof has one size. halo2's prover does not call this.
    fn downsize(&mut self, _: u32) {
        unreachable!("the parameters of a proof have one size")
    }

    fn empty_msm(&'params self) -> Self::MSM {
        MSMKZG::new()
    }

    fn commit_lagrange(&self, poly: &Polynomial<Fr, LagrangeCoeff>, _: Blind<Fr>) -> G1 {
        self.commit_and_keep(self.params.coefficients(poly))
    }

    fn write<W: io::Write>(&self, _: &mut W) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the parameters of a proof are not written"))
    }

    fn read<R: io::Read>(_: &mut R) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the parameters of a proof are not read"))
    }
}

impl<'params> ParamsProver<'params, G1Affine> for ProofParams<'_> {
    type ParamsVerifier = ParamsKZG<Bn256>;

    /// # Panics
    /// Always: halo2's prover does not call this.
    fn new(_: u32) -> Self {
        unreachable!("the parameters of a proof come from a setup")
    }

    fn commit(&self, poly: &Polynomial<Fr, Coeff>, _: Blind<Fr>) -> G1 {
        if !std::mem::replace(&mut self.record().past_random, true) {
            return G1::identity();
        }
        self.commit_and_keep(poly.values().to_vec())
    }

    fn get_g(&self) -> &[G1Affine] {
        self.params.powers()
    }

    fn verifier_params(&'params self) -> &'params Self::ParamsVerifier {
        self.params.kzg()
    }
}

/// KZG on BN254 with [`ProofParams`].
#[derive(Debug)]
pub struct RecordingKzg<'a>(PhantomData<&'a MonomialParams>);

impl<'a> CommitmentScheme for RecordingKzg<'a> {
    type Scalar = Fr;
    type Curve = G1Affine;
    type ParamsProver = ProofParams<'a>;
    type ParamsVerifier = ParamsKZG<Bn256>;

    fn new_params(k: u32) -> ProofParams<'a> {
        ParamsProver::new(k)
    }

    fn read_params<R: io::Read>(reader: &mut R) -> io::Result<ProofParams<'a>> {
        Params::read(reader)
    }
}

/// Opens nothing: ends halo2's part of the proof after the evaluations.
#[derive(Debug)]
pub struct NoOpening;

impl<'params, 'a> Prover<'params, RecordingKzg<'a>> for NoOpening {
    const QUERY_INSTANCE: bool = false;

    fn new(_: &'params ProofParams<'a>) -> Self {
        NoOpening
    }

    fn create_proof<'com, E, T, R, I>(&self, _: R, _: &mut T, _: I) -> io::Result<()>
    where
        E: EncodedChallenge<G1Affine>,
        T: TranscriptWrite<G1Affine, E>,
        R: RngCore,
        I: IntoIterator<Item = ProverQuery<'com, G1Affine>> + Clone,
    {
        Ok(())
    }
}
