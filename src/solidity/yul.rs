//! Field arithmetic as Yul: sums that are reduced only where they must be, expressions with shared parts in locals.

use std::{collections::HashMap, fmt::Write};

use ff::PrimeField;

use crate::proof::{
    curve::{Word, scalar_word},
    protocol::Expression,
};

/// Longest expression that is written inline; longer ones become locals.
const MAX_INLINE: usize = 80;

/// A block of assembly under construction.
#[derive(Debug, Default)]
pub struct Block {
    lines: Vec<String>,
    depth: usize,
}

impl Block {
    /// A comment line.
    pub fn comment(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.line(format!("// {}", text.as_ref()))
    }

    /// One statement.
    pub fn line(&mut self, statement: impl AsRef<str>) -> &mut Self {
        self.lines.push(format!("{}{}", "    ".repeat(self.depth), statement.as_ref()));
        self
    }

    /// Open a scope; `head` is what precedes the brace, if anything.
    pub fn open(&mut self, head: &str) -> &mut Self {
        let brace = if head.is_empty() { "{".to_string() } else { format!("{head} {{") };
        self.line(brace);
        self.depth += 1;
        self
    }

    /// Close the scope.
    pub fn close(&mut self) -> &mut Self {
        self.depth -= 1;
        self.line("}")
    }

    /// `let name := value`.
    pub fn define(&mut self, name: &str, value: &Value) -> &mut Self {
        self.line(format!("let {name} := {value}"))
    }

    /// `name := value`.
    pub fn assign(&mut self, name: &str, value: &Value) -> &mut Self {
        self.line(format!("{name} := {value}"))
    }

    /// `mstore(slot, value)`.
    pub fn store(&mut self, slot: &str, value: &Value) -> &mut Self {
        self.line(store(slot, value))
    }

    /// The finished lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// A Yul expression that is congruent to a field element modulo `r`, and at most `bound * r`.
///
/// `mulmod` and `addmod` take any words, so a sum need not be reduced as long as it does not wrap around at 2^256: its
/// bound stays at or below `limit`, the number of times that `r` fits into a word.
#[derive(Clone, Debug)]
pub struct Value {
    text: String,
    bound: u32,
    limit: u32,
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Value {
    /// A word that is at most `r`.
    pub fn new<F: PrimeField<Repr: Into<[u8; 32]>>>(text: impl Into<String>) -> Self {
        let [top, ..] = scalar_word(&-F::ONE);
        Self { text: text.into(), bound: 1, limit: 256 / (u32::from(top) + 1) }
    }

    /// The same, but any word: it is only ever a factor.
    pub fn factor<F: PrimeField<Repr: Into<[u8; 32]>>>(text: impl Into<String>) -> Self {
        let value = Self::new::<F>(text);
        Self { bound: value.limit + 1, ..value }
    }

    fn with(&self, text: String, bound: u32) -> Self {
        Self { text, bound, limit: self.limit }
    }

    /// The value once it is in a local or a memory slot of this name.
    pub fn named(&self, name: &str) -> Self {
        self.with(name.into(), self.bound)
    }

    pub fn times(&self, other: &Self) -> Self {
        self.with(format!("mulmod({self}, {other}, r)"), 1)
    }

    pub fn plus(&self, other: &Self) -> Self {
        let bound = self.bound + other.bound;
        if bound > self.limit { self.plus_reduced(other) } else { self.with(format!("add({self}, {other})"), bound) }
    }

    /// The sum, below `r`.
    pub fn plus_reduced(&self, other: &Self) -> Self {
        self.with(format!("addmod({self}, {other}, r)"), 1)
    }

    pub fn negated(&self) -> Self {
        match self.bound {
            1 => self.with(format!("sub(r, {self})"), 1),
            _ => self.with(format!("sub(r, mod({self}, r))"), 1),
        }
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    /// Whether writing the text twice costs no more than a local.
    fn is_leaf(&self) -> bool {
        self.text.matches('(').count() <= 1
    }
}

/// The product of all values.
pub fn product(values: &[Value]) -> Option<Value> {
    values.iter().cloned().reduce(|product, value| product.times(&value))
}

/// `mload(slot)`.
pub fn load(slot: &str) -> String {
    format!("mload({slot})")
}

/// `mstore(slot, value)`.
pub fn store(slot: &str, value: impl std::fmt::Display) -> String {
    format!("mstore({slot}, {value})")
}

/// `base + offset`, for a constant base.
pub fn at(base: &str, offset: usize) -> String {
    if offset == 0 { base.to_string() } else { format!("add({base}, {offset:#x})") }
}

/// A scalar as a literal: decimal when it is small, else 64 hex digits.
pub fn literal<F: PrimeField<Repr: Into<[u8; 32]>>>(value: &F) -> String {
    hex_or_decimal(&scalar_word(value))
}

/// A word as a literal.
pub fn hex_or_decimal(word: &Word) -> String {
    let (high, low) = word.split_at(24);
    if let (true, Ok(low)) = (high.iter().all(|&byte| byte == 0), low.try_into()) {
        return u64::from_be_bytes(low).to_string();
    }
    let mut text = String::from("0x");
    word.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
    text
}

/// A value or its negative.
#[derive(Clone, Debug)]
pub struct Signed {
    pub value: Value,
    pub negative: bool,
}

impl Signed {
    /// A constant: of the two residues the one that is shorter to write. `None` is zero.
    pub fn constant<F: PrimeField<Repr: Into<[u8; 32]>>>(value: &F) -> Option<Self> {
        let [plain, negated] = [literal(value), literal(&-*value)];
        let negative = negated.len() < plain.len();
        let text = if negative { negated } else { plain };
        (*value != F::ZERO).then(|| Self { value: Value::new::<F>(text), negative })
    }

    fn with(&self, value: Value) -> Self {
        Self { value, negative: self.negative }
    }

    /// The sum: signs that differ cost one subtraction.
    pub fn plus(&self, other: &Self) -> Self {
        match (self.negative, other.negative) {
            (true, false) => Self { value: other.value.minus(&self.value), negative: false },
            (false, true) => Self { value: self.value.minus(&other.value), negative: false },
            (negative, _) => Self { value: self.value.plus(&other.value), negative },
        }
    }

    pub fn times(&self, other: &Self) -> Self {
        let value = match (self.value.text.as_str(), other.value.text.as_str()) {
            ("1", _) => other.value.clone(),
            (_, "1") => self.value.clone(),
            ("2", _) if other.value.is_leaf() => other.value.plus(&other.value),
            (_, "2") if self.value.is_leaf() => self.value.plus(&self.value),
            _ => self.value.times(&other.value),
        };
        Self { value, negative: self.negative != other.negative }
    }

    /// The value with its sign.
    pub fn value(&self) -> Value {
        if self.negative { self.value.negated() } else { self.value.clone() }
    }
}

/// Writes expressions into a block. Leaves are rendered by the caller; a part that occurs more than once, or that would
/// make a line too long, is computed into a local once.
pub struct Emitter<'a, F> {
    block: &'a mut Block,
    leaf: &'a dyn Fn(&Expression<F>) -> Value,
    uses: HashMap<String, usize>,
    locals: HashMap<String, Signed>,
}

impl<'a, F: PrimeField<Repr: Into<[u8; 32]>>> Emitter<'a, F> {
    /// Emit expressions, which share their common parts, and return what denotes their values; `None` is zero.
    pub fn emit(
        block: &'a mut Block,
        expressions: &[&Expression<F>],
        leaf: &'a dyn Fn(&Expression<F>) -> Value,
    ) -> Vec<Option<Signed>> {
        let mut emitter = Emitter { block, leaf, uses: HashMap::new(), locals: HashMap::new() };
        expressions.iter().for_each(|expression| emitter.count(expression));
        expressions.iter().map(|expression| emitter.value(expression)).collect()
    }

