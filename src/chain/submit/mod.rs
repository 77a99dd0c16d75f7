//! Sends calls to a chain, each exactly once, whatever happens on the way.
//!
//! A statement is a contract, calldata and the ether sent along, on a chain. Before its first transaction leaves the machine the [`journal`] has it, signed; whoever
//! submits the same statement again, in this process or after a crash, finds it there and goes on. All transactions of a statement share
//! one nonce, so at most one of them can be in the chain. A new nonce is taken only once the old one is spent, as deep as
//! [`Options::confirmations`] asks for.
//!
//! ```no_run
//! use hallmark::chain::{
//!     Endpoint, KnownErrors, Patience,
//!     submit::{Options, Signer, Submission, Submitter},
//! };
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new("http://127.0.0.1:8545", Patience::default())?;
//! let signer = Signer::from_keystore(Path::new("keystore.json"), &std::env::var("PASSWORD")?)?;
//! let options = Options::for_chain(endpoint.chain_id()?);
//! let submitter = Submitter::connect(&endpoint, &signer, Path::new("state"), options, KnownErrors::default())?;
//! let submission = Submission { to: "0x5FbDB2315678afecb367f032d93F642f64180aa3".parse()?, calldata: vec![1, 2, 3, 4].into(), value: Default::default() };
//! let landed = submitter.submit(&submission, |progress| eprintln!("{progress}"))?;
//! println!("{} in block {}", landed.place.hash, landed.place.block);
//! # Ok(())
//! # }
//! ```

pub(super) mod answers;
pub mod error;
pub mod fees;
mod inclusion;
pub mod journal;
mod options;
mod progress;
pub mod signer;

pub use error::SubmitError;
pub use fees::{FeeCaps, Fees};
pub use journal::{Journal, Journals};
pub use options::{LOCAL_CHAINS, Options};
pub use progress::Progress;
pub use signer::{Signer, SignerError};

use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::{
    fees::Market,
    inclusion::State,
    journal::{Account, ChainIdentity, End, EndKind, Place, Round},
};
use super::{
    anvil::MAX_TRANSACTION_GAS,
    revert::KnownErrors,
    rpc::{Call, Endpoint, RpcFailure},
};

/// A call of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    pub to: Address,
    pub calldata: Bytes,
    /// In wei.
    pub value: U256,
}

impl Submission {
    fn call(&self, from: Address) -> Call<'_> {
        Call { from: Some(from), to: Some(self.to), data: &self.calldata, value: self.value }
    }
}

/// A call that is in the chain and succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed {
    pub place: Place,
    pub nonce: u64,
    pub from: Address,
    /// Whether an earlier run had sent it.
    pub before: bool,
}

/// Sends from one account to one chain. Its methods block, and may be called by several threads and processes at a time.
#[derive(Debug)]
pub struct Submitter<'a> {
    endpoint: &'a Endpoint,
    signer: &'a Signer,
    journals: Journals,
    options: Options,
    errors: KnownErrors,
}

impl<'a> Submitter<'a> {
    /// Asks the endpoint which chain it is on, and opens that chain's journals below `state`.
    ///
    /// # Errors
    ///
    /// [`SubmitError::Rpc`], [`SubmitError::Journal`], [`SubmitError::NoGenesis`], [`SubmitError::WrongChain`].
    pub fn connect(
        endpoint: &'a Endpoint,
        signer: &'a Signer,
        state: &Path,
        options: Options,
        errors: KnownErrors,
    ) -> Result<Self, SubmitError> {
        let id = endpoint.chain_id()?;
        // Only local chains start anew under one id.
        let genesis = match LOCAL_CHAINS.contains(&id) {
            true => endpoint.block_hash(0)?.ok_or(SubmitError::NoGenesis { id })?,
            false => B256::ZERO,
        };
        on_chain(endpoint, id)?;
        let journals = Journals::new(state, ChainIdentity { id, genesis })?;
        Ok(Self { endpoint, signer, journals, options, errors })
    }

