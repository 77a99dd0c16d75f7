//! Shapes and places: reshapes, slices, gathers and scatters.

use tract_onnx::pb::tensor_proto::DataType;

use crate::common::onnx::Attr;
use crate::sketch::{Sketch, Value};

/// Any value with an axis.
fn tensor(s: &mut Sketch) -> Value {
    let x = s.value();
    if x.rank() == 0 { s.of_rank(&x, 1) } else { x }
}

pub fn shape(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let range = (x.lo, x.hi);
    Some(match s.draw.index(6) {
        0 => {
            let mut order: Vec<usize> = (0..x.rank()).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, s.draw.index(i + 1));
            }
            let shape = order.iter().map(|&a| x.shape[a]).collect();
            let perm: Vec<i64> = order.into_iter().map(|a| a as i64).collect();
            s.node("Transpose", &[&x.name], vec![("perm", Attr::Ints(&perm))], shape, x.kind, range)
        }
        1 => {
            // one size is left open, or copied
            let rank = 1 + s.draw.index(4);
            let shape = s.factors(x.len(), rank);
            let mut target: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
            let open = s.draw.index(rank);
            target[open] = if x.shape.get(open) == Some(&shape[open]) { 0 } else { -1 };
            let target = s.list(&target);
            s.node("Reshape", &[&x.name, &target], vec![], shape, x.kind, range)
        }
        2 => {
            let axis = s.draw.index(x.rank() + 1);
            let shape = vec![x.shape[..axis].iter().product(), x.shape[axis..].iter().product()];
            s.node("Flatten", &[&x.name], vec![("axis", Attr::Int(axis as i64))], shape, x.kind, range)
        }
        3 => {
            let axis = s.draw.index(x.rank() + 1);
            let axes = s.list(&[axis as i64]);
            let mut shape = x.shape.clone();
            shape.insert(axis, 1);
            s.node("Unsqueeze", &[&x.name, &axes], vec![], shape, x.kind, range)
        }
        4 => {
            let axis = x.shape.iter().position(|&d| d == 1)?;
            let at = s.signed(axis, x.rank());
            let axes = s.list(&[at]);
            let mut shape = x.shape.clone();
            shape.remove(axis);
            s.node("Squeeze", &[&x.name, &axes], vec![], shape, x.kind, range)
        }
        _ => {
            let more = 1 + s.draw.index(3);
            let mut shape: Vec<usize> = x.shape.iter().map(|&d| if d == 1 { more } else { d }).collect();
            shape.insert(0, 1 + s.draw.index(2));
            if !Sketch::small(&shape) {
                return None;
            }
            let target: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
            let target = s.list(&target);
            s.node("Expand", &[&x.name, &target], vec![], shape, x.kind, range)
        }
    })
}

pub fn slice(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let size = x.shape[axis] as i64;
    let step: i64 = s.any(&[1, 1, 2, -1, -2]);
    let (a, b) = (s.draw.index(size as usize) as i64, s.draw.index(size as usize) as i64);
    // inclusive ends, which may be counted from the end
    let (start, last) = if step > 0 { (a.min(b), a.max(b)) } else { (a.max(b), a.min(b)) };
    let count = (last - start).abs() / step.abs() + 1;
    let end = if step > 0 { last + 1 } else { last - 1 - size };
    let start = if s.draw.once_in(3) { start - size } else { start };
    let inputs = [s.list(&[start]), s.list(&[end]), s.list(&[at]), s.list(&[step])];
    let inputs: Vec<&str> = std::iter::once(&x.name).chain(&inputs).map(String::as_str).collect();
    let shape = x.with_axis(axis, count as usize);
    Some(s.node("Slice", &inputs, vec![], shape, x.kind, (x.lo, x.hi)))
}

pub fn split(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let size = x.shape[axis];
    if size < 2 {
        return None;
    }
    let first = 1 + s.draw.index(size - 1);
    let sizes = s.list(&[first as i64, (size - first) as i64]);
    let axis_attribute = vec![("axis", Attr::Int(at))];
    let shape = x.with_axis(axis, first);
    let head = s.node("Split", &[&x.name, &sizes], axis_attribute, shape, x.kind, (x.lo, x.hi));
    let tail = s.fresh();
    s.last_node().output.push(tail.clone());
    s.also(tail, x.with_axis(axis, size - first), x.kind, (x.lo, x.hi));
    Some(head)
}

