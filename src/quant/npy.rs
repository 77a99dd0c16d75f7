//! NumPy's files: one array (`.npy`), or several in an archive that is not compressed (`.npz`).

use super::error::DataError;

pub(super) const NPY_MAGIC: &[u8] = b"\x93NUMPY";
/// How an archive starts, with a file or without any.
pub(super) const NPZ_MAGIC: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The longest header that is read: that of an array of numbers has a few hundred bytes.
const MAX_HEADER: usize = 1 << 14;
const MAX_RANK: usize = 32;
/// The largest integer up to which `f64` holds every integer.
const MAX_EXACT: u64 = 1 << 53;

/// An array of finite numbers, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    /// One row per index of the first axis; an array of fewer than two axes is one row.
    pub fn rows(self) -> Vec<Vec<f64>> {
        match self.shape.as_slice() {
            [count, _, ..] => self.data.chunks(self.data.len() / count).map(<[f64]>::to_vec).collect(),
            _ => vec![self.data],
        }
    }
}

fn format(file: &str, reason: impl Into<String>) -> DataError {
    DataError::Format { file: file.into(), reason: reason.into() }
}

/// The unsigned number of `N` little-endian bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let digits: &[u8; N] = bytes.get(at..)?.first_chunk()?;
    digits.iter().rev().try_fold(0usize, |value, &digit| Some(value.checked_mul(256)? + usize::from(digit)))
}

/// Reads an array. `file` is named in errors.
pub(super) fn array(file: &str, bytes: &[u8]) -> Result<Array, DataError> {
    let truncated = || format(file, "the array is truncated");
    let version = *bytes.get(NPY_MAGIC.len()).ok_or_else(truncated)?;
    let (start, len) = match version {
        1 => (10, number::<2>(bytes, 8)),
        2 | 3 => (12, number::<4>(bytes, 8)),
        other => return Err(format(file, format!("version {other} of NumPy's format is not understood"))),
    };
    let len = len.ok_or_else(truncated)?;
    if len > MAX_HEADER {
        return Err(format(file, format!("the array's header has {len} bytes, at most {MAX_HEADER} are read")));
    }
    let header = bytes.get(start..start + len).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| format(file, "the array's header is not text"))?;
    let header = Header::parse(file, header)?;
    let count = header.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if count == Some(0) {
        return Err(DataError::Empty { file: file.into() });
    }
    let (count, size) = (count.unwrap_or(usize::MAX), header.element.size());
    let data = &bytes[start + len..];
    if count.checked_mul(size) != Some(data.len()) {
        let reason =
            format!("an array of shape {:?} and {size} bytes per element has {} bytes", header.shape, data.len());
        return Err(format(file, reason));
    }
    let data = data.chunks_exact(size).map(|digits| header.element.decode(digits)).collect::<Vec<_>>();
    let data = match header.fortran {
        true => transposed(&header.shape, &data),
        false => data,
    };
    let mut values = Vec::with_capacity(count);
    for (i, value) in data.into_iter().enumerate() {
        let place = || format!("element {:?}", place(&header.shape, i));
        let refuse = |found: String| DataError::NotANumber { file: file.into(), location: place(), found };
        values.push(value.map_err(|integer| refuse(format!("{integer}, which is too large to be exact")))?);
        if !values[i].is_finite() {
            return Err(refuse(values[i].to_string()));
        }
    }
    Ok(Array { shape: header.shape, data: values })
}

/// The index of the element `flat`, in row-major order.
fn place(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (axis, &d) in shape.iter().enumerate().rev() {
        index[axis] = flat % d;
        flat /= d;
    }
    index
}

/// Column-major elements in row-major order.
fn transposed<T: Clone>(shape: &[usize], data: &[T]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let source = |i: usize| place(shape, i).iter().zip(&strides).map(|(index, stride)| index * stride).sum::<usize>();
    (0..data.len()).map(|i| data[source(i)].clone()).collect()
}

