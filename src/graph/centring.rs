//! Centrings: affine maps that take the means of vectors off what they add up, `C (A u) + b` with `C = I - 1 1' / n` of each vector.
//!
//! A model has the means as an operand of the subtraction, or has the weights of `C` themselves. Which rows are a vector is not said by names
//! or shapes: it is the rows that read one mean, and that this is theirs follows from the weights.

use std::collections::{BTreeMap, HashMap};

use super::float::{FloatNode, FloatOp, Graph};
use super::{Affine, AffineBuilder};

/// Roundings of `f64`, relative to what is added up: how far weights may be from those of a mean, and what is left of some that cancel.
const ROUNDING: f64 = 1e-12;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * b.abs()
}

/// A sum, or zero if it is one of roundings of terms up to `greatest`.
pub(super) fn rounded(sum: f64, greatest: f64) -> f64 {
    if greatest.is_finite() && sum.abs() <= ROUNDING * greatest { 0.0 } else { sum }
}

/// Disjoint sets of at least two elements of a value.
pub(super) struct Vectors {
    /// Per element its vector.
    pub(super) of: Vec<Option<usize>>,
    pub(super) elements: Vec<Vec<usize>>,
}

impl Vectors {
    pub(super) fn new(len: usize) -> Self {
        Self { of: vec![None; len], elements: vec![] }
    }

    /// The vector of these elements, a new one if they are in none; `None` if some are in another one.
    pub(super) fn include(&mut self, mut elements: Vec<usize>) -> Option<usize> {
        elements.sort_unstable();
        if elements.len() < 2 || elements.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let vector = self.of[elements[0]];
        if elements.iter().any(|&element| self.of[element] != vector) {
            return None;
        }
        if let Some(known) = vector {
            return (self.elements[known].len() == elements.len()).then_some(known);
        }
        elements.iter().for_each(|&element| self.of[element] = Some(self.elements.len()));
        self.elements.push(elements);
        Some(self.elements.len() - 1)
    }

    /// The means of the vectors of `x`, and `x` less these, plus an offset, over `x` and the means.
    pub(super) fn centring(&self, offset: &[f64]) -> [Affine<f64, f64>; 2] {
        let len = self.of.len();
        let (mut means, mut rest) = (AffineBuilder::new(len), AffineBuilder::new(len + self.elements.len()));
        for elements in &self.elements {
            let weight = 1.0 / elements.len() as f64;
            means.push(elements.iter().map(|&element| (element, weight)).collect(), 0.0);
        }
        for (element, vector) in self.of.iter().enumerate() {
            match vector {
                Some(vector) => rest.push(vec![(element, 1.0), (len + vector, -1.0)], offset[element]),
                None => rest.push(vec![], 0.0),
            }
        }
        [means.finish(), rest.finish()]
    }
}

/// An affine map over values.
pub(super) struct Sum {
    pub(super) map: Affine<f64, f64>,
    pub(super) inputs: Vec<usize>,
}

impl Sum {
    /// The operand, if that is what it computes.
    pub(super) fn itself(&self) -> Option<usize> {
        let map = &self.map;
        let same = |j: usize| map.bias[j] == 0.0 && map.row(j).eq([(j, 1.0)]);
        let [input] = self.inputs.as_slice() else { return None };
        (map.input_len == map.output_len() && (0..map.output_len()).all(same)).then_some(*input)
    }
}

/// Sums of weights by column.
pub(super) struct Weights {
    pub(super) sums: Vec<f64>,
    pub(super) greatest: Vec<f64>,
    /// Those of one row.
    pub(super) own: Vec<f64>,
    pub(super) columns: Vec<usize>,
}

impl Weights {
    pub(super) fn new(len: usize) -> Self {
        Self { sums: vec![0.0; len], greatest: vec![0.0; len], own: vec![0.0; len], columns: vec![] }
    }

    pub(super) fn add(&mut self, column: usize, weight: f64) {
        if self.greatest[column] == 0.0 {
            self.columns.push(column);
        }
        self.sums[column] += weight;
        self.greatest[column] = self.greatest[column].max(weight.abs());
    }

    /// Whether all sums are those of roundings.
    fn cancel(&self) -> bool {
        self.columns.iter().all(|&column| rounded(self.sums[column], self.greatest[column]) == 0.0)
    }

    pub(super) fn clear(&mut self) {
        for column in self.columns.drain(..) {
            (self.sums[column], self.greatest[column]) = (0.0, 0.0);
        }
    }
}

impl Graph {
    /// `A u + b`, and its vectors, of a node that computes `C A u + b`.
    pub(super) fn centring(&self, node: &FloatNode) -> Option<(Sum, Vectors)> {
        self.by_means(node).or_else(|| self.by_weights(node))
    }

