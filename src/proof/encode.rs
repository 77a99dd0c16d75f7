//! How values look to the EVM: big-endian words of 32 bytes.

use ff::{Field, PrimeField};
use group::prime::PrimeCurveAffine;
use halo2curves::{
    CurveAffine,
    bn256::{Fq, Fr, G1Affine, G2Affine},
};

/// 32 bytes, big-endian.
pub type Word = [u8; 32];

fn word<F: PrimeField<Repr = R>, R: AsRef<[u8]>>(value: &F) -> Word {
    let mut word = [0; 32];
    word.copy_from_slice(value.to_repr().as_ref());
    word.reverse();
    word
}

/// A scalar.
pub fn scalar(value: &Fr) -> Word {
    word(value)
}

/// A point of G1 as `(x, y)`, the identity as `(0, 0)` (EIP-196).
pub fn g1(point: &G1Affine) -> [Word; 2] {
    let coordinates = Option::from(point.coordinates());
    coordinates.map_or([[0; 32]; 2], |c: halo2curves::Coordinates<G1Affine>| [word(c.x()), word(c.y())])
}

/// A point of G2 as `(x_1, x_0, y_1, y_0)`, imaginary parts first (EIP-197).
pub fn g2(point: &G2Affine) -> [Word; 4] {
    [word(&point.x.c1), word(&point.x.c0), word(&point.y.c1), word(&point.y.c0)]
}

/// A public value as the `int256` of the contract: two's complement.
pub fn public_value(value: i128) -> Word {
    let mut word = [if value < 0 { 0xff } else { 0 }; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}

/// The scalar in a word; `None` if it is not below the modulus.
pub fn read_scalar(word: &Word) -> Option<Fr> {
    let mut repr = *word;
    repr.reverse();
    Fr::from_repr(repr).into()
}

/// The point in two words; `None` if a coordinate is not below the modulus or the point is not on the curve.
pub fn read_g1(words: &[Word; 2]) -> Option<G1Affine> {
    let [x, y] = words.map(|mut word| {
        word.reverse();
        Option::<Fq>::from(Fq::from_repr(word))
    });
    let (x, y) = (x?, y?);
    if x == Fq::ZERO && y == Fq::ZERO {
        return Some(G1Affine::identity());
    }
    G1Affine::from_xy(x, y).into()
}

/// The integer in a word as a scalar, reduced modulo the order of the group: what `mod(hash, r)` is to the EVM.
pub fn reduce(word: &Word) -> Fr {
    let mut wide = [0; 64];
    wide[..32].copy_from_slice(word);
    wide[..32].reverse();
    ff::FromUniformBytes::from_uniform_bytes(&wide)
}
