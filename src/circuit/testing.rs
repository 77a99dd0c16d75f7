//! Test support: does an assignment satisfy the constraint system, and is every cell of it pinned? What can a prover reach
//! who forges some cells and completes the rest so that as few constraints as possible notice?

use std::collections::HashMap;

use ff::{Field, PrimeField};
use halo2_proofs::dev::{MockProver, VerifyFailure};
use halo2curves::bn256::Fr;

use super::{Builder, GeneralConfig, ModelCircuit, builder::field};
use crate::{
    graph::{Feature, IntegerModel, IntegerNode, Interval, integer::Output},
    ops::Op,
};

#[path = "../../tests/common/random.rs"]
mod random;

pub use random::{Draw, linear, mlp, push, random_input, random_model};

/// Whether the constraint system accepts the circuit's assignment for these public values.
pub fn satisfied(circuit: &ModelCircuit<Fr>, public_values: &[i128]) -> bool {
    let instances = circuit.instances(public_values).to_vec();
    MockProver::run(circuit.k, circuit, instances).expect("the circuit fits its domain").verify().is_ok()
}

/// The circuit with the witness of an input.
pub fn honest(model: &IntegerModel, input: &[i128]) -> ModelCircuit<Fr> {
    ModelCircuit::new(model, &model.trace(input))
}

/// The public values that the witness arrives at.
pub fn claims(circuit: &ModelCircuit<Fr>) -> Vec<Fr> {
    circuit.layout.public_rows.iter().map(|row| circuit.layout.a[row + 1]).collect()
}

/// What the constraint system says against the circuit's assignment, for the public values that it arrives at itself.
pub fn violations(circuit: &ModelCircuit<Fr>) -> Vec<VerifyFailure> {
    let outputs: Vec<_> = circuit.layout.public_rows.iter().copied().zip(claims(circuit)).collect();
    let instances = GeneralConfig::instance_columns(circuit.k, &outputs).to_vec();
    let result = MockProver::run(circuit.k, circuit, instances).expect("the circuit fits its domain").verify();
    result.err().unwrap_or_default()
}

/// `value / 2`, rounded down as an integer of `[0, r)`.
fn halved(value: Fr) -> Fr {
    (value - if bool::from(value.is_odd()) { Fr::ONE } else { Fr::ZERO }) * Fr::TWO_INV
}

/// The witness of a prover who puts these values in these cells and goes on by the rules: copies are copies, sums are sums,
/// squares are squares, magnitudes are magnitudes, and digits are bits for as long as there are rows. Every other cell that
/// the prover is free to choose is left as it is.
pub fn complete(circuit: &ModelCircuit<Fr>, chosen: &[(usize, Fr)]) -> ModelCircuit<Fr> {
    let mut forged = circuit.clone();
    let Builder { a, w, q, copies, .. } = &mut forged.layout;
    let chosen: HashMap<usize, Fr> = chosen.iter().copied().collect();
    let copied: HashMap<usize, usize> = copies.iter().map(|&(source, copy)| (copy, source)).collect();
    for row in 3..a.len() {
        let (above, even) = (row - 1, row % 2 == 0);
        let digits = |row: usize| q[row] && w[row] == Fr::ZERO;
        let squares = |row: usize| q[row] && w[row] == Fr::ONE;
        a[row] = if let Some(&value) = chosen.get(&row) {
            value
        } else if let Some(&source) = copied.get(&row) {
            a[source]
        } else if digits(if even { row - 2 } else { above }) {
            halved(a[above])
        } else if even && squares(row - 2) {
            let x = a[row - 2] * Fr::TWO_INV;
            x.min(-x)
        } else if even {
            a[row - 2] + w[row - 2] * a[above]
        } else if squares(row - 3) {
            a[row - 3].square()
        } else if w[above] == -Fr::ONE && w[row] == Fr::ONE {
            a[above] // closes the accumulator
        } else {
            a[row]
        };
    }
    forged
}

/// A range check: `bits` digits of the cell in row `first`, in the rows below it.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    pub first: usize,
    pub bits: usize,
}

impl Digits {
    /// All range checks of a layout, from above.
    pub fn find(layout: &Builder<Fr>) -> Vec<Self> {
        let digits = |row: usize| layout.q[row] && layout.w[row] == Fr::ZERO;
        let (mut found, mut row) = (Vec::new(), 0);
        while row < layout.rows() {
            let first = row;
            while digits(row) {
                row += 2;
            }
            if row > first {
                let odd = layout.copies.iter().any(|&(_, copy)| copy == row - 1);
                found.push(Digits { first, bits: row - first - usize::from(odd) });
            }
            row += 2;
        }
        found
    }

