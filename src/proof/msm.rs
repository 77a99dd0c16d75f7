//! Multi-scalar multiplication, quick from some hundred terms on.
//!
//! Pippenger's bucket method with signed digits: every scalar is written in base `2^c` with digits of at most `2^(c-1)`
//! in absolute value (Booth's recoding), and for each digit position, a *window*, the terms with the same digit are
//! summed into a bucket: terms are sorted by bucket, and some buckets at a time summed. Sums are taken in affine
//! coordinates, in pairs, where all pairs of a round share one field inversion by Montgomery's trick; such an addition
//! costs about six multiplications, half of one in projective coordinates. The window's value, `sum digit * bucket`, is
//! taken over a grid of buckets: the sums of its rows and of its columns are again sums of pairs, and only these few go
//! through projective additions.
//!
//! A scalar whose negative is shorter is negated with its point, so that small negative integers cost as little as small
//! positive ones.
//!
//! For curves `y^2 = x^3 + b` without points of order two, with scalars of 4 limbs. Not in constant time.

use ff::PrimeField;
use group::Group;
use halo2curves::CurveAffine;
use rayon::prelude::*;

use super::{
    curve::Curve,
    processor::{self, Kernel, Multiply},
};

/// Points that are summed at a time: they stay in a core's cache, and an inversion is cheap among their additions.
const BATCH: usize = 1 << 11;

/// Additions in affine coordinates in the time of one in projective coordinates.
const PROJECTIVE: usize = 3;

/// Bits of the largest window: `2^15` buckets.
const MAX_WINDOW: usize = 16;

/// A scalar in 64-bit limbs, least significant first.
type Limbs = [u64; 4];

/// The sum of `scalars[i] * bases[i]`, fewer than `2^31` of them.
///
/// # Panics
/// If there are not as many scalars as bases.
pub fn msm<C: Curve>(scalars: &[C::Scalar], bases: &[C::G1Affine]) -> C::G1 {
    assert_eq!(scalars.len(), bases.len(), "as many scalars as bases");
    let magnitude = |scalar: &C::Scalar| {
        let (positive, negative) = (limbs(scalar), limbs(&-*scalar));
        if bit_length(&negative) < bit_length(&positive) { (negative, true) } else { (positive, false) }
    };
    let (magnitudes, signs): (Vec<Limbs>, Vec<bool>) = scalars.par_iter().map(magnitude).unzip();
    let lengths = Lengths::new(&magnitudes);
    let c = window_size(&lengths);
    let windows: Vec<usize> = (0..windows(lengths.longest(), c)).collect();
    let together = (BATCH / bases.len().max(1)).clamp(1, windows.len().div_ceil(rayon::current_num_threads()));
    let scalars = Scalars { magnitudes: &magnitudes, signs: &signs };
    let sums: Vec<Vec<C::G1>> = windows
        .par_chunks(together)
        .map_init(Summer::default, |summer, windows| window_sums::<C>(summer, scalars, bases, windows, c))
        .collect();
    let doubled = |sum: C::G1| (0..c).fold(sum, |sum, _| sum.double());
    sums.iter().flatten().rev().fold(C::G1::identity(), |sum, window| doubled(sum) + window)
}

/// Scalars by magnitude, and whether they are negative.
#[derive(Clone, Copy)]
struct Scalars<'a> {
    magnitudes: &'a [Limbs],
    signs: &'a [bool],
}

/// How many scalars have so many bits or more.
struct Lengths([usize; 4 * 64 + 1]);

impl Lengths {
    fn new(scalars: &[Limbs]) -> Self {
        let mut reaching = [0; 4 * 64 + 1];
        scalars.iter().for_each(|scalar| reaching[bit_length(scalar)] += 1);
        for bits in (1..reaching.len()).rev() {
            reaching[bits - 1] += reaching[bits];
        }
        Self(reaching)
    }

    fn reaching(&self, bits: usize) -> usize {
        self.0.get(bits).copied().unwrap_or(0)
    }

