//! What proving takes, counted: [`Work`] follows [`super::prover`] and [`super::keys`] step by step and has to be changed with
//! them. [`super::speed`] says how long the counted things take on a machine.

use ff::PrimeField;

use super::{
    curve::{Bn254, Curve},
    fft::COSETS,
    msm::additions,
    protocol::{Polynomial, Protocol, RotationSet},
};
use crate::{circuit::InstanceColumn, stages::Stage};

/// Bytes of a scalar.
const SCALAR: u64 = 32;
/// Bytes of the number of a cell.
const CELL: u64 = 4;
/// Bytes of a copy.
const COPY: u64 = 16;
/// Bytes of a term of a commitment in its bucket.
const TERM: u64 = 4;

/// What one run of `hallmark prove` does besides running and laying out the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// log2 of the length of every FFT, and how many there are of it.
    pub transforms: Vec<(u32, usize)>,
    /// Terms of every multi-scalar multiplication.
    pub commitments: Vec<usize>,
    /// Rows in which the gates are evaluated.
    pub gate_rows: usize,
    /// Multiplications and additions, shared among all threads.
    pub products: usize,
    /// Multiplications and additions of which each waits for the one before.
    pub steps: usize,
    /// Points of the setup that are read and checked.
    pub points: usize,
    /// Bytes that are hashed.
    pub hashed_bytes: usize,
}

/// Bytes of a proving key on disk, without the container around them.
pub fn proving_key_bytes<C: Curve>(protocol: &Protocol<C>) -> u64 {
    (32 + C::RAW_BYTES * powers(protocol)) as u64
}

/// Powers of the setup in a proving key.
fn powers<C: Curve>(protocol: &Protocol<C>) -> usize {
    2 * protocol.n() / protocol.quotient_pieces
}

impl Work {
    /// The work for a protocol: its commitments do not matter.
    pub fn new<C: Curve>(protocol: &Protocol<C>) -> Self {
        let (n, k) = (protocol.n(), protocol.k);
        // the extended domain, and the quotient's coefficients
        let extended = 2 * n;
        let fixed = protocol.fixed.len();
        let (permutation, sigmas) = (usize::from(protocol.permutation.is_some()), sigmas(protocol));
        let columns = fixed + protocol.phases + interpolated(protocol) + permutation_columns(protocol);

        // columns to coefficients and to both cosets; the quotient back from these
        let mut work = Self { transforms: vec![(k, (1 + COSETS) * columns + COSETS)], ..Self::default() };
        work.commitments = vec![n; protocol.phases + permutation];
        work.commitments.extend(vec![extended / protocol.quotient_pieces; protocol.quotient_pieces]);
        // the linearisation has the length of a piece of the quotient, and so have the polynomials of the opening
        work.commitments.extend([extended / protocol.quotient_pieces; 2]);
        work.gate_rows = extended;

        // sigma's powers of omega; the running product, its inversions, and its argument
        work.steps += n * (permutation + sigmas);
        work.products += n * (4 * permutation + 6 * sigmas) + extended * (4 * permutation + 4 * sigmas);
        // Lagrange polynomials of the permutation's first and last rows
        work.products += extended * 5 * if protocol.last_rotation().is_some() { 2 } else { permutation };
        // linear columns times their coefficients; twiddles
        work.products += extended * protocol.shape.linear.len() + n / 2;
        // the values of periodic selectors, on as many points as they do not repeat
        if let Some(periodic) = &protocol.shape.periodic {
            let cycle = extended >> (k - periodic.log_period);
            let roots: usize = periodic.sections.iter().map(Vec::len).sum();
            work.products += 2 * cycle * roots;
        }
        // division by the vanishing polynomial, powers of omega
        work.products += 2 * extended;
        work.steps += protocol.evaluations().len() * n;
        let terms = protocol.shape.linear.len() + 2 * permutation + protocol.quotient_pieces;
        work.products += terms * extended / protocol.quotient_pieces;
        for set in protocol.rotation_sets() {
            let len = if is_linearised(&set) { extended / protocol.quotient_pieces } else { n };
            work.products += set.polynomials.len() * n + 2 * len;
            work.steps += set.rotations.len() * len;
        }
        work.steps += extended / protocol.quotient_pieces;

        work.points = powers(protocol);
        // once for the folder's manifest, once for the file's own digest
        work.hashed_bytes = 2 * proving_key_bytes(protocol) as usize;
        work
    }
}

/// Nanoseconds of a core that is the same everywhere: an element of an FFT per level, an addition of points in a commitment, all gates
/// in one row, a multiplication with an addition, reading a point.
const NOMINAL: [f64; 5] = [15.0, 350.0, 500.0, 40.0, 500.0];

