//! Generates the verifier contract from the protocol description.
//!
//! The contract is a straight line: check the statement, follow the transcript, evaluate closed forms and the
//! constraints at `x`, combine all commitments into one point, check its opening. Each step is one commented block of
//! assembly that leaves its results in named memory slots.

use thiserror::Error;

use super::{
    bls12_381, bn254,
    layout::{ADVICE, BETWEEN, CalldataLayout, DIGESTS, Memory, OUTPUTS, SELECTOR, WORD},
    typed::is_reserved,
    yul::{Block, Value, hex_or_decimal, literal, load, wrapped},
};
use crate::{
    circuit::PublicRun,
    graph::Interval,
    proof::{
        curve::{Curve, CurveId},
        protocol::{Polynomial, Protocol},
    },
};

/// First byte of the contract's scratch memory: room above Solidity's own `0x80` for what its compiler spills. With the IR
/// pipeline of solc 0.8.20, which spills most, that ends at 0x80 without a permutation, at 0x440 with one, at 0x500 in a batch;
/// memory is paid by the word. A contract whose compiler spills more refuses every call.
fn scratch<C: Curve>(protocol: &Protocol<C>, form: Form) -> usize {
    if form == Form::One && protocol.permutation.is_none() { 0x400 } else { 0x800 }
}

/// The contract cannot be generated.
#[derive(Debug, Error)]
pub enum VerifierError {
    #[error("the model has no public value: a proof that says nothing cannot be verified on chain")]
    NoPublicValue,
    #[error("the contract name \"{name}\" is not a Solidity identifier: use letters, digits and _, a letter first")]
    ContractName { name: String },
    #[error(
        "the contract name \"{name}\" is a word of Solidity, or of the suite that is written beside the contract; take another one, \
         such as {name}Verifier"
    )]
    ContractNameTaken { name: String },
    #[error("the verifying key has {found} public values, {ranges} ranges and {digests} digests")]
    Ranges { found: usize, ranges: usize, digests: usize },
    #[error("the layout reads its advice column at one row only, which this generator does not cover")]
    OneRotation,
    #[error(
        "the key's setup is not Ethereum's KZG ceremony, which the point evaluation precompile has built in; use that setup for bls12-381"
    )]
    Setup,
}

/// What the contract says about itself, beyond the protocol.
#[derive(Clone, Debug)]
pub struct ContractInfo {
    /// A Solidity identifier.
    pub name: String,
    /// One line: which model.
    pub model: String,
    /// One line: which setup.
    pub setup: String,
    /// One per public integer: its name and how many units make 1.0.
    pub outputs: Vec<(String, f64)>,
    /// Per public input the index of the public value that it is packed into, and one line: where, and what it means.
    pub public_inputs: Vec<(usize, String)>,
    /// One per digest: lines that say what it is of.
    pub digests: Vec<Vec<String>>,
}

/// How many proofs a contract takes in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    One,
    /// Any number: each is multiplied by another power of a hash of all of them, and the sum is checked once.
    Batch,
}

/// The source of the verifier contract.
///
/// `public_ranges` are the proved intervals of the public integers; the contract rejects values outside of them.
pub fn verifier_source<C: Curve>(
    protocol: &Protocol<C>,
    public_ranges: &[Interval],
    info: &ContractInfo,
) -> Result<String, VerifierError> {
    let mut generator = generator(protocol, public_ranges, info, Form::One)?;
    let mut steps = generator.steps();
    match C::ID {
        CurveId::Bn254 => steps.extend([bn254::commitments(&mut generator), bn254::pairing(&mut generator)]),
        CurveId::Bls12381 => {
            bls12_381::check_setup(protocol)?;
            steps.extend([bls12_381::commitments(&mut generator), bls12_381::point_evaluation(&mut generator)]);
        }
    }
    Ok(wrapped(&generator.contract(info, &steps)))
}

/// The source of the contract that verifies many proofs of the model in one call, with one pairing; `None` on BLS12-381, where
/// the last point of a proof is compressed.
pub fn batch_source<C: Curve>(
    protocol: &Protocol<C>,
    public_ranges: &[Interval],
    info: &ContractInfo,
) -> Result<Option<String>, VerifierError> {
    if C::ID != CurveId::Bn254 {
        return Ok(None);
    }
    let mut generator = generator(protocol, public_ranges, info, Form::Batch)?;
    let mut each = generator.steps();
    each.push(bn254::commitments(&mut generator));
    let all = [bn254::key_commitments(&mut generator), bn254::pairing(&mut generator)];
    Ok(Some(wrapped(&generator.batch_contract(info, &bn254::check(), &each, &all))))
}

