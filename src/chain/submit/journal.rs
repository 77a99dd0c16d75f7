//! What has been sent for a statement, on disk before it is sent.
//!
//! A state folder has one folder per chain, named by id and, where it is local, by genesis, so that one that was started anew is another chain:
//!
//! | entry | content |
//! | --- | --- |
//! | `KEY.json` | a [`Journal`]: one statement, with every transaction that was signed for it |
//! | `claims.lock` | held while a journal is created, so that two accounts do not take up one statement |
//! | `ADDRESS.lock` | held by the process that chooses nonces for an account |
//! | `ADDRESS.json` | the statements of the account that may have transactions which are not settled |
//!
//! All files are replaced atomically and are durable before the transactions they speak of leave the machine.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256, Bytes, keccak256};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::{
    Submission,
    fees::{FeeCaps, Fees},
};
use crate::fsutil::{WriteError, write_atomic};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// Why the state folder cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a journal that this hallmark reads: {detail}; nothing was sent", path.display())]
    Malformed { path: PathBuf, detail: String },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot lock {}: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("{} is held by another process, which has been sending for {seconds} s; wait for it", path.display())]
    Busy { path: PathBuf, seconds: u64 },
}

/// A chain. A local one is told from others of the same id by its first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainIdentity {
    pub id: u64,
    /// Zero where the chain is not local: its endpoints need not have the first block any more.
    pub genesis: B256,
}

/// One statement: what is sent, by whom, and all that was signed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    format: u32,
    pub chain: ChainIdentity,
    #[serde(flatten)]
    pub submission: Submission,
    pub from: Address,
    /// What its transactions may cost, so that another process can finish it.
    pub caps: FeeCaps,
    /// One after the other: a round begins only when the one before can no longer land.
    pub rounds: Vec<Round>,
}

/// The transactions that were signed for one nonce, of which at most one can be in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    pub nonce: u64,
    pub attempts: Vec<Attempt>,
    /// `None` while none of them is in a block.
    pub end: Option<End>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub hash: B256,
    pub raw: Bytes,
    pub gas_limit: u64,
    pub fees: Fees,
    /// Whether it takes the nonce without the call.
    pub cancels: bool,
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub kind: EndKind,
    /// Where it is in the chain; `None` where no transaction of ours is.
    pub place: Option<Place>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it is as deep in the chain as was asked for.
    pub confirmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndKind {
    /// The call succeeded.
    Landed,
    /// The call is in the chain and reverted.
    Reverted,
    /// The nonce was taken without the call, on demand.
    Cancelled,
    /// The nonce was taken by a transaction that is not in the journal.
    Displaced,
}

/// A transaction in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub hash: B256,
    pub block: u64,
    pub block_hash: B256,
    pub gas_used: u64,
    /// In wei per gas.
    pub gas_price: u128,
}

impl Journal {
    pub(super) fn new(chain: ChainIdentity, from: Address, submission: Submission, caps: FeeCaps) -> Self {
        Self { format: FORMAT, chain, submission, from, caps, rounds: Vec::new() }
    }

    /// The name of a statement: Keccak-256 of chain id, contract, Keccak-256 of the calldata, and the value if it is not zero.
    pub fn key(chain_id: u64, submission: &Submission) -> B256 {
        let Submission { to, calldata, value } = submission;
        let (digest, value) = (keccak256(calldata), (!value.is_zero()).then(|| value.to_be_bytes::<32>()));
        let value = value.as_ref().map_or(&[][..], |bytes| bytes);
        keccak256([&chain_id.to_be_bytes()[..], to.as_slice(), digest.as_slice(), value].concat())
    }

    pub(super) fn own_key(&self) -> B256 {
        Self::key(self.chain.id, &self.submission)
    }

    /// The round whose outcome is not certain yet.
    pub fn open_round(&self) -> Option<&Round> {
        self.rounds.last().filter(|round| !round.is_closed())
    }

    /// Whether it has landed, or what was signed for it still may.
    fn is_taken(&self) -> bool {
        self.open_round().is_some() || self.last_end().is_some_and(|end| end.kind == EndKind::Landed)
    }