impl Work {
    /// CPU seconds on a machine that there is not: for comparing plans, which must not depend on where they are made.
    pub fn nominal_seconds<C: Curve>(&self) -> f64 {
        let [butterfly, _, gate_row, product, point] = NOMINAL;
        // additions take the square of a coordinate's length
        let long = (C::RAW_BYTES as f64 / Bn254::RAW_BYTES as f64).powi(2);
        let transforms = self.transforms.iter().map(|&(log_len, count)| (count * log_len as usize) << log_len);
        let nanoseconds = transforms.sum::<usize>() as f64 * butterfly
            + self.gate_rows as f64 * gate_row
            + (self.products + self.steps) as f64 * product
            + self.points as f64 * point * long;
        nanoseconds / 1e9 + self.commitments.iter().map(|&terms| nominal_commitment::<C>(terms)).sum::<f64>()
    }

    /// The stages of proving that are worth counting, in their order, with their share of the work: what lies between them
    /// belongs to them.
    pub fn milestones<C: Curve>(&self, protocol: &Protocol<C>) -> Vec<(Stage, f64)> {
        let commitments: Vec<f64> = self.commitments.iter().map(|&terms| nominal_commitment::<C>(terms)).collect();
        let before = protocol.phases + usize::from(protocol.permutation.is_some());
        let quotient = self.nominal_seconds::<C>() - commitments.iter().sum::<f64>();
        let mut milestones: Vec<_> = commitments.into_iter().map(|seconds| (Stage::Commitments, seconds)).collect();
        milestones.insert(before.min(milestones.len()), (Stage::Quotient, quotient));
        milestones
    }
}

/// CPU seconds of a commitment to so many coefficients, on the machine that there is not.
fn nominal_commitment<C: Curve>(terms: usize) -> f64 {
    let [_, addition, ..] = NOMINAL;
    let long = (C::RAW_BYTES as f64 / Bn254::RAW_BYTES as f64).powi(2);
    additions(terms, C::Scalar::NUM_BITS as usize - 1, 1) as f64 * addition * long / 1e9
}

/// Bytes that proving holds at its peak, for a circuit with so many rows in use and copies.
pub fn peak_bytes<C: Curve>(protocol: &Protocol<C>, rows: usize, copies: usize) -> u64 {
    let n = protocol.n() as u64;
    let column = SCALAR * n;
    let (fixed, permutation) = (protocol.fixed.len() as u64, u64::from(protocol.permutation.is_some()));
    let (phases, sigmas) = (protocol.phases as u64, sigmas(protocol) as u64);
    let piece = 2 * column / protocol.quotient_pieces as u64;
    // scalars of a commitment as it has them, and its terms by bucket, of two threads
    let commitment = |polynomial: u64| (SCALAR + 1 + 2 * TERM) * polynomial / SCALAR;

    // throughout. The key: powers, twiddles, fixed columns and sigmas as coefficients, and the next cells of these
    let powers = std::mem::size_of::<C::G1Affine>() as u64 * powers(protocol) as u64;
    let key = powers + column / 2 + (fixed + sigmas) * column + sigmas * CELL * n;
    let (laid_out, copies) = (laid_out(protocol) * rows as u64, COPY * copies as u64);

    // while the key is read: the columns are those of the circuit, and cycles are joined
    let reading = powers + laid_out + 2 * copies + fixed * column + 3 * sigmas * CELL * n;
    // while the circuit is there: its first column, and that as coefficients, in a commitment; or with the second one and what it is
    // divided by
    let witness = key + laid_out + copies + 2 * column + if phases > 1 { 2 * column } else { commitment(column) };
    // while the quotient is interpolated: all of the witness, instance columns and an indicator as coefficients, values on both cosets; and
    // on one coset the advice, with the instance columns, the fixed ones that are evaluated and a linear one, or with what the permutation
    // has: the product, an indicator, its factors and a sigma
    let proved = key + (phases + permutation) * column;
    let (interpolated, evaluated) = (interpolated(protocol) as u64, protocol.evaluated_fixed().count() as u64);
    let indicators = u64::from(protocol.last_rotation().is_some());
    let coset = phases + (interpolated + evaluated + 1).max(permutation * (3 + indicators));
    let quotient = proved + (interpolated + indicators + 2 + coset) * column;
    // in a commitment to a piece of the quotient; then linearisation, a polynomial of the opening, and another or what is in a commitment
    let opening = proved + (2 * column + commitment(piece)).max(2 * piece + piece.max(commitment(piece)));
    let last = proved + 3 * piece + commitment(piece);
    reading.max(witness).max(quotient).max(opening).max(last)
}

/// Bytes of a row of a circuit that is laid out.
fn laid_out<C: Curve>(protocol: &Protocol<C>) -> u64 {
    // with two phases: advice, and the fixed columns that are made row by row, of which one holds numbers
    let (columns, others) = if protocol.phases > 1 { (5, 4) } else { (2, 1) };
    columns * SCALAR + others
}

