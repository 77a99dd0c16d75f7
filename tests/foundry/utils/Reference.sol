// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Call} from "./Call.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";

/// @notice Everything that the verifier checks before it computes, written a second time without regard to gas: which error a
/// call deserves that is no valid proof.
library Reference {
    using Call for bytes;

    /// @notice Order of the group.
    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    /// @notice Modulus of the coordinates.
    uint256 internal constant P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

    /// @notice Range of the score that the compiler has proved.
    int256 internal constant SCORE_MIN = -107161918346192;
    int256 internal constant SCORE_MAX = 136300470050272;

    /// @notice The error that the verifier owes to a call that is well-formed and not a valid proof.
    function errorOf(bytes memory call) internal pure returns (bytes4 selector) {
        int256 score = int256(call.word(Call.SCORE));
        if (score < SCORE_MIN || score > SCORE_MAX) return CreditVerifier.OutputOutOfRange.selector;
        bool canonical = true;
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            canonical = canonical && call.word(i) < R;
        }
        if (!canonical) return CreditVerifier.ScalarNotCanonical.selector;
        uint256[4] memory points = Call.points();
        for (uint256 i = 0; i < points.length; i++) {
            if (!onCurve(call.word(points[i]), call.word(points[i] + 1))) {
                return CreditVerifier.PointNotOnCurve.selector;
            }
        }
        return CreditVerifier.ProofRejected.selector;
    }

    /// @notice Whether two words are a point in its only encoding; infinity is (0, 0).
    function onCurve(uint256 x, uint256 y) internal pure returns (bool valid) {
        if (x >= P || y >= P) return false;
        if (x == 0 && y == 0) return true;
        return mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }
}