    /// The chain that it sends to.
    pub fn chain_id(&self) -> u64 {
        self.journals.chain().id
    }

    /// The journal file of a statement.
    pub fn journal_path(&self, submission: &Submission) -> PathBuf {
        self.journals.path(self.key(submission))
    }

    fn key(&self, submission: &Submission) -> B256 {
        Journal::key(self.chain_id(), submission)
    }

    /// Refuses to go on where the endpoint has come to speak for another chain: its counts and receipts would be taken for ours.
    pub(super) fn same_chain(&self) -> Result<(), SubmitError> {
        on_chain(self.endpoint, self.chain_id())
    }

    /// Calls the contract in a transaction and waits until it is deep enough in the chain.
    ///
    /// Where the statement has been submitted before, nothing is sent twice: see the module's front page.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] says for each what has happened. [`SubmitError::may_land`] tells whether the statement may still land,
    /// in which case submitting it again goes on with it.
    pub fn submit(&self, submission: &Submission, mut progress: impl FnMut(Progress)) -> Result<Landed, SubmitError> {
        self.same_chain()?;
        let key = self.key(submission);
        let known = self.journals.read(key)?;
        if let Some(landed) = known.as_ref().and_then(settled)
            && self.is_canonical(landed.place)?
            && self.depth(landed.place.block)? >= self.options.confirmations
        {
            return Ok(landed);
        }
        // Whoever is refused here has neither waited nor signed.
        let mut simulated = !known.is_some_and(|journal| journal.open_round().is_some() || settled(&journal).is_some());
        if simulated {
            self.simulate(submission, &mut progress)?;
        }
        let mut sent = false;
        loop {
            let mut account = self.account(&mut progress)?;
            self.finish_earlier(&mut account, key, u64::MAX, &mut progress)?;
            let (chain, caps) = (self.journals.chain(), self.options.caps);
            let from = self.signer.address();
            let mut journal = self.journals.claim(Journal::new(chain, from, submission.clone(), caps))?;
            if journal.from != from {
                return Err(SubmitError::OtherAccount { from: journal.from, journal: self.journals.path(key) });
            }
            let state = self.settle(&mut journal)?;
            // Another process may have landed it while this one waited for the lock.
            if let (State::Deep, Some(landed)) = (state, settled(&journal)) {
                account.remove(&[key])?;
                return Ok(Landed { before: !sent, ..landed });
            }
            let fresh = matches!(state, State::Fresh | State::Deep);
            if fresh {
                if !simulated {
                    self.simulate(submission, &mut progress)?;
                    simulated = true;
                }
                self.begin(&mut account, &mut journal, &mut progress)?;
                sent = true;
            } else if let Some(round) = journal.rounds.last() {
                // It may have been settled before, by fewer confirmations or in a chain that is no more.
                account.add(key)?;
                progress(Progress::Resuming { nonce: round.nonce });
            }
            self.include(&mut account, &mut journal, fresh, &mut progress)?;
            drop(account);
            if self.confirm(&mut journal, &mut progress)? {
                self.forget(key);
                if let Some(landed) = self.judge(&journal)? {
                    return Ok(Landed { before: !sent, ..landed });
                }
                progress(Progress::Displaced { nonce: journal.rounds.last().map_or(0, |round| round.nonce) });
            }
        }
    }

