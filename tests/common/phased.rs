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
    /// How many times a row with a pair has the next cell in its second component.
    pairs: HashMap<usize, Fr>,
    /// The second component of an entry by the first, which is the only one in tables of values.
    seconds: HashMap<Fr, Fr>,
}

/// What an element looks up of the segments of a function: rows, and those of the entries.
pub type Numbers = Vec<(usize, usize)>;

/// A value and what is left of it: `value = 2^bits rest + low`, with `low + added` in range.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// The rows of the value and of the rest.
    pub value: usize,
    pub rest: usize,
    pub bits: u32,
    pub added: Fr,
}

/// `p` of an argument `x + c`: `p (p - m) = 0` and `m = 2 p - x - c`, which is looked up where `p` is, or `m + c` has a cell of its own.
#[derive(Clone, Copy, Debug)]
pub struct Rectified {
    pub positive: usize,
    pub magnitude: Option<usize>,
}

impl<'a> Runs<'a> {
    pub fn new(circuit: &'a PhasedCircuit<Fr>) -> Self {
        let sources = circuit.layout.copies.iter().map(|&(source, copy)| (copy, source)).collect();
        let mut starts = HashMap::new();
        for &(start, end) in &circuit.layout.pins {
            // the running sum as a whole may end with a run
            starts.entry(end).and_modify(|first: &mut usize| *first = start.max(*first)).or_insert(start);
        }
        let pairs = circuit.layout.pairs.iter().copied().collect();
        let mut runs = Self { circuit, sources, starts, pairs, seconds: HashMap::new() };
        let entries = runs.entries().into_iter().map(|entry| runs.pair(entry, &circuit.layout.a));
        runs.seconds = entries.map(|[first, second]| (first, second)).collect();
        runs
    }

    /// Rows before the tables.
    pub fn end(&self) -> usize {
        let layout = &self.circuit.layout;
        let range = layout.table_start.unwrap_or(layout.rows());
        self.entries().into_iter().next().unwrap_or(range)
    }

    /// Rows of the entries that are pairs.
    pub fn entries(&self) -> Vec<usize> {
        let pairs = self.circuit.layout.pairs.iter().map(|pair| pair.0);
        pairs.filter(|&row| self.circuit.layout.lookup[row] == 0).collect()
    }

    /// What a row looks up, or is an entry of.
    pub fn pair(&self, row: usize, a: &[Fr]) -> [Fr; 2] {
        let layout = &self.circuit.layout;
        let below = a.get(row + 1).copied().unwrap_or(Fr::ZERO);
        let own = if layout.table_start.is_some_and(|start| row >= start) { Fr::ZERO } else { a[row] };
        let first = Fr::from(u64::from(layout.lookup[row])) * own + layout.next[row] * below + layout.table[row];
        [first, self.pairs.get(&row).map_or(Fr::ZERO, |coefficient| coefficient * below)]
    }

    /// Rows that look up a pair, and those of the entries.
    fn looked_up(&self) -> Numbers {
        let a = &self.circuit.layout.a;
        let entries: HashMap<[Fr; 2], usize> =
            self.entries().iter().map(|&entry| (self.pair(entry, a), entry)).collect();
        let pairs = self.circuit.layout.pairs.iter().map(|pair| pair.0);
        let looks_up = pairs.filter(|&row| self.circuit.layout.lookup[row] > 0);
        looks_up.map(|row| (row, entries[&self.pair(row, a)])).collect()
    }

    /// Elements of functions whose values are looked up: the rows of the arguments, and those of the entries.
    pub fn values(&self) -> Numbers {
        self.looked_up().into_iter().filter(|pair| self.is_value(pair.0)).collect()
    }

    /// Whether a row looks up a value: it is a copy of the argument, and no key, above a cell of its own; or it is a quotient below the limbs
    /// of what remains. A key's cell is below one that is paired with it.
    fn is_value(&self, row: usize) -> bool {
        let is_key = |&cell: &usize| cell > 0 && [cell - 1, cell].iter().all(|row| self.pairs.contains_key(row));
        let looks_up = self.pairs.contains_key(&row) && self.circuit.layout.lookup[row] > 0;
        let is_argument = self.limb(row).is_some() || self.sources.get(&row).is_some_and(|source| !is_key(source));
        looks_up && !self.is_copy(row + 1) && is_argument
    }

    /// The value that a row should hold for the argument above it, if it holds one and the argument has an entry.
    fn value(&self, row: usize, a: &[Fr]) -> Option<Fr> {
        let argument = row.checked_sub(1).filter(|&row| self.is_value(row))?;
        self.seconds.get(&self.pair(argument, a)[0]).copied()
    }

    /// Elements of functions whose segments are looked up. The first pair of an element ends in a cell of its own, its key.
    pub fn elements(&self) -> Vec<Numbers> {
        let mut elements = Vec::<Numbers>::new();
        for (row, entry) in self.looked_up().into_iter().filter(|pair| !self.is_value(pair.0)) {
            match elements.last_mut() {
                Some(element) if self.is_copy(row + 1) || !self.pairs.contains_key(&(row + 1)) => {
                    element.push((row, entry));
                }
                _ => elements.push(vec![(row, entry)]),
            }
        }
        elements
    }

