//! What models of one architecture have in common beside their graph: scales, and limits of their weights.
//!
//! With weights that are committed to apart, one circuit serves all models of an architecture. Whatever the circuit depends on must then
//! not depend on the weights: scales are those of the first model, and ranges follow from limits that leave weights room to change.

use serde::{Deserialize, Serialize};

use super::scales::{MAX_WEIGHT_BITS, Scales, exp2};
use crate::graph::{Affine, MAX_BITS};

/// Bits that weights and biases may grow by beyond the first model's greatest.
const HEADROOM: u32 = 1;

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

/// The greatest magnitudes of a map's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    pub weight: i64,
    pub bias: i128,
}

/// Whether a map has weights that training may have chosen. What has not only selects, adds and subtracts.
fn is_trained(map: &Affine<f64, f64>) -> bool {
    map.weights.iter().any(|weight| weight.abs() != 1.0) || map.bias.iter().any(|bias| *bias != 0.0)
}

/// The least `2^n - 1` with room for `greatest` and the headroom, of at most `most` bits.
fn with_headroom(greatest: u128, most: u32) -> u128 {
    let bits = u128::BITS - greatest.leading_zeros();
    (1 << (bits.max(1) + HEADROOM).min(most)) - 1
}

impl Limits {
    /// Limits for the first model of an architecture: `integers` are the map at the scale `2^exponent` of its output. A bias may always be
    /// as large as a weight of something that is one.
    pub fn chosen(map: &Affine<f64, f64>, integers: &Affine<i64, i128>, exponent: i32) -> Option<Self> {
        is_trained(map).then(|| {
            let weight = integers.weights.iter().map(|weight| weight.unsigned_abs().into()).max().unwrap_or(0);
            let bias = integers.bias.iter().map(|bias| bias.unsigned_abs()).max().unwrap_or(0);
            let as_weight =
                map.weights.iter().fold(0.0, |greatest: f64, weight| greatest.max(weight.abs())) * exp2(exponent);
            let (weight, bias) = (
                with_headroom(weight, MAX_WEIGHT_BITS as u32),
                with_headroom(bias.max(as_weight as u128), MAX_BITS - 1),
            );
            Self { weight: weight as i64, bias: bias as i128 }
        })
    }

    /// The first element of the output with an integer beyond the limits, and that in the model's units.
    pub fn exceeded(&self, map: &Affine<f64, f64>, integers: &Affine<i64, i128>) -> Option<(usize, f64)> {
        (0..map.output_len()).find_map(|j| {
            let terms = map.row(j).zip(integers.row(j));
            let beyond = terms.filter(|(_, (_, integer))| integer.unsigned_abs() > self.weight.unsigned_abs());
            let weight = beyond.map(|((_, weight), _)| weight).next();
            let bias = (integers.bias[j].unsigned_abs() > self.bias.unsigned_abs()).then_some(map.bias[j]);
            weight.or(bias).map(|value| (j, value))
        })
    }
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

    #[test]
    fn limits_leave_weights_room_to_change() {
        let first = map(&[(&[0.5, -1.5], 0.25), (&[1.0, 0.0], 0.0)]);
        let limits = Limits::chosen(&first, &integers(&first, 16.0), 4).unwrap();
        // 24 is the greatest, and so could be a bias
        assert_eq!(limits, Limits { weight: 63, bias: 63 });
        assert_eq!(limits.exceeded(&first, &integers(&first, 16.0)), None);
        let other = map(&[(&[3.9, 0.5], -3.9), (&[1.0, -4.0], 0.0)]);
        assert_eq!(limits.exceeded(&other, &integers(&other, 16.0)), Some((1, -4.0)));
        let other = map(&[(&[3.9, 0.5], -4.1), (&[1.0, -1.0], 0.0)]);
        assert_eq!(limits.exceeded(&other, &integers(&other, 16.0)), Some((0, -4.1)));
    }

    #[test]
    fn what_only_selects_and_adds_has_no_weights_of_its_own() {
        for sums in [map(&[(&[1.0, -1.0], 0.0)]), Affine::selection(3, [2, 0])] {
            assert_eq!(Limits::chosen(&sums, &integers(&sums, 16.0), 4), None);
        }
        let shifted = map(&[(&[1.0, 1.0], 0.5)]);
        assert!(Limits::chosen(&shifted, &integers(&shifted, 16.0), 4).is_some());
    }
}
