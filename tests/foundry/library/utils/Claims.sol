// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Call} from "../../utils/Call.sol";
import {vm} from "../../utils/Vm.sol";

/// @notice A proof of `fixtures/contracts`, made for a context that depends on chain, contract and caller.
struct Claim {
    bytes32 context;
    int256[1] score;
    uint256[] digests;
    uint256[] proof;
}

/// @notice Reads fixtures, and checks that they were made for the contexts that contracts ask for now.
library Claims {
    /// @notice The proof was made for another context than the contract asks for: put `asked` into `contexts.json`, and renew the fixtures.
    error MadeForAnotherContext(string name, bytes32 asked, bytes32 made);

    /// @notice The proof of this name, which has to be for this context.
    function load(string memory name, bytes32 asked) internal view returns (Claim memory claim) {
        bytes32 listed = vm.parseJsonBytes32(Call.json("contracts/contexts"), string.concat(".", name, ".context"));
        if (asked != listed) revert MadeForAnotherContext(name, asked, listed);
        string memory json = Call.json(string.concat("contracts/", name));
        claim.context = vm.parseJsonBytes32(json, ".context");
        if (asked != claim.context) revert MadeForAnotherContext(name, asked, claim.context);
        claim.score[0] = int256(uint256(vm.parseJsonBytes32Array(json, ".outputs")[0]));
        claim.digests = words(json, "digests");
        claim.proof = words(json, "proof");
    }

    /// @notice As many words as the credit model's proof has.
    function proof12(Claim memory claim) internal pure returns (uint256[12] memory proof) {
        require(claim.proof.length == 12, "proof length");
        for (uint256 i = 0; i < 12; i++) {
            proof[i] = claim.proof[i];
        }
    }

    /// @notice As many words as a proof with a digest has.
    function proof16(Claim memory claim) internal pure returns (uint256[16] memory proof) {
        require(claim.proof.length == 16, "proof length");
        for (uint256 i = 0; i < 16; i++) {
            proof[i] = claim.proof[i];
        }
    }

    /// @dev The words of an array, or none if the fixture does not have it.
    function words(string memory json, string memory name) private pure returns (uint256[] memory values) {
        if (vm.indexOf(json, string.concat('"', name, '"')) == type(uint256).max) return values;
        bytes32[] memory found = vm.parseJsonBytes32Array(json, string.concat(".", name));
        values = new uint256[](found.length);
        for (uint256 i = 0; i < found.length; i++) {
            values[i] = uint256(found[i]);
        }
    }
}
