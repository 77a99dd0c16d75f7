// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Call} from "./Call.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";

/// @notice Everything that the verifier checks but the pairing, written a second time without regard to gas: which error a
/// call deserves, and the inverse that makes a forged proof pass all checks that an attacker can pass.
/// @dev Follows the protocol of the golden contract: the transcript up to `x`, and which denominators are inverted.
library Reference {
    using Call for bytes;

    /// @notice Order of the group.
    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    /// @notice Modulus of the coordinates.
    uint256 internal constant P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

    /// @notice Range of the score that the compiler has proved.
    int256 internal constant SCORE_MIN = -107161918346192;
    int256 internal constant SCORE_MAX = 136300470050272;

    // Rows come in 2^LOG_BLOCKS blocks of 64. G generates the positions of a block; gates that are not about digits are on
    // in its first POSITIONS. The Lagrange polynomial of one row is evaluated, for the score.
    uint256 private constant LOG_BLOCKS = 6;
    uint256 private constant POSITIONS = 23;
    uint256 private constant G = 0x1c4c3a258629905ef6036a4037c3aa6ae18d1d2452d64bd2684cfa8ede70fdc7;
    uint256 private constant OMEGA_SCORE_ROW = 0x23d0b86177c9109f56898e0e9290981297941c6f04c204153e0c03b905deb7cb;

    /// @notice The error that the verifier owes to a call that is well-formed and not a valid proof.
    function errorOf(CreditVerifier verifier, bytes memory call) internal view returns (bytes4 selector) {
        int256 score = int256(call.word(Call.SCORE));
        if (score < SCORE_MIN || score > SCORE_MAX) return CreditVerifier.OutputOutOfRange.selector;
        bool canonical = call.word(Call.INVERSE) < R;
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            canonical = canonical && call.word(i) < R;
        }
        if (!canonical) return CreditVerifier.ScalarNotCanonical.selector;
        if (mulmod(denominators(verifier, call), call.word(Call.INVERSE), R) != 1) {
            return CreditVerifier.InverseMismatch.selector;
        }
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            if (!onCurve(call.word(points[i]), call.word(points[i] + 1))) {
                return CreditVerifier.PointNotOnCurve.selector;
            }
        }
        return CreditVerifier.ProofRejected.selector;
    }

    /// @notice Gives a changed proof the inverse that belongs to it: what any attacker does.
    function seal(CreditVerifier verifier, bytes memory call) internal view {
        uint256 product = denominators(verifier, call);
        (bool success, bytes memory answer) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), product, R - 2, R));
        require(success && answer.length == 32, "modexp");
        call.setWord(Call.INVERSE, uint256(bytes32(answer)));
    }

    /// @notice The product whose inverse is the proof's last word.
    function denominators(CreditVerifier verifier, bytes memory call) internal view returns (uint256 product) {
        uint256 x = point(verifier, call);
        uint256 u = x;
        for (uint256 i = 0; i < LOG_BLOCKS; i++) {
            u = mulmod(u, u, R);
        }
        product = mulmod(x, addmod(x, R - OMEGA_SCORE_ROW, R), R);
        uint256 position = 1;
        for (uint256 i = 0; i < POSITIONS; i++) {
            product = mulmod(product, addmod(u, R - position, R), R);
            position = mulmod(position, G, R);
        }
    }

    /// @notice The challenge at which the constraints are checked.
    function point(CreditVerifier verifier, bytes memory call) internal view returns (uint256 x) {
        bytes32 y = keccak256(bytes.concat(verifier.MODEL_ID(), words(call, Call.CONTEXT, Call.QUOTIENT)));
        return uint256(keccak256(bytes.concat(y, words(call, Call.QUOTIENT, Call.EVALUATIONS)))) % R;
    }

    /// @notice Whether two words are a point in its only encoding; infinity is (0, 0).
    function onCurve(uint256 x, uint256 y) internal pure returns (bool valid) {
        if (x >= P || y >= P) return false;
        if (x == 0 && y == 0) return true;
        return mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }

    function words(bytes memory call, uint256 start, uint256 end) private pure returns (bytes memory slice) {
        slice = new bytes(32 * (end - start));
        for (uint256 i = start; i < end; i++) {
            uint256 value = call.word(i);
            assembly ("memory-safe") {
                mstore(add(add(slice, 32), mul(32, sub(i, start))), value)
            }
        }
    }
}
