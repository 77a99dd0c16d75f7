//! What a transaction offers for its gas (EIP-1559), and how much more a replacement must offer.

use alloy::primitives::{U256, utils::format_units};
use serde::{Deserialize, Serialize};

/// Fees per gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// The most that is paid in all.
    pub max_fee: u128,
    /// What the block's producer gets of it, at most.
    pub priority_fee: u128,
}

/// The most that may be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeCaps {
    /// Per gas, in wei.
    pub max_fee: u128,
    /// Per gas, in wei.
    pub priority_fee: u128,
    /// For the transaction: gas limit times fee, in wei.
    pub cost: Option<U256>,
}

const GWEI: u128 = 1_000_000_000;

impl Default for FeeCaps {
    fn default() -> Self {
        Self { max_fee: 200 * GWEI, priority_fee: 50 * GWEI, cost: None }
    }
}

/// What the chain asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// The base fee of the next block, in wei per gas.
    pub base_fee: u128,
    /// What producers have lately been given on top, in wei per gas.
    pub priority_fee: u128,
}

impl FeeCaps {
    /// The most per gas that a transaction with this gas limit may offer.
    pub(super) fn limit(&self, gas_limit: u64) -> u128 {
        let by_cost = self.cost.map(|cost| cost / U256::from(gas_limit.max(1)));
        by_cost.map_or(self.max_fee, |limit| limit.saturating_to::<u128>().min(self.max_fee))
    }

    /// The first offer: room for the base fee to double. `None` where the caps do not reach the base fee.
    pub fn offer(&self, market: Market, gas_limit: u64) -> Option<Fees> {
        let limit = self.limit(gas_limit);
        let priority = market.priority_fee.min(self.priority_fee);
        let max_fee = market.base_fee.saturating_mul(2).saturating_add(priority).min(limit);
        (max_fee >= market.base_fee && max_fee > 0).then_some(Fees { max_fee, priority_fee: priority.min(max_fee) })
    }

    /// An offer that replaces `old` in the pools of all clients: both fees an eighth higher at least, or what the market asks for, if
    /// that is more. `None` where a cap is in the way.
    pub fn bump(&self, old: Fees, market: Market, gas_limit: u64) -> Option<Fees> {
        let limit = self.limit(gas_limit);
        let asked = self.offer(market, gas_limit);
        let priority_fee = eighth_more(old.priority_fee).max(asked.map_or(0, |fees| fees.priority_fee));
        let max_fee = eighth_more(old.max_fee).max(asked.map_or(0, |fees| fees.max_fee)).max(priority_fee);
        (priority_fee <= self.priority_fee && max_fee <= limit).then_some(Fees { max_fee, priority_fee })
    }
}

/// 12.5% more, rounded up, and more by one wei at least.
fn eighth_more(fee: u128) -> u128 {
    fee.saturating_add(fee.div_ceil(8).max(1))
}

/// A fee per gas for people.
pub fn gwei(fee: u128) -> String {
    let text = format_units(fee, "gwei").unwrap_or_default();
    format!("{} gwei", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: FeeCaps = FeeCaps { max_fee: 100, priority_fee: 10, cost: None };

    #[test]
    fn an_offer_leaves_room_within_the_caps() {
        let offer = |base_fee, priority_fee| CAPS.offer(Market { base_fee, priority_fee }, 1000);
        assert_eq!(offer(20, 2), Some(Fees { max_fee: 42, priority_fee: 2 }));
        assert_eq!(offer(60, 30), Some(Fees { max_fee: 100, priority_fee: 10 }));
        assert_eq!(offer(100, 1), Some(Fees { max_fee: 100, priority_fee: 1 }));
        assert_eq!(offer(101, 1), None);
        assert_eq!(offer(0, 0), None, "an offer of nothing cannot be raised in proportion");
    }

    #[test]
    fn the_cost_is_a_cap_on_the_fee() {
        let caps = FeeCaps { cost: Some(U256::from(50_999)), ..CAPS };
        let market = Market { base_fee: 40, priority_fee: 5 };
        assert_eq!(caps.offer(market, 1000), Some(Fees { max_fee: 50, priority_fee: 5 }));
        assert_eq!(caps.offer(market, 2000), None);
        let fees = caps.offer(market, 1200).unwrap();
        assert!(U256::from(fees.max_fee) * U256::from(1200) <= caps.cost.unwrap());
    }

    #[test]
    fn replacements_satisfy_every_client() {
        let caps = FeeCaps { max_fee: u128::MAX, priority_fee: u128::MAX, cost: None };
        for old in [1, 7, 8, 9, 1_000_000_007, u128::from(u64::MAX)] {
            let old = Fees { max_fee: old, priority_fee: old / 2 };
            let new = caps.bump(old, Market { base_fee: 1, priority_fee: 0 }, 21_000).unwrap();
            for (old, new) in [(old.max_fee, new.max_fee), (old.priority_fee, new.priority_fee)] {
                assert!(new > old && 8 * (new - old) >= old, "{old} {new}");
            }
        }
        let (old, market) = (Fees { max_fee: 40, priority_fee: 4 }, Market { base_fee: 45, priority_fee: 8 });
        assert_eq!(CAPS.bump(old, market, 1000), Some(Fees { max_fee: 98, priority_fee: 8 }), "the market's");
    }

    #[test]
    fn no_replacement_exceeds_a_cap() {
        let market = Market { base_fee: 10, priority_fee: 1 };
        assert_eq!(CAPS.bump(Fees { max_fee: 90, priority_fee: 1 }, market, 1000), None);
        assert_eq!(CAPS.bump(Fees { max_fee: 50, priority_fee: 9 }, market, 1000), None);
        let fees = CAPS.bump(Fees { max_fee: 88, priority_fee: 8 }, market, 1000).unwrap();
        assert_eq!(fees, Fees { max_fee: 99, priority_fee: 9 });
        let costly = FeeCaps { cost: Some(U256::from(98_000)), ..CAPS };
        assert_eq!(costly.bump(Fees { max_fee: 88, priority_fee: 8 }, market, 1000), None);
    }

    #[test]
    fn fees_are_shown_in_gwei() {
        assert_eq!(gwei(1_500_000_000), "1.5 gwei");
        assert_eq!(gwei(20_000_000_000), "20 gwei");
        assert_eq!(gwei(7), "0.000000007 gwei");
    }
}
