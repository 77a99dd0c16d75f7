//! What honest provers can prove, by every judge; and what random forgeries come to.

use std::path::Path;

use ff::{Field, PrimeField};
use halo2_proofs::{
    dev::MockProver,
    plonk::{create_proof, keygen_pk, keygen_vk, verify_proof},
    poly::{
        commitment::ParamsProver,
        kzg::{
            commitment::{KZGCommitmentScheme, ParamsKZG},
            multiopen::{ProverSHPLONK, VerifierSHPLONK},
            strategy::SingleStrategy,
        },
    },
    transcript::{Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer, TranscriptWriterBuffer},
};
use halo2curves::{
    bls12_381,
    bn256::{Bn256, Fr},
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{config::UNUSABLE_ROWS, testing::Case, *};
use crate::{
    circuit::{
        field,
        testing::{Draw, linear, mlp, push, random_input, random_model, single_op},
    },
    graph::{Feature, Interval, Output},
    onnx,
    ops::{Op, Rescale},
    quant::{CalibrationData, Domain, QuantOptions, quantise},
};

/// The instance columns for a circuit's public values, as far as halo2 takes them: what is cut off is zero.
fn instances(circuit: &PeriodicCircuit<Fr>, public: &[i128]) -> Vec<Vec<Fr>> {
    let (k, public): (_, Vec<Fr>) = (circuit.k(), public.iter().map(|&value| field(value)).collect());
    let mut instances = circuit.shape().instance_values(k, &public);
    for column in &mut instances {
        assert!(column.split_off((1 << k) - UNUSABLE_ROWS).iter().all(|&value| value == Fr::ZERO));
    }
    instances
}

fn mock_accepts(circuit: &PeriodicCircuit<Fr>, public: &[i128]) -> bool {
    MockProver::run(circuit.k(), circuit, instances(circuit, public)).unwrap().verify().is_ok()
}

/// Whether halo2's verifier accepts what halo2's prover makes of the circuit.
fn stock_accepts(circuit: &PeriodicCircuit<Fr>, public: &[i128]) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let params = ParamsKZG::<Bn256>::setup(circuit.k(), &mut rng);
    let vk = keygen_vk(&params, circuit).unwrap();
    assert_eq!(vk.cs().degree(), 3);
    let pk = keygen_pk(&params, vk, circuit).unwrap();
    let instances = instances(circuit, public);
    let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = Blake2bWrite::<_, _, Challenge255<_>>::init(vec![]);
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &params,
        &pk,
        std::slice::from_ref(circuit),
        &[&instances[..]],
        rng,
        &mut transcript,
    )
    .unwrap();
    let proof = transcript.finalize();
    let mut transcript = Blake2bRead::<_, _, Challenge255<_>>::init(&proof[..]);
    verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        params.verifier_params(),
        pk.get_vk(),
        SingleStrategy::new(&params),
        &[&instances[..]],
        &mut transcript,
    )
    .is_ok()
}

#[test]
fn halo2_accepts_what_the_gates_accept() {
    for model in [mlp(&[3, 4, 2], 50, 1), mlp(&[2, 3, 3, 1], 50, 2)] {
        let trace = model.trace(&random_input(&model, &mut Draw::new(3)));
        let circuit = PeriodicCircuit::<Fr>::new(&model, &trace).unwrap();
        let public = model.public_values(&trace);
        assert!(mock_accepts(&circuit, &public) && stock_accepts(&circuit, &public));
        let wrong: Vec<i128> = public.iter().map(|value| value + 1).collect();
        assert!(!mock_accepts(&circuit, &wrong) && !stock_accepts(&circuit, &wrong));
    }
}

/// Nothing that is constrained touches the free rows.
#[test]
fn free_rows_are_free() {
    let model = mlp(&[3, 4, 2], 50, 1);
    let case = Case::<Fr>::new(&model);
    let input = random_input(&model, &mut Draw::new(3));
    let mut advice = case.honest(&input);
    let free_rows = case.circuit.witness().free_rows;
    assert_eq!(free_rows.len(), FREE_ROWS);
    for row in free_rows {
        advice[row] = Fr::from(row as u64).square();
        assert!(!case.constrained(row));
    }
    assert_eq!(case.claims(&advice), case.outputs(&input));
    assert_eq!(case.violations(&advice), vec![]);
}

