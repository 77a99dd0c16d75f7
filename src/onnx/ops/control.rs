//! Control flow: If, and Loop and Scan unrolled. Only what is known at import decides how often a body runs; a branch may
//! also depend on the input: both are computed, and one is selected.

use super::compare::chosen;
use super::grid::permuted;
use super::pool::stacked;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::scope::Block;
use crate::onnx::shape::{MAX_RANK, axis, strides};
use crate::onnx::tensor::Kind;

/// Refuses a condition that is not one boolean.
fn one_boolean(node: &Node, condition: &Value) -> Result<(), OnnxError> {
    match condition.kind() == Kind::Bool && condition.len() == 1 {
        true => Ok(()),
        false => Err(node.unsupported("its condition", "it must be one boolean")),
    }
}

/// The condition if it is constant.
fn known(node: &Node, condition: &Value) -> Result<Option<bool>, OnnxError> {
    one_boolean(node, condition)?;
    Ok(condition.constant().map(|c| c.data.iter().all(|&v| v != 0.0)))
}

fn branch(lowering: &mut Lowering, node: &Node, name: &str) -> Result<Vec<Value>, OnnxError> {
    Block::within(lowering, node, node.graph(name)?)?.call(lowering, node, vec![])
}

fn conditional(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let condition = node.input(0)?;
    // the one that is not taken
    node.ignore(&["then_branch", "else_branch"]);
    match known(node, condition)? {
        Some(true) => return branch(lowering, node, "then_branch"),
        Some(false) => return branch(lowering, node, "else_branch"),
        None => {}
    }
    let (taken, other) = (branch(lowering, node, "then_branch")?, branch(lowering, node, "else_branch")?);
    let condition = lowering.reshape(node, condition, vec![])?;
    let pair = |(a, b): (&Value, &Value)| match a.shape() == b.shape() {
        true => chosen(lowering, node, &condition, a, b),
        false => {
            let reason = "the branches of a condition that depends on the input have different shapes";
            Err(node.mismatch(a.shape(), b.shape(), reason))
        }
    };
    taken.iter().zip(&other).map(pair).collect()
}

/// Runs the body on the number of the iteration, a condition and the carried values; it returns a condition, the values
/// to carry on, and what is stacked up along a new first axis.
fn repeated(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let limit = match node.optional_input(0) {
        None => None,
        Some(_) => match node.integers(0, "the trip count")?.as_slice() {
            &[limit] => Some(limit),
            _ => return Err(node.unsupported("the trip count", "it must be one integer")),
        },
    };
    let mut going = match node.optional_input(1) {
        None => true,
        Some(condition) => known(node, condition)?.ok_or_else(|| data_dependent(node))?,
    };
    let body = Block::within(lowering, node, node.graph("body")?)?;
    let mut carried = (2..node.inputs.len()).map(|i| node.input(i).cloned()).collect::<Result<Vec<_>, _>>()?;
    let mut scanned: Vec<Vec<Value>> = vec![];
    let mut iteration = 0i64;
    while going && limit.is_none_or(|limit| iteration < limit) {
        let number = lowering.constant(node, vec![], Kind::Integer, vec![iteration as f64])?;
        let condition = lowering.constant(node, vec![], Kind::Bool, vec![1.0])?;
        let arguments = [number, condition].into_iter().chain(carried.iter().cloned()).collect();
        let mut results = body.call(lowering, node, arguments)?.into_iter();
        let condition = results.next().ok_or_else(|| node.unsupported("its body", "it returns no condition"))?;
        going = known(node, &condition)?.ok_or_else(|| data_dependent(node))?;
        let next: Vec<Value> = results.by_ref().take(carried.len()).collect();
        if next.len() < carried.len() {
            return Err(node.unsupported("its body", "it does not return every value that it carries"));
        }
        carried = next;
        scanned.push(results.collect());
        iteration += 1;
    }
    let stacks = node.proto.output.len().saturating_sub(carried.len());
    for s in 0..stacks {
        let slices: Vec<&Value> = scanned.iter().filter_map(|slices| slices.get(s)).collect();
        carried.push(stack(lowering, node, &slices, 0)?);
    }
    Ok(carried)
}

fn data_dependent(node: &Node) -> OnnxError {
    node.unsupported("its condition", "it must not depend on the input, which would decide how often the body runs")
}

