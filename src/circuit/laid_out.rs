//! A model in one of the layouts.

use std::{fmt, str::FromStr};

use ff::PrimeField;
use halo2_proofs::plonk::{Circuit, ConstraintSystem};
use serde::{Deserialize, Serialize};

use super::{
    ModelCircuit, NotPeriodic, PeriodicCircuit, PhasedCircuit, Preprocessed, Shape, Witness,
    phased::{self, PhasedConfig},
};
use crate::{
    graph::{IntegerModel, Trace},
    stages::{self, Stage},
};

/// A family of circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Models that a few rows per neuron can hold: copies are rotations, and there is no permutation.
    Periodic,
    /// Any model: one permutation ties copies together.
    General,
    /// Any model, with fewer rows and more columns: two phases, ranges by look-ups.
    Phased,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Layout; 3] = [Layout::Periodic, Layout::General, Layout::Phased];
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Periodic => "periodic",
            Layout::General => "general",
            Layout::Phased => "phased",
        })
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let layout = Self::ALL.into_iter().find(|layout| layout.to_string() == name);
        layout.ok_or_else(|| format!("there is no layout \"{name}\": choose periodic, general or phased"))
    }
}

/// The least value of every input.
fn lower_corner(model: &IntegerModel) -> Vec<i128> {
    model.features.iter().map(|feature| feature.range.lo).collect()
}

/// A model laid out with the witness of one run. What verifiers know of it depends on the model alone.
#[derive(Clone, Debug)]
pub enum LaidOut<F: PrimeField> {
    Periodic(PeriodicCircuit<F>),
    General(ModelCircuit<F>),
    Phased(Box<PhasedCircuit<F>>),
}

/// What a layout decides by looking at the model, for further runs of the same model.
#[derive(Clone, Debug)]
pub enum Decisions {
    /// All of it follows from the model in no time.
    Of(Layout),
    Phased(phased::Decisions),
}

impl Decisions {
    /// Which layout it is.
    pub fn layout(&self) -> Layout {
        match self {
            Decisions::Of(layout) => *layout,
            Decisions::Phased(_) => Layout::Phased,
        }
    }
}

/// Do the same for the circuit of any layout.
macro_rules! any {
    ($laid_out:expr, $circuit:ident => $body:expr) => {
        match $laid_out {
            LaidOut::Periodic($circuit) => $body,
            LaidOut::General($circuit) => $body,
            LaidOut::Phased($circuit) => $body,
        }
    };
}

impl<F: PrimeField> LaidOut<F> {
    /// Lay out the model with the witness `trace`. Only `periodic` does not hold every model.
    pub fn new(layout: Layout, model: &IntegerModel, trace: &Trace) -> Result<Self, NotPeriodic> {
        Self::within(usize::MAX, layout, model, trace)
    }

    /// The same model with the witness of another run, without deciding anything anew.
    pub fn decided(decisions: &Decisions, model: &IntegerModel, trace: &Trace) -> Result<Self, NotPeriodic> {
        match decisions {
            Decisions::Of(layout) => Self::new(*layout, model, trace),
            Decisions::Phased(decisions) => {
                let _stage = stages::enter(Stage::LayingOut);
                Ok(LaidOut::Phased(Box::new(PhasedCircuit::decided(decisions, model, trace))))
            }
        }
    }

    /// What was decided by looking at the model.
    pub fn decisions(&self) -> Decisions {
        match self {
            LaidOut::Phased(circuit) => Decisions::Phased(circuit.decisions()),
            other => Decisions::Of(other.layout()),
        }
    }

    /// The same, with no more than `limit` rows kept: a circuit that takes more is good for its size only.
    fn within(limit: usize, layout: Layout, model: &IntegerModel, trace: &Trace) -> Result<Self, NotPeriodic> {
        let _stage = stages::enter(Stage::LayingOut);
        Ok(match layout {
            Layout::Periodic => LaidOut::Periodic(PeriodicCircuit::new(model, trace)?),
            Layout::General => LaidOut::General(ModelCircuit::within(limit, model, trace)),
            Layout::Phased => LaidOut::Phased(Box::new(PhasedCircuit::within(limit, model, trace))),
        })
    }

