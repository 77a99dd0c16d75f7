//! Where everything is: calldata positions and memory slots of a generated verifier.

use crate::proof::protocol::{Polynomial, Protocol};

/// Bytes of the function selector.
pub const SELECTOR: usize = 4;

/// Bytes of a word.
pub const WORD: usize = 32;

/// First byte of the contract's scratch memory: room above Solidity's own `0x80` for what its compiler spills. The most seen
/// is up to `0x5e0`, by solc 0.8.20 with via-IR; without via-IR it spills nothing.
pub const SCRATCH: usize = 0x800;

/// A named constant of the contract.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub value: usize,
}

/// Calldata positions: `selector | context | public values | points | evaluations | opening | inverse`, every one fixed, since
/// all arguments have static types.
#[derive(Clone, Debug)]
pub struct CalldataLayout {
    pub public_values: usize,
    /// Points in proof order: advice, running products, quotient pieces.
    advice: usize,
    products: usize,
    pub quotient: usize,
    pub evaluations: usize,
    pub opening: usize,
    pub opening_quotient: usize,
    pub inverse: usize,
    pub end: usize,
    evaluation_order: Vec<(Polynomial, i32)>,
}

impl CalldataLayout {
    pub fn new(protocol: &Protocol) -> Self {
        let evaluation_order = protocol.evaluations();
        let public_values = SELECTOR + WORD;
        let advice = public_values + WORD * protocol.public_rows().len();
        let products = advice + 2 * WORD * protocol.advice_columns;
        let quotient = products + 2 * WORD * protocol.products();
        let evaluations = quotient + 2 * WORD * protocol.quotient_pieces;
        let opening = evaluations + WORD * evaluation_order.len();
        let opening_quotient = opening + 2 * WORD;
        let inverse = opening_quotient + 2 * WORD;
        let end = inverse + WORD;
        Self {
            public_values,
            advice,
            products,
            quotient,
            evaluations,
            opening,
            opening_quotient,
            inverse,
            end,
            evaluation_order,
        }
    }

    /// Position of the first running product's commitment.
    pub fn products(&self) -> usize {
        self.products
    }

    /// Position of a commitment that the proof carries; `None` for those of the verifying key and for the quotient, whose
    /// pieces start at [`Self::quotient`].
    pub fn commitment(&self, polynomial: Polynomial) -> Option<usize> {
        match polynomial {
            Polynomial::Advice(i) => Some(self.advice + 2 * WORD * i),
            Polynomial::Product(i) => Some(self.products + 2 * WORD * i),
            Polynomial::Fixed(_) | Polynomial::Sigma(_) | Polynomial::Quotient => None,
        }
    }

    /// Name of the constant with the position of an evaluation.
    pub fn evaluation_name(polynomial: Polynomial, rotation: i32) -> String {
        let rotation = match rotation {
            0 => String::new(),
            r if r > 0 => format!("_NEXT{r}"),
            r => format!("_PREV{}", -r),
        };
        let name = match polynomial {
            Polynomial::Advice(i) => format!("ADVICE{i}"),
            Polynomial::Product(i) => format!("PRODUCT{i}"),
            Polynomial::Fixed(i) => format!("FIXED{i}"),
            Polynomial::Sigma(i) => format!("SIGMA{i}"),
            Polynomial::Quotient => "QUOTIENT".into(),
        };
        format!("EVAL_{name}{rotation}")
    }

    /// Every evaluation's position, named, in proof order.
    pub fn evaluations(&self) -> Vec<Named> {
        let named = |(i, &(polynomial, rotation)): (usize, &(Polynomial, i32))| Named {
            name: Self::evaluation_name(polynomial, rotation),
            value: self.evaluations + WORD * i,
        };
        self.evaluation_order.iter().enumerate().map(named).collect()
    }
}

/// Allocates memory slots and remembers their names.
#[derive(Debug)]
pub struct Memory {
    slots: Vec<Named>,
    next: usize,
}

impl Memory {
    pub fn new() -> Self {
        Self { slots: Vec::new(), next: SCRATCH }
    }

    /// Reserve `words` words under `name`; returns the name.
    pub fn reserve(&mut self, name: impl Into<String>, words: usize) -> String {
        let name = name.into();
        self.slots.push(Named { name: name.clone(), value: self.next });
        self.next += WORD * words;
        name
    }

    /// One past the last reserved byte.
    pub fn end(&self) -> usize {
        self.next
    }

    /// All slots in order of their addresses.
    pub fn slots(&self) -> &[Named] {
        &self.slots
    }
}
