//! The typed face of a verifier: names and fixed-point types for what a proof says, as a library for the contracts that consume it.

use std::{collections::HashSet, fmt::Write};

use super::contract::comment_text;

/// Width of a line, as `forge fmt` breaks them.
const WIDTH: usize = 120;

/// Bits of the fraction of a value, or of the power of two that it is a multiple of if negative; an integer has none.
pub(super) type Exponent = i32;

/// A named output, or a tensor of them.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedOutput {
    pub name: String,
    /// Index of its first public value, and how many it has.
    pub first: usize,
    pub len: usize,
    /// `value = integer / 2^exponent`.
    pub exponent: Exponent,
    /// Least and greatest value that the model can give, in its units.
    pub range: (f64, f64),
}

/// A public input, read from the bits of a public value: `plus + (word >> shift) mod 2^bits`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedInput {
    pub name: String,
    pub public_value: usize,
    pub shift: u32,
    pub bits: u32,
    pub plus: i128,
    pub exponent: Exponent,
    pub range: (f64, f64),
}

/// All that the library says.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// The verifier's name.
    pub verifier: String,
    /// SHA-256 of the ONNX file in hex, unless the verifier is one of many models.
    pub onnx_sha256: Option<String>,
    /// The verifying key's digest in hex: the model's name, or the architecture's.
    pub verifying_key: String,
    /// Words of the arguments of `verify`: commitment to the weights, outputs, digests, proof.
    pub words: [usize; 4],
    pub outputs: Vec<TypedOutput>,
    pub inputs: Vec<TypedInput>,
    /// What each digest is of: `inputs` or `outputs`.
    pub digests: Vec<&'static str>,
    /// Names of the inputs of which a proof says nothing, or their digest.
    pub hidden: Vec<String>,
    /// The least value of the one output that is a favourable decision.
    pub threshold: Option<f64>,
}

/// Words that cannot name a member of a struct.
const RESERVED: &[&str] = &[
    "abstract",
    "address",
    "after",
    "alias",
    "anonymous",
    "apply",
    "as",
    "assembly",
    "auto",
    "bool",
    "break",
    "byte",
    "bytes",
    "calldata",
    "case",
    "catch",
    "constant",
    "constructor",
    "continue",
    "contract",
    "copyof",
    "days",
    "default",
    "define",
    "delete",
    "do",
    "else",
    "emit",
    "enum",
    "error",
    "ether",
    "event",
    "external",
    "fallback",
    "false",
    "final",
    "fixed",
    "for",
    "from",
    "function",
    "global",
    "gwei",
    "hex",
    "hours",
    "if",
    "immutable",
    "implements",
    "import",
    "in",
    "indexed",
    "inline",
    "int",
    "interface",
    "internal",
    "is",
    "layout",
    "let",
    "library",
    "macro",
    "mapping",
    "match",
    "memory",
    "minutes",
    "modifier",
    "mutable",
    "new",
    "null",
    "of",
    "override",
    "partial",
    "payable",
    "pragma",
    "private",
    "promise",
    "public",
    "pure",
    "receive",
    "reference",
    "relocatable",
    "return",
    "returns",
    "revert",
    "sealed",
    "seconds",
    "sizeof",
    "static",
    "storage",
    "string",
    "struct",
    "super",
    "supports",
    "switch",
    "this",
    "throw",
    "transient",
    "true",
    "try",
    "type",
    "typedef",
    "typeof",
    "ufixed",
    "uint",
    "unchecked",
    "unicode",
    "using",
    "var",
    "view",
    "virtual",
    "weeks",
    "wei",
    "while",
    "years",
];

