//! Values that a proof says by their digest alone: what is hashed, and how it is packed into words.
//!
//! `docs/visibility.md` has the definition for others who compute digests. A word is `sum 2^shift (x - lo)` over its values, in
//! fields of bits that do not overlap, and every value is in its proved range: the words have one reading. The last word has a
//! *header* above its values, which names them, their scales and their ranges; so a digest is never one of other values, nor one
//! of fewer or more words.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Keccak256};

use super::{IntegerModel, Interval, Output, packing::width};

/// Bits of a word: fewer than those of either curve's order.
pub const WORD_BITS: u32 = 253;

/// Bits of the header, the highest of the last word.
pub const HEADER_BITS: u32 = 128;

/// Names this way to hash, in front of what the header is a hash of.
const SCHEME: &str = "hallmark digest 1";

/// What keeps a digest from being guessed: a number below the order of the curve's group, big-endian. It is a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What has one digest together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Digest {
    /// Features, by index.
    Inputs(Vec<usize>),
    Outputs(Vec<Output>),
}

impl Digest {
    /// What it is a digest of.
    pub fn of(&self) -> &'static str {
        match self {
            Digest::Inputs(_) => "inputs",
            Digest::Outputs(_) => "outputs",
        }
    }
}

/// A value that is hashed, and its place: it is `range.lo + ((word >> shift) mod 2^bits)`.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedValue {
    pub name: String,
    pub scale: f64,
    pub range: Interval,
    /// Where the model has it.
    pub tensor: usize,
    pub element: usize,
    /// Where the words have it.
    pub word: usize,
    pub shift: u32,
    pub bits: u32,
}

/// The words that are hashed.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedWords {
    pub values: Vec<HashedValue>,
    /// How many words there are.
    pub words: usize,
    /// Names the values, above them in the last word.
    pub header: u128,
}

impl HashedWords {
    /// Values in words, lowest bits first: one that does not fit begins another word. The header may take a word of its own.
    fn new(of: &str, mut values: Vec<HashedValue>) -> Self {
        let (mut word, mut taken) = (0, 0);
        for value in &mut values {
            if taken + value.bits > WORD_BITS {
                (word, taken) = (word + 1, 0);
            }
            (value.word, value.shift) = (word, taken);
            taken += value.bits;
        }
        if taken > WORD_BITS - HEADER_BITS {
            word += 1;
        }
        let header = header(of, &values);
        Self { values, words: word + 1, header }
    }

    /// The values of a word.
    pub fn word(&self, word: usize) -> impl Iterator<Item = (usize, &HashedValue)> {
        // words follow each other
        let start = self.values.partition_point(|value| value.word < word);
        self.values.iter().enumerate().skip(start).take_while(move |(_, value)| value.word == word)
    }
}

/// The first bits of the Keccak-256 of a JSON array: the scheme, what is hashed, and of every value its name, scale and range.
fn header(of: &str, values: &[HashedValue]) -> u128 {
    let value = |v: &HashedValue| [v.name.clone(), v.scale.to_string(), v.range.lo.to_string(), v.range.hi.to_string()];
    let schema = serde_json::json!([SCHEME, of, values.iter().map(value).collect::<Vec<_>>()]);
    let hash = Keccak256::digest(schema.to_string().as_bytes());
    hash.iter().take(HEADER_BITS as usize / 8).fold(0, |header, byte| header << 8 | u128::from(*byte))
}

impl IntegerModel {
    /// What is hashed, in words. The digest is one of the model's.
    pub fn hashed(&self, digest: &Digest) -> HashedWords {
        let values = match digest {
            Digest::Inputs(features) => {
                let value = |&element: &usize| {
                    let feature = &self.features[element];
                    place(feature.name.clone(), feature.scale, feature.range, (0, element))
                };
                features.iter().map(value).collect()
            }
            Digest::Outputs(outputs) => {
                let values = outputs.iter().flat_map(|output| {
                    let ranges = self.ranges(output.tensor);
                    let many = ranges.len() > 1;
                    ranges.into_iter().enumerate().map(move |(element, range)| {
                        let name = if many { format!("{}[{element}]", output.name) } else { output.name.clone() };
                        place(name, output.scale, range, (output.tensor, element))
                    })
                });
                values.collect()
            }
        };
        HashedWords::new(digest.of(), values)
    }

    /// Whether the digests of a model read from a file are of what it has: says what is wrong otherwise.
    pub(super) fn validate_digests(&self) -> Result<(), String> {
        let mut before = None;
        for digest in &self.digests {
            // one of inputs, then one of outputs, each at most once
            if before.replace(digest.of()).is_some_and(|before| before >= digest.of()) {
                return Err("its digests are not one of inputs and one of outputs".into());
            }
            let exist = match digest {
                Digest::Inputs(features) => {
                    let mut seen = vec![false; self.features.len()];
                    let mut new = |&i: &usize| seen.get_mut(i).is_some_and(|seen| !std::mem::replace(seen, true));
                    !features.is_empty() && features.iter().all(&mut new)
                }
                Digest::Outputs(outputs) => !outputs.is_empty() && outputs.iter().all(|o| self.has_output(o)),
            };
            if !exist {
                return Err(format!("the {} of a digest do not exist or occur twice", digest.of()));
            }
        }
        Ok(())
    }
}

