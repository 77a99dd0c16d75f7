//! What proofs say of inputs and outputs: the values, packed; digests; nothing.

use std::fs;

use serde_json::{Value, json};

use crate::{
    hallmark,
    support::{CONTEXT, Scene, credit, model},
};

/// Compiles the credit model with these inputs public, and proves the example's applicant.
#[track_caller]
fn proved(scene: &Scene, names: &str, more: &[&str]) -> (Value, Value) {
    let mut command = crate::command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"));
    command.args(["--public-inputs", names]).args(more).arg("-o").arg(scene.folder());
    crate::support::run(&mut command).succeeds();
    let (input, proof) = (credit("applicant.json"), scene.proof());
    hallmark!("prove", scene.folder(), "--input", input, "-o", &proof, "--context", CONTEXT).succeeds();
    scene.verify(&proof).succeeds();
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    (read(scene.folder().join("manifest.json")), read(proof))
}

#[test]
fn public_inputs_are_those_of_the_applicant_in_one_word() {
    let applicant: Value = serde_json::from_slice(&fs::read(credit("applicant.json")).unwrap()).unwrap();
    for layout in ["periodic", "general"] {
        let scene = Scene::empty();
        let (manifest, proof) = proved(&scene, "all", &["--layout", layout]);
        let outputs = proof["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 2, "{outputs:?}");
        let word: u128 = outputs[1]["integer"].as_str().unwrap().parse().unwrap();
        let public = manifest["public_inputs"].as_array().unwrap();
        assert_eq!(public.len(), 10);
        let mut contract = fs::read_to_string(scene.folder().join("contracts/CreditVerifier.sol")).unwrap();
        contract.retain(|c| c != '\n');
        for (i, input) in public.iter().enumerate() {
            let name = input["name"].as_str().unwrap();
            // read as the contract's comment says
            let (shift, bits) = (input["place"]["shift"].as_u64().unwrap(), input["place"]["bits"].as_u64().unwrap());
            let plus: i128 = input["plus"].as_str().unwrap().parse().unwrap();
            let value = (word >> shift & ((1 << bits) - 1)) as i128 + plus;
            assert_eq!(value, i128::from(applicant[name].as_i64().unwrap()), "{name}");
            assert_eq!(proof["public_inputs"][i]["value"], applicant[name].as_f64().unwrap(), "{name}");
            assert!(
                contract.contains(&format!("// outputs[1], {bits} bits from bit {shift}, plus {plus}: \"{name}\""))
            );
        }

        // another applicant's word is not proved, in range or not
        for (other, code) in [(word ^ 1, 3), (word + 1, 3), (u128::MAX >> 2, 3)] {
            let mut forged = proof.clone();
            forged["outputs"][1]["integer"] = json!(other.to_string());
            let path = scene.file("forged.json", forged.to_string());
            assert_eq!(scene.verify(&path).code, code, "{other}");
        }
    }
}

#[test]
fn public_inputs_are_chosen_by_name() {
    let scene = Scene::empty();
    let (manifest, proof) = proved(&scene, "credit_amount_dm, savings", &[]);
    let names: Vec<_> = manifest["public_inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["credit_amount_dm", "savings"]);
    assert_eq!(proof["public_inputs"][0]["value"], 2096.0);

    let compile = |names: &str| {
        let data = credit("calibration.json");
        hallmark!("compile", credit("credit.onnx"), "--data", data, "-o", scene.folder(), "--public-inputs", names)
    };
    scene.untouched(|| compile("income").fails(1, &["no input \"income\"", "checking_account", "existing_credits"]));
    scene.untouched(|| compile("savings,,").fails(2, &["a name is empty"]));
    scene.untouched(|| compile("savings,guarantors, savings").fails(1, &["\"savings\" is named twice", "employment"]));
}

const SALT: &str = "0x00000000000000000000000000000000000000000000000000000000deadbeef";
const OTHER_SALT: &str = "0x00000000000000000000000000000000000000000000000000000000deadbee0";

/// Compiles the credit model with these options.
fn compile(scene: &Scene, more: &[&str]) -> crate::support::Ended {
    let mut command = crate::command!("compile", credit("credit.onnx"), "--data", credit("calibration.json"));
    crate::support::run(command.args(more).arg("-o").arg(scene.folder()))
}

fn read(path: std::path::PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `a + b` of numbers in hex of 32 bytes, `b` shifted.
fn add_shifted(word: &mut [u8; 32], number: u128, shift: u32) {
    for bit in (0..128).filter(|bit| number >> bit & 1 == 1) {
        let at = shift + bit;
        let byte = &mut word[31 - at as usize / 8];
        assert_eq!(*byte >> (at % 8) & 1, 0, "fields overlap");
        *byte |= 1 << (at % 8);
    }
}

/// The digest that an attester computes is the one that the proof says, and no other is accepted, natively or by the contract.
#[test]
fn a_digest_of_inputs_is_tied_to_the_score() {
    for options in [["--curve", "bn254"], ["--curve", "bls12-381"]] {
        let scene = Scene::empty();
        let compiled =
            compile(&scene, &[&options[..], &["--hashed-inputs", "all", "--public-inputs", "savings"]].concat());
        let text = &compiled.succeeds().stdout;
        for line in ["hashed", "inputs checking_account", "public", "input savings", "private", "nothing"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let manifest = read(scene.folder().join("manifest.json"));
        assert_eq!(manifest["visibility"]["public"]["inputs"], json!(["savings"]));
        assert_eq!(manifest["visibility"]["hashed"]["inputs"].as_array().unwrap().len(), 9);
        let reason = |a: &Value| a["reason"].as_str().unwrap_or_default().contains("inputs or outputs are hashed");
        let alternatives = manifest["plan"]["alternatives"].as_array().unwrap();
        assert!(alternatives.iter().filter(|a| a["layout"] == "periodic").all(reason), "{alternatives:?}");

        let input = credit("applicant.json");
        let salt = scene.file("salt.txt", format!("{SALT}\n"));
        let from_file = format!("@{}", salt.display());
        let hashed = hallmark!("--json", "hash", scene.folder(), "--input", &input, "--salt", &from_file).json();
        let digest = &hashed["digests"][0];
        assert_eq!((&digest["of"], digest.get("salt")), (&json!("inputs"), None));

        // the words follow from the manifest
        let (applicant, described) = (read(input.clone()), &manifest["digests"][0]);
        assert_eq!(described["words"], 1);
        let mut word = [0; 32];
        for value in described["values"].as_array().unwrap() {
            let place = &value["place"];
            let lo: i64 = value["plus"].as_str().unwrap().parse().unwrap();
            let field = applicant[value["name"].as_str().unwrap()].as_i64().unwrap() - lo;
            assert!((field as u64) < 1 << place["bits"].as_u64().unwrap());
            add_shifted(&mut word, field as u128, place["shift"].as_u64().unwrap() as u32);
        }
        let header = described["header"].as_str().unwrap().strip_prefix("0x").unwrap();
        add_shifted(&mut word, u128::from_str_radix(header, 16).unwrap(), 125);
        assert_eq!(digest["words"], json!([format!("0x{}", hex::encode(word))]));
        let source = fs::read_to_string(scene.folder().join("contracts/CreditVerifier.sol")).unwrap();
        assert!(source.contains("// digests[0] is a Poseidon digest:") && source.contains(header), "{source}");
        assert!(source.contains("uint256[1] calldata digests"), "{source}");

        let prove = |salt: &str| {
            let to = scene.proof();
            hallmark!("prove", scene.folder(), "--input", &input, "-o", to, "--context", CONTEXT, "--salt", salt)
        };
        let said = prove(SALT);
        assert!(said.succeeds().stdout.contains(digest["digest"].as_str().unwrap()) && !said.stdout.contains("beef"));
        let proof = read(scene.proof());
        assert_eq!(proof["digests"], json!([{ "of": "inputs", "digest": digest["digest"] }]));
        let verified = scene.verify(&scene.proof());
        assert!(verified.succeeds().stdout.contains("digest of inputs = 0x"), "{verified:?}");
        assert!(verified.stdout.contains("hashed: inputs checking_account"), "{verified:?}");
        let calldata = hallmark!("--json", "calldata", scene.folder(), scene.proof()).json();
        assert_eq!(calldata["digests"], json!([digest["digest"]]));
        // the contract's judgement
        hallmark!("gas", scene.folder(), "--proof", scene.proof()).succeeds();
        hallmark!("gas", scene.folder()).succeeds();

        let mut forged = proof.clone();
        forged["digests"][0]["digest"] = json!(SALT);
        let path = scene.file("forged.json", forged.to_string());
        assert_eq!(scene.verify(&path).code, 3);
        assert_eq!(hallmark!("gas", scene.folder(), "--proof", &path).code, 3);
        forged["digests"][0]["digest"] = json!(format!("0x{}", "f".repeat(64)));
        let path = scene.file("forged.json", forged.to_string());
        scene.verify(&path).fails(3, &["digest 0 is not below the order"]);
        forged["digests"] = json!([]);
        let path = scene.file("forged.json", forged.to_string());
        scene.verify(&path).fails(3, &["0 digests, the verifying key has 1"]);

        // under another salt it is another digest
        prove(OTHER_SALT).succeeds();
        assert_ne!(read(scene.proof())["digests"][0]["digest"], digest["digest"]);

        let fresh = || hallmark!("--json", "hash", scene.folder(), "--input", &input).json();
        let [first, second] = [fresh(), fresh()];
        assert_ne!(first["digests"][0]["salt"], second["digests"][0]["salt"]);
        prove(first["digests"][0]["salt"].as_str().unwrap()).succeeds();
        assert_eq!(read(scene.proof())["digests"][0]["digest"], first["digests"][0]["digest"]);

        let bad = |salt: &str, words: &[&str]| {
            let ended = scene.untouched(|| prove(salt));
            ended.fails(1, words);
            assert!(!ended.stderr.contains("beef"), "{ended:?}");
        };
        bad("0xdeadbeef", &["--salt is not 32 bytes in hex"]);
        bad("deadbeef", &["--salt is not 32 bytes in hex"]);
        bad("@no/such/file", &["cannot read no/such/file"]);
        bad(&format!("0x{}", "f".repeat(64)), &["salt of the digest of inputs", "not below the order"]);
        scene.untouched(|| scene.prove(&input)).fails(1, &["digest of its inputs", "--salt 0x", "hallmark hash"]);
        let unused = ["--salt", SALT, "--output-salt", SALT];
        let mut command = crate::command!("prove", scene.folder(), "--input", &input, "-o", scene.proof());
        crate::support::run(command.args(unused)).fails(1, &["no digest of its outputs", "--output-salt"]);
    }
}

#[test]
fn visibility_that_makes_no_sense_is_refused() {
    let scene = Scene::new();
    let refused = |options: &[&str], words: &[&str]| scene.untouched(|| compile(&scene, options)).fails(1, words);
    refused(&["--hashed-inputs", "income"], &["no input \"income\"", "checking_account", "existing_credits"]);
    refused(&["--hashed-inputs", "savings", "--public-inputs", "savings"], &["input \"savings\" is named twice"]);
    refused(&["--hashed-inputs", "all", "--public-inputs", "all"], &["\"all\" is named twice"]);
    refused(&["--hashed-outputs", "points"], &["no output \"points\"", "the model's outputs are: score"]);
    refused(&["--hashed-outputs", "score", "--private-outputs", "score"], &["output \"score\" is named twice"]);
    refused(&["--private-outputs", "all"], &["no public value is left"]);
    refused(&["--hashed-inputs", "all", "--layout", "periodic"], &["hashed", "use layout general or phased"]);
    hallmark!("hash", scene.folder(), "--input", credit("applicant.json"))
        .fails(1, &["say no digest", "--hashed-inputs"]);

    let data = credit("calibration.json");
    let checked = hallmark!("--json", "check", credit("credit.onnx"), "--data", &data, "--private-outputs", "all");
    assert_eq!(checked.code, 1);
    assert!(checked.json()["problems"].to_string().contains("no public value is left"));
    let checked = hallmark!("--json", "check", credit("credit.onnx"), "--data", data, "--hashed-outputs", "all");
    assert_eq!(checked.json()["forecast"]["visibility"]["hashed"]["outputs"], json!(["score"]));
}

/// Two outputs, of which one is hashed or private; and nothing but a digest.
#[test]
fn outputs_are_hashed_or_private() {
    let data = |scene: &Scene| {
        let sample = |k: u32| json!({ "a": vec![0.1 * f64::from(k); 6], "b": vec![0.5 - 0.1 * f64::from(k); 6] });
        let features = |name: &str| {
            (0..6).map(|i| json!({ "name": format!("{name}[{i}]"), "min": -1, "max": 1 })).collect::<Vec<_>>()
        };
        let features = [features("a"), features("b")].concat();
        scene.file(
            "data.json",
            json!({ "features": features, "input_data": (0..5).map(sample).collect::<Vec<_>>() }).to_string(),
        )
    };
    let scene = Scene::empty();
    let (onnx, data) = (model("branches.onnx"), data(&scene));
    let plain = hallmark!("--json", "compile", &onnx, "--data", &data, "-o", scene.folder(), "--max-error", "0.1");
    let plain = plain.json();
    let outputs: Vec<&str> =
        plain["manifest"]["outputs"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    let [first, second] = outputs.as_slice() else { panic!("{outputs:?}") };
    let sample = scene.file(
        "input.json",
        json!({ "a": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "b": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0] }).to_string(),
    );
    for (options, public, digests) in [
        (vec!["--private-outputs", second], 1, 0),
        (vec!["--hashed-outputs", second], 1, 1),
        (vec!["--hashed-outputs", second, "--private-outputs", first], 0, 1),
        (vec!["--hashed-outputs", "all", "--hashed-inputs", "a"], 0, 2),
    ] {
        let mut command =
            crate::command!("compile", &onnx, "--data", &data, "-o", scene.folder(), "--max-error", "0.1");
        crate::support::run(command.args(&options)).succeeds();
        let manifest = read(scene.folder().join("manifest.json"));
        assert_eq!(manifest["outputs"].as_array().unwrap().len(), public, "{options:?}");
        assert_eq!(manifest["digests"].as_array().unwrap().len(), digests, "{options:?}");
        let mut command = crate::command!("prove", scene.folder(), "--input", &sample, "-o", scene.proof());
        if digests > 0 {
            command.args(["--output-salt", OTHER_SALT]);
        }
        if digests > 1 {
            command.args(["--salt", SALT]);
            assert_eq!(manifest["visibility"]["hashed"]["inputs"].as_array().unwrap().len(), 6);
        }
        crate::support::run(&mut command).succeeds();
        scene.verify(&scene.proof()).succeeds();
        assert_eq!(read(scene.proof()).get("digests").map_or(0, |d| d.as_array().unwrap().len()), digests);
        hallmark!("gas", scene.folder(), "--proof", scene.proof()).succeeds();
    }
}
