//! The Fiat-Shamir transcript that a contract can follow cheaply: one Keccak-256 per challenge.
//!
//! The state is a buffer of bytes. Absorbing appends a word of 32 bytes (a scalar) or two (a point). Drawing a challenge
//! hashes the buffer; the hash, modulo the group's order, is the challenge, and the hash alone is the next buffer. So
//! every challenge depends on everything before it. The buffer starts with the protocol's digest, the context and the
//! public values, as the contract's calldata has them.
//!
//! halo2's prover and verifier drive the transcript through its traits. Two things that they exchange are left out:
//!
//! - *theta*, the challenge of lookup arguments, of which there are none: it is not drawn.
//! - The vanishing argument's random polynomial: its commitment and its evaluation are neither sent nor absorbed, and its
//!   opening is dropped ([`super::opening`]). No constraint mentions that polynomial, so soundness is as before. What
//!   zero knowledge loses with it is nothing: a KZG opening is a function of the commitments, the evaluations and the
//!   setup's secret, so a simulator that knows the secret turns a transcript with the polynomial into one without and
//!   back. See `docs/soundness.md`.

use std::io;

use halo2_proofs::transcript::{EncodedChallenge, Transcript, TranscriptRead, TranscriptWrite};
use halo2curves::bn256::{Fr, G1Affine};
use sha3::{Digest, Keccak256};

use super::{
    encode::{self, Word},
    protocol::{Challenges, Protocol},
};
use crate::proof::Statement;

/// A challenge, reduced.
#[derive(Clone, Copy, Debug)]
pub struct Challenge(Fr);

impl EncodedChallenge<G1Affine> for Challenge {
    type Input = Fr;

    fn new(input: &Fr) -> Self {
        Challenge(*input)
    }

    fn get_scalar(&self) -> Fr {
        self.0
    }
}

/// What prover and verifier share: the buffer, and the counters that say where in the protocol they are.
#[derive(Clone, Debug)]
struct Sponge {
    buffer: Vec<u8>,
    challenges: Vec<Fr>,
    squeezed: usize,
    points: usize,
    scalars: usize,
    /// Index of the random polynomial's commitment among the points, of its evaluation among the scalars.
    random_point: usize,
    random_scalar: usize,
}

impl Sponge {
    fn new(protocol: &Protocol, statement: &Statement) -> Self {
        let mut buffer = protocol.digest().to_vec();
        buffer.extend(statement.context);
        statement.public_values.iter().for_each(|value| buffer.extend(encode::public_value(*value)));
        Self {
            buffer,
            challenges: Vec::new(),
            squeezed: 0,
            points: 0,
            scalars: 0,
            random_point: protocol.advice_columns + protocol.products(),
            random_scalar: protocol.advice_queries.len() + protocol.fixed_queries.len(),
        }
    }

    fn squeeze(&mut self) -> Challenge {
        self.squeezed += 1;
        if self.squeezed == 1 {
            return Challenge(Fr::zero()); // theta
        }
        let hash: Word = Keccak256::digest(&self.buffer).into();
        self.buffer = hash.to_vec();
        let challenge = encode::reduce(&hash);
        self.challenges.push(challenge);
        Challenge(challenge)
    }

    /// Whether the next point is the random polynomial's commitment.
    fn next_point_is_random(&mut self) -> bool {
        self.points += 1;
        self.points - 1 == self.random_point
    }

    /// Whether the next scalar is the random polynomial's evaluation.
    fn next_scalar_is_random(&mut self) -> bool {
        self.scalars += 1;
        self.scalars - 1 == self.random_scalar
    }

    /// All challenges of a finished proof.
    fn challenges(&self) -> Option<Challenges> {
        let [beta, gamma, y, x, zeta, nu, mu] = self.challenges[..].try_into().ok()?;
        Some(Challenges { beta, gamma, y, x, zeta, nu, mu })
    }
}

/// The prover's side: collects the proof as words.
#[derive(Clone, Debug)]
pub struct Writer {
    sponge: Sponge,
    words: Vec<Word>,
}

impl Writer {
    /// A transcript that has absorbed the statement.
    pub fn new(protocol: &Protocol, statement: &Statement) -> Self {
        Self { sponge: Sponge::new(protocol, statement), words: Vec::new() }
    }

    /// The words so far.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The challenge at which the polynomials are evaluated; `None` before it has been drawn.
    pub fn evaluation_point(&self) -> Option<Fr> {
        // after beta, gamma and y
        self.sponge.challenges.get(3).copied()
    }

    /// The proof and its challenges; `None` before the last challenge has been drawn.
    pub fn finish(self) -> Option<(Vec<Word>, Challenges)> {
        let challenges = self.sponge.challenges()?;
        Some((self.words, challenges))
    }
}

/// The verifier's side: reads the proof from words.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    sponge: Sponge,
    words: std::slice::Iter<'a, Word>,
}

impl<'a> Reader<'a> {
    /// A transcript that has absorbed the statement and is about to read the proof.
    pub fn new(protocol: &Protocol, statement: &Statement, words: &'a [Word]) -> Self {
        Self { sponge: Sponge::new(protocol, statement), words: words.iter() }
    }

    /// The challenges, once all have been drawn.
    pub fn challenges(&self) -> Option<Challenges> {
        self.sponge.challenges()
    }

    fn word(&mut self) -> io::Result<Word> {
        self.words.next().copied().ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the proof is too short"))
    }
}

/// Both sides absorb the statement when they are made, from the contract's calldata; what halo2 would absorb in its place
/// (its own digest of the verifying key and whole instance columns) is left out.
macro_rules! impl_transcript {
    ($type:ty) => {
        impl Transcript<G1Affine, Challenge> for $type {
            fn squeeze_challenge(&mut self) -> Challenge {
                self.sponge.squeeze()
            }

            fn common_point(&mut self, _: G1Affine) -> io::Result<()> {
                Err(io::Error::new(io::ErrorKind::Unsupported, "instance columns are not committed"))
            }

            fn common_scalar(&mut self, _: Fr) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

impl_transcript!(Writer);
impl_transcript!(Reader<'_>);

impl TranscriptWrite<G1Affine, Challenge> for Writer {
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        if !self.sponge.next_point_is_random() {
            for word in encode::g1(&point) {
                self.sponge.buffer.extend(word);
                self.words.push(word);
            }
        }
        Ok(())
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        if !self.sponge.next_scalar_is_random() {
            let word = encode::scalar(&scalar);
            self.sponge.buffer.extend(word);
            self.words.push(word);
        }
        Ok(())
    }
}

impl TranscriptRead<G1Affine, Challenge> for Reader<'_> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        if self.sponge.next_point_is_random() {
            return Ok(G1Affine::default());
        }
        let words = [self.word()?, self.word()?];
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a point of the proof is not on the curve");
        let point = encode::read_g1(&words).ok_or_else(invalid)?;
        words.iter().for_each(|word| self.sponge.buffer.extend(word));
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        if self.sponge.next_scalar_is_random() {
            return Ok(Fr::zero());
        }
        let word = self.word()?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a scalar of the proof is not below the modulus");
        let scalar = encode::read_scalar(&word).ok_or_else(invalid)?;
        self.sponge.buffer.extend(word);
        Ok(scalar)
    }
}