fn generator<'a, C: Curve>(
    protocol: &'a Protocol<C>,
    public_ranges: &'a [Interval],
    info: &ContractInfo,
    form: Form,
) -> Result<Generator<'a, C>, VerifierError> {
    let public_values = protocol.public_values();
    if public_values == 0 {
        return Err(VerifierError::NoPublicValue);
    }
    let (ranges, digests) = (public_ranges.len(), info.digests.len());
    if public_values != ranges + digests {
        return Err(VerifierError::Ranges { found: public_values, ranges, digests });
    }
    check_name(&info.name)?;
    if protocol.rotations().len() < 2 {
        return Err(VerifierError::OneRotation);
    }
    Ok(Generator::new(protocol, public_ranges, form))
}

/// Names of contracts that [`super::Suite`] writes into files that import the verifier.
const SUITE: [&str; 3] = ["Consumer", "Deploy", "Vm"];

fn check_name(name: &str) -> Result<(), VerifierError> {
    let identifier = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(identifier) {
        return Err(VerifierError::ContractName { name: name.into() });
    }
    if is_reserved(name) || SUITE.contains(&name) {
        return Err(VerifierError::ContractNameTaken { name: name.into() });
    }
    Ok(())
}

/// A step of the verification: title, explanation, assembly.
pub(super) struct Step {
    pub title: &'static str,
    pub notes: Vec<&'static str>,
    pub block: Block,
}

/// A constant that a step asks for.
pub(super) struct Constant {
    pub name: String,
    pub value: String,
    pub comment: String,
}

/// A commitment that is multiplied, with its coordinates and scalar in consecutive memory.
pub(super) struct Term {
    pub comment: String,
    /// Slots of the point and of its scalar, which follows it.
    pub slot: String,
    pub scalar: String,
    pub point: Point,
}

/// Where a point comes from.
pub(super) enum Point {
    /// Constants of these names.
    Key(Vec<String>),
    /// Calldata at the position of this name.
    Proof(String),
}

pub(super) struct Generator<'a, C: Curve> {
    pub form: Form,
    pub protocol: &'a Protocol<C>,
    pub ranges: &'a [Interval],
    pub calldata: CalldataLayout,
    /// The outputs, if they are many.
    pub run: Option<PublicRun>,
    pub memory: Memory,
    pub constants: Vec<Constant>,
    pub terms: Vec<Term>,
    /// Memory slots whose values may be above `r`.
    pub kept: Vec<(String, Value)>,
}

