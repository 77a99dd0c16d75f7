//! Calldata of `verify(bytes32,uint256[],int256[],uint256[],uint256[])` with its fixed lengths, without the arrays that are empty, and of
//! `verifyBatch`, as bytes and as JSON.

use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use crate::proof::{Proof, encode};

/// The arguments of a `verify` call. All types are static, so their encoding is their concatenation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calldata {
    context: encode::Word,
    weights: Vec<encode::Word>,
    public_values: Vec<encode::Word>,
    digests: Vec<encode::Word>,
    proof: Vec<encode::Word>,
}

impl Calldata {
    /// The call that submits a proof.
    pub fn new(proof: &Proof) -> Self {
        let statement = &proof.statement;
        let public_values = statement.public_values.iter().map(|&value| encode::public_value(value)).collect();
        Self {
            context: statement.context,
            weights: statement.weights.clone(),
            public_values,
            digests: statement.digests.clone(),
            proof: proof.words.clone(),
        }
    }

    /// Signature of `name` with arguments of these lengths: the commitment to the weights, outputs, digests, proof.
    pub fn signature(name: &str, [weights, outputs, digests, proof_words]: [usize; 4]) -> String {
        let arrays = [("uint256", weights), ("int256", outputs), ("uint256", digests), ("uint256", proof_words)];
        let arrays = arrays.iter().filter(|(_, len)| *len > 0).map(|(kind, len)| format!(",{kind}[{len}]"));
        format!("{name}(bytes32{})", arrays.collect::<String>())
    }

    /// Selector of a function.
    pub fn selector(signature: &str) -> [u8; 4] {
        let hash = Keccak256::digest(signature.as_bytes());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    fn signature_of(&self, name: &str) -> String {
        let arrays = [&self.weights, &self.public_values, &self.digests, &self.proof];
        Self::signature(name, arrays.map(Vec::len))
    }

    /// The arguments' words, one after the other.
    fn words(&self) -> impl Iterator<Item = encode::Word> {
        let arrays = [&self.weights, &self.public_values, &self.digests, &self.proof];
        [self.context].into_iter().chain(arrays.into_iter().flatten().copied())
    }

    /// The arguments' words: context, commitment to the weights, outputs, digests and proof.
    pub fn parts(&self) -> [Vec<encode::Word>; 5] {
        let Self { context, weights, public_values, digests, proof } = self.clone();
        [vec![context], weights, public_values, digests, proof]
    }

    /// The bytes of a call of `name`, which is `verify` or `tryVerify`.
    pub fn encode(&self, name: &str) -> Vec<u8> {
        let signature = self.signature_of(name);
        Self::selector(&signature).into_iter().chain(self.words().flatten()).collect()
    }

    /// The bytes of a call of `verifyBatch`, which takes an array of claims, all of one model.
    pub fn encode_batch(claims: &[Self]) -> Vec<u8> {
        let claim = claims.first().map_or_else(|| Self::signature("", [0; 4]), |claim| claim.signature_of(""));
        let mut bytes = Self::selector(&format!("verifyBatch({claim}[])")).to_vec();
        for head in [32, claims.len() as i128] {
            bytes.extend(encode::public_value(head));
        }
        bytes.extend(claims.iter().flat_map(Self::words).flatten());
        bytes
    }

    /// The arguments as Foundry's `vm.parseJson` reads them, and the whole call.
    pub fn to_json(&self) -> Value {
        let hex = |word: &encode::Word| format!("0x{}", hex::encode(word));
        let mut json = json!({
            "context": hex(&self.context),
            "outputs": self.public_values.iter().map(hex).collect::<Vec<_>>(),
            "proof": self.proof.iter().map(hex).collect::<Vec<_>>(),
            "calldata": format!("0x{}", hex::encode(self.encode("verify"))),
        });
        if !self.weights.is_empty() {
            json["weights"] = self.weights.iter().map(hex).collect();
        }
        if !self.digests.is_empty() {
            json["digests"] = self.digests.iter().map(hex).collect();
        }
        json
    }

    /// As [`Self::to_json`], of a call of `verifyBatch`.
    pub fn batch_to_json(claims: &[Self]) -> Value {
        let claim = |claim: &Self| {
            let mut json = claim.to_json();
            if let Some(fields) = json.as_object_mut() {
                fields.remove("calldata");
            }
            json
        };
        json!({
            "claims": claims.iter().map(claim).collect::<Vec<_>>(),
            "calldata": format!("0x{}", hex::encode(Self::encode_batch(claims))),
        })
    }
}
