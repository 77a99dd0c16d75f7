//! halo2 commitment parameters over monomial powers alone.
//!
//! halo2's own parameters hold a second, Lagrange basis, which takes an FFT over the group (seconds at k = 14) whenever a
//! setup is loaded. [`MonomialParams`] instead turns each polynomial into coefficients before it commits, an FFT over
//! the field, and so costs nothing to load. Commitments are the same points.

use std::io;

use ff::Field;
use halo2_proofs::{
    arithmetic::best_multiexp,
    poly::{
        Coeff, EvaluationDomain, LagrangeCoeff, Polynomial, ProverQuery,
        commitment::{Blind, CommitmentScheme, Params, ParamsProver, Prover},
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            msm::MSMKZG,
            multiopen::ProverSHPLONK,
        },
    },
    transcript::{EncodedChallenge, TranscriptWrite},
};
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, RngCore, SeedableRng};

use super::srs::{Srs, SrsOrigin};

/// Prover and verifier parameters for KZG on BN254.
#[derive(Debug, Clone)]
pub struct MonomialParams {
    origin: SrsOrigin,
    digest: [u8; 32],
    kzg: ParamsKZG<Bn256>,
    domain: EvaluationDomain<Fr>,
}

impl MonomialParams {
    /// Parameters for circuits of exactly `2^k` rows, for the k of `srs`.
    pub fn new(srs: Srs) -> Self {
        let digest = srs.digest();
        let g2 = srs.g2();
        let (origin, k, g, s_g2) = srs.into_parts();
        // The only public constructor from parts is a method; the receiver is not used.
        let receiver = ParamsKZG::<Bn256>::setup(0, ChaCha20Rng::seed_from_u64(0));
        let kzg = receiver.from_parts(k, g, Some(Vec::new()), g2, s_g2);
        MonomialParams { origin, digest, kzg, domain: EvaluationDomain::new(1, k) }
    }

    /// Where the setup comes from.
    pub fn origin(&self) -> &SrsOrigin {
        &self.origin
    }

    /// The setup's digest, see [`Srs::digest`].
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The parameters for halo2's multi-open provers and verifiers, its verification strategies and `verify_proof`. They
    /// have no Lagrange basis: `commit_lagrange` on them panics, use it on `self`.
    pub fn kzg(&self) -> &ParamsKZG<Bn256> {
        &self.kzg
    }
}

impl<'params> Params<'params, G1Affine> for MonomialParams {
    type MSM = MSMKZG<Bn256>;

    fn k(&self) -> u32 {
        self.kzg.k()
    }

    fn n(&self) -> u64 {
        self.kzg.n()
    }

    /// Keeps the first `2^k` powers.
    ///
    /// # Panics
    /// Where k grows, as the trait's contract has it; [`Srs::truncated`] is the checked way.
    fn downsize(&mut self, k: u32) {
        assert!(k <= self.k(), "parameters cannot grow from k = {} to k = {k}", self.k());
        let g = self.kzg.get_g().iter().take(1 << k).copied().collect();
        self.kzg = self.kzg.from_parts(k, g, Some(Vec::new()), self.kzg.g2(), self.kzg.s_g2());
        self.domain = EvaluationDomain::new(1, k);
    }

    fn empty_msm(&'params self) -> Self::MSM {
        MSMKZG::new()
    }

    /// Commits to evaluations over the domain of size `2^k`; fewer are filled up with zeros.
    fn commit_lagrange(&self, poly: &Polynomial<Fr, LagrangeCoeff>, blind: Blind<Fr>) -> G1 {
        let mut values = poly.values().to_vec();
        if values.len() < self.kzg.get_g().len() {
            values.resize(self.kzg.get_g().len(), Fr::ZERO);
        }
        self.commit(&self.domain.lagrange_to_coeff(Polynomial::new(values)), blind)
    }

    /// Unsupported: setups have their own file format.
    fn write<W: io::Write>(&self, _: &mut W) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a setup is written by Srs::write"))
    }

    /// Unsupported: setups have their own file format.
    fn read<R: io::Read>(_: &mut R) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a setup is read by Srs::read"))
    }
}

impl<'params> ParamsProver<'params, G1Affine> for MonomialParams {
    type ParamsVerifier = ParamsKZG<Bn256>;

    /// A setup with a fresh secret, marked unsafe: [`MonomialParams::new`] is the way to a real one.
    ///
    /// # Panics
    /// Where k is out of range for [`Srs::generate_unsafe`].
    fn new(k: u32) -> Self {
        match Srs::generate_unsafe(k, OsRng) {
            Ok(srs) => MonomialParams::new(srs),
            Err(error) => panic!("{error}"),
        }
    }

    /// Blinds are not used by KZG.
    fn commit(&self, poly: &Polynomial<Fr, Coeff>, _: Blind<Fr>) -> G1 {
        let powers = self.kzg.get_g();
        assert!(poly.len() <= powers.len(), "a polynomial of {} coefficients, {} powers", poly.len(), powers.len());
        best_multiexp(poly.values(), &powers[..poly.len()])
    }

    fn get_g(&self) -> &[G1Affine] {
        self.kzg.get_g()
    }

    fn verifier_params(&'params self) -> &'params Self::ParamsVerifier {
        &self.kzg
    }
}

/// KZG on BN254 with [`MonomialParams`] for the prover and halo2's own for the verifier.
#[derive(Debug)]
pub struct MonomialKzg;

impl CommitmentScheme for MonomialKzg {
    type Scalar = Fr;
    type Curve = G1Affine;
    type ParamsProver = MonomialParams;
    type ParamsVerifier = ParamsKZG<Bn256>;