/// Whether Solidity keeps a word for itself: one of `RESERVED`, or a type with its size.
pub(super) fn is_reserved(word: &str) -> bool {
    let sized = |kind: &&str| word.strip_prefix(*kind).is_some_and(|size| size.chars().all(|c| c.is_ascii_digit()));
    // fixed128x18
    let fixed = word.strip_prefix('u').unwrap_or(word).strip_prefix("fixed").and_then(|size| size.split_once('x'));
    let digits = |size: &str| !size.is_empty() && size.chars().all(|c| c.is_ascii_digit());
    RESERVED.contains(&word)
        || ["int", "uint", "bytes"].iter().any(sized)
        || fixed.is_some_and(|(bits, decimals)| digits(bits) && digits(decimals))
}

/// `credit_amount (DM)` as `creditAmountDm`: an identifier that is in none of `taken`, to which it is added.
fn identifier(name: &str, taken: &mut HashSet<String>) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.enumerate().map(|(i, word)| {
        let (first, rest) = word.split_at(1);
        let first = if i == 0 { first.to_ascii_lowercase() } else { first.to_ascii_uppercase() };
        // ABBREVIATIONS are words like others
        let shouted = word.len() > 1 && word.chars().all(|c| !c.is_ascii_lowercase());
        first + &if shouted { rest.to_ascii_lowercase() } else { rest.to_string() }
    });
    let mut plain: String = joined.collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic()) {
        plain = format!("value{plain}");
    } else if is_reserved(&plain) {
        plain.push_str("Value");
    }
    let numbered = (2..).map(|number| format!("{plain}{number}"));
    let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(plain);
    taken.insert(free.clone());
    free
}

/// A function's head as `forge fmt` breaks it.
pub(super) fn head(name: &str, parameters: &[String], attributes: &[&str]) -> String {
    let line = format!("    function {name}({})", parameters.join(", "));
    let whole = format!("{line} {} {{", attributes.join(" "));
    if whole.len() <= WIDTH {
        return whole;
    }
    if line.len() <= WIDTH {
        return format!("{line}\n        {}\n    {{", attributes.join("\n        "));
    }
    format!("    function {name}(\n        {}\n    ) {} {{", parameters.join(",\n        "), attributes.join(" "))
}

/// A call of a function as `forge fmt` breaks it.
pub(super) fn call(function: &str, arguments: &[&str]) -> String {
    let line = format!("        {function}({});", arguments.join(", "));
    if line.len() <= WIDTH {
        line
    } else {
        format!("        {function}(\n            {}\n        );", arguments.join(", "))
    }
}

/// A number for people.
pub(super) fn readable(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 { format!("{value}") } else { format!("{value:.6}") }
}

/// What an integer of an exponent is.
pub(super) fn meaning_of(exponent: Exponent) -> String {
    match exponent {
        0.. => format!("the model's value times 2^{exponent}, rounded as the model computes it"),
        _ => format!("the model's value divided by 2^{}", exponent.unsigned_abs()),
    }
}

/// What precedes `Verifier` in a contract's name.
fn base(verifier: &str) -> &str {
    verifier.strip_suffix("UNSAFE").unwrap_or(verifier).strip_suffix("Verifier").unwrap_or(verifier)
}

/// The name of the library beside a verifier: `CreditModel` for `CreditVerifier`.
pub fn typed_name(verifier: &str) -> String {
    format!("{}Model", base(verifier))
}

impl Interface {
    pub(super) fn base(&self) -> &str {
        base(&self.verifier)
    }

    /// The type of numbers of an exponent.
    pub(super) fn type_of(&self, exponent: Exponent) -> String {
        match exponent {
            0 => "int256".into(),
            1.. => format!("{}Fixed{exponent}", self.base()),
            _ => format!("{}Multiple{}", self.base(), exponent.unsigned_abs()),
        }
    }

    /// Exponents of numbers that are no integers.
    pub(super) fn exponents(&self) -> Vec<Exponent> {
        let of = self.outputs.iter().map(|o| o.exponent).chain(self.inputs.iter().map(|i| i.exponent));
        let mut exponents: Vec<Exponent> = of.filter(|exponent| *exponent != 0).collect();
        exponents.sort_unstable();
        exponents.dedup();
        exponents
    }

