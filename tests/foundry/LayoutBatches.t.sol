// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditGeneralVerifierBatch} from "./golden/CreditGeneralVerifierBatch.sol";
import {CreditPhasedVerifierBatch} from "./golden/CreditPhasedVerifierBatch.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Four proofs of the credit model on another layout in one call: accepted, and whatever is changed of one is named.
abstract contract LayoutBatchTest {
    using Call for bytes;

    error NotAccepted(bool success, bytes answer);
    error NotNamed(uint256 index, bool success, bytes answer);

    uint256 private constant GAS = 10_000_000;

    /// @dev Bytes before the first claim, and how many claims there are.
    uint256 private constant HEAD = 68;
    uint256 private constant COUNT = 4;

    address private verifier;
    bytes private valid;

    /// @dev The contract's name.
    function name() internal pure virtual returns (string memory);

    /// @dev The folder of its fixtures.
    function folder() internal pure virtual returns (string memory);

    function setUp() public {
        (verifier,) = Deploy.fresh(name());
        require(verifier != address(0), "deployment");
        valid = Call.load(string.concat(folder(), "/batch"));
        require((valid.length - HEAD) % (32 * COUNT) == 0, "layout");
    }

    function assertAccepted(bytes memory call) private view {
        (bool success, bytes memory answer) = verifier.staticcall(call);
        if (!success || answer.length != 0) revert NotAccepted(success, answer);
    }

    function claimBytes() private view returns (uint256) {
        return (valid.length - HEAD) / COUNT;
    }

    function test_acceptsProofsInAnyOrder() public view {
        bytes memory call = valid;
        assertAccepted(call);
        uint256 size = claimBytes() / 32;
        for (uint256 word = 2; word < 2 + size; word++) {
            (uint256 first, uint256 last) = (call.word(word), call.word(word + 3 * size));
            call.setWord(word, last);
            call.setWord(word + 3 * size, first);
        }
        assertAccepted(call);
    }

    /// @dev Some bits of every word.
    function test_flippedBitsAreRejectedAndTheirClaimsNamed() public view {
        (bytes memory call, uint256 size) = (valid, claimBytes());
        for (uint256 i = 0; i < call.length; i += 11) {
            bytes1 mask = bytes1(uint8(1 << ((i * 5) % 8)));
            call[i] ^= mask;
            (bool success, bytes memory answer) = verifier.staticcall{gas: GAS}(call);
            call[i] ^= mask;
            bool named = i < HEAD || (answer.length == 36 && answer.word(0) == (i - HEAD) / size);
            if (success || !named) revert NotNamed(i, success, answer);
        }
        assertAccepted(call);
    }

    function test_snapshot() public {
        (bool success,) = verifier.staticcall(valid);
        vm.snapshotGasLastCall(name(), "verifyBatch of 4");
        require(success, "verifyBatch");
        vm.snapshotValue(name(), "bytes of runtime code", verifier.code.length);
    }
}

/// @notice The layout `general` on BN254.
contract CreditGeneralBatchTest is LayoutBatchTest {
    function name() internal pure override returns (string memory) {
        return type(CreditGeneralVerifierBatch).name;
    }

    function folder() internal pure override returns (string memory) {
        return "CreditGeneralVerifier";
    }
}

/// @notice The layout `phased` on BN254.
contract CreditPhasedBatchTest is LayoutBatchTest {
    function name() internal pure override returns (string memory) {
        return type(CreditPhasedVerifierBatch).name;
    }

    function folder() internal pure override returns (string memory) {
        return "CreditPhasedVerifier";
    }
}
