//! What models of one architecture have in common beside their graph: scales, and limits of their weights.
//!
//! With weights that are committed to apart, one circuit serves all models of an architecture. Whatever the circuit depends on must then
//! not depend on the weights: scales are those of the first model, and ranges follow from limits that leave weights room to change.

use serde::{Deserialize, Serialize};

use super::scales::{MAX_WEIGHT_BITS, Scales};
use crate::graph::{Affine, Interval, MAX_BITS};

/// Bits that contributions to outputs may grow by beyond the first model's greatest.
const HEADROOM: u32 = 1;

/// The part of the weights of a dense layer that are not zero, at least.
const DENSE: (usize, usize) = (9, 10);

/// Where a model's weights are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Weights {
    /// In the circuit, and so in the verifying key.
    #[default]
    Fixed,
    /// Committed to apart: the model is the first of its architecture.
    Committed,
    /// The same, for one more model of an architecture.
    Of(Box<Architecture>),
}

/// The choices that models of an architecture share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    pub(super) precision: f64,
    pub(super) scales: Scales,
    /// Per node of the graph, those of affine maps with weights of their own.
    pub(super) limits: Vec<Option<Limits>>,
}

impl Architecture {
    /// Where the map of a node has weights.
    pub(super) fn pattern(&self, node: usize) -> Option<Pattern> {
        Some(self.limits.get(node)?.as_ref()?.pattern.clone())
    }
}

/// Where an affine map has weights, zeros among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pattern {
    row_starts: Vec<u32>,
    columns: Vec<u32>,
}

impl Pattern {
    /// The weights of a map; if nearly all of its outputs read nearly all inputs that any of them reads, those that are zero as well.
    pub fn of(map: &Affine<f64, f64>) -> Self {
        let mut read: Vec<u32> = map.columns.clone();
        read.sort_unstable();
        read.dedup();
        let (rows, all) = (map.output_len(), map.output_len() * read.len());
        if DENSE.1 * map.columns.len() < DENSE.0 * all {
            return Self { row_starts: map.row_starts.clone(), columns: map.columns.clone() };
        }
        let row_starts = (0..=rows).map(|row| (row * read.len()) as u32).collect();
        Self { row_starts, columns: read.repeat(rows) }
    }

    /// The map with its zeros; the first element of the output that has a weight elsewhere.
    pub fn filled(&self, map: &Affine<f64, f64>) -> Result<Affine<f64, f64>, usize> {
        let mut filled = Affine {
            row_starts: self.row_starts.clone(),
            columns: self.columns.clone(),
            weights: vec![0.0; self.columns.len()],
            ..map.clone()
        };
        for j in 0..map.output_len() {
            let ends = self.row_starts.get(j).zip(self.row_starts.get(j + 1)).ok_or(j)?;
            let (start, end) = (*ends.0 as usize, *ends.1 as usize);
            let places = self.columns.get(start..end).ok_or(j)?;
            for (column, weight) in map.row(j) {
                let place = places.binary_search(&(column as u32)).map_err(|_| j)?;
                filled.weights[start + place] = weight;
            }
        }
        Ok(filled)
    }
}

/// The greatest magnitudes of a map's integers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Per input, that of its weights.
    pub weights: Vec<i64>,
    pub bias: i128,
    pub pattern: Pattern,
}

/// Whether a map has weights that training may have chosen. What has not only selects, adds and subtracts.
fn is_trained(map: &Affine<f64, f64>) -> bool {
    map.weights.iter().any(|weight| ![0.0, 1.0].contains(&weight.abs())) || map.bias.iter().any(|bias| *bias != 0.0)
}

impl Limits {
    /// Limits for the first model of an architecture; `ranges` are those of the inputs.
    ///
    /// Training may give any input a greater say. So all inputs, and the bias, may contribute as much to an output as the one that does most
    /// in this model, and twice that.
    pub fn chosen(
        map: &Affine<f64, f64>,
        integers: &Affine<i64, i128>,
        ranges: &[Interval],
        pattern: Pattern,
    ) -> Option<Self> {
        is_trained(map).then(|| {
            let magnitudes: Vec<u128> = ranges.iter().map(|range| range.magnitude()).collect();
            let terms = integers.weights.iter().zip(&integers.columns);
            let terms = terms.map(|(w, &i)| magnitudes[i as usize].saturating_mul(w.unsigned_abs().into()));
            let greatest = terms.chain(integers.bias.iter().map(|bias| bias.unsigned_abs())).max().unwrap_or(0);
            let bits = u128::BITS - greatest.leading_zeros() + HEADROOM;
            let most: u128 = 1 << bits.min(MAX_BITS - 1);
            let limit = |magnitude: &u128| (most / (*magnitude).max(1)).min(1 << MAX_WEIGHT_BITS) as i64;
            Self { weights: magnitudes.iter().map(limit).collect(), bias: most as i128, pattern }
        })
    }

