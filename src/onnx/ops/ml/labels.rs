//! Class labels, and LabelEncoder, which maps integers to numbers.

use super::post::neighbours;
use super::{Lowering, Node, OnnxError, Registry, Value, check_len, numbers};
use crate::graph::{AffineBuilder, Comparison};
use crate::onnx::tensor::{Constant, Kind};

/// The labels of the classes; those that are strings count from 0.
pub(super) struct Classes(Vec<f64>);

impl Classes {
    /// From the attributes of these names, of which one must be given.
    pub fn of(node: &Node, integers: &str, strings: &str) -> Result<Self, OnnxError> {
        let (given, names) = (node.ints(integers)?.unwrap_or_default(), node.strings(strings)?);
        let labels = match (given.is_empty(), names.len()) {
            (false, 0) => given.iter().map(|&v| v as f64).collect(),
            (true, 1..) => (0..names.len()).map(|i| i as f64).collect(),
            _ => {
                let what = format!("attributes {integers} and {strings}");
                return Err(node.unsupported(&what, "one of them must be given, and not both"));
            }
        };
        // No label beyond 2^53, where they would no longer be exact.
        let labels = Constant::new(node.name, vec![given.len().max(names.len())], Kind::Integer, labels)?;
        Ok(Self(labels.data))
    }

    /// The last class first.
    pub fn reversed(&self) -> Self {
        Self(self.0.iter().rev().copied().collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Per row of `scores` the label of its greatest element, the first of equal ones.
    ///
    /// Neighbours compete: `c = [b > a]`, the label is `la + c (lb - la)` and the score `max(a, b)`.
    pub fn of_greatest(&self, lowering: &mut Lowering, node: &Node, scores: &Value) -> Result<Value, OnnxError> {
        let rows = scores.shape().first().copied().unwrap_or(1);
        lowering.charge_shape(node, scores.shape())?;
        let all = self.0.iter().copied().cycle().take(scores.len()).collect();
        let mut labels = lowering.constant(node, scores.shape().to_vec(), Kind::Integer, all)?;
        let mut scores = scores.clone();
        while scores.len() > rows {
            let (a, b) = neighbours(lowering, node, &scores)?;
            let (la, lb) = neighbours(lowering, node, &labels)?;
            let lead = lowering.combination(node, &[(&b, 1.0), (&a, -1.0)], 0.0)?;
            let wins = lowering.compare(node, Comparison::Above, &lead)?.with_kind(Kind::Integer);
            let step = lowering.combination(node, &[(&lb, 1.0), (&la, -1.0)], 0.0)?;
            let step = lowering.product(node, &wins, &step)?;
            labels = lowering.combination(node, &[(&la, 1.0), (&step, 1.0)], 0.0)?;
            scores = match a.len() > rows {
                true => lowering.maximum(node, &a, &b)?,
                false => a,
            };
        }
        lowering.reshape(node, &labels, vec![rows])
    }

    /// Of two classes the second where `p`, in shape `[rows, 1]`, is above `threshold`, else the first.
    pub fn of_one_column(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        p: &Value,
        threshold: f64,
    ) -> Result<Value, OnnxError> {
        let &[first, second] = self.0.as_slice() else {
            return Err(node.unsupported("its classes", "one column of scores is for two classes"));
        };
        let excess = lowering.scaled(node, p, |_| 1.0, |_| -threshold)?;
        let positive = lowering.compare(node, Comparison::Above, &excess)?.with_kind(Kind::Integer);
        let label = lowering.scaled(node, &positive, |_| second - first, |_| first)?;
        lowering.reshape(node, &label, vec![p.len()])
    }
}

/// `default + sum over the keys k of [x = k] (value of k - default)`.
fn label_encoder(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let what = format!("an attribute of node {}", node.name);
    let tensor = |name: &str| node.tensor(name)?.map(|t| Constant::decode(&what, t)).transpose();
    let list = |name: &str| -> Result<Option<Vec<f64>>, OnnxError> {
        Ok(node.ints(name)?.filter(|l| !l.is_empty()).map(|l| l.iter().map(|&v| v as f64).collect()))
    };
    let keys = match (list("keys_int64s")?, tensor("keys_tensor")?) {
        (Some(keys), None) => Constant::new(&what, vec![keys.len()], Kind::Integer, keys)?.data,
        (None, Some(keys)) if keys.kind == Kind::Integer => keys.data,
        _ => return Err(node.unsupported("its keys", "they must be integers")),
    };
    let (values, kind, default) =
        match (list("values_int64s")?, numbers(node, "values_floats")?, tensor("values_tensor")?) {
            (Some(values), None, None) => {
                // those of other types of values
                node.ignore(&["default_float", "default_string"]);
                (values, Kind::Integer, node.int("default_int64")?.map_or(-1.0, |v| v as f64))
            }
            (None, Some(values), None) => {
                node.ignore(&["default_int64", "default_string"]);
                (values, Kind::Float, node.float("default_float")?.unwrap_or(0.0))
            }
            (None, None, Some(values)) => {
                let fallback = if values.kind == Kind::Integer { -1.0 } else { 0.0 };
                let default = tensor("default_tensor")?.and_then(|d| d.data.first().copied()).unwrap_or(fallback);
                (values.data, values.kind, default)
            }
            _ => return Err(node.unsupported("its values", "they must be integers or floats")),
        };
    check_len(node, "of values", values.len(), keys.len())?;
    let values = Constant::new(&what, vec![values.len()], kind, values)?.data;
    Constant::new(&what, vec![1], kind, vec![default])?;
    let equal = equalities(lowering, node, x, &keys)?;
    let mut rows = AffineBuilder::new(equal.len());
    for i in 0..x.len() {
        rows.push(values.iter().enumerate().map(|(k, v)| (i * keys.len() + k, v - default)).collect(), default);
    }
    Ok(vec![lowering.affine(node, &[&equal], rows.finish(), x.shape().to_vec(), kind)?])
}

/// Per element of the integers `x` whether it equals each of the `keys`, which must differ, along a new last axis.
pub(super) fn equalities(lowering: &mut Lowering, node: &Node, x: &Value, keys: &[f64]) -> Result<Value, OnnxError> {
    if x.kind() != Kind::Integer {
        return Err(node.unsupported("its element type", "integers are needed, whose equality is exact"));
    }
    let mut sorted = keys.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.windows(2).any(|w| w[0] == w[1]) {
        return Err(node.unsupported("its keys", "one of them is given twice"));
    }
    let shape: Vec<usize> = x.shape().iter().copied().chain([keys.len()]).collect();
    lowering.charge_shape(node, &shape)?;
    let mut rows = AffineBuilder::new(x.len());
    (0..x.len()).for_each(|i| keys.iter().for_each(|key| rows.push(vec![(i, 1.0)], -key)));
    let difference = lowering.affine(node, &[x], rows.finish(), shape, Kind::Integer)?;
    lowering.compare(node, Comparison::Equal, &difference)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::LabelEncoder", label_encoder);
}
