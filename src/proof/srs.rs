//! KZG setups (structured reference strings): on BN254 embedded, imported or generated; on BLS12-381 Ethereum's own.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use halo2curves::{
    bls12_381,
    bn256::{G1Affine, G2Affine},
};
use rand_core::RngCore;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    artifact::ArtifactError,
    curve::{Bls12381, Bn254, Curve, CurveId},
    points::{Encoding, in_g2_subgroup},
    powers::{PowersCheck, PowersError, UnsafeSecret},
};
use crate::fsutil::WriteError;

/// The largest k that the embedded ceremony supports.
pub const EMBEDDED_K: u32 = 14;
/// The largest k that Hallmark handles. It is that of the largest public ceremony files, and the field's FFTs end there.
pub const MAX_K: u32 = 28;
/// The largest k of a generated setup.
pub const MAX_UNSAFE_K: u32 = 24;

/// Provenance: `assets/srs/README.md`.
const AZTEC_IGNITION: &[u8] = include_bytes!("../../assets/srs/bn254-aztec-ignition-k14.bin");
const AZTEC_LENGTH_PREFIX: usize = 8;

/// log2 of the number of powers of Ethereum's KZG ceremony.
pub const ETHEREUM_K: u32 = 12;
/// The powers and `[tau]_2`, compressed. Provenance: `assets/srs/README.md`.
const ETHEREUM_KZG: &[u8] = include_bytes!("../../assets/srs/bls12-381-ethereum-kzg-k12.bin");
const ETHEREUM_G1_LEN: usize = 48;

/// Where a setup comes from, and so whether anyone knows its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SrsOrigin {
    /// The Aztec Ignition ceremony (2019-2020, 176 participants), embedded.
    AztecIgnition,
    /// Ethereum's KZG ceremony on BLS12-381 (EIP-4844; 2023, 141,416 contributions), embedded.
    EthereumKzg,
    /// Imported from a ceremony file that the user chose and vouches for.
    Imported {
        /// The file's name, without its folder.
        file: String,
        /// The file's sha256, in hex.
        sha256: String,
    },
    /// Generated on one machine: whoever made it can forge every proof under it. For tests only.
    Unsafe,
}

impl SrsOrigin {
    /// Whether the secret is known to whoever made the setup.
    pub fn is_unsafe(&self) -> bool {
        matches!(self, SrsOrigin::Unsafe)
    }
}

impl fmt::Display for SrsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SrsOrigin::AztecIgnition => f.write_str("Aztec Ignition ceremony"),
            SrsOrigin::EthereumKzg => f.write_str("Ethereum KZG ceremony"),
            SrsOrigin::Imported { file, sha256 } => write!(f, "imported from {file} (sha256 {sha256})"),
            SrsOrigin::Unsafe => f.write_str("UNSAFE (generated, for tests only)"),
        }
    }
}

/// Why there is no setup to be had.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    #[error("the setup ({setup}) is too small: it supports k = {have_k}, and k = {need_k} is needed; {hint}")]
    TooSmall { setup: String, have_k: u32, need_k: u32, hint: String },
    #[error(
        "Ethereum's KZG ceremony, which BLS12-381 verifiers are bound to, supports k = {have_k}, and k = {need_k} is needed; \
         use `--curve bn254`"
    )]
    EthereumTooSmall { have_k: u32, need_k: u32 },
    #[error("k = {k} is out of range: a setup has k between 1 and {max}")]
    KOutOfRange { k: u32, max: u32 },
    #[error("the embedded setup is damaged: {detail}; reinstall hallmark")]
    Embedded { detail: String },
    #[error("{} is not an SRS: neither a snarkjs .ptau, nor a halo2 .srs, nor hallmark's own format", path.display())]
    NotAnSrs { path: PathBuf },
    #[error("{} is an SRS on another curve ({found}); one on BN254 is needed", path.display())]
    WrongCurve { path: PathBuf, found: String },
    #[error("{} is truncated: it has {found} of {expected} bytes", path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    #[error("{} is not a well-formed {format} file: {detail}", path.display())]
    Malformed { path: PathBuf, format: &'static str, detail: String },
    #[error("{}: {group} point {index} is not a point of the curve other than infinity", path.display())]
    NotOnCurve { path: PathBuf, group: &'static str, index: u64 },
    #[error("{} is not a valid setup: {source}", path.display())]
    Powers { path: PathBuf, source: PowersError },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The powers `[tau^i]_1` for `i < 2^k` of a secret tau that nobody should know, with `[1]_2` and `[tau]_2`.
///
/// A value of this type has passed, or is embedded and has been tested to pass, every check of [`PowersCheck`].
#[derive(Clone)]
pub struct Srs<C: Curve = Bn254> {
    origin: SrsOrigin,
    k: u32,
    g: Vec<C::G1Affine>,
    s_g2: C::G2Affine,
}

impl<C: Curve> fmt::Debug for Srs<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs")
            .field("origin", &self.origin)
            .field("k", &self.k)
            .field("digest", &hex::encode(self.digest()))
            .finish_non_exhaustive()
    }
}