/// An element type: how it is read, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Element {
    Float32,
    Float64,
    Signed(usize),
    Unsigned(usize),
}

impl Element {
    fn parse(file: &str, name: &str) -> Result<Self, DataError> {
        let refuse = |reason: &str| format(file, format!("the array's element type \"{name}\" {reason}"));
        let (order, kind) = match name.split_at_checked(1) {
            Some((order @ ("<" | "|" | ">"), kind)) => (order, kind),
            _ => return Err(refuse("is not understood")),
        };
        let element = match kind {
            "f4" => Self::Float32,
            "f8" => Self::Float64,
            "i1" | "i2" | "i4" | "i8" => Self::Signed(usize::from(kind.as_bytes()[1] - b'0')),
            "u1" | "u2" | "u4" | "u8" => Self::Unsigned(usize::from(kind.as_bytes()[1] - b'0')),
            "b1" => Self::Unsigned(1),
            _ => return Err(refuse("is none of f4, f8, i1 to i8, u1 to u8 and b1")),
        };
        match order {
            ">" if element.size() > 1 => Err(refuse("is big-endian; convert it to little-endian")),
            _ => Ok(element),
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float64 => 8,
            Self::Signed(size) | Self::Unsigned(size) => size,
        }
    }

    /// The number in `digits`, of which there are [`Self::size`]; an integer that `f64` may not hold is an error.
    fn decode(self, digits: &[u8]) -> Result<f64, i128> {
        let mut wide = [0; 8];
        wide[..digits.len()].copy_from_slice(digits);
        let unsigned = u64::from_le_bytes(wide);
        let unused = 64 - 8 * digits.len() as u32;
        let integer = match self {
            Self::Float32 => return Ok(f32::from_bits(unsigned as u32).into()),
            Self::Float64 => return Ok(f64::from_bits(unsigned)),
            Self::Signed(_) => i128::from((unsigned << unused) as i64 >> unused),
            Self::Unsigned(_) => i128::from(unsigned),
        };
        match integer.unsigned_abs() <= u128::from(MAX_EXACT) {
            true => Ok(integer as f64),
            false => Err(integer),
        }
    }
}

struct Header {
    element: Element,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// The header is a literal such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(file: &str, text: &str) -> Result<Self, DataError> {
        let malformed = || format(file, "the array's header is malformed");
        let body = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(malformed)?;
        let (mut element, mut fortran, mut shape) = (None, None, None);
        let mut rest = body.trim_start();
        while !rest.is_empty() {
            let (key, value) = rest.split_once(':').ok_or_else(malformed)?;
            let value = value.trim_start();
            let (end, next) = match value.chars().next() {
                Some('(') => value.split_once(')').ok_or_else(malformed)?,
                _ => value.split_once(',').unwrap_or((value, "")),
            };
            let again = match key.trim() {
                "'descr'" => {
                    let name = end.trim().strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
                    let reason = "the array's elements are no numbers";
                    element.replace(Element::parse(file, name.ok_or_else(|| format(file, reason))?)?).is_some()
                }
                "'fortran_order'" => {
                    let order = match end.trim() {
                        "True" => true,
                        "False" => false,
                        _ => return Err(malformed()),
                    };
                    fortran.replace(order).is_some()
                }
                "'shape'" => {
                    let list = end.strip_prefix('(').ok_or_else(malformed)?.trim();
                    let list = list.strip_suffix(',').unwrap_or(list);
                    let sizes = list.split(',').filter(|_| !list.is_empty());
                    let sizes: Option<Vec<usize>> = sizes.map(|d| d.trim().parse().ok()).collect();
                    shape.replace(sizes.filter(|s| s.len() <= MAX_RANK).ok_or_else(malformed)?).is_some()
                }
                _ => return Err(malformed()),
            };
            if again {
                return Err(malformed());
            }
            rest = next.trim_start();
            rest = rest.strip_prefix(',').filter(|_| end.starts_with('(')).unwrap_or(rest).trim_start();
        }
        match (element, fortran, shape) {
            (Some(element), Some(fortran), Some(shape)) => Ok(Self { element, fortran, shape }),
            _ => Err(malformed()),
        }
    }
}