impl<'a, C: Curve> Generator<'a, C> {
    fn new(protocol: &'a Protocol<C>, ranges: &'a [Interval], form: Form) -> Self {
        let context = if form == Form::One { SELECTOR } else { 0 };
        let mut memory = Memory::new(scratch(protocol, form));
        if form == Form::Batch {
            memory.reserve("RHO", 1);
            memory.reserve("RHO_POWER", 1);
        }
        Self {
            form,
            protocol,
            ranges,
            calldata: CalldataLayout::new(protocol, ranges.len(), context),
            run: protocol.shape.public_run(),
            memory,
            constants: Vec::new(),
            terms: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// The steps before the curve operations.
    fn steps(&mut self) -> Vec<Step> {
        vec![
            self.statement(),
            self.transcript(),
            self.closed_forms(),
            self.instances(),
            self.constraints(),
            self.opening(),
        ]
    }

    /// A position in calldata, by its name.
    pub fn position(&self, name: &str) -> String {
        match self.form {
            Form::One => name.into(),
            Form::Batch => format!("add(claim, {name})"),
        }
    }

    /// A constant of the contract; returns its name.
    pub fn constant(&mut self, name: impl Into<String>, value: String, comment: impl Into<String>) -> String {
        let name = name.into();
        if !self.constants.iter().any(|known| known.name == name) {
            self.constants.push(Constant { name: name.clone(), value, comment: comment.into() });
        }
        name
    }

    /// A scalar constant, as a value.
    pub fn scalar(&mut self, name: impl Into<String>, value: &C::Scalar, comment: impl Into<String>) -> Value {
        let name = self.constant(name, literal(value), comment);
        self.value(name)
    }

    /// A local or an expression that is at most `r`.
    pub fn value(&self, text: impl Into<String>) -> Value {
        Value::new::<C::Scalar>(text)
    }

    /// The value in a memory slot.
    pub fn slot(&self, name: &str) -> Value {
        let kept = self.kept.iter().find(|(slot, _)| slot == name);
        kept.map_or_else(|| self.value(load(name)), |(_, value)| value.clone())
    }

    /// A challenge that is not reduced, so only a factor.
    pub fn hash(&self, name: &str) -> Value {
        Value::factor::<C::Scalar>(load(name))
    }

    /// The word of calldata at a named position.
    pub fn word(&self, position: &str) -> Value {
        self.value(format!("calldataload({})", self.position(position)))
    }

    /// An evaluation.
    pub fn evaluation(&self, polynomial: Polynomial, rotation: i32) -> Value {
        self.word(&CalldataLayout::evaluation_name(polynomial, rotation))
    }

    /// Constants with the words of a point of the verifying key.
    pub fn key_point(&mut self, name: &str, point: &C::G1Affine) -> Point {
        let words = match C::ID {
            CurveId::Bn254 => C::point(point),
            CurveId::Bls12381 => bls12_381::padded(&C::point(point)),
        };
        let comment = |i| if i == 0 { "verifying key" } else { "" };
        let constant = |(i, word)| self.constant(format!("{name}_{i}"), hex_or_decimal(word), comment(i));
        Point::Key(words.iter().enumerate().map(constant).collect())
    }

    /// Opens a loop over the positions `at` of many public values in calldata, up to a named position.
    pub fn each_output(&self, block: &mut Block, end: &str) {
        let [start, end] = [OUTPUTS, end].map(|name| self.position(name));
        block.open(&format!("for {{ let at := {start} }} lt(at, {end}) {{ at := add(at, {WORD:#x}) }}"));
    }

    fn statement(&mut self) -> Step {
        let mut block = Block::default();
        block.line("let r := R");
        let separate = if self.run.is_some() { &[] } else { self.ranges };
        if self.run.is_some() {
            let (low, high) = self.ranges.iter().fold((i128::MAX, i128::MIN), |(a, b), r| (a.min(r.lo), b.max(r.hi)));
            self.constant("OUTPUTS_MIN", low.to_string(), "proved range of all outputs together");
            self.constant("OUTPUTS_MAX", high.to_string(), "");
            self.each_output(&mut block, if self.calldata.digest_count() > 0 { DIGESTS } else { ADVICE });
            block.line("let v := calldataload(at)");
            block.line("if or(slt(v, OUTPUTS_MIN), sgt(v, OUTPUTS_MAX)) { failure := 2 }");
            block.close();
        }
        for (i, range) in separate.iter().enumerate() {
            let [low, high] = [("MIN", range.lo), ("MAX", range.hi)].map(|(end, value)| {
                let comment = if end == "MIN" { "proved range of the output" } else { "" };
                self.constant(format!("OUTPUT{i}_{end}"), value.to_string(), comment)
            });
            let word = self.word(&self.calldata.public_value_name(i));
            let declare = if i == 0 { "let " } else { "" };
            block.line(format!("{declare}v := {word}"));
            block.line(format!("if or(slt(v, {low}), sgt(v, {high})) {{ failure := 2 }}"));
        }
        for digest in 0..self.calldata.digest_count() {
            let at = match self.run {
                Some(_) => self.value(format!("calldataload(add({}, {:#x}))", self.position(DIGESTS), digest * WORD)),
                None => self.word(&self.calldata.public_value_name(self.ranges.len() + digest)),
            };
            block.line(format!("if iszero(lt({at}, r)) {{ failure := 2 }}"));
        }
        block.comment("every evaluation below the order of the group");
        for (i, pair) in self.calldata.scalars().chunks(2).enumerate() {
            let below = pair.iter().map(|scalar| format!("lt({}, r)", self.word(&scalar.name)));
            let below = below.reduce(|a, b| format!("and({a}, {b})")).unwrap_or_default();
            if i == 0 {
                block.line(format!("let canonical := {below}"));
            } else {
                block.line(format!("canonical := and({below}, canonical)"));
            }
        }
        block.line("if gt(iszero(canonical), failure) { failure := 3 }");
        Step {
            title: "Statement",
            notes: vec!["Outputs in their proved ranges, scalars canonical: no value has two encodings."],
            block,
        }
    }

    fn transcript(&mut self) -> Step {
        let p = self.protocol;
        let cd = &self.calldata;
        // the buffer is the calldata up to the last point, with the digest in place of what precedes the context
        let at = |position: usize| position - cd.context + WORD;
        let words = at(cd.last) / WORD;
        let (quotient, evaluations, opening, last) = (at(cd.quotient), at(cd.evaluations), at(cd.opening), at(cd.last));
        let (second, product) = (at(cd.second), at(cd.product));
        let buffer = self.memory.reserve("BUFFER", words);
        self.memory.alias("Y", &buffer, quotient - WORD);
        self.memory.alias("NU", &buffer, opening - WORD);
        self.memory.reserve("X", 1);
        self.memory.reserve("MU", 1);
        let digest = hex_or_decimal(&p.digest());
        self.constant("PROTOCOL_DIGEST", digest, "Keccak-256 of the verifying key and everything else that is fixed");

        let from = |offset: usize| super::yul::at(&buffer, offset);
        let hash = |start: usize, end: usize| format!("keccak256({}, {:#x})", from(start), end - start);
        let mut block = Block::default();
        block.line("let r := R");
        block.line(format!("mstore({buffer}, PROTOCOL_DIGEST)"));
        let start = if self.form == Form::One { SELECTOR.to_string() } else { "claim".into() };
        block.line(format!("calldatacopy({}, {start}, {:#x})", from(WORD), last - WORD));
        block.comment("the digest, the context, the outputs and the first point");
        let mut hashed = 0;
        if p.phases > 1 {
            // as many words before the second point as there are challenges
            for (i, name) in BETWEEN.iter().take(p.challenges).enumerate() {
                self.memory.alias(*name, &buffer, second - WORD * (p.challenges - i));
            }
            block.line(format!("mstore(ALPHA, {})", hash(0, second)));
            if p.challenges > 1 {
                block.line(format!("mstore(THETA, keccak256(ALPHA, {WORD:#x}))"));
            }
            block.comment("the advice column of the second phase");
            hashed = second - WORD;
        }
        if p.permutation.is_some() {
            self.memory.alias("BETA", &buffer, product - 2 * WORD);
            self.memory.reserve("GAMMA", 1);
            block.line(format!("mstore(BETA, {})", hash(hashed, product)));
            block.line(format!("let gamma := keccak256(BETA, {WORD:#x})"));
            block.line("mstore(GAMMA, mod(gamma, r))");
            block.line(format!("mstore({}, gamma)", from(product - WORD)));
            block.comment("the running product of the permutation");
            block.line(format!("mstore(Y, {})", hash(product - WORD, quotient)));
        } else {
            block.line(format!("mstore(Y, {})", hash(hashed, quotient)));
        }
        block.comment("the quotient");
        block.line(format!("let x := {}", hash(quotient - WORD, evaluations)));
        block.line("mstore(X, mod(x, r))");
        block.line(format!("mstore({}, x)", from(evaluations - WORD)));
        block.comment("the evaluations");
        block.line(format!("mstore(NU, {})", hash(evaluations - WORD, opening)));
        block.comment("the first point of the opening");
        block.line(format!("mstore(MU, mod({}, r))", hash(opening - WORD, last)));
        let mut notes = vec![
            "Each challenge is the hash of the hash before it and of what the prover has sent since: in the copy of the",
            "calldata it takes the place of the last word that has been hashed, and the next hash starts there.",
            "Challenges that are only ever factors are used as they are, others are reduced modulo r.",
            "BETA, GAMMA: permutation; Y: constraints; X: evaluation point; NU, MU: opening.",
        ];
        if p.phases > 1 {
            let note = match p.challenges {
                1 => "ALPHA: what the second advice column depends on; drawn when the first is committed to.",
                _ => "ALPHA, THETA: what the second advice column depends on; drawn when the first is committed to.",
            };
            notes.push(note);
        }
        Step { title: "Transcript", notes, block }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_names_are_free() {
        for name in ["CreditVerifier", "C", "Vmx", "credit_2", "Hex"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2x", "_x", "größe", "a b"] {
            assert!(matches!(check_name(name), Err(VerifierError::ContractName { .. })), "{name}");
        }
        for name in ["contract", "hex", "uint256", "fixed128x18", "Consumer", "Deploy", "Vm"] {
            assert!(matches!(check_name(name), Err(VerifierError::ContractNameTaken { .. })), "{name}");
        }
    }
}
