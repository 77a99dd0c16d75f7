//! Which layout and which curve: what each would cost, before any key is made.
//!
//! A plan is cheap: it lays the model out, describes the protocol with placeholders for the commitments, and estimates the
//! gas of its contract. The choice is the least gas among the plans that fit the setup.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::{
    circuit::{LaidOut, Layout},
    gas::{CalldataCost, Estimate},
    graph::IntegerModel,
    proof::{Bls12381, Bn254, Curve, CurveId, SrsOrigin, VerifyingKey, cost::Work, srs::ETHEREUM_K},
    solidity::{ContractInfo, verifier_source},
};

/// A name to choose by, or the cheapest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<T> {
    /// The cheapest that fits.
    Auto,
    Only(T),
}

impl<T: FromStr> FromStr for Choice<T> {
    type Err = T::Err;

    fn from_str(name: &str) -> Result<Self, T::Err> {
        if name == "auto" { Ok(Choice::Auto) } else { name.parse().map(Choice::Only) }
    }
}

impl<T: fmt::Display> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.write_str("auto"),
            Choice::Only(value) => value.fmt(f),
        }
    }
}

impl<T: PartialEq> Choice<T> {
    /// Whether `value` may be chosen.
    pub fn allows(&self, value: &T) -> bool {
        match self {
            Choice::Auto => true,
            Choice::Only(only) => only == value,
        }
    }
}

/// One way to compile a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub layout: Layout,
    pub curve: CurveId,
    /// The domain has `2^k` rows.
    pub k: u32,
    /// Rows in use.
    pub rows: usize,
    /// Commitments to the quotient: one if the setup has twice as many powers as rows.
    pub quotient_pieces: usize,
    /// Estimated gas of the verifying transaction.
    pub estimate: Estimate,
    /// CPU seconds of proving on a machine that is the same for all plans: what they are compared by.
    pub proving: f64,
}

impl Plan {
    /// Whether the other plan is no worse in gas and in proving, and better in one of them.
    pub fn is_dominated_by(&self, other: &Self) -> bool {
        let (gas, other_gas) = (self.estimate.transaction, other.estimate.transaction);
        other_gas <= gas && other.proving <= self.proving && (other_gas < gas || other.proving < self.proving)
    }
}

/// What a plan is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimize {
    /// The least gas.
    #[default]
    Gas,
    /// The fastest prover among the plans that take no more than a quarter more gas than the least.
    Balanced,
    /// The fastest prover: with the quotient in two pieces.
    Prover,
}

impl FromStr for Optimize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Optimize::Gas, Optimize::Balanced, Optimize::Prover];
        let wanted = all.into_iter().find(|optimize| optimize.to_string() == name);
        wanted.ok_or_else(|| format!("\"{name}\" is nothing to optimize: choose gas, balanced or prover"))
    }
}

impl fmt::Display for Optimize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Optimize::Gas => "gas",
            Optimize::Balanced => "balanced",
            Optimize::Prover => "prover",
        })
    }
}

/// A way to compile a model that was considered.
#[derive(Clone, Debug, Serialize)]
pub struct Alternative {
    pub layout: Layout,
    pub curve: CurveId,
    /// The plan, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// log2 of the powers that a setup needs, if the one at hand has fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_k: Option<u32>,
}

/// What a plan may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    pub layout: Choice<Layout>,
    pub curve: Choice<CurveId>,
    /// log2 of the powers that the setup on BN254 has.
    pub bn254_k: u32,
    pub optimize: Optimize,
}

/// No plan fits.
#[derive(Debug, Error)]
#[error("no layout and curve that were asked for fit this model: {reasons}")]
pub struct PlanError {
    reasons: String,
}

/// The least k that a setup on BN254 needs for a plan that the options allow, if none fits this one.
pub fn needed_k(alternatives: &[Alternative], options: &PlanOptions) -> Option<u32> {
    let allowed = |a: &&Alternative| options.layout.allows(&a.layout) && options.curve.allows(&a.curve);
    let on_bn254 = alternatives.iter().filter(allowed).filter(|a| a.curve == CurveId::Bn254);
    on_bn254.filter_map(|a| a.needs_k).min()
}

/// Every layout on every curve, chosen or not.
pub fn alternatives(model: &IntegerModel, options: &PlanOptions) -> Vec<Alternative> {
    let mut alternatives = Vec::new();
    for layout in Layout::ALL {
        alternatives.push(alternative::<Bn254>(layout, model, options.bn254_k, options.optimize));
        alternatives.push(alternative::<Bls12381>(layout, model, ETHEREUM_K, options.optimize));
    }
    alternatives
}

