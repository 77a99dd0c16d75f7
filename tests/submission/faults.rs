//! One fault at a time: what was asked for lands once, or the error says why not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use alloy::primitives::U256;
use hallmark::chain::{
    Endpoint, KnownErrors, Patience, RpcFailure,
    submit::{FeeCaps, Options, Progress, SubmitError, Submitter},
};
use serde_json::json;

use crate::{
    proxy::{Fault, Proxy},
    scene::{Scene, anvil, options, patience, signer},
};

/// Faults for the first requests of a method.
fn first(count: u64, method: &'static str, fault: Fault) -> impl FnMut(&str) -> Option<Fault> + Send + 'static {
    let mut left = count;
    move |asked| {
        let hit = left > 0 && (method.is_empty() || asked == method);
        left -= u64::from(hit);
        hit.then_some(fault)
    }
}

/// Submits one statement through a faulty endpoint and checks that it has landed, once.
fn lands_once(rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> Scene {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.address(), |_| None);
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let signer = signer(0);
    let submitter = scene.submitter(&endpoint, &signer, options());
    proxy.set(rule);
    let landed = submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert!(!landed.before);
    assert_eq!((scene.times(1), scene.total(), scene.nonce(signer.address())), (1, 1, 1));
    let receipt = scene.direct.receipt(landed.place.hash).unwrap().unwrap();
    assert_eq!(receipt.block_hash, Some(landed.place.block_hash));
    scene.no_gap();
    scene
}

#[test]
fn an_endpoint_that_is_down_for_a_while() {
    lands_once(first(12, "", Fault::Drop));
    lands_once(first(12, "", Fault::Status(503)));
}

#[test]
fn a_transaction_whose_answer_is_lost_is_not_sent_again_as_another() {
    lands_once(first(2, "eth_sendRawTransaction", Fault::LoseAnswer));
}

/// The words of a refusal are no proof: the request may have been repeated, or gone through a gateway to several machines.
#[test]
fn a_transaction_that_is_refused_and_taken_lands_once() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.address(), |_| None);
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let signer = signer(0);
    let submitter = scene.submitter(&endpoint, &signer, options());
    proxy.set(first(1, "eth_sendRawTransaction", Fault::Refuse("txpool is full")));
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotMined { nonce: 0, .. }) && error.may_land(), "{error:?}");
    assert!(error.to_string().contains("the endpoint says: txpool is full"), "{error}");
    assert!(submitter.submit(&scene.record(1), |_| ()).unwrap().before);
    assert_eq!((scene.times(1), scene.total(), scene.nonce(signer.address())), (1, 1, 1));
    scene.no_gap();
}

#[test]
fn a_transaction_that_arrives_twice() {
    lands_once(first(1, "eth_sendRawTransaction", Fault::Twice));
}

#[test]
fn an_endpoint_slower_than_the_request_may_take() {
    lands_once(first(2, "eth_sendRawTransaction", Fault::Delay(Duration::from_millis(1_300))));
    lands_once(first(1, "eth_getTransactionReceipt", Fault::Delay(Duration::from_millis(1_300))));
}

#[test]
fn answers_that_are_cut_short() {
    lands_once(first(3, "", Fault::Garble));
    lands_once(first(2, "eth_sendRawTransaction", Fault::Garble));
}

#[test]
fn an_endpoint_that_stays_down_is_given_up_and_its_statement_goes_on_later() {
    let scene = Scene::new();
    let down = Arc::new(AtomicU64::new(0));
    let flag = down.clone();
    // it goes down the moment it has the transaction
    let proxy = Proxy::start(scene.address(), move |method| match flag.load(Ordering::SeqCst) {
        0 if method == "eth_sendRawTransaction" => {
            flag.store(1, Ordering::SeqCst);
            Some(Fault::LoseAnswer)
        }
        0 => None,
        _ => Some(Fault::Drop),
    });
    let endpoint = Endpoint::new(&proxy.url(), Patience { outage: Duration::from_millis(400), ..patience() }).unwrap();
    let signer = signer(0);
    let submitter = scene.submitter(&endpoint, &signer, options());
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(&error, SubmitError::Rpc(RpcFailure::Down { .. })) && error.may_land(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    proxy.set(|_| None);
    let landed = submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert!(landed.before, "it had been sent");
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));
}

