// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "../foundry/golden/CreditVerifier.sol";
import {Call} from "../foundry/utils/Call.sol";
import {Reference} from "../foundry/utils/Reference.sol";

/// @notice Cheat codes of halmos.
interface Symbolic {
    function etch(address target, bytes calldata code) external;
    function assume(bool condition) external pure;
    function createBytes(uint256 length, string calldata name) external pure returns (bytes memory value);
}

/// @notice What the verifier says to calls of the wrong form, for all values of all words at once. `script/analyse` runs this
/// under halmos; forge does not.
/// @dev The checks of a call's form come before the first precompile, of which halmos knows nothing.
contract CreditVerifierSymbolicTest {
    Symbolic private constant vm = Symbolic(address(uint160(uint256(keccak256("hevm cheat code")))));
    Symbolic private constant svm = Symbolic(address(uint160(uint256(keccak256("svm cheat code")))));

    address private constant VERIFIER = address(0xbeef);

    /// @dev Without the constructor, which asks precompiles for known answers.
    function setUp() public {
        vm.etch(VERIFIER, type(CreditVerifier).runtimeCode);
    }

    /// @dev The verifier's answer to a well-formed call whose words are all free.
    function answer(bytes memory data) private view returns (bool success, bytes4 error) {
        bytes memory returned;
        (success, returned) = VERIFIER.staticcall(data);
        error = bytes4(returned);
    }

    function symbolicCall(uint256 length) private pure returns (bytes memory data) {
        data = svm.createBytes(length, "call");
        Call.setSelector(data, CreditVerifier.verify.selector);
    }

    function checkLength(uint256 length) private view {
        (bool success,) = VERIFIER.staticcall(symbolicCall(length));
        assert(!success);
    }

    function check_shorterByAByteIsRejected() public view {
        checkLength(Call.LENGTH - 1);
    }

    function check_longerByAByteIsRejected() public view {
        checkLength(Call.LENGTH + 1);
    }

    function check_shorterByAWordIsRejected() public view {
        checkLength(Call.LENGTH - 32);
    }

    function check_longerByAWordIsRejected() public view {
        checkLength(Call.LENGTH + 32);
    }

    function check_outputsOutOfRangeAreRejected() public view {
        bytes memory data = symbolicCall(Call.LENGTH);
        int256 score = int256(Call.word(data, Call.SCORE));
        vm.assume(score < Reference.SCORE_MIN || score > Reference.SCORE_MAX);
        (bool success, bytes4 error) = answer(data);
        assert(!success && error == CreditVerifier.OutputOutOfRange.selector);
    }

    function check_scalarsThatAreNotCanonicalAreRejected(uint256 index) public view {
        bytes memory data = symbolicCall(Call.LENGTH);
        bool canonical = true;
        for (uint256 i = Call.EVALUATIONS; i < Call.EVALUATIONS_END; i++) {
            if (index == i) canonical = Call.word(data, i) < Reference.R;
        }
        vm.assume(!canonical);
        (bool success, bytes4 error) = answer(data);
        assert(
            !success
                && (
                    error == CreditVerifier.ScalarNotCanonical.selector
                        || error == CreditVerifier.OutputOutOfRange.selector
                )
        );
    }
}
