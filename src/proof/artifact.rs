//! The container of Hallmark's binary files.
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `HALLMARK` |
//! | 4 | the kind, in ASCII |
//! | 4 | the version of the kind's format, little endian |
//! | 8 | the payload's length, little endian |
//! | length | the payload |
//! | 32 | the sha256 of everything before it |

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::fsutil::{AtomicFile, WriteError};

const MAGIC: &[u8; 8] = b"HALLMARK";
const HEADER: usize = 24;
const DIGEST: usize = 32;
/// Bytes of a container besides its payload.
pub const OVERHEAD: u64 = (HEADER + DIGEST) as u64;

/// What a binary file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactKind {
    Circuit,
    ProvingKey,
    VerifyingKey,
    Srs,
}

impl ArtifactKind {
    const ALL: [ArtifactKind; 4] =
        [ArtifactKind::Circuit, ArtifactKind::ProvingKey, ArtifactKind::VerifyingKey, ArtifactKind::Srs];

    /// The four bytes that name the kind in a file.
    pub fn tag(self) -> [u8; 4] {
        match self {
            ArtifactKind::Circuit => *b"CIRC",
            ArtifactKind::ProvingKey => *b"PKEY",
            ArtifactKind::VerifyingKey => *b"VKEY",
            ArtifactKind::Srs => *b"SRS_",
        }
    }

    /// The version of the format that is written, and the only one that is read.
    pub fn version(self) -> u32 {
        match self {
            ArtifactKind::Circuit => 3,
            ArtifactKind::ProvingKey | ArtifactKind::VerifyingKey | ArtifactKind::Srs => 1,
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArtifactKind::Circuit => "circuit",
            ArtifactKind::ProvingKey => "proving key",
            ArtifactKind::VerifyingKey => "verifying key",
            ArtifactKind::Srs => "SRS",
        })
    }
}

/// Why a binary file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a hallmark file ({expected} expected)", path.display())]
    NotHallmark { path: PathBuf, expected: ArtifactKind },
    #[error("{} holds a {found}, and a {expected} is expected", path.display())]
    Kind { path: PathBuf, found: String, expected: ArtifactKind },
    #[error(
        "{} holds a {kind} of format version {found}, and this hallmark reads version {supported}; make it again with this hallmark, or use \
         the one that made it",
        path.display()
    )]
    Version { path: PathBuf, kind: ArtifactKind, found: u32, supported: u32 },
    #[error("{} is truncated: it has {found} of {expected} bytes", path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    #[error("{} has bytes after the end of its {kind}", path.display())]
    TrailingBytes { path: PathBuf, kind: ArtifactKind },
    #[error("{} is damaged: its {kind} does not have the sha256 written at its end", path.display())]
    Digest { path: PathBuf, kind: ArtifactKind },
    #[error("{} holds a {kind} that makes no sense: {detail}", path.display())]
    Malformed { path: PathBuf, kind: ArtifactKind, detail: String },
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes a container, whose payload may come in pieces.
pub struct ArtifactWriter<W> {
    writer: W,
    hash: Sha256,
    remaining: u64,
}

impl<W: Write> ArtifactWriter<W> {
    /// Begins a container with a payload of `len` bytes.
    pub fn new(writer: W, kind: ArtifactKind, len: u64) -> io::Result<Self> {
        let mut container = ArtifactWriter { writer, hash: Sha256::new(), remaining: len };
        container.put(MAGIC)?;
        container.put(&kind.tag())?;
        container.put(&kind.version().to_le_bytes())?;
        container.put(&len.to_le_bytes())?;
        Ok(container)
    }

    /// Appends to the payload.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.remaining = self
            .remaining
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the payload is longer than announced"))?;
        self.put(bytes)
    }

    /// Ends the container and gives its writer back.
    pub fn finish(mut self) -> io::Result<W> {
        if self.remaining != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the payload is shorter than announced"));
        }
        self.writer.write_all(&self.hash.finalize())?;
        Ok(self.writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.writer.write_all(bytes)
    }
}

/// Reads a container, whose payload may be taken in pieces. Nothing that is read may be relied upon before
/// [`ArtifactReader::finish`] has checked the digest.
pub struct ArtifactReader<R> {
    reader: R,
    path: PathBuf,
    kind: ArtifactKind,
    hash: Sha256,
    len: u64,
    remaining: u64,
}

impl ArtifactReader<BufReader<File>> {
    /// Opens the file at `path`, which must hold a `kind`.
    pub fn open(path: &Path, kind: ArtifactKind) -> Result<Self, ArtifactError> {
        let error = |source| ArtifactError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        let reader = Self::new(BufReader::with_capacity(1 << 16, file), path, kind)?;
        // Said before a large file is read rather than after.
        if metadata.is_file() && metadata.len() < reader.file_len() {
            return Err(reader.truncated(metadata.len()));
        }
        Ok(reader)
    }
}

