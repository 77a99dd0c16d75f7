// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditVerifier} from "./golden/CreditVerifier.sol";
import {Call} from "./utils/Call.sol";
import {VerifierTest} from "./utils/VerifierTest.sol";

/// @notice The calldata has exactly one shape.
contract CalldataTest is VerifierTest {
    using Call for bytes;

    /// @dev Too short for its arguments, a call fails in the ABI decoder that Solidity puts before the function.
    function test_everyTruncationReverts() public view {
        bytes memory call = valid;
        for (uint256 length = 0; length < Call.LENGTH; length++) {
            assertUndecodable("verify", length, call.resized(length));
        }
        call.setSelector(CreditVerifier.tryVerify.selector);
        for (uint256 length = 0; length < Call.LENGTH; length++) {
            assertUndecodable("tryVerify", length, call.resized(length));
        }
    }

    function test_everyExtensionIsALengthError() public view {
        bytes4 expected = CreditVerifier.CalldataLength.selector;
        for (uint256 extra = 1; extra <= 64; extra++) {
            bytes memory call = valid.resized(Call.LENGTH + extra);
            assertRejected("zeros", extra, call, expected);
            for (uint256 i = Call.LENGTH; i < call.length; i++) {
                call[i] = 0xff;
            }
            assertRejected("ones", extra, call, expected);
        }
        assertRejected("twice", 0, bytes.concat(valid, valid), expected);
        assertRejected("huge", 0, valid.resized(100_000), expected);
    }

    function test_everyChangedSelectorByteReverts() public view {
        bytes4[2] memory selectors = [CreditVerifier.verify.selector, CreditVerifier.tryVerify.selector];
        for (uint256 s = 0; s < selectors.length; s++) {
            for (uint256 bit = 0; bit < 32; bit++) {
                bytes memory call = valid;
                call.setSelector(selectors[s] ^ bytes4(uint32(1 << bit)));
                assertUndecodable("selector", bit, call);
            }
        }
    }

    function test_zeroCalldataReverts() public view {
        for (uint256 length = 0; length <= Call.LENGTH + 32; length++) {
            assertUndecodable("zeros", length, new bytes(length));
        }
    }

    function test_zeroArgumentsAreRejected() public view {
        bytes memory call = new bytes(Call.LENGTH);
        assertRejected("zeros", 0, call, CreditVerifier.ProofRejected.selector);
    }

    function test_anyTwoSwappedWordsAreRejected() public view {
        bytes memory call = valid;
        for (uint256 i = 0; i < Call.WORDS; i++) {
            for (uint256 j = 0; j < i; j++) {
                (uint256 a, uint256 b) = (call.word(i), call.word(j));
                call.setWord(i, b);
                call.setWord(j, a);
                assertRejected("swapped", 100 * i + j, call);
                call.setWord(i, a);
                call.setWord(j, b);
            }
        }
        assertAccepted("restored", call);
    }

    /// @dev Each byte in turn is changed in four ways. What the reference says about most positions is known beforehand.
    function test_everyFlippedByteIsRejected() public view {
        bytes memory call = valid;
        bytes1[4] memory masks = [bytes1(0x01), bytes1(0x80), bytes1(0x02), bytes1(0xff)];
        for (uint256 m = 0; m < masks.length; m++) {
            for (uint256 i = 4; i < Call.LENGTH; i++) {
                call[i] ^= masks[m];
                assertRejected("byte", i, call);
                call[i] ^= masks[m];
            }
        }
        assertAccepted("restored", call);
    }
}
