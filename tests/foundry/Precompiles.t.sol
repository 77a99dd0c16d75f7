// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";
import {vm} from "./utils/Vm.sol";

/// @notice A chain without working precompiles: deployment fails, and a contract that is there already accepts nothing.
contract PrecompilesTest is VerifierTest {
    using Call for bytes;

    address private constant ECADD = address(6);
    address private constant ECMUL = address(7);
    address private constant PAIRING = address(8);

    bytes4 private immutable MISSING = CreditVerifier.PrecompileMissing.selector;

    function assertNotDeployable(string memory what) private {
        (CreditVerifier deployed, bytes memory answer) = deploy();
        require(address(deployed) == address(0), what);
        require(answer.length == 4 && bytes4(answer) == MISSING, what);
        vm.clearMockedCalls();
    }

    /// @dev A call of an address without code succeeds and answers nothing.
    function test_deploymentFailsWithoutAPrecompile() public {
        address[3] memory precompiles = [ECADD, ECMUL, PAIRING];
        for (uint256 i = 0; i < precompiles.length; i++) {
            vm.mockCall(precompiles[i], "", "");
            assertNotDeployable("no code");
            vm.mockCallRevert(precompiles[i], "", "");
            assertNotDeployable("fails");
        }
        for (uint256 i = 0; i < precompiles.length; i++) {
            vm.mockCall(precompiles[i], "", "");
        }
        assertNotDeployable("none");
    }

    function test_deploymentFailsOnWrongAnswers() public {
        vm.mockCall(ECADD, "", abi.encode(1, 2));
        assertNotDeployable("sum");
        vm.mockCall(ECMUL, "", abi.encode(1, 2));
        assertNotDeployable("product");
        vm.mockCall(ECADD, "", abi.encode(1));
        vm.mockCall(ECMUL, "", abi.encode(1));
        assertNotDeployable("short points");
        vm.mockCall(PAIRING, "", abi.encode(0));
        assertNotDeployable("pairing says no");
        vm.mockCall(PAIRING, "", abi.encode(2));
        assertNotDeployable("pairing says two");
        vm.mockCall(PAIRING, "", abi.encodePacked(uint8(1)));
        assertNotDeployable("short pairing");
        vm.mockCall(PAIRING, "", abi.encode(1));
        assertNotDeployable("pairing always says yes");
        vm.mockCall(ECADD, abi.encode(1, 1), abi.encode(0, 0));
        assertNotDeployable("sum of a point off the curve");
        vm.mockCall(ECMUL, abi.encode(1, 1), abi.encode(0, 0));
        assertNotDeployable("product of a point off the curve");
        (CreditVerifier deployed,) = deploy();
        require(address(deployed) != address(0), "restored");
    }

    /// @dev The last answer decides: nothing, a failure, or anything but one word that is one.
    function test_rejectsWhateverThePairingAnswersButOne() public {
        bytes4 expected = CreditVerifier.ProofRejected.selector;
        bytes[5] memory answers =
            [bytes(""), abi.encode(0), abi.encode(2), abi.encode(1, 1), abi.encodePacked(uint8(1))];
        for (uint256 i = 0; i < answers.length; i++) {
            vm.mockCall(PAIRING, "", answers[i]);
            assertRejected("answer", i, valid, expected);
            vm.clearMockedCalls();
        }
        vm.mockCall(PAIRING, "", abi.encode(type(uint256).max));
        assertRejected("max", 0, valid, expected);
        vm.clearMockedCalls();
        assertAccepted("restored", valid);
    }

    /// @dev With additions that do nothing, two points at infinity would pass the pairing.
    function test_rejectsWithoutCurveOperations() public {
        bytes memory call = valid;
        call.setPoint(Call.ADVICE, 0, 0);
        call.setPoint(Call.OPENING_QUOTIENT, 0, 0);
        vm.mockCall(ECADD, "", "");
        assertRejected("additions", 0, call, CreditVerifier.PointNotOnCurve.selector);
        vm.mockCall(ECMUL, "", "");
        assertRejected("both", 0, call, CreditVerifier.PointNotOnCurve.selector);
        vm.clearMockedCalls();
        assertRejected("neither", 0, call, CreditVerifier.ProofRejected.selector);
    }

    function test_rejectsWhenACurveOperationFails() public {
        bytes4 expected = CreditVerifier.PointNotOnCurve.selector;
        vm.mockCallRevert(ECADD, "", "");
        assertRejected("addition", 0, valid, expected);
        vm.clearMockedCalls();
        vm.mockCallRevert(ECMUL, "", "");
        assertRejected("multiplication", 0, valid, expected);
        vm.clearMockedCalls();
        assertAccepted("restored", valid);
    }

    /// @dev Every single multiplication and addition is watched: one that fails is enough.
    function test_rejectsWhenOneMultiplicationFails() public {
        uint256[3] memory points = [Call.QUOTIENT, Call.OPENING, Call.OPENING_QUOTIENT];
        for (uint256 i = 0; i < points.length; i++) {
            bytes memory input = abi.encode(valid.word(points[i]), valid.word(points[i] + 1));
            vm.mockCallRevert(ECMUL, input, "");
            assertRejected("multiplication", i, valid, CreditVerifier.PointNotOnCurve.selector);
            vm.clearMockedCalls();
        }
    }
}
