//! Hallmark compiles an ONNX model into a halo2 circuit and emits a Solidity verifier, a calldata encoder and a Foundry
//! test suite.

pub mod chain;
pub mod circuit;
pub mod fsutil;
pub mod graph;
pub mod onnx;
pub mod ops;
pub mod project;
pub mod proof;
pub mod quant;
pub mod solidity;

// Test support that unit and integration tests share names this crate as the latter do.
#[cfg(test)]
extern crate self as hallmark;
