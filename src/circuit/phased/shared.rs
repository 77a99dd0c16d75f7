//! Finds sums that share their weights: the products of one matrix with many vectors that convolutions and products with a
//! constant matrix are made of, in a linear map of which nothing else is known.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use super::packed;
use crate::graph::Affine;

/// `y[t][i] = sum over j of weights[j][i] x[t][j]` and a bias, by the places of `x` and `y` in the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// Per input `j` the weights of all outputs.
    pub weights: Vec<Vec<i64>>,
    /// Per output its bias, if it is a part of the product; then it is the same for all vectors.
    pub bias: Option<Vec<i128>>,
    /// Per vector `t`, its inputs and its outputs.
    pub inputs: Vec<Vec<u32>>,
    pub outputs: Vec<Vec<u32>>,
}

impl Shared {
    /// Rows of a projection of `vectors` products with a matrix of `inputs x outputs`: outputs and their use, sums of inputs, of
    /// weights, and their products.
    pub fn rows(vectors: usize, inputs: usize, outputs: usize) -> usize {
        vectors * (2 * outputs + 6) + inputs * (vectors + outputs + 6) + 8
    }

    /// How many outputs a vector has.
    pub fn len(&self) -> usize {
        self.outputs.first().map_or(0, Vec::len)
    }

    /// Whether the input with these weights takes fewer rows beside the outputs. Where biases are parts of the products, so are all weights,
    /// whatever they are.
    pub fn is_beside(&self, weights: &[i64]) -> bool {
        self.bias.is_none()
            && self.beside_rows(weights)
                < Self::rows(self.inputs.len(), 1, self.len()) - Self::rows(self.inputs.len(), 0, self.len())
    }

    fn beside_rows(&self, weights: &[i64]) -> usize {
        self.inputs.len() * weights.iter().filter(|weight| **weight != 0).count()
    }

    fn own_rows(&self) -> usize {
        let beside = || self.weights.iter().filter(|weights| self.is_beside(weights));
        let summed = self.weights.len() - beside().count() + usize::from(self.bias.is_some());
        Self::rows(self.inputs.len(), summed, self.len())
            + beside().map(|weights| self.beside_rows(weights)).sum::<usize>()
    }

    /// Rows of the same sums of at most `bits` bits without a projection.
    fn direct_rows(&self, bits: u32) -> usize {
        let terms: usize = self.weights.iter().flatten().filter(|weight| **weight != 0).count();
        packed::rows(terms, self.len(), bits) * self.inputs.len()
    }

    /// Rows that a projection saves.
    pub fn saved(&self, bits: u32) -> usize {
        self.direct_rows(bits).saturating_sub(self.own_rows())
    }

    /// Whether a projection is worth its overhead.
    fn pays(&self, bits: u32) -> bool {
        3 * self.own_rows() < 2 * self.direct_rows(bits)
    }
}

/// How outputs are grouped: output `((b count / run + i) stride + t) run + k` is that of row `i run + k` of the matrix and vector
/// `(b, t)`. The heads of an attention have runs.
#[derive(Clone, Copy, Debug)]
struct Grouping {
    count: usize,
    stride: usize,
    run: usize,
}

impl Grouping {
    /// The outputs of a vector.
    fn outputs(self, vector: usize) -> impl Iterator<Item = usize> {
        let Self { count, stride, run } = self;
        let (block, t) = (vector / stride, vector % stride);
        (0..count).map(move |i| ((block * (count / run) + i / run) * stride + t) * run + i % run)
    }

    /// All for so many outputs, in vectors of `count`.
    fn all(len: usize, count: usize) -> impl Iterator<Item = Self> {
        let divisors = |n: usize| (1..=n).filter(move |d| n.is_multiple_of(*d));
        let vectors = len / count;
        let plain = divisors(vectors).map(move |stride| Self { count, stride, run: 1 });
        // in one block; in runs of all outputs, or of vectors one by one, they are plain
        let runs = divisors(count).filter(move |run| (2..count).contains(run) && vectors > 1);
        plain.chain(runs.map(move |run| Self { count, stride: vectors, run }))
    }
}

/// Inputs and matrix of a vector.
#[derive(Debug, Default, PartialEq)]
struct Vector {
    inputs: Vec<u32>,
    /// Per input the weights of all outputs, one input after the other.
    weights: Vec<i64>,
}

/// Collects vectors. Per input of the map, what place it has in the vector at hand; [`Self::NONE`] between vectors.
struct Collector<'a> {
    map: &'a Affine<i64, i128>,
    places: Vec<u32>,
}

impl<'a> Collector<'a> {
    const NONE: u32 = u32::MAX;

    fn new(map: &'a Affine<i64, i128>) -> Self {
        Self { map, places: vec![Self::NONE; map.input_len] }
    }

