//! SHPLONK, the multi-opening: all committed polynomials at all their points by two commitments.
//!
//! Polynomials `p_0, p_1, ...` that are opened at the same points form a set `i`, combined to `P_i = sum zeta^j p_j`. With
//! `Z_i` vanishing on the set's points, `P_i = Q_i Z_i + R_i`, where `R_i` interpolates the claimed values. The first
//! commitment is to `W = sum nu^i Q_i`. At `mu`, with `Z` vanishing on the points of all sets and `D_i = Z / Z_i`,
//!
//! ```text
//! L = sum nu^i D_i(mu) (P_i - R_i(mu)) - Z(mu) W
//! ```
//!
//! is zero, and the second commitment is to `L / (X - mu)`. Everything is scaled by `1 / D_0(mu)`, as halo2 does.
//!
//! The verifier is halo2's. The vanishing argument's random polynomial, whose query comes last, is not opened.

use std::{fmt::Debug, io, iter};

use ff::Field;
use group::Curve;
use halo2_proofs::{
    plonk,
    poly::{
        VerifierQuery,
        commitment::Verifier,
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            msm::{DualMSM, MSMKZG},
            multiopen::VerifierSHPLONK,
            strategy::GuardKZG,
        },
    },
    transcript::{EncodedChallenge, Transcript, TranscriptRead, TranscriptWrite},
};
use halo2curves::bn256::{Bn256, Fr, G1Affine};
use rayon::prelude::*;

use super::{encode::Word, keys::ProvingKey, protocol::Polynomial, record::Committed, transcript::Writer};

type Kzg = KZGCommitmentScheme<Bn256>;

/// Coefficients that a task of a parallel loop has at least.
const MIN_TASK: usize = 1 << 12;

/// Open every polynomial of the protocol where it is evaluated. The transcript has absorbed the evaluations.
pub fn open(pk: &ProvingKey, committed: Committed, transcript: &mut Writer) -> io::Result<()> {
    let protocol = pk.verifying_key().protocol();
    let incomplete = || io::Error::other("the proof up to the opening is not complete");
    let x = transcript.evaluation_point().ok_or_else(incomplete)?;
    let polynomials = Polynomials::new(pk, &committed, transcript.words(), x).ok_or_else(incomplete)?;

    let (zeta, nu) = (squeeze(transcript), squeeze(transcript));
    let points = |rotations: &[i32]| -> Vec<Fr> { rotations.iter().map(|&r| x * protocol.omega_power(r)).collect() };
    let sets: Option<Vec<OpenedSet>> = protocol
        .rotation_sets()
        .par_iter()
        .map(|set| {
            let members: Option<Vec<&[Fr]>> = set.polynomials.iter().map(|&p| polynomials.get(p)).collect();
            Some(OpenedSet::new(points(&set.rotations), combine(&members?, zeta)))
        })
        .collect();
    let sets = sets.ok_or_else(incomplete)?;

    let quotients: Vec<&[Fr]> = sets.iter().map(|set| set.quotient.as_slice()).collect();
    let w = combine(&quotients, nu);
    transcript.write_point(pk.params.commit(&w).to_affine())?;

    let mu = squeeze(transcript);
    let quotient = final_quotient(&sets, &w, &points(&protocol.rotations()), nu, mu)
        .ok_or_else(|| io::Error::other("a challenge hit the domain"))?;
    transcript.write_point(pk.params.commit(&quotient).to_affine())
}

fn squeeze(transcript: &mut Writer) -> Fr {
    transcript.squeeze_challenge().get_scalar()
}

/// Coefficients of the polynomials that the protocol opens.
struct Polynomials<'a> {
    pk: &'a plonk::ProvingKey<G1Affine>,
    advice: Vec<&'a [Fr]>,
    products: Vec<&'a [Fr]>,
    quotient: Vec<Fr>,
}

impl<'a> Polynomials<'a> {
    /// The words start with the commitments: advice, running products, pieces of the quotient. `None` if one of them is
    /// to nothing known.
    fn new(pk: &'a ProvingKey, committed: &'a Committed, words: &[Word], x: Fr) -> Option<Self> {
        let protocol = pk.verifying_key().protocol();
        let mut points = words.chunks_exact(2);
        let mut take = |count: usize| -> Option<Vec<&'a [Fr]>> {
            let known = |point: &[Word]| Some(committed.get(<&[Word; 2]>::try_from(point).ok()?)?.as_slice());
            (0..count).map(|_| known(points.next()?)).collect()
        };
        let (advice, products) = (take(protocol.advice_columns)?, take(protocol.products())?);
        let quotient = combine(&take(protocol.quotient_pieces)?, x.pow([protocol.n() as u64]));
        Some(Self { pk: &pk.plonk, advice, products, quotient })
    }

    fn get(&self, polynomial: Polynomial) -> Option<&[Fr]> {
        match polynomial {
            Polynomial::Advice(i) => self.advice.get(i).copied(),
            Polynomial::Product(i) => self.products.get(i).copied(),
            Polynomial::Fixed(i) => self.pk.fixed_polys().get(i).map(|poly| poly.values()),
            Polynomial::Sigma(i) => self.pk.permutation().polys().get(i).map(|poly| poly.values()),
            Polynomial::Quotient => Some(&self.quotient),
        }
    }
}

