//! What to do about an operator that has no lowering.

/// A remedy for the operator, named as in [`super::UnsupportedNode`].
pub(super) fn for_operator(operator: &str) -> &'static str {
    let (domain, name) = operator.split_once("::").unwrap_or(("", operator));
    match (domain, name) {
        ("", "If" | "Loop" | "Scan" | "SequenceMap") => {
            "unroll it: export with fixed shapes and fold constants, with onnxsim for instance"
        }
        ("", name) if name.starts_with("Random") || matches!(name, "Bernoulli" | "Multinomial") => {
            "a proof needs a deterministic model: draw outside of it, and feed what was drawn as an input"
        }
        ("", "Unique" | "NonMaxSuppression" | "StringSplit" | "RegexFullMatch") => {
            "the shape of its output depends on the data: do this part outside of the model"
        }
        ("", name) if name.starts_with("Sequence") || name.starts_with("Optional") || name.contains("FromSequence") => {
            "export with tensors in place of sequences and optional values"
        }
        ("", name) if name.starts_with("String") || name == "TfIdfVectorizer" => "prepare text outside of the model",
        ("ai.onnx.ml", "DictVectorizer" | "CategoryMapper" | "CastMap") => "encode names as numbers before the model",
        ("ai.onnx.ml" | "ai.onnx.training" | "ai.onnx.preview.training", _) => {
            "export the trained model alone, without what comes before and after it"
        }
        ("com.microsoft" | "com.ms.internal.nhwc", _) => {
            "it comes from an optimiser: export the model without fused operators"
        }
        ("", _) => "rewrite this part with supported operators, or export for another operator set",
        _ => "it is an operator of one framework: export it as standard ONNX operators",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_follow_the_kind_of_operator() {
        for (operator, words) in [
            ("Loop", "unroll"),
            ("RandomNormalLike", "deterministic"),
            ("Unique", "depends on the data"),
            ("SequenceAt", "sequences"),
            ("com.microsoft::FusedConv", "optimiser"),
            ("ai.onnx.ml::DictVectorizer", "numbers"),
            ("my.domain::Foo", "standard ONNX"),
            ("DFT", "rewrite"),
        ] {
            assert!(for_operator(operator).contains(words), "{operator}: {}", for_operator(operator));
        }
    }
}
