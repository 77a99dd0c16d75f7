//! Cheating provers: each tells one lie, completes the rest by the rules, and is caught by the gate that is there for it.

use ff::{Field, PrimeField};
use halo2curves::{bls12_381, bn256::Fr};

use super::{
    program::Target,
    testing::{Case, Gate},
    tests::layers,
    unfold::Definition,
};
use crate::{
    circuit::{
        field,
        testing::{Draw, linear, mlp, push, random_input, single_op},
    },
    graph::{IntegerModel, Output},
    ops::{Op, Rescale},
};

/// An input, ReLUs of it, and ReLUs of those: two registers are tied in one right register.
fn deep() -> IntegerModel {
    layers(&[(-9, 12), (-5, 5)], &[&[&[3, -2], &[-1, 4], &[2, 5]], &[&[1, -2, 1], &[-2, 3, -1]], &[&[1, -3]]])
}

/// ReLUs, and the rescaled sum of them: the argument of the rescaling is tied.
fn rescaled() -> IntegerModel {
    let mut model = layers(&[(-9, 12), (-5, 5)], &[&[&[3, -2], &[-1, 4]], &[&[5, -7]]]);
    let tensor = push(&mut model, Op::Rescale(Rescale { shift: 3 }), vec![3]);
    model.outputs = vec![Output { name: "y".into(), tensor, scale: 1.0 }];
    model
}

/// The identity on one input: what is public is the input.
fn identity(domain: (i128, i128)) -> IntegerModel {
    single_op(linear(1, &[vec![1]], vec![0]), &[domain])
}

/// Blocks whose form is not below `2^bits` in magnitude.
fn out_of_range<F: PrimeField + Ord>(case: &Case<F>, advice: &[F]) -> Vec<usize> {
    let outside = |&block: &usize| {
        let value = case.value(block, advice);
        value.min(-value) >= F::from_u128(1 << case.bits(block))
    };
    (0..case.plan.blocks.len()).filter(outside).collect()
}

/// The violations of a block's own rows. Without ties there are no others.
fn violations_of<F: PrimeField + Ord>(
    case: &Case<F>,
    block: usize,
    violations: &[(Gate, usize)],
) -> Vec<(Gate, usize)> {
    let (own, others): (Vec<_>, Vec<_>) =
        violations.iter().copied().partition(|(_, row)| row / case.plan.geometry.period() == block);
    assert!(others.is_empty() || !ties(case).is_empty(), "block {block}: {others:?}");
    own
}

/// [`Case::complete`], by a prover who has tied registers hold what follows from the lies.
fn follow<F: PrimeField + Ord>(case: &Case<F>, honest: &[F], chosen: &[(usize, F)]) -> Vec<F> {
    let program = &case.plan.program;
    let mut chosen = chosen.to_vec();
    let mut forged = case.complete(honest, &chosen);
    for equation in &program.equations {
        let Target::Register(register) = equation.target else { continue };
        let mut sum = field::<F>(equation.linear.constant);
        for &(atom, coefficient) in &equation.magnitudes {
            sum += field::<F>(coefficient) * forged[case.row(atom, case.plan.geometry.magnitude(0))];
        }
        for (&id, &coefficient) in &equation.linear.terms {
            sum += field::<F>(coefficient) * forged[case.register(id)];
        }
        let row = case.register(register);
        chosen.push((row, forged[row] + sum * field::<F>(equation.factor).invert().unwrap()));
        forged = case.complete(honest, &chosen);
    }
    forged
}

/// Every way to pass a block's magnitude `value` off as one below `2^bits` ends with one digit that is no bit; every digit a
/// bit means that they do not end where they have to. `forgery` is what else is chosen; tied registers follow.
fn assert_digits_tell<F: PrimeField + Ord>(
    case: &Case<F>,
    honest: &[F],
    forgery: &[(usize, F)],
    block: usize,
    value: F,
) {
    let bits = case.bits(block);
    let most = (1u128 << bits) - 1;
    let targets = if bits <= 4 { (0..=most).collect() } else { vec![0, 1, most / 3, most / 2 + 1, most] };
    for target in targets {
        for digits in case.passed_off(block, value, target) {
            let violations = case.violations(&follow(case, honest, &[forgery, &digits].concat()));
            let told = violations_of(case, block, &violations);
            assert!(matches!(told[..], [(Gate::Bit, _)]), "block {block}, {target}: {violations:?}");
        }
    }
    for digits in case.wrapped(block, value) {
        let violations = case.violations(&follow(case, honest, &[forgery, &digits].concat()));
        let told = violations_of(case, block, &violations);
        assert!(!told.is_empty() && told.iter().all(|(gate, _)| *gate == Gate::End), "{violations:?}");
    }
}

