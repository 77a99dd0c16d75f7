//! `audit`: errors by precision and by tensor, the picture, the verdict.

use std::fs;

use serde_json::Value;

use crate::{
    hallmark,
    support::{Scene, credit},
};

#[test]
fn the_credit_model_is_fit() {
    let scene = Scene::empty();
    let plot = scene.path("audit.svg");
    let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
    let ended = hallmark!(
        "audit",
        &model,
        "--data",
        &data,
        "--bits",
        "6,10,16",
        "--plot",
        &plot,
        "--json",
        "--max-error",
        "1e-4"
    );
    let json = ended.succeeds().json();
    let audit = &json["audit"];
    let precisions = audit["precisions"].as_array().unwrap();
    let errors: Vec<f64> = precisions.iter().map(|at| at["max_relative_to_range"].as_f64().unwrap()).collect();
    assert!(errors[0] > errors[1] && errors[1] > errors[2], "{audit}");
    let rows: Vec<u64> = precisions.iter().map(|at| at["size"]["rows"].as_u64().unwrap()).collect();
    assert!(rows[0] < rows[2], "more bits take more rows: {audit}");
    for at in precisions {
        let error = |name: &str| at[name].as_f64().unwrap();
        assert!(error("mean_abs_error") <= error("rms_error") && error("rms_error") <= error("max_abs_error"), "{at}");
    }
    assert_eq!(audit["fit"], true);
    assert!(audit["verdict"].as_str().unwrap().starts_with("fit for a proof: at "), "{audit}");
    let tensors = audit["tensors"].as_array().unwrap();
    assert!(tensors.len() >= 3 && tensors.iter().any(|tensor| tensor["operator"] == "Relu"), "{audit}");
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("fit for a proof"), "{svg}");

    // the chosen precision is the one that compile takes
    let manifest = fs::read(crate::support::credit_build().join("credit/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(audit["chosen"]["bits"], manifest["quantisation"]["precision_bits"]);
    assert_eq!(audit["chosen"]["accuracy"], manifest["quantisation"]["calibration"]);
    assert_eq!(audit["chosen"]["size"]["k"], manifest["plan"]["k"]);

    // for people: columns are aligned, the last line is the verdict
    let text = hallmark!("audit", &model, "--data", &data, "--bits", "10,16").succeeds().stdout.clone();
    let table: Vec<&str> = text.lines().skip(1).take(3).collect();
    assert!(table[0].contains("RMS") && table[1].starts_with("  10  ") && table[2].starts_with("  16  "), "{text}");
    let end = |line: &str, cell: &str| line.find(cell).map(|at| at + cell.len());
    let rows = table[1].split_whitespace().rev().nth(2).unwrap();
    assert_eq!(end(table[0], "  rows"), end(table[1], &format!(" {rows}")), "{text}");
    assert!(text.lines().last().unwrap().starts_with("fit for a proof: "), "{text}");
}

#[test]
fn a_model_that_misses_the_tolerance_is_not_fit() {
    let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
    let ended = hallmark!("audit", model, "--data", data, "--bits", "8", "--max-error", "1e-13");
    assert_eq!(ended.code, 1, "{ended:?}");
    let verdict = ended.stdout.lines().last().unwrap();
    assert!(
        verdict.starts_with("not fit for a proof: even at ") && verdict.contains("1.0e-13 is tolerated"),
        "{verdict}"
    );
}

#[test]
fn other_samples_are_measured_and_nothing_is_overwritten() {
    let scene = Scene::empty();
    let (model, data) = (scene.path("credit.onnx"), scene.path("calibration.json"));
    fs::copy(credit("credit.onnx"), &model).unwrap();
    fs::copy(credit("calibration.json"), &data).unwrap();
    let input = credit("applicants.json");
    let json = hallmark!("audit", &model, "--data", &data, "--input", input, "--bits", "12", "--json").json();
    assert_eq!(json["audit"]["precisions"][0]["samples"], 1000);
    let outside = scene.file("outside.json", r#"{"input_data": [[1e6, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}"#);
    hallmark!("audit", &model, "--data", &data, "--input", outside).fails(1, &["outside.json: sample 0", "maximum"]);
    let ended = scene.untouched(|| hallmark!("audit", &model, "--data", &data, "--plot", &model));
    ended.fails(1, &["is read by this command", "choose another output"]);
    hallmark!("audit", &model, "--data", &data, "--bits", "0").fails(2, &["0"]);
}
