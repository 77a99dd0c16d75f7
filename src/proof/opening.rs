//! halo2's SHPLONK without the vanishing argument's random polynomial, whose query comes last.

use std::{fmt::Debug, io};

use halo2_proofs::{
    poly::{
        ProverQuery, VerifierQuery,
        commitment::{Prover, Verifier},
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            msm::{DualMSM, MSMKZG},
            multiopen::{ProverSHPLONK, VerifierSHPLONK},
            strategy::GuardKZG,
        },
    },
    transcript::{EncodedChallenge, TranscriptRead, TranscriptWrite},
};
use halo2curves::bn256::{Bn256, G1Affine};
use rand_core::RngCore;

use super::params::{MonomialKzg, MonomialParams};

type Kzg = KZGCommitmentScheme<Bn256>;

/// The prover's side.
#[derive(Debug)]
pub struct OpeningProver<'params>(ProverSHPLONK<'params, Bn256>);

impl<'params> Prover<'params, MonomialKzg> for OpeningProver<'params> {
    const QUERY_INSTANCE: bool = false;

    fn new(params: &'params MonomialParams) -> Self {
        OpeningProver(ProverSHPLONK::new(params.kzg()))
    }

    fn create_proof<'com, E, T, R, I>(&self, rng: R, transcript: &mut T, queries: I) -> io::Result<()>
    where
        E: EncodedChallenge<G1Affine>,
        T: TranscriptWrite<G1Affine, E>,
        R: RngCore,
        I: IntoIterator<Item = ProverQuery<'com, G1Affine>> + Clone,
    {
        let mut queries: Vec<_> = queries.into_iter().collect();
        queries.pop();
        Prover::<Kzg>::create_proof(&self.0, rng, transcript, queries)
    }
}

/// The verifier's side.
#[derive(Debug)]
pub struct OpeningVerifier<'params>(VerifierSHPLONK<'params, Bn256>);

impl<'params> Verifier<'params, Kzg> for OpeningVerifier<'params> {
    type Guard = GuardKZG<'params, Bn256>;
    type MSMAccumulator = DualMSM<'params, Bn256>;

    const QUERY_INSTANCE: bool = false;

    fn new(params: &'params ParamsKZG<Bn256>) -> Self {
        OpeningVerifier(<VerifierSHPLONK<'params, Bn256> as Verifier<'params, Kzg>>::new(params))
    }

    fn verify_proof<'com, E, T, I>(
        &self,
        transcript: &mut T,
        queries: I,
        accumulator: DualMSM<'params, Bn256>,
    ) -> Result<Self::Guard, halo2_proofs::poly::Error>
    where
        'params: 'com,
        E: EncodedChallenge<G1Affine>,
        T: TranscriptRead<G1Affine, E>,
        I: IntoIterator<Item = VerifierQuery<'com, G1Affine, MSMKZG<Bn256>>> + Clone,
    {
        let mut queries: Vec<_> = queries.into_iter().collect();
        queries.pop();
        self.0.verify_proof(transcript, queries, accumulator)
    }
}
