//! The proof system: the KZG setup, commitment parameters, keys, proofs and the files that hold them.

pub mod artifact;
pub mod import;
pub mod params;
pub mod points;
pub mod powers;
mod ptau;
pub mod srs;
pub mod srs_file;
