//! Encodings of BN254 points that setup files use.
//!
//! Every decoder checks that coordinates are reduced and that the point lies on its curve, and refuses the point at
//! infinity, which no setup contains. G1 has cofactor 1, so that is all there is to check there; for G2 see
//! [`in_g2_subgroup`].

use ff::{Field, PrimeField};
use group::cofactor::CofactorGroup;
use halo2curves::{
    CurveAffine,
    bn256::{Fq, Fq2, G1Affine, G2, G2Affine},
    serde::SerdeObject,
};

/// Bytes of a compressed G1 point.
pub const G1_COMPRESSED: usize = 32;
/// Bytes of a compressed G2 point.
pub const G2_COMPRESSED: usize = 64;
/// Bytes of an uncompressed G1 point.
pub const G1_RAW: usize = 64;
/// Bytes of an uncompressed G2 point.
pub const G2_RAW: usize = 128;

const BIT_7: u8 = 0x80;
const BIT_6: u8 = 0x40;

/// How a file writes its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// x and y in Montgomery form (factor 2^256), little endian: snarkjs, halo2 `RawBytes`, Hallmark.
    Raw,
    /// x in standard form, little endian; bit 7 of the last byte says that y is the larger root, bit 6 infinity.
    Arkworks,
    /// x in standard form, little endian; a bit says that y is odd. halo2curves puts it into bit 6 and infinity into
    /// bit 7; its versions before 0.3 put it into bit 7 and had no bit for infinity. Since infinity is refused and both
    /// bits are above the modulus, either is read.
    Halo2Compressed,
}

impl Encoding {
    /// Bytes of a G1 point.
    pub fn g1_len(self) -> usize {
        match self {
            Encoding::Raw => G1_RAW,
            Encoding::Arkworks | Encoding::Halo2Compressed => G1_COMPRESSED,
        }
    }

    /// Bytes of a G2 point.
    pub fn g2_len(self) -> usize {
        match self {
            Encoding::Raw => G2_RAW,
            Encoding::Arkworks | Encoding::Halo2Compressed => G2_COMPRESSED,
        }
    }

    /// The G1 point in `bytes`, if there is a valid one that is not infinity.
    pub fn g1(self, bytes: &[u8]) -> Option<G1Affine> {
        match self {
            Encoding::Raw => raw(bytes),
            Encoding::Arkworks | Encoding::Halo2Compressed => {
                let (x, flags) = split_flags::<G1_COMPRESSED>(bytes)?;
                let x = Option::<Fq>::from(Fq::from_repr(x))?;
                let root = sqrt(&(x.square() * x + G1Affine::b()))?;
                let flip = match self.sign(flags)? {
                    Sign::Larger(larger) => (root > -root) != larger,
                    Sign::Odd(odd) => bool::from(root.is_odd()) != odd,
                };
                affine(x, if flip { -root } else { root })
            }
        }
    }

    /// The point of the G2 *curve* in `bytes`, if there is a valid one that is not infinity. Membership in the
    /// subgroup is not checked.
    pub fn g2(self, bytes: &[u8]) -> Option<G2Affine> {
        match self {
            Encoding::Raw => raw(bytes),
            Encoding::Arkworks | Encoding::Halo2Compressed => {
                let (x, flags) = split_flags::<G2_COMPRESSED>(bytes)?;
                let x = fq2(&x)?;
                let root = Option::<Fq2>::from((x.square() * x + G2Affine::b()).sqrt())?;
                let flip = match self.sign(flags)? {
                    Sign::Larger(larger) => (root.c1, root.c0).gt(&(-root.c1, -root.c0)) != larger,
                    Sign::Odd(odd) => bool::from(root.c0.is_odd()) != odd,
                };
                affine(x, if flip { -root } else { root })
            }
        }
    }

    fn sign(self, flags: u8) -> Option<Sign> {
        match (self, flags & BIT_7 != 0, flags & BIT_6 != 0) {
            (Encoding::Arkworks, larger, false) => Some(Sign::Larger(larger)),
            (Encoding::Halo2Compressed, high, low) if !(high && low) => Some(Sign::Odd(high || low)),
            _ => None,
        }
    }
}

