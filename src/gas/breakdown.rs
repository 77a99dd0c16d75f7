//! Gas by part. The parts are disjoint and add up to what the transaction costs.

use serde::Serialize;

use super::{GasError, evm::Trace, steps};
use crate::chain::{
    Compiled,
    gas::{BASE, calldata_gas},
};

/// What a part of the gas is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The price of any transaction.
    Base,
    /// EIP-2028's price of the calldata.
    Calldata,
    /// What EIP-7623's floor adds, where it is more than calldata and execution.
    CalldataFloor,
    /// Instructions outside of all steps: the choice of the function, the return.
    Entry,
    /// Instructions of one step, without the precompiles that it calls.
    Step,
    /// Scalar multiplications of curve points, alone or in a multi-scalar multiplication.
    Multiplication,
    /// Additions of curve points.
    Addition,
    Pairing,
    /// The KZG point evaluation of EIP-4844.
    PointEvaluation,
    /// Modular exponentiation.
    Modexp,
    /// Any other precompile or contract.
    OtherCall,
}

impl PartKind {
    /// The kind of a call to this address.
    fn of_call(target: &[u8; 20]) -> Self {
        let (zeros, last) = target.split_at(19);
        match last {
            _ if zeros.iter().any(|&byte| byte != 0) => Self::OtherCall,
            [0x05] => Self::Modexp,
            [0x06 | 0x0b | 0x0d] => Self::Addition,
            [0x07 | 0x0c | 0x0e] => Self::Multiplication,
            [0x08 | 0x0f] => Self::Pairing,
            [0x0a] => Self::PointEvaluation,
            _ => Self::OtherCall,
        }
    }

    /// Whether this is the gas of calls out of the contract.
    pub fn is_call(self) -> bool {
        self >= Self::Multiplication
    }

    fn call_name(self) -> &'static str {
        match self {
            Self::Multiplication => "multiplication of points",
            Self::Addition => "addition of points",
            Self::Pairing => "pairing",
            Self::PointEvaluation => "point evaluation",
            Self::Modexp => "modular exponentiation",
            _ => "other calls",
        }
    }
}

/// One part of the gas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub kind: PartKind,
    /// A step's title, as its comment in the source has it; what a call does.
    pub name: String,
    /// The step that calls; for calls only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many calls; for calls only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    pub gas: u64,
}

impl Part {
    fn new(kind: PartKind, name: impl Into<String>, gas: u64) -> Self {
        Self { kind, name: name.into(), step: None, calls: None, gas }
    }
}

/// The gas of one verification, by part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breakdown {
    /// What the receipt charges.
    pub transaction: u64,
    /// What the EVM's instructions cost, calls included.
    pub execution: u64,
    /// Base, calldata, entry, then each step followed by the calls that it makes. None is empty, but for `Entry`.
    pub parts: Vec<Part>,
}

impl Breakdown {
    /// Splits the trace of a call of `contract`, compiled from `source`, with `calldata`.
    ///
    /// An instruction belongs to the step where its source is. One that comes from outside of all steps, such as a shared
    /// function's, belongs to the step that ran before it, unless no step runs before or none after it.
    ///
    /// # Errors
    ///
    /// [`GasError::Unbalanced`] where the chain refunds gas to the contract.
    pub fn new(source: &str, contract: &Compiled, calldata: &[u8], trace: &Trace) -> Result<Self, GasError> {
        let steps = steps::find(source);
        let numbers = instruction_numbers(&contract.runtime_code);
        let step_of = |position: usize| {
            let origin = contract.origins.get(*numbers.get(position)?)?.as_ref()?;
            steps.iter().position(|step| step.range.contains(&origin.start))
        };

        let mut entry = Sum::default();
        let mut sums = vec![Sum::default(); steps.len()];
        let mut current: Option<usize> = None;
        let mut pending = Sum::default();
        for instruction in &trace.instructions {
            if let Some(step) = step_of(instruction.position) {
                let waiting = std::mem::take(&mut pending);
                current.and_then(|step| sums.get_mut(step)).unwrap_or(&mut entry).merge(waiting);
                current = Some(step);
                if let Some(sum) = sums.get_mut(step) {
                    sum.add(instruction);
                }
            } else {
                pending.add(instruction);
            }
        }
        entry.merge(pending);

        let mut parts = vec![
            Part::new(PartKind::Base, "base", BASE),
            Part::new(PartKind::Calldata, "calldata", calldata_gas(calldata)),
            Part::new(PartKind::Entry, "entry and exit", entry.own),
        ];
        parts.extend(entry.calls("entry and exit"));
        for (step, sum) in steps.iter().zip(&sums) {
            if sum.own > 0 {
                parts.push(Part::new(PartKind::Step, &step.title, sum.own));
            }
            parts.extend(sum.calls(&step.title));
        }
        let total: u64 = parts.iter().map(|part| part.gas).sum();
        if trace.transaction > total && trace.transaction == crate::chain::gas::floor_gas(calldata) {
            parts.push(Part::new(PartKind::CalldataFloor, "calldata floor (EIP-7623)", trace.transaction - total));
        }
        let total: u64 = parts.iter().map(|part| part.gas).sum();
        if total != trace.transaction {
            return Err(GasError::Unbalanced { parts: total, transaction: trace.transaction });
        }
        Ok(Self { transaction: trace.transaction, execution: trace.execution, parts })
    }

