//! From a model to registers, atoms and equations.
//!
//! *Left registers* hold integers that atoms read: inputs, quotients of rescalings, and values that depend on magnitudes and
//! are needed as arguments. An *atom* is a magnitude `t = |A(x)| < 2^bits` of an integer affine form in left registers. An
//! *equation* is a form in magnitudes and left registers that vanishes, or equals a multiple of a public value.
//!
//! # Why this is the model
//!
//! *Registers are bounded, whatever else holds* (`Register::bound`): every register has atoms of its own. All forms are
//! checked to stay within 128 bits over these bounds, so what atoms and equations say of field elements they say of
//! integers: `|A| < 2^127` and `t < 2^bits` make `t = +-A` the magnitude of an integer.
//!
//! - *Input* in `[lo, hi]`, exactly: `|x - lo - (2^b - 1)| < 2^b` is `lo <= x <= lo + 2^(b+1) - 2`. A second atom does the
//!   same from the upper end, unless both ends are those of one. Inputs that no output depends on have no register: any
//!   value of their domain fits.
//! - *ReLU* of `z`: an atom `t = |z|`, and `max(z, 0) = (z + t) / 2`.
//! - *Rescaling* of `x`: a register `q` in a range that contains the proved one, and an atom `|2v - (2^s - 1)| < 2^s` for
//!   the remainder `v = x + 2^(s-1) - 2^s q`. It says `0 <= 2v <= 2^(s+1) - 2`. As `v` is an integer, `0 <= v < 2^s`, so
//!   `q = floor((x + 2^(s-1)) / 2^s)`.
//! - *Ties*: an argument that depends on magnitudes gets a register `X`, and an equation says that they are equal. Either
//!   the register holds the argument itself, which the atoms that read it bound (the quotient and the remainder of a
//!   rescaling bound `2X`, which is an integer; once tied, `X` is one); or it holds a ReLU that the argument depends on,
//!   with a range atom of its own.
//!
//! By induction over the variables every register and every magnitude has the model's value: ties are equations of
//! integers (`plan` merges several into one right register, with weights that keep them apart).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NotPeriodic,
    form::Form,
    unfold::{Definition, Unfolded},
};
use crate::graph::{IntegerModel, Interval};

/// A value that is the same in all blocks.
#[derive(Clone, Debug)]
pub struct Register {
    /// What it holds, as a form over variables.
    pub value: Form,
    /// What its atoms bound it to.
    pub bound: Interval,
}

/// `t = |form| < 2^bits`, over left registers; `bits >= 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    pub form: Form,
    pub bits: u32,
}

/// What an equation's form is equal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `factor` times the public value with this index.
    Public(usize),
    /// Zero: this register is tied to what it holds.
    Register(usize),
}

/// `sum coefficient * t + linear = factor * public value`, or zero. All numbers are integers.
#[derive(Clone, Debug)]
pub struct Equation {
    /// Indices of atoms, and coefficients.
    pub magnitudes: Vec<(usize, i128)>,
    /// The rest, over left registers.
    pub linear: Form,
    /// 1 or 2: halves are multiplied out.
    pub factor: i128,
    /// Twice the left-hand side is an integer below `2^bits` in magnitude, over the bounds of registers and magnitudes.
    pub bits: u32,
    pub target: Target,
}

/// The registers, atoms and equations of a model. What they are depends on the model only.
#[derive(Clone, Debug)]
pub struct Program {
    pub unfolded: Unfolded,
    pub registers: Vec<Register>,
    pub atoms: Vec<Atom>,
    pub equations: Vec<Equation>,
}

/// What is wrong with a program: the numbers of this variable, or of an equation, leave 128 bits.
type TooWide = Option<usize>;

