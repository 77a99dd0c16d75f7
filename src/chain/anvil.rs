//! A local chain at Ethereum's present fork, for measurements and rehearsals.

use std::{
    io,
    net::TcpListener,
    time::{Duration, Instant},
};

use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes},
    providers::{Provider, RootProvider},
    rpc::{
        client::ClientBuilder,
        types::{TransactionReceipt, TransactionRequest},
    },
    transports::{RpcError, TransportError, http::reqwest::Url},
};
use tokio::runtime::Runtime;

use super::{
    ChainError, Tool,
    error::describe_revert,
    http,
    process::{Server, StartError},
    rpc::revert_data,
};

/// The most gas one transaction may have (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = 1 << 24;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How to start anvil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnvilOptions {
    /// The port to listen on; `None` lets the system pick a free one.
    pub port: Option<u16>,
    /// How long to wait for it to listen.
    pub startup_timeout: Duration,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self { port: None, startup_timeout: Duration::from_secs(30) }
    }
}

/// A contract's deployment, from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub address: Address,
    /// Gas of the whole deploying transaction.
    pub gas_used: u64,
    /// Size of the code now on chain.
    pub code_bytes: usize,
}

/// A transaction that succeeded, from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentTransaction {
    /// Gas of the whole transaction, calldata and base included.
    pub gas_used: u64,
    pub hash: B256,
}

/// A running anvil that holds a fresh chain, mines each transaction at once, and ends with this value.
///
/// Its methods block; they panic when called from inside an async runtime.
#[derive(Debug)]
pub struct Anvil {
    server: Server,
    runtime: Runtime,
    provider: RootProvider,
    sender: Address,
}

