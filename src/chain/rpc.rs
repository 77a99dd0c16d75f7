//! One JSON-RPC endpoint: requests are tried again while it is down or slow, and what it answers is told apart from its silence.

use std::{
    error::Error as _,
    fmt,
    thread::sleep,
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256, Bytes, U64, U256},
    rpc::client::{ClientBuilder, RpcClient},
    transports::{
        RpcError, TransportError, TransportErrorKind,
        http::reqwest::{self, Url},
    },
};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::runtime::Runtime;

use super::http;

/// The environment variable that holds an endpoint's URL.
pub const URL_VARIABLE: &str = "ETH_RPC_URL";

/// How long to bear with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest that one request may take.
    pub request: Duration,
    /// The longest that an endpoint may be down before a request is given up.
    pub outage: Duration,
    /// The pause after the first failure; each further one is twice as long, up to [`Patience::longest_pause`].
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(20),
            outage: Duration::from_secs(120),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
        }
    }
}

/// Why a request has no result. No message holds more of the endpoint's URL than its host: the rest may be a key.
#[derive(Debug, Error)]
pub enum RpcFailure {
    #[error("\"{given}\" is not the URL of an endpoint: {reason}; give one that begins with http:// or https://")]
    Url { given: String, reason: String },

    #[error("{endpoint} cannot be used: {reason}")]
    Unusable { endpoint: String, reason: String },

    #[error("{endpoint} has not answered {method} for {seconds} s: {reason}")]
    Down { endpoint: String, method: &'static str, seconds: u64, reason: String },

    #[error("{endpoint} answered {method} with error {code}: {message}")]
    Refused { endpoint: String, method: &'static str, code: i64, message: String, data: Option<Bytes> },
}

impl RpcFailure {
    /// Revert data, where the answer says that execution reverted. It may be empty.
    pub fn revert_data(&self) -> Option<&[u8]> {
        match self {
            Self::Refused { data: Some(data), .. } => Some(data),
            _ => None,
        }
    }
}

/// A transaction's receipt, as far as it is read here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    pub transaction_hash: B256,
    pub block_number: Option<U64>,
    pub block_hash: Option<B256>,
    pub status: Option<U64>,
    pub gas_used: U64,
    #[serde(default)]
    pub effective_gas_price: U256,
}

/// A block, as far as it is read here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    pub hash: Option<B256>,
    pub number: Option<U64>,
}

/// A transaction, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    block_number: Option<U64>,
}

/// An endpoint. Its methods block; they panic when called from inside an async runtime.
pub struct Endpoint {
    client: RpcClient,
    runtime: Runtime,
    patience: Patience,
    /// Scheme, host and port.
    shown: String,
    url: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("endpoint", &self.shown).field("patience", &self.patience).finish()
    }
}

