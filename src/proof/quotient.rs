//! The prover's polynomials before the opening: the permutation's running product and the quotient.
//!
//! Whatever is as long as the domain is held for as short as possible: the quotient is taken on one coset at a time, and there the columns
//! that gates are linear in, and the sigmas, are transformed one at a time and added to what is there.

use ff::{BatchInvert, Field, PrimeField};
use rayon::prelude::*;

use super::{
    curve::Curve,
    fft::{COSETS, Domain},
    keys::Sigma,
    processor::Multiply,
    program::Program,
    protocol::{Expression, Gate, Leaf, Protocol},
};
use crate::{
    circuit::InstanceColumn,
    stages::{self, Stage},
};

/// Rows that a task of a parallel loop has at least.
const MIN_TASK: usize = 1 << 9;

/// Challenges up to the quotient.
#[derive(Clone, Copy, Debug)]
pub struct EarlyChallenges<F> {
    /// Between the phases.
    pub between: [F; 2],
    pub beta: F,
    pub gamma: F,
    pub y: F,
}

/// Coefficients of the polynomials that the constraints are about.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a, F> {
    pub advice: &'a [Vec<F>],
    pub fixed: &'a [Vec<F>],
    /// Sigmas and the running product, with a permutation.
    pub permutation: Option<(&'a [Sigma<F>], &'a [F])>,
}

/// Coefficients of the polynomial with these values in the rows of the domain.
pub fn coefficients<F: ff::WithSmallOrderMulGroup<3> + Multiply>(domain: &Domain<F>, values: Vec<F>) -> Vec<F> {
    let _stage = stages::enter(Stage::Transforms);
    domain.interpolate(values)
}

/// Per column and row the next cell of its cycle, for so many columns of `n` rows: cell `j n + i` is row `i` of column `j`; cycles are
/// made of the copies. There are fewer than `2^32` cells.
///
/// Cycles are joined as halo2's key generation joins them, so that sigma is the same.
pub fn sigma(columns: usize, n: usize, copies: &[(usize, usize)]) -> Vec<Vec<u32>> {
    let mut next: Vec<u32> = (0..(columns * n) as u32).collect();
    let mut leader = next.clone();
    let mut sizes = vec![1u32; columns * n];
    for &(left, right) in copies {
        let (mut left_cycle, mut right_cycle) = (leader[left], leader[right]);
        if left_cycle == right_cycle {
            continue;
        }
        if sizes[left_cycle as usize] < sizes[right_cycle as usize] {
            std::mem::swap(&mut left_cycle, &mut right_cycle);
        }
        sizes[left_cycle as usize] += sizes[right_cycle as usize];
        let mut row = right_cycle;
        loop {
            leader[row as usize] = left_cycle;
            row = next[row as usize];
            if row == right_cycle {
                break;
            }
        }
        next.swap(left, right);
    }
    next.chunks(n).map(<[u32]>::to_vec).collect()
}

/// `factor delta^j omega^i` of cell `j n + i`, for the cells of so many columns: what stands for a cell in the permutation.
fn labels<F: ff::WithSmallOrderMulGroup<3> + Multiply>(
    domain: &Domain<F>,
    columns: usize,
    factor: F,
) -> impl Fn(u32) -> F {
    let n = domain.len();
    let shifts: Vec<F> = std::iter::successors(Some(factor), |shift| Some(*shift * F::DELTA)).take(columns).collect();
    move |cell| shifts[cell as usize / n].times(&domain.power(cell as usize % n))
}

/// Coefficients of the sigma with these next cells, one of so many.
pub fn sigma_coefficients<F: ff::WithSmallOrderMulGroup<3> + Multiply>(
    domain: &Domain<F>,
    columns: usize,
    next: &[u32],
) -> Vec<F> {
    let label = labels(domain, columns, F::ONE);
    coefficients(domain, next.par_iter().map(|&cell| label(cell)).collect())
}

