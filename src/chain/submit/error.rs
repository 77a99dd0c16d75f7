//! Why a statement is not in the chain, as far as is known.

use std::path::PathBuf;

use alloy::primitives::{Address, B256, U256, utils::format_ether};
use thiserror::Error;

use super::{fees::gwei, journal::JournalError, signer::SignerError};
use crate::chain::rpc::RpcFailure;

#[derive(Debug, Error)]
pub enum SubmitError {
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Signer(#[from] SignerError),

    #[error(
        "the endpoint does not have block 0 of chain {id}, which tells a local chain from an earlier one of that id"
    )]
    NoGenesis { id: u64 },

    #[error("the endpoint is on chain {found}, not on {expected}; nothing was sent there")]
    WrongChain { expected: u64, found: u64 },

    #[error("there is no contract at {to}: a transaction to it would succeed and do nothing")]
    NoContract { to: Address },

    #[error("the call would revert with {reason}; nothing was sent")]
    WouldRevert { reason: String, data: Vec<u8> },

    #[error("the call takes {estimate} gas, more than the {limit} that a transaction may have")]
    TooMuchGas { estimate: u64, limit: u64 },

    #[error(
        "the base fee is {}, and with {gas_limit} gas the caps allow {}; wait, or raise the caps (--max-fee, --max-cost)",
        gwei(*.base_fee),
        gwei(*.cap)
    )]
    FeeAboveCap { base_fee: u128, cap: u128, gas_limit: u64 },

    #[error(
        "{account} has {} ether, and the transaction may cost {}; send it some, or lower --max-fee",
        format_ether(*.balance),
        format_ether(*.cost)
    )]
    Funds { account: Address, balance: U256, cost: U256 },

    #[error(
        "{from} has already sent transactions for this call, which are not settled ({}); run it with that account",
        .journal.display()
    )]
    OtherAccount { from: Address, journal: PathBuf },

    #[error(
        "an earlier call of {account} holds nonce {nonce} and is not in a block yet ({}); run it again with higher caps, or with --cancel",
        .journal.display()
    )]
    Blocked { account: Address, nonce: u64, journal: PathBuf, source: Box<SubmitError> },

    #[error(
        "transaction {hash} is not in a block after {seconds} s{}; run the same command again to go on with it, with higher caps if it \
         offers too little, or with --cancel to give it up",
        .why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    NotMined { hash: B256, nonce: u64, seconds: u64, why: Option<String> },

    #[error(
        "transaction {hash} is in block {block}, but the endpoint has no receipt of it; run the same command again, with another endpoint \
         if it stays so"
    )]
    NoReceipt { hash: B256, block: u64 },

    #[error(
        "transaction {hash} is in block {block}, {confirmations} deep after {seconds} s; run the same command again to wait on"
    )]
    NotConfirmed { hash: B256, block: u64, confirmations: u64, seconds: u64 },

    #[error("transaction {hash} is in block {block} and reverted with {reason}; it paid for {gas_used} gas")]
    Reverted { hash: B256, block: u64, gas_used: u64, reason: String },

    #[error(
        "the call was cancelled by transaction {hash} in block {block}; run the same command again to send it anew"
    )]
    Cancelled { hash: B256, block: u64 },

    #[error(
        "the caps do not allow to offer more for a cancellation than for the call; raise them (--max-fee, --max-priority-fee)"
    )]
    CancelAboveCap,

    #[error("there is nothing to cancel: no transaction for this call is on its way")]
    NothingToCancel,
}

impl SubmitError {
    /// Whether the statement may still land, or have landed: submitting it again finds out. After every other error it has not, and nothing
    /// that was signed for it can.
    pub fn may_land(&self) -> bool {
        match self {
            Self::Rpc(_) | Self::Journal(_) | Self::Signer(_) | Self::WrongChain { .. } => true,
            Self::NoGenesis { .. } | Self::OtherAccount { .. } | Self::NoReceipt { .. } | Self::NotMined { .. } => true,
            Self::NotConfirmed { .. } | Self::Blocked { .. } | Self::CancelAboveCap => true,
            Self::NoContract { .. } | Self::WouldRevert { .. } | Self::TooMuchGas { .. } => false,
            Self::FeeAboveCap { .. } | Self::Funds { .. } | Self::Reverted { .. } => false,
            Self::Cancelled { .. } | Self::NothingToCancel => false,
        }
    }
}
