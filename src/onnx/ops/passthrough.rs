//! Operators that leave values as they are: Identity, Dropout at inference, Cast.

use std::rc::Rc;

use super::common::filled;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::lower::Activation;
use crate::onnx::tensor::{Constant, Kind, element_kind, integer_range};

fn identity(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![node.input(0)?.clone()])
}

/// At inference nothing is dropped, as the mask, the second output, says.
fn dropout(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if let Some(training) = node.optional_input(2) {
        let off = training.constant().is_some_and(|c| c.data.iter().all(|&v| v == 0.0));
        if !off {
            return Err(node.unsupported("training_mode", "export the model for inference"));
        }
    }
    let x = node.input(0)?;
    let mask = if node.opset < 10 { x.kind() } else { Kind::Bool };
    Ok(vec![x.clone(), filled(lowering, node, x.shape(), mask, 1.0)?])
}

fn cast(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let to = node.int("to")?.and_then(|to| i32::try_from(to).ok());
    let to_type = to.ok_or_else(|| node.unsupported("attribute to", "it is missing"))?;
    let to = element_kind(node.name, to_type)?;
    let value = node.input(0)?;
    let refuse = |from: &str| Err(node.unsupported("attribute to", &format!("a cast from {from} would change values")));
    // Integers of fewer than 32 bits and unsigned ones would wrap around.
    if let Some((lo, hi)) = integer_range(to_type).filter(|&(lo, hi)| lo == 0.0 || hi < f64::from(i32::MAX)) {
        let fits = match value {
            Value::Constant(c) => c.data.iter().all(|&v| (lo..=hi).contains(&v.trunc())),
            Value::Activation(a) => a.kind == Kind::Bool,
        };
        if !fits {
            return refuse("a wider type");
        }
    }
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

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, model, node};

    #[test]
    fn values_pass_through() {
        let nodes = vec![
            node("Identity", &["x"], "a", vec![]),
            node("Dropout", &["a"], "b", vec![]),
            node("Cast", &["b"], "c", vec![("to", Attr::Int(DataType::Double as i64))]),
            node("Cast", &["c"], "d", vec![("to", Attr::Int(DataType::Float as i64))]),
            node("Relu", &["d"], "y", vec![]),
        ];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![], nodes));
        assert_eq!(graph.nodes.len(), 1);
    }

    #[test]
    fn the_mask_of_dropout_keeps_everything() {
        let mut dropout = node("Dropout", &["x"], "y", vec![]);
        dropout.output.push("mask".into());
        let mut model = model(&[("x", &[1, 3])], "y", vec![], vec![dropout]);
        graph_of(&mut model).output[0].name = "mask".into();
        assert_eq!(import_model(&model).unwrap().eval(&[0.5, 0.0, -2.0]), [1.0; 3]);
    }

    #[test]
    fn an_integer_input_may_be_cast_to_float_but_not_back() {
        let to = |data_type: DataType| vec![("to", Attr::Int(data_type as i64))];
        let nodes = vec![node("Cast", &["x"], "f", to(DataType::Float)), node("Mul", &["f", "half"], "y", vec![])];
        let mut model = model(&[], "y", vec![floats("half", &[1], &[0.5])], nodes);
        graph_of(&mut model).input.push(declare("x", &[1, 2], DataType::Int64));
        let graph = agrees(&model);
        assert!(graph.inputs[0].integer);
        graph_of(&mut model).node.push(node("Cast", &["y"], "z", to(DataType::Int64)));
        let error = import_model(&model).unwrap_err();
        assert!(matches!(&error, OnnxError::UnsupportedAttribute { node, .. } if node == "Cast_z"), "{error}");
    }

    #[test]
    fn dropout_in_training_is_refused() {
        let with = |value: f32| {
            let flag = node("Cast", &["flag"], "training", vec![("to", Attr::Int(DataType::Bool as i64))]);
            let nodes = vec![flag, node("Dropout", &["x", "", "training"], "y", vec![])];
            model(&[("x", &[1, 2])], "y", vec![floats("flag", &[], &[value])], nodes)
        };
        assert!(import_model(&with(0.0)).is_ok());
        assert!(matches!(import_model(&with(1.0)), Err(OnnxError::UnsupportedAttribute { .. })));
    }
}