/// Rows of the running product up to the permutation's last row; the rows after it are not set.
///
/// `z(0) = 1` and `z(i + 1) = z(i) prod (a_ij + beta delta^j omega^i + gamma) / (a_ij + beta sigma_ij + gamma)` over the columns `j`.
pub fn running_product<F: ff::WithSmallOrderMulGroup<3> + Multiply>(
    advice: &[Vec<F>],
    sigma: &[Sigma<F>],
    domain: &Domain<F>,
    last: usize,
    EarlyChallenges { beta, gamma, .. }: EarlyChallenges<F>,
) -> Vec<F> {
    let _stage = stages::enter(Stage::Product);
    let (omega, label) = (domain.omega(), labels(domain, sigma.len(), beta));
    // the ratios, in the rows behind theirs
    let mut product = vec![F::ONE; last + 1];
    product[1..].par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, ratios)| {
        let start = chunk * MIN_TASK;
        for (column, sigma) in advice.iter().zip(sigma) {
            let cells = column[start..].iter().zip(&sigma.next[start..]);
            ratios.iter_mut().zip(cells).for_each(|(ratio, (a, next))| *ratio *= *a + label(*next) + gamma);
        }
        ratios.iter_mut().batch_invert();
        let mut shift = beta * omega.pow_vartime([start as u64]);
        for column in advice {
            let mut identity = shift;
            for (ratio, a) in ratios.iter_mut().zip(&column[start..]) {
                *ratio *= *a + identity + gamma;
                identity *= omega;
            }
            shift *= F::DELTA;
        }
    });
    let mut value = F::ONE;
    for ratio in &mut product[1..] {
        value *= *ratio;
        *ratio = value;
    }
    product
}

/// The values of a periodic selector on a coset, as far as they do not repeat; `None` for other columns.
fn periodic_values<C: Curve>(
    protocol: &Protocol<C>,
    coset: usize,
    column: &InstanceColumn<C::Scalar>,
) -> Option<Vec<C::Scalar>> {
    let periodic = protocol.shape.periodic.as_ref()?;
    let selector = match column {
        InstanceColumn::Section(section) => Some(*section),
        InstanceColumn::OutsideSections => None,
        InstanceColumn::Public(_) | InstanceColumn::EvenRows { .. } | InstanceColumn::ActiveRows { .. } => return None,
    };
    let (g, first) = protocol.period(Domain::shift(coset))?;
    let sections = selector.map_or(0..periodic.sections.len(), |section| section..section + 1);
    let roots: Vec<C::Scalar> = sections.flat_map(|section| periodic.section_roots(section, g)).collect();
    let points: Vec<C::Scalar> = std::iter::successors(Some(first), |u| Some(*u * g)).take(periodic.period()).collect();
    let product = |u: &C::Scalar| roots.iter().map(|root| *u - root).product();
    let mut values: Vec<C::Scalar> = points.par_iter().map(product).collect();
    if selector.is_some() {
        // no point of the coset is a root
        values.iter_mut().batch_invert();
        let numerator = |u: &C::Scalar| u.pow_vartime([periodic.period() as u64]) - C::Scalar::ONE;
        values.iter_mut().zip(&points).for_each(|(value, u)| *value *= numerator(u));
    }
    Some(values)
}

/// Gates with the linear columns apart: the part without them first, then of every linear column its coefficient, in all gates.
fn terms<F: PrimeField>(
    gates: impl Iterator<Item = Gate<F>>,
    linear: &[usize],
) -> Vec<(Option<usize>, Vec<Expression<F>>)> {
    let sum = |[without, with]: [Expression<F>; 2]| Expression::Sum(Box::new(without), Box::new(with));
    let mut terms: Vec<(Option<usize>, Vec<Expression<F>>)> =
        std::iter::once(None).chain(linear.iter().copied().map(Some)).map(|column| (column, vec![])).collect();
    for Gate { rest, coefficients } in gates {
        let parts = std::iter::once(rest).chain(coefficients);
        terms.iter_mut().zip(parts).for_each(|((_, term), part)| term.push(sum(part)));
    }
    terms
}

/// What the quotient is made of, besides the columns.
struct Constraints<'a, C: Curve> {
    protocol: &'a Protocol<C>,
    domain: &'a Domain<C::Scalar>,
    columns: Columns<'a, C::Scalar>,
    challenges: EarlyChallenges<C::Scalar>,
    /// By [`terms`].
    programs: Vec<(Option<usize>, Program<C::Scalar>)>,
    /// Coefficients of the instance columns; periodic selectors have none.
    instances: Vec<Vec<C::Scalar>>,
    /// Coefficients of the indicator of the permutation's rows, if it does not span all.
    active: Option<Vec<C::Scalar>>,
}

