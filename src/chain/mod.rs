//! The Solidity tool chain and the local chain: discovery of solc, anvil and forge, compilation of generated
//! contracts, and an anvil session whose gas figures come from receipts.
//!
//! Everything here blocks; nothing may be called from inside an async runtime.

pub mod anvil;
pub mod error;
pub mod gas;
mod process;
pub mod solc;
pub mod tools;

pub use anvil::{Anvil, AnvilOptions, Deployment, SentTransaction};
pub use error::ChainError;
pub use gas::GasFigures;
pub use solc::{CompileSettings, Compiled, compile};
pub use tools::{Search, Tool};