impl Endpoint {
    /// The endpoint at `url`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`RpcFailure::Url`]; [`RpcFailure::Unusable`] where there are no root certificates.
    pub fn new(url: &str, patience: Patience) -> Result<Self, RpcFailure> {
        let refused = |reason: String| RpcFailure::Url { given: without_path(url), reason };
        let parsed: Url = url.parse().map_err(|error| refused(format!("{error}")))?;
        let Some(host) = parsed.host_str().filter(|_| ["http", "https"].contains(&parsed.scheme())) else {
            return Err(refused("it has another scheme, or no host".into()));
        };
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("{}://{host}{port}", parsed.scheme());
        let unusable = |reason: String| RpcFailure::Unusable { endpoint: shown.clone(), reason };
        let client = http::client(&parsed, patience.request).map_err(|error| unusable(causes(&error.without_url())))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| unusable(error.to_string()))?;
        let client = ClientBuilder::default().http_with_client(client, parsed);
        Ok(Self { client, runtime, patience, shown, url: url.into() })
    }

    /// Scheme, host and port, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Sends a request until there is an answer to it, or the endpoint has been down for too long.
    ///
    /// # Errors
    ///
    /// [`RpcFailure::Refused`] with the endpoint's own error, [`RpcFailure::Down`] after [`Patience::outage`],
    /// [`RpcFailure::Unusable`] where it wants other credentials or is no JSON-RPC endpoint.
    pub fn request<R: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<R, RpcFailure> {
        let start = Instant::now();
        let mut pause = self.patience.first_pause;
        loop {
            let call = self.client.request::<_, R>(method, params.clone());
            let error = match self.runtime.block_on(call) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Again { reason, after: asked } = self.judge(method, error)?;
            if start.elapsed() >= self.patience.outage {
                let seconds = start.elapsed().as_secs();
                return Err(RpcFailure::Down { endpoint: self.shown.clone(), method, seconds, reason });
            }
            // Up to a quarter less, so that those who were cut off together do not come back together.
            let less = pause.mul_f64(0.25 * f64::from(OsRng.next_u32()) / f64::from(u32::MAX));
            let left = self.patience.outage.saturating_sub(start.elapsed());
            sleep((pause - less).max(asked.unwrap_or_default()).min(left));
            pause = (2 * pause).min(self.patience.longest_pause);
        }
    }

    /// Whether a failed request is worth another try.
    fn judge(&self, method: &'static str, error: TransportError) -> Result<Again, RpcFailure> {
        let again = |reason: String| Ok(Again { reason: self.redact(reason), after: None });
        let unusable =
            |reason: String| Err(RpcFailure::Unusable { endpoint: self.shown.clone(), reason: self.redact(reason) });
        let data = revert_data(&error);
        match error {
            RpcError::ErrorResp(payload) if is_rate_limit(payload.code, &payload.message) => {
                again(payload.message.into_owned())
            }
            RpcError::ErrorResp(payload) => Err(RpcFailure::Refused {
                endpoint: self.shown.clone(),
                method,
                code: payload.code,
                data,
                message: self.redact(payload.message.into_owned()),
            }),
            RpcError::NullResp => again("it answered with nothing".into()),
            RpcError::DeserError { err, .. } => again(format!("its answer cannot be read: {err}")),
            RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error, retry_after }) => {
                Ok(Again { reason: format!("HTTP status {}", error.status), after: Some(retry_after) })
            }
            RpcError::Transport(TransportErrorKind::HttpError(error)) => match error.status {
                401 | 403 => unusable(format!("HTTP status {}: it wants other credentials", error.status)),
                404 | 405 | 300..=399 => unusable(format!("HTTP status {}: there is no JSON-RPC here", error.status)),
                status => again(format!("HTTP status {status}")),
            },
            RpcError::Transport(TransportErrorKind::Custom(error)) => match error.downcast::<reqwest::Error>() {
                Ok(error) => again(causes(&error.without_url())),
                Err(error) => again(error.to_string()),
            },
            RpcError::Transport(other) => again(other.to_string()),
            other => unusable(other.to_string()),
        }
    }

    /// A text without the endpoint's URL.
    fn redact(&self, text: String) -> String {
        text.replace(&self.url, &self.shown)
    }

    /// The chain's id.
    pub fn chain_id(&self) -> Result<u64, RpcFailure> {
        Ok(self.request::<U64>("eth_chainId", json!([]))?.to())
    }

    /// The number of the newest block.
    pub fn block_number(&self) -> Result<u64, RpcFailure> {
        Ok(self.request::<U64>("eth_blockNumber", json!([]))?.to())
    }

    /// A block's hash; `None` where there is no such block, or the endpoint has forgotten it.
    pub fn block_hash(&self, number: u64) -> Result<Option<B256>, RpcFailure> {
        let block: Option<Block> = self.request("eth_getBlockByNumber", json!([U64::from(number), false]))?;
        Ok(block.and_then(|block| block.hash))
    }

    /// How many transactions an account has sent, as of `block`: a number in hex, `latest` or `pending`.
    pub fn transaction_count(&self, account: Address, block: &str) -> Result<u64, RpcFailure> {
        Ok(self.request::<U64>("eth_getTransactionCount", json!([account, block]))?.to())
    }

    /// An account's balance, in wei.
    pub fn balance(&self, account: Address) -> Result<U256, RpcFailure> {
        self.request("eth_getBalance", json!([account, "latest"]))
    }

    /// The code at an address; empty where there is none.
    pub fn code(&self, address: Address) -> Result<Bytes, RpcFailure> {
        self.request("eth_getCode", json!([address, "latest"]))
    }

    /// The receipt of a transaction that is in a block.
    pub fn receipt(&self, hash: B256) -> Result<Option<Receipt>, RpcFailure> {
        let receipt: Option<Receipt> = self.request("eth_getTransactionReceipt", json!([hash]))?;
        Ok(receipt.filter(|receipt| receipt.block_number.is_some() && receipt.transaction_hash == hash))
    }

    /// The block that a transaction is in; `None` where it is in none, or the endpoint does not know it.
    pub fn block_of(&self, hash: B256) -> Result<Option<u64>, RpcFailure> {
        let found: Option<Transaction> = self.request("eth_getTransactionByHash", json!([hash]))?;
        Ok(found.and_then(|transaction| transaction.block_number).map(|number| number.to()))
    }

    /// What a call returns, without a transaction, on the state after `block`. See [`RpcFailure::revert_data`].
    pub fn call(&self, call: Call<'_>, block: &str) -> Result<Bytes, RpcFailure> {
        self.request("eth_call", json!([call.to_json(), block]))
    }

    /// The gas that a call takes.
    pub fn estimate_gas(&self, call: Call<'_>) -> Result<u64, RpcFailure> {
        Ok(self.request::<U64>("eth_estimateGas", json!([call.to_json()]))?.to())
    }

    /// Hands a signed transaction to the endpoint and returns its hash, as the endpoint has it.
    pub fn send_raw(&self, raw: &[u8]) -> Result<B256, RpcFailure> {
        self.request("eth_sendRawTransaction", json!([format!("0x{}", hex::encode(raw))]))
    }
}

