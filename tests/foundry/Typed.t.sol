// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditCommittedModel, CreditCommittedResult} from "./golden/CreditCommittedModel.sol";
import {CreditCommittedVerifier} from "./golden/CreditCommittedVerifier.sol";
import {CreditFixed44, CreditModel, CreditResult} from "./golden/CreditModel.sol";
import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {vm} from "./utils/Vm.sol";

/// @notice A consumer that uses the typed libraries.
contract TypedConsumer {
    CreditVerifier private immutable CREDIT;
    CreditCommittedVerifier private immutable COMMITTED;

    constructor(CreditVerifier credit_, CreditCommittedVerifier committed_) {
        (CREDIT, COMMITTED) = (credit_, committed_);
    }

    function credit(bytes32 context, int256[1] calldata outputs, uint256[12] calldata proof)
        external
        view
        returns (CreditResult memory result)
    {
        return CreditModel.verify(CREDIT, context, outputs, proof);
    }

    function committed(
        bytes32 model,
        bytes32 context,
        uint256[2] calldata weights,
        int256[1] calldata outputs,
        uint256[16] calldata proof
    ) external view returns (CreditCommittedResult memory result) {
        return CreditCommittedModel.verify(COMMITTED, model, context, weights, outputs, proof);
    }

    function read(int256[1] calldata outputs) external pure returns (CreditResult memory result) {
        return CreditModel.read(outputs);
    }
}

/// @notice What proofs say, by name and type: no other numbers than those of the verifier, and none without its consent.
contract TypedTest {
    using Call for bytes;

    /// @dev Order of the context and the score in the arguments of `verify`.
    uint256 private constant SCORE = 1;

    TypedConsumer private consumer;

    function setUp() public {
        (address one,) = Deploy.fresh("CreditVerifier");
        (address other,) = Deploy.fresh("CreditCommittedVerifier");
        consumer = new TypedConsumer(CreditVerifier(one), CreditCommittedVerifier(other));
    }

    /// @dev The arguments of a call of `verify`.
    function arguments(bytes memory call) private pure returns (bytes memory rest) {
        rest = new bytes(call.length - 4);
        for (uint256 i = 0; i < rest.length; i++) {
            rest[i] = call[i + 4];
        }
    }

    function credit(bytes memory call) private view returns (bool success, bytes memory answer) {
        return address(consumer).staticcall(bytes.concat(TypedConsumer.credit.selector, arguments(call)));
    }

    function committed(bytes32 model, bytes memory call) private view returns (bool success, bytes memory answer) {
        return address(consumer).staticcall(bytes.concat(TypedConsumer.committed.selector, model, arguments(call)));
    }

    function test_theResultIsThatOfTheProof() public view {
        bytes memory call = Call.load("applicant0");
        (bool success, bytes memory answer) = credit(call);
        require(success, "accepted");
        CreditResult memory result = abi.decode(answer, (CreditResult));
        require(CreditFixed44.unwrap(result.score) == int256(call.word(SCORE)), "score");
    }

    function test_whatTheVerifierRejectsHasNoResult() public view {
        bytes memory call = Call.load("applicant0");
        call.setWord(SCORE, call.word(SCORE) + 1);
        (bool success, bytes memory answer) = credit(call);
        bytes32 expected = keccak256(abi.encodeWithSelector(CreditVerifier.ProofRejected.selector));
        require(!success && keccak256(answer) == expected, "rejected by name");
    }

    function test_namesAreTheVerifiers() public {
        (address verifier,) = Deploy.fresh("CreditVerifier");
        require(CreditModel.VERIFYING_KEY_HASH == CreditVerifier(verifier).MODEL_ID(), "verifying key");
        (verifier,) = Deploy.fresh("CreditCommittedVerifier");
        bytes32 architecture = CreditCommittedVerifier(verifier).ARCHITECTURE_ID();
        require(CreditCommittedModel.VERIFYING_KEY_HASH == architecture, "architecture");
    }

    /// @dev A valid proof of a model that is not the approved one.
    function test_anotherModelThanTheApprovedOneIsNamed() public view {
        string[2] memory files = ["CreditCommittedVerifier/applicant0", "CreditCommittedVerifier/retrained0"];
        for (uint256 i = 0; i < 2; i++) {
            bytes32 approved = vm.parseJsonBytes32(Call.json(files[i]), ".modelId");
            (bool success, bytes memory answer) = committed(approved, Call.load(files[i]));
            require(success, "approved");
            bytes32 other = vm.parseJsonBytes32(Call.json(files[1 - i]), ".modelId");
            (success, answer) = committed(other, Call.load(files[i]));
            bytes memory expected = abi.encodeWithSelector(CreditCommittedModel.OtherModel.selector, other, approved);
            require(!success && keccak256(answer) == keccak256(expected), "another model");
        }
    }

    function testFuzz_wadsAreRoundedDown(int128 score) public pure {
        int256 wad = CreditFixed44.wrap(score).toWad();
        int256 scaled = int256(score) * 1e18;
        require(wad * int256(2 ** 44) <= scaled && scaled < (wad + 1) * int256(2 ** 44), "floor");
    }

    function testFuzz_comparisonsAreExact(int128 score, int128 wad) public pure {
        bool least = CreditFixed44.wrap(score).atLeast(wad);
        require(least == (int256(score) * 1e18 >= int256(wad) * int256(2 ** 44)), "comparison");
    }

    function testFuzz_decisionsAreAtTheThreshold(int256 score) public view {
        CreditResult memory result = consumer.read([score]);
        require(CreditModel.decide(result) == (score >= CreditModel.DECISION_THRESHOLD), "decision");
        require(CreditFixed44.unwrap(result.score) == score, "score");
    }
}
