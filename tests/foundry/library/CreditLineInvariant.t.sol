// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {CreditLine} from "../../../contracts/examples/CreditLine.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {vm} from "../utils/Vm.sol";
import {CreditLineTest} from "./utils/CreditLineTest.sol";
import {InvariantTest} from "./utils/InvariantTest.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";
import {Dollar} from "./utils/Tokens.sol";

/// @notice Lenders and borrowers who do whatever they may, in any order; and a count of what went in and out.
contract CreditLineHandler is LibraryTest {
    CreditLine private immutable POOL;
    Dollar private immutable DOLLAR;
    address private immutable ATTESTER;
    address private immutable GUARD;
    address private immutable ADMIN;

    address[4] public lenders;
    address[5] public borrowers;

    /// @notice What was sent to the pool without a call.
    uint256 public donated;
    uint256 public deposited;
    uint256 public withdrawn;
    mapping(address borrower => uint256 amount) public lent;
    mapping(address borrower => uint256 amount) public repaid;

    /// @notice How often each thing was done, so that a test can see that it was.
    mapping(bytes4 selector => uint256 count) public done;

    constructor(CreditLine pool, Dollar dollar, address attester, address guard, address admin) {
        (POOL, DOLLAR, ATTESTER, GUARD, ADMIN) = (pool, dollar, attester, guard, admin);
        lenders = [account("l0"), account("l1"), account("l2"), account("l3")];
        borrowers = [account("b0"), account("b1"), account("b2"), account("b3"), account("b4")];
    }

    /// @dev Nothing that anybody does makes the shares of the others worth less; but a default does.
    modifier noLoss() {
        (uint256 assets, uint256 shares) = (POOL.totalAssets(), POOL.totalSupply());
        _;
        check((POOL.totalAssets() + 1) * (shares + 1) >= (assets + 1) * (POOL.totalSupply() + 1), "a loss");
    }

    function lender(uint256 seed) private view returns (address who) {
        return lenders[seed % lenders.length];
    }

    function borrower(uint256 seed) private view returns (address who) {
        return borrowers[seed % borrowers.length];
    }

    function give(address who, uint256 amount) private {
        DOLLAR.mint(who, amount);
        vm.prank(who);
        DOLLAR.approve(address(POOL), amount);
    }

    function deposit(uint256 seed, uint256 amount) external noLoss {
        if (POOL.paused()) return;
        address who = lender(seed);
        amount %= 1e12;
        give(who, amount);
        deposited += amount;
        vm.prank(who);
        POOL.deposit(amount, who);
        done[msg.sig]++;
    }

    function mint(uint256 seed, uint256 shares) external noLoss {
        if (POOL.paused()) return;
        address who = lender(seed);
        shares %= 1e11;
        uint256 amount = POOL.previewMint(shares);
        give(who, amount);
        deposited += amount;
        vm.prank(who);
        POOL.mint(shares, who);
        done[msg.sig]++;
    }

    function withdraw(uint256 seed, uint256 amount) external noLoss {
        address who = lender(seed);
        amount %= POOL.maxWithdraw(who) + 1;
        withdrawn += amount;
        vm.prank(who);
        POOL.withdraw(amount, who, who);
        done[msg.sig]++;
    }

    function redeem(uint256 seed, uint256 shares) external noLoss {
        address who = lender(seed);
        shares %= POOL.maxRedeem(who) + 1;
        vm.prank(who);
        withdrawn += POOL.redeem(shares, who, who);
        done[msg.sig]++;
    }

    function borrow(uint256 seed, uint256 amount, uint256 score) external noLoss {
        address who = borrower(seed);
        (,,, uint40 dueAt,,) = POOL.loans(who);
        if (dueAt != 0 || POOL.barred(who) || POOL.paused()) return;
        int256 given = int256(score % (1 << 46));
        uint256 most = POOL.available();
        uint256 limit = POOL.tierOf(given).limit;
        if (limit < most) most = limit;
        if (most == 0) return;
        amount = 1 + amount % most;
        uint256 digest = uint256(uint160(who));
        vm.prank(ATTESTER);
        POOL.attest(who, digest, block.timestamp);
        (, HallmarkConsumer.Binding memory binding) = POOL.borrowContext(who, amount, 10_000, block.timestamp);
        uint256[16] memory proof;
        lent[who] += amount;
        vm.prank(who);
        POOL.borrow(amount, 10_000, binding, [given], [digest], proof);
        done[msg.sig]++;
    }

    function repay(uint256 seed, uint256 amount, bool everything) external noLoss {
        address who = borrower(seed);
        uint256 owed = POOL.owed(who);
        if (owed == 0) return;
        amount = everything ? owed : 1 + amount % owed;
        give(who, amount);
        repaid[who] += amount;
        vm.prank(who);
        same(amount, POOL.repay(who, amount), "paid");
        same(owed - amount, POOL.owed(who), "what is owed falls by what is paid");
        done[msg.sig]++;
    }

    function markDefault(uint256 seed) external {
        address who = borrower(seed);
        (,,, uint40 dueAt, bool writtenOff,) = POOL.loans(who);
        if (dueAt == 0 || writtenOff) return;
        if (block.timestamp < dueAt + POOL.GRACE()) vm.warp(dueAt + POOL.GRACE());
        uint256 owed = POOL.owed(who);
        POOL.markDefault(who);
        same(owed, POOL.owed(who), "a default is no remission");
        done[msg.sig]++;
    }

    function donate(uint256 amount) external noLoss {
        amount %= 1e12;
        donated += amount;
        DOLLAR.mint(address(POOL), amount);
        done[msg.sig]++;
    }

    function pause() external noLoss {
        bool paused = POOL.paused();
        vm.prank(paused ? ADMIN : GUARD);
        if (paused) POOL.unpause();
        else POOL.pause();
        done[msg.sig]++;
    }

    function wait_(uint256 time) external noLoss {
        vm.warp(block.timestamp + time % 30 days);
        done[msg.sig]++;
    }
}