    /// Members of the result: outputs, public inputs, digests. They are what Solidity and TypeScript call them.
    pub(super) fn names(&self) -> [Vec<String>; 3] {
        let mut taken = HashSet::new();
        let outputs = self.outputs.iter().map(|o| identifier(&o.name, &mut taken)).collect();
        let inputs = self.inputs.iter().map(|i| identifier(&i.name, &mut taken)).collect();
        let digests = self.digests.iter().map(|of| identifier(&format!("{of} digest"), &mut taken)).collect();
        [outputs, inputs, digests]
    }

    /// Where the one output begins to be a favourable decision: in the units of the model, and as the least integer. None if all that the
    /// output can be is on one side of it.
    pub(super) fn decision(&self) -> Option<(f64, f64)> {
        let [output] = self.outputs.as_slice() else { return None };
        let (least, greatest) = output.range;
        let threshold = self.threshold.filter(|t| output.len == 1 && least < *t && *t <= greatest)?;
        // no negative zero
        Some((threshold, (threshold * f64::from(output.exponent).exp2()).ceil() + 0.0))
    }

    /// The source of the library.
    pub fn source(&self) -> String {
        let (verifier, library) = (&self.verifier, typed_name(&self.verifier));
        let mut out = format!(
            "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.20;\n\nimport {{{verifier}}} from \"./{verifier}.sol\";\n\n"
        );
        for exponent in self.exponents() {
            let name = self.type_of(exponent);
            let meaning = meaning_of(exponent);
            let _ = write!(
                out,
                "/// @notice A fixed-point number: {meaning}.\ntype {name} is int256;\n\nusing {library} for {name} global;\n\n"
            );
        }
        let [outputs, inputs, digests] = self.names();
        self.result(&mut out, &outputs, &inputs, &digests);
        self.library(&mut out, &library, [&outputs, &inputs, &digests]);
        out
    }

    /// The struct with what a proof says.
    fn result(&self, out: &mut String, outputs: &[String], inputs: &[String], digests: &[String]) {
        let _ = writeln!(
            out,
            "/// @notice What a valid proof says of one run of the model.\nstruct {}Result {{",
            self.base()
        );
        let range = |(lo, hi): (f64, f64)| format!("from {} to {}", readable(lo), readable(hi));
        for (output, name) in self.outputs.iter().zip(outputs) {
            let kind = self.type_of(output.exponent);
            let array = if output.len > 1 { format!("[{}]", output.len) } else { String::new() };
            let _ = writeln!(out, "    // output \"{}\": {}", comment_text(&output.name), range(output.range));
            let _ = writeln!(out, "    {kind}{array} {name};");
        }
        for (input, name) in self.inputs.iter().zip(inputs) {
            let _ = writeln!(out, "    // public input \"{}\": {}", comment_text(&input.name), range(input.range));
            let _ = writeln!(out, "    {} {name};", self.type_of(input.exponent));
        }
        for (of, name) in self.digests.iter().zip(digests) {
            let _ = writeln!(
                out,
                "    // salted Poseidon digest of {of}: the verifier's head says of which, and how it is made"
            );
            let _ = writeln!(out, "    uint256 {name};");
        }
        out.push_str("}\n\n");
    }

    /// Lines on what a call of `verify` that returns has shown. `of_many` is which model it is of, if the verifier is one of many.
    pub(super) fn meaning(&self, of_many: &str) -> Vec<String> {
        let committed = self.words[0] > 0;
        let which = if committed { of_many } else { "the model" };
        let hidden = match self.hidden.as_slice() {
            [] => "All inputs are public.".into(),
            [one] => format!("The input \"{}\" stays hidden.", comment_text(one)),
            many => format!("{} inputs stay hidden.", many.len()),
        };
        let mut lines = vec![
            format!("A call of `verify` that returns proves: {which} gives this result for some input, each feature of"),
            format!("which is in its declared domain, and the proof was made for `context`. {hidden}"),
            "It does not prove where the input comes from, unless a digest of it is compared with one that somebody has".into(),
            "attested; that the model is a good one; or that a proof has not been used before: the context has to do that.".into(),
        ];
        if !committed {
            lines.push("The model is the one that the verifying key names; the float model of the ONNX file differs by its rounding.".into());
        }
        lines
    }

