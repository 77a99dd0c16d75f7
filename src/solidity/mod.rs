//! The verifier contract and the calldata of its entry points, generated from the protocol description.

mod abi;
mod batch;
mod bls12_381;
mod bn254;
mod calldata;
mod contract;
mod evaluation;
mod layout;
mod opening;
mod suite;
mod typed;
mod typescript;
mod verifier;
mod yul;

pub use abi::arguments;
pub use batch::batch_name;
pub use calldata::Calldata;
pub use suite::{FIXTURE, Suite};
pub use typed::{Interface, TypedInput, TypedOutput, typed_name};
pub use verifier::{ContractInfo, VerifierError, batch_source, verifier_source};