    /// Ways to pass `value` off as the digits of `target < 2^bits`: one digit, each of them in turn, takes what is between
    /// the two, those before it are the bits of `value`, those after it the bits of `target`.
    pub fn passed_off(&self, value: Fr, target: u128) -> Vec<Vec<(usize, Fr)>> {
        let forged = |taker: usize| {
            let mut cell = value;
            let cells = (1..=self.bits).map(|i| {
                cell = if i <= taker { halved(cell) } else { Fr::from_u128(target >> i) };
                (self.first + i, cell)
            });
            cells.collect()
        };
        (0..self.bits).map(forged).collect()
    }

    /// Ways to expand `value + r` in place of `value`, wrong digit by wrong digit: every digit is a bit, and the expansion
    /// does not end.
    pub fn wrapped(&self, value: Fr) -> Vec<Vec<(usize, Fr)>> {
        let forged = |wrong: usize| {
            let before = (0..wrong).fold(value, |cell, _| halved(cell));
            let rest = halved(before);
            let flipped = if rest.double() == before { rest - Fr::TWO_INV } else { rest + Fr::TWO_INV };
            vec![(self.first + wrong + 1, flipped)]
        };
        (0..self.bits - 1).map(forged).collect()
    }
}

/// The input that a witness encodes, read from the cells of the range checks that inputs begin with.
pub fn encoded_input(model: &IntegerModel, circuit: &ModelCircuit<Fr>) -> Vec<Fr> {
    let a = &circuit.layout.a;
    let mut checks = Digits::find(&circuit.layout).into_iter();
    let mut value = |range: Interval| {
        let max = range.hi.abs_diff(range.lo);
        if max == 0 {
            return field(range.lo);
        }
        let low = a[checks.next().unwrap().first - 1];
        let excess = max + 1 - (1 << (max + 1).ilog2());
        let top = if excess == 0 { Fr::ZERO } else { a[checks.next().unwrap().first - 1] };
        field::<Fr>(range.lo) + low + Fr::from_u128(excess) * top
    };
    model.features.iter().map(|feature| value(feature.range)).collect()
}

/// Whether a witness shows what a proof says: its public values are the model's outputs for an input of the domain.
pub fn tells_the_truth(model: &IntegerModel, circuit: &ModelCircuit<Fr>) -> bool {
    let integer =
        |(feature, value): (&Feature, Fr)| (feature.range.lo..=feature.range.hi).find(|&v| field::<Fr>(v) == value);
    let input: Option<Vec<i128>> = model.features.iter().zip(encoded_input(model, circuit)).map(integer).collect();
    input.is_some_and(|input| {
        let outputs = model.public_values(&model.trace(&input));
        outputs.into_iter().map(field::<Fr>).eq(claims(circuit))
    })
}

/// A model of one operator over inputs with the given domains, all its outputs public.
pub fn single_op(op: Op, domains: &[(i128, i128)]) -> IntegerModel {
    let features: Vec<Feature> = domains
        .iter()
        .enumerate()
        .map(|(i, &(lo, hi))| Feature { name: format!("x{i}"), scale: 1.0, range: Interval::new(lo, hi).unwrap() })
        .collect();
    let ranges: Vec<_> = features.iter().map(|f| f.range).collect();
    let ranges = op.bounds(&[&ranges]).unwrap();
    let nodes = vec![IntegerNode { name: "node".into(), op, inputs: vec![0], ranges }];
    IntegerModel { features, nodes, outputs: vec![Output { name: "y".into(), tensor: 1, scale: 1.0 }] }
}

/// Check that the honest witness is accepted, and that it no longer is after a change of any one cell, by several deltas. If
/// all cells that follow from the changed one are completed, it is rejected unless it is the honest witness of another
/// input. Outputs that differ from the interpreter's are rejected as well.
pub fn assert_pinned(model: &IntegerModel, input: &[i128]) {
    let trace = model.trace(input);
    let public_values = model.public_values(&trace);
    let honest = honest(model, input);
    assert!(satisfied(&honest, &public_values), "the honest witness of {input:?} is rejected");

    for row in 0..honest.layout.rows() {
        let cell = honest.layout.a[row];
        for forged in [cell + Fr::ONE, cell - Fr::ONE, cell.double() + Fr::ONE, -cell + Fr::from(2)] {
            let mut tampered = honest.clone();
            tampered.layout.a[row] = forged;
            assert!(
                forged == cell || !satisfied(&tampered, &public_values),
                "input {input:?}: row {row} accepts {forged:?} in place of {cell:?}"
            );
            let completed = complete(&honest, &[(row, forged)]);
            assert!(
                !violations(&completed).is_empty() || tells_the_truth(model, &completed),
                "input {input:?}: with {forged:?} in row {row}, {:?} is accepted as the output",
                claims(&completed)
            );
        }
    }
    for i in 0..public_values.len() {
        let mut forged = public_values.clone();
        forged[i] += 1;
        assert!(!satisfied(&honest, &forged), "input {input:?}: public value {i} is not bound");
    }
}
