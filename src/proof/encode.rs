//! How public values look to the EVM.

pub use super::curve::Word;

/// A public value as the `int256` of the contract: two's complement.
pub fn public_value(value: i128) -> Word {
    let mut word = [if value < 0 { 0xff } else { 0 }; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}