    fn collect(&mut self, grouping: Grouping, at: usize, vector: &mut Vector) {
        let map = self.map;
        vector.inputs.clear();
        for (input, _) in grouping.outputs(at).flat_map(|output| map.row(output)) {
            if self.places[input] == Self::NONE {
                self.places[input] = 0;
                vector.inputs.push(input as u32);
            }
        }
        vector.inputs.sort_unstable();
        (0..).zip(&vector.inputs).for_each(|(place, input)| self.places[*input as usize] = place);
        vector.weights.clear();
        vector.weights.resize(vector.inputs.len() * grouping.count, 0);
        for (i, output) in grouping.outputs(at).enumerate() {
            for (input, weight) in map.row(output) {
                vector.weights[self.places[input] as usize * grouping.count + i] += weight;
            }
        }
        vector.inputs.iter().for_each(|input| self.places[*input as usize] = Self::NONE);
    }
}

/// Vectors whose neighbours are looked at before a grouping is tried on all.
const SAMPLES: usize = 7;

/// The fewest terms of a map that is looked at, in sums of more than [`SHORT`].
const MIN_TERMS: usize = 512;

/// Terms of a sum that is shorter than its projection.
const SHORT: usize = 3;

/// Groupings that are tried on all vectors, those first that promise most.
const TRIES: usize = 6;

/// Products with shared matrices that are worth a projection; the other outputs are in none. Outputs have at most `bits` bits. `biased` says
/// whether biases are parts of the products.
pub fn find(map: &Affine<i64, i128>, bits: u32, biased: bool) -> Vec<Shared> {
    let len = map.output_len();
    let row = |output: usize| &map.weights[map.row_starts[output] as usize..map.row_starts[output + 1] as usize];
    // a projection takes two rows an output, and half of what it saves is asked for: shorter sums do not pay
    let terms: usize = (0..len).map(|output| row(output).len()).filter(|terms| *terms > SHORT).sum();
    if terms < MIN_TERMS {
        return vec![];
    }
    // sums with the same weights have the same number
    let mut numbered: HashMap<&[i64], usize> = HashMap::new();
    let number = |output| {
        let next = numbered.len();
        *numbered.entry(row(output)).or_insert(next)
    };
    let numbers: Vec<usize> = (0..len).map(number).collect();
    let distinct = numbered.len();
    if distinct == len {
        return vec![];
    }
    let divisors = |n: usize| (1..=n).filter(move |d| n.is_multiple_of(*d));
    let mut collector = Collector::new(map);
    let [mut one, mut other] = [Vector::default(), Vector::default()];
    // what groupings would save if all of their vectors were like the one of which most is known
    let mut promising: Vec<(usize, Grouping)> = vec![];
    for count in divisors(len).filter(|count| *count < len) {
        let vectors = len / count;
        for grouping in Grouping::all(len, count) {
            let mut promise = |vector: usize| {
                let mut pairs = grouping.outputs(vector).zip(grouping.outputs(vector + 1));
                if vector + 1 == vectors || !pairs.all(|(one, other)| numbers[one] == numbers[other]) {
                    return 0;
                }
                collector.collect(grouping, vector, &mut one);
                collector.collect(grouping, vector + 1, &mut other);
                if one.weights != other.weights {
                    return 0;
                }
                let terms = one.weights.iter().filter(|weight| **weight != 0).count();
                (vectors * packed::rows(terms, count, bits)).saturating_sub(Shared::rows(
                    vectors,
                    one.inputs.len() + usize::from(biased),
                    count,
                ))
            };
            // those in the middle are not at a border
            let samples = SAMPLES.min(vectors - 1);
            let sample = |i: usize| (vectors - 1) * ((i + samples / 2) % samples) / samples;
            if let Some(promised) = (0..samples).map(|i| promise(sample(i))).find(|promised| *promised > 0) {
                promising.push((promised, grouping));
            }
        }
    }
    promising.sort_by_key(|(promised, _)| Reverse(*promised));
    let saved = |found: &[Shared]| found.iter().map(|s| s.saved(bits)).sum::<usize>();
    let mut best: Vec<Shared> = vec![];
    for (promised, grouping) in promising.into_iter().take(TRIES) {
        if saved(&best) >= promised {
            break;
        }
        let found = grouped(&mut collector, grouping, bits, biased);
        if saved(&found) > saved(&best) {
            best = found;
        }
    }
    best
}

