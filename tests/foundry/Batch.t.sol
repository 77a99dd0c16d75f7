// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {CreditVerifierBatch} from "./golden/CreditVerifierBatch.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {Reference} from "./utils/Reference.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Many proofs in one call: all of them hold, or the first that does not is named.
contract BatchTest {
    using Call for bytes;

    error NotAccepted(uint256 count, bool success, bytes answer);
    error WrongAnswer(string what, uint256 index, bytes expected, bool success, bytes answer);

    bytes4 private immutable LENGTH = CreditVerifierBatch.CalldataLength.selector;
    bytes4 private immutable RANGE = CreditVerifierBatch.OutputOutOfRange.selector;
    bytes4 private immutable CANONICAL = CreditVerifierBatch.ScalarNotCanonical.selector;
    bytes4 private immutable OFF_CURVE = CreditVerifierBatch.PointNotOnCurve.selector;
    bytes4 private immutable REJECTED = CreditVerifierBatch.ProofRejected.selector;

    /// @dev Bytes before the first claim, and of a claim.
    uint256 private constant HEAD = 68;
    uint256 private constant CLAIM = Call.LENGTH - 4;

    uint256 private constant GAS = 10_000_000;

    CreditVerifierBatch private verifier;
    bytes[4] private claims;

    function setUp() public {
        (CreditVerifierBatch deployed,) = deploy();
        require(address(deployed) != address(0), "deployment");
        verifier = deployed;
        string[4] memory names = ["applicant0", "applicant1", "applicant500", "applicant999"];
        for (uint256 i = 0; i < names.length; i++) {
            claims[i] = Call.load(names[i]);
        }
    }

    function deploy() private returns (CreditVerifierBatch deployed, bytes memory answer) {
        address at;
        (at, answer) = Deploy.fresh("CreditVerifierBatch");
        deployed = CreditVerifierBatch(at);
    }

    /// @dev A call with these claims, each the arguments of a call of `verify`.
    function joined(bytes[] memory calls) private pure returns (bytes memory call) {
        call = bytes.concat(CreditVerifierBatch.verifyBatch.selector, abi.encode(uint256(32), calls.length));
        for (uint256 i = 0; i < calls.length; i++) {
            bytes memory arguments = new bytes(CLAIM);
            for (uint256 j = 0; j < CLAIM; j += 32) {
                uint256 word = calls[i].word(j / 32);
                assembly ("memory-safe") {
                    mstore(add(add(arguments, 32), j), word)
                }
            }
            call = bytes.concat(call, arguments);
        }
    }

    /// @dev The valid proofs, over and over.
    function valid(uint256 count) private view returns (bytes[] memory calls) {
        calls = new bytes[](count);
        for (uint256 i = 0; i < count; i++) {
            calls[i] = claims[i % claims.length];
        }
    }

    function assertAccepted(bytes[] memory calls) private view {
        (bool success, bytes memory answer) = address(verifier).staticcall(joined(calls));
        if (!success || answer.length != 0) revert NotAccepted(calls.length, success, answer);
    }

    function assertReverts(string memory what, uint256 index, bytes memory call, bytes memory expected) private view {
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: GAS}(call);
        if (success || keccak256(answer) != keccak256(expected)) {
            revert WrongAnswer(what, index, expected, success, answer);
        }
    }

    /// @dev Rejected for this claim, by this error.
    function assertNamed(string memory what, bytes[] memory calls, uint256 index, bytes4 expected) private view {
        assertReverts(what, index, joined(calls), abi.encodeWithSelector(expected, index));
    }

    /// @dev The error of the batch for an error of the verifier.
    function named(bytes4 error_) private view returns (bytes4) {
        if (error_ == CreditVerifier.OutputOutOfRange.selector) return RANGE;
        if (error_ == CreditVerifier.ScalarNotCanonical.selector) return CANONICAL;
        if (error_ == CreditVerifier.PointNotOnCurve.selector) return OFF_CURVE;
        return REJECTED;
    }

    function test_acceptsValidProofsOfAnyNumber() public view {
        for (uint256 count = 1; count <= 17; count++) {
            assertAccepted(valid(count));
        }
        assertAccepted(valid(64));
    }

    function test_theEncodingIsThatOfTheType() public view {
        bytes[] memory calls = valid(3);
        CreditVerifierBatch.Claim[] memory decoded = new CreditVerifierBatch.Claim[](3);
        for (uint256 i = 0; i < 3; i++) {
            (bytes32 context, int256[1] memory outputs, uint256[12] memory proof) =
                abi.decode(calls[i].resized(Call.LENGTH).tail(4), (bytes32, int256[1], uint256[12]));
            decoded[i] = CreditVerifierBatch.Claim(context, outputs, proof);
        }
        verifier.verifyBatch(decoded);
        bytes memory call = abi.encodeCall(verifier.verifyBatch, (decoded));
        require(keccak256(call) == keccak256(joined(calls)), "encoding");
    }

    function test_theFixtureOfTheEncoderIsAccepted() public view {
        bytes memory call = Call.load("batch");
        require(keccak256(call) == keccak256(joined(valid(4))), "encoder");
        (bool success,) = address(verifier).staticcall(call);
        require(success, "batch");
    }

    function test_anEmptyBatchIsRejected() public view {
        bytes memory call = joined(valid(0));
        assertReverts("empty", 0, call, abi.encodeWithSelector(CreditVerifierBatch.EmptyBatch.selector));
    }

    /// @dev Each word of a claim in turn, and each claim in batches of every size up to eight.
    function test_theBadProofIsNamed() public view {
        for (uint256 count = 1; count <= 8; count++) {
            for (uint256 bad = 0; bad < count; bad++) {
                bytes[] memory calls = valid(count);
                bytes memory call = bytes.concat(calls[bad]);
                call.setWord(Call.EVALUATIONS, call.word(Call.EVALUATIONS) ^ 1);
                calls[bad] = call;
                assertNamed("evaluation", calls, bad, REJECTED);
            }
        }
        for (uint256 word = 0; word < Call.WORDS; word++) {
            bytes[] memory calls = valid(4);
            bytes memory call = bytes.concat(calls[2]);
            call.setWord(word, call.word(word) ^ 1);
            calls[2] = call;
            assertNamed("word", calls, 2, named(Reference.errorOf(call)));
        }
    }

    function test_theFirstOfSeveralBadProofsIsNamed() public view {
        for (uint256 first = 0; first < 7; first++) {
            bytes[] memory calls = valid(7);
            for (uint256 i = first; i < 7; i += 2) {
                bytes memory call = bytes.concat(calls[i]);
                call.setWord(Call.CONTEXT, i);
                calls[i] = call;
            }
            assertNamed("contexts", calls, first, REJECTED);
        }
    }

    function test_everyReasonNamesItsClaim() public view {
        for (uint256 bad = 0; bad < 4; bad++) {
            bytes[] memory calls = valid(4);
            bytes memory call = bytes.concat(calls[bad]);
            calls[bad] = call;
            call.setPoint(Call.OPENING, 1, 1);
            assertNamed("point", calls, bad, OFF_CURVE);
            call.setWord(Call.EVALUATIONS, Reference.R);
            assertNamed("scalar", calls, bad, CANONICAL);
            call.setWord(Call.SCORE, uint256(type(int256).max));
            assertNamed("score", calls, bad, RANGE);
        }
    }

    function test_aProofOfAnotherModelIsNamed() public view {
        bytes[] memory calls = valid(5);
        calls[3] = Call.load("other_model");
        assertNamed("other model", calls, 3, REJECTED);
    }

    /// @dev Errors that add up to nothing would pass a sum without random coefficients.
    function test_errorsDoNotCancel() public view {
        for (uint256 p = 0; p < 4; p++) {
            uint256 point = Call.points()[p];
            bytes[] memory calls = valid(2);
            (uint256 x, uint256 y) = plus(calls[0].word(point), calls[0].word(point + 1), 2);
            bytes memory call = bytes.concat(calls[0]);
            call.setPoint(point, x, y);
            calls[0] = call;
            (x, y) = plus(calls[1].word(point), calls[1].word(point + 1), Reference.P - 2);
            call = bytes.concat(calls[1]);
            call.setPoint(point, x, y);
            calls[1] = call;
            assertNamed("plus and minus the generator", calls, 0, REJECTED);
        }
        bytes[] memory swapped = valid(2);
        (bytes memory a, bytes memory b) = (bytes.concat(swapped[0]), bytes.concat(swapped[1]));
        a.setPoint(
            Call.OPENING_QUOTIENT, swapped[1].word(Call.OPENING_QUOTIENT), swapped[1].word(Call.OPENING_QUOTIENT + 1)
        );
        b.setPoint(
            Call.OPENING_QUOTIENT, swapped[0].word(Call.OPENING_QUOTIENT), swapped[0].word(Call.OPENING_QUOTIENT + 1)
        );
        (swapped[0], swapped[1]) = (a, b);
        assertNamed("last points swapped", swapped, 0, REJECTED);
    }

    /// @dev A point plus (1, y).
    function plus(uint256 x, uint256 y, uint256 other) private view returns (uint256, uint256) {
        (bool success, bytes memory sum) = address(6).staticcall(abi.encode(x, y, uint256(1), other));
        require(success, "ecAdd");
        return abi.decode(sum, (uint256, uint256));
    }

    function test_everyFlippedByteIsRejected() public view {
        bytes memory call = joined(valid(2));
        bytes1[2] memory masks = [bytes1(0x01), bytes1(0x80)];
        for (uint256 m = 0; m < masks.length; m++) {
            for (uint256 i = 0; i < call.length; i++) {
                call[i] ^= masks[m];
                (bool success,) = address(verifier).staticcall{gas: GAS}(call);
                if (success) revert WrongAnswer("byte", i, "", success, "");
                call[i] ^= masks[m];
            }
        }
    }

    function test_thereIsOneEncoding() public view {
        bytes memory call = joined(valid(2));
        bytes memory length = abi.encodeWithSelector(LENGTH);
        for (uint256 extra = 1; extra <= 64; extra++) {
            assertReverts("longer", extra, call.resized(call.length + extra), length);
            (bool success,) = address(verifier).staticcall{gas: GAS}(call.resized(call.length - extra));
            require(!success, "shorter");
        }
        // the array behind a gap of a word, which the decoder accepts
        bytes memory gap = bytes.concat(call.resized(4), abi.encode(uint256(64), uint256(0)), call.tail(36));
        assertReverts("gap", 0, gap, length);
        // one claim more or fewer than there are
        call.setWord(1, 1);
        assertReverts("fewer", 0, call, length);
        for (uint256 i = 0; i < 4; i++) {
            uint256[4] memory counts = [uint256(3), 1 << 64, type(uint256).max, (type(uint256).max / CLAIM) + 3];
            call.setWord(1, counts[i]);
            (bool success,) = address(verifier).staticcall{gas: GAS}(call);
            require(!success, "count");
        }
    }

    /// @dev The array may start anywhere for the decoder, but its claims are read by position.
    function test_theArrayIsWhereItIsRead() public view {
        bytes memory call = joined(valid(2));
        for (uint256 offset = 0; offset < 200; offset++) {
            if (offset == 32) continue;
            call.setWord(0, offset);
            (bool success,) = address(verifier).staticcall{gas: GAS}(call);
            require(!success, "offset");
        }
    }

    function test_deploymentFailsWithoutAPrecompile() public {
        for (uint160 precompile = 6; precompile <= 8; precompile++) {
            vm.mockCall(address(precompile), "", "");
            (CreditVerifierBatch deployed, bytes memory answer) = deploy();
            require(address(deployed) == address(0), "no code");
            require(bytes4(answer) == CreditVerifierBatch.PrecompileMissing.selector, "error");
            vm.clearMockedCalls();
        }
    }

    function test_tooLittleGasGivesNoVerdict() public view {
        bytes memory call = joined(valid(2));
        for (uint256 limit = 0; limit < 200_000; limit += 1_000) {
            (bool success, bytes memory answer) = address(verifier).staticcall{gas: limit}(call);
            if (success || answer.length != 0) revert WrongAnswer("too little gas", limit, "", success, answer);
        }
    }

    function test_codeFitsTheLimit() public view {
        require(address(verifier).code.length <= 24_576, "EIP-170");
    }

    function test_snapshot() public {
        snapshot("verifyBatch of 1", joined(valid(1)), true);
        snapshot("verifyBatch of 16", joined(valid(16)), true);
        bytes[] memory calls = valid(16);
        bytes memory call = bytes.concat(calls[11]);
        call.setWord(Call.CONTEXT, 0);
        calls[11] = call;
        snapshot("reject: one of 16", joined(calls), false);
        vm.snapshotValue("CreditVerifierBatch", "bytes of runtime code", address(verifier).code.length);
    }

    function snapshot(string memory name, bytes memory call, bool expected) private {
        (bool success,) = address(verifier).staticcall(call);
        vm.snapshotGasLastCall("CreditVerifierBatch", name);
        require(success == expected, name);
    }
}
