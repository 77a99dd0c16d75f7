//! Test support: does an assignment satisfy the constraint system, and is every cell of it pinned? What can a prover reach
//! who forges some cells and completes the rest so that as few constraints as possible notice?

use ff::{Field, PrimeField};
use halo2_proofs::dev::{MockProver, VerifyFailure};
use halo2curves::bn256::Fr;

use super::{ModelCircuit, field};
use crate::{
    graph::{Feature, IntegerModel, IntegerNode, Interval, integer::Output},
    ops::Op,
};

#[path = "../../tests/common/forgery.rs"]
mod forgery;
#[path = "../../tests/common/phased.rs"]
mod phased;
#[path = "../../tests/common/random.rs"]
mod random;

pub use forgery::{Digits, claims, complete};
pub use phased::Runs;
pub use random::{
    Draw, committed, linear, mlp, push, random_functions, random_general_model, random_input, random_model,
    random_values, reweighted,
};

/// Whether the constraint system accepts the circuit's assignment for these public values.
pub fn satisfied(circuit: &ModelCircuit<Fr>, public_values: &[i128]) -> bool {
    let public_values: Vec<Fr> = public_values.iter().map(|&value| field(value)).collect();
    let instances = circuit.instances(&public_values);
    MockProver::run(circuit.k, circuit, instances).expect("the circuit fits its domain").verify().is_ok()
}

/// The circuit with the witness of an input.
pub fn honest(model: &IntegerModel, input: &[i128]) -> ModelCircuit<Fr> {
    ModelCircuit::new(model, &model.trace(input))
}

/// What the constraint system says against the circuit's assignment, for the public values that it arrives at itself.
pub fn violations(circuit: &ModelCircuit<Fr>) -> Vec<VerifyFailure> {
    let instances = circuit.instances(&claims(circuit));
    let result = MockProver::run(circuit.k, circuit, instances).expect("the circuit fits its domain").verify();
    result.err().unwrap_or_default()
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
    let outputs = vec![Output { name: "y".into(), tensor: 1, scale: 1.0 }];
    IntegerModel { features, nodes, outputs, digests: vec![] }
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
