//! The proof system: the KZG setup, commitment parameters, keys, proofs and the files that hold them.

pub mod artifact;
pub mod encode;
pub mod import;
pub mod keys;
pub mod msm;
pub mod opening;
pub mod params;
pub mod points;
pub mod powers;
pub mod protocol;
pub mod prover;
mod ptau;
mod record;
pub mod srs;
pub mod srs_file;
pub mod transcript;

pub use keys::{KeyError, ProvingKey, VerifyingKey};
pub use protocol::Protocol;
pub use prover::{Proof, ProveError, Statement, VerifyError, prove, verify};
pub use srs::{Srs, SrsError, SrsOrigin};
