//! What verifying will cost, known before any key is made.
//!
//! [`Cost`] is plain data: how many instructions of each price, words hashed, precompile calls, calldata. [`Cost::gas`] prices it
//! with one table. [`Cost::of_steps`] counts it from the source of the contract by following the assembly of the numbered steps;
//! since a verifier is a straight line whose shape depends on the protocol alone, the source may be generated with any commitments
//! in place of those of the keys.

use std::collections::HashMap;

use revm::{
    precompile::Precompiles,
    primitives::{Address, U256},
};
use serde::Serialize;
use thiserror::Error;

use super::{
    steps,
    yul::{self, Expression, Function, Statement},
};
use crate::{chain::gas::BASE, graph::Interval};

/// The source is not what estimates are made for.
#[derive(Debug, Error)]
pub enum EstimateError {
    #[error("the contract's assembly is not understood: {wanted} is expected where `{found}` stands")]
    Syntax { wanted: String, found: String },
    #[error("the cost of {what} in the contract's assembly cannot be known in advance")]
    Unsupported { what: String },
    #[error("the contract has no numbered steps with assembly")]
    NoSteps,
}

/// The table: gas of everything that [`Cost`] counts, but for precompiles, which the EVM prices itself. The prices of
/// instructions are those of the Yellow Paper's appendix G; the others are what solc's optimised code needs around them.
mod price {
    /// ADDRESS, GAS, RETURNDATASIZE, POP, …
    pub const BASE: u64 = 2;
    /// ADD, SUB, LT, EQ, AND, MLOAD, MSTORE, CALLDATALOAD, …
    pub const VERY_LOW: u64 = 3;
    /// MUL, DIV, MOD, …
    pub const LOW: u64 = 5;
    /// ADDMOD, MULMOD
    pub const MID: u64 = 8;
    /// PUSH of a literal or a constant, DUP of a variable.
    pub const OPERAND: u64 = 3;
    /// A variable that is assigned anew: SWAP; its old value is an operand as a rule, and needs no POP.
    pub const ASSIGNMENT: u64 = 3;
    /// A variable that goes out of scope: POP.
    pub const VARIABLE: u64 = 2;
    /// A conditional jump that is not taken: ISZERO, PUSH, JUMPI, and JUMPDEST behind it.
    pub const BRANCH: u64 = 17;
    /// A call of a Yul function: return address, JUMP there and back, two JUMPDESTs.
    pub const FUNCTION: u64 = 24;
    /// KECCAK256, and each word of its input.
    pub const HASH: u64 = 30;
    pub const HASHED_WORD: u64 = 6;
    /// CALLDATACOPY, MCOPY, …, and each word.
    pub const COPY: u64 = 3;
    pub const COPIED_WORD: u64 = 3;
    /// STATICCALL to a precompile, which is always warm (EIP-2929).
    pub const CALL: u64 = 100;
    /// Between two steps: the early return where a check has failed.
    pub const STEP: u64 = 20;
    /// Everything outside of the steps: the choice of the function, the length of the calldata, the verdict.
    pub const ENTRY: u64 = 540;
    /// Memory of `w` words costs `3 w + w^2 / 512`.
    pub fn memory(words: u64) -> u64 {
        3 * words + words * words / 512
    }
}

/// Bytes of calldata that are expected: a random byte is zero once in 256 times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CalldataCost {
    pub zero_bytes: f64,
    pub nonzero_bytes: f64,
}

impl CalldataCost {
    /// A call of `verify(bytes32 context, uint256[] weights, int256[] outputs, uint256[] digests, uint256[] proof)`: selector, a hash as
    /// context, public integers of these ranges and `words` random words, those of weights, digests and proof.
    pub fn of_verify(public_ranges: &[Interval], words: usize) -> Self {
        let mut cost = Self { zero_bytes: 0.0, nonzero_bytes: 4.0 };
        cost.random(32.0 * (1 + words) as f64);
        for bound in public_ranges.iter().flat_map(|range| [range.lo, range.hi]) {
            // each bound counts half; before its digits a negative value has bytes of ones and a positive one zeros
            let digits = (128 - bound.unsigned_abs().leading_zeros()).div_ceil(8);
            let leading = f64::from(32 - digits) / 2.0;
            *(if bound < 0 { &mut cost.nonzero_bytes } else { &mut cost.zero_bytes }) += leading;
            cost.random(f64::from(digits) / 2.0);
        }
        cost
    }

    fn random(&mut self, bytes: f64) {
        self.zero_bytes += bytes / 256.0;
        self.nonzero_bytes += bytes * 255.0 / 256.0;
    }

