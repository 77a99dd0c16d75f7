//! The layout of snarkjs' `.ptau` files.
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | `ptau` |
//! | 4 | version, 1 |
//! | 4 | number of sections |
//! | … | sections: type (4), length (8), content |
//!
//! Section 1 is the header: n8 (4), the base field's modulus (n8), power (4), ceremony power (4). Section 2 has
//! `2^(power + 1) - 1` powers in G1, section 3 `2^power` in G2. All integers are little endian, points are
//! [`Encoding::Raw`]. The other sections, and those that `prepare phase2` adds, are for Groth16.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    import::Layout,
    points::{Encoding, G1_RAW, G2_RAW},
    srs::{MAX_K, SrsError},
};

pub(super) const MAGIC: &[u8; 4] = b"ptau";

const VERSION: u32 = 1;
const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;

/// BN254's base field, little endian.
const MODULUS: [u8; 32] = [
    0x47, 0xfd, 0x7c, 0xd8, 0x16, 0x8c, 0x20, 0x3c, 0x8d, 0xca, 0x71, 0x68, 0x91, 0x6a, 0x81, 0x97, 0x5d, 0x58, 0x81,
    0x81, 0xb6, 0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];

/// The layout of the file, which is `len` bytes long.
pub(super) fn layout(file: &mut (impl Read + Seek), len: u64, path: &Path) -> Result<Layout, SrsError> {
    let mut sections = Sections { file, len, path };
    sections.seek(MAGIC.len() as u64)?;
    let version = sections.u32()?;
    if version != VERSION {
        return Err(sections.malformed(format!("version {version}, and only version {VERSION} is known")));
    }
    let count = sections.u32()?;
    let (mut header, mut tau_g1, mut tau_g2) = (None, None, None);
    let mut offset = 12;
    for _ in 0..count {
        sections.seek(offset)?;
        let (kind, section_len) = (sections.u32()?, sections.u64()?);
        let start = offset + 12;
        offset = start.saturating_add(section_len);
        if offset > len {
            return Err(SrsError::Truncated { path: path.to_owned(), expected: offset, found: len });
        }
        let slot = match kind {
            HEADER => &mut header,
            TAU_G1 => &mut tau_g1,
            TAU_G2 => &mut tau_g2,
            _ => continue,
        };
        if slot.replace((start, section_len)).is_some() {
            return Err(sections.malformed(format!("section {kind} is there twice")));
        }
    }
    let missing = |kind: u32| format!("section {kind} is missing");
    let (header, _) = header.ok_or_else(|| sections.malformed(missing(HEADER)))?;
    let (tau_g1, tau_g1_len) = tau_g1.ok_or_else(|| sections.malformed(missing(TAU_G1)))?;
    let (tau_g2, tau_g2_len) = tau_g2.ok_or_else(|| sections.malformed(missing(TAU_G2)))?;

    sections.seek(header)?;
    let n8 = sections.u32()?;
    let wrong_curve = || SrsError::WrongCurve {
        path: path.to_owned(),
        found: format!("a base field of {} bits", n8.saturating_mul(8)),
    };
    if n8 as usize != MODULUS.len() {
        return Err(wrong_curve());
    }
    if sections.bytes::<32>()? != MODULUS {
        return Err(SrsError::WrongCurve { path: path.to_owned(), found: "another base field of 256 bits".to_owned() });
    }
    let power = sections.u32()?;
    if !(1..=MAX_K).contains(&power) {
        return Err(sections.malformed(format!("power {power}, which is not between 1 and {MAX_K}")));
    }
    let (g1_count, g2_count) = ((2u64 << power) - 1, 1u64 << power);
    if tau_g1_len != g1_count * G1_RAW as u64 || tau_g2_len != g2_count * G2_RAW as u64 {
        return Err(sections.malformed(format!(
            "sections 2 and 3 have {tau_g1_len} and {tau_g2_len} bytes, and power {power} takes {} and {}",
            g1_count * G1_RAW as u64,
            g2_count * G2_RAW as u64
        )));
    }
    Ok(Layout { encoding: Encoding::Raw, k: power, powers: tau_g1, g2: [tau_g2, tau_g2 + G2_RAW as u64] })
}

struct Sections<'a, F> {
    file: &'a mut F,
    len: u64,
    path: &'a Path,
}

impl<F: Read + Seek> Sections<'_, F> {
    fn seek(&mut self, offset: u64) -> Result<(), SrsError> {
        self.file.seek(SeekFrom::Start(offset)).map(drop).map_err(|source| self.read_error(source))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SrsError> {
        let end = self.file.stream_position().map_err(|source| self.read_error(source))? + N as u64;
        if end > self.len {
            return Err(SrsError::Truncated { path: self.path.to_owned(), expected: end, found: self.len });
        }
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|source| self.read_error(source))?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SrsError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SrsError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn malformed(&self, detail: String) -> SrsError {
        SrsError::Malformed { path: self.path.to_owned(), format: ".ptau", detail }
    }

    fn read_error(&self, source: std::io::Error) -> SrsError {
        SrsError::Read { path: self.path.to_owned(), source }
    }
}
