//! What verifying costs, part by part: the contract runs in process, every instruction's gas goes to the numbered step of
//! the source that it comes from, and the parts add up to the transaction's receipt.

pub mod breakdown;
pub mod evm;
pub mod picture;
mod steps;

pub use breakdown::{Breakdown, Part, PartKind};
pub use evm::Evm;

use thiserror::Error;

use crate::chain::{Compiled, error::describe_revert};

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum GasError {
    #[error("the contract cannot be deployed: {reason} ({})", describe_revert(.data))]
    Deployment { reason: String, data: Vec<u8> },

    #[error("the transaction cannot be sent: {reason}")]
    Rejected { reason: String },

    #[error("the call reverts with {}", describe_revert(.data))]
    Reverted { data: Vec<u8> },

    #[error("the call does not end: {reason}")]
    Halted { reason: String },

    #[error("the contract rejects the proof: it reverts with {error}")]
    Proof { error: String },

    #[error(
        "the parts add up to {parts} gas and the transaction costs {transaction}: the contract is refunded gas, as no \
         verifier is that changes no state"
    )]
    Unbalanced { parts: u64, transaction: u64 },
}

/// A verification, measured in process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    pub breakdown: Breakdown,
    /// Gas of the deploying transaction.
    pub deployment: u64,
}

/// Deploys `contract`, compiled from `source`, and calls it with `calldata` as a transaction.
///
/// # Errors
///
/// [`GasError::Proof`] with the contract's own name for why it rejects the proof.
pub fn measure(source: &str, contract: &Compiled, calldata: &[u8]) -> Result<Measurement, GasError> {
    let mut evm = Evm::deploy(&contract.init_code)?;
    let trace = evm.call(calldata).map_err(|error| match error {
        GasError::Reverted { data } => {
            let error = contract.error_name(&data).map_or_else(|| describe_revert(&data), String::from);
            GasError::Proof { error }
        }
        error => error,
    })?;
    let breakdown = Breakdown::new(source, contract, calldata, &trace)?;
    Ok(Measurement { breakdown, deployment: evm.deployment() })
}

/// A number with thousands separated.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let text: Vec<_> = [0, 999, 1000, 211_311, 1_297_440].map(thousands).to_vec();
        assert_eq!(text, ["0", "999", "1,000", "211,311", "1,297,440"]);
    }
}
