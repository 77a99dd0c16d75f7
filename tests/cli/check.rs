//! `check`: all problems at once, and a forecast that is what then happens.

use std::fs;

use serde_json::Value;

use crate::{
    hallmark,
    onnx::{Dim, Perceptron},
    support::{Ended, Scene, credit},
};

/// `check` of a perceptron with its data, as JSON.
fn checked(perceptron: &Perceptron, more: &[&str]) -> (i32, Value) {
    let scene = Scene::empty();
    let model = scene.file("model.onnx", perceptron.bytes());
    let data = scene.file("data.json", perceptron.data().to_string());
    let arguments = more.iter().map(std::ffi::OsStr::new);
    let mut command = crate::command!("check", model, "--data", data, "--json");
    let ended = scene.untouched(|| crate::support::run(command.args(arguments)));
    (ended.code, ended.json())
}

fn problems(json: &Value) -> &[Value] {
    assert_eq!(json["problems"]["count"], json["problems"]["listed"].as_array().unwrap().len());
    json["problems"]["listed"].as_array().unwrap()
}

fn close(forecast: &Value, measured: u64, tolerance: f64) {
    let forecast = forecast.as_f64().unwrap();
    assert!((forecast / measured as f64 - 1.0).abs() <= tolerance, "{forecast} is not {measured}");
}

#[test]
fn the_forecast_is_what_compile_makes() {
    let scene = Scene::new();
    let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
    let check = hallmark!("check", model, "--data", data, "--max-error", "1e-4", "--json");
    let json = check.succeeds().json();
    assert_eq!((&json["ok"], problems(&json).len()), (&Value::Bool(true), 0));
    let forecast = &json["forecast"];
    let manifest: Value = serde_json::from_slice(&fs::read(scene.folder().join("manifest.json")).unwrap()).unwrap();
    for field in ["layout", "curve", "k", "rows", "estimate"] {
        assert_eq!(forecast["plan"][field], manifest["plan"][field], "{field}");
    }
    assert_eq!(forecast["columns"], manifest["plan"]["columns"]);
    assert_eq!(forecast["alternatives"], manifest["plan"]["alternatives"]);
    assert_eq!(forecast["accuracy"], manifest["quantisation"]["calibration"]);
    assert_eq!(forecast["calldata_bytes"], manifest["plan"]["calldata_bytes"]);
    for (field, file) in [("proving_key_bytes", "proving.key"), ("verifying_key_bytes", "verifying.key")] {
        assert_eq!(forecast["prover"][field], fs::metadata(scene.folder().join(file)).unwrap().len(), "{file}");
    }
    assert!(forecast["prover"]["cpu_seconds"].as_f64().unwrap() > 0.0);

    let gas = hallmark!("gas", scene.folder(), "--proof", scene.proof(), "--json").json();
    close(&forecast["plan"]["estimate"]["transaction"], gas["transaction"].as_u64().unwrap(), 0.02);
    // a commitment that begins with a zero is a byte shorter in the code
    close(&forecast["contract"]["runtime_bytes"], gas["contract_bytes"].as_u64().unwrap(), 0.001);
    close(&forecast["contract"]["deployment_gas"], gas["deployment"].as_u64().unwrap(), 0.002);

    let text = hallmark!("check", credit("credit.onnx"), "--data", credit("calibration.json"));
    for words in ["credit.onnx: no problem", "\nProving on this machine\n", "peak memory", "next: hallmark compile"] {
        assert!(text.succeeds().stdout.contains(words), "{words}: {}", text.stdout);
    }
}

/// Gas and relative proving time of the alternatives that are printed, the chosen plan first.
fn printed(text: &str) -> Vec<(u64, f64)> {
    let number = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect() };
    let gas = text.lines().find(|line| line.trim_start().starts_with("estimated gas")).unwrap();
    let mut found = vec![(number(gas).parse().unwrap(), 1.0)];
    for line in text.lines().filter(|line| line.trim_start().starts_with("instead of")) {
        let [gas, _, time] =
            line.rsplit_once(": ").unwrap().1.split(", 2^").flat_map(|part| part.split(" rows, ")).collect::<Vec<_>>()
                [..]
        else {
            panic!("{line}")
        };
        found.push((number(gas).parse().unwrap(), number(time.split(" x").next().unwrap()).parse().unwrap()));
    }
    found
}

