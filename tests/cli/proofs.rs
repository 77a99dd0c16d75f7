//! Proof files: damaged, forged, of another model, of another time.

use std::fs;

use serde_json::{Value, json};

use crate::{
    hallmark,
    support::{Ended, Scene, credit_build},
};

/// What `verify` and `calldata` say to the scene's proof after `change`. They agree, and change nothing.
#[track_caller]
fn judged(scene: &Scene, change: impl FnOnce(&mut Value)) -> Ended {
    let mut proof: Value = serde_json::from_slice(&fs::read(scene.proof()).unwrap()).unwrap();
    change(&mut proof);
    let changed = scene.file("changed.json", proof.to_string());
    let target = scene.file("calldata.txt", "old");
    scene.untouched(|| {
        let verified = scene.verify(&changed);
        let encoded = hallmark!("calldata", scene.folder(), &changed, "-o", &target);
        assert_eq!((verified.code, &verified.stderr), (encoded.code, &encoded.stderr));
        verified
    })
}

#[test]
fn forged_proofs_do_not_verify() {
    let scene = Scene::new();
    let words = 12;
    let zero = format!("0x{}", "0".repeat(64));
    for word in 0..words {
        judged(&scene, |proof| {
            let text = proof["proof"][word].as_str().unwrap();
            let last = if text.ends_with('0') { "1" } else { "0" };
            proof["proof"][word] = json!(format!("{}{last}", &text[..65]));
        })
        .fails(3, &["proof"]);
        judged(&scene, |proof| proof["proof"][word] = json!(zero)).fails(3, &["proof"]);
    }
    judged(&scene, |proof| proof["proof"][3] = json!(format!("0x{}", "f".repeat(64)))).fails(3, &["not valid"]);
    judged(&scene, |proof| proof["proof"] = json!(vec![&zero; words])).fails(3, &["not valid"]);
    judged(&scene, |proof| proof["proof"] = json!([])).fails(3, &["has 0 words", "wants 12"]);
    judged(&scene, |proof| proof["proof"].as_array_mut().unwrap().push(json!(zero))).fails(3, &["has 13 words"]);
    judged(&scene, |proof| proof["context"] = json!(zero)).fails(3, &["context"]);
    let integer = |value: &str| json!([{ "name": "score", "integer": value, "value": 0.0 }]);
    judged(&scene, |proof| proof["outputs"] = integer("53477823688993")).fails(3, &["public values"]);
    let huge = i128::MAX.to_string();
    judged(&scene, |proof| proof["outputs"] = integer(&huge)).fails(3, &["public value 0", &huge, "proved range ["]);
    judged(&scene, |proof| proof["outputs"] = json!([])).fails(3, &["0 public values", "has 1"]);
}

#[test]
fn what_is_no_proof_file_is_said() {
    let scene = Scene::new();
    let whole = fs::read(scene.proof()).unwrap();
    for len in [0, 1, whole.len() / 2, whole.len() - 3] {
        let cut = scene.file("cut.json", &whole[..len]);
        scene.untouched(|| scene.verify(&cut)).fails(1, &["cut.json", "not a proof file", "EOF"]);
    }
    let refused = |change: &dyn Fn(&mut Value), words: &[&str]| {
        judged(&scene, change).fails(1, &[&["changed.json"], words].concat());
    };
    refused(&|proof| *proof = json!([]), &["not a proof file"]);
    refused(&|proof| *proof = json!({ "input_data": [[1, 2]] }), &["not a proof file", "missing field"]);
    refused(&|proof| proof["format"] = json!(2), &["format 2", "reads format 1"]);
    refused(&|proof| proof["proof"][3] = json!("0x12"), &["proof word 3", "64 hex digits"]);
    refused(&|proof| proof["proof"][3] = json!(7), &["not a proof file", "expected a string"]);
    refused(&|proof| proof["context"] = json!("everywhere"), &["the context", "everywhere"]);
    refused(&|proof| proof["outputs"][0]["integer"] = json!("1.5"), &["\"score\"", "not an integer", "1.5"]);
    refused(&|proof| proof["outputs"][0]["integer"] = json!("9".repeat(60)), &["\"score\"", "not an integer"]);
    refused(
        &|proof| {
            let context = proof.as_object_mut().unwrap().remove("context").unwrap();
            proof["contxt"] = context;
        },
        &["not a proof file", "`context`"],
    );
    let nested = scene.file("nested.json", "[".repeat(100_000));
    scene.untouched(|| scene.verify(&nested)).fails(1, &["nested.json", "not a proof file"]);
    scene.untouched(|| scene.verify(&scene.path("none.json"))).fails(1, &["cannot read", "none.json"]);
    scene.untouched(|| scene.verify(&scene.folder())).fails(1, &["cannot read", "directory"]);
    let key = scene.folder().join("proving.key");
    scene.untouched(|| scene.verify(&key)).fails(1, &["proving.key", "not a proof file"]);
}

#[test]
fn a_proof_of_another_model() {
    let scene = Scene::new();
    let other = credit_build().join("other.json");
    let id = |folder: &str| {
        let manifest = fs::read(credit_build().join(folder).join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["model"]["id"].as_str().unwrap().to_string()
    };
    let words = ["other.json", &id("other"), &id("credit")];
    scene.untouched(|| scene.verify(&other)).fails(1, &words);
    scene.untouched(|| hallmark!("calldata", scene.folder(), &other)).fails(1, &words);

    // Relabelled, it is well formed and wrong.
    let mut proof: Value = serde_json::from_slice(&fs::read(&other).unwrap()).unwrap();
    proof["model_id"] = json!(id("credit"));
    let relabelled = scene.file("relabelled.json", proof.to_string());
    scene.untouched(|| scene.verify(&relabelled)).fails(3, &["not valid for this verifying key"]);
}
