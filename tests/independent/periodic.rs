//! The `periodic` layout before the judges.

use std::ops::RangeInclusive;

use ff::{Field, PrimeField};
use hallmark::{
    circuit::{self, InstanceColumn, LaidOut, PeriodicCircuit, periodic::config::UNUSABLE_ROWS},
    graph::IntegerModel,
    proof::{ProvingKey, Srs},
};
use halo2curves::bn256::Fr;

use crate::{
    common::{Blocks, Draw},
    layout::{Kind, Layout, Lie, any},
    outputs,
};

impl Layout for PeriodicCircuit<Fr> {
    /// Smaller circuits are those of constants. Ties are rare below `2^10` rows.
    const MODELS: &'static [(RangeInclusive<u32>, usize)] = &[(7..=9, 150), (10..=10, 50)];
    const SMALL: RangeInclusive<u32> = 7..=7;

    fn lay_out(model: &IntegerModel, input: &[i128]) -> Option<Self> {
        PeriodicCircuit::new(model, &model.trace(input)).ok()
    }

    fn k(&self) -> u32 {
        PeriodicCircuit::k(self)
    }

    /// All rows but those that halo2 keeps to itself, where no column has a value.
    fn instances(&self, public_values: &[Fr]) -> Vec<Vec<Fr>> {
        let mut instances = self.shape().instance_values(Layout::k(self), public_values);
        for column in &mut instances {
            let kept = column.split_off(column.len() - UNUSABLE_ROWS);
            assert!(kept.iter().all(|value| *value == Fr::ZERO));
        }
        instances
    }

    fn own_keys(model: &IntegerModel, srs: Srs) -> ProvingKey {
        let circuit = LaidOut::for_keygen(circuit::Layout::Periodic, model).unwrap();
        ProvingKey::generate(model, &circuit, srs).unwrap()
    }

    fn lies(&self, model: &IntegerModel, input: &[i128], draw: &mut Draw) -> Vec<Lie<Self>> {
        let liar = Liar::new(self, model, input);
        let lie = |kind| {
            let forged = liar.forged(kind, draw)?;
            Some(Lie::new(kind, self.clone(), liar.honest(), &forged, liar.claims(&forged)))
        };
        Kind::ALL.into_iter().filter_map(lie).collect()
    }
}

/// A prover with an honest witness.
struct Liar<'a> {
    circuit: &'a PeriodicCircuit<Fr>,
    model: &'a IntegerModel,
    input: &'a [i128],
    advice: Vec<Fr>,
    fixed: Vec<Fr>,
    /// Rows of the right registers of public values, in the last block.
    public_rows: Vec<usize>,
}

impl<'a> Liar<'a> {
    fn new(circuit: &'a PeriodicCircuit<Fr>, model: &'a IntegerModel, input: &'a [i128]) -> Self {
        let rows = |column: &InstanceColumn<Fr>| match column {
            InstanceColumn::Public(rows) => rows.iter().map(|public| public.row).collect(),
            _ => vec![],
        };
        let public_rows = circuit.shape().instance_columns.iter().flat_map(rows).collect();
        let (advice, fixed) = (circuit.witness().advice, circuit.preprocessed().fixed.concat());
        Self { circuit, model, input, advice, fixed, public_rows }
    }

    fn honest(&self) -> &[Fr] {
        &self.advice
    }

