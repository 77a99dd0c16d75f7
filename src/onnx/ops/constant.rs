//! Constants and what is constant once shapes are known: Constant, ConstantOfShape, Shape, Size, EyeLike, Range, NonZero,
//! windows of signal processing.

use std::rc::Rc;

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::strides;
use crate::onnx::tensor::{Constant, Kind, element_kind};

fn constant(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = if let Some(tensor) = node.tensor("value")? {
        Constant::decode(node.name, tensor)?
    } else if let Some(v) = node.float("value_float")? {
        Constant::new(node.name, vec![], Kind::Float, vec![v])?
    } else if let Some(v) = node.floats("value_floats")? {
        Constant::new(node.name, vec![v.len()], Kind::Float, v.iter().map(|&v| v.into()).collect())?
    } else if let Some(v) = node.int("value_int")? {
        Constant::new(node.name, vec![], Kind::Integer, vec![v as f64])?
    } else if let Some(v) = node.ints("value_ints")? {
        Constant::new(node.name, vec![v.len()], Kind::Integer, v.iter().map(|&v| v as f64).collect())?
    } else {
        return Err(node.unsupported("its value", "only tensors, floats and integers are understood"));
    };
    lowering.charge_shape(node, &value.shape)?;
    Ok(vec![Value::Constant(Rc::new(value))])
}

fn constant_of_shape(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let dims = node.integers(0, "the shape")?;
    let shape: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = shape.ok_or_else(|| node.unsupported("the shape", "it has a negative dimension"))?;
    let count = lowering.charge_shape(node, &shape)?;
    let (kind, value) = match node.tensor("value")? {
        None => (Kind::Float, 0.0),
        Some(tensor) => {
            let value = Constant::decode(node.name, tensor)?;
            let Some(&element) = value.data.first() else {
                return Err(OnnxError::ZeroSized { tensor: node.name.into(), shape: value.shape });
            };
            (value.kind, element)
        }
    };
    Ok(vec![Value::Constant(Rc::new(Constant::new(node.name, shape, kind, vec![value; count])?))])
}

fn shape(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let shape = node.input(0)?.shape();
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let start = clamp(node.int("start")?.unwrap_or(0));
    let end = clamp(node.int("end")?.unwrap_or(rank));
    let dims: Vec<f64> = shape.get(start..end).unwrap_or(&[]).iter().map(|&d| d as f64).collect();
    Ok(vec![Value::Constant(Rc::new(Constant::new(node.name, vec![dims.len()], Kind::Integer, dims)?))])
}

/// The number of elements.
fn size(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let count = node.input(0)?.len() as f64;
    Ok(vec![lowering.constant(node, vec![], Kind::Integer, vec![count])?])
}

/// The kind that attribute `name` gives, or `default`.
fn kind(node: &Node, name: &str, default: Kind) -> Result<Kind, OnnxError> {
    match node.int(name)? {
        None => Ok(default),
        Some(kind) => element_kind(node.name, i32::try_from(kind).unwrap_or(-1)),
    }
}

/// `y[i, j] = [j - i = k]`, in the shape of the input.
fn eye_like(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let &[_, width] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "the input must be a matrix"));
    };
    let (k, kind) = (node.int("k")?.unwrap_or(0), kind(node, "dtype", x.kind())?);
    let count = lowering.charge_shape(node, x.shape())?;
    let element = |i: usize| f64::from(u8::from((i % width) as i64 - (i / width) as i64 == k));
    Ok(vec![lowering.constant(node, x.shape().to_vec(), kind, (0..count).map(element).collect())?])
}

/// The one element of a constant input.
fn scalar(node: &Node, position: usize, what: &str) -> Result<(f64, Kind), OnnxError> {
    match node.input(position)?.constant().map(|c| (c.data.as_slice(), c.kind)) {
        Some((&[value], kind)) => Ok((value, kind)),
        _ => Err(node.unsupported(what, "it must be one constant number")),
    }
}

/// `start + i delta` for `i < (limit - start) / delta`.
fn range(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (start, kind) = scalar(node, 0, "the start")?;
    let ((limit, limit_kind), (delta, delta_kind)) = (scalar(node, 1, "the limit")?, scalar(node, 2, "the delta")?);
    if kind != limit_kind || kind != delta_kind || kind == Kind::Bool || delta == 0.0 {
        return Err(node.unsupported("its operands", "they must be numbers of one type, the delta not zero"));
    }
    // the cast saturates
    let count = ((limit - start) / delta).ceil().max(0.0) as usize;
    lowering.charge_shape(node, &[count])?;
    let data = (0..count).map(|i| start + i as f64 * delta).collect();
    Ok(vec![lowering.constant(node, vec![count], kind, data)?])
}