impl Srs {
    /// The first `2^k` powers of the embedded Aztec Ignition ceremony.
    ///
    /// Costs one square root per power, in parallel; the powers are not checked by pairing again.
    pub fn embedded(k: u32) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        if k > EMBEDDED_K {
            return Err(too_small(SrsOrigin::AztecIgnition, false, EMBEDDED_K, k));
        }
        let g = aztec_powers(1 << k)?;
        Ok(Srs { origin: SrsOrigin::AztecIgnition, k, g, s_g2: aztec_s_g2()? })
    }

    /// A setup with a fresh secret drawn from `rng`, marked [`SrsOrigin::Unsafe`]. The same generator state gives the
    /// same setup.
    pub fn generate_unsafe(k: u32, rng: impl RngCore) -> Result<Self, SrsError> {
        check_k(k, MAX_UNSAFE_K)?;
        let secret = UnsafeSecret::random(rng);
        Ok(Srs { origin: SrsOrigin::Unsafe, k, g: secret.powers(0, 1 << k), s_g2: secret.s_g2() })
    }

    /// A setup of `2^k` powers that were read from `path`, if they pass every check.
    pub(super) fn checked(origin: SrsOrigin, g: Vec<G1Affine>, s_g2: G2Affine, path: &Path) -> Result<Self, SrsError> {
        let mut check = PowersCheck::default();
        check.absorb(&g);
        check.finish(&s_g2).map_err(|source| SrsError::Powers { path: path.to_owned(), source })?;
        Ok(Srs { origin, k: g.len().ilog2(), g, s_g2 })
    }

    /// Whether the embedded ceremony has this `[tau]_2`.
    pub(super) fn is_aztec_ignition(s_g2: &G2Affine) -> Result<bool, SrsError> {
        Ok(aztec_s_g2()? == *s_g2)
    }
}

impl Srs<Bls12381> {
    /// The first `2^k` powers of Ethereum's KZG ceremony, which the point evaluation precompile checks openings against.
    ///
    /// Costs one square root per power, in parallel; the powers are not checked by pairing again.
    pub fn ethereum(k: u32) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        if k > ETHEREUM_K {
            return Err(SrsError::EthereumTooSmall { have_k: ETHEREUM_K, need_k: k });
        }
        let powers = ETHEREUM_KZG.get(..ETHEREUM_G1_LEN << k).ok_or_else(|| damaged("it is too short"))?;
        let point = |(index, bytes): (usize, &[u8])| {
            let bytes = bytes.try_into().unwrap_or(&[0; ETHEREUM_G1_LEN]);
            Option::from(bls12_381::G1Affine::from_compressed_unchecked_be(bytes))
                .ok_or_else(|| damaged(&format!("power {index} is not a point of G1")))
        };
        let g = powers.par_chunks_exact(ETHEREUM_G1_LEN).enumerate().map(point).collect::<Result<_, _>>()?;
        Ok(Srs { origin: SrsOrigin::EthereumKzg, k, g, s_g2: ethereum_s_g2()? })
    }
}

impl<C: Curve> Srs<C> {
    /// The setup cut down to its first `2^k` powers.
    ///
    /// # Errors
    /// [`SrsError::TooSmall`] where it has fewer.
    pub fn truncated(mut self, k: u32) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        if k > self.k {
            return Err(too_small(&self.origin, self.origin.is_unsafe(), self.k, k));
        }
        self.g.truncate(1 << k);
        self.k = k;
        Ok(self)
    }

    pub fn origin(&self) -> &SrsOrigin {
        &self.origin
    }

    /// log2 of the number of powers.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// `[tau^i]_1` for `i < 2^k`.
    pub fn g(&self) -> &[C::G1Affine] {
        &self.g
    }

    /// `[tau]_2`.
    pub fn s_g2(&self) -> C::G2Affine {
        self.s_g2
    }

    /// Names the secret, whatever the number of powers: see [`setup_digest`].
    pub fn digest(&self) -> [u8; 32] {
        setup_digest::<C>(&self.s_g2)
    }

    /// Whether a setup with this `[tau]_2` may claim the origin: the embedded ceremonies are known.
    pub(super) fn may_have_origin(s_g2: &C::G2Affine, origin: &SrsOrigin) -> bool {
        let is = |known: Vec<u8>| known == C::to_raw2(s_g2);
        match (origin, C::ID) {
            (SrsOrigin::AztecIgnition, CurveId::Bn254) => aztec_s_g2().is_ok_and(|known| is(Bn254::to_raw2(&known))),
            (SrsOrigin::EthereumKzg, CurveId::Bls12381) => {
                ethereum_s_g2().is_ok_and(|known| is(Bls12381::to_raw2(&known)))
            }
            (SrsOrigin::Imported { .. } | SrsOrigin::Unsafe, CurveId::Bn254) => true,
            _ => false,
        }
    }

    pub(super) fn into_parts(self) -> (SrsOrigin, u32, Vec<C::G1Affine>, C::G2Affine) {
        (self.origin, self.k, self.g, self.s_g2)
    }
}

