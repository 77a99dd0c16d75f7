//! How fast this machine does what proving consists of, by a short measurement with the threads that proving would use.

use std::{
    hint::black_box,
    ops::{Add, Mul},
    time::Instant,
};

use ff::{Field, PrimeField};
use group::{Curve as _, Group, prime::PrimeCurveAffine};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    cost::Work,
    curve::{Curve, pairings_cancel},
    fft::Domain,
    msm::{additions, msm},
    opening::{evaluate, linear_combination},
    program::Program,
    protocol::{Leaf, Protocol},
};

/// log2 of the longest FFT that is timed: beyond what a core's cache holds.
const MAX_FFT: u32 = 17;
/// log2 of the most terms of a multi-scalar multiplication that is timed.
const MAX_TERMS: u32 = 13;
/// log2 of the rows and coefficients in the other loops that are timed.
const ROWS: u32 = 14;
/// Every measurement is the quickest of so many, as others may use the machine, too.
const TRIES: usize = 5;

/// How long something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Time {
    /// From begin to end.
    pub wall_seconds: f64,
    /// Of all threads together. Who else uses the machine matters less to it.
    pub cpu_seconds: f64,
}

impl Time {
    /// How long `run` takes, and what it gives.
    pub fn of<T>(run: impl FnOnce() -> T) -> (Self, T) {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let result = black_box(run());
        (Self { wall_seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - cpu }, result)
    }

    fn quickest<T>(mut run: impl FnMut() -> T) -> Self {
        let least = |a: Self, b: Self| Self {
            wall_seconds: a.wall_seconds.min(b.wall_seconds),
            cpu_seconds: a.cpu_seconds.min(b.cpu_seconds),
        };
        (1..TRIES).fold(Self::of(&mut run).0, |best, _| least(best, Self::of(&mut run).0))
    }

    fn per(self, count: usize) -> Self {
        self * (1.0 / count.max(1) as f64)
    }
}

impl Add for Time {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { wall_seconds: self.wall_seconds + other.wall_seconds, cpu_seconds: self.cpu_seconds + other.cpu_seconds }
    }
}

impl Mul<f64> for Time {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self { wall_seconds: self.wall_seconds * factor, cpu_seconds: self.cpu_seconds * factor }
    }
}

/// CPU seconds of this process, all threads together.
#[allow(unsafe_code, reason = "the standard library has no clock of a process's own time")]
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local; the clock exists on every system that this is for
    match unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } {
        0 => time.tv_sec as f64 + time.tv_nsec as f64 / 1e9,
        _ => 0.0,
    }
}

/// How long the things take that [`Work`] counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// An element of an FFT, per level.
    butterfly: Time,
    /// An addition of points in a commitment.
    addition: Time,
    /// All gates in one row.
    gate_row: Time,
    /// A multiplication and an addition, shared among all threads.
    product: Time,
    /// The same where each waits for the one before.
    step: Time,
    /// Reading a point and checking it.
    point: Time,
    hashed_byte: Time,
    /// The pairings of verifying.
    pairing: Time,
    threads: usize,
}

impl Speed {
    /// Measures this machine on the protocol's curve and gates, at sizes up to those of the protocol. Takes some tenths of a
    /// second.
    pub fn measure<C: Curve>(protocol: &Protocol<C>) -> Self {
        let threads = rayon::current_num_threads();
        let scalars = random_scalars::<C>(1 << ROWS.max(MAX_TERMS));
        let log_len = protocol.k.min(MAX_FFT);
        let len = 1usize << log_len;
        let domain = Domain::<C::Scalar>::new(log_len);
        let coefficients: Vec<C::Scalar> = scalars.iter().copied().cycle().take(len).collect();
        let transform = Time::quickest(|| domain.extend(&coefficients, 0));

        let terms = 1usize << (protocol.k + 1).min(MAX_TERMS);
        let points = some_points::<C>(terms);
        let commitment = Time::quickest(|| msm::<C>(&scalars[..terms], &points));
        let addition = Time {
            wall_seconds: commitment.per(additions(terms, bits::<C>(), threads)).wall_seconds,
            cpu_seconds: commitment.per(additions(terms, bits::<C>(), 1)).cpu_seconds,
        };

        let column = &scalars[..1 << ROWS];
        let combined = [(scalars[0], column), (scalars[1], column)];
        let raw: Vec<u8> = points.iter().flat_map(C::to_raw).collect();
        let generators = (C::G1Affine::generator(), C::G2Affine::generator());
        Self {
            butterfly: transform.per(len * log_len as usize),
            addition,
            gate_row: Time::quickest(|| gate_values(protocol, column)).per(column.len()),
            product: Time::quickest(|| linear_combination(&combined)).per(combined.len() * column.len()),
            step: Time::quickest(|| evaluate(column, scalars[0])).per(column.len()),
            point: Time::quickest(|| raw.par_chunks(C::RAW_BYTES).filter_map(C::from_raw).count()).per(terms),
            hashed_byte: Time::quickest(|| Sha256::digest(&raw)).per(raw.len()),
            pairing: Time::quickest(|| pairings_cancel::<C>(&[generators, generators])),
            threads,
        }
    }