/// The indices of the elements that are not zero, one column each.
fn non_zero(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let Some(x) = node.input(0)?.constant() else {
        return Err(node.unsupported("its input", "it must be constant, as the result's shape depends on it"));
    };
    let places: Vec<usize> = (0..x.data.len()).filter(|&i| x.data[i] != 0.0).collect();
    let shape = vec![x.shape.len(), places.len()];
    lowering.charge_shape(node, &shape)?;
    let along = |(&size, step): (&usize, usize)| places.iter().map(move |i| (i / step % size) as f64);
    let data = x.shape.iter().zip(strides(&x.shape)).flat_map(along).collect();
    Ok(vec![lowering.constant(node, shape, Kind::Integer, data)?])
}

/// `c0 - c1 cos(2 pi i / n) + c2 cos(4 pi i / n)`, where `n` is the size, or one less if it is not periodic.
fn window(lowering: &mut Lowering, node: &Node, c: [f64; 3]) -> Result<Vec<Value>, OnnxError> {
    let (size, size_kind) = scalar(node, 0, "the size")?;
    if size_kind != Kind::Integer || size < 1.0 {
        return Err(node.unsupported("the size", "it must be a positive integer"));
    }
    let kind = kind(node, "output_datatype", Kind::Float)?;
    let periodic = node.int("periodic")?.unwrap_or(1) != 0;
    if kind != Kind::Float || (!periodic && size < 2.0) {
        return Err(node.unsupported("its result", "it must be of floats, and of two if it is not periodic"));
    }
    let count = size as usize;
    lowering.charge_shape(node, &[count])?;
    let turn = std::f64::consts::TAU / if periodic { size } else { size - 1.0 };
    let element = |i: usize| c[0] - c[1] * (turn * i as f64).cos() + c[2] * (2.0 * turn * i as f64).cos();
    Ok(vec![lowering.constant(node, vec![count], kind, (0..count).map(element).collect())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Size", size);
    registry.add("EyeLike", eye_like);
    registry.add("Range", range);
    registry.add("NonZero", non_zero);
    registry.add("HannWindow", |lowering, node| window(lowering, node, [0.5, 0.5, 0.0]));
    registry.add("HammingWindow", |lowering, node| window(lowering, node, [25.0 / 46.0, 21.0 / 46.0, 0.0]));
    registry.add("BlackmanWindow", |lowering, node| window(lowering, node, [0.42, 0.5, 0.08]));
    registry.add("Constant", constant);
    registry.add("ConstantOfShape", constant_of_shape);
    registry.add("Shape", shape);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::TensorProto;

    use crate::onnx::testing::{Attr, agrees, floats, graph_of, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn every_form_of_constant() {
        let nodes = vec![
            node("Constant", &[], "a", vec![("value", Attr::Tensor(&floats("", &[2], &[1.0, 2.0])))]),
            node("Constant", &[], "b", vec![("value_float", Attr::Float(0.5))]),
            node("Constant", &[], "c", vec![("value_floats", Attr::Floats(&[4.0, 8.0]))]),
            node("Constant", &[], "d", vec![("value_int", Attr::Int(1))]),
            node("Constant", &[], "e", vec![("value_ints", Attr::Ints(&[2, 1]))]),
            node("Mul", &["x", "a"], "xa", vec![]),
            node("Add", &["xa", "b"], "xb", vec![]),
            node("Add", &["xb", "c"], "xc", vec![]),
            node("Add", &["e", "d"], "unused", vec![]),
            node("Reshape", &["xc", "e"], "y", vec![]),
        ];
        let graph = agrees(&model(&[("x", &[1, 2])], "y", vec![], nodes));
        assert_eq!(graph.outputs[0].2, [2, 1]);
    }

    #[test]
    fn shapes_are_constant() {
        // What exporters write for `x.view(x.size(0), -1)`.
        let nodes = vec![
            node("Shape", &["x"], "shape", vec![]),
            node("Gather", &["shape", "zero"], "batch", vec![("axis", Attr::Int(0))]),
            node("Unsqueeze", &["batch", "axes"], "b", vec![]),
            node("Concat", &["b", "rest"], "target", vec![("axis", Attr::Int(0))]),
            node("Reshape", &["x", "target"], "z", vec![]),
            node("ConstantOfShape", &["target2"], "ones", vec![("value", Attr::Tensor(&floats("", &[1], &[1.0])))]),
            node("Add", &["z", "ones"], "y", vec![]),
        ];
        let initializers = vec![
            ints("zero", &[], &[0]),
            ints("axes", &[1], &[0]),
            ints("rest", &[1], &[-1]),
            ints("target2", &[2], &[1, 6]),
        ];
        let graph = agrees(&model(&[("x", &[-1, 2, 3])], "y", initializers, nodes));
        assert_eq!(graph.outputs[0].2, [1, 6]);
    }

    #[test]
    fn shape_takes_a_slice() {
        let slice = vec![("start", Attr::Int(-2)), ("end", Attr::Int(3))];
        let nodes = vec![node("Shape", &["x"], "shape", slice), node("Reshape", &["x", "shape"], "y", vec![])];
        let mut model = model(&[("x", &[1, 2, 3])], "y", vec![], nodes);
        model.opset_import[0].version = 15;
        assert_eq!(agrees(&model).outputs[0].2, [2, 3]);
        graph_of(&mut model).node[0].attribute[0].i = i64::MIN;
        assert_eq!(agrees(&model).outputs[0].2, [1, 2, 3]);
    }

    /// What a node makes of constants, added to an input of zeros in the shape of the result.
    fn made(op: &str, inputs: &[TensorProto], attributes: Vec<(&str, Attr)>) -> Result<Vec<f64>, OnnxError> {
        let names: Vec<&str> = inputs.iter().map(|t| t.name.as_str()).collect();
        let nodes = vec![node(op, &names, "y", attributes), node("Identity", &["x"], "z", vec![])];
        let mut model = model(&[("x", &[1])], "y", inputs.to_vec(), nodes);
        model.opset_import[0].version = 17;
        Ok(import_model(&model)?.eval(&[0.0]))
    }

    #[test]
    fn ranges_and_sizes() {
        let range = |v: [f32; 3]| {
            made("Range", &["a", "b", "c"].iter().zip(v).map(|(n, v)| floats(n, &[], &[v])).collect::<Vec<_>>(), vec![])
        };
        assert_eq!(range([1.0, 2.0, 0.25]).unwrap(), [1.0, 1.25, 1.5, 1.75]);
        assert_eq!(range([3.0, 0.0, -2.0]).unwrap(), [3.0, 1.0]);
        assert!(range([0.0, 1.0, 0.0]).is_err());
        assert!(range([0.0, 1e30, 1e-30]).is_err());
        assert!(range([1.0, 0.0, 1.0]).is_err());
        let integers = |v: [i64; 3]| {
            made("Range", &[ints("a", &[], &v[..1]), ints("b", &[], &v[1..2]), ints("c", &[], &v[2..])], vec![])
        };
        assert_eq!(integers([10, 4, -3]).unwrap(), [10.0, 7.0]);
        assert_eq!(made("Size", &[ints("a", &[2, 2], &[1, 2, 3, 4])], vec![]).unwrap(), [4.0]);
        assert_eq!(
            made("NonZero", &[ints("a", &[2, 2], &[1, 0, 3, 4])], vec![]).unwrap(),
            [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
        );
    }

    #[test]
    fn unit_matrices() {
        let eye =
            |k| made("EyeLike", &[floats("a", &[2, 3], &[0.0; 6])], vec![("k", Attr::Int(k)), ("dtype", Attr::Int(7))]);
        assert_eq!(eye(0).unwrap(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(eye(1).unwrap(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(eye(-1).unwrap(), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(eye(i64::MIN).unwrap(), [0.0; 6]);
    }

    #[test]
    fn windows_follow_the_formulas() {
        let of =
            |op, size: i64, periodic| made(op, &[ints("n", &[], &[size])], vec![("periodic", Attr::Int(periodic))]);
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        near(of("HannWindow", 4, 1).unwrap(), &[0.0, 0.5, 1.0, 0.5]);
        near(of("HannWindow", 3, 0).unwrap(), &[0.0, 1.0, 0.0]);
        near(of("HammingWindow", 2, 1).unwrap(), &[4.0 / 46.0, 1.0]);
        near(of("BlackmanWindow", 4, 1).unwrap(), &[0.0, 0.34, 1.0, 0.34]);
        assert!(of("HannWindow", 1, 0).is_err());
        assert!(of("HannWindow", 0, 1).is_err());
        assert!(of("HannWindow", 1 << 50, 1).is_err());
    }
}
