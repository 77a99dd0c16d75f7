//! What the tests of several families share.

use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// A string attribute.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    let (name, s, r#type) = (name.into(), value.as_bytes().to_vec(), AttributeType::String as i32);
    AttributeProto { name, s, r#type, ..Default::default() }
}

/// The node with one more string attribute.
pub(super) fn with_text(mut node: tract_onnx::pb::NodeProto, name: &str, value: &str) -> tract_onnx::pb::NodeProto {
    node.attribute.push(text(name, value));
    node
}

/// The element type of floats.
pub(super) const FLOAT: tract_onnx::pb::tensor_proto::DataType = tract_onnx::pb::tensor_proto::DataType::Float;
