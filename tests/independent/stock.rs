//! Stock keys and proofs (KZG on BN254, SHPLONK), and the two native judges of them.

use std::sync::OnceLock;

use hallmark::proof::Srs;
use halo2_proofs::{
    plonk::{self, Circuit, create_proof, keygen_pk, keygen_vk, verify_proof},
    poly::{
        commitment::{Blind, Params, ParamsProver},
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            multiopen::{ProverSHPLONK, VerifierSHPLONK},
            strategy::SingleStrategy,
        },
    },
};
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine, G2Affine};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, SeedableRng};
use snark_verifier::{
    loader::native::NativeLoader,
    pcs::kzg::{Bdfg21, KzgAs, KzgDecidingKey},
    system::halo2::{
        Config, compile,
        transcript::evm::{ChallengeEvm, EvmTranscript},
    },
    verifier::{self, SnarkVerifier, plonk::PlonkProtocol},
};

use crate::layout::Layout;

/// The largest domain has `2^MAX_K` rows.
const MAX_K: u32 = 11;

pub type PlonkVerifier = verifier::plonk::PlonkVerifier<KzgAs<Bn256, Bdfg21>>;

type Transcript<S> = EvmTranscript<G1Affine, NativeLoader, S, Vec<u8>>;

/// The embedded setup.
pub fn srs(k: u32) -> Srs {
    static LARGEST: OnceLock<Srs> = OnceLock::new();
    LARGEST.get_or_init(|| Srs::embedded(MAX_K).unwrap()).clone().truncated(k).unwrap()
}

/// The embedded setup as halo2 holds it.
fn params(k: u32) -> &'static ParamsKZG<Bn256> {
    static BY_K: [OnceLock<ParamsKZG<Bn256>>; MAX_K as usize + 1] = [const { OnceLock::new() }; MAX_K as usize + 1];
    BY_K[k as usize].get_or_init(|| {
        let srs = srs(k);
        // halo2 has no other public constructor from powers; the receiver is not used
        let receiver = ParamsKZG::<Bn256>::setup(0, ChaCha20Rng::seed_from_u64(0));
        receiver.from_parts(k, srs.g().to_vec(), None, G2Affine::generator(), srs.s_g2())
    })
}

/// The stock keys of a circuit.
pub struct Stock {
    params: &'static ParamsKZG<Bn256>,
    pk: plonk::ProvingKey<G1Affine>,
    pub protocol: PlonkProtocol<G1Affine>,
    /// How many rows of each instance column are given; the others are zero.
    pub instance_rows: Vec<usize>,
}

impl Stock {
    pub fn new(circuit: &impl Layout, instances: &[Vec<Fr>]) -> Self {
        let params = params(circuit.k());
        let vk = keygen_vk(params, circuit).unwrap();
        let instance_rows: Vec<usize> = instances.iter().map(Vec::len).collect();
        let protocol = compile(params, &vk, Config::kzg().with_num_instance(instance_rows.clone()));
        let pk = keygen_pk(params, vk, circuit).unwrap();
        Self { params, pk, protocol, instance_rows }
    }

    pub fn verifying_key(&self) -> &plonk::VerifyingKey<G1Affine> {
        self.pk.get_vk()
    }

    /// The commitment to a column.
    pub fn commit(&self, column: Vec<Fr>) -> G1 {
        let column = self.verifying_key().get_domain().lagrange_from_vec(column);
        self.params.commit_lagrange(&column, Blind::default())
    }

    pub fn deciding_key(&self) -> KzgDecidingKey<Bn256> {
        (self.params.get_g()[0], self.params.g2(), self.params.s_g2()).into()
    }

    /// The proof of a circuit's witness, whether it satisfies the circuit or not.
    pub fn prove(&self, circuit: &impl Circuit<Fr>, instances: &[Vec<Fr>]) -> Vec<u8> {
        let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
        let mut transcript = Transcript::<Vec<u8>>::new(Vec::new());
        create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, ChallengeEvm<G1Affine>, _, _, _>(
            self.params,
            &self.pk,
            std::slice::from_ref(circuit),
            &[&instances],
            OsRng,
            &mut transcript,
        )
        .unwrap();
        transcript.finalize()
    }

    /// The verdict of halo2's verifier.
    pub fn halo2(&self, proof: &[u8], instances: &[Vec<Fr>]) -> Result<(), String> {
        let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, ChallengeEvm<G1Affine>, _, _>(
            self.params.verifier_params(),
            self.verifying_key(),
            SingleStrategy::new(self.params),
            &[&instances],
            &mut Transcript::<&[u8]>::new(proof),
        )
        .map_err(|error| error.to_string())
    }

    /// The verdict of `snark-verifier`.
    pub fn snark_verifier(&self, proof: &[u8], instances: &[Vec<Fr>]) -> Result<(), String> {
        let (key, protocol) = (self.deciding_key(), &self.protocol);
        let mut transcript = Transcript::<&[u8]>::new(proof);
        let proof = PlonkVerifier::read_proof(&key, protocol, instances, &mut transcript);
        let verdict = proof.and_then(|proof| PlonkVerifier::verify(&key, protocol, instances, &proof));
        verdict.map_err(|error| format!("{error:?}"))
    }
}
