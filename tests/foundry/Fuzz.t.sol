// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Nothing random is accepted, and every rejection has the reason that the reference finds.
contract FuzzTest is VerifierTest {
    using Call for bytes;

    bytes4 private immutable REJECTED = CreditVerifier.ProofRejected.selector;

    /// @dev Whatever follows the selector; almost always of a wrong length.
    function testFuzz_randomArguments(bytes calldata arguments) public view {
        bytes memory call = bytes.concat(CreditVerifier.verify.selector, arguments);
        if (call.length < Call.LENGTH) {
            assertUndecodable("verify", call.length, call);
            call.setSelector(CreditVerifier.tryVerify.selector);
            assertUndecodable("tryVerify", call.length, call);
        } else if (call.length > Call.LENGTH) {
            assertRejected("length", call.length, call, CreditVerifier.CalldataLength.selector);
        } else {
            assertRejected("random", 0, call);
        }
    }

    function testFuzz_randomCalldata(bytes calldata call) public view {
        bytes4 selector = bytes4(call);
        vm.assume(selector != verifier.MODEL_ID.selector && selector != verifier.OUTPUT0_SCALE.selector);
        (bool success,) = address(verifier).staticcall{gas: GAS}(call);
        require(!success, "accepted");
    }

    function testFuzz_randomWords(bytes32 context, int256[1] memory outputs, uint256[12] memory proof) public view {
        bytes memory call = abi.encodeCall(verifier.verify, (context, outputs, proof));
        assertRejected("random", 0, call);
    }

    /// @dev In range, on the curve and reduced: random as an attacker would have it.
    function testFuzz_randomWellFormedWords(bytes32 context, int256[1] memory outputs, uint256[12] memory proof)
        public
        view
    {
        uint256 width = uint256(Reference.SCORE_MAX - Reference.SCORE_MIN) + 1;
        outputs[0] = Reference.SCORE_MIN + int256(uint256(outputs[0]) % width);
        bytes memory call = abi.encodeCall(verifier.verify, (context, outputs, proof));
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            (bool success, bytes memory product) =
                address(7).staticcall(abi.encode(uint256(1), uint256(2), call.word(points[i])));
            require(success, "ecMul");
            (uint256 x, uint256 y) = abi.decode(product, (uint256, uint256));
            call.setPoint(points[i], x, y);
        }
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            call.setWord(i, call.word(i) % Reference.R);
        }
        assertRejected("random", 0, call, REJECTED);
    }

    function testFuzz_oneWordChanged(uint256 index, uint256 value) public view {
        index %= Call.WORDS;
        bytes memory call = valid;
        vm.assume(call.word(index) != value);
        call.setWord(index, value);
        assertRejected("word", index, call);
    }

    /// @dev A difference of few bits, anywhere.
    function testFuzz_oneWordNearby(uint256 index, uint8 shift, int8 difference) public view {
        vm.assume(difference != 0);
        index %= Call.WORDS;
        bytes memory call = valid;
        unchecked {
            uint256 step = uint256(int256(difference)) << shift;
            vm.assume(step != 0);
            call.setWord(index, call.word(index) + step);
        }
        assertRejected("word", index, call);
    }

    function testFuzz_wordsShuffled(uint256 seed) public view {
        bytes memory call = valid;
        for (uint256 i = Call.WORDS - 1; i > 0; i--) {
            uint256 j = uint256(keccak256(abi.encode(seed, i))) % (i + 1);
            uint256 word = call.word(i);
            call.setWord(i, call.word(j));
            call.setWord(j, word);
        }
        vm.assume(keccak256(call) != keccak256(valid));
        assertRejected("shuffled", 0, call);
    }

    function testFuzz_context(uint256 context) public view {
        vm.assume(context != valid.word(Call.CONTEXT));
        bytes memory call = valid;
        call.setWord(Call.CONTEXT, context);
        assertRejected("context", 0, call, REJECTED);
    }

    function testFuzz_scoreInRange(uint256 score) public view {
        uint256 width = uint256(Reference.SCORE_MAX - Reference.SCORE_MIN) + 1;
        score = uint256(Reference.SCORE_MIN + int256(score % width));
        vm.assume(score != valid.word(Call.SCORE));
        bytes memory call = valid;
        call.setWord(Call.SCORE, score);
        assertRejected("score", 0, call, REJECTED);
    }

    function testFuzz_scoreOutOfRange(int256 score) public view {
        vm.assume(score < Reference.SCORE_MIN || score > Reference.SCORE_MAX);
        bytes memory call = valid;
        call.setWord(Call.SCORE, uint256(score));
        assertRejected("score", 0, call, CreditVerifier.OutputOutOfRange.selector);
    }
}