#[test]
fn no_printed_alternative_is_worse_than_another_in_both() {
    let scene = Scene::new();
    let mut choices = vec![];
    for optimize in ["gas", "balanced", "prover"] {
        let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
        let compiled = hallmark!("compile", model, "--data", data, "-o", scene.folder(), "--optimize", optimize);
        let plans = printed(&compiled.succeeds().stdout);
        assert!(plans.len() > 3, "{compiled:?}");
        for (i, (gas, time)) in plans.iter().enumerate() {
            // times are rounded, so a tie may be one only as it is printed
            let worse = plans.iter().find(|(other, faster)| other < gas && faster < time);
            assert!(i == 0 || worse.is_none(), "{gas} gas, {time}: {plans:?}");
        }
        let manifest: Value = serde_json::from_slice(&fs::read(scene.folder().join("manifest.json")).unwrap()).unwrap();
        let plan = &manifest["plan"];
        assert_eq!(plan["alternatives"].as_array().unwrap().len(), 12, "three layouts, two curves, one or two pieces");
        let report = fs::read_to_string(scene.folder().join("report.html")).unwrap();
        let chosen = report.lines().find(|line| line.contains("<tr class=\"chosen\">")).unwrap();
        assert!(chosen.contains(plan["layout"].as_str().unwrap()) && chosen.contains("1.00 ×"), "{chosen}");
        assert_eq!(chosen.contains("two pieces"), plan["quotient_pieces"] == 2, "{chosen}");
        assert!(report.contains("<svg") && !report.contains("<script") && !report.contains("src="), "{report}");
        choices.push((plan["layout"].clone(), plan["curve"].clone(), plan["quotient_pieces"].clone()));
    }
    assert_eq!(choices[0], ("periodic".into(), "bn254".into(), 1.into()));
    assert_eq!(choices[2], ("phased".into(), "bn254".into(), 2.into()));
}

