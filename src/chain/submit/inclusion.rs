//! From a signed transaction to a block: handing it over, looking for it, offering more, and noticing that it is gone.

use std::{thread::sleep, time::Instant};

use alloy::{
    consensus::TxEip1559,
    primitives::{Address, B256, Bytes, TxKind, U256},
};

use super::{
    Progress, Submission, SubmitError, Submitter,
    answers::{self, Answer},
    fees::Fees,
    journal::{Account, Attempt, End, EndKind, Journal, Place, Round},
};
use crate::chain::rpc::{Call, Receipt, RpcFailure};

/// How far a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was signed.
    Fresh,
    /// What was signed is in no block.
    Open,
    /// It is in the chain, less deep than was asked for.
    Shallow { place: Place, depth: u64 },
    /// Its end is certain.
    Deep,
}

/// How often a nonce must be found to be used, without a receipt of ours, before that is believed: counts and receipts may come from
/// different machines of one endpoint.
const STRANGER_SIGHTINGS: u32 = 5;

impl Submitter<'_> {
    /// How far the chain says a statement is; `journal` says the same afterwards.
    pub(super) fn look(&self, journal: &mut Journal) -> Result<State, SubmitError> {
        let Some(round) = journal.rounds.last() else { return Ok(State::Fresh) };
        let (before, known) = match &round.end {
            None => return Ok(State::Open),
            Some(End { place: None, .. }) => return Ok(State::Deep),
            Some(before @ End { place: Some(place), .. }) => (before, *place),
        };
        // The block speaks for the transaction: endpoints forget receipts, and keep headers.
        let (mut now, place) = if self.is_canonical(known)? {
            (before.clone(), known)
        } else if let Some(found) = self.find(round)? {
            (self.end_of(journal, round, &found)?, found.place)
        } else {
            end(journal, None);
            return Ok(State::Open);
        };
        let depth = self.depth(place.block)?;
        now.confirmed = depth >= self.options.confirmations;
        if now.confirmed {
            // The heights of two chains are not to be compared.
            self.same_chain()?;
        }
        let state = if now.confirmed { State::Deep } else { State::Shallow { place, depth } };
        end(journal, Some(now));
        Ok(state)
    }

    /// [`Submitter::look`], and the journal's file says the same, too. Only for the holder of the account's lock.
    pub(super) fn settle(&self, journal: &mut Journal) -> Result<State, SubmitError> {
        let before = journal.clone();
        let state = self.look(journal)?;
        if *journal != before {
            self.journals.write(journal)?;
        }
        Ok(state)
    }

    /// Waits until one of the last round's transactions is in a block, or none can be any more. `fresh` says that this process has just
    /// signed the only one of them, so that nobody has been handed it.
    pub(super) fn include(
        &self,
        account: &mut Account,
        journal: &mut Journal,
        fresh: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SubmitError> {
        let start = Instant::now();
        let mut offered = Instant::now();
        let (mut handed, mut looked_below): (Option<Instant>, Option<Instant>) = (None, None);
        let due = |last: Option<Instant>| last.is_none_or(|last| last.elapsed() >= self.options.rebroadcast_after);
        let (mut sightings, mut at_cap, mut last_answer) = (0, false, None);
        loop {
            self.same_chain()?;
            let Some(round) = journal.rounds.last() else { return Ok(()) };
            let Some(newest) = round.newest().cloned() else { return Ok(()) };
            let nonce = round.nonce;
            // The count first: what has used the nonce by then has its receipt afterwards.
            let count = self.endpoint.transaction_count(journal.from, "latest")?;
            let used = count > nonce;
            if let Some(found) = self.find(round)? {
                let ended = self.end_of(journal, round, &found)?;
                progress(Progress::Included { hash: found.place.hash, block: found.place.block });
                end(journal, Some(ended));
                return Ok(self.journals.write(journal)?);
            }
            let mut underpriced = false;
            sightings = if used { sightings + 1 } else { 0 };
            if used {
                if sightings >= STRANGER_SIGHTINGS && self.is_spent(journal.from, nonce)? {
                    let ours = self.without_receipt(round)?;
                    self.same_chain()?;
                    if let Some((hash, block)) = ours {
                        return Err(SubmitError::NoReceipt { hash, block });
                    }
                    end(journal, Some(End { kind: EndKind::Displaced, place: None, reason: None, confirmed: true }));
                    return Ok(self.journals.write(journal)?);
                }
            } else if due(handed) {
                let first = fresh && handed.is_none() && round.attempts.len() == 1;
                match answers::hand_over(self.endpoint, &newest.raw)? {
                    Answer::Accepted | Answer::NonceUsed => last_answer = None,
                    Answer::Underpriced => underpriced = true,
                    Answer::Refused(reason) if first => {
                        self.same_chain()?;
                        let (hash, seconds) = (newest.hash, start.elapsed().as_secs());
                        return Err(SubmitError::NotMined { hash, nonce, seconds, why: Some(refusal(&reason)) });
                    }
                    Answer::Refused(reason) => last_answer = Some(refusal(&reason)),
                }
                handed = Some(Instant::now());
            }
            if count < nonce && due(looked_below) {
                // A reorganisation may have thrown out what this account had sent before, and its process waits for our lock.
                self.finish_earlier(account, journal.own_key(), nonce, progress)?;
                looked_below = Some(Instant::now());
            }
            if !used && (underpriced || offered.elapsed() >= self.options.bump_after) {
                offered = Instant::now();
                if self.replace(journal, newest.cancels, progress)? {
                    handed = None;
                    continue;
                }
                if !at_cap {
                    progress(Progress::AtCap { fees: newest.fees });
                    at_cap = true;
                }
            }
            if start.elapsed() >= self.options.timeout {
                let (hash, seconds) = (newest.hash, start.elapsed().as_secs());
                let gap = (count < nonce).then(|| {
                    let from = journal.from;
                    format!("nonce {count} of {from} comes first and is in no block: send something with it")
                });
                return Err(SubmitError::NotMined { hash, nonce, seconds, why: gap.or(last_answer) });
            }
            sleep(self.options.poll);
        }
    }

    /// Signs a transaction that takes the place of the last round's newest one: the call with a higher offer, or one that does nothing.
    /// `false` where the caps forbid it. The journal's file has it when this returns.
    pub(super) fn replace(
        &self,
        journal: &mut Journal,
        cancels: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool, SubmitError> {
        let Some((nonce, newest)) =
            journal.rounds.last().and_then(|round| Some((round.nonce, round.newest()?.clone())))
        else {
            return Ok(false);
        };
        let from = self.signer.address();
        let gas_limit = match cancels && !newest.cancels {
            true => self.endpoint.estimate_gas(Call { from: Some(from), to: Some(from), ..Call::default() })?,
            false => newest.gas_limit,
        };
        let Some(fees) = journal.caps.bump(newest.fees, self.market()?, gas_limit) else { return Ok(false) };
        let attempt = self.sign(journal, nonce, gas_limit, fees, cancels)?;
        progress(Progress::Replacing { hash: attempt.hash, nonce, fees });
        if let Some(round) = journal.last_round_mut() {
            round.attempts.push(attempt);
        }
        self.journals.write(journal)?;
        Ok(true)
    }

    /// Signs one transaction for a statement.
    pub(super) fn sign(
        &self,
        journal: &Journal,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
        cancels: bool,
    ) -> Result<Attempt, SubmitError> {
        let nothing = Submission { to: journal.from, calldata: Bytes::new(), value: U256::ZERO };
        let Submission { to, calldata, value } = if cancels { nothing } else { journal.submission.clone() };
        let (hash, raw) = self.signer.sign(TxEip1559 {
            chain_id: journal.chain.id,
            nonce,
            gas_limit,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.priority_fee,
            to: TxKind::Call(to),
            value,
            input: calldata,
            ..TxEip1559::default()
        })?;
        Ok(Attempt { hash, raw: raw.into(), gas_limit, fees, cancels })
    }

    /// Whether the chain still has the block of a place.
    pub(super) fn is_canonical(&self, place: Place) -> Result<bool, RpcFailure> {
        Ok(self.endpoint.block_hash(place.block)? == Some(place.block_hash))
    }

    /// The transaction of a round that is in a block.
    pub(super) fn find(&self, round: &Round) -> Result<Option<Found>, RpcFailure> {
        // Newest first: it is the likeliest.
        for attempt in round.attempts.iter().rev() {
            if let Some(receipt) = self.endpoint.receipt(attempt.hash)? {
                return Ok(Some(Found::new(&receipt, attempt.cancels)));
            }
        }
        Ok(None)
    }

    /// The transaction of a round that the endpoint knows to be in a block, whether or not it has a receipt, and that block.
    fn without_receipt(&self, round: &Round) -> Result<Option<(B256, u64)>, RpcFailure> {
        for Attempt { hash, .. } in &round.attempts {
            if let Some(block) = self.endpoint.block_of(*hash)? {
                return Ok(Some((*hash, block)));
            }
        }
        Ok(None)
    }

    /// What it means that a transaction of a round is in a block.
    fn end_of(&self, journal: &Journal, round: &Round, found: &Found) -> Result<End, SubmitError> {
        let kind = match (found.succeeded, found.cancels) {
            (_, true) => EndKind::Cancelled,
            (true, false) => EndKind::Landed,
            (false, false) => EndKind::Reverted,
        };
        let limit = round.attempts.iter().find(|attempt| attempt.hash == found.place.hash).map(|a| a.gas_limit);
        let reason = match kind {
            EndKind::Reverted => Some(self.reason(journal, found.place, limit.unwrap_or_default())),
            _ => None,
        };
        Ok(End { kind, place: Some(found.place), reason, confirmed: false })
    }

    /// Why a transaction reverted, from a replay: receipts do not say.
    fn reason(&self, journal: &Journal, place: Place, gas_limit: u64) -> String {
        if place.gas_used >= gas_limit {
            return format!("all of its {gas_limit} gas used up; send it with a higher limit");
        }
        // What came before it in its own block may be what made it fail.
        for block in [place.block.saturating_sub(1), place.block] {
            match self.endpoint.call(journal.submission.call(journal.from), &format!("{block:#x}")) {
                Ok(_) => {}
                Err(failure) => match failure.revert_data() {
                    Some(data) => return self.errors.describe(data),
                    None => return format!("a reason that a replay does not show ({failure})"),
                },
            }
        }
        "a reason that a replay does not show: it succeeds".into()
    }

    /// Whether an account's nonce is used as deep in the chain as was asked for.
    fn is_spent(&self, account: Address, nonce: u64) -> Result<bool, SubmitError> {
        let deep = self.endpoint.block_number()?.saturating_add(1).saturating_sub(self.options.confirmations);
        Ok(self.endpoint.transaction_count(account, &format!("{deep:#x}"))? > nonce)
    }
}

/// A transaction of ours in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub place: Place,
    succeeded: bool,
    cancels: bool,
}

impl Found {
    fn new(receipt: &Receipt, cancels: bool) -> Self {
        let place = Place {
            hash: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default().to(),
            block_hash: receipt.block_hash.unwrap_or_default(),
            gas_used: receipt.gas_used.to(),
            gas_price: receipt.effective_gas_price.saturating_to(),
        };
        Self { place, succeeded: receipt.status.is_some_and(|status| status.to::<u64>() == 1), cancels }
    }
}

fn refusal(reason: &str) -> String {
    format!("the endpoint says: {reason}")
}

fn end(journal: &mut Journal, end: Option<End>) {
    if let Some(round) = journal.last_round_mut() {
        round.end = end;
    }
}
