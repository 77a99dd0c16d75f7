// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditBlsVerifier} from "./golden/CreditBlsVerifier.sol";
import {CreditGeneralVerifier} from "./golden/CreditGeneralVerifier.sol";
import {CreditPhasedVerifier} from "./golden/CreditPhasedVerifier.sol";
import {Call} from "./utils/Call.sol";
import {Deploy} from "./utils/Deploy.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The credit model on another layout or curve: real proofs are accepted, and whatever is changed of them is not.
/// @dev The statement's error is the same for all; that of a proof depends on what the change hits first.
abstract contract LayoutTest {
    using Call for bytes;

    error NotAccepted(bool success, bytes answer);
    error NotRejected(string what, uint256 index, bool success, bytes answer);

    bytes4 private immutable LENGTH = CreditGeneralVerifier.CalldataLength.selector;
    bytes4 private immutable RANGE = CreditGeneralVerifier.OutputOutOfRange.selector;
    bytes4 private immutable CANONICAL = CreditGeneralVerifier.ScalarNotCanonical.selector;
    bytes4 private immutable MISSING = CreditBlsVerifier.PrecompileMissing.selector;

    uint256 internal constant GAS = 2_000_000;

    address internal verifier;
    bytes internal valid;

    /// @dev The contract's name; its fixtures are in the folder of that name.
    function name() internal pure virtual returns (string memory);

    /// @dev Order of the group.
    function order() internal pure virtual returns (uint256);

    /// @dev The words that are scalars, after the statement.
    function scalars() internal pure virtual returns (uint256 first, uint256 end);

    /// @dev The precompiles that the constructor asks for.
    function precompiles() internal pure virtual returns (uint160[] memory addresses);

    function setUp() public {
        (address deployed,) = deploy();
        require(deployed != address(0), "deployment");
        verifier = deployed;
        valid = fixture("applicant0");
    }

    function deploy() internal returns (address deployed, bytes memory answer) {
        return Deploy.fresh(name());
    }

    function fixture(string memory file) internal view returns (bytes memory call) {
        return Call.load(string.concat(name(), "/", file));
    }

    function assertAccepted(bytes memory call) internal view {
        (bool success, bytes memory answer) = verifier.staticcall(call);
        if (!success || answer.length != 0) revert NotAccepted(success, answer);
    }

    /// @dev `verify` reverts with one of its errors.
    function assertRejected(string memory what, uint256 index, bytes memory call)
        internal
        view
        returns (bytes4 error_)
    {
        (bool success, bytes memory answer) = verifier.staticcall{gas: GAS}(call);
        if (success || answer.length != 4) revert NotRejected(what, index, success, answer);
        return bytes4(answer);
    }

    function test_acceptsEveryApplicant() public view {
        assertAccepted(fixture("applicant0"));
        assertAccepted(fixture("applicant1"));
        assertAccepted(fixture("applicant500"));
        assertAccepted(fixture("applicant999"));
    }

    function test_rejectsTheProofOfAnotherModel() public view {
        assertRejected("another model", 0, fixture("other_model"));
    }

    function test_everyFlippedByteIsRejected() public view {
        bytes memory call = valid;
        bytes1[2] memory masks = [bytes1(0x01), bytes1(0x80)];
        for (uint256 m = 0; m < masks.length; m++) {
            for (uint256 i = 4; i < call.length; i++) {
                call[i] ^= masks[m];
                assertRejected("byte", i, call);
                call[i] ^= masks[m];
            }
        }
        assertAccepted(call);
    }

    function test_otherLengthsAreRejected() public view {
        for (uint256 extra = 1; extra <= 64; extra++) {
            require(assertRejected("longer", extra, valid.resized(valid.length + extra)) == LENGTH, "length");
            (bool success,) = verifier.staticcall{gas: GAS}(valid.resized(valid.length - extra));
            require(!success, "shorter");
        }
    }

    function test_aliasesOfScalarsAreRejected() public view {
        (uint256 first, uint256 end) = scalars();
        for (uint256 i = first; i < end; i++) {
            bytes memory call = bytes.concat(valid);
            call.setWord(i, valid.word(i) + order());
            require(assertRejected("+ r", i, call) == CANONICAL, "canonical");
            call.setWord(i, order());
            require(assertRejected("r", i, call) == CANONICAL, "canonical");
            call.setWord(i, type(uint256).max);
            require(assertRejected("max", i, call) == CANONICAL, "canonical");
        }
    }

    function test_scoresOutOfRangeAreRejected() public view {
        bytes memory call = bytes.concat(valid);
        call.setWord(Call.SCORE, uint256(type(int256).max));
        require(assertRejected("max", 0, call) == RANGE, "range");
        call.setWord(Call.SCORE, uint256(type(int256).min));
        require(assertRejected("min", 0, call) == RANGE, "range");
        call.setWord(Call.SCORE, valid.word(Call.SCORE) + order());
        require(assertRejected("+ r", 0, call) == RANGE, "range");
    }

    function test_anyTwoSwappedWordsAreRejected() public view {
        bytes memory call = bytes.concat(valid);
        for (uint256 i = 0; i < (call.length - 4) / 32; i++) {
            for (uint256 j = 0; j < i; j++) {
                (uint256 a, uint256 b) = (call.word(i), call.word(j));
                call.setWord(i, b);
                call.setWord(j, a);
                assertRejected("swapped", 100 * i + j, call);
                call.setWord(i, a);
                call.setWord(j, b);
            }
        }
    }

    function test_deploymentFailsWithoutAPrecompile() public {
        uint160[] memory addresses = precompiles();
        for (uint256 i = 0; i < addresses.length; i++) {
            vm.mockCall(address(addresses[i]), "", "");
            (address deployed, bytes memory answer) = deploy();
            require(deployed == address(0) && bytes4(answer) == MISSING, "no code");
            vm.clearMockedCalls();
            vm.mockCallRevert(address(addresses[i]), "", "");
            (deployed, answer) = deploy();
            require(deployed == address(0) && bytes4(answer) == MISSING, "fails");
            vm.clearMockedCalls();
        }
    }

    /// @dev A contract that is there already accepts nothing if its precompiles go.
    function test_rejectsWithoutAPrecompile() public {
        uint160[] memory addresses = precompiles();
        for (uint256 i = 0; i < addresses.length; i++) {
            vm.mockCall(address(addresses[i]), "", "");
            (bool success, bytes memory answer) = verifier.staticcall{gas: GAS}(valid);
            require(!success && answer.length <= 4, "no code");
            vm.clearMockedCalls();
            vm.mockCallRevert(address(addresses[i]), "", "");
            (success, answer) = verifier.staticcall{gas: GAS}(valid);
            require(!success && answer.length <= 4, "fails");
            vm.clearMockedCalls();
        }
        assertAccepted(valid);
    }

    /// @dev A valid proof is not called invalid for want of gas.
    function test_tooLittleGasGivesNoVerdict() public view {
        for (uint256 limit = 0; limit < 80_000; limit += 1_000) {
            (bool success, bytes memory answer) = verifier.staticcall{gas: limit}(valid);
            if (success || answer.length != 0) revert NotRejected("too little gas", limit, success, answer);
        }
    }

    function test_codeFitsTheLimit() public view {
        require(verifier.code.length <= 24_576, "EIP-170");
    }

    function test_snapshot() public {
        (bool success,) = verifier.staticcall(valid);
        vm.snapshotGasLastCall(name(), "verify");
        require(success, "verify");
        vm.snapshotValue(name(), "bytes of runtime code", verifier.code.length);
    }
}

