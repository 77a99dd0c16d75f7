//! halo2 commitment parameters over monomial powers alone.
//!
//! halo2's own parameters hold a second, Lagrange basis, which takes an FFT over the group (seconds at k = 14) whenever a
//! setup is loaded. [`MonomialParams`] instead turns each polynomial into coefficients before it commits, an FFT over
//! the field, and so costs nothing to load. Commitments are the same points.

use std::io;

use ff::Field;
use halo2_proofs::poly::{
    EvaluationDomain, LagrangeCoeff, Polynomial,
    commitment::{Blind, Params, ParamsProver},
    kzg::{commitment::ParamsKZG, msm::MSMKZG},
};
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{
    msm::msm,
    srs::{Srs, SrsOrigin},
};

/// Parameters for KZG on BN254 as key generation takes them; a proof needs more, see [`super::record`].
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

    /// The same in halo2's form, without its Lagrange basis: `commit_lagrange` on it panics, use it on `self`.
    pub fn kzg(&self) -> &ParamsKZG<Bn256> {
        &self.kzg
    }

    /// The setup's `2^k` powers.
    pub fn powers(&self) -> &[G1Affine] {
        self.kzg.get_g()
    }

    /// The commitment to a polynomial of at most `2^k` coefficients.
    ///
    /// # Panics
    /// If there are more.
    pub fn commit(&self, coefficients: &[Fr]) -> G1 {
        let (len, powers) = (coefficients.len(), self.powers());
        assert!(len <= powers.len(), "a polynomial of {len} coefficients, {} powers", powers.len());
        msm(coefficients, &powers[..len])
    }

    /// Coefficients of the polynomial with these evaluations over the domain of size `2^k`; fewer are filled up with
    /// zeros.
    pub fn coefficients(&self, poly: &Polynomial<Fr, LagrangeCoeff>) -> Vec<Fr> {
        let mut values = poly.values().to_vec();
        values.resize(values.len().max(self.powers().len()), Fr::ZERO);
        self.domain.lagrange_to_coeff(Polynomial::new(values)).into_values()
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

    /// Fewer than `2^k` evaluations are filled up with zeros. KZG does not use blinds.
    fn commit_lagrange(&self, poly: &Polynomial<Fr, LagrangeCoeff>, _: Blind<Fr>) -> G1 {
        self.commit(&self.coefficients(poly))
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

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::poly::Coeff;

    fn params(k: u32) -> MonomialParams {
        MonomialParams::new(Srs::generate_unsafe(k, ChaCha20Rng::seed_from_u64(7)).unwrap())
    }

    #[test]
    fn commitments_are_those_of_the_stock_parameters() {
        const K: u32 = 7;
        let ours = params(K);
        let stock = ours.kzg.from_parts(K, ours.powers().to_vec(), None, ours.kzg.g2(), ours.kzg.s_g2());
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        for len in [1, 5, 1 << K] {
            let values: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
            let lagrange = Polynomial::<Fr, LagrangeCoeff>::new(values.clone());
            assert_eq!(
                ours.commit_lagrange(&lagrange, Blind::default()),
                stock.commit_lagrange(&lagrange, Blind::default())
            );
            let coeff = Polynomial::<Fr, Coeff>::new(values.clone());
            assert_eq!(ours.commit(&values), ParamsProver::commit(&stock, &coeff, Blind::default()));
        }
    }

    #[test]
    fn downsized_parameters_are_those_of_the_truncated_setup() {
        let mut large = params(6);
        large.downsize(4);
        let small = params(4);
        assert_eq!((large.k(), large.n(), large.powers()), (4, 16, small.powers()));
        let poly = Polynomial::<Fr, LagrangeCoeff>::new((0..16).map(Fr::from).collect());
        assert_eq!(large.commit_lagrange(&poly, Blind::default()), small.commit_lagrange(&poly, Blind::default()));
    }
}
