//! From a float graph and scales to the integer model, with proved ranges.

use super::architecture::{Beyond, Limits, Pattern, Weights};
use super::domain::{DeclaredFeature, Domain};
use super::error::QuantError;
use super::nonlinear;
use super::scales::{MAX_WEIGHT_BITS, Scales, exp2};
use crate::graph::{Affine, Feature, FloatNode, FloatOp, Graph, IntegerModel, IntegerNode, Interval, MAX_BITS, Output};
use crate::ops::{BoundReason, Op, Rescale, Weighted};

/// The same graph with an identity map after every input that an operator other than an affine map reads or that is an
/// output: features have scales of their own, and the map brings them to one scale.
pub(super) fn aligned(graph: &Graph) -> Graph {
    let first = graph.inputs.len();
    let mut needed = vec![false; first];
    let readers =
        graph.nodes.iter().filter(|n| !matches!(n.op, FloatOp::Affine(_))).flat_map(|n| n.inputs.iter().copied());
    readers.chain(graph.outputs.iter().map(|o| o.1)).filter(|&id| id < first).for_each(|id| needed[id] = true);

    let mut result = Graph { inputs: graph.inputs.clone(), nodes: vec![], outputs: graph.outputs.clone() };
    let mut moved: Vec<usize> = (0..first).collect();
    for (id, input) in graph.inputs.iter().enumerate().filter(|(id, _)| needed[*id]) {
        let op = FloatOp::Affine(Affine::selection(input.len(), 0..input.len()));
        let name = format!("{}/align", input.name);
        moved[id] = first + result.nodes.len();
        result.nodes.push(FloatNode { name, onnx_op: "Identity".into(), op, inputs: vec![id] });
    }
    let shift = result.nodes.len();
    let renumber = |id: usize, aligned: bool| match id.checked_sub(first) {
        Some(node) => first + shift + node,
        None if aligned => moved[id],
        None => id,
    };
    for node in &graph.nodes {
        let inputs = node.inputs.iter().map(|&id| renumber(id, !matches!(node.op, FloatOp::Affine(_)))).collect();
        result.nodes.push(FloatNode { inputs, ..node.clone() });
    }
    result.outputs.iter_mut().for_each(|o| o.1 = renumber(o.1, true));
    result
}

/// An integer model, and where it comes from.
pub(super) struct Built {
    pub model: IntegerModel,
    /// The tensor of every node's value.
    pub tensors: Vec<usize>,
    /// Per node, the limits of weights that are committed to apart.
    pub limits: Vec<Option<Limits>>,
}

