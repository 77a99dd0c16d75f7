//! The halo2 side: columns and gates, the builder that lays out rows, the whole model's layout.
//!
//! # The `general` layout
//!
//! One advice column `a` holds every witness cell, one above the other; gas counts columns, so there is exactly one. Two
//! fixed columns steer it: `w` (weights, and the variant of a row) and `q` (a row is quadratic or linear). One permutation
//! column ties copies of a cell together. Two instance columns are never committed: the verifier evaluates them itself,
//! `parity` from its closed form and `public` from the public values.
//!
//! See [`config`] for the three gate polynomials and [`builder`] for the gadgets made of them.
//!
//! # The `periodic` layout
//!
//! One advice and one fixed column, no permutation: less gas, more rows. See [`periodic`].
//!
//! # The `phased` layout
//!
//! Two advice columns in two phases, ranges by look-ups: more gas, a fraction of the rows. See [`phased`].

pub mod builder;
pub mod config;
pub mod digest;
pub mod gadgets;
pub mod laid_out;
pub mod model;
pub mod periodic;
pub mod phased;
pub mod shape;
#[cfg(test)]
pub mod testing;

pub use builder::Builder;
pub use config::GeneralConfig;
pub use gadgets::{Expr, Gadgets, OneHot, Tabled, Valued, field, unsigned};
pub use laid_out::{Decisions, LaidOut, Layout};
pub use model::ModelCircuit;
pub use periodic::{NotPeriodic, PeriodicCircuit};
pub use phased::PhasedCircuit;
pub use shape::{InstanceColumn, Periodic, Preprocessed, PublicRow, PublicRun, Shape, Witness, domain_generator};
