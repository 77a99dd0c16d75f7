//! Poseidon (<https://eprint.iacr.org/2019/458>) over the scalar field of a curve, for digests that circuits and contracts can take.
//!
//! The instance with `x^5`, a state of three elements (rate 2), 8 full and 57 partial rounds: 128 bits of security for fields of 254
//! and 255 bits (table 2 of the paper's reference implementation). On BN254 `hash(a, b)` is circomlib's `poseidon([a, b])`, which
//! libraries for JavaScript and Solidity have.
//!
//! There is one definition of the permutation, [`Poseidon::permute`], on whatever can add, scale and take fifth powers: field elements
//! here, expressions of cells in `circuit::digest`.

mod grain;

use ff::PrimeField;

use self::grain::Grain;

/// Elements of the state.
pub const WIDTH: usize = 3;

/// Rounds in which every element goes through the S-box, half of them at either end.
pub const FULL_ROUNDS: usize = 8;

/// Rounds in which only the first one does.
pub const PARTIAL_ROUNDS: usize = 57;

/// What the permutation is computed on.
pub trait Arithmetic<F> {
    type Value: Clone;

    /// `constant + sum coefficient * value`.
    fn combine(&mut self, terms: &[(F, &Self::Value)], constant: F) -> Self::Value;

    /// `x^5`.
    fn fifth_power(&mut self, x: &Self::Value) -> Self::Value;
}

/// The permutation's parameters.
#[derive(Clone, Debug)]
pub struct Poseidon<F> {
    constants: Vec<[F; WIDTH]>,
    mds: [[F; WIDTH]; WIDTH],
}

impl<F: PrimeField> Default for Poseidon<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: PrimeField> Poseidon<F> {
    /// The parameters that the paper's generator gives for the field.
    pub fn new() -> Self {
        let mut grain = Grain::new(F::NUM_BITS, WIDTH, FULL_ROUNDS, PARTIAL_ROUNDS);
        let rounds = FULL_ROUNDS + PARTIAL_ROUNDS;
        let constants = (0..rounds).map(|_| std::array::from_fn(|_| grain.element())).collect();
        Self { constants, mds: grain.mds() }
    }

    /// The permutation of a state.
    pub fn permute<A: Arithmetic<F>>(&self, on: &mut A, mut state: [A::Value; WIDTH]) -> [A::Value; WIDTH] {
        let first = FULL_ROUNDS / 2;
        for (round, constants) in self.constants.iter().enumerate() {
            let partial = (first..first + PARTIAL_ROUNDS).contains(&round);
            for (i, (element, constant)) in state.iter_mut().zip(constants).enumerate() {
                *element = on.combine(&[(F::ONE, element)], *constant);
                if i == 0 || !partial {
                    *element = on.fifth_power(element);
                }
            }
            let [x, y, z] = &state;
            state = self.mds.map(|[a, b, c]| on.combine(&[(a, x), (b, y), (c, z)], F::ZERO));
        }
        state
    }

    /// The hash of two elements: the first element of the permutation of `(0, left, right)`.
    pub fn hash<A: Arithmetic<F>>(&self, on: &mut A, left: A::Value, right: A::Value) -> A::Value {
        let zero = on.combine(&[], F::ZERO);
        let [digest, ..] = self.permute(on, [zero, left, right]);
        digest
    }
}

/// Arithmetic on field elements.
#[derive(Clone, Copy, Debug)]
pub struct Elements;

impl<F: PrimeField> Arithmetic<F> for Elements {
    type Value = F;

    fn combine(&mut self, terms: &[(F, &F)], constant: F) -> F {
        terms.iter().fold(constant, |sum, &(coefficient, value)| sum + coefficient * value)
    }

    fn fifth_power(&mut self, x: &F) -> F {
        x.square().square() * x
    }
}

#[cfg(test)]
mod tests {
    use halo2curves::{bls12_381, bn256};

    use super::*;

    fn permuted<F: PrimeField>(state: [u64; WIDTH]) -> [String; WIDTH] {
        let state = Poseidon::<F>::new().permute(&mut Elements, state.map(F::from));
        state.map(|element| {
            let mut bytes = element.to_repr().as_ref().to_vec();
            bytes.reverse();
            hex::encode(bytes)
        })
    }

    /// `poseidonperm_x5_254_3` and `poseidonperm_x5_255_3` in `code/test_vectors.txt` of the authors' reference implementation,
    /// <https://extgit.iaik.tugraz.at/krypto/hadeshash>.
    #[test]
    fn the_authors_vectors() {
        assert_eq!(
            permuted::<bn256::Fr>([0, 1, 2]),
            [
                "115cc0f5e7d690413df64c6b9662e9cf2a3617f2743245519e19607a4417189a",
                "0fca49b798923ab0239de1c9e7a4a9a2210312b6a2f616d18b5a87f9b628ae29",
                "0e7ae82e40091e63cbd4f16a6d16310b3729d4b6e138fcf54110e2867045a30c",
            ]
        );
        assert_eq!(
            permuted::<bls12_381::Fr>([0, 1, 2]),
            [
                "28ce19420fc246a05553ad1e8c98f5c9d67166be2c18e9e4cb4b4e317dd2a78a",
                "51f3e312c95343a896cfd8945ea82ba956c1118ce9b9859b6ea56637b4b1ddc4",
                "3b2b69139b235626a0bfb56c9527ae66a7bf486ad8c11c14d1da0c69bbe0f79a",
            ]
        );
    }

    /// `test/poseidoncircuit.js` of circomlib (<https://github.com/iden3/circomlib>) has the hash of 1 and 2; that of zeros is the first
    /// level of the empty Merkle trees that Semaphore and others have on chain.
    #[test]
    fn the_hashes_of_circomlib() {
        let hash = |a: u64, b: u64| Poseidon::new().hash(&mut Elements, bn256::Fr::from(a), bn256::Fr::from(b));
        for (a, b, digest) in [
            (1, 2, "7853200120776062878684798364095072458815029376092732009249414926327459813530"),
            (0, 0, "14744269619966411208579211824598458697587494354926760081771325075741142829156"),
        ] {
            assert_eq!(hash(a, b), bn256::Fr::from_str_vartime(digest).unwrap());
        }
    }
}
