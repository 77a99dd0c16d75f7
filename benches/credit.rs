//! Key generation, proving, native verification and contract generation of the credit example.
//!
//! Gas and peak memory are what `hallmark bench` measures.

use std::{hint::black_box, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use hallmark::{
    circuit::LaidOut,
    plan::Choice,
    project::{AnyProvingKey, Build, CompileOptions, compile},
    proof::{CurveId, ProvingKey, Srs, prove, verify},
    quant::{QuantOptions, read_input},
    solidity::{ContractInfo, verifier_source},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const CONTEXT: [u8; 32] = [7; 32];

fn build(example: &Path) -> Build {
    let options = CompileOptions {
        quant: QuantOptions { max_error: 1e-4, ..QuantOptions::default() },
        curve: Choice::Only(CurveId::Bn254),
        ..CompileOptions::new(example.join("credit.onnx"), example.join("calibration.json"))
    };
    compile(&options, |_| ()).expect("the example compiles")
}

fn credit(criterion: &mut Criterion) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit");
    let build = build(&example);
    let model = &build.quantised.model;
    let AnyProvingKey::Bn254(pk) = &build.proving_key else { panic!("the keys are on BN254") };
    let vk = pk.verifying_key();
    let applicant = read_input(&example.join("applicant.json"), model, None).expect("the example has an applicant");
    let input = model.quantise_input(&applicant).expect("the applicant is in the domain");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let proof = prove(pk, model, &input, CONTEXT, &mut rng).expect("the applicant can be proved");
    let srs = Srs::embedded(vk.protocol().k + 1).expect("the embedded setup is large enough");
    let circuit = LaidOut::for_keygen(vk.layout(), model).expect("the key has the layout");
    let info = ContractInfo {
        name: build.contract_name.clone(),
        model: "credit".into(),
        setup: vk.setup().to_string(),
        outputs: model.public_names(),
        public_inputs: vec![],
        digests: vec![vec![]; vk.digests()],
    };

    let mut group = criterion.benchmark_group("credit");
    group.sample_size(10);
    group.bench_function("keygen", |bencher| {
        bencher.iter(|| ProvingKey::generate(black_box(model), &circuit, srs.clone()));
    });
    group.bench_function("prove", |bencher| {
        bencher.iter(|| prove(pk, model, black_box(&input), CONTEXT, &mut rng));
    });
    group.bench_function("verify", |bencher| bencher.iter(|| verify(vk, black_box(&proof))));
    group.bench_function("contract", |bencher| {
        bencher.iter(|| verifier_source(black_box(vk.protocol()), vk.public_ranges(), &info));
    });
    group.finish();
}

criterion_group!(benches, credit);
criterion_main!(benches);
