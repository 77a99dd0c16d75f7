// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../../contracts/HallmarkCall.sol";
import {HallmarkGoverned} from "../../../../contracts/HallmarkGoverned.sol";
import {MockHallmarkVerifier} from "../../../../contracts/mocks/MockHallmarkVerifier.sol";
import {Deploy} from "../../utils/Deploy.sol";
import {vm} from "../../utils/Vm.sol";

/// @notice What the tests of the library's contracts share: accounts by name, a clock that starts at a known time, and failures that
/// say which case it was.
abstract contract LibraryTest {
    /// @notice Something that must not happen happened.
    error Failed(string what);

    /// @notice Two things that must be the same are not.
    error Differ(string what, uint256 expected, uint256 given);

    uint256 internal constant NOW = 1_800_000_000;

    address internal immutable ALICE = account("alice");
    address internal immutable BOB = account("bob");
    address internal immutable OWNER = account("owner");
    address internal immutable GUARDIAN = account("guardian");

    /// @dev An account that nobody else has, the same in every build.
    function account(string memory name) internal pure returns (address at_) {
        return address(uint160(uint256(keccak256(bytes(name)))));
    }

    function check(bool holds, string memory what) internal pure {
        if (!holds) revert Failed(what);
    }

    function same(uint256 expected, uint256 given, string memory what) internal pure {
        if (expected != given) revert Differ(what, expected, given);
    }

    /// @dev The next call reverts with an error without arguments.
    function reverts(bytes4 selector) internal {
        vm.expectRevert(bytes.concat(selector));
    }

    /// @dev The owner announces a call, and makes it as soon as it may.
    function execute(HallmarkGoverned governed, bytes memory call)
        internal
        returns (bool success, bytes memory answer)
    {
        vm.prank(governed.owner());
        governed.schedule(call);
        vm.warp(block.timestamp + governed.DELAY());
        vm.prank(governed.owner());
        return address(governed).call(call);
    }

    /// @dev The owner announces a call and makes it, and it goes through.
    function executed(HallmarkGoverned governed, bytes memory call) internal {
        (bool success, bytes memory answer) = execute(governed, call);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }

    /// @dev The owner announces a call and makes it, and it reverts with this.
    function refused(HallmarkGoverned governed, bytes memory call, bytes memory expected) internal {
        (bool success, bytes memory answer) = execute(governed, call);
        check(!success && keccak256(answer) == keccak256(expected), "refused by another error");
    }

    /// @dev A mock with the shape of the credit model's verifier.
    function mock(bytes32 id) internal returns (MockHallmarkVerifier verifier) {
        return mock(id, HallmarkCall.Shape(0, 1, 0, 12));
    }

    function mock(bytes32 id, HallmarkCall.Shape memory shape) internal returns (MockHallmarkVerifier verifier) {
        bytes memory arguments = abi.encode(id, 1 << 44, shape);
        return MockHallmarkVerifier(Deploy.made("MockHallmarkVerifier", "MockHallmarkVerifier", arguments));
    }
}
