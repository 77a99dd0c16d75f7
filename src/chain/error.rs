//! What can go wrong between a Solidity source and a receipt.

use std::path::PathBuf;

use alloy::{
    primitives::{Address, B256},
    sol_types::decode_revert_reason,
};
use foundry_compilers::error::SolcError;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum ChainError {
    #[error(
        "no solc found; looked at {}; install solc, or run `npm install solc` in this folder, or set FOUNDRY_SOLC to \
         the path of solc",
        .looked.join(", ")
    )]
    SolcNotFound { looked: Vec<String> },

    #[error(
        "no anvil found; looked at {}; install Foundry, or set HALLMARK_ANVIL to the path of anvil",
        .looked.join(", ")
    )]
    AnvilNotFound { looked: Vec<String> },

    #[error(
        "no forge found; looked at {}; install Foundry, or set HALLMARK_FORGE to the path of forge",
        .looked.join(", ")
    )]
    ForgeNotFound { looked: Vec<String> },

    #[error("the compiler {} did not run: {source}", .solc.display())]
    SolcFailed { solc: PathBuf, source: Box<SolcError> },

    #[error("solc {version} rejected the sources:\n{messages}")]
    Compile { version: String, messages: String },

    #[error(
        "`{contract}` names none or several of the compiled contracts ({}); write it as `Name` or `file:Name`",
        .compiled.join(", ")
    )]
    ContractNotFound { contract: String, compiled: Vec<String> },

    #[error("contract `{contract}` has no code to deploy: it is abstract, an interface, or needs a library linked")]
    NoBytecode { contract: String },

    #[error(
        "contract `{contract}` has {bytes} bytes of runtime code, over the limit of {limit} (EIP-170), and cannot be \
         deployed; lower the optimizer runs or choose a plan with fewer columns"
    )]
    ContractTooLarge { contract: String, bytes: usize, limit: usize },

    #[error("port {port} is in use; choose another one, or none to let the system pick")]
    PortInUse { port: u16 },

    #[error("{} did not start: {reason}", .anvil.display())]
    AnvilFailed { anvil: PathBuf, reason: String },

    #[error("{} was not listening after {seconds} s; its standard error: {stderr}", .anvil.display())]
    AnvilTimeout { anvil: PathBuf, seconds: u64, stderr: String },

    #[error("the chain answered {method} with an error: {message}")]
    Rpc { method: &'static str, message: String },

    #[error("transaction {hash} has no receipt after {seconds} s")]
    NoReceipt { hash: B256, seconds: u64 },

    #[error("there is no contract at {address}; deploy it first")]
    NoContract { address: Address },

    #[error("the call reverted with {}", describe_revert(.data))]
    Reverted { data: Vec<u8> },

    #[error("transaction {hash} failed after {gas_used} of {gas_limit} gas: {reason}")]
    TransactionFailed { hash: B256, gas_used: u64, gas_limit: u64, reason: String, data: Vec<u8> },

    #[error("cannot start the runtime for requests to the chain: {source}")]
    Runtime { source: std::io::Error },
}

impl ChainError {
    /// The revert data of a reverted call or transaction; `None` for other errors. It is empty when the EVM stopped
    /// without data, as it does out of gas.
    pub fn revert_data(&self) -> Option<&[u8]> {
        match self {
            Self::Reverted { data } | Self::TransactionFailed { data, .. } => Some(data),
            _ => None,
        }
    }

    /// The four bytes that name the custom error of a revert.
    pub fn revert_selector(&self) -> Option<[u8; 4]> {
        self.revert_data()?.first_chunk().copied()
    }
}

/// Revert data in words: the reason string or panic code where it is one, else the custom error's selector.
pub(crate) fn describe_revert(data: &[u8]) -> String {
    match (data.first_chunk::<4>(), decode_revert_reason(data)) {
        (None, _) => "no data".into(),
        // `decode_revert_reason` renders what it cannot name as the raw bytes.
        (Some(selector), Some(reason)) if matches!(*selector, REASON_SELECTOR | PANIC_SELECTOR) => reason,
        (Some(selector), _) => format!("custom error 0x{} ({} bytes)", hex::encode(selector), data.len()),
    }
}

/// `Error(string)`.
const REASON_SELECTOR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// `Panic(uint256)`.
const PANIC_SELECTOR: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::sol_types::{Panic, PanicKind, Revert, SolError};

    #[test]
    fn reverts_are_put_in_words() {
        assert_eq!(describe_revert(&[]), "no data");
        assert_eq!(describe_revert(&[0xaa, 0xbb, 0xcc, 0xdd, 0]), "custom error 0xaabbccdd (5 bytes)");
        assert!(describe_revert(&Revert::from("too late").abi_encode()).contains("too late"));
        assert!(describe_revert(&Panic::from(PanicKind::DivisionByZero).abi_encode()).contains("0x12"));
    }

    #[test]
    fn selectors_match_their_signatures() {
        assert_eq!(Revert::SELECTOR, REASON_SELECTOR);
        assert_eq!(Panic::SELECTOR, PANIC_SELECTOR);
    }

    #[test]
    fn only_reverts_have_a_selector() {
        assert_eq!(ChainError::Reverted { data: vec![1, 2, 3, 4, 5] }.revert_selector(), Some([1, 2, 3, 4]));
        assert_eq!(ChainError::Reverted { data: vec![1, 2] }.revert_selector(), None);
        assert_eq!(ChainError::PortInUse { port: 1 }.revert_data(), None);
    }
}
