//! What honest provers can prove, and what cheating ones cannot.

use ff::{Field, PrimeField};
use halo2_proofs::dev::MockProver;
use halo2curves::bn256::Fr;
use proptest::prelude::*;

use super::{
    config::UNUSABLE_ROWS,
    testing::{Case, omega},
    *,
};
use crate::{
    circuit::testing::{Draw, mlp, random_input, random_model, single_op},
    graph::Affine,
    ops::Op,
};

/// Whether halo2's mock prover accepts the honest witness, for its outputs plus `delta`.
fn mock_accepts(model: &IntegerModel, input: &[i128], delta: i128) -> bool {
    let trace = model.trace(input);
    let circuit = PeriodicCircuit::<Fr>::new(model, &trace).unwrap();
    let k = circuit.k();
    let public: Vec<Fr> =
        model.public_values(&trace).into_iter().map(|v| crate::circuit::builder::field(v + delta)).collect();
    let mut instances = circuit.shape().instance_values(k, &public);
    instances.iter_mut().for_each(|column| {
        assert!(column.split_off((1 << k) - UNUSABLE_ROWS).iter().all(|&value| value == Fr::ZERO));
    });
    MockProver::run(k, &circuit, instances).unwrap().verify().is_ok()
}

#[test]
fn the_mock_prover_agrees() {
    for model in [mlp(&[3, 4, 2], 50, 1), mlp(&[2, 3, 3, 1], 50, 2)] {
        let input = random_input(&model, &mut Draw::new(3));
        assert!(mock_accepts(&model, &input, 0));
        assert!(!mock_accepts(&model, &input, 1));
    }
}

#[test]
fn survey() {
    let mut accepted = 0;
    let mut ks = std::collections::BTreeMap::new();
    for seed in 0..1000 {
        let model = random_model(seed);
        let general = crate::circuit::ModelCircuit::<Fr>::for_keygen(&model).k;
        match PeriodicCircuit::<Fr>::for_keygen(&model) {
            Ok(circuit) => {
                accepted += 1;
                *ks.entry((circuit.k(), circuit.k() as i32 - general as i32)).or_insert(0) += 1;
            }
            Err(error) => eprintln!("{seed}: {error}"),
        }
    }
    eprintln!("{accepted} of 1000, {ks:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn every_input_satisfies_one_layout(seed: u64) {
        let (model, mut draw) = (random_model(seed), Draw::new(!seed));
        let case = Case::new(&model);
        for _ in 0..3 {
            let input = random_input(&model, &mut draw);
            let honest = case.honest(&input);
            let outputs = case.outputs(&input);
            prop_assert_eq!(case.violations_in(0..honest.len(), &honest, &outputs), vec![]);
            prop_assert!(case.tells_the_truth(&honest));
            prop_assert_eq!(&case.complete(&honest, &[]), &honest);
            let circuit = PeriodicCircuit::<Fr>::new(&model, &model.trace(&input)).unwrap();
            prop_assert_eq!(&circuit.advice, &honest);
            prop_assert_eq!(&circuit.fixed, &case.circuit.fixed);
            prop_assert_eq!(circuit.shape(), case.circuit.shape());
        }
    }
}
