//! Deployment to an address that is the same on every chain.
//!
//! The contract is created by CREATE2 through the deterministic deployer at [`DEPLOYER`], which is called with the salt's 32 bytes and the
//! creation code behind them. The address is therefore
//!
//! ```text
//! keccak256(0xff ++ DEPLOYER ++ salt ++ keccak256(creation code))[12..]
//! ```
//!
//! where the salt is 32 zero bytes unless another one is chosen, and the creation code is solc's, without constructor arguments and without
//! metadata: compiled from the contract's file alone with the settings of [`CompileSettings::default`](super::CompileSettings). It is
//! also what `new CreditVerifier{salt: 0}()` gives in a Foundry script that is broadcast, with the same compiler and settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use alloy::primitives::{Address, B256, Bytes, U256, address, b256, hex, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    revert::KnownErrors,
    rpc::{Call, Endpoint, RpcFailure},
    submit::{
        Landed, Progress, Submission, SubmitError, Submitter,
        answers::{self, Answer},
    },
};
use crate::fsutil::{WriteError, write_atomic};

/// The deterministic deployer that most chains have.
pub const DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Keccak-256 of the deployer's code.
const DEPLOYER_CODE_HASH: B256 = b256!("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989");

/// The transaction that creates the deployer, signed by an account whose key nobody has. It is valid on every chain that takes
/// transactions without a chain id.
const DEPLOYER_TRANSACTION: [u8; 167] = hex!(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222"
    "222222222222a02222222222222222222222222222222222222222222222222222222222222222"
);

/// Who signed it.
const DEPLOYER_SIGNER: Address = address!("3fab184622dc19b6109349b94811493bf2a45362");

/// What that account pays for it: 100,000 gas at 100 gwei.
const DEPLOYER_COST: u128 = 100_000 * 100_000_000_000;

/// Why a contract is not deployed.
#[derive(Debug, Error)]
pub enum DeployError {
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Write(#[from] WriteError),

    #[error(
        "the chain with id {chain_id} has no deterministic deployer at {DEPLOYER}, which gives a contract the same address everywhere; \
         --install-deployer puts it there by its own signed transaction, for 0.01 ether"
    )]
    NoDeployer { chain_id: u64 },

    #[error(
        "at {DEPLOYER} is another contract than the deterministic deployer; this chain is not to be trusted with it"
    )]
    OtherDeployer,

    #[error(
        "the chain does not take the deployer's signed transaction, which has no chain id: {reason}; it has to be put there by who runs \
         the chain"
    )]
    DeployerRefused { reason: String },

    #[error("the contract cannot be deployed: its constructor reverts with {reason}")]
    Constructor { reason: String },

    #[error("at {address}, where the contract should be, is code with hash {found} instead of {expected}")]
    OtherCode { address: Address, expected: B256, found: B256 },

    #[error(
        "transaction {transaction} created the contract, but the endpoint has no code at {address}; run the same command again, with \
         another endpoint if it stays so"
    )]
    NoCode { address: Address, transaction: B256 },

    #[error("{} is not a record of a deployment: {detail}", path.display())]
    Record { path: PathBuf, detail: String },
}

/// What to deploy.
#[derive(Clone, Debug)]
pub struct Deployable {
    /// Creation code.
    pub init_code: Vec<u8>,
    /// The code that it leaves.
    pub runtime_code: Vec<u8>,
    pub salt: B256,
    /// What its constructor's errors mean.
    pub errors: KnownErrors,
}

impl Deployable {
    /// Where it is on every chain.
    pub fn address(&self) -> Address {
        DEPLOYER.create2_from_code(self.salt, &self.init_code)
    }

    /// Keccak-256 of its code.
    pub fn code_hash(&self) -> B256 {
        keccak256(&self.runtime_code)
    }

    /// The call of the deployer that creates it.
    pub fn submission(&self) -> Submission {
        let calldata = [self.salt.as_slice(), &self.init_code].concat();
        Submission { to: DEPLOYER, calldata: calldata.into(), value: U256::ZERO }
    }

