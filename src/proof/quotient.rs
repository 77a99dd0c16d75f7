//! The prover's polynomials before the opening: the permutation's running product and the quotient.

use ff::{BatchInvert, Field, PrimeField};
use rayon::prelude::*;

use super::{
    curve::Curve,
    fft::Domain,
    keys::Sigma,
    processor::Multiply,
    program::Program,
    protocol::{Leaf, Protocol},
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

/// Rows of the sigmas of so many columns of `n` rows: cell `i` of column `j` is `delta^j omega^i`, and has the next cell of its
/// cycle; cycles are made of the copies.
///
/// Cycles are joined as halo2's key generation joins them, so that sigma is the same.
pub fn sigma<F: PrimeField>(columns: usize, n: usize, omega: F, copies: &[(usize, usize)]) -> Vec<Vec<F>> {
    let mut next: Vec<usize> = (0..columns * n).collect();
    let mut leader = next.clone();
    let mut sizes = vec![1; columns * n];
    for &(left, right) in copies {
        let (mut left_cycle, mut right_cycle) = (leader[left], leader[right]);
        if left_cycle == right_cycle {
            continue;
        }
        if sizes[left_cycle] < sizes[right_cycle] {
            std::mem::swap(&mut left_cycle, &mut right_cycle);
        }
        sizes[left_cycle] += sizes[right_cycle];
        let mut row = right_cycle;
        loop {
            leader[row] = left_cycle;
            row = next[row];
            if row == right_cycle {
                break;
            }
        }
        next.swap(left, right);
    }
    let powers: Vec<F> = std::iter::successors(Some(F::ONE), |power| Some(*power * omega)).take(n).collect();
    let shifts: Vec<F> = std::iter::successors(Some(F::ONE), |shift| Some(*shift * F::DELTA)).take(columns).collect();
    let value = |&cell: &usize| if cell < n { powers[cell] } else { shifts[cell / n] * powers[cell % n] };
    next.chunks(n).map(|column| column.iter().map(value).collect()).collect()
}

/// Rows of the running product up to the permutation's last row; the rows after it are not set.
///
/// `z(0) = 1` and `z(i + 1) = z(i) prod (a_ij + beta delta^j omega^i + gamma) / (a_ij + beta sigma_ij + gamma)` over the columns `j`.
pub fn running_product<F: PrimeField>(
    advice: &[Vec<F>],
    sigma: &[Sigma<F>],
    omega: F,
    last: usize,
    EarlyChallenges { beta, gamma, .. }: EarlyChallenges<F>,
) -> Vec<F> {
    let _stage = stages::enter(Stage::Product);
    let mut ratios = vec![F::ONE; last];
    ratios.par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, ratios)| {
        let start = chunk * MIN_TASK;
        for (column, sigma) in advice.iter().zip(sigma) {
            let cells = column[start..].iter().zip(&sigma.rows[start..]);
            ratios.iter_mut().zip(cells).for_each(|(ratio, (a, s))| *ratio *= *a + beta * s + gamma);
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
    let mut product = Vec::with_capacity(last + 1);
    product.push(F::ONE);
    for (i, ratio) in ratios.iter().enumerate() {
        product.push(product[i] * ratio);
    }
    product
}

/// The values of a periodic selector on the extended domain, as far as they do not repeat; `None` for other columns.
fn periodic_values<C: Curve>(
    protocol: &Protocol<C>,
    domain: &Domain<C::Scalar>,
    column: &InstanceColumn<C::Scalar>,
) -> Option<Vec<C::Scalar>> {
    let periodic = protocol.shape.periodic.as_ref()?;
    let selector = match column {
        InstanceColumn::Section(section) => Some(*section),
        InstanceColumn::OutsideSections => None,
        InstanceColumn::Public(_) | InstanceColumn::EvenRows { .. } | InstanceColumn::ActiveRows { .. } => return None,
    };
    let cycle = domain.extended_len() >> (protocol.k - periodic.log_period);
    let (g, first) = protocol.period(domain.coset())?;
    let (_, step) = protocol.period(domain.extended_omega())?;
    let sections = selector.map_or(0..periodic.sections.len(), |section| section..section + 1);
    let roots: Vec<C::Scalar> = sections.flat_map(|section| periodic.section_roots(section, g)).collect();
    let points: Vec<C::Scalar> = std::iter::successors(Some(first), |u| Some(*u * step)).take(cycle).collect();
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
    let EarlyChallenges { between, beta, gamma, y } = challenges;
    let (zero, one) = (C::Scalar::ZERO, C::Scalar::ONE);
    let stage = stages::enter(Stage::Transforms);
    let extend = |coefficients: &[C::Scalar]| domain.extend(coefficients);
    let advice: Vec<Vec<C::Scalar>> = columns.advice.iter().map(|column| extend(column)).collect();
    let fixed: Vec<Vec<C::Scalar>> = columns.fixed.par_iter().map(|column| extend(column)).collect();
    let instance = |column: &InstanceColumn<C::Scalar>| {
        periodic_values(protocol, domain, column).unwrap_or_else(|| {
            extend(&coefficients(domain, protocol.shape.column_values(column, protocol.k, public_values)))
        })
    };
    let instances: Vec<Vec<C::Scalar>> = protocol.shape.instance_columns.par_iter().map(instance).collect();
    let len = domain.extended_len();
    let step = len >> protocol.k;
    let rotated =
        |row: usize, rotation: i32| (row as i64 + i64::from(rotation) * step as i64).rem_euclid(len as i64) as usize;

    let indicator = |on: &dyn Fn(usize) -> bool| {
        let values = (0..protocol.n()).map(|row| if on(row) { one } else { zero }).collect();
        extend(&coefficients(domain, values))
    };
    let permutation = columns.permutation.map(|(sigma, product)| {
        let last = protocol.last_rotation().map(|last| protocol.n() - last.unsigned_abs() as usize);
        let ends = last.map(|last| [indicator(&|row| row == last), indicator(&|row| row < last)]);
        let sigma: Vec<Vec<C::Scalar>> = sigma.iter().map(|sigma| extend(&sigma.coefficients)).collect();
        (sigma, extend(product), indicator(&|row| row == 0), ends)
    });
    let extended_omega = domain.extended_omega();
    let program = Program::new(&protocol.gates, &between, y);
    let load = |leaf: Leaf, start: usize, values: &mut [C::Scalar]| {
        let (column, start) = match leaf {
            Leaf::Advice(column, rotation) => (&advice[column], rotated(start, rotation)),
            Leaf::Fixed(column) => (&fixed[column], start),
            Leaf::Instance(column) => (&instances[column], start % instances[column].len()),
            Leaf::Challenge(index) => return values.fill(between[index]),
        };
        for (i, value) in values.iter_mut().enumerate() {
            *value = column[(start + i) % column.len()];
        }
    };
    // the sum of all constraints, of which `gates` is that of the gates
    let with_permutation = |gates: C::Scalar, row: usize, x: C::Scalar| {
        let Some((sigma, product, first, ends)) = &permutation else { return gates };
        let (z, z_next) = (product[row], product[rotated(row, 1)]);
        let sum = gates * y + first[row] * (one - z);
        let (mut left, mut right, mut shifted) = (z_next, z, beta * x);
        for (column, sigma) in advice.iter().zip(sigma) {
            left *= column[row] + beta * sigma[row] + gamma;
            right *= column[row] + shifted + gamma;
            shifted *= C::Scalar::DELTA;
        }
        match ends {
            Some([last, active]) => (sum * y + last[row] * (one - z)) * y + active[row] * (left - right),
            None => sum * y + left - right,
        }
    };
    drop(stage);
    let stage = stages::enter(Stage::Quotient);
    let mut values = vec![zero; len];
    values.par_chunks_mut(MIN_TASK).enumerate().for_each_init(Vec::new, |registers, (chunk, values)| {
        let start = chunk * MIN_TASK;
        program.run(start, &load, registers, values);
        let mut x = domain.coset() * extended_omega.pow_vartime([start as u64]);
        for (i, value) in values.iter_mut().enumerate() {
            *value = with_permutation(*value, start + i, x);
            x *= extended_omega;
        }
    });
    drop(stage);
    let _stage = stages::enter(Stage::Transforms);
    domain.divide_by_vanishing(values)
}
