// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditLine} from "../../../contracts/examples/CreditLine.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {CreditHashedVerifier} from "../golden/CreditHashedVerifier.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {Claim, Claims} from "./utils/Claims.sol";
import {CreditLineTest} from "./utils/CreditLineTest.sol";
import {Dollar} from "./utils/Tokens.sol";

/// @notice The pool with the real verifier and real proofs of attested data: the whole road, its gas, and every wrong use of a proof.
contract CreditLineProofTest is CreditLineTest {
    using Claims for Claim;

    uint256 private constant AMOUNT = 20_000 * USD;
    uint256 private constant MAX_RATE = 800;
    uint256 private constant DEADLINE = NOW + 1 hours;

    bytes private rejected = bytes.concat(CreditHashedVerifier.ProofRejected.selector);

    CreditHashedVerifier private real;
    CreditLine private other;
    Claim private claim;
    HallmarkConsumer.Binding private binding;

    function setUp() public override {
        vm.warp(NOW);
        (address deployed,) = Deploy.fresh("CreditHashedVerifier");
        real = CreditHashedVerifier(deployed);
        dollar = new Dollar();
        pool = place("credit line");
        other = place("other credit line");
        deposit(LENDER, 100_000 * USD);
        claim = load("borrow", ALICE, AMOUNT);
        attest(ALICE, claim.digests[0]);
    }

    function place(string memory name) private returns (CreditLine line) {
        bytes memory arguments = abi.encode(dollar, real, real.MODEL_ID(), TERM, standardTiers(), ADMIN);
        line = CreditLine(account(name));
        Deploy.placed(address(line), "CreditLine", "CreditLine", arguments);
        appoint(line);
    }

    /// @dev The proof of this name, and its binding.
    function load(string memory name, address borrower, uint256 amount) private returns (Claim memory loaded) {
        (bytes32 context, HallmarkConsumer.Binding memory bound) =
            pool.borrowContext(borrower, amount, MAX_RATE, DEADLINE);
        binding = bound;
        return Claims.load(name, context);
    }

    function take(CreditLine line, address borrower, uint256 amount, HallmarkConsumer.Binding memory bound) private {
        uint256[16] memory proof = claim.proof16();
        (int256[1] memory score, uint256[1] memory digest) = (claim.score, [claim.digests[0]]);
        vm.prank(borrower);
        line.borrow(amount, MAX_RATE, bound, score, digest, proof);
    }

    function take() private {
        take(pool, ALICE, AMOUNT, binding);
    }

    function test_aProvedScoreIsALoan() public {
        take();
        same(AMOUNT, balance(ALICE), "paid out");
        same(AMOUNT, pool.owed(ALICE), "owed");
        vm.warp(NOW + 73 days);
        // 6% a year for a fifth of a year
        same(AMOUNT + 240 * USD, pool.owed(ALICE), "owed later");
        repay(ALICE, ALL);
        same(0, pool.owed(ALICE), "repaid");
        same(100_240 * USD, pool.totalAssets(), "assets");
    }

    /// @dev A valid proof of a bad score.
    function test_aBadScoreIsNoLoan() public {
        claim = load("borrow-refused", BOB, AMOUNT);
        attest(BOB, claim.digests[0]);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.ScoreTooLow.selector, claim.score[0]));
        take(pool, BOB, AMOUNT, binding);
        // and the score is the one that was proved
        claim.score[0] = 2 * SCALE;
        vm.expectRevert(rejected);
        take(pool, BOB, AMOUNT, binding);
    }

    /// @dev Somebody else's good data, attested for somebody else.
    function test_onlyOnesOwnAttestedData() public {
        claim.digests[0] += 1;
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotAttested.selector, claim.digests[0] - 1, claim.digests[0]));
        take();
        vm.prank(ATTESTER);
        pool.attest(ALICE, claim.digests[0], NOW);
        vm.expectRevert(rejected);
        take();
    }

    function test_proofsAreNotReplayed() public {
        attest(BOB, 5);
        HallmarkConsumer.Binding memory bound = binding;
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongCaller.selector, BOB, ALICE));
        take(pool, BOB, AMOUNT, bound);
        bound.caller = BOB;
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotAttested.selector, 5, claim.digests[0]));
        take(pool, BOB, AMOUNT, bound);

        bound = binding;
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongConsumer.selector, address(other), address(pool)));
        take(other, ALICE, AMOUNT, bound);

        bound = binding;
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongChain.selector, 1, 31337));
        take(pool, ALICE, AMOUNT, bound);
        bound.chainId = 1;
        vm.expectRevert(rejected);
        take(pool, ALICE, AMOUNT, bound);
        vm.chainId(31337);

        bound = binding;
        vm.warp(DEADLINE + 1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.ContextExpired.selector, DEADLINE));
        take(pool, ALICE, AMOUNT, bound);
        bound.deadline++;
        vm.expectRevert(rejected);
        take(pool, ALICE, AMOUNT, bound);
        vm.warp(NOW);

        // another amount
        vm.expectRevert(rejected);
        take(pool, ALICE, AMOUNT + 1, binding);

        take();
        vm.expectRevert(abi.encodeWithSelector(HallmarkConsumer.WrongNonce.selector, 1, 0));
        take();
        repay(ALICE, ALL);
        binding.nonce = 1;
        vm.expectRevert(rejected);
        take();
        claim = load("borrow-again", ALICE, AMOUNT);
        take();
        same(AMOUNT, pool.owed(ALICE), "the second loan");
    }

    /// @dev Even where the same applicant is attested and has the same terms.
    function test_aProofForOnePoolIsNoneForAnother() public {
        dollar.mint(LENDER, 100_000 * USD);
        vm.prank(LENDER);
        dollar.approve(address(other), ALL);
        vm.prank(LENDER);
        other.deposit(100_000 * USD, LENDER);
        vm.prank(ATTESTER);
        other.attest(ALICE, claim.digests[0], NOW);
        binding.consumer = address(other);
        vm.expectRevert(rejected);
        take(other, ALICE, AMOUNT, binding);
    }

    /// @dev All that `borrow` touches is cold, as in a transaction of its own.
    function test_snapshot() public {
        uint256[16] memory proof = claim.proof16();
        (int256[1] memory score, uint256[1] memory digest) = (claim.score, [claim.digests[0]]);
        HallmarkConsumer.Binding memory bound = binding;
        vm.prank(ALICE);
        pool.borrow(AMOUNT, MAX_RATE, bound, score, digest, proof);
        uint256 whole = vm.snapshotGasLastCall("CreditLine", "borrow");
        real.verify(claim.context, score, digest, proof);
        uint256 part = vm.snapshotGasLastCall("CreditLine", "borrow: verification");
        vm.snapshotValue("CreditLine", "borrow: verification, percent", part * 100 / whole);
        vm.snapshotValue("CreditLine", "bytes of runtime code", address(pool).code.length);
        check(address(pool).code.length <= 24_576, "EIP-170");
    }
}