#[test]
fn reports_are_written_where_there_is_a_forecast() {
    let scene = Scene::empty();
    let model = Perceptron { activation: "Sigmoid", ..Perceptron::default() };
    let (file, data) = (scene.file("<m>.onnx", model.bytes()), scene.file("data.json", model.data().to_string()));
    let report = scene.path("report.html");
    let ended = hallmark!("check", &file, "--data", &data, "--max-rows", "10", "--report", &report);
    assert!(ended.code == 1 && ended.stdout.contains("wrote "), "{ended:?}");
    let page = fs::read_to_string(&report).unwrap();
    for words in
        ["&lt;m&gt;.onnx", "rows: ", "<h2>Problems</h2>", "<h2>Alternatives</h2>", "on the machine of this forecast"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let broken = Perceptron { activation: "Unique", ..Perceptron::default() };
    let broken = scene.file("broken.onnx", broken.bytes());
    let ended = scene.untouched(|| hallmark!("check", &broken, "--data", &data, "--report", &report));
    assert!(ended.code == 1 && ended.stdout.contains("not written: "), "{ended:?}");
    let ended = scene.untouched(|| hallmark!("check", &file, "--data", &data, "--report", &data));
    ended.fails(1, &["data.json", "would be lost"]);
    hallmark!("check", &file, "--report", &report).fails(2, &["--data"]);
}

#[test]
fn problems_of_model_and_data_come_together() {
    let scene = Scene::empty();
    let broken = Perceptron { activation: "Unique", first: f32::NAN, ..Perceptron::default() };
    let (model, data) = (scene.file("model.onnx", broken.bytes()), scene.file("data.json", "[[1, null]]"));
    let ended = hallmark!("check", &model, "--data", &data, "--json");
    assert_eq!(ended.code, 1);
    let json = ended.json();
    let found = problems(&json);
    let reasons: Vec<&str> = found.iter().map(|problem| problem["reason"].as_str().unwrap()).collect();
    assert_eq!(found.len(), 4, "{json}");
    assert!(reasons[0].contains("\"w1\" holds NaN") && reasons[1].contains("\"w2\" holds NaN"), "{json}");
    assert_eq!((&found[2]["node"], &found[2]["operator"]), (&"activation".into(), &"Unique".into()));
    assert!(found[2]["suggestion"].as_str().unwrap().contains("outside of the model"), "{json}");
    assert!(reasons[3].contains("null"), "{json}");
    assert_eq!((&json["ok"], json["forecast"].is_null()), (&Value::Bool(false), true));

    // the same for people, and without data
    let Ended { code, stdout, stderr } = hallmark!("check", &model);
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert!(
        stdout.contains("3 problems\n  \"w1\"") && stdout.contains("\n  node \"activation\" (Unique): "),
        "{stdout}"
    );
    scene
        .compile(&model, &data)
        .fails(1, &["3 problems stand in the way", "\"w1\" holds NaN", "\"activation\" (Unique)"]);
    hallmark!("check", "no/such.onnx").fails(1, &["cannot read no/such.onnx"]);
    let whole = scene.file("whole.onnx", Perceptron::default().bytes());
    assert!(hallmark!("check", whole).succeeds().stdout.contains("next: --data"));
}

#[test]
fn what_the_domain_does_not_rule_out_has_its_node() {
    let (code, json) = checked(&Perceptron { activation: "Log", ..Perceptron::default() }, &[]);
    let found = problems(&json);
    assert_eq!((code, found.len()), (1, 1), "{json}");
    assert_eq!((&found[0]["node"], &found[0]["operator"]), (&"activation".into(), &"Log".into()), "{json}");
    assert!(found[0]["suggestion"].as_str().unwrap().contains("domain"), "{json}");
}

#[test]
fn limits_refuse_with_numbers() {
    let model = Perceptron { activation: "Sigmoid", ..Perceptron::default() };
    let limits = ["--max-rows", "10", "--max-gas", "30000", "--max-memory", "1MiB"];
    let (code, json) = checked(&model, &limits);
    let found = problems(&json);
    assert_eq!((code, found.len()), (1, 3), "{json}");
    for (problem, allowed) in found.iter().zip(["10 are", "30,000 are", "1,048,576 are"]) {
        assert!(problem["reason"].as_str().unwrap().contains(allowed), "{problem}");
    }
    assert!(json["forecast"]["plan"]["rows"].as_u64().unwrap() > 10, "the forecast is there: {json}");
    let (code, _) = checked(&model, &["--max-rows", "100000", "--max-gas", "300000", "--max-memory", "1GiB"]);
    assert_eq!(code, 0);

    let scene = Scene::new();
    let file = scene.file("model.onnx", model.bytes());
    let data = scene.file("data.json", model.data().to_string());
    let mut compile = crate::command!("compile", file, "--data", data, "-o", scene.folder());
    let ended = scene.untouched(|| crate::support::run(compile.args(limits)));
    ended.fails(1, &["takes more than is allowed", "10 are allowed", "30,000 are allowed", "1,048,576 are allowed"]);
    hallmark!("check", "m.onnx", "--max-memory", "4 gigs").fails(2, &["4GiB"]);
}

#[test]
fn a_model_beyond_the_setup_has_a_forecast() {
    let shape = vec![Dim::Fixed(1), Dim::Fixed(24)];
    let (code, json) = checked(&Perceptron { inputs: 24, hidden: 1200, shape, ..Perceptron::default() }, &[]);
    let found = problems(&json);
    assert_eq!((code, found.len()), (1, 1), "{json}");
    assert!(found[0].to_string().contains("k = 15 is needed"), "{json}");
    assert_eq!(json["forecast"]["setup"], serde_json::json!({ "k": 15, "embedded": false }));
    assert_eq!(json["forecast"]["plan"]["k"], 15);
}
