//! Deployment, comparison and submission against anvil, with an endpoint that fails in every way that endpoints do.
//!
//! `cargo test --release --test submission -- --ignored` is the long run: a thousand submissions under faults.
#![cfg(unix)]

mod deployment;
mod faults;
mod killed;
mod many;
mod proxy;
mod scene;