    fn key(expression: &Expression<F>) -> String {
        format!("{expression:?}")
    }

    fn count(&mut self, expression: &Expression<F>) {
        let uses = self.uses.entry(Self::key(expression)).or_default();
        *uses += 1;
        if *uses > 1 {
            return;
        }
        match expression {
            Expression::Negated(e) => self.count(e),
            Expression::Sum(a, b) | Expression::Product(a, b) => {
                self.count(a);
                self.count(b);
            }
            _ => {}
        }
    }

    fn value(&mut self, expression: &Expression<F>) -> Option<Signed> {
        let key = Self::key(expression);
        if let Some(local) = self.locals.get(&key) {
            return Some(local.clone());
        }
        let signed = match expression {
            Expression::Constant(value) => return Signed::constant(value),
            Expression::Negated(e) => {
                let signed = self.value(e)?;
                return Some(Signed { negative: !signed.negative, ..signed });
            }
            Expression::Sum(a, b) => match (self.value(a), self.value(b)) {
                (Some(a), Some(b)) => a.plus(&b),
                (a, b) => return a.or(b),
            },
            Expression::Product(a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                a.times(&b)
            }
            leaf => return Some(Signed { value: (self.leaf)(leaf), negative: false }),
        };
        let shared = self.uses.get(&key).is_some_and(|uses| *uses > 1);
        if !shared && signed.value.text.len() <= MAX_INLINE {
            return Some(signed);
        }
        let local = signed.value.named(&format!("t{}", self.locals.len()));
        self.block.define(&local.text, &signed.value);
        let signed = signed.with(local);
        self.locals.insert(key, signed.clone());
        Some(signed)
    }
}

/// Longest line of the formatter.
const LINE: usize = 120;

/// The source with its long lines broken as `forge fmt` breaks them.
pub fn wrapped(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for line in source.lines() {
        wrap(&mut out, line);
    }
    out
}

fn wrap(out: &mut String, line: &str) {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let mut emit = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    if line.chars().count() <= LINE || text.starts_with("//") {
        return emit(line);
    }
    if let Some((name, value)) = text.split_once(" constant ").and(text.split_once(" = ")) {
        emit(&format!("{indent}{name} ="));
        return emit(&format!("{indent}    {value}"));
    }
    // a declaration: its value begins on a line of its own
    if let Some((name, value)) = text.split_once(" := ").filter(|_| text.starts_with("let ")) {
        emit(&format!("{indent}{name} :="));
        return wrap(out, &format!("{indent}    {value}"));
    }
    // one call, with what comes before it and a comma behind it if it is an argument
    let (call, end) = text.strip_suffix(',').map_or((text, ""), |call| (call, ","));
    let Some((head, arguments)) = call.strip_suffix(')').and_then(|call| call.split_once('(')) else {
        return emit(line);
    };
    emit(&format!("{indent}{head}("));
    let arguments = split_arguments(arguments);
    for (i, argument) in arguments.iter().enumerate() {
        let comma = if i + 1 < arguments.len() { "," } else { "" };
        wrap(out, &format!("{indent}    {}{comma}", argument.trim()));
    }
    out.push_str(&format!("{indent}){end}\n"));
}

/// The arguments between commas that are in no inner parentheses.
fn split_arguments(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in arguments.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&arguments[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[start..]);
    parts
}