    /// The cells of an element with the numbers of a segment so many further on, which may be one of another table.
    pub fn with_segment(&self, element: &Numbers, by: i64) -> Option<Vec<(usize, Fr)>> {
        let a = &self.circuit.layout.a;
        let step = (element.last()?.1 + 2 - element.first()?.1) as i64;
        let mut cells = vec![];
        for &(row, entry) in element {
            let other = usize::try_from(entry as i64 + by * step).ok()?;
            let is_entry = self.pairs.contains_key(&other) && self.circuit.layout.lookup[other] == 0;
            let ([first, second], [own, key]) = (is_entry.then(|| self.pair(other, a))?, self.pair(entry, a));
            cells.push((row, a[row] + first - own));
            cells.push((row + 1, a[row + 1] + (second - key) * self.pairs[&row].invert().unwrap()));
        }
        Some(cells)
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
        let layout = &self.circuit.layout;
        let new = layout.weight[row] == -Fr::ONE && layout.product[row] == Fr::ZERO && !self.is_copy(row);
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

    /// All arguments that are rectified.
    pub fn rectified(&self) -> Vec<Rectified> {
        let layout = &self.circuit.layout;
        let product = |row: usize| layout.product.get(row).copied().unwrap_or(Fr::ZERO);
        let rectified = |row: usize| {
            let looked_up = layout.lookup[row] == 2 && self.starts.get(&(row + 3)) == Some(&(row + 1));
            let beside = product(row) == -Fr::ONE && self.starts.get(&(row + 2)) == Some(&row) && !self.is_copy(row);
            match (product(row + 1) == Fr::ONE, product(row + 2) == Fr::ONE) {
                (_, true) if looked_up => Some(Rectified { positive: row, magnitude: None }),
                (true, _) if beside => Some(Rectified { positive: row + 1, magnitude: Some(row) }),
                _ => None,
            }
        };
        (0..self.end()).filter_map(rectified).collect()
    }

    /// The argument, by its cells.
    pub fn argument(&self, Rectified { positive, magnitude }: Rectified, a: &[Fr]) -> Fr {
        let layout = &self.circuit.layout;
        if magnitude.is_none() {
            return -layout.next[positive] * a[self.sources[&(positive + 1)]] - layout.table[positive];
        }
        // the run is -2 p, m + c and the terms, which are copies; p has the weight c
        let sum = positive + 1;
        let end = (sum + 1..).find(|end| self.starts.get(end) == Some(&sum)).unwrap();
        let source = |row: usize| self.sources.get(&row).map_or(Fr::ZERO, |&row| a[row]);
        let product = |row: usize| match layout.product[row] {
            Fr::ZERO => Fr::ZERO,
            coefficient => coefficient * source(row) * source(row + 1),
        };
        let terms = (sum + 2..end).map(|row| layout.weight[row] * source(row) + product(row));
        terms.fold(layout.weight[positive], |sum, term| sum + term)
    }

    /// The cells of what is rectified: as they should be for the argument, but for those that are chosen.
    fn parts(&self, parts: Rectified, a: &[Fr], chosen: &HashMap<usize, Fr>) -> Vec<(usize, Fr)> {
        let x = self.argument(parts, a);
        let p = chosen.get(&parts.positive).copied().unwrap_or(if x <= -x { x } else { Fr::ZERO });
        let constant = self.circuit.layout.weight[parts.positive];
        let magnitude = parts.magnitude.map(|row| (row, p.double() - x + constant));
        [(parts.positive, p)].into_iter().chain(magnitude).collect()
    }

    /// The witness of a prover who puts these values in these cells and goes on by the rules: copies are copies, a cell that
    /// closes a run takes what is missing, limbs, quotients and remainders are those of their values for as long as there are
    /// rows, values that are looked up are those of their arguments, what is rectified is as its argument says, and what is looked up is counted. Every other cell that the prover is free to
    /// choose is left as it is.
    pub fn complete(&self, chosen: &[(usize, Fr)]) -> Vec<Fr> {
        let layout = &self.circuit.layout;
        let mut a = layout.a.clone();
        let mut chosen: HashMap<usize, Fr> = chosen.iter().copied().collect();
        let rectified = self.rectified();
        for row in 0..self.end() {
            if let Some(&parts) = rectified.iter().find(|parts| parts.magnitude.unwrap_or(parts.positive) == row) {
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
            } else if let Some(value) = self.value(row, &a) {
                value
            } else {
                a[row]
            };
        }
        self.count(&mut a);
        a
    }

    /// The multiplicities: how often each entry of a table is looked up.
    fn count(&self, a: &mut [Fr]) {
        let layout = &self.circuit.layout;
        let Some(start) = layout.table_start else { return };
        let rows = self.entries().into_iter().chain(start..layout.rows());
        let entries: HashMap<[Fr; 2], usize> = rows.map(|row| (self.pair(row, a), row)).collect();
        entries.values().for_each(|&row| a[row] = Fr::ZERO);
        for row in (0..self.end()).filter(|&row| layout.lookup[row] > 0 || layout.next[row] != Fr::ZERO) {
            if let Some(&entry) = entries.get(&self.pair(row, a)) {
                a[entry] += Fr::from(u64::from(layout.lookup[row].max(1)));
            }
        }
    }

    /// The public values that cells of `a` add up to.
    pub fn claims(&self, a: &[Fr]) -> Vec<Fr> {
        let layout = &self.circuit.layout;
        layout.public_rows.iter().map(|&row| self.sum(a, self.starts[&(row + 1)]..row + 1)).collect()
    }
}
