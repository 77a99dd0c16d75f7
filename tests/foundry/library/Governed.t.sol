// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {HallmarkGoverned} from "../../../contracts/HallmarkGoverned.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Something that the owner may do once it was announced.
contract Dial is HallmarkGoverned {
    uint256 public value;

    constructor(address owner_, address guardian_, uint256 delay) HallmarkGoverned(owner_, guardian_, delay) {}

    function turn(uint256 value_) external onlyOwner timelocked {
        value = value_;
    }
}

/// @notice Owner, guardian and timelock.
contract GovernedTest is LibraryTest {
    event OperationScheduled(bytes32 indexed id, bytes call, uint256 readyAt);
    event OperationCancelled(bytes32 indexed id, address indexed by);
    event OperationExecuted(bytes32 indexed id);
    event GuardianSet(address indexed from, address indexed to);

    uint256 private constant DELAY = 2 days;

    Dial private dial;
    bytes private call;
    bytes32 private id;

    function setUp() public {
        vm.warp(NOW);
        dial = new Dial(OWNER, GUARDIAN, DELAY);
        call = abi.encodeCall(dial.turn, (5));
        id = keccak256(call);
    }

    function schedule() private {
        vm.prank(OWNER);
        dial.schedule(call);
    }

    function turn() private {
        vm.prank(OWNER);
        dial.turn(5);
    }

    function failure(bytes4 selector) private view returns (bytes memory answer) {
        return abi.encodeWithSelector(selector, id);
    }

    function test_itBeginsAsItWasDeployed() public view {
        check(dial.owner() == OWNER && dial.guardian() == GUARDIAN && dial.DELAY() == DELAY, "parameters");
    }

    function test_deploymentsWithoutProtectionAreRefused() public {
        uint256[4] memory delays = [uint256(0), 1 days - 1, 30 days + 1, type(uint256).max];
        for (uint256 i = 0; i < delays.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.DelayOutOfRange.selector, delays[i]));
            new Dial(OWNER, GUARDIAN, delays[i]);
        }
        reverts(HallmarkGoverned.NoGuardian.selector);
        new Dial(OWNER, address(0), DELAY);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableInvalidOwner.selector, address(0)));
        new Dial(address(0), GUARDIAN, DELAY);
        new Dial(OWNER, GUARDIAN, 1 days);
        new Dial(OWNER, GUARDIAN, 30 days);
    }

    function test_anAnnouncedCallIsMadeAfterTheDelay() public {
        vm.expectEmit(address(dial));
        emit OperationScheduled(id, call, NOW + DELAY);
        vm.prank(OWNER);
        check(dial.schedule(call) == id, "id");
        vm.warp(NOW + DELAY);
        vm.expectEmit(address(dial));
        emit OperationExecuted(id);
        turn();
        same(5, dial.value(), "value");
    }

    function test_notWithoutAnnouncement() public {
        vm.expectRevert(failure(HallmarkGoverned.OperationUnknown.selector));
        turn();
    }

    function test_notAnotherCallThanTheAnnouncedOne() public {
        schedule();
        vm.warp(NOW + DELAY);
        bytes32 other = keccak256(abi.encodeCall(dial.turn, (6)));
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationUnknown.selector, other));
        vm.prank(OWNER);
        dial.turn(6);
    }

    function test_notOnceMore() public {
        schedule();
        vm.warp(NOW + DELAY);
        turn();
        vm.expectRevert(failure(HallmarkGoverned.OperationUnknown.selector));
        turn();
    }

    function testFuzz_onlyInItsTime(uint256 later) public {
        schedule();
        later %= 100 days;
        vm.warp(NOW + later);
        if (later < DELAY) {
            vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationNotReady.selector, id, NOW + DELAY));
        } else if (later > DELAY + 14 days) {
            vm.expectRevert(
                abi.encodeWithSelector(HallmarkGoverned.OperationExpired.selector, id, NOW + DELAY + 14 days)
            );
        }
        turn();
    }

    function test_itsTimeIncludesBothEnds() public {
        schedule();
        vm.warp(NOW + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationNotReady.selector, id, NOW + DELAY));
        turn();
        vm.warp(NOW + DELAY + 14 days + 1);
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationExpired.selector, id, NOW + DELAY + 14 days));
        turn();
        vm.warp(NOW + DELAY + 14 days);
        turn();
    }

    function test_announcedTwiceOnlyIfTheFirstHasExpired() public {
        schedule();
        vm.warp(NOW + DELAY + 14 days);
        vm.expectRevert(failure(HallmarkGoverned.OperationPending.selector));
        schedule();
        vm.warp(NOW + DELAY + 14 days + 1);
        schedule();
        vm.warp(block.timestamp + DELAY);
        turn();
    }

    function test_onlyTheOwnerAnnouncesAndCalls() public {
        address[2] memory others = [GUARDIAN, ALICE];
        for (uint256 i = 0; i < others.length; i++) {
            bytes memory expected = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, others[i]);
            vm.expectRevert(expected);
            vm.prank(others[i]);
            dial.schedule(call);
            vm.expectRevert(expected);
            vm.prank(others[i]);
            dial.turn(5);
            vm.expectRevert(expected);
            vm.prank(others[i]);
            dial.setGuardian(ALICE);
        }
    }

    function test_ownerAndGuardianCancel() public {
        address[2] memory who = [OWNER, GUARDIAN];
        for (uint256 i = 0; i < who.length; i++) {
            schedule();
            vm.expectEmit(address(dial));
            emit OperationCancelled(id, who[i]);
            vm.prank(who[i]);
            dial.cancel(id);
            vm.warp(block.timestamp + DELAY);
            vm.expectRevert(failure(HallmarkGoverned.OperationUnknown.selector));
            turn();
        }
    }

    function test_nobodyElseCancels() public {
        schedule();
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.NotGuardian.selector, ALICE));
        vm.prank(ALICE);
        dial.cancel(id);
    }

    function test_nothingIsCancelledThatIsNotThere() public {
        vm.expectRevert(failure(HallmarkGoverned.OperationUnknown.selector));
        vm.prank(OWNER);
        dial.cancel(id);
    }

    function test_theGuardianIsReplacedThroughTheTimelock() public {
        bytes memory replacement = abi.encodeCall(dial.setGuardian, (ALICE));
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationUnknown.selector, keccak256(replacement)));
        vm.prank(OWNER);
        dial.setGuardian(ALICE);
        vm.prank(OWNER);
        dial.schedule(replacement);
        vm.warp(NOW + DELAY);
        vm.expectEmit(address(dial));
        emit GuardianSet(GUARDIAN, ALICE);
        vm.prank(OWNER);
        dial.setGuardian(ALICE);
        check(dial.guardian() == ALICE, "guardian");
        refused(
            dial,
            abi.encodeCall(dial.setGuardian, (address(0))),
            abi.encodeWithSelector(HallmarkGoverned.NoGuardian.selector)
        );
    }

    function test_theGuardianDoesNotPreventItsReplacement() public {
        bytes memory replacement = abi.encodeCall(dial.setGuardian, (ALICE));
        bytes32 operation = keccak256(replacement);
        vm.prank(OWNER);
        dial.schedule(replacement);
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OwnersOperation.selector, operation));
        vm.prank(GUARDIAN);
        dial.cancel(operation);
        vm.prank(OWNER);
        dial.cancel(operation);
    }

    function test_ownershipGoesInTwoStepsAndIsNotGivenUp() public {
        vm.prank(OWNER);
        dial.transferOwnership(ALICE);
        check(dial.owner() == OWNER, "in one step");
        vm.prank(ALICE);
        dial.acceptOwnership();
        check(dial.owner() == ALICE, "in two steps");
        reverts(HallmarkGoverned.RenouncingRefused.selector);
        vm.prank(ALICE);
        dial.renounceOwnership();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, OWNER));
        vm.prank(OWNER);
        dial.renounceOwnership();
    }
}