    fn library(&self, out: &mut String, library: &str, [outputs, inputs, digests]: [&[String]; 3]) {
        let (verifier, committed) = (&self.verifier, self.words[0] > 0);
        let _ = writeln!(out, "/// @title {library}: what proofs for {verifier} say, by name and type");
        for (i, line) in self.meaning("the approved model of this architecture").into_iter().enumerate() {
            let _ = writeln!(out, "/// {}{line}", if i == 0 { "@notice " } else { "" });
        }
        let _ = writeln!(
            out,
            "/// @dev Generated by hallmark; do not edit. All functions are internal: they cost no call.\nlibrary {library} {{"
        );
        if committed {
            out.push_str(
                "    /// @notice The proof is of another model than the approved one.\n    /// @param expected id of the approved model.\n    \
                 /// @param given id of the model whose weights the call names.\n    error OtherModel(bytes32 expected, bytes32 given);\n\n",
            );
            let _ = writeln!(out, "    /// @notice Names the architecture: the verifier's `ARCHITECTURE_ID`.");
        } else {
            let _ = writeln!(out, "    /// @notice SHA-256 of the ONNX file.");
            let hash = self.onnx_sha256.as_deref().unwrap_or_default();
            let _ = writeln!(out, "    bytes32 internal constant MODEL_HASH = 0x{hash};\n");
            let _ = writeln!(
                out,
                "    /// @notice Names the model: the digest of its verifying key, which is the verifier's `MODEL_ID`."
            );
        }
        let _ = writeln!(out, "    bytes32 internal constant VERIFYING_KEY_HASH = 0x{};", self.verifying_key);
        let decision = self.decision();
        if let Some((threshold, integer)) = decision {
            let _ = write!(
                out,
                "\n    /// @notice The decision is favourable from this value on: {}, in the units of {}.\n    int256 internal constant \
                 DECISION_THRESHOLD = {integer};\n",
                readable(threshold),
                self.type_of(self.outputs[0].exponent),
            );
        }
        self.verify(out);
        self.read(out, [outputs, inputs, digests]);
        if decision.is_some() {
            let value = match self.outputs[0].exponent {
                0 => format!("result.{}", outputs[0]),
                exponent => format!("{}.unwrap(result.{})", self.type_of(exponent), outputs[0]),
            };
            let _ = write!(
                out,
                "\n    /// @notice Whether the decision is favourable.\n    /// @param result what a proof says.\n    /// @return favourable whether it \
                 is at or above the threshold.\n    function decide({}Result memory result) internal pure returns (bool favourable) {{\n        \
                 return {value} >= DECISION_THRESHOLD;\n    }}\n",
                self.base(),
            );
        }
        for exponent in self.exponents() {
            self.conversions(out, exponent);
        }
        out.push_str("}\n");
    }