/// The integer model of an aligned graph at the given scales. `precision` is named in errors.
pub(super) fn build(
    graph: &Graph,
    domain: &Domain,
    scales: &Scales,
    weights: &Weights,
    precision: f64,
) -> Result<Built, QuantError> {
    let counts = [(graph.nodes.len(), scales.nodes.len()), (domain.features.len(), scales.features.len())];
    if counts.iter().any(|(found, expected)| found != expected) {
        return Err(QuantError::OtherArchitecture { nodes: counts[0].0, expected: counts[0].1 });
    }
    let features = domain.features.iter().zip(&scales.features).map(|(f, &e)| quantise_feature(f, e));
    let features = features.collect::<Result<_, _>>()?;
    let model = IntegerModel { features, ..Default::default() };
    let mut builder = Builder { model, precision };
    let first = graph.inputs.len();
    let (mut tensors, mut limits): (Vec<usize>, Vec<Option<Limits>>) = (vec![], vec![]);
    for (i, node) in graph.nodes.iter().enumerate() {
        let operand = |position: usize| {
            let producer = node.inputs[position] - first;
            nonlinear::Operand { tensor: tensors[producer], exponent: scales.output(producer) }
        };
        let mut tensor = match &node.op {
            FloatOp::Affine(map) => {
                let (columns, exponents, input_len, inputs) = layout(graph, node, scales, &tensors);
                let mut map = map.relocate(input_len, &columns);
                let pattern = match weights {
                    Weights::Fixed => None,
                    Weights::Committed => Some(Pattern::of(&map)),
                    Weights::Of(architecture) => architecture.pattern(i),
                };
                if let Some(pattern) = &pattern {
                    let elsewhere = |element| QuantError::WeightElsewhere { node: node.name.clone(), element };
                    map = pattern.filled(&map).map_err(elsewhere)?;
                }
                let integers = quantise_map(&map, &exponents, scales.nodes[i]);
                let integers = integers.map_err(|(element, value)| QuantError::Weight {
                    node: node.name.clone(),
                    element,
                    value,
                    precision,
                })?;
                let own = match weights {
                    Weights::Fixed => None,
                    Weights::Committed => {
                        let ranges: Vec<Interval> = inputs.iter().flat_map(|&id| builder.model.ranges(id)).collect();
                        pattern.and_then(|pattern| Limits::chosen(&map, &integers, &ranges, pattern))
                    }
                    Weights::Of(architecture) => architecture.limits.get(i).cloned().flatten(),
                };
                let beyond = own.as_ref().and_then(|limits| limits.exceeded(&map, &integers));
                if let Some(Beyond { element, value, limit }) = beyond {
                    return Err(QuantError::BeyondArchitecture { node: node.name.clone(), element, value, limit });
                }
                limits.resize(i, None);
                limits.push(own.clone());
                let op = match own {
                    Some(Limits { weights, bias, .. }) => {
                        Op::Weighted(Weighted { map: integers, weight_limits: weights, bias_limit: bias })
                    }
                    None => Op::Linear(without_zeros(integers)),
                };
                builder.push(&node.name, op, inputs)?
            }
            _ => nonlinear::build(&mut builder, node, &operand, scales.nodes[i])?,
        };
        if let Ok(shift @ 1..) = u32::try_from(scales.shifts[i]) {
            tensor = builder.push(&format!("{}/rescale", node.name), Op::Rescale(Rescale { shift }), vec![tensor])?;
        }
        tensors.push(tensor);
    }
    for (name, id, _) in &graph.outputs {
        let (tensor, scale) = (tensors[id - first], exp2(scales.output(id - first)));
        builder.model.outputs.push(Output { name: name.clone(), tensor, scale });
    }
    limits.resize(graph.nodes.len(), None);
    Ok(Built { model: builder.model, tensors, limits })
}

/// An integer model under construction.
pub(super) struct Builder {
    pub model: IntegerModel,
    /// Named in errors.
    pub precision: f64,
}

impl Builder {
    /// Appends a node with its proved ranges and returns its tensor.
    pub fn push(&mut self, name: &str, op: Op, inputs: Vec<usize>) -> Result<usize, QuantError> {
        if !op.accepts(inputs.iter().map(|&id| self.model.tensor_len(id)).sum()) {
            return Err(self.too_wide(name, u128::BITS));
        }
        let ranges = self.model.implied_ranges(&op, &inputs).map_err(|e| QuantError::Bound {
            node: name.into(),
            element: e.element,
            reason: e.reason,
            precision: self.precision,
        })?;
        self.model.nodes.push(IntegerNode { name: name.into(), op, inputs, ranges });
        Ok(self.model.nodes.len())
    }

    /// Scales that ask for integers of `bits` bits.
    pub fn too_wide(&self, name: &str, bits: u32) -> QuantError {
        let reason = BoundReason::Overflow { bits };
        QuantError::Bound { node: name.into(), element: 0, reason, precision: self.precision }
    }

    /// `factor * x + offset`, elementwise.
    pub fn scaled(&mut self, name: &str, x: usize, factor: i64, offset: i128) -> Result<usize, QuantError> {
        let len = self.model.tensor_len(x);
        let map = Affine {
            input_len: len,
            row_starts: (0..=len as u32).collect(),
            columns: (0..len as u32).collect(),
            weights: vec![factor; len],
            bias: vec![offset; len],
        };
        self.push(name, Op::Linear(map), vec![x])
    }

    /// `sum of factor * tensor`, elementwise, over tensors of one length.
    pub fn combination(&mut self, name: &str, parts: &[(usize, i64)]) -> Result<usize, QuantError> {
        let len = parts.first().map_or(0, |part| self.model.tensor_len(part.0));
        let mut map = Affine {
            input_len: len * parts.len(),
            row_starts: vec![0],
            columns: vec![],
            weights: vec![],
            bias: vec![0; len],
        };
        for i in 0..len {
            map.columns.extend((0..parts.len()).map(|p| (p * len + i) as u32));
            map.weights.extend(parts.iter().map(|part| part.1));
            map.row_starts.push(map.columns.len() as u32);
        }
        self.push(name, Op::Linear(map), parts.iter().map(|part| part.0).collect())
    }

