//! The tool chain and the local chain, with the real solc and anvil.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, U256, keccak256},
    sol,
    sol_types::{SolCall, SolError},
};
use hallmark::chain::{
    Anvil, AnvilOptions, ChainError, CompileSettings, Compiled, GasFigures, Search, Tool, compile, gas::floor_gas,
    solc::EvmVersion,
};

sol! {
    error TooLarge(uint256 value, uint256 limit);
    function set(uint256 value) external;
    function get() external view returns (uint256);
    function burn() external;
    function echo(bytes calldata data) external pure;
}

const LIMITS: &str = r#"
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
library Limits {
    uint256 internal constant MAXIMUM = 100;
}
"#;

const STORE: &str = r#"
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
import {Limits} from "./Limits.sol";
interface IStore { function get() external view returns (uint256); }
contract Store is IStore {
    error TooLarge(uint256 value, uint256 limit);
    uint256 private stored;
    function set(uint256 value) external {
        if (value > Limits.MAXIMUM) revert TooLarge(value, Limits.MAXIMUM);
        stored = value;
    }
    function get() external view returns (uint256) { return stored; }
    function burn() external { while (true) { stored += 1; } }
    function echo(bytes calldata data) external pure {}
}
"#;

const STORE_TEST: &str = r#"
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
import {Store} from "../../contracts/Store.sol";
contract StoreTest {
    function testFuzz_keepsSmallValuesOnly(uint256 value) external {
        Store store = new Store();
        (bool stored, bytes memory data) = address(store).call(abi.encodeCall(Store.set, (value)));
        require(stored == (value <= 100), "limit");
        require(stored || bytes4(data) == Store.TooLarge.selector, "error");
        require(store.get() == (stored ? value : 0), "value");
    }
}
"#;

fn required(tool: Result<Tool, ChainError>) -> Tool {
    tool.unwrap_or_else(|error| panic!("{error}; run script/setup.sh"))
}

fn solc() -> Tool {
    required(Search::default().solc())
}

fn anvil() -> Anvil {
    Anvil::start(&required(Search::default().anvil()), &AnvilOptions::default()).unwrap()
}

fn sources() -> Vec<(PathBuf, String)> {
    vec![("contracts/Limits.sol".into(), LIMITS.into()), ("contracts/Store.sol".into(), STORE.into())]
}

fn store() -> Compiled {
    compile(&solc(), &sources(), "Store", &CompileSettings::default()).unwrap()
}

#[test]
fn a_contract_goes_from_source_to_receipts() {
    let store = store();
    assert!(store.solc_version.starts_with("0.8."), "{}", store.solc_version);
    assert!(store.warnings.is_empty(), "{:?}", store.warnings);
    assert!(store.init_code.windows(store.runtime_code.len()).any(|window| window == store.runtime_code));

    let chain = anvil();
    let deployed = chain.deploy(&store.init_code).unwrap();
    assert_eq!(deployed.code_bytes, store.runtime_code.len());
    // 200 gas for each byte of code, on top of the base and the creation's 32,000.
    assert!(deployed.gas_used > 53_000 + 200 * deployed.code_bytes as u64);

    let get = || {
        let word = chain.call(deployed.address, &getCall {}.abi_encode()).unwrap();
        getCall::abi_decode_returns(&word).unwrap()
    };
    assert_eq!(get(), U256::ZERO);
    let calldata = setCall { value: U256::from(7) }.abi_encode();
    let sent = chain.send(deployed.address, &calldata, 100_000).unwrap();
    assert_eq!(get(), U256::from(7));

    let gas = GasFigures::from_receipt(sent.gas_used, &calldata, deployed.gas_used);
    assert_eq!(gas.calldata, 31 * 4 + 5 * 16);
    // A first store to a cold slot is 22,100; the dispatch around it is small.
    let execution = gas.execution.unwrap();
    assert!((22_100..23_000).contains(&execution), "{execution}");
    assert_eq!(gas.transaction, 21_000 + gas.calldata + execution);
}

