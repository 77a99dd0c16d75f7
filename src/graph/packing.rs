//! Public inputs: features that a proof says in the open, several in one word.
//!
//! A packed word is one more output of the model: `sum 2^shift (x - lo)` over its features, in fields of bits that do not
//! overlap. As every feature is in its proved domain, each fits its field, and the word has one reading.

use std::collections::HashSet;

use super::{Affine, IntegerModel, IntegerNode, Interval, MAX_BITS, Output};
use crate::ops::Op;

/// Name of the node and of the output; elements are numbered if there are several words.
pub const PUBLIC_INPUTS: &str = "public inputs";

/// Weights are 64-bit integers: no field starts above this bit.
const MAX_SHIFT: u32 = 62;

/// A feature in a packed word: it is `lo + ((word >> shift) mod 2^bits)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedInput {
    /// Index of the feature.
    pub feature: usize,
    /// Index of the public value that holds it.
    pub public_value: usize,
    pub shift: u32,
    pub bits: u32,
}

impl PackedInput {
    /// The feature's integer, from the public values of a proof.
    pub fn read(&self, range: Interval, public_values: &[i128]) -> Option<i128> {
        let field = public_values.get(self.public_value)? >> self.shift & ((1 << self.bits) - 1);
        range.lo.checked_add(field)
    }
}

/// Bits that the values of an interval take, counted from its lower end.
pub(super) fn width(range: Interval) -> u32 {
    u128::BITS - range.lo.abs_diff(range.hi).leading_zeros()
}

