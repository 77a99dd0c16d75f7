//! The registry of lowerings: one file per operator family, each with a `register` function at its end.
//!
//! A lowering gets a [`Node`] with its inputs resolved and returns the values of its outputs, in order; trailing ones
//! that no supported model reads (a dropout mask) may be left out. Most call [`Lowering::affine`], which also folds
//! constants, so that no lowering treats constant inputs as a special case.

mod activation;
mod attention;
mod bits;
mod cast;
mod col2im;
mod common;
mod compare;
mod constant;
mod contrib;
mod control;
mod convolution;
mod determinant;
mod einsum;
mod elementwise;
mod gather;
mod grid;
mod groups;
mod index;
mod mask;
mod matmul;
mod ml;
mod normalise;
mod order;
mod pad;
mod passthrough;
mod pool;
mod power;
mod quantised;
mod recurrent;
mod reduce;
mod resize;
mod rotary;
mod scatter;
mod shape;
mod slice;
mod softmax;
#[cfg(test)]
mod testing;
mod unary;
mod window;

use std::collections::BTreeMap;

use super::OnnxError;
use super::lower::{Lowering, Node, Value};

type Lower = fn(&mut Lowering, &Node) -> Result<Vec<Value>, OnnxError>;

/// Lowerings by operator name.
#[derive(Default)]
pub(super) struct Registry(BTreeMap<&'static str, Lower>);

impl Registry {
    /// Every supported operator.
    pub fn new() -> Self {
        let mut registry = Self::default();
        activation::register(&mut registry);
        attention::register(&mut registry);
        bits::register(&mut registry);
        cast::register(&mut registry);
        col2im::register(&mut registry);
        compare::register(&mut registry);
        constant::register(&mut registry);
        contrib::register(&mut registry);
        control::register(&mut registry);
        convolution::register(&mut registry);
        determinant::register(&mut registry);
        einsum::register(&mut registry);
        elementwise::register(&mut registry);
        gather::register(&mut registry);
        index::register(&mut registry);
        matmul::register(&mut registry);
        ml::register(&mut registry);
        normalise::register(&mut registry);
        order::register(&mut registry);
        pad::register(&mut registry);
        passthrough::register(&mut registry);
        pool::register(&mut registry);
        power::register(&mut registry);
        quantised::register(&mut registry);
        recurrent::register(&mut registry);
        reduce::register(&mut registry);
        resize::register(&mut registry);
        rotary::register(&mut registry);
        scatter::register(&mut registry);
        shape::register(&mut registry);
        slice::register(&mut registry);
        softmax::register(&mut registry);
        unary::register(&mut registry);
        registry
    }

    fn add(&mut self, operator: &'static str, lower: Lower) {
        self.0.insert(operator, lower);
    }

    pub fn get(&self, operator: &str) -> Option<Lower> {
        self.0.get(operator).copied()
    }

    /// Names of all supported operators, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}
