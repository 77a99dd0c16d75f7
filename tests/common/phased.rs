//! What a prover can reach in the `phased` layout who forges some cells and completes the rest so that as few constraints as
//! possible notice. The unit tests include this file by path.

use std::collections::HashMap;

use ff::{Field, PrimeField};
use hallmark::circuit::PhasedCircuit;
use halo2curves::bn256::Fr;

/// The remainder of a value by `2^bits`, `bits < 128`; above `r / 2` it is negative.
fn low_bits(value: Fr, bits: u32) -> Fr {
    let of = |value: Fr| {
        let bytes = value.to_repr();
        u128::from_le_bytes(bytes.as_ref()[..16].try_into().unwrap()) & ((1 << bits) - 1)
    };
    Fr::from_u128(if value <= -value {
        of(value)
    } else {
        (1u128 << bits).wrapping_sub(of(-value)) & ((1 << bits) - 1)
    })
}

/// `value / 2^bits` in the field.
fn shifted(value: Fr, bits: u32) -> Fr {
    value * Fr::TWO_INV.pow([u64::from(bits)])
}

/// The rows of a layout, by what is the same for every witness.
pub struct Runs<'a> {
    circuit: &'a PhasedCircuit<Fr>,
    /// The source of a copy.
    sources: HashMap<usize, usize>,
    /// The first row of the run that ends before a row.
    starts: HashMap<usize, usize>,
}

/// A value and what is left of it: `value = 2^bits rest + low`, with `low + added` in range.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// The rows of the value and of the rest.
    pub value: usize,
    pub rest: usize,
    pub bits: u32,
    pub added: Fr,
}

/// A number in two parts of which one is zero: `x = p - n`.
#[derive(Clone, Copy, Debug)]
pub struct Rectified {
    pub positive: usize,
    pub negative: usize,
}

impl<'a> Runs<'a> {
    pub fn new(circuit: &'a PhasedCircuit<Fr>) -> Self {
        let sources = circuit.layout.copies.iter().map(|&(source, copy)| (copy, source)).collect();
        let mut starts = HashMap::new();
        for &(start, end) in &circuit.layout.pins {
            // the running sum as a whole may end with a run
            starts.entry(end).and_modify(|first: &mut usize| *first = start.max(*first)).or_insert(start);
        }
        Self { circuit, sources, starts }
    }

    /// Rows before the table.
    pub fn end(&self) -> usize {
        self.circuit.layout.table_start.unwrap_or(self.circuit.layout.rows())
    }

    fn is_copy(&self, row: usize) -> bool {
        self.sources.contains_key(&row)
    }

    /// What the rows of a run add up to.
    pub fn sum(&self, a: &[Fr], rows: std::ops::Range<usize>) -> Fr {
        let layout = &self.circuit.layout;
        let product = |row: usize| {
            if layout.product[row] != Fr::ZERO { layout.product[row] * a[row] * a[row + 1] } else { Fr::ZERO }
        };
        rows.map(|row| layout.weight[row] * a[row] + product(row)).sum()
    }

    /// The first row of the run that this new cell closes, if it does.
    pub fn closes(&self, row: usize) -> Option<usize> {
        let new = self.circuit.layout.weight[row] == -Fr::ONE && !self.is_copy(row);
        self.starts.get(&(row + 1)).copied().filter(|&start| new && start < row)
    }

    /// All limbs but the highest of their values.
    pub fn divisions(&self) -> Vec<Division> {
        (0..self.end()).filter_map(|row| self.limb(row)).collect()
    }

    /// The division by the length of a limb whose rest is in this row.
    fn limb(&self, row: usize) -> Option<Division> {
        let (layout, value) = (&self.circuit.layout, row.checked_sub(1)?);
        let times = layout.lookup[value];
        let is = times > 0 && layout.next[value] == -Fr::from(1 << layout.table_bits);
        is.then(|| {
            let (bits, scale) = (layout.table_bits - times.ilog2(), Fr::from(u64::from(times)).invert().unwrap());
            Division { value, rest: row, bits, added: layout.table[value] * scale }
        })
    }

