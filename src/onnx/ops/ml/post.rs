//! What follows raw scores: the transforms by name, greatest elements of rows.

use crate::graph::{AffineBuilder, FloatOp, Function};
use crate::onnx::OnnxError;
use crate::onnx::lower::{Lowering, Node, Value};
use crate::onnx::tensor::Kind;

/// The attribute `post_transform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostTransform {
    None,
    Softmax,
    Logistic,
}

impl PostTransform {
    pub fn of(node: &Node) -> Result<Self, OnnxError> {
        match node.string("post_transform")?.as_deref() {
            None | Some("NONE") => Ok(Self::None),
            Some("SOFTMAX") => Ok(Self::Softmax),
            Some("LOGISTIC") => Ok(Self::Logistic),
            Some(other) => Err(node.unsupported(&format!("post_transform {other}"), "NONE, SOFTMAX and LOGISTIC are")),
        }
    }

    /// The transform of scores of shape `[rows, classes]`.
    pub fn apply(self, lowering: &mut Lowering, node: &Node, scores: Value) -> Result<Value, OnnxError> {
        match self {
            Self::None => Ok(scores),
            Self::Softmax => softmax(lowering, node, &scores),
            Self::Logistic => lowering.function(node, Function::Sigmoid, &scores),
        }
    }

    /// The transform of regressions; of a single one implementations differ in whether there is any.
    pub fn apply_to_targets(self, lowering: &mut Lowering, node: &Node, targets: Value) -> Result<Value, OnnxError> {
        if self != Self::None && targets.shape().last() == Some(&1) {
            return Err(node.unsupported("post_transform", "with one target implementations differ in its meaning"));
        }
        self.apply(lowering, node, targets)
    }

    /// The scores `[rows, 2]` of two classes from the `[rows, 1]` scores `p` of the second. With a logistic they are
    /// `sigmoid(-p), sigmoid(p)`, else `complement - p, p`.
    pub fn of_one_column(
        self,
        lowering: &mut Lowering,
        node: &Node,
        p: &Value,
        complement: f64,
    ) -> Result<Value, OnnxError> {
        let offset = match self {
            Self::None => complement,
            Self::Logistic => 0.0,
            Self::Softmax => {
                return Err(node.unsupported("post_transform SOFTMAX", "there is one column of scores for two classes"));
            }
        };
        lowering.charge(node.name, [p.len(), 2])?;
        let mut rows = AffineBuilder::new(p.len());
        for i in 0..p.len() {
            rows.push(vec![(i, -1.0)], offset);
            rows.push(vec![(i, 1.0)], 0.0);
        }
        let both = lowering.affine(node, &[p], rows.finish(), vec![p.len(), 2], Kind::Float)?;
        self.apply(lowering, node, both)
    }
}

/// `exp(x - max) / sum of exp(x - max)` over the rows of a matrix. That `max - x` is at least 0 and the sum at least 1 is
/// said by `max(., 0)`, which changes nothing, for intervals cannot tell.
fn softmax(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let greatest = greatest(lowering, node, x)?;
    let greatest = lowering.broadcast_to(node, &greatest, x.shape())?;
    let distance = lowering.combination(node, &[(&greatest, 1.0), (x, -1.0)], 0.0)?;
    let distance = lowering.relu(node, &distance)?;
    let exponent = lowering.scaled(node, &distance, |_| -1.0, |_| 0.0)?;
    let powers = lowering.function(node, Function::Exp, &exponent)?;
    let sum = row_sums(lowering, node, &powers)?;
    let excess = lowering.scaled(node, &sum, |_| 1.0, |_| -1.0)?;
    let excess = lowering.relu(node, &excess)?;
    let sum = lowering.scaled(node, &excess, |_| 1.0, |_| 1.0)?;
    let sum = lowering.broadcast_to(node, &sum, x.shape())?;
    lowering.quotient(node, &powers, &sum)
}

/// Whether `x` is what [`PostTransform::Softmax`] made of the scores of a classifier: its rows sum to 1.
pub(super) fn is_softmax(lowering: &Lowering, x: &Value) -> bool {
    let Value::Activation(activation) = x else { return false };
    let producer = lowering.producer(activation.id);
    producer.is_some_and(|p| p.op == FloatOp::Quotient && p.onnx_op.ends_with("Classifier"))
}

/// The sums of the rows of a matrix, in shape `[rows, 1]`.
pub(super) fn row_sums(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    let (rows, columns) = dimensions(node, x)?;
    lowering.charge(node.name, [x.len()])?;
    let mut map = AffineBuilder::new(x.len());
    (0..rows).for_each(|r| map.push((0..columns).map(|c| (r * columns + c, 1.0)).collect(), 0.0));
    lowering.affine(node, &[x], map.finish(), vec![rows, 1], Kind::Float)
}

/// The greatest element of every row of a matrix, in shape `[rows, 1]`.
pub(super) fn greatest(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    fold_columns(lowering, node, x, |lowering, a, b| lowering.maximum(node, a, b))
}

/// The columns of a matrix folded by an idempotent operator, by pairs of neighbours; the result is `[rows, 1]`.
pub(super) fn fold_columns(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    pair: impl Fn(&mut Lowering, &Value, &Value) -> Result<Value, OnnxError>,
) -> Result<Value, OnnxError> {
    let mut x = x.clone();
    while let (_, 2..) = dimensions(node, &x)? {
        let (left, right) = neighbours(lowering, node, &x)?;
        x = pair(lowering, &left, &right)?;
    }
    Ok(x)
}

/// The columns `0, 2, 4, ...` and those after them; a last one without neighbour is its own.
pub(super) fn neighbours(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<(Value, Value), OnnxError> {
    let (rows, columns) = dimensions(node, x)?;
    let half = columns.div_ceil(2);
    let mut side = |shift: usize| {
        lowering.charge_shape(node, &[rows, half])?;
        let column = |r: usize| (0..half).map(move |i| r * columns + (2 * i + shift).min(columns - 1));
        lowering.select(node, x, vec![rows, half], (0..rows).flat_map(column).collect())
    };
    Ok((side(0)?, side(1)?))
}

/// Rows and columns of a matrix that has both.
fn dimensions(node: &Node, x: &Value) -> Result<(usize, usize), OnnxError> {
    match *x.shape() {
        [rows, columns] if columns > 0 => Ok((rows, columns)),
        _ => Err(node.unsupported("its scores", &format!("a matrix is needed, their shape is {:?}", x.shape()))),
    }
}