    /// The last round's end.
    pub fn last_end(&self) -> Option<&End> {
        self.rounds.last()?.end.as_ref()
    }

    pub(super) fn last_round_mut(&mut self) -> Option<&mut Round> {
        self.rounds.last_mut()
    }
}

impl Round {
    /// Whether nothing can change its end any more.
    pub fn is_closed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.confirmed)
    }

    /// The newest attempt, which offers the most.
    pub fn newest(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// The journals of one chain.
#[derive(Clone, Debug)]
pub struct Journals {
    folder: PathBuf,
    chain: ChainIdentity,
}

/// What an account has in the air.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Open {
    open: Vec<B256>,
}

impl Journals {
    /// Those of `chain` below `state`, a folder that is created where it is missing.
    pub fn new(state: &Path, chain: ChainIdentity) -> Result<Self, JournalError> {
        let genesis = chain.genesis.0.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
        let folder = state.join(format!("{}-{genesis}", chain.id));
        create_private(&folder).map_err(|source| WriteError::new(&folder, source))?;
        Ok(Self { folder, chain })
    }

    pub fn chain(&self) -> ChainIdentity {
        self.chain
    }

    /// The file of a statement.
    pub fn path(&self, key: B256) -> PathBuf {
        self.folder.join(format!("{}.json", hex::encode(key)))
    }

    /// The journal of a statement, if there is one.
    pub fn read(&self, key: B256) -> Result<Option<Journal>, JournalError> {
        let path = self.path(key);
        let Some(journal) = read_json::<Journal>(&path)? else { return Ok(None) };
        let malformed = |detail: String| Err(JournalError::Malformed { path: path.clone(), detail });
        match &journal {
            journal if journal.format != FORMAT => malformed(format!("it has format {}, not {FORMAT}", journal.format)),
            journal if journal.chain != self.chain => malformed("it is for another chain".into()),
            journal if journal.own_key() != key => malformed("its name is not that of its statement".into()),
            journal if journal.rounds.iter().any(|round| round.attempts.is_empty()) => {
                malformed("a round of it has no transaction".into())
            }
            _ => Ok(Some(journal)),
        }
    }

    /// Replaces a journal's file, durably.
    pub(super) fn write(&self, journal: &Journal) -> Result<(), JournalError> {
        write_json(&self.path(journal.own_key()), journal)
    }

    /// The journal for `new`'s statement, with what its account has signed for it before.
    ///
    /// The journal that is returned belongs to another account if that one's call has landed or may still land.
    pub(super) fn claim(&self, new: Journal) -> Result<Journal, JournalError> {
        let _lock = lock(&self.folder.join("claims.lock"), CLAIM_PATIENCE, |_| ())?;
        let journal = match self.read(new.own_key())? {
            Some(old) if old.from == new.from => Journal { rounds: old.rounds, ..new },
            Some(old) if old.is_taken() => return Ok(old),
            // Transactions of another account's are none of this one's.
            _ => new,
        };
        self.write(&journal)?;
        Ok(journal)
    }

    /// Writes a journal whose last round has just begun. `false`, and nothing is written, where another account has claimed the statement
    /// since: of two that claimed it, the first to sign has it.
    pub(super) fn begin(&self, journal: &Journal) -> Result<bool, JournalError> {
        let _lock = lock(&self.folder.join("claims.lock"), CLAIM_PATIENCE, |_| ())?;
        let ours = self.read(journal.own_key())?.is_some_and(|claimed| claimed.from == journal.from);
        if ours {
            self.write(journal)?;
        }
        Ok(ours)
    }

    /// Takes the lock of an account. `waiting` is told, once, that another process holds it.
    pub(super) fn account(
        &self,
        account: Address,
        patience: Duration,
        waiting: impl FnMut(&Path),
    ) -> Result<Account, JournalError> {
        let name = hex::encode(account);
        let lock = lock(&self.folder.join(format!("{name}.lock")), patience, waiting)?;
        let path = self.folder.join(format!("{name}.json"));
        let open = read_json::<Open>(&path)?.unwrap_or_default().open;
        Ok(Account { _lock: lock, path, open })
    }
}