    /// Gas by EIP-2028.
    pub fn gas(&self) -> u64 {
        (4.0 * self.zero_bytes + 16.0 * self.nonzero_bytes).round() as u64
    }
}

/// Calls of one precompile with inputs of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PrecompileCalls {
    /// Its address.
    pub target: u64,
    pub input_bytes: u64,
    pub count: u64,
}

/// What a verification does, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Instructions of 2, 3, 5 and 8 gas.
    pub base: u64,
    pub very_low: u64,
    pub low: u64,
    pub mid: u64,
    /// Literals, constants and variables that are put on the stack.
    pub operands: u64,
    pub assignments: u64,
    pub variables: u64,
    pub branches: u64,
    pub functions: u64,
    pub hashes: u64,
    pub hashed_words: u64,
    pub copies: u64,
    pub copied_words: u64,
    /// Words of memory up to the last that is used.
    pub memory_words: u64,
    pub calls: Vec<PrecompileCalls>,
    pub steps: u64,
}

/// An estimate, in gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Of the whole transaction.
    pub transaction: u64,
    pub execution: u64,
    pub calldata: u64,
}

impl Estimate {
    /// For the contract with this source, called with such calldata.
    pub fn new(source: &str, calldata: &CalldataCost) -> Result<Self, EstimateError> {
        let (execution, calldata) = (Cost::of_steps(source)?.gas(), calldata.gas());
        Ok(Self { transaction: BASE + calldata + execution, execution, calldata })
    }
}

impl Cost {
    /// Gas of the execution.
    pub fn gas(&self) -> u64 {
        let own = [
            (self.base, price::BASE),
            (self.very_low, price::VERY_LOW),
            (self.low, price::LOW),
            (self.mid, price::MID),
            (self.operands, price::OPERAND),
            (self.assignments, price::ASSIGNMENT),
            (self.variables, price::VARIABLE),
            (self.branches, price::BRANCH),
            (self.functions, price::FUNCTION),
            (self.hashes, price::HASH),
            (self.hashed_words, price::HASHED_WORD),
            (self.copies, price::COPY),
            (self.copied_words, price::COPIED_WORD),
            (self.steps, price::STEP),
            (1, price::ENTRY),
            (1, price::memory(self.memory_words)),
        ];
        let calls = self.calls.iter();
        let calls = calls.map(|call| call.count * (price::CALL + precompile(call.target, call.input_bytes)));
        own.iter().map(|(count, gas)| count * gas).sum::<u64>() + calls.sum::<u64>()
    }

    /// Counts the assembly of the contract's numbered steps, of the first sequence if there are several.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] where the assembly does something whose cost depends on the proof.
    pub fn of_steps(source: &str) -> Result<Self, EstimateError> {
        let constants = constants(source);
        let mut walk = Walk::new(&constants);
        let steps = steps::find(source);
        let number = |title: &str| title.split('.').next().and_then(|number| number.parse::<u64>().ok());
        let first = steps.iter().zip(1..).take_while(|(step, expected)| number(&step.title) == Some(*expected));
        for (step, _) in first {
            for block in yul::assembly_blocks(source.get(step.range.clone()).unwrap_or_default())? {
                walk.block(&block)?;
            }
            walk.cost.steps += 1;
        }
        if walk.cost.mid == 0 {
            return Err(EstimateError::NoSteps);
        }
        Ok(walk.cost)
    }
}

/// Gas of a precompile on valid input of this length.
fn precompile(target: u64, bytes: u64) -> u64 {
    const POINT_EVALUATION: u64 = 0x0a;
    const MODEXP: u64 = 0x05;
    let mut input = vec![0; bytes as usize];
    if target == POINT_EVALUATION {
        return revm::precompile::kzg_point_evaluation::GAS_COST;
    }
    if target == MODEXP && bytes == 192 {
        // lengths of 32, base 0, an exponent of 255 bits as for inverses, a modulus with all bits
        [31, 63, 95].into_iter().for_each(|at| input[at] = 32);
        input[128..].fill(0xff);
        input[128] = 0x7f;
    }
    // the point at infinity is valid input and costs what any other point does
    let address = Address::left_padding_from(&target.to_be_bytes());
    let answer = Precompiles::osaka().get(&address).and_then(|precompile| precompile.execute(&input, u64::MAX, 0).ok());
    answer.map_or(0, |answer| answer.gas_used)
}

