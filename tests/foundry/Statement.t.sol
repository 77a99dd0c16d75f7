// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";

/// @notice A proof holds for one context, one score and one model.
contract StatementTest is VerifierTest {
    using Call for bytes;

    bytes4 private immutable OUT_OF_RANGE = CreditVerifier.OutputOutOfRange.selector;
    bytes4 private immutable REJECTED = CreditVerifier.ProofRejected.selector;

    function assertNotProved(string memory what, uint256 index, bytes memory call) private view {
        assertRejected(what, index, call, REJECTED);
    }

    function test_anyOtherScoreIsRejected() public view {
        bytes memory call = valid;
        int256 score = int256(call.word(Call.SCORE));
        int256[8] memory scores = [
            score + 1,
            score - 1,
            -score,
            int256(0),
            Reference.SCORE_MIN,
            Reference.SCORE_MIN + 1,
            Reference.SCORE_MAX,
            Reference.SCORE_MAX - 1
        ];
        for (uint256 i = 0; i < scores.length; i++) {
            call.setWord(Call.SCORE, uint256(scores[i]));
            assertNotProved("score", i, call);
        }
    }

    /// @dev Among them the aliases of the score modulo the order of the group.
    function test_scoresOutsideTheRangeAreRejectedAsSuch() public view {
        uint256 score = valid.word(Call.SCORE);
        uint256 r = Reference.R;
        bytes memory call = valid;
        unchecked {
            uint256[14] memory scores = [
                uint256(Reference.SCORE_MIN) - 1,
                uint256(Reference.SCORE_MAX) + 1,
                uint256(type(int256).min),
                uint256(type(int256).max),
                score + r,
                score - r,
                score + 2 * r,
                score - 2 * r,
                score + 3 * r,
                score + 4 * r,
                score + 5 * r,
                r,
                r - 1,
                score + (1 << 128)
            ];
            for (uint256 i = 0; i < scores.length; i++) {
                call.setWord(Call.SCORE, scores[i]);
                assertRejected("score", i, call, OUT_OF_RANGE);
            }
        }
    }

    /// @dev A negative score has one encoding too: not its field element.
    function test_aNegativeScoreIsNotItsFieldElement() public view {
        bytes memory call = Call.load("applicant1");
        int256 score = int256(call.word(Call.SCORE));
        require(score < 0, "fixture");
        call.setWord(Call.SCORE, Reference.R - uint256(-score));
        assertRejected("r - |score|", 0, call, OUT_OF_RANGE);
        call.setWord(Call.SCORE, uint256(-score));
        assertNotProved("|score|", 0, call);
    }

    function test_anyOtherContextIsRejected() public view {
        bytes memory call = valid;
        uint256 context = call.word(Call.CONTEXT);
        unchecked {
            uint256[7] memory contexts = [
                context + 1, context - 1, 0, type(uint256).max, ~context, context + Reference.R, context - Reference.R
            ];
            for (uint256 i = 0; i < contexts.length; i++) {
                call.setWord(Call.CONTEXT, contexts[i]);
                assertNotProved("context", i, call);
            }
        }
        for (uint256 bit = 0; bit < 256; bit++) {
            call.setWord(Call.CONTEXT, context ^ (1 << bit));
            assertNotProved("context bit", bit, call);
        }
    }

    function test_contextAndScoreDoNotTradePlaces() public view {
        bytes memory call = valid;
        call.setWord(Call.CONTEXT, valid.word(Call.SCORE));
        assertNotProved("context := score", 0, call);
        call.setWord(Call.SCORE, valid.word(Call.CONTEXT));
        assertRejected("swapped", 0, call, OUT_OF_RANGE);
    }

    function test_aProofOfAnotherModelIsRejected() public view {
        bytes memory call = Call.load("other_model");
        require(call.length == Call.LENGTH, "fixture");
        assertNotProved("other model", 0, call);
    }

    function test_aScoreOfAnotherApplicantIsRejected() public view {
        string[3] memory others = ["applicant1", "applicant500", "applicant999"];
        for (uint256 i = 0; i < others.length; i++) {
            bytes memory call = valid;
            call.setWord(Call.SCORE, Call.load(others[i]).word(Call.SCORE));
            assertNotProved(others[i], i, call);
        }
    }

    /// @dev Two valid proofs cut at any word and joined.
    function test_splicedProofsAreRejected() public view {
        bytes memory other = Call.load("applicant1");
        for (uint256 cut = Call.SCORE + 1; cut < Call.WORDS; cut++) {
            bytes memory head = valid;
            bytes memory tail = other.copied();
            for (uint256 i = cut; i < Call.WORDS; i++) {
                head.setWord(i, other.word(i));
                tail.setWord(i, valid.word(i));
            }
            assertRejected("head", cut, head);
            assertRejected("tail", cut, tail);
        }
    }
}
