//! What a submission says of itself while it goes on.

use std::fmt;

use alloy::primitives::B256;

use super::fees::{Fees, gwei};

/// What is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another process chooses a nonce for the same account.
    Waiting,
    Simulating,
    /// Transactions of an earlier run are looked for.
    Resuming {
        nonce: u64,
    },
    /// An earlier statement of the account holds a lower nonce.
    Earlier {
        nonce: u64,
    },
    Sending {
        hash: B256,
        nonce: u64,
        fees: Fees,
    },
    Replacing {
        hash: B256,
        nonce: u64,
        fees: Fees,
    },
    /// It offers too little, and the caps allow no more.
    AtCap {
        fees: Fees,
    },
    Included {
        hash: B256,
        block: u64,
    },
    Confirming {
        hash: B256,
        confirmations: u64,
        of: u64,
    },
    /// Its block is no longer part of the chain.
    Reorganised {
        hash: B256,
    },
    /// Its nonce was taken by a transaction that this journal does not have.
    Displaced {
        nonce: u64,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => write!(f, "waiting for another process that sends from this account"),
            Self::Simulating => write!(f, "simulating the call"),
            Self::Resuming { nonce } => write!(f, "looking for what was sent before, with nonce {nonce}"),
            Self::Earlier { nonce } => write!(f, "finishing an earlier call of this account, with nonce {nonce}"),
            Self::Sending { hash, nonce, fees } => {
                write!(f, "sending {hash}, nonce {nonce}, for at most {}", gwei(fees.max_fee))
            }
            Self::Replacing { hash, nonce, fees } => {
                write!(f, "replacing by {hash}, nonce {nonce}, for at most {}", gwei(fees.max_fee))
            }
            Self::AtCap { fees } => {
                write!(f, "waiting: {} is too little, and the caps allow no more", gwei(fees.max_fee))
            }
            Self::Included { hash, block } => write!(f, "{hash} is in block {block}"),
            Self::Confirming { hash, confirmations, of } => write!(f, "{hash} is {confirmations} of {of} blocks deep"),
            Self::Reorganised { hash } => write!(f, "the block of {hash} is no longer part of the chain"),
            Self::Displaced { nonce } => {
                write!(f, "nonce {nonce} was taken by a transaction from elsewhere; sending anew")
            }
        }
    }
}
