//! Attributes that a lowering does not read. They may change what a node does, so it is refused, unless they are known
//! not to.

use std::collections::BTreeSet;

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;

use super::OnnxError;
use super::found::operator_name;
use super::lower::Node;

/// Attributes that make no difference to any model that can be imported, with the operators that have them; without any,
/// all. Those that make none in some cases are named by the lowering, where it meets such a case ([`Node::ignore`]).
const HARMLESS: &[(&str, &[&str])] = &[
    // which buffers may be reused, in operator set 1; later runtimes go by what is read
    ("consumed_inputs", &[]),
    // what is dropped in training, and how statistics are gathered there
    ("ratio", &["Dropout"]),
    ("seed", &["Dropout"]),
    ("momentum", &["BatchNormalization"]),
    // the type of intermediate results, which here are exact
    ("stash_type", &["LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"]),
    ("stash_type", &["GroupNormalization", "Range"]),
    ("softmax_precision", &["Attention"]),
    ("precision", &["QuantizeLinear"]),
    // which of the types of floats the result has
    ("output_dtype", &["DequantizeLinear"]),
    // casts to types of 8 bits and less, which are refused
    ("saturate", &["Cast", "CastLike", "QuantizeLinear"]),
    ("round_mode", &["Cast", "CastLike"]),
    // about further outputs, which are refused
    ("storage_order", &["MaxPool"]),
    ("qk_matmul_output_mode", &["Attention"]),
    // about other inputs and modes, which are refused
    ("mask_filter_value", &["com.microsoft::Attention", "com.microsoft::MultiHeadAttention"]),
    ("rotary_embedding_dim", &["com.microsoft::Attention"]),
    ("extrapolation_value", &["Resize"]),
    // no value is infinite or NaN
    ("detect_negative", &["IsInf"]),
    ("detect_positive", &["IsInf"]),
    ("nodes_missing_value_tracks_true", TREES),
    // whether the order of the results matters; they are sorted
    ("sorted", &["TopK"]),
    // how the model was trained, and what runtimes may optimise by
    ("multi_class", &["ai.onnx.ml::LinearClassifier"]),
    ("nodes_hitrates", TREES),
    ("nodes_hitrates_as_tensor", TREES),
];

const TREES: &[&str] =
    &["ai.onnx.ml::TreeEnsemble", "ai.onnx.ml::TreeEnsembleClassifier", "ai.onnx.ml::TreeEnsembleRegressor"];

/// What is wrong with the attributes of a node that has been lowered.
pub(super) fn refused<'a>(node: &Node<'a>) -> Vec<OnnxError> {
    let operator = operator_name(node.proto);
    let harmless = |name: &str| {
        HARMLESS.iter().any(|(known, of)| *known == name && (of.is_empty() || of.contains(&operator.as_str())))
    };
    let mut names = BTreeSet::new();
    let refuse = |attribute: &'a AttributeProto| {
        let name = attribute.name.as_str();
        if !names.insert(name) {
            return Some(node.unsupported(&format!("attribute {name}"), "it is given twice"));
        }
        if !attribute.ref_attr_name.is_empty() {
            let reason = format!("it refers to {}, an attribute of no function around it", attribute.ref_attr_name);
            return Some(node.unsupported(&format!("attribute {name}"), &reason));
        }
        let known = node.has_read(name) || harmless(name) || is_empty_list(attribute);
        let (node, op) = (node.name.into(), node.op().into());
        (!known).then(|| OnnxError::UnknownAttribute { node, op, attribute: name.into() })
    };
    node.proto.attribute.iter().filter_map(refuse).collect()
}

/// Some exporters write lists that a node does not have as empty ones.
fn is_empty_list(attribute: &AttributeProto) -> bool {
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Floats) => attribute.floats.is_empty(),
        Ok(AttributeType::Ints) => attribute.ints.is_empty(),
        Ok(AttributeType::Strings) => attribute.strings.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Attr, floats, graph_of, model, node};
    use crate::onnx::{OnnxError, examine, import_model};
    use prost::Message;
    use tract_onnx::pb::ModelProto;

    fn relu(attributes: Vec<(&str, Attr)>) -> ModelProto {
        model(&[("x", &[1, 3])], "y", vec![], vec![node("Relu", &["x"], "y", attributes)])
    }

    #[test]
    fn what_no_lowering_reads_is_refused_by_name() {
        let error = import_model(&relu(vec![("slope", Attr::Float(0.5))])).unwrap_err();
        assert!(matches!(&error, OnnxError::UnknownAttribute { attribute, .. } if attribute == "slope"), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("node \"Relu_y\" (Relu): attribute slope is not known"), "{text}");
        assert!(text.contains("; remove it"), "{text}");
    }

    #[test]
    fn every_unknown_attribute_is_a_problem_of_its_own() {
        let mut model = relu(vec![("slope", Attr::Float(0.5)), ("at", Attr::Int(0))]);
        graph_of(&mut model).node.push(node("Tanh", &["y"], "z", vec![("scale", Attr::Ints(&[2]))]));
        graph_of(&mut model).output[0].name = "z".into();
        let problems = examine("m", &model.encode_to_vec()).unwrap_err();
        let found: Vec<_> =
            problems.listed.iter().map(|p| (p.node.as_deref().unwrap(), p.attribute.as_deref().unwrap())).collect();
        assert_eq!(found, [("Relu_y", "slope"), ("Relu_y", "at"), ("Tanh_z", "scale")]);
        assert!(problems.listed.iter().all(|p| p.suggestion.is_some()));
    }

    #[test]
    fn an_attribute_that_is_given_twice_is_refused() {
        let twice = vec![("alpha", Attr::Float(0.5)), ("alpha", Attr::Float(0.25))];
        let error = import_model(&model(&[("x", &[1])], "y", vec![], vec![node("LeakyRelu", &["x"], "y", twice)]));
        assert!(error.unwrap_err().to_string().contains("attribute alpha is not supported: it is given twice"));
    }

    #[test]
    fn harmless_ones_belong_to_their_operators() {
        assert!(import_model(&relu(vec![("consumed_inputs", Attr::Ints(&[0]))])).is_ok());
        assert!(import_model(&relu(vec![("of_nothing", Attr::Ints(&[]))])).is_ok());
        assert!(import_model(&relu(vec![("momentum", Attr::Float(0.9))])).is_err());
        let constants = ["s", "b", "m", "v"].map(|name| floats(name, &[3], &[1.0; 3])).to_vec();
        let normalise =
            node("BatchNormalization", &["x", "s", "b", "m", "v"], "y", vec![("momentum", Attr::Float(0.9))]);
        assert!(import_model(&model(&[("x", &[1, 3])], "y", constants, vec![normalise])).is_ok());
    }
}
