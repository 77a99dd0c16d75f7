//! From blocks to rows: the fixed column from the plan, the advice column from the values of the left registers.

use ff::PrimeField;

use super::{config::COPY, plan::Plan};
use crate::circuit::{PublicRow, domain_generator, field};

/// The fixed column: biases, weights, coefficients, and ones where digits have ended.
pub fn fixed<F: PrimeField>(plan: &Plan<F>) -> Vec<F> {
    let geometry = plan.geometry;
    let mut column = vec![F::ZERO; geometry.rows()];
    let mut blocks = plan.blocks.iter();
    for rows in column.chunks_exact_mut(geometry.period()) {
        // blocks without work have the magnitude zero, of one bit
        let mut bits = 1;
        if let Some(block) = blocks.next() {
            bits = block.atom.bits;
            rows[0] = field(block.atom.form.constant);
            for (&register, &weight) in &block.atom.form.terms {
                rows[geometry.accumulator(register)] = field(weight);
            }
            for &(register, coefficient) in &block.writes {
                rows[geometry.right_register(register)] = coefficient;
            }
        }
        let ended = geometry.digits_start() + bits as usize;
        rows[ended - 1..geometry.digits_end()].fill(F::ONE);
    }
    column
}

/// The advice column for the values of the left registers. Right registers start from zero.
pub fn advice<F: PrimeField>(plan: &Plan<F>, registers: &[i128]) -> Vec<F> {
    let geometry = plan.geometry;
    let mut column = vec![F::ZERO; geometry.rows()];
    let mut right = vec![F::ZERO; geometry.right];
    let mut blocks = plan.blocks.iter();
    for rows in column.chunks_exact_mut(geometry.period()) {
        for (i, &value) in registers.iter().enumerate() {
            rows[geometry.left_register(i)] = field(value);
        }
        let block = blocks.next();
        let mut sum = block.map_or(0, |block| block.atom.form.constant);
        for i in 0..geometry.left {
            rows[geometry.accumulator(i)] = field(sum);
            let weight = block.and_then(|block| block.atom.form.terms.get(&i)).copied().unwrap_or(0);
            sum += weight * registers.get(i).copied().unwrap_or(0);
        }
        rows[geometry.value()] = field(sum);
        let magnitude = sum.unsigned_abs();
        for (j, value) in right.iter().enumerate() {
            rows[geometry.right_register(j)] = *value;
            rows[geometry.magnitude(j)] = F::from_u128(magnitude);
        }
        let mut digits = magnitude;
        for cell in &mut rows[geometry.digits_start()..geometry.digits_end()] {
            *cell = F::from_u128(digits);
            digits >>= 1;
        }
        for &(register, coefficient) in block.map_or(&[][..], |block| &block.writes) {
            right[register] += coefficient * F::from_u128(magnitude);
        }
    }
    column
}

/// The rows of the public values, in the last block: `public value - constant`, times the copy selector's value there, since
/// the gate multiplies all but the public column by that.
pub fn public_rows<F: PrimeField>(plan: &Plan<F>) -> Vec<PublicRow<F>> {
    let geometry = plan.geometry;
    let last = geometry.rows() - geometry.period();
    let (periodic, g) = (geometry.periodic(), domain_generator::<F>(geometry.log_period));
    let row = |(j, &constant): (usize, &F)| {
        let position = geometry.right_register(j);
        let selector = periodic.section_value(COPY, position, g);
        PublicRow { row: last + position, terms: vec![(j, selector)], constant: -constant * selector }
    };
    plan.constants.iter().enumerate().map(row).collect()
}