#[test]
fn a_statement_that_has_landed_is_not_sent_again() {
    let scene = Scene::new();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let first = submitter.submit(&scene.record(1), |_| ()).unwrap();
    let again = submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert_eq!((first.before, again.before, again.place), (false, true, first.place));
    // another statement is another matter
    submitter.submit(&scene.record(2), |_| ()).unwrap();
    assert_eq!((scene.times(1), scene.times(2), scene.nonce(signer.address())), (1, 1, 2));
}

#[test]
fn more_confirmations_than_an_earlier_run_asked_for_are_waited_for() {
    let scene = Scene::new();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    submitter.submit(&scene.record(1), |_| ()).unwrap();
    let brief = Options { confirmations: 5, timeout: Duration::from_millis(200), ..options() };
    let deeper = scene.submitter(&scene.direct, &signer, brief);
    let error = deeper.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotConfirmed { confirmations: 1, .. }), "{error}");
    // it is open again: who comes after looks to it
    scene.ask("anvil_reorg", json!([1, []]));
    let mut earlier = false;
    submitter
        .submit(&scene.record(2), |progress| earlier |= matches!(progress, Progress::Earlier { nonce: 0 }))
        .unwrap();
    assert!(earlier);
    for _ in 0..4 {
        scene.mine();
    }
    assert!(deeper.submit(&scene.record(1), |_| ()).unwrap().before);
    assert_eq!((scene.times(1), scene.times(2), scene.nonce(signer.address())), (1, 1, 2));
    scene.no_gap();
}

#[test]
fn an_endpoint_that_has_forgotten_its_receipts_is_not_sent_to_again() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.address(), |_| None);
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let signer = signer(0);
    let brief = Options { confirmations: 3, timeout: Duration::from_millis(200), ..options() };
    let submitter = scene.submitter(&endpoint, &signer, brief);
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotConfirmed { .. }), "{error}");
    proxy.set(|method| (method == "eth_getTransactionReceipt").then_some(Fault::Null));
    scene.mine();
    scene.mine();
    for _ in 0..2 {
        assert!(submitter.submit(&scene.record(1), |_| ()).unwrap().before);
    }
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));

    // as after a kill between the block and the journal: the nonce is used, and by nobody else
    let submitter = scene.submitter(&endpoint, &signer, options());
    let error = submitter.submit(&scene.record(2), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NoReceipt { .. }) && error.may_land(), "{error}");
    proxy.set(|_| None);
    assert!(submitter.submit(&scene.record(2), |_| ()).unwrap().before);
    assert_eq!((scene.times(2), scene.nonce(signer.address())), (1, 2));
    scene.no_gap();
}

#[test]
fn an_endpoint_without_the_first_block_remembers_what_was_sent() {
    let without = |scene: &Scene| {
        let rule = |method: &str| (method == "eth_getBlockByNumber").then_some(Fault::Null);
        let proxy = Proxy::start(scene.address(), rule);
        (Endpoint::new(&proxy.url(), patience()).unwrap(), proxy)
    };
    let signer = signer(0);
    let scene = Scene::with(&["--chain-id", "5"]);
    let (pruned, _proxy) = without(&scene);
    let path = |endpoint| scene.submitter(endpoint, &signer, options()).journal_path(&scene.record(1));
    assert_eq!(path(&pruned), path(&scene.direct));
    // a local chain is told from an earlier one by that block
    let local = Scene::new();
    let (pruned, _proxy) = without(&local);
    let connected = Submitter::connect(&pruned, &signer, local.state(), options(), KnownErrors::default());
    assert!(matches!(connected, Err(SubmitError::NoGenesis { id: 31337 })), "{connected:?}");
}

#[test]
fn what_would_revert_is_explained_and_not_sent() {
    let scene = Scene::new();
    scene.close();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let error = submitter.submit(&scene.record(7), |_| ()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SubmitError::WouldRevert { .. }) && !error.may_land(), "{text}");
    assert!(text.contains("Closed(id: 7): Nothing is recorded any more"), "{text}");
    assert_eq!(scene.nonce(signer.address()), 0);
    assert!(!submitter.journal_path(&scene.record(7)).exists());
    // a call of an account without code would succeed
    let mut nobody = scene.record(7);
    nobody.to = signer.address();
    let error = submitter.submit(&nobody, |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NoContract { .. }), "{error}");
}