    /// Gas of all parts of a kind.
    pub fn of(&self, kind: PartKind) -> u64 {
        self.parts.iter().filter(|part| part.kind == kind).map(|part| part.gas).sum()
    }
}

/// Gas of instructions, and of the calls that they make.
#[derive(Clone, Debug, Default)]
struct Sum {
    own: u64,
    /// `(kind, how many, gas)`, each kind once.
    called: Vec<(PartKind, u64, u64)>,
}

impl Sum {
    fn add(&mut self, instruction: &super::evm::Instruction) {
        self.own += instruction.gas;
        if let Some(call) = instruction.call {
            self.call(PartKind::of_call(&call.target.0.0), 1, call.gas);
        }
    }

    fn call(&mut self, kind: PartKind, count: u64, gas: u64) {
        match self.called.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, counted, sum)) => (*counted, *sum) = (*counted + count, *sum + gas),
            None => self.called.push((kind, count, gas)),
        }
    }

    fn merge(&mut self, other: Self) {
        self.own += other.own;
        other.called.into_iter().for_each(|(kind, count, gas)| self.call(kind, count, gas));
    }

    fn calls(&self, step: &str) -> impl Iterator<Item = Part> {
        let mut called = self.called.clone();
        called.sort();
        called.into_iter().map(move |(kind, count, gas)| Part {
            kind,
            name: kind.call_name().into(),
            step: Some(step.into()),
            calls: Some(count),
            gas,
        })
    }
}

/// For each byte of the code that starts an instruction, which instruction it is; the bytes between have their
/// predecessor's number.
fn instruction_numbers(code: &[u8]) -> Vec<usize> {
    const PUSH1: u8 = 0x60;
    const PUSH32: u8 = 0x7f;
    let mut numbers = Vec::with_capacity(code.len());
    let mut number = 0;
    while let Some(&opcode) = code.get(numbers.len()) {
        let operand = if (PUSH1..=PUSH32).contains(&opcode) { usize::from(opcode - PUSH1) + 1 } else { 0 };
        numbers.resize(numbers.len() + 1 + operand, number);
        number += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_no_instructions() {
        // PUSH1 x, STOP, PUSH2 x x, STOP; the last instruction's operand is cut off
        assert_eq!(
            instruction_numbers(&[0x60, 0x60, 0x00, 0x61, 1, 2, 0x00, 0x7f]).get(..8).unwrap(),
            [0, 0, 1, 2, 2, 2, 3, 4]
        );
    }

    #[test]
    fn precompiles_are_known_by_their_address() {
        let kind = |last: u8| {
            let mut address = [0; 20];
            address[19] = last;
            PartKind::of_call(&address)
        };
        assert_eq!([6, 0x0b].map(kind), [PartKind::Addition; 2]);
        assert_eq!([7, 0x0c].map(kind), [PartKind::Multiplication; 2]);
        assert_eq!(
            [5, 8, 0x0a, 2].map(kind),
            [PartKind::Modexp, PartKind::Pairing, PartKind::PointEvaluation, PartKind::OtherCall]
        );
        let mut contract = [0; 20];
        (contract[3], contract[19]) = (1, 8);
        assert_eq!(PartKind::of_call(&contract), PartKind::OtherCall);
    }
}
