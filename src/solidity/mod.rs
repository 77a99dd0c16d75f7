//! From the protocol description to Solidity: the verifier contract and its calldata.

pub mod calldata;
mod contract;
mod layout;
mod verifier;
mod yul;

pub use calldata::Calldata;
pub use verifier::{ContractInfo, VerifierError, verifier_source};