    /// Bits of the longest.
    fn longest(&self) -> usize {
        self.0.iter().rposition(|&reaching| reaching > 0).unwrap_or(0)
    }
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

/// What a window of `2^(c-1)` buckets costs in which `terms` scalars have digits, in additions: one for each digit, two a bucket
/// for the sums of rows and columns, and two for each of those, in projective coordinates.
fn window_cost(terms: usize, c: usize) -> usize {
    let buckets = 1 << (c - 1);
    let (width, height) = grid(buckets);
    terms + 2 * buckets + 2 * PROJECTIVE * (width + height)
}

/// Columns and rows that a window's buckets are summed in.
fn grid(buckets: usize) -> (usize, usize) {
    let width = 1 << buckets.ilog2().div_ceil(2);
    (width, buckets / width)
}

/// The window size that costs least.
fn window_size(lengths: &Lengths) -> usize {
    let windows = |c: usize| windows(lengths.longest(), c);
    let cost = |c: usize| (0..windows(c)).map(|window| window_cost(lengths.reaching(window * c), c)).sum::<usize>();
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

/// A term of a bucket: its index, and below whether it is negative.
#[derive(Clone, Copy)]
struct Term(u32);

impl Term {
    fn new(index: u32, negative: bool) -> Self {
        Self(index << 1 | u32::from(negative))
    }

    fn of<C: Curve>(self, bases: &[C::G1Affine]) -> Affine<C::Base> {
        let base = Affine::new::<C>(&bases[(self.0 >> 1) as usize]);
        if self.0 & 1 == 1 { base.neg() } else { base }
    }
}

/// `sum digit(scalar, window) * base` of every window.
fn window_sums<C: Curve>(
    summer: &mut Summer<C::Base>,
    scalars: Scalars<'_>,
    bases: &[C::G1Affine],
    windows: &[usize],
    c: usize,
) -> Vec<C::G1> {
    let per_window = 1 << (c - 1);
    let terms = windows.iter().enumerate().flat_map(|(i, &window)| {
        let signed = scalars.magnitudes.iter().zip(scalars.signs);
        let digits = (0..).zip(signed.map(move |(scalar, sign)| (digit(scalar, window, c), *sign)));
        digits.filter(|(_, (digit, _))| *digit != 0).map(move |(index, (digit, sign))| {
            let bucket = i * per_window + digit.unsigned_abs() as usize - 1;
            (bucket, Term::new(index, sign != (digit < 0)))
        })
    });
    let mut lengths = vec![0; windows.len() * per_window];
    terms.clone().for_each(|(bucket, _)| lengths[bucket] += 1);
    let sorted = sort(terms, &lengths);
    let (mut rest, mut lengths) = (&sorted[..], &lengths[..]);
    let mut buckets = Vec::with_capacity(lengths.len());
    while !lengths.is_empty() {
        let (now, later) = lengths.split_at(batch(lengths));
        let (terms, after) = rest.split_at(now.iter().sum());
        (lengths, rest) = (later, after);
        summer.restart();
        summer.lengths.extend_from_slice(now);
        summer.points.extend(terms.iter().map(|term| term.of::<C>(bases)));
        let mut sums = summer.sum().iter();
        let sum = |length: &usize| if *length == 0 { None } else { sums.next().copied() };
        buckets.extend(now.iter().map(sum).map(|sum| sum.unwrap_or(Affine::IDENTITY)));
    }
    weighted_sums::<C>(summer, &buckets, per_window)
}

/// Terms by bucket, of which these are the numbers of terms.
fn sort(terms: impl Iterator<Item = (usize, Term)>, lengths: &[usize]) -> Vec<Term> {
    let mut total = 0;
    let mut next = vec![];
    for length in lengths {
        next.push(total);
        total += length;
    }
    let mut sorted = vec![Term(0); total];
    for (bucket, term) in terms {
        sorted[next[bucket]] = term;
        next[bucket] += 1;
    }
    sorted
}

/// How many buckets are summed at a time: the first, and as many as there is room for.
fn batch(lengths: &[usize]) -> usize {
    let mut total = 0;
    let fits = |length: &&usize| {
        let first = total == 0;
        total += **length;
        first || total <= BATCH
    };
    lengths.iter().take_while(fits).count()
}

/// `sum (i + 1) * buckets[i]` of every run of `per_window` buckets, a power of two.
///
/// They form a grid of `width` columns. Bucket `width * row + column` counts `width * row` times in its row's sum and
/// `column + 1` times in its column's.
fn weighted_sums<C: Curve>(summer: &mut Summer<C::Base>, buckets: &[Affine<C::Base>], per_window: usize) -> Vec<C::G1> {
    let (width, height) = grid(per_window);
    summer.restart();
    for buckets in buckets.chunks(per_window) {
        summer.points.extend_from_slice(buckets);
        summer.points.extend((0..width).flat_map(|column| buckets.iter().skip(column).step_by(width)));
        summer.lengths.extend(std::iter::repeat_n(width, height));
        summer.lengths.extend(std::iter::repeat_n(height, width));
    }
    let weighted_sum = |sums: &[Affine<C::Base>]| {
        let (rows, columns) = sums.split_at(height);
        let rows = sum_by_parts::<C>(&rows[1..]);
        (0..width.ilog2()).fold(rows, |sum, _| sum.double()) + sum_by_parts::<C>(columns)
    };
    summer.sum().chunks(height + width).map(weighted_sum).collect()
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

impl<F: Multiply> Affine<F> {
    const IDENTITY: Self = Self { x: F::ZERO, y: F::ZERO };

    fn new<C: Curve<Base = F>>(point: &C::G1Affine) -> Self {
        let (x, y) = C::coordinates(point);
        Self { x, y }
    }

    fn to_curve<C: Curve<Base = F>>(self) -> C::G1Affine {
        let point = Option::from(C::G1Affine::from_xy(self.x, self.y));
        point.filter(|_| !self.is_identity()).unwrap_or_else(group::prime::PrimeCurveAffine::identity)
    }

    #[inline(always)]
    fn is_identity(&self) -> bool {
        self.y == F::ZERO
    }

    fn neg(self) -> Self {
        Self { x: self.x, y: -self.y }
    }

    /// What [`Self::add`] needs the inverse of; never zero.
    #[inline(always)]
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
    #[inline(always)]
    fn add(&self, other: &Self, inverse: F) -> Self {
        if self.is_identity() {
            return *other;
        }
        if other.is_identity() {
            return *self;
        }
        let slope = if self.x != other.x {
            (other.y - self.y).times(&inverse)
        } else if self.y == other.y {
            let square = self.x.times(&self.x);
            (square.double() + square).times(&inverse)
        } else {
            return Self::IDENTITY;
        };
        let x = slope.times(&slope) - self.x - other.x;
        Self { x, y: slope.times(&(self.x - x)) - self.y }
    }
}

/// Sums segments of points.
struct Summer<F> {
    /// The segments, one after the other.
    points: Vec<Affine<F>>,
    /// The number of points in each segment.
    lengths: Vec<usize>,
    /// Per pair that is added, from the last one on, the product of what pairs behind it are divided by.
    products: Vec<F>,
}

impl<F> Default for Summer<F> {
    fn default() -> Self {
        Self { points: Vec::new(), lengths: Vec::new(), products: Vec::new() }
    }
}

impl<F: Multiply> Summer<F> {
    /// Forget all segments.
    fn restart(&mut self) {
        self.points.clear();
        self.lengths.clear();
    }

    /// The sum of every segment that is not empty: round after round, halve them.
    fn sum(&mut self) -> &[Affine<F>] {
        while self.lengths.iter().any(|&length| length > 1) {
            processor::run(Halve(self));
        }
        &self.points
    }
}

/// Replaces every pair of neighbours in a segment by its sum.
struct Halve<'a, F>(&'a mut Summer<F>);

impl<F: Multiply> Kernel for Halve<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Summer { points, lengths, products } = self.0;
        products.clear();
        let (mut end, mut product) = (points.len(), F::ONE);
        for length in lengths.iter().rev() {
            let start = end - length;
            for pair in points[start..end].chunks_exact(2).rev() {
                products.push(product);
                product = product.times(&pair[0].denominator(&pair[1]));
            }
            end = start;
        }
        // no factor is zero
        let mut inverse = product.invert().unwrap_or(F::ZERO);
        let mut products = products.iter().rev();
        // sums take the places of points that were read
        let (mut start, mut to) = (0, 0);
        for length in lengths {
            let end = start + *length;
            while end - start > 1 {
                let (a, b) = (points[start], points[start + 1]);
                let behind = products.next().unwrap_or(&inverse);
                points[to] = a.add(&b, inverse.times(behind));
                inverse = inverse.times(&a.denominator(&b));
                (start, to) = (start + 2, to + 1);
            }
            if start < end {
                points[to] = points[start];
                (start, to) = (start + 1, to + 1);
            }
            *length = length.div_ceil(2);
        }
        points.truncate(to);
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
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
    fn batches_hold_whole_buckets() {
        assert_eq!(batch(&[BATCH, 1]), 1);
        assert_eq!(batch(&[3, BATCH - 3, 0, 0, 1]), 4);
        assert_eq!(batch(&[0, 0, 2 * BATCH, 0]), 3);
        assert_eq!(batch(&[1, 2 * BATCH, 1]), 1);
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
