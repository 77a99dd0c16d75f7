//! What an endpoint says to a transaction that it is handed.

use crate::chain::rpc::{Endpoint, RpcFailure};

/// The endpoint's answer, in the sense that decides what happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chain) enum Answer {
    /// It has it, now or from before.
    Accepted,
    /// Its nonce has been used: by itself, by another attempt, or by a stranger.
    NonceUsed,
    /// It offers too little: below the base fee, or not enough more than what it would replace.
    Underpriced,
    /// It says that it will not have it, in words that are none of the above. Another machine of the endpoint may have taken it.
    Refused(String),
}

/// Hands a signed transaction to an endpoint. A lost answer costs nothing: the next one says that it is known.
pub(in crate::chain) fn hand_over(endpoint: &Endpoint, raw: &[u8]) -> Result<Answer, RpcFailure> {
    endpoint.send_raw(raw).map_or_else(read, |_| Ok(Answer::Accepted))
}

/// Whether a refusal is for want of ether.
pub(in crate::chain) fn lacks_funds(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["insufficient funds", "insufficientfunds", "upfront cost exceeds"].iter().any(|words| reason.contains(words))
}

/// Reads the error that an endpoint answered. Clients have no common codes for these; the words are those of geth, Erigon, Nethermind,
/// Besu, Reth and anvil.
fn read(failure: RpcFailure) -> Result<Answer, RpcFailure> {
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
        assert!(lacks_funds("Insufficient funds for gas * price + value") && !lacks_funds("only replay-protected"));
    }

    #[test]
    fn silence_is_no_answer() {
        let down =
            RpcFailure::Down { endpoint: String::new(), method: "x", seconds: 1, reason: "already known".into() };
        assert!(matches!(read(down), Err(RpcFailure::Down { .. })));
    }
}
