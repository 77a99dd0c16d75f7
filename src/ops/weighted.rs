//! Affine maps whose weights belong to a commitment among the public values, not to the circuit.
//!
//! The circuit is the same for all weights up to the limits: ranges follow from the limits alone, and zeros are weights like others. So
//! one verifier serves all models of one architecture.

use ff::PrimeField;
use serde::{Deserialize, Serialize};

use super::{BoundError, linear};
use crate::{
    circuit::{Expr, Gadgets, field},
    graph::{Affine, Interval, MAX_BITS},
};

/// `y = W x + b` over the concatenation of the inputs, for any weights and biases within the limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// These weights; zeros are kept.
    pub map: Affine<i64, i128>,
    /// Per input, the greatest magnitude of a weight.
    pub weight_limits: Vec<i64>,
    /// The greatest magnitude of a bias.
    pub bias_limit: i128,
}

impl Weighted {
    pub(super) fn accepts(&self, len: usize) -> bool {
        let Self { map, weight_limits, bias_limit } = self;
        let within = |weight: i64, column: u32| weight.unsigned_abs() <= weight_limits[column as usize].unsigned_abs();
        linear::accepts(map, len)
            && weight_limits.len() == len
            && weight_limits.iter().all(|limit| *limit >= 0)
            && (0..=1i128 << MAX_BITS).contains(bias_limit)
            && map.weights.iter().zip(&map.columns).all(|(&weight, &column)| within(weight, column))
            && map.bias.iter().all(|bias| bias.unsigned_abs() <= bias_limit.unsigned_abs())
    }

    /// Whether another map differs in its weights and biases alone.
    pub fn has_architecture_of(&self, other: &Self) -> bool {
        let (one, two) = (&self.map, &other.map);
        (&self.weight_limits, self.bias_limit) == (&other.weight_limits, other.bias_limit)
            && (one.input_len, &one.row_starts, &one.columns) == (two.input_len, &two.row_starts, &two.columns)
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        linear::eval(&self.map, inputs)
    }

    /// What the outputs are for no weights beyond the limits, whatever they are. As in [`linear::bounds`], every partial sum stays
    /// within the bound.
    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let x = inputs.concat();
        let bound = |j: usize| {
            let mut magnitude = self.bias_limit.unsigned_abs();
            for (i, _) in self.map.row(j) {
                let term = x[i].magnitude().checked_mul(self.weight_limits[i].unsigned_abs().into());
                let sum = term.and_then(|term| magnitude.checked_add(term));
                magnitude = sum.ok_or_else(|| BoundError::overflow(j, None))?;
            }
            let hi = i128::try_from(magnitude).map_err(|_| BoundError::overflow(j, None))?;
            Interval::new(-hi, hi).ok_or_else(|| BoundError::overflow(j, Some(magnitude)))
        };
        (0..self.map.output_len()).map(bound).collect()
    }

    pub(super) fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        inputs: &[Expr<F>],
        values: &[i128],
        ranges: &[Interval],
    ) -> Vec<Expr<F>> {
        let Ok(outputs) = self.bounds(&[ranges]) else {
            return (0..self.map.output_len()).map(|_| gadgets.impossible()).collect();
        };
        let mut read = vec![false; inputs.len()];
        self.map.columns.iter().for_each(|&column| read[column as usize] = true);
        let cells = inputs.iter().zip(&read);
        let cells: Vec<Expr<F>> =
            cells.map(|(x, read)| if *read { gadgets.in_one_cell(x.clone()) } else { x.clone() }).collect();
        let factors: Vec<_> = cells.iter().zip(values).map(|(x, &value)| (x, field(value))).collect();
        gadgets.weighted(&self.map, &factors, &outputs)
    }
}