#[test]
fn what_reverts_in_its_block_is_reported_with_its_reason() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let mut sent = 0;
    let error = submitter.submit(&scene.record(1), |progress| {
        // once it is in the pool, somebody else is faster
        if let Progress::Sending { .. } = progress {
            sent += 1;
            scene.close();
            scene.ask("evm_setAutomine", json!([true]));
        }
    });
    let error = error.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SubmitError::Reverted { .. }) && !error.may_land(), "{text}");
    assert!(text.contains("Closed(id: 1)"), "{text}");
    assert_eq!((sent, scene.times(1), scene.nonce(signer.address())), (1, 0, 1));
    scene.no_gap();
    // it is known to have failed; to ask again is to send again, which is simulated first
    let again = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(again, SubmitError::WouldRevert { .. }), "{again}");
}

#[test]
fn a_stuck_transaction_is_replaced_at_its_nonce() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    let submitter =
        scene.submitter(&scene.direct, &signer, Options { bump_after: Duration::from_millis(150), ..options() });
    let mut offers = Vec::new();
    let landed = submitter.submit(&scene.record(1), |progress| match progress {
        Progress::Sending { fees, nonce, .. } | Progress::Replacing { fees, nonce, .. } => {
            offers.push((nonce, fees));
            if offers.len() == 3 {
                scene.ask("evm_setAutomine", json!([true]));
            }
        }
        _ => {}
    });
    // what is waiting is mined with the first block that anything asks for
    landed.unwrap();
    assert!(offers.len() >= 3, "{offers:?}");
    for pair in offers.windows(2) {
        let ((nonce, old), (same, new)) = (pair[0], pair[1]);
        assert_eq!(nonce, same);
        assert!(8 * new.max_fee >= 9 * old.max_fee && 8 * new.priority_fee >= 9 * old.priority_fee, "{offers:?}");
    }
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));
    scene.no_gap();
}

#[test]
fn caps_are_kept_and_a_later_run_with_higher_ones_goes_on() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    let brief = Options { bump_after: Duration::from_millis(50), timeout: Duration::from_secs(4), ..options() };
    // anvil's market is 1 gwei for producers: there is room for two replacements
    let caps = FeeCaps { priority_fee: 1_300_000_000, ..FeeCaps::default() };
    let submitter = scene.submitter(&scene.direct, &signer, Options { caps, ..brief });
    let (mut highest, mut at_cap) = (0, false);
    let error = submitter.submit(&scene.record(1), |progress| match progress {
        Progress::Sending { fees, .. } | Progress::Replacing { fees, .. } => highest = fees.priority_fee,
        Progress::AtCap { .. } => at_cap = true,
        _ => {}
    });
    let error = error.unwrap_err();
    assert!(matches!(error, SubmitError::NotMined { nonce: 0, .. }) && error.may_land(), "{error}");
    assert!(at_cap && highest > 1_000_000_000 && highest <= 1_300_000_000, "{highest}");

    // another statement of the account waits for this one, and says so
    let error = submitter.submit(&scene.record(2), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::Blocked { nonce: 0, .. }), "{error}");

    let submitter = scene.submitter(&scene.direct, &signer, Options { bump_after: brief.bump_after, ..options() });
    let mut replaced = false;
    let landed = submitter.submit(&scene.record(1), |progress| {
        if let Progress::Replacing { fees, .. } = progress
            && !replaced
        {
            assert!(fees.priority_fee > highest);
            replaced = true;
            scene.ask("evm_setAutomine", json!([true]));
        }
    });
    assert!(landed.unwrap().before && replaced);
    submitter.submit(&scene.record(2), |_| ()).unwrap();
    assert_eq!((scene.times(1), scene.times(2), scene.nonce(signer.address())), (1, 1, 2));
    scene.no_gap();
}

#[test]
fn a_cost_over_its_cap_is_refused_before_anything_is_signed() {
    let scene = Scene::new();
    let signer = signer(0);
    let caps = FeeCaps { cost: Some(U256::from(1_000_000)), ..FeeCaps::default() };
    let submitter = scene.submitter(&scene.direct, &signer, Options { caps, ..options() });
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::FeeAboveCap { .. }) && error.to_string().contains("--max-cost"), "{error}");
    scene.ask("anvil_setBalance", json!([signer.address(), "0x1000"]));
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::Funds { .. }), "{error}");
    assert_eq!(scene.nonce(signer.address()), 0);
}

