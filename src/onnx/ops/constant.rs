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