/// Slices of one shape along a new axis `at`; negative ones count from the end.
fn stack(lowering: &mut Lowering, node: &Node, slices: &[&Value], at: i64) -> Result<Value, OnnxError> {
    let Some(first) = slices.first() else {
        return Err(
            node.unsupported("its result", "the body never runs, and tensors without elements are not supported")
        );
    };
    for slice in slices {
        if slice.shape() != first.shape() || slice.kind() != first.kind() {
            return Err(node.mismatch(first.shape(), slice.shape(), "what is stacked up differs between iterations"));
        }
    }
    let rank = first.shape().len();
    let at = axis(at, rank + 1).filter(|_| rank < MAX_RANK);
    let at = at.ok_or_else(|| node.unsupported("its axes", &format!("there are {rank} axes")))?;
    let stacked_first: Vec<usize> = std::iter::once(slices.len()).chain(first.shape().iter().copied()).collect();
    let all = stacked(lowering, node, slices, stacked_first.clone())?;
    let permutation: Vec<usize> = (1..=at).chain([0]).chain(at + 1..=rank).collect();
    let shape: Vec<usize> = permutation.iter().map(|&a| stacked_first[a]).collect();
    permuted(lowering, node, &all, &stacked_first, &permutation, shape)
}

/// The attribute `name`: one number for each of `count` tensors, 0 if it is absent.
fn per_tensor(node: &Node, name: &str, count: usize) -> Result<Vec<i64>, OnnxError> {
    match node.ints(name)? {
        None => Ok(vec![0; count]),
        Some(given) if given.len() == count => Ok(given.to_vec()),
        Some(given) => {
            Err(node.unsupported(&format!("attribute {name}"), &format!("{given:?} is not {count} numbers")))
        }
    }
}

/// Slice `i` of `size` of a tensor along axis `at`, or with `reverse` the one as far from the end.
fn slice(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    (at, size): (usize, usize),
    i: usize,
    reverse: bool,
) -> Result<Value, OnnxError> {
    let i = if reverse { size - 1 - i } else { i };
    let (shape, step) = (x.shape(), strides(x.shape())[at]);
    let rest: Vec<usize> = shape[..at].iter().chain(&shape[at + 1..]).copied().collect();
    let count = lowering.charge_shape(node, &rest)?;
    let columns = (0..count).map(|j| (j / step * size + i) * step + j % step).collect();
    lowering.select(node, x, rest, columns)
}

