//! Sums whose weights are committed to apart: only the column `weight` may depend on them.
//!
//! They are laid out as those of linear maps are, by projections, side by side, or one by one; but inputs are cells, so that no factor
//! of a term is in another column, weights and biases that are zero have their rows, and every output is a cell.

use std::collections::BTreeMap;

use ff::PrimeField;

use super::{
    builder::{ONE_ROW, PhasedBuilder},
    packed::{self, Digit, Group},
    projection::Found,
};
use crate::{
    circuit::gadgets::{Expr, Valued, field},
    graph::{Affine, Interval},
};

impl<F: PrimeField> PhasedBuilder<F> {
    /// The outputs, each in a cell. `ranges` are those for all weights that there may be.
    pub(super) fn committed_sums(
        &mut self,
        map: &Affine<i64, i128>,
        inputs: &[Valued<'_, F>],
        ranges: &[Interval],
    ) -> Vec<Expr<F>> {
        let mut result = vec![None; map.output_len()];
        match &*self.found_in(map, ranges, true) {
            Found::Convolution(convolution) => {
                // biases are added behind it
                let unbiased = Affine { bias: vec![0; map.output_len()], ..map.clone() };
                self.convolve(&mut result, convolution, &unbiased, inputs);
                for (output, cell) in result.iter_mut().enumerate() {
                    *cell = cell.take().map(|sum: Expr<F>| self.biased(&sum, field(map.bias[output])));
                }
            }
            Found::Shared(shared) => self.project_shared(&mut result, shared, map, inputs),
        }
        let bits: Vec<u32> = ranges.iter().map(packed::digit_bits).collect();
        for Group { outputs, .. } in packed::groups(map, |output| result[output].is_none(), &bits) {
            let shifts = Self::shifts(outputs.iter().map(|&output| bits[output]));
            let mut factors: BTreeMap<usize, F> = BTreeMap::new();
            let (mut constant, mut digits) = (F::ZERO, vec![]);
            for (&output, &shift) in outputs.iter().zip(&shifts) {
                map.row(output).for_each(|(i, w)| *factors.entry(i).or_insert(F::ZERO) += shift * field::<F>(w.into()));
                let bias = field::<F>(map.bias[output] - ranges[output].lo);
                constant += shift * bias;
                digits.push(Digit { value: packed::value(map, inputs, output, bias), bits: bits[output], shift });
            }
            let start = self.rows();
            self.weighted_terms(inputs, factors.into_iter(), constant);
            for (&output, cell) in outputs.iter().zip(self.close_with(start, &digits)) {
                result[output] = Some(Expr::cell(cell).offset(field(ranges[output].lo)));
            }
        }
        let mut alone = |output: usize| {
            let (start, bias) = (self.rows(), field(map.bias[output]));
            self.weighted_terms(inputs, map.row(output).map(|(i, w)| (i, field(w.into()))), bias);
            let cell = self.fresh_term(packed::value(map, inputs, output, bias), -F::ONE);
            self.pin(start);
            Expr::cell(cell)
        };
        let outputs = result.into_iter().enumerate();
        outputs.map(|(output, cell)| cell.unwrap_or_else(|| alone(output))).collect()
    }

    /// A row for each input with its factor, and one for the constant, whatever they are.
    fn weighted_terms(&mut self, inputs: &[Valued<'_, F>], factors: impl Iterator<Item = (usize, F)>, constant: F) {
        for (input, factor) in factors {
            for &(cell, own) in &inputs[input].0.terms {
                self.term(cell, own * factor);
            }
        }
        self.term(ONE_ROW, constant);
    }

    /// The cell of a sum and a bias.
    fn biased(&mut self, sum: &Expr<F>, bias: F) -> Expr<F> {
        let start = self.rows();
        self.terms(sum, F::ONE);
        self.term(ONE_ROW, bias);
        let cell = self.fresh_term(self.value(sum) + bias, -F::ONE);
        self.pin(start);
        Expr::cell(cell)
    }
}