/// The sha256 of `"hallmark setup bn254 v2"` (or `bls12-381`) and the coordinates of `[tau]_2`, as [`Curve::point2`] has them.
/// tau is fixed by `[tau]_2` and fixes every power, so this names a setup independently of k.
pub fn setup_digest<C: Curve>(s_g2: &C::G2Affine) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("hallmark setup {} v2", C::ID));
    C::point2(s_g2).iter().for_each(|word| hash.update(word));
    hash.finalize().into()
}

pub(super) fn check_k(k: u32, max: u32) -> Result<(), SrsError> {
    match (1..=max).contains(&k) {
        true => Ok(()),
        false => Err(SrsError::KOutOfRange { k, max }),
    }
}

pub(super) fn too_small(setup: impl fmt::Display, is_unsafe: bool, have_k: u32, need_k: u32) -> SrsError {
    let hint = match is_unsafe {
        false => format!(
            "import a public ceremony's file with at least 2^{need_k} powers (a snarkjs .ptau of power {need_k} or more, or a halo2 .srs of \
             k = {need_k} or more): `hallmark srs import FILE`"
        ),
        true => format!("generate a larger one: `hallmark srs generate-unsafe -k {need_k}`"),
    };
    SrsError::TooSmall { setup: setup.to_string(), have_k, need_k, hint }
}

fn aztec_powers(count: usize) -> Result<Vec<G1Affine>, SrsError> {
    let points = AZTEC_IGNITION.get(AZTEC_LENGTH_PREFIX..).unwrap_or_default();
    let len = Encoding::Arkworks.g1_len();
    let points = points.get(..count * len).ok_or_else(|| damaged("it is too short"))?;
    points
        .par_chunks_exact(len)
        .enumerate()
        .map(|(index, bytes)| {
            Encoding::Arkworks.g1(bytes).ok_or_else(|| damaged(&format!("power {index} is not a point of G1")))
        })
        .collect()
}

fn aztec_s_g2() -> Result<G2Affine, SrsError> {
    let start = AZTEC_IGNITION.len().saturating_sub(Encoding::Arkworks.g2_len());
    AZTEC_IGNITION
        .get(start..)
        .and_then(|bytes| Encoding::Arkworks.g2(bytes))
        .filter(in_g2_subgroup)
        .ok_or_else(|| damaged("[tau]_2 is not a point of G2"))
}

/// `[tau]_2` of Ethereum's KZG ceremony.
pub fn ethereum_s_g2() -> Result<bls12_381::G2Affine, SrsError> {
    let bytes = ETHEREUM_KZG.get(ETHEREUM_G1_LEN << ETHEREUM_K..).unwrap_or_default();
    Bls12381::from_raw2(bytes).ok_or_else(|| damaged("[tau]_2 is not a point of G2"))
}

