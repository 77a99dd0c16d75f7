//! Everything that keeps a graph from being quantised, not only the first thing.

use super::domain::Domain;
use super::error::QuantError;
use super::input::CalibrationData;
use super::quantise::{QuantOptions, Quantised, quantise};
use crate::graph::{FloatNode, Graph};
use crate::problem::{MAX_PROBLEMS, Problem, Problems};

/// The precision at which the rest of a graph is looked at, where the first error does not tell.
const PRECISION: u32 = 8;

/// Quantises `graph` as [`quantise`] does, or says all that is in the way. Where a node fails, the search goes on in the nodes that
/// do not depend on it.
pub fn quantise_all(
    graph: &Graph,
    domain: &Domain,
    calibration: &CalibrationData,
    options: &QuantOptions,
) -> Result<Quantised, Problems> {
    let first = match quantise(graph, domain, calibration, options) {
        Ok(quantised) => return Ok(quantised),
        Err(error) => error,
    };
    let mut problems = Problems::default();
    let options = QuantOptions { precision: Some(options.precision.unwrap_or(PRECISION)), ..options.clone() };
    let (mut rest, mut error) = (graph.clone(), first);
    loop {
        let (node, mut problem) = located(&rest, domain, calibration, &error);
        problem.operator = node.map(|node| node.onnx_op.clone());
        problems.push(problem);
        let Some(name) = node.map(|node| node.name.clone()) else { break };
        rest = match without(&rest, &name) {
            Some(rest) if problems.count < MAX_PROBLEMS => rest,
            _ => break,
        };
        error = match quantise(&rest, domain, calibration, &options) {
            Ok(_) => break,
            Err(error) => error,
        };
    }
    Err(problems)
}

/// The error as a problem, and the graph's node that it is about.
fn located<'a>(
    graph: &'a Graph,
    domain: &Domain,
    calibration: &CalibrationData,
    error: &QuantError,
) -> (Option<&'a FloatNode>, Problem) {
    if let QuantError::NonFiniteOutput { sample } = error
        && let Some(node) = first_undefined(graph, domain, calibration, *sample)
    {
        let reason = format!("its value is not finite on calibration sample {sample}");
        let suggestion = "keep data and domain to where it is defined".to_string();
        return (Some(node), Problem { node: Some(node.name.clone()), ..Problem::new(reason, Some(suggestion)) });
    }
    let node = error.node().and_then(|name| owner(graph, name));
    (node, Problem::from_message(&error.to_string(), error.node()))
}

/// The first node whose value is not finite on a calibration sample.
fn first_undefined<'a>(
    graph: &'a Graph,
    domain: &Domain,
    calibration: &CalibrationData,
    sample: usize,
) -> Option<&'a FloatNode> {
    let samples = calibration.samples(graph, &domain.names()).ok()?;
    let values = graph.trace(samples.get(sample)?);
    let undefined = values.iter().skip(graph.inputs.len()).position(|value| value.iter().any(|v| !v.is_finite()))?;
    graph.nodes.get(undefined)
}

/// The graph's node that the integer model's node `name` belongs to: the one with the longest name that begins it.
fn owner<'a>(graph: &'a Graph, name: &str) -> Option<&'a FloatNode> {
    let begins = |node: &&FloatNode| {
        name.strip_prefix(node.name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    graph.nodes.iter().filter(begins).max_by_key(|node| node.name.len())
}

/// The graph without the nodes of that name and all that depend on them; its outputs are what nothing else reads. `None` if no
/// node is left.
fn without(graph: &Graph, name: &str) -> Option<Graph> {
    let first = graph.inputs.len();
    // new ids of the values that are kept
    let mut kept: Vec<Option<usize>> = (0..first).map(Some).collect();
    let mut rest = Graph { inputs: graph.inputs.clone(), nodes: vec![], outputs: vec![] };
    for node in &graph.nodes {
        let inputs: Option<Vec<usize>> = node.inputs.iter().map(|&id| kept.get(id).copied().flatten()).collect();
        kept.push(inputs.filter(|_| node.name != name).map(|inputs| {
            rest.nodes.push(FloatNode { inputs, ..node.clone() });
            first + rest.nodes.len() - 1
        }));
    }
    let mut read = vec![false; first + rest.nodes.len()];
    rest.nodes.iter().flat_map(|node| &node.inputs).for_each(|&id| read[id] = true);
    let unread = (first..read.len()).filter(|&id| !read[id]);
    let outputs = unread.map(|id| (rest.nodes[id - first].name.clone(), id, vec![rest.value_len(id)])).collect();
    rest.outputs = outputs;
    (!rest.nodes.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Affine, FloatOp, GraphInput};

    fn node(name: &str, op: FloatOp, inputs: &[usize]) -> FloatNode {
        FloatNode { name: name.into(), onnx_op: name.to_uppercase(), op, inputs: inputs.into() }
    }

    #[test]
    fn every_node_that_fails_is_named_and_what_depends_on_it_is_not() {
        let both = Affine::selection(2, 0..2);
        let first = |columns: [usize; 1]| FloatOp::Affine(Affine::selection(2, columns));
        let graph = Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![2], integer: false, limits: None }],
            nodes: vec![
                node("a", FloatOp::Affine(both), &[0]),
                node("root", FloatOp::Sqrt, &[1]),
                node("after", FloatOp::Sqrt, &[2]),
                node("left", first([0]), &[0]),
                node("right", first([1]), &[0]),
                node("ratio", FloatOp::Quotient, &[4, 5]),
            ],
            outputs: vec![("y".into(), 3, vec![2]), ("z".into(), 6, vec![1])],
        };
        let data = br#"{"features": [{"name": "p", "min": -1, "max": 1}, {"name": "q", "min": -1, "max": 1}],
                        "input_data": [[0.5, 0.25], [0.75, 0.5]]}"#;
        let data = CalibrationData::parse("data", data).unwrap();
        let domain = Domain::resolve(&graph, &data, None).unwrap();
        let problems = quantise_all(&graph, &domain, &data, &QuantOptions::default()).unwrap_err();
        let mut found: Vec<_> = problems.listed.iter().map(|p| (p.node.as_deref(), p.operator.as_deref())).collect();
        found.sort_unstable();
        assert_eq!(found, [(Some("ratio"), Some("RATIO")), (Some("root"), Some("ROOT"))], "{problems}");
        assert!(problems.listed.iter().all(|p| p.suggestion.as_ref().is_some_and(|s| s.contains("narrow the domain"))));
        // the same inputs without what fails
        assert!(
            quantise_all(
                &without(&without(&graph, "root").unwrap(), "ratio").unwrap(),
                &domain,
                &data,
                &QuantOptions::default()
            )
            .is_ok()
        );
    }
}
