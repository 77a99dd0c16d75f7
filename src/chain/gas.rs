//! The four gas figures of a verification, from its receipt.

use serde::Serialize;

/// Base cost of a transaction.
pub const BASE: u64 = 21_000;

/// Gas of one verification, in units of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GasFigures {
    /// What the receipt charged: base, calldata and execution, or EIP-7623's floor where that is more.
    pub transaction: u64,
    /// What the EVM's instructions cost, net of refunds. `None` where the receipt does not tell: the floor was charged.
    pub execution: Option<u64>,
    /// EIP-2028's price of the calldata.
    pub calldata: u64,
    /// What the receipt of the contract's deployment charged.
    pub deployment: u64,
}

impl GasFigures {
    /// Splits `transaction`, the gas of a receipt, for a call that sent `calldata` without an access list.
    pub fn from_receipt(transaction: u64, calldata: &[u8], deployment: u64) -> Self {
        let price = calldata_gas(calldata);
        let execution = if transaction == floor_gas(calldata) {
            None
        } else {
            transaction.checked_sub(BASE).and_then(|rest| rest.checked_sub(price))
        };
        Self { transaction, execution, calldata: price, deployment }
    }
}

/// Price of calldata: 16 for each non-zero byte, 4 for each zero byte (EIP-2028).
pub fn calldata_gas(calldata: &[u8]) -> u64 {
    weighted(calldata, 16, 4)
}

/// The least that a transaction with this calldata is charged: the base plus 40 for each non-zero byte and 10 for each
/// zero byte (EIP-7623).
pub fn floor_gas(calldata: &[u8]) -> u64 {
    BASE + weighted(calldata, 40, 10)
}

fn weighted(calldata: &[u8], nonzero: u64, zero: u64) -> u64 {
    calldata.iter().map(|&byte| if byte == 0 { zero } else { nonzero }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calldata_counts_zero_and_nonzero_bytes() {
        assert_eq!(calldata_gas(&[]), 0);
        assert_eq!(calldata_gas(&[0, 1, 2, 0, 0]), 2 * 16 + 3 * 4);
        assert_eq!(floor_gas(&[0, 1, 2, 0, 0]), 21_000 + 2 * 40 + 3 * 10);
    }

    #[test]
    fn execution_is_what_base_and_calldata_leave() {
        let calldata = [[7u8; 32], [0u8; 32]].concat();
        let gas = GasFigures::from_receipt(187_633, &calldata, 900_000);
        assert_eq!(gas.calldata, 32 * 20);
        assert_eq!(gas.execution, Some(187_633 - 21_000 - 640));
        assert_eq!((gas.transaction, gas.deployment), (187_633, 900_000));
    }

    #[test]
    fn no_execution_is_claimed_at_the_floor() {
        let calldata = [1u8; 100];
        assert_eq!(GasFigures::from_receipt(25_000, &calldata, 0).execution, None);
        assert_eq!(GasFigures::from_receipt(25_001, &calldata, 0).execution, Some(2_401));
    }

    #[test]
    fn a_receipt_below_its_intrinsic_price_is_not_split() {
        assert_eq!(GasFigures::from_receipt(21_100, &[1u8; 100], 0).execution, None);
    }

    #[test]
    fn the_floor_serialises_as_null() {
        let json = serde_json::to_value(GasFigures::from_receipt(21_000, &[], 5)).unwrap();
        assert_eq!(json, serde_json::json!({"transaction": 21000, "execution": null, "calldata": 0, "deployment": 5}));
    }
}