/// Instance columns that the prover interpolates: all but the periodic ones.
fn interpolated<C: Curve>(protocol: &Protocol<C>) -> usize {
    let columns = protocol.shape.instance_columns.iter();
    let interpolated = |column: &&InstanceColumn<C::Scalar>| match column {
        InstanceColumn::Public(_) | InstanceColumn::EvenRows { .. } | InstanceColumn::ActiveRows { .. } => true,
        InstanceColumn::Section(_) | InstanceColumn::OutsideSections => false,
    };
    columns.filter(interpolated).count()
}

/// Columns that the permutation ties.
fn sigmas<C: Curve>(protocol: &Protocol<C>) -> usize {
    protocol.permutation.as_ref().map_or(0, |permutation| permutation.sigma.len())
}

/// Polynomials of the permutation: sigmas, the running product, and the indicator of its rows, if these are not all.
fn permutation_columns<C: Curve>(protocol: &Protocol<C>) -> usize {
    let indicators = usize::from(protocol.last_rotation().is_some());
    sigmas(protocol) + if protocol.permutation.is_some() { 1 + indicators } else { 0 }
}

fn is_linearised(set: &RotationSet) -> bool {
    set.polynomials.iter().any(|(_, polynomial)| *polynomial == Polynomial::Linearisation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::{LaidOut, Layout, testing::mlp},
        proof::{Bn254, ProvingKey, Srs, SrsOrigin, VerifyingKey},
    };

    #[test]
    fn outlines_cost_what_keys_cost() {
        let model = mlp(&[3, 4, 2], 100, 1);
        for layout in Layout::ALL {
            let circuit = LaidOut::for_keygen(layout, &model).unwrap();
            for pieces in [1, 2] {
                let srs = Srs::embedded(circuit.k() + 2 - pieces).unwrap();
                let pk = ProvingKey::<Bn254>::generate(&model, &circuit, srs).unwrap();
                let (vk, protocol) = (pk.verifying_key(), pk.verifying_key().protocol());
                let setup = SrsOrigin::AztecIgnition;
                let outline = VerifyingKey::<Bn254>::outline(&model, &circuit, pieces as usize, setup).unwrap();
                assert_eq!(outline.to_bytes().unwrap().len(), vk.to_bytes().unwrap().len());
                assert_eq!(proving_key_bytes(outline.protocol()), pk.to_bytes().len() as u64);
                let work = Work::new(outline.protocol());
                assert_eq!(work, Work::new(protocol));
                // every point of the proof is a commitment
                assert_eq!(work.commitments.len(), protocol.points() + 1);
                assert!(work.commitments.iter().all(|terms| *terms <= work.points));
                assert_eq!(peak_bytes(outline.protocol(), 100, 50), peak_bytes(protocol, 100, 50));
            }
        }
    }

    #[test]
    fn columns_of_zeros_have_their_own_commitment() {
        use group::prime::PrimeCurveAffine;
        // inputs that are constant take no range checks, so no row is quadratic
        let mut model = mlp(&[2, 1], 100, 1);
        model.features.iter_mut().for_each(|feature| feature.range.hi = feature.range.lo);
        let circuit = LaidOut::for_keygen(Layout::General, &model).unwrap();
        let pk = ProvingKey::<Bn254>::generate(&model, &circuit, Srs::embedded(circuit.k() + 1).unwrap()).unwrap();
        let outline = VerifyingKey::<Bn254>::outline(&model, &circuit, 1, SrsOrigin::Unsafe).unwrap();
        let identities = |key: &VerifyingKey<Bn254>| -> Vec<bool> {
            key.protocol().fixed.iter().map(|point| point.is_identity().into()).collect()
        };
        assert_eq!(identities(&outline), identities(pk.verifying_key()));
        assert!(identities(&outline).contains(&true));
    }

    #[test]
    fn work_and_memory_follow_the_rows() {
        let of = |hidden: usize| {
            let model = mlp(&[4, hidden, 1], 100, 1);
            let circuit = LaidOut::for_keygen(Layout::General, &model).unwrap();
            let key = VerifyingKey::<Bn254>::outline(&model, &circuit, 1, SrsOrigin::Unsafe).unwrap();
            let protocol = key.protocol();
            (protocol.n(), Work::new(protocol), peak_bytes(protocol, circuit.rows(), circuit.copies()))
        };
        let ((small, few, little), (large, many, much)) = (of(10), of(80));
        assert!(large >= 4 * small);
        let factor = large / small;
        assert_eq!(many.gate_rows, factor * few.gate_rows);
        assert_eq!(many.commitments.iter().sum::<usize>(), factor * few.commitments.iter().sum::<usize>());
        assert_eq!(many.steps, factor * few.steps);
        let growth = much as f64 / little as f64 / factor as f64;
        assert!((0.9..1.1).contains(&growth), "{little} to {much} bytes");
    }
}
