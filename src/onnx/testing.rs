//! Models built in memory, and a run of the independent implementation to compare with.

#[path = "../../tests/common/onnx.rs"]
mod built;

use tract_onnx::pb::ModelProto;

pub(super) use built::{Attr, declare, floats, graph_of, ints, model, node, random, weights};

use crate::graph::Graph;

/// Runs `model` in `f32`, all inputs and outputs concatenated.
pub(super) fn run(model: &ModelProto, graph: &Graph, inputs: &[f32]) -> Vec<f32> {
    built::run(model, graph, inputs).unwrap()
}

/// Imports `model` and compares it with the independent implementation on random inputs.
pub(super) fn agrees(model: &ModelProto) -> Graph {
    let graph = super::import_model(model).unwrap();
    for seed in 0..8 {
        let mut inputs = random(graph.input_len(), seed);
        let integer = graph.inputs.iter().flat_map(|i| std::iter::repeat_n(i.integer, i.len()));
        inputs.iter_mut().zip(integer).filter(|(_, integer)| *integer).for_each(|(v, _)| *v = (*v * 100.0).trunc());
        let expected = run(model, &graph, &inputs);
        let wide: Vec<f64> = inputs.iter().map(|&v| v.into()).collect();
        let found = graph.eval(&wide);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - f64::from(b)).abs() <= 1e-4 * (1.0 + a.abs()), "{found:?} is not what was expected: {a} {b}");
        }
    }
    graph
}
