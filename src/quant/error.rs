//! What can be wrong with data files, domains, inputs and scales, by name.

use std::path::PathBuf;

use thiserror::Error;

use crate::{graph::MAX_BITS, ops::BoundReason};

/// One input of the model that is outside of what was declared.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InputError {
    #[error("the model takes {expected} values, got {found}")]
    Count { expected: usize, found: usize },
    #[error("feature \"{feature}\": {value} is above the declared maximum {bound}")]
    AboveMaximum { feature: String, value: f64, bound: f64 },
    #[error("feature \"{feature}\": {value} is below the declared minimum {bound}")]
    BelowMinimum { feature: String, value: f64, bound: f64 },
    #[error("feature \"{feature}\": {value} is not an integer, but the feature was declared to be one")]
    NotInteger { feature: String, value: f64 },
    #[error("feature \"{feature}\": {value} is not a finite number")]
    NotFinite { feature: String, value: f64 },
}

/// A data or domain file that cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{file} is not valid JSON (which has no NaN or Infinity): {source}")]
    Json { file: String, source: serde_json::Error },
    #[error("{file}: {reason}")]
    Format { file: String, reason: String },
    #[error("{file} holds no samples")]
    Empty { file: String },
    #[error("{file}: {location} is {found}; finite numbers are needed")]
    NotANumber { file: String, location: String, found: String },
    #[error("{file}: {location} has {found} values, the model takes {expected}")]
    Count { file: String, location: String, expected: usize, found: usize },
    #[error("{file}: {location} names \"{feature}\", which is no feature of the model; they are: {}", known.join(", "))]
    UnknownFeature { file: String, location: String, feature: String, known: Vec<String> },
    #[error("{file}: {location} lacks the feature \"{feature}\"")]
    MissingFeature { file: String, location: String, feature: String },
    #[error("{file} declares the feature \"{feature}\" twice")]
    DuplicateFeature { file: String, feature: String },
    #[error("{file}: feature \"{feature}\" has minimum {min} above its maximum {max}")]
    MinAboveMax { file: String, feature: String, min: f64, max: f64 },
    #[error("{file}: integer feature \"{feature}\" has no integer from {min} to {max}")]
    NoInteger { file: String, feature: String, min: f64, max: f64 },
    #[error(
        "{file}: the domain of feature \"{feature}\", from {min} to {max}, leaves what the model's input can hold, {least} to {greatest}; \
         narrow it"
    )]
    BeyondType { file: String, feature: String, min: f64, max: f64, least: f64, greatest: f64 },
    #[error("{file} holds {count} samples where one is wanted; say which, from 0 to {}", count - 1)]
    SeveralSamples { file: String, count: usize },
    #[error("{file} holds {count} samples, there is none with index {index}")]
    NoSuchSample { file: String, index: usize, count: usize },
    #[error("{file}: sample {sample}: {source}")]
    Sample { file: String, sample: usize, source: InputError },
}

/// A model that cannot be quantised.
#[derive(Debug, Error)]
pub enum QuantError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(
        "node \"{node}\", element {element}: with some input of the declared domain it {reason}; \
         narrow the domain or lower the precision (it was {precision} bits)"
    )]
    Bound { node: String, element: usize, reason: BoundReason, precision: f64 },
    #[error(
        "node \"{node}\": {function} is not defined at {value}, which some input of the declared domain reaches; narrow the domain"
    )]
    Undefined { node: String, function: String, value: f64 },
    #[error(
        "node \"{node}\", element {element}: a weight or bias of {value} does not fit its integer type at {precision} bits of \
         precision; lower the precision or scale the model's inputs"
    )]
    Weight { node: String, element: usize, value: f64, precision: f64 },
    #[error(
        "node \"{node}\", element {element}: a weight or bias of {value} is beyond what the architecture leaves room for, {limit}; \
         compile the model as the first of an architecture of its own"
    )]
    BeyondArchitecture { node: String, element: usize, value: f64, limit: f64 },
    #[error(
        "node \"{node}\", element {element}: it has a weight where the architecture's first model has none, or zero; compile the model as the first \
         of an architecture of its own"
    )]
    WeightElsewhere { node: String, element: usize },
    #[error(
        "the model has {nodes} nodes and the architecture's first model {expected}: it has another architecture; compile it as the first of its own"
    )]
    OtherArchitecture { nodes: usize, expected: usize },
    #[error(
        "node \"{node}\": {function} over [{lo}, {hi}] takes too many segments at {precision} bits of precision; \
         narrow the domain or lower the precision"
    )]
    Segments { node: String, function: String, lo: f64, hi: f64, precision: f64 },
    #[error("node \"{node}\" reads an index that is not known to be an integer; cast it to an integer in the model")]
    NotAnInteger { node: String },
    #[error("feature \"{feature}\": its domain does not fit in 2^{MAX_BITS} at scale {scale}")]
    Feature { feature: String, scale: f64 },
    #[error("the model's output is not finite on calibration sample {sample}")]
    NonFiniteOutput { sample: usize },
    #[error("{option} is {value}; it must be {expected}")]
    Option { option: &'static str, value: f64, expected: &'static str },
}

impl QuantError {
    /// The node that it is about. One node of the model may have become several, whose names begin with its own.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Bound { node, .. }
            | Self::Undefined { node, .. }
            | Self::Weight { node, .. }
            | Self::BeyondArchitecture { node, .. }
            | Self::WeightElsewhere { node, .. }
            | Self::Segments { node, .. }
            | Self::NotAnInteger { node } => Some(node),
            Self::Data(_)
            | Self::Feature { .. }
            | Self::OtherArchitecture { .. }
            | Self::NonFiniteOutput { .. }
            | Self::Option { .. } => None,
        }
    }
}
