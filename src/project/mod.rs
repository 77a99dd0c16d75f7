//! From an ONNX file to a folder of artifacts, and from the folder to proofs.
//!
//! [`check`] says what is in the way and what it will cost; [`compile`] turns a model, calibration data and a setup into a [`Build`]; [`Build::write`] makes it a folder;
//! [`Project`] opens such a folder, proves and verifies.

mod architecture;
mod audit;
mod check;
mod compile;
mod folder;
mod forecast;
mod foundry;
mod keys;
mod limits;
mod proof_file;
mod report;
mod visibility;

pub use audit::{Audit, AuditOptions, Chosen, PrecisionAudit, Size, audit};
pub use check::{Checked, Columns, ContractForecast, Forecast, SetupForecast, check, check_model};
pub use compile::{Build, CompileOptions, Setup, Stage, compile, contract_name};
pub use folder::Project;
pub use forecast::ProverForecast;
pub use keys::{AnyProvingKey, AnySrs, AnyVerifyingKey};
pub use limits::Limits;
pub use proof_file::{DigestValue, ProofFile, hex_word, parse_context};
pub use visibility::{Alike, Hashed, Names, Seen, Visibility, parse_salt};

use std::path::PathBuf;

use thiserror::Error;

use crate::{
    circuit::NotPeriodic,
    fsutil::{FolderError, WriteError},
    graph::MAX_BITS,
    onnx::OnnxError,
    plan::PlanError,
    problem::Problems,
    proof::{KeyError, ProveError, SrsError, VerifyError, artifact::ArtifactError},
    quant::{DataError, InputError, QuantError},
    solidity::VerifierError,
};

/// Anything that can go wrong between a model and a verified proof.
#[derive(Debug, Error)]
pub enum ProjectError {
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Quant(#[from] QuantError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Layout(#[from] NotPeriodic),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Srs(#[from] SrsError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "the quantised model misses the tolerance of {tolerance:e} of the output range on the calibration data: it is off by \
         {error:e} and {flips} decisions flip; raise --max-error, narrow the input domain, or force a --precision"
    )]
    Tolerance { tolerance: f64, error: f64, flips: usize },
    #[error("the model takes more than is allowed:{problems}")]
    Limits { problems: Problems },
    #[error("there is no {what} \"{name}\"; the model's {what}s are: {}", known.join(", "))]
    NoSuchName { what: &'static str, name: String, known: Vec<String> },
    #[error(
        "the outputs cannot be named {}: each of the model's {} outputs ({}) takes one name of its own, in order",
        given.join(", "), known.len(), known.join(", ")
    )]
    OutputNames { given: Vec<String>, known: Vec<String> },
    #[error("{what} \"{name}\" is named twice; name each once, of the model's {what}s: {}", known.join(", "))]
    NamedTwice { what: &'static str, name: String, known: Vec<String> },
    #[error(
        "no public value is left, so a proof would say nothing; leave an output public, or make one, or an input, public or hashed"
    )]
    NothingPublic,
    #[error(
        "this model's proofs say a digest of its {of}: give the 32 bytes that it is salted with, {option} 0x... or {option} @FILE; \
         `hallmark hash` draws new ones"
    )]
    SaltMissing { of: &'static str, option: &'static str },
    #[error("this model's proofs say no digest of its {of}: leave {option} out, or compile with --hashed-{of}")]
    SaltUnused { of: &'static str, option: &'static str },
    #[error("{option} is not 32 bytes in hex: write 0x and 64 digits, or @ and a file that holds them")]
    Salt { option: &'static str },
    #[error(
        "input \"{name}\" cannot be public: its domain, or how far it is from zero, does not fit into a packed word of 2^{MAX_BITS}; narrow it"
    )]
    PublicInputWidth { name: String },
    #[error(
        "the setup is UNSAFE: whoever generated it can forge proofs; use a ceremony, or --allow-unsafe-srs for tests"
    )]
    UnsafeSetup,
    #[error(
        "{} holds a model with fixed weights, whose contract verifies no other; compile it with --weights committed for one that does",
        path.display()
    )]
    FixedWeights { path: PathBuf },
    #[error("the model is not of the architecture of {}: {detail}; compile it as the first of an architecture of its own", path.display())]
    OtherArchitecture { path: PathBuf, detail: String },
    #[error("this build has no contract for batches: compile for --curve bn254")]
    NoBatchContract,
    #[error("{}: {detail}", path.display())]
    ProofFile { path: PathBuf, detail: String },
    #[error("{} is for the model {found}, this folder holds {expected}", path.display())]
    OtherModel { path: PathBuf, expected: String, found: String },
    #[error("{} does not fit the other files of its folder: {detail}; compile the model again", path.display())]
    Mismatch { path: PathBuf, detail: String },
    #[error("the context \"{text}\" is not 32 bytes in hex: write 0x and 64 digits")]
    Context { text: String },
}
