//! Attention: softmax of scaled products of queries and keys, times values.
//!
//! What a mask leaves out never enters the softmax, so that no stand-in for minus infinity spoils its precision.

use super::common::float;
use super::grid::permuted;
use super::softmax::of_rows;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::broadcast;
use crate::onnx::tensor::Kind;
use crate::ops::Product;

/// Scores to which a constant of at most this is added are left out: half the least number of single precision.
const EXCLUDED: f64 = f32::MIN as f64 / 2.0;

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
    /// Leaves out the keys after a query.
    pub causal: bool,
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
        if self.causal {
            let [.., rows, columns] = *full;
            let kept = |i: usize| f64::from(u8::from(i % columns <= i / columns % rows));
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
        if node.proto.attribute.iter().any(|a| a.name == name && (a.i != 0 || a.f != 0.0 || !a.ints.is_empty())) {
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
        false => Heads { query: query.clone(), key: key.clone(), value: value.clone() },
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
    let scores = Scores { scale: node.float("scale")?, bias, mask, causal: node.flag("is_causal")? };
    let result = heads.attend(lowering, node, scores)?;
    Ok(vec![if flat { merge_heads(lowering, node, &result)? } else { result }])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Attention", attention);
}
