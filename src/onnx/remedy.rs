//! Why an operator has no lowering, and what to do about it.

/// A reason and a remedy for the operator, named as in [`super::UnsupportedNode`].
pub(super) fn for_operator(operator: &str) -> (&'static str, &'static str) {
    let (domain, name) = operator.split_once("::").unwrap_or(("", operator));
    match (domain, name) {
        ("", name) if name.starts_with("Random") || matches!(name, "Bernoulli" | "Multinomial") => (
            "nothing is drawn at random in a circuit",
            "draw outside of the model, and feed what was drawn as an input",
        ),
        ("", "Unique" | "NonMaxSuppression") => {
            ("the shape of its result depends on the data", "do this part outside of the model")
        }
        ("", name) if name.starts_with("Sequence") || name.starts_with("Optional") || name.contains("Sequence") => {
            ("sequences and optional values are not supported", "export with tensors in their place")
        }
        ("", name) if name.starts_with("String") || matches!(name, "TfIdfVectorizer" | "RegexFullMatch") => {
            ("strings are not supported", "prepare text outside of the model")
        }
        ("ai.onnx.ml", "DictVectorizer" | "CategoryMapper" | "CastMap" | "StringNormalizer") => {
            ("strings are not supported", "encode names as numbers before the model")
        }
        ("", "ImageDecoder") => ("files are not tensors", "decode images before the model"),
        ("", "SoftmaxCrossEntropyLoss" | "NegativeLogLikelihoodLoss") => {
            ("it serves training", "export the model for inference")
        }
        ("ai.onnx.training" | "ai.onnx.preview.training", _) => {
            ("it serves training", "export the model for inference")
        }
        ("ai.onnx.ml", _) => {
            ("it has no lowering", "export the trained model alone, without what comes before and after it")
        }
        ("com.microsoft" | "com.ms.internal.nhwc", _) => {
            ("it comes from an optimiser", "export the model without fused operators")
        }
        ("", _) => {
            ("it has no lowering", "rewrite this part with supported operators, or export for another operator set")
        }
        _ => ("it is an operator of one framework", "export it as standard ONNX operators"),
    }
}

#[cfg(test)]
mod tests {
    use super::for_operator;

    #[test]
    fn remedies_follow_the_kind_of_operator() {
        for (operator, reason, remedy) in [
            ("RandomNormalLike", "random", "as an input"),
            ("Unique", "depends on the data", "outside"),
            ("SequenceAt", "sequences", "tensors"),
            ("SplitToSequence", "sequences", "tensors"),
            ("com.microsoft::FusedConv", "optimiser", "without fused"),
            ("ai.onnx.ml::DictVectorizer", "strings", "numbers"),
            ("ai.onnx.preview.training::Adam", "training", "inference"),
            ("my.domain::Foo", "one framework", "standard ONNX"),
            ("DFT", "no lowering", "rewrite"),
        ] {
            let found = for_operator(operator);
            assert!(found.0.contains(reason) && found.1.contains(remedy), "{operator}: {found:?}");
        }
    }
}
