//! What an endpoint says to a transaction that it is handed.

use crate::chain::rpc::RpcFailure;

/// The endpoint's answer, in the sense that decides what happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has it, now or from before.
    Accepted,
    /// Its nonce has been used: by itself, by another attempt, or by a stranger.
    NonceUsed,
    /// It offers too little: below the base fee, or not enough more than what it would replace.
    Underpriced,
    /// It will not have it, for a reason that neither time nor fees mend.
    Refused(String),
}

/// Reads the error that an endpoint answered. Clients have no common codes for these; the words are those of geth, Erigon, Nethermind,
/// Besu, Reth and anvil.
pub(super) fn read(failure: RpcFailure) -> Result<Answer, RpcFailure> {
    let RpcFailure::Refused { message, .. } = &failure else { return Err(failure) };
    let text = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    Ok(if says(&["already known", "already imported", "alreadyknown", "known transaction", "already in the pool"]) {
        Answer::Accepted
    } else if says(&["nonce too low", "old nonce", "nonce is too low", "oldnonce"]) {
        Answer::NonceUsed
    } else if says(&[
        "underpriced",
        "less than block base fee",
        "below base fee",
        "fee too low",
        "feetoolow",
        "max fee per gas less",
    ]) {
        Answer::Underpriced
    } else {
        Answer::Refused(message.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &str) -> Answer {
        let failure = RpcFailure::Refused {
            endpoint: String::new(),
            method: "eth_sendRawTransaction",
            code: -32000,
            message: message.into(),
            data: None,
        };
        read(failure).unwrap()
    }

    #[test]
    fn clients_are_understood() {
        for (message, meaning) in [
            ("already known", Answer::Accepted),
            ("AlreadyKnown", Answer::Accepted),
            ("transaction already imported", Answer::Accepted),
            ("nonce too low: next nonce 5, tx nonce 4", Answer::NonceUsed),
            ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", Answer::NonceUsed),
            ("replacement transaction underpriced", Answer::Underpriced),
            ("transaction underpriced: tip needed 1, tip permitted 0", Answer::Underpriced),
            ("max fee per gas less than block base fee: address 0x, maxFeePerGas: 1, baseFee: 2", Answer::Underpriced),
            (
                "insufficient funds for gas * price + value",
                Answer::Refused("insufficient funds for gas * price + value".into()),
            ),
        ] {
            assert_eq!(answer(message), meaning, "{message}");
        }
    }

    #[test]
    fn silence_is_no_answer() {
        let down =
            RpcFailure::Down { endpoint: String::new(), method: "x", seconds: 1, reason: "already known".into() };
        assert!(matches!(read(down), Err(RpcFailure::Down { .. })));
    }
}
