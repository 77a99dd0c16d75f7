//! Why some operators have no lowering.

/// What stands in the way of a lowering of `operator`, if that is known.
pub(in crate::onnx) fn reason(operator: &str) -> Option<&'static str> {
    const SHAPE: &str = "the shape of its result depends on the data";
    const RANDOM: &str = "nothing is drawn at random in a circuit";
    const TEXT: &str = "strings are not supported";
    const SEQUENCE: &str = "sequences are not supported";
    const TRAINING: &str = "export the model for inference";
    Some(match operator {
        "Unique" | "NonMaxSuppression" => SHAPE,
        "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike" => {
            RANDOM
        }
        "StringConcat"
        | "StringNormalizer"
        | "StringSplit"
        | "RegexFullMatch"
        | "TfIdfVectorizer"
        | "ai.onnx.ml::CategoryMapper"
        | "ai.onnx.ml::DictVectorizer" => TEXT,
        "ConcatFromSequence" | "SplitToSequence" | "SequenceAt" | "SequenceConstruct" | "SequenceEmpty"
        | "SequenceErase" | "SequenceInsert" | "SequenceLength" | "SequenceMap" => SEQUENCE,
        "Optional" | "OptionalGetElement" | "OptionalHasElement" => "optional values are not supported",
        "ImageDecoder" => "decode images before the model",
        "SoftmaxCrossEntropyLoss" | "NegativeLogLikelihoodLoss" => TRAINING,
        name if name.starts_with("ai.onnx.preview.training::") || name.starts_with("ai.onnx.training::") => TRAINING,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::reason;
    use crate::onnx::supported_operators;

    #[test]
    fn what_is_supported_is_not_refused() {
        assert_eq!(supported_operators().into_iter().find(|operator| reason(operator).is_some()), None);
        assert!(reason("SequenceAt").is_some() && reason("ai.onnx.preview.training::Adam").is_some());
    }
}
