//! The golden contracts under every compiler that they name and every setting that matters: each build accepts the proofs
//! it should, rejects all others, fits EIP-170, and costs what `docs/compilers.md` says. `make matrix` runs this and writes
//! that page's tables anew; it takes minutes, so that `cargo test` leaves it out.

use std::{fmt::Write, fs, path::PathBuf};

use hallmark::chain::{Anvil, AnvilOptions, ChainError, CompileSettings, Compiled, Search, Tool, compile};
use serde_json::Value;

/// A generated contract that is checked in, with calls that are fixtures.
struct Golden {
    name: &'static str,
    /// The function that is called, and the one that answers with a verdict, if there is one.
    entry: &'static str,
    attempt: Option<&'static str>,
    accepted: &'static [&'static str],
    /// The proof of another model.
    foreign: Option<&'static str>,
}

impl Golden {
    const fn one(name: &'static str, accepted: &'static [&'static str], foreign: &'static str) -> Self {
        Golden { name, entry: "verify", attempt: Some("tryVerify"), accepted, foreign: Some(foreign) }
    }

    const fn alone(name: &'static str, accepted: &'static [&'static str]) -> Self {
        Golden { name, entry: "verify", attempt: Some("tryVerify"), accepted, foreign: None }
    }

    const fn batch(name: &'static str, accepted: &'static [&'static str]) -> Self {
        Golden { name, entry: "verifyBatch", attempt: None, accepted, foreign: None }
    }
}

const GOLDEN: [Golden; 11] = [
    Golden::one("CreditVerifier", &["applicant0", "applicant1"], "other_model"),
    Golden::one(
        "CreditGeneralVerifier",
        &["CreditGeneralVerifier/applicant0", "CreditGeneralVerifier/applicant1"],
        "CreditGeneralVerifier/other_model",
    ),
    Golden::one(
        "CreditPhasedVerifier",
        &["CreditPhasedVerifier/applicant0", "CreditPhasedVerifier/applicant1"],
        "CreditPhasedVerifier/other_model",
    ),
    Golden::one(
        "CreditBlsVerifier",
        &["CreditBlsVerifier/applicant0", "CreditBlsVerifier/applicant1"],
        "CreditBlsVerifier/other_model",
    ),
    Golden::alone("CreditHashedVerifier", &["CreditHashedVerifier/applicant0", "CreditHashedVerifier/applicant1"]),
    Golden::alone(
        "CreditCommittedVerifier",
        &["CreditCommittedVerifier/applicant0", "CreditCommittedVerifier/retrained0"],
    ),
    Golden::batch("CreditVerifierBatch", &["batch"]),
    Golden::batch("CreditGeneralVerifierBatch", &["CreditGeneralVerifier/batch"]),
    Golden::batch("CreditPhasedVerifierBatch", &["CreditPhasedVerifier/batch"]),
    Golden::batch("CreditHashedVerifierBatch", &["CreditHashedVerifier/batch"]),
    Golden::batch("CreditCommittedVerifierBatch", &["CreditCommittedVerifier/batch"]),
];

const VERSIONS: [&str; 4] = ["0.8.20", "0.8.24", "0.8.28", "0.8.37"];
const VIA_IR: [bool; 2] = [false, true];
const RUNS: [usize; 3] = [1, 200, 1_000_000];

/// By how much a build of the IR pipeline may cost less than the default. No other build may: what the IR pipeline makes of a
/// contract depends on its version, by a factor of three in bytes, so it is not the default.
const TOLERANCE: f64 = 0.005;

const PAGE: &str = "docs/compilers.md";

/// Everything between these lines is written by this test.
const BEGIN: &str = "<!-- tables of tests/matrix.rs: begin -->";
const END: &str = "<!-- tables of tests/matrix.rs: end -->";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The compiler of exactly this version: one that is installed, else npm's.
fn solc(version: &str) -> Tool {
    let installed = Search { solc: Some(version.into()), ..Search::default() };
    installed.solc().unwrap_or_else(|_| {
        let modules = root().join("node_modules");
        let package = [format!("solc-{version}"), "solc".into()].map(|name| modules.join(name));
        let exact = |dir: &&PathBuf| {
            let manifest = fs::read_to_string(dir.join("package.json")).unwrap_or_default();
            serde_json::from_str::<Value>(&manifest).is_ok_and(|manifest| manifest["version"] == version)
        };
        let package = package.iter().find(exact).unwrap_or_else(|| panic!("no solc {version}; run `npm ci`"));
        let arguments = vec!["--package".into(), package.to_str().unwrap().into()];
        Tool { arguments, ..Tool::native(root().join("script/solc")) }
    })
}

/// The call in a fixture's file.
fn calldata(fixture: &str) -> Vec<u8> {
    let text = fs::read_to_string(root().join(format!("tests/foundry/fixtures/{fixture}.json"))).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    hex::decode(json["calldata"].as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

/// Calls that are no proofs of the model, each with what was done to it. One bit of every word is flipped, another one in
/// every build.
fn rejected(golden: &Golden, valid: &[u8], build: usize) -> Vec<(String, Vec<u8>)> {
    let mut calls: Vec<(String, Vec<u8>)> =
        golden.foreign.iter().map(|foreign| ("the proof of another model".into(), calldata(foreign))).collect();
    for word in 0..(valid.len() - 4) / 32 {
        let bit = (word * 89 + build * 53) % 256;
        let mut call = valid.to_vec();
        call[4 + word * 32 + bit / 8] ^= 1 << (bit % 8);
        calls.push((format!("bit {bit} of word {word} flipped"), call));
    }
    for length in [4, valid.len() - 32, valid.len() - 1, valid.len() + 1, valid.len() + 32] {
        let mut call = valid.to_vec();
        call.resize(length, 0);
        calls.push((format!("a length of {length} bytes"), call));
    }
    calls
}

/// Gas of the transaction with the first call, after all verdicts of this build.
fn judge(golden: &Golden, build: &Compiled, index: usize, anvil: &Anvil) -> u64 {
    let address = anvil.deploy(&build.init_code).unwrap().address;
    let functions = |name: &str| build.abi.function(name).unwrap().first().unwrap().selector();
    let attempt = golden.attempt.map(functions);
    for fixture in golden.accepted {
        let mut call = calldata(fixture);
        assert_eq!(call[..4], functions(golden.entry)[..]);
        assert_eq!(anvil.call(address, &call).unwrap(), [0; 0], "{fixture}");
        let Some(attempt) = attempt else { continue };
        call[..4].copy_from_slice(&attempt[..]);
        let answer = anvil.call(address, &call).unwrap();
        assert_eq!(answer.iter().position(|&byte| byte != 0), Some(31), "{fixture}: {answer:?}");
    }
    let valid = calldata(golden.accepted[0]);
    for (what, mut call) in rejected(golden, &valid, index) {
        let answer = anvil.call(address, &call);
        assert!(matches!(answer, Err(ChainError::Reverted { .. })), "{what}: {answer:?}");
        let Some(attempt) = attempt else { continue };
        call[..4].copy_from_slice(&attempt[..]);
        match anvil.call(address, &call) {
            Ok(answer) => assert_eq!(answer, [0; 32], "{what}"),
            Err(error) => assert_eq!(error.revert_data(), answer.unwrap_err().revert_data(), "{what}"),
        }
    }
    anvil.send(address, &valid, 2_000_000).unwrap().gas_used
}

/// One build of a contract.
struct Cell {
    version: &'static str,
    settings: CompileSettings,
    gas: u64,
    runtime_bytes: usize,
}

impl Cell {
    fn text(&self) -> String {
        format!("{} / {}", grouped(self.gas), grouped(self.runtime_bytes as u64))
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// Every build of a contract, versions outermost, runs innermost.
fn cells(golden: &Golden, anvil: &Anvil) -> Vec<Cell> {
    let file = format!("tests/foundry/golden/{}.sol", golden.name);
    let sources = [(PathBuf::from(&file), fs::read_to_string(root().join(&file)).unwrap())];
    let mut cells = Vec::new();
    for version in VERSIONS {
        let solc = solc(version);
        for via_ir in VIA_IR {
            for optimizer_runs in RUNS {
                let settings = CompileSettings { optimizer_runs, via_ir, ..Default::default() };
                let build = compile(&solc, &sources, golden.name, &settings)
                    .unwrap_or_else(|error| panic!("solc {version}, {settings:?}: {error}"));
                assert!(build.solc_version.starts_with(version), "{}", build.solc_version);
                assert!(build.warnings.is_empty(), "solc {version}, {settings:?}: {:?}", build.warnings);
                let (gas, runtime_bytes) = (judge(golden, &build, cells.len(), anvil), build.runtime_code.len());
                println!("{}, solc {version}, {settings:?}: {gas} gas, {runtime_bytes} bytes", golden.name);
                cells.push(Cell { version, settings, gas, runtime_bytes });
            }
        }
    }
    cells
}

fn table(golden: &Golden, cells: &[Cell]) -> String {
    let runs = RUNS.map(|runs| format!("runs {}", grouped(runs as u64)));
    let mut text = format!("\n`{}`:\n\n| solc | via-IR | {} |\n| --- | --- |", golden.name, runs.join(" | "));
    text += &" ---: |".repeat(RUNS.len());
    for row in cells.chunks(RUNS.len()) {
        let columns: Vec<String> = row.iter().map(Cell::text).collect();
        let via_ir = if row[0].settings.via_ir { "on" } else { "off" };
        write!(text, "\n| {} | {via_ir} | {} |", row[0].version, columns.join(" | ")).unwrap();
    }
    text + "\n"
}

#[test]
#[ignore = "minutes: `make matrix`"]
fn every_build_of_every_golden_contract_accepts_and_rejects() {
    let anvil = Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap();
    let mut tables = String::new();
    for golden in &GOLDEN {
        let cells = cells(golden, &anvil);
        tables += &table(golden, &cells);
        let newest = VERSIONS[VERSIONS.len() - 1];
        let default = cells.iter().find(|cell| cell.version == newest && cell.settings == CompileSettings::default());
        let default = default.unwrap();
        for cell in &cells {
            let tolerance = if cell.settings.via_ir { TOLERANCE } else { 0.0 };
            assert!(
                default.gas as f64 <= cell.gas as f64 * (1.0 + tolerance),
                "{}: solc {} with {:?} takes {} gas, the default {}",
                golden.name,
                cell.version,
                cell.settings,
                cell.gas,
                default.gas
            );
        }
    }
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    fs::write(root().join(PAGE), format!("{head}{BEGIN}\n{tables}\n{END}{tail}")).unwrap();
}
