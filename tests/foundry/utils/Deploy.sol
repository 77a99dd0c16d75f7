// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {vm} from "./Vm.sol";

/// @notice Deployment from the build: a test contract would otherwise hold its own copy of the code, to be optimised again.
library Deploy {
    /// @notice A new contract of this name, or the zero address and what the constructor reverted with.
    function fresh(string memory name) internal returns (address deployed, bytes memory answer) {
        bytes memory code = vm.getCode(string.concat(name, ".sol:", name));
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
            answer := mload(0x40)
            mstore(answer, returndatasize())
            returndatacopy(add(answer, 32), 0, returndatasize())
            mstore(0x40, and(add(add(answer, returndatasize()), 63), not(31)))
        }
    }

    /// @notice A new contract, whose constructor takes arguments and may revert.
    function made(string memory file, string memory name, bytes memory arguments) internal returns (address deployed) {
        bytes memory code = bytes.concat(vm.getCode(string.concat(file, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
            if iszero(deployed) {
                returndatacopy(code, 0, returndatasize())
                revert(code, returndatasize())
            }
        }
    }

    /// @notice A contract at a chosen address, so that the contexts of its proofs are the same in every build. Its constructor runs there.
    function placed(address where, string memory file, string memory name, bytes memory arguments) internal {
        vm.etch(where, bytes.concat(vm.getCode(string.concat(file, ".sol:", name)), arguments));
        (bool success, bytes memory answer) = where.call("");
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        vm.etch(where, answer);
    }
}
