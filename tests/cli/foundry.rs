//! A compiled folder is a Foundry project: its suite passes, and its files are formatted.

use std::{fs, path::Path, process::Command};

use crate::{
    hallmark,
    support::{Scene, credit, model, run},
};

/// Runs forge in a folder, as `script/forge` finds it and its compiler.
fn forge(folder: &Path, arguments: &[&str]) -> crate::support::Ended {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("script/forge");
    run(Command::new(script).args(arguments).current_dir(folder).env_remove("FOUNDRY_PROFILE"))
}

/// Compiles a model, and runs what comes with it.
#[track_caller]
fn tested(onnx: &Path, data: &Path, options: &[&str]) -> Scene {
    let scene = Scene::empty();
    let mut command = crate::command!("compile", onnx, "--data", data);
    run(command.args(options).arg("-o").arg(scene.folder())).succeeds();
    forge(&scene.folder(), &["fmt", "--check"]).succeeds();
    let ended = forge(&scene.folder(), &["test"]);
    assert!(ended.succeeds().stdout.contains("4 tests passed, 0 failed"), "{ended:?}");
    scene
}

#[test]
fn the_suite_of_the_credit_model_passes() {
    let scene = tested(&credit("credit.onnx"), &credit("calibration.json"), &[]);
    let library = fs::read_to_string(scene.folder().join("contracts/CreditModel.sol")).unwrap();
    for line in ["library CreditModel {", "int256 internal constant DECISION_THRESHOLD = 0;"] {
        assert!(library.contains(line), "{line}: {library}");
    }
    // what forge has written is not part of the folder, which is whole
    hallmark!("prove", scene.folder(), "--input", credit("applicant.json"), "-o", scene.proof()).succeeds();

    // the fixture is noticed if it is not this model's
    let fixture = scene.folder().join("fixtures/proof.json");
    let other = fs::read_to_string(&fixture).unwrap().replacen("\"arguments\": \"0x", "\"arguments\": \"0x01", 1);
    fs::write(&fixture, other).unwrap();
    assert_ne!(forge(&scene.folder(), &["test"]).code, 0);
}

#[test]
fn so_does_that_of_every_kind_of_statement() {
    let options: [&[&str]; 3] = [
        &["--hashed-inputs", "all", "--public-inputs", "savings,credit_amount_dm", "--optimize", "prover"],
        &["--weights", "committed", "--private-outputs", "score", "--hashed-inputs", "all"],
        &["--curve", "bls12-381", "--name", "ScoreOfSomebodyWhoWantsALoanVerifier"],
    ];
    for options in options {
        tested(&credit("credit.onnx"), &credit("calibration.json"), options);
    }
}

#[test]
fn so_does_that_of_several_outputs() {
    let rows: Vec<String> = (0..8)
        .map(|i| format!("[[{0}, -1.5, {0}, 0.5, 2.0, {0}], [1.0, {0}, -2.0, {0}, 0.0, 1.0]]", f64::from(i) / 8.0))
        .collect();
    let scene = Scene::empty();
    let data = scene.file("data.json", format!("{{\"input_data\": [{}]}}", rows.join(", ")));
    let names = |names: &str| {
        let output = scene.path("refused");
        hallmark!(
            "compile",
            model("branches.onnx"),
            "--data",
            &data,
            "-o",
            output,
            "--max-error",
            "1e-2",
            "--output-names",
            names
        )
    };
    names("sum").fails(1, &["named sum", "2 outputs (sum, scores)"]);
    names("a,a").fails(1, &["named a, a"]);
    let tested = tested(&model("branches.onnx"), &data, &["--max-error", "1e-2", "--output-names", "sum,Risk classes"]);
    let library = fs::read_to_string(tested.folder().join("contracts/BranchesModel.sol")).unwrap();
    assert!(library.contains("[4] riskClasses;") && library.contains("[6] sum;"), "{library}");
}

#[test]
fn without_tests_there_is_no_proof() {
    let scene = Scene::empty();
    let data = credit("calibration.json");
    hallmark!("compile", credit("credit.onnx"), "--data", data, "-o", scene.folder(), "--no-tests").succeeds();
    assert!(!scene.folder().join("test").exists() && !scene.folder().join("fixtures").exists());
    forge(&scene.folder(), &["build"]).succeeds();
}

/// The script's address is that of `hallmark deploy`, which asks no chain for it.
#[test]
fn script_and_command_agree_on_the_address() {
    let scene = Scene::empty();
    let data = credit("calibration.json");
    hallmark!("compile", credit("credit.onnx"), "--data", data, "-o", scene.folder(), "--no-tests").succeeds();
    let simulated = forge(&scene.folder(), &["script", "script/Deploy.s.sol"]);
    let dry = hallmark!("--json", "deploy", scene.folder(), "--dry-run").json();
    let address = dry["deployment"]["address"].as_str().unwrap().to_lowercase();
    assert!(simulated.succeeds().stdout.to_lowercase().contains(&address), "{address}: {simulated:?}");
}
