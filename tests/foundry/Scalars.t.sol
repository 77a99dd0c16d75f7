// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";

/// @notice Every scalar of a proof has one encoding and one value.
contract ScalarsTest is VerifierTest {
    using Call for bytes;

    bytes4 private immutable NOT_CANONICAL = CreditVerifier.ScalarNotCanonical.selector;
    bytes4 private immutable REJECTED = CreditVerifier.ProofRejected.selector;

    /// @dev All that are congruent to the right value, and the smallest and largest words that are too large.
    function assertAliasesRejected(uint256 index) private view {
        bytes memory call = valid;
        uint256 alias_ = call.word(index);
        require(alias_ < Reference.R, "fixture");
        uint256 count = 0;
        while (alias_ <= type(uint256).max - Reference.R) {
            alias_ += Reference.R;
            call.setWord(index, alias_);
            assertRejected("+ r", index, call, NOT_CANONICAL);
            count++;
        }
        require(count >= 4, "aliases");
        call.setWord(index, Reference.R);
        assertRejected("r", index, call, NOT_CANONICAL);
        call.setWord(index, type(uint256).max);
        assertRejected("max", index, call, NOT_CANONICAL);
    }

    function test_aliasesOfEvaluationsAreRejected() public view {
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            assertAliasesRejected(i);
        }
    }

    function test_otherEvaluationsAreRejected() public view {
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            bytes memory call = valid;
            uint256 value = call.word(i);
            uint256[6] memory values = [
                addmod(value, 1, Reference.R),
                addmod(value, Reference.R - 1, Reference.R),
                Reference.R - value,
                mulmod(value, 2, Reference.R),
                0,
                Reference.R - 1
            ];
            for (uint256 j = 0; j < values.length; j++) {
                call.setWord(i, values[j]);
                assertRejected("evaluation", i, call, REJECTED);
            }
        }
    }

    function test_permutedEvaluationsAreRejected() public view {
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            for (uint256 j = Call.EVALUATIONS; j < i; j++) {
                bytes memory call = valid;
                call.setWord(i, valid.word(j));
                call.setWord(j, valid.word(i));
                assertRejected("swapped", 100 * i + j, call, REJECTED);
            }
        }
    }

    function test_zeroEvaluationsAreRejected() public view {
        bytes memory call = valid;
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            call.setWord(i, 0);
        }
        assertRejected("zeros", 0, call, REJECTED);
    }

    /// @dev A score out of range is named first, then a scalar that is too large, then a point off the curve.
    function test_checksComeInTheirOrder() public view {
        bytes memory call = valid;
        call.setWord(Call.CONTEXT, 0);
        call.setPoint(Call.OPENING, 1, 1);
        assertRejected("points before the pairing", 0, call, CreditVerifier.PointNotOnCurve.selector);
        call.setWord(Call.EVALUATIONS, Reference.R);
        assertRejected("scalars before points", 0, call, NOT_CANONICAL);
        call.setWord(Call.SCORE, uint256(type(int256).max));
        assertRejected("range before scalars", 0, call, CreditVerifier.OutputOutOfRange.selector);
        bytes4 length = CreditVerifier.CalldataLength.selector;
        assertRejected("length before range", 0, bytes.concat(call, hex"00"), length);
    }
}