impl<R: Read> ArtifactReader<R> {
    /// Reads a container's header; `path` is what errors name.
    pub fn new(reader: R, path: &Path, kind: ArtifactKind) -> Result<Self, ArtifactError> {
        let mut container =
            ArtifactReader { reader, path: path.to_owned(), kind, hash: Sha256::new(), len: 0, remaining: 0 };
        let mut header = Vec::with_capacity(HEADER);
        container
            .reader
            .by_ref()
            .take(HEADER as u64)
            .read_to_end(&mut header)
            .map_err(|source| container.io(source))?;
        let prefix = header.len().min(MAGIC.len());
        if header.get(..prefix) != MAGIC.get(..prefix) {
            return Err(ArtifactError::NotHallmark { path: container.path, expected: kind });
        }
        let Some((tag, version, len)) = parse_header(&header) else {
            return Err(ArtifactError::Truncated {
                path: container.path,
                expected: HEADER as u64,
                found: header.len() as u64,
            });
        };
        if tag != kind.tag() {
            let found = ArtifactKind::ALL.into_iter().find(|other| other.tag() == tag);
            let found =
                found.map_or_else(|| format!("thing of unknown kind {}", tag.escape_ascii()), |kind| kind.to_string());
            return Err(ArtifactError::Kind { path: container.path, found, expected: kind });
        }
        if version != kind.version() {
            let supported = kind.version();
            return Err(ArtifactError::Version { path: container.path, kind, found: version, supported });
        }
        container.hash.update(&header);
        container.len = len;
        container.remaining = len;
        Ok(container)
    }

    /// Length of the payload in bytes, as the header claims it.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next bytes of the payload.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ArtifactError> {
        if buffer.len() as u64 > self.remaining {
            return Err(self.malformed("its parts are longer than the whole"));
        }
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => return Err(self.truncated(HEADER as u64 + (self.len - self.remaining) + filled as u64)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io(source)),
            }
        }
        self.hash.update(&*buffer);
        self.remaining -= buffer.len() as u64;
        Ok(())
    }

    /// Checks the digest of the whole file, reading what is left of the payload, and that nothing follows it.
    pub fn finish(mut self) -> Result<(), ArtifactError> {
        let mut buffer = vec![0; 1 << 16];
        while self.remaining > 0 {
            let len = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
            let (chunk, _) = buffer.split_at_mut(len);
            self.read_exact(chunk)?;
        }
        let mut tail = Vec::new();
        self.reader.by_ref().take(DIGEST as u64 + 1).read_to_end(&mut tail).map_err(|source| self.io(source))?;
        if tail.len() < DIGEST {
            return Err(self.truncated(HEADER as u64 + self.len + tail.len() as u64));
        }
        let digest: [u8; DIGEST] = self.hash.finalize().into();
        if tail.get(..DIGEST) != Some(&digest) {
            return Err(ArtifactError::Digest { path: self.path, kind: self.kind });
        }
        match tail.len() {
            DIGEST => Ok(()),
            _ => Err(ArtifactError::TrailingBytes { path: self.path, kind: self.kind }),
        }
    }

    /// The error for a payload that is intact and wrong.
    pub fn malformed(&self, detail: impl Into<String>) -> ArtifactError {
        ArtifactError::Malformed { path: self.path.clone(), kind: self.kind, detail: detail.into() }
    }

    fn file_len(&self) -> u64 {
        self.len.saturating_add((HEADER + DIGEST) as u64)
    }

    fn truncated(&self, found: u64) -> ArtifactError {
        ArtifactError::Truncated { path: self.path.clone(), expected: self.file_len(), found }
    }

    fn io(&self, source: io::Error) -> ArtifactError {
        ArtifactError::Read { path: self.path.clone(), source }
    }
}

fn parse_header(header: &[u8]) -> Option<([u8; 4], u32, u64)> {
    let (_, rest) = header.split_first_chunk::<8>()?;
    let (tag, rest) = rest.split_first_chunk::<4>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (len, _) = rest.split_first_chunk::<8>()?;
    Some((*tag, u32::from_le_bytes(*version), u64::from_le_bytes(*len)))
}

/// Writes a container with `payload` to `writer`.
pub fn write_container(writer: &mut (impl Write + ?Sized), kind: ArtifactKind, payload: &[u8]) -> io::Result<()> {
    let mut container = ArtifactWriter::new(writer, kind, payload.len() as u64)?;
    container.write(payload)?;
    container.finish()?;
    Ok(())
}

