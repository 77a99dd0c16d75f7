//! The layout of a whole model: inputs in their domain, one gadget per element of every node, outputs bound.

use std::collections::HashSet;

use ff::PrimeField;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Circuit, ConstraintSystem, Error},
};

use super::{
    builder::Builder,
    config::{GeneralConfig, RESERVED_ROWS, UNUSABLE_ROWS},
    digest,
    gadgets::{Expr, Gadgets, field},
    shape::{MANY_PUBLIC_VALUES, Preprocessed, Shape, Witness, padded},
};
use crate::{
    graph::{
        Conjunction, IntegerModel, IntegerNode, Trace,
        digest::{HashedValue, HashedWords},
    },
    ops::{Op, Piecewise, Rescale, Weighted},
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
        Self::within(usize::MAX, model, trace)
    }

    /// The same, with no more than `limit` rows kept: a circuit that takes more rows is good for its size only.
    pub(super) fn within(limit: usize, model: &IntegerModel, trace: &Trace) -> Self {
        let layout = lay_out(Builder::with_limit(limit), model, trace);
        let needed = layout.rows() + RESERVED_ROWS;
        let k = needed.next_power_of_two().ilog2().max(MIN_K);
        Self { layout, k }
    }

    /// The circuit for key generation: the layout with the witness of one in-domain input, the lower corner.
    pub fn for_keygen(model: &IntegerModel) -> Self {
        let corner: Vec<i128> = model.features.iter().map(|f| f.range.lo).collect();
        Self::new(model, &model.trace(&corner))
    }

    /// What verifiers know of the layout besides its gates.
    pub fn shape(&self) -> Shape<F> {
        GeneralConfig::shape(&self.layout.public_rows)
    }

    /// Values of the instance columns for the given public values, as halo2 takes them: in its usable rows.
    pub fn instances(&self, public_values: &[F]) -> Vec<Vec<F>> {
        let mut columns = self.shape().instance_values(self.k, public_values);
        columns.iter_mut().for_each(|column| column.truncate((1 << self.k) - UNUSABLE_ROWS));
        columns
    }

    /// What the prover commits to. Past the rows in use even cells stay zero; odd ones are read by no constraint, nor are
    /// the last rows.
    pub fn witness(&self) -> Witness<F> {
        let n = 1 << self.k;
        Witness {
            advice: padded(&self.layout.a, n),
            free_rows: [n - UNUSABLE_ROWS - 2].into_iter().chain(n - UNUSABLE_ROWS..n).collect(),
            tied_rows: vec![],
        }
    }

    /// The fixed columns and the copies.
    pub fn preprocessed(&self) -> Preprocessed<F> {
        let q: Vec<F> = self.layout.q.iter().map(|&q| F::from(u64::from(q))).collect();
        let fixed = [&self.layout.w, &q].map(|column| padded(column, 1 << self.k)).into();
        Preprocessed { k: self.k, fixed, copies: self.layout.copies.clone() }
    }
}

/// Per tensor, how often its consumers use each of its elements.
fn uses(model: &IntegerModel, hashed: &[HashedWords]) -> Vec<Vec<usize>> {
    let mut uses: Vec<Vec<usize>> = (0..=model.nodes.len()).map(|tensor| vec![0; model.tensor_len(tensor)]).collect();
    for node in &model.nodes {
        match &node.op {
            Op::Linear(map) | Op::Weighted(Weighted { map, .. }) => {
                let mut counts = vec![0; map.input_len];
                map.columns.iter().for_each(|&column| counts[column as usize] += 1);
                let mut counts = counts.into_iter();
                for &input in &node.inputs {
                    // elements first: what follows them is the next operand's
                    uses[input].iter_mut().zip(&mut counts).for_each(|(u, c)| *u += c);
                }
            }
            Op::Product(product) => {
                for (operand, &input) in node.inputs.iter().enumerate() {
                    // each element takes part in a sum and a difference, or in a sum of every product
                    let copies = if operand == 0 { product.columns } else { product.rows };
                    uses[input].iter_mut().for_each(|u| *u += 1 + copies);
                }
            }
            op => {
                let times = if matches!(op, Op::Divide(_)) { 2 } else { 1 };
                let mut inputs = node.inputs.clone();
                inputs.sort_unstable();
                inputs.dedup();
                inputs.into_iter().for_each(|input| uses[input].iter_mut().for_each(|u| *u += times));
            }
        }
    }
    model.outputs.iter().for_each(|output| uses[output.tensor].iter_mut().for_each(|u| *u += 1));
    hashed.iter().flat_map(|hashed| &hashed.values).for_each(|value| uses[value.tensor][value.element] += 1);
    uses
}

