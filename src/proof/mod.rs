//! The proof system: the KZG setup, commitment parameters, keys, proofs and the files that hold them.

pub mod artifact;
pub mod params;
pub mod points;
pub mod powers;
pub mod srs;
