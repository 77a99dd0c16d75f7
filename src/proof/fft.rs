//! Fast Fourier transforms over the rows of the domain and over the coset twice as long on which quotients are interpolated.
//!
//! Decimation in frequency (Gentleman and Sande, 1966), by halves: it stays in a cache as soon as its part fits, and both halves are
//! independent tasks. Results come out in bit-reversed order and are put in order by one pass.

use ff::{Field, WithSmallOrderMulGroup};
use rayon::prelude::*;

use super::processor::{self, Kernel, Multiply};

/// Elements below which a transform is not shared among threads.
const MIN_SHARED: usize = 1 << 12;

/// Elements that a task multiplies at least.
const MIN_TASK: usize = 1 << 10;

/// The domain of `2^k` rows, and the coset `zeta <extended_omega>` of twice as many points, where `zeta^3 = 1`.
#[derive(Clone, Debug)]
pub struct Domain<F> {
    k: u32,
    /// Powers of `extended_omega` and of its inverse, half of them each.
    twiddles: Vec<F>,
    inverse_twiddles: Vec<F>,
}

/// Powers of `base`, from 1 on.
fn powers<F: Field>(base: F, len: usize) -> Vec<F> {
    let mut powers = vec![F::ONE; len];
    powers.par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, powers)| {
        let mut power = base.pow_vartime([(chunk * MIN_TASK) as u64]);
        for value in powers {
            *value = power;
            power *= base;
        }
    });
    powers
}

/// Multiply element `i` by `factor(i)`.
fn scale<F: Field>(values: &mut [F], factor: impl Fn(usize) -> F + Sync) {
    values.par_chunks_mut(MIN_TASK).enumerate().for_each(|(chunk, values)| {
        values.iter_mut().enumerate().for_each(|(i, value)| *value *= factor(chunk * MIN_TASK + i));
    });
}

/// Transform in place; the result is in bit-reversed order. `twiddles` are powers of a root of unity, of which `step` are one of
/// order `values.len()`.
fn transform<F: Multiply>(values: &mut [F], twiddles: &[F], step: usize) {
    let half = values.len() / 2;
    if half < MIN_SHARED {
        return processor::run(Transform { values, twiddles, step });
    }
    let (left, right) = values.split_at_mut(half);
    let tasks = left.par_chunks_mut(MIN_TASK).zip(right.par_chunks_mut(MIN_TASK)).enumerate();
    tasks.for_each(|(chunk, (left, right))| {
        processor::run(Butterflies { left, right, twiddles: &twiddles[chunk * MIN_TASK * step..], step });
    });
    rayon::join(|| transform(left, twiddles, 2 * step), || transform(right, twiddles, 2 * step));
}

/// Sums and differences of two halves, the latter times every `step`th twiddle.
struct Butterflies<'a, F> {
    left: &'a mut [F],
    right: &'a mut [F],
    twiddles: &'a [F],
    step: usize,
}

impl<F: Multiply> Kernel for Butterflies<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let twiddles = self.twiddles.iter().step_by(self.step);
        for ((x, y), twiddle) in self.left.iter_mut().zip(self.right).zip(twiddles) {
            let difference = *x - *y;
            *x += *y;
            *y = difference.times(twiddle);
        }
    }
}

/// A transform that is not shared among threads.
struct Transform<'a, F> {
    values: &'a mut [F],
    twiddles: &'a [F],
    step: usize,
}

impl<F: Multiply> Kernel for Transform<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Transform { values, twiddles, mut step } = self;
        let mut half = values.len() / 2;
        while half > 0 {
            for block in values.chunks_exact_mut(2 * half) {
                let (left, right) = block.split_at_mut(half);
                Butterflies { left, right, twiddles, step }.run();
            }
            (half, step) = (half / 2, 2 * step);
        }
    }
}

/// Put elements in bit-reversed order, or back.
fn reverse<F>(values: &mut [F]) {
    let unused = usize::BITS - values.len().trailing_zeros();
    for i in 1..values.len() {
        let other = i.reverse_bits() >> unused;
        if i < other {
            values.swap(i, other);
        }
    }
}

impl<F: WithSmallOrderMulGroup<3> + Multiply> Domain<F> {
    /// The domain of `2^k` rows, `k` below the field's two-adicity.
    pub fn new(k: u32) -> Self {
        let root = |k: u32| F::ROOT_OF_UNITY.pow_vartime([1u64 << (F::S.saturating_sub(k))]);
        let omega = root(k + 1);
        let inverse = omega.pow_vartime([(2u64 << k) - 1]);
        Self { k, twiddles: powers(omega, 1 << k), inverse_twiddles: powers(inverse, 1 << k) }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        1 << self.k
    }

    /// Points of the coset.
    pub fn extended_len(&self) -> usize {
        2 << self.k
    }

    /// The generator of the domain.
    pub fn omega(&self) -> F {
        self.extended_omega().square()
    }

    /// The generator of the group whose coset it is.
    pub fn extended_omega(&self) -> F {
        F::ROOT_OF_UNITY.pow_vartime([1u64 << (F::S.saturating_sub(self.k + 1))])
    }