/// The constants of a source whose values are literals.
fn constants(source: &str) -> HashMap<String, U256> {
    let declared = source.split(';').filter_map(|statement| {
        let (left, value) = statement.rsplit_once('=')?;
        let (declaration, name) = left.trim_end().rsplit_once(char::is_whitespace)?;
        let constant = declaration.split_whitespace().next_back() == Some("constant");
        constant.then(|| yul::number(value.trim()).map(|value| (name.to_string(), value))).flatten()
    });
    declared.collect()
}

/// The most statements that are followed: far more than a verifier that fits into a block runs.
const MAX_STATEMENTS: u64 = 1 << 20;

/// Follows assembly, with values as far as they are known. What is decided by an unknown value is an error's branch, and
/// not taken.
struct Walk<'a> {
    constants: &'a HashMap<String, U256>,
    variables: Vec<(String, Option<U256>)>,
    functions: Vec<Function>,
    statements: u64,
    cost: Cost,
}

type Value = Option<U256>;

impl<'a> Walk<'a> {
    fn new(constants: &'a HashMap<String, U256>) -> Self {
        Self { constants, variables: vec![], functions: vec![], statements: 0, cost: Cost::default() }
    }

    fn block(&mut self, statements: &[Statement]) -> Result<(), EstimateError> {
        let (variables, functions) = (self.variables.len(), self.functions.len());
        // functions may be called before they are defined
        self.functions.extend(statements.iter().filter_map(|statement| match statement {
            Statement::Function(function) => Some(function.clone()),
            _ => None,
        }));
        statements.iter().try_for_each(|statement| self.statement(statement))?;
        self.cost.variables += (self.variables.len() - variables) as u64;
        self.variables.truncate(variables);
        self.functions.truncate(functions);
        Ok(())
    }

    /// One more statement, or one more round of a loop.
    fn count(&mut self) -> Result<(), EstimateError> {
        self.statements += 1;
        let endless = || EstimateError::Unsupported { what: "a loop that does not end".into() };
        if self.statements > MAX_STATEMENTS { Err(endless()) } else { Ok(()) }
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), EstimateError> {
        self.count()?;
        match statement {
            Statement::Function(_) => Ok(()),
            Statement::Block(statements) => self.block(statements),
            Statement::Declare(names, None) => {
                self.cost.operands += names.len() as u64;
                self.variables.extend(names.iter().map(|name| (name.clone(), Some(U256::ZERO))));
                Ok(())
            }
            Statement::Declare(names, Some(value)) => {
                let values = self.values(value, names.len())?;
                self.variables.extend(names.iter().cloned().zip(values));
                Ok(())
            }
            Statement::Assign(names, value) => {
                let values = self.values(value, names.len())?;
                self.cost.assignments += names.len() as u64;
                for (name, value) in names.iter().zip(values) {
                    if let Some((_, variable)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                        *variable = value;
                    }
                }
                Ok(())
            }
            Statement::Do(expression) => self.values(expression, 0).map(drop),
            Statement::If(condition, body) => {
                let condition = self.value(condition)?;
                self.cost.branches += 1;
                if condition.is_some_and(|value| !value.is_zero()) { self.block(body) } else { Ok(()) }
            }
            Statement::For { before, condition, after, body } => {
                let outside = self.variables.len();
                before.iter().try_for_each(|statement| self.statement(statement))?;
                loop {
                    self.count()?;
                    self.cost.branches += 1;
                    match self.value(condition)? {
                        Some(value) if value.is_zero() => break,
                        Some(_) => {}
                        None => return Err(EstimateError::Unsupported { what: "a loop of unknown length".into() }),
                    }
                    self.block(body)?;
                    self.block(after)?;
                    self.cost.functions += 1; // the jump back
                }
                self.cost.variables += (self.variables.len() - outside) as u64;
                self.variables.truncate(outside);
                Ok(())
            }
        }
    }

    /// One value.
    fn value(&mut self, expression: &Expression) -> Result<Value, EstimateError> {
        Ok(self.values(expression, 1)?.pop().flatten())
    }

