//! Calldata of any function from a proof: parameters are filled in by their names.
//!
//! A consumer of proofs takes them beside arguments of its own. A parameter gets, in this order: the value that is given for its name;
//! the part of the proof that has its name (`context`, `weights`, `outputs`, `digests`, `proof`); for a struct, its members by the same rules, which
//! takes an ABI, since signatures do not name them. A value is what `cast` would take, or `@` and a part of the proof: `@outputs`, or `@output0` for a single word.

use alloy::{
    dyn_abi::{DynSolType, DynSolValue, JsonAbiExt, Specifier},
    json_abi::{Function, JsonAbi, Param},
    primitives::{I256, U256},
};
use thiserror::Error;

use crate::proof::encode::Word;

/// Why a call cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    #[error("\"{text}\" is not a function: {detail}; write it as 'apply_(int256 score, uint256[12] proof)'")]
    Function { text: String, detail: String },
    #[error("the ABI has no function \"{name}\"; it has {}", known.join(", "))]
    NotInAbi { name: String, known: Vec<String> },
    #[error("the ABI has several functions \"{name}\"; give the whole signature")]
    Overloaded { name: String },
    #[error(
        "parameter {position} of {function} has no name; name it after a part of the proof, or give it a value with --arg"
    )]
    Unnamed { function: String, position: usize },
    #[error("nothing says what \"{name}\" is: give it with --arg {name}=VALUE (a proof has {})", parts.join(", "))]
    NoValue { name: String, parts: Vec<String> },
    #[error("\"{name}\" is {kind}, and {value} is not: {detail}")]
    Value { name: String, kind: String, value: String, detail: String },
    #[error("--arg \"{text}\" is not NAME=VALUE")]
    Argument { text: String },
    #[error("--arg {name} is given twice")]
    Twice { name: String },
    #[error("{function} has no parameter \"{name}\"")]
    Unused { function: String, name: String },
}

/// The parts of a statement and its proof, by name.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    parts: Vec<(String, Words)>,
}

/// Words, and whether they are signed.
#[derive(Clone, Debug)]
struct Words {
    words: Vec<Word>,
    signed: bool,
}

impl Parts {
    /// Adds a part. Its words can be had one by one, too, by its name without the plural's `s` and their number.
    #[must_use]
    pub fn with(mut self, name: &str, words: Vec<Word>) -> Self {
        self.parts.push((name.into(), Words { words, signed: false }));
        self
    }

    /// Adds a part whose words are signed integers.
    #[must_use]
    pub fn with_signed(mut self, name: &str, words: Vec<Word>) -> Self {
        self.parts.push((name.into(), Words { words, signed: true }));
        self
    }

    fn get(&self, name: &str) -> Option<Words> {
        self.parts.iter().find_map(|(part, all)| {
            if part == name {
                return Some(all.clone());
            }
            let index = name.strip_prefix(part.strip_suffix('s')?)?;
            let canonical = index == "0" || !index.starts_with(['0', '+']);
            let word = all.words.get(index.parse::<usize>().ok().filter(|_| canonical)?)?;
            Some(Words { words: vec![*word], ..*all })
        })
    }

    fn names(&self) -> Vec<String> {
        self.parts.iter().filter(|(_, all)| !all.words.is_empty()).map(|(name, _)| name.clone()).collect()
    }
}

/// A value for a parameter, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    pub value: String,
}

impl std::str::FromStr for Argument {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Self, CallError> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().into(), value: value.trim().into() })
            }
            _ => Err(CallError::Argument { text: text.into() }),
        }
    }
}

/// The function that a text names: a signature with the names of its parameters, or the name of one in `abi`.
pub fn function(text: &str, abi: Option<&JsonAbi>) -> Result<Function, CallError> {
    let Some(abi) = abi.filter(|_| !text.contains('(')) else {
        let failed = |detail: String| CallError::Function { text: text.into(), detail };
        if !text.contains('(') {
            return Err(failed("it has no parameters, and there is no --abi to look it up in".into()));
        }
        return Function::parse(text).map_err(|error| failed(error.to_string()));
    };
    match abi.function(text).map(Vec::as_slice) {
        Some([function]) => Ok(function.clone()),
        Some(_) => Err(CallError::Overloaded { name: text.into() }),
        None => {
            let known = abi.functions().map(|function| function.name.clone()).collect();
            Err(CallError::NotInAbi { name: text.into(), known })
        }
    }
}

