//! Calibration data, domains, options and inputs that cannot be used.

use std::fs;

use serde_json::Value;

use crate::{
    command, hallmark,
    support::{CONTEXT, Ended, Scene, credit, run},
};

/// Compiles the credit model with `data` over an existing build.
#[track_caller]
fn data_refused(data: &str, words: &[&str]) {
    let scene = Scene::new();
    let data = scene.file("data.json", data);
    scene.untouched(|| scene.compile(credit("credit.onnx"), data)).fails(1, words);
}

#[test]
fn calibration_data_that_is_empty() {
    for empty in ["[]", "{}", r#"{"input_data": []}"#, r#"{"features": []}"#] {
        data_refused(empty, &["data.json holds no samples"]);
    }
    data_refused(r#"{"input_data": [[]]}"#, &["data.json: input_data[0] has 0 values, the model takes 10"]);
    data_refused("", &["data.json is not valid JSON"]);
}

#[test]
fn calibration_data_that_holds_no_numbers() {
    data_refused(r#"{"input_data": [[NaN, 1, 1]]}"#, &["data.json", "no NaN or Infinity"]);
    data_refused(r#"{"input_data": [[1e999, 1, 1]]}"#, &["data.json", "input_data[0][0] is 1e+999", "finite"]);
    data_refused(r#"{"input_data": [[1, null]]}"#, &["data.json", "input_data[0][1] is null"]);
    data_refused(r#"{"input_data": [["1"]]}"#, &["data.json", "input_data[0][0] is a string"]);
    data_refused(r#"{"input_data": [[9223372036854775808]]}"#, &["9223372036854775808", "too large to be exact"]);
    data_refused(r#"{"input_data": 7}"#, &["\"input_data\" must be an array"]);
    data_refused(&"[".repeat(100_000), &["data.json", "recursion limit"]);
}

#[test]
fn calibration_data_of_another_shape() {
    data_refused(r#"{"input_data": [[1, 2, 3]]}"#, &["input_data[0] has 3 values", "takes 10"]);
    data_refused(r#"{"input_dta": [[1, 2, 3]]}"#, &["data.json", "input_dta"]);
    let scene = Scene::new();
    scene.untouched(|| scene.compile(credit("credit.onnx"), "no/such.json")).fails(1, &["cannot read no/such.json"]);
}

/// The credit model's domain with another first feature.
fn domain(first: &str) -> String {
    let mut domain: Value = serde_json::from_slice(&fs::read(credit("features.json")).unwrap()).unwrap();
    domain["features"][0] = serde_json::from_str(first).unwrap();
    domain.to_string()
}

#[test]
fn domains_that_make_no_sense() {
    let refused = |text: &str, words: &[&str]| compiled_in_domain(text, &[]).fails(1, words);
    refused(r#"{"fetures": []}"#, &["domain.json", "features", "min", "max"]);
    refused(r#"{"features": [{"name": "a", "min": 0, "max": 1}]}"#, &["domain.json", "has 1 values", "takes 10"]);
    refused(&domain(r#"{"name": "a", "min": 0, "mx": 3}"#), &["domain.json", "features[0]", "unknown key \"mx\""]);
    refused(&domain(r#"{"name": "a", "min": 5, "max": 1}"#), &["domain.json", "\"a\"", "minimum 5", "maximum 1"]);
    refused(&domain(r#"{"name": "savings", "min": 0, "max": 3}"#), &["domain.json", "\"savings\" twice"]);
    refused(&domain(r#"{"name": "a", "min": 0, "max": 2}"#), &["sample", "\"a\": 3 is above the declared maximum 2"]);
    refused(&domain(r#"{"name": "a", "min": 0, "max": 1e308}"#), &["\"a\"", "2^120"]);
    let wide = domain(r#"{"name": "a", "min": 0, "max": 1e30}"#);
    refused(&wide, &["misses the tolerance", "narrow the input domain"]);
    compiled_in_domain(&wide, &["--precision", "20"]).fails(1, &["\"hidden_linear\"", "2^120", "narrow the domain"]);
}

/// Compiles the credit model over an existing build, which must stay.
#[track_caller]
fn compiled_in_domain(text: &str, options: &[&str]) -> Ended {
    let scene = Scene::new();
    let domain = scene.file("domain.json", text);
    let mut command = command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"));
    command.arg("--domain").arg(domain).arg("-o").arg(scene.folder()).args(options);
    scene.untouched(|| run(&mut command))
}

#[test]
fn options_out_of_range() {
    let scene = Scene::new();
    for (option, value, words) in [
        ("--max-error", "0", ["max-error is 0", "must be"]),
        ("--max-error", "-1", ["max-error is -1", "must be"]),
        ("--max-error", "NaN", ["max-error is NaN", "must be"]),
        ("--max-error", "inf", ["max-error is inf", "must be"]),
        ("--threshold", "NaN", ["threshold is NaN", "must be"]),
        ("--precision", "0", ["precision is 0", "must be"]),
        ("--precision", "4294967295", ["precision is 4294967295", "must be"]),
        ("--max-error", "1e-300", ["misses the tolerance of 1e-300", "raise --max-error"]),
    ] {
        let option = format!("{option}={value}");
        let (model, data) = (credit("credit.onnx"), credit("calibration.json"));
        scene.untouched(|| hallmark!("compile", model, "--data", data, "-o", scene.folder(), option)).fails(1, &words);
    }
}

/// The applicant's file with one value replaced; in JSON, as it is given.
fn applicant(feature: &str, value: &str) -> String {
    let values = [
        ("checking_account", "3"),
        ("duration_months", "12"),
        ("credit_history", "4"),
        ("credit_amount_dm", "2096"),
        ("savings", "0"),
        ("employment", "3"),
        ("instalment_rate", "2"),
        ("guarantors", "1"),
        ("other_instalment_plans", "0"),
        ("existing_credits", "1"),
    ];
    let entry = |(name, old): (&str, &str)| format!("\"{name}\": {}", if name == feature { value } else { old });
    format!("{{{}}}", values.map(entry).join(", "))
}

#[test]
fn inputs_that_cannot_be_proved() {
    let scene = Scene::new();
    let refused = |text: &str, words: &[&str]| {
        let input = scene.file("input.json", text);
        scene.untouched(|| scene.prove(input)).fails(1, words);
    };
    let amount = |value: &str| applicant("credit_amount_dm", value);
    let above = ["\"credit_amount_dm\"", "above the declared maximum 20000"];
    refused(&amount("20001"), &[above.as_slice(), &["20001"]].concat());
    refused(&amount("1e308"), &above);
    refused(&amount("99"), &["\"credit_amount_dm\"", "99 is below the declared minimum 100"]);
    refused(&amount("-1e308"), &["\"credit_amount_dm\"", "below the declared minimum 100"]);
    refused(&amount("2096.5"), &["\"credit_amount_dm\"", "2096.5 is not an integer"]);
    refused(&amount("NaN"), &["input.json", "no NaN or Infinity"]);
    refused(&amount("Infinity"), &["input.json", "no NaN or Infinity"]);
    refused(&amount("1e999"), &["input.json", "\"credit_amount_dm\" is 1e+999", "finite"]);
    refused(&amount("null"), &["input.json", "\"credit_amount_dm\" is null"]);
    refused(&amount("\"2096\""), &["\"credit_amount_dm\" is a string"]);
    refused(&amount("9223372036854775808"), &["\"credit_amount_dm\"", "too large to be exact"]);
    refused(&amount("[2096, 2097]"), &["\"credit_amount_dm\" has 2 values", "takes 1"]);

    let misspelt = applicant("", "").replace("savings", "svaings");
    refused(&misspelt, &["names \"svaings\"", "no feature of the model", "savings, employment"]);
    let missing = applicant("", "").replace("\"savings\": 0, ", "");
    refused(&missing, &["input.json", "lacks the feature \"savings\""]);
    refused("{\"input_data\": [[1, 2, 3]]}", &["input.json", "has 3 values", "takes 10"]);
    refused("{\"input_data\": [[3,12,4,2096,0,3,2,1,0,1,0]]}", &["has 11 values", "takes 10"]);
    refused("{\"input_data\": []}", &["input.json holds no samples"]);
    refused("", &["input.json is not valid JSON"]);
    refused("{\"input_data\": [[3,12,4,2096,0,3,2,1,0,1]]", &["input.json is not valid JSON", "EOF"]);
    scene.untouched(|| scene.prove("no/such.json")).fails(1, &["cannot read no/such.json"]);
    scene.untouched(|| scene.prove(scene.root())).fails(1, &["cannot read", "directory"]);

    let input = scene.file("input.json", applicant("", ""));
    assert_eq!(scene.prove(input).succeeds().stderr, "");
    scene.verify(&scene.proof()).succeeds();
}

#[test]
fn files_of_several_samples_need_an_index() {
    let scene = Scene::new();
    let applicants = credit("applicants.json");
    scene.untouched(|| scene.prove(&applicants)).fails(1, &["holds 1000 samples", "from 0 to 999"]);
    let indexed = |index: &str| {
        let context = ["--context", CONTEXT];
        hallmark!(
            "prove",
            scene.folder(),
            "--input",
            &applicants,
            "-o",
            scene.proof(),
            "--index",
            index,
            context[0],
            context[1]
        )
    };
    scene.untouched(|| indexed("1000")).fails(1, &["none with index 1000"]);
    indexed("999").succeeds();
    scene.verify(&scene.proof()).succeeds();
}

#[test]
fn a_context_that_is_not_32_bytes_in_hex() {
    let scene = Scene::new();
    let digits = "0".repeat(64);
    for context in [
        "",
        "0x",
        "1",
        "zz",
        &digits,
        &format!("0x{}", &digits[1..]),
        &format!("0x{digits}0"),
        &format!("0xg{}", &digits[1..]),
    ] {
        let option = format!("--context={context}");
        let input = credit("applicant.json");
        scene
            .untouched(|| hallmark!("prove", scene.folder(), "--input", input, "-o", scene.proof(), option))
            .fails(1, &[&format!("\"{context}\""), "not 32 bytes in hex", "0x and 64 digits"]);
    }
}
