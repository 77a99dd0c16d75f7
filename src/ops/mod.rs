//! Core operators: one file each, with its integer semantics, range rule, constraints and tests side by side.
//!
//! Every operator of an ONNX model lowers to these. The semantics here is the only one: the circuit's witness is the
//! trace of [`Op::eval`], and the intervals of [`Op::bounds`] are what the circuit's range checks are sized by.

mod linear;
mod relu;
mod rescale;

pub use rescale::Rescale;

use ff::PrimeField;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    circuit::{Builder, Expr},
    graph::{Affine, Interval, MAX_BITS},
};

/// A range that cannot be proved safe.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("element {element} can reach magnitude 2^{bits}, the limit is 2^{limit}")]
pub struct BoundError {
    /// Flat index of the output element.
    pub element: usize,
    /// Bits that its largest magnitude needs (128 stands for 128 or more).
    pub bits: u32,
    pub limit: u32,
}

impl BoundError {
    fn new(element: usize, magnitude: Option<u128>) -> Self {
        let bits = magnitude.map_or(128, |m| 128 - m.leading_zeros());
        Self { element, bits, limit: MAX_BITS }
    }
}

/// A core operator over flattened integer tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// `y = W x + b` over the concatenation of the inputs.
    Linear(Affine<i64, i128>),
    /// `y = max(x, 0)`, elementwise.
    Relu,
    /// `y = floor((x + 2^(shift-1)) / 2^shift)`, elementwise: division by a power of two, halves rounded up.
    Rescale(Rescale),
}

impl Op {
    /// The operator's name in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Linear(_) => "linear",
            Op::Relu => "relu",
            Op::Rescale(_) => "rescale",
        }
    }

    /// Whether the operator's parameters are valid for inputs of `len` elements together.
    pub fn accepts(&self, len: usize) -> bool {
        match self {
            Op::Linear(map) => linear::accepts(map, len),
            Op::Relu => true,
            Op::Rescale(rescale) => (1..MAX_BITS).contains(&rescale.shift),
        }
    }

    /// Exact semantics. `inputs` are flattened tensors whose elements lie in the ranges given to [`Op::bounds`].
    pub fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        match self {
            Op::Linear(map) => linear::eval(map, inputs),
            Op::Relu => relu::eval(inputs),
            Op::Rescale(rescale) => rescale.eval(inputs),
        }
    }

    /// Interval of every output element, given those of the inputs.
    pub fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        match self {
            Op::Linear(map) => linear::bounds(map, inputs),
            Op::Relu => Ok(relu::bounds(inputs)),
            Op::Rescale(rescale) => rescale.bounds(inputs),
        }
    }

    /// Constrain the output and return it, one expression per element.
    ///
    /// `inputs`, `values` and `ranges` are the concatenated input tensors: as laid out, as witnessed, and as proved. What
    /// is laid out depends on `ranges` and on the operator only.
    pub fn lay_out<F: PrimeField>(
        &self,
        builder: &mut Builder<F>,
        inputs: &[Expr<F>],
        values: &[i128],
        ranges: &[Interval],
    ) -> Vec<Expr<F>> {
        let elements = || inputs.iter().zip(values).zip(ranges).map(|((x, &value), &range)| (x, value, range));
        match self {
            Op::Linear(map) => linear::lay_out(map, inputs),
            Op::Relu => elements().map(|(x, value, range)| relu::lay_out(builder, x, value, range)).collect(),
            Op::Rescale(op) => elements().map(|(x, value, range)| op.lay_out(builder, x, value, range)).collect(),
        }
    }
}