/// Square root by the power `(p + 1) / 4`, as `p = 3 mod 4`. The curve crate's own takes constant time and twice as long,
/// which shows where thousands of public points are read.
fn sqrt(square: &Fq) -> Option<Fq> {
    const EXPONENT: [u64; 4] = [0x4f082305b61f3f52, 0x65e05aa45a1c72a3, 0x6e14116da0605617, 0x0c19139cb84c680a];
    let root = square.pow_vartime(EXPONENT);
    (root.square() == *square).then_some(root)
}

enum Sign {
    Larger(bool),
    Odd(bool),
}

fn split_flags<const N: usize>(bytes: &[u8]) -> Option<([u8; N], u8)> {
    let mut x: [u8; N] = bytes.try_into().ok()?;
    let last = x.last_mut()?;
    let flags = *last & (BIT_7 | BIT_6);
    *last &= !(BIT_7 | BIT_6);
    Some((x, flags))
}

fn fq2(bytes: &[u8; G2_COMPRESSED]) -> Option<Fq2> {
    let (c0, c1) = bytes.split_at(G2_COMPRESSED / 2);
    let c0 = Option::<Fq>::from(Fq::from_repr(c0.try_into().ok()?))?;
    let c1 = Option::<Fq>::from(Fq::from_repr(c1.try_into().ok()?))?;
    Some(Fq2::new(c0, c1))
}

fn affine<C: CurveAffine>(x: C::Base, y: C::Base) -> Option<C> {
    Option::<C>::from(C::from_xy(x, y)).filter(|point| !bool::from(point.is_identity()))
}

fn raw<C: CurveAffine + SerdeObject>(bytes: &[u8]) -> Option<C> {
    let point = C::from_raw_bytes(bytes)?;
    (bool::from(point.is_on_curve()) && !bool::from(point.is_identity())).then_some(point)
}

/// `point` in the form of [`Encoding::Raw`].
pub fn write_raw<C: SerdeObject>(point: &C, out: &mut Vec<u8>) {
    out.extend_from_slice(&point.to_raw_bytes());
}

/// Whether a point of the G2 curve lies in the subgroup of order r. The curve has a cofactor of 254 bits, and a pairing
/// of a point outside says nothing.
pub fn in_g2_subgroup(point: &G2Affine) -> bool {
    G2::from(*point).is_torsion_free().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn square_roots_are_those_of_the_curve_crate() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let values: Vec<Fq> = (0..40).map(|_| Fq::random(&mut rng)).chain([Fq::ZERO, Fq::ONE]).collect();
        assert!(values.iter().any(|value| sqrt(value).is_none()));
        for value in values {
            assert_eq!(sqrt(&value), Option::from(value.sqrt()));
        }
    }

    #[test]
    fn unreduced_infinite_and_contradictory_points_are_refused() {
        let generator = G1Affine::generator();
        let mut raw = Vec::new();
        write_raw(&generator, &mut raw);
        assert_eq!(Encoding::Raw.g1(&raw), Some(generator));
        assert_eq!(Encoding::Raw.g1(&raw[1..]), None);
        assert_eq!(Encoding::Raw.g1(&[0; 64]), None);
        assert_eq!(Encoding::Raw.g1(&[0xff; 64]), None);
        let mut one = [0; 32];
        one[0] = 1;
        for (flags, arkworks, halo2) in [
            (0x00, Some(generator), Some(generator)),
            (0x40, None, Some(-generator)),
            (0x80, Some(-generator), Some(-generator)),
            (0xc0, None, None),
        ] {
            one[31] = flags;
            assert_eq!(
                (Encoding::Arkworks.g1(&one), Encoding::Halo2Compressed.g1(&one)),
                (arkworks, halo2),
                "{flags:x}"
            );
        }
        assert_eq!(Encoding::Arkworks.g1(&[0x3f; 32]), None, "x is not reduced");
        one[31] = 0;
        one[0] = 4;
        assert_eq!(Encoding::Arkworks.g1(&one), None, "x is not on the curve");
    }
}