/// Runs the body on the state and on one slice of every scanned input at a time.
fn scan(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if node.opset < 9 {
        return Err(node.unsupported("its operator set", "scans are understood from version 9 on"));
    }
    let count = node.int("num_scan_inputs")?.and_then(|n| usize::try_from(n).ok());
    let count = count.filter(|n| (1..=node.inputs.len()).contains(n)).ok_or_else(|| {
        node.unsupported("attribute num_scan_inputs", &format!("there are {} inputs", node.inputs.len()))
    })?;
    let states = node.inputs.len() - count;
    let stacks = node.proto.output.len().saturating_sub(states);
    let body = Block::within(lowering, node, node.graph("body")?)?;
    let mut carried = (0..states).map(|i| node.input(i).cloned()).collect::<Result<Vec<_>, _>>()?;
    let (input_axes, reversed) =
        (per_tensor(node, "scan_input_axes", count)?, per_tensor(node, "scan_input_directions", count)?);
    let (output_axes, output_reversed) =
        (per_tensor(node, "scan_output_axes", stacks)?, per_tensor(node, "scan_output_directions", stacks)?);
    let mut inputs = vec![];
    for (i, &given) in input_axes.iter().enumerate() {
        let x = node.input(states + i)?;
        let at = axis(given, x.shape().len()).ok_or_else(|| {
            node.unsupported("attribute scan_input_axes", &format!("{given} is not one of {} axes", x.shape().len()))
        })?;
        inputs.push((x, at, reversed[i] != 0));
    }
    let steps = inputs.first().map_or(0, |(x, at, _)| x.shape()[*at]);
    if let Some((x, ..)) = inputs.iter().find(|(x, at, _)| x.shape()[*at] != steps) {
        return Err(node.mismatch(x.shape(), &[steps], "the scanned axes have different lengths"));
    }
    let mut scanned: Vec<Vec<Value>> = vec![];
    for step in 0..steps {
        let mut arguments = carried.clone();
        for &(x, at, reverse) in &inputs {
            arguments.push(slice(lowering, node, x, (at, steps), step, reverse)?);
        }
        let mut results = body.call(lowering, node, arguments)?.into_iter();
        carried = results.by_ref().take(states).collect();
        if carried.len() < states {
            return Err(node.unsupported("its body", "it does not return every value that it carries"));
        }
        scanned.push(results.collect());
    }
    for s in 0..stacks {
        let mut slices: Vec<&Value> = scanned.iter().filter_map(|slices| slices.get(s)).collect();
        if output_reversed[s] != 0 {
            slices.reverse();
        }
        carried.push(stack(lowering, node, &slices, output_axes[s])?);
    }
    Ok(carried)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("If", conditional);
    registry.add("Loop", repeated);
    registry.add("Scan", scan);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::attribute_proto::AttributeType;
    use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, tensor_proto::DataType};

    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, declare, floats, graph_of, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    fn named(name: &str) -> ValueInfoProto {
        ValueInfoProto { name: name.into(), ..Default::default() }
    }

    fn graph(inputs: &[&str], outputs: &[&str], node: Vec<NodeProto>) -> GraphProto {
        let (input, output) = (inputs.iter().map(|n| named(n)).collect(), outputs.iter().map(|n| named(n)).collect());
        GraphProto { node, input, output, ..Default::default() }
    }

    fn with_graph(mut node: NodeProto, name: &str, graph: GraphProto) -> NodeProto {
        let (name, g, r#type) = (name.into(), Some(graph), AttributeType::Graph as i32);
        node.attribute.push(AttributeProto { name, g, r#type, ..Default::default() });
        node
    }

    fn node_of(op: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<(&str, Attr)>) -> NodeProto {
        let mut node = node(op, inputs, outputs[0], attributes);
        node.output = outputs.iter().map(|s| s.to_string()).collect();
        node
    }

    /// `condition ? x + x : -x`, where `d = x + x` is defined after the node that reads it.
    fn branches(condition: &str) -> ModelProto {
        let choice = node("If", &[condition], "y", vec![]);
        let choice = with_graph(choice, "then_branch", graph(&[], &["t"], vec![node("Identity", &["d"], "t", vec![])]));
        let choice = with_graph(choice, "else_branch", graph(&[], &["e"], vec![node("Neg", &["x"], "e", vec![])]));
        let nodes = vec![
            choice,
            node("ReduceSum", &["x"], "s", vec![("keepdims", Attr::Int(0))]),
            node("Greater", &["s", "zero"], "c", vec![]),
            node("Greater", &["one", "zero"], "always", vec![]),
            node("Not", &["always"], "never", vec![]),
            node("Add", &["x", "x"], "d", vec![]),
        ];
        model(&[("x", &[2])], "y", vec![floats("zero", &[], &[0.0]), floats("one", &[], &[1.0])], nodes)
    }

    #[test]
    fn branches_are_inlined_or_selected() {
        let eval = |condition: &str, x: &[f64]| import_model(&branches(condition)).unwrap().eval(x);
        assert_eq!(eval("always", &[1.0, -2.0]), [2.0, -4.0]);
        assert_eq!(eval("never", &[1.0, 2.0]), [-1.0, -2.0]);
        assert_eq!((eval("c", &[1.0, 2.0]), eval("c", &[1.0, -2.0])), (vec![2.0, 4.0], vec![-1.0, 2.0]));
        let mut model = branches("never");
        let branch = |model: &mut ModelProto, i: usize| graph_of(model).node[0].attribute[i].g.clone().unwrap();
        let mut unknown = branch(&mut model, 0);
        unknown.node[0].op_type = "Unheard".into();
        graph_of(&mut model).node[0].attribute[0].g = Some(unknown);
        assert_eq!(import_model(&model).unwrap().eval(&[1.0, 2.0]), [-1.0, -2.0]);
        graph_of(&mut model).node[0].input[0] = "always".into();
        assert!(matches!(import_model(&model), Err(OnnxError::UnsupportedOperators { .. })));
        let mut shapes = branches("c");
        let mut other = branch(&mut shapes, 1);
        other.node[0] = node("ReduceSum", &["x"], "e", vec![]);
        graph_of(&mut shapes).node[0].attribute[1].g = Some(other);
        assert!(matches!(import_model(&shapes), Err(OnnxError::ShapeMismatch { .. })));
    }

    #[test]
    fn names_are_not_defined_again_within() {
        let mut model = branches("c");
        let mut branch = graph_of(&mut model).node[0].attribute[0].g.clone().unwrap();
        branch.node[0].output[0] = "x".into();
        branch.output[0].name = "x".into();
        graph_of(&mut model).node[0].attribute[0].g = Some(branch);
        assert!(matches!(import_model(&model), Err(OnnxError::DuplicateName { .. })));
    }

    /// `a` from 0, each time `a + x + i`, at most `limit` times and while `i < 3`; `a` of each time is stacked up.
    fn sums(limit: i64, condition: &str) -> Result<Graph, OnnxError> {
        let body = vec![
            node("Cast", &["i"], "f", vec![("to", Attr::Int(DataType::Float as i64))]),
            node("Add", &["a", "x"], "b", vec![]),
            node("Add", &["b", "f"], "c", vec![]),
            node("Identity", &["c"], "copy", vec![]),
            node("Less", &["i", "three"], "below", vec![]),
            node("ReduceSum", &["c"], "s", vec![("keepdims", Attr::Int(0))]),
            node("Less", &["s", "ten"], "depends", vec![]),
        ];
        let body = graph(&["i", "go", "a"], &[condition, "c", "copy"], body);
        let nodes = vec![
            with_graph(node_of("Loop", &["n", "", "start"], &["last", "all"], vec![]), "body", body),
            node("Identity", &["last"], "y", vec![]),
        ];
        let constants = vec![
            ints("n", &[], &[limit]),
            ints("three", &[], &[3]),
            floats("start", &[2], &[0.0, 0.0]),
            floats("ten", &[], &[10.0]),
        ];
        let mut model = model(&[("x", &[2])], "y", constants, nodes);
        graph_of(&mut model).output.push(declare("all", &[limit, 2], DataType::Float));
        import_model(&model)
    }

    #[test]
    fn loops_are_unrolled() {
        let x = [1.0, 10.0];
        assert_eq!(sums(2, "go").unwrap().eval(&x), [3.0, 21.0, 1.0, 10.0, 3.0, 21.0]);
        let stopped = sums(100, "below").unwrap();
        assert_eq!((stopped.outputs[1].2.clone(), stopped.eval(&x)[..2].to_vec()), (vec![4, 2], vec![10.0, 46.0]));
        let message = |limit, condition| sums(limit, condition).unwrap_err().to_string();
        assert!(message(2, "depends").contains("how often the body runs"));
        assert!(message(0, "go").contains("never runs"));
        assert!(matches!(sums(i64::MAX, "go"), Err(OnnxError::TooLarge { .. })));
    }

    #[test]
    fn loops_that_do_nothing_end() {
        let mut body = graph(&["i", "go"], &["go"], vec![]);
        for depth in 0..40 {
            let inputs = [format!("i{depth}"), format!("go{depth}")];
            let inner = with_graph(node_of("Loop", &["n"], &["unused"], vec![]), "body", body);
            body = graph(&[&inputs[0], &inputs[1]], &[&inputs[1]], vec![inner]);
            body.node[0].output.clear();
            if depth == 2 || depth == 39 {
                let nodes = vec![body.node[0].clone(), node("Neg", &["x"], "y", vec![])];
                let error = import_model(&model(&[("x", &[1])], "y", vec![ints("n", &[], &[i64::MAX])], nodes));
                assert_eq!(matches!(error, Err(OnnxError::TooLarge { .. })), depth == 2, "{error:?}");
                assert!(error.is_err());
            }
        }
    }

    #[test]
    fn scans_are_unrolled() {
        let body = vec![node("Add", &["s", "e"], "t", vec![]), node("Neg", &["t"], "o", vec![])];
        let attributes = |reverse| {
            vec![
                ("num_scan_inputs", Attr::Int(1)),
                ("scan_input_axes", Attr::Ints(&[1])),
                ("scan_output_axes", Attr::Ints(&[-1])),
                ("scan_input_directions", Attr::Ints(if reverse { &[1] } else { &[0] })),
                ("scan_output_directions", Attr::Ints(if reverse { &[1] } else { &[0] })),
            ]
        };
        let eval = |reverse: bool| {
            let scan = node_of("Scan", &["start", "x"], &["last", "y"], attributes(reverse));
            let nodes = vec![with_graph(scan, "body", graph(&["s", "e"], &["t", "o"], body.clone()))];
            let graph = import_model(&model(&[("x", &[2, 3])], "y", vec![floats("start", &[2], &[0.0, 0.0])], nodes));
            let graph = graph.unwrap();
            assert_eq!(graph.outputs[0].2, [2, 3]);
            graph.eval(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        };
        assert_eq!(eval(false), [-1.0, -3.0, -6.0, -4.0, -9.0, -15.0]);
        assert_eq!(eval(true), [-6.0, -5.0, -3.0, -15.0, -11.0, -6.0]);
    }
}