/// @notice What holds of the pool's accounts whatever anybody does.
contract CreditLineInvariantTest is CreditLineTest, InvariantTest {
    CreditLineHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new CreditLineHandler(pool, dollar, ATTESTER, GUARDIAN, ADMIN);
        bytes4[] memory selectors = new bytes4[](10);
        selectors[0] = handler.deposit.selector;
        selectors[1] = handler.mint.selector;
        selectors[2] = handler.withdraw.selector;
        selectors[3] = handler.redeem.selector;
        selectors[4] = handler.borrow.selector;
        selectors[5] = handler.repay.selector;
        selectors[6] = handler.markDefault.selector;
        selectors[7] = handler.donate.selector;
        selectors[8] = handler.pause.selector;
        selectors[9] = handler.wait_.selector;
        target(address(handler), selectors);
    }

    /// @notice What was counted is there, to the last unit.
    function invariant_cashIsThere() public view {
        same(pool.cash() + handler.donated(), balance(address(pool)), "cash");
        uint256 paid = handler.deposited();
        uint256 out = handler.withdrawn();
        for (uint256 i = 0; i < 5; i++) {
            paid += handler.repaid(handler.borrowers(i));
            out += handler.lent(handler.borrowers(i));
        }
        same(paid - out, pool.cash(), "in and out");
    }

    /// @notice The book is the sum of the loans, exactly.
    function invariant_theBookIsTheSumOfTheLoans() public view {
        uint256 principal;
        uint256 slope;
        uint256 interest;
        uint256 owed;
        for (uint256 i = 0; i < 5; i++) {
            address who = handler.borrowers(i);
            (uint128 part, uint32 rate, uint40 updatedAt, uint40 dueAt, bool writtenOff, uint256 unpaid) =
                pool.loans(who);
            if (dueAt == 0 || writtenOff) continue;
            principal += part;
            slope += uint256(part) * rate;
            interest += unpaid + uint256(part) * rate * (block.timestamp - updatedAt);
            owed += pool.owed(who);
        }
        (uint256 bookPrincipal, uint256 bookSlope, uint256 bookInterest, uint256 updatedAt_) = pool.book();
        same(principal, bookPrincipal, "principal");
        same(slope, bookSlope, "slope");
        same(interest, bookInterest + bookSlope * (block.timestamp - updatedAt_), "interest");
        check(pool.totalAssets() <= pool.cash() + owed, "the pool counts on more than it is owed");
        check(pool.totalAssets() + 5 >= pool.cash() + owed, "rounding is a unit a loan");
    }

    /// @notice All lenders together cannot have more than there is.
    function invariant_sharesAreCovered() public view {
        uint256 worth;
        uint256 shares;
        for (uint256 i = 0; i < 4; i++) {
            worth += pool.convertToAssets(pool.balanceOf(handler.lenders(i)));
            shares += pool.balanceOf(handler.lenders(i));
        }
        same(pool.totalSupply(), shares, "shares");
        check(worth <= pool.totalAssets(), "worth");
    }

    /// @notice Nobody borrows without owing it.
    function invariant_borrowersOweWhatTheyHave() public view {
        for (uint256 i = 0; i < 5; i++) {
            address who = handler.borrowers(i);
            check(pool.owed(who) + handler.repaid(who) >= handler.lent(who), "owed");
            if (pool.barred(who)) continue;
            (,,,, bool writtenOff,) = pool.loans(who);
            check(!writtenOff, "written off and not barred");
        }
    }

    /// @dev Enough of everything happens in a run of forge's length. Borrowers take turns: a loan is repaid at once, or the next time, or is
    /// one of those that default.
    function test_theHandlerGetsThere() public {
        for (uint256 i = 0; i < 40; i++) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            handler.deposit(seed, seed);
            handler.mint(seed >> 1, seed);
            handler.borrow(i, seed, seed >> 3);
            handler.wait_(seed);
            handler.repay(i, seed, i % 2 == 0);
            handler.withdraw(seed, seed >> 9);
            handler.redeem(seed >> 1, seed >> 9);
            handler.donate(seed);
            if (i % 8 == 7) handler.markDefault(i);
            invariant_cashIsThere();
            invariant_theBookIsTheSumOfTheLoans();
            invariant_sharesAreCovered();
            invariant_borrowersOweWhatTheyHave();
        }
        same(40, handler.done(handler.deposit.selector), "deposits");
        same(17, handler.done(handler.borrow.selector), "loans");
        same(5, handler.done(handler.markDefault.selector), "defaults");
        check(handler.done(handler.repay.selector) >= 30, "repayments");
    }
}