#[test]
fn custom_errors_come_back_from_calls_and_transactions() {
    let store = store();
    let chain = anvil();
    let address = chain.deploy(&store.init_code).unwrap().address;
    let calldata = setCall { value: U256::from(101) }.abi_encode();
    let expected = TooLarge { value: U256::from(101), limit: U256::from(100) }.abi_encode();

    let called = chain.call(address, &calldata).unwrap_err();
    assert_eq!(called.revert_data(), Some(expected.as_slice()));
    assert_eq!(store.error_name(&expected), Some("TooLarge"));
    assert_eq!(store.error_name(&[0; 4]), None);

    let sent = chain.send(address, &calldata, 100_000).unwrap_err();
    assert_eq!(sent.revert_data(), Some(expected.as_slice()));
    assert_eq!(sent.revert_selector(), Some(TooLarge::SELECTOR));
    assert!(matches!(sent, ChainError::TransactionFailed { gas_used: 21_001..30_000, .. }), "{sent:?}");
    assert!(sent.to_string().contains(&format!("0x{}", hex::encode(TooLarge::SELECTOR))), "{sent}");

    // The unknown selector reverts without data; the chain goes on afterwards.
    assert_eq!(chain.call(address, &[1, 2, 3, 4]).unwrap_err().revert_data(), Some([].as_slice()));
    chain.send(address, &setCall { value: U256::from(100) }.abi_encode(), 100_000).unwrap();
}

#[test]
fn running_out_of_gas_is_an_error_that_says_so() {
    let chain = anvil();
    let address = chain.deploy(&store().init_code).unwrap().address;
    let error = chain.send(address, &burnCall {}.abi_encode(), 60_000).unwrap_err();
    assert!(matches!(error, ChainError::TransactionFailed { gas_used: 60_000, gas_limit: 60_000, .. }), "{error:?}");
    assert!(error.to_string().contains("ran out of gas"), "{error}");
}

#[test]
fn the_calldata_floor_is_recognised() {
    let chain = anvil();
    let deployed = chain.deploy(&store().init_code).unwrap();
    let calldata = echoCall { data: vec![0xff; 4_000].into() }.abi_encode();
    let sent = chain.send(deployed.address, &calldata, 1_000_000).unwrap();
    assert_eq!(sent.gas_used, floor_gas(&calldata));
    assert_eq!(GasFigures::from_receipt(sent.gas_used, &calldata, deployed.gas_used).execution, None);
}

#[test]
fn an_account_without_code_is_not_a_contract() {
    let chain = anvil();
    let nobody = Address::repeat_byte(0x11);
    assert!(matches!(chain.call(nobody, &[]), Err(ChainError::NoContract { address }) if address == nobody));
    assert!(matches!(chain.send(nobody, &[], 50_000), Err(ChainError::NoContract { .. })));
    // Creation code that returns nothing: STOP.
    assert!(matches!(chain.deploy(&[0x00]), Err(ChainError::NoContract { .. })));
    // Creation code that reverts.
    let reverting = [0x5f, 0x5f, 0xfd];
    assert!(matches!(chain.deploy(&reverting), Err(ChainError::TransactionFailed { .. })));
}

#[test]
fn the_chain_is_at_the_osaka_fork() {
    let chain = anvil();
    // Runtime: CLZ of 1 (EIP-7939), returned as a word. Earlier forks have no such instruction.
    let runtime = [0x60, 0x01, 0x1e, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
    let creation =
        [&[0x60, runtime.len() as u8, 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3], runtime.as_slice()].concat();
    let address = chain.deploy(&creation).unwrap().address;
    assert_eq!(U256::from_be_slice(&chain.call(address, &[]).unwrap()), U256::from(255));
}

#[test]
fn compiler_errors_carry_the_compilers_words() {
    let broken = STORE.replace("stored = value;", "stored = unknown;");
    let sources = [(PathBuf::from("Limits.sol"), LIMITS.to_owned()), ("Store.sol".into(), broken)];
    let error = compile(&solc(), &sources, "Store", &CompileSettings::default()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ChainError::Compile { .. }), "{text}");
    assert!(text.contains("Undeclared identifier") && text.contains("Store.sol:11"), "{text}");
}

