//! Where everything is: calldata positions and memory slots of a generated verifier.

use crate::proof::{
    curve::Curve,
    protocol::{Polynomial, Protocol},
};

/// Bytes of the function selector.
pub const SELECTOR: usize = 4;

/// Bytes of a word.
pub const WORD: usize = 32;

/// A named constant of the contract.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub value: usize,
}

fn named(name: impl Into<String>, value: usize) -> Named {
    Named { name: name.into(), value }
}

/// `_NEXT1` for the rotation 1, and so on.
pub fn rotation_suffix(rotation: i32) -> String {
    match rotation {
        0 => String::new(),
        r if r > 0 => format!("_NEXT{r}"),
        r => format!("_PREV{}", -r),
    }
}

/// Name of the constant with the position of the first of many public values, which end where the points begin.
pub const OUTPUTS: &str = "OUTPUTS";

/// Name of the constant with the position of the first digest behind many outputs.
pub const DIGESTS: &str = "DIGESTS";

/// Name of the commitment to the weights, if the statement has it.
pub const WEIGHTS: &str = "COMMITTED_WEIGHTS";

/// Names of the commitments to the advice columns of both phases.
pub const ADVICE: &str = "ADVICE";
pub const SECOND: &str = "SECOND_ADVICE";

/// Names of the challenges between the phases.
pub const BETWEEN: [&str; 2] = ["ALPHA", "THETA"];

/// Positions of `context | weights | public values | points | evaluations | opening` in calldata, from where the context is: every one
/// fixed, since all types are static.
#[derive(Clone, Debug)]
pub struct CalldataLayout {
    pub context: usize,
    /// The commitment to the weights, or where it would be.
    pub weights: usize,
    pub public_values: usize,
    /// The digests, behind the outputs, or where they would be.
    pub digests: usize,
    pub advice: usize,
    /// The advice column of the second phase, or where it would be.
    pub second: usize,
    /// The running product, or where it would be.
    pub product: usize,
    /// The first piece; the others follow.
    pub quotient: usize,
    pub evaluations: usize,
    /// First point of the opening.
    pub opening: usize,
    /// Last point.
    pub last: usize,
    pub end: usize,
    evaluation_order: Vec<(Polynomial, i32)>,
    quotient_pieces: Vec<usize>,
    /// Whether public values are read in a loop, and have one name.
    many: bool,
    has_second: bool,
    has_product: bool,
}

impl CalldataLayout {
    /// The layout of a statement, of whose public values so many are outputs and the others digests, and its proof from `context` on.
    pub fn new<C: Curve>(protocol: &Protocol<C>, outputs: usize, context: usize) -> Self {
        let evaluation_order = protocol.evaluations();
        let (point, has_product) = (WORD * C::POINT_WORDS, protocol.permutation.is_some());
        let weights = context + WORD;
        let public_values = weights + protocol.weights.map_or(0, |_| point);
        let digests = public_values + WORD * outputs;
        let advice = public_values + WORD * protocol.public_values();
        let second = advice + point;
        let product = second + point * (protocol.phases - 1);
        let quotient = product + point * usize::from(has_product);
        let evaluations = quotient + point * protocol.quotient_pieces;
        let opening = evaluations + WORD * evaluation_order.len();
        let last = opening + point;
        let quotient_pieces = (0..protocol.quotient_pieces).map(|piece| quotient + point * piece).collect();
        Self {
            context,
            weights,
            public_values,
            digests,
            advice,
            second,
            product,
            quotient,
            evaluations,
            opening,
            last,
            end: last + WORD * C::LAST_POINT_WORDS,
            evaluation_order,
            quotient_pieces,
            many: protocol.shape.public_run().is_some(),
            has_second: protocol.phases > 1,
            has_product,
        }
    }

