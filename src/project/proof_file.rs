//! Proofs as JSON: what `prove` writes, what `verify` and `calldata` read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ProjectError;
use crate::{
    fsutil::write_atomic,
    graph::IntegerModel,
    proof::{Proof, Statement, encode::Word},
};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// One public value, in the contract's units and in the model's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicValue {
    pub name: String,
    /// Decimal.
    pub integer: String,
    /// `integer / scale`.
    pub value: f64,
}

/// A digest, and what it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestValue {
    /// `inputs` or `outputs`.
    pub of: String,
    /// Hex with `0x`, of 32 bytes.
    pub digest: String,
}

/// A proof with its statement, and the model that it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofFile {
    pub format: u32,
    /// The model's name, hex.
    pub model_id: String,
    /// Hex with `0x`.
    pub context: String,
    /// The commitment to the weights, for verifiers that serve an architecture: words in hex with `0x`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    pub outputs: Vec<PublicValue>,
    /// Digests, which the statement has behind the outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<DigestValue>,
    /// Inputs that the statement names, read from the packed words among the outputs; for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_inputs: Vec<PublicValue>,
    /// Words in hex with `0x`.
    pub proof: Vec<String>,
}

/// A word in hex with `0x`.
pub fn hex_word(word: &Word) -> String {
    format!("0x{}", hex::encode(word))
}

/// The word of `0x` and 64 hex digits.
pub(super) fn read_word(text: &str) -> Option<Word> {
    hex::decode(text.strip_prefix("0x")?).ok()?.try_into().ok()
}

/// The 32 bytes of a context given as `0x` and 64 hex digits.
pub fn parse_context(text: &str) -> Result<Word, ProjectError> {
    read_word(text).ok_or_else(|| ProjectError::Context { text: text.into() })
}

impl ProofFile {
    /// Describe a proof of `model`, whose name is `model_id`.
    pub fn new(proof: &Proof, model: &IntegerModel, model_id: String) -> Self {
        let values = proof.statement.public_values.iter().zip(model.public_names());
        let outputs = values.map(|(&integer, (name, scale))| PublicValue {
            name,
            integer: integer.to_string(),
            value: integer as f64 / scale,
        });
        let public_inputs = model.packed_inputs().into_iter().filter_map(|packed| {
            let feature = model.features.get(packed.feature)?;
            let integer = packed.read(feature.range, &proof.statement.public_values)?;
            let (name, value) = (feature.name.clone(), integer as f64 / feature.scale);
            Some(PublicValue { name, integer: integer.to_string(), value })
        });
        let digests = proof.statement.digests.iter().zip(&model.digests);
        let digests = digests.map(|(word, digest)| DigestValue { of: digest.of().into(), digest: hex_word(word) });
        Self {
            format: FORMAT,
            model_id,
            context: hex_word(&proof.statement.context),
            weights: proof.statement.weights.iter().map(hex_word).collect(),
            outputs: outputs.collect(),
            digests: digests.collect(),
            public_inputs: public_inputs.collect(),
            proof: proof.words.iter().map(hex_word).collect(),
        }
    }

    /// Read and parse; `path` is named in errors.
    pub fn read(path: &Path) -> Result<(Self, Proof), ProjectError> {
        let malformed = |detail: String| ProjectError::ProofFile { path: path.into(), detail };
        let text = std::fs::read(path).map_err(|source| ProjectError::Read { path: path.into(), source })?;
        let file: ProofFile =
            serde_json::from_slice(&text).map_err(|error| malformed(format!("it is not a proof file: {error}")))?;
        if file.format != FORMAT {
            let found = file.format;
            return Err(malformed(format!("it has format {found}, and this hallmark reads format {FORMAT}")));
        }
        let word = |text: &String, what: &str| {
            read_word(text).ok_or_else(|| malformed(format!("{what} is not 0x and 64 hex digits: {text:?}")))
        };
        let public_values = file.outputs.iter().map(|output| {
            let text = &output.integer;
            text.parse().map_err(|_| malformed(format!("output \"{}\" is not an integer: {text:?}", output.name)))
        });
        let digests = file.digests.iter().map(|d| word(&d.digest, &format!("the digest of {}", d.of)));
        let weights = file.weights.iter().map(|text| word(text, "a word of the weights"));
        let statement = Statement {
            context: word(&file.context, "the context")?,
            weights: weights.collect::<Result<_, _>>()?,
            public_values: public_values.collect::<Result<_, _>>()?,
            digests: digests.collect::<Result<_, _>>()?,
        };
        let words = file.proof.iter().enumerate().map(|(i, text)| word(text, &format!("proof word {i}")));
        let proof = Proof { statement, words: words.collect::<Result<_, _>>()? };
        Ok((file, proof))
    }

    /// Write atomically.
    pub fn write(&self, path: &Path) -> Result<(), ProjectError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| ProjectError::ProofFile { path: path.into(), detail: error.to_string() })?;
        text.push(b'\n');
        Ok(write_atomic(path, &text)?)
    }
}
