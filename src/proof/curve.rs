//! The pairing curves that Ethereum has precompiles for, as far as the proof system must know them.

use std::{fmt, str::FromStr};

use ff::{Field, FromUniformBytes, PrimeField, WithSmallOrderMulGroup};
use group::{Group, cofactor::CofactorGroup, prime::PrimeCurveAffine};
use halo2curves::{CurveAffine, bls12_381, bn256, serde::SerdeObject};
use pairing::{MillerLoopResult, MultiMillerLoop};
use serde::{Deserialize, Serialize};

use super::processor::Multiply;

/// 32 bytes, big-endian.
pub type Word = [u8; 32];

/// A curve by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveId {
    /// alt_bn128: EIP-196 and EIP-197.
    Bn254,
    /// EIP-2537, and EIP-4844's point evaluation.
    #[serde(rename = "bls12-381")]
    Bls12381,
}

impl fmt::Display for CurveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CurveId::Bn254 => "bn254",
            CurveId::Bls12381 => "bls12-381",
        })
    }
}

impl FromStr for CurveId {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "bn254" => Ok(CurveId::Bn254),
            "bls12-381" => Ok(CurveId::Bls12381),
            _ => Err(format!("there is no curve \"{name}\": choose bn254 or bls12-381")),
        }
    }
}

/// A pairing curve, with the encodings that proofs, contracts and key files use.
///
/// Points have two encodings of 32-byte big-endian words: as the proof carries them, and, for the last point of a proof,
/// as the precompile of the last check takes it.
pub trait Curve: Clone + Copy + fmt::Debug + Default + PartialEq + Eq + Send + Sync + 'static {
    const ID: CurveId;
    /// Words of a point in a proof.
    const POINT_WORDS: usize;
    /// Words of a proof's last point.
    const LAST_POINT_WORDS: usize;
    /// Bytes of a point in a key file.
    const RAW_BYTES: usize;

    type Scalar: PrimeField<Repr: Into<[u8; 32]> + From<[u8; 32]>>
        + WithSmallOrderMulGroup<3>
        + FromUniformBytes<64>
        + Multiply
        + Ord;
    type Base: Multiply;
    type G1: Group<Scalar = Self::Scalar>
        + group::Curve<AffineRepr = Self::G1Affine>
        + for<'a> std::ops::AddAssign<&'a Self::G1Affine>;
    type G1Affine: CurveAffine<ScalarExt = Self::Scalar, CurveExt = Self::G1, Base = Self::Base>
        + PrimeCurveAffine<Scalar = Self::Scalar, Curve = Self::G1>;
    type G2Affine: PrimeCurveAffine<Scalar = Self::Scalar> + PartialEq;
    type Engine: MultiMillerLoop<Fr = Self::Scalar, G1Affine = Self::G1Affine, G2Affine = Self::G2Affine>;

    /// The coordinates of a point; those of the identity are zero.
    fn coordinates(point: &Self::G1Affine) -> (Self::Base, Self::Base);

    /// A point as a proof carries it; the identity is all zeros.
    fn point(point: &Self::G1Affine) -> Vec<Word>;

    /// The point in [`Self::POINT_WORDS`] words, if it is one, in the subgroup of order r, with reduced coordinates.
    fn read_point(words: &[Word]) -> Option<Self::G1Affine>;

    /// The last point of a proof.
    fn last_point(point: &Self::G1Affine) -> Vec<Word>;

    /// The point in [`Self::LAST_POINT_WORDS`] words, checked as in [`Self::read_point`].
    fn read_last_point(words: &[Word]) -> Option<Self::G1Affine>;

    /// A point of G2 as words for the digest: the coordinates, imaginary parts first.
    fn point2(point: &Self::G2Affine) -> Vec<Word>;

    /// A point for a key file; the identity is not among the points that keys hold.
    fn to_raw(point: &Self::G1Affine) -> Vec<u8>;

    /// A point from a key file; it is checked to lie on the curve.
    fn from_raw(bytes: &[u8]) -> Option<Self::G1Affine>;

    /// A point of G2 for a key file.
    fn to_raw2(point: &Self::G2Affine) -> Vec<u8>;

    /// A point of G2 from a key file, in the subgroup of order r and not the identity.
    fn from_raw2(bytes: &[u8]) -> Option<Self::G2Affine>;
}