/// Reads the arrays of an archive, with their names, in its order.
pub(super) fn archive(file: &str, bytes: &[u8]) -> Result<Vec<(String, Array)>, DataError> {
    let truncated = || format(file, "the archive is truncated or not one that NumPy writes");
    // The directory's end has 22 bytes, behind which there may be a comment.
    let last = bytes.len().checked_sub(22).ok_or_else(truncated)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| bytes[at..].starts_with(b"PK\x05\x06")).ok_or_else(truncated)?;
    let count = number::<2>(bytes, end + 10).ok_or_else(truncated)?;
    let mut at = number::<4>(bytes, end + 16).ok_or_else(truncated)?;
    let mut arrays: Vec<(String, Array)> = vec![];
    let mut room = bytes.len();
    for _ in 0..count {
        let entry = Entry::read(file, bytes, at)?;
        // Entries that overlap could ask for any amount of memory.
        room = room.checked_sub(entry.data.len()).ok_or_else(truncated)?;
        let reason = || format(file, format!("the archive's \"{}\" is no array", entry.name));
        let name = entry.name.strip_suffix(".npy").filter(|_| entry.data.starts_with(NPY_MAGIC)).ok_or_else(reason)?;
        if arrays.iter().any(|(other, _)| other == name) {
            return Err(DataError::DuplicateFeature { file: file.into(), feature: name.into() });
        }
        if checksum(entry.data) != entry.checksum {
            return Err(format(file, format!("the checksum of \"{name}\" is wrong: the archive is damaged")));
        }
        arrays.push((name.into(), array(&format!("{file}, \"{name}\""), entry.data)?));
        at = entry.next;
    }
    Ok(arrays)
}

/// A file of an archive.
struct Entry<'a> {
    name: String,
    data: &'a [u8],
    checksum: u32,
    /// Where the directory goes on.
    next: usize,
}

impl<'a> Entry<'a> {
    fn read(file: &str, bytes: &'a [u8], at: usize) -> Result<Self, DataError> {
        let truncated = || format(file, "the archive is truncated or not one that NumPy writes");
        let record = bytes.get(at..).filter(|r| r.starts_with(b"PK\x01\x02")).ok_or_else(truncated)?;
        let field = |offset: usize| number::<2>(record, offset).ok_or_else(truncated);
        let wide = |offset: usize| number::<4>(record, offset).ok_or_else(truncated);
        let (flags, method, name_len) = (field(8)?, field(10)?, field(28)?);
        let name = record.get(46..46 + name_len).ok_or_else(truncated)?;
        let name = String::from_utf8_lossy(name).into_owned();
        if flags & 1 != 0 || method != 0 {
            let how = if flags & 1 != 0 { "encrypted" } else { "compressed" };
            return Err(format(file, format!("\"{name}\" is {how}; save the arrays with numpy.savez")));
        }
        let (checksum, size, start) = (wide(16)?, wide(24)?, wide(42)?);
        let local = bytes.get(start..).filter(|r| r.starts_with(b"PK\x03\x04")).ok_or_else(truncated)?;
        let extra = |offset: usize| number::<2>(local, offset).ok_or_else(truncated);
        let data = local.get(30 + extra(26)? + extra(28)?..).and_then(|d| d.get(..size)).ok_or_else(truncated)?;
        let next = at + 46 + name_len + field(30)? + field(32)?;
        Ok(Self { name, data, checksum: checksum as u32, next })
    }
}

