//! From a float graph and scales to the integer model, with proved ranges.

use super::domain::{DeclaredFeature, Domain};
use super::error::QuantError;
use super::scales::{MAX_WEIGHT_BITS, Scales, exp2};
use crate::graph::{Affine, Feature, FloatNode, FloatOp, Graph, IntegerModel, IntegerNode, Interval, MAX_BITS, Output};
use crate::ops::{Op, Rescale};

/// The same graph with an identity map after every input that a ReLU reads or that is an output: features have scales
/// of their own, and the map brings them to one scale.
pub(super) fn aligned(graph: &Graph) -> Graph {
    let first = graph.inputs.len();
    let mut needed = vec![false; first];
    let readers = graph.nodes.iter().filter(|n| n.op == FloatOp::Relu).flat_map(|n| n.inputs.iter().copied());
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
        let inputs = node.inputs.iter().map(|&id| renumber(id, node.op == FloatOp::Relu)).collect();
        result.nodes.push(FloatNode { inputs, ..node.clone() });
    }
    result.outputs.iter_mut().for_each(|o| o.1 = renumber(o.1, true));
    result
}

/// The integer model of an aligned graph at the given scales. `precision` is named in errors.
pub(super) fn build(
    graph: &Graph,
    domain: &Domain,
    scales: &Scales,
    precision: f64,
) -> Result<IntegerModel, QuantError> {
    let features = domain.features.iter().zip(&scales.features).map(|(f, &e)| quantise_feature(f, e));
    let mut model = IntegerModel { features: features.collect::<Result<_, _>>()?, nodes: vec![], outputs: vec![] };
    let first = graph.inputs.len();
    // Tensor of every node's value.
    let mut tensors: Vec<usize> = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        let (op, inputs) = match &node.op {
            FloatOp::Relu => (Op::Relu, vec![tensors[node.inputs[0] - first]]),
            FloatOp::Square
            | FloatOp::Product(_)
            | FloatOp::Function(_)
            | FloatOp::Quotient
            | FloatOp::Sqrt
            | FloatOp::Round(_)
            | FloatOp::Compare(_)
            | FloatOp::FloorQuotient
            | FloatOp::OneHot { .. } => todo!(),
            FloatOp::Affine(map) => {
                let (columns, exponents, input_len, inputs) = layout(graph, node, scales, &tensors);
                let map = map.relocate(input_len, &columns);
                let integers = quantise_map(&map, &exponents, scales.nodes[i]);
                let integers = integers.map_err(|(element, value)| QuantError::Weight {
                    node: node.name.clone(),
                    element,
                    value,
                    precision,
                })?;
                (Op::Linear(integers), inputs)
            }
        };
        let mut tensor = push(&mut model, node.name.clone(), op, inputs, precision)?;
        if let Ok(shift @ 1..) = u32::try_from(scales.shifts[i]) {
            let (name, op) = (format!("{}/rescale", node.name), Op::Rescale(Rescale { shift }));
            tensor = push(&mut model, name, op, vec![tensor], precision)?;
        }
        tensors.push(tensor);
    }
    for (name, id, _) in &graph.outputs {
        let (tensor, scale) = (tensors[id - first], exp2(scales.output(id - first)));
        model.outputs.push(Output { name: name.clone(), tensor, scale });
    }
    Ok(model)
}

/// Appends a node with its proved ranges and returns its tensor.
fn push(
    model: &mut IntegerModel,
    name: String,
    op: Op,
    inputs: Vec<usize>,
    precision: f64,
) -> Result<usize, QuantError> {
    let ranges: Vec<Vec<Interval>> = inputs.iter().map(|&id| model.ranges(id)).collect();
    let ranges: Vec<&[Interval]> = ranges.iter().map(Vec::as_slice).collect();
    let ranges = op.bounds(&ranges).map_err(|e| QuantError::Bound {
        node: name.clone(),
        element: e.element,
        reason: e.reason,
        precision,
    })?;
    model.nodes.push(IntegerNode { name, op, inputs, ranges });
    Ok(model.nodes.len())
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
    if node.inputs.iter().any(|&id| id < first) {
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
            if integer != 0.0 {
                result.columns.push(i as u32);
                result.weights.push(integer as i64);
            }
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
