// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {IHallmarkVerifierErrors} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {vm} from "../utils/Vm.sol";
import {IScoreVerifier, ScoreConsumer} from "./utils/Consumers.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Contexts, nonces and nullifiers, on a mock that accepts exactly the contexts it is told; real proofs are in Replay.t.sol.
contract ConsumerTest is LibraryTest {
    event Nullified(bytes32 indexed nullifier);

    /// @dev Most that a context and what is remembered of it may cost, storage included.
    uint256 private constant MOST = 30_000;

    MockHallmarkVerifier private verifier;
    ScoreConsumer private consumer;
    int256[1] private score;
    uint256[12] private proof;

    function setUp() public {
        vm.warp(NOW);
        verifier = mock("credit");
        consumer = new ScoreConsumer(IScoreVerifier(address(verifier)));
    }

    /// @dev EIP-712, written a second time.
    function typedHash(bytes32 structHash) private view returns (bytes32 hash) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ScoreConsumer"),
                keccak256("1"),
                block.chainid,
                address(consumer)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function testFuzz_contextsAreEip712Hashes(
        address caller,
        bytes32 action,
        uint256 nonce,
        uint256 deadline,
        uint64 chain
    ) public {
        vm.assume(chain != 0);
        vm.chainId(chain);
        (bytes32 context, HallmarkConsumer.Binding memory binding) =
            consumer.unorderedContext(caller, action, nonce, deadline);
        bytes32 typeHash = keccak256("Unordered(address caller,bytes32 action,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, caller, action, nonce, deadline));
        check(context == typedHash(structHash), "unordered");
        check(typeHash == consumer.UNORDERED_TYPEHASH(), "type");
        HallmarkConsumer.Binding memory expected =
            HallmarkConsumer.Binding(chain, address(consumer), caller, nonce, deadline);
        check(keccak256(abi.encode(binding)) == keccak256(abi.encode(expected)), "binding");

        (context, binding) = consumer.sequentialContext(caller, action, deadline);
        typeHash = keccak256("Sequential(address caller,bytes32 action,uint256 nonce,uint256 deadline)");
        structHash = keccak256(abi.encode(typeHash, caller, action, uint256(0), deadline));
        check(context == typedHash(structHash), "sequential");
        check(typeHash == consumer.SEQUENTIAL_TYPEHASH(), "type");
        expected.nonce = 0;
        check(keccak256(abi.encode(binding)) == keccak256(abi.encode(expected)), "binding");
    }

    function test_theDomainIsPublished() public view {
        (, string memory name, string memory version, uint256 chain, address where,,) = consumer.eip712Domain();
        check(
            keccak256(bytes(name)) == keccak256("ScoreConsumer") && keccak256(bytes(version)) == keccak256("1"), "name"
        );
        check(chain == block.chainid && where == address(consumer), "place");
    }

    function testFuzz_sequentialProofsAreUsedInOrder(uint8 count, uint256 item) public {
        bytes32 action = consumer.actionOf(item);
        for (uint256 i = 0; i < count % 8; i++) {
            (bytes32 context, HallmarkConsumer.Binding memory binding) = consumer.sequentialContext(ALICE, action, NOW);
            same(i, binding.nonce, "nonce");
            verifier.acceptContext(context, true);
            vm.prank(ALICE);
            consumer.recordInOrder(item, binding, score, proof);
            same(i + 1, consumer.accepted(item), "accepted");
            same(i + 1, consumer.nextNonce(ALICE), "next");
            same(0, consumer.nextNonce(BOB), "others wait for nobody");
        }
    }

    function test_aRejectedProofUsesNothingUp() public {
        bytes32 action = consumer.actionOf(1);
        (bytes32 context, HallmarkConsumer.Binding memory binding) = consumer.sequentialContext(ALICE, action, NOW);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        vm.prank(ALICE);
        consumer.recordInOrder(1, binding, score, proof);
        verifier.acceptContext(context, true);
        vm.prank(ALICE);
        consumer.recordInOrder(1, binding, score, proof);

        (context, binding) = consumer.unorderedContext(ALICE, action, 9, NOW);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        vm.prank(ALICE);
        consumer.record(1, binding, score, proof);
        verifier.acceptContext(context, true);
        vm.prank(ALICE);
        consumer.record(1, binding, score, proof);
    }

    function testFuzz_unorderedProofsAreUsedInAnyOrder(uint256 nonce) public {
        bytes32 action = consumer.actionOf(1);
        unchecked {
            for (uint256 i = 3; i > 0; i--) {
                (bytes32 context, HallmarkConsumer.Binding memory binding) =
                    consumer.unorderedContext(ALICE, action, nonce + i, NOW);
                verifier.acceptContext(context, true);
                bytes32 nullifier = consumer.nullifierOf(context, keccak256(abi.encode(score)));
                check(!consumer.nullified(nullifier), "not used yet");
                vm.expectEmit(address(consumer));
                emit Nullified(nullifier);
                vm.prank(ALICE);
                consumer.record(1, binding, score, proof);
                check(consumer.nullified(nullifier), "used");
                vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.StatementUsed.selector, nullifier));
                vm.prank(ALICE);
                consumer.record(1, binding, score, proof);
            }
        }
        same(3, consumer.accepted(1), "accepted");
        same(0, consumer.nextNonce(ALICE), "the sequence is another");
    }

    /// @dev A context is for a use, and a statement within it is used once; another statement is another use.
    function test_nullifiersAreOfStatements() public {
        (bytes32 context, HallmarkConsumer.Binding memory binding) =
            consumer.unorderedContext(ALICE, consumer.actionOf(1), 0, NOW);
        verifier.acceptContext(context, true);
        for (uint256 i = 0; i < 3; i++) {
            score[0] = int256(i);
            vm.prank(ALICE);
            consumer.record(1, binding, score, proof);
        }
        // another proof of the same statement is no other statement
        proof[0] = 1;
        bytes32 nullifier = consumer.nullifierOf(context, keccak256(abi.encode(score)));
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.StatementUsed.selector, nullifier));
        vm.prank(ALICE);
        consumer.record(1, binding, score, proof);
    }

    /// @dev Any change of a field is refused by its own error, and before anything costs much.
    function testFuzz_bindingsThatAreNotTheCaseAreRefused(uint256 other, bool ordered) public {
        verifier.acceptAll(true);
        bytes32 action = consumer.actionOf(1);
        (, HallmarkConsumer.Binding memory good) = consumer.sequentialContext(ALICE, action, NOW);

        HallmarkConsumer.Binding memory bad = copied(good);
        bad.chainId = other == block.chainid ? 1 : other;
        refusedBinding(bad, ordered, abi.encodeWithSelector(HallmarkConsumer.WrongChain.selector, 31337, bad.chainId));
        bad = copied(good);
        bad.consumer = address(uint160(other)) == address(consumer) ? ALICE : address(uint160(other));
        refusedBinding(
            bad,
            ordered,
            abi.encodeWithSelector(HallmarkConsumer.WrongConsumer.selector, address(consumer), bad.consumer)
        );
        bad = copied(good);
        bad.caller = address(uint160(other)) == ALICE ? BOB : address(uint160(other));
        refusedBinding(bad, ordered, abi.encodeWithSelector(HallmarkConsumer.WrongCaller.selector, ALICE, bad.caller));
        bad = copied(good);
        bad.deadline = other % NOW;
        refusedBinding(bad, ordered, abi.encodeWithSelector(HallmarkConsumer.ContextExpired.selector, bad.deadline));
        bad = copied(good);
        bad.nonce = other == 0 ? 1 : other;
        refusedBinding(bad, true, abi.encodeWithSelector(HallmarkConsumer.WrongNonce.selector, 0, bad.nonce));
    }

    function refusedBinding(HallmarkConsumer.Binding memory binding, bool ordered, bytes memory expected) private {
        vm.expectRevert(expected);
        vm.prank(ALICE);
        if (ordered) consumer.recordInOrder(1, binding, score, proof);
        else consumer.record(1, binding, score, proof);
    }

    function copied(HallmarkConsumer.Binding memory binding)
        private
        pure
        returns (HallmarkConsumer.Binding memory copy)
    {
        return HallmarkConsumer.Binding(
            binding.chainId, binding.consumer, binding.caller, binding.nonce, binding.deadline
        );
    }

    function test_theLastSecondIsTheDeadline() public {
        verifier.acceptAll(true);
        bytes32 action = consumer.actionOf(1);
        (, HallmarkConsumer.Binding memory binding) = consumer.sequentialContext(ALICE, action, NOW + 100);
        vm.warp(NOW + 101);
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.ContextExpired.selector, NOW + 100));
        vm.prank(ALICE);
        consumer.recordInOrder(1, binding, score, proof);
        vm.warp(NOW + 100);
        vm.prank(ALICE);
        consumer.recordInOrder(1, binding, score, proof);
    }

    /// @dev After a fork both chains have the contract and its storage; a proof is for one of them.
    function test_aForkOfTheChainIsAnotherChain() public {
        bytes32 action = consumer.actionOf(1);
        (bytes32 before, HallmarkConsumer.Binding memory binding) = consumer.sequentialContext(ALICE, action, NOW);
        vm.chainId(1337);
        (bytes32 later,) = consumer.sequentialContext(ALICE, action, NOW);
        check(before != later, "context");
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongChain.selector, 1337, 31337));
        vm.prank(ALICE);
        consumer.recordInOrder(1, binding, score, proof);
    }

    function test_snapshot_unordered() public {
        (, HallmarkConsumer.Binding memory binding) = consumer.unorderedContext(ALICE, "action", 7, NOW);
        vm.prank(ALICE);
        measured("unordered: context and nullifier", consumer.measureUnordered(binding, "action", "statement"));
    }

    function test_snapshot_sequential() public {
        (, HallmarkConsumer.Binding memory binding) = consumer.sequentialContext(ALICE, "action", NOW);
        vm.cool(address(consumer)); // its storage, as a transaction of its own finds it
        vm.prank(ALICE);
        measured("sequential: context and nonce, first", consumer.measureSequential(binding, "action"));
        binding.nonce = 1;
        vm.cool(address(consumer));
        vm.prank(ALICE);
        measured("sequential: context and nonce, later", consumer.measureSequential(binding, "action"));
    }

    function measured(string memory name, uint256 used) private {
        check(used <= MOST, name);
        vm.snapshotValue("HallmarkConsumer", name, used);
    }
}
