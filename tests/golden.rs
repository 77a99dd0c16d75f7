//! The credit example's contract and proofs, as checked in for the Foundry suite: a change of the generator shows as a
//! diff of Solidity, and the suite runs on what the compiler makes today.
//!
//! `HALLMARK_UPDATE_GOLDEN=1 cargo test --release --test golden` writes them anew.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hallmark::{
    circuit::Layout,
    graph::Salt,
    plan::Choice,
    project::{Build, CompileOptions, Names, Visibility, compile, parse_context},
    proof::{CurveId, Proof},
    quant::{QuantOptions, Weights, read_input},
    solidity::{Calldata, typed_name},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Applicants whose proofs are fixtures.
const APPLICANTS: [usize; 4] = [0, 1, 500, 999];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn build(model: &str, name: &str, layout: Choice<Layout>, curve: CurveId) -> Build {
    compile(&options(model, name, layout, curve), |_| ()).unwrap()
}

fn options(model: &str, name: &str, layout: Choice<Layout>, curve: CurveId) -> CompileOptions {
    CompileOptions {
        name: Some(name.into()),
        quant: QuantOptions { max_error: 1e-4, ..QuantOptions::default() },
        layout,
        curve: Choice::Only(curve),
        ..CompileOptions::new(root().join(model), root().join("examples/credit/calibration.json"))
    }
}

/// A proof for an applicant, bound to the context `keccak256("hallmark")`.
fn proof(build: &Build, applicant: usize) -> Proof {
    use sha3::{Digest, Keccak256};
    proof_for(build, applicant, Keccak256::digest(b"hallmark").into(), applicant as u64)
}

