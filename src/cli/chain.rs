//! Options of the commands that talk to a chain.

use std::{
    env,
    io::IsTerminal,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::primitives::{Address, U256, utils::parse_units};
use hallmark::chain::{
    CompileSettings, Compiled, Endpoint, KnownErrors, Patience, Tool, compile,
    deploy::Compiler,
    rpc::URL_VARIABLE,
    submit::{
        FeeCaps, Options, Progress, Signer, SignerError, SubmitError, Submitter,
        signer::{KEY_VARIABLE, PASSWORD_VARIABLE},
    },
};
use zeroize::Zeroizing;

use super::{Failure, output::Step};

/// Where the chain is.
#[derive(Debug, clap::Args)]
pub struct RpcArgs {
    /// Endpoint of the chain (JSON-RPC over http or https); by default what ETH_RPC_URL holds. Others see the arguments of a process: a
    /// URL with a key in it is better kept in the variable.
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Refuse an endpoint that is on another chain.
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// How long the endpoint may be down before it is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = Patience::default().outage.as_secs())]
    rpc_patience: u64,
}

impl RpcArgs {
    /// The endpoint, and the id of its chain.
    pub fn connect(&self) -> Result<(Endpoint, u64), Failure> {
        let variable = || env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
        let url = self.rpc.clone().or_else(variable).ok_or("no endpoint: give --rpc URL, or set ETH_RPC_URL")?;
        let patience = Patience { outage: Duration::from_secs(self.rpc_patience), ..Patience::default() };
        let endpoint = Endpoint::new(&url, patience)?;
        let found = endpoint.chain_id()?;
        match self.chain_id {
            Some(expected) if expected != found => Err(SubmitError::WrongChain { expected, found }.into()),
            _ => Ok((endpoint, found)),
        }
    }
}

/// Who signs.
#[derive(Debug, clap::Args)]
pub struct SignerArgs {
    /// Encrypted keystore file to sign with. Its password is asked for on a terminal, unless --password-file or the variable
    /// HALLMARK_KEYSTORE_PASSWORD gives it.
    #[arg(long, value_name = "FILE")]
    keystore: Option<PathBuf>,
    /// File that holds the keystore's password.
    #[arg(long, value_name = "FILE", requires = "keystore")]
    password_file: Option<PathBuf>,
    /// Without a keystore: the environment variable that holds the private key, in hex.
    #[arg(long, value_name = "NAME", default_value = KEY_VARIABLE, conflicts_with = "keystore")]
    pub key_env: String,
}

impl SignerArgs {
    pub fn signer(&self) -> Result<Signer, Failure> {
        match &self.keystore {
            Some(path) => Ok(Signer::from_keystore(path, &self.password(path)?)?),
            None => Ok(Signer::from_env(&self.key_env)?),
        }
    }

    fn password(&self, keystore: &Path) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &self.password_file {
            let failed = |source| SignerError::Read { path: path.clone(), source };
            let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
            return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).into()));
        }
        if let Some(password) = env::var_os(PASSWORD_VARIABLE) {
            let wrong = |_| format!("{PASSWORD_VARIABLE} is not text");
            return Ok(Zeroizing::new(password.into_string().map_err(wrong)?));
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            let path = keystore.display();
            return Err(format!("no password for {path}: give --password-file FILE, or set {PASSWORD_VARIABLE}").into());
        }
        let terminal = console::Term::stderr();
        terminal.write_str(&format!("password of {}: ", keystore.display()))?;
        Ok(Zeroizing::new(terminal.read_secure_line()?))
    }
}

