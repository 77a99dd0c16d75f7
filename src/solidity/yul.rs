//! Field arithmetic as Yul: expressions with shared parts in locals, statements of bounded length.

use std::{collections::HashMap, fmt::Write};

use ff::Field;
use halo2curves::bn256::Fr;

use crate::proof::{encode, protocol::Expression};

/// Longest expression that is written inline; longer ones become locals.
const MAX_INLINE: usize = 45;

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

    /// The finished lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// `a * b mod r`.
pub fn mul(a: &str, b: &str) -> String {
    format!("mulmod({a}, {b}, r)")
}

/// `a + b mod r`.
pub fn add(a: &str, b: &str) -> String {
    format!("addmod({a}, {b}, r)")
}

/// `-a`, for `a <= r`; the result is at most `r`, fit to be an operand of `addmod` and `mulmod`.
pub fn neg(a: &str) -> String {
    format!("sub(r, {a})")
}

/// `mload(slot)`.
pub fn load(slot: &str) -> String {
    format!("mload({slot})")
}

/// `mstore(slot, value)`.
pub fn store(slot: &str, value: &str) -> String {
    format!("mstore({slot}, {value})")
}

/// `calldataload(position)`.
pub fn calldata(position: &str) -> String {
    format!("calldataload({position})")
}

/// A scalar as a literal: decimal when it is small, else 64 hex digits.
pub fn literal(value: &Fr) -> String {
    let word = encode::scalar(value);
    hex_or_decimal(&word)
}

/// A word as a literal.
pub fn hex_or_decimal(word: &encode::Word) -> String {
    if word[..24].iter().all(|&byte| byte == 0) {
        let mut low = [0; 8];
        low.copy_from_slice(&word[24..]);
        return u64::from_be_bytes(low).to_string();
    }
    let mut text = String::from("0x");
    word.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
    text
}

/// Writes expressions into a block. Leaves are rendered by the caller; a part that occurs more than once, or that would
/// make a line too long, is computed into a local once.
pub struct Emitter<'a> {
    block: &'a mut Block,
    leaf: &'a dyn Fn(&Expression) -> String,
    uses: HashMap<String, usize>,
    locals: HashMap<String, String>,
}

impl<'a> Emitter<'a> {
    /// Emit `expression` and return what denotes its value.
    pub fn emit(block: &'a mut Block, expression: &Expression, leaf: &'a dyn Fn(&Expression) -> String) -> String {
        let mut emitter = Emitter { block, leaf, uses: HashMap::new(), locals: HashMap::new() };
        emitter.count(expression);
        emitter.value(expression)
    }

    fn key(expression: &Expression) -> String {
        format!("{expression:?}")
    }

    fn count(&mut self, expression: &Expression) {
        let uses = self.uses.entry(Self::key(expression)).or_default();
        *uses += 1;
        if *uses > 1 {
            return;
        }
        match expression {
            Expression::Constant(_) | Expression::Query(..) => {}
            Expression::Negated(e) => self.count(e),
            Expression::Sum(a, b) | Expression::Product(a, b) => {
                self.count(a);
                self.count(b);
            }
        }
    }

    fn value(&mut self, expression: &Expression) -> String {
        let key = Self::key(expression);
        if let Some(local) = self.locals.get(&key) {
            return local.clone();
        }
        let text = match expression {
            Expression::Constant(value) => return literal(value),
            Expression::Query(..) => return (self.leaf)(expression),
            Expression::Negated(e) => match e.as_ref() {
                Expression::Constant(value) => return literal(&-value),
                e => neg(&self.value(e)),
            },
            Expression::Sum(a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                add(&a, &b)
            }
            Expression::Product(a, b) => match (a.as_ref(), b.as_ref()) {
                (Expression::Constant(one), e) | (e, Expression::Constant(one)) if *one == Fr::ONE => self.value(e),
                (a, b) => {
                    let (a, b) = (self.value(a), self.value(b));
                    mul(&a, &b)
                }
            },
        };
        let shared = self.uses.get(&key).is_some_and(|uses| *uses > 1);
        if !shared && text.len() <= MAX_INLINE {
            return text;
        }
        let local = format!("t{}", self.locals.len());
        self.block.line(format!("let {local} := {text}"));
        self.locals.insert(key, local.clone());
        local
    }
}
