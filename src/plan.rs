//! Which layout and which curve: what each would cost, before any key is made.
//!
//! A plan is cheap: it lays the model out, describes the protocol with placeholders for the commitments, and estimates the
//! gas of its contract. The choice is the least gas among the plans that fit the setup.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::{
    circuit::{LaidOut, Layout, PeriodicCircuit},
    gas::{CalldataCost, Estimate},
    graph::IntegerModel,
    proof::{Bls12381, Bn254, Curve, CurveId, SrsOrigin, VerifyingKey, srs::ETHEREUM_K},
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
        alternatives.push(alternative::<Bn254>(layout, model, options.bn254_k));
        alternatives.push(alternative::<Bls12381>(layout, model, ETHEREUM_K));
    }
    alternatives
}

/// The cheapest plan among those that the options allow; equal ones in the order of [`alternatives`].
pub fn choose(alternatives: &[Alternative], options: &PlanOptions) -> Result<Plan, PlanError> {
    let allowed = || alternatives.iter().filter(|a| options.layout.allows(&a.layout) && options.curve.allows(&a.curve));
    let cheapest = allowed().filter_map(|a| a.plan.as_ref()).min_by_key(|plan| plan.estimate.transaction);
    cheapest.cloned().ok_or_else(|| {
        let reason = |a: &Alternative| Some(format!("{} on {}: {}", a.layout, a.curve, a.reason.as_deref()?));
        PlanError { reasons: allowed().filter_map(reason).collect::<Vec<_>>().join("; ") }
    })
}

fn alternative<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32) -> Alternative {
    let mut alternative = Alternative { layout, curve: C::ID, plan: None, reason: None, needs_k: None };
    match plan::<C>(layout, model, setup_k) {
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

fn plan<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32) -> Result<Plan, NoPlan> {
    let other = |error: &dyn fmt::Display| NoPlan::Other(error.to_string());
    if layout == Layout::Periodic {
        // cheap, and says what laying out millions of rows would end with
        let geometry = PeriodicCircuit::<C::Scalar>::plan(model).map_err(|error| other(&error))?;
        if geometry.k > setup_k {
            return Err(NoPlan::Setup { k: geometry.k });
        }
    }
    let circuit = LaidOut::<C::Scalar>::for_keygen(layout, model).map_err(|error| other(&error))?;
    let (k, rows) = (circuit.k(), circuit.rows());
    if k > setup_k {
        return Err(NoPlan::Setup { k });
    }
    let quotient_pieces = if setup_k > k { 1 } else { 2 };
    let ranges = model.public_ranges();
    let outline = VerifyingKey::<C>::outline(&circuit, quotient_pieces, ranges, SrsOrigin::Unsafe);
    let outline = outline.map_err(|error| other(&error))?;
    let estimate = estimate(&outline).map_err(|error| other(&error))?;
    Ok(Plan { layout, curve: C::ID, k, rows, quotient_pieces, estimate })
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
    };
    let source = verifier_source(protocol, ranges, &info)?;
    Ok(Estimate::new(&source, &CalldataCost::of_verify(ranges, protocol.proof_words()))?)
}