/// How to send.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// The most to pay per gas, as 30gwei.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "200gwei")]
    max_fee: U256,
    /// The most of it to give to the block's producer.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, default_value = "50gwei")]
    max_priority_fee: U256,
    /// The most that the transaction may cost: gas limit times fee, as 0.01ether.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    max_cost: Option<U256>,
    /// Gas limit; by default a fifth more than the endpoint's estimate.
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// Blocks until the transaction counts as final; 1 by default on local chains, 3 elsewhere.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    confirmations: Option<u64>,
    /// How long to wait for a block, and again for the confirmations.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// How long to wait before a transaction is replaced by one that offers more, up to the caps.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    bump_after: u64,
    /// Folder of the journals. By default $HALLMARK_STATE_DIR, else hallmark in $XDG_STATE_HOME or ~/.local/state.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl SendArgs {
    pub fn submitter<'a>(
        &self,
        endpoint: &'a Endpoint,
        signer: &'a Signer,
        chain_id: u64,
        errors: KnownErrors,
    ) -> Result<Submitter<'a>, Failure> {
        let preset = Options::for_chain(chain_id);
        let bump_after = Duration::from_secs(self.bump_after);
        let options = Options {
            caps: FeeCaps {
                max_fee: self.max_fee.saturating_to(),
                priority_fee: self.max_priority_fee.saturating_to(),
                cost: self.max_cost,
            },
            gas_limit: self.gas_limit,
            confirmations: self.confirmations.unwrap_or(preset.confirmations),
            timeout: Duration::from_secs(self.timeout),
            bump_after,
            rebroadcast_after: preset.rebroadcast_after.min(bump_after),
            ..preset
        };
        let submitter = Submitter::connect(endpoint, signer, &self.state()?, options, errors)?;
        match submitter.chain_id() {
            found if found == chain_id => Ok(submitter),
            found => Err(SubmitError::WrongChain { expected: chain_id, found }.into()),
        }
    }

    fn state(&self) -> Result<PathBuf, Failure> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let named = self.state.clone().or_else(|| variable("HALLMARK_STATE_DIR"));
        let usual = || {
            let base = variable("XDG_STATE_HOME").or_else(|| env::home_dir().map(|home| home.join(".local/state")))?;
            Some(base.join("hallmark"))
        };
        let none = || "no folder for journals: give --state DIR, or set HALLMARK_STATE_DIR".into();
        named.or_else(usual).ok_or_else(none)
    }
}

/// What a step's line says of a submission.
pub fn tell(step: &Step) -> impl FnMut(Progress) {
    let step = step.clone();
    move |progress| step.set(progress.to_string())
}

/// A contract's source, compiled as everything here compiles it: a file alone, with the default settings.
pub fn compiled(solc: &Tool, name: &str, source: &str, settings: &CompileSettings) -> Result<Compiled, Failure> {
    Ok(compile(solc, &[(format!("{name}.sol").into(), source.into())], name, settings)?)
}

/// What a record says of the compiler.
pub fn compiler(compiled: &Compiled) -> Compiler {
    let settings = &compiled.settings;
    Compiler {
        version: compiled.solc_version.clone(),
        optimizer_runs: settings.optimizer_runs,
        via_ir: settings.via_ir,
        evm_version: settings.evm_version.to_string(),
        bytecode_hash: "none".into(),
        cbor_metadata: false,
    }
}

/// An address, with the checksum of EIP-55 if it has letters of both cases.
pub fn address(text: &str) -> Result<Address, String> {
    let parsed = text.parse::<Address>().map_err(|_| "an address is 0x and 40 hex digits".to_string())?;
    let digits = text.trim_start_matches("0x");
    let mixed = digits.contains(|c: char| c.is_ascii_uppercase()) && digits.contains(|c: char| c.is_ascii_lowercase());
    match mixed && parsed.to_checksum(None).trim_start_matches("0x") != digits {
        true => Err(format!("its checksum is wrong, so a digit is, too; if it is not, write it as {parsed}")),
        false => Ok(parsed),
    }
}

/// A number with a unit: 30gwei, 0.01ether, 5 wei.
pub fn amount(text: &str) -> Result<U256, String> {
    let wrong = || "an amount is a number with a unit: 30gwei, 0.01ether, 1000wei".to_string();
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let (number, unit) = (number.trim(), if unit == "eth" { "ether" } else { unit });
    if number.is_empty()
        || !number.chars().all(|c| c.is_ascii_digit() || c == '.')
        || !["wei", "gwei", "ether"].contains(&unit)
    {
        return Err(wrong());
    }
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.trim_end_matches('0').len());
    let most = match unit {
        "wei" => 0,
        "gwei" => 9,
        _ => 18,
    };
    if decimals > most {
        return Err(format!("{text} is no whole number of wei"));
    }
    parse_units(number, unit).map(Into::into).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        let wei = |text| amount(text).unwrap();
        assert_eq!(wei("30gwei"), U256::from(30_000_000_000_u64));
        assert_eq!(wei("0.5 gwei"), U256::from(500_000_000));
        assert_eq!(wei("0.01ether"), wei("0.01eth"));
        assert_eq!(wei("7wei"), U256::from(7));
        assert_eq!(wei("1.0wei"), U256::ONE);
        for text in ["", "30", "gwei", "-1gwei", "1 kwei", "1.2.3ether", "1e3wei", "0.5wei", "0.0000000001gwei"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        let right = "0x4e59b44847b379578588920cA78FbF26c0B4956C";
        assert!(address(right).is_ok() && address(&right.to_lowercase()).is_ok());
        assert!(address(&right.replace("cA7", "Ca7")).unwrap_err().contains("checksum"));
        assert!(address("0x4e59").is_err());
    }
}
