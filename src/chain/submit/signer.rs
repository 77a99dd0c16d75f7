//! The account that signs: a private key from the environment, or an encrypted keystore file.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// The environment variable that holds a private key, unless another one is named.
pub const KEY_VARIABLE: &str = "HALLMARK_PRIVATE_KEY";

/// The environment variable that holds a keystore's password.
pub const PASSWORD_VARIABLE: &str = "HALLMARK_KEYSTORE_PASSWORD";

/// Why there is no signer. No message holds a secret.
#[derive(Debug, Error)]
pub enum SignerError {
    #[error("--key-env takes the name of a variable, not the key; the key is now in your shell's history")]
    KeyAsName,
    #[error("the environment variable {name} is not set: export the private key there, or use a keystore file")]
    NoKey { name: String },
    #[error("the environment variable {name} does not hold a private key: 64 hex digits, with or without 0x")]
    BadKey { name: String },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a keystore file: {detail}", path.display())]
    Keystore { path: PathBuf, detail: String },
    #[error("{} does not open with this password", path.display())]
    Password { path: PathBuf },
    #[error("the transaction could not be signed: {detail}")]
    Sign { detail: String },
}

/// An account's key. It is zeroized when dropped, and its `Debug` shows the address only.
pub struct Signer {
    key: PrivateKeySigner,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key in an environment variable: 64 hex digits, with or without `0x`.
    pub fn from_env(name: &str) -> Result<Self, SignerError> {
        if Self::from_hex(name).is_some() {
            return Err(SignerError::KeyAsName);
        }
        let text = env::var_os(name).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| SignerError::NoKey { name: name.into() })?;
        let bad = || SignerError::BadKey { name: name.into() };
        let text = Zeroizing::new(text.into_string().map_err(|_| bad())?);
        Self::from_hex(&text).ok_or_else(bad)
    }

    fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut bytes = Zeroizing::new([0u8; 32]);
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), bytes.as_mut_slice()).ok()?;
        Self::from_bytes(&bytes)
    }

    /// The key with these bytes; `None` where there is none with them.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        PrivateKeySigner::from_slice(bytes).ok().map(|key| Self { key })
    }

    /// The key in a keystore file (Web3 secret storage, version 3), as geth, cast and most wallets write it.
    pub fn from_keystore(path: &Path, password: &str) -> Result<Self, SignerError> {
        let text = std::fs::read(path).map_err(|source| SignerError::Read { path: path.into(), source })?;
        let malformed = |detail: String| SignerError::Keystore { path: path.into(), detail };
        let file: KeystoreFile = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        file.check().map_err(|detail| malformed(detail.into()))?;
        match PrivateKeySigner::decrypt_keystore(path, password) {
            Ok(key) => Ok(Self { key }),
            Err(error) if error.to_string().contains("Mac Mismatch") => {
                Err(SignerError::Password { path: path.into() })
            }
            Err(error) => Err(malformed(error.to_string())),
        }
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The hash and the bytes of the signed transaction.
    pub(super) fn sign(&self, transaction: TxEip1559) -> Result<(B256, Vec<u8>), SignerError> {
        let failed = |detail: String| SignerError::Sign { detail };
        let signature =
            self.key.sign_hash_sync(&transaction.signature_hash()).map_err(|error| failed(error.to_string()))?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        Ok((*signed.hash(), signed.encoded_2718()))
    }
}

/// What of a keystore file must hold before it is decrypted: a key of another length would be read beyond its end, and a
/// derivation may ask for any amount of memory.
#[derive(Deserialize)]
struct KeystoreFile {
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdfparams: KdfParams,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    r: Option<u64>,
    #[serde(default)]
    p: Option<u64>,
    #[serde(default)]
    c: Option<u64>,
}

/// The most memory that a derivation may take: four times that of geth's strongest setting.
const MAX_KDF_BYTES: u64 = 1 << 30;