    /// Whether it is at its address already.
    ///
    /// # Errors
    ///
    /// [`DeployError::OtherCode`] where something else is.
    pub fn is_there(&self, endpoint: &Endpoint) -> Result<bool, DeployError> {
        let address = self.address();
        let code = endpoint.code(address)?;
        let (expected, found) = (self.code_hash(), keccak256(&code));
        match (code.is_empty(), found == expected) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(DeployError::OtherCode { address, expected, found }),
        }
    }

    /// Runs the constructor without a transaction: it tries the precompiles that the contract relies on.
    ///
    /// # Errors
    ///
    /// [`DeployError::Constructor`] with its error in words, [`DeployError::OtherCode`] where it would leave other code.
    pub fn rehearse(&self, endpoint: &Endpoint) -> Result<(), DeployError> {
        let creation = Call { data: &self.init_code, ..Call::default() };
        let code = endpoint.call(creation, "latest").map_err(|failure| match failure.revert_data() {
            Some(data) => DeployError::Constructor { reason: self.errors.describe(data) },
            None => failure.into(),
        })?;
        let (expected, found) = (self.code_hash(), keccak256(&code));
        let address = self.address();
        if found == expected { Ok(()) } else { Err(DeployError::OtherCode { address, expected, found }) }
    }

    /// Deploys it, unless it is there already: then `None`.
    ///
    /// # Errors
    ///
    /// [`DeployError`].
    pub fn deploy(
        &self,
        endpoint: &Endpoint,
        submitter: &Submitter<'_>,
        install_deployer: bool,
        mut progress: impl FnMut(Progress),
    ) -> Result<Option<Landed>, DeployError> {
        if self.is_there(endpoint)? {
            return Ok(None);
        }
        self.rehearse(endpoint)?;
        ensure_deployer(endpoint, submitter, install_deployer, &mut progress)?;
        let landed = submitter.submit(&self.submission(), progress)?;
        // A machine of the endpoint's may lag behind the one that had the receipt.
        match submitter.wait(|| Ok::<_, DeployError>(self.is_there(endpoint)?.then_some(landed)))? {
            Some(landed) => Ok(Some(landed)),
            None => Err(DeployError::NoCode { address: self.address(), transaction: landed.place.hash }),
        }
    }
}

/// Sees to it that the chain has the deterministic deployer; `install` allows to put it there.
fn ensure_deployer(
    endpoint: &Endpoint,
    submitter: &Submitter<'_>,
    install: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), DeployError> {
    let there = |code: &Bytes| match keccak256(code) {
        _ if code.is_empty() => Ok(false),
        DEPLOYER_CODE_HASH => Ok(true),
        _ => Err(DeployError::OtherDeployer),
    };
    if there(&endpoint.code(DEPLOYER)?)? {
        return Ok(());
    }
    if !install {
        return Err(DeployError::NoDeployer { chain_id: submitter.chain_id() });
    }
    let refused = |reason: String| DeployError::DeployerRefused { reason };
    let mut answer = answers::hand_over(endpoint, &DEPLOYER_TRANSACTION)?;
    // Paid for only once the chain has nothing else against it.
    if matches!(&answer, Answer::Refused(reason) if answers::lacks_funds(reason)) {
        let missing = U256::from(DEPLOYER_COST).saturating_sub(endpoint.balance(DEPLOYER_SIGNER)?);
        if !missing.is_zero() {
            submitter.pay(DEPLOYER_SIGNER, missing, &mut *progress)?;
        }
        answer = answers::hand_over(endpoint, &DEPLOYER_TRANSACTION)?;
    }
    match answer {
        Answer::Accepted | Answer::NonceUsed => {}
        Answer::Underpriced => return Err(refused("its 100 gwei per gas are too little now".into())),
        Answer::Refused(reason) => return Err(refused(reason)),
    }
    let code = || Ok::<_, RpcFailure>(Some(endpoint.code(DEPLOYER)?).filter(|code| !code.is_empty()));
    let code = submitter.wait(code)?;
    match code {
        Some(code) if there(&code)? => Ok(()),
        _ => Err(refused("it is in no block".into())),
    }
}

/// A deployment, as `deployments/<chain id>.json` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    pub chain_id: u64,
    /// By the contract's name.
    pub contracts: BTreeMap<String, Deployed>,
}

/// One contract of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    pub address: Address,
    /// Keccak-256 of the code at the address.
    pub code_hash: B256,
    pub model_id: String,
    /// Keccak-256 of the creation code.
    pub init_code_hash: B256,
    pub salt: B256,
    pub deployer: Address,
    /// The transaction and its block; `None` where it was deployed by somebody else.
    pub transaction: Option<B256>,
    pub block: Option<u64>,
    pub compiler: Compiler,
}

