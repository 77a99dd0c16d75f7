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

/// A random multi-layer perceptron with ReLUs between its layers, inputs in `[-domain, domain]`.
pub fn mlp(widths: &[usize], domain: i128, seed: u64) -> IntegerModel {
    use rand_core::{RngCore, SeedableRng};
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
    let mut weight = |bound: i64| (rng.next_u64() % (2 * bound as u64 + 1)) as i64 - bound;
    let range = Interval::new(-domain, domain).unwrap();
    let features = (0..widths[0]).map(|i| Feature { name: format!("x{i}"), scale: 1.0, range }).collect();
    let mut model = IntegerModel { features, nodes: vec![], outputs: vec![] };
    let push = |model: &mut IntegerModel, op: Op| {
        let input = model.nodes.len();
        let ranges = op.bounds(&[&model.ranges(input)]).unwrap();
        model.nodes.push(IntegerNode { name: format!("node{input}"), op, inputs: vec![input], ranges });
    };
    for (layer, pair) in widths.windows(2).enumerate() {
        if layer > 0 {
            push(&mut model, Op::Relu);
            push(&mut model, Op::Rescale(crate::ops::Rescale { shift: 6 }));
        }
        let (input_len, output_len) = (pair[0], pair[1]);
        let weights: Vec<i64> = (0..input_len * output_len).map(|_| weight(500) | 1).collect();
        push(
            &mut model,
            Op::Linear(crate::graph::Affine {
                input_len,
                row_starts: (0..=output_len).map(|j| (j * input_len) as u32).collect(),
                columns: (0..output_len).flat_map(|_| 0..input_len as u32).collect(),
                weights,
                bias: (0..output_len).map(|_| weight(10_000).into()).collect(),
            }),
        );
    }
    model.outputs.push(Output { name: "y".into(), tensor: model.nodes.len(), scale: 1.0 });
    model
}
