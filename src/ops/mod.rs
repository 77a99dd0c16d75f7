//! Core operators: one file each, with its integer semantics, range rule, constraints and tests side by side.
//!
//! Every operator of an ONNX model lowers to these. The semantics here is the only one: the circuit's witness is the
//! trace of [`Op::eval`], and the intervals of [`Op::bounds`] are what the circuit's range checks are sized by.

mod divide;
mod linear;
mod one_hot;
mod piecewise;
mod product;
mod relu;
mod rescale;
mod root;
mod square;
mod weighted;

pub use divide::Divide;
pub use one_hot::OneHot;
pub use piecewise::{Piecewise, Segment};
pub use product::Product;
pub use rescale::Rescale;
pub use root::Root;
pub use weighted::Weighted;

use ff::PrimeField;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    circuit::{Expr, Gadgets, field},
    graph::{Affine, Interval, MAX_BITS},
};

/// A range that cannot be proved safe.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("element {element} {reason}")]
pub struct BoundError {
    /// Flat index of the output element.
    pub element: usize,
    pub reason: BoundReason,
}

/// What the domain does not rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BoundReason {
    /// 128 bits stand for 128 or more.
    #[error("can reach magnitude 2^{bits}, the limit is 2^{MAX_BITS}")]
    Overflow { bits: u32 },
    #[error("may be divided by zero or by a negative number")]
    DivisorNotPositive,
    #[error("may be the square root of a negative number")]
    NegativeRoot,
    #[error("may read an index outside of [0, {depth})")]
    IndexOutside { depth: usize },
    #[error("may leave the segments of its function")]
    OutsideTable,
}

impl BoundError {
    fn overflow(element: usize, magnitude: Option<u128>) -> Self {
        let bits = magnitude.map_or(128, |m| 128 - m.leading_zeros());
        Self { element, reason: BoundReason::Overflow { bits } }
    }
}

/// A core operator over flattened integer tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// `y = W x + b` over the concatenation of the inputs.
    Linear(Affine<i64, i128>),
    /// The same with weights that a commitment among the public values names.
    Weighted(Weighted),
    /// `y = max(x, 0)`, elementwise.
    Relu,
    /// `y = floor((x + 2^(shift-1)) / 2^shift)`, elementwise: division by a power of two, halves rounded up.
    Rescale(Rescale),
    /// `y = x^2`, elementwise.
    Square,
    /// Sums of products of two tensors.
    Product(Product),
    /// A function by quadratic segments, elementwise.
    Piecewise(Piecewise),
    /// The quotient of two tensors, elementwise.
    Divide(Divide),
    /// The square root, elementwise.
    Root(Root),
    /// One-hot encoding of every element.
    OneHot(OneHot),
}

impl Op {
    /// The operator's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Linear(_) => "linear",
            Op::Weighted(_) => "linear with committed weights",
            Op::Relu => "relu",
            Op::Rescale(_) => "rescale",
            Op::Square => "square",
            Op::Product(_) => "product",
            Op::Piecewise(_) => "piecewise",
            Op::Divide(_) => "divide",
            Op::Root(_) => "root",
            Op::OneHot(_) => "one-hot",
        }
    }

    /// The affine map, of operators that have one.
    pub fn affine(&self) -> Option<&Affine<i64, i128>> {
        match self {
            Op::Linear(map) | Op::Weighted(Weighted { map, .. }) => Some(map),
            _ => None,
        }
    }

    /// Whether the operator's parameters are valid for inputs of `len` elements together.
    pub fn accepts(&self, len: usize) -> bool {
        match self {
            Op::Linear(map) => linear::accepts(map, len),
            Op::Weighted(weighted) => weighted.accepts(len),
            Op::Relu | Op::Square => true,
            Op::Rescale(rescale) => (1..MAX_BITS).contains(&rescale.shift),
            Op::Product(product) => product.accepts(len),
            Op::Piecewise(piecewise) => piecewise.accepts(),
            Op::Divide(divide) => divide.accepts(len),
            Op::Root(root) => root.accepts(),
            Op::OneHot(one_hot) => one_hot.accepts(len),
        }
    }

    /// Exact semantics. `inputs` are flattened tensors whose elements lie in the ranges given to [`Op::bounds`].
    pub fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        match self {
            Op::Linear(map) => linear::eval(map, inputs),
            Op::Weighted(weighted) => weighted.eval(inputs),
            Op::Relu => relu::eval(inputs),
            Op::Rescale(rescale) => rescale.eval(inputs),
            Op::Square => square::eval(inputs),
            Op::Product(product) => product.eval(inputs),
            Op::Piecewise(piecewise) => piecewise.eval(inputs),
            Op::Divide(divide) => divide.eval(inputs),
            Op::Root(root) => root.eval(inputs),
            Op::OneHot(one_hot) => one_hot.eval(inputs),
        }
    }

    /// Interval of every output element, given those of the inputs.
    pub fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        match self {
            Op::Linear(map) => linear::bounds(map, inputs),
            Op::Weighted(weighted) => weighted.bounds(inputs),
            Op::Relu => Ok(relu::bounds(inputs)),
            Op::Rescale(rescale) => rescale.bounds(inputs),
            Op::Square => square::bounds(inputs),
            Op::Product(product) => product.bounds(inputs),
            Op::Piecewise(piecewise) => piecewise.bounds(inputs),
            Op::Divide(divide) => divide.bounds(inputs),
            Op::Root(root) => root.bounds(inputs),
            Op::OneHot(one_hot) => one_hot.bounds(inputs),
        }
    }

    /// Constrain the output and return it, one expression per element.
    ///
    /// `inputs`, `values` and `ranges` are the concatenated input tensors: as laid out, as witnessed, and as proved. What
    /// is laid out depends on `ranges` and on the operator only.
    pub fn lay_out<F: PrimeField>(
        &self,
        gadgets: &mut impl Gadgets<F>,
        inputs: &[Expr<F>],
        values: &[i128],
        ranges: &[Interval],
    ) -> Vec<Expr<F>> {
        let elements = || inputs.iter().zip(values).zip(ranges).map(|((x, &value), &range)| (x, value, range));
        match self {
            Op::Linear(map) => {
                let factors: Vec<_> = inputs.iter().zip(values).map(|(x, &value)| (x, field(value))).collect();
                gadgets.linear(map, &factors, ranges)
            }
            Op::Weighted(weighted) => weighted.lay_out(gadgets, inputs, values, ranges),
            Op::Relu => elements().map(|(x, value, range)| relu::lay_out(gadgets, x, value, range)).collect(),
            Op::Rescale(op) => elements().map(|(x, value, range)| op.lay_out(gadgets, x, value, range)).collect(),
            Op::Square => elements().map(|(x, value, _)| gadgets.square(x, field(value))).collect(),
            Op::Product(product) => product.lay_out(gadgets, inputs, values),
            Op::Piecewise(op) => elements().map(|(x, value, range)| op.lay_out(gadgets, x, value, range)).collect(),
            Op::Divide(op) => {
                let half = inputs.len() / 2;
                let pair = |i: usize| {
                    let j = half + i;
                    op.lay_out(gadgets, (&inputs[i], &inputs[j]), (values[i], values[j]), (ranges[i], ranges[j]))
                };
                (0..half).map(pair).collect()
            }
            Op::Root(op) => elements().map(|(x, value, range)| op.lay_out(gadgets, x, value, range)).collect(),
            Op::OneHot(op) => elements().flat_map(|(x, value, range)| op.lay_out(gadgets, x, value, range)).collect(),
        }
    }
}
