//! Multi-scalar multiplication, quick from some hundred terms on.
//!
//! Pippenger's bucket method with signed digits: every scalar is written in base `2^c` with digits of at most
//! `2^(c-1)` in absolute value (Booth's recoding), and for each digit position, a *window*, the terms with the same
//! digit are summed into a bucket. Sums are taken in affine coordinates, in pairs, where all pairs of a round share one
//! field inversion by Montgomery's trick; such an addition costs about six multiplications, half of one in projective
//! coordinates. The window's value, `sum digit * bucket`, is taken over a grid of buckets: the sums of its rows and of
//! its columns are again sums of pairs, and only these few go through projective additions.
//!
//! A scalar whose negative is shorter is negated with its point, so that small negative integers cost as little as small
//! positive ones.
//!
//! For curves `y^2 = x^3 + b` without points of order two, over fields of 4 limbs. Not in constant time.

use ff::{Field, PrimeField};
use group::Group;
use halo2curves::CurveAffine;
use rayon::prelude::*;

use super::curve::Curve;

/// Terms that are sorted into buckets at a time: their points stay in a core's cache, and an inversion is cheap among
/// their additions.
const BATCH: usize = 1 << 12;

/// Buckets that are visited in the time of an addition.
const VISITS_PER_ADDITION: usize = 6;

/// Bits of the largest window: `2^15` buckets.
const MAX_WINDOW: usize = 16;

/// A scalar in 64-bit limbs, least significant first.
type Limbs = [u64; 4];

/// The sum of `scalars[i] * bases[i]`.
///
/// # Panics
/// If there are not as many scalars as bases.
pub fn msm<C: Curve>(scalars: &[C::Scalar], bases: &[C::G1Affine]) -> C::G1 {
    assert_eq!(scalars.len(), bases.len(), "as many scalars as bases");
    let terms = scalars.par_iter().zip(bases).map(|(scalar, base)| {
        let (positive, negative) = (limbs(scalar), limbs(&-*scalar));
        let base = Affine::new(base);
        if bit_length(&negative) < bit_length(&positive) { (negative, base.neg()) } else { (positive, base) }
    });
    let (scalars, bases): (Vec<Limbs>, Vec<Affine<C::Base>>) = terms.unzip();
    let mut lengths: Vec<usize> = scalars.iter().map(bit_length).collect();
    lengths.sort_unstable();
    let bits = lengths.last().copied().unwrap_or(0);
    let c = window_size(&lengths);
    let windows: Vec<usize> = (0..windows(bits, c)).collect();
    let together = (BATCH / bases.len().max(1)).clamp(1, windows.len().div_ceil(rayon::current_num_threads()));
    let sums: Vec<Vec<C::G1>> = windows
        .par_chunks(together)
        .map_init(Summer::default, |summer, windows| window_sums::<C>(summer, &scalars, &bases, windows, c))
        .collect();
    let doubled = |sum: C::G1| (0..c).fold(sum, |sum, _| sum.double());
    sums.iter().flatten().rev().fold(C::G1::identity(), |sum, window| doubled(sum) + window)
}

fn limbs<F: PrimeField>(scalar: &F) -> Limbs {
    let bytes = scalar.to_repr();
    std::array::from_fn(|i| (0..8).rev().fold(0, |limb, j| limb << 8 | u64::from(bytes.as_ref()[8 * i + j])))
}

fn bit_length(limbs: &Limbs) -> usize {
    (0..4).rev().find(|&i| limbs[i] != 0).map_or(0, |i| 64 * (i + 1) - limbs[i].leading_zeros() as usize)
}

/// Windows that scalars of `bits` bits have: the topmost takes the last carry.
fn windows(bits: usize, c: usize) -> usize {
    bits / c + 1
}

/// What a window of `2^(c-1)` buckets costs in which `terms` scalars have digits, in additions: one for each digit and two a
/// bucket; and every batch of terms visits all buckets, empty ones, too.
fn window_cost(terms: usize, c: usize) -> usize {
    let buckets = 1 << (c - 1);
    terms + 2 * buckets + terms.div_ceil(BATCH) * buckets / VISITS_PER_ADDITION
}

/// The window size that costs least. `lengths` are those of the scalars, in bits, ascending.
fn window_size(lengths: &[usize]) -> usize {
    let cost = |c: usize| {
        let reaching = |window: usize| lengths.len() - lengths.partition_point(|&bits| bits < window * c);
        let windows = windows(lengths.last().copied().unwrap_or(0), c);
        (0..windows).map(|window| window_cost(reaching(window), c)).sum::<usize>()
    };
    (1..=MAX_WINDOW).min_by_key(|&c| cost(c)).unwrap_or(1)
}

