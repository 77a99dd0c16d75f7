//! Gates as a straight-line program that runs on many rows at once: common parts are computed once, constants are folded, and no
//! tree is walked per row.

use std::collections::HashMap;

use ff::PrimeField;

use super::{
    processor::{self, Kernel, Multiply},
    protocol::{Expression, Leaf},
};

/// Rows that an instruction works on at a time: few enough for the registers to stay in a cache.
pub const LANES: usize = 64;

/// One instruction; operands are the numbers of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instruction<F> {
    Leaf(Leaf),
    Constant(F),
    Negated(usize),
    Sum(usize, usize),
    Product(usize, usize),
    /// A product with a constant.
    Scaled(usize, F),
}

/// A program whose last instruction is its result.
#[derive(Clone, Debug)]
pub struct Program<F> {
    instructions: Vec<Instruction<F>>,
}

/// `own = a b`.
struct Products<'a, F>(&'a mut [F], &'a [F], &'a [F]);

impl<F: Multiply> Kernel for Products<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.iter_mut().zip(self.1.iter().zip(self.2)).for_each(|(own, (a, b))| *own = a.times(b));
    }
}

/// `own = a` times a factor.
struct Multiples<'a, F>(&'a mut [F], &'a [F], F);

impl<F: Multiply> Kernel for Multiples<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.iter_mut().zip(self.1).for_each(|(own, a)| *own = a.times(&self.2));
    }
}

impl<F: PrimeField + Multiply> Program<F> {
    /// The expressions, combined by Horner's rule in `y`, with these challenges between the phases.
    pub fn new(expressions: &[Expression<F>], between: &[F], y: F) -> Self {
        let mut compiler = Compiler { instructions: vec![], known: HashMap::new(), between };
        let mut sum = compiler.push(Instruction::Constant(F::ZERO));
        for expression in expressions {
            let (shifted, value) = (compiler.scaled(sum, y), compiler.compile(expression));
            sum = compiler.sum(shifted, value);
        }
        // the last instruction is the result
        compiler.instructions.push(Instruction::Scaled(sum, F::ONE));
        Self { instructions: compiler.instructions }
    }

    /// The results in the rows from `start` on. `load` fills a slice with the values of a leaf in the rows from there on;
    /// `registers` are reused between calls.
    pub fn run(&self, start: usize, load: &impl Fn(Leaf, usize, &mut [F]), registers: &mut Vec<F>, results: &mut [F]) {
        registers.resize(self.instructions.len() * LANES, F::ZERO);
        for (chunk, results) in results.chunks_mut(LANES).enumerate() {
            let (start, len) = (start + chunk * LANES, results.len());
            for (at, instruction) in self.instructions.iter().enumerate() {
                let (before, after) = registers.split_at_mut(at * LANES);
                let of = |register: usize| &before[register * LANES..][..len];
                let own = &mut after[..len];
                match *instruction {
                    Instruction::Leaf(leaf) => load(leaf, start, own),
                    Instruction::Constant(value) => own.fill(value),
                    Instruction::Negated(a) => own.iter_mut().zip(of(a)).for_each(|(own, a)| *own = -*a),
                    Instruction::Sum(a, b) => {
                        own.iter_mut().zip(of(a).iter().zip(of(b))).for_each(|(own, (a, b))| *own = *a + b);
                    }
                    Instruction::Product(a, b) => {
                        processor::run(Products(own, of(a), of(b)));
                    }
                    Instruction::Scaled(a, factor) => {
                        processor::run(Multiples(own, of(a), factor));
                    }
                }
            }
            let last = (self.instructions.len() - 1) * LANES;
            results.copy_from_slice(&registers[last..last + len]);
        }
    }
}

struct Compiler<'a, F> {
    instructions: Vec<Instruction<F>>,
    /// Instructions by what they compute; of sums and products the lesser operand is first.
    known: HashMap<(&'static str, usize, usize), usize>,
    between: &'a [F],
}

