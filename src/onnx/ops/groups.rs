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

/// Rows of elements that lie one after the other, none of them empty.
pub(super) struct Rows {
    lengths: Vec<usize>,
    /// The shape of a value with all elements.
    shape: Vec<usize>,
}

pub(super) type Binary = fn(&mut Lowering, &Node, &Value, &Value) -> Result<Value, OnnxError>;

/// What does not change the result of an associative function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Neutral {
    /// The number 1.
    One,
    /// Any number of the same row.
    Any,
}

impl Rows {
    /// Those of a value made by [`Groups::gather`].
    pub fn of(x: &Value) -> Self {
        let (count, size) = match *x.shape() {
            [count, size] => (count, size),
            _ => (x.len(), 1),
        };
        Self { lengths: vec![size; count], shape: vec![count, size] }
    }

    /// Rows of these lengths.
    pub fn of_lengths(lengths: Vec<usize>) -> Self {
        let shape = vec![lengths.iter().sum()];
        Self { lengths, shape }
    }

    /// `factor` times the sum of every row, plus `offset`.
    pub fn sums(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        factor: f64,
        offset: f64,
    ) -> Result<Value, OnnxError> {
        lowering.charge(node.name, self.shape.iter().copied())?;
        let mut rows = AffineBuilder::new(x.len());
        let mut start = 0;
        for len in &self.lengths {
            rows.push((start..start + len).map(|i| (i, factor)).collect(), offset);
            start += len;
        }
        lowering.affine(node, &[x], rows.finish(), vec![self.lengths.len()], x.kind())
    }

    /// One number per row, repeated over the row.
    pub fn spread(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        lowering.charge_shape(node, &self.shape)?;
        let columns = self.lengths.iter().enumerate().flat_map(|(row, &len)| std::iter::repeat_n(row, len)).collect();
        lowering.select(node, x, self.shape.clone(), columns)
    }

    /// `f` over every row, in halves: as many steps as the length of the longest has bits. `f` is associative; what has no partner
    /// in the second half, because the length is odd, gets the neutral element.
    pub fn fold(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        f: Binary,
        neutral: Neutral,
    ) -> Result<Value, OnnxError> {
        let mut lengths = self.lengths.clone();
        let mut x = x.clone();
        while lengths.iter().any(|&len| len > 1) {
            let total = lengths.iter().map(|len| len.div_ceil(2)).sum();
            lowering.charge(node.name, [total, 2])?;
            let mut left = Vec::with_capacity(total);
            let mut right = AffineBuilder::new(x.len());
            let mut start = 0;
            for len in &mut lengths {
                let half = len.div_ceil(2);
                for place in start..start + half {
                    left.push(place);
                    let partner = Some(place + half).filter(|&partner| partner < start + *len);
                    match (partner, neutral) {
                        (Some(partner), _) => right.push(vec![(partner, 1.0)], 0.0),
                        (None, Neutral::One) => right.push(vec![], 1.0),
                        (None, Neutral::Any) => right.push(vec![(place, 1.0)], 0.0),
                    }
                }
                start += *len;
                *len = half;
            }
            let left = lowering.select(node, &x, vec![total], left)?;
            let right = lowering.affine(node, &[&x], right.finish(), vec![total], x.kind())?;
            x = f(lowering, node, &left, &right)?;
        }
        lowering.reshape(node, &x, vec![lengths.len()])
    }

    /// Per row the greatest that its greatest element may be, if no row's is known to be more than `width` below that.
    pub fn greatest_of_narrow(&self, spans: &[(f64, f64)], width: f64) -> Option<Vec<f64>> {
        let mut spans = spans.iter();
        let greatest = |&len: &usize| {
            let none = (f64::NEG_INFINITY, f64::NEG_INFINITY);
            let (least, greatest) = spans.by_ref().take(len).fold(none, |(a, b), &(lo, hi)| (a.max(lo), b.max(hi)));
            (greatest - least <= width).then_some(greatest)
        };
        self.lengths.iter().map(greatest).collect()
    }

    /// The greatest element of every row.
    pub fn maxima(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        self.fold(lowering, node, x, Lowering::maximum, Neutral::Any)
    }
}

/// `max(x, least)` elementwise, for a number that the elements of `x` cannot fall short of but for rounding.
pub(super) fn at_least(lowering: &mut Lowering, node: &Node, x: &Value, least: f64) -> Result<Value, OnnxError> {
    let least = super::common::filled(lowering, node, x.shape(), Kind::Float, least)?;
    lowering.maximum(node, x, &least)
}