/// What a multiplication of `terms` random scalars of `bits` bits costs, in additions that are made one after the other by
/// `threads` threads: windows are shared among them.
pub fn additions(terms: usize, bits: usize, threads: usize) -> usize {
    let c = (1..=MAX_WINDOW).min_by_key(|&c| windows(bits, c) * window_cost(terms, c)).unwrap_or(1);
    windows(bits, c).div_ceil(threads.max(1)) * window_cost(terms, c)
}

/// Digit `window` in base `2^c`, from `-2^(c-1)` to `2^(c-1)`: its own bits, plus one if the bit below is set (a carry),
/// minus `2^c` if its own highest bit is set (carried on to the next).
fn digit(scalar: &Limbs, window: usize, c: usize) -> i32 {
    // the window's bits, above the bit below
    let start = window * c;
    let raw = match start.checked_sub(1) {
        None => scalar[0] << 1,
        Some(start) => {
            let (limb, shift) = (start / 64, start % 64);
            let low = scalar.get(limb).map_or(0, |low| low >> shift);
            low | scalar.get(limb + 1).map_or(0, |high| (high << 1) << (63 - shift))
        }
    };
    let raw = (raw & ((2 << c) - 1)) as i32;
    ((raw + 1) >> 1) - (raw >> c << c)
}

/// `sum digit(scalar, window) * base` of every window.
fn window_sums<C: Curve>(
    summer: &mut Summer<C::Base>,
    scalars: &[Limbs],
    bases: &[Affine<C::Base>],
    windows: &[usize],
    c: usize,
) -> Vec<C::G1> {
    let per_window = 1 << (c - 1);
    let mut buckets = vec![Affine::IDENTITY; windows.len() * per_window];
    for (scalars, bases) in scalars.chunks(BATCH).zip(bases.chunks(BATCH)) {
        let terms = windows.iter().enumerate().flat_map(|(i, &window)| {
            let digits = scalars.iter().map(move |scalar| digit(scalar, window, c));
            digits.zip(bases).filter(|(digit, _)| *digit != 0).map(move |(digit, base)| {
                let bucket = i * per_window + digit.unsigned_abs() as usize - 1;
                (bucket, if digit < 0 { base.neg() } else { *base })
            })
        });
        add_to_buckets(summer, &mut buckets, terms);
    }
    weighted_sums::<C>(summer, &buckets, per_window)
}

/// Add points to the buckets that are named with them.
fn add_to_buckets<F: Field>(
    summer: &mut Summer<F>,
    buckets: &mut [Affine<F>],
    terms: impl Iterator<Item = (usize, Affine<F>)> + Clone,
) {
    summer.lengths.clear();
    summer.lengths.extend(buckets.iter().map(|bucket| usize::from(!bucket.is_identity())));
    terms.clone().for_each(|(bucket, _)| summer.lengths[bucket] += 1);

    summer.points.clear();
    summer.points.resize(summer.lengths.iter().sum(), Affine::IDENTITY);
    let mut next = Vec::with_capacity(buckets.len());
    let mut start = 0;
    for (bucket, length) in buckets.iter().zip(&summer.lengths) {
        let occupied = !bucket.is_identity();
        if occupied {
            summer.points[start] = *bucket;
        }
        next.push(start + usize::from(occupied));
        start += length;
    }
    for (bucket, point) in terms {
        summer.points[next[bucket]] = point;
        next[bucket] += 1;
    }
    summer.sum();
    let used = buckets.iter_mut().zip(&summer.lengths).filter(|(_, length)| **length != 0);
    used.zip(&summer.points).for_each(|((bucket, _), sum)| *bucket = *sum);
}

/// `sum (i + 1) * buckets[i]` of every run of `per_window` buckets, a power of two.
///
/// They form a grid of `width` columns. Bucket `width * row + column` counts `width * row` times in its row's sum and
/// `column + 1` times in its column's.
fn weighted_sums<C: Curve>(summer: &mut Summer<C::Base>, buckets: &[Affine<C::Base>], per_window: usize) -> Vec<C::G1> {
    let width = 1 << per_window.ilog2().div_ceil(2);
    let height = per_window / width;
    summer.points.clear();
    summer.lengths.clear();
    for grid in buckets.chunks(per_window) {
        summer.points.extend_from_slice(grid);
        summer.points.extend((0..width).flat_map(|column| grid.iter().skip(column).step_by(width)));
        summer.lengths.extend(std::iter::repeat_n(width, height));
        summer.lengths.extend(std::iter::repeat_n(height, width));
    }
    summer.sum();
    let weighted_sum = |sums: &[Affine<C::Base>]| {
        let (rows, columns) = sums.split_at(height);
        let rows = sum_by_parts::<C>(&rows[1..]);
        (0..width.ilog2()).fold(rows, |sum, _| sum.double()) + sum_by_parts::<C>(columns)
    };
    summer.points.chunks(height + width).map(weighted_sum).collect()
}

