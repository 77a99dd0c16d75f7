//! The command line from the outside: bad input gets a clear error, and nothing is lost.
//!
//! Every test runs the real binary. A contract over EIP-170's limit, and tools that do not work, are in `tests/chain.rs`;
//! damaged ONNX files byte by byte in `tests/hostile_models.rs`.
#![cfg(unix)]
#![allow(unsafe_code, reason = "terminals and limits of child processes need libc")]

mod artifacts;
mod audit;
mod check;
mod committed;
mod crafted;
mod foundry;
mod gas;
mod inputs;
mod journey;
mod models;
mod onnx;
mod output;
mod proofs;
mod setups;
mod support;
mod visibility;
mod writing;
