// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {Claim, Claims} from "./utils/Claims.sol";
import {ScoreConsumer} from "./utils/Consumers.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Real proofs in every place where they must not be used. Each case twice: as the thief finds the binding, which is refused
/// by name before the verifier is asked, and with the binding changed to fit, for which the verifier has never seen a proof.
contract ReplayTest is LibraryTest {
    using Claims for Claim;

    uint256 private constant DEADLINE = NOW + 1 hours;
    uint256 private constant ITEM = 5;
    uint256 private constant NONCE = 77;

    bytes private rejected = bytes.concat(CreditVerifier.ProofRejected.selector);

    ScoreConsumer private consumer = ScoreConsumer(account("consumer"));
    ScoreConsumer private other = ScoreConsumer(account("other consumer"));

    // of the flavour under test
    bool private ordered;
    Claim private claim;
    HallmarkConsumer.Binding private binding;

    function setUp() public {
        vm.warp(NOW);
        (address verifier,) = Deploy.fresh("CreditVerifier");
        Deploy.placed(address(consumer), "Consumers", "ScoreConsumer", abi.encode(verifier));
        Deploy.placed(address(other), "Consumers", "ScoreConsumer", abi.encode(verifier));
    }

    function sequential(string memory name) private {
        bytes32 action = consumer.actionOf(ITEM);
        (bytes32 context, HallmarkConsumer.Binding memory bound) = consumer.sequentialContext(ALICE, action, DEADLINE);
        (ordered, binding, claim) = (true, bound, Claims.load(name, context));
    }

    function unordered(string memory name) private {
        bytes32 action = consumer.actionOf(ITEM);
        (bytes32 context, HallmarkConsumer.Binding memory bound) =
            consumer.unorderedContext(ALICE, action, NONCE, DEADLINE);
        (ordered, binding, claim) = (false, bound, Claims.load(name, context));
    }

    function use(ScoreConsumer at_, address caller, uint256 item, HallmarkConsumer.Binding memory bound) private {
        uint256[12] memory proof = claim.proof12();
        int256[1] memory score = claim.score;
        vm.prank(caller);
        if (ordered) at_.recordInOrder(item, bound, score, proof);
        else at_.record(item, bound, score, proof);
    }

    function use() private {
        use(consumer, ALICE, ITEM, binding);
    }

    function test_sequentialProofsAreAccepted() public {
        sequential("sequential");
        use();
        sequential("sequential-next");
        use();
        same(2, consumer.accepted(ITEM), "accepted");
    }

    function test_unorderedProofsAreAccepted() public {
        unordered("unordered");
        use();
        same(1, consumer.accepted(ITEM), "accepted");
    }

    function test_sequentialProofsAreNotReplayed() public {
        sequential("sequential");
        matrix();
        use();
        // twice
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongNonce.selector, 1, 0));
        use();
        binding.nonce = 1;
        vm.expectRevert(rejected);
        use();
        same(1, consumer.accepted(ITEM), "accepted");
    }

    function test_unorderedProofsAreNotReplayed() public {
        unordered("unordered");
        matrix();
        use();
        // twice, with the same proof and with another one of the same statement
        bytes32 nullifier = consumer.nullifierOf(claim.context, keccak256(abi.encode(claim.score)));
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.StatementUsed.selector, nullifier));
        use();
        bytes32 first = keccak256(abi.encode(claim.proof));
        unordered("unordered-again");
        check(keccak256(abi.encode(claim.proof)) != first, "another proof");
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.StatementUsed.selector, nullifier));
        use();
        binding.nonce = NONCE + 1;
        vm.expectRevert(rejected);
        use();
        same(1, consumer.accepted(ITEM), "accepted");
    }

    /// @dev The other proof of that statement is as good as the first one, if it comes first.
    function test_everyProofOfAStatementIsGood() public {
        unordered("unordered-again");
        use();
        same(1, consumer.accepted(ITEM), "accepted");
    }

    function test_flavoursDoNotAcceptEachOthersProofs() public {
        sequential("sequential");
        ordered = false;
        vm.expectRevert(rejected);
        use();
        unordered("unordered");
        (ordered, binding.nonce) = (true, 0);
        vm.expectRevert(rejected);
        use();
    }

    /// @dev Before the proof is used: by another sender, on another contract, on another chain, after the deadline, for another
    /// action, out of order.
    function matrix() private {
        HallmarkConsumer.Binding memory bound = binding;
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongCaller.selector, BOB, ALICE));
        use(consumer, BOB, ITEM, bound);
        bound.caller = BOB;
        vm.expectRevert(rejected);
        use(consumer, BOB, ITEM, bound);

        bound = binding;
        vm.expectRevert(
            abi.encodeWithSelector(HallmarkConsumer.WrongConsumer.selector, address(other), address(consumer))
        );
        use(other, ALICE, ITEM, bound);
        bound.consumer = address(other);
        vm.expectRevert(rejected);
        use(other, ALICE, ITEM, bound);

        bound = binding;
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongChain.selector, 1, 31337));
        use(consumer, ALICE, ITEM, bound);
        bound.chainId = 1;
        vm.expectRevert(rejected);
        use(consumer, ALICE, ITEM, bound);
        vm.chainId(31337);

        bound = binding;
        vm.warp(DEADLINE + 1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.ContextExpired.selector, DEADLINE));
        use(consumer, ALICE, ITEM, bound);
        bound.deadline = DEADLINE + 1;
        vm.expectRevert(rejected);
        use(consumer, ALICE, ITEM, bound);
        vm.warp(NOW);

        vm.expectRevert(rejected);
        use(consumer, ALICE, ITEM + 1, binding);

        bound = binding;
        bound.nonce++;
        vm.expectRevert(ordered ? abi.encodeWithSelector(HallmarkConsumer.WrongNonce.selector, 0, 1) : rejected);
        use(consumer, ALICE, ITEM, bound);
    }
}