/// `sum (i + 1) * points[i]`: point `i` is in `i + 1` of the partial sums.
fn sum_by_parts<C: Curve>(points: &[Affine<C::Base>]) -> C::G1 {
    let (mut partial, mut sum) = (C::G1::identity(), C::G1::identity());
    for point in points.iter().rev() {
        partial += &point.to_curve::<C>();
        sum += partial;
    }
    sum
}

/// A point; the identity is (0, 0), as no point of the curve has y = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Affine<F> {
    x: F,
    y: F,
}

impl<F: Field> Affine<F> {
    const IDENTITY: Self = Self { x: F::ZERO, y: F::ZERO };

    fn new<C: CurveAffine<Base = F>>(point: &C) -> Self {
        let coordinates = Option::<halo2curves::Coordinates<C>>::from(point.coordinates());
        coordinates.map_or(Self::IDENTITY, |c| Self { x: *c.x(), y: *c.y() })
    }

    fn to_curve<C: Curve<Base = F>>(self) -> C::G1Affine {
        let point = Option::from(C::G1Affine::from_xy(self.x, self.y));
        point.filter(|_| !self.is_identity()).unwrap_or_else(group::prime::PrimeCurveAffine::identity)
    }

    fn is_identity(&self) -> bool {
        self.y.is_zero_vartime()
    }

    fn neg(self) -> Self {
        Self { x: self.x, y: -self.y }
    }

    /// What [`Self::add`] needs the inverse of; never zero.
    fn denominator(&self, other: &Self) -> F {
        if self.x != other.x {
            other.x - self.x
        } else if self.y == other.y && !self.is_identity() {
            self.y.double()
        } else {
            F::ONE
        }
    }

    /// `self + other`, whatever they are.
    fn add(&self, other: &Self, inverse: F) -> Self {
        if self.is_identity() {
            return *other;
        }
        if other.is_identity() {
            return *self;
        }
        let slope = if self.x != other.x {
            (other.y - self.y) * inverse
        } else if self.y == other.y {
            let square = self.x.square();
            (square.double() + square) * inverse
        } else {
            return Self::IDENTITY;
        };
        let x = slope.square() - self.x - other.x;
        Self { x, y: slope * (self.x - x) - self.y }
    }
}

/// Sums segments of points.
struct Summer<F> {
    /// The segments, one after the other.
    points: Vec<Affine<F>>,
    /// The number of points in each segment.
    lengths: Vec<usize>,
    pairs: Vec<Pair<F>>,
}

/// Two neighbouring points, to be added.
struct Pair<F> {
    first: usize,
    /// What the addition needs the inverse of.
    denominator: F,
    /// The product of the denominators of all pairs before this.
    product: F,
}

impl<F> Default for Summer<F> {
    fn default() -> Self {
        Self { points: Vec::new(), lengths: Vec::new(), pairs: Vec::new() }
    }
}

impl<F: Field> Summer<F> {
    /// Replace every segment that is not empty by its sum: round after round, halve them.
    fn sum(&mut self) {
        while self.lengths.iter().any(|&length| length > 1) {
            self.add_pairs();
            self.close_gaps();
        }
    }

    /// Write the sum of every pair over its first point.
    fn add_pairs(&mut self) {
        self.pairs.clear();
        let (mut start, mut product) = (0, F::ONE);
        for length in &self.lengths {
            for first in (0..length / 2).map(|pair| start + 2 * pair) {
                let denominator = self.points[first].denominator(&self.points[first + 1]);
                self.pairs.push(Pair { first, denominator, product });
                product *= denominator;
            }
            start += length;
        }
        // no factor is zero
        let mut inverse = product.invert().unwrap_or(F::ZERO);
        for pair in self.pairs.iter().rev() {
            let (a, b) = (self.points[pair.first], self.points[pair.first + 1]);
            self.points[pair.first] = a.add(&b, inverse * pair.product);
            inverse *= pair.denominator;
        }
    }