fn damaged(detail: &str) -> SrsError {
    SrsError::Embedded { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::PrimeField;
    use halo2curves::bn256::Fq;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const AZTEC_SHA256: &str = "982f85efbbf429dc0ccacb0ece6f7dcd98b0cb0e43cc999a47fe9a6633f79879";

    #[test]
    fn embedded_file_is_the_documented_one() {
        assert_eq!(hex::encode(Sha256::digest(AZTEC_IGNITION)), AZTEC_SHA256);
    }

    #[test]
    fn all_embedded_powers_satisfy_the_pairing_equation() {
        let count = u64::from_le_bytes(AZTEC_IGNITION[..AZTEC_LENGTH_PREFIX].try_into().unwrap()) as usize;
        assert_eq!(count, 16_387);
        assert_eq!(AZTEC_IGNITION.len(), 8 + 32 * count + 64);
        let powers = aztec_powers(count).unwrap();
        let mut check = PowersCheck::default();
        check.absorb(&powers);
        check.finish(&aztec_s_g2().unwrap()).unwrap();
    }

    /// The digest that crate `ark-srs` publishes for the Aztec ceremony at degree 1,024. Its layout is arkworks'
    /// uncompressed encoding of the powers, an empty map, `[1]_2`, `[tau]_2` and another empty map.
    #[test]
    fn embedded_powers_have_the_published_digest() {
        const PUBLISHED: &str = "0e2a5fb1d9102ee5b06723472b23f4f29f938712251a7b5b75eed4df4049871c";
        const Y_IS_LARGER: u8 = 0x80;
        let coordinates = |x: &[Fq], y: &[Fq], y_is_larger: bool| {
            let mut bytes: Vec<u8> = x.iter().chain(y).flat_map(Fq::to_repr).collect();
            *bytes.last_mut().unwrap() |= if y_is_larger { Y_IS_LARGER } else { 0 };
            bytes
        };
        let g2_bytes = |p: G2Affine| {
            let larger = (p.y.c1, p.y.c0) > (-p.y.c1, -p.y.c0);
            coordinates(&[p.x.c0, p.x.c1], &[p.y.c0, p.y.c1], larger)
        };
        let mut hash = Sha256::new();
        hash.update(1025u64.to_le_bytes());
        for power in aztec_powers(1025).unwrap() {
            hash.update(coordinates(&[power.x], &[power.y], power.y > -power.y));
        }
        hash.update(0u64.to_le_bytes());
        hash.update(g2_bytes(G2Affine::generator()));
        hash.update(g2_bytes(aztec_s_g2().unwrap()));
        hash.update(0u64.to_le_bytes());
        assert_eq!(hex::encode(hash.finalize()), PUBLISHED);
    }

    const ETHEREUM_SHA256: &str = "eb7daf99a45c417546e4c08ddce498b9054027de817eabe419ebdaf42c37c99a";

    /// `e(sum rho^i P_(i+1), [1]_2) = e(sum rho^i P_i, [tau]_2)`, for all embedded powers.
    #[test]
    fn ethereums_powers_satisfy_the_pairing_equation() {
        use crate::proof::{curve::pairings_cancel, msm::msm};
        use group::Curve as _;
        assert_eq!(hex::encode(Sha256::digest(ETHEREUM_KZG)), ETHEREUM_SHA256);
        let srs = Srs::ethereum(ETHEREUM_K).unwrap();
        assert_eq!(srs.g()[0], bls12_381::G1Affine::generator());
        assert!(srs.g().iter().all(|point| bool::from(point.is_torsion_free())));
        let rho = bls12_381::Fr::from(0x9e37_79b9_7f4a_7c15);
        let powers: Vec<_> =
            std::iter::successors(Some(rho), |power| Some(power * rho)).take(srs.g().len() - 1).collect();
        let low = msm::<Bls12381>(&powers, &srs.g()[..powers.len()]).to_affine();
        let high = msm::<Bls12381>(&powers, &srs.g()[1..]).to_affine();
        let generator = bls12_381::G2Affine::generator();
        assert!(pairings_cancel::<Bls12381>(&[(high, generator), (-low, srs.s_g2())]));
        assert!(!pairings_cancel::<Bls12381>(&[(low, generator), (-low, srs.s_g2())]));
        assert!(matches!(Srs::ethereum(13), Err(SrsError::EthereumTooSmall { have_k: 12, need_k: 13 })));
    }

    #[test]
    fn truncations_agree() {
        let large = Srs::embedded(9).unwrap();
        let small = Srs::embedded(5).unwrap();
        assert_eq!(small.g().len(), 32);
        assert_eq!(large.clone().truncated(5).unwrap().g(), small.g());
        assert_eq!(large.digest(), small.digest());
        assert!(matches!(small.truncated(6), Err(SrsError::TooSmall { have_k: 5, need_k: 6, .. })));
    }

    #[test]
    fn sizes_out_of_range_are_named() {
        let error = Srs::embedded(15).unwrap_err();
        assert!(matches!(error, SrsError::TooSmall { have_k: 14, need_k: 15, .. }));
        assert!(error.to_string().contains("hallmark srs import"), "{error}");
        assert!(matches!(Srs::embedded(0), Err(SrsError::KOutOfRange { k: 0, .. })));
        assert!(matches!(Srs::embedded(99), Err(SrsError::KOutOfRange { k: 99, .. })));
        let rng = ChaCha20Rng::seed_from_u64(1);
        assert!(matches!(Srs::generate_unsafe(25, rng), Err(SrsError::KOutOfRange { k: 25, max: 24 })));
    }

    #[test]
    fn generated_setups_are_valid_marked_and_reproducible() {
        let make = |seed| Srs::generate_unsafe(6, ChaCha20Rng::seed_from_u64(seed)).unwrap();
        let srs = make(1);
        assert!(srs.origin().is_unsafe());
        Srs::checked(SrsOrigin::Unsafe, srs.g().to_vec(), srs.s_g2(), Path::new("")).unwrap();
        assert_eq!(srs.g(), make(1).g());
        assert_ne!(srs.digest(), make(2).digest());
        assert_ne!(srs.digest(), Srs::embedded(6).unwrap().digest());
    }
}
