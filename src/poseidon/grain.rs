//! The paper's generator of parameters (appendix F): the Grain LFSR in its self-shrinking mode.

use ff::PrimeField;

use super::WIDTH;

/// Bits of the register.
const REGISTER: u32 = 80;

/// Bits that are thrown away at first.
const DISCARDED: usize = 160;

/// The generator. Bit `i` of the state leaves it after `i` steps.
pub(super) struct Grain {
    state: u128,
    bits: u32,
}

impl Grain {
    /// For a prime field of so many bits, the S-box `x^5`, a state of `width` elements and these rounds.
    pub fn new(bits: u32, width: usize, full: usize, partial: usize) -> Self {
        // in the order in which they leave the register, each number from its highest bit: prime field, power map, sizes, ones
        let numbers = [(1, 2), (0, 4), (u128::from(bits), 12), (width as u128, 12), (full as u128, 10)];
        let numbers = numbers.into_iter().chain([(partial as u128, 10), ((1 << 30) - 1, 30)]);
        let (mut state, mut place) = (0, 0);
        for (number, len) in numbers {
            for i in (0..len).rev() {
                state |= (number >> i & 1) << place;
                place += 1;
            }
        }
        debug_assert_eq!(place, REGISTER);
        let mut grain = Self { state, bits };
        for _ in 0..DISCARDED {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> bool {
        let taps = [62, 51, 38, 23, 13, 0];
        let bit = taps.iter().fold(0, |sum, tap| sum ^ self.state >> tap) & 1;
        self.state = self.state >> 1 | bit << (REGISTER - 1);
        bit == 1
    }

    /// Bits come in pairs: the second one, if the first is set, else none.
    fn bit(&mut self) -> bool {
        loop {
            let (first, second) = (self.step(), self.step());
            if first {
                return second;
            }
        }
    }

    /// A number of as many bits as the field's elements, from its highest bit.
    fn number(&mut self) -> Vec<bool> {
        (0..self.bits).map(|_| self.bit()).collect()
    }

    /// An element of the field: numbers that are not below its order are passed over.
    pub fn element<F: PrimeField>(&mut self) -> F {
        loop {
            let mut repr = F::Repr::default();
            for (i, bit) in self.number().into_iter().rev().enumerate() {
                if let Some(byte) = repr.as_mut().get_mut(i / 8) {
                    *byte |= u8::from(bit) << (i % 8);
                }
            }
            if let Some(element) = F::from_repr(repr).into_option() {
                return element;
            }
        }
    }

    /// A Cauchy matrix `1 / (x_i + y_j)` of numbers that are reduced. That it is none of those with weak subspaces (the paper's
    /// algorithms 1 to 3) is known for the two fields in use, whose published vectors it gives.
    pub fn mds<F: PrimeField>(&mut self) -> [[F; WIDTH]; WIDTH] {
        let reduced = |bits: Vec<bool>| bits.into_iter().fold(F::ZERO, |x, bit| x.double() + F::from(u64::from(bit)));
        loop {
            let numbers: [F; 2 * WIDTH] = std::array::from_fn(|_| reduced(self.number()));
            let repeated = (1..numbers.len()).any(|i| numbers[..i].contains(&numbers[i]));
            let entry = |i: usize, j: usize| (numbers[i] + numbers[WIDTH + j]).invert().into_option();
            let rows: Option<Vec<F>> = (0..WIDTH * WIDTH).map(|at| entry(at / WIDTH, at % WIDTH)).collect();
            if let (Some(entries), false) = (rows, repeated) {
                return std::array::from_fn(|i| std::array::from_fn(|j| entries[i * WIDTH + j]));
            }
        }
    }
}
