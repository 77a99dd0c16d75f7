//! From a program to blocks: what each of them computes, and how many rows a block has.
//!
//! An equation's part in left registers reaches its right register through atoms as well: a *carrier* is an atom whose form
//! is known not to be negative, by its registers' bounds, so that its magnitude is the form. Equations either have
//! carriers of their own, in limbs `sum 2^s form_s` if the whole has more bits than a block has digits; or all of them share
//! one carrier per left register. [`Plan::new`] takes whichever needs fewer rows.
//!
//! *Right registers.* Every public value has one. Ties share: equations `E_j = 0`, of which `2 E_j` is an integer with
//! `|2 E_j| < 2^(m_j)` over the bounds of registers and magnitudes, are summed up as `sum W_j E_j = 0` with `W_0 = 1` and
//! `W_(j+1) = 2^(m_j) W_j`. Twice the sum stays below `2^TIE_BITS`, far below the field's size, so it is zero as an integer.
//! Its remainder modulo `W_1` is that of `2 E_0`, which is smaller than `W_1`; so `E_0 = 0`, and so on. This needs no other
//! equation to hold.

use std::collections::{BTreeMap, HashMap};

use ff::PrimeField;

use super::{
    NotPeriodic,
    config::Geometry,
    form::Form,
    program::{Atom, Program, Target},
};
use crate::circuit::field;

/// Sums of ties stay below this many bits: fields have 254 or more.
const TIE_BITS: u32 = 250;

/// What one block computes: a magnitude, and what it adds to the right registers.
#[derive(Clone, Debug)]
pub struct Block<F> {
    pub atom: Atom,
    /// Right registers and coefficients.
    pub writes: Vec<(usize, F)>,
}

/// The blocks of a model, the same for every input.
#[derive(Clone, Debug)]
pub struct Plan<F> {
    pub program: Program,
    pub geometry: Geometry,
    pub blocks: Vec<Block<F>>,
    /// Per public value, which has the right register of that number: what `sum coefficient * t` lacks of it.
    pub constants: Vec<F>,
}

/// An equation's share of a carrier.
struct Share {
    equation: usize,
    coefficient: i128,
}

/// Forms over left registers without constants, and who reads them.
type Carriers = Vec<(Form, Vec<Share>)>;

/// Where an equation goes: its right register and its weight there.
type Place<F> = (usize, F);

impl<F: PrimeField> Plan<F> {
    /// Choose the period with the fewest rows.
    pub fn new(program: Program) -> Result<Self, NotPeriodic> {
        let (places, right) = places::<F>(&program);
        let (left, right) = (program.registers.len().max(1), right.max(1));
        let widest = program.atoms.iter().map(|atom| atom.bits).max().unwrap_or(1);
        let constant = constant_block(&program);

        let mut best: Option<(Geometry, Carriers)> = None;
        for log_period in 1..F::S {
            let fewest = best.as_ref().map_or(F::S, |(geometry, _)| geometry.k);
            if log_period >= fewest {
                break;
            }
            let Some(digits) = Geometry::digits(log_period, left, right).filter(|&digits| digits >= widest) else {
                continue;
            };
            let options = [limbs(&program, digits), per_register(&program, digits)].into_iter().flatten();
            let Some(carriers) = options.min_by_key(Vec::len) else { continue };
            let blocks = program.atoms.len() + carriers.len() + usize::from(constant);
            let geometry = Geometry::new(log_period, left, right, blocks);
            if geometry.k < fewest {
                best = Some((geometry, carriers));
            }
        }
        let (geometry, carriers) = best.ok_or(NotPeriodic::TooLong { limit: F::S - 1 })?;
        let blocks = program.atoms.iter().map(|atom| Block { atom: atom.clone(), writes: Vec::new() }).collect();
        let plan = Self { program, geometry, blocks, constants: Vec::new() };
        plan.write(&places, carriers, constant).ok_or(NotPeriodic::TooWide { node: "output".into() })
    }

    /// What every block adds to the right registers.
    fn write(mut self, places: &[Place<F>], carriers: Carriers, constant: bool) -> Option<Self> {
        let equations = self.program.equations.clone();
        // of the equations, in integers
        let mut constants: Vec<i128> = equations.iter().map(|equation| equation.linear.constant).collect();
        for (equation, &(right, weight)) in equations.iter().zip(places) {
            for &(atom, coefficient) in &equation.magnitudes {
                add(&mut self.blocks[atom].writes, right, weight * field::<F>(coefficient));
            }
        }
        for (form, shares) in carriers {
            let bounds = self.program.bounds(&form)?;
            let bits = u128::BITS - bounds.lo.abs_diff(bounds.hi).leading_zeros();
            let mut writes = Vec::new();
            for Share { equation, coefficient } in shares {
                let (right, weight) = places[equation];
                add(&mut writes, right, weight * field::<F>(coefficient));
                constants[equation] = constants[equation].checked_add(coefficient.checked_mul(bounds.lo)?)?;
            }
            let form = form.scaled(1, bounds.lo.checked_neg()?)?;
            self.program.bounds(&form)?;
            self.blocks.push(Block { atom: Atom { form, bits }, writes });
        }
        let mut of_ties = Vec::new();
        for ((equation, &(right, weight)), constant) in equations.iter().zip(places).zip(constants) {
            match equation.target {
                // the right register adds up to what is missing, with the opposite sign
                Target::Public(_) => self.constants.push(-weight * field::<F>(constant)),
                Target::Register(_) => add(&mut of_ties, right, weight * field::<F>(constant)),
            }
        }
        if constant {
            self.blocks.push(Block { atom: Atom { form: Form::constant(1), bits: 1 }, writes: of_ties });
        }
        Some(self)
    }
}