impl Program {
    pub fn new(model: &IntegerModel) -> Result<Self, NotPeriodic> {
        if !model.digests.is_empty() {
            return Err(NotPeriodic::Hashed);
        }
        let unfolded = Unfolded::new(model)?;
        let name = |variable: TooWide| {
            let node = variable.and_then(|id| unfolded.variables.get(id)).map(|variable| variable.node);
            let node = node.and_then(|node| model.nodes.get(node)).map_or("output", |node| &node.name);
            NotPeriodic::TooWide { node: node.into() }
        };
        Registers::allocate(&unfolded).program().map_err(name)
    }

    /// The values of the left registers for an input of the domain.
    pub fn witness(&self, input: &[i128]) -> Vec<i128> {
        let values = self.unfolded.values(input);
        self.registers.iter().map(|register| register.value.eval(&values)).collect()
    }

    /// Bounds of a form over left registers.
    pub fn bounds(&self, form: &Form) -> Option<Interval> {
        form.bounds(|id| self.registers[id].bound)
    }

    /// The equation with its bits.
    fn measured(&self, mut equation: Equation) -> Option<Equation> {
        let mut magnitude = self.bounds(&equation.linear)?.magnitude();
        for &(atom, coefficient) in &equation.magnitudes {
            let most = 1u128.checked_shl(self.atoms.get(atom)?.bits)? - 1;
            magnitude = magnitude.checked_add(most.checked_mul(coefficient.unsigned_abs())?)?;
        }
        equation.bits = u128::BITS - magnitude.leading_zeros() + 1;
        Some(equation)
    }
}

/// The integers of magnitude below `2^bits`.
fn below(bits: u32) -> Option<Interval> {
    let hi = 1i128.checked_shl(bits)?.checked_sub(1)?;
    Some(Interval { lo: -hi, hi })
}

/// The atom that says `lo <= x <= lo + 2^(bits+1) - 2` of a register, and that interval: the least that contains `range`.
fn range_from_below(register: usize, range: Interval) -> Option<(Atom, Interval)> {
    let width = range.lo.abs_diff(range.hi);
    let bits = (1..u128::BITS - 2).find(|bits| (2 << bits) - 2 >= width)?;
    let reach = below(bits)?.hi;
    let middle = range.lo.checked_add(reach)?;
    let atom = Atom { form: Form::value(register).scaled(1, middle.checked_neg()?)?, bits };
    Some((atom, Interval { lo: range.lo, hi: middle.checked_add(reach)? }))
}

/// The same from the upper end.
fn range_from_above(register: usize, range: Interval) -> Option<Atom> {
    let (Atom { form, bits }, interval) = range_from_below(register, range)?;
    let excess = interval.hi.checked_sub(range.hi)?;
    Some(Atom { form: form.scaled(1, excess)?, bits })
}

/// Which registers there are, before they are bounded.
struct Registers<'a> {
    unfolded: &'a Unfolded,
    /// Variables that the outputs depend on, in order.
    needed: Vec<usize>,
    /// Arguments of their ReLUs.
    relu_arguments: BTreeSet<&'a Form>,
    values: Vec<Form>,
    /// Registers of variables.
    held: BTreeMap<usize, usize>,
    /// Registers of arguments.
    tied: BTreeMap<Form, usize>,
}

