//! Importing public ceremony files into Hallmark's own SRS file.
//!
//! Two formats are read: snarkjs `.ptau` (module `ptau`) and halo2 `.srs`, as PSE and EZKL distribute it:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | k, little endian |
//! | 64 or 32, times `2^k` | `[tau^i]_1` |
//! | 64 or 32, times `2^k` | the Lagrange basis, which is not used |
//! | 128 or 64 | `[1]_2` |
//! | 128 or 64 | `[tau]_2` |
//!
//! A halo2 file does not say how its points are written; its length does.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use ff::Field;
use group::Curve;
use halo2curves::bn256::{Fr, G1Affine, G2Affine};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::{
    points::{Encoding, in_g2_subgroup},
    powers::PowersError,
    ptau,
    srs::{MAX_K, Srs, SrsError, SrsOrigin, check_k, too_small},
    srs_file::{CHUNK, SrsInfo, SrsWriter, decode_powers},
};

/// Where a ceremony file has its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) encoding: Encoding,
    /// The file has at least `2^k` powers.
    pub(super) k: u32,
    /// Offset of the first power.
    pub(super) powers: u64,
    /// Offsets of `[1]_2` and `[tau]_2`.
    pub(super) g2: [u64; 2],
}

/// Imports the first `2^k` powers of the ceremony file at `source`, all of them if no k is given, into a file in
/// Hallmark's format at `target`.
///
/// Nothing is written under that name unless every point lies on its curve, the first ones are the generators, `[tau]_2`
/// lies in the subgroup, tau is not 1 and the powers satisfy the pairing equation. Memory does not grow with k.
/// `on_progress` is told powers done and in all.
pub fn import(
    source: &Path,
    target: &Path,
    k: Option<u32>,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<SrsInfo, SrsError> {
    let read_error = |error| SrsError::Read { path: source.to_owned(), source: error };
    let mut file = BufReader::with_capacity(1 << 18, File::open(source).map_err(read_error)?);
    let layout = layout(&mut file, source)?;
    let k = k.unwrap_or(layout.k);
    check_k(k, MAX_K)?;
    if k > layout.k {
        return Err(too_small(source.display(), false, layout.k, k));
    }

    let s_g2 = read_g2(&mut file, &layout, source)?;
    let origin = match (Srs::is_aztec_ignition(&s_g2)?, is_known_secret(&s_g2)) {
        (true, _) => SrsOrigin::AztecIgnition,
        (_, true) => SrsOrigin::Unsafe,
        _ => SrsOrigin::Imported {
            file: source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: hex::encode(sha256(&mut file).map_err(read_error)?),
        },
    };

    let mut writer = SrsWriter::create(target, k, origin, s_g2)?;
    file.seek(SeekFrom::Start(layout.powers)).map_err(read_error)?;
    let count = 1u64 << k;
    let mut bytes = vec![0; CHUNK.min(1 << k) * layout.encoding.g1_len()];
    for start in (0..count).step_by(CHUNK) {
        file.read_exact(&mut bytes).map_err(read_error)?;
        let powers = decode_powers(layout.encoding, &bytes, start).map_err(|index| SrsError::NotOnCurve {
            path: source.to_owned(),
            group: "G1",
            index,
        })?;
        writer.push(&powers)?;
        on_progress((start + CHUNK as u64).min(count), count);
    }
    writer.finish(source)
}

fn layout(file: &mut (impl Read + Seek), path: &Path) -> Result<Layout, SrsError> {
    let read_error = |source| SrsError::Read { path: path.to_owned(), source };
    let len = file.seek(SeekFrom::End(0)).map_err(read_error)?;
    file.rewind().map_err(read_error)?;
    let mut head = Vec::new();
    file.by_ref().take(68).read_to_end(&mut head).map_err(read_error)?;
    if head.starts_with(ptau::MAGIC) {
        return ptau::layout(file, len, path);
    }
    halo2_layout(&head, len, path)
}

/// `head` is the first 68 bytes of the file, fewer if it is shorter.
fn halo2_layout(head: &[u8], len: u64, path: &Path) -> Result<Layout, SrsError> {
    let not_an_srs = || SrsError::NotAnSrs { path: path.to_owned() };
    let (k, points) = head.split_first_chunk::<4>().ok_or_else(not_an_srs)?;
    let k = u32::from_le_bytes(*k);
    if !(1..=MAX_K).contains(&k) {
        return Err(not_an_srs());
    }
    let total = |g1_len: u64, g2_len: u64| 4 + 2 * (g1_len << k) + 2 * g2_len;
    let encodings = [Encoding::Raw, Encoding::Halo2Compressed];
    let expected = |encoding: Encoding| total(encoding.g1_len() as u64, encoding.g2_len() as u64);
    if let Some(encoding) = encodings.into_iter().find(|encoding| expected(*encoding) == len) {
        let g1_len = encoding.g1_len() as u64;
        let g2 = 4 + 2 * (g1_len << k);
        return Ok(Layout { encoding, k, powers: 4, g2: [g2, g2 + encoding.g2_len() as u64] });
    }
    if len == total(96, 192) || len == total(48, 96) {
        return Err(SrsError::WrongCurve { path: path.to_owned(), found: "BLS12-381, by its length".to_owned() });
    }
    // A file of another length that begins with the generator is a cut one.
    let begins = |encoding: &Encoding| {
        points.get(..encoding.g1_len()).and_then(|bytes| encoding.g1(bytes)) == Some(G1Affine::generator())
    };
    match encodings.iter().find(|encoding| begins(encoding)) {
        Some(encoding) => Err(SrsError::Truncated { path: path.to_owned(), expected: expected(*encoding), found: len }),
        None => Err(not_an_srs()),
    }
}

fn read_g2(file: &mut (impl Read + Seek), layout: &Layout, path: &Path) -> Result<G2Affine, SrsError> {
    let mut points = Vec::new();
    for (index, offset) in layout.g2.into_iter().enumerate() {
        let mut bytes = vec![0; layout.encoding.g2_len()];
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| SrsError::Read { path: path.to_owned(), source })?;
        let point = layout.encoding.g2(&bytes);
        let index = index as u64;
        points.push(point.ok_or_else(|| SrsError::NotOnCurve { path: path.to_owned(), group: "G2", index })?);
    }
    let invalid = |source| SrsError::Powers { path: path.to_owned(), source };
    match points.as_slice() {
        [g2, _] if *g2 != G2Affine::generator() => Err(invalid(PowersError::G2Generator)),
        // Said before the powers are read rather than after.
        [_, s_g2] if !in_g2_subgroup(s_g2) => Err(invalid(PowersError::G2Subgroup)),
        [_, s_g2] => Ok(*s_g2),
        _ => Err(invalid(PowersError::TooFew)),
    }
}

