//! Processes that are killed on the way: whoever runs the same command again goes on with it.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hallmark::chain::{Endpoint, Patience};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

use crate::{
    proxy::{Fault, Proxy},
    scene::{Beside, KEYS, Scene, credit, signer},
};

/// `hallmark submit` of the statement `id` by an account.
fn submit(scene: &Scene, rpc: &str, account: usize, id: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    command.arg("submit").arg(credit().join("credit")).arg(credit().join("proof.json"));
    command.args(["--json", "--to", &scene.ledger.to_string(), "--function", "record(uint256 id)"]);
    command.args(["--arg", &format!("id={id}"), "--rpc", rpc]);
    command.args(["--confirmations", "3"]).arg("--state").arg(scene.state());
    command.env("HALLMARK_PRIVATE_KEY", KEYS[account]);
    command
}

/// For each of `count` statements, kills the process that submits it, at random moments, until one of them gets to its end.
pub fn resume_after_kills(scene: &Scene, account: usize, first: u64, count: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(first);
    for id in first..first + count {
        for attempt in 1.. {
            let mut child = submit(scene, &scene.anvil.endpoint(), account, id)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // later and later, so that an end is reached
            let patience = Duration::from_millis(u64::from(rng.next_u32()) % (250 * attempt));
            let start = Instant::now();
            while attempt < 8 && start.elapsed() < patience && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            if attempt < 8 && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                continue;
            }
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{id}: {text}");
            assert!(!text.contains(KEYS[account]));
            break;
        }
    }
}

/// Blocks, beside a test.
fn miner(scene: &Scene) -> Beside {
    let direct = Endpoint::new(&scene.anvil.endpoint(), Patience::default()).unwrap();
    Beside::run(move || {
        thread::sleep(Duration::from_millis(60));
        direct.request::<Value>("evm_mine", json!([])).unwrap();
    })
}

#[test]
fn a_killed_process_resumes_without_sending_twice() {
    let scene = Scene::new();
    scene.stop_mining();
    let miner = miner(&scene);
    resume_after_kills(&scene, 0, 1, 6);
    drop(miner);
    for id in 1..7 {
        assert_eq!(scene.times(id), 1, "{id}");
    }
    assert_eq!((scene.total(), scene.nonce(signer(0).address())), (6, 6));
    scene.no_gap();
}

/// Killed at the worst moment: the transaction is signed and in the journal, and nobody has seen it.
#[test]
fn what_was_signed_before_a_kill_is_what_is_sent_after_it() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.address(), |method| (method == "eth_sendRawTransaction").then_some(Fault::Drop));
    let mut killed = submit(&scene, &proxy.url(), 0, 1).stdout(Stdio::null()).spawn().unwrap();
    let journal = || {
        let chain = std::fs::read_dir(scene.state()).ok()?.flatten().next()?.path();
        let mut files = std::fs::read_dir(chain).ok()?.flatten().map(|entry| entry.path());
        // the statement's name is 32 bytes, an account's 20
        let path = files
            .find(|path| path.extension().is_some_and(|e| e == "json") && path.file_stem().unwrap().len() == 64)?;
        let journal: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        journal["rounds"][0]["attempts"][0]["hash"].as_str().map(str::to_owned)
    };
    let start = Instant::now();
    let signed = loop {
        if let Some(hash) = journal() {
            break hash;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was ever signed");
        thread::sleep(Duration::from_millis(1));
    };
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(scene.nonce(signer(0).address()), 0);

    let miner = miner(&scene);
    let output = submit(&scene, &scene.anvil.endpoint(), 0, 1).output().unwrap();
    drop(miner);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["transaction"].as_str(), &json["sent_before"]), (Some(signed.as_str()), &json!(true)), "{json}");
    assert_eq!((scene.times(1), scene.nonce(signer(0).address())), (1, 1));
}
