// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

/// @title Calls of `verify` for contracts that do not know the verifier's type
/// @notice A call is what `abi.encodeCall(CreditVerifier.verify, (...))` gives. It is forwarded only if it calls `verify`, only to an
/// address that has code, and reverts with whatever the verifier reverts with: there is no value to ignore.
library HallmarkCall {
    /// @notice The number of words of each array argument of `verify`; zero for one that the function does not have.
    struct Shape {
        uint16 model; // the commitment to the weights: 2 with committed weights, 0 if the weights are fixed
        uint16 outputs;
        uint16 digests;
        uint16 proof;
    }

    /// @notice There is no contract at the verifier's address: a call to it would succeed whatever the proof.
    /// @param verifier the address.
    error VerifierHasNoCode(address verifier);

    /// @notice The call is not one of the verifier's `verify`.
    /// @param expected selector of `verify`.
    /// @param given selector of the call.
    error NotVerify(bytes4 expected, bytes4 given);

    /// @notice The verifier returned data, which `verify` never does: what was called is something else.
    /// @param verifier the address.
    error UnexpectedAnswer(address verifier);

    /// @dev Bytes of a call before the argument behind `context`.
    uint256 private constant HEAD = 36;

    /// @notice Returns if the proof in the call is valid, and reverts with the verifier's own error if not.
    /// @param verifier a generated verifier.
    /// @param selector that of its `verify`.
    /// @param call selector and arguments.
    function verify(address verifier, bytes4 selector, bytes memory call) internal view {
        // of fewer bytes than a selector `bytes4` has zeros behind them; such a call the verifier itself refuses
        if (bytes4(call) != selector) revert NotVerify(selector, bytes4(call));
        if (verifier.code.length == 0) revert VerifierHasNoCode(verifier);
        (bool success, bytes memory answer) = verifier.staticcall(call);
        if (!success) {
            // the verifier's error as it is; none if it ran out of gas
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        if (answer.length != 0) revert UnexpectedAnswer(verifier);
    }

    /// @notice The selector of `verify` for arrays of these lengths.
    /// @param shape the lengths.
    /// @return value the first four bytes of the hash of the signature.
    function selectorOf(Shape memory shape) internal pure returns (bytes4 value) {
        return _selector("verify", shape);
    }

    /// @notice The selector of `tryVerify` for arrays of these lengths.
    /// @param shape the lengths.
    /// @return value the first four bytes of the hash of the signature.
    function trySelectorOf(Shape memory shape) internal pure returns (bytes4 value) {
        return _selector("tryVerify", shape);
    }

    /// @notice All bytes of a call.
    /// @param shape the lengths of its arrays.
    /// @return length of selector, context and arrays.
    function lengthOf(Shape memory shape) internal pure returns (uint256 length) {
        uint256 words = uint256(shape.model) + shape.outputs + shape.digests + shape.proof;
        return HEAD + 32 * words;
    }

    /// @notice The id of the model whose weights a call is for, if its verifier takes a commitment to them.
    /// @param architectureId the verifier's.
    /// @param call a call of `verify` whose second argument is the commitment.
    /// @param words words of the commitment. The call has to be long enough.
    /// @return id what the verifier's `modelId` says.
    function modelIdOf(bytes32 architectureId, bytes calldata call, uint256 words) internal pure returns (bytes32 id) {
        return keccak256(bytes.concat(architectureId, call[HEAD:HEAD + 32 * words]));
    }

    /// @notice The id of a model of an architecture.
    /// @param architectureId a verifier's `ARCHITECTURE_ID`.
    /// @param model the commitment to the weights.
    /// @return id what the verifier's `modelId` says.
    function modelIdOf(bytes32 architectureId, uint256[2] memory model) internal pure returns (bytes32 id) {
        return keccak256(abi.encode(architectureId, model));
    }

    /// @dev Selector of `name(bytes32,uint256[model],int256[outputs],uint256[digests],uint256[proof])` without empty arrays.
    function _selector(string memory name, Shape memory shape) private pure returns (bytes4 value) {
        bytes memory signature = bytes.concat(
            bytes(name),
            "(bytes32",
            _array(",uint256[", shape.model),
            _array(",int256[", shape.outputs),
            _array(",uint256[", shape.digests),
            _array(",uint256[", shape.proof),
            ")"
        );
        return bytes4(keccak256(signature));
    }

    /// @dev The type of an array, or nothing if it is empty.
    function _array(string memory type_, uint256 length) private pure returns (bytes memory text) {
        if (length == 0) return "";
        return bytes.concat(bytes(type_), bytes(Strings.toString(length)), "]");
    }
}