/// Whether the product of the pairings is one.
pub fn pairings_cancel<C: Curve>(terms: &[(C::G1Affine, C::G2Affine)]) -> bool {
    let prepared: Vec<_> =
        terms.iter().map(|(g1, g2)| (*g1, <C::Engine as MultiMillerLoop>::G2Prepared::from(*g2))).collect();
    let terms: Vec<_> = prepared.iter().map(|(g1, g2)| (g1, g2)).collect();
    C::Engine::multi_miller_loop(&terms).final_exponentiation().is_identity().into()
}

/// A scalar, or any field element of 32 bytes, as a word.
pub fn scalar_word<F: PrimeField<Repr: Into<[u8; 32]>>>(value: &F) -> Word {
    let mut word: Word = value.to_repr().into();
    word.reverse();
    word
}

/// The scalar in a word; `None` if it is not below the modulus.
pub fn read_scalar<F: PrimeField<Repr: From<[u8; 32]>>>(word: &Word) -> Option<F> {
    let mut repr = *word;
    repr.reverse();
    F::from_repr(repr.into()).into()
}

/// The integer in a word, reduced modulo the order of the group: what `mod(hash, r)` is to the EVM.
pub fn reduce<F: FromUniformBytes<64>>(word: &Word) -> F {
    let mut wide = [0; 64];
    wide[..32].copy_from_slice(word);
    wide[..32].reverse();
    F::from_uniform_bytes(&wide)
}

fn words(bytes: &[u8]) -> Vec<Word> {
    let chunk = |chunk: &[u8]| {
        let mut word = [0; 32];
        word[..chunk.len()].copy_from_slice(chunk);
        word
    };
    bytes.chunks(32).map(chunk).collect()
}

/// alt_bn128: points are `(x, y)`, the identity `(0, 0)` (EIP-196).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bn254;

impl Curve for Bn254 {
    const ID: CurveId = CurveId::Bn254;
    const POINT_WORDS: usize = 2;
    const LAST_POINT_WORDS: usize = 2;
    const RAW_BYTES: usize = 64;

    type Scalar = bn256::Fr;
    type Base = bn256::Fq;
    type G1 = bn256::G1;
    type G1Affine = bn256::G1Affine;
    type G2Affine = bn256::G2Affine;
    type Engine = bn256::Bn256;

    fn coordinates(point: &bn256::G1Affine) -> (bn256::Fq, bn256::Fq) {
        (point.x, point.y)
    }

    fn point(point: &bn256::G1Affine) -> Vec<Word> {
        vec![scalar_word(&point.x), scalar_word(&point.y)]
    }

    fn read_point(words: &[Word]) -> Option<bn256::G1Affine> {
        let [x, y] = words else { return None };
        let (x, y) = (read_scalar(x)?, read_scalar(y)?);
        if x == bn256::Fq::ZERO && y == bn256::Fq::ZERO {
            return Some(bn256::G1Affine::identity());
        }
        bn256::G1Affine::from_xy(x, y).into()
    }

    fn last_point(point: &bn256::G1Affine) -> Vec<Word> {
        Self::point(point)
    }

    fn read_last_point(words: &[Word]) -> Option<bn256::G1Affine> {
        Self::read_point(words)
    }

    fn point2(point: &bn256::G2Affine) -> Vec<Word> {
        [point.x.c1, point.x.c0, point.y.c1, point.y.c0].iter().map(scalar_word).collect()
    }

    fn to_raw(point: &bn256::G1Affine) -> Vec<u8> {
        point.to_raw_bytes()
    }

    fn from_raw(bytes: &[u8]) -> Option<bn256::G1Affine> {
        bn256::G1Affine::from_raw_bytes(bytes)
    }

