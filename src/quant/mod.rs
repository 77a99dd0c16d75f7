//! Quantisation: data files, the input domain, scales, the integer model and its accuracy.

pub mod architecture;
pub mod audit;
mod build;
mod csv;
mod deferred;
pub mod domain;
pub mod error;
#[cfg(test)]
mod general_tests;
pub mod input;
mod nonlinear;
mod npy;
pub mod precisions;
pub mod problems;
pub mod quantise;
mod scales;
mod segments;
mod sensitivity;
#[cfg(test)]
mod tests;

pub use architecture::{Architecture, Weights};
pub use audit::{Accuracy, audit};
pub use domain::{DeclaredFeature, Domain, DomainFile, DomainSource};
pub use error::{DataError, InputError, QuantError};
pub use input::{CalibrationData, read_input};
pub use precisions::{AtPrecision, Measured, TensorError, at_precisions};
pub use problems::quantise_all;
pub use quantise::{QuantOptions, Quantised, quantise};