/// A journal is claimed in milliseconds.
const CLAIM_PATIENCE: Duration = Duration::from_secs(60);

/// The right to choose nonces for an account, for as long as this lives.
#[derive(Debug)]
pub(super) struct Account {
    _lock: File,
    path: PathBuf,
    open: Vec<B256>,
}

impl Account {
    /// The statements that may have transactions which are not settled, the oldest first.
    pub fn open(&self) -> &[B256] {
        &self.open
    }

    /// Remembers a statement, durably: to be done before anything is signed for it.
    pub fn add(&mut self, key: B256) -> Result<(), JournalError> {
        if self.open.contains(&key) {
            return Ok(());
        }
        self.open.push(key);
        self.save()
    }

    /// Forgets statements that are settled.
    pub fn remove(&mut self, settled: &[B256]) -> Result<(), JournalError> {
        let before = self.open.len();
        self.open.retain(|key| !settled.contains(key));
        if self.open.len() == before { Ok(()) } else { self.save() }
    }

    fn save(&self) -> Result<(), JournalError> {
        write_json(&self.path, &Open { open: self.open.clone() })
    }
}

/// The lock of a file that is never removed.
fn lock(path: &Path, patience: Duration, mut waiting: impl FnMut(&Path)) -> Result<File, JournalError> {
    let failed = |source| JournalError::Lock { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let start = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                return Err(JournalError::Busy { path: path.to_owned(), seconds: start.elapsed().as_secs() });
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    waiting(path);
                    told = true;
                }
                sleep(Duration::from_millis(20));
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, JournalError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::Read { path: path.to_owned(), source }),
    };
    let malformed =
        |error: serde_json::Error| JournalError::Malformed { path: path.to_owned(), detail: error.to_string() };
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), JournalError> {
    let malformed =
        |error: serde_json::Error| JournalError::Malformed { path: path.to_owned(), detail: error.to_string() };
    let mut text = serde_json::to_vec_pretty(value).map_err(malformed)?;
    text.push(b'\n');
    Ok(write_atomic(path, &text)?)
}

