//! The layout of a whole model: inputs in their domain, one gadget per element of every node, outputs bound.

use ff::PrimeField;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Circuit, ConstraintSystem, Error},
};

use super::{
    builder::{Builder, Expr, field},
    config::{GeneralConfig, NUM_INSTANCE_COLUMNS, UNUSABLE_ROWS},
};
use crate::{
    graph::{IntegerModel, Trace},
    ops::Op,
};

/// The smallest domain: `2^MIN_K` rows.
pub const MIN_K: u32 = 5;

/// An integer model laid out on the columns, with the witness of one run.
#[derive(Clone, Debug)]
pub struct ModelCircuit<F> {
    pub layout: Builder<F>,
    /// The domain has `2^k` rows.
    pub k: u32,
}

impl<F: PrimeField> ModelCircuit<F> {
    /// Lay out the model with the witness `trace`, in the smallest domain that holds it.
    ///
    /// The fixed columns, the copies and the rows of the public values are the same for every trace.
    pub fn new(model: &IntegerModel, trace: &Trace) -> Self {
        let layout = lay_out(model, trace);
        let needed = layout.rows() + UNUSABLE_ROWS;
        let k = needed.next_power_of_two().ilog2().max(MIN_K);
        Self { layout, k }
    }

    /// The circuit for key generation: the layout with the witness of one in-domain input, the lower corner.
    pub fn for_keygen(model: &IntegerModel) -> Self {
        let corner: Vec<i128> = model.features.iter().map(|f| f.range.lo).collect();
        Self::new(model, &model.trace(&corner))
    }

    /// Values of the instance columns for the public values of the statement, in the order of the model's outputs.
    pub fn instances(&self, public_values: &[i128]) -> [Vec<F>; NUM_INSTANCE_COLUMNS] {
        let outputs: Vec<_> =
            self.layout.public_rows.iter().copied().zip(public_values.iter().map(|&v| field(v))).collect();
        GeneralConfig::instance_columns(self.k, &outputs)
    }

    /// The advice column, padded with zeros to the whole domain.
    pub fn advice(&self) -> Vec<F> {
        let mut column = self.layout.a.clone();
        column.resize(1 << self.k, F::ZERO);
        column
    }
}

/// How often the consumers of a tensor use each of its elements.
fn uses(model: &IntegerModel, tensor: usize, len: usize) -> Vec<usize> {
    let mut uses = vec![0; len];
    for node in &model.nodes {
        match &node.op {
            Op::Linear(map) => {
                let mut counts = vec![0; map.input_len];
                map.columns.iter().for_each(|&column| counts[column as usize] += 1);
                let mut start = 0;
                for &input in &node.inputs {
                    let input_len = model.tensor_len(input);
                    if input == tensor {
                        uses.iter_mut().zip(&counts[start..start + input_len]).for_each(|(u, c)| *u += c);
                    }
                    start += input_len;
                }
            }
            _ if node.inputs.contains(&tensor) => uses.iter_mut().for_each(|u| *u += 1),
            _ => {}
        }
    }
    if model.outputs.iter().any(|output| output.tensor == tensor) {
        uses.iter_mut().for_each(|u| *u += 1);
    }
    uses
}

fn lay_out<F: PrimeField>(model: &IntegerModel, trace: &Trace) -> Builder<F> {
    let mut builder = Builder::new();
    let mut tensors: Vec<Vec<Expr<F>>> = Vec::with_capacity(trace.len());

    let inputs = model.features.iter().zip(&trace[0]).map(|(feature, &value)| {
        let (value, max) = (value.abs_diff(feature.range.lo), feature.range.hi.abs_diff(feature.range.lo));
        builder.range(value, max).offset(field(feature.range.lo))
    });
    let inputs: Vec<_> = inputs.collect();
    tensors.push(share(&mut builder, inputs, &uses(model, 0, trace[0].len())));

    for (i, node) in model.nodes.iter().enumerate() {
        let inputs: Vec<Expr<F>> = node.inputs.iter().flat_map(|&id| tensors[id].iter().cloned()).collect();
        let values: Vec<i128> = node.inputs.iter().flat_map(|&id| trace[id].iter().copied()).collect();
        let ranges: Vec<_> = node.inputs.iter().flat_map(|&id| model.ranges(id)).collect();
        let outputs = node.op.lay_out(&mut builder, &inputs, &values, &ranges);
        let uses = uses(model, i + 1, outputs.len());
        tensors.push(share(&mut builder, outputs, &uses));
    }

    for output in &model.outputs {
        for expr in &tensors[output.tensor] {
            builder.bind_public(expr);
        }
    }
    builder
}

fn share<F: PrimeField>(builder: &mut Builder<F>, tensor: Vec<Expr<F>>, uses: &[usize]) -> Vec<Expr<F>> {
    tensor.into_iter().zip(uses).map(|(expr, &uses)| builder.share(expr, uses)).collect()
}

impl<F: PrimeField> Circuit<F> for ModelCircuit<F> {
    type Config = GeneralConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(cs: &mut ConstraintSystem<F>) -> GeneralConfig {
        GeneralConfig::configure(cs)
    }

    fn synthesize(&self, config: GeneralConfig, mut layouter: impl Layouter<F>) -> Result<(), Error> {
        let layout = &self.layout;
        layouter.assign_region(
            || "general",
            |mut region| {
                let mut cells = Vec::with_capacity(layout.rows());
                for row in 0..layout.rows() {
                    cells.push(region.assign_advice(config.a, row, Value::known(layout.a[row])).cell());
                    region.assign_fixed(config.w, row, layout.w[row]);
                    region.assign_fixed(config.q, row, F::from(u64::from(layout.q[row])));
                }
                for &(left, right) in &layout.copies {
                    region.constrain_equal(cells[left], cells[right]);
                }
                Ok(())
            },
        )
    }
}