/// The CRC-32 of archives.
fn checksum(bytes: &[u8]) -> u32 {
    let table: [u32; 256] =
        std::array::from_fn(|i| (0..8).fold(i as u32, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 }));
    !bytes.iter().fold(!0u32, |crc, &byte| table[(crc as u8 ^ byte) as usize] ^ (crc >> 8))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An array as NumPy writes it.
    pub fn npy(element: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let sizes: String = shape.iter().map(|d| format!("{d}, ")).collect();
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{element}', 'fortran_order': {order}, 'shape': ({}), }}\n", sizes.trim_end());
        let mut bytes = [NPY_MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes()].concat();
        bytes.extend(header.bytes().chain(data.iter().copied()));
        bytes
    }

    /// An archive without compression.
    pub fn npz(files: &[(&str, Vec<u8>)], method: u16) -> Vec<u8> {
        let (mut bytes, mut directory) = (vec![], vec![]);
        for (name, data) in files {
            let start = bytes.len() as u32;
            let (size, name_len) = ((data.len() as u32).to_le_bytes(), (name.len() as u16).to_le_bytes());
            let common = [
                &[20, 0, 0, 0][..],
                &method.to_le_bytes(),
                &[0; 4],
                &checksum(data).to_le_bytes(),
                &size,
                &size,
                &name_len,
                &[0, 0],
            ]
            .concat();
            bytes.extend([b"PK\x03\x04", common.as_slice(), name.as_bytes(), data].concat());
            let place = [&[0; 10][..], &start.to_le_bytes()].concat();
            directory.extend([b"PK\x01\x02\x14\x00", common.as_slice(), &place, name.as_bytes()].concat());
        }
        let (count, start) = ((files.len() as u16).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
        let end =
            [b"PK\x05\x06", &[0; 4][..], &count, &count, &(directory.len() as u32).to_le_bytes(), &start, &[0, 0]];
        bytes.extend(directory.into_iter().chain(end.concat()));
        bytes
    }

    fn error(bytes: &[u8]) -> String {
        array("x.npy", bytes).unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn arrays_survive_a_round_trip(
            shape in proptest::collection::vec(1usize..4, 0..4),
            seed in any::<u64>(),
            fortran in any::<bool>(),
        ) {
            let count: usize = shape.iter().product();
            let value = |i: usize| (seed.wrapping_mul(2 * i as u64 + 1) >> 12) as f64 / 1e6 - 1e9;
            let values: Vec<f64> = (0..count).map(value).collect();
            // In column-major order the axes are those of the reverse shape.
            let reverse: Vec<usize> = shape.iter().rev().copied().collect();
            let stored = if fortran { transposed_back(&reverse, &values) } else { values.clone() };
            let data: Vec<u8> = stored.iter().flat_map(|v| v.to_le_bytes()).collect();
            let read = array("x.npy", &npy("<f8", fortran, &shape, &data)).unwrap();
            prop_assert_eq!(read, Array { shape, data: values });
        }

        #[test]
        fn damaged_files_are_no_panic(cut in 0usize..200, at in 0usize..200, byte in any::<u8>()) {
            let one = npy("<i2", false, &[2, 3], &[0; 12]);
            for mut bytes in [npz(&[("x.npy", one.clone())], 0), one] {
                bytes.truncate(bytes.len().saturating_sub(cut));
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
                let _ = array("x.npy", &bytes);
                let _ = archive("x.npz", &bytes);
            }
        }
    }

    /// Row-major elements of the array whose reversed shape is `reverse`, in column-major order.
    fn transposed_back(reverse: &[usize], values: &[f64]) -> Vec<f64> {
        transposed(reverse, values)
    }

    #[test]
    fn every_element_type() {
        let read = |element: &str, data: &[u8]| array("x.npy", &npy(element, false, &[1], data)).unwrap().data[0];
        assert_eq!(read("<f4", &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(read("<f8", &(-0.1f64).to_le_bytes()), -0.1);
        assert_eq!((read("|i1", &[0xff]), read("|u1", &[0xff]), read("|b1", &[1])), (-1.0, 255.0, 1.0));
        assert_eq!((read("<i2", &[0xfe, 0xff]), read("<u2", &[0xfe, 0xff])), (-2.0, 65534.0));
        assert_eq!((read("<i4", &[0xff; 4]), read("<u4", &[0xff; 4])), (-1.0, f64::from(u32::MAX)));
        assert_eq!((read("<i8", &[0xff; 8]), read("<u8", &(1u64 << 53).to_le_bytes())), (-1.0, (1u64 << 53) as f64));
    }

    #[test]
    fn orders_of_elements() {
        let data = [1u8, 2, 3, 4, 5, 6];
        let rows = |fortran| array("x.npy", &npy("|u1", fortran, &[2, 3], &data)).unwrap().rows();
        assert_eq!(rows(false), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!(rows(true), [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]);
        assert_eq!(array("x.npy", &npy("|u1", false, &[], &[7])).unwrap().rows(), [[7.0]]);
    }

    #[test]
    fn malformed_arrays_are_refused_by_name() {
        let with = |element: &str, shape: &[usize], len: usize| error(&npy(element, false, shape, &vec![0xff; len]));
        assert_eq!(with("<f4", &[2, 2], 16), "x.npy: element [0, 0] is NaN; finite numbers are needed");
        assert_eq!(
            with("<u8", &[1], 8),
            "x.npy: element [0] is 18446744073709551615, which is too large to be exact; finite numbers are needed"
        );
        assert_eq!(with("<f4", &[2, 2], 15), "x.npy: an array of shape [2, 2] and 4 bytes per element has 15 bytes");
        assert!(with("<f4", &[usize::MAX, 2], 8).contains("has 8 bytes"));
        assert_eq!(with("<f4", &[usize::MAX, 0], 0), "x.npy holds no samples");
        assert!(with(">f4", &[1], 4).contains("big-endian"));
        for element in ["|O", "<c8", "<f2", "<U3", "f4", ""] {
            assert!(with(element, &[1], 4).contains("element type"), "{element}");
        }
        let mut huge = npy("<f4", false, &[1], &[0; 4]);
        huge[6] = 2;
        huge[8..12].fill(0xff);
        assert!(error(&huge).contains("at most 16384 are read"));
        assert!(error(&npy("<f4", false, &[1], &[0; 4])[..20]).contains("truncated"));
        assert!(error(&npy("<f4', 'descr': '<f4", false, &[1], &[0; 4])).contains("malformed"));
    }

    #[test]
    fn archives_hold_named_arrays() {
        let files = [("a.npy", npy("|u1", false, &[2], &[1, 2])), ("b.npy", npy("|i1", false, &[1], &[0xff]))];
        let arrays = archive("x.npz", &npz(&files, 0)).unwrap();
        assert_eq!(arrays[0], ("a".into(), Array { shape: vec![2], data: vec![1.0, 2.0] }));
        assert_eq!(arrays[1].1.data, [-1.0]);
        let error = |bytes: &[u8]| archive("x.npz", bytes).unwrap_err().to_string();
        assert!(error(&npz(&files, 8)).contains("\"a.npy\" is compressed; save the arrays with numpy.savez"));
        let twice = [files[0].clone(), files[0].clone()];
        assert_eq!(error(&npz(&twice, 0)), "x.npz declares the feature \"a\" twice");
        assert!(error(&npz(&[("a.txt", vec![1])], 0)).contains("\"a.txt\" is no array"));
        let mut damaged = npz(&files, 0);
        let at = 30 + "a.npy".len() + files[0].1.len() - 1;
        damaged[at] ^= 1;
        assert!(error(&damaged).contains("checksum"));
        assert!(error(&npz(&files, 0)[..40]).contains("truncated"));
        let nan = [("a.npy", npy("<f4", false, &[1], &[0xff; 4]))];
        assert_eq!(error(&npz(&nan, 0)), "x.npz, \"a\": element [0] is NaN; finite numbers are needed");
    }
}
