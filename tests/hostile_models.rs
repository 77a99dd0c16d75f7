//! Damaged model files are refused or imported, but never a panic.

use std::path::Path;

use hallmark::onnx::{OnnxError, import_bytes};

const MODELS: [&str; 2] = ["mlp.onnx", "branches.onnx"];

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)).unwrap()
}

#[test]
fn every_truncation_is_refused() {
    for name in MODELS {
        let bytes = bytes(name);
        let mut truncated = 0;
        for len in 0..bytes.len() {
            let error = import_bytes(name, &bytes[..len]).expect_err("a truncated model was imported");
            truncated += usize::from(matches!(error, OnnxError::Truncated { .. }));
        }
        assert!(truncated > bytes.len() / 2, "{truncated} of {} truncations are recognised as such", bytes.len());
    }
}

#[test]
fn random_damage_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for name in MODELS {
        let original = bytes(name);
        for round in 0..6_000 {
            let mut damaged = original.clone();
            for _ in 0..1 + round % 3 {
                let at = random(damaged.len());
                match random(3) {
                    0 => damaged[at] ^= 1 << random(8),
                    1 => damaged[at] = random(256) as u8,
                    _ => drop(damaged.remove(at)),
                }
            }
            refused += usize::from(import_bytes(name, &damaged).is_err());
        }
    }
    assert!(refused > 1_000, "only {refused} damaged models were refused");
}
