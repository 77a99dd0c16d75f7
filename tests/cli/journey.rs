//! The whole road on the credit example, its figures, and the tools that may be missing on the way.

use std::{fs, net::TcpListener};

use hallmark::{
    onnx,
    quant::{CalibrationData, Domain, DomainSource, QuantOptions, audit, quantise},
};
use serde_json::Value;

use crate::{
    command, hallmark,
    onnx::Perceptron,
    support::{CONTEXT, Scene, credit, run, snapshot},
};

/// Bars on the figures of the credit example: gas and sizes, which do not depend on the machine.
const BARS: [(&str, u64); 6] = [
    ("/gas/transaction", 240_000),
    ("/gas/deployment", 2_000_000),
    ("/contract_bytes", 8_500),
    ("/calldata_bytes", 1_200),
    ("/prove/peak_rss_bytes", 80_000_000),
    ("/proof_bytes", 1_100),
];

#[test]
fn the_credit_example_from_model_to_receipt() {
    let scene = Scene::empty();
    let (folder, proof, input) = (scene.folder(), scene.proof(), credit("applicant.json"));
    let data = credit("calibration.json");
    hallmark!("compile", credit("credit.onnx"), "--data", data, "-o", &folder, "--max-error", "1e-4").succeeds();
    assert!(fs::metadata(folder.join("proving.key")).unwrap().len() <= 4 << 20);
    scene.prove(&input).succeeds();
    let verified = scene.verify(&proof);
    assert!(verified.succeeds().stdout.contains("score = 3.0398") && verified.stdout.contains(CONTEXT), "{verified:?}");
    let calldata = hallmark!("calldata", &folder, &proof).succeeds().stdout.trim().to_string();
    let fixture = scene.path("fixture.json");
    hallmark!("calldata", &folder, &proof, "--json", "-o", &fixture).succeeds();
    serde_json::from_slice::<Value>(&fs::read(fixture).unwrap()).unwrap();

    let bench = hallmark!("bench", &folder, "--input", &input, "--context", CONTEXT, "--compare", "--json").json();
    let figure =
        |pointer: &str| bench.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {bench}"));
    for (pointer, bar) in BARS {
        let value = figure(pointer);
        assert!(value > 0.0 && value <= bar as f64, "{pointer} is {value}, the bar is {bar}");
    }
    for pointer in ["/gas/execution", "/gas/calldata", "/prove/cpu_seconds", "/prove/wall_seconds"] {
        assert!(figure(pointer) > 0.0, "{pointer}: {bench}");
    }
    assert_eq!(figure("/gas/transaction"), 21_000.0 + figure("/gas/execution") + figure("/gas/calldata"));
    assert_eq!((calldata.len() - 2) / 2, figure("/calldata_bytes") as usize);
    assert_eq!(bench["outputs"][0]["integer"], "53477823688992");
    assert_eq!(bench["context"], CONTEXT);

    let ours = &bench["compare"]["ours"];
    assert_eq!(
        (&ours["transaction_gas"], &ours["calldata_bytes"]),
        (&bench["gas"]["transaction"], &bench["calldata_bytes"])
    );
    let peers = bench["compare"]["peers"].as_array().unwrap();
    let ezkl = peers.iter().find(|peer| peer["name"] == "EZKL").unwrap();
    assert!(ezkl["transaction_gas"].as_u64().unwrap() > 2 * ours["transaction_gas"].as_u64().unwrap(), "{bench}");
}

#[test]
fn bench_compares_in_a_table_of_aligned_columns() {
    let scene = Scene::new();
    let ended = scene.untouched(|| hallmark!("bench", scene.folder(), "--compare"));
    let lines: Vec<&str> = ended.succeeds().stdout.lines().collect();
    let head = lines.iter().position(|line| line.trim_start().starts_with("statement")).unwrap();
    let rows = &lines[head + 1..];
    assert!(rows.len() > 7 && rows.iter().any(|row| row.contains("EZKL 23.0.5")), "{lines:?}");
    let ours = rows.iter().find(|row| row.contains("Hallmark")).unwrap();
    assert!(ours.contains(" 1.00 x  now"), "{lines:?}");
    let column = lines[head].find("transaction").unwrap() + "transaction".len();
    assert!(rows.iter().all(|row| row[..column].ends_with(|c: char| c.is_ascii_digit())), "{lines:?}");
}

