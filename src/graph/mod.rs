//! Shapes, tensors, the float graph and the integer model with its interpreter.
//!
//! The importer lowers ONNX to a [`Graph`] of few core operators in `f64`; quantisation turns that into an
//! [`IntegerModel`] whose interpreter is the specification of everything that is proved.

mod activations;
pub mod affine;
mod bilinear;
mod centred;
mod centring;
mod conjunction;
pub mod digest;
pub mod float;
mod fold;
pub mod function;
pub mod integer;
pub mod interval;
mod norms;
pub mod packing;
mod parts;
mod ranges;
mod repeated;
mod spans;
mod weighted_means;

pub use affine::AffineBuilder;
pub use conjunction::Conjunction;
pub use digest::{Digest, Salt};
pub use float::{Affine, Comparison, FloatNode, FloatOp, Graph, GraphInput, Rounding};
pub use function::Function;
pub use integer::{Feature, IntegerModel, IntegerNode, MAX_ELEMENTS, Output, Trace};
pub use interval::{Interval, MAX_BITS};
pub use packing::{PUBLIC_INPUTS, PackedInput};
pub use spans::Spans;
