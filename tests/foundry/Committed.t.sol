// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditCommittedVerifier} from "./golden/CreditCommittedVerifier.sol";
import {CreditCommittedVerifierBatch} from "./golden/CreditCommittedVerifierBatch.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The credit model with committed weights: one contract verifies it and a retrained one, and no proof of one of them passes
/// for the other.
contract CommittedTest {
    using Call for bytes;

    error NotRejected(uint256 place, bool success, bytes answer);

    /// @dev Words after the selector: context, commitment to the weights, score.
    uint256 private constant WEIGHTS = 1;
    uint256 private constant SCORE = 3;

    /// @dev Order of the group, and modulus of the coordinates.
    uint256 private constant ORDER = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint256 private constant MODULUS = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

    uint256 private constant GAS = 10_000_000;

    CreditCommittedVerifier private verifier;
    CreditCommittedVerifierBatch private batch;

    function setUp() public {
        (address one,) = Deploy.fresh("CreditCommittedVerifier");
        (address many,) = Deploy.fresh("CreditCommittedVerifierBatch");
        require(one != address(0) && many != address(0), "deployment");
        (verifier, batch) = (CreditCommittedVerifier(one), CreditCommittedVerifierBatch(many));
    }

    function fixture(string memory file) private view returns (bytes memory call) {
        return Call.load(string.concat("CreditCommittedVerifier/", file));
    }

    function weightsOf(bytes memory call) private pure returns (uint256[2] memory) {
        return [call.word(WEIGHTS), call.word(WEIGHTS + 1)];
    }

    function assertAccepted(address target, bytes memory call) private view {
        (bool success, bytes memory answer) = target.staticcall(call);
        require(success && answer.length == 0, "accepted");
    }

    function assertRejected(address target, bytes memory call, uint256 place) private view {
        (bool success, bytes memory answer) = target.staticcall{gas: GAS}(call);
        if (success || answer.length < 4) revert NotRejected(place, success, answer);
    }

    function assertRejected(address target, bytes memory call, uint256 place, bytes memory error_) private view {
        (bool success, bytes memory answer) = target.staticcall{gas: GAS}(call);
        if (success || keccak256(answer) != keccak256(error_)) revert NotRejected(place, success, answer);
    }

    function test_acceptsBothModels() public view {
        assertAccepted(address(verifier), fixture("applicant0"));
        assertAccepted(address(verifier), fixture("applicant1"));
        assertAccepted(address(verifier), fixture("retrained0"));
        assertAccepted(address(batch), fixture("batch"));
    }

    function test_modelIdsAreThoseThatTheCompilerPrints() public view {
        string[2] memory files = ["applicant0", "retrained0"];
        for (uint256 i = 0; i < files.length; i++) {
            string memory file = string.concat("CreditCommittedVerifier/", files[i]);
            bytes32 expected = vm.parseJsonBytes32(Call.json(file), ".modelId");
            uint256[2] memory weights = weightsOf(Call.load(file));
            require(verifier.modelId(weights) == expected && batch.modelId(weights) == expected, "modelId");
        }
        require(verifier.ARCHITECTURE_ID() == batch.ARCHITECTURE_ID(), "ARCHITECTURE_ID");
    }

    function test_aProofOfOneModelIsNoneOfTheOther() public view {
        string[2] memory files = ["applicant0", "retrained0"];
        for (uint256 i = 0; i < files.length; i++) {
            bytes memory call = fixture(files[i]);
            uint256[2] memory other = weightsOf(fixture(files[1 - i]));
            call.setPoint(WEIGHTS, other[0], other[1]);
            assertRejected(address(verifier), call, i, abi.encodePacked(CreditCommittedVerifier.ProofRejected.selector));
        }
    }

    function test_weightsThatAreNoPointAreNamed() public view {
        bytes memory call = fixture("applicant0");
        uint256[2] memory weights = weightsOf(call);
        uint256[2][4] memory points = [
            [weights[0], weights[1] + 1],
            [weights[0] + MODULUS, weights[1]],
            [weights[0], weights[1] + MODULUS],
            [type(uint256).max, uint256(0)]
        ];
        for (uint256 i = 0; i < points.length; i++) {
            call.setPoint(WEIGHTS, points[i][0], points[i][1]);
            bytes memory error_ = abi.encodePacked(CreditCommittedVerifier.PointNotOnCurve.selector);
            assertRejected(address(verifier), call, i, error_);
        }
    }

    /// @dev Other points of the curve: infinity, the generator, the same with the opposite sign.
    function test_otherWeightsAreRejected() public view {
        bytes memory call = fixture("applicant0");
        uint256[2] memory weights = weightsOf(call);
        uint256[2][3] memory points = [[uint256(0), 0], [uint256(1), 2], [weights[0], MODULUS - weights[1]]];
        for (uint256 i = 0; i < points.length; i++) {
            call.setPoint(WEIGHTS, points[i][0], points[i][1]);
            bytes memory error_ = abi.encodePacked(CreditCommittedVerifier.ProofRejected.selector);
            assertRejected(address(verifier), call, i, error_);
        }
    }

    function test_everyByteCounts() public view {
        bytes memory call = fixture("retrained0");
        for (uint256 i = 4; i < call.length; i++) {
            bytes1 byte_ = call[i];
            call[i] = byte_ ^ bytes1(uint8(1 << (i % 8)));
            assertRejected(address(verifier), call, i);
            call[i] = byte_;
        }
        assertAccepted(address(verifier), call);
    }

    function test_batchesNameTheClaimOfOtherWeights() public view {
        bytes memory call = fixture("batch");
        // the array's offset and length, and claims, which are calls of `verify` without their selectors
        uint256 claim = (fixture("applicant0").length - 4) / 32;
        uint256[2] memory retrained = weightsOf(fixture("retrained0"));
        for (uint256 i = 0; i < 2; i++) {
            uint256 place = 2 + i * claim + WEIGHTS;
            uint256[2] memory own = [call.word(place), call.word(place + 1)];
            call.setPoint(place, retrained[0], retrained[1]);
            bytes memory error_ = abi.encodeWithSelector(CreditCommittedVerifierBatch.ProofRejected.selector, i);
            assertRejected(address(batch), call, i, error_);
            call.setPoint(place, own[0], own[1]);
        }
        assertAccepted(address(batch), call);
    }

    function test_outputsOutOfTheArchitecturesRangeAreRejected() public view {
        bytes memory call = fixture("applicant0");
        call.setWord(SCORE, uint256(type(int256).max));
        assertRejected(
            address(verifier), call, SCORE, abi.encodePacked(CreditCommittedVerifier.OutputOutOfRange.selector)
        );
    }
}