    /// The first element of the output with an integer beyond the limits: that in the model's units, and its limit.
    pub fn exceeded(&self, map: &Affine<f64, f64>, integers: &Affine<i64, i128>) -> Option<Beyond> {
        let beyond = |element: usize, value: f64, integer: u128, limit: u128| {
            (integer > limit).then(|| Beyond { element, value, limit: value.abs() * limit as f64 / integer as f64 })
        };
        (0..map.output_len()).find_map(|j| {
            let weight = map.row(j).zip(integers.row(j)).find_map(|((i, weight), (_, integer))| {
                let limit = self.weights.get(i).map_or(0, |limit| limit.unsigned_abs());
                beyond(j, weight, integer.unsigned_abs().into(), limit.into())
            });
            weight.or_else(|| beyond(j, map.bias[j], integers.bias[j].unsigned_abs(), self.bias.unsigned_abs()))
        })
    }
}

/// A weight or a bias that has no room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beyond {
    /// Of the output.
    pub element: usize,
    pub value: f64,
    /// The greatest magnitude that there is room for.
    pub limit: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::AffineBuilder;

    fn map(rows: &[(&[f64], f64)]) -> Affine<f64, f64> {
        let mut map = AffineBuilder::new(rows[0].0.len());
        rows.iter().for_each(|(row, bias)| map.push(row.iter().copied().enumerate().collect(), *bias));
        map.finish()
    }

    fn integers(map: &Affine<f64, f64>, scale: f64) -> Affine<i64, i128> {
        Affine {
            input_len: map.input_len,
            row_starts: map.row_starts.clone(),
            columns: map.columns.clone(),
            weights: map.weights.iter().map(|weight| (weight * scale).round() as i64).collect(),
            bias: map.bias.iter().map(|bias| (bias * scale).round() as i128).collect(),
        }
    }

    /// The first input is at most 100, the second 1.
    fn ranges() -> [Interval; 2] {
        [Interval { lo: -100, hi: 50 }, Interval { lo: 0, hi: 1 }]
    }

    #[test]
    fn limits_leave_weights_room_to_change() {
        let first = map(&[(&[0.5, -1.5], 0.25), (&[1.0, 0.0], 0.0)]);
        let limits = Limits::chosen(&first, &integers(&first, 16.0), &ranges(), Pattern::of(&first)).unwrap();
        // 16 times 100 is the most; twice that, and up to a power of two
        assert_eq!((limits.weights.as_slice(), limits.bias), (&[40, 4096][..], 4096));
        assert_eq!(limits.exceeded(&first, &integers(&first, 16.0)), None);
        let other = map(&[(&[2.5, 256.0], -256.0), (&[1.0, -257.0], 0.0)]);
        let beyond = Beyond { element: 1, value: -257.0, limit: 256.0 };
        assert_eq!(limits.exceeded(&other, &integers(&other, 16.0)), Some(beyond));
        let other = map(&[(&[-2.75, 0.5], 1.0), (&[1.0, -1.0], 0.0)]);
        let beyond = Beyond { element: 0, value: -2.75, limit: 2.5 };
        assert_eq!(limits.exceeded(&other, &integers(&other, 16.0)), Some(beyond));
        let other = map(&[(&[1.0, 0.5], 1.0), (&[1.0, -1.0], 512.0)]);
        let beyond = Beyond { element: 1, value: 512.0, limit: 256.0 };
        assert_eq!(limits.exceeded(&other, &integers(&other, 16.0)), Some(beyond));
    }

    #[test]
    fn what_only_selects_and_adds_has_no_weights_of_its_own() {
        for sums in [map(&[(&[1.0, -1.0], 0.0)]), Affine::selection(2, [1, 0])] {
            assert_eq!(Limits::chosen(&sums, &integers(&sums, 16.0), &ranges(), Pattern::of(&sums)), None);
        }
        let shifted = map(&[(&[1.0, 1.0], 0.5)]);
        assert!(Limits::chosen(&shifted, &integers(&shifted, 16.0), &ranges(), Pattern::of(&shifted)).is_some());
    }

    #[test]
    fn zeros_of_dense_layers_have_places() {
        let row =
            |zero: Option<usize>| -> Vec<f64> { (0..6).map(|i| if zero == Some(i) { 0.0 } else { 2.0 }).collect() };
        let rows = |zeros: [Option<usize>; 3]| {
            let rows = zeros.map(row);
            map(&rows.each_ref().map(|row| (row.as_slice(), 0.0)))
        };
        let (first, other) = (rows([None, Some(2), None]), rows([Some(5), None, Some(0)]));
        let pattern = Pattern::of(&first);
        assert_eq!(pattern, Pattern::of(&rows([None; 3])));
        let filled = pattern.filled(&other).unwrap();
        assert_eq!((filled.columns.len(), filled.weights[5], filled.weights[8]), (18, 0.0, 2.0));
        assert_eq!(filled.apply(&[1.0; 6]), other.apply(&[1.0; 6]));

        // a sparse one keeps its own, and a weight elsewhere is of another architecture
        let sparse = map(&[(&[1.0, 0.0], 0.0), (&[0.0, 3.0], 0.0)]);
        let pattern = Pattern::of(&sparse);
        assert_eq!(pattern.columns, [0, 1]);
        assert_eq!(pattern.filled(&map(&[(&[0.0, 0.0], 0.0), (&[0.0, 5.0], 0.0)])).unwrap().weights, [0.0, 5.0]);
        assert_eq!(pattern.filled(&map(&[(&[2.0, 0.0], 0.0), (&[1.0, 5.0], 0.0)])), Err(1));
    }
}
