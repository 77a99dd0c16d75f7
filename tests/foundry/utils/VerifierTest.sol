// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Call} from "./Call.sol";
import {Deploy} from "./Deploy.sol";
import {Reference} from "./Reference.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";

/// @notice What every test of the verifier shares: the contract, a valid call, and what it means to accept and to reject.
abstract contract VerifierTest {
    using Call for bytes;

    /// @notice A valid proof was not accepted.
    error NotAccepted(string what, bool success, bytes answer);

    /// @notice `verify` did not revert with the error that the case calls for.
    error WrongAnswer(string what, uint256 index, bytes4 expected, bool success, bytes answer);

    /// @notice `tryVerify` did not return false.
    error NotFalse(string what, uint256 index, bool success, bytes answer);

    /// @dev Gas of a call that must be rejected: enough for a valid proof many times over.
    uint256 internal constant GAS = 2_000_000;

    CreditVerifier internal verifier;
    bytes internal valid;

    function setUp() public virtual {
        (verifier,) = deploy();
        require(address(verifier) != address(0), "deployment");
        valid = Call.load("applicant0");
    }

    /// @dev A new verifier, or the zero address and what the constructor reverted with.
    function deploy() internal returns (CreditVerifier deployed, bytes memory answer) {
        address at;
        (at, answer) = Deploy.fresh("CreditVerifier");
        deployed = CreditVerifier(at);
    }

    /// @dev Both entry points accept: `verify` returns nothing, `tryVerify` returns true.
    function assertAccepted(string memory what, bytes memory call) internal view {
        call.setSelector(CreditVerifier.verify.selector);
        (bool success, bytes memory answer) = address(verifier).staticcall(call);
        if (!success || answer.length != 0) revert NotAccepted(what, success, answer);
        call.setSelector(CreditVerifier.tryVerify.selector);
        (success, answer) = address(verifier).staticcall(call);
        if (!success || answer.length != 32 || uint256(bytes32(answer)) != 1) {
            revert NotAccepted(what, success, answer);
        }
        call.setSelector(CreditVerifier.verify.selector);
    }

    /// @dev Both entry points reject: `verify` with exactly this error, `tryVerify` with false.
    /// `what` and `index` say which case it was when it fails.
    function assertRejected(string memory what, uint256 index, bytes memory call, bytes4 expected) internal view {
        call.setSelector(CreditVerifier.verify.selector);
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: GAS}(call);
        if (success || answer.length != 4 || bytes4(answer) != expected) {
            revert WrongAnswer(what, index, expected, success, answer);
        }
        call.setSelector(CreditVerifier.tryVerify.selector);
        (success, answer) = address(verifier).staticcall{gas: GAS}(call);
        if (!success || answer.length != 32 || uint256(bytes32(answer)) != 0) {
            revert NotFalse(what, index, success, answer);
        }
        call.setSelector(CreditVerifier.verify.selector);
    }

    /// @dev Both entry points reject, and `verify` with the error that the reference finds.
    function assertRejected(string memory what, uint256 index, bytes memory call) internal view {
        assertRejected(what, index, call, Reference.errorOf(call));
    }

    /// @dev The call reverts before it reaches the verifier's own checks.
    function assertUndecodable(string memory what, uint256 index, bytes memory call) internal view {
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: GAS}(call);
        if (success || answer.length != 0) revert WrongAnswer(what, index, 0, success, answer);
    }
}