/// Wrong activation: `t = -|z|` instead of `|z|`, in every block, with all ways to write its digits.
fn the_negative_root<F: PrimeField + Ord>() {
    for model in [layers(&[(-3, 4), (0, 2)], &[&[&[1, -2], &[-1, 1]], &[&[1, -1]]]), deep(), rescaled()] {
        let case = Case::<F>::new(&model);
        let mut alone = 0;
        for seed in 0..3 {
            let honest = case.honest(&random_input(&model, &mut Draw::new(seed)));
            for block in 0..case.plan.blocks.len() {
                let t = case.row(block, case.plan.geometry.magnitude(0));
                if honest[t] != F::ZERO {
                    let forgery = [(t, -honest[t])];
                    assert_digits_tell(&case, &honest, &forgery, block, -honest[t]);
                    let plain = case.violations(&follow(&case, &honest, &forgery));
                    assert!(matches!(violations_of(&case, block, &plain)[..], [(Gate::Bit, _)]), "{plain:?}");
                    alone += usize::from(plain.len() == 1);
                }
            }
        }
        assert!(alone > 0, "a lie that nothing else tells");
    }
}

#[test]
fn the_negative_root_is_rejected_wherever_its_digits_hide_it() {
    the_negative_root::<Fr>();
    the_negative_root::<bls12_381::Fr>();
}

#[test]
fn a_magnitude_in_range_that_is_no_root_is_rejected() {
    let model = layers(&[(-3, 4)], &[&[&[1]], &[&[1]]]);
    let case = Case::<Fr>::new(&model);
    for x in -3..=4 {
        let honest = case.honest(&[x]);
        let magnitude = case.row(0, case.plan.geometry.magnitude(0));
        for t in (0..1u64 << case.bits(0)).map(Fr::from).filter(|&t| t != honest[magnitude]) {
            let forged = case.complete(&honest, &[(magnitude, t)]);
            assert_ne!(case.claims(&forged), case.claims(&honest));
            assert!(matches!(case.violations(&forged)[..], [(Gate::Act, _)]), "{x}: the squares tell");
        }
    }
}

#[test]
fn digits_that_are_no_bits_are_rejected_even_of_the_right_magnitude() {
    let model = deep();
    let case = Case::<Fr>::new(&model);
    let honest = case.honest(&[-9, 5]);
    for block in 0..case.plan.blocks.len() {
        let t = honest[case.row(block, case.plan.geometry.digits_start())];
        let true_digits = |target: u128| Fr::from_u128(target) == t;
        for target in (0..1 << case.bits(block).min(5)).filter(|&target| !true_digits(target)) {
            for digits in case.passed_off(block, t, target) {
                let violations = case.violations(&case.complete(&honest, &digits));
                // digits that differ from the true ones in what comes before the taker are the true ones
                let same = digits.iter().all(|&(row, cell)| honest[row] == cell);
                assert!(same || matches!(violations[..], [(Gate::Bit, _)]), "block {block}: {violations:?}");
            }
        }
    }
}

#[test]
fn digits_may_not_go_on_after_their_end() {
    let model = layers(&[(-3, 4)], &[&[&[1]], &[&[1]]]);
    let case = Case::<Fr>::new(&model);
    let honest = case.honest(&[2]);
    for block in 0..case.plan.blocks.len() {
        let geometry = case.plan.geometry;
        for position in geometry.digits_start() + case.bits(block)..=geometry.digits_end() {
            // 0 - 2 (-1/2) is a bit
            let forged = case.complete(&honest, &[(case.row(block, position), -Fr::TWO_INV)]);
            assert!(case.violations(&forged).contains(&(Gate::End, case.row(block, position - 1))));
        }
    }
}

#[test]
fn a_wrong_accumulator_is_rejected() {
    let model = deep();
    let case = Case::<Fr>::new(&model);
    let (geometry, honest) = (case.plan.geometry, case.honest(&[4, -2]));
    for block in 0..geometry.blocks() {
        for i in 0..=geometry.left {
            let row = case.row(block, geometry.accumulator(i));
            let gate = if i == 0 { (Gate::Bias, row - 1) } else { (Gate::Mac, row - 2) };
            for delta in [Fr::ONE, -Fr::ONE, Fr::TWO_INV, -honest[row].double()] {
                let forged = case.complete(&honest, &[(row, honest[row] + delta)]);
                assert!(delta == Fr::ZERO || case.violations(&forged).contains(&gate), "block {block}, {i}");
            }
        }
        for j in 1..geometry.right {
            let row = case.row(block, geometry.magnitude(j));
            let forged = case.complete(&honest, &[(row, honest[row] + Fr::ONE)]);
            assert!(case.violations(&forged).contains(&(Gate::Mac, row - 2)), "block {block}: t is carried");
        }
    }
}

