//! How to send.

use std::time::Duration;

use super::FeeCaps;

/// How to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub caps: FeeCaps,
    /// Gas on top of the estimate, in percent of it.
    pub gas_margin: u64,
    /// The gas limit, in place of an estimate.
    pub gas_limit: Option<u64>,
    /// How many blocks a transaction must be deep: 1 is the newest block.
    pub confirmations: u64,
    /// How long to wait for a transaction to get into a block, and again for it to get deep enough.
    pub timeout: Duration,
    /// How long a transaction waits before it is replaced by one that offers more.
    pub bump_after: Duration,
    /// How long a transaction waits before it is handed to the endpoint once more.
    pub rebroadcast_after: Duration,
    /// The pause between two looks at the chain.
    pub poll: Duration,
}

/// Chain ids that only local chains have.
pub const LOCAL_CHAINS: [u64; 2] = [31337, 1337];

impl Options {
    /// What suits a chain: on a local one, little patience and one block.
    pub fn for_chain(chain_id: u64) -> Self {
        let local = LOCAL_CHAINS.contains(&chain_id);
        let (confirmations, poll) = if local { (1, 100) } else { (3, 2_000) };
        Self {
            caps: FeeCaps::default(),
            gas_margin: 20,
            gas_limit: None,
            confirmations,
            timeout: Duration::from_secs(600),
            bump_after: Duration::from_secs(60),
            rebroadcast_after: Duration::from_secs(30),
            poll: Duration::from_millis(poll),
        }
    }
}
