//! The files that make a folder of contracts a Foundry project: settings, a suite with a real proof, a deployment script, and what they are for.
//!
//! They need forge and a compiler, and nothing else: the cheat codes that they use are declared where they are used.

use super::{
    batch_name,
    typed::{call, head},
    typed_name,
};

/// What the files are about.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The verifier's name.
    pub verifier: String,
    /// Whether there is a contract for batches.
    pub batch: bool,
    /// Types of the arguments of `verify` behind `context`, with their names.
    pub arguments: Vec<(String, &'static str)>,
    /// Whether the setup's secret is known.
    pub is_unsafe: bool,
}

/// The name of the fixture with a proof.
pub const FIXTURE: &str = "fixtures/proof.json";

const VM: &str = "/// @dev The cheat codes that are used here.";

impl Suite {
    /// `foundry.toml`.
    pub fn settings(&self) -> &'static str {
        "# A contract's code depends on these settings and on the compiler's version: keep them, and its address is the same everywhere.

[profile.default]
src = \"contracts\"
test = \"test\"
script = \"script\"
libs = []
auto_detect_remappings = false
evm_version = \"osaka\"
optimizer = true
optimizer_runs = 1_000_000
bytecode_hash = \"none\"
cbor_metadata = false
fs_permissions = [{ access = \"read\", path = \"./fixtures\" }]

[profile.default.fuzz]
runs = 256
"
    }

    /// The path of the suite, and its source.
    pub fn tests(&self) -> (String, String) {
        let (verifier, library) = (&self.verifier, typed_name(&self.verifier));
        let base = library.strip_suffix("Model").unwrap_or(&library);
        let committed = self.arguments.iter().any(|(_, name)| *name == "weights");
        let names: Vec<&str> = self.arguments.iter().map(|(_, name)| *name).collect();
        let of_verify = self.arguments.iter().map(|(kind, name)| format!("{kind} calldata {name}"));
        let model = committed.then(|| "bytes32 model".to_string());
        let parameters: Vec<String> = model.into_iter().chain(["bytes32 context".into()]).chain(of_verify).collect();
        let consume =
            head("consume", &parameters, &["external", "view", &format!("returns ({base}Result memory result)")]);
        let passed = ["VERIFIER"].into_iter().chain(committed.then_some("model")).chain(["context"]).chain(names);
        let passed = call(&format!("return {library}.verify"), &passed.collect::<Vec<_>>());
        let (behind, model_id) = match committed {
            true => (", behind the model's id", "modelId, "),
            false => ("", ""),
        };
        let [declared, set] = match committed {
            true => ["    bytes32 private modelId;\n", "        modelId = vm.parseJsonBytes32(json, \".modelId\");\n"],
            false => ["", ""],
        };
        let source = format!(
            r#"// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {{{verifier}}} from "../contracts/{verifier}.sol";
import {{{library}}} from "../contracts/{library}.sol";
import {{{base}Result}} from "../contracts/{library}.sol";

{VM}
interface Vm {{
    function readFile(string calldata path) external view returns (string memory data);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory value);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32 value);
    function snapshotGasLastCall(string calldata name) external returns (uint256 gasUsed);
}}

/// @notice A consumer that believes a proof, and does nothing with it: your own takes its place.
contract Consumer {{
    {verifier} private immutable VERIFIER;

    constructor({verifier} verifier) {{
        VERIFIER = verifier;
    }}

    /// @notice What the proof says. The context is an argument for the test's sake: a real consumer computes it from the chain, itself, the
    /// caller and a nonce.
{consume}
{passed}
    }}
}}

