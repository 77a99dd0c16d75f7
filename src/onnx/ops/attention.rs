//! Attention: softmax of scaled products of queries and keys, times values.
//!
//! What a mask leaves out never enters the softmax, so that no stand-in for minus infinity spoils its precision.

use super::common::float;
use super::grid::permuted;
use super::mask::EXCLUDED;
use super::softmax::of_rows;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::Kind;
use crate::ops::Product;

/// Queries `[batch, heads, rows, size]`, keys and values, of which a head may serve several heads of queries.
pub(super) struct Heads {
    pub query: Value,
    pub key: Value,
    pub value: Value,
}

/// What is done to the scores; `bias` and `mask` broadcast to `[batch, heads, rows, columns]`.
pub(super) struct Scores {
    pub scale: Option<f64>,
    /// Added.
    pub bias: Option<Value>,
    /// False where a score is left out.
    pub mask: Option<Value>,
    /// Query `i` sees the keys from `i - before` to `i + after`; `None` stands for no bound.
    pub before: Option<usize>,
    pub after: Option<usize>,
}

/// `[batch, rows, heads * size]` as `[batch, heads, rows, size]`.
pub(super) fn split_heads(lowering: &mut Lowering, node: &Node, x: &Value, heads: usize) -> Result<Value, OnnxError> {
    match *x.shape() {
        [batch, rows, width] if heads > 0 && width % heads == 0 => {
            let (split, shape) = ([batch, rows, heads, width / heads], vec![batch, heads, rows, width / heads]);
            permuted(lowering, node, x, &split, &[0, 2, 1, 3], shape)
        }
        _ => Err(node.mismatch(x.shape(), &[heads], "a batch of rows of so many heads has three axes")),
    }
}

/// The inverse of [`split_heads`].
pub(super) fn merge_heads(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let &[batch, heads, rows, size] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "there must be four axes"));
    };
    permuted(lowering, node, x, &[batch, heads, rows, size], &[0, 2, 1, 3], vec![batch, rows, heads * size])
}

/// An attribute that is a positive number.
pub(super) fn count(node: &Node, name: &str) -> Result<usize, OnnxError> {
    let count = node.int(name)?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    count.ok_or_else(|| node.unsupported(&format!("attribute {name}"), "it must be there and positive"))
}

impl Heads {
    /// `softmax(scale query key' + bias) value`, in `[batch, heads, rows, size]`.
    pub fn attend(&self, lowering: &mut Lowering, node: &Node, scores: Scores) -> Result<Value, OnnxError> {
        let Self { query, key, value } = self;
        for x in [query, key, value] {
            float(node, x)?;
        }
        let mismatch = |x: &Value, reason: &str| node.mismatch(query.shape(), x.shape(), reason);
        let &[batch, heads, rows, size] = query.shape() else { return Err(mismatch(key, "there must be four axes")) };
        let (&[key_batch, shared, columns, key_size], &[.., value_size]) = (key.shape(), value.shape()) else {
            return Err(mismatch(key, "there must be four axes"));
        };
        if (key_batch, key_size) != (batch, size) || shared == 0 || heads % shared != 0 {
            return Err(mismatch(key, "queries and keys must have the same batch and size, and heads that divide"));
        }
        if value.shape() != [batch, shared, columns, value_size] {
            return Err(node.mismatch(key.shape(), value.shape(), "there must be a value for each key"));
        }
        if query.len() == 0 || columns == 0 || value_size == 0 {
            return Err(OnnxError::ZeroSized { tensor: node.name.into(), shape: query.shape().to_vec() });
        }
        let count = batch * heads;
        // the head of keys and values that serves a head of queries
        let serving = |head: usize| head / heads * shared + head % heads * shared / heads;
        let transposed = [count, size, columns];
        lowering.charge_shape(node, &transposed)?;
        let element = |i: usize| (serving(i / (size * columns)) * columns + i % columns) * size + i / columns % size;
        let key =
            lowering.select(node, key, transposed.to_vec(), (0..count * size * columns).map(element).collect())?;
        let repeated = [count, columns, value_size];
        lowering.charge_shape(node, &repeated)?;
        let each = columns * value_size;
        let element = |i: usize| serving(i / each) * each + i % each;
        let value = lowering.select(node, value, repeated.to_vec(), (0..count * each).map(element).collect())?;

        let scale = scores.scale.unwrap_or(1.0 / (size as f64).sqrt());
        let query = lowering.scaled(node, query, |_| scale, |_| 0.0)?;
        let product = Product { batch: count, rows, inner: size, columns };
        let full = [batch, heads, rows, columns];
        let mut products = lowering.matrix_product(node, &query, &key, product, full.to_vec())?;
        let (bias, mask) = scores.resolved(lowering, node, &full)?;
        if let Some(bias) = bias {
            products = lowering.combination(node, &[(&products, 1.0), (&bias, 1.0)], 0.0)?;
        }
        let matrix = vec![count * rows, columns];
        let products = lowering.reshape(node, &products, matrix.clone())?;
        let mask = mask.map(|mask| lowering.reshape(node, &mask, matrix)).transpose()?;
        let weights = of_rows(lowering, node, &products, mask.as_ref())?;
        let product = Product { batch: count, rows, inner: columns, columns: value_size };
        lowering.matrix_product(node, &weights, &value, product, vec![batch, heads, rows, value_size])
    }
}

