//! Committed weights: one contract for the models of an architecture.

use std::fs;

use prost::Message;
use serde_json::Value;
use tract_onnx::pb::ModelProto;

use crate::{
    hallmark,
    support::{CONTEXT, Scene, credit, model},
};

fn read(path: std::path::PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The retrained model with the weights of its first tensor changed.
fn retrained(change: &dyn Fn(&mut [f32])) -> Vec<u8> {
    let mut onnx = ModelProto::decode(&*fs::read(model("credit_v2.onnx")).unwrap()).unwrap();
    let tensor =
        onnx.graph.as_mut().unwrap().initializer.iter_mut().max_by_key(|tensor| tensor.raw_data.len()).unwrap();
    let mut weights: Vec<f32> =
        tensor.raw_data.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    change(&mut weights);
    tensor.raw_data = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    onnx.encode_to_vec()
}

/// Compiles the credit model as the first of its architecture.
fn first(scene: &Scene, more: &[&str]) {
    let mut command = crate::command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"));
    command.args(["--weights", "committed"]).args(more).arg("-o").arg(scene.folder());
    let ended = crate::support::run(&mut command);
    let text = &ended.succeeds().stdout;
    assert!(text.contains("architecture") && text.contains("weights"), "{text}");
}

/// Compiles another model of it.
fn second(scene: &Scene, onnx: impl AsRef<std::ffi::OsStr>, more: &[&str]) -> crate::support::Ended {
    let mut command = crate::command!("compile", onnx.as_ref(), "--data", credit("calibration.json"));
    command.arg("--like").arg(scene.folder()).args(more).arg("-o").arg(scene.path("retrained"));
    crate::support::run(&mut command)
}

#[test]
fn one_contract_serves_two_models() {
    for options in [
        &["--layout", "general"][..],
        &["--layout", "phased", "--hashed-inputs", "all"],
        &["--curve", "bls12-381", "--public-inputs", "savings"],
    ] {
        let scene = Scene::empty();
        first(&scene, options);
        second(&scene, model("credit_v2.onnx"), &[]).succeeds();
        let folders = [scene.folder(), scene.path("retrained")];
        let sources = folders.each_ref().map(|folder| fs::read(folder.join("contracts/CreditVerifier.sol")).unwrap());
        assert!(sources[0] == sources[1], "{options:?}");
        let manifests = folders.each_ref().map(|folder| read(folder.join("manifest.json")));
        assert_eq!(manifests[0]["weights"]["architecture"], manifests[1]["weights"]["architecture"]);
        assert_ne!(manifests[0]["weights"]["commitment"], manifests[1]["weights"]["commitment"]);
        assert_ne!(manifests[0]["model"]["id"], manifests[1]["model"]["id"]);
        assert_eq!(manifests[0]["visibility"], manifests[1]["visibility"]);

        // a proof of each, accepted by the contract in the EVM of `gas`, and by its own key alone
        let proofs = folders.each_ref().map(|folder| {
            let (input, proof) = (credit("applicant.json"), folder.with_extension("json"));
            let mut prove = crate::command!("prove", folder, "--input", input, "-o", &proof, "--context", CONTEXT);
            if options.contains(&"--hashed-inputs") {
                prove.args(["--salt", &format!("0x{:064x}", 7)]);
            }
            crate::support::run(&mut prove).succeeds();
            hallmark!("verify", folder, &proof).succeeds();
            hallmark!("gas", folder, "--proof", &proof).succeeds();
            proof
        });
        hallmark!("verify", &folders[0], &proofs[1]).fails(1, &["is for the model"]);
        let mut renamed = read(proofs[1].clone());
        renamed["model_id"] = manifests[0]["model"]["id"].clone();
        let renamed = scene.file("renamed.json", renamed.to_string());
        hallmark!("verify", &folders[0], &renamed).fails(3, &["other weights"]);
    }
}

#[test]
fn what_is_of_another_architecture_is_refused() {
    let scene = Scene::empty();
    first(&scene, &[]);
    let changed = |name: &str, change: &dyn Fn(&mut [f32])| scene.file(name, retrained(change));
    // weights may be zero, and have limits
    let pruned = changed("pruned.onnx", &|weights| weights[..200].fill(0.0));
    second(&scene, &pruned, &["--max-error", "1e-2"]).succeeds();
    fs::remove_dir_all(scene.path("retrained")).unwrap();
    let sparse = Scene::empty();
    let mut command = crate::command!("compile", &pruned, "--data", credit("calibration.json"), "--max-error", "1e-2");
    crate::support::run(command.args(["--weights", "committed", "-o"]).arg(sparse.folder())).succeeds();
    let elsewhere = second(&sparse, model("credit_v2.onnx"), &[]);
    elsewhere.fails(1, &["\"hidden_linear\"", "where the architecture's first model has none"]);
    let steep = changed("steep.onnx", &|weights| weights[0] = 100.0);
    scene.untouched(|| {
        second(&scene, &steep, &[]).fails(1, &["\"hidden_linear\"", "beyond what the architecture leaves room for"])
    });
    let data = scene.file("other.json", r#"{"input_data": [[1.0, 2.0], [3.0, 4.0]]}"#);
    let other =
        || hallmark!("compile", model("mlp.onnx"), "--data", &data, "--like", scene.folder(), "-o", scene.path("x"));
    scene.untouched(|| other().fails(1, &["the features block has 10 values, the model takes 4"]));
    for (option, value) in [("--layout", "phased"), ("--precision", "8"), ("--weights", "committed")] {
        scene.untouched(|| second(&scene, model("credit_v2.onnx"), &[option, value]).fails(2, &["--like"]));
    }

    // a model with fixed weights is the first of nothing
    let fixed = Scene::new();
    let retrained = second(&fixed, model("credit_v2.onnx"), &[]);
    retrained.fails(1, &["fixed weights", "--weights committed"]);
}

#[test]
fn a_damaged_architecture_is_refused_by_name() {
    let scene = Scene::empty();
    first(&scene, &[]);
    let path = scene.folder().join("architecture.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    second(&scene, model("credit_v2.onnx"), &[]).fails(1, &["architecture.bin"]);
}