/// Completeness, and a layout that depends on the model alone.
fn every_input_satisfies_one_layout<F: PrimeField + Ord>(seed: u64) {
    let (model, mut draw) = (random_model(seed), Draw::new(!seed));
    let case = Case::<F>::new(&model);
    for _ in 0..3 {
        let input = random_input(&model, &mut draw);
        let honest = case.honest(&input);
        assert_eq!(case.claims(&honest), case.outputs(&input), "{input:?}");
        assert_eq!(case.violations(&honest), vec![], "{input:?}");
        assert!(case.tells_the_truth(&honest));
        assert_eq!(case.complete(&honest, &[]), honest);
        let circuit = PeriodicCircuit::<F>::new(&model, &model.trace(&input)).unwrap();
        assert_eq!(circuit.witness().advice, honest);
        assert_eq!(circuit.preprocessed().fixed, case.circuit.preprocessed().fixed);
        assert_eq!(circuit.shape(), case.circuit.shape());
        assert_eq!(PeriodicCircuit::<F>::plan(&model), Ok(circuit.geometry()));
    }
}

/// A prover who forges one cell, or two, and completes the rest, is caught or has told the truth about an input.
fn completed_forgeries_are_rejected<F: PrimeField + Ord>(seed: u64) {
    let (model, mut draw) = (random_model(seed), Draw::new(!seed));
    let case = Case::<F>::new(&model);
    let honest = case.honest(&random_input(&model, &mut draw));
    let registers = case.plan.program.registers.len().max(1);
    for round in 0..24 {
        let forgery: Vec<(usize, F)> = (0..1 + round % 2)
            .map(|_| {
                // every other cell is a register: whoever forges it is right in most blocks
                let row = if draw.once_in(2) { case.register(draw.index(registers)) } else { draw.index(honest.len()) };
                let (cell, small) = (honest[row], F::from_u128(draw.integer(1, 9) as u128));
                let half = cell + small * F::TWO_INV;
                (row, [cell + small, cell - small, -cell, cell.double(), small, half][draw.index(6)])
            })
            .collect();
        let forged = case.complete(&honest, &forgery);
        assert!(case.harmless(forgery[0].0, &forged), "{forgery:?}: {:?}", case.claims(&forged));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn random_models_on_bn254(seed: u64) {
        every_input_satisfies_one_layout::<Fr>(seed);
        completed_forgeries_are_rejected::<Fr>(seed);
    }

    #[test]
    fn random_models_on_bls12_381(seed: u64) {
        every_input_satisfies_one_layout::<bls12_381::Fr>(seed);
        completed_forgeries_are_rejected::<bls12_381::Fr>(seed);
    }
}

/// Every random model has this layout, among them some with ties and some with quotients.
#[test]
fn random_models_are_periodic() {
    let programs: Vec<Program> = (0..200).map(|seed| Program::new(&random_model(seed)).unwrap()).collect();
    let tied = |program: &&Program| program.equations.len() > program.unfolded.outputs.len();
    assert!(programs.iter().filter(tied).count() > 50);
    assert!(programs.into_iter().all(|program| Plan::<Fr>::new(program).is_ok()));
}

fn features(domains: &[(i128, i128)]) -> IntegerModel {
    let range = |&(lo, hi): &(i128, i128)| Interval::new(lo, hi).unwrap();
    let feature = |range| Feature { name: "x".into(), scale: 1.0, range };
    IntegerModel { features: domains.iter().map(range).map(feature).collect(), ..Default::default() }
}

fn output(model: &mut IntegerModel, tensor: usize) {
    model.outputs.push(Output { name: "y".into(), tensor, scale: 1.0 });
}

/// Inputs with these domains, then dense layers with ReLUs between them, and every layer's output public.
pub fn layers(domains: &[(i128, i128)], layers: &[&[&[i64]]]) -> IntegerModel {
    let mut model = features(domains);
    let mut tensor = 0;
    for (i, rows) in layers.iter().enumerate() {
        if i > 0 {
            tensor = push(&mut model, Op::Relu, vec![tensor]);
        }
        let rows: Vec<Vec<i64>> = rows.iter().map(|row| row.to_vec()).collect();
        let bias = (0..rows.len()).map(|j| 2 * j as i128 - 1).collect();
        tensor = push(&mut model, linear(rows[0].len(), &rows, bias), vec![tensor]);
    }
    output(&mut model, tensor);
    model
}

#[test]
fn every_cell_is_pinned() {
    let relu = layers(&[(-3, 4), (0, 2)], &[&[&[1, -2], &[-1, 1]], &[&[1, -1]]]);
    let relus = layers(&[(-3, 2)], &[&[&[1]], &[&[1], &[-1]], &[&[1, -1]]]);
    let mut inner = features(&[(-4, 3), (5, 5)]);
    let hidden = push(&mut inner, linear(2, &[vec![3, 1], vec![0, 2]], vec![1, 0]), vec![0]);
    let rescaled = push(&mut inner, Op::Rescale(Rescale { shift: 2 }), vec![hidden]);
    [0, hidden, rescaled].into_iter().for_each(|tensor| output(&mut inner, tensor));
    for model in [relu, relus, inner, single_op(Op::Rescale(Rescale { shift: 1 }), &[(-5, 6)])] {
        let case = Case::<Fr>::new(&model);
        let corner = |hi: bool| -> Vec<i128> {
            model.features.iter().map(|feature| if hi { feature.range.hi } else { feature.range.lo }).collect()
        };
        for input in [corner(false), corner(true), random_input(&model, &mut Draw::new(1))] {
            case.assert_pinned(&input);
        }
    }
}

#[test]
fn a_model_without_inputs_that_vary() {
    let model = layers(&[(7, 7)], &[&[&[2]]]);
    let case = Case::<Fr>::new(&model);
    let honest = case.honest(&[7]);
    assert_eq!((case.circuit.k(), case.claims(&honest)), (5, vec![Fr::from(13)]));
    case.assert_pinned(&[7]);
}

#[test]
fn what_a_model_needs() {
    // wide outputs go through limbs, one after the other
    let wide = Case::<Fr>::new(&layers(&[(-1000, 1000); 3], &[&[&[1 << 50, 12345, -77777777777777]]]));
    assert_eq!(wide.plan.blocks.iter().filter(|block| !block.writes.is_empty()).count(), 3);
    // many outputs of few inputs share one carrier per input
    let rows: Vec<Vec<i64>> = (0..8).map(|i| vec![i, 1 - i, i * i]).collect();
    let rows: Vec<&[i64]> = rows.iter().map(Vec::as_slice).collect();
    let many = Case::<Fr>::new(&layers(&[(-10, 10); 3], &[&rows]));
    assert_eq!(many.plan.blocks.iter().filter(|block| !block.writes.is_empty()).count(), 3);
    // two ReLUs that six arguments depend on get registers, and so do two arguments that six ReLUs go into
    let registers = |layers: &IntegerModel| Program::new(layers).unwrap().registers.len();
    let spread: [&[i64]; 6] = [&[1, -1], &[2, -1], &[3, -1], &[4, -1], &[5, -1], &[6, -1]];
    let (pair, six): ([&[i64]; 2], &[i64]) = ([&[1, 2], &[2, -3]], &[1, -1, 1, -1, 1, -1]);
    assert_eq!(registers(&layers(&[(-9, 9), (-9, 9)], &[&pair, &spread, &[six]])), 2 + 2);
    assert_eq!(registers(&layers(&[(-9, 9), (-9, 9)], &[&spread, &[six, six], &[&[1, 1]]])), 2 + 2);
    // a sum of ReLUs is no argument, its sign is known
    assert_eq!(registers(&layers(&[(-9, 9), (-9, 9)], &[&spread, &[six, &[2; 6]], &[&[1, 1]]])), 2 + 1);
}

#[test]
fn numbers_that_leave_128_bits_are_refused_by_node() {
    // x - 2^100 is 0 or 1, so every node by itself is small; composed, its constant is not
    let mut model = features(&[(1 << 100, (1 << 100) + 1)]);
    let offset = push(&mut model, linear(1, &[vec![1]], vec![-(1 << 100)]), vec![0]);
    let scaled = push(&mut model, linear(1, &[vec![1 << 40]], vec![0]), vec![offset]);
    output(&mut model, scaled);
    let error = PeriodicCircuit::<Fr>::for_keygen(&model).unwrap_err();
    assert_eq!(error, NotPeriodic::TooWide { node: "node1".into() });
}

#[test]
fn the_credit_model_fits_4096_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit");
    let graph = onnx::import(&root.join("credit.onnx")).unwrap();
    let data = CalibrationData::read(&root.join("calibration.json")).unwrap();
    let domain = Domain::resolve(&graph, &data, None).unwrap();
    let model = quantise(&graph, &domain, &data, &QuantOptions::default()).unwrap().model;
    let plan = Plan::<Fr>::new(Program::new(&model).unwrap()).unwrap();
    let geometry = plan.geometry;
    let bits: Vec<u32> = plan.blocks.iter().map(|block| block.atom.bits).collect();
    println!("credit: {geometry:?}, {} blocks of bits {bits:?}", plan.blocks.len());
    assert_eq!((geometry.period(), geometry.k, geometry.left, geometry.right), (64, 12, 10, 1));
    let input: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
    let case = Case::<Fr>::new(&model);
    assert!(case.accepts(0, &case.honest(&input), &case.outputs(&input)));
}