impl<'a> Registers<'a> {
    /// Arguments are tied if they depend on ReLUs without a register: per argument, a register and a tie. If one node's
    /// arguments are more than twice the ReLUs that they depend on, these get registers instead: per ReLU, a register, a
    /// range atom and a tie.
    fn allocate(unfolded: &'a Unfolded) -> Self {
        let definition = |id: usize| &unfolded.variables[id].definition;
        let mut needed: BTreeSet<usize> = unfolded.outputs.iter().flat_map(|o| o.terms.keys().copied()).collect();
        for id in (0..unfolded.variables.len()).rev() {
            if let (true, Some(argument)) = (needed.contains(&id), definition(id).argument()) {
                needed.extend(argument.terms.keys());
            }
        }
        let needed: Vec<usize> = needed.into_iter().collect();
        let relu_arguments = needed.iter().filter_map(|&id| match definition(id) {
            Definition::Relu(argument) => Some(argument),
            _ => None,
        });
        let relu_arguments = relu_arguments.collect();
        let (held, tied) = (BTreeMap::new(), BTreeMap::new());
        let mut registers = Self { unfolded, needed, relu_arguments, values: Vec::new(), held, tied };

        let mut nodes: BTreeMap<usize, Vec<&Form>> = BTreeMap::new();
        for id in registers.needed.clone() {
            if !matches!(definition(id), Definition::Relu(_)) {
                registers.hold(id);
            }
            if let Some(argument) = definition(id).argument() {
                nodes.entry(unfolded.variables[id].node).or_default().push(argument);
            }
        }
        for arguments in nodes.values() {
            let arguments: BTreeSet<&Form> =
                arguments.iter().copied().filter(|argument| registers.missing(argument).next().is_some()).collect();
            let relus: BTreeSet<usize> = arguments.iter().flat_map(|argument| registers.missing(argument)).collect();
            if arguments.len() > 2 * relus.len() {
                relus.into_iter().for_each(|id| registers.hold(id));
            } else {
                arguments.into_iter().for_each(|argument| registers.tie(argument));
            }
        }
        registers
    }

    fn hold(&mut self, variable: usize) {
        self.held.insert(variable, self.values.len());
        self.values.push(Form::value(variable));
    }

    fn tie(&mut self, argument: &Form) {
        if !self.tied.contains_key(argument) {
            self.tied.insert(argument.clone(), self.values.len());
            self.values.push(argument.clone());
        }
    }

    /// ReLUs of a form that no register holds.
    fn missing(&self, form: &Form) -> impl Iterator<Item = usize> {
        form.terms.keys().copied().filter(|id| !self.held.contains_key(id))
    }

    /// An argument over left registers.
    fn argument(&self, form: &Form) -> Option<Form> {
        if let Some(&register) = self.tied.get(form) {
            return Some(Form::value(register));
        }
        let terms = form.terms.iter().map(|(id, &coefficient)| Some((*self.held.get(id)?, coefficient)));
        Some(Form { terms: terms.collect::<Option<_>>()?, constant: form.constant })
    }

    fn program(self) -> Result<Program, TooWide> {
        let mut program = Program {
            unfolded: self.unfolded.clone(),
            registers: Vec::with_capacity(self.values.len()),
            atoms: Vec::new(),
            equations: Vec::new(),
        };
        let mut magnitude = BTreeMap::new();
        for &id in &self.needed {
            let atom = self.atom(id).ok_or(Some(id))?;
            if let Some(atom) = atom {
                if let Definition::Relu(_) = self.unfolded.variables[id].definition {
                    magnitude.insert(id, program.atoms.len());
                }
                program.atoms.push(atom);
            }
        }
        for value in &self.values {
            let (atoms, bound) = self.bound(value).ok_or(value.terms.keys().next_back().copied())?;
            program.atoms.extend(atoms);
            program.registers.push(Register { value: value.clone(), bound });
        }
        if program.atoms.iter().any(|atom| program.bounds(&atom.form).is_none()) {
            return Err(None);
        }
        let outputs = self.unfolded.outputs.iter().enumerate().map(|(i, output)| (output, Target::Public(i)));
        let ties = self.values.iter().enumerate().filter(|(_, value)| self.is_tie(value));
        let ties = ties.map(|(register, value)| (value, Target::Register(register)));
        for (form, target) in outputs.chain(ties) {
            let equation = self.equation(form, &magnitude, target);
            let equation = equation.and_then(|equation| program.measured(equation));
            program.equations.push(equation.ok_or(match target {
                Target::Public(_) => None,
                Target::Register(_) => form.terms.keys().next_back().copied(),
            })?);
        }
        Ok(program)
    }

    /// Whether a register needs an equation to hold its value: inputs are free, atoms tell of quotients.
    fn is_tie(&self, value: &Form) -> bool {
        match value.as_value().filter(|id| self.held.contains_key(id)) {
            Some(id) => matches!(self.unfolded.variables[id].definition, Definition::Relu(_)),
            None => true,
        }
    }