    /// Drop the second point of every pair.
    fn close_gaps(&mut self) {
        let (mut start, mut end) = (0, 0);
        for length in &mut self.lengths {
            for i in (start..start + *length).step_by(2) {
                self.points[end] = self.points[i];
                end += 1;
            }
            start += *length;
            *length = length.div_ceil(2);
        }
        self.points.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use group::{Curve as _, prime::PrimeCurveAffine};
    use halo2curves::bn256::{Fr, G1, G1Affine};
    use halo2curves::msm::msm_serial;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::proof::curve::Bn254;

    fn points(n: usize) -> Vec<G1Affine> {
        let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
        let projective: Vec<G1> = (0..n).map(|_| G1::random(&mut rng)).collect();
        let mut affine = vec![G1Affine::identity(); n];
        G1::batch_normalize(&projective, &mut affine);
        affine
    }

    fn random_scalars(n: usize) -> Vec<Fr> {
        let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
        (0..n).map(|_| Fr::random(&mut rng)).collect()
    }

    /// halo2curves's, which is independent of this.
    fn reference(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
        let mut sum = G1::identity();
        msm_serial(scalars, bases, &mut sum);
        sum
    }

    #[test]
    fn sums_of_all_sizes() {
        let (bases, scalars) = (points(3000), random_scalars(3000));
        for n in [0, 1, 2, 3, 7, 8, 31, 100, 255, 512, 1000, 2048, 3000] {
            assert_eq!(msm::<Bn254>(&scalars[..n], &bases[..n]), reference(&scalars[..n], &bases[..n]), "n = {n}");
        }
    }

    #[test]
    fn more_terms_than_a_batch() {
        let n = 2 * BATCH + 77;
        let few = points(50);
        let bases: Vec<G1Affine> = few.iter().copied().cycle().take(n).collect();
        let scalars = random_scalars(n);
        let mut sums = vec![Fr::ZERO; few.len()];
        scalars.iter().enumerate().for_each(|(i, scalar)| sums[i % few.len()] += scalar);
        assert_eq!(msm::<Bn254>(&scalars, &bases), reference(&sums, &few));
    }

    #[test]
    fn equal_and_opposite_points_meet_in_buckets() {
        let p = points(1)[0];
        let n = 600;
        let alternating: Vec<G1Affine> = (0..n).map(|i| if i % 2 == 0 { p } else { -p }).collect();
        assert_eq!(msm::<Bn254>(&vec![Fr::from(5); n], &alternating), G1::identity());
        assert_eq!(msm::<Bn254>(&vec![Fr::from(5); n], &vec![p; n]), p * Fr::from(5 * n as u64));
        assert_eq!(msm::<Bn254>(&vec![-Fr::ONE; n], &vec![p; n]), -(p * Fr::from(n as u64)));
        assert_eq!(msm::<Bn254>(&vec![Fr::ZERO; n], &alternating), G1::identity());
        assert_eq!(msm::<Bn254>(&random_scalars(n), &vec![G1Affine::identity(); n]), G1::identity());
    }

    #[test]
    fn digits_give_back_the_scalar() {
        for scalar in random_scalars(20).into_iter().chain([Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(u64::MAX)]) {
            let limbs = limbs(&scalar);
            for c in 1..=MAX_WINDOW {
                let value = (0..windows(bit_length(&limbs), c)).rev().fold(Fr::ZERO, |value, window| {
                    let digit = digit(&limbs, window, c);
                    assert!(digit.unsigned_abs() <= 1 << (c - 1));
                    let magnitude = Fr::from(u64::from(digit.unsigned_abs()));
                    value * Fr::from(1 << c) + if digit < 0 { -magnitude } else { magnitude }
                });
                assert_eq!(value, scalar, "c = {c}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Scalars and points from small pools, special ones among them, so that they repeat and cancel.
        #[test]
        fn is_the_reference(terms in prop::collection::vec((0usize..8, 0usize..7), 0..300)) {
            let (pool, random) = (points(5), random_scalars(3));
            let bases = [pool[0], pool[1], pool[2], -pool[0], -pool[1], G1Affine::identity(), pool[4]];
            let scalars =
                [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2), -Fr::from(12345), random[0], random[1], Fr::from(1 << 40)];
            let (scalars, bases): (Vec<Fr>, Vec<G1Affine>) =
                terms.into_iter().map(|(scalar, base)| (scalars[scalar], bases[base])).unzip();
            prop_assert_eq!(msm::<Bn254>(&scalars, &bases), reference(&scalars, &bases));
        }
    }
}
