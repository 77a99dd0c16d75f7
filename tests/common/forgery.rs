//! What a prover can reach in the `general` layout who forges some cells and completes the rest so that as few constraints as
//! possible notice. The unit tests include this file by path.

use std::collections::HashMap;

use ff::{Field, PrimeField};
use hallmark::circuit::{Builder, ModelCircuit};
use halo2curves::bn256::Fr;

/// The public values that the witness arrives at.
pub fn claims(circuit: &ModelCircuit<Fr>) -> Vec<Fr> {
    circuit.layout.public_rows.iter().map(|row| circuit.layout.a[row + 1]).collect()
}

/// `value / 2`, rounded down as an integer of `[0, r)`.
fn halved(value: Fr) -> Fr {
    (value - if bool::from(value.is_odd()) { Fr::ONE } else { Fr::ZERO }) * Fr::TWO_INV
}

/// The witness of a prover who puts these values in these cells and goes on by the rules: copies are copies, sums are sums,
/// squares are squares, magnitudes are magnitudes, and digits are bits for as long as there are rows. Every other cell that
/// the prover is free to choose is left as it is.
pub fn complete(circuit: &ModelCircuit<Fr>, chosen: &[(usize, Fr)]) -> ModelCircuit<Fr> {
    let mut forged = circuit.clone();
    let Builder { a, w, q, copies, .. } = &mut forged.layout;
    let chosen: HashMap<usize, Fr> = chosen.iter().copied().collect();
    let copied: HashMap<usize, usize> = copies.iter().map(|&(source, copy)| (copy, source)).collect();
    for row in 3..a.len() {
        let (above, even) = (row - 1, row % 2 == 0);
        let digits = |row: usize| q[row] && w[row] == Fr::ZERO;
        let squares = |row: usize| q[row] && w[row] == Fr::ONE;
        a[row] = if let Some(&value) = chosen.get(&row) {
            value
        } else if let Some(&source) = copied.get(&row) {
            a[source]
        } else if digits(if even { row - 2 } else { above }) {
            halved(a[above])
        } else if even && squares(row - 2) {
            let x = a[row - 2] * Fr::TWO_INV;
            x.min(-x)
        } else if even {
            a[row - 2] + w[row - 2] * a[above]
        } else if squares(row - 3) {
            a[row - 3].square()
        } else if w[above] == -Fr::ONE && w[row] == Fr::ONE {
            a[above] // closes the accumulator
        } else {
            a[row]
        };
    }
    forged
}

/// A range check: `bits` digits of the cell in row `first`, in the rows below it.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    pub first: usize,
    pub bits: usize,
}

impl Digits {
    /// All range checks of a layout, from above.
    pub fn find(layout: &Builder<Fr>) -> Vec<Self> {
        let digits = |row: usize| layout.q[row] && layout.w[row] == Fr::ZERO;
        let (mut found, mut row) = (Vec::new(), 0);
        while row < layout.rows() {
            let first = row;
            while digits(row) {
                row += 2;
            }
            if row > first {
                let odd = layout.copies.iter().any(|&(_, copy)| copy == row - 1);
                found.push(Digits { first, bits: row - first - usize::from(odd) });
            }
            row += 2;
        }
        found
    }

    /// Ways to pass `value` off as the digits of `target < 2^bits`: one digit, each of them in turn, takes what is between
    /// the two, those before it are the bits of `value`, those after it the bits of `target`.
    pub fn passed_off(&self, value: Fr, target: u128) -> Vec<Vec<(usize, Fr)>> {
        let forged = |taker: usize| {
            let mut cell = value;
            let cells = (1..=self.bits).map(|i| {
                cell = if i <= taker { halved(cell) } else { Fr::from_u128(target >> i) };
                (self.first + i, cell)
            });
            cells.collect()
        };
        (0..self.bits).map(forged).collect()
    }

    /// Ways to expand `value + r` in place of `value`, wrong digit by wrong digit: every digit is a bit, and the expansion
    /// does not end.
    pub fn wrapped(&self, value: Fr) -> Vec<Vec<(usize, Fr)>> {
        let forged = |wrong: usize| {
            let before = (0..wrong).fold(value, |cell, _| halved(cell));
            let rest = halved(before);
            let flipped = if rest.double() == before { rest - Fr::TWO_INV } else { rest + Fr::TWO_INV };
            vec![(self.first + wrong + 1, flipped)]
        };
        (0..self.bits - 1).map(forged).collect()
    }
}
