//! Operators of ONNX Runtime that its optimiser puts in the place of common subgraphs.

use super::attention::{Heads, Scores, count, merge_heads, refuse_further_outputs, refuse_other_forms, split_heads};
use super::common::float;
use super::grid::permuted;
use super::matmul::scaled_matmul;
use super::normalise::{layer_normalized, rms_normalized};
use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Function;
use crate::onnx::shape::{MAX_RANK, broadcast};

/// The sum of the inputs at `positions` that are there, each of which must broadcast to the first.
fn sum_of(lowering: &mut Lowering, node: &Node, positions: &[usize]) -> Result<Value, OnnxError> {
    let mut sum = node.input(0)?.clone();
    float(node, &sum)?;
    for x in positions.iter().filter_map(|&position| node.optional_input(position)) {
        if broadcast(x.shape(), sum.shape()).as_deref() != Some(sum.shape()) {
            return Err(node.mismatch(sum.shape(), x.shape(), "what is added must broadcast to the first input"));
        }
        let (a, b) = lowering.broadcast_pair(node, &sum, x)?;
        sum = lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], 0.0)?;
    }
    Ok(sum)
}

/// A function of the first input plus the second, if there is one.
fn activation(lowering: &mut Lowering, node: &Node, function: Function) -> Result<Vec<Value>, OnnxError> {
    let x = sum_of(lowering, node, &[1])?;
    Ok(vec![lowering.function(node, function, &x)?])
}

fn quick_gelu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.702);
    activation(lowering, node, Function::Swish { alpha })
}

/// Of the sum of an input, a skip connection and a bias; the last of four outputs is the sum. The mean and the deviation
/// are not provided.
fn skip_normalization(lowering: &mut Lowering, node: &Node, simplified: bool) -> Result<Vec<Value>, OnnxError> {
    if node.proto.output.iter().skip(1).take(2).any(|name| !name.is_empty()) {
        return Err(node.unsupported("its mean and deviation", "they are not provided"));
    }
    node.input(1)?;
    let sum = sum_of(lowering, node, if simplified { &[1, 3] } else { &[1, 4] })?;
    let at = sum.shape().len().saturating_sub(1);
    let result = match simplified {
        true => rms_normalized(lowering, node, &sum, at, node.input(2)?)?,
        false => layer_normalized(lowering, node, &sum, at, node.input(2)?, node.optional_input(3))?,
    };
    Ok(vec![result.clone(), result.clone(), result, sum])
}

/// `alpha` times a matrix product, the last two axes of the operands swapped first where asked for.
fn fused_matmul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    refuse_other_forms(node, 2, &["transBatchA", "transBatchB"])?;
    let mut operand = |position: usize, name: &str| -> Result<Value, OnnxError> {
        let x = node.input(position)?;
        let rank = x.shape().len();
        if !node.flag(name)? || !(2..=MAX_RANK).contains(&rank) {
            return Ok(x.clone());
        }
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(rank - 2, rank - 1);
        let shape = permutation.iter().map(|&a| x.shape()[a]).collect();
        permuted(lowering, node, x, x.shape(), &permutation, shape)
    };
    let (a, b) = (operand(0, "transA")?, operand(1, "transB")?);
    scaled_matmul(lowering, node, &a, &b, node.float("alpha")?.unwrap_or(1.0))
}

/// Columns `start..start + width` of the last axis of a tensor of three axes.
fn columns(lowering: &mut Lowering, node: &Node, x: &Value, start: usize, width: usize) -> Result<Value, OnnxError> {
    let &[batch, rows, all] = x.shape() else { return Err(node.mismatch(x.shape(), &[], "there must be three axes")) };
    let shape = vec![batch, rows, width];
    let count = lowering.charge_shape(node, &shape)?;
    let picks = (0..count).map(|i| i / width * all + start + i % width).collect();
    lowering.select(node, x, shape, picks)
}