impl<C: Curve> Constraints<'_, C> {
    fn extend(&self, coefficients: &[C::Scalar], coset: usize) -> Vec<C::Scalar> {
        let _stage = stages::enter(Stage::Transforms);
        self.domain.extend(coefficients, coset)
    }

    /// The sum of all constraints in the rows of a coset, as in [`Protocol::linearisation`].
    fn evaluate(&self, coset: usize, values: &mut [C::Scalar]) {
        let advice: Vec<Vec<C::Scalar>> = self.columns.advice.iter().map(|column| self.extend(column, coset)).collect();
        self.add_gates(coset, &advice, values);
        self.add_permutation(coset, &advice, values);
    }

    /// The sum of the gates.
    fn add_gates(&self, coset: usize, advice: &[Vec<C::Scalar>], values: &mut [C::Scalar]) {
        let (protocol, n) = (self.protocol, self.domain.len());
        let stage = stages::enter(Stage::Transforms);
        let instance = |(column, coefficients): (&InstanceColumn<_>, &Vec<_>)| {
            periodic_values(protocol, coset, column).unwrap_or_else(|| self.domain.extend(coefficients, coset))
        };
        let columns = protocol.shape.instance_columns.par_iter().zip(&self.instances);
        let instances: Vec<Vec<C::Scalar>> = columns.map(instance).collect();
        let evaluated: Vec<(usize, Vec<C::Scalar>)> = protocol
            .evaluated_fixed()
            .map(|column| (column, self.extend(&self.columns.fixed[column], coset)))
            .collect();
        drop(stage);
        for (linear, program) in &self.programs {
            let linear = linear.map(|column| (column, self.extend(&self.columns.fixed[column], coset)));
            let fixed = |column: usize| evaluated.iter().find(|known| known.0 == column).map(|known| &known.1);
            let load = |leaf: Leaf, start: usize, values: &mut [C::Scalar]| {
                let (column, start) = match leaf {
                    Leaf::Advice(column, rotation) => (&advice[column], rotated(start, rotation, n)),
                    Leaf::Fixed(column) => match fixed(column) {
                        Some(column) => (column, start),
                        None => return values.fill(C::Scalar::ZERO),
                    },
                    Leaf::Instance(column) => (&instances[column], start % instances[column].len()),
                    Leaf::Challenge(index) => return values.fill(self.challenges.between[index]),
                };
                for (i, value) in values.iter_mut().enumerate() {
                    *value = column[(start + i) % column.len()];
                }
            };
            let _stage = stages::enter(Stage::Quotient);
            let tasks = values.par_chunks_mut(MIN_TASK).enumerate();
            tasks.for_each_init(Default::default, |(registers, results): &mut (Vec<_>, Vec<_>), (chunk, values)| {
                let start = chunk * MIN_TASK;
                results.resize(values.len(), C::Scalar::ZERO);
                program.run(start, &load, registers, results);
                match &linear {
                    Some((_, column)) => values
                        .iter_mut()
                        .zip(results.iter().zip(&column[start..]))
                        .for_each(|(value, (coefficient, column))| *value += coefficient.times(column)),
                    None => values.iter_mut().zip(results).for_each(|(value, result)| *value += *result),
                }
            });
        }
    }

    /// The constraints of the permutation, if there is one, behind those of the gates.
    fn add_permutation(&self, coset: usize, advice: &[Vec<C::Scalar>], values: &mut [C::Scalar]) {
        let Some((sigma, product)) = self.columns.permutation else { return };
        let EarlyChallenges { beta, gamma, y, .. } = self.challenges;
        let (protocol, n, omega) = (self.protocol, self.domain.len(), self.domain.omega());
        let product = self.extend(product, coset);
        let active = self.active.as_ref().map(|active| self.extend(active, coset));
        let last = protocol.last_rotation().map(|last| protocol.omega_power(last));
        // what the product is multiplied by in the next row
        let mut factors = vec![C::Scalar::ONE; n];
        for (column, sigma) in advice.iter().zip(sigma) {
            let sigma = self.extend(&sigma.coefficients, coset);
            let _stage = stages::enter(Stage::Quotient);
            factors
                .par_iter_mut()
                .zip(column.par_iter().zip(&sigma))
                .with_min_len(MIN_TASK)
                .for_each(|(factor, (a, sigma))| *factor *= *a + beta.times(sigma) + gamma);
        }
        let _stage = stages::enter(Stage::Quotient);
        let shift = Domain::<C::Scalar>::shift(coset);
        // L_row = omega^row (X^n - 1) / (n (X - omega^row)); the numerator's second factor is constant on a coset
        let constant =
            (shift.pow_vartime([n as u64]) - C::Scalar::ONE) * C::Scalar::TWO_INV.pow_vartime([u64::from(protocol.k)]);
        values.par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, values)| {
            let start = chunk * MIN_TASK;
            let first = shift * omega.pow_vartime([start as u64]);
            let points = || std::iter::successors(Some(first), |x| Some(*x * omega)).take(values.len());
            let lagrange = |row: C::Scalar| {
                // no point of a coset is in the domain
                let mut distances: Vec<C::Scalar> = points().map(|x| x - row).collect();
                distances.iter_mut().batch_invert();
                distances.iter_mut().for_each(|value| *value *= constant * row);
                distances
            };
            let (starts, ends) = (lagrange(C::Scalar::ONE), last.map(lagrange));
            let points: Vec<C::Scalar> = points().collect();
            for (i, (value, x)) in values.iter_mut().zip(points).enumerate() {
                let row = start + i;
                let (z, z_next) = (product[row], product[rotated(row, 1, n)]);
                let (mut right, mut shifted) = (z, beta * x);
                for column in advice {
                    right *= column[row] + shifted + gamma;
                    shifted *= C::Scalar::DELTA;
                }
                let step = factors[row] * z_next - right;
                let one = C::Scalar::ONE - z;
                *value = *value * y + starts[i] * one;
                *value = match (&ends, &active) {
                    (Some(ends), Some(active)) => (*value * y + ends[i] * one) * y + active[row] * step,
                    _ => *value * y + step,
                };
            }
        });
    }
}

