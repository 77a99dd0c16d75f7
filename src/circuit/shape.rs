//! What verifiers know of a layout besides its gates: columns that are not committed because they have closed forms.
//!
//! `omega` generates the domain of `n = 2^k` rows; row `i` is the point `omega^i`. With a period `P`, `u = x^(n/P)` maps a row
//! to its position in the period: `u = g^(i mod P)` for `g = omega^(n/P)`.

use ff::{Field, PrimeField};

/// The generator of the domain of `2^k` rows.
pub fn domain_generator<F: PrimeField>(k: u32) -> F {
    (k..F::S).fold(F::ROOT_OF_UNITY, |root, _| root.square())
}

/// A row of the public column: `constant + sum coefficient * public value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicRow<F> {
    pub row: usize,
    /// Indices of public values, with their coefficients.
    pub terms: Vec<(usize, F)>,
    pub constant: F,
}

/// Beyond so many public values the layout `general` binds them in rows at equal distances, which verifiers take in a loop.
pub const MANY_PUBLIC_VALUES: usize = 16;

/// Many public values, in order and each in a row of its own: value `i` in row `first + i * step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicRun {
    pub first: usize,
    pub step: usize,
    pub count: usize,
}

impl PublicRun {
    /// Whether a row is one of them.
    pub fn contains(&self, row: usize) -> bool {
        row.checked_sub(self.first).is_some_and(|at| at % self.step == 0 && at / self.step < self.count)
    }
}

/// An instance column. It is not committed: verifiers evaluate it from its closed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceColumn<F> {
    /// The given rows, zero elsewhere: `sum value(row) L_row(x)`.
    Public(Vec<PublicRow<F>>),
    /// One on even rows, zero on odd rows and on the last `off` rows: `(1 + x^(n/2)) / 2` less their Lagrange polynomials.
    EvenRows { off: usize },
    /// One on all rows but the last `off`: one less their Lagrange polynomials.
    ActiveRows { off: usize },
    /// A selector that is on in one section of every period: `(u^P - 1) / D_s(u)`, with `D_s(u) = prod (u - g^i)` over
    /// the positions `i` of section `s`. Where it is on its values differ and are not zero.
    Section(usize),
    /// A selector that is on in the positions of no section: `prod D_s(u)` over all sections.
    OutsideSections,
}

/// Positions in a period, as disjoint sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periodic {
    /// log2 of the period.
    pub log_period: u32,
    pub sections: Vec<Vec<usize>>,
}

impl Periodic {
    /// Rows of a period.
    pub fn period(&self) -> usize {
        1 << self.log_period
    }

    /// The value that the selector of a section has in one of its positions, for the generator `g` of the period's domain.
    pub fn section_value<F: PrimeField>(&self, section: usize, position: usize, g: F) -> F {
        // by l'Hospital: the derivative of u^P - 1 is P u^(P-1) = P / u
        let u = g.pow([position as u64]);
        let others = self.sections[section].iter().filter(|&&other| other != position);
        let distances: F = others.map(|&other| u - g.pow([other as u64])).product();
        F::from(self.period() as u64) * (u * distances).invert().unwrap_or(F::ZERO)
    }

    /// The roots of `D_s` for the generator `g` of the period's domain.
    pub fn section_roots<F: Field>(&self, section: usize, g: F) -> Vec<F> {
        self.sections[section].iter().map(|&i| g.pow_vartime([i as u64])).collect()
    }

    /// `D_s(u)` for the generator `g` of the period's domain.
    pub fn section_product<F: Field>(&self, section: usize, g: F, u: F) -> F {
        self.section_roots(section, g).into_iter().map(|root| u - root).product()
    }
}

/// What verifiers know of a layout besides its gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape<F> {
    pub instance_columns: Vec<InstanceColumn<F>>,
    /// What [`InstanceColumn::Section`] and [`InstanceColumn::OutsideSections`] refer to.
    pub periodic: Option<Periodic>,
    /// Fixed columns that are not evaluated in the open: every gate is a sum of terms that have one of them or none.
    pub linear: Vec<usize>,
}

impl<F: PrimeField> Shape<F> {
    /// The public values, if they are many and in rows at equal distances.
    pub fn public_run(&self) -> Option<PublicRun> {
        let column = self.instance_columns.iter().find_map(|column| match column {
            InstanceColumn::Public(rows) => Some(rows),
            _ => None,
        });
        let rows: Vec<&PublicRow<F>> = column?.iter().filter(|row| !row.terms.is_empty()).collect();
        let (&[first, second, ..], count) = (rows.as_slice(), rows.len()) else { return None };
        let run = PublicRun { first: first.row, step: second.row.checked_sub(first.row)?, count };
        let alone = |i: usize, row: &PublicRow<F>| row.terms == [(i, F::ONE)] && row.constant == F::ZERO;
        let in_order = rows.iter().enumerate().all(|(i, row)| row.row == run.first + i * run.step && alone(i, row));
        (count > MANY_PUBLIC_VALUES && run.step > 0 && in_order).then_some(run)
    }

    /// All rows of all instance columns, for a domain of `2^k` rows.
    pub fn instance_values(&self, k: u32, public_values: &[F]) -> Vec<Vec<F>> {
        self.instance_columns.iter().map(|column| self.column_values(column, k, public_values)).collect()
    }