impl Scores {
    /// Bias and mask in the shape `full` of the scores. Huge constants of the bias go to the mask.
    fn resolved(
        self,
        lowering: &mut Lowering,
        node: &Node,
        full: &[usize; 4],
    ) -> Result<(Option<Value>, Option<Value>), OnnxError> {
        let mut repeated = |x: &Value, kind: Kind| match broadcast(x.shape(), full) {
            Some(shape) if shape == full && x.kind() == kind => lowering.broadcast_to(node, x, full),
            _ => {
                Err(node.mismatch(x.shape(), full, "the mask must hold booleans or floats and broadcast to the scores"))
            }
        };
        let mut masks = vec![];
        let mut bias = self.bias.map(|bias| repeated(&bias, Kind::Float)).transpose()?;
        masks.extend(self.mask.map(|mask| repeated(&mask, Kind::Bool)).transpose()?);
        if let Some(Value::Constant(c)) = &bias
            && c.data.iter().any(|&v| v <= EXCLUDED)
        {
            let kept = c.data.iter().map(|&v| f64::from(u8::from(v > EXCLUDED))).collect();
            masks.push(lowering.constant(node, full.to_vec(), Kind::Bool, kept)?);
            let rest = c.data.iter().map(|&v| if v > EXCLUDED { v } else { 0.0 }).collect();
            bias = Some(lowering.constant(node, full.to_vec(), Kind::Float, rest)?);
        }
        if self.before.is_some() || self.after.is_some() {
            let [.., rows, columns] = *full;
            let kept = |i: usize| {
                let (query, key) = (i / columns % rows, i % columns);
                let seen = self.before.is_none_or(|n| query <= key.saturating_add(n))
                    && self.after.is_none_or(|n| key <= query.saturating_add(n));
                f64::from(u8::from(seen))
            };
            let count = lowering.charge_shape(node, full)?;
            masks.push(lowering.constant(node, full.to_vec(), Kind::Bool, (0..count).map(kept).collect())?);
        }
        let mut mask: Option<Value> = None;
        for next in masks {
            mask = Some(match mask {
                None => next,
                Some(mask) => lowering.product(node, &mask, &next)?,
            });
        }
        Ok((bias, mask))
    }
}

/// Refuses inputs and attributes that only other forms of an operator have.
pub(super) fn refuse_other_forms(node: &Node, first: usize, attributes: &[&str]) -> Result<(), OnnxError> {
    if let Some(position) = (first..node.inputs.len()).find(|&i| node.optional_input(i).is_some()) {
        return Err(node.unsupported(&format!("input {position}"), "this form of attention is not known"));
    }
    for &name in attributes {
        if node.raw(name).is_some_and(|a| a.i != 0 || a.f != 0.0 || !a.ints.is_empty()) {
            return Err(node.unsupported(&format!("attribute {name}"), "this form of attention is not known"));
        }
    }
    Ok(())
}

/// Refuses outputs beyond the first.
pub(super) fn refuse_further_outputs(node: &Node) -> Result<(), OnnxError> {
    match node.proto.output.iter().skip(1).any(|name| !name.is_empty()) {
        true => Err(node.unsupported("its further outputs", "only the first is provided")),
        false => Ok(()),
    }
}