impl IntegerModel {
    /// Make features public. They are packed in the order in which they are given, lowest bits first.
    ///
    /// Says which feature is too wide for a word, if one is. Every index is one of a feature.
    pub fn publish(&mut self, features: &[usize]) -> Result<(), usize> {
        let input_len = self.features.len();
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: vec![] };
        let mut words: Vec<Vec<(usize, u32)>> = Vec::new();
        let (mut start, mut taken) = (0, 0);
        for &feature in features {
            let range = self.features[feature].range;
            // what the range rule of linear maps adds up: the term, and at most as much of the bias
            let with_field = |shift: u32, taken: u128| {
                let scale = 2u128.checked_shl(shift).filter(|_| shift <= MAX_SHIFT)?;
                let sum = range.magnitude().checked_mul(scale)?.checked_add(taken)?;
                (sum >> MAX_BITS == 0).then_some(sum)
            };
            match (words.last_mut(), with_field(start, taken)) {
                (Some(word), Some(sum)) => {
                    word.push((feature, start));
                    taken = sum;
                }
                _ => {
                    (start, taken) = (0, with_field(0, 0).ok_or(feature)?);
                    words.push(vec![(feature, start)]);
                }
            }
            // a feature of one value takes no bits, but a weight of its own
            start += width(range).max(1);
        }
        for word in &mut words {
            word.sort_unstable();
            let mut bias = 0;
            for &(feature, shift) in word.iter() {
                map.columns.push(feature as u32);
                map.weights.push(1 << shift);
                bias -= self.features[feature].range.lo << shift;
            }
            map.row_starts.push(map.columns.len() as u32);
            map.bias.push(bias);
        }
        if words.is_empty() {
            return Ok(());
        }
        let op = Op::Linear(map);
        let ranges = op.bounds(&[&self.ranges(0)]).map_err(|error| words[error.element][0].0)?;
        self.nodes.push(IntegerNode { name: PUBLIC_INPUTS.into(), op, inputs: vec![0], ranges });
        self.outputs.push(Output { name: PUBLIC_INPUTS.into(), tensor: self.nodes.len(), scale: 1.0 });
        Ok(())
    }

    /// Where the public inputs are, in the order of words and bits.
    pub fn packed_inputs(&self) -> Vec<PackedInput> {
        let mut packed = Vec::new();
        let mut public_value = 0;
        for output in &self.outputs {
            let node = output.tensor.checked_sub(1).and_then(|node| self.nodes.get(node));
            if let Some(IntegerNode { name, op: Op::Linear(map), inputs, .. }) = node
                && name == PUBLIC_INPUTS
                && output.name == PUBLIC_INPUTS
                && inputs == &[0]
            {
                let words = (0..map.output_len()).map(|word| self.fields(map, word, public_value + word));
                packed.extend(words.collect::<Option<Vec<_>>>().into_iter().flatten().flatten());
            }
            public_value += self.tensor_len(output.tensor);
        }
        packed
    }

    /// The outputs that say something of the model's, each with the index of its first public value: all but packed words.
    pub fn computed_outputs(&self) -> Vec<(usize, &Output)> {
        let words: HashSet<usize> = self.packed_inputs().iter().map(|packed| packed.public_value).collect();
        let mut next = 0;
        let places = self.outputs.iter().map(|output| {
            let first = next;
            next += self.tensor_len(output.tensor);
            (first, output)
        });
        places.filter(|(first, _)| !words.contains(first)).collect()
    }

    /// The fields of a packed word; `None` if the map is something else of the same name.
    fn fields(&self, map: &Affine<i64, i128>, word: usize, public_value: usize) -> Option<Vec<PackedInput>> {
        let mut fields = Vec::new();
        let mut bias = map.bias[word];
        for (feature, weight) in map.row(word) {
            let range = self.features[feature].range;
            bias = bias.checked_add(range.lo.checked_mul(weight.into())?)?;
            if weight <= 0 || weight.count_ones() != 1 {
                return None;
            }
            fields.push(PackedInput { feature, public_value, shift: weight.trailing_zeros(), bits: width(range) });
        }
        fields.sort_unstable_by_key(|field| field.shift);
        let disjoint = fields.windows(2).all(|pair| pair[0].shift + pair[0].bits <= pair[1].shift);
        (bias == 0 && disjoint).then_some(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::Feature;

    fn model(domains: &[(i128, i128)]) -> IntegerModel {
        let feature = |(i, &(lo, hi)): (usize, &(i128, i128))| Feature {
            name: format!("x{i}"),
            scale: 1.0,
            range: Interval { lo, hi },
        };
        IntegerModel { features: domains.iter().enumerate().map(feature).collect(), ..Default::default() }
    }

    #[test]
    fn features_that_do_not_fit_begin_another_word() {
        let mut model = model(&[(0, 1 << 40), (-5, 5), (0, (1 << 60) - 1), (3, 3), (0, 1)]);
        model.publish(&[0, 1, 2, 3, 4]).unwrap();
        let places: Vec<_> =
            model.packed_inputs().iter().map(|p| (p.feature, p.public_value, p.shift, p.bits)).collect();
        assert_eq!(places, [(0, 0, 0, 41), (1, 0, 41, 4), (2, 0, 45, 60), (3, 1, 0, 0), (4, 1, 1, 1)]);
        assert_eq!(model.public_ranges()[1], Interval { lo: 0, hi: 2 });
    }

    #[test]
    fn features_far_from_zero_have_room() {
        let far = 10i128.pow(33);
        let mut model = model(&[(0, 1 << 50), (far, far + 1), (-far, 5 - far), (7, 8)]);
        model.publish(&[0, 1, 2, 3]).unwrap();
        let places: Vec<_> = model.packed_inputs().iter().map(|p| (p.feature, p.public_value, p.shift)).collect();
        assert_eq!(places, [(0, 0, 0), (1, 1, 0), (2, 1, 1), (3, 1, 4)]);
        assert!(model.validate().is_ok());
        assert_eq!(model.public_values(&model.trace(&[9, far + 1, 2 - far, 7])), [9, 1 + (2 << 1)]);
    }

    #[test]
    fn other_maps_of_the_name_are_not_read() {
        let mut model = model(&[(0, 3), (0, 3)]);
        model.publish(&[0, 1]).unwrap();
        for (weight, bias) in [(3, 0), (-4, 0), (2, 0), (4, 1)] {
            let mut other = model.clone();
            let Op::Linear(map) = &mut other.nodes[0].op else { panic!("another operator") };
            (map.weights[1], map.bias[0]) = (weight, bias);
            assert_eq!(other.packed_inputs(), [], "weight {weight}, bias {bias}");
        }
    }

    #[test]
    fn a_feature_too_wide_for_a_word_is_named() {
        let mut model = model(&[(0, 1), (-(1 << 120), 1 << 120)]);
        assert_eq!(model.publish(&[0, 1]), Err(1));
        model.features[1].range = Interval { lo: (1 << 119), hi: 1 + (1 << 119) };
        assert_eq!(model.publish(&[0, 1]), Err(1));
        assert_eq!((model.nodes.len(), model.publish(&[])), (0, Ok(())));
    }

    proptest! {
        /// Every input is read back from the words, which are in their proved ranges.
        #[test]
        fn words_have_one_reading(
            domains in prop::collection::vec((-1000i128..1000, 0u32..50, any::<u64>()), 1..9),
            order in any::<u64>(),
        ) {
            let bounds: Vec<_> = domains.iter().map(|&(lo, bits, _)| (lo, lo + (1i128 << bits) - 1)).collect();
            let mut model = model(&bounds);
            let mut features: Vec<usize> = (0..bounds.len()).collect();
            features.rotate_left(order as usize % bounds.len());
            model.publish(&features).unwrap();
            let value = |&(lo, bits, draw): &(i128, u32, u64)| lo + i128::from(draw) % (1i128 << bits);
            let input: Vec<i128> = domains.iter().map(value).collect();
            let words = model.public_values(&model.trace(&input));
            prop_assert!(words.iter().zip(model.public_ranges()).all(|(word, range)| range.contains(*word)));
            prop_assert!(model.validate().is_ok());
            let packed = model.packed_inputs();
            prop_assert_eq!(packed.len(), input.len());
            for field in packed {
                let range = model.features[field.feature].range;
                prop_assert_eq!(field.read(range, &words), Some(input[field.feature]));
            }
        }
    }
}
