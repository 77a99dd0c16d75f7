//! A model in one of the layouts.

use ff::PrimeField;
use halo2_proofs::plonk::{Circuit, ConstraintSystem};
use serde::{Deserialize, Serialize};

use super::{Assignment, ModelCircuit, Shape};
use crate::graph::{IntegerModel, Trace};

/// A family of circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Any model: one permutation ties copies together.
    General,
}

/// A model laid out with the witness of one run. What verifiers know of it depends on the model alone.
#[derive(Clone, Debug)]
pub enum LaidOut<F: PrimeField> {
    General(ModelCircuit<F>),
}

impl<F: PrimeField> LaidOut<F> {
    /// Lay out the model with the witness `trace`.
    pub fn new(layout: Layout, model: &IntegerModel, trace: &Trace) -> Self {
        match layout {
            Layout::General => LaidOut::General(ModelCircuit::new(model, trace)),
        }
    }

    /// The circuit for key generation: the layout with the witness of one in-domain input, the lower corner.
    pub fn for_keygen(layout: Layout, model: &IntegerModel) -> Self {
        let corner: Vec<i128> = model.features.iter().map(|f| f.range.lo).collect();
        Self::new(layout, model, &model.trace(&corner))
    }

    /// Which layout it is.
    pub fn layout(&self) -> Layout {
        match self {
            LaidOut::General(_) => Layout::General,
        }
    }

    /// The domain has `2^k` rows.
    pub fn k(&self) -> u32 {
        match self {
            LaidOut::General(circuit) => circuit.k,
        }
    }

    /// Rows in use.
    pub fn rows(&self) -> usize {
        match self {
            LaidOut::General(circuit) => circuit.layout.rows(),
        }
    }

    /// What verifiers know of it besides its gates.
    pub fn shape(&self) -> Shape<F> {
        match self {
            LaidOut::General(circuit) => circuit.shape(),
        }
    }

    /// What the prover commits to.
    pub fn assignment(&self) -> Assignment<F> {
        match self {
            LaidOut::General(circuit) => circuit.assignment(),
        }
    }

    /// Columns and gates.
    pub fn constraint_system(&self) -> ConstraintSystem<F> {
        fn configured<F: PrimeField, C: Circuit<F>>(circuit: &C) -> ConstraintSystem<F> {
            let mut cs = ConstraintSystem::default();
            C::configure_with_params(&mut cs, circuit.params());
            cs
        }
        match self {
            LaidOut::General(circuit) => configured(circuit),
        }
    }
}
