//! `gas`: figures, pictures, rejected proofs.

use std::fs;

use serde_json::Value;

use crate::{
    hallmark,
    support::{Scene, credit},
};

#[test]
fn gas_prints_parts_that_add_up_and_draws_them() {
    let scene = Scene::new();
    let (svg, html) = (scene.path("gas.svg"), scene.path("gas.html"));
    let json =
        hallmark!("gas", scene.folder(), "--proof", scene.proof(), "--svg", &svg, "--html", &html, "--json").json();
    let parts = json["parts"].as_array().unwrap();
    let sum: u64 = parts.iter().map(|part| part["gas"].as_u64().unwrap()).sum();
    assert_eq!(json["transaction"], sum);
    assert_eq!(json["contract"], "CreditVerifier");
    assert_eq!(json["files"].as_array().unwrap().len(), 2);
    let steps = parts.iter().filter(|part| part["kind"] == "step").count();
    assert!(steps > 3, "{json}");
    let (svg, html) = (fs::read_to_string(svg).unwrap(), fs::read_to_string(html).unwrap());
    assert!(svg.starts_with("<svg ") && html.starts_with("<!doctype html>") && html.contains(&svg), "{html}");

    // the same proof again, for people; nothing else is written, and no bars go into a pipe
    let ended = scene.untouched(|| hallmark!("gas", scene.folder(), "--proof", scene.proof()));
    let lines: Vec<&str> = ended.succeeds().stdout.lines().collect();
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains(['█', '\x1b']));
    let row = |name: &str| lines.iter().find(|line| line.trim_start().starts_with(name)).unwrap();
    let figure = |line: &str| -> u64 {
        let column = line.split_whitespace().rev().nth(1).unwrap();
        column.replace(',', "").parse().unwrap()
    };
    assert_eq!(figure(row("transaction")), sum);
    for part in parts {
        let name = part["name"].as_str().unwrap();
        assert!(lines.iter().any(|line| line.contains(name)), "{name}: {lines:?}");
    }
    let ends: Vec<usize> = lines.iter().filter(|line| line.ends_with('%')).map(|line| line.chars().count()).collect();
    assert!(ends.len() > 8 && ends.iter().all(|end| *end == ends[0]), "columns are aligned: {lines:?}");
}

#[test]
fn gas_proves_what_it_is_given() {
    let scene = Scene::new();
    let kinds = |json: &Value| -> Vec<(String, u64)> {
        let part = |part: &Value| (part["name"].as_str().unwrap().to_string(), part["gas"].as_u64().unwrap());
        json["parts"].as_array().unwrap().iter().map(part).filter(|(name, _)| name != "calldata").collect()
    };
    let given = scene.untouched(|| hallmark!("gas", scene.folder(), "--input", credit("applicant.json"), "--json"));
    let middle = scene.untouched(|| hallmark!("gas", scene.folder(), "--json"));
    let (given, middle) = (kinds(&given.json()), kinds(&middle.json()));
    assert_eq!(given.len(), middle.len());
    // execution does not depend on the values, but for a few units where a value is negative
    let total = |parts: &[(String, u64)]| parts.iter().map(|(_, gas)| gas).sum::<u64>();
    assert!(total(&given).abs_diff(total(&middle)) < 100, "{given:?} {middle:?}");
}

#[test]
fn a_proof_that_the_contract_rejects_exits_with_3() {
    let scene = Scene::new();
    let forged = fs::read_to_string(scene.proof()).unwrap().replace("53477823688992", "53477823688993");
    let forged = scene.file("forged.json", forged);
    let svg = scene.path("gas.svg");
    let ended = scene.untouched(|| hallmark!("gas", scene.folder(), "--proof", &forged, "--svg", &svg));
    ended.fails(3, &["the contract rejects the proof"]);
    let source = fs::read_to_string(scene.folder().join("contracts/CreditVerifier.sol")).unwrap();
    let named = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("error "))
        .any(|error| ended.stderr.contains(error.trim_end_matches("();")));
    assert!(named, "{ended:?}");
    let json = hallmark!("gas", scene.folder(), "--proof", &forged, "--json");
    assert!(json.code == 3 && json.json()["error"].as_str().unwrap().contains("rejects"), "{json:?}");
}

#[test]
fn pictures_replace_nothing_that_is_read() {
    let scene = Scene::new();
    let (folder, proof) = (scene.folder(), scene.proof());
    let model = folder.join("manifest.json");
    scene
        .untouched(|| hallmark!("gas", &folder, "--proof", &proof, "--svg", &proof))
        .fails(1, &["proof.json is read by this command"]);
    scene
        .untouched(|| hallmark!("gas", &folder, "--proof", &proof, "--html", &model))
        .fails(1, &["manifest.json is read by this command"]);
    let both = scene.path("gas");
    scene
        .untouched(|| hallmark!("gas", &folder, "--proof", &proof, "--html", &both, "--svg", &both))
        .fails(1, &["--svg and --html both name"]);
    scene
        .untouched(|| hallmark!("gas", &folder, "--proof", &proof, "--svg", scene.path("no/gas.svg")))
        .fails(1, &["no/gas.svg"]);
    scene.untouched(|| hallmark!("gas", &folder, "--proof", "none.json")).fails(1, &["none.json"]);
}
