// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditBlsVerifier} from "./golden/CreditBlsVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {G1, Point} from "./utils/G1.sol";

/// @notice Every point of a proof on BLS12-381 is in the subgroup of order r, not only on the curve.
/// @dev The curve has h r points, h = 3 * 11^2 * 10177^2 * 859267^2 * 52437899^2. A pairing does not tell P from P + T
/// if the order of T divides h: only checks of the subgroup do.
contract BlsPointsTest {
    using Call for bytes;

    error WrongAnswer(string what, uint256 index, bytes4 expected, bool success, bytes answer);
    error NotFalse(string what, uint256 index, bool success, bytes answer);

    bytes4 private immutable NOT_IN_SUBGROUP = CreditBlsVerifier.PointNotOnCurve.selector;
    bytes4 private immutable REJECTED = CreditBlsVerifier.ProofRejected.selector;

    uint256 private constant GAS = 2_000_000;

    // Words of the proof's points, counted as in `Call`: three each, and two for the last.
    uint256 private constant ADVICE = 2;
    uint256 private constant QUOTIENT0 = 5;
    uint256 private constant QUOTIENT1 = 8;
    uint256 private constant OPENING = 15;
    uint256 private constant LAST = 18;

    CreditBlsVerifier private verifier;
    bytes private valid;

    function setUp() public {
        (address deployed,) = Deploy.fresh("CreditBlsVerifier");
        require(deployed != address(0), "deployment");
        verifier = CreditBlsVerifier(deployed);
        valid = Call.load("CreditBlsVerifier/applicant0");
    }

    /// @dev The points that are sent in full. The first is added to what the others are multiplied to, by a precompile
    /// that does not check the subgroup; the point evaluation checks the sum.
    function fullPoints() private view returns (uint256[4] memory indices, bytes4[4] memory errors) {
        indices = [ADVICE, QUOTIENT0, QUOTIENT1, OPENING];
        errors = [REJECTED, NOT_IN_SUBGROUP, NOT_IN_SUBGROUP, NOT_IN_SUBGROUP];
    }

    /// @dev Points of the curve of an order that divides h: of order 3, which has the least x on the curve; of order
    /// 11; and r times the point with the next x, 4, and the smaller y, of order 11 * 10177 * 859267 * 52437899.
    function strangers() private pure returns (Point[3] memory points) {
        points[0] = Point(0, 0, 0, 2);
        points[1] = Point(
            0x19b3e2c8c6bbf59d3c326b531fc1e639,
            0xd29200c28624ac604f251a12908c9b7f735318617f625954cc71cdf03229b1ef,
            0x15d1455562b9a28d0f11a69ecd34f5a8,
            0xade01df410168a09cf16ccfbcbfc69403c7c5771a05d217a122b795529939e03
        );
        points[2] = Point(
            0x0ccd40884cb1834492efbd0149a41453,
            0x5890f30477f9535103082ff438ca13d7f7e36e2f1d15dd8ca30397f12170831a,
            0x157112d2c2dfffc1f042dd01e9cc104f,
            0x0609ada5f5fb621f5eb44c9b1b3174267681bbdea41aacc3af76740445774b94
        );
    }

    function generator() private pure returns (Point memory point) {
        return Point(
            0x17f1d3a73197d7942695638c4fa9ac0f,
            0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
            0x08b3f481e3aaa0f1a09e30ed741d8ae4,
            0xfcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1
        );
    }

    /// @dev `verify` reverts with this error, `tryVerify` returns false.
    function assertRejected(string memory what, uint256 index, bytes memory call, bytes4 expected) private view {
        call.setSelector(CreditBlsVerifier.verify.selector);
        (bool success, bytes memory answer) = address(verifier).staticcall{gas: GAS}(call);
        if (success || answer.length != 4 || bytes4(answer) != expected) {
            revert WrongAnswer(what, index, expected, success, answer);
        }
        call.setSelector(CreditBlsVerifier.tryVerify.selector);
        (success, answer) = address(verifier).staticcall{gas: GAS}(call);
        if (!success || answer.length != 32 || uint256(bytes32(answer)) != 0) {
            revert NotFalse(what, index, success, answer);
        }
    }

    function assertReplaced(string memory what, uint256 i, Point memory point, bytes4 expected) private view {
        (uint256[4] memory indices,) = fullPoints();
        bytes memory call = valid;
        G1.store(call, indices[i], point);
        assertRejected(what, i, call, expected);
    }

    function test_thePointsOfTheFixtureAreInTheSubgroup() public view {
        (uint256[4] memory indices,) = fullPoints();
        for (uint256 i = 0; i < indices.length; i++) {
            Point memory point = G1.load(valid, indices[i]);
            require(G1.inSubgroup(point), "full");
            bytes memory call = valid;
            G1.store(call, indices[i], point);
            require(keccak256(call) == keccak256(valid), "the same call");
        }
        Point memory last = G1.loadCompressed(valid, LAST);
        require(G1.inSubgroup(last), "last");
        bytes memory copy = valid;
        G1.storeCompressed(copy, LAST, last);
        require(keccak256(copy) == keccak256(valid), "the same call");
        (bool success,) = address(verifier).staticcall(copy);
        require(success, "accepted");
    }

    function test_pointsOutsideOfTheSubgroupAreRejected() public view {
        Point[3] memory points = strangers();
        (, bytes4[4] memory errors) = fullPoints();
        for (uint256 s = 0; s < points.length; s++) {
            require(!G1.inSubgroup(points[s]), "a stranger");
            for (uint256 i = 0; i < errors.length; i++) {
                assertReplaced("replaced", i, points[s], errors[i]);
            }
            bytes memory call = valid;
            G1.storeCompressed(call, LAST, points[s]);
            assertRejected("last", s, call, REJECTED);
        }
    }

    function test_validPointsPlusPointsOfLowOrderAreRejected() public view {
        Point[3] memory points = strangers();
        (uint256[4] memory indices, bytes4[4] memory errors) = fullPoints();
        for (uint256 s = 0; s < points.length; s++) {
            for (uint256 i = 0; i < indices.length; i++) {
                Point memory sum = G1.add(G1.load(valid, indices[i]), points[s]);
                require(!G1.inSubgroup(sum), "a stranger");
                assertReplaced("shifted", i, sum, errors[i]);
            }
        }
    }

    /// @dev No challenge depends on the last point, so all that is wrong with this proof is the order of that point.
    function test_theLastPointPlusAPointOfLowOrderIsRejected() public view {
        Point[3] memory points = strangers();
        for (uint256 s = 0; s < points.length; s++) {
            bytes memory call = valid;
            G1.storeCompressed(call, LAST, G1.add(G1.loadCompressed(call, LAST), points[s]));
            assertRejected("last", s, call, REJECTED);
        }
    }

    /// @dev The same replacements by points of the subgroup are not rejected for what they are.
    function test_otherPointsOfTheSubgroupReachTheEnd() public view {
        (uint256[4] memory indices,) = fullPoints();
        for (uint256 i = 0; i < indices.length; i++) {
            assertReplaced("generator", i, generator(), REJECTED);
            assertReplaced("shifted", i, G1.add(G1.load(valid, indices[i]), generator()), REJECTED);
        }
    }
}
