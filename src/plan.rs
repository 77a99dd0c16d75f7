//! Which layout and which curve: what each would cost, before any key is made.
//!
//! A plan is cheap: it lays the model out, describes the protocol with placeholders for the commitments, and estimates the
//! gas of its contract. The choice is the least gas among the plans that fit the setup.

use std::{fmt, str::FromStr};

use group::prime::PrimeCurveAffine;
use serde::Serialize;
use thiserror::Error;

use crate::{
    circuit::{LaidOut, Layout, domain_generator},
    graph::IntegerModel,
    proof::{
        Bls12381, Bn254, Curve, CurveId,
        protocol::{Commitments, Protocol},
        srs::ETHEREUM_K,
    },
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
    let result = plan::<C>(layout, model, setup_k);
    let (plan, reason) = match result {
        Ok(plan) => (Some(plan), None),
        Err(reason) => (None, Some(reason)),
    };
    Alternative { layout, curve: C::ID, plan, reason }
}

fn plan<C: Curve>(layout: Layout, model: &IntegerModel, setup_k: u32) -> Result<Plan, String> {
    let circuit = LaidOut::<C::Scalar>::for_keygen(layout, model).map_err(|error| error.to_string())?;
    let (k, rows) = (circuit.k(), circuit.rows());
    if k > setup_k {
        return Err(format!("it takes 2^{k} rows, the setup has 2^{setup_k} powers"));
    }
    let quotient_pieces = if setup_k > k { 1 } else { 2 };
    let protocol = outline::<C>(&circuit, quotient_pieces).map_err(|error| error.to_string())?;
    let estimate = Estimate::new(&protocol);
    Ok(Plan { layout, curve: C::ID, k, rows, quotient_pieces, estimate })
}

/// The protocol with generators in place of commitments.
fn outline<C: Curve>(
    circuit: &LaidOut<C::Scalar>,
    quotient_pieces: usize,
) -> Result<Protocol<C>, crate::proof::protocol::UnsupportedError> {
    let cs = circuit.constraint_system();
    let permuted = !cs.permutation().get_columns().is_empty();
    let commitments = Commitments {
        fixed: vec![C::G1Affine::generator(); cs.num_fixed_columns()],
        sigma: permuted.then(C::G1Affine::generator),
        s_g2: C::G2Affine::generator(),
    };
    let domain = (circuit.k(), domain_generator(circuit.k()));
    Protocol::new(domain, &cs, circuit.shape(), commitments, quotient_pieces)
}

/// Estimated gas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub transaction: u64,
}

impl Estimate {
    fn new<C: Curve>(protocol: &Protocol<C>) -> Self {
        let calldata = 500 * protocol.proof_words() as u64;
        let curve = match C::ID {
            CurveId::Bn254 => {
                113_100
                    + 6_350 * (4 + protocol.quotient_pieces + 3 * usize::from(protocol.permutation.is_some())) as u64
            }
            CurveId::Bls12381 => {
                51_000
                    + 10_200 * (2 + protocol.quotient_pieces + 3 * usize::from(protocol.permutation.is_some())) as u64
            }
        };
        Self { transaction: 26_000 + calldata + curve }
    }
}
