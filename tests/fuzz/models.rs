//! Whole models in one node: recurrences, trees and linear models of `ai.onnx.ml`, branches.

use tract_onnx::pb::{GraphProto, ValueInfoProto, tensor_proto::DataType};

use crate::common::onnx::{Attr, node};
use crate::sketch::{Sketch, Value};

pub fn recurrent(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = s.within(&x, 2.0);
    let (steps, inputs) = if x.len().is_multiple_of(2) { (2, x.len() / 2) } else { (1, x.len()) };
    if inputs > 6 {
        return None;
    }
    let x = s.shaped(&x, vec![steps, 1, inputs]);
    let (op, gates) = s.any(&[("RNN", 1), ("GRU", 3), ("LSTM", 4)]);
    let hidden = 1 + s.draw.index(2);
    let (direction, directions) = s.any(&[("forward", 1), ("reverse", 1), ("bidirectional", 2)]);
    if direction == "reverse" {
        s.incomparable = Some("it runs layers in reverse as if forwards");
    }
    let w = s.weights(&[directions, gates * hidden, inputs], -1.0, 1.0);
    let r = s.weights(&[directions, gates * hidden, hidden], -1.0, 1.0);
    let b = s.weights(&[directions, 2 * gates * hidden], -0.5, 0.5);
    let mut names = vec![x.name.as_str(), &w, &r];
    if s.draw.once_in(2) {
        names.push(&b);
    }
    let mut attributes = vec![("hidden_size", Attr::Int(hidden as i64)), ("direction", Attr::Text(direction))];
    if op == "GRU" && s.draw.once_in(2) {
        attributes.push(("linear_before_reset", Attr::Int(1)));
    }
    let all = s.float(op, &names, attributes, vec![steps, directions, 1, hidden], (-1.0, 1.0));
    let last = s.fresh();
    s.last_node().output.push(last.clone());
    s.also(last, vec![directions, 1, hidden], DataType::Float, (-1.0, 1.0));
    Some(all)
}

/// A value of one row.
fn row(s: &mut Sketch) -> Value {
    let x = s.operand();
    s.shaped(&x, vec![1, x.len()])
}

fn ml(
    s: &mut Sketch,
    op: &str,
    inputs: &[&str],
    attributes: Vec<(&str, Attr)>,
    shape: Vec<usize>,
    range: (f64, f64),
) -> Option<Value> {
    let value = s.float(op, inputs, attributes, shape, range);
    s.last_node().domain = "ai.onnx.ml".into();
    Some(value)
}

pub fn linear(s: &mut Sketch) -> Option<Value> {
    let x = row(s);
    let (n, m) = (x.len(), x.reach());
    let mut numbers = |count: usize| (0..count).map(|_| s.number(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let (offsets, scales, threshold) = (numbers(n), numbers(n), numbers(1)[0]);
    let (coefficients, intercepts) = (numbers(2 * n), numbers(2));
    match s.draw.index(4) {
        0 => {
            let attributes = vec![("offset", Attr::Floats(&offsets)), ("scale", Attr::Floats(&scales))];
            ml(s, "Scaler", &[&x.name], attributes, x.shape.clone(), (-m - 1.0, m + 1.0))
        }
        1 => {
            let attributes = vec![("threshold", Attr::Float(threshold))];
            ml(s, "Binarizer", &[&x.name], attributes, x.shape.clone(), (0.0, 1.0))
        }
        2 => {
            let x = s.above(&x, 0.25);
            let norm = s.any(&["MAX", "L1", "L2"]);
            ml(s, "Normalizer", &[&x.name], vec![("norm", Attr::Text(norm))], x.shape.clone(), (0.0, 1.0))
        }
        _ => {
            let attributes = vec![
                ("targets", Attr::Int(2)),
                ("coefficients", Attr::Floats(&coefficients)),
                ("intercepts", Attr::Floats(&intercepts)),
            ];
            let most = m * n as f64 + 1.0;
            ml(s, "LinearRegressor", &[&x.name], attributes, vec![1, 2], (-most, most))
        }
    }
}

/// Trees of three inner nodes and four leaves.
pub fn trees(s: &mut Sketch) -> Option<Value> {
    let x = row(s);
    let trees = 1 + s.draw.index(2) as i64;
    let mode = s.any(&["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]);
    let modes: Vec<&str> = (0..trees).flat_map(|_| [mode, mode, mode, "LEAF", "LEAF", "LEAF", "LEAF"]).collect();
    let per_tree = |of: fn(i64) -> i64, ids: std::ops::Range<i64>| -> Vec<i64> {
        (0..trees).flat_map(|_| ids.clone().map(of)).collect()
    };
    let tree_ids: Vec<i64> = (0..7 * trees).map(|i| i / 7).collect();
    let features: Vec<i64> = (0..7 * trees).map(|_| s.draw.index(x.len()) as i64).collect();
    let thresholds: Vec<f32> = (0..7 * trees).map(|_| s.number(x.lo, x.hi) as f32).collect();
    let leaf_trees: Vec<i64> = (0..4 * trees).map(|i| i / 4).collect();
    let weights: Vec<f32> = (0..4 * trees).map(|_| s.number(-1.0, 1.0) as f32).collect();
    let targets = vec![0; 4 * trees as usize];
    let (node_ids, leaf_ids) = (per_tree(|i| i, 0..7), per_tree(|i| i, 3..7));
    let yes = per_tree(|i| if i < 3 { 2 * i + 1 } else { 0 }, 0..7);
    let no = per_tree(|i| if i < 3 { 2 * i + 2 } else { 0 }, 0..7);
    let attributes = vec![
        ("n_targets", Attr::Int(1)),
        ("nodes_treeids", Attr::Ints(&tree_ids)),
        ("nodes_nodeids", Attr::Ints(&node_ids)),
        ("nodes_featureids", Attr::Ints(&features)),
        ("nodes_values", Attr::Floats(&thresholds)),
        ("nodes_modes", Attr::Texts(&modes)),
        ("nodes_truenodeids", Attr::Ints(&yes)),
        ("nodes_falsenodeids", Attr::Ints(&no)),
        ("target_treeids", Attr::Ints(&leaf_trees)),
        ("target_nodeids", Attr::Ints(&leaf_ids)),
        ("target_ids", Attr::Ints(&targets)),
        ("target_weights", Attr::Floats(&weights)),
    ];
    let most = trees as f64;
    ml(s, "TreeEnsembleRegressor", &[&x.name], attributes, vec![1, 1], (-most, most))
}

pub fn branches(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let taken = s.draw.once_in(2);
    let condition = s.booleans(&[], &[taken]);
    let mut branch = |op: &str| {
        let name = s.fresh();
        let output = vec![ValueInfoProto { name: name.clone(), ..Default::default() }];
        let node = vec![node(op, &[&x.name], &name, vec![])];
        Attr::Graph(GraphProto { name: op.into(), node, output, ..Default::default() })
    };
    let attributes = vec![("then_branch", branch("Relu")), ("else_branch", branch("Neg"))];
    Some(s.float("If", &[&condition], attributes, x.shape.clone(), (-x.reach(), x.reach())))
}