/// Whether `[tau]_2` is that of the setup which `halo2-base` and programs like it generate from an all-zero seed: a file
/// with a plausible look, whose secret everybody knows.
fn is_known_secret(s_g2: &G2Affine) -> bool {
    let tau = Fr::random(ChaCha20Rng::from_seed([0; 32]));
    (G2Affine::generator() * tau).to_affine() == *s_g2
}

fn sha256(file: &mut (impl Read + Seek)) -> io::Result<[u8; 32]> {
    file.rewind()?;
    let mut hash = Sha256::new();
    io::copy(file, &mut hash)?;
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::proof::points::{G1_RAW, G2_RAW, write_raw};
    use halo2_proofs::{
        SerdeFormat,
        poly::{commitment::ParamsProver, kzg::commitment::ParamsKZG},
    };
    use halo2curves::bn256::Bn256;
    use tempfile::TempDir;

    const K: u32 = 5;

    fn stock(seed: u64) -> ParamsKZG<Bn256> {
        ParamsKZG::setup(K, ChaCha20Rng::seed_from_u64(seed))
    }

    fn halo2_file(params: &ParamsKZG<Bn256>, format: SerdeFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        params.write_custom(&mut bytes, format).unwrap();
        bytes
    }

    /// A file in snarkjs' layout of power 4, with a section that is none of our business. The secret is that of `params`.
    fn ptau_file(params: &ParamsKZG<Bn256>) -> Vec<u8> {
        let power = K - 1;
        let mut header = 32u32.to_le_bytes().to_vec();
        header.extend(
            hex::decode("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47").unwrap().iter().rev(),
        );
        header.extend(power.to_le_bytes());
        header.extend(28u32.to_le_bytes());
        let mut g1 = Vec::new();
        params.get_g()[..(2 << power) - 1].iter().for_each(|point| write_raw(point, &mut g1));
        let mut g2 = Vec::new();
        // Only the first two points of the section are read.
        (0..1 << (power - 1))
            .for_each(|_| [params.g2(), params.s_g2()].iter().for_each(|point| write_raw(point, &mut g2)));
        let mut file = b"ptau\x01\0\0\0\x04\0\0\0".to_vec();
        for (kind, content) in [(1u32, header), (7, vec![1, 2, 3]), (2, g1), (3, g2)] {
            file.extend(kind.to_le_bytes());
            file.extend((content.len() as u64).to_le_bytes());
            file.extend(content);
        }
        file
    }

    struct Files {
        dir: TempDir,
    }

    impl Files {
        fn new() -> Self {
            Files { dir: tempfile::tempdir().unwrap() }
        }

        fn target(&self) -> PathBuf {
            self.dir.path().join("out.srs")
        }

        fn import(&self, bytes: &[u8], k: Option<u32>) -> Result<SrsInfo, SrsError> {
            let source = self.dir.path().join("ceremony");
            fs::write(&source, bytes).unwrap();
            let result = import(&source, &self.target(), k, |_, _| ());
            assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 1 + usize::from(self.target().exists()));
            result
        }

        fn refuse(&self, bytes: &[u8]) -> SrsError {
            let error = self.import(bytes, None).unwrap_err();
            assert!(!self.target().exists(), "nothing is written under the target's name");
            error
        }
    }

    #[test]
    fn halo2_files_of_every_encoding_are_read() {
        let params = stock(1);
        // Before its version 0.3, halo2curves had the sign in bit 7.
        let mut legacy = halo2_file(&params, SerdeFormat::Processed);
        let (g1_end, points) = (4 + (64 << K), 4..);
        for (offset, len) in (points.step_by(32).map(|offset| (offset, 32)).take_while(|(offset, _)| *offset < g1_end))
            .chain([(g1_end, 64), (g1_end + 64, 64)])
        {
            let flags = &mut legacy[offset + len - 1];
            *flags = (*flags & 0x3f) | ((*flags & 0x40) << 1);
        }
        let modern = halo2_file(&params, SerdeFormat::Processed);
        assert_ne!(legacy, modern);
        for bytes in [halo2_file(&params, SerdeFormat::RawBytes), modern, legacy] {
            let files = Files::new();
            let info = files.import(&bytes, None).unwrap();
            assert_eq!(info.k, K);
            let sha256 = hex::encode(Sha256::digest(&bytes));
            assert_eq!(info.origin, SrsOrigin::Imported { file: "ceremony".to_owned(), sha256 });
            let srs = Srs::read(&files.target(), K).unwrap();
            assert_eq!((srs.g(), srs.s_g2()), (params.get_g(), params.s_g2()));
            assert_eq!((&info.origin, &info.digest), (srs.origin(), &hex::encode(srs.digest())));
            assert_eq!(Srs::info(&files.target()).unwrap(), info);
        }
    }

    #[test]
    fn ptau_files_are_read() {
        let params = stock(2);
        let files = Files::new();
        let mut progress = Vec::new();
        let source = files.dir.path().join("pot4.ptau");
        fs::write(&source, ptau_file(&params)).unwrap();
        let info = import(&source, &files.target(), None, |done, all| progress.push((done, all))).unwrap();
        assert_eq!((info.k, progress.as_slice()), (4, [(16, 16)].as_slice()));
        let srs = Srs::read(&files.target(), 4).unwrap();
        assert_eq!((srs.g(), srs.s_g2()), (&params.get_g()[..16], params.s_g2()));
    }

    #[test]
    fn a_part_is_imported_and_read() {
        let params = stock(3);
        let files = Files::new();
        let bytes = halo2_file(&params, SerdeFormat::RawBytes);
        assert_eq!(files.import(&bytes, Some(3)).unwrap().k, 3);
        assert_eq!(Srs::read(&files.target(), 2).unwrap().g(), &params.get_g()[..4]);
        let error = Srs::read(&files.target(), 4).unwrap_err();
        assert!(matches!(error, SrsError::TooSmall { have_k: 3, need_k: 4, .. }), "{error}");
        let error = files.import(&bytes, Some(K + 1)).unwrap_err();
        assert!(matches!(error, SrsError::TooSmall { have_k: K, .. }), "{error}");
        assert!(matches!(files.import(&bytes, Some(0)), Err(SrsError::KOutOfRange { .. })));
    }

    #[test]
    fn a_setup_whose_secret_is_known_is_marked() {
        let params = ParamsKZG::<Bn256>::setup(K, ChaCha20Rng::from_seed([0; 32]));
        let files = Files::new();
        let info = files.import(&halo2_file(&params, SerdeFormat::RawBytes), None).unwrap();
        assert!(info.origin.is_unsafe());
    }

    #[test]
    fn the_embedded_ceremony_is_recognised() {
        let srs = Srs::embedded(K).unwrap();
        let params = stock(0).from_parts(K, srs.g().to_vec(), None, G2Affine::generator(), srs.s_g2());
        let files = Files::new();
        let info = files.import(&halo2_file(&params, SerdeFormat::RawBytes), None).unwrap();
        assert_eq!((info.origin, info.digest), (SrsOrigin::AztecIgnition, hex::encode(srs.digest())));
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let files = Files::new();
        for bytes in [&b""[..], b"abc", b"{\"input_data\": [[1.0]]}", &[0; 500], &[3, 0, 0, 0, 9, 9], &[0xff; 5000]] {
            let error = files.refuse(bytes);
            assert!(matches!(error, SrsError::NotAnSrs { .. }), "{error}");
        }
        let bls = [K.to_le_bytes().as_slice(), &vec![1; 2 * (96 << K) + 2 * 192]].concat();
        assert!(matches!(files.refuse(&bls), SrsError::WrongCurve { .. }));
        let missing = import(Path::new("no/such.ptau"), &files.target(), None, |_, _| ()).unwrap_err();
        assert!(matches!(missing, SrsError::Read { path, .. } if path.ends_with("no/such.ptau")));
    }

    #[test]
    fn truncated_files_are_refused_by_name() {
        let files = Files::new();
        for bytes in [halo2_file(&stock(1), SerdeFormat::RawBytes), halo2_file(&stock(1), SerdeFormat::Processed)] {
            for len in [70, 1000, bytes.len() - 1] {
                let error = files.refuse(&bytes[..len]);
                let expected = bytes.len() as u64;
                assert!(matches!(error, SrsError::Truncated { expected: e, .. } if e == expected), "{len}: {error}");
            }
        }
        let bytes = ptau_file(&stock(1));
        for len in [4, 11, 12, 23, 24, 60, 100, 500, bytes.len() - 1] {
            let error = files.refuse(&bytes[..len]);
            assert!(matches!(error, SrsError::Truncated { found, .. } if found == len as u64), "{len}: {error}");
        }
    }

    #[test]
    fn every_damaged_point_is_refused_by_name() {
        let files = Files::new();
        let halo2 = halo2_file(&stock(1), SerdeFormat::RawBytes);
        let ptau = ptau_file(&stock(1));
        let g1_section = 12 + (12 + 44) + (12 + 3) + 12;
        for (bytes, powers) in [(&halo2, 4), (&ptau, g1_section)] {
            let mut flipped = bytes.clone();
            flipped[powers + 7 * G1_RAW + 3] ^= 1;
            assert!(matches!(files.refuse(&flipped), SrsError::NotOnCurve { group: "G1", index: 7, .. }));

            let mut infinity = bytes.clone();
            infinity[powers + 9 * G1_RAW..][..G1_RAW].fill(0);
            assert!(matches!(files.refuse(&infinity), SrsError::NotOnCurve { group: "G1", index: 9, .. }));

            let mut swapped = bytes.clone();
            let (a, b) = swapped.split_at_mut(powers + 4 * G1_RAW);
            a[powers + 3 * G1_RAW..].swap_with_slice(&mut b[..G1_RAW]);
            let error = files.refuse(&swapped);
            assert!(matches!(error, SrsError::Powers { source: PowersError::Pairing, .. }), "{error}");

            // The generator taken away from the front: every ratio is still tau.
            let mut shifted = bytes.clone();
            shifted.copy_within(powers + G1_RAW..powers + 16 * G1_RAW, powers);
            let error = files.import(&shifted, Some(3)).unwrap_err();
            assert!(matches!(error, SrsError::Powers { source: PowersError::Generator, .. }), "{error}");
        }
    }

    #[test]
    fn damaged_g2_points_are_refused_by_name() {
        let files = Files::new();
        let params = stock(1);
        let bytes = halo2_file(&params, SerdeFormat::RawBytes);
        let end = bytes.len();
        let with = |offset: usize, point: &G2Affine| {
            let mut raw = Vec::new();
            write_raw(point, &mut raw);
            let mut bytes = bytes.clone();
            bytes[offset..offset + G2_RAW].copy_from_slice(&raw);
            bytes
        };
        let mut flipped = bytes.clone();
        flipped[end - 1] ^= 1;
        assert!(matches!(files.refuse(&flipped), SrsError::NotOnCurve { group: "G2", index: 1, .. }));
        let cases = [
            (end - 2 * G2_RAW, params.s_g2(), PowersError::G2Generator),
            (end - G2_RAW, stock(2).s_g2(), PowersError::Pairing),
            (end - G2_RAW, outside_subgroup(), PowersError::G2Subgroup),
        ];
        for (offset, point, expected) in cases {
            let error = files.refuse(&with(offset, &point));
            assert!(matches!(&error, SrsError::Powers { source, .. } if *source == expected), "{error}");
        }
    }

    fn outside_subgroup() -> G2Affine {
        let point = (0u8..).find_map(|x| {
            let mut bytes = [0; 64];
            bytes[0] = x;
            Encoding::Halo2Compressed.g2(&bytes)
        });
        let point = point.unwrap();
        assert!(!in_g2_subgroup(&point));
        point
    }

    #[test]
    fn a_trivial_secret_is_refused() {
        let (g, g2) = (vec![G1Affine::generator(); 1 << K], G2Affine::generator());
        let params = stock(0).from_parts(K, g.clone(), Some(g), g2, g2);
        let error = Files::new().refuse(&halo2_file(&params, SerdeFormat::RawBytes));
        assert!(matches!(error, SrsError::Powers { source: PowersError::Trivial, .. }), "{error}");
    }

    #[test]
    fn damaged_ptau_sections_are_refused_by_name() {
        let files = Files::new();
        let bytes = ptau_file(&stock(1));
        let with = |offset: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[offset] = value;
            files.refuse(&bytes)
        };
        let header = 12 + 12;
        let second = header + 44;
        let malformed = |error: SrsError, part: &str| {
            assert!(matches!(&error, SrsError::Malformed { detail, .. } if detail.contains(part)), "{error}");
        };
        malformed(with(4, 2), "version 2");
        malformed(with(12, 9), "section 1 is missing");
        malformed(with(second, 1), "section 1 is there twice");
        assert!(matches!(with(header, 48), SrsError::WrongCurve { found, .. } if found.contains("384 bits")));
        assert!(matches!(with(header + 9, 0), SrsError::WrongCurve { .. }));
        malformed(with(header + 36, 3), "power 3");
        malformed(with(header + 36, 77), "power 77");
        malformed(with(8, 3), "section 3 is missing");
        assert!(matches!(with(20, 0xff), SrsError::Truncated { .. }));
    }
}
