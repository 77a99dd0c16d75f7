// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Reference} from "./utils/Reference.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";
import {vm} from "./utils/Vm.sol";

/// @notice A contract that verifies in the midst of its own work.
contract Consumer {
    /// @dev Fills the memory that is free with ones, as any caller may have, and verifies through the typed interface.
    function consume(CreditVerifier verifier, bytes32 context, int256[1] calldata outputs, uint256[12] calldata proof)
        external
        view
        returns (bool accepted)
    {
        assembly ("memory-safe") {
            let start := mload(0x40)
            for { let i := 0 } lt(i, 0x2000) { i := add(i, 32) } { mstore(add(start, i), not(0)) }
        }
        verifier.verify(context, outputs, proof);
        return verifier.tryVerify(context, outputs, proof);
    }
}

/// @notice The verifier accepts real proofs, however it is called.
contract CreditVerifierTest is VerifierTest {
    using Call for bytes;

    function applicants() private pure returns (string[4] memory names) {
        return ["applicant0", "applicant1", "applicant500", "applicant999"];
    }

    function decoded(string memory name)
        private
        view
        returns (bytes32 context, int256[1] memory outputs, uint256[12] memory proof)
    {
        string memory json = Call.json(name);
        context = vm.parseJsonBytes32(json, ".context");
        outputs[0] = int256(uint256(vm.parseJsonBytes32Array(json, ".outputs")[0]));
        bytes32[] memory words = vm.parseJsonBytes32Array(json, ".proof");
        require(words.length == proof.length, "proof length");
        for (uint256 i = 0; i < proof.length; i++) {
            proof[i] = uint256(words[i]);
        }
    }

    function test_acceptsEveryApplicant() public view {
        string[4] memory names = applicants();
        for (uint256 i = 0; i < names.length; i++) {
            assertAccepted(names[i], Call.load(names[i]));
        }
    }

    function test_fixtureFieldsEncodeToTheirCalldata() public view {
        string[4] memory names = applicants();
        for (uint256 i = 0; i < names.length; i++) {
            (bytes32 context, int256[1] memory outputs, uint256[12] memory proof) = decoded(names[i]);
            bytes memory call = abi.encodeCall(verifier.verify, (context, outputs, proof));
            require(keccak256(call) == keccak256(Call.load(names[i])), names[i]);
            require(call.length == Call.LENGTH && call.length == 4 + 32 * Call.WORDS, "length");
        }
    }

    function test_acceptsThroughATypedConsumerWithDirtyMemory() public {
        Consumer consumer = new Consumer();
        string[4] memory names = applicants();
        for (uint256 i = 0; i < names.length; i++) {
            (bytes32 context, int256[1] memory outputs, uint256[12] memory proof) = decoded(names[i]);
            require(consumer.consume(verifier, context, outputs, proof), names[i]);
        }
    }

    function test_aRejectionLeavesNothingBehind() public view {
        for (uint256 i = 0; i < Call.WORDS; i++) {
            bytes memory call = valid;
            uint256 word = call.word(i);
            call.setWord(i, word ^ 1);
            assertRejected("flipped", i, call);
            call.setWord(i, word);
            assertAccepted("restored", call);
        }
    }

    /// @dev A delegate call runs the verifier on the same calldata; a proof does not depend on who verifies it.
    function test_acceptsByDelegateCall() public {
        (bool success, bytes memory answer) = address(verifier).delegatecall(valid);
        require(success && answer.length == 0, "delegate call");
    }

    function test_refusesValue() public {
        (bool success, bytes memory answer) = address(verifier).call{value: 1}(valid);
        require(!success && answer.length == 0, "verify took value");
        bytes memory call = valid;
        call.setSelector(CreditVerifier.tryVerify.selector);
        (success, answer) = address(verifier).call{value: 1}(call);
        require(!success && answer.length == 0, "tryVerify took value");
        (success,) = address(verifier).call{value: 1}("");
        require(!success && address(verifier).balance == 0, "a plain transfer went through");
    }

    /// @dev forge does not enforce it.
    function test_codeFitsTheLimit() public view {
        require(address(verifier).code.length <= 24_576, "EIP-170");
    }
}