    /// The circuit for key generation: the layout with the witness of one in-domain input, the lower corner.
    pub fn for_keygen(layout: Layout, model: &IntegerModel) -> Result<Self, NotPeriodic> {
        Self::new(layout, model, &model.trace(&lower_corner(model)))
    }

    /// The same for a model of which this was decided before.
    pub fn for_keygen_decided(decisions: &Decisions, model: &IntegerModel) -> Result<Self, NotPeriodic> {
        Self::decided(decisions, model, &model.trace(&lower_corner(model)))
    }

    /// As [`Self::for_keygen`], if the circuit fits a domain of `2^max_k` rows; else the k that it takes. Nothing is kept of rows
    /// that do not fit.
    pub fn for_keygen_within(
        max_k: u32,
        layout: Layout,
        model: &IntegerModel,
    ) -> Result<Result<Self, u32>, NotPeriodic> {
        if layout == Layout::Periodic {
            let geometry = PeriodicCircuit::<F>::plan(model)?;
            if geometry.k > max_k {
                return Ok(Err(geometry.k));
            }
        }
        let circuit = Self::within(1 << max_k, layout, model, &model.trace(&lower_corner(model)))?;
        let k = circuit.k();
        Ok(if k > max_k { Err(k) } else { Ok(circuit) })
    }

    /// Which layout it is.
    pub fn layout(&self) -> Layout {
        match self {
            LaidOut::Periodic(_) => Layout::Periodic,
            LaidOut::General(_) => Layout::General,
            LaidOut::Phased(_) => Layout::Phased,
        }
    }

    /// The domain has `2^k` rows.
    pub fn k(&self) -> u32 {
        match self {
            LaidOut::Periodic(circuit) => circuit.k(),
            LaidOut::General(circuit) => circuit.k,
            LaidOut::Phased(circuit) => circuit.k,
        }
    }

    /// Rows in use.
    pub fn rows(&self) -> usize {
        match self {
            LaidOut::Periodic(circuit) => circuit.rows(),
            LaidOut::General(circuit) => circuit.layout.rows(),
            LaidOut::Phased(circuit) => circuit.layout.rows(),
        }
    }

    /// Pairs of rows that a permutation ties together.
    pub fn copies(&self) -> usize {
        match self {
            LaidOut::Periodic(_) => 0,
            LaidOut::General(circuit) => circuit.layout.copies.len(),
            LaidOut::Phased(circuit) => circuit.layout.copies.len() + circuit.layout.pins.len(),
        }
    }

    /// What verifiers know of it besides its gates.
    pub fn shape(&self) -> Shape<F> {
        any!(self, circuit => circuit.shape())
    }

    /// What the prover commits to in the first phase.
    pub fn witness(&self) -> Witness<F> {
        let _stage = stages::enter(Stage::LayingOut);
        any!(self, circuit => circuit.witness())
    }

    /// What key generation commits to.
    pub fn preprocessed(&self) -> Preprocessed<F> {
        let _stage = stages::enter(Stage::LayingOut);
        any!(self, circuit => circuit.preprocessed())
    }

    /// The advice column of the second phase for the challenges between the phases, as far as it follows from the first;
    /// `None` if there is one phase.
    pub fn second_phase(&self, challenges: [F; 2]) -> Option<Vec<F>> {
        let _stage = stages::enter(Stage::LayingOut);
        match self {
            LaidOut::Phased(circuit) => Some(circuit.running_sum(challenges)),
            _ => None,
        }
    }

    /// Columns and gates.
    pub fn constraint_system(&self) -> ConstraintSystem<F> {
        let mut cs = ConstraintSystem::default();
        match self {
            LaidOut::Periodic(circuit) => {
                PeriodicCircuit::configure_with_params(&mut cs, circuit.params());
            }
            LaidOut::General(_) => {
                ModelCircuit::configure(&mut cs);
            }
            LaidOut::Phased(circuit) => {
                PhasedConfig::configure(&mut cs, circuit.layout.extras());
            }
        }
        cs
    }
}
