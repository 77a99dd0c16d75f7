// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditBlsVerifier} from "../golden/CreditBlsVerifier.sol";
import {CreditHashedVerifier} from "../golden/CreditHashedVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Call} from "../utils/Call.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Calls of `verify` without the verifier's type.
contract HallmarkCallTest is LibraryTest {
    using Call for bytes;

    address private verifier;

    function setUp() public {
        (verifier,) = Deploy.fresh("CreditVerifier");
    }

    function forward(address target, bytes4 selector, bytes memory call) external view {
        HallmarkCall.verify(target, selector, call);
    }

    function modelIdOf(bytes32 architectureId, bytes calldata call, uint256 words) external pure returns (bytes32 id) {
        return HallmarkCall.modelIdOf(architectureId, call, words);
    }

    function test_selectorsAreThoseOfTheGeneratedContracts() public pure {
        HallmarkCall.Shape memory shape = HallmarkCall.Shape(0, 1, 0, 12);
        check(HallmarkCall.selectorOf(shape) == CreditVerifier.verify.selector, "verify");
        check(HallmarkCall.trySelectorOf(shape) == CreditVerifier.tryVerify.selector, "tryVerify");
        check(HallmarkCall.lengthOf(shape) == Call.LENGTH, "length");
        shape = HallmarkCall.Shape(0, 1, 1, 16);
        check(HallmarkCall.selectorOf(shape) == CreditHashedVerifier.verify.selector, "with a digest");
        check(HallmarkCall.lengthOf(shape) == 612, "length with a digest");
        shape = HallmarkCall.Shape(0, 1, 0, 18);
        check(HallmarkCall.selectorOf(shape) == CreditBlsVerifier.verify.selector, "BLS12-381");
        bytes4 selector = bytes4(keccak256("verify(bytes32,uint256[2],int256[3],uint256[2],uint256[116])"));
        check(HallmarkCall.selectorOf(HallmarkCall.Shape(2, 3, 2, 116)) == selector, "everything");
        selector = bytes4(keccak256("verify(bytes32,uint256[1],uint256[14])"));
        check(HallmarkCall.selectorOf(HallmarkCall.Shape(0, 0, 1, 14)) == selector, "a digest alone");
    }

    function test_acceptsAProof() public view {
        this.forward(verifier, CreditVerifier.verify.selector, Call.load("applicant0"));
    }

    function test_errorsBubbleUp() public {
        bytes memory call = Call.load("applicant0");
        call.setWord(Call.CONTEXT, 0);
        reverts(CreditVerifier.ProofRejected.selector);
        this.forward(verifier, CreditVerifier.verify.selector, call);
        call.setWord(Call.SCORE, uint256(type(int256).max));
        reverts(CreditVerifier.OutputOutOfRange.selector);
        this.forward(verifier, CreditVerifier.verify.selector, call);
        reverts(CreditVerifier.CalldataLength.selector);
        this.forward(verifier, CreditVerifier.verify.selector, bytes.concat(call, hex"00"));
    }

    function test_anErrorWithArgumentsBubblesUpWhole() public {
        MockHallmarkVerifier other = mock("other");
        bytes4 selector = CreditHashedVerifier.verify.selector;
        vm.expectRevert(abi.encodeWithSelector(MockHallmarkVerifier.UnknownFunction.selector, selector));
        this.forward(address(other), selector, bytes.concat(selector));
    }

    /// @dev Whoever forwards `tryVerify` and looks at nothing accepts everything.
    function test_onlyVerifyIsForwarded() public {
        bytes memory call = Call.load("applicant0");
        (bytes4 verify, bytes4 tryVerify) = (CreditVerifier.verify.selector, CreditVerifier.tryVerify.selector);
        call.setSelector(tryVerify);
        vm.expectRevert(abi.encodeWithSelector(HallmarkCall.NotVerify.selector, verify, tryVerify));
        this.forward(verifier, verify, call);
        vm.expectRevert(abi.encodeWithSelector(HallmarkCall.NotVerify.selector, verify, bytes4(0)));
        this.forward(verifier, verify, "");
    }

    function test_anAnswerIsNoVerdict() public {
        bytes memory call = Call.load("applicant0");
        call.setSelector(CreditVerifier.tryVerify.selector);
        vm.expectRevert(abi.encodeWithSelector(HallmarkCall.UnexpectedAnswer.selector, verifier));
        this.forward(verifier, CreditVerifier.tryVerify.selector, call);
    }

    function test_anAddressWithoutCodeNeverAccepts() public {
        vm.expectRevert(abi.encodeWithSelector(HallmarkCall.VerifierHasNoCode.selector, ALICE));
        this.forward(ALICE, CreditVerifier.verify.selector, Call.load("applicant0"));
    }

    function test_tooLittleGasIsNoVerdict() public view {
        bytes memory call =
            abi.encodeCall(this.forward, (verifier, CreditVerifier.verify.selector, Call.load("applicant0")));
        for (uint256 limit = 2_000; limit < 150_000; limit += 2_000) {
            (bool success, bytes memory answer) = address(this).staticcall{gas: limit}(call);
            check(!success && answer.length == 0, "too little gas");
        }
    }

    function testFuzz_modelIdsAreThoseOfTheVerifier(bytes32 architecture, uint256[2] memory model, bytes32 context)
        public
    {
        MockHallmarkVerifier committed = mock(architecture, HallmarkCall.Shape(2, 1, 0, 12));
        bytes32 id = keccak256(abi.encode(architecture, model));
        check(committed.modelId(model) == id && committed.ARCHITECTURE_ID() == architecture, "the verifier's");
        check(HallmarkCall.modelIdOf(architecture, model) == id, "of a commitment");
        bytes memory call = bytes.concat(committed.VERIFY_SELECTOR(), abi.encode(context, model, uint256(7)));
        check(this.modelIdOf(architecture, call, 2) == id, "of a call");
    }

    function testFuzz_anySelectorButVerifyIsRefused(bytes4 selector) public {
        vm.assume(selector != CreditVerifier.verify.selector);
        bytes memory call = Call.load("applicant0");
        call.setSelector(selector);
        bytes4 verify = CreditVerifier.verify.selector;
        vm.expectRevert(abi.encodeWithSelector(HallmarkCall.NotVerify.selector, verify, selector));
        this.forward(verifier, verify, call);
    }
}
