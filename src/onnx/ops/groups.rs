//! Groups of elements: a tensor as a matrix whose rows are reduced or normalised, and back.

use super::{Lowering, Node, OnnxError, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{offsets, strides};
use crate::onnx::tensor::Kind;

/// A tensor's elements by group: a group's elements differ in the index of some axes only.
pub(super) struct Groups {
    shape: Vec<usize>,
    /// Number of groups.
    pub count: usize,
    /// Elements per group.
    pub size: usize,
    /// Place in the tensor of each element of each group; `None` if they lie in order.
    order: Option<Vec<usize>>,
}

impl Groups {
    /// The groups along `axes`, which are distinct axes of `shape`.
    pub fn new(lowering: &mut Lowering, node: &Node, shape: &[usize], axes: &[usize]) -> Result<Self, OnnxError> {
        lowering.charge_shape(node, shape)?;
        let (along, mut axes_in_order): (Vec<usize>, Vec<usize>) = (0..shape.len()).partition(|a| axes.contains(a));
        let size = along.iter().map(|&a| shape[a]).product();
        let count = axes_in_order.iter().map(|&a| shape[a]).product();
        axes_in_order.extend(along);
        let own = strides(shape);
        let permuted: Vec<usize> = axes_in_order.iter().map(|&a| shape[a]).collect();
        let steps: Vec<usize> = axes_in_order.iter().map(|&a| own[a]).collect();
        let order = (!axes_in_order.is_sorted()).then(|| offsets(&permuted, &steps));
        Ok(Self { shape: shape.to_vec(), count, size, order })
    }

    /// `x` as a matrix with one row per group.
    pub fn gather(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        let shape = vec![self.count, self.size];
        match &self.order {
            None => lowering.reshape(node, x, shape),
            Some(order) => lowering.select(node, x, shape, order.clone()),
        }
    }

    /// The inverse of [`Self::gather`].
    pub fn scatter(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        let Some(order) = &self.order else { return lowering.reshape(node, x, self.shape.clone()) };
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &place)| places[place] = i);
        lowering.select(node, x, self.shape.clone(), places)
    }
}

/// Rows and columns of a value made by [`Groups::gather`].
fn dimensions(x: &Value) -> (usize, usize) {
    match *x.shape() {
        [count, size] => (count, size),
        _ => (x.len(), 1),
    }
}

/// `factor` times the sum of every row, plus `offset`.
pub(super) fn row_sums(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    factor: f64,
    offset: f64,
) -> Result<Value, OnnxError> {
    let (count, size) = dimensions(x);
    lowering.charge(node.name, [count, size])?;
    let mut rows = AffineBuilder::new(x.len());
    (0..count).for_each(|i| rows.push((0..size).map(|j| (i * size + j, factor)).collect(), offset));
    lowering.affine(node, &[x], rows.finish(), vec![count], x.kind())
}

/// One number per row, repeated over `size` columns.
pub(super) fn spread(lowering: &mut Lowering, node: &Node, x: &Value, size: usize) -> Result<Value, OnnxError> {
    let count = x.len();
    lowering.charge_shape(node, &[count, size])?;
    let columns = (0..count).flat_map(|i| std::iter::repeat_n(i, size)).collect();
    lowering.select(node, x, vec![count, size], columns)
}

pub(super) type Binary = fn(&mut Lowering, &Node, &Value, &Value) -> Result<Value, OnnxError>;

/// `f` over every row, in halves: as many steps as the number of columns has bits. `f` is associative; where the
/// number of columns is odd the halves have as many columns nevertheless, and `neutral` is put in.
pub(super) fn fold_rows(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    f: Binary,
    neutral: Neutral,
) -> Result<Value, OnnxError> {
    let (count, mut size) = dimensions(x);
    let mut x = x.clone();
    while size > 1 {
        let half = size.div_ceil(2);
        lowering.charge(node.name, [count, half, 2])?;
        let columns = (0..count).flat_map(|i| (0..half).map(move |j| i * size + j)).collect();
        let left = lowering.select(node, &x, vec![count, half], columns)?;
        let mut rows = AffineBuilder::new(x.len());
        for (i, j) in (0..count).flat_map(|i| (0..half).map(move |j| (i, j))) {
            // the second half ends with the last column; if their number is odd it begins with the last of the first
            let column = size - half + j;
            match neutral {
                Neutral::One if column < half => rows.push(vec![], 1.0),
                _ => rows.push(vec![(i * size + column, 1.0)], 0.0),
            }
        }
        let right = lowering.affine(node, &[&x], rows.finish(), vec![count, half], x.kind())?;
        x = f(lowering, node, &left, &right)?;
        size = half;
    }
    lowering.reshape(node, &x, vec![count])
}

/// What does not change the result of an associative function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Neutral {
    /// The number 1.
    One,
    /// Any number of the same row.
    Any,
}

/// The greatest element of every row.
pub(super) fn row_maxima(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
    fold_rows(lowering, node, x, Lowering::maximum, Neutral::Any)
}

/// `max(x, least)` elementwise, for a number that the elements of `x` cannot fall short of but for rounding.
pub(super) fn at_least(lowering: &mut Lowering, node: &Node, x: &Value, least: f64) -> Result<Value, OnnxError> {
    let least = super::common::filled(lowering, node, x.shape(), Kind::Float, least)?;
    lowering.maximum(node, x, &least)
}
