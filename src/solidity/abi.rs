//! The ABI of a verifier and of its contract for batches, as solc gives it: for those who call them without compiling them.

use serde_json::{Value, json};

use super::{Interface, batch_name};

/// The arguments of `verify` behind `context`, given their words: names, types of their elements, lengths.
pub fn arguments(words: [usize; 4]) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
    let kinds = [("weights", "uint256"), ("outputs", "int256"), ("digests", "uint256"), ("proof", "uint256")];
    kinds.into_iter().zip(words).filter(|(_, len)| *len > 0).map(|((name, kind), len)| (name, kind, len))
}

fn value(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind, "internalType": kind })
}

fn view(name: &str, inputs: Vec<Value>, outputs: Vec<Value>, mutability: &str) -> Value {
    json!({ "type": "function", "name": name, "inputs": inputs, "outputs": outputs, "stateMutability": mutability })
}

/// The getters of the constants and the errors that the source of a generated contract declares, each on a line.
fn declared(source: &str) -> (Vec<Value>, Vec<Value>) {
    // comments say what the model's features are called
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let statements = || source.lines().filter(is_code).filter_map(|line| line.strip_prefix("    "));
    let getters = statements().filter_map(|line| {
        let (kind, rest) = line.split_once(" public constant ")?;
        let (name, _) = rest.split_once(" = ")?;
        Some(view(name, vec![], vec![value("", kind)], "view"))
    });
    let errors = statements().filter_map(|line| {
        let (name, parameters) = line.strip_prefix("error ")?.strip_suffix(");")?.split_once('(')?;
        let inputs = parameters.split(", ").filter_map(|parameter| parameter.split_once(' '));
        let inputs: Vec<Value> = inputs.map(|(kind, name)| value(name, kind)).collect();
        Some(json!({ "type": "error", "name": name, "inputs": inputs }))
    });
    (getters.collect(), errors.collect())
}

impl Interface {
    /// The arguments of `verify`, which are the members of a claim of `verifyBatch`.
    fn claim(&self) -> Vec<Value> {
        let arrays = arguments(self.words).map(|(name, kind, len)| value(name, &format!("{kind}[{len}]")));
        [value("context", "bytes32")].into_iter().chain(arrays).collect()
    }

    /// The ABI of a contract with this source and these functions beside the getters of its constants.
    fn abi_with(&self, source: &str, functions: Vec<Value>) -> Value {
        let (getters, errors) = declared(source);
        let model_id = (self.words[0] > 0).then(|| {
            let weights = value("weights", &format!("uint256[{}]", self.words[0]));
            view("modelId", vec![weights], vec![value("id", "bytes32")], "pure")
        });
        let constructor = json!({ "type": "constructor", "inputs": [], "stateMutability": "nonpayable" });
        let parts = [vec![constructor], getters, model_id.into_iter().collect(), functions, errors];
        Value::Array(parts.concat())
    }

    /// The ABI of the verifier, whose source this is.
    pub fn abi(&self, source: &str) -> Value {
        let verify = view("verify", self.claim(), vec![], "view");
        let try_verify = view("tryVerify", self.claim(), vec![value("valid", "bool")], "view");
        self.abi_with(source, vec![verify, try_verify])
    }

    /// The ABI of the contract for batches, whose source this is.
    pub fn batch_abi(&self, source: &str) -> Value {
        let claims = json!({
            "name": "claims",
            "type": "tuple[]",
            "internalType": format!("struct {}.Claim[]", batch_name(&self.verifier)),
            "components": self.claim(),
        });
        self.abi_with(source, vec![view("verifyBatch", vec![claims], vec![], "view")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_declare_nothing() {
        let source = "contract C {
    /// @notice Names the model.
    bytes32 public constant MODEL_ID = 0x12;
    /// output \"x public constant y = z\" and
    // x public constant y = z
    //error Other(uint256 index);
    /// error Another(uint256 index);
    error ProofRejected(uint256 index);
}";
        let (getters, errors) = declared(source);
        assert_eq!(getters, [view("MODEL_ID", vec![], vec![value("", "bytes32")], "view")]);
        assert_eq!(
            errors,
            [json!({ "type": "error", "name": "ProofRejected", "inputs": [value("index", "uint256")] })]
        );
    }
}