#[cfg(test)]
mod tests {
    use halo2_proofs::dev::MockProver;
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::{
            LaidOut, Layout, ModelCircuit, PhasedCircuit,
            testing::{Draw, assert_pinned, committed, random_model, reweighted, single_op},
        },
        graph::IntegerModel,
        ops::{BoundReason, Op},
    };

    fn weighted(rows: &[Vec<i64>], bias: &[i128], (weight_limit, bias_limit): (i64, i128)) -> Weighted {
        let input_len = rows[0].len();
        let weight_limits = vec![weight_limit; input_len];
        let mut map = Affine { input_len, row_starts: vec![0], columns: vec![], weights: vec![], bias: bias.to_vec() };
        for row in rows {
            map.columns.extend(0..input_len as u32);
            map.weights.extend(row);
            map.row_starts.push(map.columns.len() as u32);
        }
        Weighted { map, weight_limits, bias_limit }
    }

    /// `outputs` sums of `inputs` features; some weights and biases are zero.
    fn drawn(outputs: usize, inputs: usize, draw: &mut Draw) -> IntegerModel {
        let mut number = || draw.index(21) as i64 - 10;
        let rows: Vec<Vec<i64>> = (0..outputs).map(|_| (0..inputs).map(|_| number()).collect()).collect();
        let bias: Vec<i128> = (0..outputs).map(|_| number().into()).collect();
        single_op(Op::Weighted(weighted(&rows, &bias, (10, 10))), &vec![(-7, 7); inputs])
    }

    #[test]
    fn every_cell_is_pinned() {
        let op = Op::Weighted(weighted(&[vec![3, -2, 0], vec![0, 0, 0], vec![-1, 1, 5]], &[7, 0, -4], (5, 9)));
        let model = single_op(op, &[(0, 7), (-3, 2), (5, 5)]);
        for input in [[0, -3, 5], [7, 2, 5], [3, 0, 5]] {
            assert_pinned(&model, &input);
        }
    }

    /// Whatever the weights are, only the column that is committed to apart depends on them: between drawn ones, and between
    /// those and zeros.
    #[test]
    fn circuits_differ_in_the_weights_column_alone() {
        let zeros = |model: &IntegerModel| {
            let mut zeros = model.clone();
            let Op::Weighted(op) = &mut zeros.nodes[0].op else { panic!("another operator") };
            op.map.weights.fill(0);
            op.map.bias.fill(0);
            zeros
        };
        let differ = |one: &IntegerModel, other: &IntegerModel, layout| {
            let [one, other] = [one, other].map(|m| LaidOut::<Fr>::for_keygen(layout, m).unwrap());
            let (shapes, [one, other]) = ([one.shape(), other.shape()], [one, other].map(|c| c.preprocessed()));
            assert_eq!(shapes[0], shapes[1]);
            assert_eq!((one.k, &one.copies), (other.k, &other.copies));
            assert_ne!(one.fixed[0], other.fixed[0]);
            assert_eq!(one.fixed[1..], other.fixed[1..]);
        };
        for layout in [Layout::General, Layout::Phased] {
            for (outputs, inputs) in [(1, 1), (3, 4), (5, 40), (40, 6)] {
                for seed in 0..4 {
                    let model = drawn(outputs, inputs, &mut Draw::new(seed));
                    differ(&model, &drawn(outputs, inputs, &mut Draw::new(!seed)), layout);
                    differ(&model, &zeros(&model), layout);
                }
            }
            for seed in 0..12 {
                let model = committed(&random_model(seed));
                differ(&model, &reweighted(&model), layout);
            }
        }
    }

    /// The witness of another weight, with its outputs, is none of this one.
    #[test]
    fn the_witness_of_other_weights_is_rejected() {
        for (outputs, inputs) in [(1, 3), (5, 40)] {
            let model = drawn(outputs, inputs, &mut Draw::new(1));
            let (input, mut changed) = (vec![3; inputs], model.clone());
            let Op::Weighted(op) = &mut changed.nodes[0].op else { panic!("another operator") };
            op.map.weights[2] += if op.map.weights[2] < 10 { 1 } else { -1 };
            let claimed: Vec<Fr> = changed.public_values(&changed.trace(&input)).into_iter().map(field).collect();
            let [honest, forged] = [&model, &changed].map(|m| ModelCircuit::<Fr>::new(m, &m.trace(&input)));
            let accepted = |circuit: &ModelCircuit<Fr>| {
                MockProver::run(circuit.k, circuit, circuit.instances(&claimed)).unwrap().verify().is_ok()
            };
            let mut forgery = honest.clone();
            forgery.layout.a = forged.layout.a.clone();
            assert!(accepted(&forged) && !accepted(&forgery), "{outputs} x {inputs}");

            let [honest, forged] = [&model, &changed].map(|m| PhasedCircuit::<Fr>::new(m, &m.trace(&input)));
            let accepted = |circuit: &PhasedCircuit<Fr>| {
                MockProver::run(circuit.k, circuit, circuit.instances(&claimed)).unwrap().verify().is_ok()
            };
            let mut forgery = honest.clone();
            forgery.layout.a = forged.layout.a.clone();
            forgery.layout.public_values = claimed.clone();
            assert!(accepted(&forged) && !accepted(&forgery), "{outputs} x {inputs}");
        }
    }

    proptest! {
        /// Nothing within the limits leaves the bounds, and the greatest weights reach them.
        #[test]
        fn bounds_hold_for_all_weights(
            rows in prop::collection::vec(prop::collection::vec(-50i64..=50, 3), 1..4),
            bias in -30i128..=30,
            ends in prop::collection::vec((-9i128..=9, -9i128..=9), 3),
        ) {
            let x: Vec<Interval> = ends.iter().map(|&(a, b)| Interval::new(a.min(b), a.max(b)).unwrap()).collect();
            let op = |rows: &[Vec<i64>], bias| Op::Weighted(weighted(rows, &vec![bias; rows.len()], (50, 30)));
            let bounds = op(&rows, bias).bounds(&[&x]).unwrap();
            let corners = [x.iter().map(|r| r.lo).collect::<Vec<_>>(), x.iter().map(|r| r.hi).collect()];
            for corner in &corners {
                for (y, bound) in op(&rows, bias).eval(&[corner]).iter().zip(&bounds) {
                    prop_assert!(bound.contains(*y));
                }
            }
            let far: Vec<i128> = x.iter().map(|r| if r.hi.abs() > r.lo.abs() { r.hi } else { r.lo }).collect();
            let greatest: Vec<i64> = far.iter().map(|x| if *x < 0 { -50 } else { 50 }).collect();
            prop_assert_eq!(op(&[greatest], 30).eval(&[&far])[0], bounds[0].hi);
        }
    }

    #[test]
    fn what_is_beyond_the_limits_is_not_accepted() {
        let accepts = |weight, bias, limits| Op::Weighted(weighted(&[vec![weight]], &[bias], limits)).accepts(1);
        assert!(accepts(-5, 7, (5, 7)));
        assert!(!accepts(6, 7, (5, 7)));
        assert!(!accepts(5, -8, (5, 7)));
        assert!(!accepts(0, 0, (-1, 7)));
        assert!(!accepts(0, 0, (5, -1)));
        assert!(!accepts(0, 0, (5, i128::MAX)));
        let wide = Interval::new(-(1 << 100), 1 << 100).unwrap();
        let op = Op::Weighted(weighted(&[vec![0]], &[0], (1 << 40, 0)));
        let BoundReason::Overflow { bits } = op.bounds(&[&[wide]]).unwrap_err().reason else {
            panic!("another reason")
        };
        assert_eq!(bits, 128);
    }
}
