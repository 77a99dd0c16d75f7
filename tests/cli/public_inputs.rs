//! Inputs that a proof says in the open, packed into words.

use std::fs;

use serde_json::{Value, json};

use crate::{
    hallmark,
    support::{CONTEXT, Scene, credit},
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
    let (manifest, proof) = proved(&scene, "credit_amount_dm, savings,savings", &[]);
    let names: Vec<_> = manifest["public_inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["credit_amount_dm", "savings"]);
    assert_eq!(proof["public_inputs"][0]["value"], 2096.0);

    let compile = |names: &str| {
        let data = credit("calibration.json");
        hallmark!("compile", credit("credit.onnx"), "--data", data, "-o", scene.folder(), "--public-inputs", names)
    };
    scene.untouched(|| compile("income").fails(1, &["no input \"income\"", "checking_account", "existing_credits"]));
    scene.untouched(|| compile("savings,,").fails(2, &["a name is empty"]));
}