impl KeystoreFile {
    fn check(&self) -> Result<(), &'static str> {
        let Crypto { cipher, cipherparams, ciphertext, kdfparams } = &self.crypto;
        if cipher != "aes-128-ctr" {
            return Err("its cipher is not aes-128-ctr");
        }
        if hex::decode(&cipherparams.iv).map(|iv| iv.len()) != Ok(16) {
            return Err("its iv is not 16 bytes in hex");
        }
        if hex::decode(ciphertext).map(|text| text.len()) != Ok(32) {
            return Err("its ciphertext is not that of a private key: 32 bytes in hex");
        }
        if kdfparams.dklen != 32 {
            return Err("the length of its derived key is not 32");
        }
        match (kdfparams.n, kdfparams.r, kdfparams.p, kdfparams.c) {
            (Some(n), Some(r), Some(p), None) => {
                let memory = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(128));
                let bounded = memory.is_some_and(|memory| memory <= MAX_KDF_BYTES) && (1..=16).contains(&p) && r > 0;
                if n.is_power_of_two() && n > 1 && bounded {
                    Ok(())
                } else {
                    Err("its scrypt parameters are out of bounds")
                }
            }
            (None, None, None, Some(c)) if (1..=10_000_000).contains(&c) => Ok(()),
            _ => Err("its key derivation is neither scrypt nor pbkdf2 with parameters in bounds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        eips::eip2718::Decodable2718,
        primitives::{TxKind, U256, address, keccak256},
    };
    use std::fs;

    /// The test vectors of the Web3 secret storage definition.
    const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,
        "dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version":3}"#;
    const KEY: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    const ACCOUNT: Address = address!("008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b");

    fn keystore(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_keystore_opens_with_its_password_only() {
        let (_dir, path) = keystore(PBKDF2);
        let signer = Signer::from_keystore(&path, "testpassword").unwrap();
        assert_eq!(signer.address(), ACCOUNT);
        assert_eq!(signer.address(), Signer::from_hex(KEY).unwrap().address());
        let error = Signer::from_keystore(&path, "testpasswore").unwrap_err();
        assert!(matches!(error, SignerError::Password { .. }), "{error:?}");
        assert!(
            !format!("{error} {error:?} {signer:?}").contains("testpass") && !format!("{signer:?}").contains("7a28")
        );
    }

    #[test]
    fn hostile_keystores_are_refused_before_they_are_decrypted() {
        for (from, to) in [
            ("\"dklen\":32", "\"dklen\":16"),
            ("6087dab2f9fdbbfaddc31a909735c1e6", "6087"),
            ("\"c\":262144", "\"c\":4000000000"),
            ("\"c\":262144", "\"n\":1073741824,\"r\":8,\"p\":1"),
            ("\"c\":262144", "\"n\":3,\"r\":8,\"p\":1"),
            ("5318b4d5bcd28de6", ""),
            ("aes-128-ctr", "aes-256-ctr"),
            ("\"crypto\"", "\"other\""),
        ] {
            let (_dir, path) = keystore(&PBKDF2.replace(from, to));
            let error = Signer::from_keystore(&path, "testpassword").unwrap_err();
            assert!(matches!(error, SignerError::Keystore { .. }), "{to}: {error}");
        }
        let error = Signer::from_keystore(Path::new("/no/such/key"), "").unwrap_err();
        assert!(matches!(error, SignerError::Read { .. }));
    }

    #[test]
    fn keys_are_hex_of_32_bytes_below_the_order() {
        assert_eq!(Signer::from_hex(&format!("0x{KEY}\n")).unwrap().address(), ACCOUNT);
        for text in ["", "0x", &KEY[2..], &format!("{KEY}00"), &"0".repeat(64), &"f".repeat(64), &"g".repeat(64)] {
            assert!(Signer::from_hex(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_in_place_of_a_name_is_not_said() {
        for text in [KEY.to_string(), format!("0x{KEY}")] {
            let error = Signer::from_env(&text).unwrap_err();
            assert!(
                matches!(error, SignerError::KeyAsName) && !format!("{error} {error:?}").contains(KEY),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_is_signed_says_who_signed_it() {
        let signer = Signer::from_hex(KEY).unwrap();
        let transaction = TxEip1559 {
            chain_id: 31337,
            nonce: 7,
            gas_limit: 100_000,
            max_fee_per_gas: 9,
            max_priority_fee_per_gas: 3,
            to: TxKind::Call(Address::repeat_byte(1)),
            value: U256::ZERO,
            input: vec![1, 2, 3].into(),
            ..TxEip1559::default()
        };
        let (hash, raw) = signer.sign(transaction.clone()).unwrap();
        assert_eq!(hash, keccak256(&raw));
        let TxEnvelope::Eip1559(signed) = TxEnvelope::decode_2718(&mut raw.as_slice()).unwrap() else { panic!() };
        assert_eq!(signed.tx(), &transaction);
        assert_eq!(signed.recover_signer().unwrap(), ACCOUNT);
    }
}