/// Creates a folder that only its owner can look into.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::U256;

    const CHAIN: ChainIdentity = ChainIdentity { id: 31337, genesis: B256::repeat_byte(0xab) };

    fn journal(from: u8) -> Journal {
        let submission = Submission { to: Address::repeat_byte(9), calldata: vec![1, 2, 3].into(), value: U256::ZERO };
        Journal::new(CHAIN, Address::repeat_byte(from), submission, FeeCaps::default())
    }

    fn round(nonce: u64, end: Option<EndKind>, confirmed: bool) -> Round {
        let fees = Fees { max_fee: u128::from(u64::MAX) + 1, priority_fee: 1 };
        let raw = vec![7].into();
        let attempts = vec![Attempt { hash: B256::ZERO, raw, gas_limit: 21_000, fees, cancels: false }];
        Round { nonce, attempts, end: end.map(|kind| End { kind, place: None, reason: None, confirmed }) }
    }

    #[test]
    fn statements_are_told_apart() {
        let key = |chain, to, data: &[u8], value: u64| {
            let (to, calldata) = (Address::repeat_byte(to), data.to_vec().into());
            Journal::key(chain, &Submission { to, calldata, value: U256::from(value) })
        };
        let keys = [
            key(1, 1, &[1], 0),
            key(2, 1, &[1], 0),
            key(1, 2, &[1], 0),
            key(1, 1, &[2], 0),
            key(1, 1, &[], 0),
            key(1, 1, &[1], 1),
            key(1, 1, &[1], 2),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key));
        }
    }

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path(), CHAIN).unwrap();
        let mut written = journal(1);
        written.rounds = vec![round(3, Some(EndKind::Displaced), true), round(5, None, false)];
        journals.write(&written).unwrap();
        assert_eq!(journals.read(written.own_key()).unwrap(), Some(written.clone()));
        assert_eq!(written.open_round().map(|round| round.nonce), Some(5));
        // a local chain that was started anew has the same id
        let restarted = Journals::new(dir.path(), ChainIdentity { genesis: B256::ZERO, ..CHAIN }).unwrap();
        assert_eq!(restarted.read(written.own_key()).unwrap(), None);
    }

    #[test]
    fn damaged_and_foreign_journals_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path(), CHAIN).unwrap();
        let good = journal(1);
        let key = good.own_key();
        let refused = |text: &str, word: &str| {
            fs::write(journals.path(key), text).unwrap();
            let error = journals.read(key).unwrap_err();
            assert!(matches!(error, JournalError::Malformed { .. }) && error.to_string().contains(word), "{error}");
        };
        refused("{", "EOF");
        let text = serde_json::to_string(&good).unwrap();
        refused(&text.replace("\"format\":1", "\"format\":2"), "format 2");
        refused(&text.replace("31337", "1"), "another chain");
        refused(&text.replace("0x010203", "0x010204"), "not that of its statement");
        let empty = text.replace("\"rounds\":[]", "\"rounds\":[{\"nonce\":1,\"attempts\":[],\"end\":null}]");
        refused(&empty, "no transaction");
    }

    #[test]
    fn a_statement_is_taken_up_by_one_account() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path(), CHAIN).unwrap();
        let mut first = journals.claim(journal(1)).unwrap();
        // nothing was signed: another account may have it
        assert_eq!(journals.claim(journal(2)).unwrap().from, Address::repeat_byte(2));
        first.rounds.push(round(1, None, false));
        journals.write(&first).unwrap();
        assert_eq!(journals.claim(journal(2)).unwrap().from, first.from);
        first.rounds[0] = round(1, Some(EndKind::Reverted), true);
        journals.write(&first).unwrap();
        let taken = journals.claim(journal(2)).unwrap();
        assert_eq!(
            (taken.from, taken.rounds),
            (Address::repeat_byte(2), vec![]),
            "the other's transactions are not its own"
        );
        first.rounds[0] = round(1, Some(EndKind::Landed), true);
        journals.write(&first).unwrap();
        assert_eq!(journals.claim(journal(2)).unwrap().from, first.from);
        assert_eq!(journals.claim(journal(1)).unwrap().rounds, first.rounds);
    }

    #[test]
    fn of_two_accounts_that_claim_a_statement_one_signs() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path(), CHAIN).unwrap();
        let mut first = journals.claim(journal(1)).unwrap();
        let mut second = journals.claim(journal(2)).unwrap();
        first.rounds.push(round(1, None, false));
        second.rounds.push(round(8, None, false));
        assert!(!journals.begin(&first).unwrap());
        assert!(journals.begin(&second).unwrap());
        assert_eq!(journals.read(first.own_key()).unwrap(), Some(second.clone()));
        assert_eq!(journals.claim(journal(1)).unwrap(), second);
    }

    #[test]
    fn accounts_are_locked_and_remember_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::new(dir.path(), CHAIN).unwrap();
        let account = Address::repeat_byte(1);
        let brief = Duration::from_millis(50);
        let mut held = journals.account(account, brief, |_| panic!("nobody holds it")).unwrap();
        held.add(B256::repeat_byte(1)).unwrap();
        held.add(B256::repeat_byte(2)).unwrap();
        held.add(B256::repeat_byte(1)).unwrap();
        let mut told = 0;
        let busy = journals.account(account, brief, |_| told += 1).unwrap_err();
        assert!(matches!(busy, JournalError::Busy { .. }) && told == 1, "{busy}");
        journals.account(Address::repeat_byte(2), brief, |_| panic!("another account's")).unwrap();
        drop(held);
        // another test's child may hold a copy of the lock for the moment before it becomes another program
        let mut held = journals.account(account, Duration::from_secs(10), |_| ()).unwrap();
        assert_eq!(held.open(), [B256::repeat_byte(1), B256::repeat_byte(2)]);
        held.remove(&[B256::repeat_byte(1)]).unwrap();
        drop(held);
        let held = journals.account(account, Duration::from_secs(10), |_| ()).unwrap();
        assert_eq!(held.open(), [B256::repeat_byte(2)]);
    }
}