/// Add to the coefficient of a right register.
fn add<F: PrimeField>(writes: &mut Vec<(usize, F)>, right: usize, coefficient: F) {
    match writes.iter_mut().find(|(other, _)| *other == right) {
        Some((_, sum)) => *sum += coefficient,
        None => writes.push((right, coefficient)),
    }
}

/// Whether there are ties: the constants of their equations are multiples of the magnitude of the constant one.
fn constant_block(program: &Program) -> bool {
    program.equations.iter().any(|equation| matches!(equation.target, Target::Register(_)))
}

/// Where the equations go, and how many right registers there are. The weights of public equations make them
/// `public value + sum weight * coefficient * t + .. = 0`.
fn places<F: PrimeField>(program: &Program) -> (Vec<Place<F>>, usize) {
    let publics = program.unfolded.outputs.len();
    let (mut right, mut used) = (publics, TIE_BITS);
    let mut places = Vec::with_capacity(program.equations.len());
    for equation in &program.equations {
        places.push(match equation.target {
            Target::Public(i) => (i, if equation.factor == 2 { -F::TWO_INV } else { -F::ONE }),
            Target::Register(_) => {
                if used + equation.bits > TIE_BITS {
                    (right, used) = (right + 1, 0);
                }
                let weight = F::from(2).pow([u64::from(used)]);
                used += equation.bits;
                (right - 1, weight)
            }
        });
    }
    (places, right)
}

/// Bits of the largest value that a form takes, less the smallest.
fn width(program: &Program, form: &Form) -> Option<u32> {
    let bounds = program.bounds(form)?;
    Some(u128::BITS - bounds.lo.abs_diff(bounds.hi).leading_zeros())
}

/// The same for a form with the same terms and coefficients of one.
fn unit_width(program: &Program, form: &Form) -> Option<u32> {
    let terms = form.terms.keys().map(|&register| (register, 1)).collect();
    width(program, &Form { terms, constant: 0 })
}

/// Carriers of the equations' own, each of at most `digits` bits.
fn limbs(program: &Program, digits: u32) -> Option<Carriers> {
    let mut carriers = Carriers::new();
    let mut known: HashMap<Form, usize> = HashMap::new();
    let mut carry = |form: Form, share: Share| {
        let next = carriers.len();
        match *known.entry(form.clone()).or_insert(next) {
            index if index == next => carriers.push((form, vec![share])),
            index => carriers[index].1.push(share),
        }
    };
    for (equation, Form { terms, .. }) in program.equations.iter().map(|equation| &equation.linear).enumerate() {
        let mut rest = Form { terms: terms.clone(), constant: 0 };
        let mut shift = 0;
        while !rest.terms.is_empty() {
            let coefficient = 1i128.checked_shl(shift).filter(|&power| power > 0)?;
            if width(program, &rest)? <= digits {
                carry(rest, Share { equation, coefficient });
                break;
            }
            let bits = u128::BITS - rest.terms.values().map(|c| c.unsigned_abs()).max()?.leading_zeros();
            if bits > Form::MAX_SHIFT {
                return None;
            }
            let fits = |shift: &u32| width(program, &rest.split(*shift).0).is_some_and(|width| width <= digits);
            // low coefficients of half a power of two always fit up to here; how much more is a matter of the coefficients
            let always = digits.saturating_sub(unit_width(program, &rest)?).max(1);
            let limb = (always..=bits).take_while(fits).last()?;
            let (low, high) = rest.split(limb);
            if !low.terms.is_empty() {
                carry(low, Share { equation, coefficient });
            }
            (rest, shift) = (high, shift + limb);
        }
    }
    Some(carriers)
}

/// One carrier per left register that an equation reads; each has at most `digits` bits.
fn per_register(program: &Program, digits: u32) -> Option<Carriers> {
    let mut carriers: BTreeMap<usize, Vec<Share>> = BTreeMap::new();
    for (equation, Form { terms, .. }) in program.equations.iter().map(|equation| &equation.linear).enumerate() {
        for (&register, &coefficient) in terms {
            carriers.entry(register).or_default().push(Share { equation, coefficient });
        }
    }
    let carriers: Carriers = carriers.into_iter().map(|(register, shares)| (Form::value(register), shares)).collect();
    carriers.iter().all(|(form, _)| width(program, form).is_some_and(|width| width <= digits)).then_some(carriers)
}
