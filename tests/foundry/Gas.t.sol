// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";
import {vm} from "./utils/Vm.sol";

/// @notice What acceptance and rejection cost, and that too little gas never passes for a proof.
contract GasTest is VerifierTest {
    using Call for bytes;

    /// @dev Most that a rejection before any curve operation may cost.
    uint256 private constant CHEAP = 2_500;

    /// @dev A bound on what the caller pays for the call itself.
    uint256 private constant OVERHEAD = 300;

    /// @dev Gas of a call with `limit` to spend, seen from outside: about OVERHEAD more than inside.
    function spent(bytes memory data, uint256 limit) private view returns (bool success, uint256 used) {
        address target = address(verifier);
        require(target.code.length != 0, "no code"); // warms the address
        assembly ("memory-safe") {
            let start := gas()
            success := staticcall(limit, target, add(data, 32), mload(data), 0, 0)
            used := sub(start, gas())
        }
    }

    function assertCosts(string memory what, bytes memory call, bytes4 expected, uint256 most) private view {
        assertRejected(what, 0, call, expected);
        (bool success, uint256 used) = spent(call, 10_000_000);
        require(!success && used <= most, what);
    }

    /// @dev Figures of the default profile, kept in `snapshots/`; `tests/foundry/README.md` says how to renew them.
    function test_snapshot() public {
        snapshot("verify", valid, true);
        bytes memory call = valid;
        call.setSelector(CreditVerifier.tryVerify.selector);
        snapshot("tryVerify", call, true);
        snapshot("reject: length", bytes.concat(valid, hex"00"), false);
        call = valid;
        call.setWord(Call.SCORE, uint256(type(int256).max));
        snapshot("reject: score out of range", call, false);
        call = valid;
        call.setWord(Call.EVALUATIONS, Reference.R);
        snapshot("reject: scalar not canonical", call, false);
        call = valid;
        call.setWord(Call.CONTEXT, 0);
        snapshot("reject: another context", call, false);
        vm.snapshotValue("CreditVerifier", "bytes of runtime code", address(verifier).code.length);
    }

    function snapshot(string memory name, bytes memory call, bool expected) private {
        (bool success,) = address(verifier).staticcall(call);
        vm.snapshotGasLastCall("CreditVerifier", name);
        require(success == expected, name);
    }

    function test_cheapChecksRejectCheaply() public view {
        bytes memory call = bytes.concat(valid, hex"00");
        assertCosts("length", call, CreditVerifier.CalldataLength.selector, CHEAP);
        call = valid;
        call.setWord(Call.SCORE, uint256(type(int256).min));
        assertCosts("score", call, CreditVerifier.OutputOutOfRange.selector, CHEAP);
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            call = valid;
            call.setWord(i, type(uint256).max);
            assertCosts("evaluation", call, CreditVerifier.ScalarNotCanonical.selector, CHEAP);
        }
    }

    /// @dev A precompile consumes all gas it is given when it fails; what it is given does not grow with the caller's.
    function test_badPointsBurnABoundedAmount() public view {
        uint256[4] memory points = Call.points();
        bytes memory all = valid;
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory call = valid;
            call.setPoint(points[i], 1, 1);
            assertBounded(call, 200_000);
            all.setPoint(points[i], 1, 1);
        }
        assertBounded(all, 450_000);
    }

    function assertBounded(bytes memory call, uint256 most) private view {
        assertRejected("bad point", 0, call, CreditVerifier.PointNotOnCurve.selector);
        (, uint256 used) = spent(call, 10_000_000);
        (, uint256 usedOfMore) = spent(call, 100_000_000);
        require(usedOfMore < used + OVERHEAD && used < most, "a bad point burns more");
    }

    /// @dev Every step of 500 gas up to the price, and every unit close to it.
    function test_tooLittleGasGivesNoVerdict() public view {
        bytes memory call = valid;
        assertNeedsGas(call);
        call.setSelector(CreditVerifier.tryVerify.selector);
        assertNeedsGas(call);
    }

    function assertNeedsGas(bytes memory call) private view {
        (bool success, uint256 price) = spent(call, 10_000_000);
        require(success, "not accepted");
        price -= OVERHEAD;
        for (uint256 limit = 0; limit < price; limit += 500) {
            assertOutOfGas(call, limit);
        }
        for (uint256 limit = price - 500; limit < price; limit++) {
            assertOutOfGas(call, limit);
        }
    }

    /// @dev A valid proof is not called invalid either: whoever chooses the gas would choose the verdict.
    function assertOutOfGas(bytes memory call, uint256 limit) private view {
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: limit}(call);
        if (success || answer.length != 0) revert WrongAnswer("too little gas", limit, 0, success, answer);
    }

    /// @dev An invalid proof is not accepted at any gas limit either.
    function test_noGasLimitAcceptsAnInvalidProof() public view {
        bytes memory call = valid;
        call.setWord(Call.CONTEXT, 0);
        bytes memory tryCall = call.copied();
        tryCall.setSelector(CreditVerifier.tryVerify.selector);
        for (uint256 limit = 0; limit < 250_000; limit += 500) {
            assertNotAccepted(call, limit);
            assertNotAccepted(tryCall, limit);
        }
    }

    function assertNotAccepted(bytes memory call, uint256 limit) private view {
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: limit}(call);
        bool accepted = success && (answer.length != 32 || uint256(bytes32(answer)) != 0);
        if (accepted) revert WrongAnswer("too little gas", limit, 0, success, answer);
    }
}