    fn verify(&self, out: &mut String) {
        let [weights, outputs, digests, proof] = self.words;
        let mut parameters = vec![format!("{} verifier", self.verifier)];
        let mut docs = vec!["verifier the contract, which the caller trusts to be this one.".to_string()];
        if weights > 0 {
            parameters.push("bytes32 model".into());
            docs.push("model id of the model that is approved.".into());
        }
        parameters.push("bytes32 context".into());
        docs.push("context what the proof has to be made for: compute it, never take it from the caller.".into());
        let arrays = [
            ("uint256", weights, "weights", "commitment to the model's weights."),
            ("int256", outputs, "outputs", "public values of the proof."),
            ("uint256", digests, "digests", "digests of the proof."),
            ("uint256", proof, "proof", "the proof."),
        ];
        let mut arguments = vec!["context"];
        for (kind, len, name, doc) in arrays.into_iter().filter(|(_, len, ..)| *len > 0) {
            parameters.push(format!("{kind}[{len}] calldata {name}"));
            docs.push(format!("{name} {doc}"));
            arguments.push(name);
        }
        let errors = if weights > 0 { "the verifier's errors, or with OtherModel" } else { "the verifier's errors" };
        let _ = writeln!(out, "\n    /// @notice What a proof says, if it is valid. Reverts with {errors}, if not.");
        for doc in docs {
            let _ = writeln!(out, "    /// @param {doc}");
        }
        let _ = writeln!(out, "    /// @return result what it says.");
        let returns = format!("returns ({}Result memory result)", self.base());
        let _ = writeln!(out, "{}", head("verify", &parameters, &["internal", "view", &returns]));
        if weights > 0 {
            out.push_str(
                "        bytes32 given = keccak256(abi.encode(VERIFYING_KEY_HASH, weights));\n        if (given != model) revert OtherModel(model, \
                 given);\n",
            );
        }
        let _ = writeln!(out, "{}", call("verifier.verify", &arguments));
        let read = if digests > 0 { "outputs, digests" } else { "outputs" };
        let read = if outputs > 0 { read } else { "digests" };
        let _ = writeln!(out, "        return read({read});\n    }}");
    }

    /// The function that takes public values apart.
    fn read(&self, out: &mut String, [outputs, inputs, digests]: [&[String]; 3]) {
        let wrapped = |exponent: Exponent, value: String| match exponent {
            0 => value,
            _ => format!("{}.wrap({value})", self.type_of(exponent)),
        };
        let mut parameters = vec![];
        let _ = writeln!(
            out,
            "\n    /// @notice Public values by name. They mean nothing unless a proof of them is verified."
        );
        if self.words[1] > 0 {
            parameters.push(format!("int256[{}] calldata outputs", self.words[1]));
            let _ = writeln!(out, "    /// @param outputs public values of a proof.");
        }
        if self.words[2] > 0 {
            parameters.push(format!("uint256[{}] calldata digests", self.words[2]));
            let _ = writeln!(out, "    /// @param digests digests of a proof.");
        }
        let _ = writeln!(out, "    /// @return result what they are.");
        let returns = format!("returns ({}Result memory result)", self.base());
        let _ = writeln!(out, "{}", head("read", &parameters, &["internal", "pure", &returns]));
        for (output, name) in self.outputs.iter().zip(outputs) {
            if output.len == 1 {
                let value = wrapped(output.exponent, format!("outputs[{}]", output.first));
                let _ = writeln!(out, "        result.{name} = {value};");
            } else {
                let at = if output.first == 0 { "i".into() } else { format!("{} + i", output.first) };
                let _ = writeln!(out, "        for (uint256 i = 0; i < {}; i++) {{", output.len);
                let _ = writeln!(
                    out,
                    "            result.{name}[i] = {};\n        }}",
                    wrapped(output.exponent, format!("outputs[{at}]"))
                );
            }
        }
        for (input, name) in self.inputs.iter().zip(inputs) {
            let TypedInput { public_value, shift, bits, plus, .. } = input;
            let mask = if *bits == 0 { "0".into() } else { format!("{:#x}", u128::MAX >> (128 - bits)) };
            let word = if *shift == 0 {
                format!("outputs[{public_value}]")
            } else {
                format!("(outputs[{public_value}] >> {shift})")
            };
            let sign = if *plus < 0 { '-' } else { '+' };
            let value = match plus.unsigned_abs() {
                0 => format!("{word} & {mask}"),
                plus => format!("({word} & {mask}) {sign} {plus}"),
            };
            let _ = writeln!(out, "        result.{name} = {};", wrapped(input.exponent, value));
        }
        for (i, name) in digests.iter().enumerate() {
            let _ = writeln!(out, "        result.{name} = digests[{i}];");
        }
        out.push_str("    }\n");
    }