    /// Takes the nonce of a statement's transactions by one that does nothing, and waits until that is certain.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NothingToCancel`]; as [`Submitter::submit`]. Where the call was faster, it has landed, which is no error.
    pub fn cancel(
        &self,
        submission: &Submission,
        mut progress: impl FnMut(Progress),
    ) -> Result<Option<Landed>, SubmitError> {
        self.same_chain()?;
        let key = self.key(submission);
        let mut replaced = false;
        loop {
            let mut account = self.account(&mut progress)?;
            let mut journal = self.journals.read(key)?.ok_or(SubmitError::NothingToCancel)?;
            if journal.from != self.signer.address() {
                return Err(SubmitError::OtherAccount { from: journal.from, journal: self.journals.path(key) });
            }
            let state = self.settle(&mut journal)?;
            if !replaced && matches!(state, State::Fresh | State::Deep) {
                return Err(SubmitError::NothingToCancel);
            }
            account.add(key)?;
            journal.caps = self.options.caps;
            if !replaced && state == State::Open {
                replaced = true;
                let cancels = journal.rounds.last().and_then(Round::newest).is_some_and(|newest| newest.cancels);
                if !self.replace(&mut journal, true, &mut progress)? && !cancels {
                    return Err(SubmitError::CancelAboveCap);
                }
            }
            self.include(&mut account, &mut journal, false, &mut progress)?;
            drop(account);
            if self.confirm(&mut journal, &mut progress)? {
                self.forget(key);
                return match self.judge(&journal) {
                    Err(SubmitError::Cancelled { .. }) => Ok(None),
                    judged => judged,
                };
            }
        }
    }

    /// Pays an account, as a statement of its own.
    pub(super) fn pay(&self, to: Address, value: U256, progress: impl FnMut(Progress)) -> Result<Landed, SubmitError> {
        self.submit(&Submission { to, calldata: Bytes::new(), value }, progress)
    }

    /// Looks again and again until there is something, or [`Options::timeout`] has passed.
    pub(super) fn wait<T, E>(&self, mut look: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
        let start = Instant::now();
        loop {
            match look()? {
                None if start.elapsed() < self.options.timeout => sleep(self.options.poll),
                found => return Ok(found),
            }
        }
    }

    fn account(&self, progress: &mut dyn FnMut(Progress)) -> Result<Account, SubmitError> {
        let waiting = |_: &Path| progress(Progress::Waiting);
        Ok(self.journals.account(self.signer.address(), self.options.timeout, waiting)?)
    }