    /// Name of the constant with the position of an evaluation.
    pub fn evaluation_name(polynomial: Polynomial, rotation: i32) -> String {
        let rotation = rotation_suffix(rotation);
        match polynomial {
            Polynomial::Advice(0) => format!("EVAL_{ADVICE}{rotation}"),
            Polynomial::Advice(_) => format!("EVAL_{SECOND}{rotation}"),
            Polynomial::Sigma(i) => format!("EVAL_SIGMA{i}{rotation}"),
            Polynomial::Product => format!("EVAL_PRODUCT{rotation}"),
            Polynomial::Fixed(i) => format!("EVAL_FIXED{i}{rotation}"),
            Polynomial::Linearisation => format!("EVAL_LINEARISATION{rotation}"),
        }
    }

    /// Name of the constant with the position of a public value.
    pub fn public_value_name(&self, index: usize) -> String {
        let outputs = (self.digests - self.public_values) / WORD;
        index.checked_sub(outputs).map_or_else(|| format!("OUTPUT{index}"), |digest| format!("DIGEST{digest}"))
    }

    /// Words of the commitment to the weights.
    pub fn weights_words(&self) -> usize {
        (self.public_values - self.weights) / WORD
    }

    /// How many digests there are.
    pub fn digest_count(&self) -> usize {
        (self.advice - self.digests) / WORD
    }

    /// Name of the constant with the position of a piece of the quotient.
    pub fn quotient_name(piece: usize) -> String {
        format!("QUOTIENT{piece}")
    }

    /// The positions of all scalars of the proof, which must be below the order of the group.
    pub fn scalars(&self) -> Vec<Named> {
        let evaluation = |(i, &(polynomial, rotation)): (usize, &(Polynomial, i32))| {
            named(Self::evaluation_name(polynomial, rotation), self.evaluations + WORD * i)
        };
        let evaluations = self.evaluation_order.iter().enumerate().map(evaluation);
        evaluations.collect()
    }

    /// Every position with its name, in order.
    pub fn positions(&self) -> Vec<Named> {
        let public_values = (self.public_values..self.advice).step_by(WORD).enumerate();
        let mut positions: Vec<Named> = match self.many {
            true => vec![named(OUTPUTS, self.public_values)],
            false => public_values.map(|(i, at)| named(self.public_value_name(i), at)).collect(),
        };
        positions.extend((self.weights_words() > 0).then(|| named(WEIGHTS, self.weights)));
        positions.extend((self.many && self.digest_count() > 0).then(|| named(DIGESTS, self.digests)));
        positions.push(named(ADVICE, self.advice));
        positions.extend(self.has_second.then(|| named(SECOND, self.second)));
        positions.extend(self.has_product.then(|| named("PRODUCT", self.product)));
        let pieces = self.quotient_pieces.iter().enumerate();
        positions.extend(pieces.map(|(piece, &at)| named(Self::quotient_name(piece), at)));
        positions.extend([named("OPENING", self.opening), named("LAST_POINT", self.last)]);
        positions.extend(self.scalars());
        positions.sort_by_key(|position| position.value);
        positions
    }
}

/// Allocates memory slots and remembers their names.
#[derive(Debug)]
pub struct Memory {
    slots: Vec<Named>,
    start: usize,
    next: usize,
}

impl Memory {
    /// Slots from `start` up.
    pub fn new(start: usize) -> Self {
        Self { slots: Vec::new(), start, next: start }
    }

    /// Reserve `words` words under `name`; returns the name.
    pub fn reserve(&mut self, name: impl Into<String>, words: usize) -> String {
        let name = name.into();
        self.slots.push(named(name.clone(), self.next));
        self.next += WORD * words;
        name
    }

    /// Name a word inside of a reserved range; returns the name.
    pub fn alias(&mut self, name: impl Into<String>, base: &str, offset: usize) -> String {
        let name = name.into();
        let base = self.slots.iter().find(|slot| slot.name == base).map_or(self.next, |slot| slot.value);
        self.slots.push(named(name.clone(), base + offset));
        name
    }

    /// The first byte.
    pub fn start(&self) -> usize {
        self.start
    }

    /// One past the last reserved byte.
    pub fn end(&self) -> usize {
        self.next
    }

    /// All slots.
    pub fn slots(&self) -> &[Named] {
        &self.slots
    }
}