    fn blocks(&self) -> Blocks<'_, Fr> {
        Blocks { geometry: self.circuit.geometry(), fixed: &self.fixed }
    }

    /// The public values that a witness arrives at: the right ones, and what their registers lack from the last block
    /// to the first, which is nothing in the honest witness.
    fn claims(&self, advice: &[Fr]) -> Vec<Fr> {
        let period = self.circuit.geometry().period();
        let step = |a: &[Fr], row: usize| a[row % period] - a[row] - self.fixed[row] * a[row + 1];
        let outputs = outputs(self.model, self.input);
        let rows = self.public_rows.iter();
        rows.zip(outputs).map(|(&row, output)| output + step(advice, row) - step(self.honest(), row)).collect()
    }

    /// Blocks that are not idle, with their numbers of digits.
    fn working(&self) -> Vec<(usize, usize)> {
        let blocks = self.circuit.rows() / self.circuit.geometry().period();
        (0..blocks).map(|block| (block, self.blocks().bits(block))).collect()
    }

    /// Of these, those that public values depend on; if there are any, those that nothing else reads: lies in other
    /// blocks do not tell, or are told by ties.
    fn heard(&self) -> Vec<(usize, usize)> {
        let (geometry, fixed) = (self.circuit.geometry(), &self.fixed);
        let writes = |block: usize, j: usize| fixed[self.blocks().row(block, geometry.right_register(j))] != Fr::ZERO;
        let publics = self.public_rows.len();
        let mut heard = self.working();
        heard.retain(|&(block, _)| (0..geometry.right).any(|j| writes(block, j)));
        let only: Vec<_> =
            heard.iter().copied().filter(|&(block, _)| !(publics..geometry.right).any(|j| writes(block, j))).collect();
        if only.is_empty() { heard } else { only }
    }

    /// A number below `2^bits` that is not `value`.
    fn other(value: Fr, bits: usize, draw: &mut Draw) -> u128 {
        let number = draw.integer(0, (1 << bits.min(63)) - 1) as u128;
        if Fr::from_u128(number) == value { number ^ 1 } else { number }
    }

    /// The witness that the layout has for an input out of its domain, but for the digits of the magnitudes that are
    /// not below their bounds: the last of them takes what is too much.
    fn outside_of_the_domain(&self, draw: &mut Draw) -> Option<Vec<Fr>> {
        let forged = |feature: usize| {
            let (mut input, range) = (self.input.to_vec(), self.model.features[feature].range);
            let by = draw.integer(1, 9);
            input[feature] = [range.lo - by, range.hi + by][draw.index(2)];
            // of a trace, the layout reads the input
            let outside = PeriodicCircuit::new(self.model, &vec![input].into()).ok()?;
            let advice = outside.witness().advice;
            // inputs that no output depends on have no register
            (advice != self.honest()).then(|| self.blocks().complete(&advice, &[]))
        };
        let forged: Vec<_> = (0..self.input.len()).filter_map(forged).collect();
        (!forged.is_empty()).then(|| forged[draw.index(forged.len())].clone())
    }

    /// The witness of a lie: some cells, and what follows from them by the rules.
    fn forged(&self, kind: Kind, draw: &mut Draw) -> Option<Vec<Fr>> {
        let (a, geometry, blocks) = (self.honest(), self.circuit.geometry(), self.blocks());
        let magnitude = |block: usize| blocks.row(block, geometry.magnitude(0));
        let forgery = match kind {
            // the root -|z|, whose digits are passed off as those of a number in range, or a number in range that is no
            // root
            Kind::Activation => {
                let (block, bits) = any(&self.heard(), draw)?;
                let row = magnitude(block);
                let target = Self::other(a[row], bits, draw);
                if a[row] == Fr::ZERO || draw.once_in(2) {
                    vec![(row, Fr::from_u128(target))]
                } else {
                    let mut cells = blocks.passed_off(block, -a[row], target).swap_remove(draw.index(bits));
                    cells.push((row, -a[row]));
                    cells
                }
            }
            // the bias or a partial sum, so that the form has another value in range; or the magnitude, where it is
            // carried
            Kind::Accumulator => {
                let (block, bits) = any(&self.heard(), draw)?;
                let other = Fr::from_u128(Self::other(a[magnitude(block)], bits, draw));
                let i = draw.index(geometry.left + geometry.right);
                if i <= geometry.left {
                    let (row, value) =
                        (blocks.row(block, geometry.accumulator(i)), a[blocks.row(block, geometry.value())]);
                    vec![(row, a[row] + [other, -other][draw.index(2)] - value)]
                } else {
                    vec![(blocks.row(block, geometry.magnitude(i - geometry.left)), other)]
                }
            }
            // of the magnitude as it is
            Kind::Digit => {
                let (block, bits) = any(&self.working(), draw)?;
                let t = a[magnitude(block)];
                let mut digits = blocks.passed_off(block, t, Self::other(t, bits, draw));
                digits.retain(|cells| cells.iter().any(|&(row, cell)| a[row] != cell));
                (!digits.is_empty()).then(|| digits.swap_remove(draw.index(digits.len())))?
            }
            Kind::Domain => return self.outside_of_the_domain(draw),
            // The field is larger than what a block's digits can say: those of r - |z| or r + |z|, as many as there are
            // rows. All of them are bits; what tells is that they do not end where they have to.
            Kind::WrapAround => {
                let (block, bits) = any(&self.heard(), draw)?;
                let (row, t) = (magnitude(block), a[magnitude(block)]);
                if t == Fr::ZERO || draw.once_in(2) {
                    blocks.wrapped(block, t).swap_remove(draw.index(bits))
                } else {
                    let mut cells = blocks.expanded(block, -t, None);
                    cells.push((row, -t));
                    cells
                }
            }
            Kind::Segment | Kind::Value => return None,
            // from one block on; or a left register in one block only
            Kind::Copy => {
                let block = 1 + draw.index(geometry.blocks() - 1);
                let i = draw.index(geometry.left + geometry.right);
                let left = i < geometry.left;
                let position =
                    if left { geometry.left_register(i) } else { geometry.right_register(i - geometry.left) };
                let row = blocks.row(block, position);
                let mut cells = vec![(row, a[row] + [Fr::ONE, -Fr::ONE][draw.index(2)])];
                let next = row + geometry.period();
                if left && next < a.len() && draw.once_in(2) {
                    cells.push((next, a[next]));
                }
                cells
            }
        };
        Some(blocks.complete(a, &forgery))
    }
}