#[test]
fn a_transaction_that_a_reorganisation_throws_out_is_sent_again() {
    let scene = Scene::new();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, Options { confirmations: 3, ..options() });
    let mut thrown_out = 0;
    let landed = submitter.submit(&scene.record(1), |progress| match progress {
        Progress::Confirming { confirmations, .. } if thrown_out < 2 => {
            // the block with it, and whatever came after, become empty ones
            thrown_out += 1;
            scene.ask("anvil_reorg", json!([confirmations, []]));
        }
        Progress::Confirming { .. } => scene.mine(),
        _ => {}
    });
    let landed = landed.unwrap();
    assert_eq!(thrown_out, 2);
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));
    assert!(scene.direct.block_number().unwrap() + 1 >= landed.place.block + 3);
    assert_eq!(scene.direct.block_hash(landed.place.block).unwrap(), Some(landed.place.block_hash));
    scene.no_gap();
}

#[test]
fn a_reorganisation_deeper_than_was_asked_for_is_noticed_when_asked_again() {
    let scene = Scene::new();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let snapshot = scene.ask("evm_snapshot", json!([]));
    let first = submitter.submit(&scene.record(1), |_| ()).unwrap();
    scene.ask("evm_revert", json!([snapshot]));
    assert_eq!(scene.times(1), 0);
    let again = submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert_eq!(again.place.hash, first.place.hash, "the same transaction, not another one");
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));
}

#[test]
fn a_nonce_that_somebody_else_takes_is_given_up_for_a_new_one() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let (mut taken, mut displaced) = (false, false);
    let landed = submitter.submit(&scene.record(1), |progress| match progress {
        // the same key in a wallet elsewhere: before the transaction is handed over, its nonce is gone
        Progress::Sending { .. } if !taken => {
            taken = true;
            scene.ask("anvil_setNonce", json!([signer.address(), "0x1"]));
            scene.ask("evm_setAutomine", json!([true]));
            scene.mine();
        }
        Progress::Displaced { nonce } => {
            assert_eq!(nonce, 0);
            displaced = true;
        }
        _ => {}
    });
    let landed = landed.unwrap();
    assert!(displaced && landed.nonce == 1);
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 2));
    let journal = scene.journal(&submitter, &scene.record(1));
    assert_eq!(journal["rounds"][0]["end"]["kind"], "displaced");
    assert_eq!(journal["rounds"][1]["end"]["kind"], "landed");
    scene.no_gap();
}

#[test]
fn a_statement_can_be_cancelled_while_it_is_in_no_block() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    let brief = Options { timeout: Duration::from_millis(300), ..options() };
    let submitter = scene.submitter(&scene.direct, &signer, brief);
    assert!(matches!(submitter.cancel(&scene.record(1), |_| ()), Err(SubmitError::NothingToCancel)));
    submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    // blocks are made once the endpoint has been handed the cancellation
    let direct = Endpoint::new(&scene.anvil.endpoint(), patience()).unwrap();
    let mut handed = false;
    let proxy = Proxy::start(scene.address(), move |method| {
        if handed {
            direct.request::<serde_json::Value>("evm_mine", json!([])).unwrap();
        }
        handed |= method == "eth_sendRawTransaction";
        None
    });
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let submitter = scene.submitter(&endpoint, &signer, options());
    let cancelled = submitter.cancel(&scene.record(1), |_| ());
    assert_eq!(cancelled.unwrap(), None);
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (0, 1));
    assert!(matches!(submitter.cancel(&scene.record(1), |_| ()), Err(SubmitError::NothingToCancel)));
    // it may be sent anew
    let landed = submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert_eq!((landed.nonce, scene.times(1)), (1, 1));
    assert!(matches!(submitter.cancel(&scene.record(1), |_| ()), Err(SubmitError::NothingToCancel)));
    scene.no_gap();
}

#[test]
fn a_cancellation_that_offers_all_it_may_is_waited_for() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    // room for two replacements
    let caps = FeeCaps { priority_fee: 1_300_000_000, ..FeeCaps::default() };
    let brief = Options { caps, timeout: Duration::from_millis(200), ..options() };
    let submitter = scene.submitter(&scene.direct, &signer, brief);
    submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    for _ in 0..3 {
        let error = submitter.cancel(&scene.record(1), |_| ()).unwrap_err();
        assert!(matches!(error, SubmitError::NotMined { nonce: 0, .. }), "{error}");
    }
}

#[test]
fn a_gap_that_is_none_of_ours_is_said() {
    let scene = Scene::new();
    scene.stop_mining();
    let signer = signer(0);
    // a wallet with the same key
    let payment = json!({ "from": signer.address(), "to": signer.address(), "value": "0x1" });
    scene.ask("eth_sendTransaction", json!([payment]));
    let brief = Options { timeout: Duration::from_millis(200), ..options() };
    let error = scene.submitter(&scene.direct, &signer, brief).submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotMined { nonce: 1, .. }), "{error}");
    assert!(error.to_string().contains(&format!("nonce 0 of {} comes first", signer.address())), "{error}");
}

