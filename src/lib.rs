//! Hallmark compiles an ONNX model into a halo2 circuit and emits a Solidity verifier: proof that the approved model gave
//! this output, for the price of one transaction.
//!
//! The stages, each a module, in the order of the data:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`onnx`] | imports a model into a float graph |
//! | [`graph`] | the float graph, the integer model and its interpreter |
//! | [`quant`] | scales, input domain, accuracy: from the float graph to the integer model |
//! | [`ops`] | core operators: integer semantics, ranges, constraints |
//! | [`circuit`] | columns, gates and gadgets on halo2 |
//! | [`poseidon`] | the hash of digests, for circuits and numbers alike |
//! | [`problem`] | what stands in the way, as plain data |
//! | [`plan`] | the choice of layout and curve, by estimated gas |
//! | [`proof`] | setups, keys, transcript, prover, native verifier |
//! | [`solidity`] | the verifier contract and its calldata |
//! | [`chain`] | solc, anvil, gas from receipts; deployment and submission to any chain |
//! | [`gas`] | the contract in process: what every part of it costs |
//! | [`project`] | all of it together: compile to a folder, open the folder, prove, verify |
//! | [`stages`], [`svg`] | what proving takes the time for, and pictures |
//!
//! # Example
//!
//! ```no_run
//! use hallmark::{
//!     project::{CompileOptions, Project, compile},
//!     quant::read_input,
//!     solidity::Calldata,
//! };
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = CompileOptions::new("credit.onnx", "calibration.json");
//! compile(&options, |stage| eprintln!("{stage}"))?.write(Path::new("build/credit"), true)?;
//!
//! let project = Project::open(Path::new("build/credit"))?;
//! let key = project.proving_key()?;
//! let applicant = read_input(Path::new("applicant.json"), project.model(), None)?;
//! let proof = project.prove(&key, &applicant, [7; 32], &mut rand_core::OsRng)?;
//! project.verify(&proof)?;
//! let calldata = Calldata::new(&proof).encode("verify");
//! # Ok(())
//! # }
//! ```

pub mod chain;
pub mod circuit;
pub mod fsutil;
pub mod gas;
pub mod graph;
pub mod onnx;
pub mod ops;
pub mod plan;
pub mod poseidon;
pub mod problem;
pub mod project;
pub mod proof;
pub mod quant;
pub mod solidity;
pub mod stages;
pub mod svg;

// Test support that unit and integration tests share names this crate as the latter do.
#[cfg(test)]
extern crate self as hallmark;
