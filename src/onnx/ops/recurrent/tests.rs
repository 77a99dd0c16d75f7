//! Recurrent layers against their formulas and the independent implementation.

use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType};

use super::super::testing::with_text;
use crate::graph::Graph;
use crate::onnx::testing::{Attr, agrees, graph_of, ints, model, node, weights};
use crate::onnx::{OnnxError, import_model};

const STEPS: i64 = 3;
const BATCH: i64 = 2;
const INPUTS: i64 = 3;
const HIDDEN: i64 = 2;

fn gates(op: &str) -> i64 {
    match op {
        "RNN" => 1,
        "GRU" => 3,
        _ => 4,
    }
}

fn layer(op: &str, inputs: &[&str], attributes: Vec<(&str, Attr)>) -> NodeProto {
    let mut node = node(op, inputs, "y", attributes);
    node.output.push("h".into());
    node.output.extend((op == "LSTM").then(|| "c".into()));
    node
}

/// The layer with weights in `directions` directions, its first `outputs` outputs, an input of layout 0.
fn with_weights(node: NodeProto, directions: i64, outputs: usize) -> ModelProto {
    let rows = HIDDEN * gates(&node.op_type);
    let state = [directions, BATCH, HIDDEN];
    let shapes: [(&str, &[i64]); 6] = [
        ("w", &[directions, rows, INPUTS]),
        ("r", &[directions, rows, HIDDEN]),
        ("b", &[directions, 2 * rows]),
        ("h0", &state),
        ("c0", &state),
        ("p", &[directions, 3 * HIDDEN]),
    ];
    let tensors = shapes.iter().zip(1..).map(|((name, dims), seed)| weights(name, dims, seed)).collect();
    let names = node.output.clone();
    let mut model = model(&[("x", &[STEPS, BATCH, INPUTS])], "y", tensors, vec![node]);
    let info = |name: &String| ValueInfoProto { name: name.clone(), ..Default::default() };
    graph_of(&mut model).output = names.iter().take(outputs).map(info).collect();
    model.opset_import[0].version = 14;
    model
}

fn input() -> Vec<f64> {
    (0..STEPS * BATCH * INPUTS).map(|i| ((i * 7 % 11) as f64 - 5.0) / 4.0).collect()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
}

/// The formulas of the operators' documentation, forward, for one layer in one direction: all hidden states, then
/// the last hidden and cell state.
fn reference(op: &str, reset_after: bool, x: &[f64], operands: [&[f64]; 6], clip: f64, relu: bool) -> Vec<f64> {
    let [w, r, b, h0, c0, p] = operands;
    let (batch, inputs, hidden) = (BATCH as usize, INPUTS as usize, HIDDEN as usize);
    let rows = hidden * gates(op) as usize;
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v.clamp(-clip, clip)).exp());
    let tanh = |v: f64| if relu { v.clamp(-clip, clip).max(0.0) } else { v.clamp(-clip, clip).tanh() };
    let (mut h, mut c, mut all) = (h0.to_vec(), c0.to_vec(), vec![]);
    for now in x.chunks(batch * inputs) {
        let (old_h, old_c) = (h.clone(), c.clone());
        for n in 0..batch {
            let from_x = |g: usize, j: usize| {
                let row = g * hidden + j;
                (0..inputs).map(|i| w[row * inputs + i] * now[n * inputs + i]).sum::<f64>() + b[row]
            };
            let dot = |g: usize, j: usize, v: &dyn Fn(usize) -> f64| {
                let row = g * hidden + j;
                (0..hidden).map(|i| r[row * hidden + i] * v(i)).sum::<f64>() + b[rows + row]
            };
            let old = |i: usize| old_h[n * hidden + i];
            for j in 0..hidden {
                let at = n * hidden + j;
                match op {
                    "RNN" => h[at] = tanh(from_x(0, j) + dot(0, j, &old)),
                    "GRU" => {
                        let z = sigmoid(from_x(0, j) + dot(0, j, &old));
                        let reset = |i: usize| sigmoid(from_x(1, i) + dot(1, i, &old));
                        let inner = match reset_after {
                            true => reset(j) * dot(2, j, &old),
                            false => dot(2, j, &|i| reset(i) * old(i)),
                        };
                        h[at] = (1.0 - z) * tanh(from_x(2, j) + inner) + z * old(j);
                    }
                    _ => {
                        let gate = |g: usize, peep: usize, c: f64| {
                            sigmoid(from_x(g, j) + dot(g, j, &old) + p[peep * hidden + j] * c)
                        };
                        let (i, f) = (gate(0, 0, old_c[at]), gate(2, 2, old_c[at]));
                        c[at] = f * old_c[at] + i * tanh(from_x(3, j) + dot(3, j, &old));
                        h[at] = gate(1, 1, c[at]) * c[at].tanh();
                    }
                }
            }
        }
        all.extend_from_slice(&h);
    }
    all.extend_from_slice(&h);
    all.extend_from_slice(if op == "LSTM" { &c } else { &[] });
    all
}