#[test]
fn an_endpoint_that_comes_to_speak_for_another_chain_is_refused() {
    let scene = Scene::new();
    let other = anvil(&["--chain-id", "5"]);
    let elsewhere = Fault::Elsewhere(([127, 0, 0, 1], other.port()).into());
    let proxy = Proxy::start(scene.address(), |_| None);
    let endpoint = Endpoint::new(&proxy.url(), patience()).unwrap();
    let signer = signer(0);
    let submitter = scene.submitter(&endpoint, &signer, options());
    proxy.set(move |_| Some(elsewhere));
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::WrongChain { expected: 31337, found: 5 }), "{error}");
    // in the middle: from the moment that the transaction is handed over
    let mut handed = false;
    proxy.set(move |method| {
        handed |= method == "eth_sendRawTransaction";
        handed.then_some(elsewhere)
    });
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::WrongChain { .. }) && error.may_land(), "{error}");
    let on_other = Endpoint::new(&other.endpoint(), patience()).unwrap();
    assert_eq!(on_other.transaction_count(signer.address(), "pending").unwrap(), 0);
    proxy.set(|_| None);
    submitter.submit(&scene.record(1), |_| ()).unwrap();
    assert_eq!((scene.times(1), scene.nonce(signer.address())), (1, 1));
}

#[test]
fn one_account_in_several_hands_has_one_nonce_for_each_statement() {
    let scene = Scene::new();
    let start = Instant::now();
    thread::scope(|scope| {
        for hand in 0..4 {
            let scene = &scene;
            scope.spawn(move || {
                let endpoint = Endpoint::new(&scene.anvil.endpoint(), patience()).unwrap();
                let signer = signer(0);
                let submitter = scene.submitter(&endpoint, &signer, options());
                for id in 0..3 {
                    // one of its own, and one that all of them submit
                    submitter.submit(&scene.record(10 * hand + id), |_| ()).unwrap();
                    submitter.submit(&scene.record(1_000 + id), |_| ()).unwrap();
                }
            });
        }
    });
    assert_eq!((scene.total(), scene.nonce(signer(0).address())), (15, 15), "{:?}", start.elapsed());
    for id in 0..3 {
        assert_eq!(scene.times(1_000 + id), 1);
    }
    scene.no_gap();
}

#[test]
fn a_statement_that_another_account_has_in_the_air_is_left_to_it() {
    let scene = Scene::new();
    scene.stop_mining();
    let (first, second) = (signer(0), signer(1));
    let brief = Options { timeout: Duration::from_millis(200), ..options() };
    let submitter = scene.submitter(&scene.direct, &first, brief);
    assert!(submitter.submit(&scene.record(1), |_| ()).unwrap_err().may_land());
    let error = scene.submitter(&scene.direct, &second, options()).submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::OtherAccount { from, .. } if from == first.address()), "{error}");
    scene.ask("evm_setAutomine", json!([true]));
    scene.mine();
    scene.submitter(&scene.direct, &first, options()).submit(&scene.record(1), |_| ()).unwrap();
    // once it has landed, anybody is told so
    let known = scene.submitter(&scene.direct, &second, options()).submit(&scene.record(1), |_| ()).unwrap();
    assert!(known.before && known.from == first.address());
    assert_eq!((scene.times(1), scene.nonce(second.address())), (1, 0));
}

/// Two statements of one account are in the chain, less deep than was asked for, and both are thrown out: the process that has the
/// account's lock sends both again.
#[test]
fn what_came_before_is_sent_again_by_who_comes_after() {
    let scene = Scene::new();
    let signer = signer(0);
    let brief = Options { confirmations: 5, timeout: Duration::from_millis(200), ..options() };
    let submitter = scene.submitter(&scene.direct, &signer, brief);
    let error = submitter.submit(&scene.record(1), |_| ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotConfirmed { confirmations: 1, .. }) && error.may_land(), "{error}");
    scene.ask("anvil_reorg", json!([1, []]));
    let submitter = scene.submitter(&scene.direct, &signer, options());
    let mut earlier = false;
    submitter
        .submit(&scene.record(2), |progress| earlier |= matches!(progress, Progress::Earlier { nonce: 0 }))
        .unwrap();
    assert!(earlier);
    assert_eq!((scene.times(1), scene.times(2), scene.nonce(signer.address())), (1, 1, 2));
    scene.no_gap();
}