    /// All rows of an instance column.
    pub fn column_values(&self, column: &InstanceColumn<F>, k: u32, public_values: &[F]) -> Vec<F> {
        let n = 1usize << k;
        let mut values = vec![F::ZERO; n];
        match column {
            InstanceColumn::Public(rows) => {
                for PublicRow { row, terms, constant } in rows {
                    values[*row] = terms.iter().fold(*constant, |sum, &(i, c)| sum + c * public_values[i]);
                }
            }
            InstanceColumn::EvenRows { off } => {
                values[..n - off].iter_mut().step_by(2).for_each(|value| *value = F::ONE);
            }
            InstanceColumn::ActiveRows { off } => values[..n - off].fill(F::ONE),
            InstanceColumn::Section(section) => self.fill(&mut values, domain_generator(k), Some(*section)),
            InstanceColumn::OutsideSections => self.fill(&mut values, domain_generator(k), None),
        }
        values
    }

    /// The values of a periodic selector.
    fn fill(&self, values: &mut [F], omega: F, section: Option<usize>) {
        let Some(periodic) = &self.periodic else { return };
        let period = periodic.period();
        let g = omega.pow([(values.len() / period) as u64]);
        let points: Vec<F> = (0..period).map(|i| g.pow([i as u64])).collect();
        let distance = |i: usize, positions: &[usize]| -> F {
            positions.iter().filter(|&&j| j != i).map(|&j| points[i] - points[j]).product()
        };
        let value = |i: usize| match section {
            Some(section) if periodic.sections[section].contains(&i) => periodic.section_value(section, i, g),
            Some(_) => F::ZERO,
            None if periodic.sections.iter().any(|section| section.contains(&i)) => F::ZERO,
            None => periodic.sections.iter().map(|section| distance(i, section)).product(),
        };
        let cycle: Vec<F> = (0..period).map(value).collect();
        values.iter_mut().zip(cycle.iter().cycle()).for_each(|(slot, value)| *slot = *value);
    }
}

/// The witness of one run, as the prover commits to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness<F> {
    /// The advice column of the first phase, all rows of the domain.
    pub advice: Vec<F>,
    /// Rows of it that no constraint reads: the prover puts random values there, which hide the witness.
    pub free_rows: Vec<usize>,
    /// Pairs of free rows with the same random value.
    pub tied_rows: Vec<(usize, usize)>,
}

/// What is the same for every run, as keys commit to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessed<F> {
    /// The domain has `2^k` rows.
    pub k: u32,
    /// The fixed columns, all `2^k` rows of each.
    pub fixed: Vec<Vec<F>>,
    /// Pairs of cells of the advice columns that hold the same value: row `i` of column `j` is `2^k j + i`.
    pub copies: Vec<(usize, usize)>,
}

/// The column in all `n` rows of a domain, zero below its own.
pub(super) fn padded<F: PrimeField>(column: &[F], n: usize) -> Vec<F> {
    let mut rows = Vec::with_capacity(n);
    rows.extend_from_slice(column);
    rows.resize(n, F::ZERO);
    rows
}

#[cfg(test)]
mod tests {
    use halo2_proofs::poly::EvaluationDomain;
    use halo2curves::bn256::Fr;

    use super::*;

    /// The value of the polynomial through `values` at `x`.
    fn interpolated(values: &[Fr], k: u32, x: Fr) -> Fr {
        let domain = EvaluationDomain::<Fr>::new(1, k);
        let poly = domain.lagrange_to_coeff(domain.lagrange_from_vec(values.to_vec()));
        poly.values().iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
    }

    #[test]
    fn selectors_have_their_closed_forms() {
        let (k, log_period) = (6, 4);
        let omega = domain_generator::<Fr>(k);
        assert_eq!(omega, EvaluationDomain::<Fr>::new(1, k).get_omega());
        let periodic = Periodic { log_period, sections: vec![vec![0], vec![1, 3, 5], vec![2, 4, 9, 15]] };
        let instance_columns: Vec<_> =
            (0..3).map(InstanceColumn::Section).chain([InstanceColumn::OutsideSections]).collect();
        let shape = Shape { instance_columns, periodic: Some(periodic.clone()), linear: vec![0] };
        let columns = shape.instance_values(k, &[]);
        let x = Fr::from(1234567);
        let u = x.pow([4]);
        let g = omega.pow([4]);
        let products: Vec<Fr> = (0..3).map(|s| periodic.section_product(s, g, u)).collect();
        for (column, product) in columns.iter().zip(&products) {
            assert_eq!(interpolated(column, k, x) * product, u.pow([16]) - Fr::ONE);
        }
        assert_eq!(interpolated(&columns[3], k, x), products.iter().product());
        for (row, outside) in columns[3].iter().enumerate() {
            for (column, section) in columns.iter().zip(&periodic.sections) {
                assert_eq!(column[row] != Fr::ZERO, section.contains(&(row % 16)));
            }
            assert_eq!(*outside != Fr::ZERO, !periodic.sections.iter().flatten().any(|&i| i == row % 16));
        }
    }

    #[test]
    fn public_rows_and_even_rows() {
        let row = PublicRow { row: 3, terms: vec![(0, Fr::from(2)), (1, -Fr::ONE)], constant: Fr::from(7) };
        let instance_columns = vec![InstanceColumn::Public(vec![row]), InstanceColumn::EvenRows { off: 3 }];
        let shape = Shape { instance_columns, periodic: None, linear: vec![0] };
        let columns = shape.instance_values(3, &[Fr::from(10), Fr::from(20)]);
        assert_eq!(columns[0], [0, 0, 0, 7, 0, 0, 0, 0].map(Fr::from));
        assert_eq!(columns[1], [1, 0, 1, 0, 1, 0, 0, 0].map(Fr::from));
    }
}