/// The heads' attention, merged; input 5 is added to the scores.
fn attended(lowering: &mut Lowering, node: &Node, heads: &Heads) -> Result<Vec<Value>, OnnxError> {
    let (scale, causal) = (node.float("scale")?.filter(|&s| s != 0.0), node.flag("unidirectional")?);
    if causal && heads.query.shape().get(2) != heads.key.shape().get(2) {
        let reason = "with attribute unidirectional there must be as many keys as queries";
        return Err(node.mismatch(heads.query.shape(), heads.key.shape(), reason));
    }
    let scores = Scores { scale, bias: node.optional_input(5).cloned(), mask: None, causal };
    let result = heads.attend(lowering, node, scores)?;
    Ok(vec![merge_heads(lowering, node, &result)?])
}

/// Of one input, projected to queries, keys and values of one width; without a mask or a past.
fn attention(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    refuse_further_outputs(node)?;
    refuse_other_forms(node, 6, &["qkv_hidden_sizes", "do_rotary", "past_present_share_buffer"])?;
    if node.optional_input(3).is_some() || node.optional_input(4).is_some() {
        return Err(node.unsupported("its mask or past", "only attention without them is known"));
    }
    let projected = scaled_matmul(lowering, node, node.input(0)?, node.input(1)?, 1.0)?;
    let [projected] = projected.as_slice() else { return Err(node.unsupported("its input", "it has no projection")) };
    let projected = match node.optional_input(2) {
        None => projected.clone(),
        Some(bias) => {
            let (a, b) = lowering.broadcast_pair(node, projected, bias)?;
            lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], 0.0)?
        }
    };
    let width = projected.shape().last().copied().unwrap_or(0);
    if width == 0 || width % 3 != 0 {
        return Err(node.mismatch(projected.shape(), &[], "the projection is not to queries, keys and values"));
    }
    let heads = count(node, "num_heads")?;
    let mut part = |i: usize| {
        let part = columns(lowering, node, &projected, i * width / 3, width / 3)?;
        split_heads(lowering, node, &part, heads)
    };
    let heads = Heads { query: part(0)?, key: part(1)?, value: part(2)? };
    attended(lowering, node, &heads)
}

/// Of queries, keys and values with three axes each; without a padding mask or a past.
fn multi_head_attention(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    refuse_further_outputs(node)?;
    refuse_other_forms(node, 6, &[])?;
    if node.optional_input(4).is_some() {
        return Err(node.unsupported("its padding mask", "only attention without one is known"));
    }
    let heads = count(node, "num_heads")?;
    let mut start = 0usize;
    let mut part = |position: usize| {
        let x = node.input(position)?;
        let width = x.shape().last().copied().unwrap_or(0);
        let x = match node.optional_input(3) {
            None => x.clone(),
            Some(bias) => {
                let picks: Vec<usize> = (start..start.saturating_add(width)).collect();
                if bias.shape().len() != 1 || start.saturating_add(width) > bias.len() {
                    return Err(node.mismatch(x.shape(), bias.shape(), "there must be a bias for each column"));
                }
                let bias = lowering.select(node, bias, vec![width], picks)?;
                start += width;
                let (a, b) = lowering.broadcast_pair(node, x, &bias)?;
                lowering.combination(node, &[(&a, 1.0), (&b, 1.0)], 0.0)?
            }
        };
        split_heads(lowering, node, &x, heads)
    };
    let heads = Heads { query: part(0)?, key: part(1)?, value: part(2)? };
    attended(lowering, node, &heads)
}

pub(super) fn register(registry: &mut Registry) {
    let operators: [(&'static str, Lower); 10] = [
        ("com.microsoft::Gelu", |lowering, node| activation(lowering, node, Function::Gelu)),
        ("com.microsoft::BiasGelu", |lowering, node| activation(lowering, node, Function::Gelu)),
        ("com.microsoft::FastGelu", |lowering, node| activation(lowering, node, Function::GeluTanh)),
        ("com.microsoft::QuickGelu", quick_gelu),
        ("com.microsoft::SkipLayerNormalization", |lowering, node| skip_normalization(lowering, node, false)),
        ("com.microsoft::SkipSimplifiedLayerNormalization", |lowering, node| skip_normalization(lowering, node, true)),
        ("com.microsoft::FusedMatMul", fused_matmul),
        ("com.microsoft::TransposeMatMul", fused_matmul),
        ("com.microsoft::Attention", attention),
        ("com.microsoft::MultiHeadAttention", multi_head_attention),
    ];
    operators.into_iter().for_each(|(name, lower)| registry.add(name, lower));
}
