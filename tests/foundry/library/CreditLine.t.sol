// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {CreditLine} from "../../../contracts/examples/CreditLine.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {IHallmarkVerifierErrors} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {vm} from "../utils/Vm.sol";
import {CreditLineTest} from "./utils/CreditLineTest.sol";
import {Caller, Dollar, Toll} from "./utils/Tokens.sol";

/// @notice The pool's terms, roles and accounts, on a mock verifier; real proofs are in CreditLineProof.t.sol.
contract CreditLineUnitTest is CreditLineTest {
    event Attested(address indexed applicant, uint256 indexed digest, uint256 until, address indexed attester);
    event AttestationRevoked(address indexed applicant, address indexed attester);
    event Borrowed(address indexed borrower, uint256 amount, uint256 rate, uint256 dueAt, int256 score);
    event Repaid(address indexed borrower, address indexed payer, uint256 interest, uint256 principal);
    event Defaulted(address indexed borrower, uint256 principal, uint256 interest);
    event TiersSet(CreditLine.Tier[] tiers);

    int256 private constant GOOD = 2 * SCALE;
    int256 private constant FAIR = SCALE;

    function unauthorised(address who, bytes32 role) private pure returns (bytes memory answer) {
        return abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, who, role);
    }

    function lendTo(address borrower, uint256 amount, int256 score) private {
        attest(borrower, digestOf(borrower));
        borrow(borrower, amount, score);
    }

    // Deployment and terms

    function test_anotherModelsVerifierIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(CreditLine.AnotherModel.selector, bytes32("other"), MODEL));
        deploy(dollar, "other", TERM);
    }

    function test_termsOutOfRangeAreRefused() public {
        uint256[3] memory terms = [uint256(0), 1 days - 1, 3650 days + 1];
        for (uint256 i = 0; i < terms.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(CreditLine.TermOutOfRange.selector, terms[i]));
            deploy(dollar, MODEL, terms[i]);
        }
    }

    function test_tiersAreSetForLoansToCome() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(ALICE, 1_000 * USD, GOOD);
        CreditLine.Tier[] memory tiers = new CreditLine.Tier[](1);
        tiers[0] = CreditLine.Tier(-SCALE, 2_000, uint96(5_000 * USD));
        vm.expectEmit(address(pool));
        emit TiersSet(tiers);
        vm.prank(ADMIN);
        pool.setTiers(tiers);
        check(pool.allTiers().length == 1 && pool.allTiers()[0].rate == 2_000, "tiers");
        lendTo(BOB, 1_000 * USD, -SCALE);
        vm.warp(NOW + 365 days);
        same(1_060 * USD, pool.owed(ALICE), "the terms it was taken at");
        same(1_200 * USD, pool.owed(BOB), "the new terms");
    }

    function test_tiersOutOfOrderAreRefused() public {
        CreditLine.Tier[] memory none;
        refusedTiers(none);
        refusedTiers(new CreditLine.Tier[](9));
        CreditLine.Tier[] memory tiers = standardTiers();
        tiers[1].minScore = tiers[0].minScore;
        refusedTiers(tiers);
        tiers = standardTiers();
        tiers[1].rate = tiers[0].rate - 1;
        refusedTiers(tiers);
        tiers = standardTiers();
        tiers[1].limit = tiers[0].limit + 1;
        refusedTiers(tiers);
        tiers = standardTiers();
        tiers[1].rate = 10_001;
        refusedTiers(tiers);
        // the limits themselves
        tiers = standardTiers();
        (tiers[1].rate, tiers[1].limit, tiers[1].minScore) = (10_000, tiers[0].limit, tiers[0].minScore - 1);
        vm.prank(ADMIN);
        pool.setTiers(tiers);
    }

    function refusedTiers(CreditLine.Tier[] memory tiers) private {
        reverts(CreditLine.TiersNotOrdered.selector);
        vm.prank(ADMIN);
        pool.setTiers(tiers);
    }

    function testFuzz_theTierIsTheFirstThatTheScoreReaches(int256 score) public {
        if (score >= 3 * SCALE / 2) {
            same(600, pool.tierOf(score).rate, "good");
        } else if (score >= 0) {
            same(1_200, pool.tierOf(score).rate, "fair");
        } else {
            vm.expectRevert(abi.encodeWithSelector(CreditLine.ScoreTooLow.selector, score));
            pool.tierOf(score);
        }
    }

    // Attestations

    function test_anAttestationIsRegistered() public {
        vm.expectEmit(address(pool));
        emit Attested(ALICE, 7, NOW + 30 days, ATTESTER);
        attest(ALICE, 7);
        (uint256 digest, uint256 until) = pool.attestations(ALICE);
        check(digest == 7 && until == NOW + 30 days && pool.applicants(7) == ALICE, "attestation");
        attest(ALICE, 8);
        (digest,) = pool.attestations(ALICE);
        same(8, digest, "the later one");
        attest(ALICE, 7);
    }

    function test_oneDigestIsNotTwoApplicants() public {
        attest(ALICE, 7);
        attest(ALICE, 8);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.DigestTaken.selector, 7));
        attest(BOB, 7);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.DigestTaken.selector, 0));
        attest(BOB, 0);
    }

    function test_anAttestationHasNotEndedWhenItIsMade() public {
        vm.expectRevert(abi.encodeWithSelector(CreditLine.AttestationOver.selector, NOW - 1));
        vm.prank(ATTESTER);
        pool.attest(ALICE, 7, NOW - 1);
        vm.prank(ATTESTER);
        pool.attest(ALICE, 7, NOW);
    }

    function test_anAttestationIsTakenBack() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        vm.expectEmit(address(pool));
        emit AttestationRevoked(ALICE, ATTESTER);
        vm.prank(ATTESTER);
        pool.revokeAttestation(ALICE);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotAttested.selector, 0, 0));
        vm.prank(ATTESTER);
        pool.revokeAttestation(ALICE);
        (, HallmarkConsumer.Binding memory binding) = pool.borrowContext(ALICE, 1, 10_000, NOW);
        uint256[16] memory proof;
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotAttested.selector, 0, digestOf(ALICE)));
        vm.prank(ALICE);
        pool.borrow(1, 10_000, binding, [GOOD], [digestOf(ALICE)], proof);
        // no data are the data of digest zero
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotAttested.selector, 0, 0));
        vm.prank(ALICE);
        pool.borrow(1, 10_000, binding, [GOOD], [uint256(0)], proof);
    }

    function test_onlyAttestersAttest() public {
        bytes memory expected = unauthorised(ADMIN, pool.ATTESTER_ROLE());
        vm.expectRevert(expected);
        vm.prank(ADMIN);
        pool.attest(ALICE, 7, NOW);
        vm.expectRevert(expected);
        vm.prank(ADMIN);
        pool.revokeAttestation(ALICE);
    }

    // Loans

    function test_aLoanIsPaidOut() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        vm.expectEmit(address(pool));
        emit Borrowed(ALICE, 50_000 * USD, 600, NOW + TERM, GOOD);
        borrow(ALICE, 50_000 * USD, GOOD);
        same(50_000 * USD, balance(ALICE), "paid out");
        same(50_000 * USD, pool.cash(), "cash");
        same(100_000 * USD, pool.totalAssets(), "assets");
        (uint128 principal, uint32 rate, uint40 updatedAt, uint40 dueAt, bool writtenOff, uint256 interest) =
            pool.loans(ALICE);
        check(principal == 50_000 * USD && rate == 600 && updatedAt == NOW && dueAt == NOW + TERM, "loan");
        check(!writtenOff && interest == 0, "state");
    }

    function test_aRejectedProofIsNoLoan() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        verifier.acceptAll(false);
        (, HallmarkConsumer.Binding memory binding) = pool.borrowContext(ALICE, USD, 10_000, NOW);
        uint256[16] memory proof;
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        vm.prank(ALICE);
        pool.borrow(USD, 10_000, binding, [GOOD], [digestOf(ALICE)], proof);
        same(0, balance(ALICE), "paid out");
        same(0, pool.nextNonce(ALICE), "nonce");
    }

    function test_theVerifierSeesWhatWasPassed() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        verifier.acceptAll(false);
        (bytes32 context, HallmarkConsumer.Binding memory binding) = pool.borrowContext(ALICE, USD, 10_000, NOW);
        verifier.acceptContext(context, true);
        uint256[16] memory proof;
        vm.prank(ALICE);
        pool.borrow(USD, 10_000, binding, [GOOD], [digestOf(ALICE)], proof);
        same(USD, balance(ALICE), "paid out");
    }

    function test_limits() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        refusedLoan(0, 10_000, GOOD, abi.encodeWithSelector(CreditLine.NothingToDo.selector));
        refusedLoan(USD, 599, GOOD, abi.encodeWithSelector(CreditLine.RateTooHigh.selector, 600, 599));
        uint256 limit = 10_000 * USD;
        refusedLoan(limit + 1, 1_200, FAIR, abi.encodeWithSelector(CreditLine.AboveLimit.selector, limit, limit + 1));
        refusedLoan(USD, 10_000, -1, abi.encodeWithSelector(CreditLine.ScoreTooLow.selector, -1));
        borrow(ALICE, limit, 1_200, FAIR, digestOf(ALICE));
        refusedLoan(USD, 10_000, GOOD, abi.encodeWithSelector(CreditLine.LoanOpen.selector, ALICE));
    }

    function refusedLoan(uint256 amount, uint256 maxRate, int256 score, bytes memory expected) private {
        (, HallmarkConsumer.Binding memory binding) = pool.borrowContext(ALICE, amount, maxRate, block.timestamp);
        uint256[16] memory proof;
        vm.expectRevert(expected);
        vm.prank(ALICE);
        pool.borrow(amount, maxRate, binding, [score], [digestOf(ALICE)], proof);
    }

    function test_oldAttestationsAreNotEnough() public {
        deposit(LENDER, 100_000 * USD);
        attest(ALICE, digestOf(ALICE));
        vm.warp(NOW + 30 days + 1);
        refusedLoan(USD, 10_000, GOOD, abi.encodeWithSelector(CreditLine.AttestationExpired.selector, NOW + 30 days));
        vm.warp(NOW + 30 days);
        borrow(ALICE, USD, GOOD);
    }

    function test_aTenthOfThePoolStaysThere() public {
        deposit(LENDER, 20_000 * USD);
        attest(ALICE, digestOf(ALICE));
        uint256 most = 18_000 * USD;
        same(most, pool.available(), "available");
        refusedLoan(most + 1, 10_000, GOOD, abi.encodeWithSelector(CreditLine.PoolExhausted.selector, most, most + 1));
        borrow(ALICE, most, GOOD);
        same(0, pool.available(), "nothing more");
        // lenders may leave with the rest, after which more is lent than would be by now
        uint256 most_ = pool.maxWithdraw(LENDER);
        same(2_000 * USD, most_, "what can be withdrawn");
        vm.prank(LENDER);
        pool.withdraw(most_, LENDER, LENDER);
        same(0, pool.available(), "nothing");
        same(0, pool.cash(), "cash");
    }

    // Repayment

    function test_interestIsSimpleAndRoundedUp() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(ALICE, 1, GOOD);
        lendTo(BOB, 10_000 * USD, FAIR);
        vm.warp(NOW + 1);
        same(2, pool.owed(ALICE), "a unit for a second");
        // 10,000 at 12% for a second are 38.05 units
        same(10_000 * USD + 39, pool.owed(BOB), "a second");
        same(100_000 * USD + 38, pool.totalAssets(), "what the pool counts on");
        vm.warp(NOW + 365 days);
        same(11_200 * USD, pool.owed(BOB), "a year");
        vm.warp(NOW + 730 days);
        same(12_400 * USD, pool.owed(BOB), "two years, overdue");
    }

    function test_interestIsPaidFirst() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        vm.warp(NOW + 73 days); // 240
        same(100 * USD, repay(BOB, 100 * USD), "a part of the interest");
        same(10_140 * USD, pool.owed(BOB), "owed");
        dollar.mint(BOB, 5_000 * USD);
        vm.prank(BOB);
        dollar.approve(address(pool), ALL);
        vm.expectEmit(address(pool));
        emit Repaid(BOB, BOB, 140 * USD, 4_860 * USD);
        vm.prank(BOB);
        pool.repay(BOB, 5_000 * USD);
        same(5_140 * USD, pool.owed(BOB), "owed");
        vm.warp(NOW + 146 days);
        // the principal that is left has interest
        uint256 expected = 5_140 * USD + 5_140 * USD * 1_200 / 10_000 / 5;
        same(expected, pool.owed(BOB), "owed later");
        same(expected, repay(BOB, ALL), "everything");
        (,,, uint40 dueAt,,) = pool.loans(BOB);
        same(0, dueAt, "no loan");
        (uint256 principal, uint256 slope, uint256 interest,) = pool.book();
        check(principal == 0 && slope == 0 && interest == 0, "an empty book");
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NoLoan.selector, BOB));
        pool.repay(BOB, 1);
    }

    function test_nothingIsNoRepayment() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        reverts(CreditLine.NothingToDo.selector);
        pool.repay(BOB, 0);
    }

    function test_anybodyMayRepay() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        dollar.mint(ALICE, 20_000 * USD);
        vm.prank(ALICE);
        dollar.approve(address(pool), ALL);
        vm.expectEmit(address(pool));
        emit Repaid(BOB, ALICE, 0, 10_000 * USD);
        vm.prank(ALICE);
        same(10_000 * USD, pool.repay(BOB, 20_000 * USD), "no more than is owed");
        same(10_000 * USD, balance(ALICE), "the rest is hers");
        same(0, pool.owed(BOB), "owed");
    }

    function test_aRepaidBorrowerBorrowsAgain() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        repay(BOB, ALL);
        borrow(BOB, 5_000 * USD, FAIR);
        same(2, pool.nextNonce(BOB), "nonce");
    }

    function testFuzz_roundingIsForThePool(uint256 amount, uint256 time, uint256 part) public {
        deposit(LENDER, 100_000 * USD);
        amount = 1 + amount % (10_000 * USD);
        lendTo(BOB, amount, FAIR);
        vm.warp(NOW + time % (3 * 365 days));
        uint256 before = pool.totalAssets();
        uint256 owed = pool.owed(BOB);
        check(before <= pool.cash() + owed, "no more than is owed");
        repay(BOB, 1 + part % owed);
        check(pool.totalAssets() >= before, "a repayment is no loss");
        check(pool.owed(BOB) + part % owed + 1 >= owed, "a repayment covers what it is");
        if (pool.owed(BOB) != 0) repay(BOB, ALL);
        check(pool.totalAssets() >= before && pool.cash() == pool.totalAssets(), "cash is all");
    }

    // Default

    function test_aLoanIsWrittenOff() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        uint256 from = NOW + TERM + 14 days;
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NotYetDefaulted.selector, from));
        pool.markDefault(BOB);
        vm.warp(from);
        uint256 interest = pool.owed(BOB) - 10_000 * USD;
        vm.expectEmit(address(pool));
        emit Defaulted(BOB, 10_000 * USD, interest);
        vm.prank(ALICE);
        pool.markDefault(BOB);
        same(90_000 * USD, pool.totalAssets(), "written off");
        check(pool.barred(BOB), "barred");
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NoLoan.selector, BOB));
        pool.markDefault(BOB);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.NoLoan.selector, ALICE));
        pool.markDefault(ALICE);

        // what is recovered is a gain, and interest has stopped
        vm.warp(from + 365 days);
        same(10_000 * USD + interest, pool.owed(BOB), "no more interest");
        repay(BOB, 4_000 * USD);
        same(94_000 * USD, pool.totalAssets(), "recovered");
        repay(BOB, ALL);
        same(100_000 * USD + interest, pool.totalAssets(), "recovered in full");
        same(0, pool.owed(BOB), "owed");
        attest(BOB, digestOf(BOB));
        (, HallmarkConsumer.Binding memory binding) = pool.borrowContext(BOB, USD, 10_000, block.timestamp);
        uint256[16] memory proof;
        vm.expectRevert(abi.encodeWithSelector(CreditLine.Barred.selector, BOB));
        vm.prank(BOB);
        pool.borrow(USD, 10_000, binding, [FAIR], [digestOf(BOB)], proof);
    }

    // Lenders

    function test_lendersShareTheInterest() public {
        address second = account("second lender");
        deposit(LENDER, 60_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        vm.warp(NOW + 365 days);
        deposit(second, 61_200 * USD);
        repay(BOB, ALL);
        // the later one has no part of what came up before
        check(pool.maxWithdraw(LENDER) >= 61_200 * USD - 2, "the first");
        check(pool.maxWithdraw(second) <= 61_200 * USD, "the second");
        redeemAll(LENDER);
        redeemAll(second);
        check(pool.totalAssets() <= 3 && balance(address(pool)) == pool.cash(), "dust");
    }

    function redeemAll(address lender) private {
        uint256 shares = pool.maxRedeem(lender);
        vm.prank(lender);
        pool.redeem(shares, lender, lender);
    }

    function test_onlyCashLeaves() public {
        deposit(LENDER, 20_000 * USD);
        lendTo(ALICE, 18_000 * USD, GOOD);
        same(2_000 * USD, pool.maxWithdraw(LENDER), "assets");
        same(2_000 * USD, pool.previewRedeem(pool.maxRedeem(LENDER)), "shares");
        uint256 most = pool.maxWithdraw(LENDER);
        vm.expectRevert(abi.encodeWithSelector(ERC4626.ERC4626ExceededMaxWithdraw.selector, LENDER, most + 1, most));
        vm.prank(LENDER);
        pool.withdraw(most + 1, LENDER, LENDER);
        redeemAll(LENDER);
        same(0, pool.cash(), "cash");
    }

    function test_sharesAreMintedAndWithdrawn() public {
        dollar.mint(LENDER, 1_000 * USD);
        vm.prank(LENDER);
        dollar.approve(address(pool), ALL);
        check(pool.maxMint(LENDER) == ALL && pool.maxDeposit(LENDER) == ALL, "no limit");
        vm.prank(LENDER);
        pool.mint(1_000 * USD, LENDER);
        same(1_000 * USD, pool.cash(), "cash");
        vm.prank(LENDER);
        pool.withdraw(400 * USD, ALICE, LENDER);
        same(600 * USD, pool.cash(), "cash");
        same(400 * USD, balance(ALICE), "withdrawn");
    }

    /// @dev The first depositor cannot raise the price of a share by a transfer and round the next one down to nothing.
    function test_transfersDoNotMoveThePrice() public {
        deposit(ALICE, 1);
        dollar.mint(address(pool), 1_000_000 * USD);
        same(1, pool.totalAssets(), "assets");
        uint256 shares = deposit(BOB, 1_000 * USD);
        same(1_000 * USD, shares, "shares");
        same(1_000 * USD, pool.maxWithdraw(BOB), "worth");
    }

    // Pause

    function test_aPauseClosesTheWayInAndNotTheWayOut() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        attest(ALICE, digestOf(ALICE));
        vm.prank(GUARDIAN);
        pool.pause();
        refusedLoan(USD, 10_000, GOOD, abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        check(pool.maxDeposit(LENDER) == 0 && pool.maxMint(LENDER) == 0, "no deposits");
        vm.expectRevert(abi.encodeWithSelector(ERC4626.ERC4626ExceededMaxDeposit.selector, LENDER, 1, 0));
        vm.prank(LENDER);
        pool.deposit(1, LENDER);
        repay(BOB, ALL);
        vm.prank(LENDER);
        pool.withdraw(50_000 * USD, LENDER, LENDER);
        vm.prank(ADMIN);
        pool.unpause();
        borrow(ALICE, USD, GOOD);
    }

    function test_roles() public {
        vm.expectRevert(unauthorised(ADMIN, pool.GUARDIAN_ROLE()));
        vm.prank(ADMIN);
        pool.pause();
        vm.prank(GUARDIAN);
        pool.pause();
        bytes32 admin = pool.DEFAULT_ADMIN_ROLE();
        vm.expectRevert(unauthorised(GUARDIAN, admin));
        vm.prank(GUARDIAN);
        pool.unpause();
        vm.expectRevert(unauthorised(ALICE, admin));
        vm.prank(ALICE);
        pool.setTiers(standardTiers());
    }

    // Assets that do not behave

    function test_anAssetThatTakesFeesIsRefused() public {
        Toll toll = new Toll();
        dollar = toll;
        pool = deploy(toll);
        toll.mint(LENDER, 1_000);
        vm.prank(LENDER);
        toll.approve(address(pool), 1_000);
        vm.expectRevert(abi.encodeWithSelector(CreditLine.AssetMissing.selector, 1_000, 990));
        vm.prank(LENDER);
        pool.deposit(1_000, LENDER);
    }

    /// @dev Whatever the asset calls in the midst of a transfer, the pool's ways in and out are closed.
    function test_theAssetDoesNotReenter() public {
        Caller caller = new Caller();
        dollar = caller;
        pool = deploy(caller);
        appoint(pool);
        caller.mint(address(caller), 1_000);
        deposit(LENDER, 100_000 * USD);
        attest(BOB, digestOf(BOB));
        (, HallmarkConsumer.Binding memory binding) = pool.borrowContext(address(caller), 1, 10_000, NOW);
        uint256[16] memory proof;
        bytes[4] memory calls = [
            abi.encodeCall(pool.deposit, (1, ALICE)),
            abi.encodeCall(pool.withdraw, (0, ALICE, address(caller))),
            abi.encodeCall(pool.repay, (BOB, 1)),
            abi.encodeCall(pool.borrow, (1, 10_000, binding, [GOOD], [uint256(1)], proof))
        ];
        bytes32 expected = keccak256(abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector));
        for (uint256 i = 0; i < calls.length; i++) {
            caller.callOnTransfer(address(pool), calls[i]);
            borrow(BOB, 100, FAIR);
            check(keccak256(caller.answer()) == expected, "in a loan");
            dollar.mint(BOB, 100);
            vm.prank(BOB);
            dollar.approve(address(pool), 100);
            caller.callOnTransfer(address(pool), calls[i]);
            vm.prank(BOB);
            pool.repay(BOB, 100);
            check(keccak256(caller.answer()) == expected, "in a repayment");
            dollar.mint(ALICE, 1);
            vm.prank(ALICE);
            dollar.approve(address(pool), 1);
            caller.callOnTransfer(address(pool), calls[i]);
            vm.prank(ALICE);
            pool.deposit(1, ALICE);
            check(keccak256(caller.answer()) == expected, "in a deposit");
            caller.callOnTransfer(address(pool), calls[i]);
            vm.prank(ALICE);
            pool.withdraw(1, ALICE, ALICE);
            check(keccak256(caller.answer()) == expected, "in a withdrawal");
        }
    }

    function test_aRepaymentNeedsTheMoney() public {
        deposit(LENDER, 100_000 * USD);
        lendTo(BOB, 10_000 * USD, FAIR);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(pool), 0, 10_000 * USD)
        );
        vm.prank(BOB);
        pool.repay(BOB, ALL);
        same(10_000 * USD, pool.owed(BOB), "owed");
    }
}

/// @notice What a repayment costs, from a state that nothing has touched before.
contract RepaymentGasTest is CreditLineTest {
    function setUp() public override {
        super.setUp();
        deposit(LENDER, 100_000 * USD);
        attest(BOB, digestOf(BOB));
        borrow(BOB, 10_000 * USD, SCALE);
        dollar.mint(BOB, 1_000 * USD);
        vm.prank(BOB);
        dollar.approve(address(pool), ALL);
        vm.warp(NOW + 73 days);
    }

    function test_snapshot() public {
        vm.prank(BOB);
        pool.repay(BOB, ALL);
        vm.snapshotGasLastCall("CreditLine", "repay");
    }
}