/// A value without a place yet.
fn place(name: String, scale: f64, range: Interval, (tensor, element): (usize, usize)) -> HashedValue {
    HashedValue { name, scale, range, tensor, element, word: 0, shift: 0, bits: width(range) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::{digest::words, field},
        graph::Feature,
        poseidon::Elements,
    };
    use ff::PrimeField;
    use halo2curves::bn256::Fr;

    fn model(domains: &[(i128, i128)]) -> IntegerModel {
        let feature = |(i, &(lo, hi)): (usize, &(i128, i128))| Feature {
            name: format!("x{i}"),
            scale: 1.0,
            range: Interval { lo, hi },
        };
        let digests = vec![Digest::Inputs((0..domains.len()).collect())];
        IntegerModel { features: domains.iter().enumerate().map(feature).collect(), digests, ..Default::default() }
    }

    fn hashed(domains: &[(i128, i128)]) -> HashedWords {
        let model = model(domains);
        model.hashed(&model.digests[0])
    }

    #[test]
    fn words_are_filled_and_the_header_has_room() {
        let places = |domains: &[(i128, i128)]| {
            let hashed = hashed(domains);
            (hashed.values.iter().map(|v| (v.word, v.shift, v.bits)).collect::<Vec<_>>(), hashed.words)
        };
        let wide = (0, (1 << 100) - 1);
        assert_eq!(places(&[(-5, 5), (3, 3), (0, 1)]), (vec![(0, 0, 4), (0, 4, 0), (0, 4, 1)], 1));
        assert_eq!(places(&[wide, (0, (1 << 25) - 1)]), (vec![(0, 0, 100), (0, 100, 25)], 1));
        assert_eq!(places(&[wide, (0, 1 << 25)]), (vec![(0, 0, 100), (0, 100, 26)], 2));
        assert_eq!(places(&[wide, wide, wide]), (vec![(0, 0, 100), (0, 100, 100), (1, 0, 100)], 2));
    }

    #[test]
    fn the_header_names_what_is_hashed() {
        let header = |change: &dyn Fn(&mut IntegerModel)| {
            let mut model = model(&[(0, 9), (0, 9)]);
            change(&mut model);
            model.hashed(&model.digests[0]).header
        };
        let same = header(&|_| {});
        assert_eq!(same, header(&|model| model.outputs.clear()));
        let outputs = |model: &mut IntegerModel| {
            let output = Output { name: "x".into(), tensor: 0, scale: 1.0 };
            model.digests = vec![Digest::Outputs(vec![output])];
        };
        let changes: [&dyn Fn(&mut IntegerModel); 6] = [
            &|model| model.features[1].name = "y".into(),
            &|model| model.features[1].scale = 2.0,
            &|model| model.features[1].range.hi = 8,
            &|model| model.features[0].range.lo = -1,
            &|model| model.digests = vec![Digest::Inputs(vec![1, 0])],
            &outputs,
        ];
        let mut headers: Vec<u128> = changes.map(header).into();
        headers.push(same);
        headers.sort_unstable();
        headers.dedup();
        assert_eq!(headers.len(), 7);
    }

    #[test]
    fn the_salt_is_not_printed() {
        assert_eq!(format!("{:?}", Salt([7; 32])), "Salt(..)");
    }

    proptest! {
        /// Every value, and the header, is read back from the words.
        #[test]
        fn words_have_one_reading(domains in prop::collection::vec((-1000i128..1000, 0u32..119, any::<u128>()), 1..20)) {
            let bounds: Vec<_> = domains.iter().map(|&(lo, bits, _)| (lo, lo + (1i128 << bits) - 1)).collect();
            let values: Vec<i128> =
                domains.iter().map(|&(lo, bits, draw)| lo + (draw % (1 << bits)) as i128).collect();
            let hashed = hashed(&bounds);
            let elements: Vec<Fr> = values.iter().map(|&value| field(value)).collect();
            let words = words(&mut Elements, &hashed, &elements);
            prop_assert_eq!(words.len(), hashed.words);
            let bit = |word: usize, bit: u32| words[word].to_repr().as_ref()[bit as usize / 8] >> (bit % 8) & 1;
            let read = |word: usize, shift: u32, bits: u32| {
                (0..bits).rev().fold(0u128, |number, i| number << 1 | u128::from(bit(word, shift + i)))
            };
            for (value, hashed) in values.iter().zip(&hashed.values) {
                let field = read(hashed.word, hashed.shift, hashed.bits);
                prop_assert_eq!(hashed.range.lo + field as i128, *value);
            }
            prop_assert_eq!(read(hashed.words - 1, WORD_BITS - HEADER_BITS, HEADER_BITS), hashed.header);
        }
    }
}