/// Inputs just outside of each end of their domain, with all ways to write the digits that give them away.
fn outside_of_the_domain<F: PrimeField + Ord>() {
    // widths 12 and 7 (two atoms), 1, 2 and 14 (one atom), 30 (one atom)
    for domain in [(-5, 6), (-4, 3), (0, 1), (-7, -5), (-7, 7), (100, 130)] {
        let case = Case::<F>::new(&identity(domain));
        for x in domain.0..=domain.1 {
            let honest = case.honest(&[x]);
            assert_eq!((case.violations(&honest), case.claims(&honest)), (vec![], vec![field(x)]));
        }
        let honest = case.honest(&[domain.0]);
        let outside = (1..20).flat_map(|by| [domain.0 - by, domain.1 + by]).map(field::<F>);
        // fractions, and numbers that are small after a multiplication
        let fractions = [F::TWO_INV, field::<F>(domain.0) + F::TWO_INV, F::from(3).invert().unwrap()];
        for x in outside.chain(fractions) {
            let forgery = [(case.register(0), x)];
            let plain = case.complete(&honest, &forgery);
            assert_eq!(case.value(0, &plain), case.value(0, &honest) + x - field::<F>(domain.0));
            let caught = out_of_range(&case, &plain);
            assert!(!caught.is_empty() && !case.violations(&plain).is_empty(), "{domain:?}: {x:?}");
            if let [block] = caught[..] {
                let value = case.value(block, &plain);
                [value, -value].into_iter().for_each(|t| {
                    let magnitude = (case.row(block, case.plan.geometry.magnitude(0)), t);
                    assert_digits_tell(&case, &honest, &[forgery[0], magnitude], block, t);
                });
            }
        }
    }
}

#[test]
fn inputs_outside_of_the_domain_are_rejected_however_they_are_written() {
    outside_of_the_domain::<Fr>();
    outside_of_the_domain::<bls12_381::Fr>();
}

#[test]
fn left_registers_are_the_same_in_all_blocks() {
    let model = deep();
    let case = Case::<Fr>::new(&model);
    let (geometry, honest) = (case.plan.geometry, case.honest(&[4, -2]));
    let last = geometry.blocks() - 1;
    for register in 0..geometry.left {
        let row = |block: usize| case.row(block, geometry.left_register(register));
        for block in 1..=last {
            for delta in [Fr::ONE, -Fr::ONE] {
                let lie = |block: usize| (row(block), honest[row(block)] + delta);
                // from this block on, and in this block only
                let from = case.violations(&case.complete(&honest, &[lie(block)]));
                assert!(from.contains(&(Gate::Copy, row(block - 1))) && from.contains(&(Gate::Copy, row(last))));
                if block < last {
                    let back = (row(block + 1), honest[row(block + 1)]);
                    let only = case.violations(&case.complete(&honest, &[lie(block), back]));
                    assert!(only.contains(&(Gate::Copy, row(block - 1))) && only.contains(&(Gate::Copy, row(block))));
                }
            }
        }
    }
}

#[test]
fn right_registers_begin_anywhere_and_end_where_they_began() {
    let model = deep();
    let case = Case::<Fr>::new(&model);
    let (geometry, honest) = (case.plan.geometry, case.honest(&[4, -2]));
    assert_eq!((case.circuit.public.len(), geometry.right), (1, 2));
    for register in 0..geometry.right {
        let row = |block: usize| case.row(block, geometry.right_register(register));
        let begins = case.complete(&honest, &[(row(0), Fr::from(7))]);
        assert_ne!(begins, honest);
        assert_eq!((case.violations(&begins), case.claims(&begins)), (vec![], case.claims(&honest)));
        for block in 1..geometry.blocks() {
            let jumps = case.complete(&honest, &[(row(block), honest[row(block)] + Fr::from(7))]);
            let violations = case.violations(&jumps);
            // a public value can be claimed to close the cycle, a tie cannot
            assert!(violations.contains(&(Gate::Copy, row(block - 1))));
            assert_eq!(violations.len(), 1 + register);
        }
    }
}

/// Registers that are tied, with their equations' factors.
fn ties<F: PrimeField + Ord>(case: &Case<F>) -> Vec<(usize, i128, u32)> {
    let tie = |equation: &super::program::Equation| match equation.target {
        Target::Register(register) => Some((register, equation.factor, equation.bits)),
        Target::Public(_) => None,
    };
    case.plan.program.equations.iter().filter_map(tie).collect()
}

