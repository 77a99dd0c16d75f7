//! Powers of a secret in G1: checking them by pairing, and making them for tests.

use ff::{Field, PrimeField};
use group::{Curve, Group};
use halo2_proofs::arithmetic::best_multiexp;
use halo2curves::bn256::{Bn256, Fr, G1, G1Affine, G2Affine};
use pairing::{MillerLoopResult, MultiMillerLoop};
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;

use super::points::in_g2_subgroup;

/// Why a list of points is not `[1, tau, tau^2, ...]` for the tau of its G2 points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PowersError {
    #[error("its first power is not the generator of G1")]
    Generator,
    #[error("its first G2 point is not the generator of G2")]
    G2Generator,
    #[error("[tau]_2 is outside the subgroup of order r")]
    G2Subgroup,
    #[error("its secret is trivial: [tau]_1 is the generator")]
    Trivial,
    #[error("it has fewer than two powers")]
    TooFew,
    #[error("the powers do not satisfy the pairing equation against [tau]_2")]
    Pairing,
}

/// Checks consecutive powers, given in chunks of any size, against `[tau]_2`.
///
/// With `A = sum_{i<n} rho^i P_i` for a random `rho`, the equation
/// `e((A - P_0) / rho, [1]_2) = e(A - rho^(n-1) P_{n-1}, [tau]_2)` says that `P_{i+1} = tau P_i` for all `i < n - 1`,
/// except with probability `n / r` over `rho`.
pub struct PowersCheck {
    rho: Fr,
    next_scalar: Fr,
    sum: G1,
    first: Option<G1Affine>,
    last: Option<G1Affine>,
    count: u64,
    trivial: bool,
}

impl Default for PowersCheck {
    fn default() -> Self {
        PowersCheck {
            rho: Fr::random(OsRng),
            next_scalar: Fr::ONE,
            sum: G1::identity(),
            first: None,
            last: None,
            count: 0,
            trivial: false,
        }
    }
}

impl PowersCheck {
    /// Takes the powers that follow those given before.
    pub fn absorb(&mut self, powers: &[G1Affine]) {
        let (Some(head), Some(tail)) = (powers.first(), powers.last()) else { return };
        let scalars: Vec<Fr> = powers
            .iter()
            .map(|_| {
                let scalar = self.next_scalar;
                self.next_scalar *= self.rho;
                scalar
            })
            .collect();
        self.sum += best_multiexp(&scalars, powers);
        let second = match self.count {
            0 => powers.get(1),
            1 => Some(head),
            _ => None,
        };
        self.trivial |= second == Some(&G1Affine::generator());
        self.first.get_or_insert(*head);
        self.last = Some(*tail);
        self.count += powers.len() as u64;
    }

    /// Whether all powers taken are `tau^i` times the generator, for the tau of `s_g2`.
    pub fn finish(self, s_g2: &G2Affine) -> Result<(), PowersError> {
        let (Some(first), Some(last), Some(rho_inverse)) = (self.first, self.last, Option::from(self.rho.invert()))
        else {
            return Err(PowersError::TooFew);
        };
        if self.count < 2 {
            return Err(PowersError::TooFew);
        }
        if first != G1Affine::generator() {
            return Err(PowersError::Generator);
        }
        if !in_g2_subgroup(s_g2) {
            return Err(PowersError::G2Subgroup);
        }
        if self.trivial {
            return Err(PowersError::Trivial);
        }
        let rho_inverse: Fr = rho_inverse;
        let last_scalar = self.next_scalar * rho_inverse;
        let shifted = ((self.sum - G1::from(first)) * rho_inverse).to_affine();
        let unshifted = (last * last_scalar - self.sum).to_affine();
        let result =
            Bn256::multi_miller_loop(&[(&shifted, &G2Affine::generator().into()), (&unshifted, &(*s_g2).into())]);
        match bool::from(result.final_exponentiation().is_identity()) {
            true => Ok(()),
            false => Err(PowersError::Pairing),
        }
    }
}

const WINDOW: usize = 8;

/// A generated secret, known to the process that made it: for tests only.
pub struct UnsafeSecret {
    tau: Fr,
    /// `table[w][d - 1] = d 2^(WINDOW w) G` for the digits `d = 1 .. 2^WINDOW - 1`.
    table: Vec<Vec<G1Affine>>,
}

impl UnsafeSecret {
    /// Draws a secret; the same generator state gives the same secret.
    pub fn random(mut rng: impl RngCore) -> Self {
        let tau = loop {
            let tau = Fr::random(&mut rng);
            if tau != Fr::ZERO && tau != Fr::ONE {
                break tau;
            }
        };
        let bases: Vec<G1> = std::iter::successors(Some(G1::generator()), |base| {
            Some((0..WINDOW).fold(*base, |point, _| point.double()))
        })
        .take((Fr::NUM_BITS as usize).div_ceil(WINDOW))
        .collect();
        let table = bases
            .par_iter()
            .map(|base| {
                let multiples: Vec<G1> =
                    std::iter::successors(Some(*base), |point| Some(point + base)).take((1 << WINDOW) - 1).collect();
                normalize(&multiples)
            })
            .collect();
        UnsafeSecret { tau, table }
    }

    /// `[tau^i]_1` for `start <= i < start + len`.
    pub fn powers(&self, start: u64, len: usize) -> Vec<G1Affine> {
        const CHUNK: usize = 1024;
        let chunks = len.div_ceil(CHUNK);
        (0..chunks)
            .into_par_iter()
            .flat_map_iter(|chunk| {
                let offset = chunk * CHUNK;
                let first = self.tau.pow_vartime([start + offset as u64]);
                let points: Vec<G1> = std::iter::successors(Some(first), |power| Some(power * self.tau))
                    .take(CHUNK.min(len - offset))
                    .map(|power| self.multiply(&power))
                    .collect();
                normalize(&points)
            })
            .collect()
    }

    /// `[tau]_2`.
    pub fn s_g2(&self) -> G2Affine {
        (G2Affine::generator() * self.tau).to_affine()
    }

    fn multiply(&self, scalar: &Fr) -> G1 {
        let digits = scalar.to_repr();
        self.table.iter().zip(digits.as_ref()).fold(G1::identity(), |sum, (row, digit)| {
            match usize::from(*digit).checked_sub(1).and_then(|index| row.get(index)) {
                Some(point) => sum + point,
                None => sum,
            }
        })
    }
}

fn normalize(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::default(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine
}