impl<F: PrimeField> Compiler<'_, F> {
    fn push(&mut self, instruction: Instruction<F>) -> usize {
        if let Some(at) = self.instructions.iter().position(|known| *known == instruction) {
            return at;
        }
        self.instructions.push(instruction);
        self.instructions.len() - 1
    }

    fn constant(&self, at: usize) -> Option<F> {
        match self.instructions[at] {
            Instruction::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn scaled(&mut self, a: usize, factor: F) -> usize {
        match self.constant(a) {
            Some(value) => self.push(Instruction::Constant(value * factor)),
            None if factor == F::ONE => a,
            None if factor == F::ZERO => self.push(Instruction::Constant(F::ZERO)),
            None => self.push(Instruction::Scaled(a, factor)),
        }
    }

    fn sum(&mut self, a: usize, b: usize) -> usize {
        match (self.constant(a), self.constant(b)) {
            (Some(a), Some(b)) => self.push(Instruction::Constant(a + b)),
            (Some(zero), None) if zero == F::ZERO => b,
            (None, Some(zero)) if zero == F::ZERO => a,
            _ => self.binary("sum", Instruction::Sum(a.min(b), a.max(b)), a, b),
        }
    }

    fn product(&mut self, a: usize, b: usize) -> usize {
        match (self.constant(a), self.constant(b)) {
            (Some(factor), _) => self.scaled(b, factor),
            (_, Some(factor)) => self.scaled(a, factor),
            _ => self.binary("product", Instruction::Product(a.min(b), a.max(b)), a, b),
        }
    }

    fn binary(&mut self, name: &'static str, instruction: Instruction<F>, a: usize, b: usize) -> usize {
        let key = (name, a.min(b), a.max(b));
        if let Some(&at) = self.known.get(&key) {
            return at;
        }
        self.instructions.push(instruction);
        self.known.insert(key, self.instructions.len() - 1);
        self.instructions.len() - 1
    }

    fn compile(&mut self, expression: &Expression<F>) -> usize {
        match expression {
            Expression::Constant(value) => self.push(Instruction::Constant(*value)),
            Expression::Challenge(index) => self.push(Instruction::Constant(self.between[*index])),
            Expression::Advice(column, rotation) => self.push(Instruction::Leaf(Leaf::Advice(*column, *rotation))),
            Expression::Fixed(column) => self.push(Instruction::Leaf(Leaf::Fixed(*column))),
            Expression::Instance(column) => self.push(Instruction::Leaf(Leaf::Instance(*column))),
            Expression::Negated(e) => {
                let value = self.compile(e);
                match self.constant(value) {
                    Some(value) => self.push(Instruction::Constant(-value)),
                    None => self.push(Instruction::Negated(value)),
                }
            }
            Expression::Sum(a, b) => {
                let (a, b) = (self.compile(a), self.compile(b));
                self.sum(a, b)
            }
            Expression::Product(a, b) => {
                let (a, b) = (self.compile(a), self.compile(b));
                self.product(a, b)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;

    fn expressions() -> impl Strategy<Value = Expression<Fr>> {
        let leaf = prop_oneof![
            (0..3u64).prop_map(|value| Expression::Constant(Fr::from(value))),
            (0..2usize, 0..3i32).prop_map(|(column, rotation)| Expression::Advice(column, rotation)),
            (0..2usize).prop_map(Expression::Fixed),
            (0..2usize).prop_map(Expression::Instance),
            (0..2usize).prop_map(Expression::Challenge),
        ];
        leaf.prop_recursive(5, 40, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|e| Expression::Negated(Box::new(e))),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| Expression::Sum(Box::new(a), Box::new(b))),
                (inner.clone(), inner).prop_map(|(a, b)| Expression::Product(Box::new(a), Box::new(b))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn programs_compute_what_expressions_say(gates in prop::collection::vec(expressions(), 1..4), seed in 1u64..1000) {
            let (between, y) = ([Fr::from(seed), Fr::from(seed + 5)], Fr::from(3 * seed));
            let at = |leaf: Leaf, row: usize| match leaf {
                Leaf::Advice(column, rotation) => Fr::from((row as u64 + rotation as u64) * 7 + column as u64).square(),
                Leaf::Fixed(column) => Fr::from(row as u64 * 13 + column as u64),
                Leaf::Instance(column) => Fr::from(row as u64 * 17 + 3 * column as u64),
                Leaf::Challenge(index) => between[index],
            };
            let load = |leaf: Leaf, start: usize, values: &mut [Fr]| {
                values.iter_mut().enumerate().for_each(|(i, value)| *value = at(leaf, start + i));
            };
            let (mut results, mut registers) = (vec![Fr::ZERO; 2 * LANES + 7], vec![]);
            Program::new(&gates, &between, y).run(5, &load, &mut registers, &mut results);
            for (i, result) in results.iter().enumerate() {
                let value = |gate: &Expression<Fr>| gate.evaluate(&|leaf| at(leaf, 5 + i));
                prop_assert_eq!(*result, gates.iter().fold(Fr::ZERO, |sum, gate| sum * y + value(gate)));
            }
        }
    }
}