/// What a contract was compiled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiler {
    pub version: String,
    pub optimizer_runs: usize,
    pub via_ir: bool,
    pub evm_version: String,
    pub bytecode_hash: String,
    pub cbor_metadata: bool,
}

impl Record {
    /// The format that is written, and the only one that is read.
    const FORMAT: u32 = 1;

    /// A record of nothing.
    pub fn new(chain_id: u64) -> Self {
        Self { format: Self::FORMAT, chain_id, contracts: Default::default() }
    }

    /// Its file in a compiled folder.
    pub fn path(folder: &Path, chain_id: u64) -> PathBuf {
        folder.join("deployments").join(format!("{chain_id}.json"))
    }

    /// The record of a chain, if the folder has one.
    pub fn read(folder: &Path, chain_id: u64) -> Result<Option<Self>, DeployError> {
        let path = Self::path(folder, chain_id);
        let failed = |detail: String| DeployError::Record { path: path.clone(), detail };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let record: Self = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        match (record.format, record.chain_id) {
            (Self::FORMAT, id) if id == chain_id => Ok(Some(record)),
            (Self::FORMAT, id) => Err(failed(format!("it is for chain {id}"))),
            (format, _) => Err(failed(format!("it has format {format}, not {}", Self::FORMAT))),
        }
    }

    /// Writes it, atomically.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, DeployError> {
        let path = Self::path(folder, self.chain_id);
        let failed = |detail: String| DeployError::Record { path: path.clone(), detail };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        text.push(b'\n');
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
        }
        write_atomic(&path, &text)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable},
        eips::eip2718::Decodable2718,
        primitives::TxKind,
    };

    #[test]
    fn the_deployers_transaction_creates_it_for_what_its_account_is_given() {
        let transaction = TxEnvelope::decode_2718(&mut DEPLOYER_TRANSACTION.as_slice()).unwrap();
        assert_eq!(transaction.recover_signer().unwrap(), DEPLOYER_SIGNER);
        assert_eq!(DEPLOYER_SIGNER.create(transaction.nonce()), DEPLOYER);
        assert_eq!((transaction.kind(), transaction.chain_id()), (TxKind::Create, None));
        assert_eq!(u128::from(transaction.gas_limit()) * transaction.max_fee_per_gas(), DEPLOYER_COST);
        // the creation code copies what follows its first 14 bytes
        assert_eq!(keccak256(&transaction.input()[14..]), DEPLOYER_CODE_HASH);
    }

    #[test]
    fn the_address_is_that_of_the_formula() {
        let deployable =
            Deployable { init_code: vec![0], runtime_code: vec![], salt: B256::ZERO, errors: KnownErrors::default() };
        let parts = [&[0xff], DEPLOYER.as_slice(), &[0; 32], keccak256([0]).as_slice()].concat();
        assert_eq!(deployable.address(), Address::from_slice(&keccak256(parts)[12..]));
        let salted = Deployable { salt: B256::repeat_byte(1), ..deployable.clone() };
        assert_ne!(salted.address(), deployable.address());
        assert_eq!(deployable.submission().calldata.len(), 33);
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path(), 5).unwrap(), None);
        let mut record = Record::new(5);
        let compiler = Compiler {
            version: "0.8.37".into(),
            optimizer_runs: 1,
            via_ir: false,
            evm_version: "osaka".into(),
            bytecode_hash: "none".into(),
            cbor_metadata: false,
        };
        let deployed = Deployed {
            address: DEPLOYER,
            code_hash: B256::ZERO,
            model_id: "ab".into(),
            init_code_hash: B256::ZERO,
            salt: B256::ZERO,
            deployer: DEPLOYER,
            transaction: None,
            block: Some(3),
            compiler,
        };
        record.contracts.insert("CreditVerifier".into(), deployed);
        let path = record.write(dir.path()).unwrap();
        assert!(path.ends_with("deployments/5.json"));
        assert_eq!(Record::read(dir.path(), 5).unwrap(), Some(record));
        std::fs::rename(&path, Record::path(dir.path(), 6)).unwrap();
        assert!(Record::read(dir.path(), 6).unwrap_err().to_string().contains("chain 5"));
    }
}
