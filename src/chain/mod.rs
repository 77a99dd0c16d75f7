//! The Solidity tool chain and chains: discovery of solc, anvil and forge, compilation of generated contracts, an anvil session whose gas
//! figures come from receipts, and any other chain behind an endpoint: deployment, comparison of contracts, submission of proofs.
//!
//! Everything here blocks; nothing may be called from inside an async runtime.

pub mod anvil;
pub mod call;
pub mod compare;
pub mod deploy;
pub mod error;
pub mod gas;
mod http;
mod process;
pub mod revert;
pub mod rpc;
pub mod solc;
pub mod submit;
pub mod tools;

pub use anvil::{Anvil, AnvilOptions, Deployment, SentTransaction};
pub use error::ChainError;
pub use gas::GasFigures;
pub use revert::KnownErrors;
pub use rpc::{Endpoint, Patience, RpcFailure};
pub use solc::{CompileSettings, Compiled, compile};
pub use tools::{Search, Tool};