/// Without past keys and values.
fn attention(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    refuse_other_forms(node, 4, &["softcap"])?;
    refuse_further_outputs(node)?;
    let (query, key, value) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let flat = query.shape().len() == 3;
    let heads = match flat {
        false => {
            // the heads are an axis
            node.ignore(&["q_num_heads", "kv_num_heads"]);
            Heads { query: query.clone(), key: key.clone(), value: value.clone() }
        }
        true => {
            let (own, shared) = (count(node, "q_num_heads")?, count(node, "kv_num_heads")?);
            Heads {
                query: split_heads(lowering, node, query, own)?,
                key: split_heads(lowering, node, key, shared)?,
                value: split_heads(lowering, node, value, shared)?,
            }
        }
    };
    let given = node.optional_input(3).cloned();
    let (mask, bias) = match given {
        Some(mask) if mask.kind() == Kind::Bool => (Some(mask), None),
        bias => (None, bias),
    };
    // negative ones stand for no bound
    let window = |name: &str| Ok::<_, OnnxError>(node.int(name)?.and_then(|n| usize::try_from(n).ok()));
    let (before, mut after) = (window("left_window_size")?, window("right_window_size")?);
    if node.flag("is_causal")? {
        after = Some(0);
    }
    let scores = Scores { scale: node.float("scale")?, bias, mask, before, after };
    let result = heads.attend(lowering, node, scores)?;
    Ok(vec![if flat { merge_heads(lowering, node, &result)? } else { result }])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Attention", attention);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, declare, floats, graph_of, model, node, random};
    use crate::onnx::{OnnxError, import_model};

    const QUERY: [i64; 4] = [2, 4, 3, 2];
    const KEY: [i64; 4] = [2, 2, 5, 2];
    const VALUE: [i64; 4] = [2, 2, 5, 3];

    /// Three tensors and a mask, which is constant or the fourth input.
    fn graph(mask: Option<TensorProto>, boolean: bool, attributes: Vec<(&str, Attr)>) -> Result<Graph, OnnxError> {
        let names = ["q", "k", "v", if mask.is_some() || boolean { "m" } else { "" }];
        let nodes = vec![node("Attention", &names, "y", attributes)];
        let inputs: [(&str, &[i64]); 3] = [("q", &QUERY), ("k", &KEY), ("v", &VALUE)];
        let mut model = model(&inputs, "y", mask.into_iter().collect(), nodes);
        if boolean {
            graph_of(&mut model).input.push(declare("m", &[3, 5], DataType::Bool));
        }
        model.opset_import[0].version = 25;
        import_model(&model)
    }

    /// By definition, with `added(i, j)` added to the score of query `i` and key `j`, or none if it is left out.
    fn expected(x: &[f64], scale: f64, added: impl Fn(usize, usize) -> Option<f64>) -> Vec<f64> {
        let (q, rest) = x.split_at(48);
        let (k, v) = rest.split_at(40);
        let mut result = vec![];
        for (batch, head, i) in (0..2).flat_map(|b| (0..4).flat_map(move |h| (0..3).map(move |i| (b, h, i)))) {
            let (query, shared) = ((batch * 4 + head) * 3 + i, (batch * 2 + head / 2) * 5);
            let weights: Vec<f64> = (0..5)
                .map(|j| {
                    let dot: f64 = (0..2).map(|e| q[query * 2 + e] * k[(shared + j) * 2 + e]).sum();
                    added(i, j).map_or(0.0, |a| (dot * scale + a).exp())
                })
                .collect();
            let sum = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            result.extend((0..3).map(|e| (0..5).map(|j| weights[j] * v[(shared + j) * 3 + e]).sum::<f64>() / sum));
        }
        result
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    }

    fn inputs() -> Vec<f64> {
        random(48 + 40 + 60, 3).into_iter().map(f64::from).collect()
    }

    #[test]
    fn windows_and_scales() {
        let (x, root) = (inputs(), 0.5f64.sqrt());
        let of = |attributes| graph(None, false, attributes).unwrap().eval(&x);
        assert_close(&of(vec![]), &expected(&x, root, |_, _| Some(0.0)));
        assert_close(&of(vec![("scale", Attr::Float(0.25))]), &expected(&x, 0.25, |_, _| Some(0.0)));
        let seen = |holds: bool| holds.then_some(0.0);
        assert_close(&of(vec![("is_causal", Attr::Int(1))]), &expected(&x, root, |i, j| seen(j <= i)));
        let window = vec![("left_window_size", Attr::Int(1)), ("right_window_size", Attr::Int(2))];
        assert_close(&of(window), &expected(&x, root, |i, j| seen(i <= j + 1 && j <= i + 2)));
    }

    #[test]
    fn masks_of_all_kinds() {
        let (x, root) = (inputs(), 0.5f64.sqrt());
        let added: Vec<f32> = random(15, 9);
        let mask = floats("m", &[3, 5], &added);
        let bias = |i: usize, j: usize| Some(f64::from(added[i * 5 + j]));
        assert_close(&graph(Some(mask), false, vec![]).unwrap().eval(&x), &expected(&x, root, bias));
        // the second query sees nothing
        let kept = |i: usize, j: usize| i != 1 && (i + j).is_multiple_of(2);
        let low = (0..15).map(|n| if kept(n / 5, n % 5) { 0.25 } else { f32::NEG_INFINITY }).collect::<Vec<f32>>();
        let expected = expected(&x, root, |i, j| kept(i, j).then_some(0.25));
        assert_close(&graph(Some(floats("m", &[3, 5], &low)), false, vec![]).unwrap().eval(&x), &expected);
        let booleans = (0..15).map(|n| f64::from(kept(n / 5, n % 5)));
        let all: Vec<f64> = x.iter().copied().chain(booleans).collect();
        assert_close(&graph(None, true, vec![]).unwrap().eval(&all), &expected);
    }

    #[test]
    fn other_forms_are_refused() {
        assert!(graph(None, false, vec![("softcap", Attr::Float(1.0))]).unwrap_err().to_string().contains("softcap"));
        assert!(graph(Some(floats("m", &[2, 5], &[0.0; 10])), false, vec![]).is_err());
    }
}
