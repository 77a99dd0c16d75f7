//! `deploy`, `match` and `submit` as commands, on a verifier.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::{B256, Bytes, keccak256};
use hallmark::chain::{Anvil, CompileSettings, Endpoint, Patience, Search, compile, deploy::DEPLOYER};
use serde_json::{Value, json};

use crate::{
    proxy::{Fault, Proxy},
    scene::{KEYS, anvil, credit, root, signer},
};

/// A copy of the credit build, a state folder, and a chain.
struct Verifier {
    dir: tempfile::TempDir,
    anvil: Anvil,
    direct: Endpoint,
}

impl Verifier {
    fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&credit().join("credit"), &dir.path().join("credit"));
        // solc, if it is this checkout's
        symlink(root().join("node_modules"), dir.path().join("node_modules")).unwrap();
        let anvil = anvil(arguments);
        let direct = Endpoint::new(&anvil.endpoint(), Patience::default()).unwrap();
        Self { dir, anvil, direct }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("credit")
    }

    fn hallmark(&self, arguments: &[&str]) -> (i32, Value) {
        self.hallmark_with(&[], arguments)
    }

    /// With variables of the environment.
    fn hallmark_with(&self, variables: &[(&str, &Path)], arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
        command.args(arguments).arg("--json").current_dir(self.dir.path());
        command.env("HALLMARK_PRIVATE_KEY", KEYS[0]).env("HALLMARK_STATE_DIR", self.dir.path().join("state"));
        command.env("ETH_RPC_URL", self.anvil.endpoint()).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(stderr.is_empty(), "{stderr}");
        assert!(!stdout.contains(KEYS[0]), "the key is said");
        let json = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
        (output.status.code().unwrap(), json)
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> Value {
        let (code, json) = self.hallmark(arguments);
        assert_eq!(code, 0, "{json}");
        json
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], words: &[&str]) {
        let (code, json) = self.hallmark(arguments);
        let error = json["error"].as_str().unwrap_or_default();
        assert_eq!(code, 1, "{json}");
        for word in words {
            assert!(error.contains(word), "\"{word}\" is not said: {error}");
        }
    }

    fn code(&self, address: &str) -> Bytes {
        self.direct.code(address.parse().unwrap()).unwrap()
    }

    fn set_code(&self, address: &str, code: &[u8]) {
        let params = json!([address, format!("0x{}", hex::encode(code))]);
        self.direct.request::<Value>("anvil_setCode", params).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn example(name: &str) -> String {
    root().join("examples/credit").join(name).to_str().unwrap().into()
}

#[test]
fn a_verifier_is_deployed_once_and_proofs_are_submitted_to_it() {
    let verifier = Verifier::new(&[]);
    let planned = verifier.succeeds(&["deploy", "credit", "--dry-run"]);
    let address = planned["deployment"]["address"].as_str().unwrap().to_owned();
    assert!(verifier.code(&address).is_empty() && !verifier.folder().join("deployments").exists());
    verifier.fails(&["submit", "credit", &proof()], &["deployments/31337.json", "--to ADDRESS", "hallmark deploy"]);

    let deployed = verifier.succeeds(&["deploy", "credit"]);
    assert_eq!((&deployed["deployment"]["address"], &deployed["already_there"]), (&json!(address), &json!(false)));
    let text = fs::read_to_string(verifier.folder().join("deployments/31337.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let entry = &record["contracts"]["CreditVerifier"];
    assert_eq!(entry, &deployed["deployment"]);
    assert_eq!(entry["code_hash"], json!(keccak256(verifier.code(&address))));
    let hash: B256 = entry["transaction"].as_str().unwrap().parse().unwrap();
    let receipt = verifier.direct.receipt(hash).unwrap().unwrap();
    assert_eq!(receipt.block_number.unwrap().to::<u64>(), entry["block"].as_u64().unwrap());
    let manifest: Value = serde_json::from_slice(&fs::read(verifier.folder().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(entry["model_id"], manifest["model"]["id"]);
    assert!(entry["compiler"]["version"].as_str().unwrap().starts_with("0.8."));

    // again: nothing is sent, and the record stays as it is
    let nonce = || verifier.direct.transaction_count(signer(0).address(), "latest").unwrap();
    let before = nonce();
    let again = verifier.succeeds(&["deploy", "credit"]);
    assert_eq!((&again["already_there"], nonce()), (&json!(true), before));
    assert_eq!(fs::read_to_string(verifier.folder().join("deployments/31337.json")).unwrap(), text);
    // other salts and the other contract go elsewhere, into the same record
    let salt = format!("0x{}", "11".repeat(32));
    let salted = verifier.succeeds(&["deploy", "credit", "--dry-run", "--salt", &salt]);
    assert_ne!(salted["deployment"]["address"], address);
    verifier.succeeds(&["deploy", "credit", "--batch"]);
    let record = fs::read(verifier.folder().join("deployments/31337.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["contracts"].as_object().unwrap().len(), 2);

    let landed = verifier.succeeds(&["submit", "credit", &proof()]);
    assert_eq!((&landed["to"], &landed["sent_before"]), (&json!(address), &json!(false)));
    assert!(landed["gas_used"].as_u64().unwrap() > 150_000, "{landed}");
    let known = verifier.succeeds(&["submit", "credit", &proof()]);
    assert_eq!((&known["transaction"], &known["sent_before"]), (&landed["transaction"], &json!(true)));
    let signature = "verify(bytes32 context, int256[1] outputs, uint256[12] proof)";
    let named = verifier.succeeds(&["submit", "credit", &proof(), "--to", &address, "--function", signature]);
    assert_eq!(named["transaction"], landed["transaction"], "the same calldata is the same statement");
    let batch = verifier.succeeds(&["submit", "credit", &proof(), &proof()]);
    assert_ne!(batch["to"], json!(address));

    // an endpoint on another chain than the user means
    verifier.fails(&["submit", "credit", &proof(), "--chain-id", "1"], &["chain 31337, not on 1"]);
    verifier.fails(&["deploy", "credit", "--chain-id", "1"], &["chain 31337, not on 1"]);
}

fn proof() -> String {
    credit().join("proof.json").to_str().unwrap().into()
}

#[test]
fn the_verifiers_errors_are_said_in_its_words() {
    let verifier = Verifier::new(&[]);
    verifier.succeeds(&["deploy", "credit"]);
    let deployed = verifier.succeeds(&["deploy", "credit", "--dry-run"]);
    let address = deployed["deployment"]["address"].as_str().unwrap();
    let signature = "verify(bytes32 context, int256[1] outputs, uint256[12] proof)";
    let call = ["submit", "credit", &proof(), "--to", address, "--function", signature];
    let with = |argument: &'static str| [&call[..], &["--arg", argument]].concat();
    verifier.fails(&with("outputs=[5]"), &["would revert with ProofRejected", "does not hold", "nothing was sent"]);
    verifier.fails(&with("outputs=[1000000000000000000]"), &["OutputOutOfRange"]);
    verifier.fails(&with("otputs=[5]"), &["verify has no parameter \"otputs\""]);
    let none = "0x00000000000000000000000000000000000000aa";
    verifier.fails(&["submit", "credit", &proof(), "--to", none], &["no contract at"]);
}

#[test]
fn a_chain_without_the_deployer_gets_it_the_canonical_way() {
    let verifier = Verifier::new(&["--disable-default-create2-deployer"]);
    assert!(verifier.direct.code(DEPLOYER).unwrap().is_empty());
    let deployed = verifier.succeeds(&["deploy", "credit"]);
    assert_eq!(verifier.direct.code(DEPLOYER).unwrap().len(), 69);
    let planned = verifier.succeeds(&["deploy", "credit", "--dry-run"]);
    assert_eq!(deployed["deployment"]["address"], planned["deployment"]["address"]);

    // elsewhere only on demand, since it costs something
    let elsewhere = Verifier::new(&["--disable-default-create2-deployer", "--chain-id", "5"]);
    elsewhere.fails(&["deploy", "credit"], &["no deterministic deployer", "--install-deployer"]);
    let installed = elsewhere.succeeds(&["deploy", "credit", "--install-deployer", "--confirmations", "1"]);
    assert_eq!(installed["deployment"]["address"], planned["deployment"]["address"]);
    assert!(elsewhere.folder().join("deployments/5.json").exists());
}

#[test]
fn nothing_is_paid_for_a_deployer_that_the_chain_does_not_take() {
    let verifier = Verifier::new(&["--disable-default-create2-deployer", "--chain-id", "5"]);
    let refused = Fault::Refuse("only replay-protected (EIP-155) transactions allowed over RPC");
    let rule = move |method: &str| (method == "eth_sendRawTransaction").then_some(refused);
    let proxy = Proxy::start(([127, 0, 0, 1], verifier.anvil.port()).into(), rule);
    let deploy = ["deploy", "credit", "--install-deployer", "--rpc", &proxy.url()];
    verifier.fails(&deploy, &["does not take the deployer's signed transaction", "replay-protected"]);
    assert_eq!(verifier.direct.transaction_count(signer(0).address(), "pending").unwrap(), 0);
}

/// The first question, which chain it is, is answered by one chain, and everything after it by another.
#[test]
fn an_endpoint_that_changes_its_chain_is_refused() {
    let verifier = Verifier::new(&[]);
    let other = anvil(&["--chain-id", "5"]);
    let elsewhere = Fault::Elsewhere(([127, 0, 0, 1], other.port()).into());
    let deployer = DEPLOYER.to_string();
    for command in [&["deploy", "credit"][..], &["match", "credit", "--address", &deployer]] {
        let mut asked = false;
        let rule = move |_: &str| std::mem::replace(&mut asked, true).then_some(elsewhere);
        let proxy = Proxy::start(([127, 0, 0, 1], verifier.anvil.port()).into(), rule);
        verifier.fails(&[command, &["--rpc", &proxy.url()]].concat(), &["chain 5, not on 31337"]);
    }
    let on_other = Endpoint::new(&other.endpoint(), Patience::default()).unwrap();
    assert_eq!(on_other.transaction_count(signer(0).address(), "pending").unwrap(), 0);
}

#[test]
fn what_is_in_the_contracts_place_is_not_taken_for_it() {
    let verifier = Verifier::new(&[]);
    let planned = verifier.succeeds(&["deploy", "credit", "--dry-run"]);
    let address = planned["deployment"]["address"].as_str().unwrap();
    verifier.set_code(address, &[0x00]);
    verifier.fails(&["deploy", "credit"], &["is code with hash", "instead of"]);
    // a deployer that is another contract would give other addresses
    verifier.set_code(address, &[]);
    verifier.set_code(&DEPLOYER.to_string(), &[0x00]);
    verifier.fails(&["deploy", "credit"], &["another contract than the deterministic deployer"]);
}

#[test]
fn an_unsafe_verifier_is_deployed_to_local_chains_only() {
    let verifier = Verifier::new(&["--chain-id", "5"]);
    let srs = verifier.dir.path().join("unsafe.srs");
    let srs = srs.to_str().unwrap();
    verifier.succeeds(&["srs", "generate-unsafe", "-k", "12", "-o", srs]);
    let (model, data) = (example("credit.onnx"), example("calibration.json"));
    let compile = ["compile", &model, "--data", &data, "--srs", srs, "--allow-unsafe-srs", "-o", "unsafe"];
    verifier.succeeds(&compile);
    verifier.fails(&["deploy", "unsafe"], &["UNSAFE", "31337, 1337", "this is chain 5"]);
    let local = Verifier::new(&["--chain-id", "1337"]);
    copy(&verifier.dir.path().join("unsafe"), &local.dir.path().join("unsafe"));
    local.succeeds(&["deploy", "unsafe"]);
}

#[test]
fn a_contract_matches_its_model_and_no_other() {
    let verifier = Verifier::new(&[]);
    let address = verifier.succeeds(&["deploy", "credit"])["deployment"]["address"].as_str().unwrap().to_owned();
    let (model, data) = (example("credit.onnx"), example("calibration.json"));
    let anew = ["match", &model, "--data", &data, "--max-error", "1e-4", "--address", &address];
    let matched = verifier.succeeds(&anew);
    assert_eq!((&matched["match"], &matched["comparison"]["verdict"]), (&json!(true), &json!("same")));
    assert_eq!(matched["code_hash"], matched["code_hash_on_chain"]);
    verifier.succeeds(&["match", "credit", "--address", &address]);

    let differs = |arguments: &[&str], verdict: &str| -> Value {
        let (code, json) = verifier.hallmark(arguments);
        assert_eq!(
            (code, &json["match"], &json["comparison"]["verdict"]),
            (3, &json!(false), &json!(verdict)),
            "{json}"
        );
        json
    };
    // a model with other weights has another key, and so another contract
    let v2 = root().join("tests/models/credit_v2.onnx");
    let other = ["match", v2.to_str().unwrap(), "--data", &data, "--max-error", "1e-4", "--address", &address];
    let (code, json) = verifier.hallmark(&other);
    assert_eq!((code, &json["contract_id_on_chain"]), (3, &matched["model_id"]), "{json}");
    assert!(json.to_string().contains("MODEL_ID"), "{json}");
    // nobody is there; or somebody else is
    let nobody = differs(&["match", "credit", "--address", "0x00000000000000000000000000000000000000aa"], "no_code");
    assert_eq!(nobody["contract_id_on_chain"], Value::Null);
    let deployer = DEPLOYER.to_string();
    let json = differs(&["match", "credit", "--address", &deployer], "other_instructions");
    let missing = json["comparison"]["missing"].as_array().unwrap();
    assert!(missing.iter().any(|constant| constant["name"] == "WEIGHTS_0"), "{json}");

    // somebody has exchanged a point of the verifying key, and says that it is the same model
    let source = fs::read_to_string(verifier.folder().join("contracts/CreditVerifier.sol")).unwrap();
    let line = source.lines().find(|line| line.contains(" WEIGHTS_0 = ")).unwrap();
    let point = hex::decode(line.split("0x").nth(1).unwrap().trim_end_matches(';')).unwrap();
    let code = verifier.code(&address);
    let at = code.windows(32).position(|window| window == point).unwrap();
    let mut forged = code.to_vec();
    forged[at + 31] ^= 1;
    verifier.set_code(&address, &forged);
    let json = differs(&["match", "credit", "--address", &address], "other_constants");
    assert_eq!(json["contract_id_on_chain"], json["model_id"]);
    let constants = json["comparison"]["constants"].as_array().unwrap();
    assert_eq!((constants.len(), &constants[0]["names"]), (1, &json!(["WEIGHTS_0"])), "{json}");

    // the same source by other settings of the compiler
    let settings = CompileSettings { optimizer_runs: 200, ..CompileSettings::default() };
    let solc = Search::default().solc().unwrap();
    let sources = [(PathBuf::from("CreditVerifier.sol"), source)];
    let compiled = compile(&solc, &sources, "CreditVerifier", &settings).unwrap();
    verifier.set_code(&address, &compiled.runtime_code);
    let json = verifier.succeeds(&["match", "credit", "--address", &address]);
    assert_eq!((&json["comparison"]["verdict"], &json["compiler"]["optimizer_runs"]), (&json!("same"), &json!(200)));

    // what Foundry appends by default is no difference
    let map = [&[0xa1, 0x64][..], b"solc", &[0x43, 0, 8, 30]].concat();
    let appended = [&code[..], &[0xfe], &map, &(map.len() as u16).to_be_bytes()].concat();
    verifier.set_code(&address, &appended);
    let json = verifier.succeeds(&["match", "credit", "--address", &address]);
    assert_eq!(json["comparison"], json!({ "verdict": "same_but_metadata", "solc": "0.8.30" }));

    // claims to be the model's, has an instruction more, and the compiler fails at all settings but the first
    verifier.set_code(&address, &[&code[..], &[0x00]].concat());
    let once = fails_after_once(&verifier.dir.path().join("once"));
    let (exit, json) = verifier.hallmark_with(&[("FOUNDRY_SOLC", &once)], &["match", "credit", "--address", &address]);
    assert_eq!((exit, &json["comparison"]["verdict"]), (3, &json!("other_instructions")), "{json}");
}

#[test]
fn the_compiler_sees_no_secret() {
    let verifier = Verifier::new(&[]);
    let seen = verifier.dir.path().join("seen");
    let solc = compiler(&verifier.dir.path().join("solc"), &format!("env >> '{}'", seen.display()));
    let variables = [
        ("FOUNDRY_SOLC", &*solc),
        ("MY_KEY", Path::new(KEYS[1])),
        ("HALLMARK_KEYSTORE_PASSWORD", Path::new("hunter2")),
        ("NO_SECRET", Path::new("seen")),
    ];
    let (code, json) = verifier.hallmark_with(&variables, &["deploy", "credit", "--key-env", "MY_KEY"]);
    assert_eq!(code, 0, "{json}");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("NO_SECRET=seen"), "{seen}");
    for secret in [KEYS[0], KEYS[1], "hunter2", &verifier.anvil.endpoint()] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

/// A compiler that compiles once.
fn fails_after_once(path: &Path) -> PathBuf {
    let used = path.with_extension("used");
    let used = used.display();
    compiler(path, &format!("case \"$*\" in *--standard-json*) [ -e '{used}' ] && exit 1; : > '{used}';; esac"))
}

/// A compiler in front of which a line of shell runs.
fn compiler(path: &Path, first: &str) -> PathBuf {
    let solc = Search::default().solc().unwrap();
    let words = std::iter::once(solc.program.to_str().unwrap()).chain(solc.arguments.iter().map(String::as_str));
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let script = format!("#!/bin/sh\n{first}\nexec {} \"$@\"\n", quoted.join(" "));
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}