/// @notice The layout `general` on BN254.
contract CreditGeneralTest is LayoutTest {
    function name() internal pure override returns (string memory) {
        return "CreditGeneralVerifier";
    }

    function order() internal pure override returns (uint256) {
        return 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    }

    function scalars() internal pure override returns (uint256 first, uint256 end) {
        return (8, 14);
    }

    function precompiles() internal pure override returns (uint160[] memory addresses) {
        addresses = new uint160[](3);
        (addresses[0], addresses[1], addresses[2]) = (6, 7, 8);
    }
}

/// @notice The layout `phased` on BN254.
contract CreditPhasedTest is LayoutTest {
    function name() internal pure override returns (string memory) {
        return type(CreditPhasedVerifier).name;
    }

    function order() internal pure override returns (uint256) {
        return 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    }

    /// @dev Behind two advice columns, the running product and the quotient.
    function scalars() internal pure override returns (uint256 first, uint256 end) {
        return (10, 16);
    }

    function precompiles() internal pure override returns (uint160[] memory addresses) {
        addresses = new uint160[](3);
        (addresses[0], addresses[1], addresses[2]) = (6, 7, 8);
    }
}

/// @notice The layout `periodic` on BLS12-381.
contract CreditBlsTest is LayoutTest {
    using Call for bytes;

    function name() internal pure override returns (string memory) {
        return "CreditBlsVerifier";
    }

    function order() internal pure override returns (uint256) {
        return 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    }

    function scalars() internal pure override returns (uint256 first, uint256 end) {
        return (11, 15);
    }

    function precompiles() internal pure override returns (uint160[] memory addresses) {
        addresses = new uint160[](4);
        (addresses[0], addresses[1], addresses[2], addresses[3]) = (2, 10, 11, 12);
    }

    /// @dev The last point is 48 bytes; the 16 bytes behind it are zero, and no other encoding of the proof passes.
    function test_paddingOfTheLastPointIsZero() public view {
        bytes memory call = bytes.concat(valid);
        uint256 end = 4 + 32 * 20;
        require(call.length == end, "layout");
        for (uint256 i = end - 16; i < end; i++) {
            require(call[i] == 0, "fixture");
            call[i] = 0x01;
            assertRejected("padding", i, call);
            call[i] = 0;
        }
    }
}
