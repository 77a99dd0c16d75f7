//! The `general` layout before the judges.

use std::ops::RangeInclusive;

use ff::Field;
use hallmark::{
    circuit::{self, LaidOut, ModelCircuit},
    graph::IntegerModel,
    proof::{ProvingKey, Srs},
};
use halo2curves::bn256::Fr;

use crate::{
    common::{Digits, Draw, claims, complete},
    layout::{Kind, Layout, Lie, any},
};

impl Layout for ModelCircuit<Fr> {
    const MODELS: &'static [(RangeInclusive<u32>, usize)] = &[(0..=9, 200)];
    const SMALL: RangeInclusive<u32> = 0..=6;

    fn lay_out(model: &IntegerModel, input: &[i128]) -> Option<Self> {
        Some(ModelCircuit::new(model, &model.trace(input)))
    }

    fn k(&self) -> u32 {
        self.k
    }

    fn instances(&self, public_values: &[Fr]) -> Vec<Vec<Fr>> {
        ModelCircuit::instances(self, public_values)
    }

    fn own_keys(model: &IntegerModel, srs: Srs) -> ProvingKey {
        let circuit = LaidOut::for_keygen(circuit::Layout::General, model).unwrap();
        ProvingKey::generate(model, &circuit, srs).unwrap()
    }

    fn lies(&self, _: &IntegerModel, _: &[i128], draw: &mut Draw) -> Vec<Lie<Self>> {
        Kind::ALL
            .into_iter()
            .filter_map(|kind| {
                let forged = complete(self, &forgery(self, kind, draw)?);
                Some(Lie::new(kind, self.clone(), &self.layout.a, &forged.layout.a, claims(&forged)))
            })
            .collect()
    }
}

/// Rows and values from which the lie follows by the rules.
fn forgery(circuit: &ModelCircuit<Fr>, kind: Kind, draw: &mut Draw) -> Option<Vec<(usize, Fr)>> {
    let layout = &circuit.layout;
    let (a, w, q) = (&layout.a, &layout.w, &layout.q);
    let checks = Digits::find(layout);
    Some(match kind {
        // t = -|x|, whose digits are passed off as those of a number in range
        Kind::Activation => {
            let squares = |&row: &usize| q[row] && w[row] == Fr::ONE && a[row + 2] != Fr::ZERO;
            let rows: Vec<usize> = (0..layout.rows()).filter(squares).collect();
            let t = any(&rows, draw)? + 2;
            let digits = checks.iter().find(|digits| digits.first == t + 2)?;
            let target = draw.integer(0, (1 << digits.bits.min(63)) - 1) as u128;
            let mut cells = digits.passed_off(-a[t], target).swap_remove(draw.index(digits.bits));
            cells.push((t, -a[t]));
            cells
        }
        Kind::Accumulator => {
            let sums = |&row: &usize| row % 2 == 0 && !q[row - 2] && w[row - 2] != Fr::ZERO;
            let rows: Vec<usize> = (4..layout.rows()).filter(sums).collect();
            let row = any(&rows, draw)?;
            vec![(row, a[row] + Fr::from(draw.integer(1, 1000) as u64))]
        }
        Kind::Digit => {
            let digits = any(&checks, draw)?;
            let row = digits.first + 1 + draw.index(digits.bits);
            vec![(row, a[row] + [Fr::ONE, -Fr::ONE][draw.index(2)])]
        }
        // the first check is of the first input that has one: below or above its range, expanded as far as there are rows
        Kind::Domain => {
            let digits = checks.first()?;
            vec![(digits.first - 1, [-Fr::ONE, Fr::from(1 << digits.bits)][draw.index(2)])]
        }
        Kind::WrapAround => {
            let checks: Vec<Digits> = checks.into_iter().filter(|digits| digits.bits > 1).collect();
            let digits = any(&checks, draw)?;
            digits.wrapped(a[digits.first]).swap_remove(draw.index(digits.bits - 1))
        }
        Kind::Segment | Kind::Value => return None,
        Kind::Copy => {
            let rows: Vec<usize> = layout.copies.iter().map(|&(_, copy)| copy).filter(|&copy| copy > 2).collect();
            let row = any(&rows, draw)?;
            vec![(row, a[row] + Fr::ONE)]
        }
    })
}
