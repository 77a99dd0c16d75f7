//! From bytes to the protobuf message, with errors that tell a truncated model from another kind of file.

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

use super::functions;
use super::{MAX_OPSET, MIN_OPSET, OnnxError, malformed};

/// Decodes an ONNX file and writes out its functions; `file` is named in errors.
pub(super) fn model(file: &str, bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    let not_onnx = |reason: &str| OnnxError::NotOnnx { file: file.into(), reason: reason.into() };
    let truncated = |reason: &str| OnnxError::Truncated { file: file.into(), reason: reason.into() };
    if bytes.is_empty() {
        return Err(not_onnx("it is empty"));
    }
    // Exporters write the fields in order: a model starts with its IR version, field 1 as a varint.
    let looks_like_onnx = bytes[0] == 0x08;
    let decoded = tract_onnx::onnx().proto_model_for_read(&mut &*bytes);
    let mut model = decoded.map_err(|e| match format!("{e:#}") {
        // How the protobuf decoder reports a field that ends after the file does.
        reason if looks_like_onnx && reason.contains("underflow") => truncated(&reason),
        reason => not_onnx(&reason),
    })?;
    match (&model.graph, looks_like_onnx) {
        (Some(_), _) => functions::inline(&mut model, bytes).map(|()| model),
        (None, true) => Err(truncated("it has no graph")),
        (None, false) => Err(not_onnx("it has no graph")),
    }
}

/// The version of ONNX's own operator set, which must be one that is understood. A model of operators of other domains
/// alone need not say.
pub(super) fn opset(model: &ModelProto) -> Result<i64, OnnxError> {
    let import = model.opset_import.iter().find(|i| matches!(i.domain.as_str(), "" | "ai.onnx"));
    let own = |domain: &str| matches!(domain, "" | "ai.onnx");
    let foreign = model.graph.as_ref().is_some_and(|graph| graph.node.iter().all(|n| !own(&n.domain)));
    if import.is_none() && foreign && !model.opset_import.is_empty() {
        return Ok(MAX_OPSET);
    }
    let Some(import) = import else {
        return Err(malformed("the model", "it does not say which operator set it uses; it may be truncated"));
    };
    match import.version {
        found @ MIN_OPSET..=MAX_OPSET => Ok(found),
        found => Err(OnnxError::Opset { found, min: MIN_OPSET, max: MAX_OPSET }),
    }
}
