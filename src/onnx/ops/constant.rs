//! Constants and what is constant once shapes are known: Constant, ConstantOfShape, Shape.

use std::rc::Rc;

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::tensor::{Constant, Kind};

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

pub(super) fn register(registry: &mut Registry) {
    registry.add("Constant", constant);
    registry.add("ConstantOfShape", constant_of_shape);
    registry.add("Shape", shape);
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Attr, agrees, floats, graph_of, ints, model, node};

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
}