#[test]
fn contracts_are_named_unambiguously() {
    let settings = CompileSettings::default();
    let error = compile(&solc(), &sources(), "Shop", &settings).unwrap_err().to_string();
    assert!(error.contains("contracts/Store.sol:Store"), "{error}");
    let error = compile(&solc(), &sources(), "IStore", &settings).unwrap_err();
    assert!(matches!(error, ChainError::NoBytecode { .. }), "{error}");

    let mut twice = sources();
    twice.push(("other/Store.sol".into(), "pragma solidity ^0.8.20; contract Store {}".into()));
    assert!(matches!(compile(&solc(), &twice, "Store", &settings), Err(ChainError::ContractNotFound { .. })));
    let first = compile(&solc(), &twice, "contracts/Store.sol:Store", &settings).unwrap();
    assert_eq!(first.runtime_code, store().runtime_code);
}

#[test]
fn every_corner_of_the_settings_gives_a_working_contract() {
    let chain = anvil();
    let plain = store().runtime_code;
    for (via_ir, optimizer_runs, evm_version) in
        [(true, 1_000_000, EvmVersion::Osaka), (false, 1, EvmVersion::Osaka), (false, 1_000_000, EvmVersion::Paris)]
    {
        let settings = CompileSettings { optimizer_runs, via_ir, evm_version };
        let compiled = compile(&solc(), &sources(), "Store", &settings).unwrap();
        assert_ne!(compiled.runtime_code, plain, "{settings:?} must reach the compiler");
        let address = chain.deploy(&compiled.init_code).unwrap().address;
        chain.send(address, &setCall { value: U256::from(9) }.abi_encode(), 100_000).unwrap();
        assert_eq!(U256::from_be_slice(&chain.call(address, &getCall {}.abi_encode()).unwrap()), U256::from(9));
    }
}

#[test]
fn a_contract_over_the_size_limit_is_refused() {
    // Distinct constants, so that the optimizer cannot share them: over 32 bytes of code each.
    let body: String = (0..800)
        .map(|index: u32| {
            format!("acc = mulmod(acc, acc, 7) ^ {};\n", U256::from_be_bytes(keccak256(index.to_be_bytes()).0))
        })
        .collect();
    let source = format!(
        "pragma solidity ^0.8.20; contract Large {{ function run(uint256 acc) external pure returns (uint256) {{ \
         {body} return acc; }} }}"
    );
    let error = compile(&solc(), &[("Large.sol".into(), source)], "Large", &CompileSettings::default()).unwrap_err();
    match error {
        ChainError::ContractTooLarge { contract, bytes, limit } => {
            assert_eq!((contract.as_str(), limit), ("Large", 24_576));
            assert!(bytes > 800 * 33, "{bytes}");
        }
        other => panic!("{other}"),
    }
}

/// A Foundry project in a folder of its own, with this checkout's settings and wrapper.
#[test]
fn forge_runs_in_each_profile_and_agrees_on_the_bytecode() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = tempfile::tempdir().unwrap();
    fs::copy(checkout.join("foundry.toml"), project.path().join("foundry.toml")).unwrap();
    let test = (PathBuf::from("tests/foundry/Store.t.sol"), STORE_TEST.to_owned());
    for (file, text) in sources().into_iter().chain([test]) {
        let file = project.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    // One compiler for both sides; npm's is the wrapper's own choice.
    let native = Some(solc()).filter(|solc| solc.arguments.is_empty());
    for (profile, out) in [("default", "out"), ("ir", "out/ir"), ("solc20", "out/solc20")] {
        let mut forge = Command::new(checkout.join("script/forge"));
        forge.args(["test", "--root"]).arg(project.path()).env("FOUNDRY_PROFILE", profile).env_remove("FOUNDRY_SOLC");
        if let Some(native) = &native {
            forge.env("FOUNDRY_SOLC", &native.program);
        }
        let output = forge.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{profile}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "{profile}: {text}");

        if profile == "solc20" {
            assert!(text.contains("Solc 0.8.20"), "{profile}: {text}");
            continue;
        }
        let artifact = fs::read_to_string(project.path().join(out).join("Store.sol/Store.json")).unwrap();
        let artifact: serde_json::Value = serde_json::from_str(&artifact).unwrap();
        let settings = CompileSettings { via_ir: profile == "ir", ..CompileSettings::default() };
        let ours = compile(&solc(), &sources(), "Store", &settings).unwrap();
        assert_eq!(artifact["bytecode"]["object"], format!("0x{}", hex::encode(&ours.init_code)), "{profile}");
    }
}