    /// The atom that an operator needs.
    fn atom(&self, id: usize) -> Option<Option<Atom>> {
        Some(match &self.unfolded.variables[id].definition {
            Definition::Input(_) => None,
            Definition::Relu(argument) => {
                let bits = self.unfolded.bounds(argument)?.bits();
                Some(Atom { form: self.argument(argument)?, bits })
            }
            Definition::Rescale(shift, argument) => {
                // 2v - (2^s - 1) = 2x - 2^(s+1) q + 1
                let mut form = self.argument(argument)?.scaled(2, 1)?;
                form.add_scaled(&Form::value(*self.held.get(&id)?), 1i128.checked_shl(shift + 1)?.checked_neg()?)?;
                Some(Atom { form, bits: *shift })
            }
        })
    }

    /// The interval that atoms prove of a register, and those of them that are there for nothing else.
    fn bound(&self, value: &Form) -> Option<(Vec<Atom>, Interval)> {
        let variable = value.as_value().filter(|id| self.held.contains_key(id));
        let register = variable.map_or_else(|| self.tied.get(value), |id| self.held.get(&id)).copied()?;
        let range = self.unfolded.bounds(value)?;
        if let Some(Definition::Input(_)) = variable.map(|id| &self.unfolded.variables[id].definition) {
            let (lower, interval) = range_from_below(register, range)?;
            let upper = if interval == range { None } else { Some(range_from_above(register, range)?) };
            return Some(([Some(lower), upper].into_iter().flatten().collect(), range));
        }
        if self.relu_arguments.contains(value) {
            return Some((Vec::new(), below(range.bits())?));
        }
        if variable.is_some() {
            let (atom, interval) = range_from_below(register, range)?;
            return Some((vec![atom], interval));
        }
        // the argument of a rescaling: 0 <= x + 2^(s-1) - 2^s q <= 2^s - 1
        let rescaled = self.needed.iter().find_map(|&id| match &self.unfolded.variables[id].definition {
            Definition::Rescale(shift, argument) if argument == value => Some((id, *shift)),
            _ => None,
        });
        let (id, shift) = rescaled?;
        let (_, quotient) = self.bound(&Form::value(id))?;
        let (step, half) = (1i128.checked_shl(shift)?, 1i128.checked_shl(shift - 1)?);
        let lo = quotient.lo.checked_mul(step)?.checked_sub(half)?;
        let hi = quotient.hi.checked_mul(step)?.checked_add(half - 1)?;
        Some((Vec::new(), Interval { lo, hi }))
    }

    /// The equation of a form over variables and what it equals. A ReLU without a register, and the one that a tie is about,
    /// is half its argument and half its magnitude.
    fn equation(&self, form: &Form, magnitude: &BTreeMap<usize, usize>, target: Target) -> Option<Equation> {
        let own = matches!(target, Target::Register(_)).then(|| form.as_value()).flatten();
        let halved = |id: usize| own == Some(id) || !self.held.contains_key(&id);
        let odd = form.terms.iter().any(|(&id, coefficient)| halved(id) && coefficient % 2 != 0);
        let factor = if odd { 2 } else { 1 };
        let mut linear = Form::constant(form.constant.checked_mul(factor)?);
        let mut magnitudes = Vec::new();
        for (&id, coefficient) in &form.terms {
            let coefficient = coefficient.checked_mul(factor)?;
            if halved(id) {
                magnitudes.push((*magnitude.get(&id)?, coefficient / 2));
                let argument = self.unfolded.variables[id].definition.argument()?;
                linear.add_scaled(&self.argument(argument)?, coefficient / 2)?;
            } else {
                linear.add_scaled(&Form::value(*self.held.get(&id)?), coefficient)?;
            }
        }
        if let Target::Register(register) = target {
            linear.add_scaled(&Form::value(register), -factor)?;
        }
        Some(Equation { magnitudes, linear, factor, bits: 0, target })
    }
}