/// The operands of direction `d` of the model, in `f64`.
fn operands(model: &ModelProto, d: usize, directions: usize) -> Vec<Vec<f64>> {
    let slice = |data: &[f32]| {
        let len = data.len() / directions;
        data[d * len..(d + 1) * len].iter().map(|&v| v.into()).collect()
    };
    model.graph.as_ref().unwrap().initializer.iter().map(|t| slice(&t.float_data)).collect()
}

const ALL: [(&str, &[&str]); 3] = [
    ("RNN", &["x", "w", "r", "b", "", "h0"]),
    ("GRU", &["x", "w", "r", "b", "", "h0"]),
    ("LSTM", &["x", "w", "r", "b", "", "h0", "c0", "p"]),
];

fn expected(op: &str, reset_after: bool, x: &[f64], model: &ModelProto, d: usize, directions: usize) -> Vec<f64> {
    let o = operands(model, d, directions);
    reference(op, reset_after, x, [&o[0], &o[1], &o[2], &o[3], &o[4], &o[5]], f64::INFINITY, false)
}

#[test]
fn layers_follow_the_formulas() {
    for (op, inputs) in ALL {
        for reset_after in [false, true] {
            let attributes = vec![("linear_before_reset", Attr::Int(reset_after.into()))];
            let model = with_weights(layer(op, inputs, attributes), 1, 3);
            let found = import_model(&model).unwrap().eval(&input());
            near(&found, &expected(op, reset_after, &input(), &model, 0, 1));
        }
    }
}

#[test]
fn layers_agree() {
    for (op, inputs) in ALL {
        let given: Vec<&str> = inputs.iter().copied().filter(|&i| i != "p").collect();
        for count in [3, given.len()] {
            for reset_after in [0, 1] {
                let mut attributes = vec![("hidden_size", Attr::Int(HIDDEN))];
                attributes.extend((op == "GRU").then_some(("linear_before_reset", Attr::Int(reset_after))));
                agrees(&with_weights(layer(op, &given[..count], attributes), 1, 1));
            }
        }
    }
}

/// Sequences in the other order.
fn turned(x: &[f64], step: usize) -> Vec<f64> {
    x.chunks(step).rev().flatten().copied().collect()
}

#[test]
fn sequences_run_in_both_directions() {
    let (steps, state) = (STEPS as usize, (BATCH * HIDDEN) as usize);
    let backwards = turned(&input(), (BATCH * INPUTS) as usize);
    for (op, inputs) in ALL {
        let run = |direction: &str, directions| {
            let model = with_weights(with_text(layer(op, inputs, vec![]), "direction", direction), directions, 3);
            (import_model(&model).unwrap().eval(&input()), model)
        };
        let (found, model) = run("reverse", 1);
        let expected_reverse = expected(op, false, &backwards, &model, 0, 1);
        near(&found[..steps * state], &turned(&expected_reverse[..steps * state], state));
        near(&found[steps * state..], &expected_reverse[steps * state..]);
        let (found, model) = run("bidirectional", 2);
        let forward = expected(op, false, &input(), &model, 0, 2);
        let reverse = expected(op, false, &backwards, &model, 1, 2);
        let both: Vec<f64> = (0..steps)
            .flat_map(|t| [&forward[t * state..][..state], &reverse[(steps - 1 - t) * state..][..state]].concat())
            .collect();
        near(&found[..2 * steps * state], &both);
        let last = [&forward[steps * state..][..state], &reverse[steps * state..][..state]].concat();
        near(&found[2 * steps * state..][..2 * state], &last);
    }
}