/// A proof for an applicant, blinded from a seed, its digests made with a fixed salt.
fn proof_for(build: &Build, applicant: usize, context: [u8; 32], seed: u64) -> Proof {
    let model = &build.quantised.model;
    let applicants = root().join("examples/credit/applicants.json");
    let input = read_input(&applicants, model, Some(applicant)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (input, salts) = (model.quantise_input(&input).unwrap(), vec![Salt([7; 32]); model.digests.len()]);
    build.proving_key.prove_salted(model, &input, &salts, context, &mut rng).unwrap()
}

fn check(path: PathBuf, text: &str) {
    if std::env::var_os("HALLMARK_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} is not what the generator makes now; if that is intended, run with HALLMARK_UPDATE_GOLDEN=1 and read the diff",
        path.display()
    );
}

/// The typed library beside a contract, and the module for TypeScript.
fn check_typed(build: &Build) {
    let name = typed_name(&build.contract_name);
    check(root().join(format!("tests/foundry/golden/{name}.sol")), &build.interface().source());
    let module = build.interface().typescript(&build.contract, build.batch_contract.as_deref());
    check(root().join(format!("packages/hallmark/test/app/{name}.ts")), &module);
}

/// The contract, and proofs in the given folder of fixtures.
fn check_golden(name: &str, layout: Choice<Layout>, curve: CurveId, folder: &str) {
    let credit = build("examples/credit/credit.onnx", name, layout, curve);
    check(root().join(format!("tests/foundry/golden/{name}.sol")), &credit.contract);
    if name == "CreditVerifier" {
        check_typed(&credit);
    }
    if let Some(batch) = &credit.batch_contract {
        check(root().join(format!("tests/foundry/golden/{name}Batch.sol")), batch);
    }
    let fixtures = root().join("tests/foundry/fixtures").join(folder);
    let json = |proof: &Proof| serde_json::to_string_pretty(&Calldata::new(proof).to_json()).unwrap() + "\n";
    let proofs = APPLICANTS.map(|applicant| proof(&credit, applicant));
    for (applicant, proof) in APPLICANTS.iter().zip(&proofs) {
        check(fixtures.join(format!("applicant{applicant}.json")), &json(proof));
    }
    if credit.batch_contract.is_some() {
        let batch = Calldata::batch_to_json(&proofs.each_ref().map(Calldata::new));
        check(fixtures.join("batch.json"), &(serde_json::to_string_pretty(&batch).unwrap() + "\n"));
    }

    let other = build("tests/models/credit_v2.onnx", name, layout, curve);
    let foreign = proof(&other, 0);
    other.verifying_key.verify(&foreign).unwrap();
    assert!(credit.verifying_key.verify(&foreign).is_err());
    check(fixtures.join("other_model.json"), &json(&foreign));
}

#[test]
fn the_credit_contract_and_proofs_are_the_golden_ones() {
    check_golden("CreditVerifier", Choice::Auto, CurveId::Bn254, "");
}

#[test]
fn so_are_those_of_the_layout_general() {
    check_golden("CreditGeneralVerifier", Choice::Only(Layout::General), CurveId::Bn254, "CreditGeneralVerifier");
}

#[test]
fn so_are_those_of_the_layout_phased() {
    check_golden("CreditPhasedVerifier", Choice::Only(Layout::Phased), CurveId::Bn254, "CreditPhasedVerifier");
}

#[test]
fn so_are_those_on_bls12_381() {
    check_golden("CreditBlsVerifier", Choice::Auto, CurveId::Bls12381, "CreditBlsVerifier");
}

/// The applicant's data are hashed: one digest beside the score.
#[test]
fn so_are_those_with_a_digest() {
    let name = "CreditHashedVerifier";
    let visibility = Visibility { hashed_inputs: Names::All, ..Visibility::default() };
    let model = "examples/credit/credit.onnx";
    let options = options(model, name, Choice::Only(Layout::General), CurveId::Bn254);
    let credit = compile(&CompileOptions { visibility, ..options }, |_| ()).unwrap();
    let golden = root().join("tests/foundry/golden");
    check(golden.join(format!("{name}.sol")), &credit.contract);
    check_typed(&credit);
    check(golden.join(format!("{name}Batch.sol")), credit.batch_contract.as_ref().unwrap());
    let fixtures = root().join("tests/foundry/fixtures").join(name);
    let claims = [0, 1].map(|applicant| Calldata::new(&proof(&credit, applicant)));
    let text = |json: &serde_json::Value| serde_json::to_string_pretty(json).unwrap() + "\n";
    for (applicant, claim) in claims.iter().enumerate() {
        check(fixtures.join(format!("applicant{applicant}.json")), &text(&claim.to_json()));
    }
    check(fixtures.join("batch.json"), &text(&Calldata::batch_to_json(&claims)));
}

/// Proofs for the contexts that the contracts of `contracts/` ask for in their tests, where accounts, addresses and times are fixed.
#[test]
fn so_are_those_for_the_contexts_of_consumers() {
    let fixtures = root().join("tests/foundry/fixtures/contracts");
    let contexts: BTreeMap<String, Entry> =
        serde_json::from_slice(&fs::read(fixtures.join("contexts.json")).unwrap()).unwrap();
    let hashed = Visibility { hashed_inputs: Names::All, ..Visibility::default() };
    let model = "examples/credit/credit.onnx";
    let builds = [
        ("CreditVerifier", Choice::Auto, Visibility::default()),
        ("CreditHashedVerifier", Choice::Only(Layout::General), hashed),
    ]
    .map(|(name, layout, visibility)| {
        let options = options(model, name, layout, CurveId::Bn254);
        compile(&CompileOptions { visibility, ..options }, |_| ()).unwrap()
    });
    for (name, Entry { verifier, applicant, seed, context }) in contexts {
        let build = builds.iter().find(|build| build.contract_name == verifier).unwrap();
        let context = parse_context(&context).unwrap();
        let json = Calldata::new(&proof_for(build, applicant, context, seed)).to_json();
        check(fixtures.join(format!("{name}.json")), &(serde_json::to_string_pretty(&json).unwrap() + "\n"));
    }
}

/// What a proof of `contexts.json` is for.
#[derive(serde::Deserialize)]
struct Entry {
    verifier: String,
    applicant: usize,
    seed: u64,
    context: String,
}

/// One contract for two models of an architecture: the statement names which.
#[test]
fn so_are_those_with_committed_weights() {
    let name = "CreditCommittedVerifier";
    let [model, retrained] = ["examples/credit/credit.onnx", "tests/models/credit_v2.onnx"];
    let first = options(model, name, Choice::Auto, CurveId::Bn254);
    let quant = QuantOptions { weights: Weights::Committed, ..first.quant.clone() };
    let credit = compile(&CompileOptions { quant, ..first }, |_| ()).unwrap();
    let work = tempfile::tempdir().unwrap();
    let like = Some(work.path().join("first"));
    credit.write(like.as_ref().unwrap(), false).unwrap();
    let retrained = options(retrained, "AnotherName", Choice::Auto, CurveId::Bn254);
    let retrained = compile(&CompileOptions { like, ..retrained }, |_| ()).unwrap();
    assert_eq!((&retrained.contract_name, &retrained.contract), (&credit.contract_name, &credit.contract));
    assert_eq!(retrained.batch_contract, credit.batch_contract);
    assert_ne!(retrained.verifying_key.id(), credit.verifying_key.id());

    let golden = root().join("tests/foundry/golden");
    check(golden.join(format!("{name}.sol")), &credit.contract);
    check_typed(&credit);
    check(golden.join(format!("{name}Batch.sol")), credit.batch_contract.as_ref().unwrap());
    let fixtures = root().join("tests/foundry/fixtures").join(name);
    let text = |json: &serde_json::Value| serde_json::to_string_pretty(json).unwrap() + "\n";
    let proofs = [("applicant0", &credit, 0), ("applicant1", &credit, 1), ("retrained0", &retrained, 0)]
        .map(|(file, build, applicant)| (file, build.verifying_key.id(), proof(build, applicant)));
    for (file, id, proof) in &proofs {
        let mut json = Calldata::new(proof).to_json();
        json["modelId"] = format!("0x{id}").into();
        check(fixtures.join(format!("{file}.json")), &text(&json));
    }
    // natively, each key stands for its own weights
    assert!(
        credit.verifying_key.verify(&proofs[2].2).is_err() && retrained.verifying_key.verify(&proofs[0].2).is_err()
    );
    let claims: Vec<Calldata> = proofs.iter().map(|(_, _, proof)| Calldata::new(proof)).collect();
    check(fixtures.join("batch.json"), &text(&Calldata::batch_to_json(&claims)));
}