    /// What the coset is a multiple by.
    pub fn coset(&self) -> F {
        F::ZETA
    }

    /// `zeta^i`.
    fn shift(i: usize) -> F {
        [F::ONE, F::ZETA, F::ZETA.square()][i % 3]
    }

    /// Coefficients of the polynomial with these values in the rows, as many as rows.
    pub fn interpolate(&self, mut values: Vec<F>) -> Vec<F> {
        debug_assert_eq!(values.len(), self.len());
        transform(&mut values, &self.inverse_twiddles, 2);
        reverse(&mut values);
        let scaling = F::TWO_INV.pow_vartime([u64::from(self.k)]);
        scale(&mut values, |_| scaling);
        values
    }

    /// Values at the points `zeta extended_omega^i` of the polynomial with these coefficients, as many as rows.
    pub fn extend(&self, coefficients: &[F]) -> Vec<F> {
        debug_assert_eq!(coefficients.len(), self.len());
        let shifts = [0, 1, 2].map(Self::shift);
        // the first step, with zeros in the upper half: even points have what is given, odd ones times powers
        let mut even = coefficients.to_vec();
        scale(&mut even, |i| shifts[i % 3]);
        let mut odd = even.clone();
        scale(&mut odd, |i| self.twiddles[i]);
        let half = |values: &mut Vec<F>| {
            transform(values, &self.twiddles, 2);
            reverse(values);
        };
        rayon::join(|| half(&mut even), || half(&mut odd));
        even.into_iter().zip(odd).flat_map(|(even, odd)| [even, odd]).collect()
    }

    /// Coefficients of the polynomial whose values at the points of the coset are these over `X^n - 1`, twice as many as rows.
    pub fn divide_by_vanishing(&self, mut values: Vec<F>) -> Vec<F> {
        debug_assert_eq!(values.len(), self.extended_len());
        // X^n is zeta^n at even points and its negative at odd ones
        let power = F::ZETA.pow_vartime([self.len() as u64]);
        // zeta^n is a cube root of one other than one, as n is a power of two: neither is zero
        let inverses = [power - F::ONE, -power - F::ONE].map(|value| value.invert().unwrap_or(F::ZERO));
        scale(&mut values, |i| inverses[i % 2]);
        transform(&mut values, &self.inverse_twiddles, 1);
        reverse(&mut values);
        let scaling = F::TWO_INV.pow_vartime([u64::from(self.k + 1)]);
        // zeta^-i
        let shifts = [0, 2, 1].map(|i| scaling * Self::shift(i));
        scale(&mut values, |i| shifts[i % 3]);
        values
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2curves::{bls12_381, bn256::Fr};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn evaluate<F: Field>(coefficients: &[F], x: F) -> F {
        coefficients.iter().rev().fold(F::ZERO, |sum, coefficient| sum * x + coefficient)
    }

    fn transforms_are_evaluations<F: WithSmallOrderMulGroup<3> + Multiply>() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for k in [0, 1, 2, 5, 8] {
            let domain = Domain::<F>::new(k);
            let (n, omega, extended) = (1usize << k, domain.omega(), domain.extended_omega());
            let coefficients: Vec<F> = (0..n).map(|_| F::random(&mut rng)).collect();
            let rows = (0..n).map(|i| evaluate(&coefficients, omega.pow([i as u64]))).collect();
            assert_eq!(domain.interpolate(rows), coefficients, "k = {k}");
            let point = |i: usize| domain.coset() * extended.pow([i as u64]);
            let values: Vec<F> = (0..2 * n).map(|i| evaluate(&coefficients, point(i))).collect();
            assert_eq!(domain.extend(&coefficients), values, "k = {k}");
            let quotient: Vec<F> = (0..2 * n).map(|_| F::random(&mut rng)).collect();
            let multiple = |i: usize| evaluate(&quotient, point(i)) * (point(i).pow([n as u64]) - F::ONE);
            assert_eq!(domain.divide_by_vanishing((0..2 * n).map(multiple).collect()), quotient, "k = {k}");
        }
    }

    #[test]
    fn transforms_are_evaluations_on_both_curves() {
        transforms_are_evaluations::<Fr>();
        transforms_are_evaluations::<bls12_381::Fr>();
    }

    /// Parts are shared among threads from a length on.
    #[test]
    fn long_transforms_go_back_and_forth() {
        let domain = Domain::<Fr>::new(15);
        let values: Vec<Fr> = (0..1u64 << 15).map(|i| Fr::from(i * i + 7)).collect();
        let coefficients = domain.interpolate(values.clone());
        for i in [0, 1, 4097, 32767] {
            assert_eq!(evaluate(&coefficients, domain.omega().pow([i as u64])), values[i]);
        }
        let extended = domain.extend(&coefficients);
        for i in [0, 1, 4097, 65535] {
            let point = domain.coset() * domain.extended_omega().pow([i as u64]);
            assert_eq!(evaluate(&coefficients, point), extended[i]);
        }
    }
}
