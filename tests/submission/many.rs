//! The bar: of many submissions under faults, every one lands exactly once or is reported failed, and no nonce is left out.

use std::{
    thread,
    time::{Duration, Instant},
};

use hallmark::chain::{
    Endpoint,
    submit::{Options, Progress},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde_json::json;

use crate::{
    killed,
    proxy::{Fault, Proxy},
    scene::{Beside, Scene, anvil, options, patience, signer},
};

/// How deep reorganisations go; less than the confirmations that are asked for.
const DEEPEST: u64 = 2;

/// How often a submission is asked for again after an error that leaves open whether it lands: more often than there are requests in a row
/// that another chain answers.
const PERSISTENCE: usize = 60;

#[derive(Debug, Default)]
struct Tally {
    landed: u64,
    failed: u64,
    resumed: u64,
    replaced: u64,
    reorganised: u64,
}

/// A fault for one request in ten, and another chain for some requests on end.
fn faults(seed: u64, other: std::net::SocketAddr) -> impl FnMut(&str) -> Option<Fault> + Send + 'static {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut elsewhere = 0;
    move |method| {
        if elsewhere > 0 {
            elsewhere -= 1;
            return Some(Fault::Elsewhere(other));
        }
        let sends = method == "eth_sendRawTransaction";
        match rng.next_u32() % 1_000 {
            0..30 => Some(Fault::Drop),
            30..50 => Some(Fault::Status(503)),
            50..70 => Some(Fault::LoseAnswer),
            70..80 => Some(Fault::Garble),
            80..100 => Some(Fault::Twice),
            100..110 => Some(Fault::Delay(Duration::from_millis(u64::from(rng.next_u32() % 60)))),
            110..112 => {
                elsewhere = 5 + rng.next_u32() % 20;
                Some(Fault::Elsewhere(other))
            }
            // the moments that matter most
            112..400 if sends => Some(Fault::LoseAnswer),
            400..500 if sends => Some(Fault::Drop),
            500..502 => Some(Fault::Delay(Duration::from_millis(1_200))),
            _ => None,
        }
    }
}

/// `each` submissions for each of four accounts, one of which is in two hands, and `killed` by processes that are killed.
fn many(each: u64, kills: u64) {
    let scene = Scene::new();
    let other = anvil(&["--chain-id", "5"]);
    // no reorganisation reaches the contract
    for _ in 0..2 * DEEPEST {
        scene.mine();
    }
    scene.stop_mining();
    let start = Instant::now();
    let miner = {
        let direct = Endpoint::new(&scene.anvil.endpoint(), patience()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        Beside::run(move || {
            thread::sleep(Duration::from_millis(u64::from(rng.next_u32() % 50)));
            let reorganise = rng.next_u32() % 25 == 0;
            let depth = 1 + u64::from(rng.next_u32()) % DEEPEST;
            match reorganise {
                true => direct.request::<serde_json::Value>("anvil_reorg", json!([depth, []])).map(drop),
                false => direct.request::<serde_json::Value>("evm_mine", json!([])).map(drop),
            }
            .unwrap();
        })
    };
    // account 3 is in two hands
    let accounts = [0, 1, 2, 3, 3];
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let workers: Vec<_> = accounts
            .iter()
            .enumerate()
            .map(|(worker, account)| {
                let (scene, other) = (&scene, ([127, 0, 0, 1], other.port()).into());
                scope.spawn(move || work(scene, worker as u64, *account, each, other))
            })
            .collect();
        let killed = scope.spawn(|| killed::resume_after_kills(&scene, 4, 1_000_000, kills));
        let tallies = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        killed.join().unwrap();
        tallies
    });
    drop(miner);
    // the chain settles
    for _ in 0..5 {
        scene.mine();
    }
    println!("{tallies:?} in {:?}", start.elapsed());

    let landed: u64 = tallies.iter().map(|tally| tally.landed).sum();
    let failed: u64 = tallies.iter().map(|tally| tally.failed).sum();
    assert_eq!(landed + failed, accounts.len() as u64 * each);
    assert_eq!(failed, 0, "nothing here makes a call fail for good");
    assert_eq!(scene.total(), landed + kills);
    for id in ids(accounts.len() as u64, each).chain((0..kills).map(|id| 1_000_000 + id)) {
        assert_eq!(scene.times(id), 1, "{id}");
    }
    // every nonce is one statement's: none was left out, none was spent on nothing
    let spent: u64 = (0..5).map(|account| scene.nonce(signer(account).address())).sum();
    assert_eq!(spent, landed + kills);
    scene.no_gap();
    assert!(tallies.iter().any(|tally| tally.resumed > 0), "no fault ever showed");
    assert!(tallies.iter().any(|tally| tally.reorganised > 0) || each < 50, "no reorganisation ever hit");
}

fn ids(workers: u64, each: u64) -> impl Iterator<Item = u64> {
    (0..workers).flat_map(move |worker| (0..each).map(move |number| 10_000 * worker + number))
}

fn work(scene: &Scene, worker: u64, account: usize, each: u64, other: std::net::SocketAddr) -> Tally {
    let proxy = Proxy::start(scene.address(), |_| None);
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let signer = signer(account);
    let options = Options {
        confirmations: DEEPEST + 1,
        bump_after: Duration::from_millis(400),
        timeout: Duration::from_secs(20),
        ..options()
    };
    let submitter = scene.submitter(&endpoint, &signer, options);
    proxy.set(faults(worker, other));
    let mut tally = Tally::default();
    for id in (0..each).map(|number| 10_000 * worker + number) {
        let submission = scene.record(id);
        for attempt in 0.. {
            let (mut replaced, mut reorganised) = (0, 0);
            let outcome = submitter.submit(&submission, |progress| {
                replaced += u64::from(matches!(progress, Progress::Replacing { .. }));
                reorganised += u64::from(matches!(progress, Progress::Reorganised { .. }));
            });
            tally.replaced += replaced;
            tally.reorganised += reorganised;
            match outcome {
                Ok(_) => {
                    tally.landed += 1;
                    break;
                }
                Err(error) if error.may_land() && attempt < PERSISTENCE => tally.resumed += 1,
                Err(error) => {
                    eprintln!("{id}: {error}");
                    tally.failed += 1;
                    break;
                }
            }
        }
    }
    tally
}

#[test]
fn forty_submissions_under_faults_land_once_each() {
    many(7, 5);
}

/// The bar's thousand.
#[test]
#[ignore = "minutes; `make submissions`"]
fn a_thousand_submissions_under_faults_land_once_each() {
    many(190, 50);
}
