// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";

/// @notice Every point of a proof is on the curve, in one encoding, and the right one.
contract PointsTest is VerifierTest {
    using Call for bytes;

    bytes4 private immutable OFF_CURVE = CreditVerifier.PointNotOnCurve.selector;
    bytes4 private immutable REJECTED = CreditVerifier.ProofRejected.selector;

    function assertEachReplaced(string memory what, uint256 x, uint256 y, bytes4 expected) private view {
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory call = valid;
            call.setPoint(points[i], x, y);
            assertRejected(what, i, call, expected);
        }
    }

    function assertAllReplaced(string memory what, uint256 x, uint256 y, bytes4 expected) private view {
        uint256[4] memory points = Call.points();
        bytes memory call = valid;
        for (uint256 i = 0; i < points.length; i++) {
            call.setPoint(points[i], x, y);
        }
        assertRejected(what, 0, call, expected);
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            call.setWord(i, 0);
        }
        assertRejected(what, 1, call, expected);
    }

    function test_infinityIsRejected() public view {
        assertEachReplaced("infinity", 0, 0, REJECTED);
        assertAllReplaced("infinity", 0, 0, REJECTED);
    }

    function test_theGeneratorIsRejected() public view {
        assertEachReplaced("generator", 1, 2, REJECTED);
        assertEachReplaced("minus generator", 1, Reference.P - 2, REJECTED);
        assertAllReplaced("generator", 1, 2, REJECTED);
    }

    function test_pointsOffTheCurveAreRejected() public view {
        assertEachReplaced("(1, 1)", 1, 1, OFF_CURVE);
        assertEachReplaced("(0, 1)", 0, 1, OFF_CURVE);
        assertEachReplaced("(1, 0)", 1, 0, OFF_CURVE);
        assertEachReplaced("max", type(uint256).max, type(uint256).max, OFF_CURVE);
        assertAllReplaced("(1, 1)", 1, 1, OFF_CURVE);
    }

    /// @dev Neither the right point nor infinity nor the generator has a second encoding.
    function test_coordinatesAreReduced() public view {
        uint256 p = Reference.P;
        assertEachReplaced("(p, p)", p, p, OFF_CURVE);
        assertEachReplaced("(p, 0)", p, 0, OFF_CURVE);
        assertEachReplaced("(0, p)", 0, p, OFF_CURVE);
        assertEachReplaced("(1 + p, 2)", 1 + p, 2, OFF_CURVE);
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            for (uint256 coordinate = points[i]; coordinate < points[i] + 2; coordinate++) {
                bytes memory call = valid;
                uint256 alias_ = call.word(coordinate);
                while (alias_ <= type(uint256).max - p) {
                    alias_ += p;
                    call.setWord(coordinate, alias_);
                    assertRejected("+ p", coordinate, call, OFF_CURVE);
                }
            }
        }
    }

    function test_negatedPointsAreRejected() public view {
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory call = valid;
            call.setWord(points[i] + 1, Reference.P - call.word(points[i] + 1));
            assertRejected("negated", i, call, REJECTED);
        }
    }

    /// @dev The smallest step to another valid point: plus the generator.
    function test_shiftedPointsAreRejected() public view {
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory call = valid;
            (bool success, bytes memory sum) = address(6)
                .staticcall(abi.encode(call.word(points[i]), call.word(points[i] + 1), uint256(1), uint256(2)));
            require(success, "ecAdd");
            (uint256 x, uint256 y) = abi.decode(sum, (uint256, uint256));
            call.setPoint(points[i], x, y);
            assertRejected("shifted", i, call, REJECTED);
        }
    }

    function test_swappedPointsAreRejected() public view {
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            for (uint256 j = 0; j < i; j++) {
                bytes memory call = valid;
                call.setPoint(points[i], valid.word(points[j]), valid.word(points[j] + 1));
                call.setPoint(points[j], valid.word(points[i]), valid.word(points[i] + 1));
                assertRejected("swapped", 10 * i + j, call, REJECTED);
            }
        }
    }

    function test_swappedCoordinatesAreRejected() public view {
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory call = valid;
            call.setPoint(points[i], valid.word(points[i] + 1), valid.word(points[i]));
            assertRejected("swapped", i, call, OFF_CURVE);
        }
    }
}
