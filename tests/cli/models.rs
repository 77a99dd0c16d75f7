//! Models that cannot be compiled: the error says why, and the folder of an earlier build stays as it was.

use std::fs;

use crate::{
    hallmark,
    onnx::{Dim, Perceptron, STRING},
    support::{Scene, credit, snapshot},
};

/// Compiles `onnx` over an existing build and expects to be told `words`.
#[track_caller]
fn refused(onnx: &[u8], words: &[&str]) {
    let scene = Scene::new();
    let (model, data) =
        (scene.file("model.onnx", onnx), scene.file("data.json", Perceptron::default().data().to_string()));
    scene.untouched(|| scene.compile(model, data)).fails(1, words);
}

#[test]
fn the_perceptron_compiles() {
    let scene = Scene::new();
    let (model, data) = (
        scene.file("model.onnx", Perceptron::default().bytes()),
        scene.file("data.json", Perceptron::default().data().to_string()),
    );
    scene.compile(model, data).succeeds();
    assert!(scene.folder().join("contracts/ModelVerifier.sol").exists());
    assert!(!scene.folder().join("contracts/CreditVerifier.sol").exists(), "the old build is replaced as a whole");
}

/// From the file to the contract's judgement, through segments of a smooth function.
#[test]
fn a_smooth_activation_is_proved_and_accepted() {
    let scene = Scene::new();
    let perceptron = Perceptron { activation: "Sigmoid", ..Perceptron::default() };
    let (model, data) =
        (scene.file("model.onnx", perceptron.bytes()), scene.file("data.json", perceptron.data().to_string()));
    scene.compile(model, &data).succeeds();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(scene.folder().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["plan"]["layout"], "general", "{manifest}");
    // in process: deployed, called with a fresh proof
    let gas = hallmark!("gas", scene.folder(), "--json").json();
    assert!(gas.to_string().contains("\"transaction\""), "{gas}");
}

#[test]
fn a_file_that_is_not_onnx() {
    refused(b"", &["model.onnx is not an ONNX model", "empty"]);
    refused(b"{\"input_data\": [[1, 2, 3]]}", &["model.onnx is not an ONNX model"]);
    refused(&[0xff; 4096], &["model.onnx is not an ONNX model"]);
    refused(&fs::read(credit("../../Cargo.lock")).unwrap(), &["model.onnx is not an ONNX model"]);

    let scene = Scene::new();
    let data = credit("calibration.json");
    scene.untouched(|| scene.compile("no/such.onnx", &data)).fails(1, &["no/such.onnx", "No such file"]);
    scene.untouched(|| scene.compile(scene.root(), &data)).fails(1, &["cannot read", "directory"]);
}

#[test]
fn a_truncated_file() {
    let bytes = fs::read(credit("credit.onnx")).unwrap();
    for len in [bytes.len() / 4, bytes.len() / 2, bytes.len() - 100] {
        refused(&bytes[..len], &["model.onnx is truncated", "copy it again"]);
    }
}

#[test]
fn an_operator_or_a_type_without_support() {
    let model = Perceptron { activation: "Unique", ..Perceptron::default() };
    refused(&model.bytes(), &["\"activation\": Unique", "supported operators: ", "Relu"]);
    let model = Perceptron { element_type: STRING, ..Perceptron::default() };
    refused(&model.bytes(), &["\"x\"", "element type string"]);
}

#[test]
fn shapes_that_are_dynamic_or_impossible() {
    let shaped = |shape: &[Dim]| Perceptron { shape: shape.to_vec(), ..Perceptron::default() }.bytes();
    let dynamic = shaped(&[Dim::Fixed(1), Dim::Named("width")]);
    refused(&dynamic, &["\"x\"", "dynamic dimension 1", "\"width\"", "fixed shape"]);
    refused(&shaped(&[Dim::Fixed(1), Dim::Fixed(i64::MAX)]), &["\"x\"", "9223372036854775807", "limit of 16777216"]);
    refused(&shaped(&[Dim::Fixed(1 << 32), Dim::Fixed(1 << 32)]), &["\"x\"", "limit of 16777216"]);
    refused(&shaped(&[Dim::Fixed(1), Dim::Fixed(-3)]), &["\"x\"", "-3"]);
    refused(&shaped(&[Dim::Fixed(1), Dim::Fixed(4)]), &["\"h\"", "[1, 4]", "[3, 2]"]);
}

#[test]
fn weights_that_are_not_finite() {
    // infinities may be masks, so they are refused where they are left
    for (first, place, said) in [
        (f32::NAN, "\"w1\"", "NaN"),
        (f32::INFINITY, "weights of h\"", "inf"),
        (f32::NEG_INFINITY, "weights of h\"", "-inf"),
    ] {
        let model = Perceptron { first, ..Perceptron::default() };
        refused(&model.bytes(), &[place, said, "index 0", "weights must be finite"]);
    }
}

#[test]
fn weights_that_no_precision_can_hold() {
    let model = Perceptron { first: f32::MAX, ..Perceptron::default() };
    refused(&model.bytes(), &["precision"]);
}

#[test]
fn a_model_beyond_the_embedded_setup_says_which_k_it_needs() {
    let large =
        Perceptron { inputs: 24, hidden: 1200, shape: vec![Dim::Fixed(1), Dim::Fixed(24)], ..Perceptron::default() };
    let scene = Scene::new();
    let model = scene.file("model.onnx", large.bytes());
    let data = scene.file("data.json", large.data().to_string());
    scene.untouched(|| scene.compile(model, data)).fails(
        1,
        &["Aztec Ignition", "supports k = 14", "k = 15 is needed", ".ptau of power 15", "hallmark srs import"],
    );
}

/// Names from a model file go into comments of the contract, where they must stay.
#[test]
fn a_hostile_output_name_cannot_write_solidity() {
    let scene = Scene::empty();
    let hostile = Perceptron { output: "y\n}\ncontract Evil { // @author me", ..Perceptron::default() };
    let model = scene.file("model.onnx", hostile.bytes());
    let data = scene.file("data.json", hostile.data().to_string());
    scene.compile(model, data).succeeds();
    let source = fs::read_to_string(scene.folder().join("contracts/ModelVerifier.sol")).unwrap();
    let named: Vec<_> = source.lines().filter(|line| line.contains("Evil")).collect();
    assert!(!named.is_empty() && named.iter().all(|line| line.trim_start().starts_with("///")), "{named:?}");
    assert!(!source.contains("@author"));
}

#[test]
fn a_contract_name_that_is_no_identifier() {
    let scene = Scene::new();
    let before = snapshot(scene.root());
    for name in ["Bad Name", "1st", "A{}contract B", "Größe", ""] {
        let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
        let ended = hallmark!("compile", model, "--data", data, "-o", scene.folder(), "--name", name);
        ended.fails(1, &["not a Solidity identifier", name]);
    }
    assert_eq!(snapshot(scene.root()), before);
}