/// Writes a container with `payload` to the file at `path`, atomically.
pub fn write_artifact(path: &Path, kind: ArtifactKind, payload: &[u8]) -> Result<(), ArtifactError> {
    let mut file = AtomicFile::create(path)?;
    if let Err(source) = write_container(&mut file, kind, payload) {
        return Err(file.error(source).into());
    }
    Ok(file.commit()?)
}

/// The payload of the file at `path`, which must hold a `kind`.
pub fn read_artifact(path: &Path, kind: ArtifactKind) -> Result<Vec<u8>, ArtifactError> {
    let mut reader = ArtifactReader::open(path, kind)?;
    // Grows with what is really there: a claimed length is not an allocation.
    let mut payload = Vec::new();
    while reader.remaining > 0 {
        let start = payload.len();
        let step = usize::try_from(reader.remaining).unwrap_or(usize::MAX).min((1 << 20).max(start));
        payload.resize(start + step, 0);
        let (_, chunk) = payload.split_at_mut(start);
        reader.read_exact(chunk)?;
    }
    reader.finish()?;
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sample(dir: &Path) -> (PathBuf, Vec<u8>) {
        let path = dir.join("circuit.bin");
        write_artifact(&path, ArtifactKind::Circuit, &[5; 3000]).unwrap();
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    }

    fn read(path: &Path) -> Result<Vec<u8>, ArtifactError> {
        read_artifact(path, ArtifactKind::Circuit)
    }

    #[test]
    fn round_trips() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0, 1, 1 << 16, (1 << 21) + 7] {
            let path = dir.path().join("key");
            let payload: Vec<u8> = (0..len).map(|i: usize| (i * 31 % 251) as u8).collect();
            write_artifact(&path, ArtifactKind::ProvingKey, &payload).unwrap();
            assert_eq!(read_artifact(&path, ArtifactKind::ProvingKey).unwrap(), payload);
            assert_eq!(fs::metadata(&path).unwrap().len(), (HEADER + DIGEST + len) as u64);
        }
    }

    #[test]
    fn kinds_have_distinct_tags() {
        for (i, a) in ArtifactKind::ALL.iter().enumerate() {
            assert!(ArtifactKind::ALL.iter().skip(i + 1).all(|b| a.tag() != b.tag()));
        }
    }

    #[test]
    fn other_files_kinds_and_versions_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes) = sample(dir.path());
        assert!(matches!(read(&dir.path().join("none")), Err(ArtifactError::Read { .. })));

        fs::write(&path, b"{\"input_data\": []}").unwrap();
        assert!(matches!(read(&path), Err(ArtifactError::NotHallmark { .. })));

        fs::write(&path, &bytes).unwrap();
        let error = read_artifact(&path, ArtifactKind::VerifyingKey).unwrap_err().to_string();
        assert!(error.contains("circuit.bin holds a circuit, and a verifying key is expected"), "{error}");

        let mut unknown = bytes.clone();
        unknown[8..12].copy_from_slice(b"WHAT");
        fs::write(&path, &unknown).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("WHAT"));

        let mut newer = bytes;
        newer[12] = 9;
        fs::write(&path, &newer).unwrap();
        assert!(matches!(read(&path), Err(ArtifactError::Version { found: 9, supported: 3, .. })));
    }

    #[test]
    fn every_truncation_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes) = sample(dir.path());
        for len in (0..60).chain([1000, bytes.len() - DIGEST, bytes.len() - 1]) {
            fs::write(&path, &bytes[..len]).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, ArtifactError::Truncated { found, .. } if found == len as u64), "{len}: {error}");
        }
        fs::write(&path, [bytes.as_slice(), b"x"].concat()).unwrap();
        assert!(matches!(read(&path), Err(ArtifactError::TrailingBytes { .. })));
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes) = sample(dir.path());
        for index in (0..HEADER).chain([HEADER, HEADER + 2999, HEADER + 3000, bytes.len() - 1]) {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1;
            fs::write(&path, &flipped).unwrap();
            let error = read(&path).unwrap_err();
            if index >= HEADER {
                assert!(matches!(error, ArtifactError::Digest { .. }), "{index}: {error}");
            }
        }
    }

    #[test]
    fn a_claimed_length_is_not_allocated() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut bytes) = sample(dir.path());
        for len in [u64::MAX, u64::MAX - 55, 1 << 50] {
            bytes[16..24].copy_from_slice(&len.to_le_bytes());
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(read(&path), Err(ArtifactError::Truncated { .. })));
            // The same where the source's length is not known beforehand.
            let reader = ArtifactReader::new(bytes.as_slice(), &path, ArtifactKind::Circuit).unwrap();
            assert!(matches!(reader.finish(), Err(ArtifactError::Truncated { .. })));
        }
    }
}