/// The row so many further on.
fn rotated(row: usize, rotation: i32, n: usize) -> usize {
    (row as i64 + i64::from(rotation)).rem_euclid(n as i64) as usize
}

/// The quotient: all constraints, combined as in [`Protocol::linearisation`], over `X^n - 1`; `2 n` coefficients.
///
/// If a constraint does not hold, the result is not a quotient, and no verifier accepts a proof made with it.
pub fn quotient<C: Curve>(
    protocol: &Protocol<C>,
    domain: &Domain<C::Scalar>,
    columns: Columns<'_, C::Scalar>,
    public_values: &[C::Scalar],
    challenges: EarlyChallenges<C::Scalar>,
) -> Vec<C::Scalar> {
    let stage = stages::enter(Stage::Transforms);
    let instance = |column: &InstanceColumn<C::Scalar>| match column {
        InstanceColumn::Section(_) | InstanceColumn::OutsideSections => vec![],
        column => coefficients(domain, protocol.shape.column_values(column, protocol.k, public_values)),
    };
    let instances = protocol.shape.instance_columns.par_iter().map(instance).collect();
    let last = columns.permutation.and(protocol.last_rotation()).map(|last| last.unsigned_abs() as usize);
    let active = last.map(|last| {
        let mut values = vec![C::Scalar::ONE; domain.len() - last];
        values.resize(domain.len(), C::Scalar::ZERO);
        coefficients(domain, values)
    });
    drop(stage);
    let program = |(column, gates): (_, Vec<_>)| (column, Program::new(&gates, &challenges.between, challenges.y));
    let programs = terms(protocol.split_gates(), &protocol.shape.linear).into_iter().map(program).collect();
    let constraints = Constraints { protocol, domain, columns, challenges, programs, instances, active };
    let mut values = vec![C::Scalar::ZERO; COSETS * domain.len()];
    let cosets = values.chunks_mut(domain.len()).enumerate();
    cosets.for_each(|(coset, values)| constraints.evaluate(coset, values));
    drop(constraints);
    let _stage = stages::enter(Stage::Transforms);
    domain.divide_by_vanishing(values)
}