    /// How long the work takes.
    pub fn time<C: Curve>(&self, work: &Work) -> Time {
        let transforms = work.transforms.iter();
        let butterflies = transforms.map(|&(log_len, count)| (count * log_len as usize) << log_len).sum::<usize>();
        let additions =
            |threads| -> usize { work.commitments.iter().map(|&terms| additions(terms, bits::<C>(), threads)).sum() };
        let commitments = Time {
            wall_seconds: self.addition.wall_seconds * additions(self.threads) as f64,
            cpu_seconds: self.addition.cpu_seconds * additions(1) as f64,
        };
        let others = [
            (self.butterfly, butterflies),
            (self.gate_row, work.gate_rows),
            (self.product, work.products),
            (self.step, work.steps),
            (self.point, work.points),
            (self.hashed_byte, work.hashed_bytes),
            (self.pairing, 1),
        ];
        others.into_iter().fold(commitments, |sum, (time, count)| sum + time * count as f64)
    }
}

/// Bits of a random scalar or its negative, whichever is shorter.
fn bits<C: Curve>() -> usize {
    C::Scalar::NUM_BITS as usize - 1
}

/// Scalars of full length: a sequence of squares looks random.
fn random_scalars<C: Curve>(len: usize) -> Vec<C::Scalar> {
    let next = |scalar: &C::Scalar| Some(scalar.square() + C::Scalar::ROOT_OF_UNITY);
    std::iter::successors(Some(C::Scalar::DELTA), next).take(len).collect()
}

/// Multiples of the generator, none the identity.
fn some_points<C: Curve>(len: usize) -> Vec<C::G1Affine> {
    let generator = C::G1::generator();
    let multiples: Vec<C::G1> = std::iter::successors(Some(generator), |p| Some(*p + generator)).take(len).collect();
    let mut points = vec![C::G1Affine::identity(); len];
    C::G1::batch_normalize(&multiples, &mut points);
    points
}

/// The gates' values in rows whose cells are all taken from one column.
fn gate_values<C: Curve>(protocol: &Protocol<C>, column: &[C::Scalar]) -> Vec<C::Scalar> {
    let program = Program::new(&protocol.gates, &[column[0], column[1]], column[2]);
    let load = |leaf: Leaf, start: usize, values: &mut [C::Scalar]| {
        let from = start
            + match leaf {
                Leaf::Advice(index, rotation) => index + rotation.unsigned_abs() as usize,
                Leaf::Fixed(index) | Leaf::Instance(index) | Leaf::Challenge(index) => 7 * index,
            };
        values.iter_mut().enumerate().for_each(|(i, value)| *value = column[(from + i) % column.len()]);
    };
    let mut values = vec![C::Scalar::ZERO; column.len()];
    let tasks = values.par_chunks_mut(1 << 9).enumerate();
    tasks.for_each_init(Vec::new, |registers, (chunk, values)| program.run(chunk << 9, &load, registers, values));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::Bn254;

    /// Single things take these seconds.
    fn speed(butterfly: f64, addition: f64, step: f64, threads: usize) -> Speed {
        let time = |seconds| Time { wall_seconds: seconds, cpu_seconds: 2.0 * seconds };
        let nothing = Time::default();
        Speed {
            butterfly: time(butterfly),
            addition: time(addition),
            gate_row: nothing,
            product: nothing,
            step: time(step),
            point: nothing,
            hashed_byte: nothing,
            pairing: time(1.0),
            threads,
        }
    }

    #[test]
    fn times_add_up() {
        let work = Work { transforms: vec![(3, 2), (4, 1)], steps: 7, ..Work::default() };
        // 2 * 3 * 8 + 4 * 16 elements and levels
        let time = speed(0.5, 0.0, 10.0, 1).time::<Bn254>(&work);
        assert_eq!(time, Time { wall_seconds: 1.0 + 56.0 + 70.0, cpu_seconds: 2.0 * 127.0 });
    }

    #[test]
    fn windows_are_shared_among_threads() {
        let work = Work { commitments: vec![1 << 12], ..Work::default() };
        let [one, four, many] = [1, 4, 1000].map(|threads| speed(0.0, 1.0, 0.0, threads).time::<Bn254>(&work));
        assert!(four.wall_seconds < one.wall_seconds / 3.0 && many.wall_seconds < four.wall_seconds);
        assert_eq!((four.cpu_seconds, many.cpu_seconds), (one.cpu_seconds, one.cpu_seconds));
    }

    #[test]
    fn the_clock_of_the_process_runs() {
        let (time, sum) = Time::of(|| (0..1u64 << 22).map(black_box).sum::<u64>());
        assert_eq!(sum, (1u64 << 21) * ((1 << 22) - 1));
        assert!(time.cpu_seconds > 0.0 && time.wall_seconds > 0.0, "{time:?}");
    }
}