    fn to_raw2(point: &bn256::G2Affine) -> Vec<u8> {
        point.to_raw_bytes()
    }

    fn from_raw2(bytes: &[u8]) -> Option<bn256::G2Affine> {
        let point = bn256::G2Affine::from_raw_bytes(bytes)?;
        let on_curve = bool::from(point.is_on_curve()) && !bool::from(point.is_identity());
        (on_curve && bool::from(bn256::G2::from(point).is_torsion_free())).then_some(point)
    }
}

/// BLS12-381: points are `x` and `y` of 48 bytes each, without padding, so three words; the identity is all zeros. The last
/// point is compressed as EIP-4844 takes it: 48 bytes, then 16 zero bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bls12381;

impl Curve for Bls12381 {
    const ID: CurveId = CurveId::Bls12381;
    const POINT_WORDS: usize = 3;
    const LAST_POINT_WORDS: usize = 2;
    const RAW_BYTES: usize = 96;

    type Scalar = bls12_381::Fr;
    type Base = bls12_381::Fq;
    type G1 = bls12_381::G1;
    type G1Affine = bls12_381::G1Affine;
    type G2Affine = bls12_381::G2Affine;
    type Engine = bls12_381::Bls12;

    fn coordinates(point: &bls12_381::G1Affine) -> (bls12_381::Fq, bls12_381::Fq) {
        if bool::from(point.is_identity()) {
            return (bls12_381::Fq::ZERO, bls12_381::Fq::ZERO);
        }
        (point.x, point.y)
    }

    fn point(point: &bls12_381::G1Affine) -> Vec<Word> {
        if bool::from(point.is_identity()) {
            return vec![[0; 32]; 3];
        }
        words(&[point.x.to_bytes_be(), point.y.to_bytes_be()].concat())
    }

    fn read_point(words: &[Word]) -> Option<bls12_381::G1Affine> {
        let bytes = words.concat();
        if bytes.len() != 96 {
            return None;
        }
        if bytes.iter().all(|&byte| byte == 0) {
            return Some(bls12_381::G1Affine::identity());
        }
        let point = Self::from_raw(&bytes)?;
        bool::from(point.is_torsion_free()).then_some(point)
    }

    fn last_point(point: &bls12_381::G1Affine) -> Vec<Word> {
        words(&point.to_compressed_be())
    }

    fn read_last_point(words: &[Word]) -> Option<bls12_381::G1Affine> {
        let bytes = words.concat();
        let (point, padding) = bytes.split_first_chunk::<48>()?;
        if padding.len() != 16 || padding.iter().any(|&byte| byte != 0) {
            return None;
        }
        bls12_381::G1Affine::from_compressed_be(point).into()
    }

    fn point2(point: &bls12_381::G2Affine) -> Vec<Word> {
        let bytes = [point.x.c1, point.x.c0, point.y.c1, point.y.c0].map(|c| c.to_bytes_be()).concat();
        words(&bytes)
    }

    fn to_raw(point: &bls12_381::G1Affine) -> Vec<u8> {
        [point.x.to_bytes_be(), point.y.to_bytes_be()].concat()
    }

    fn from_raw(bytes: &[u8]) -> Option<bls12_381::G1Affine> {
        let (x, y) = bytes.split_first_chunk::<48>()?;
        let x = Option::from(bls12_381::Fq::from_bytes_be(x))?;
        let y = Option::from(bls12_381::Fq::from_bytes_be(y.try_into().ok()?))?;
        bls12_381::G1Affine::from_xy(x, y).into()
    }

    fn to_raw2(point: &bls12_381::G2Affine) -> Vec<u8> {
        point.to_compressed_be().to_vec()
    }

    fn from_raw2(bytes: &[u8]) -> Option<bls12_381::G2Affine> {
        let point =
            Option::<bls12_381::G2Affine>::from(bls12_381::G2Affine::from_compressed_be(bytes.try_into().ok()?))?;
        (!bool::from(point.is_identity())).then_some(point)
    }
}