#[test]
fn the_batch_may_come_first() {
    let (op, inputs) = ("LSTM", &["x", "w", "r", "b"][..]);
    let time_first = import_model(&with_weights(layer(op, inputs, vec![]), 1, 3)).unwrap();
    let mut model = with_weights(layer(op, inputs, vec![("layout", Attr::Int(1))]), 1, 3);
    graph_of(&mut model).input[0] =
        crate::onnx::testing::declare("x", &[BATCH, STEPS, INPUTS], super::super::testing::FLOAT);
    let batch_first = import_model(&model).unwrap();
    let shapes: Vec<&[usize]> = batch_first.outputs.iter().map(|o| o.2.as_slice()).collect();
    assert_eq!(shapes, [&[2usize, 3, 1, 2][..], &[2, 1, 2], &[2, 1, 2]]);
    let (steps, batch, inputs, hidden) = (STEPS as usize, BATCH as usize, INPUTS as usize, HIDDEN as usize);
    let swap = |x: &[f64], rows: usize, columns: usize, width: usize| -> Vec<f64> {
        let row = |c: usize| (0..rows).flat_map(move |r| (0..width).map(move |w| (r * columns + c) * width + w));
        (0..columns).flat_map(row).map(|i| x[i]).collect()
    };
    let found = batch_first.eval(&swap(&input(), steps, batch, inputs));
    let plain = time_first.eval(&input());
    let len = steps * batch * hidden;
    near(&found[..len], &swap(&plain[..len], steps, batch, hidden));
    near(&found[len..], &plain[len..]);
}

fn strings(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|v| v.as_bytes().to_vec()).collect();
    AttributeProto { name: name.into(), strings, r#type: AttributeType::Strings as i32, ..Default::default() }
}

#[test]
fn activations_and_clipping() {
    for (op, named) in [("RNN", vec!["Relu"]), ("GRU", vec!["Sigmoid", "Relu"])] {
        let mut node = layer(op, &["x", "w", "r", "b", "", "h0"], vec![("clip", Attr::Float(0.75))]);
        node.attribute.push(strings("activations", &named));
        let model = with_weights(node, 1, 2);
        let o = operands(&model, 0, 1);
        let expected = reference(op, false, &input(), [&o[0], &o[1], &o[2], &o[3], &o[4], &o[5]], 0.75, true);
        near(&import_model(&model).unwrap().eval(&input()), &expected);
    }
}

#[test]
fn what_is_not_supported_is_refused() {
    let import = |node: NodeProto| -> Result<Graph, OnnxError> { import_model(&with_weights(node, 1, 1)) };
    let full = &["x", "w", "r", "b"][..];
    assert!(import(with_text(layer("RNN", full, vec![]), "direction", "bidirectional")).is_err());
    assert!(import(with_text(layer("RNN", full, vec![]), "direction", "sideways")).is_err());
    assert!(import(layer("LSTM", full, vec![("clip", Attr::Float(1.0))])).is_err());
    assert!(import(layer("GRU", full, vec![("clip", Attr::Float(-1.0))])).is_err());
    assert!(import(layer("LSTM", full, vec![("input_forget", Attr::Int(1))])).is_err());
    assert!(import(layer("RNN", full, vec![("hidden_size", Attr::Int(i64::MIN))])).is_err());
    assert!(import(layer("RNN", full, vec![("layout", Attr::Int(2))])).is_err());
    for named in [&["Elu"][..], &["Tanh", "Tanh"]] {
        let mut node = layer("RNN", full, vec![]);
        node.attribute.push(strings("activations", named));
        assert!(import(node).is_err());
    }
    for (lengths, accepted) in [([STEPS; 2], true), ([STEPS, 1], false), ([STEPS, -1], false)] {
        let mut model = with_weights(layer("RNN", &["x", "w", "r", "b", "l"], vec![]), 1, 1);
        graph_of(&mut model).initializer.push(ints("l", &[2], &lengths));
        assert_eq!(import_model(&model).is_ok(), accepted);
    }
}