impl Anvil {
    /// Starts anvil at the Osaka fork on the local interface.
    ///
    /// # Errors
    ///
    /// [`ChainError::PortInUse`]; [`ChainError::AnvilFailed`] and [`ChainError::AnvilTimeout`] with what anvil said.
    pub fn start(tool: &Tool, options: &AnvilOptions) -> Result<Self, ChainError> {
        let port = options.port.unwrap_or(0);
        if let Err(error) = TcpListener::bind(("127.0.0.1", port))
            && error.kind() == io::ErrorKind::AddrInUse
        {
            return Err(ChainError::PortInUse { port });
        }
        let mut command = tool.command();
        command.args(["--hardfork", "osaka", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.env("NO_COLOR", "1").env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1");
        let anvil = tool.location.clone();
        let server = Server::start(command, options.startup_timeout).map_err(|error| match error {
            StartError::Exited(text) if text.contains("Address already in use") => ChainError::PortInUse { port },
            StartError::Exited(text) if text.is_empty() => {
                ChainError::AnvilFailed { anvil, reason: "it ended without a message".into() }
            }
            StartError::Exited(reason) => ChainError::AnvilFailed { anvil, reason },
            StartError::Spawn(error) => ChainError::AnvilFailed { anvil, reason: error.to_string() },
            StartError::Timeout(text) => ChainError::AnvilTimeout {
                anvil,
                seconds: options.startup_timeout.as_secs(),
                stderr: if text.is_empty() { "nothing".into() } else { text },
            },
        })?;

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ChainError::Runtime { source })?;
        let provider = local_provider(&server)?;
        let accounts = runtime.block_on(provider.get_accounts()).map_err(rpc("eth_accounts"))?;
        let none = || ChainError::Rpc { method: "eth_accounts", message: "it has no accounts".into() };
        let sender = accounts.first().copied().ok_or_else(none)?;
        Ok(Self { server, runtime, provider, sender })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// The URL of its JSON-RPC interface.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The account that deploys, sends and calls.
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// The operating system's number of anvil's process.
    pub fn process_id(&self) -> u32 {
        self.server.process_id()
    }

    /// Deploys creation code, constructor arguments appended, with the most gas a transaction may have.
    ///
    /// # Errors
    ///
    /// [`ChainError::TransactionFailed`] where the constructor reverts or the code is over EIP-170's limit,
    /// [`ChainError::NoContract`] where it leaves no code.
    pub fn deploy(&self, init_code: &[u8]) -> Result<Deployment, ChainError> {
        let request = TransactionRequest::default().with_deploy_code(init_code.to_vec());
        let receipt = self.transact(request, MAX_TRANSACTION_GAS)?;
        let address = receipt.contract_address.unwrap_or_default();
        let code_bytes = self.code_bytes(address)?;
        Ok(Deployment { address, gas_used: receipt.gas_used, code_bytes })
    }

    /// Sends a transaction to a contract and waits for its receipt.
    ///
    /// # Errors
    ///
    /// [`ChainError::NoContract`]; [`ChainError::TransactionFailed`], with the gas it burnt and the revert data, where
    /// the receipt says that it failed.
    pub fn send(&self, to: Address, calldata: &[u8], gas_limit: u64) -> Result<SentTransaction, ChainError> {
        self.code_bytes(to)?;
        let request = TransactionRequest::default().with_to(to).with_input(calldata.to_vec());
        let receipt = self.transact(request, gas_limit)?;
        Ok(SentTransaction { gas_used: receipt.gas_used, hash: receipt.transaction_hash })
    }

    /// Calls a contract without a transaction and returns what it returns.
    ///
    /// # Errors
    ///
    /// [`ChainError::NoContract`]; [`ChainError::Reverted`] with the revert data.
    pub fn call(&self, to: Address, calldata: &[u8]) -> Result<Vec<u8>, ChainError> {
        self.code_bytes(to)?;
        let request =
            self.request(TransactionRequest::default().with_to(to).with_input(calldata.to_vec()), MAX_TRANSACTION_GAS);
        self.eth_call(request, BlockId::latest()).map(Vec::from)
    }

    fn request(&self, request: TransactionRequest, gas_limit: u64) -> TransactionRequest {
        request.with_from(self.sender).with_gas_limit(gas_limit)
    }

    /// Size of the code at `address`, which must have some: a call to an account without code succeeds.
    fn code_bytes(&self, address: Address) -> Result<usize, ChainError> {
        let code =
            self.runtime.block_on(self.provider.get_code_at(address).into_future()).map_err(rpc("eth_getCode"))?;
        if code.is_empty() { Err(ChainError::NoContract { address }) } else { Ok(code.len()) }
    }

    fn transact(&self, request: TransactionRequest, gas_limit: u64) -> Result<TransactionReceipt, ChainError> {
        let request = self.request(request, gas_limit);
        let receipt = self.runtime.block_on(self.mined(request.clone()))?;
        if receipt.status() {
            return Ok(receipt);
        }
        // Replayed on the state that the transaction saw, since a receipt has no revert data.
        let parent = receipt.block_number.unwrap_or_default().saturating_sub(1);
        let (reason, data) = match self.eth_call(request, BlockId::number(parent)) {
            Err(ChainError::Reverted { data }) => (format!("it reverted with {}", describe_revert(&data)), data),
            Err(ChainError::Rpc { message, .. }) if ["OutOfGas", "OOG"].iter().any(|word| message.contains(word)) => {
                (format!("it ran out of gas; send it with a higher limit ({message})"), Vec::new())
            }
            Err(ChainError::Rpc { message, .. }) => (message, Vec::new()),
            Err(other) => return Err(other),
            Ok(_) => ("a replay of it succeeds".into(), Vec::new()),
        };
        let (hash, gas_used) = (receipt.transaction_hash, receipt.gas_used);
        Err(ChainError::TransactionFailed { hash, gas_used, gas_limit, reason, data })
    }

    /// Sends from an account that anvil has unlocked, and polls for the receipt.
    async fn mined(&self, request: TransactionRequest) -> Result<TransactionReceipt, ChainError> {
        let pending = self.provider.send_transaction(request).await.map_err(rpc("eth_sendTransaction"))?;
        let hash = *pending.tx_hash();
        let deadline = Instant::now() + RECEIPT_TIMEOUT;
        while Instant::now() < deadline {
            let receipt =
                self.provider.get_transaction_receipt(hash).await.map_err(rpc("eth_getTransactionReceipt"))?;
            if let Some(receipt) = receipt {
                return Ok(receipt);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(ChainError::NoReceipt { hash, seconds: RECEIPT_TIMEOUT.as_secs() })
    }

    fn eth_call(&self, request: TransactionRequest, block: BlockId) -> Result<Bytes, ChainError> {
        let answer = self.runtime.block_on(self.provider.call(request).block(block).into_future());
        answer.map_err(|error| match revert_data(&error) {
            Some(data) => ChainError::Reverted { data: data.to_vec() },
            None => rpc("eth_call")(error),
        })
    }
}

fn local_provider(server: &Server) -> Result<RootProvider, ChainError> {
    let failed = |message: String| ChainError::Rpc { method: "connect", message };
    let url: Url = format!("http://{}", server.address).parse().map_err(|error| failed(format!("{error}")))?;
    let client = http::client(&url, REQUEST_TIMEOUT).map_err(|error| failed(error.to_string()))?;
    Ok(RootProvider::new(ClientBuilder::default().http_with_client(client, url)))
}

fn rpc(method: &'static str) -> impl Fn(TransportError) -> ChainError {
    move |error| {
        let message = match error {
            RpcError::ErrorResp(payload) => payload.message.to_string(),
            other => other.to_string(),
        };
        ChainError::Rpc { method, message }
    }
}