    /// The `count` values that an expression leaves on the stack.
    fn values(&mut self, expression: &Expression, count: usize) -> Result<Vec<Value>, EstimateError> {
        match expression {
            Expression::Literal(value) => {
                self.cost.operands += 1;
                Ok(vec![Some(*value)])
            }
            Expression::Name(name) => {
                self.cost.operands += 1;
                let variable = self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value);
                Ok(vec![variable.unwrap_or_else(|| self.constants.get(name).copied())])
            }
            Expression::Call(name, arguments) => {
                let values: Vec<Value> =
                    arguments.iter().map(|argument| self.value(argument)).collect::<Result<_, _>>()?;
                match self.functions.iter().rev().find(|function| function.name == *name).cloned() {
                    Some(function) => self.call(&function, values),
                    None => Ok(vec![self.instruction(name, &values)?; count]),
                }
            }
        }
    }

    fn call(&mut self, function: &Function, arguments: Vec<Value>) -> Result<Vec<Value>, EstimateError> {
        self.cost.functions += 1;
        self.cost.operands += function.results.len() as u64;
        // a function sees no variables but its own
        let outside = std::mem::take(&mut self.variables);
        self.variables.extend(function.parameters.iter().cloned().zip(arguments));
        self.variables.extend(function.results.iter().map(|name| (name.clone(), Some(U256::ZERO))));
        self.cost.variables += function.parameters.len() as u64;
        self.block(&function.body)?;
        let variables = std::mem::replace(&mut self.variables, outside);
        let value =
            |name: &String| variables.iter().rev().find(|(known, _)| known == name).and_then(|(_, value)| *value);
        Ok(function.results.iter().map(value).collect())
    }

    /// Counts an instruction; gives its value where it follows from constants.
    fn instruction(&mut self, name: &str, arguments: &[Value]) -> Result<Value, EstimateError> {
        let argument = |i: usize| arguments.get(i).copied().flatten();
        let known = |i: usize| -> Result<u64, EstimateError> {
            let unknown = || EstimateError::Unsupported { what: format!("`{name}` with an unknown length") };
            argument(i).and_then(|value| u64::try_from(value).ok()).ok_or_else(unknown)
        };
        match name {
            "mulmod" | "addmod" => self.cost.mid += 1,
            "mul" | "div" | "sdiv" | "mod" | "smod" => self.cost.low += 1,
            "gas" | "returndatasize" | "calldatasize" | "codesize" | "address" | "caller" | "callvalue" | "pop" => {
                self.cost.base += 1;
            }
            "mload" | "mstore" | "mstore8" => {
                self.cost.very_low += 1;
                self.touch(argument(0), 32);
            }
            "add" | "sub" | "lt" | "gt" | "slt" | "sgt" | "eq" | "iszero" | "and" | "or" | "xor" | "not" | "byte"
            | "shl" | "shr" | "sar" | "calldataload" => self.cost.very_low += 1,
            "keccak256" => {
                let bytes = known(1)?;
                self.cost.hashes += 1;
                self.cost.hashed_words += bytes.div_ceil(32);
                self.touch(argument(0), bytes);
            }
            "calldatacopy" | "mcopy" | "codecopy" | "returndatacopy" => {
                let bytes = known(2)?;
                self.cost.copies += 1;
                self.cost.copied_words += bytes.div_ceil(32);
                self.touch(argument(0), bytes);
            }
            "staticcall" => {
                let (input, output) = (known(3)?, known(5)?);
                self.call_precompile(known(1)?, input);
                self.touch(argument(2), input);
                self.touch(argument(4), output);
            }
            _ => return Err(EstimateError::Unsupported { what: format!("`{name}`") }),
        }
        Ok(folded(name, argument(0), argument(1)))
    }

    fn call_precompile(&mut self, target: u64, input_bytes: u64) {
        let calls = &mut self.cost.calls;
        match calls.iter_mut().find(|call| (call.target, call.input_bytes) == (target, input_bytes)) {
            Some(call) => call.count += 1,
            None => calls.push(PrecompileCalls { target, input_bytes, count: 1 }),
        }
    }

    /// Memory that is used; an address that is not known is taken to lie below others that are.
    fn touch(&mut self, address: Value, bytes: u64) {
        if let Some(address) = address.and_then(|address| u64::try_from(address).ok())
            && bytes > 0
        {
            self.cost.memory_words = self.cost.memory_words.max(address.saturating_add(bytes).div_ceil(32));
        }
    }
}

