//! The proof system: the KZG setup, commitment parameters, keys, proofs and the files that hold them.

pub mod artifact;
pub mod cost;
pub mod curve;
pub mod encode;
pub mod equations;
mod fft;
pub mod import;
pub mod keys;
pub mod msm;
pub mod opening;
pub mod points;
pub mod powers;
mod processor;
pub mod program;
pub mod protocol;
pub mod prover;
mod ptau;
mod quotient;
pub mod speed;
pub mod srs;
pub mod srs_file;
pub mod transcript;
pub mod verifier;

pub use curve::{Bls12381, Bn254, Curve, CurveId};
pub use keys::{KeyError, ProvingKey, VerifyingKey};
pub use protocol::Protocol;
pub use prover::{Proof, ProveError, Statement, prove, prove_salted};
pub use srs::{Srs, SrsError, SrsOrigin};
pub use verifier::{VerifyError, verify};