#[test]
fn missing_tools_are_named_with_where_they_were_sought() {
    let empty = tempfile::tempdir().unwrap();
    let nothing = Search {
        solc: None,
        anvil: None,
        forge: None,
        path: vec![empty.path().to_path_buf()],
        home: Some(empty.path().to_path_buf()),
        roots: vec![empty.path().to_path_buf()],
    };
    let solc = nothing.solc().unwrap_err();
    assert!(matches!(&solc, ChainError::SolcNotFound { looked } if looked.len() == 3), "{solc}");
    let anvil = nothing.anvil().unwrap_err();
    assert!(matches!(&anvil, ChainError::AnvilNotFound { looked } if looked.len() == 3), "{anvil}");
    for (message, hint) in [(solc.to_string(), "FOUNDRY_SOLC"), (anvil.to_string(), "HALLMARK_ANVIL")] {
        assert!(message.contains("PATH") && message.contains("node_modules") && message.contains(hint), "{message}");
    }

    // What the user names is not replaced by another one.
    let gone = empty.path().join("gone");
    let named = Search { solc: Some(gone.clone().into()), anvil: Some(gone.into()), ..Search::default() };
    assert!(named.solc().unwrap_err().to_string().contains("FOUNDRY_SOLC="));
    assert!(named.anvil().unwrap_err().to_string().contains("HALLMARK_ANVIL="));
}

#[test]
fn tools_that_do_not_work_are_reported_in_their_own_words() {
    let shell = Search::default().path.iter().map(|dir| dir.join("sh")).find(|file| file.is_file()).unwrap();
    let broken = Tool {
        program: shell,
        arguments: vec!["-c".into(), "echo wrong platform >&2; exit 3".into()],
        location: "tool".into(),
        hidden: Vec::new(),
    };
    let error = compile(&broken, &sources(), "Store", &CompileSettings::default()).unwrap_err();
    assert!(matches!(error, ChainError::SolcFailed { .. }) && error.to_string().contains("wrong platform"), "{error}");
    let error = Anvil::start(&broken, &AnvilOptions::default()).unwrap_err();
    assert!(matches!(error, ChainError::AnvilFailed { .. }) && error.to_string().contains("wrong platform"), "{error}");
}

#[test]
fn a_port_in_use_is_reported_and_a_free_one_is_taken() {
    let tool = required(Search::default().anvil());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = AnvilOptions { port: Some(port), ..AnvilOptions::default() };
    assert!(matches!(Anvil::start(&tool, &options), Err(ChainError::PortInUse { port: reported }) if reported == port));
    drop(listener);

    let chain = Anvil::start(&tool, &options).unwrap();
    assert_eq!(chain.port(), port);
    assert!(matches!(Anvil::start(&tool, &options), Err(ChainError::PortInUse { .. })), "anvil itself holds it now");
    drop(chain);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "anvil outlived its handle");
}

/// Not a test of its own: the process that `anvil_dies_with_a_killed_process` kills.
#[test]
#[ignore = "run by anvil_dies_with_a_killed_process"]
fn hold_a_chain() {
    let chain = anvil();
    println!("port {}", chain.port());
    thread::sleep(Duration::from_secs(120));
}

#[test]
#[cfg(target_os = "linux")]
fn anvil_dies_with_a_killed_process() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "hold_a_chain", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let port: u16 = lines.map_while(Result::ok).find_map(|line| line.split_once("port ")?.1.parse().ok()).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < deadline, "anvil outlived the process that started it");
        thread::sleep(Duration::from_millis(20));
    }
}