    /// That of a node that computes `A u` less means of it, which are an operand of their own.
    fn by_means(&self, node: &FloatNode) -> Option<(Sum, Vectors)> {
        let FloatOp::Affine(map) = &node.op else { return None };
        distinct(&node.inputs).then_some(())?;
        node.inputs.iter().find_map(|&id| {
            let inputs: Vec<usize> = node.inputs.iter().copied().filter(|&input| input != id).collect();
            let (FloatOp::Affine(means), read) = self.op_and_inputs(id)? else { return None };
            (distinct(read) && read.iter().all(|input| inputs.contains(input))).then_some(())?;
            let (mean_columns, len) = self.columns(read, &inputs);
            let (columns, _) = self.columns(&node.inputs, &inputs);
            let (bias, vectors) = less_means(map, &columns, means, &mean_columns, len)?;
            let mut kept = AffineBuilder::new(len);
            for (j, &bias) in bias.iter().enumerate() {
                kept.push(
                    map.row(j).filter_map(|(column, weight)| Some((columns[column].ok()?, weight))).collect(),
                    bias,
                );
            }
            Some((Sum { map: kept.finish(), inputs }, vectors))
        })
    }

    /// Where the elements of `values` are in the concatenation of `inputs`, or in their value, which is none of these; and its length.
    fn columns(&self, values: &[usize], inputs: &[usize]) -> (Vec<Result<usize, usize>>, usize) {
        let (mut starts, mut len) = (HashMap::new(), 0);
        for &input in inputs {
            starts.insert(input, len);
            len += self.value_len(input);
        }
        let place = |id: usize| {
            let start = starts.get(&id).copied();
            (0..self.value_len(id)).map(move |element| start.map(|start| start + element).ok_or(element))
        };
        (values.iter().flat_map(|&id| place(id)).collect(), len)
    }

    /// The same of a node whose weights are those of `C` itself.
    fn by_weights(&self, node: &FloatNode) -> Option<(Sum, Vectors)> {
        let (FloatOp::Affine(map), &[_]) = (&node.op, node.inputs.as_slice()) else { return None };
        let mut sets = Vectors::new(map.input_len);
        let (mut kept, mut rows) = (AffineBuilder::new(map.input_len), BTreeMap::<usize, Vec<usize>>::new());
        let mut read = vec![false; map.input_len];
        for j in 0..map.output_len() {
            let count = map.row(j).count() as f64;
            let mut own = map.row(j).filter(|(_, weight)| *weight > 0.0);
            let (Some((element, weight)), None) = (own.next(), own.next()) else { return None };
            let others = map.row(j).all(|(column, weight)| column == element || near(weight, -1.0 / count));
            if !others || !near(weight, 1.0 - 1.0 / count) || std::mem::replace(&mut read[element], true) {
                return None;
            }
            let set = sets.include(map.row(j).map(|(column, _)| column).collect())?;
            rows.entry(set).or_default().push(j);
            kept.push(vec![(element, 1.0)], map.bias[j]);
        }
        let mut vectors = Vectors::new(map.output_len());
        for (set, rows) in rows {
            (rows.len() == sets.elements[set].len()).then_some(())?;
            vectors.include(rows)?;
        }
        Some((Sum { map: kept.finish(), inputs: node.inputs.clone() }, vectors))
    }
}

pub(super) fn distinct(ids: &[usize]) -> bool {
    ids.iter().enumerate().all(|(i, id)| !ids[..i].contains(id))
}

/// The vectors of the rows of `map`, if each row reads one element of `means`, and these are the means of what is read otherwise; and what
/// is constant then. Both maps' columns are those that they have in what is read otherwise, of length `len`.
fn less_means(
    map: &Affine<f64, f64>,
    columns: &[Result<usize, usize>],
    means: &Affine<f64, f64>,
    mean_columns: &[Result<usize, usize>],
    len: usize,
) -> Option<(Vec<f64>, Vectors)> {
    let mean = |j: usize| {
        let mut read = map.row(j).filter_map(|(column, weight)| Some((columns[column].err()?, weight)));
        read.next().filter(|_| read.next().is_none())
    };
    // rows by the mean that they read
    let mut groups: BTreeMap<usize, (f64, Vec<usize>)> = BTreeMap::new();
    for j in 0..map.output_len() {
        let (element, factor) = mean(j)?;
        let (first, rows) = groups.entry(element).or_insert((factor, vec![]));
        near(factor, *first).then_some(())?;
        rows.push(j);
    }
    let (mut bias, mut vectors, mut weights) = (map.bias.clone(), Vectors::new(map.output_len()), Weights::new(len));
    for (element, (factor, rows)) in groups {
        for &j in &rows {
            bias[j] += factor * means.bias[element];
            map.row(j).for_each(|(column, weight)| columns[column].into_iter().for_each(|c| weights.add(c, weight)));
        }
        for (column, weight) in means.row(element) {
            weights.add(mean_columns[column].ok()?, factor * weight * rows.len() as f64);
        }
        weights.cancel().then_some(())?;
        weights.clear();
        vectors.include(rows)?;
    }
    Some((bias, vectors))
}
