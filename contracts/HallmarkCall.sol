// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

/// @title What a call of `verify` looks like, whatever the model
/// @notice For contracts that do not know the verifier's type: a call is what `abi.encodeCall(CreditVerifier.verify, (...))` gives,
/// and the lengths of its arrays say which function it has to be a call of.
library HallmarkCall {
    /// @notice The number of words of each array argument of `verify`; zero for one that the function does not have.
    struct Shape {
        uint16 model; // the commitment to the weights: 2 on BN254, 3 on BLS12-381, 0 if the weights are fixed
        uint16 outputs;
        uint16 digests;
        uint16 proof;
    }

    /// @dev Bytes of a call before the argument behind `context`.
    uint256 private constant HEAD = 36;

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
