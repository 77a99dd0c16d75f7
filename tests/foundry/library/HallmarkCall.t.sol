// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditBlsVerifier} from "../golden/CreditBlsVerifier.sol";
import {CreditHashedVerifier} from "../golden/CreditHashedVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Call} from "../utils/Call.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Signatures, lengths and ids, against contracts that have them.
contract HallmarkCallTest is LibraryTest {
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
}
