//! Test support: which gates an advice column violates, and what a prover can reach who chooses some cells and completes the
//! rest by the rules.

use std::collections::HashMap;

use ff::PrimeField;
use halo2_proofs::{
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use super::{
    PeriodicCircuit, PeriodicConfig, PeriodicParams, layout,
    plan::Plan,
    program::{Program, Register},
    unfold::Definition,
};
use crate::{
    circuit::{PublicRow, field},
    graph::IntegerModel,
    proof::equations::public_value,
};

#[path = "../../../tests/common/blocks.rs"]
mod blocks;

use blocks::Blocks;

/// Gates, in the order in which they are declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Mac,
    Copy,
    Act,
    Bias,
    Bit,
    End,
}

const GATES: [Gate; 6] = [Gate::Mac, Gate::Copy, Gate::Act, Gate::Bias, Gate::Bit, Gate::End];

/// A model with its layout.
pub struct Case<F> {
    pub model: IntegerModel,
    pub plan: Plan<F>,
    pub circuit: PeriodicCircuit<F>,
    gates: Vec<Expression<F>>,
    /// Instance columns for public values of zero.
    instance: Vec<Vec<F>>,
}

impl<F: PrimeField + Ord> Case<F> {
    pub fn new(model: &IntegerModel) -> Self {
        let plan = Plan::new(Program::new(model).unwrap()).unwrap();
        let circuit = PeriodicCircuit::for_keygen(model).unwrap();
        let mut cs = ConstraintSystem::default();
        PeriodicConfig::configure(&mut cs, PeriodicParams { log_period: plan.geometry.log_period });
        let gates = cs.gates().iter().flat_map(|gate| gate.polynomials().to_vec()).collect();
        let zeros = vec![F::ZERO; circuit.public.len()];
        let instance = circuit.shape().instance_values(circuit.k(), &zeros);
        Self { model: model.clone(), plan, circuit, gates, instance }
    }

    /// The advice column of an input.
    pub fn honest(&self, input: &[i128]) -> Vec<F> {
        layout::advice(&self.plan, &self.plan.program.witness(input))
    }

    pub fn outputs(&self, input: &[i128]) -> Vec<F> {
        self.model.public_values(&self.model.trace(input)).into_iter().map(field).collect()
    }

    /// Row of a position in a block.
    pub fn row(&self, block: usize, position: usize) -> usize {
        block * self.plan.geometry.period() + position
    }

    /// Row of a left register in the first block.
    pub fn register(&self, register: usize) -> usize {
        self.row(0, self.plan.geometry.left_register(register))
    }

    /// Left registers that hold what `holds` says.
    pub fn registers(&self, holds: impl Fn(&Register) -> bool) -> Vec<usize> {
        let registers = &self.plan.program.registers;
        (0..registers.len()).filter(|&i| holds(&registers[i])).collect()
    }

    /// The definition of the variable that a register holds, if it is one.
    pub fn definition(&self, register: &Register) -> Option<&Definition> {
        register.value.as_value().map(|id| &self.plan.program.unfolded.variables[id].definition)
    }

    /// Whether a gate reads the cell.
    pub fn constrained(&self, row: usize) -> bool {
        (1..=self.plan.geometry.digits_end()).contains(&(row % self.plan.geometry.period()))
    }

    /// The violated gates among these rows, for the given public values.
    pub fn violations_in(
        &self,
        rows: impl Iterator<Item = usize>,
        advice: &[F],
        public: &[F],
    ) -> impl Iterator<Item = (Gate, usize)> {
        let n = advice.len();
        let public: HashMap<usize, F> =
            self.circuit.public.iter().map(|row| (row.row, public_value(row, public) - row.constant)).collect();
        let holds = move |row: usize, polynomial: &Expression<F>| {
            let at = |rotation: Rotation| (row as i32 + rotation.0).rem_euclid(n as i32) as usize;
            let instance = |column: usize| match public.get(&row) {
                Some(&value) if column == 0 => self.instance[column][row] + value,
                _ => self.instance[column][row],
            };
            let value = polynomial.evaluate(
                &|constant| constant,
                &|_| unreachable!("no selectors"),
                &|query| self.circuit.fixed[at(query.rotation())],
                &|query| advice[at(query.rotation())],
                &|query| instance(query.column_index()),
                &|_| unreachable!("no challenges"),
                &|value| -value,
                &|left, right| left + right,
                &|left, right| left * right,
                &|value, factor| value * factor,
            );
            value == F::ZERO
        };
        rows.flat_map(move |row| {
            let gates = GATES.into_iter().zip(&self.gates);
            let violated = gates.filter(|(_, polynomial)| !holds(row, polynomial)).map(|(gate, _)| (gate, row));
            violated.collect::<Vec<_>>()
        })
    }

    /// The violated gates among all rows, for the public values that the witness arrives at itself.
    pub fn violations(&self, advice: &[F]) -> Vec<(Gate, usize)> {
        self.violations_in(0..advice.len(), advice, &self.claims(advice)).collect()
    }