    /// All numbers in two parts.
    pub fn rectified(&self) -> Vec<Rectified> {
        let layout = &self.circuit.layout;
        let is = |&row: &usize| {
            layout.product[row] == Fr::ONE
                && layout.weight[row] == Fr::ZERO
                && self.starts.get(&(row + 1)) == Some(&row)
        };
        (0..self.end()).filter(is).map(|positive| Rectified { positive, negative: positive + 1 }).collect()
    }

    /// The cells of two parts and what follows from them before the next gadget: both as they should be for their difference,
    /// but for those that are chosen.
    fn parts(&self, parts: Rectified, a: &[Fr], chosen: &HashMap<usize, Fr>) -> Vec<(usize, Fr)> {
        let layout = &self.circuit.layout;
        let Rectified { positive, negative } = parts;
        let end = (negative + 1..).find(|end| self.starts.get(end) == Some(&negative)).unwrap();
        // the run is n, -p and the terms of x, which are copies
        let terms = negative + 2..end;
        let x: Fr = terms.map(|row| layout.weight[row] * a[self.sources[&row]]).sum();
        let p = chosen.get(&positive).copied().unwrap_or(if x <= -x { x } else { Fr::ZERO });
        let n = chosen.get(&negative).copied().unwrap_or(p - x);
        let mut cells = vec![(positive, p), (negative, n)];
        if self.sources.get(&(positive - 1)) == Some(&negative) {
            cells.push((positive - 1, n));
        } else {
            // the first limb of the magnitude
            cells.push((end, p + n));
        }
        cells
    }

    /// The witness of a prover who puts these values in these cells and goes on by the rules: copies are copies, a cell that
    /// closes a run takes what is missing, limbs, quotients and remainders are those of their values for as long as there are
    /// rows, the parts of a number are its parts, and what is looked up is counted. Every other cell that the prover is free to
    /// choose is left as it is.
    pub fn complete(&self, chosen: &[(usize, Fr)]) -> Vec<Fr> {
        let layout = &self.circuit.layout;
        let mut a = layout.a.clone();
        let mut chosen: HashMap<usize, Fr> = chosen.iter().copied().collect();
        let rectified = self.rectified();
        for row in 0..self.end() {
            let above = |parts: &&Rectified| self.sources.get(&row) == Some(&parts.negative) && row < parts.positive;
            if let Some(&parts) = rectified.iter().find(|parts| parts.positive == row || above(parts)) {
                for (cell, value) in self.parts(parts, &a, &chosen) {
                    chosen.entry(cell).or_insert(value);
                }
            }
            a[row] = if let Some(&value) = chosen.get(&row) {
                value
            } else if let Some(&source) = self.sources.get(&row) {
                a[source]
            } else if let Some(Division { value, bits, added, .. }) = self.limb(row) {
                shifted(a[value] - (low_bits(a[value] + added, bits) - added), bits)
            } else if let Some(start) = self.closes(row) {
                self.sum(&a, start..row)
            } else {
                a[row]
            };
        }
        self.count(&mut a);
        a
    }

    /// The multiplicities: how often each entry of the table is looked up.
    fn count(&self, a: &mut [Fr]) {
        let layout = &self.circuit.layout;
        let Some(start) = layout.table_start else { return };
        let entries: HashMap<Fr, usize> = (0..1u64 << layout.table_bits).map(Fr::from).zip(start..).collect();
        a[start..].fill(Fr::ZERO);
        for row in (0..start).filter(|&row| layout.lookup[row] > 0 || layout.next[row] != Fr::ZERO) {
            let times = Fr::from(u64::from(layout.lookup[row]));
            if let Some(&entry) = entries.get(&(times * a[row] + layout.table[row] + layout.next[row] * a[row + 1])) {
                a[entry] += if times == Fr::ZERO { Fr::ONE } else { times };
            }
        }
    }

    /// The public values that cells of `a` add up to.
    pub fn claims(&self, a: &[Fr]) -> Vec<Fr> {
        let layout = &self.circuit.layout;
        layout.public_rows.iter().map(|&row| self.sum(a, self.starts[&(row + 1)]..row + 1)).collect()
    }
}