#[test]
fn a_tied_register_that_holds_anything_else_is_rejected() {
    let half = Fr::TWO_INV;
    for model in [deep(), rescaled(), mlp(&[2, 3, 2, 1], 20, 5)] {
        let case = Case::<Fr>::new(&model);
        let ties = ties(&case);
        assert!(!ties.is_empty());
        for seed in 0..3 {
            let honest = case.honest(&random_input(&model, &mut Draw::new(seed)));
            for &(register, ..) in &ties {
                let row = case.register(register);
                let x = honest[row];
                for forged in [x + Fr::ONE, x - Fr::ONE, -x, x + half, x - half, x + Fr::from(8), x.double(), Fr::ZERO]
                {
                    let advice = case.complete(&honest, &[(row, forged)]);
                    assert!(forged == x || case.violations(&advice).iter().any(|(gate, _)| *gate == Gate::Copy));
                }
            }
        }
    }
}

/// Lies of two ties that share a right register cancel there; then one of the registers is far out of its range.
#[test]
fn ties_that_share_a_right_register_do_not_cover_for_each_other() {
    let model = deep();
    let case = Case::<Fr>::new(&model);
    let honest = case.honest(&[4, -2]);
    let [(first, first_factor, bits), (second, second_factor, _)] = ties(&case)[..] else { panic!("two ties") };
    let weight = Fr::from(2).pow([u64::from(bits)]);
    for lie in [Fr::ONE, -Fr::ONE, Fr::TWO_INV, field(1 << 40)] {
        let cover = -lie * weight * field::<Fr>(second_factor) * field::<Fr>(first_factor).invert().unwrap();
        let rows = [case.register(first), case.register(second)];
        let mut forgery = vec![(rows[0], honest[rows[0]] + cover), (rows[1], honest[rows[1]] + lie)];
        // carriers carry what they are not made for, and their digits tell
        let plain = case.complete(&honest, &forgery);
        let carriers = case.plan.program.atoms.len()..case.plan.blocks.len();
        let magnitude = case.plan.geometry.magnitude(0);
        forgery.extend(carriers.map(|block| (case.row(block, magnitude), case.value(block, &plain))));
        let forged = case.complete(&honest, &forgery);
        let violations = case.violations(&forged);
        let carried = out_of_range(&case, &forged);
        assert!(!carried.is_empty() && !violations.is_empty());
        assert!(
            violations.iter().all(|(gate, _)| *gate == Gate::Bit),
            "the sum of ties is none the wiser: {violations:?}"
        );
    }
}

#[test]
fn another_quotient_is_rejected_whatever_its_remainder() {
    for (shift, domain) in [(1, (-5, 5)), (3, (-40, 21)), (2, (100, 131)), (5, (-16, 17))] {
        let model = single_op(Op::Rescale(Rescale { shift }), &[domain]);
        let case = Case::<Fr>::new(&model);
        let quotient = case.registers(|register| matches!(case.definition(register), Some(Definition::Rescale(..))));
        let row = case.register(quotient[0]);
        for x in [domain.0, (domain.0 + domain.1) / 2, domain.1] {
            let honest = case.honest(&[x]);
            let one_less_than_half = Fr::TWO_INV - Fr::ONE;
            for delta in
                [1, -1, 2, -2, 1 << shift].map(field::<Fr>).into_iter().chain([Fr::TWO_INV, one_less_than_half])
            {
                let forgery = [(row, honest[row] + delta)];
                let plain = case.complete(&honest, &forgery);
                let caught = out_of_range(&case, &plain);
                assert!(!caught.is_empty() && !case.violations(&plain).is_empty(), "{shift}, {x}: {delta:?}");
                if let [block] = caught[..] {
                    let value = case.value(block, &plain);
                    let magnitude = (case.row(block, case.plan.geometry.magnitude(0)), value);
                    assert_digits_tell(&case, &honest, &[forgery[0], magnitude], block, value);
                }
            }
        }
    }
}

/// The remainder of a tied argument is tested as `2v`: halves pass, and only the tie tells.
#[test]
fn halves_pass_the_remainder_and_not_the_tie() {
    let model = rescaled();
    let case = Case::<Fr>::new(&model);
    let [(argument, ..)] = ties(&case)[..] else { panic!("one tie") };
    let mut passed = 0;
    for seed in 0..8 {
        let honest = case.honest(&random_input(&model, &mut Draw::new(seed)));
        for delta in [Fr::TWO_INV, -Fr::TWO_INV] {
            let row = case.register(argument);
            let forged = case.complete(&honest, &[(row, honest[row] + delta)]);
            let remainder = |block: &usize| case.plan.blocks[*block].atom.form.terms.get(&argument) == Some(&2);
            let out = out_of_range(&case, &forged);
            passed += usize::from(!out.iter().any(remainder));
            assert!(!case.violations(&forged).is_empty());
        }
    }
    assert!(passed > 0, "a half is tried that the remainder's atom does not see");
}