/// A set of polynomials with its points.
struct OpenedSet {
    points: Vec<Fr>,
    /// `P`.
    combined: Vec<Fr>,
    /// `Q`.
    quotient: Vec<Fr>,
    /// `R` in Newton's form: `r_0 + (X - z_0) (r_1 + (X - z_1) (r_2 + ...))` for the points `z`.
    remainders: Vec<Fr>,
}

impl OpenedSet {
    /// Dividing by one point after the other gives the quotient, and Newton's form of the remainder.
    fn new(points: Vec<Fr>, combined: Vec<Fr>) -> Self {
        let mut quotient = combined.clone();
        let remainders = points.iter().map(|&point| divide(&mut quotient, point)).collect();
        Self { points, combined, quotient, remainders }
    }

    /// `R(mu)`.
    fn interpolated(&self, mu: Fr) -> Fr {
        self.points.iter().zip(&self.remainders).rev().fold(Fr::ZERO, |sum, (point, r)| sum * (mu - point) + r)
    }
}

/// `L / (X - mu)`, scaled; `None` if the scale would be one by zero. `points` are those of all sets.
fn final_quotient(sets: &[OpenedSet], w: &[Fr], points: &[Fr], nu: Fr, mu: Fr) -> Option<Vec<Fr>> {
    let difference = |set: &OpenedSet| -> Fr {
        points.iter().filter(|point| !set.points.contains(point)).map(|point| mu - point).product()
    };
    let scale = Option::<Fr>::from(difference(sets.first()?).invert())?;
    let weights = sets.iter().zip(powers(nu)).map(|(set, power)| (scale * power * difference(set), set));
    let constant: Fr = weights.clone().map(|(weight, set)| weight * set.interpolated(mu)).sum();
    let vanishing: Fr = points.iter().map(|point| mu - point).product();

    let mut terms: Vec<(Fr, &[Fr])> = weights.map(|(weight, set)| (weight, set.combined.as_slice())).collect();
    terms.push((-scale * vanishing, w));
    let mut linearised = linear_combination(&terms);
    *linearised.first_mut()? -= constant;
    divide(&mut linearised, mu);
    Some(linearised)
}

/// `1, base, base^2, ...`
fn powers(base: Fr) -> impl Iterator<Item = Fr> + Clone {
    iter::successors(Some(Fr::ONE), move |power| Some(power * base))
}

/// `sum challenge^i polynomials[i]`.
fn combine(polynomials: &[&[Fr]], challenge: Fr) -> Vec<Fr> {
    linear_combination(&powers(challenge).zip(polynomials.iter().copied()).collect::<Vec<_>>())
}

/// The sum of the scaled polynomials.
fn linear_combination(terms: &[(Fr, &[Fr])]) -> Vec<Fr> {
    let len = terms.iter().map(|(_, polynomial)| polynomial.len()).max().unwrap_or(0);
    let coefficient = |i| terms.iter().filter_map(|(scale, polynomial)| Some(*scale * polynomial.get(i)?)).sum();
    (0..len).into_par_iter().with_min_len(MIN_TASK).map(coefficient).collect()
}