#[test]
fn compilation_is_the_same_whatever_the_number_of_threads() {
    let scene = Scene::empty();
    let compile = |name: &str, threads: &str| {
        let folder = scene.path(name);
        let data = credit("calibration.json");
        let mut command = command!("compile", credit("credit.onnx"), "--data", data, "-o", &folder);
        run(command.env("RAYON_NUM_THREADS", threads)).succeeds();
        snapshot(&folder)
    };
    let (one, four) = (compile("one", "1"), compile("four", "4"));
    let two = scene.path("two");
    hallmark!("compile", credit("credit.onnx"), "--data", credit("calibration.json"), "-o", &two, "--threads", "2")
        .succeeds();
    assert_eq!(snapshot(&two), one);
    assert_eq!(one.len(), 16, "{one:?}");
    assert_eq!(one, four);
    assert_eq!(compile("one", "3"), four, "over an existing build");
}

/// A thousand applicants, of whom calibration saw at most a part.
#[test]
fn no_applicants_decision_flips() {
    let graph = onnx::import(&credit("credit.onnx")).unwrap();
    let calibration = CalibrationData::read(&credit("calibration.json")).unwrap();
    let domain = Domain::resolve(&graph, &calibration, None).unwrap();
    assert_eq!(domain.source, DomainSource::Declared);
    let options = QuantOptions::default();
    let model = quantise(&graph, &domain, &calibration, &options).unwrap().model;
    let applicants = CalibrationData::read(&credit("applicants.json")).unwrap();
    let accuracy = audit(&graph, &model, &applicants, options.threshold).unwrap();
    assert_eq!((accuracy.samples, accuracy.decisions_flipped), (1000, 0));
    assert!(accuracy.max_relative_to_range <= 1e-3, "{accuracy:?}");
    println!("{accuracy:?}");
    assert!(accuracy.max_relative_to_range > 0.0, "the models are too equal to have been compared");
}

#[test]
fn bench_refuses_what_prove_refuses() {
    let scene = Scene::new();
    let input = scene.file("input.json", r#"{"input_data": [[3,12,4,20001,0,3,2,1,0,1]]}"#);
    let ended = scene.untouched(|| hallmark!("bench", scene.folder(), "--input", input));
    ended.fails(1, &["\"credit_amount_dm\": 20001 is above the declared maximum 20000"]);
    let ended = scene.untouched(|| hallmark!("bench", scene.folder(), "--context", "zz"));
    ended.fails(1, &["\"zz\" is not 32 bytes in hex"]);
}

/// On a machine with nothing installed. The binary is moved, since tools are also sought beside it.
#[test]
fn missing_tools_are_named_before_anything_long() {
    let scene = Scene::new();
    let binary = scene.path("hallmark");
    fs::copy(env!("CARGO_BIN_EXE_hallmark"), &binary).unwrap();
    let bench = || {
        let mut command = std::process::Command::new(&binary);
        command.arg("bench").arg(scene.folder()).env_clear().env("PATH", scene.root()).env("HOME", scene.root());
        command.current_dir(scene.root());
        command
    };
    let solc = ["no solc found", "solc on PATH", "npm install solc", "FOUNDRY_SOLC"];
    scene.untouched(|| run(&mut bench())).fails(1, &solc);
    let named = scene.untouched(|| run(bench().env("FOUNDRY_SOLC", "/no/such/solc")));
    named.fails(1, &["no solc found", "FOUNDRY_SOLC=/no/such/solc"]);
    let anvil = ["no anvil found", "anvil on PATH", "install Foundry", "HALLMARK_ANVIL"];
    scene.untouched(|| run(bench().env("FOUNDRY_SOLC", &binary))).fails(1, &anvil);
    let both = [("FOUNDRY_SOLC", binary.to_str().unwrap()), ("HALLMARK_ANVIL", "/no/such/anvil")];
    scene.untouched(|| run(bench().envs(both))).fails(1, &["no anvil found", "HALLMARK_ANVIL=/no/such/anvil"]);
    // Everything else works without them.
    let verify =
        run(std::process::Command::new(&binary).arg("verify").arg(scene.folder()).arg(scene.proof()).env_clear());
    verify.succeeds();
}

/// The model has an output whose name would end its comment: that its contract compiles is part of the test.
#[test]
fn a_port_in_use_is_named() {
    let scene = Scene::empty();
    let hostile = Perceptron { output: "y\n}\ncontract Evil { // @author \u{202e}", ..Perceptron::default() };
    let (model, data) = (scene.file("m.onnx", hostile.bytes()), scene.file("d.json", hostile.data().to_string()));
    scene.compile(model, data).succeeds();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let ended = scene.untouched(|| hallmark!("bench", scene.folder(), "--port", &port));
    ended.fails(1, &[&format!("port {port} is in use"), "choose another one"]);
}