    /// The functions of a type.
    fn conversions(&self, out: &mut String, exponent: Exponent) {
        let name = self.type_of(exponent);
        let power = format!("2 ** {}", exponent.unsigned_abs());
        let (to_wad, left, right) = match exponent {
            1.. => (
                format!("({name}.unwrap(value) * 1e18) >> {exponent}"),
                format!("{name}.unwrap(value) * 1e18"),
                format!("wad * int256({power})"),
            ),
            _ => (
                format!("{name}.unwrap(value) * int256({power}) * 1e18"),
                format!("{name}.unwrap(value) * int256({power}) * 1e18"),
                "wad".into(),
            ),
        };
        let _ = write!(
            out,
            "
    /// @notice The value with 18 decimals, rounded down.
    /// @param value a number of the model.
    /// @return wad the same times 1e18.
    function toWad({name} value) internal pure returns (int256 wad) {{
        return {to_wad};
    }}

    /// @notice Whether a number of the model is at least one with 18 decimals. Exact.
    /// @param value a number of the model.
    /// @param wad the other one, times 1e18.
    /// @return least whether it is.
    function atLeast({name} value, int256 wad) internal pure returns (bool least) {{
        return {left} >= {right};
    }}
"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        let mut taken = HashSet::new();
        for (name, expected) in [
            ("score", "score"),
            ("credit_amount (DM)", "creditAmountDm"),
            ("score", "score2"),
            ("3rd", "value3rd"),
            ("", "value"),
            ("größe", "grE"),
            ("public", "publicValue"),
            ("uint256", "uint256Value"),
            ("hex", "hexValue"),
            ("fixed128x18", "fixed128x18Value"),
            ("ufixed8x1", "ufixed8x1Value"),
            ("fixed box", "fixedBox"),
            ("integer", "integer"),
            ("APR", "apr"),
        ] {
            assert_eq!(identifier(name, &mut taken), expected, "{name}");
        }
    }

    /// A model's interface with one output, which has this range.
    fn scoring(range: (f64, f64), threshold: f64) -> Interface {
        Interface {
            verifier: "CreditVerifier".into(),
            onnx_sha256: None,
            verifying_key: String::new(),
            words: [0, 1, 0, 12],
            outputs: vec![TypedOutput { name: "score".into(), first: 0, len: 1, exponent: 4, range }],
            inputs: vec![],
            digests: vec![],
            hidden: vec![],
            threshold: Some(threshold),
        }
    }

    /// A decision that is always the same is none: `decide` would say so of every proof.
    #[test]
    fn decisions_have_two_sides() {
        for (range, threshold, expected) in [
            ((-1.0, 1.0), 0.0, Some((0.0, 0.0))),
            ((-1.0, 1.0), 0.3, Some((0.3, 5.0))),
            ((-1.0, 0.0), 0.0, Some((0.0, 0.0))),
            ((0.0, 1.0), 0.0, None),
            ((0.25, 1.0), 0.0, None),
            ((-1.0, -0.25), 0.0, None),
            ((0.0, 1.0), 0.5, Some((0.5, 8.0))),
            ((0.0, 1.0), f64::NAN, None),
        ] {
            let interface = scoring(range, threshold);
            assert_eq!(interface.decision(), expected, "{threshold} in {range:?}");
            assert_eq!(interface.source().contains("function decide("), expected.is_some(), "{threshold} in {range:?}");
        }
        let mut two = scoring((-1.0, 1.0), 0.0);
        two.outputs[0].len = 2;
        assert_eq!(two.decision(), None, "two values");
    }

    #[test]
    fn heads_are_broken_as_the_formatter_does() {
        let short = head("f", &["uint256 x".into()], &["internal", "pure"]);
        assert_eq!(short, "    function f(uint256 x) internal pure {");
        let parameters: Vec<String> = (0..6).map(|i| format!("uint256 argument{i}")).collect();
        let lines = |head: String| head.lines().count();
        assert_eq!(lines(head("f", &parameters[..5], &["internal", "pure", "returns (bool)"])), 5);
        assert_eq!(lines(head("f", &parameters, &["internal", "pure", "returns (bool)"])), 8);
    }
}