/// Lay out a model, node by node, with the gadgets of some layout. Expressions of a tensor are kept until its last reader has them.
pub(super) fn lay_out<F: PrimeField, G: Gadgets<F>>(mut builder: G, model: &IntegerModel, trace: &Trace) -> G {
    let mut tensors: Vec<Vec<Expr<F>>> = Vec::with_capacity(trace.len());
    let hashed: Vec<HashedWords> = model.digests.iter().map(|digest| model.hashed(digest)).collect();
    let uses = uses(model, &hashed);
    let last_readers = model.last_readers();
    // functions that are looked up at quotients, and those rescales
    let mut below = model.rescales_of_functions();
    for (node, place) in model.nodes.iter().zip(&mut below) {
        let shift = dividends(model, *place).map(|(rescale, _)| rescale.shift);
        let tabulated = |function: &Piecewise| shift.is_some_and(|shift| builder.tabulates(function, shift));
        *place = place.filter(|_| matches!(&node.op, Op::Piecewise(function) if tabulated(function)));
    }
    let passed_on: HashSet<usize> = below.iter().copied().flatten().collect();

    let inputs = model.features.iter().zip(&trace[0]).map(|(feature, &value)| {
        let (value, max) = (value.abs_diff(feature.range.lo), feature.range.hi.abs_diff(feature.range.lo));
        builder.range(value, max).offset(field(feature.range.lo))
    });
    let inputs: Vec<_> = inputs.collect();
    tensors.push(share(&mut builder, inputs, &uses[0]));

    for (i, node) in model.nodes.iter().enumerate() {
        let operand = |(place, &id): (usize, &usize)| {
            let again = node.inputs[place + 1..].contains(&id);
            if last_readers[id] == Some(i) && !again { std::mem::take(&mut tensors[id]) } else { tensors[id].clone() }
        };
        let inputs: Vec<Expr<F>> = node.inputs.iter().enumerate().flat_map(operand).collect();
        if passed_on.contains(&i) {
            tensors.push(inputs);
            continue;
        }
        let values: Vec<i128> = node.inputs.iter().flat_map(|&id| trace[id].iter().copied()).collect();
        let ranges: Vec<_> = node.inputs.iter().flat_map(|&id| model.ranges(id)).collect();
        let mut outputs = Vec::with_capacity(node.ranges.len());
        if let (Op::Piecewise(function), Some((rescale, id))) = (&node.op, dividends(model, below[i])) {
            let dividends = inputs.iter().zip(&trace[id]).zip(model.ranges(id));
            let of = |((x, &value), range)| rescale.lay_out_below(function, &mut builder, x, value, range);
            outputs.extend(dividends.map(of));
        } else if node.op == Op::Relu {
            for j in 0..inputs.len() {
                let product = model.conjunction(i, j).and_then(|of| conjunction(&mut builder, &tensors, trace, of));
                match product {
                    Some(product) => outputs.push(product),
                    None => {
                        outputs.extend(node.op.lay_out(&mut builder, &inputs[j..=j], &values[j..=j], &ranges[j..=j]))
                    }
                }
            }
        } else {
            outputs = node.op.lay_out(&mut builder, &inputs, &values, &ranges);
        }
        tensors.push(share(&mut builder, outputs, &uses[i + 1]));
    }

    let mut public: Vec<Expr<F>> = model.outputs.iter().flat_map(|o| tensors[o.tensor].iter().cloned()).collect();
    for (hashed, salt) in hashed.iter().zip(&trace.salts) {
        let value = |v: &HashedValue| (tensors[v.tensor][v.element].clone(), field(trace[v.tensor][v.element]));
        let values = hashed.values.iter().map(value).collect();
        public.push(digest::lay_out(&mut builder, hashed, salt, values));
    }
    if public.len() > MANY_PUBLIC_VALUES {
        // of one cell each, they take equally many rows
        public = public.into_iter().map(|expr| builder.in_one_cell(expr)).collect();
    }
    public.iter().for_each(|expr| builder.bind_public(expr));
    builder
}