    /// The interval that holds all elements of a tensor.
    pub fn hull(&self, tensor: usize) -> Interval {
        let ranges = self.model.ranges(tensor);
        let join = |a: Interval, b: &Interval| Interval { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) };
        let first = ranges.first().copied().unwrap_or(Interval { lo: 0, hi: 0 });
        ranges.iter().fold(first, join)
    }
}

fn quantise_feature(feature: &DeclaredFeature, exponent: i32) -> Result<Feature, QuantError> {
    let scale = exp2(exponent);
    let (lo, hi) = match feature.integer {
        true => (feature.min.ceil(), feature.max.floor()),
        false => ((feature.min * scale).round(), (feature.max * scale).round()),
    };
    // Casts saturate, which leaves the limits of an interval.
    let range = Interval::new(lo as i128, hi as i128);
    let range = range.ok_or_else(|| QuantError::Feature { feature: feature.name.clone(), scale })?;
    Ok(Feature { name: feature.name.clone(), scale, range })
}

/// Where the columns of an affine node go when all graph inputs are one tensor: per column its new place; per new place
/// its exponent; the number of places; the tensors read.
fn layout(
    graph: &Graph,
    node: &FloatNode,
    scales: &Scales,
    tensors: &[usize],
) -> (Vec<usize>, Vec<i32>, usize, Vec<usize>) {
    let first = graph.inputs.len();
    let (mut columns, mut exponents, mut inputs) = (vec![], vec![], vec![]);
    if node.inputs.is_empty() || node.inputs.iter().any(|&id| id < first) {
        inputs.push(0);
        exponents.extend_from_slice(&scales.features);
    }
    for &id in &node.inputs {
        let len = graph.value_len(id);
        match id.checked_sub(first) {
            None => {
                let start: usize = graph.inputs[..id].iter().map(|i| i.len()).sum();
                columns.extend(start..start + len);
            }
            Some(producer) => {
                inputs.push(tensors[producer]);
                columns.extend(exponents.len()..exponents.len() + len);
                exponents.extend(std::iter::repeat_n(scales.output(producer), len));
            }
        }
    }
    let input_len = exponents.len();
    (columns, exponents, input_len, inputs)
}

/// The same map without the weights that are zero.
fn without_zeros(map: Affine<i64, i128>) -> Affine<i64, i128> {
    if !map.weights.contains(&0) {
        return map;
    }
    let mut sparse = Affine { row_starts: vec![0], columns: vec![], weights: vec![], ..map.clone() };
    for j in 0..map.output_len() {
        for (column, weight) in map.row(j).filter(|(_, weight)| *weight != 0) {
            sparse.columns.push(column as u32);
            sparse.weights.push(weight);
        }
        sparse.row_starts.push(sparse.columns.len() as u32);
    }
    sparse
}

/// Weights become `round(w * 2^(exponent - exponents[column]))`, biases `round(b * 2^exponent)`. The error names the
/// element and value that does not fit.
fn quantise_map(map: &Affine<f64, f64>, exponents: &[i32], exponent: i32) -> Result<Affine<i64, i128>, (usize, f64)> {
    let len = map.input_len;
    let mut result = Affine { input_len: len, row_starts: vec![0], columns: vec![], weights: vec![], bias: vec![] };
    for j in 0..map.output_len() {
        for (i, w) in map.row(j) {
            let integer = (w * exp2(exponent - exponents[i])).round();
            if integer.abs() > exp2(MAX_WEIGHT_BITS) {
                return Err((j, w));
            }
            result.columns.push(i as u32);
            result.weights.push(integer as i64);
        }
        let bias = (map.bias[j] * exp2(exponent)).round();
        if bias.abs() >= exp2(MAX_BITS as i32) {
            return Err((j, map.bias[j]));
        }
        result.row_starts.push(result.columns.len() as u32);
        result.bias.push(bias as i128);
    }
    Ok(result)
}