    fn new_params(k: u32) -> MonomialParams {
        <MonomialParams as ParamsProver<G1Affine>>::new(k)
    }

    fn read_params<R: io::Read>(reader: &mut R) -> io::Result<MonomialParams> {
        Params::read(reader)
    }
}

/// halo2's SHPLONK prover under [`MonomialKzg`]. Its proofs are checked by halo2's own verifier, with
/// [`MonomialParams::kzg`].
#[derive(Debug)]
pub struct MonomialShplonk<'params>(ProverSHPLONK<'params, Bn256>);

impl<'params> Prover<'params, MonomialKzg> for MonomialShplonk<'params> {
    const QUERY_INSTANCE: bool = false;

    fn new(params: &'params MonomialParams) -> Self {
        MonomialShplonk(<ProverSHPLONK<Bn256> as Prover<KZGCommitmentScheme<Bn256>>>::new(&params.kzg))
    }

    fn create_proof<'com, E, T, R, I>(&self, rng: R, transcript: &mut T, queries: I) -> io::Result<()>
    where
        E: EncodedChallenge<G1Affine>,
        T: TranscriptWrite<G1Affine, E>,
        I: IntoIterator<Item = ProverQuery<'com, G1Affine>> + Clone,
        R: RngCore,
    {
        Prover::<KZGCommitmentScheme<Bn256>>::create_proof(&self.0, rng, transcript, queries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::{
        circuit::{Layouter, SimpleFloorPlanner, Value},
        plonk::{
            Advice, Circuit, Column, ConstraintSystem, Error, Fixed, Instance, create_proof, keygen_pk, keygen_vk,
            verify_proof,
        },
        poly::{
            Rotation,
            kzg::{multiopen::VerifierSHPLONK, strategy::SingleStrategy},
        },
        transcript::{Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer, TranscriptWriterBuffer},
    };

    fn params(k: u32) -> MonomialParams {
        MonomialParams::new(Srs::generate_unsafe(k, ChaCha20Rng::seed_from_u64(7)).unwrap())
    }

    #[test]
    fn commitments_are_those_of_the_stock_parameters() {
        const K: u32 = 7;
        let ours = params(K);
        let stock = ours.kzg.from_parts(K, ours.get_g().to_vec(), None, ours.kzg.g2(), ours.kzg.s_g2());
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        for len in [1, 5, 1 << K] {
            let values: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
            let lagrange = Polynomial::<Fr, LagrangeCoeff>::new(values.clone());
            assert_eq!(
                ours.commit_lagrange(&lagrange, Blind::default()),
                stock.commit_lagrange(&lagrange, Blind::default())
            );
            let coeff = Polynomial::<Fr, Coeff>::new(values);
            assert_eq!(ours.commit(&coeff, Blind::default()), stock.commit(&coeff, Blind::default()));
        }
    }

    #[test]
    fn downsized_parameters_are_those_of_the_truncated_setup() {
        let mut large = params(6);
        large.downsize(4);
        let small = params(4);
        assert_eq!((large.k(), large.n(), large.get_g()), (4, 16, small.get_g()));
        let poly = Polynomial::<Fr, LagrangeCoeff>::new((0..16).map(Fr::from).collect());
        assert_eq!(large.commit_lagrange(&poly, Blind::default()), small.commit_lagrange(&poly, Blind::default()));
    }

    /// Publishes the square of a private value.
    #[derive(Clone, Default)]
    struct Square(Value<Fr>);

    impl Circuit<Fr> for Square {
        type Config = (Column<Advice>, Column<Fixed>, Column<Instance>);
        type FloorPlanner = SimpleFloorPlanner;
        type Params = ();

        fn without_witnesses(&self) -> Self {
            Self::default()
        }

        fn configure(meta: &mut ConstraintSystem<Fr>) -> Self::Config {
            let (advice, enable, instance) = (meta.advice_column(), meta.fixed_column(), meta.instance_column());
            meta.create_gate("square", |meta| {
                let value = meta.query_advice(advice, Rotation::cur());
                let square = meta.query_instance(instance, Rotation::cur());
                vec![meta.query_fixed(enable, Rotation::cur()) * (value.clone() * value - square)]
            });
            (advice, enable, instance)
        }

        fn synthesize(&self, (advice, enable, _): Self::Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
            layouter.assign_region(
                || "square",
                |mut region| {
                    region.assign_advice(advice, 0, self.0);
                    region.assign_fixed(enable, 0, Fr::ONE);
                    Ok(())
                },
            )
        }
    }

    #[test]
    fn proofs_pass_the_stock_verifier() {
        let params = params(4);
        let circuit = Square(Value::known(Fr::from(9)));
        let vk = keygen_vk(&params, &circuit).unwrap();
        let pk = keygen_pk(&params, vk, &circuit).unwrap();
        let mut transcript = Blake2bWrite::<_, G1Affine, Challenge255<_>>::init(Vec::new());
        create_proof::<MonomialKzg, MonomialShplonk<'_>, _, _, _, _>(
            &params,
            &pk,
            &[circuit],
            &[&[&[Fr::from(81)]]],
            OsRng,
            &mut transcript,
        )
        .unwrap();
        let proof = transcript.finalize();

        let verify = |square: u64| {
            let mut transcript = Blake2bRead::<_, G1Affine, Challenge255<_>>::init(proof.as_slice());
            verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
                params.kzg(),
                pk.get_vk(),
                SingleStrategy::new(params.kzg()),
                &[&[&[Fr::from(square)]]],
                &mut transcript,
            )
        };
        verify(81).unwrap();
        assert!(verify(82).is_err());
    }
}