/// @notice The verifier with a real proof, for an input in the middle of the model's domain.
contract {library}Test {{
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes4 private constant VERIFY = {verifier}.verify.selector;
    bytes4 private constant PROOF_REJECTED = {verifier}.ProofRejected.selector;

    {verifier} private verifier;
    Consumer private consumer;

    /// @dev The arguments of `verify`, and what the proof says.
    bytes private arguments;
    bytes private result;
{declared}
    function setUp() public {{
        verifier = new {verifier}();
        consumer = new Consumer(verifier);
        string memory json = vm.readFile("{FIXTURE}");
        arguments = vm.parseJsonBytes(json, ".arguments");
        result = vm.parseJsonBytes(json, ".result");
{set}    }}

    function verified(bytes memory given) private view returns (bool success, bytes memory answer) {{
        return address(verifier).staticcall{{gas: 10_000_000}}(bytes.concat(VERIFY, given));
    }}

    /// @dev A consumer's arguments are the verifier's{behind}.
    function consumed(bytes memory given) private view returns (bool success, bytes memory answer) {{
        return address(consumer).staticcall(bytes.concat(Consumer.consume.selector, {model_id}given));
    }}

    function test_theProofIsAccepted() public {{
        (bool success, bytes memory answer) = verified(arguments);
        require(success && answer.length == 0, "the proof is not accepted");
        vm.snapshotGasLastCall("verify");
    }}

    function test_aConsumerReadsTheResult() public view {{
        (bool success, bytes memory answer) = consumed(arguments);
        require(success && keccak256(answer) == keccak256(result), "another result");
    }}

    function test_anotherContextIsRejectedByName() public view {{
        bytes memory other = arguments;
        other[0] ^= 0x01;
        (bool success, bytes memory answer) = consumed(other);
        require(!success && keccak256(answer) == keccak256(bytes.concat(PROOF_REJECTED)), "not rejected by name");
    }}

    /// @dev Whichever bit of the arguments is changed, there is no proof.
    function testFuzz_everyBitCounts(uint256 bit) public view {{
        bytes memory changed = arguments;
        bit %= 8 * changed.length;
        changed[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool success,) = verified(changed);
        require(!success, "a changed proof is accepted");
    }}
}}
"#
        );
        (format!("test/{library}.t.sol"), source)
    }

    /// The path of the deployment script, and its source.
    pub fn script(&self) -> (String, String) {
        let verifier = &self.verifier;
        let local = if self.is_unsafe {
            "        // whoever made the setup can forge proofs\n        require(block.chainid == 31337 || block.chainid == 1337, \"UNSAFE: for \
             local chains only\");\n"
        } else {
            ""
        };
        let source = format!(
            r#"// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {{{verifier}}} from "../contracts/{verifier}.sol";

{VM}
interface Vm {{
    function startBroadcast() external;
    function stopBroadcast() external;
}}

/// @notice Deploys {verifier} by CREATE2, through the deployer at 0x4e59b44847b379578588920cA78FbF26c0B4956C and with the salt 0: with the settings
/// of this project and the same compiler it has one address on all chains, the one that `hallmark deploy` gives it.
/// @dev forge script script/Deploy.s.sol --rpc-url URL --broadcast
contract Deploy {{
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address private constant DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;

    /// @return verifier the contract, which may have been there before.
    function run() external returns ({verifier} verifier) {{
{local}        bytes32 codeHash = keccak256(type({verifier}).creationCode);
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), DEPLOYER, bytes32(0), codeHash));
        verifier = {verifier}(address(uint160(uint256(hash))));
        if (address(verifier).code.length != 0) return verifier;
        vm.startBroadcast();
        {verifier} deployed = new {verifier}{{salt: 0}}();
        vm.stopBroadcast();
        require(address(deployed) == address(verifier), "another address than expected");
    }}
}}
"#
        );
        ("script/Deploy.s.sol".into(), source)
    }

    /// `README.md`.
    pub fn readme(&self, with_tests: bool) -> String {
        let (verifier, library) = (&self.verifier, typed_name(&self.verifier));
        let folder = library.strip_suffix("Model").unwrap_or(&library).to_lowercase();
        let batch = match self.batch {
            true => format!("- `contracts/{}.sol` checks many proofs in one call.\n", batch_name(verifier)),
            false => String::new(),
        };
        let test = match with_tests {
            true => {
                "    forge test                                                          # with a real proof; writes the gas of `verify` to snapshots/\n"
            }
            false => "",
        };
        format!(
            "# {verifier}

Generated by hallmark: do not edit. This folder is a Foundry project that needs forge and a Solidity compiler, and nothing else.

{test}    forge script script/Deploy.s.sol --rpc-url URL --broadcast          # the same address on every chain

- `contracts/{verifier}.sol` checks proofs. Its head says of what.
{batch}- `contracts/{library}.sol` says what a proof says, by name and type. Its head says what that means, and what it does not.
- `typescript/{library}.ts` is the same for TypeScript, with viem or ethers: ABI, types of the result, a reader of proof files. `abi/` has the ABI
  as JSON.
- `manifest.json`: digests of all files, scales, domain, ranges, accuracy.
- `report.html`: the same as pictures, and what proving and verifying cost.
- `circuit.bin` and `proving.key` are for whoever proves; `circuit.bin` has the weights as they are. Contracts need neither.

## In another project

Copy this folder to `lib/{folder}`, or the contracts only, and add to `foundry.toml`:

    remappings = [\"{folder}/=lib/{folder}/contracts/\"]

then

    import {{{verifier}}} from \"{folder}/{verifier}.sol\";
    import {{{library}}} from \"{folder}/{library}.sol\";
"
        )
    }
}
