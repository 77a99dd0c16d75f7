//! The processor's own instructions for long multiplication.
//!
//! Programs are compiled for the oldest processors of an architecture. On x86-64 those lack `mulx` and `adx`, without which a
//! multiplication in a field takes about a sixth longer. Loops that do little else are compiled twice, and the processor decides.

use ff::Field;
use halo2curves::{bls12_381, bn256};

/// A loop that is worth being compiled for newer processors.
pub trait Kernel {
    type Output;

    /// Mark it `#[inline(always)]`, and multiply by [`Multiply::times`]: a function that is called is not compiled again.
    fn run(self) -> Self::Output;
}

/// Runs a kernel as the processor does best.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;

        #[target_feature(enable = "bmi1,bmi2,adx")]
        fn newer<K: Kernel>(kernel: K) -> K::Output {
            kernel.run()
        }
        if has!("bmi1") && has!("bmi2") && has!("adx") {
            #[allow(unsafe_code, reason = "the compiler does not know what was just found out")]
            // SAFETY: the processor has all that `newer` is compiled for
            return unsafe { newer(kernel) };
        }
    }
    kernel.run()
}

/// Multiplication that is always inlined.
pub trait Multiply: Field {
    fn times(&self, other: &Self) -> Self;
}

macro_rules! inherent {
    ($($field:ty),*) => {
        $(impl Multiply for $field {
            #[inline(always)]
            fn times(&self, other: &Self) -> Self {
                <$field>::mul(self, other)
            }
        })*
    };
}

inherent!(bn256::Fq, bn256::Fr, bls12_381::Fq, bls12_381::Fr);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Powers<F>(F, usize);

    impl<F: Multiply> Kernel for Powers<F> {
        type Output = Vec<F>;

        #[inline(always)]
        fn run(self) -> Vec<F> {
            std::iter::successors(Some(F::ONE), |power| Some(power.times(&self.0))).take(self.1).collect()
        }
    }

    fn are_powers<F: Multiply>(seed: u64) {
        let base = F::random(<rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::seed_from_u64(seed));
        let expected: Vec<F> = (0..20).map(|i| base.pow_vartime([i])).collect();
        assert_eq!(run(Powers(base, 20)), expected);
        assert_eq!(Powers(base, 20).run(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn products_are_those_of_the_field(seed: u64) {
            are_powers::<bn256::Fq>(seed);
            are_powers::<bn256::Fr>(seed);
            are_powers::<bls12_381::Fq>(seed);
            are_powers::<bls12_381::Fr>(seed);
        }
    }
}
