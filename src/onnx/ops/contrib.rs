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
        false => layer_normalized(lowering, node, &sum, at, node.input(2)?, node.optional_input(3))?.0,
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
    let scores =
        Scores { scale, bias: node.optional_input(5).cloned(), mask: None, before: None, after: causal.then_some(0) };
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

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{NodeProto, TensorProto};

    use crate::graph::Graph;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, floats, ints, model, node, random, weights};

    fn microsoft(op: &str, inputs: &[&str], attributes: Vec<(&str, Attr)>) -> NodeProto {
        NodeProto { domain: "com.microsoft".into(), ..node(op, inputs, "y", attributes) }
    }

    fn constants() -> Vec<TensorProto> {
        let mut all = vec![floats("alpha", &[], &[1.5]), floats("half", &[], &[0.5]), ints("parts", &[3], &[4, 4, 4])];
        let shapes: [(&str, &[i64]); 7] = [
            ("b", &[4]),
            ("s", &[4]),
            ("t", &[4]),
            ("w", &[4, 12]),
            ("wb", &[12]),
            ("k", &[2, 3, 4]),
            ("bias", &[1, 2, 3, 3]),
        ];
        all.extend(shapes.iter().zip(1..).map(|(&(name, shape), seed)| weights(name, shape, seed)));
        all
    }

    fn import(nodes: Vec<NodeProto>) -> Graph {
        let mut model = model(&[("x", &[2, 3, 4]), ("z", &[2, 3, 4])], "y", constants(), nodes);
        model.opset_import[0].version = 23;
        import_model(&model).unwrap()
    }

    /// One node means the same as others of ONNX's own.
    fn same(found: NodeProto, others: Vec<NodeProto>) {
        let (op, found, expected) = (found.op_type.clone(), import(vec![found]), import(others));
        let x: Vec<f64> = random(48, 5).into_iter().map(f64::from).collect();
        let (found, expected) = (found.eval(&x), expected.eval(&x));
        assert_eq!(found.len(), expected.len(), "{op}");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{op} {found:?} {expected:?}");
    }

    #[test]
    fn activations() {
        let added = || node("Add", &["x", "b"], "a", vec![]);
        let tanh = || {
            let mut gelu = node("Gelu", &["a"], "y", vec![]);
            gelu.attribute.push(crate::onnx::ops::testing::text("approximate", "tanh"));
            gelu
        };
        same(microsoft("Gelu", &["x"], vec![]), vec![node("Gelu", &["x"], "y", vec![])]);
        same(microsoft("BiasGelu", &["x", "b"], vec![]), vec![added(), node("Gelu", &["a"], "y", vec![])]);
        same(microsoft("FastGelu", &["x", "b"], vec![]), vec![added(), tanh()]);
        let sigmoid = vec![
            node("Mul", &["x", "alpha"], "a", vec![]),
            node("Sigmoid", &["a"], "s1", vec![]),
            node("Mul", &["x", "s1"], "y", vec![]),
        ];
        same(microsoft("QuickGelu", &["x"], vec![("alpha", Attr::Float(1.5))]), sigmoid);
    }

    #[test]
    fn normalisations_of_sums() {
        let sums = || vec![node("Add", &["x", "z"], "a", vec![]), node("Add", &["a", "b"], "c", vec![])];
        let epsilon = || vec![("epsilon", Attr::Float(0.125))];
        let mut others = sums();
        others.push(node("LayerNormalization", &["c", "s", "t"], "y", epsilon()));
        same(microsoft("SkipLayerNormalization", &["x", "z", "s", "t", "b"], epsilon()), others);
        let mut others = sums();
        others.push(node("RMSNormalization", &["c", "s"], "y", epsilon()));
        same(microsoft("SkipSimplifiedLayerNormalization", &["x", "z", "s", "b"], epsilon()), others);
        let mut sum = microsoft("SkipLayerNormalization", &["x", "z", "s"], epsilon());
        sum.output = ["n", "", "", "y"].map(String::from).into();
        same(sum, vec![node("Add", &["x", "z"], "y", vec![])]);
    }

    #[test]
    fn matrix_products() {
        let attributes = vec![("transB", Attr::Int(1)), ("alpha", Attr::Float(0.5))];
        let others = vec![
            node("Transpose", &["z"], "t1", vec![("perm", Attr::Ints(&[0, 2, 1]))]),
            node("MatMul", &["x", "t1"], "m", vec![]),
            node("Mul", &["m", "half"], "y", vec![]),
        ];
        same(microsoft("FusedMatMul", &["x", "z"], attributes), others);
    }

    #[test]
    fn attention() {
        let heads = || vec![("num_heads", Attr::Int(2))];
        let own = |q: &str, k: &str, v: &str, mask: &str, causal: i64| {
            let attributes =
                vec![("q_num_heads", Attr::Int(2)), ("kv_num_heads", Attr::Int(2)), ("is_causal", Attr::Int(causal))];
            node("Attention", &[q, k, v, mask], "y", attributes)
        };
        same(microsoft("MultiHeadAttention", &["x", "z", "k"], heads()), vec![own("x", "z", "k", "", 0)]);
        same(
            microsoft("MultiHeadAttention", &["x", "z", "k", "", "", "bias"], heads()),
            vec![own("x", "z", "k", "bias", 0)],
        );
        let split = |from: &str, outputs: [&str; 3], axis: i64| {
            let mut split = node("Split", &[from, "parts"], outputs[0], vec![("axis", Attr::Int(axis))]);
            split.output = outputs.map(String::from).into();
            split
        };
        let others = vec![
            split("wb", ["b1", "b2", "b3"], 0),
            node("Add", &["x", "b1"], "q1", vec![]),
            node("Add", &["z", "b2"], "k1", vec![]),
            node("Add", &["k", "b3"], "v1", vec![]),
            own("q1", "k1", "v1", "", 0),
        ];
        same(microsoft("MultiHeadAttention", &["x", "z", "k", "wb"], heads()), others);
        let others = vec![
            node("MatMul", &["x", "w"], "p", vec![]),
            node("Add", &["p", "wb"], "a", vec![]),
            split("a", ["q1", "k1", "v1"], 2),
            own("q1", "k1", "v1", "", 1),
        ];
        let causal = vec![("num_heads", Attr::Int(2)), ("unidirectional", Attr::Int(1))];
        same(microsoft("Attention", &["x", "w", "wb"], causal), others);
    }
}