/// The best plan among those that the options allow; equal ones in the order of [`alternatives`].
pub fn choose(alternatives: &[Alternative], options: &PlanOptions) -> Result<Plan, PlanError> {
    let allowed = || alternatives.iter().filter(|a| options.layout.allows(&a.layout) && options.curve.allows(&a.curve));
    let plans = || allowed().filter_map(|a| a.plan.as_ref());
    let least = plans().map(|plan| plan.estimate.transaction).min().unwrap_or(0);
    let most = match options.optimize {
        Optimize::Gas => least,
        Optimize::Balanced => least + least / 4,
        Optimize::Prover => u64::MAX,
    };
    let affordable = plans().filter(|plan| plan.estimate.transaction <= most);
    let fastest = affordable.min_by(|a, b| a.proving.total_cmp(&b.proving));
    fastest.cloned().ok_or_else(|| {
        let reason = |a: &Alternative| Some(format!("{} on {}: {}", a.layout, a.curve, a.reason.as_deref()?));
        PlanError { reasons: allowed().filter_map(reason).collect::<Vec<_>>().join("; ") }
    })
}

fn alternative<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32, optimize: Optimize) -> Alternative {
    let mut alternative = Alternative { layout, curve: C::ID, plan: None, reason: None, needs_k: None };
    match plan::<C>(layout, model, setup_k, optimize) {
        Ok(plan) => alternative.plan = Some(plan),
        Err(NoPlan::Setup { k }) => {
            alternative.needs_k = Some(k);
            alternative.reason = Some(format!("it takes 2^{k} rows, the setup has 2^{setup_k} powers"));
        }
        Err(NoPlan::Other(reason)) => alternative.reason = Some(reason),
    }
    alternative
}

/// Why there is no plan.
enum NoPlan {
    /// The setup is too small.
    Setup {
        k: u32,
    },
    Other(String),
}

fn plan<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32, optimize: Optimize) -> Result<Plan, NoPlan> {
    let other = |error: &dyn fmt::Display| NoPlan::Other(error.to_string());
    let circuit = LaidOut::<C::Scalar>::for_keygen_within(setup_k, layout, model).map_err(|error| other(&error))?;
    let circuit = circuit.map_err(|k| NoPlan::Setup { k })?;
    let (k, rows) = (circuit.k(), circuit.rows());
    // in one piece the quotient and both polynomials of the opening are twice as long, which saves the verifier a commitment
    let quotient_pieces = if setup_k > k && optimize != Optimize::Prover { 1 } else { 2 };
    let ranges = model.public_ranges();
    let outline = VerifyingKey::<C>::outline(&circuit, quotient_pieces, ranges, SrsOrigin::Unsafe);
    let outline = outline.map_err(|error| other(&error))?;
    let estimate = estimate(&outline).map_err(|error| other(&error))?;
    let proving = Work::new(outline.protocol()).nominal_seconds::<C>();
    Ok(Plan { layout, curve: C::ID, k, rows, quotient_pieces, estimate, proving })
}

/// What the contract of a key costs, estimated from its source. The commitments in it do not matter.
fn estimate<C: Curve>(outline: &VerifyingKey<C>) -> Result<Estimate, Box<dyn std::error::Error>> {
    let (protocol, ranges) = (outline.protocol(), outline.public_ranges());
    let outputs = ranges.iter().map(|_| (String::new(), 1.0)).collect();
    let info = ContractInfo {
        name: "Outline".into(),
        model: String::new(),
        setup: String::new(),
        outputs,
        public_inputs: vec![],
        digests: vec![vec![]; outline.digests()],
    };
    let source = verifier_source(protocol, ranges, &info)?;
    Ok(Estimate::new(&source, &CalldataCost::of_verify(ranges, outline.digests() + protocol.proof_words()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::testing::mlp;

    fn options(optimize: Optimize) -> PlanOptions {
        PlanOptions { layout: Choice::Auto, curve: Choice::Only(CurveId::Bn254), bn254_k: 16, optimize }
    }

    fn plans(alternatives: &[Alternative]) -> impl Iterator<Item = &Plan> {
        alternatives.iter().filter_map(|a| a.plan.as_ref()).filter(|plan| plan.curve == CurveId::Bn254)
    }

    #[test]
    fn plans_are_what_they_are_chosen_for() {
        for widths in [&[3, 4, 1][..], &[40, 40, 30, 2], &[100, 60, 4]] {
            let model = mlp(widths, 1000, 1);
            let mut chosen = vec![];
            for optimize in [Optimize::Gas, Optimize::Balanced, Optimize::Prover] {
                let options = options(optimize);
                let found = alternatives(&model, &options);
                let plan = choose(&found, &options).unwrap();
                assert!(plans(&found).all(|other| !plan.is_dominated_by(other)), "{widths:?}, {optimize}");
                chosen.push((plan, found));
            }
            let [(gas, of_gas), (balanced, of_balanced), (prover, of_prover)] = chosen.try_into().unwrap();
            let least = gas.estimate.transaction;
            assert!(plans(&of_gas).all(|plan| plan.estimate.transaction >= least));
            assert!(balanced.estimate.transaction <= least + least / 4);
            assert!(plans(&of_prover).all(|plan| plan.proving >= prover.proving));
            assert!(plans(&of_balanced).any(|plan| *plan == balanced));
            assert!(prover.proving <= balanced.proving && balanced.proving <= gas.proving, "{widths:?}");
            assert_eq!((gas.quotient_pieces, prover.quotient_pieces), (1, 2));
        }
    }
}