    /// Whether no gate is violated for these public values. Looks around `row` first.
    pub fn accepts(&self, row: usize, advice: &[F], public: &[F]) -> bool {
        let (n, period) = (advice.len(), self.plan.geometry.period());
        let first = (row / period * period + n - period) % n;
        self.violations_in((first..n).chain(0..first), advice, public).next().is_none()
    }

    /// Whether the gates that read a cell hold.
    pub fn accepts_cell(&self, row: usize, advice: &[F], public: &[F]) -> bool {
        let n = advice.len();
        let readers = [0, 1, 2, self.plan.geometry.period()].map(|rotation| (row + n - rotation) % n);
        self.violations_in(readers.into_iter(), advice, public).next().is_none()
    }

    /// The public values that the witness arrives at: what closes the cycle of their right registers.
    pub fn claims(&self, advice: &[F]) -> Vec<F> {
        let period = self.plan.geometry.period();
        let claim = |public: &PublicRow<F>| {
            let row = public.row;
            let (_, selector) = public.terms[0];
            let constant = public.constant * selector.invert().unwrap();
            advice[row % period] - advice[row] - self.circuit.fixed[row] * advice[row + 1] - constant
        };
        self.circuit.public.iter().map(claim).collect()
    }

    fn blocks(&self) -> Blocks<'_, F> {
        Blocks { geometry: self.plan.geometry, fixed: &self.circuit.fixed }
    }

    /// [`Blocks::complete`].
    pub fn complete(&self, honest: &[F], chosen: &[(usize, F)]) -> Vec<F> {
        self.blocks().complete(honest, chosen)
    }

    /// [`Blocks::passed_off`].
    pub fn passed_off(&self, block: usize, value: F, target: u128) -> Vec<Vec<(usize, F)>> {
        self.blocks().passed_off(block, value, target)
    }

    /// [`Blocks::wrapped`].
    pub fn wrapped(&self, block: usize, value: F) -> Vec<Vec<(usize, F)>> {
        self.blocks().wrapped(block, value)
    }

    /// Digits of a block.
    pub fn bits(&self, block: usize) -> usize {
        self.plan.blocks[block].atom.bits as usize
    }

    /// The form of a block, as a field element.
    pub fn value(&self, block: usize, advice: &[F]) -> F {
        advice[self.row(block, self.plan.geometry.value())]
    }

    /// Whether a witness shows what a proof says: its public values are the model's outputs for an input of the domain.
    /// Inputs that no output depends on are any of the domain.
    pub fn tells_the_truth(&self, advice: &[F]) -> bool {
        let mut input: Vec<i128> = self.model.features.iter().map(|feature| feature.range.lo).collect();
        for (i, register) in self.plan.program.registers.iter().enumerate() {
            if let Some(Definition::Input(feature)) = self.definition(register) {
                let (cell, range) = (advice[self.register(i)], self.model.features[*feature].range);
                match (range.lo..=range.hi).find(|&value| field::<F>(value) == cell) {
                    Some(value) => input[*feature] = value,
                    None => return false,
                }
            }
        }
        self.outputs(&input) == self.claims(advice)
    }

    /// Whether a forged witness is rejected, or shows a true statement.
    pub fn harmless(&self, row: usize, forged: &[F]) -> bool {
        !self.accepts(row, forged, &self.claims(forged)) || self.tells_the_truth(forged)
    }

    /// Check that the honest witness is accepted and that it no longer is after a change of any one cell that is constrained,
    /// by several deltas. If all that follows from the changed cell is completed, it is rejected unless it is a true
    /// statement. Outputs that differ from the interpreter's are rejected as well.
    pub fn assert_pinned(&self, input: &[i128]) {
        let (honest, public) = (self.honest(input), self.outputs(input));
        assert!(self.accepts(0, &honest, &public), "the honest witness of {input:?} is rejected");
        assert_eq!(self.complete(&honest, &[]), honest);
        for row in (0..honest.len()).filter(|&row| self.constrained(row)) {
            let cell = honest[row];
            for forged in [cell + F::ONE, cell - F::ONE, cell.double() + F::ONE, -cell + F::from(2)] {
                let mut tampered = honest.clone();
                tampered[row] = forged;
                assert!(
                    forged == cell || !self.accepts_cell(row, &tampered, &public),
                    "input {input:?}: row {row} accepts {forged:?} in place of {cell:?}"
                );
                let completed = self.complete(&honest, &[(row, forged)]);
                assert!(
                    self.harmless(row, &completed),
                    "input {input:?}: with {forged:?} in row {row}, {:?} is accepted as the output",
                    self.claims(&completed)
                );
            }
        }
        for i in 0..public.len() {
            let mut forged = public.clone();
            forged[i] += F::ONE;
            assert!(!self.accepts(0, &honest, &forged), "input {input:?}: public value {i} is not bound");
        }
    }
}