    /// Sees to it that every earlier statement of the account, of those with nonces below `below`, is in a block, so that its nonces are
    /// spent up to ours.
    fn finish_earlier(
        &self,
        account: &mut Account,
        own: B256,
        below: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SubmitError> {
        let mut settled = Vec::new();
        for key in account.open().to_vec() {
            let journal = self.journals.read(key)?;
            let Some(mut journal) = journal.filter(|journal| journal.from == self.signer.address()) else {
                settled.push(key);
                continue;
            };
            let nonce = journal.rounds.last().map_or(0, |round| round.nonce);
            if key == own || nonce >= below {
                continue;
            }
            if self.settle(&mut journal)? == State::Open {
                progress(Progress::Earlier { nonce });
                self.include(account, &mut journal, false, progress).map_err(|source| match source {
                    SubmitError::NotMined { .. } => SubmitError::Blocked {
                        account: self.signer.address(),
                        nonce,
                        journal: self.journals.path(key),
                        source: Box::new(source),
                    },
                    other => other,
                })?;
            }
            if matches!(self.settle(&mut journal)?, State::Fresh | State::Deep) {
                settled.push(key);
            }
        }
        Ok(account.remove(&settled)?)
    }

    /// Writes down that a statement is settled, unless another process has the account, which then does it later.
    fn forget(&self, key: B256) {
        let Ok(mut account) = self.journals.account(self.signer.address(), Duration::ZERO, |_| ()) else { return };
        if let Ok(Some(mut journal)) = self.journals.read(key)
            && journal.from == self.signer.address()
            && self.settle(&mut journal).is_ok_and(|state| state == State::Deep)
        {
            let _ = account.remove(&[key]);
        }
    }

    /// Tries the call without a transaction.
    fn simulate(&self, submission: &Submission, progress: &mut dyn FnMut(Progress)) -> Result<(), SubmitError> {
        progress(Progress::Simulating);
        let to = submission.to;
        // An account without code can be paid, not called.
        if !submission.calldata.is_empty() && self.endpoint.code(to)?.is_empty() {
            self.same_chain()?;
            return Err(SubmitError::NoContract { to });
        }
        match self.endpoint.call(submission.call(self.signer.address()), "latest") {
            Ok(_) => Ok(()),
            Err(failure) => {
                self.same_chain()?;
                Err(self.would_revert(failure))
            }
        }
    }

    fn would_revert(&self, failure: RpcFailure) -> SubmitError {
        match failure.revert_data() {
            Some(data) => SubmitError::WouldRevert { reason: self.errors.describe(data), data: data.to_vec() },
            None => failure.into(),
        }
    }

    /// Signs the first transaction of a round, which the journal has when this returns.
    fn begin(
        &self,
        account: &mut Account,
        journal: &mut Journal,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SubmitError> {
        let from = self.signer.address();
        self.same_chain()?;
        let gas_limit = match self.options.gas_limit {
            Some(limit) => limit,
            None => {
                let estimate = self.endpoint.estimate_gas(journal.submission.call(from));
                if estimate.is_err() {
                    self.same_chain()?;
                }
                let estimate = estimate.map_err(|failure| self.would_revert(failure))?;
                if estimate > MAX_TRANSACTION_GAS {
                    return Err(SubmitError::TooMuchGas { estimate, limit: MAX_TRANSACTION_GAS });
                }
                let margin = estimate.saturating_mul(self.options.gas_margin) / 100;
                estimate.saturating_add(margin).min(MAX_TRANSACTION_GAS)
            }
        };
        let (market, balance) = (self.market()?, self.endpoint.balance(from)?);
        self.same_chain()?;
        let caps = &self.options.caps;
        let fees = caps.offer(market, gas_limit).ok_or_else(|| SubmitError::FeeAboveCap {
            base_fee: market.base_fee,
            cap: caps.limit(gas_limit),
            gas_limit,
        })?;
        let cost = (U256::from(gas_limit) * U256::from(fees.max_fee)).saturating_add(journal.submission.value);
        if balance < cost {
            return Err(SubmitError::Funds { account: from, balance, cost });
        }
        let nonce = self.next_nonce(account)?;
        self.same_chain()?;
        account.add(journal.own_key())?;
        journal.caps = *caps;
        let attempt = self.sign(journal, nonce, gas_limit, fees, false)?;
        let sending = Progress::Sending { hash: attempt.hash, nonce, fees };
        journal.rounds.push(Round { nonce, attempts: vec![attempt], end: None });
        if !self.journals.begin(journal)? {
            let path = self.journals.path(journal.own_key());
            let from = self.journals.read(journal.own_key())?.map_or(journal.from, |taken| taken.from);
            return Err(SubmitError::OtherAccount { from, journal: path });
        }
        progress(sending);
        Ok(())
    }

    /// The first nonce that neither the chain, nor the pool, nor a statement of ours that is in a block has.
    fn next_nonce(&self, account: &Account) -> Result<u64, SubmitError> {
        let from = self.signer.address();
        let mut nonce = self.endpoint.transaction_count(from, "pending")?;
        // An endpoint of several machines may count on one that lags behind.
        for key in account.open() {
            let journal = self.journals.read(*key)?.filter(|journal| journal.from == from);
            if let Some(round) = journal.as_ref().and_then(Journal::open_round) {
                nonce = nonce.max(round.nonce.saturating_add(1));
            }
        }
        Ok(nonce)
    }

    /// What the next block asks for.
    fn market(&self) -> Result<Market, RpcFailure> {
        let history: FeeHistory = self.endpoint.request("eth_feeHistory", json!(["0x5", "latest", [50.0]]))?;
        let base_fee = history.base_fee_per_gas.last().copied().unwrap_or_default().saturating_to();
        let rewards = history.reward.unwrap_or_default();
        let mut rewards: Vec<u128> =
            rewards.iter().filter_map(|reward| reward.first()).map(U256::saturating_to).collect();
        rewards.retain(|reward| *reward > 0);
        rewards.sort_unstable();
        let priority_fee = match rewards.get(rewards.len() / 2) {
            Some(median) => *median,
            None => match self.endpoint.request::<U256>("eth_maxPriorityFeePerGas", json!([])) {
                Ok(fee) => fee.saturating_to::<u128>().max(1),
                Err(RpcFailure::Refused { .. }) => DEFAULT_PRIORITY_FEE,
                Err(failure) => return Err(failure),
            },
        };
        Ok(Market { base_fee, priority_fee })
    }

    /// Waits until the end that the journal gives is as deep as was asked for; `false` where it is no longer in the chain. The account's
    /// lock is not held, so the journal's file stays as it is.
    fn confirm(&self, journal: &mut Journal, progress: &mut dyn FnMut(Progress)) -> Result<bool, SubmitError> {
        let start = Instant::now();
        let mut told = 0;
        loop {
            self.same_chain()?;
            let before = journal.last_end().and_then(|end| end.place);
            match self.look(journal)? {
                State::Deep => return Ok(true),
                State::Fresh | State::Open => {
                    progress(Progress::Reorganised { hash: before.map_or(B256::ZERO, |place| place.hash) });
                    return Ok(false);
                }
                State::Shallow { place: Place { hash, block, .. }, depth } => {
                    if depth > told {
                        told = depth;
                        progress(Progress::Confirming { hash, confirmations: depth, of: self.options.confirmations });
                    }
                    if start.elapsed() >= self.options.timeout {
                        let seconds = start.elapsed().as_secs();
                        return Err(SubmitError::NotConfirmed { hash, block, confirmations: depth, seconds });
                    }
                }
            }
            sleep(self.options.poll);
        }
    }

    /// How many blocks deep a block is.
    fn depth(&self, block: u64) -> Result<u64, RpcFailure> {
        Ok(self.endpoint.block_number()?.saturating_add(1).saturating_sub(block))
    }

    /// What a confirmed journal means: `None` where its nonce went to a stranger, and it is to be sent anew.
    fn judge(&self, journal: &Journal) -> Result<Option<Landed>, SubmitError> {
        let Some(end) = journal.last_end() else { return Ok(None) };
        match (end.kind, end.place) {
            (EndKind::Reverted, Some(Place { hash, block, gas_used, .. })) => {
                let reason = end.reason.clone().unwrap_or_else(|| "no data".into());
                Err(SubmitError::Reverted { hash, block, gas_used, reason })
            }
            (EndKind::Cancelled, Some(Place { hash, block, .. })) => Err(SubmitError::Cancelled { hash, block }),
            (EndKind::Landed | EndKind::Reverted | EndKind::Cancelled | EndKind::Displaced, _) => Ok(settled(journal)),
        }
    }
}

/// Refuses an endpoint that does not speak for a chain.
///
/// # Errors
///
/// [`SubmitError::WrongChain`], [`SubmitError::Rpc`].
pub fn on_chain(endpoint: &Endpoint, expected: u64) -> Result<(), SubmitError> {
    let found = endpoint.chain_id()?;
    if found == expected { Ok(()) } else { Err(SubmitError::WrongChain { expected, found }) }
}

/// Where a statement's call is, if its journal says that it has landed for good.
fn settled(journal: &Journal) -> Option<Landed> {
    let round = journal.rounds.last()?;
    match round.end.as_ref()? {
        End { kind: EndKind::Landed, place: Some(place), confirmed: true, .. } => {
            Some(Landed { place: *place, nonce: round.nonce, from: journal.from, before: true })
        }
        _ => None,
    }
}

/// What is offered to producers where nothing says what they want, in wei per gas.
const DEFAULT_PRIORITY_FEE: u128 = 1_000_000_000;

/// The answer of `eth_feeHistory`, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    base_fee_per_gas: Vec<U256>,
    #[serde(default)]
    reward: Option<Vec<Vec<U256>>>,
}
