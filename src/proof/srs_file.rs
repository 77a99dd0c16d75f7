//! Hallmark's own SRS file, the payload of a container of [`ArtifactKind::Srs`].
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | k, little endian |
//! | 4 | the length of the origin, little endian |
//! | length | the [`SrsOrigin`] in JSON |
//! | 32 | the setup's digest, see [`setup_digest`] |
//! | 128 | `[tau]_2`, [`Encoding::Raw`] |
//! | 64 `2^k` | `[tau^i]_1`, [`Encoding::Raw`] |

use std::{
    io::{BufWriter, Read},
    path::{Path, PathBuf},
};

use halo2curves::bn256::{G1Affine, G2Affine};
use rand_core::RngCore;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    artifact::{ArtifactKind, ArtifactReader, ArtifactWriter},
    points::{Encoding, G1_RAW, G2_RAW, write_raw},
    powers::{PowersCheck, UnsafeSecret},
    srs::{MAX_K, MAX_UNSAFE_K, Srs, SrsError, SrsOrigin, check_k, setup_digest, too_small},
};
use crate::fsutil::{AtomicFile, WriteError};

/// Powers handled at a time: 1 MiB of points.
pub(super) const CHUNK: usize = 1 << 14;
/// No origin is longer than a few hundred bytes.
const MAX_ORIGIN: usize = 1 << 16;

/// What the head of an SRS file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SrsInfo {
    pub origin: SrsOrigin,
    /// log2 of the number of powers.
    pub k: u32,
    /// See [`setup_digest`], in hex.
    pub digest: String,
}

/// Writes an SRS file power by power, and gives it its name only if the powers pass every check.
pub(super) struct SrsWriter {
    container: ArtifactWriter<BufWriter<AtomicFile>>,
    check: PowersCheck,
    path: PathBuf,
    s_g2: G2Affine,
    info: SrsInfo,
}

impl SrsWriter {
    pub(super) fn create(path: &Path, k: u32, origin: SrsOrigin, s_g2: G2Affine) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        let file = BufWriter::with_capacity(1 << 18, AtomicFile::create(path)?);
        let write_error = |source| WriteError::new(path, source);
        let json = serde_json::to_vec(&origin).map_err(|error| write_error(error.into()))?;
        let digest = setup_digest::<super::curve::Bn254>(&s_g2);
        let mut head = Vec::with_capacity(256 + json.len());
        head.extend_from_slice(&k.to_le_bytes());
        head.extend_from_slice(&(json.len() as u32).to_le_bytes());
        head.extend_from_slice(&json);
        head.extend_from_slice(&digest);
        write_raw(&s_g2, &mut head);
        let len = head.len() as u64 + (G1_RAW as u64) * (1 << k);
        let mut container = ArtifactWriter::new(file, ArtifactKind::Srs, len).map_err(write_error)?;
        container.write(&head).map_err(write_error)?;
        let info = SrsInfo { origin, k, digest: hex::encode(digest) };
        Ok(SrsWriter { container, check: PowersCheck::default(), path: path.to_owned(), s_g2, info })
    }

    pub(super) fn push(&mut self, powers: &[G1Affine]) -> Result<(), SrsError> {
        self.check.absorb(powers);
        let mut bytes = Vec::with_capacity(powers.len() * G1_RAW);
        powers.iter().for_each(|power| write_raw(power, &mut bytes));
        Ok(self.container.write(&bytes).map_err(|source| WriteError::new(&self.path, source))?)
    }

    /// `source` is the file that a failed check is blamed on.
    pub(super) fn finish(self, source: &Path) -> Result<SrsInfo, SrsError> {
        let SrsWriter { container, check, path, s_g2, info } = self;
        check.finish(&s_g2).map_err(|error| SrsError::Powers { path: source.to_owned(), source: error })?;
        let file = container.finish().map_err(|source| WriteError::new(&path, source))?;
        let file = file.into_inner().map_err(|error| WriteError::new(&path, error.into_error()))?;
        file.commit()?;
        Ok(info)
    }
}

