//! The models that provers are timed on.

use prost::Message;

#[path = "../../tests/common/onnx.rs"]
pub mod onnx;

pub const INPUTS: usize = 16;

/// A perceptron with so many neurons in its hidden layer.
pub fn perceptron(neurons: usize) -> Vec<u8> {
    let (inputs, neurons) = (INPUTS as i64, neurons as i64);
    let parameters = vec![
        onnx::weights("w1", &[inputs, neurons], 1),
        onnx::weights("b1", &[neurons], 2),
        onnx::weights("w2", &[neurons, 1], 3),
    ];
    let nodes = vec![
        onnx::node("Gemm", &["x", "w1", "b1"], "z", vec![]),
        onnx::node("Relu", &["z"], "h", vec![]),
        onnx::node("MatMul", &["h", "w2"], "y", vec![]),
    ];
    onnx::model(&[("x", &[1, inputs])], "y", parameters, nodes).encode_to_vec()
}