/// Divide a polynomial by `X - point`; returns the remainder, its value at the point.
fn divide(polynomial: &mut Vec<Fr>, point: Fr) -> Fr {
    let mut value = Fr::ZERO;
    for coefficient in polynomial.iter_mut().rev() {
        value = value * point + *coefficient;
        *coefficient = value;
    }
    // the quotient's coefficients, above the remainder
    polynomial.drain(..polynomial.len().min(1));
    value
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use halo2_proofs::{
        plonk::create_proof_from_advice,
        poly::{ProverQuery, commitment::Prover, kzg::multiopen::ProverSHPLONK},
        transcript::{Blake2bWrite, Challenge255, TranscriptWriterBuffer},
    };
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;
    use crate::{
        circuit::{ModelCircuit, testing::mlp},
        proof::{
            Srs, Statement, prove,
            record::{NoOpening, ProofParams, RecordingKzg},
            transcript::Challenge,
        },
    };

    /// halo2's own multi-open prover.
    #[derive(Debug)]
    struct Stock<'params>(ProverSHPLONK<'params, Bn256>);

    impl<'params> Prover<'params, Kzg> for Stock<'params> {
        const QUERY_INSTANCE: bool = false;

        fn new(params: &'params ParamsKZG<Bn256>) -> Self {
            Stock(ProverSHPLONK::new(params))
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

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(3)
    }

    #[test]
    fn proofs_are_those_of_the_stock_prover() {
        let model = mlp(&[3, 5, 2], 100, 4);
        let k = ModelCircuit::<Fr>::for_keygen(&model).k;
        let pk = ProvingKey::generate(&model, Srs::embedded(k).unwrap()).unwrap();
        let (input, context) = ([7, -8, 99], [1; 32]);
        let proof = prove(&pk, &model, &input, context, &mut rng()).unwrap();

        let ours = pk.params.kzg();
        let stock = ours.from_parts(k, pk.params.powers().to_vec(), None, ours.g2(), ours.s_g2());
        let circuit = ModelCircuit::<Fr>::new(&model, &model.trace(&input));
        let instances = circuit.instances(&proof.statement.public_values);
        let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
        let statement = Statement { context, public_values: proof.statement.public_values.clone() };
        let mut transcript = Writer::new(pk.verifying_key().protocol(), &statement);
        create_proof_from_advice::<Kzg, Stock<'_>, Challenge, _, _>(
            &stock,
            &pk.plonk,
            &instances,
            vec![circuit.advice()],
            &mut rng(),
            &mut transcript,
        )
        .unwrap();
        assert_eq!(transcript.words(), &proof.words[..proof.words.len() - 1]);
    }

    /// Only the random polynomial's commitment is left out, and all others are recorded.
    #[test]
    fn the_commitment_that_is_not_computed_is_the_random_polynomials() {
        let model = mlp(&[2, 3, 1], 10, 1);
        let k = ModelCircuit::<Fr>::for_keygen(&model).k;
        let pk = ProvingKey::generate(&model, Srs::embedded(k).unwrap()).unwrap();
        let protocol = pk.verifying_key().protocol();
        let trace = model.trace(&[1, 2]);
        let circuit = ModelCircuit::<Fr>::new(&model, &trace);
        let instances = circuit.instances(&model.public_values(&trace));
        let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
        let params = ProofParams::new(&pk.params);
        let mut transcript = Blake2bWrite::<_, G1Affine, Challenge255<_>>::init(Vec::new());
        create_proof_from_advice::<RecordingKzg<'_>, NoOpening, _, _, _>(
            &params,
            &pk.plonk,
            &instances,
            vec![circuit.advice()],
            &mut rng(),
            &mut transcript,
        )
        .unwrap();
        let proof = transcript.finalize();

        use group::GroupEncoding;
        let before = protocol.advice_columns + protocol.products();
        let encoded = |point: &G1Affine| point.to_bytes().as_ref().to_vec();
        let points: Vec<Vec<u8>> =
            proof.chunks(32).take(before + 1 + protocol.quotient_pieces).map(<[u8]>::to_vec).collect();
        assert_eq!(points[before], encoded(&G1Affine::default()));
        let commitments: HashSet<Vec<u8>> =
            params.take_committed().values().map(|poly| encoded(&pk.params.commit(poly).to_affine())).collect();
        let sent: HashSet<Vec<u8>> =
            points.iter().enumerate().filter(|(i, _)| *i != before).map(|(_, p)| p.clone()).collect();
        assert_eq!(commitments, sent);
        assert_eq!(sent.len(), before + protocol.quotient_pieces);
    }

    #[test]
    fn division_leaves_the_value() {
        // X^3 + 2 X + 5 = (X - 3) (X^2 + 3 X + 11) + 38
        let mut polynomial = [5, 2, 0, 1].map(Fr::from).to_vec();
        assert_eq!(divide(&mut polynomial, Fr::from(3)), Fr::from(38));
        assert_eq!(polynomial, [11, 3, 1].map(Fr::from));
        let mut empty = Vec::new();
        assert_eq!((divide(&mut empty, Fr::ONE), empty.len()), (Fr::ZERO, 0));
    }

    #[test]
    fn newtons_form_interpolates() {
        let polynomial: Vec<Fr> = (1..9).map(Fr::from).collect();
        let points = [2, 5, 11].map(Fr::from).to_vec();
        let set = OpenedSet::new(points.clone(), polynomial.clone());
        let value = |poly: &[Fr], x: Fr| poly.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c);
        assert!(points.iter().all(|&x| set.interpolated(x) == value(&polynomial, x)));
        let (x, vanishing) = (Fr::from(77), points.iter().map(|p| Fr::from(77) - p).product::<Fr>());
        assert_eq!(value(&set.quotient, x) * vanishing + set.interpolated(x), value(&polynomial, x));
    }
}
