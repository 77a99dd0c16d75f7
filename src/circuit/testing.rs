//! Test support: does an assignment satisfy the constraint system, and is every cell of it pinned?

use ff::Field;
use halo2_proofs::dev::MockProver;
use halo2curves::bn256::Fr;

use super::ModelCircuit;
use crate::{
    graph::{Feature, IntegerModel, IntegerNode, Interval, integer::Output},
    ops::Op,
};

/// Whether the constraint system accepts the circuit's assignment for these public values.
pub fn satisfied(circuit: &ModelCircuit<Fr>, public_values: &[i128]) -> bool {
    let instances = circuit.instances(public_values).to_vec();
    MockProver::run(circuit.k, circuit, instances).expect("the circuit fits its domain").verify().is_ok()
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

/// Check that the honest witness is accepted, and that it no longer is after a change of any one cell, by several deltas.
/// Outputs that differ from the interpreter's are rejected as well.
pub fn assert_pinned(model: &IntegerModel, input: &[i128]) {
    let trace = model.trace(input);
    let public_values = model.public_values(&trace);
    let honest = ModelCircuit::<Fr>::new(model, &trace);
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
        }
    }
    for i in 0..public_values.len() {
        let mut forged = public_values.clone();
        forged[i] += 1;
        assert!(!satisfied(&honest, &forged), "input {input:?}: public value {i} is not bound");
    }
}