/// The value of an instruction on constants.
fn folded(name: &str, a: Value, b: Value) -> Value {
    let truth = |value: bool| U256::from(u8::from(value));
    let a = a?;
    match (name, b) {
        ("iszero", _) => Some(truth(a.is_zero())),
        ("not", _) => Some(!a),
        ("add", Some(b)) => Some(a.wrapping_add(b)),
        ("sub", Some(b)) => Some(a.wrapping_sub(b)),
        ("mul", Some(b)) => Some(a.wrapping_mul(b)),
        ("div", Some(b)) => Some(a.checked_div(b).unwrap_or_default()),
        ("lt", Some(b)) => Some(truth(a < b)),
        ("gt", Some(b)) => Some(truth(a > b)),
        ("eq", Some(b)) => Some(truth(a == b)),
        ("and", Some(b)) => Some(a & b),
        ("or", Some(b)) => Some(a | b),
        ("shl", Some(b)) => Some(b.checked_shl(usize::try_from(a).ok()?).unwrap_or_default()),
        ("shr", Some(b)) => Some(b.checked_shr(usize::try_from(a).ok()?).unwrap_or_default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(step: &str) -> Result<Cost, EstimateError> {
        let source = format!(
            "contract C {{ // two = 2\n uint256 private constant R = 0x61; // the order, R = 97\n\
             function f() {{\n// 1. One\nassembly {{ pop(mulmod(1, 1, R)) {step} }}\n}}\n\
             function g() {{\n// 1. Another\nassembly {{ pop(addmod(1, 1, R)) }}\n}} }}"
        );
        Cost::of_steps(&source)
    }

    /// What `step` adds.
    fn added(step: &str) -> u64 {
        cost(step).unwrap().gas() - cost("").unwrap().gas()
    }

    #[test]
    fn instructions_are_priced() {
        // MULMOD 8, three operands, SWAP for the assignment; the variable takes a PUSH and a POP
        assert_eq!(added("let a a := mulmod(a, a, R)"), 8 + 9 + 3 + 3 + 2);
        // the copy takes two words of memory, the hash nothing more
        assert_eq!(added("calldatacopy(0, 4, 64) pop(keccak256(0, 33))"), (3 + 6 + 9) + (30 + 12 + 6) + 2 + 6);
        assert_eq!(added("if lt(calldataload(4), R) { pop(1) }"), 3 + 3 + 3 + 3 + 17);
    }

    #[test]
    fn loops_and_functions_of_constants_are_followed() {
        let ten = "for { let i := 0 } lt(i, 10) { i := add(i, 1) } { x := mulmod(x, x, R) }";
        assert_eq!(cost(&format!("let x {ten}")).unwrap().mid, 1 + 10);
        let function = "function g(a) -> b { b := mulmod(a, a, R) } pop(g(g(1)))";
        let counted = cost(function).unwrap();
        assert_eq!((counted.mid, counted.functions), (3, 2));
        for (step, words) in [
            ("for { } calldataload(0) { } { }", "loop of unknown length"),
            ("for { } 1 { } { }", "does not end"),
            ("pop(keccak256(0, calldataload(4)))", "unknown length"),
            ("pop(sload(0))", "`sload`"),
        ] {
            let error = cost(step).unwrap_err().to_string();
            assert!(error.contains(words), "{step}: {error}");
        }
    }

    #[test]
    fn precompiles_are_priced_by_the_evm() {
        let gas = |target, bytes| precompile(target, bytes);
        assert_eq!((gas(6, 128), gas(7, 96), gas(8, 384)), (150, 6_000, 113_000));
        // EIP-2537: an addition, and multi-scalar multiplications of 1 and 4 points, the latter at a discount
        assert_eq!((gas(0x0b, 256), gas(0x0c, 160), gas(0x0c, 640)), (375, 12_000, 38_256));
        assert_eq!((gas(0x0a, 192), gas(2, 64), gas(5, 192)), (50_000, 84, 4_064));
        let counted = cost("pop(staticcall(gas(), 7, 0, 0x60, 0, 0x40))").unwrap();
        assert_eq!(counted.calls, [PrecompileCalls { target: 7, input_bytes: 96, count: 1 }]);
        assert_eq!(counted.memory_words, 3);
    }

    #[test]
    fn a_source_without_steps_has_no_estimate() {
        assert!(matches!(Cost::of_steps("contract C { }"), Err(EstimateError::NoSteps)));
    }

    #[test]
    fn public_values_are_expected_within_their_range() {
        let bytes = |lo, hi| {
            let cost = CalldataCost::of_verify(&[Interval::new(lo, hi).unwrap()], 0);
            (cost.zero_bytes.round(), cost.nonzero_bytes.round())
        };
        // 4 bytes of selector, 32 of context; a value of three bytes, of a negative one all, of either sign half
        assert_eq!(bytes(0x10_0000, 0x20_0000), (29.0, 39.0));
        assert_eq!(bytes(-0x20_0000, -0x10_0000), (0.0, 68.0));
        assert_eq!(bytes(-0x20_0000, 0x10_0000), (15.0, 53.0));
    }
}
