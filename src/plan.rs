//! Which layout, which curve, and how many pieces of the quotient: what each would cost, before any key is made.
//!
//! A plan is cheap: it lays the model out, describes the protocol with placeholders for the commitments, and estimates the
//! gas of its contract. Every combination is a plan of its own; what is wanted only chooses among those that fit the setup.

mod memory;

pub(crate) use memory::resident_bytes;

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
    /// Commitments to the quotient. With one, the setup has twice as many powers as there are rows.
    pub quotient_pieces: usize,
    /// Estimated gas of the verifying transaction.
    pub estimate: Estimate,
    /// CPU seconds of proving on a machine that is the same for all plans: what they are compared by.
    pub proving: f64,
    /// Memory of a prover at its peak.
    pub peak_bytes: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_way(f, self.layout, self.curve, self.quotient_pieces)
    }
}

impl Plan {
    /// log2 of the powers that it takes of a setup.
    pub fn powers_k(&self) -> u32 {
        powers_k(self.k, self.quotient_pieces)
    }

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
    /// The fastest prover.
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
    /// Commitments to the quotient.
    pub quotient_pieces: usize,
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

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_way(f, self.layout, self.curve, self.quotient_pieces)
    }
}

/// A way to compile a model, in words.
fn write_way(f: &mut fmt::Formatter<'_>, layout: Layout, curve: CurveId, quotient_pieces: usize) -> fmt::Result {
    let pieces = if quotient_pieces == 1 { "" } else { ", quotient in two pieces" };
    write!(f, "{layout} on {curve}{pieces}")
}

/// log2 of the powers of a setup that `2^k` rows take.
fn powers_k(k: u32, quotient_pieces: usize) -> u32 {
    k + u32::from(quotient_pieces == 1)
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

/// Every layout on every curve with the quotient in one piece and in two, chosen or not.
pub fn alternatives(model: &IntegerModel, options: &PlanOptions) -> Vec<Alternative> {
    let mut alternatives = Vec::new();
    for layout in Layout::ALL {
        alternatives.extend(alternatives_on::<Bn254>(layout, model, options.bn254_k));
        alternatives.extend(alternatives_on::<Bls12381>(layout, model, ETHEREUM_K));
    }
    alternatives
}

/// The plans that no other one dominates, by rising gas.
pub fn front(alternatives: &[Alternative]) -> Vec<&Plan> {
    let plans = || alternatives.iter().filter_map(|a| a.plan.as_ref());
    let mut front: Vec<&Plan> = plans().filter(|plan| !plans().any(|other| plan.is_dominated_by(other))).collect();
    front.sort_by_key(|plan| plan.estimate.transaction);
    front
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
        // with more pieces than one nothing else stands in the way
        let last = allowed().filter(|a| a.quotient_pieces > 1);
        PlanError { reasons: last.filter_map(reason).collect::<Vec<_>>().join("; ") }
    })
}

fn alternatives_on<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32) -> [Alternative; 2] {
    let circuit = LaidOut::<C::Scalar>::for_keygen_within(setup_k, layout, model);
    [1, 2].map(|quotient_pieces| {
        let empty = Alternative { layout, curve: C::ID, quotient_pieces, plan: None, reason: None, needs_k: None };
        let beyond = |k: u32| {
            let needs_k = powers_k(k, quotient_pieces);
            let powers = if needs_k > k { format!(" and 2^{needs_k} powers") } else { String::new() };
            let reason = format!("it takes 2^{k} rows{powers}, the setup has 2^{setup_k} powers");
            Alternative { needs_k: Some(needs_k), reason: Some(reason), ..empty.clone() }
        };
        let other = |error: &dyn fmt::Display| Alternative { reason: Some(error.to_string()), ..empty.clone() };
        match &circuit {
            Err(error) => other(error),
            Ok(Err(k)) => beyond(*k),
            Ok(Ok(circuit)) if powers_k(circuit.k(), quotient_pieces) > setup_k => beyond(circuit.k()),
            Ok(Ok(circuit)) => match plan::<C>(layout, model, circuit, quotient_pieces) {
                Ok(plan) => Alternative { plan: Some(plan), ..empty },
                Err(error) => other(&error),
            },
        }
    })
}