/// The calldata of `function` with these arguments.
///
/// # Errors
///
/// [`CallError`], also for an argument that no parameter takes, which may be a misspelt name, and for one that is given twice.
pub fn encode(function: &Function, parts: &Parts, arguments: &[Argument]) -> Result<Vec<u8>, CallError> {
    let name = &function.name;
    if let Some(unused) = arguments.iter().find(|argument| !takes(&function.inputs, &argument.name)) {
        return Err(CallError::Unused { function: name.clone(), name: unused.name.clone() });
    }
    let twice = |(i, argument): &(usize, &Argument)| arguments.iter().take(*i).any(|other| other.name == argument.name);
    if let Some((_, argument)) = arguments.iter().enumerate().find(twice) {
        return Err(CallError::Twice { name: argument.name.clone() });
    }
    let values = function.inputs.iter().enumerate().map(|(position, param)| {
        if param.name.is_empty() {
            return Err(CallError::Unnamed { function: name.clone(), position });
        }
        value(param, parts, arguments)
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let failed = |error: alloy::dyn_abi::Error| CallError::Function { text: name.clone(), detail: error.to_string() };
    function.abi_encode_input(&values).map_err(failed)
}

fn takes(params: &[Param], name: &str) -> bool {
    params.iter().any(|param| param.name == name || takes(&param.components, name))
}

/// The value of one parameter.
fn value(param: &Param, parts: &Parts, arguments: &[Argument]) -> Result<DynSolValue, CallError> {
    let wrong = |value: &str, detail: String| CallError::Value {
        name: param.name.clone(),
        kind: param.ty.clone(),
        value: value.into(),
        detail,
    };
    let kind = param.resolve().map_err(|error| wrong("its type", error.to_string()))?;
    let given = arguments.iter().find(|argument| argument.name == param.name).map(|argument| argument.value.as_str());
    let part = match given {
        Some(text) => match text.strip_prefix('@') {
            Some(part) => Some((part, text)),
            None => return kind.coerce_str(text).map_err(|error| wrong(text, error.to_string())),
        },
        None => Some((param.name.as_str(), param.name.as_str())),
    };
    if let Some((name, shown)) = part {
        match parts.get(name) {
            Some(words) => return from_words(&kind, &words).map_err(|detail| wrong(shown, detail)),
            None if given.is_some() => {
                return Err(wrong(shown, format!("a proof has {}", parts.names().join(", "))));
            }
            None => {}
        }
    }
    if param.ty == "tuple" && !param.components.is_empty() {
        let members = param.components.iter().map(|member| value(member, parts, arguments));
        return Ok(DynSolValue::Tuple(members.collect::<Result<_, _>>()?));
    }
    Err(CallError::NoValue { name: param.name.clone(), parts: parts.names() })
}

/// Words as a value of a type, exactly: what does not fit is refused.
fn from_words(kind: &DynSolType, all: &Words) -> Result<DynSolValue, String> {
    let Words { words, signed } = all;
    let one = |word: &Word| Words { words: vec![*word], signed: *signed };
    let each =
        |inner: &DynSolType| words.iter().map(|word| from_words(inner, &one(word))).collect::<Result<Vec<_>, _>>();
    match kind {
        DynSolType::Bytes => return Ok(DynSolValue::Bytes(words.concat())),
        DynSolType::Array(inner) => return Ok(DynSolValue::Array(each(inner)?)),
        DynSolType::FixedArray(inner, len) if *len == words.len() => return Ok(DynSolValue::FixedArray(each(inner)?)),
        DynSolType::FixedArray(_, len) => return Err(format!("it has {} words, not {len}", words.len())),
        _ => {}
    }
    let [word] = words.as_slice() else { return Err(format!("it has {} words, not one", words.len())) };
    let (negative, unsigned) = (word[0] >= 0x80, U256::from_be_bytes(*word));
    match kind {
        DynSolType::Int(bits) => {
            let value = I256::from_raw(unsigned);
            let fits = value.bits() as usize <= *bits && (*signed || !negative);
            if fits { Ok(DynSolValue::Int(value, *bits)) } else { Err("it does not fit".into()) }
        }
        DynSolType::Uint(bits) => {
            let fits = unsigned.bit_len() <= *bits && !(*signed && negative);
            if fits { Ok(DynSolValue::Uint(unsigned, *bits)) } else { Err("it does not fit, or is negative".into()) }
        }
        DynSolType::FixedBytes(32) => Ok(DynSolValue::FixedBytes((*word).into(), 32)),
        _ => Err("a proof's words are integers or bytes32".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{primitives::Address, sol, sol_types::SolCall};

    sol! {
        struct Claim { bytes32 context; int256[1] outputs; uint256[3] proof; }
        function verify(bytes32 context, int256[1] outputs, uint256[3] proof) external;
        function apply_(int256 score, uint256[3] proof) external;
        function borrow(address pool, Claim claim, uint256 amount) external;
        function raw(bytes proof, int64 small) external;
        function dynamic(int256[] outputs, uint256 first) external;
    }

    fn word(value: i64) -> Word {
        I256::unchecked_from(value).to_be_bytes()
    }

    fn parts() -> Parts {
        let proof = vec![word(7), word(8), word(9)];
        Parts::default().with("context", vec![[0xcc; 32]]).with_signed("outputs", vec![word(-5)]).with("proof", proof)
    }

    fn call(signature: &str, arguments: &[&str]) -> Result<Vec<u8>, CallError> {
        let arguments: Vec<Argument> = arguments.iter().map(|text| text.parse().unwrap()).collect();
        encode(&function(signature, None).unwrap(), &parts(), &arguments)
    }

    const PROOF: [U256; 3] =
        [U256::from_limbs([7, 0, 0, 0]), U256::from_limbs([8, 0, 0, 0]), U256::from_limbs([9, 0, 0, 0])];
    const OUTPUT: I256 = I256::from_raw(U256::from_limbs([u64::MAX - 4, u64::MAX, u64::MAX, u64::MAX]));

    #[test]
    fn parts_go_where_their_names_are() {
        let expected = verifyCall { context: [0xcc; 32].into(), outputs: [OUTPUT], proof: PROOF }.abi_encode();
        assert_eq!(call("verify(bytes32 context, int256[1] outputs, uint256[3] proof)", &[]).unwrap(), expected);
        let expected = apply_Call { score: OUTPUT, proof: PROOF }.abi_encode();
        assert_eq!(call("apply_(int256 score, uint256[3] calldata proof)", &["score=@output0"]).unwrap(), expected);
        let expected = dynamicCall { outputs: vec![OUTPUT], first: PROOF[0] }.abi_encode();
        assert_eq!(call("dynamic(int256[] outputs, uint256 first)", &["first=7"]).unwrap(), expected);
    }

    #[test]
    fn structs_are_filled_by_their_members_names() {
        let claim = Claim { context: [0xcc; 32].into(), outputs: [OUTPUT], proof: PROOF };
        let pool = Address::repeat_byte(0x11);
        let expected = borrowCall { pool, claim, amount: U256::from(10).pow(U256::from(18)) }.abi_encode();
        let abi = serde_json::json!([{ "type": "function", "name": "borrow", "stateMutability": "nonpayable", "outputs": [], "inputs": [
            { "name": "pool", "type": "address" },
            { "name": "claim", "type": "tuple", "components": [
                { "name": "context", "type": "bytes32" },
                { "name": "outputs", "type": "int256[1]" },
                { "name": "proof", "type": "uint256[3]" },
            ] },
            { "name": "amount", "type": "uint256" },
        ] }]);
        let abi: JsonAbi = serde_json::from_value(abi).unwrap();
        let arguments = [format!("pool={pool}"), "amount=1 ether".into()].map(|text| text.parse().unwrap());
        assert_eq!(encode(&function("borrow", Some(&abi)).unwrap(), &parts(), &arguments).unwrap(), expected);
    }

    #[test]
    fn bytes_take_all_words_and_small_integers_what_fits() {
        let bytes = [word(7), word(8), word(9)].concat();
        let expected = rawCall { proof: bytes.into(), small: -5 }.abi_encode();
        assert_eq!(call("raw(bytes proof, int64 small)", &["small=@output0"]).unwrap(), expected);
        for (signature, word) in [
            ("f(uint256 outputs)", "does not fit"),
            ("f(uint256[2] proof)", "3 words, not 2"),
            ("f(uint256 proof)", "3 words, not one"),
            ("f(int8 context)", "does not fit"),
            ("f(address context)", "integers or bytes32"),
        ] {
            let error = call(signature, &[]).unwrap_err();
            assert!(matches!(error, CallError::Value { .. }) && error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn what_is_missing_or_misspelt_is_named() {
        assert!(matches!(call("f(int256 score)", &[]), Err(CallError::NoValue { name, .. }) if name == "score"));
        assert!(matches!(call("f(int256)", &[]), Err(CallError::Unnamed { position: 0, .. })));
        assert!(
            matches!(call("f(int256 score)", &["scroe=1"]), Err(CallError::Unused { name, .. }) if name == "scroe")
        );
        assert!(matches!(call("f(int256 score)", &["score=x"]), Err(CallError::Value { .. })));
        for part in ["score=@output1", "score=@output01", "score=@outputx", "score=@nothing"] {
            assert!(matches!(call("f(int256 score)", &[part]), Err(CallError::Value { .. })), "{part}");
        }
        assert!(
            matches!(call("f(int256 score)", &["score=1", "score=2"]), Err(CallError::Twice { name }) if name == "score")
        );
        assert!(matches!("score".parse::<Argument>(), Err(CallError::Argument { .. })));
        assert!(matches!(function("f(int256", None), Err(CallError::Function { .. })));
        assert!(matches!(function("f", None), Err(CallError::Function { .. })));
    }

    #[test]
    fn an_abi_knows_functions_by_name() {
        let abi =
            JsonAbi::parse(["function f(int256 score)", "function g(int256 a)", "function g(int256 a, int256 b)"])
                .unwrap();
        assert_eq!(function("f", Some(&abi)).unwrap().inputs[0].name, "score");
        assert!(matches!(function("g", Some(&abi)), Err(CallError::Overloaded { .. })));
        assert!(matches!(function("h", Some(&abi)), Err(CallError::NotInAbi { known, .. }) if known.len() == 3));
        assert_eq!(function("h(int256 x)", Some(&abi)).unwrap().inputs[0].name, "x");
    }
}
