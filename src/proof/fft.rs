//! Fast Fourier transforms over the rows of the domain and over two cosets of it, on which quotients are interpolated.
//!
//! Decimation in frequency (Gentleman and Sande, 1966), by halves: it stays in a cache as soon as its part fits, and both halves are
//! independent tasks. Results come out in bit-reversed order and are put in order in place.

use ff::{Field, WithSmallOrderMulGroup};
use rayon::prelude::*;

use super::processor::{self, Kernel, Multiply};

/// Elements below which a transform is not shared among threads.
const MIN_SHARED: usize = 1 << 12;

/// Elements that a task multiplies at least.
const MIN_TASK: usize = 1 << 10;

/// Cosets of the domain by whose values quotients are known: these have less than twice as many coefficients as there are rows.
pub const COSETS: usize = 2;

/// The domain of `2^k` rows, and its cosets `zeta <omega>` and `zeta^2 <omega>`, where `zeta^3 = 1`.
#[derive(Clone, Debug)]
pub struct Domain<F> {
    k: u32,
    /// Powers of `omega`, half of them. The others are their negatives, and in the other direction they are those of its inverse.
    twiddles: Vec<F>,
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
    /// The domain of `2^k` rows, `k` at most the field's two-adicity.
    pub fn new(k: u32) -> Self {
        Self { k, twiddles: powers(Self::generator(k), 1 << k.saturating_sub(1)) }
    }

    fn generator(k: u32) -> F {
        F::ROOT_OF_UNITY.pow_vartime([1u64 << (F::S.saturating_sub(k))])
    }

    /// Rows.
    pub fn len(&self) -> usize {
        1 << self.k
    }

    /// The generator of the domain.
    pub fn omega(&self) -> F {
        Self::generator(self.k)
    }

    /// `omega^i`, for `i` below the number of rows.
    pub fn power(&self, i: usize) -> F {
        self.twiddles.get(i).copied().unwrap_or_else(|| -self.twiddles[i - self.twiddles.len()])
    }

    /// What a coset is a multiple by: `zeta` or `zeta^2`.
    pub fn shift(coset: usize) -> F {
        Self::zeta(coset + 1)
    }

    /// `zeta^i`.
    fn zeta(i: usize) -> F {
        [F::ONE, F::ZETA, F::ZETA.square()][i % 3]
    }

    /// Coefficients of the polynomial with these values in the rows, times the number of rows.
    fn invert(&self, values: &mut [F]) {
        transform(values, &self.twiddles, 1);
        reverse(values);
        // the inverse of omega has the same powers, from the second on in the other direction
        values[1..].reverse();
    }

    /// Coefficients of the polynomial with these values in the rows, as many as rows.
    pub fn interpolate(&self, mut values: Vec<F>) -> Vec<F> {
        debug_assert_eq!(values.len(), self.len());
        self.invert(&mut values);
        let scaling = F::TWO_INV.pow_vartime([u64::from(self.k)]);
        scale(&mut values, |_| scaling);
        values
    }

    /// Values in the rows of a coset of the polynomial with these coefficients, as many as rows.
    pub fn extend(&self, coefficients: &[F], coset: usize) -> Vec<F> {
        debug_assert_eq!(coefficients.len(), self.len());
        let mut values = coefficients.to_vec();
        let shifts = [0, 1, 2].map(|i| Self::zeta(i * (coset + 1)));
        scale(&mut values, |i| shifts[i % 3]);
        transform(&mut values, &self.twiddles, 1);
        reverse(&mut values);
        values
    }

    /// Coefficients of the polynomial whose values on one coset and then on the other are these over `X^n - 1`, twice as many as
    /// rows.
    pub fn divide_by_vanishing(&self, mut values: Vec<F>) -> Vec<F> {
        debug_assert_eq!(values.len(), COSETS * self.len());
        let (low, high) = values.split_at_mut(self.len());
        self.invert(low);
        self.invert(high);
        // X^n is zeta^n on the one and zeta^2n on the other: `low + X^n high` has these values there, up to the division and the shifts
        let powers = [0, 1].map(|coset| Self::shift(coset).pow_vartime([self.len() as u64]));
        let scaling = F::TWO_INV.pow_vartime([u64::from(self.k)]);
        // n is a power of two, so that both are cube roots of one other than one: nothing here is zero
        let inverse = |power: F| ((power - F::ONE) * (powers[0] - powers[1])).invert().unwrap_or(F::ZERO) * scaling;
        // zeta^-i is zeta^2i
        let factors = [(2, powers[0]), (1, powers[1])]
            .map(|(step, power)| [0, 1, 2].map(|i| inverse(power) * Self::zeta(step * i)));
        let tasks = low.par_chunks_mut(MIN_TASK).zip(high.par_chunks_mut(MIN_TASK)).enumerate();
        tasks.for_each(|(chunk, (low, high))| {
            for (i, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let place = (chunk * MIN_TASK + i) % 3;
                let (one, other) = (*low * factors[0][place], *high * factors[1][place]);
                // as powers[0] + powers[1] = -1
                (*low, *high) = (one + powers[0] * (one + other), one - other);
            }
        });
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
            let (n, omega) = (1usize << k, domain.omega());
            assert!((0..n).all(|i| domain.power(i) == omega.pow([i as u64])));
            let coefficients: Vec<F> = (0..n).map(|_| F::random(&mut rng)).collect();
            let rows = (0..n).map(|i| evaluate(&coefficients, omega.pow([i as u64]))).collect();
            assert_eq!(domain.interpolate(rows), coefficients, "k = {k}");
            let point = |i: usize| Domain::<F>::shift(i / n) * domain.power(i % n);
            let values: Vec<F> = (0..2 * n).map(|i| evaluate(&coefficients, point(i))).collect();
            assert_eq!([0, 1].map(|coset| domain.extend(&coefficients, coset)).concat(), values, "k = {k}");
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
        for coset in 0..COSETS {
            let extended = domain.extend(&coefficients, coset);
            for i in [0, 1, 4097, 32767] {
                assert_eq!(evaluate(&coefficients, Domain::<Fr>::shift(coset) * domain.power(i)), extended[i]);
            }
        }
    }
}