/// The scheme and the host of what should have been a URL.
fn without_path(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.into() } else { format!("{scheme}://{host}") }
}

/// A request to be sent once more.
struct Again {
    reason: String,
    /// The pause that the endpoint asked for.
    after: Option<Duration>,
}

/// A call; a creation where `to` is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    pub from: Option<Address>,
    pub to: Option<Address>,
    pub data: &'a [u8],
    /// In wei.
    pub value: U256,
}

impl Call<'_> {
    fn to_json(self) -> Value {
        let mut call = json!({ "data": format!("0x{}", hex::encode(self.data)) });
        for (name, address) in [("from", self.from), ("to", self.to)] {
            if let Some(address) = address {
                call[name] = json!(address);
            }
        }
        if !self.value.is_zero() {
            call["value"] = json!(self.value);
        }
        call
    }
}

/// The revert data of an error that says that execution reverted. Some clients answer a revert without data with the message alone.
pub(super) fn revert_data(error: &TransportError) -> Option<Bytes> {
    let error = error.as_error_resp()?;
    let reverted = || error.message.to_ascii_lowercase().contains("execution reverted");
    error.as_revert_data().or_else(|| reverted().then(Bytes::new))
}

/// Errors that say "later", not "no". The reason of a revert may have any words.
fn is_rate_limit(code: i64, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    if code == 3 || message.contains("revert") {
        return false;
    }
    let words = ["rate limit", "too many requests", "request limit", "capacity", "try again"];
    code == 429 || code == -32005 || words.iter().any(|word| message.contains(word))
}

/// An error and its causes.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief() -> Patience {
        Patience { outage: Duration::from_millis(300), first_pause: Duration::from_millis(20), ..Patience::default() }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for url in ["", "node.example.org", "ftp://node.example.org/", "http://", "ws://127.0.0.1:1"] {
            assert!(matches!(Endpoint::new(url, brief()), Err(RpcFailure::Url { .. })), "{url}");
        }
    }

    #[test]
    fn a_dead_endpoint_is_given_up_and_its_key_is_not_said() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let endpoint = Endpoint::new(&format!("http://{address}/v3/s3cr3t"), brief()).unwrap();
        let error = endpoint.chain_id().unwrap_err();
        assert!(matches!(&error, RpcFailure::Down { method: "eth_chainId", .. }), "{error:?}");
        let text = format!("{error} {error:?} {endpoint:?}");
        assert!(text.contains(&address.to_string()) && text.contains("refused"), "{text}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }

    #[test]
    fn keys_are_cut_off_what_is_no_url() {
        for (text, shown) in
            [("wss://u:pw@node.org/KEY?k=KEY", "wss://node.org"), ("node.org/KEY", "node.org"), ("", "")]
        {
            assert_eq!(without_path(text), shown);
            assert!(!Endpoint::new(text, brief()).unwrap_err().to_string().contains("KEY"));
        }
    }

    #[test]
    fn later_is_not_no() {
        assert!(is_rate_limit(429, "") && is_rate_limit(-32005, "x") && is_rate_limit(-32000, "Too Many Requests"));
        assert!(!is_rate_limit(-32000, "insufficient funds for gas * price + value"));
        assert!(!is_rate_limit(3, "execution reverted"));
        assert!(
            !is_rate_limit(-32000, "Execution reverted: over capacity, try again") && !is_rate_limit(3, "rate limit")
        );
    }

    #[test]
    fn reverts_without_data_are_known_by_their_message() {
        let data = |message: &'static str| {
            let error = serde_json::from_value(json!({ "code": -32000, "message": message })).unwrap();
            revert_data(&RpcError::ErrorResp(error)).map(|data| data.len())
        };
        assert_eq!((data("execution reverted"), data("Execution reverted")), (Some(0), Some(0)));
        assert_eq!(data("intrinsic gas too low"), None);
    }
}
