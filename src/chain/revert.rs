//! What a revert says, in words: the custom errors of contracts whose ABI or source is known.

use alloy::{
    dyn_abi::{DynSolValue, JsonAbiExt},
    json_abi::{Error, JsonAbi},
};

use super::error::describe_revert;

/// The custom errors that are known.
#[derive(Clone, Debug, Default)]
pub struct KnownErrors {
    errors: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    error: Error,
    /// What its contract's source says about it.
    notice: Option<String>,
}

impl KnownErrors {
    /// Adds the errors of an ABI.
    pub fn add_abi(&mut self, abi: &JsonAbi) {
        self.errors.extend(abi.errors().map(|error| Known { error: error.clone(), notice: None }));
    }

    /// Adds the errors that a Solidity source declares, each in a line of its own, with the `@notice` above it.
    pub fn add_source(&mut self, source: &str) {
        let mut notice: Option<String> = None;
        for line in source.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                let text = text.trim();
                match (text.strip_prefix("@notice"), &mut notice) {
                    (Some(text), _) => notice = Some(text.trim().into()),
                    (None, Some(notice)) if !text.starts_with('@') => *notice = format!("{notice} {text}"),
                    _ => {}
                }
                continue;
            }
            let declared = line.strip_suffix(';').filter(|line| line.starts_with("error "));
            if let Some(Ok(error)) = declared.map(Error::parse) {
                self.errors.push(Known { error, notice: notice.take() });
            }
            notice = None;
        }
    }

    fn find(&self, data: &[u8]) -> Option<&Known> {
        let selector = data.first_chunk::<4>()?;
        // A source says more than an ABI.
        let same = || self.errors.iter().filter(|known| known.error.selector() == *selector);
        same().find(|known| known.notice.is_some()).or_else(|| same().next())
    }

    /// The name of the custom error that `data` carries, if it is known.
    pub fn name(&self, data: &[u8]) -> Option<&str> {
        self.find(data).map(|known| known.error.name.as_str())
    }

    /// Revert data in words: `ProofRejected: the proof does not hold`, `TooLarge(value: 101, limit: 100)`.
    pub fn describe(&self, data: &[u8]) -> String {
        let Some(known) = self.find(data) else { return describe_revert(data) };
        let arguments = known.error.abi_decode_input(data.get(4..).unwrap_or_default()).unwrap_or_default();
        let named = known.error.inputs.iter().zip(&arguments).map(|(param, value)| match param.name.as_str() {
            "" => show(value),
            name => format!("{name}: {}", show(value)),
        });
        let named: Vec<String> = named.collect();
        let call = match named.as_slice() {
            [] => known.error.name.clone(),
            named => format!("{}({})", known.error.name, named.join(", ")),
        };
        match &known.notice {
            Some(notice) => format!("{call}: {}", notice.trim_end_matches('.')),
            None => call,
        }
    }
}

/// A value for people.
fn show(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::FixedBytes(word, len) => format!("0x{}", hex::encode(word.get(..*len).unwrap_or_default())),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Bytes(bytes) => format!("0x{}", hex::encode(bytes)),
        DynSolValue::String(text) => format!("{text:?}"),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        primitives::U256,
        sol,
        sol_types::{Revert, SolError},
    };

    sol! {
        error TooLarge(uint256 value, int8[2] limits);
        error ProofRejected();
        error Unknown();
    }

    const SOURCE: &str = "
contract C {
    /// @title none
    /// @notice The proof does not hold
    /// for this context.
    /// @dev not said
    error ProofRejected();

    /// @notice a constant's
    uint256 constant X = 1;
    error TooLarge(uint256 value, int8[2] limits);
    error broken(;
}";

    #[test]
    fn errors_of_a_source_are_said_in_its_words() {
        let mut known = KnownErrors::default();
        known.add_source(SOURCE);
        let rejected = ProofRejected {}.abi_encode();
        assert_eq!(known.describe(&rejected), "ProofRejected: The proof does not hold for this context");
        assert_eq!(known.name(&rejected), Some("ProofRejected"));
        let large = TooLarge { value: U256::from(101), limits: [-3, 100] }.abi_encode();
        assert_eq!(known.describe(&large), "TooLarge(value: 101, limits: [-3, 100])");
        assert_eq!(known.name(&Unknown {}.abi_encode()), None);
    }

    #[test]
    fn a_source_adds_words_to_an_abi() {
        let mut known = KnownErrors::default();
        known.add_abi(&JsonAbi::parse(["error ProofRejected()"]).unwrap());
        assert_eq!(known.describe(&ProofRejected {}.abi_encode()), "ProofRejected");
        known.add_source(SOURCE);
        assert!(known.describe(&ProofRejected {}.abi_encode()).contains("does not hold"));
    }

    #[test]
    fn what_is_not_known_or_cut_short_is_still_described() {
        let mut known = KnownErrors::default();
        assert_eq!(known.describe(&[]), "no data");
        assert!(known.describe(&Revert::from("too late").abi_encode()).contains("too late"));
        known.add_source(SOURCE);
        let large = TooLarge { value: U256::from(101), limits: [0, 1] }.abi_encode();
        assert_eq!(known.describe(&large[..40]), "TooLarge");
        assert!(known.describe(&Unknown {}.abi_encode()).starts_with("custom error 0x"));
    }
}
