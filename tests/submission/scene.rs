//! A chain of its own for each test, a contract that counts what lands, and accounts to send from.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use alloy::{
    primitives::{Address, B256, Bytes, U64, U256},
    sol,
    sol_types::SolCall,
};
use hallmark::chain::{
    Anvil, AnvilOptions, CompileSettings, Compiled, Endpoint, KnownErrors, Patience, Search, Tool, compile,
    submit::{Options, Signer, Submission, Submitter},
};
use serde_json::{Value, json};
use tempfile::TempDir;

sol! {
    function record(uint256 id) external;
    function times(uint256 id) external view returns (uint256);
    function total() external view returns (uint256);
    function close() external;
}

pub const LEDGER: &str = "
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Ledger {
    /// @notice Nothing is recorded any more
    error Closed(uint256 id);
    mapping(uint256 => uint256) public times;
    uint256 public total;
    bool private closed;
    function record(uint256 id) external {
        if (closed) revert Closed(id);
        times[id] += 1;
        total += 1;
    }
    function close() external { closed = true; }
}
";

/// The private keys of anvil's accounts, all but the first, which deploys.
pub const KEYS: [&str; 5] = [
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
];

pub fn signer(index: usize) -> Signer {
    let bytes: [u8; 32] = hex::decode(KEYS[index]).unwrap().try_into().unwrap();
    Signer::from_bytes(&bytes).unwrap()
}

/// Anvil with arguments of the test's own.
pub fn anvil(arguments: &[&str]) -> Anvil {
    let mut tool = required(Search::default().anvil());
    tool.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
    Anvil::start(&tool, &AnvilOptions::default()).unwrap()
}

fn required(tool: Result<Tool, hallmark::chain::ChainError>) -> Tool {
    tool.unwrap_or_else(|error| panic!("{error}; run script/setup.sh"))
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let sources = [(PathBuf::from("Ledger.sol"), LEDGER.to_owned())];
    compile(&required(Search::default().solc()), &sources, "Ledger", &CompileSettings::default()).unwrap()
});

pub struct Scene {
    pub anvil: Anvil,
    /// Straight to anvil.
    pub direct: Endpoint,
    pub ledger: Address,
    state: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(arguments: &[&str]) -> Self {
        let anvil = anvil(arguments);
        let direct = Endpoint::new(&anvil.endpoint(), Patience::default()).unwrap();
        let ledger = anvil.deploy(&COMPILED.init_code).unwrap().address;
        Self { anvil, direct, ledger, state: tempfile::tempdir().unwrap() }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.anvil.port()))
    }

    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// A request to anvil, for its own methods.
    pub fn ask(&self, method: &'static str, params: Value) -> Value {
        self.direct.request(method, params).unwrap()
    }

    pub fn mine(&self) {
        self.ask("evm_mine", json!([]));
    }

    /// Blocks are made on demand only.
    pub fn stop_mining(&self) {
        self.ask("evm_setAutomine", json!([false]));
    }

    pub fn record(&self, id: u64) -> Submission {
        let calldata = recordCall { id: U256::from(id) }.abi_encode().into();
        Submission { to: self.ledger, calldata, value: U256::ZERO }
    }

    fn read(&self, call: impl SolCall) -> u64 {
        let word = self.anvil.call(self.ledger, &call.abi_encode()).unwrap();
        U256::from_be_slice(&word).to()
    }

    /// How often a statement has landed.
    pub fn times(&self, id: u64) -> u64 {
        self.read(timesCall { id: U256::from(id) })
    }

    /// How many calls have landed.
    pub fn total(&self) -> u64 {
        self.read(totalCall {})
    }

    /// Sends a call of the ledger's from another account, so that it comes first.
    pub fn close(&self) -> B256 {
        let calldata = Bytes::from(closeCall {}.abi_encode());
        let fee = U256::from(100_000_000_000_u64);
        let request = json!({
            "from": self.anvil.sender(), "to": self.ledger, "data": calldata, "gas": U64::from(100_000),
            "maxFeePerGas": fee, "maxPriorityFeePerGas": fee,
        });
        self.direct.request("eth_sendTransaction", json!([request])).unwrap()
    }

    pub fn nonce(&self, account: Address) -> u64 {
        self.direct.transaction_count(account, "latest").unwrap()
    }

    /// No account has a transaction in the pool, so none waits behind a gap.
    #[track_caller]
    pub fn no_gap(&self) {
        let pool = self.ask("txpool_status", json!([]));
        assert_eq!(pool, json!({ "pending": "0x0", "queued": "0x0" }));
    }

    /// The journal of a statement.
    pub fn journal(&self, submitter: &Submitter<'_>, submission: &Submission) -> Value {
        serde_json::from_slice(&std::fs::read(submitter.journal_path(submission)).unwrap()).unwrap()
    }

    pub fn submitter<'a>(&self, endpoint: &'a Endpoint, signer: &'a Signer, options: Options) -> Submitter<'a> {
        let mut errors = KnownErrors::default();
        errors.add_source(LEDGER);
        Submitter::connect(endpoint, signer, self.state(), options, errors).unwrap()
    }
}

/// Short pauses, so that tests are.
pub fn options() -> Options {
    Options {
        timeout: Duration::from_secs(30),
        rebroadcast_after: Duration::from_millis(100),
        poll: Duration::from_millis(10),
        ..Options::for_chain(31337)
    }
}

/// An endpoint that is given up soon.
pub fn patience() -> Patience {
    Patience {
        request: Duration::from_millis(1_000),
        outage: Duration::from_secs(20),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(100),
    }
}

/// Does something again and again beside a test, until this value is dropped.
pub struct Beside {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Beside {
    pub fn run(mut act: impl FnMut() + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                act();
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

/// This checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The credit example, compiled, and a proof of it: made once.
pub fn credit() -> &'static Path {
    static BUILD: LazyLock<PathBuf> = LazyLock::new(|| {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("submission");
        let _ = std::fs::remove_dir_all(&made);
        let example = |name: &str| root().join("examples/credit").join(name);
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let hallmark = || Command::new(env!("CARGO_BIN_EXE_hallmark"));
        let (folder, proof) = (made.join("credit"), made.join("proof.json"));
        let mut compile = hallmark();
        compile.arg("compile").arg(example("credit.onnx")).arg("--data").arg(example("calibration.json"));
        run(compile.args(["--max-error", "1e-4"]).arg("-o").arg(&folder));
        let mut prove = hallmark();
        run(prove.arg("prove").arg(&folder).arg("--input").arg(example("applicant.json")).arg("-o").arg(&proof));
        made
    });
    &BUILD
}
