// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {IHallmarkVerifierErrors} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Call} from "../utils/Call.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice The mock: what a test tells it, on local chains alone.
contract MockTest is LibraryTest {
    MockHallmarkVerifier private verifier;
    int256[1] private score;
    uint256[12] private proof;

    function setUp() public {
        verifier = mock("model");
    }

    function typed() private view returns (CreditVerifier same_) {
        return CreditVerifier(address(verifier));
    }

    function test_itRejectsUntilItIsToldOtherwise() public {
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        typed().verify("context", score, proof);
        check(!typed().tryVerify("context", score, proof), "tryVerify");
    }

    function test_itAcceptsEverything() public {
        verifier.acceptAll(true);
        typed().verify("context", score, proof);
        check(typed().tryVerify("context", score, proof), "tryVerify");
        verifier.acceptAll(false);
        check(!typed().tryVerify("context", score, proof), "no longer");
    }

    function test_itAcceptsOneContext() public {
        verifier.acceptContext("context", true);
        typed().verify("context", score, proof);
        check(!typed().tryVerify("another", score, proof), "another context");
        verifier.acceptContext("context", false);
        check(!typed().tryVerify("context", score, proof), "no longer");
    }

    function test_itRejectsWithAnyError() public {
        verifier.rejectWith(IHallmarkVerifierErrors.OutputOutOfRange.selector);
        reverts(IHallmarkVerifierErrors.OutputOutOfRange.selector);
        typed().verify("context", score, proof);
        check(!typed().tryVerify("context", score, proof), "tryVerify");
        verifier.rejectWith(0);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        typed().verify("context", score, proof);
    }

    function test_theLengthIsChecked() public {
        verifier.acceptAll(true);
        bytes memory call = bytes.concat(abi.encodeCall(CreditVerifier.verify, ("context", score, proof)), hex"00");
        (bool success, bytes memory answer) = address(verifier).staticcall(call);
        check(!success && bytes4(answer) == IHallmarkVerifierErrors.CalldataLength.selector, "longer");
        (success, answer) = address(verifier).staticcall(Call.resized(call, 10));
        check(!success && bytes4(answer) == IHallmarkVerifierErrors.CalldataLength.selector, "shorter");
    }

    function test_otherShapesAreUnknown() public {
        verifier.acceptAll(true);
        bytes4 selector = bytes4(keccak256("verify(bytes32,int256[1],uint256[13])"));
        (bool success, bytes memory answer) = address(verifier).staticcall(bytes.concat(selector, new bytes(480)));
        bytes memory expected = abi.encodeWithSelector(MockHallmarkVerifier.UnknownFunction.selector, selector);
        check(!success && keccak256(answer) == keccak256(expected), "another shape");
    }

    function test_itHasWhatTheTestChose() public view {
        check(verifier.MODEL_ID() == "model" && verifier.ARCHITECTURE_ID() == "model", "id");
        check(verifier.OUTPUT0_SCALE() == 1 << 44, "scale");
        check(verifier.VERIFY_SELECTOR() == CreditVerifier.verify.selector, "verify");
        check(verifier.TRY_VERIFY_SELECTOR() == CreditVerifier.tryVerify.selector, "tryVerify");
    }

    function test_itExistsOnBothLocalChains() public {
        vm.chainId(1337);
        mock("elsewhere").acceptAll(true);
    }

    function testFuzz_itRefusesToExistAnywhereElse(uint64 chain) public {
        vm.assume(chain != 31337 && chain != 1337 && chain != 0);
        verifier.acceptAll(true);
        vm.chainId(chain);
        bytes memory expected = abi.encodeWithSelector(MockHallmarkVerifier.NotALocalChain.selector, chain);
        vm.expectRevert(expected);
        mock("elsewhere");
        bytes[11] memory calls = [
            abi.encodeCall(CreditVerifier.verify, ("context", score, proof)),
            abi.encodeCall(CreditVerifier.tryVerify, ("context", score, proof)),
            abi.encodeCall(verifier.acceptAll, (true)),
            abi.encodeCall(verifier.acceptContext, ("context", true)),
            abi.encodeCall(verifier.rejectWith, (0)),
            abi.encodeCall(verifier.MODEL_ID, ()),
            abi.encodeCall(verifier.ARCHITECTURE_ID, ()),
            abi.encodeCall(verifier.OUTPUT0_SCALE, ()),
            abi.encodeCall(verifier.VERIFY_SELECTOR, ()),
            abi.encodeCall(verifier.TRY_VERIFY_SELECTOR, ()),
            abi.encodeCall(verifier.modelId, ([uint256(1), 2]))
        ];
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory answer) = address(verifier).call(calls[i]);
            check(!success && keccak256(answer) == keccak256(expected), "a call elsewhere");
        }
    }
}
