//! Activation functions: Relu.

use std::rc::Rc;

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::FloatOp;
use crate::onnx::tensor::Constant;

fn relu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let shape = node.input(0)?.shape().to_vec();
    lowering.charge_shape(node, &shape)?;
    Ok(vec![match node.input(0)? {
        Value::Constant(c) => {
            let data = c.data.iter().map(|v| v.max(0.0)).collect();
            Value::Constant(Rc::new(Constant::new(node.name, shape, c.kind, data)?))
        }
        Value::Activation(a) => lowering.push(node, FloatOp::Relu, vec![a.id], shape, a.kind),
    }])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Relu", relu);
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{agrees, floats, model, node};

    #[test]
    fn relu_of_an_activation_and_of_a_constant() {
        let nodes = vec![
            node("Relu", &["x"], "a", vec![]),
            node("Relu", &["w"], "b", vec![]),
            node("Add", &["a", "b"], "y", vec![]),
        ];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![floats("w", &[3], &[-1.0, 0.0, 2.5])], nodes));
        assert_eq!(graph.eval(&[-5.0, 2.0, 1.0]), [0.0, 2.0, 3.5]);
    }
}
