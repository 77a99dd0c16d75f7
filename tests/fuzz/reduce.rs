//! Along axes: reductions, extremes with their places, normalisations.

use tract_onnx::pb::tensor_proto::DataType;

use crate::common::onnx::Attr;
use crate::sketch::{Sketch, Value};

/// A float value with an axis.
fn tensor(s: &mut Sketch) -> Value {
    let x = s.operand();
    if x.rank() == 0 { s.of_rank(&x, 1) } else { x }
}

pub fn reduce(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let op = s.any(&[
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSum",
        "ReduceLogSumExp",
    ]);
    let x = match op {
        "ReduceL2" | "ReduceLogSum" => s.above(&x, 0.25),
        "ReduceProd" => s.within(&x, 1.5),
        "ReduceLogSumExp" | "ReduceSumSquare" => s.within(&x, 3.0),
        _ => x,
    };
    let mut axes: Vec<usize> = (0..x.rank()).filter(|_| s.draw.once_in(2)).collect();
    if axes.is_empty() {
        axes.push(s.draw.index(x.rank()));
    }
    let keep = s.draw.once_in(2);
    let terms: usize = axes.iter().map(|&a| x.shape[a]).product();
    let shape = x.shape.iter().enumerate().filter(|(a, _)| keep || !axes.contains(a));
    let shape = shape.map(|(a, &d)| if axes.contains(&a) { 1 } else { d }).collect();
    let (n, m) = (terms as f64, x.reach());
    let range = match op {
        "ReduceSum" => (n * x.lo, n * x.hi),
        "ReduceProd" => (-m.powf(n).max(m), m.powf(n).max(m)),
        "ReduceL1" | "ReduceL2" => (0.0, n * m),
        "ReduceSumSquare" => (0.0, n * m * m),
        "ReduceLogSum" => (-2.0, (n * m).ln()),
        "ReduceLogSumExp" => (x.lo, x.hi + n),
        _ => (x.lo, x.hi),
    };
    let axes: Vec<i64> = axes.into_iter().map(|a| s.signed(a, x.rank())).collect();
    let keep = ("keepdims", Attr::Int(keep.into()));
    if op == "ReduceSum" || s.opset >= 18 {
        let axes = s.list(&axes);
        return Some(s.float(op, &[&x.name, &axes], vec![keep], shape, range));
    }
    Some(s.float(op, &[&x.name], vec![keep, ("axes", Attr::Ints(&axes))], shape, range))
}

pub fn cum_sum(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let at = s.ints(&[], &[at]);
    let mut flag = || Attr::Int(s.draw.once_in(2).into());
    let attributes = vec![("exclusive", flag()), ("reverse", flag())];
    let most = x.reach() * x.shape[axis] as f64;
    Some(s.float("CumSum", &[&x.name, &at], attributes, x.shape, (-most, most)))
}

pub fn extreme(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let op = s.any(&["ArgMax", "ArgMin"]);
    let (keep, last) = (s.draw.once_in(2), s.draw.once_in(3));
    let mut shape = x.with_axis(axis, 1);
    if !keep {
        shape.remove(axis);
    }
    let attributes = vec![
        ("axis", Attr::Int(at)),
        ("keepdims", Attr::Int(keep.into())),
        ("select_last_index", Attr::Int(last.into())),
    ];
    Some(s.node(op, &[&x.name], attributes, shape, DataType::Int64, (0.0, x.shape[axis] as f64 - 1.0)))
}

pub fn top_k(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    if x.shape[axis] > 6 {
        return None;
    }
    let k = 1 + s.draw.index(x.shape[axis].min(3));
    let count = s.list(&[k as i64]);
    let largest = s.draw.once_in(2);
    let attributes = vec![("axis", Attr::Int(at)), ("largest", Attr::Int(largest.into()))];
    let shape = x.with_axis(axis, k);
    let values = s.float("TopK", &[&x.name, &count], attributes, shape.clone(), (x.lo, x.hi));
    let indices = s.fresh();
    s.last_node().output.push(indices.clone());
    s.also(indices, shape, DataType::Int64, (0.0, x.shape[axis] as f64 - 1.0));
    Some(values)
}

pub fn softmax(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let op = s.any(&["Softmax", "Softmax", "LogSoftmax", "Hardmax"]);
    let x = s.within(&x, 4.0);
    let (_, at) = s.axis(&x);
    let range = if op == "LogSoftmax" { (-12.0, 0.0) } else { (0.0, 1.0) };
    Some(s.float(op, &[&x.name], vec![("axis", Attr::Int(at))], x.shape, range))
}

pub fn normalise(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let op = s.any(&["BatchNormalization", "LayerNormalization", "InstanceNormalization", "LpNormalization", "LRN"]);
    let epsilon = ("epsilon", Attr::Float(0.125));
    match op {
        "LayerNormalization" if s.opset < 17 => None,
        "LayerNormalization" => {
            let axis = x.rank() - 1;
            let (scale, bias) = (s.weights(&[x.shape[axis]], 0.5, 1.5), s.weights(&[x.shape[axis]], -1.0, 1.0));
            let most = 1.5 * (x.shape[axis] as f64).sqrt() + 1.0;
            let inputs = [x.name.as_str(), &scale, &bias];
            Some(s.float(op, &inputs, vec![epsilon, ("axis", Attr::Int(-1))], x.shape, (-most, most)))
        }
        "LpNormalization" => {
            let x = s.above(&x, 0.25);
            let (_, at) = s.axis(&x);
            let p = 1 + s.draw.index(2) as i64;
            Some(s.float(op, &[&x.name], vec![("axis", Attr::Int(at)), ("p", Attr::Int(p))], x.shape, (-1.0, 1.0)))
        }
        "LRN" => {
            let x = s.within(&x, 2.0);
            let mut shape = s.factors(x.len(), 3);
            shape.insert(0, 1);
            let x = s.shaped(&x, shape);
            let attributes = vec![("size", Attr::Int(3)), ("alpha", Attr::Float(0.5)), ("beta", Attr::Float(0.75))];
            Some(s.float(op, &[&x.name], attributes, x.shape, (-2.0, 2.0)))
        }
        _ => {
            let mut shape = s.factors(x.len(), 2);
            shape.insert(0, 1);
            let x = s.shaped(&x, shape);
            let c = x.shape[1];
            let (scale, bias) = (s.weights(&[c], 0.5, 1.5), s.weights(&[c], -1.0, 1.0));
            if op == "InstanceNormalization" {
                let most = 1.5 * (x.shape[2] as f64).sqrt() + 1.0;
                let inputs = [x.name.as_str(), &scale, &bias];
                return Some(s.float(op, &inputs, vec![epsilon], x.shape, (-most, most)));
            }
            let (mean, variance) = (s.weights(&[c], -1.0, 1.0), s.weights(&[c], 0.5, 2.0));
            let most = 2.2 * (x.reach() + 1.0) + 1.0;
            let inputs = [x.name.as_str(), &scale, &bias, &mean, &variance];
            Some(s.float(op, &inputs, vec![epsilon], x.shape, (-most, most)))
        }
    }
}
