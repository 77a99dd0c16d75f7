//! Generates the verifier contract from the protocol description.
//!
//! The contract is a straight line: check the statement, follow the transcript, invert one product, evaluate the
//! constraints at `x`, fold all commitments into two points, pair them. Each step is one commented block of assembly that
//! leaves its results in named memory slots.

use ff::{Field, PrimeField};
use halo2curves::bn256::Fr;
use thiserror::Error;

use super::{
    layout::{CalldataLayout, Memory, Named, SELECTOR, WORD},
    yul::{Block, Emitter, add, calldata, hex_or_decimal, literal, load, mul, neg, store},
};
use crate::{
    graph::Interval,
    proof::{
        encode,
        protocol::{Column, Denominator, Expression, InstanceColumn, Polynomial, Protocol},
    },
};

/// The contract cannot be generated.
#[derive(Debug, Error)]
pub enum VerifierError {
    #[error("the model has no public value: a proof that says nothing cannot be verified on chain")]
    NoPublicValue,
    #[error("the contract name \"{name}\" is not a Solidity identifier: use letters, digits and _, a letter first")]
    ContractName { name: String },
    #[error("the verifying key has {found} public values and {ranges} ranges")]
    Ranges { found: usize, ranges: usize },
    #[error("no commitment is opened at every rotation, which this generator relies on")]
    FirstRotationSet,
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
    /// One per public value: its name and how many units make 1.0.
    pub outputs: Vec<(String, f64)>,
}

/// The source of the verifier contract.
///
/// `public_ranges` are the proved intervals of the public values; the contract rejects values outside of them.
pub fn verifier_source(
    protocol: &Protocol,
    public_ranges: &[Interval],
    info: &ContractInfo,
) -> Result<String, VerifierError> {
    let public_values = protocol.public_rows().len();
    if public_values == 0 {
        return Err(VerifierError::NoPublicValue);
    }
    if public_values != public_ranges.len() {
        return Err(VerifierError::Ranges { found: public_values, ranges: public_ranges.len() });
    }
    let identifier = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !info.name.starts_with(|c: char| c.is_ascii_alphabetic()) || !info.name.chars().all(identifier) {
        return Err(VerifierError::ContractName { name: info.name.clone() });
    }
    let sets = protocol.rotation_sets();
    if sets.first().is_none_or(|set| set.rotations != protocol.rotations()) {
        return Err(VerifierError::FirstRotationSet);
    }
    let mut generator = Generator {
        protocol,
        ranges: public_ranges,
        calldata: CalldataLayout::new(protocol),
        memory: Memory::new(),
        constants: Vec::new(),
    };
    let steps = [
        generator.statement(),
        generator.transcript(),
        generator.inversion(),
        generator.instances(),
        generator.constraints(),
        generator.opening(),
        generator.commitments(),
        generator.pairing(),
    ];
    Ok(generator.contract(info, &steps))
}

/// A step of the verification: title, explanation, assembly.
pub(super) struct Step {
    pub title: &'static str,
    pub notes: Vec<String>,
    pub block: Block,
}

pub(super) struct Generator<'a> {
    pub protocol: &'a Protocol,
    pub ranges: &'a [Interval],
    pub calldata: CalldataLayout,
    pub memory: Memory,
    /// `(name, literal, comment)` of constants that steps ask for.
    pub constants: Vec<(String, String, String)>,
}

fn rotation_suffix(rotation: i32) -> String {
    if rotation < 0 { format!("MINUS{}", -rotation) } else { rotation.to_string() }
}

