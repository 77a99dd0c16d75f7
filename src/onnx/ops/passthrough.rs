//! Operators that leave values as they are: Identity, Dropout at inference.

use super::common::filled;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::tensor::Kind;

fn identity(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![node.input(0)?.clone()])
}

/// At inference nothing is dropped, as the mask, the second output, says.
fn dropout(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if let Some(training) = node.optional_input(2) {
        let off = training.constant().is_some_and(|c| c.data == [0.0]);
        if !off {
            return Err(node.unsupported("training_mode", "export the model for inference"));
        }
    }
    let x = node.input(0)?;
    let mask = if node.opset < 10 { x.kind() } else { Kind::Bool };
    Ok(vec![x.clone(), filled(lowering, node, x.shape(), mask, 1.0)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Identity", identity);
    registry.add("Dropout", dropout);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, graph_of, model, node};

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
