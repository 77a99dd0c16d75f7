//! The `phased` layout before the judges.

use std::ops::RangeInclusive;

use ff::{Field, PrimeField};
use hallmark::{
    circuit::{self, LaidOut, PhasedCircuit, field},
    graph::IntegerModel,
    proof::{ProvingKey, Srs},
};
use halo2curves::bn256::Fr;

use crate::{
    common::{Division, Draw, Runs},
    layout::{Kind, Layout, Lie, any},
};

impl Layout for PhasedCircuit<Fr> {
    const MODELS: &'static [(RangeInclusive<u32>, usize)] = &[(0..=9, 80)];
    const SMALL: RangeInclusive<u32> = 0..=6;

    fn lay_out(model: &IntegerModel, input: &[i128]) -> Option<Self> {
        Some(PhasedCircuit::new(model, &model.trace(input)))
    }

    fn k(&self) -> u32 {
        self.k
    }

    fn instances(&self, public_values: &[Fr]) -> Vec<Vec<Fr>> {
        PhasedCircuit::instances(self, public_values)
    }

    fn own_keys(model: &IntegerModel, srs: Srs) -> ProvingKey {
        let circuit = LaidOut::for_keygen(circuit::Layout::Phased, model).unwrap();
        ProvingKey::generate(model, &circuit, srs).unwrap()
    }

    fn tied_rows(&self) -> Vec<(usize, usize)> {
        self.witness().tied_rows
    }

    fn lies(&self, model: &IntegerModel, input: &[i128], draw: &mut Draw) -> Vec<Lie<Self>> {
        let runs = Runs::new(self);
        let lie = |kind| {
            let Forgery { a, jump } = forgery(self, &runs, model, input, kind, draw)?;
            let mut circuit = self.clone();
            let (claims, layout) = (runs.claims(&a), &mut circuit.layout);
            layout.a.clone_from(&a);
            layout.public_values.clone_from(&claims);
            if let Some((row, by)) = jump {
                // the running sum takes it for a public value; the judges know of none
                let place = layout.public_rows.partition_point(|&public| public < row);
                layout.public_rows.insert(place, row);
                layout.public_values.insert(place, by);
            }
            Some(Lie::new(kind, circuit, &self.layout.a, &a, claims))
        };
        Kind::ALL.into_iter().chain([Kind::Segment, Kind::Value]).filter_map(lie).collect()
    }
}

/// The cells of `a`; those of the running sum follow from them by the gate.
struct Forgery {
    a: Vec<Fr>,
    /// A row in which the running sum moves by so much less than the gate says, so that it meets all copies.
    jump: Option<(usize, Fr)>,
}

