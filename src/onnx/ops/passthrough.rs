//! Operators that leave values as they are: Identity, Dropout at inference, Cast.

use std::rc::Rc;

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::lower::Activation;
use crate::onnx::tensor::{Constant, Kind, element_kind};

fn identity(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![node.input(0)?.clone()])
}

/// The mask, Dropout's second output, is not provided.
fn dropout(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if let Some(training) = node.optional_input(2) {
        let off = training.constant().is_some_and(|c| c.data.iter().all(|&v| v == 0.0));
        if !off {
            return Err(node.unsupported("training_mode", "export the model for inference"));
        }
    }
    Ok(vec![node.input(0)?.clone()])
}

fn cast(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let to = node.int("to")?.and_then(|to| i32::try_from(to).ok());
    let to = element_kind(node.name, to.ok_or_else(|| node.unsupported("attribute to", "it is missing"))?)?;
    let value = node.input(0)?;
    let refuse = |from: &str| Err(node.unsupported("attribute to", &format!("a cast from {from} would change values")));
    Ok(vec![match (value, to) {
        (Value::Activation(a), to) => match (a.kind, to) {
            (Kind::Integer | Kind::Bool, Kind::Float | Kind::Integer) => {
                Value::Activation(Activation { kind: to, ..a.clone() })
            }
            (from, to) if from == to => value.clone(),
            _ => return refuse("an activation to a narrower type"),
        },
        (Value::Constant(c), to) => {
            lowering.charge_shape(node, &c.shape)?;
            let convert = |v: f64| match to {
                Kind::Float => v,
                Kind::Integer => v.trunc(),
                Kind::Bool => f64::from(u8::from(v != 0.0)),
            };
            let data = c.data.iter().map(|&v| convert(v)).collect();
            Value::Constant(Rc::new(Constant::new(&c.name, c.shape.clone(), to, data)?))
        }
    }])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Identity", identity);
    registry.add("Dropout", dropout);
    registry.add("Cast", cast);
}
