//! Limits on what a plan may take, and its refusal by number.

use crate::{
    gas::thousands,
    plan::Plan,
    problem::{Problem, Problems},
};

/// What a plan may take at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that a prover needs at its peak.
    pub memory: Option<u64>,
    /// Gas of the verifying transaction.
    pub gas: Option<u64>,
    /// Rows in use.
    pub rows: Option<u64>,
}

impl Limits {
    /// Where a plan takes more.
    pub fn exceeded(&self, plan: &Plan) -> Problems {
        let mut problems = Problems::default();
        let mut compare = |what: &str, needs: u64, limit: Option<u64>, remedy: &str| {
            if let Some(limit) = limit.filter(|&limit| needs > limit) {
                let reason = format!("{what}: {} are needed, {} are allowed", thousands(needs), thousands(limit));
                problems.push(Problem::new(reason, Some(remedy.into())));
            }
        };
        compare("rows", plan.rows as u64, self.rows, "raise --max-rows, lower the precision, or use a smaller model");
        let gas = plan.estimate.transaction;
        compare("gas", gas, self.gas, "raise --max-gas, or try --curve auto and --layout auto");
        let remedy = "raise --max-memory, lower the precision, or use a smaller model";
        compare("bytes of memory for proving", plan.peak_bytes, self.memory, remedy);
        problems
    }
}