pub fn concat(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let fits = |v: &&Value| v.kind == x.kind && v.rank() == x.rank() && v.with_axis(axis, 1) == x.with_axis(axis, 1);
    let others: Vec<Value> = s.values.iter().filter(fits).cloned().collect();
    let y = s.any(&others);
    let shape = x.with_axis(axis, x.shape[axis] + y.shape[axis]);
    let range = (x.lo.min(y.lo), x.hi.max(y.hi));
    let attributes = vec![("axis", Attr::Int(at))];
    Sketch::small(&shape).then(|| s.node("Concat", &[&x.name, &y.name], attributes, shape, x.kind, range))
}

pub fn pad(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = if x.rank() == 0 { s.of_rank(&x, 1) } else { x };
    let mode = s.any(&["constant", "constant", "reflect", "edge"]);
    let mut most = |size: &usize| s.draw.index(if mode == "reflect" { *size } else { 3 }.min(3)) as i64;
    let starts: Vec<i64> = x.shape.iter().map(&mut most).collect();
    let ends: Vec<i64> = x.shape.iter().map(&mut most).collect();
    let sizes = x.shape.iter().zip(starts.iter().zip(&ends));
    let shape: Vec<usize> = sizes.map(|(&d, (&a, &b))| d + (a + b) as usize).collect();
    if !Sketch::small(&shape) {
        return None;
    }
    let pads = s.list(&[starts, ends].concat());
    let filler = s.number(-2.0, 2.0);
    let value = s.scalar(filler);
    let inputs = if mode == "constant" { vec![x.name.as_str(), &pads, &value] } else { vec![x.name.as_str(), &pads] };
    let range = (x.lo.min(filler), x.hi.max(filler));
    Some(s.float("Pad", &inputs, vec![("mode", Attr::Text(mode))], shape, range))
}

pub fn tile(s: &mut Sketch) -> Option<Value> {
    let x = tensor(s);
    let repeats: Vec<i64> = x.shape.iter().map(|_| 1 + s.draw.index(2) as i64).collect();
    let shape: Vec<usize> = x.shape.iter().zip(&repeats).map(|(&d, &r)| d * r as usize).collect();
    if !Sketch::small(&shape) {
        return None;
    }
    let repeats = s.list(&repeats);
    Some(s.node("Tile", &[&x.name, &repeats], vec![], shape, x.kind, (x.lo, x.hi)))
}

pub fn resize(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let mut shape = s.factors(x.len(), 2);
    shape.splice(0..0, [1, 1]);
    let x = s.shaped(&x, shape);
    let factors: Vec<usize> = (0..2).map(|_| 1 + s.draw.index(2)).collect();
    let shape = vec![1, 1, x.shape[2] * factors[0], x.shape[3] * factors[1]];
    if !Sketch::small(&shape) {
        return None;
    }
    let scales = s.floats(&[4], &[1.0, 1.0, factors[0] as f32, factors[1] as f32]);
    let mode = s.any(&["nearest", "linear"]);
    let mut attributes = vec![("mode", Attr::Text(mode))];
    if mode == "nearest" {
        attributes.push(("coordinate_transformation_mode", Attr::Text("asymmetric")));
        attributes.push(("nearest_mode", Attr::Text("floor")));
    }
    Some(s.float("Resize", &[&x.name, "", &scales], attributes, shape, (x.lo, x.hi)))
}

/// Blocks to channels and back, triangles.
pub fn blocks(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let range = (x.lo.min(0.0), x.hi.max(0.0));
    if s.draw.once_in(2) && s.opset >= 14 {
        let x = s.of_rank(&x, 2);
        let k = s.draw.integer(-1, 1) as i64;
        let k = s.ints(&[], &[k]);
        let upper = vec![("upper", Attr::Int(s.draw.once_in(2).into()))];
        return Some(s.float("Trilu", &[&x.name, &k], upper, x.shape, range));
    }
    if !x.len().is_multiple_of(4) {
        return None;
    }
    let rest = x.len() / 4;
    let size = vec![("blocksize", Attr::Int(2))];
    if s.draw.once_in(2) {
        let x = s.shaped(&x, vec![1, 4, 1, rest]);
        return Some(s.float("DepthToSpace", &[&x.name], size, vec![1, 1, 2, 2 * rest], range));
    }
    let x = s.shaped(&x, vec![1, 1, 2, 2 * rest]);
    Some(s.float("SpaceToDepth", &[&x.name], size, vec![1, 4, 1, rest], range))
}