fn forgery(
    circuit: &PhasedCircuit<Fr>,
    runs: &Runs<'_>,
    model: &IntegerModel,
    input: &[i128],
    kind: Kind,
    draw: &mut Draw,
) -> Option<Forgery> {
    let (layout, a) = (&circuit.layout, &circuit.layout.a);
    let sign = [Fr::ONE, -Fr::ONE][draw.index(2)];
    let forged = |chosen: &[(usize, Fr)]| Some(Forgery { a: runs.complete(chosen), jump: None });
    match kind {
        // one more than what it is, so that it is neither zero nor the argument; or the other of the two, so that the magnitude
        // is negative
        Kind::Activation => {
            let parts = any(&runs.rectified(), draw)?;
            let p = a[parts.positive];
            let other = runs.argument(parts, a) - p;
            forged(&[(parts.positive, if p == other || draw.once_in(2) { p + Fr::ONE } else { other })])
        }
        // a new cell is not the sum of its run: the running sum does not come back to where it was, or jumps
        Kind::Accumulator => {
            let cells: Vec<usize> = (0..runs.end()).filter(|&row| runs.closes(row).is_some()).collect();
            let row = any(&cells, draw)?;
            let mut forgery = forged(&[(row, a[row] + Fr::from(draw.integer(1, 1000) as u64))])?;
            if draw.once_in(2) {
                forgery.jump = Some((row, runs.sum(&forgery.a, runs.closes(row)?..row + 1)));
            }
            Some(forgery)
        }
        // one unit of what is left of a value passed off as part of its limb or its remainder, which is out of the table; the
        // entries are counted as often as there are look-ups
        Kind::Digit => {
            let Division { rest, .. } = any(&runs.divisions(), draw)?;
            let mut forgery = forged(&[(rest, a[rest] + sign)])?;
            let table = layout.table_start?..layout.rows();
            let counted = |a: &[Fr]| -> Fr { a[table.clone()].iter().sum() };
            let missing = counted(a) - counted(&forgery.a);
            forgery.a[table.start + draw.index(table.len())] += missing;
            Some(forgery)
        }
        Kind::Domain => {
            let features: Vec<usize> =
                (0..input.len()).filter(|&i| model.features[i].range.lo < model.features[i].range.hi).collect();
            let i = any(&features, draw)?;
            let (cell, range) = (input_cell(model, i), model.features[i].range);
            assert_eq!(a[cell], field(input[i] - range.lo));
            let by = draw.integer(1, 9);
            forged(&[(cell, field([-by, range.hi - range.lo + by][draw.index(2)]))])
        }
        // The field is larger than what limbs can say: with another limb that is in range what is left is a fraction, whose
        // limbs do not end where they have to.
        Kind::WrapAround => {
            let Division { value, rest, bits, added } = any(&runs.divisions(), draw)?;
            let by = Fr::from(draw.integer(1, (1 << bits.min(40)) - 1) as u64);
            let length = Fr::from_u128(1 << bits);
            let other = |limb: Fr| if limb + by < length { limb + by } else { limb + by - length };
            let limb = a[value] + added - length * a[rest];
            forged(&[(rest, (a[value] + added - other(limb)) * length.invert().unwrap())])
        }
        Kind::Segment => {
            let elements = runs.elements();
            let element = elements.get(draw.index(elements.len().max(1)))?;
            let numbers = [1, -1].into_iter().find_map(|by| runs.with_segment(element, by));
            forged(&numbers?)
        }
        Kind::Value => {
            let (row, entry) = any(&runs.values(), draw)?;
            let others = runs.entries().into_iter().filter(|other| other.abs_diff(entry) <= 6);
            let seconds: Vec<Fr> =
                others.map(|other| runs.pair(other, a)[1]).filter(|value| *value != a[row + 1]).collect();
            forged(&[(row + 1, any(&seconds, draw)?)])
        }
        Kind::Copy => {
            let (_, copy) = any(&layout.copies, draw)?;
            let lie = [(copy, a[copy] + sign)];
            // what is completed may be the honest witness again
            if runs.complete(&lie) == *a {
                return None;
            }
            forged(&lie)
        }
    }
}

/// The cell of an input: the first in which the layouts of two values of it differ.
fn input_cell(model: &IntegerModel, i: usize) -> usize {
    let mut input: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
    let low = PhasedCircuit::<Fr>::new(model, &model.trace(&input)).layout.a;
    input[i] = model.features[i].range.hi;
    let high = PhasedCircuit::<Fr>::new(model, &model.trace(&input)).layout.a;
    low.iter().zip(&high).position(|(low, high)| low != high).unwrap()
}

/// How many copies of both columns a prover's cells break.
fn broken(circuit: &PhasedCircuit<Fr>) -> usize {
    let (a, c) =
        (&circuit.layout.a, circuit.running_sum([0x1234_5678_9abc_def1, 1].map(|seed| Fr::from(seed).square())));
    let copies = circuit.layout.copies.iter().filter(|(source, copy)| a[*source] != a[*copy]).count();
    copies + circuit.layout.pins.iter().filter(|(start, end)| c[*start] != c[*end]).count()
}

/// A lie that breaks much says little about each constraint.
#[test]
fn lies_break_few_constraints() {
    for seed in 0..100 {
        let (model, input) = crate::drawn(seed);
        let honest = PhasedCircuit::<Fr>::lay_out(&model, &input).unwrap();
        let runs = Runs::new(&honest);
        assert_eq!(runs.complete(&[]), honest.layout.a, "seed {seed}");
        assert_eq!(runs.claims(&honest.layout.a), crate::outputs(&model, &input), "seed {seed}");
        assert_eq!(broken(&honest), 0, "seed {seed}");
        for Lie { kind, prover, .. } in honest.lies(&model, &input, &mut Draw::new(seed)) {
            let (broken, jumps) =
                (broken(&prover.circuit), prover.circuit.layout.public_rows != honest.layout.public_rows);
            // a copy may be in a product and in the run behind it: itself, both, and the running sum as a whole
            let most = if kind == Kind::Copy { 4 } else { 3 };
            assert!(broken <= most && (broken > 0 || jumps), "seed {seed}: {kind:?} breaks {broken}");
        }
    }
}
