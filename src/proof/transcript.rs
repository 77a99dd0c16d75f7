//! The Fiat-Shamir transcript that a contract can follow cheaply: one Keccak-256 per challenge.
//!
//! The state is a buffer of bytes. Absorbing appends words of 32 bytes, as the proof has them. Drawing a challenge hashes the
//! buffer; the hash, modulo the group's order, is the challenge, and the hash alone is the next buffer. So every
//! challenge depends on everything before it. The buffer starts with the protocol's digest, the context, the commitment to the
//! weights if the digest does not bind it, and the public values, as the contract's calldata has them.

use ff::{Field, FromUniformBytes};
use sha3::{Digest, Keccak256};

use super::{
    curve::{Curve, Word, reduce},
    protocol::{Challenges, Protocol},
};
use crate::proof::Statement;

/// Where the prover and the native verifier are in the protocol.
#[derive(Clone, Debug)]
pub struct Transcript {
    buffer: Vec<u8>,
}

impl Transcript {
    /// A transcript that has absorbed the statement.
    pub fn new<C: Curve>(protocol: &Protocol<C>, statement: &Statement) -> Self {
        let mut buffer = protocol.digest().to_vec();
        buffer.extend(statement.context);
        statement.weights.iter().for_each(|word| buffer.extend(word));
        statement.words().for_each(|word| buffer.extend(word));
        Self { buffer }
    }

    /// Absorb words of the proof.
    pub fn absorb(&mut self, words: &[Word]) {
        words.iter().for_each(|word| self.buffer.extend(word));
    }

    /// Draw a challenge.
    pub fn challenge<F: FromUniformBytes<64>>(&mut self) -> F {
        let hash: Word = Keccak256::digest(&self.buffer).into();
        self.buffer = hash.to_vec();
        reduce(&hash)
    }
}

/// The words of a proof, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct ProofWords<'a> {
    pub advice: &'a [Word],
    /// The advice column of the second phase; empty if there is one.
    pub second: &'a [Word],
    /// Empty without a permutation.
    pub product: &'a [Word],
    pub quotient: &'a [Word],
    pub evaluations: &'a [Word],
    /// First commitment of the opening.
    pub opening: &'a [Word],
    pub last: &'a [Word],
}

impl<'a> ProofWords<'a> {
    /// `None` if there are not as many words as the protocol has.
    pub fn split<C: Curve>(protocol: &Protocol<C>, words: &'a [Word]) -> Option<Self> {
        let (mut rest, point) = (words, C::POINT_WORDS);
        let mut take = |len: usize| -> Option<&'a [Word]> {
            let (head, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(head)
        };
        let advice = take(point)?;
        let second = take(point * (protocol.phases - 1))?;
        let product = take(point * usize::from(protocol.permutation.is_some()))?;
        let quotient = take(point * protocol.quotient_pieces)?;
        let evaluations = take(protocol.evaluations().len())?;
        let (opening, last) = (take(point)?, take(C::LAST_POINT_WORDS)?);
        rest.is_empty().then_some(Self { advice, second, product, quotient, evaluations, opening, last })
    }

    /// The challenges of a whole proof.
    pub fn challenges<C: Curve>(&self, protocol: &Protocol<C>, statement: &Statement) -> Challenges<C::Scalar> {
        let mut transcript = Transcript::new(protocol, statement);
        transcript.absorb(self.advice);
        let (mut between, mut beta, mut gamma) = ([C::Scalar::ZERO; 2], C::Scalar::ZERO, C::Scalar::ZERO);
        if protocol.phases > 1 {
            between[..protocol.challenges].fill_with(|| transcript.challenge());
            transcript.absorb(self.second);
        }
        if protocol.permutation.is_some() {
            beta = transcript.challenge();
            gamma = transcript.challenge();
            transcript.absorb(self.product);
        }
        let y = transcript.challenge();
        transcript.absorb(self.quotient);
        let x = transcript.challenge();
        transcript.absorb(self.evaluations);
        let nu = transcript.challenge();
        transcript.absorb(self.opening);
        let mu = transcript.challenge();
        Challenges { between, beta, gamma, y, x, nu, mu }
    }
}