/// The products of a grouping that are worth it.
fn grouped(collector: &mut Collector<'_>, grouping: Grouping, bits: u32, biased: bool) -> Vec<Shared> {
    let map = collector.map;
    let mut found: Vec<Shared> = vec![];
    // by the hash of matrix and bias, places in `found`
    let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
    let hashes = BuildHasherDefault::<DefaultHasher>::default();
    let mut vector = Vector::default();
    for at in 0..map.output_len() / grouping.count {
        collector.collect(grouping, at, &mut vector);
        let outputs: Vec<u32> = grouping.outputs(at).map(|j| j as u32).collect();
        let bias: Option<Vec<i128>> = biased.then(|| grouping.outputs(at).map(|j| map.bias[j]).collect());
        let alike = known.entry(hashes.hash_one((&vector.weights, &bias))).or_default();
        let same = |place: &&usize| {
            let Shared { weights, bias: known, .. } = &found[**place];
            weights.iter().flatten().eq(&vector.weights) && *known == bias
        };
        let place = alike.iter().find(same).copied().unwrap_or_else(|| {
            alike.push(found.len());
            let weights = vector.weights.chunks(grouping.count).map(<[i64]>::to_vec).collect();
            found.push(Shared { weights, bias, inputs: vec![], outputs: vec![] });
            found.len() - 1
        });
        found[place].inputs.push(vector.inputs.clone());
        found[place].outputs.push(outputs);
    }
    found.retain(|shared| shared.pays(bits));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map with these rows.
    fn map(input_len: usize, rows: &[Vec<(usize, i64)>], bias: &[i128]) -> Affine<i64, i128> {
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: bias.to_vec() };
        for row in rows {
            for &(column, weight) in row.iter().filter(|(_, weight)| *weight != 0) {
                map.columns.push(column as u32);
                map.weights.push(weight);
            }
            map.row_starts.push(map.columns.len() as u32);
        }
        map
    }

    /// What is found is part of the map.
    fn holds(map: &Affine<i64, i128>, found: &[Shared]) {
        let mut seen = vec![false; map.output_len()];
        for shared in found {
            for (inputs, outputs) in shared.inputs.iter().zip(&shared.outputs) {
                for (i, &output) in outputs.iter().enumerate() {
                    assert!(!std::mem::replace(&mut seen[output as usize], true));
                    assert!(shared.bias.as_ref().is_none_or(|bias| map.bias[output as usize] == bias[i]));
                    let mut expected: Vec<(usize, i64)> = map.row(output as usize).collect();
                    expected.sort_unstable();
                    let weights = inputs.iter().zip(&shared.weights).map(|(&input, w)| (input as usize, w[i]));
                    assert_eq!(weights.filter(|(_, w)| *w != 0).collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    #[test]
    fn products_with_a_matrix_are_found() {
        // 12 vectors of 20 elements, a 20 x 15 matrix with a zero in every row
        let weight = |j: usize, i: usize| if (i + j) % 7 == 3 { 0 } else { (31 * j + 17 * i) as i64 % 101 - 50 };
        let row = |t: usize, i: usize| (0..20).map(|j| (20 * t + j, weight(j, i))).collect::<Vec<_>>();
        for order in 0..3 {
            // by vectors, by outputs, or by vectors within five outputs each
            let place = |k: usize| match order {
                0 => (k / 15, k % 15),
                1 => (k % 12, k / 12),
                _ => (k / 5 % 12, k / 60 * 5 + k % 5),
            };
            let rows: Vec<_> = (0..180).map(|k| row(place(k).0, place(k).1)).collect();
            let bias: Vec<i128> = (0..180).map(|k| place(k).1 as i128).collect();
            let mut map = map(240, &rows, &bias);
            for biased in [true, false] {
                let found = find(&map, 127, biased);
                holds(&map, &found);
                assert_eq!(found.len(), 1);
                assert_eq!((found[0].weights.len(), found[0].len(), found[0].inputs.len()), (20, 15, 12));
                assert_eq!(found[0].bias.is_some(), biased);
            }
            // biases of their own part those vectors only whose products have them
            let vectors = |found: &[Shared]| found.iter().map(|shared| shared.inputs.len()).collect::<Vec<_>>();
            (0..180).filter(|&k| place(k).0 % 2 == 0).for_each(|k| map.bias[k] += place(k).0 as i128);
            let [biased, unbiased] = [true, false].map(|biased| find(&map, 127, biased));
            holds(&map, &biased);
            holds(&map, &unbiased);
            assert_eq!((vectors(&biased), vectors(&unbiased)), (vec![7], vec![12]));
        }
    }

    #[test]
    fn convolutions_are_found_with_their_padding() {
        // 3 channels of 12 x 12, padded by one, 8 filters of 3 x 3
        let weight = |o: usize, c: usize, k: usize| (7 * o + 5 * c + 3 * k) as i64 % 19 - 9;
        let mut rows = vec![];
        for o in 0..8usize {
            for at in 0..144usize {
                let (y, x) = (at / 12, at % 12);
                let mut row = vec![];
                for c in 0..3 {
                    for k in 0..9 {
                        let (v, u) = ((y + k / 3).wrapping_sub(1), (x + k % 3).wrapping_sub(1));
                        if v < 12 && u < 12 {
                            row.push((144 * c + 12 * v + u, weight(o, c, k)));
                        }
                    }
                }
                rows.push(row);
            }
        }
        let map = map(432, &rows, &[0; 8 * 144]);
        let found = find(&map, 127, true);
        holds(&map, &found);
        assert!(found.iter().map(|shared| shared.inputs.len()).sum::<usize>() >= 100);
        assert!(found.iter().any(|shared| shared.inputs.len() == 100 && shared.weights.len() == 27));
    }

    #[test]
    fn nothing_is_found_where_nothing_is_shared() {
        let row = |i: usize| (0..40).map(|j| (j, (31 * j + 17 * i * i) as i64 % 101 - 50)).collect::<Vec<_>>();
        let map = map(40, &(0..40).map(row).collect::<Vec<_>>(), &[0; 40]);
        assert_eq!(find(&map, 127, true), []);
    }
}