pub fn gather(s: &mut Sketch) -> Option<Value> {
    if s.draw.once_in(3) {
        // a table at the places that the input says
        let index = s.integer();
        let rows = 2 + s.draw.index(4);
        let index = index_below(s, &index, rows);
        let width = 1 + s.draw.index(2);
        let shape = [index.shape.as_slice(), &[width]].concat();
        if !Sketch::small(&shape) {
            return None;
        }
        let table = s.weights(&[rows, width], -2.0, 2.0);
        return Some(s.float("Gather", &[&table, &index.name], vec![("axis", Attr::Int(0))], shape, (-2.0, 2.0)));
    }
    let x = tensor(s);
    let (axis, at) = s.axis(&x);
    let size = x.shape[axis] as i128;
    if s.draw.once_in(3) {
        let shape = x.with_axis(axis, 1 + s.draw.index(3));
        if !Sketch::small(&shape) {
            return None;
        }
        let count: usize = shape.iter().product();
        let indices: Vec<i64> = (0..count).map(|_| s.draw.integer(-size, size - 1) as i64).collect();
        let indices = s.ints(&shape, &indices);
        let at = vec![("axis", Attr::Int(at))];
        return Some(s.node("GatherElements", &[&x.name, &indices], at, shape, x.kind, (x.lo, x.hi)));
    }
    let count = 1 + s.draw.index(3);
    let indices: Vec<i64> = (0..count).map(|_| s.draw.integer(-size, size - 1) as i64).collect();
    let (name, shape) = match count == 1 && s.draw.once_in(2) {
        true => (s.ints(&[], &indices), [&x.shape[..axis], &x.shape[axis + 1..]].concat()),
        false => (s.list(&indices), x.with_axis(axis, count)),
    };
    let at = vec![("axis", Attr::Int(at))];
    Sketch::small(&shape).then(|| s.node("Gather", &[&x.name, &name], at, shape, x.kind, (x.lo, x.hi)))
}

/// The integer as an index below `size`.
fn index_below(s: &mut Sketch, x: &Value, size: usize) -> Value {
    let size = size as f64;
    if x.lo >= 0.0 && x.hi < size && x.kind == DataType::Int64 {
        return x.clone();
    }
    if x.lo < 0.0 {
        s.incomparable = Some("its Mod has the sign of the dividend");
    }
    let modulus = s.integers(x.kind, &[], &[size as i64]);
    let range = (0.0, size - 1.0);
    let index = s.node("Mod", &[&x.name, &modulus], vec![], x.shape.clone(), x.kind, range);
    if index.kind == DataType::Int64 {
        return index;
    }
    let to = vec![("to", Attr::Int(DataType::Int64 as i64))];
    s.node("Cast", &[&index.name], to, index.shape, DataType::Int64, range)
}

pub fn one_hot(s: &mut Sketch) -> Option<Value> {
    let index = s.integer();
    let depth = 2 + s.draw.index(3);
    let index = index_below(s, &index, depth);
    let shape = [index.shape.as_slice(), &[depth]].concat();
    if !Sketch::small(&shape) {
        return None;
    }
    let (depth, values) = (s.ints(&[], &[depth as i64]), s.floats(&[2], &[-0.5, 1.5]));
    Some(s.float("OneHot", &[&index.name, &depth, &values], vec![], shape, (-0.5, 1.5)))
}

pub fn scatter(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = if x.rank() == 0 { s.of_rank(&x, 1) } else { x };
    let (axis, at) = s.axis(&x);
    let add = s.opset >= 16 && s.draw.once_in(2);
    let mut attributes = vec![];
    if add {
        attributes.push(("reduction", Attr::Text("add")));
    }
    let range = (x.lo - 2.0, x.hi + 2.0);
    if s.draw.once_in(2) {
        let row = s.draw.index(x.shape[0]) as i64;
        let indices = s.ints(&[1, 1], &[row]);
        let updates = x.with_axis(0, 1);
        let updates = s.weights(&updates, -2.0, 2.0);
        return Some(s.float("ScatterND", &[&x.name, &indices, &updates], attributes, x.shape, range));
    }
    attributes.push(("axis", Attr::Int(at)));
    let shape = x.with_axis(axis, 1);
    let index = s.draw.index(x.shape[axis]) as i64;
    let indices = s.ints(&shape, &vec![index; shape.iter().product()]);
    let updates = s.weights(&shape, -2.0, 2.0);
    Some(s.float("ScatterElements", &[&x.name, &indices, &updates], attributes, x.shape, range))
}