impl Generator<'_> {
    fn constant(&mut self, name: impl Into<String>, value: String, comment: impl Into<String>) -> String {
        let name = name.into();
        if !self.constants.iter().any(|(known, ..)| *known == name) {
            self.constants.push((name.clone(), value, comment.into()));
        }
        name
    }

    fn scalar(&mut self, name: impl Into<String>, value: &Fr, comment: impl Into<String>) -> String {
        self.constant(name, literal(value), comment)
    }

    /// Position of an evaluation, by name.
    fn evaluation(&self, polynomial: Polynomial, rotation: i32) -> String {
        calldata(&CalldataLayout::evaluation_name(polynomial, rotation))
    }

    fn statement(&mut self) -> Step {
        let mut block = Block::default();
        block.line("let r := R");
        for (i, range) in self.ranges.iter().enumerate() {
            self.constants.push((format!("OUTPUT{i}_MIN"), range.lo.to_string(), "proved range of the output".into()));
            self.constants.push((format!("OUTPUT{i}_MAX"), range.hi.to_string(), String::new()));
            let declare = if i == 0 { "let " } else { "" };
            block.line(format!("{declare}v := calldataload({})", self.calldata.public_values + WORD * i));
            block.line(format!("if or(slt(v, OUTPUT{i}_MIN), sgt(v, OUTPUT{i}_MAX)) {{ failure := 2 }}"));
        }
        block.comment("every evaluation, and the inverse, below the order of the group");
        block.line("let canonical := lt(calldataload(INVERSE), r)");
        for Named { name, .. } in self.calldata.evaluations() {
            block.line(format!("canonical := and(canonical, lt(calldataload({name}), r))"));
        }
        block.line("if and(iszero(canonical), iszero(failure)) { failure := 3 }");
        Step {
            title: "Statement",
            notes: vec!["Outputs in their proved ranges, scalars canonical: no value has two encodings.".into()],
            block,
        }
    }

    fn transcript(&mut self) -> Step {
        let p = self.protocol;
        let cd = &self.calldata;
        let first = WORD * (2 + p.public_rows().len()) + 2 * WORD * p.advice_columns;
        let words = [
            first,
            WORD + 2 * WORD * p.products(),
            WORD + 2 * WORD * p.quotient_pieces,
            WORD + WORD * p.evaluations().len(),
            3 * WORD,
        ];
        let buffer = self.memory.reserve("BUFFER", words.iter().max().unwrap_or(&0) / WORD);
        let (products, quotient) = (cd.products(), cd.quotient);
        let (evaluations, opening) = (cd.evaluations, cd.opening);
        let digest = hex_or_decimal(&p.digest());
        self.constant("PROTOCOL_DIGEST", digest, "Keccak-256 of the verifying key and everything else that is fixed");

        let mut block = Block::default();
        block.line("let r := R").line("let h");
        let mut challenge = |block: &mut Block, slot: &str, bytes: usize| {
            let slot = self.memory.reserve(slot, 1);
            block.line(format!("h := keccak256({buffer}, {bytes})"));
            block.line(format!("mstore({buffer}, h)"));
            block.line(store(&slot, "mod(h, r)"));
        };
        block.comment("digest, context, outputs, advice commitments");
        block.line(format!("mstore({buffer}, PROTOCOL_DIGEST)"));
        block.line(format!("calldatacopy(add({buffer}, {WORD}), {SELECTOR}, {})", first - WORD));
        challenge(&mut block, "BETA", first);
        challenge(&mut block, "GAMMA", WORD);
        let mut absorb = |block: &mut Block, what: &str, position: usize, bytes: usize, slots: &[&str]| {
            block.comment(what);
            block.line(format!("calldatacopy(add({buffer}, {WORD}), {position}, {bytes})"));
            for (i, slot) in slots.iter().enumerate() {
                challenge(block, slot, if i == 0 { WORD + bytes } else { WORD });
            }
        };
        absorb(&mut block, "running products of the permutation", products, 2 * WORD * p.products(), &["Y"]);
        absorb(&mut block, "quotient pieces", quotient, 2 * WORD * p.quotient_pieces, &["X"]);
        absorb(&mut block, "evaluations", evaluations, WORD * p.evaluations().len(), &["ZETA", "NU"]);
        absorb(&mut block, "first commitment of the opening", opening, 2 * WORD, &["MU"]);
        Step {
            title: "Transcript",
            notes: vec![
                "Each challenge is the hash of the hash before it and of what the prover has sent since.".into(),
                "BETA and GAMMA: permutation; Y: constraints; X: evaluation point; ZETA, NU and MU: opening.".into(),
            ],
            block,
        }
    }

    fn inversion(&mut self) -> Step {
        let p = self.protocol;
        let denominators = p.denominators();
        let mut block = Block::default();
        block.line("let r := R").line("let x := mload(X)");

        block.comment(format!("x^(n/2) and x^n for n = 2^{}", p.k));
        let (half, full) = (self.memory.reserve("X_HALF", 1), self.memory.reserve("X_N", 1));
        block.line("let p := mulmod(x, x, r)");
        (2..p.k).for_each(|_| {
            block.line("p := mulmod(p, p, r)");
        });
        block.line(store(&half, "p")).line("p := mulmod(p, p, r)").line(store(&full, "p"));

        block.comment("factors, and the products of all factors up to each");
        let factors = self.memory.reserve("FACTORS", denominators.len());
        let prefixes = self.memory.reserve("PREFIXES", denominators.len());
        let at = |slot: &str, i: usize| if i == 0 { slot.to_string() } else { format!("add({slot}, {})", WORD * i) };
        block.line("let d");
        for (i, denominator) in denominators.iter().enumerate() {
            let factor = match *denominator {
                Denominator::Row(row) => {
                    let omega = self.row_constant(row);
                    add("x", &neg(&omega))
                }
                Denominator::Vanishing => add(&load(&full), &neg("1")),
                Denominator::Point => "x".into(),
            };
            block.line(format!("d := {factor}"));
            block.line(store(&at(&factors, i), "d"));
            block.line(if i == 0 { "p := d".into() } else { format!("p := {}", mul("p", "d")) });
            block.line(store(&at(&prefixes, i), "p"));
        }

        block.comment(
            "a write that the optimizer cannot follow: with via-IR it would otherwise keep all factors on the stack",
        );
        block.line("mstore8(0, 0)");
        block.comment("the prover brings the inverse of the product; p * inverse = 1 also says that no factor is zero");
        block.line("let inverse := calldataload(INVERSE)");
        block.line(format!("if iszero(eq({}, 1)) {{ failure := 4 }}", mul("p", "inverse")));

        block.comment(
            "back down, inverses one by one; Lagrange polynomials are omega^row (x^n - 1) / n / (x - omega^row)",
        );
        let n_inverse = Fr::from(p.n() as u64).invert().unwrap_or(Fr::ZERO);
        let n_inverse = self.scalar("N_INVERSE", &n_inverse, "1 / n");
        for (i, denominator) in denominators.iter().enumerate().rev() {
            let one = if i == 0 { "inverse".into() } else { mul("inverse", &load(&at(&prefixes, i - 1))) };
            let (slot, value) = match *denominator {
                Denominator::Row(row) => {
                    let omega = self.row_constant(row);
                    let value = if row == 0 { one } else { mul(&one, &omega) };
                    (format!("LAGRANGE_{}", rotation_suffix(row)), value)
                }
                Denominator::Vanishing => ("INVERSE_VANISHING".into(), one),
                Denominator::Point => ("INVERSE_X".into(), one),
            };
            let slot = self.memory.reserve(slot, 1);
            block.line(store(&slot, &value));
            if i > 0 {
                let factor = load(&at(&factors, i));
                block.line(format!("inverse := {}", mul("inverse", &factor)));
                if *denominator == Denominator::Vanishing {
                    block.comment("from here on times (x^n - 1) / n, which all Lagrange polynomials have");
                    block.line(format!("inverse := {}", mul("inverse", &mul(&factor, &n_inverse))));
                }
            }
        }
        Step {
            title: "One inversion",
            notes: vec!["All denominators are inverted at once, from the inverse of their product.".into()],
            block,
        }
    }

    /// The constant `omega^row`, or the literal 1.
    fn row_constant(&mut self, row: i32) -> String {
        if row == 0 {
            return "1".into();
        }
        let value = self.protocol.omega_power(row);
        let comment = if row < 0 { format!("omega^{row}") } else { format!("omega^{row}, row of an output") };
        self.scalar(format!("OMEGA_{}", rotation_suffix(row)), &value, comment)
    }

    fn lagrange(row: i32) -> String {
        load(&format!("LAGRANGE_{}", rotation_suffix(row)))
    }

    fn instances(&mut self) -> Step {
        let mut block = Block::default();
        block.line("let r := R").line("let v");
        for (i, column) in self.protocol.instance_columns.iter().enumerate() {
            let slot = self.memory.reserve(format!("INSTANCE{i}"), 1);
            match column {
                InstanceColumn::Public { constants, rows } => {
                    block.comment("public values in their rows; a negative value v is r - |v|");
                    for (j, (row, value)) in constants.iter().enumerate() {
                        let lagrange = Self::lagrange(*row as i32);
                        let term = if *value == 1 { lagrange } else { mul(&lagrange, &value.to_string()) };
                        block.line(format!("v := {}", if j == 0 { term } else { add("v", &term) }));
                    }
                    if constants.is_empty() {
                        block.line("v := 0");
                    }
                    block.line("let y");
                    for (j, row) in rows.iter().enumerate() {
                        block.line(format!("y := calldataload({})", self.calldata.public_values + WORD * j));
                        let term = mul("add(y, mul(r, slt(y, 0)))", &Self::lagrange(*row as i32));
                        block.line(format!("v := {}", add("v", &term)));
                    }
                }
                InstanceColumn::EvenRows { off } => {
                    block.comment(format!(
                        "1 on even rows but the last {off} rows: (1 + x^(n/2)) / 2 less their Lagrange polynomials"
                    ));
                    let half = self.scalar("ONE_HALF", &Fr::TWO_INV, "1 / 2");
                    block.line(format!("v := {}", mul(&add("mload(X_HALF)", "1"), &half)));
                    for row in self.protocol.off_rows(*off) {
                        block.line(format!("v := {}", add("v", &neg(&Self::lagrange(row)))));
                    }
                }
            }
            block.line(store(&slot, "v"));
        }
        Step {
            title: "Instance columns",
            notes: vec!["Not committed: evaluated here from the outputs and from closed forms.".into()],
            block,
        }
    }

    fn leaf(&self, expression: &Expression) -> String {
        match *expression {
            Expression::Query(Column::Advice(i), rotation) => self.evaluation(Polynomial::Advice(i), rotation),
            Expression::Query(Column::Fixed(i), rotation) => self.evaluation(Polynomial::Fixed(i), rotation),
            Expression::Query(Column::Instance(i), _) => load(&format!("INSTANCE{i}")),
            _ => String::new(),
        }
    }

    fn constraints(&mut self) -> Step {
        let p = self.protocol;
        let mut block = Block::default();
        block.line("let r := R").line("let y := mload(Y)").line("let h");
        let mut first = true;
        let mut fold = |block: &mut Block, value: &str| {
            let folded = if first { value.to_string() } else { add(&mul("h", "y"), value) };
            block.line(format!("h := {folded}"));
            first = false;
        };

        for (i, gate) in p.gates.iter().enumerate() {
            block.comment(format!("gate {i}")).open("");
            let value = Emitter::emit(&mut block, gate, &|leaf| self.leaf(leaf));
            fold(&mut block, &value);
            block.close();
        }

        let product = |i: usize, rotation: i32| self.evaluation(Polynomial::Product(i), rotation);
        let (first_row, last_row) = (Self::lagrange(0), Self::lagrange(p.last_rotation()));
        if p.products() > 0 {
            block.comment("permutation: the running product starts at one").open("");
            block.line(format!("let z := {}", product(0, 0)));
            fold(&mut block, &mul(&first_row, &add("1", &neg("z"))));
            block.close().comment("and ends at one or zero").open("");
            block.line(format!("let z := {}", product(p.products() - 1, 0)));
            block.line(format!("z := {}", mul("z", &add("z", &neg("1")))));
            fold(&mut block, &mul(&last_row, "z"));
            block.close();
        }
        for i in 1..p.products() {
            block.comment("each product goes on where the one before it ended").open("");
            let step = add(&product(i, 0), &neg(&product(i - 1, p.last_rotation())));
            block.line(format!("let z := {step}"));
            fold(&mut block, &mul(&first_row, "z"));
            block.close();
        }
        if p.products() > 0 {
            block.comment(
                "on active rows its ratio is (column + beta * identity + gamma) / (column + beta * sigma + gamma)",
            );
            block.open("");
            block.line("let beta := mload(BETA)").line("let gamma := mload(GAMMA)");
            block.line(format!("let inactive := {}", Self::lagrange(p.last_rotation())));
            for row in p.last_rotation() + 1..0 {
                block.line(format!("inactive := {}", add("inactive", &Self::lagrange(row))));
            }
            block.line(format!("let active := {}", add("1", &neg("inactive"))));
            block.line(format!("let id := {}", mul("beta", "mload(X)")));
            for (chunk_index, chunk) in p.permutation.chunks(p.permutation_chunk).enumerate() {
                block.open("");
                block.line(format!("let left := {}", product(chunk_index, 1)));
                block.line(format!("let right := {}", product(chunk_index, 0)));
                for (j, column) in chunk.iter().enumerate() {
                    let index = chunk_index * p.permutation_chunk + j;
                    let column = self.leaf(&Expression::Query(*column, 0));
                    block.line(format!("{}c := {}", if j == 0 { "let " } else { "" }, add(&column, "gamma")));
                    let sigma = self.evaluation(Polynomial::Sigma(index), 0);
                    block.line(format!("left := {}", mul("left", &add("c", &mul("beta", &sigma)))));
                    block.line(format!("right := {}", mul("right", &add("c", "id"))));
                    if index + 1 < p.permutation.len() {
                        block.line(format!("id := {}", mul("id", &literal(&Fr::DELTA))));
                    }
                }
                fold(&mut block, &mul("active", &add("left", &neg("right"))));
                block.close();
            }
            block.close();
        }
        let slot = self.memory.reserve("EVAL_QUOTIENT", 1);
        block.comment("all constraints vanish on the domain if and only if their sum is quotient * (x^n - 1)");
        block.line(store(&slot, &mul("h", "mload(INVERSE_VANISHING)")));
        Step {
            title: "Constraints",
            notes: vec!["All constraints at x, combined by powers of y: what the quotient must evaluate to.".into()],
            block,
        }
    }

    fn opening(&mut self) -> Step {
        let p = self.protocol;
        let (sets, rotations) = (p.rotation_sets(), p.rotations());
        let mut block = Block::default();
        block.line("let r := R").line("let zeta := mload(ZETA)");
        block.open("");
        block.line("let mu := mload(MU)").line("let x := mload(X)");
        block.comment("mu - omega^rotation x");
        for &rotation in &rotations {
            let slot = self.memory.reserve(format!("DISTANCE_{}", rotation_suffix(rotation)), 1);
            let point = if rotation == 0 {
                "x".into()
            } else {
                let value = p.omega_power(rotation);
                let omega =
                    self.scalar(format!("OMEGA_{}", rotation_suffix(rotation)), &value, format!("omega^{rotation}"));
                mul("x", &omega)
            };
            block.line(store(&slot, &add("mu", &neg(&point))));
        }
        block.close();

        let distance = |rotation: i32| load(&format!("DISTANCE_{}", rotation_suffix(rotation)));
        block.line("let remainder").line("let power := 1");
        for (s, set) in sets.iter().enumerate() {
            let width = set.rotations.len();
            let names: Vec<String> = set.rotations.iter().map(|&r| rotation_suffix(r)).collect();
            block.comment(format!("polynomials opened at rotations {}", names.join(", "))).open("");
            let scale_slot = self.memory.reserve(format!("SCALE{s}"), 1);
            block.line("let scale := power");
            for &other in rotations.iter().filter(|rotation| !set.rotations.contains(rotation)) {
                block.line(format!("scale := {}", mul("scale", &distance(other))));
            }
            block.line(store(&scale_slot, "scale"));

            block.line("let sum").line("let e");
            for (j, &rotation) in set.rotations.iter().enumerate() {
                // sum of zeta^i * evaluation i, by Horner from the last polynomial
                let evaluation = |polynomial: Polynomial| match polynomial {
                    Polynomial::Quotient => load("EVAL_QUOTIENT"),
                    polynomial => self.evaluation(polynomial, rotation),
                };
                for (i, &polynomial) in set.polynomials.iter().rev().enumerate() {
                    let value = evaluation(polynomial);
                    block.line(format!("e := {}", if i == 0 { value } else { add(&mul("e", "zeta"), &value) }));
                }
                if width > 1 {
                    let others = set.rotations.iter().copied().filter(|&other| other != rotation);
                    let gaps: Fr = others.clone().map(|o| p.omega_power(rotation) - p.omega_power(o)).product();
                    let weight = gaps.invert().unwrap_or(Fr::ZERO);
                    let weight =
                        self.scalar(format!("WEIGHT{s}_{}", rotation_suffix(rotation)), &weight, "interpolation");
                    block.line(format!("e := {}", mul("e", &weight)));
                    for other in others {
                        block.line(format!("e := {}", mul("e", &distance(other))));
                    }
                }
                block.line(format!("sum := {}", if j == 0 { "e".into() } else { add("sum", "e") }));
            }
            if width > 1 {
                block.comment(format!("the points are x times constants: one division by x^{}", width - 1));
                block.line("e := mload(INVERSE_X)");
                for _ in 1..width {
                    block.line(format!("sum := {}", mul("sum", "e")));
                }
            }
            block.line(format!("remainder := {}", add("remainder", &mul("scale", "sum"))));
            if s + 1 < sets.len() {
                block.line(format!("power := {}", mul("power", "mload(NU)")));
            }
            block.close();
        }
        let remainder = self.memory.reserve("REMAINDER", 1);
        block.line(store(&remainder, "remainder"));
        Step {
            title: "Opening: scalars",
            notes: vec![
                "SHPLONK (eprint 2020/081): interpolate each set's evaluations, evaluate at mu, combine.".into(),
            ],
            block,
        }
    }

    fn commitments(&mut self) -> Step {
        let p = self.protocol;
        let sets = p.rotation_sets();
        let accumulator = self.memory.reserve("POINT", 2);
        let term = self.memory.reserve("TERM", 2);
        let factor = self.memory.reserve("FACTOR", 1);
        // the pairing's input starts at POINT as well, and has twelve words
        self.memory.reserve("PAIRING_REST", 7);
        let mut block = Block::default();
        block.line("let r := R").line("let ok := 1").line("let s := 1");

        let term_from_calldata = |position: usize| vec![format!("calldatacopy({term}, {position}, 0x40)")];
        let multiply_add = |block: &mut Block, load_term: Vec<String>, scalar: &str| {
            load_term.iter().for_each(|line| {
                block.line(line);
            });
            block.line(store(&factor, scalar));
            block.line(format!("ok := and(ok, staticcall(ECMUL_GAS, ECMUL, {term}, 0x60, {term}, 0x40))"));
            block
                .line(format!("ok := and(ok, staticcall(ECADD_GAS, ECADD, {accumulator}, 0x80, {accumulator}, 0x40))"));
        };
        for (s, set) in sets.iter().enumerate() {
            for (i, &polynomial) in set.polynomials.iter().enumerate() {
                if i == 0 {
                    if s > 0 {
                        block.line(format!("s := mload(SCALE{s})"));
                    }
                } else {
                    block.line(format!("s := {}", mul("s", "mload(ZETA)")));
                }
                let (name, lines) = match polynomial {
                    Polynomial::Fixed(i) => {
                        (format!("fixed column {i}"), self.key_point(&term, &format!("FIXED{i}"), &p.fixed[i]))
                    }
                    Polynomial::Sigma(i) => {
                        (format!("permutation column {i}"), self.key_point(&term, &format!("SIGMA{i}"), &p.sigma[i]))
                    }
                    Polynomial::Quotient => {
                        block.comment("quotient, piece by piece");
                        for piece in 0..p.quotient_pieces {
                            if piece > 0 {
                                block.line(format!("s := {}", mul("s", "mload(X_N)")));
                            }
                            let position = self.calldata.quotient + 2 * WORD * piece;
                            multiply_add(&mut block, term_from_calldata(position), "s");
                        }
                        continue;
                    }
                    polynomial @ (Polynomial::Advice(c) | Polynomial::Product(c)) => {
                        let position = self.calldata.commitment(polynomial).unwrap_or_default();
                        let name = match polynomial {
                            Polynomial::Advice(_) => format!("advice column {c}"),
                            _ => format!("running product {c}"),
                        };
                        if s == 0 && i == 0 {
                            // its factor is one; it is checked to be on the curve by the first addition
                            block.comment(name).line(format!("calldatacopy({accumulator}, {position}, 0x40)"));
                            continue;
                        }
                        (name, term_from_calldata(position))
                    }
                };
                block.comment(name);
                multiply_add(&mut block, lines, "s");
            }
        }
        block.comment("less the interpolated values, times the generator (1, 2)");
        let generator = vec![store(&term, "1"), store(&format!("add({term}, 0x20)"), "2")];
        multiply_add(&mut block, generator, &neg("mload(REMAINDER)"));
        block.comment("less the opening's first commitment times the product of all distances");
        let all = p.rotations().iter().map(|&r| load(&format!("DISTANCE_{}", rotation_suffix(r)))).collect::<Vec<_>>();
        block.line(format!("s := {}", all[0]));
        all[1..].iter().for_each(|distance| {
            block.line(format!("s := {}", mul("s", distance)));
        });
        multiply_add(&mut block, term_from_calldata(self.calldata.opening), &neg("s"));
        block.comment("plus the opening's second commitment times mu");
        multiply_add(&mut block, term_from_calldata(self.calldata.opening_quotient), "mload(MU)");
        block.comment("a missing precompile answers with nothing");
        block.open("if iszero(and(ok, eq(returndatasize(), 0x40)))");
        block.comment("a call that ran out of gas leaves less than this, and says nothing about the proof");
        block.line("if lt(gas(), div(ECMUL_GAS, 63)) { revert(0, 0) }");
        block.line("failure := 5").close();
        Step {
            title: "Opening: commitments",
            notes: vec![
                "POINT := POINT + factor * TERM for every commitment. Each point of the proof passes through a precompile,".into(),
                "which checks that its coordinates are reduced and that it is on the curve.".into(),
            ],
            block,
        }
    }

    /// Lines that load a commitment of the verifying key.
    fn key_point(&mut self, term: &str, name: &str, point: &halo2curves::bn256::G1Affine) -> Vec<String> {
        let words = encode::g1(point);
        let x = self.constant(format!("{name}_X"), hex_or_decimal(&words[0]), "verifying key");
        let y = self.constant(format!("{name}_Y"), hex_or_decimal(&words[1]), "");
        vec![store(term, &x), store(&format!("add({term}, 0x20)"), &y)]
    }

    fn pairing(&mut self) -> Step {
        let p = self.protocol;
        let minus_s_g2 = -p.s_g2;
        let mut block = Block::default();
        for (i, word) in encode::g2(&p.g2).iter().enumerate() {
            let name = self.constant(
                format!("G2_{i}"),
                hex_or_decimal(word),
                if i == 0 { "generator of G2, imaginary parts first" } else { "" },
            );
            block.line(store(&format!("add(POINT, {})", 0x40 + WORD * i), &name));
        }
        block.line(format!("calldatacopy(add(POINT, 0xc0), {}, 0x40)", self.calldata.opening_quotient));
        for (i, word) in encode::g2(&minus_s_g2).iter().enumerate() {
            let comment = if i == 0 { "minus the setup's secret times the generator of G2" } else { "" };
            let name = self.constant(format!("MINUS_S_G2_{i}"), hex_or_decimal(word), comment);
            block.line(store(&format!("add(POINT, {})", 0x100 + WORD * i), &name));
        }
        block.comment("the input is valid: the call can only fail for want of gas, which says nothing about the proof");
        block.line("if iszero(staticcall(gas(), PAIRING, POINT, 0x180, POINT, 0x20)) { revert(0, 0) }");
        block.comment("a missing precompile answers with nothing");
        block.line("if iszero(and(eq(returndatasize(), 0x20), eq(mload(POINT), 1))) { failure := 6 }");
        Step { title: "Pairing", notes: vec!["e(POINT, [1]_2) = e(opening, [s]_2).".into()], block }
    }
}