/// What a node rescales, if it does.
fn dividends(model: &IntegerModel, node: Option<usize>) -> Option<(Rescale, usize)> {
    match model.nodes.get(node?)? {
        IntegerNode { op: Op::Rescale(rescale), inputs, .. } => Some((*rescale, *inputs.first()?)),
        _ => None,
    }
}

/// What a ReLU is whose sum is that of two booleans, if that is cheaper than the ReLU.
fn conjunction<F: PrimeField>(
    builder: &mut impl Gadgets<F>,
    tensors: &[Vec<Expr<F>>],
    trace: &Trace,
    Conjunction { left, right, negated }: Conjunction,
) -> Option<Expr<F>> {
    let of = |(tensor, element): (usize, usize)| (&tensors[tensor][element], field::<F>(trace[tensor][element]));
    let (left, right) = (of(left), of(right));
    match negated {
        false => builder.conjunction(left, right),
        true => builder.conjunction(left, (&right.0.scaled(-F::ONE).offset(F::ONE), F::ONE - right.1)),
    }
}

fn share<F: PrimeField>(builder: &mut impl Gadgets<F>, tensor: Vec<Expr<F>>, uses: &[usize]) -> Vec<Expr<F>> {
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

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2_proofs::{plonk::Expression, poly::Rotation};
    use halo2curves::bn256::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        circuit::testing::{
            Draw, claims, complete, honest, random_general_model, random_input, random_model, satisfied, single_op,
            tells_the_truth, violations,
        },
        graph::Affine,
    };

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        /// The same for the operators that only this layout has.
        #[test]
        fn every_input_satisfies_one_layout_of_any_operators(seed: u64) {
            let (model, mut draw) = (random_general_model(seed), Draw::new(!seed));
            model.validate().unwrap();
            let keygen = ModelCircuit::<Fr>::for_keygen(&model);
            for _ in 0..2 {
                let input = random_input(&model, &mut draw);
                let circuit = honest(&model, &input);
                let outputs = model.public_values(&model.trace(&input));
                prop_assert!(satisfied(&circuit, &outputs), "{input:?}");
                prop_assert_eq!(&circuit.layout.w, &keygen.layout.w);
                prop_assert_eq!(&circuit.layout.q, &keygen.layout.q);
                prop_assert_eq!(&circuit.layout.copies, &keygen.layout.copies);
                let wrong: Vec<i128> = outputs.iter().map(|v| v + 1).collect();
                prop_assert!(!satisfied(&circuit, &wrong));
            }
        }

        /// Completeness, and a layout that depends on the model alone.
        #[test]
        fn every_input_satisfies_one_layout(seed: u64) {
            let (model, mut draw) = (random_model(seed), Draw::new(!seed));
            let keygen = ModelCircuit::<Fr>::for_keygen(&model);
            for _ in 0..3 {
                let input = random_input(&model, &mut draw);
                let circuit = honest(&model, &input);
                let outputs = model.public_values(&model.trace(&input));
                prop_assert!(satisfied(&circuit, &outputs), "{input:?}");
                prop_assert!(tells_the_truth(&model, &circuit));
                prop_assert_eq!(&complete(&circuit, &[]).layout.a, &circuit.layout.a);

                prop_assert_eq!(circuit.k, keygen.k);
                let Builder { a, w, q, copies, public_rows, .. } = circuit.layout;
                prop_assert_eq!(a.len(), keygen.layout.a.len());
                prop_assert_eq!(w, &keygen.layout.w[..]);
                prop_assert_eq!(q, &keygen.layout.q[..]);
                prop_assert_eq!(copies, &keygen.layout.copies[..]);
                prop_assert_eq!(public_rows, &keygen.layout.public_rows[..]);
            }
        }

        #[test]
        fn outputs_off_by_one_are_rejected(seed: u64) {
            let (model, mut draw) = (random_model(seed), Draw::new(!seed));
            let input = random_input(&model, &mut draw);
            let circuit = honest(&model, &input);
            let outputs = model.public_values(&model.trace(&input));
            for i in 0..outputs.len() {
                for delta in [-1, 1] {
                    let mut forged = outputs.clone();
                    forged[i] += delta;
                    prop_assert!(!satisfied(&circuit, &forged), "output {i} of {outputs:?}, {delta}");
                }
            }
        }

        /// A prover who forges one cell, or two, and completes the rest, is caught or has told the truth about an input.
        #[test]
        fn completed_forgeries_are_rejected(seed: u64) {
            let (model, mut draw) = (random_model(seed), Draw::new(!seed));
            let circuit = honest(&model, &random_input(&model, &mut draw));
            let a = &circuit.layout.a;
            for round in 0..12 {
                let forgery: Vec<(usize, Fr)> = (0..1 + round % 2).map(|_| {
                    let row = draw.index(a.len());
                    let small = Fr::from_u128(draw.integer(1, 9) as u128);
                    let value = [a[row] + small, a[row] - small, -a[row], a[row].double(), small][draw.index(5)];
                    (row, value)
                }).collect();
                let forged = complete(&circuit, &forgery);
                // the mock prover panics where it would have to report a violation that reads blinding rows
                let found = std::panic::catch_unwind(|| violations(&forged));
                let accepted = found.is_ok_and(|violations| violations.is_empty());
                prop_assert!(!accepted || tells_the_truth(&model, &forged), "{forgery:?}: {:?}", claims(&forged));
            }
        }
    }

    /// A sum of `terms` inputs and a bias.
    fn sum(terms: usize) -> IntegerModel {
        let map = Affine {
            input_len: terms,
            row_starts: vec![0, terms as u32],
            columns: (0..terms as u32).collect(),
            weights: vec![1; terms],
            bias: vec![5],
        };
        single_op(Op::Linear(map), &vec![(0, 1); terms])
    }

    /// Whether all gates hold in all rows, those at the end filled with randomness as the prover does. (halo2's mock prover
    /// cannot report a violation beside those rows.)
    fn gates_hold(circuit: &ModelCircuit<Fr>) -> bool {
        let mut cs = ConstraintSystem::default();
        GeneralConfig::configure(&mut cs);
        let n = 1 << circuit.k;
        let Witness { mut advice, free_rows, .. } = circuit.witness();
        let fixed = circuit.preprocessed().fixed;
        let instance = circuit.shape().instance_values(circuit.k, &claims(circuit));
        let mut draw = Draw::new(1);
        free_rows.into_iter().for_each(|row| advice[row] = Fr::from_u128(draw.integer(1, 1 << 62) as u128).square());

        let holds = |row: usize, gate: &Expression<Fr>| {
            let at = |rotation: Rotation| (row as i32 + rotation.0).rem_euclid(n as i32) as usize;
            let value = gate.evaluate(
                &|constant| constant,
                &|_| unreachable!("no selectors"),
                &|query| fixed[query.column_index()][at(query.rotation())],
                &|query| advice[at(query.rotation())],
                &|query| instance[query.column_index()][at(query.rotation())],
                &|_| unreachable!("no challenges"),
                &|value| -value,
                &|left, right| left + right,
                &|left, right| left * right,
                &|value, factor| value * factor,
            );
            value == Fr::ZERO
        };
        let gates = || cs.gates().iter().flat_map(|gate| gate.polynomials());
        (0..n).all(|row| gates().all(|gate| holds(row, gate)))
    }

    #[test]
    fn the_last_rows_of_a_full_domain_are_constrained() {
        let rows = |terms: usize| ModelCircuit::<Fr>::for_keygen(&sum(terms)).layout.rows();
        let spare = |terms: usize| {
            let circuit = ModelCircuit::<Fr>::for_keygen(&sum(terms));
            (1 << circuit.k) - RESERVED_ROWS - circuit.layout.rows()
        };
        let per_term = rows(2) - rows(1);
        let full: Vec<usize> = (1..40).filter(|&terms| spare(terms) < per_term).collect();
        assert!(!full.is_empty());
        for terms in full {
            let (model, input) = (sum(terms), vec![1; terms]);
            let circuit = honest(&model, &input);
            assert_eq!(violations(&circuit), vec![]);
            assert!(gates_hold(&circuit));
            for row in circuit.layout.rows() - per_term..circuit.layout.rows() {
                let mut forged = circuit.clone();
                forged.layout.a[row] += Fr::ONE;
                let copied = circuit.layout.copies.iter().any(|&(source, copy)| source == row || copy == row);
                assert!(copied || !gates_hold(&forged), "{terms} terms, row {row}");
            }
        }
    }
}