/// Writes a setup of `2^k` powers with a fresh secret drawn from `rng` to `path`, marked [`SrsOrigin::Unsafe`]. The same
/// generator state gives the same file. Memory does not grow with k.
pub fn generate_unsafe_file(
    path: &Path,
    k: u32,
    rng: impl RngCore,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<SrsInfo, SrsError> {
    check_k(k, MAX_UNSAFE_K)?;
    let secret = UnsafeSecret::random(rng);
    let mut writer = SrsWriter::create(path, k, SrsOrigin::Unsafe, secret.s_g2())?;
    let count = 1u64 << k;
    for start in (0..count).step_by(CHUNK) {
        writer.push(&secret.powers(start, CHUNK.min((count - start) as usize)))?;
        on_progress((start + CHUNK as u64).min(count), count);
    }
    writer.finish(path)
}

impl Srs {
    /// Writes the setup in Hallmark's format, atomically.
    pub fn write(&self, path: &Path) -> Result<SrsInfo, SrsError> {
        let mut writer = SrsWriter::create(path, self.k(), self.origin().clone(), self.s_g2())?;
        for powers in self.g().chunks(CHUNK) {
            writer.push(powers)?;
        }
        writer.finish(path)
    }

    /// Reads the first `2^k` powers of a file in Hallmark's format. The whole file's sha256, every point that is used and
    /// the pairing equation on them are checked.
    pub fn read(path: &Path, k: u32) -> Result<Self, SrsError> {
        check_k(k, MAX_K)?;
        let mut reader = ArtifactReader::open(path, ArtifactKind::Srs)?;
        let (info, s_g2) = read_head(&mut reader)?;
        if k > info.k {
            return Err(too_small(path.display(), info.origin.is_unsafe(), info.k, k));
        }
        let count = 1usize << k;
        let mut g: Vec<G1Affine> = Vec::new();
        let mut invalid = None;
        let mut bytes = vec![0; CHUNK.min(count) * G1_RAW];
        while g.len() < count && invalid.is_none() {
            reader.read_exact(&mut bytes)?;
            match decode_powers(Encoding::Raw, &bytes, g.len() as u64) {
                Ok(powers) => g.extend(powers),
                Err(index) => invalid = Some(index),
            }
        }
        // Damage is said before what it did to the points.
        reader.finish()?;
        if let Some(index) = invalid {
            return Err(SrsError::NotOnCurve { path: path.to_owned(), group: "G1", index });
        }
        Srs::checked(info.origin, g, s_g2, path)
    }

    /// What the head of a file in Hallmark's format says, after checking the file's sha256. The powers are not checked by
    /// pairing; [`Srs::read`] does that.
    pub fn info(path: &Path) -> Result<SrsInfo, SrsError> {
        let mut reader = ArtifactReader::open(path, ArtifactKind::Srs)?;
        let (info, _) = read_head(&mut reader)?;
        reader.finish()?;
        Ok(info)
    }
}

/// Decodes consecutive powers, of which the first has the index `start`; the error is the index of a bad one.
pub(super) fn decode_powers(encoding: Encoding, bytes: &[u8], start: u64) -> Result<Vec<G1Affine>, u64> {
    bytes
        .par_chunks_exact(encoding.g1_len())
        .enumerate()
        .map(|(index, bytes)| encoding.g1(bytes).ok_or(start + index as u64))
        .collect()
}

fn read_head<R: Read>(reader: &mut ArtifactReader<R>) -> Result<(SrsInfo, G2Affine), SrsError> {
    let mut sizes = [0; 8];
    reader.read_exact(&mut sizes)?;
    let [k0, k1, k2, k3, l0, l1, l2, l3] = sizes;
    let (k, origin_len) = (u32::from_le_bytes([k0, k1, k2, k3]), u32::from_le_bytes([l0, l1, l2, l3]) as usize);
    if !(1..=MAX_K).contains(&k) || origin_len > MAX_ORIGIN {
        return Err(reader.malformed(format!("k = {k} and an origin of {origin_len} bytes")).into());
    }
    let expected = (8 + origin_len + 32 + G2_RAW) as u64 + (G1_RAW as u64) * (1 << k);
    if reader.len() != expected {
        return Err(reader.malformed(format!("{} bytes for k = {k}, which takes {expected}", reader.len())).into());
    }
    let mut origin = vec![0; origin_len];
    reader.read_exact(&mut origin)?;
    let origin: SrsOrigin =
        serde_json::from_slice(&origin).map_err(|error| reader.malformed(format!("its origin: {error}")))?;
    let mut digest = [0; 32];
    reader.read_exact(&mut digest)?;
    let mut s_g2 = [0; G2_RAW];
    reader.read_exact(&mut s_g2)?;
    let s_g2 = Encoding::Raw.g2(&s_g2).ok_or_else(|| reader.malformed("[tau]_2 is not a point of the curve"))?;
    if digest != setup_digest::<super::curve::Bn254>(&s_g2) {
        return Err(reader.malformed("its setup digest is not that of its [tau]_2").into());
    }
    if origin == SrsOrigin::AztecIgnition && !Srs::is_aztec_ignition(&s_g2)? {
        return Err(reader.malformed("it claims to be the Aztec Ignition ceremony and is not").into());
    }
    Ok((SrsInfo { origin, k, digest: hex::encode(digest) }, s_g2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::{
        artifact::{ArtifactError, read_artifact, write_artifact},
        powers::PowersError,
    };
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::fs;

    const K: u32 = 4;

    fn unsafe_file(dir: &Path) -> (PathBuf, SrsInfo) {
        let path = dir.join("test.srs");
        let info = generate_unsafe_file(&path, K, ChaCha20Rng::seed_from_u64(3), |_, _| ()).unwrap();
        (path, info)
    }

    #[test]
    fn a_written_setup_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aztec.srs");
        let srs = Srs::embedded(K).unwrap();
        let info = srs.write(&path).unwrap();
        let read = Srs::read(&path, K).unwrap();
        assert_eq!((read.origin(), read.g(), read.s_g2()), (srs.origin(), srs.g(), srs.s_g2()));
        assert_eq!(Srs::info(&path).unwrap(), info);
    }

    #[test]
    fn a_generated_file_is_the_generated_setup_and_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let (path, info) = unsafe_file(dir.path());
        assert_eq!(info.origin, SrsOrigin::Unsafe);
        let read = Srs::read(&path, K).unwrap();
        assert!(read.origin().is_unsafe());
        assert_eq!(read.g(), Srs::generate_unsafe(K, ChaCha20Rng::seed_from_u64(3)).unwrap().g());
        assert!(Srs::read(&path, K + 1).unwrap_err().to_string().contains("generate-unsafe"));
        let too_large = generate_unsafe_file(&path, 25, ChaCha20Rng::seed_from_u64(3), |_, _| ());
        assert!(matches!(too_large, Err(SrsError::KOutOfRange { k: 25, .. })));
    }

    #[test]
    fn powers_span_several_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let (k, path) = (15, dir.path().join("large.srs"));
        let mut progress = Vec::new();
        generate_unsafe_file(&path, k, ChaCha20Rng::seed_from_u64(3), |done, all| progress.push((done, all))).unwrap();
        assert_eq!(progress, [(1 << 14, 1 << 15), (1 << 15, 1 << 15)]);
        assert_eq!(Srs::read(&path, k).unwrap().g().len(), 1 << 15);
    }

    /// Damage by accident: the container's sha256 notices, wherever it is.
    #[test]
    fn every_flipped_byte_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = unsafe_file(dir.path());
        let bytes = fs::read(&path).unwrap();
        for index in (24..bytes.len()).step_by(13) {
            let mut flipped = bytes.clone();
            flipped[index] ^= 0x10;
            fs::write(&path, &flipped).unwrap();
            assert!(matches!(Srs::read(&path, K), Err(SrsError::Artifact(_))), "byte {index}");
        }
        fs::write(&path, b"ptau").unwrap();
        assert!(matches!(Srs::read(&path, K), Err(SrsError::Artifact(ArtifactError::NotHallmark { .. }))));
    }

    /// Damage on purpose, in files whose sha256 is right.
    #[test]
    fn every_forged_part_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = unsafe_file(dir.path());
        let payload = read_artifact(&path, ArtifactKind::Srs).unwrap();
        let powers = payload.len() - (G1_RAW << K);
        let forged = |forge: &dyn Fn(&mut Vec<u8>)| {
            let mut payload = payload.clone();
            forge(&mut payload);
            write_artifact(&path, ArtifactKind::Srs, &payload).unwrap();
            Srs::read(&path, K).unwrap_err()
        };
        let malformed = |error: SrsError, part: &str| {
            assert!(
                matches!(&error, SrsError::Artifact(ArtifactError::Malformed { detail, .. }) if detail.contains(part)),
                "{error}"
            );
        };
        malformed(forged(&|bytes| bytes[0] = 200), "k = 200");
        malformed(forged(&|bytes| bytes[0] = 5), "for k = 5");
        malformed(forged(&|bytes| bytes[7] = 200), "origin of");
        malformed(forged(&|bytes| bytes[8] = b'x'), "its origin");
        malformed(forged(&|bytes| bytes[powers - G2_RAW - 1] ^= 1), "setup digest");
        malformed(forged(&|bytes| bytes[powers - 1] ^= 1), "[tau]_2");
        let aztec = br#"{"kind":"aztec-ignition"}"#;
        malformed(
            forged(&|bytes| {
                let old = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
                bytes.splice(8..8 + old, aztec.iter().copied());
                bytes[4..8].copy_from_slice(&(aztec.len() as u32).to_le_bytes());
            }),
            "claims to be the Aztec",
        );
        let error = forged(&|bytes| bytes[powers + 5 * G1_RAW] ^= 1);
        assert!(matches!(error, SrsError::NotOnCurve { index: 5, .. }), "{error}");
        let error = forged(&|bytes| bytes.copy_within(powers..powers + G1_RAW, powers + 3 * G1_RAW));
        assert!(matches!(error, SrsError::Powers { source: PowersError::Pairing, .. }), "{error}");
    }
}
