// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {CreditLine} from "../../../../contracts/examples/CreditLine.sol";
import {HallmarkCall} from "../../../../contracts/HallmarkCall.sol";
import {HallmarkConsumer} from "../../../../contracts/HallmarkConsumer.sol";
import {MockHallmarkVerifier} from "../../../../contracts/mocks/MockHallmarkVerifier.sol";
import {Deploy} from "../../utils/Deploy.sol";
import {vm} from "../../utils/Vm.sol";
import {LibraryTest} from "./LibraryTest.sol";
import {Dollar} from "./Tokens.sol";

/// @notice A pool with a mock verifier that accepts everything, so that scores can be anything.
abstract contract CreditLineTest is LibraryTest {
    bytes32 internal constant MODEL = "credit";
    int128 internal constant SCALE = 17592186044416;
    uint256 internal constant TERM = 180 days;
    uint256 internal constant USD = 1e6;
    uint256 internal constant ALL = type(uint256).max;

    address internal immutable ADMIN = account("admin");
    address internal immutable ATTESTER = account("attester");
    address internal immutable LENDER = account("lender");

    Dollar internal dollar;
    MockHallmarkVerifier internal verifier;
    CreditLine internal pool;

    function setUp() public virtual {
        vm.warp(NOW);
        dollar = new Dollar();
        verifier = mock(MODEL, HallmarkCall.Shape(0, 1, 1, 16));
        verifier.acceptAll(true);
        pool = deploy(dollar);
        appoint(pool);
    }

    function deploy(Dollar asset) internal returns (CreditLine line) {
        return deploy(asset, MODEL, TERM);
    }

    function deploy(Dollar asset, bytes32 model, uint256 term) internal returns (CreditLine line) {
        bytes memory arguments = abi.encode(asset, verifier, model, term, standardTiers(), ADMIN);
        return CreditLine(Deploy.made("CreditLine", "CreditLine", arguments));
    }

    /// @dev Log-odds of 1.5 and more: 6% a year on up to 50,000; of 0 and more: 12% on up to 10,000.
    function standardTiers() internal pure returns (CreditLine.Tier[] memory tiers) {
        tiers = new CreditLine.Tier[](2);
        tiers[0] = CreditLine.Tier(3 * SCALE / 2, 600, uint96(50_000 * USD));
        tiers[1] = CreditLine.Tier(0, 1_200, uint96(10_000 * USD));
    }

    function appoint(CreditLine line) internal {
        (bytes32 attester, bytes32 guardian) = (line.ATTESTER_ROLE(), line.GUARDIAN_ROLE());
        vm.prank(ADMIN);
        line.grantRole(attester, ATTESTER);
        vm.prank(ADMIN);
        line.grantRole(guardian, GUARDIAN);
    }

    function deposit(address lender, uint256 amount) internal returns (uint256 shares) {
        dollar.mint(lender, amount);
        vm.prank(lender);
        dollar.approve(address(pool), amount);
        vm.prank(lender);
        return pool.deposit(amount, lender);
    }

    function attest(address applicant, uint256 digest) internal {
        vm.prank(ATTESTER);
        pool.attest(applicant, digest, block.timestamp + 30 days);
    }

    /// @dev Data of the applicant alone.
    function digestOf(address applicant) internal pure returns (uint256 digest) {
        return uint256(keccak256(abi.encode(applicant))) >> 8;
    }

    function borrow(address borrower, uint256 amount, int256 score) internal {
        borrow(borrower, amount, 10_000, score, digestOf(borrower));
    }

    function borrow(address borrower, uint256 amount, uint256 maxRate, int256 score, uint256 digest) internal {
        (, HallmarkConsumer.Binding memory binding) =
            pool.borrowContext(borrower, amount, maxRate, block.timestamp + 1 hours);
        uint256[16] memory proof;
        vm.prank(borrower);
        pool.borrow(amount, maxRate, binding, [score], [digest], proof);
    }

    function repay(address borrower, uint256 amount) internal returns (uint256 paid) {
        uint256 most = amount == ALL ? pool.owed(borrower) : amount;
        dollar.mint(borrower, most);
        vm.prank(borrower);
        dollar.approve(address(pool), most);
        vm.prank(borrower);
        return pool.repay(borrower, amount);
    }

    function balance(address who) internal view returns (uint256 amount) {
        return IERC20(dollar).balanceOf(who);
    }
}
