// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {vm} from "./Vm.sol";

/// @notice A call of the verifier as bytes: where its words are, and how to read and change them.
/// @dev Words are counted from the one after the selector: context, score, proof.
library Call {
    /// @notice All bytes of a well-formed call.
    uint256 internal constant LENGTH = 452;

    /// @notice All words of a well-formed call.
    uint256 internal constant WORDS = 14;

    uint256 internal constant CONTEXT = 0;
    uint256 internal constant SCORE = 1;

    // Points of the proof, two words each.
    uint256 internal constant ADVICE = 2;
    uint256 internal constant QUOTIENT = 4;
    uint256 internal constant OPENING = 10;
    uint256 internal constant OPENING_QUOTIENT = 12;

    // Scalars of the proof: the evaluations.
    uint256 internal constant EVALUATIONS = 6;
    uint256 internal constant EVALUATIONS_END = 10;

    /// @notice The call of `verify` in a fixture's file.
    function load(string memory name) internal view returns (bytes memory data) {
        return vm.parseJsonBytes(json(name), ".calldata");
    }

    /// @notice A fixture's file.
    function json(string memory name) internal view returns (string memory text) {
        return vm.readFile(string.concat("tests/foundry/fixtures/", name, ".json"));
    }

    /// @notice Word `index`.
    function word(bytes memory data, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 36), mul(index, 32)))
        }
    }

    /// @notice Overwrites word `index`.
    function setWord(bytes memory data, uint256 index, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 36), mul(index, 32)), value)
        }
    }

    /// @notice Overwrites the point whose first coordinate is word `index`.
    function setPoint(bytes memory data, uint256 index, uint256 x, uint256 y) internal pure {
        setWord(data, index, x);
        setWord(data, index + 1, y);
    }

    /// @notice The function that is called.
    function selector(bytes memory data) internal pure returns (bytes4 value) {
        assembly ("memory-safe") {
            value := mload(add(data, 32))
        }
    }

    /// @notice Calls another function with the same arguments.
    function setSelector(bytes memory data, bytes4 value) internal pure {
        for (uint256 i = 0; i < 4; i++) {
            data[i] = value[i];
        }
    }

    /// @notice A copy of the first `length` bytes, zeros behind the end.
    function resized(bytes memory data, uint256 length) internal pure returns (bytes memory copy) {
        copy = new bytes(length);
        for (uint256 i = 0; i < length && i < data.length; i++) {
            copy[i] = data[i];
        }
    }

    /// @notice A copy of what follows the first `skipped` bytes.
    function tail(bytes memory data, uint256 skipped) internal pure returns (bytes memory copy) {
        copy = new bytes(data.length - skipped);
        for (uint256 i = 0; i < copy.length; i++) {
            copy[i] = data[skipped + i];
        }
    }

    /// @notice A copy.
    function copied(bytes memory data) internal pure returns (bytes memory copy) {
        return bytes.concat(data);
    }

    /// @notice Where the points of a proof are.
    function points() internal pure returns (uint256[4] memory indices) {
        return [ADVICE, QUOTIENT, OPENING, OPENING_QUOTIENT];
    }
}