fn plan<C: Curve>(
    layout: Layout,
    model: &IntegerModel,
    circuit: &LaidOut<C::Scalar>,
    quotient_pieces: usize,
) -> Result<Plan, Box<dyn std::error::Error>> {
    let (k, rows) = (circuit.k(), circuit.rows());
    let outline = VerifyingKey::<C>::outline(model, circuit, quotient_pieces, SrsOrigin::Unsafe)?;
    let estimate = estimate(&outline)?;
    let proving = Work::new(outline.protocol()).nominal_seconds::<C>();
    let peak_bytes = resident_bytes::<C>(outline.protocol(), model, circuit);
    Ok(Plan { layout, curve: C::ID, k, rows, quotient_pieces, estimate, proving, peak_bytes })
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
    let words = protocol.weights_words().len() + outline.digests() + protocol.proof_words();
    Ok(Estimate::new(&source, &CalldataCost::of_verify(ranges, words))?)
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
            let found = alternatives(&model, &options(Optimize::Gas));
            let [gas, balanced, prover] = [Optimize::Gas, Optimize::Balanced, Optimize::Prover].map(|optimize| {
                let plan = choose(&found, &options(optimize)).unwrap();
                assert!(plans(&found).all(|other| !plan.is_dominated_by(other)), "{widths:?}, {optimize}");
                plan
            });
            let least = gas.estimate.transaction;
            assert!(plans(&found).all(|plan| plan.estimate.transaction >= least));
            assert!(balanced.estimate.transaction <= least + least / 4);
            assert!(plans(&found).all(|plan| plan.proving >= prover.proving));
            let affordable = |plan: &&Plan| plan.estimate.transaction <= least + least / 4;
            assert!(plans(&found).filter(affordable).all(|plan| plan.proving >= balanced.proving));
            assert!(prover.proving <= balanced.proving && balanced.proving <= gas.proving, "{widths:?}");
            assert_eq!((gas.quotient_pieces, prover.quotient_pieces), (1, 2));
        }
    }

    #[test]
    fn the_front_is_what_nothing_dominates() {
        let mut found = alternatives(&mlp(&[10, 32, 1], 1000, 1), &options(Optimize::Gas));
        // the same for a unit of gas more
        let mut worse = found[0].clone();
        worse.plan.iter_mut().for_each(|plan| plan.estimate.transaction += 1);
        found.push(worse);
        let all: Vec<&Plan> = found.iter().filter_map(|a| a.plan.as_ref()).collect();
        let front = front(&found);
        assert!(front.len() > 1 && front.len() < all.len(), "{front:?}");
        for pair in front.windows(2) {
            let [less, more] = pair else { unreachable!() };
            assert!(less.estimate.transaction < more.estimate.transaction && less.proving > more.proving);
        }
        for plan in all {
            let on_it = front.contains(&plan);
            assert_eq!(on_it, !front.iter().any(|other| plan.is_dominated_by(other)), "{plan}");
        }
    }

    #[test]
    fn one_piece_of_the_quotient_takes_twice_as_many_powers() {
        let model = mlp(&[100, 60, 4], 1000, 1);
        let wide = alternatives(&model, &options(Optimize::Gas));
        let [one, two] = [1, 2].map(|pieces| {
            let is =
                |a: &&Alternative| (a.layout, a.curve, a.quotient_pieces) == (Layout::General, CurveId::Bn254, pieces);
            wide.iter().find(is).unwrap().plan.clone().unwrap()
        });
        assert_eq!((one.k, one.rows, one.powers_k()), (two.k, two.rows, two.powers_k() + 1));
        let tight = PlanOptions { bn254_k: one.k, layout: Choice::Only(Layout::General), ..options(Optimize::Gas) };
        let found = alternatives(&model, &tight);
        assert_eq!(choose(&found, &tight).unwrap(), two);
        let refused = found.iter().find(|a| a.to_string() == "general on bn254").unwrap();
        assert_eq!((refused.needs_k, refused.plan.as_ref()), (Some(one.k + 1), None));
        let none = PlanOptions { bn254_k: one.k - 1, ..tight };
        let found = alternatives(&model, &none);
        assert_eq!(needed_k(&found, &none), Some(one.k));
        let error = choose(&found, &none).unwrap_err().to_string();
        assert_eq!(error.matches("general on bn254").count(), 1, "{error}");
    }
}
