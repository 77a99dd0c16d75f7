// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditHashedVerifier} from "./golden/CreditHashedVerifier.sol";
import {CreditHashedVerifierBatch} from "./golden/CreditHashedVerifierBatch.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";

/// @notice The credit model with hashed inputs: a score is proved together with the digest of the data that it is of, and with no
/// other digest.
contract HashedTest {
    using Call for bytes;

    error NotRejected(uint256 digest, bool success, bytes answer);

    /// @dev Words after the selector: context, score, digest.
    uint256 private constant DIGEST = 2;

    /// @dev Order of the group.
    uint256 private constant ORDER = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    uint256 private constant GAS = 10_000_000;

    address private verifier;
    address private batch;

    function setUp() public {
        (verifier,) = Deploy.fresh("CreditHashedVerifier");
        (batch,) = Deploy.fresh("CreditHashedVerifierBatch");
        require(verifier != address(0) && batch != address(0), "deployment");
    }

    function fixture(string memory file) private view returns (bytes memory call) {
        return Call.load(string.concat("CreditHashedVerifier/", file));
    }

    function assertAccepted(address target, bytes memory call) private view {
        (bool success, bytes memory answer) = target.staticcall(call);
        require(success && answer.length == 0, "accepted");
    }

    function assertRejected(address target, bytes memory call, uint256 digest, bytes memory error_) private view {
        (bool success, bytes memory answer) = target.staticcall{gas: GAS}(call);
        if (success || keccak256(answer) != keccak256(error_)) revert NotRejected(digest, success, answer);
    }

    /// @dev Digests that are not the applicant's, in range and not.
    function others(uint256 digest) private view returns (uint256[7] memory) {
        uint256 another = fixture("applicant1").word(DIGEST);
        return [another, 0, 1, digest + 1, digest - 1, digest ^ 2, ORDER - 1];
    }

    function test_acceptsTheDigestsOfTheApplicants() public view {
        assertAccepted(verifier, fixture("applicant0"));
        assertAccepted(verifier, fixture("applicant1"));
        assertAccepted(batch, fixture("batch"));
    }

    function test_anotherDigestIsRejected() public view {
        bytes memory call = fixture("applicant0");
        uint256 digest = call.word(DIGEST);
        uint256[7] memory changed = others(digest);
        for (uint256 i = 0; i < changed.length; i++) {
            call.setWord(DIGEST, changed[i]);
            assertRejected(verifier, call, changed[i], abi.encodePacked(CreditHashedVerifier.ProofRejected.selector));
        }
        call.setWord(DIGEST, digest);
        assertAccepted(verifier, call);
    }

    function test_aliasesOfTheDigestAreRejected() public view {
        bytes memory call = fixture("applicant0");
        uint256 digest = call.word(DIGEST);
        uint256[4] memory aliases = [digest + ORDER, ORDER, type(uint256).max, 1 << 255];
        for (uint256 i = 0; i < aliases.length; i++) {
            call.setWord(DIGEST, aliases[i]);
            assertRejected(verifier, call, aliases[i], abi.encodePacked(CreditHashedVerifier.OutputOutOfRange.selector));
        }
    }

    function test_batchesNameTheClaimWithAnotherDigest() public view {
        bytes memory call = fixture("batch");
        // the array's offset and length, and the first claim, which is a call of `verify` without its selector
        uint256 place = 2 + (fixture("applicant0").length - 4) / 32 + DIGEST;
        uint256 digest = call.word(place);
        call.setWord(place, fixture("applicant0").word(DIGEST));
        assertRejected(batch, call, 1, abi.encodeWithSelector(CreditHashedVerifierBatch.ProofRejected.selector, 1));
        call.setWord(place, digest + ORDER);
        assertRejected(batch, call, 2, abi.encodeWithSelector(CreditHashedVerifierBatch.OutputOutOfRange.selector, 1));
    }
}
