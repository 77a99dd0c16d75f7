// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {HallmarkGoverned} from "../../../contracts/HallmarkGoverned.sol";
import {HallmarkRegistry} from "../../../contracts/HallmarkRegistry.sol";
import {IHallmarkRegistry} from "../../../contracts/interfaces/IHallmarkRegistry.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Which models are approved, when, and who decides.
contract RegistryTest is LibraryTest {
    event ModelApproved(bytes32 indexed architectureId, bytes32 indexed modelId, uint64 from, uint64 until);
    event ModelShortened(bytes32 indexed architectureId, bytes32 indexed modelId, uint64 until);
    event ModelSuspended(bytes32 indexed architectureId, bytes32 indexed modelId, address indexed by);
    event ModelReinstated(bytes32 indexed architectureId, bytes32 indexed modelId);
    event ModelRevoked(bytes32 indexed architectureId, bytes32 indexed modelId);

    bytes32 private constant ARCHITECTURE = "architecture";
    uint64 private constant FROM = uint64(NOW + 10 days);
    uint64 private constant UNTIL = uint64(NOW + 100 days);

    HallmarkRegistry private registry;
    uint256[2] private weights = [uint256(3), 4];
    bytes32 private model = keccak256(abi.encode(ARCHITECTURE, weights));

    function setUp() public {
        vm.warp(NOW);
        registry =
            HallmarkRegistry(Deploy.made("HallmarkRegistry", "HallmarkRegistry", abi.encode(OWNER, GUARDIAN, 2 days)));
    }

    function approving(uint64 from, uint64 until) private view returns (bytes memory call) {
        return abi.encodeCall(registry.approve, (ARCHITECTURE, model, from, until));
    }

    function approve() private {
        executed(registry, approving(FROM, UNTIL));
        vm.warp(FROM);
    }

    function suspend(address by) private {
        vm.prank(by);
        registry.suspend(ARCHITECTURE, model);
    }

    function revoke() private {
        vm.prank(OWNER);
        registry.revoke(ARCHITECTURE, model);
    }

    function reinstating() private view returns (bytes memory call) {
        return abi.encodeCall(registry.reinstate, (ARCHITECTURE, model));
    }

    function notWith(HallmarkRegistry.Decision decision) private pure returns (bytes memory answer) {
        return abi.encodeWithSelector(HallmarkRegistry.NotWith.selector, decision);
    }

    /// @dev All views say the same.
    function assertStatus(IHallmarkRegistry.Status expected) private {
        same(uint256(expected), uint256(registry.statusOf(ARCHITECTURE, model)), "status");
        bytes memory error_ =
            abi.encodeWithSelector(IHallmarkRegistry.ModelNotApproved.selector, ARCHITECTURE, model, expected);
        bool approved = expected == IHallmarkRegistry.Status.Approved;
        if (!approved) vm.expectRevert(error_);
        bytes32 id = registry.requireApproved(ARCHITECTURE, weights);
        check(!approved || id == model, "id");
        if (!approved) vm.expectRevert(error_);
        registry.requireApproved(ARCHITECTURE, model);
    }

    function test_nothingIsApprovedAtFirst() public {
        assertStatus(IHallmarkRegistry.Status.Unknown);
    }

    function test_anApprovalHoldsForItsTime() public {
        vm.prank(OWNER);
        registry.schedule(approving(FROM, UNTIL));
        assertStatus(IHallmarkRegistry.Status.Unknown);
        vm.warp(NOW + 2 days);
        vm.expectEmit(address(registry));
        emit ModelApproved(ARCHITECTURE, model, FROM, UNTIL);
        vm.prank(OWNER);
        registry.approve(ARCHITECTURE, model, FROM, UNTIL);
        assertStatus(IHallmarkRegistry.Status.Early);
        vm.warp(FROM - 1);
        assertStatus(IHallmarkRegistry.Status.Early);
        vm.warp(FROM);
        assertStatus(IHallmarkRegistry.Status.Approved);
        vm.warp(UNTIL - 1);
        assertStatus(IHallmarkRegistry.Status.Approved);
        vm.warp(UNTIL);
        assertStatus(IHallmarkRegistry.Status.Expired);
        HallmarkRegistry.Entry memory entry = registry.entryOf(ARCHITECTURE, model);
        check(entry.from == FROM && entry.until == UNTIL, "time");
        check(entry.decision == HallmarkRegistry.Decision.Approved, "decision");
    }

    function testFuzz_anApprovalHoldsForItsTime(uint64 from, uint64 until, uint64 time) public {
        until = uint64(NOW + 2 days + 1 + until % 1_000 days);
        from = from % until;
        executed(registry, approving(from, until));
        time = uint64(NOW + 2 days + time % 2_000 days);
        vm.warp(time);
        if (time < from) assertStatus(IHallmarkRegistry.Status.Early);
        else if (time < until) assertStatus(IHallmarkRegistry.Status.Approved);
        else assertStatus(IHallmarkRegistry.Status.Expired);
    }

    function testFuzz_nothingElseIsApprovedWithIt(bytes32 architecture, uint256[2] memory others) public {
        approve();
        bytes32 other = keccak256(abi.encode(architecture, others));
        vm.assume(other != model);
        bytes memory expected = abi.encodeWithSelector(
            IHallmarkRegistry.ModelNotApproved.selector, architecture, other, IHallmarkRegistry.Status.Unknown
        );
        vm.expectRevert(expected);
        registry.requireApproved(architecture, others);
        // the right model in another architecture
        vm.assume(architecture != ARCHITECTURE);
        check(registry.statusOf(architecture, model) == IHallmarkRegistry.Status.Unknown, "another architecture");
    }

    function test_emptyTimesAreRefused() public {
        uint64[2][4] memory times = [
            [FROM, FROM],
            [UNTIL, FROM],
            [uint64(NOW), uint64(NOW + 1 days)],
            [uint64(NOW + 2 days), uint64(NOW + 2 days)]
        ];
        for (uint256 i = 0; i < times.length; i++) {
            vm.warp(NOW);
            refused(
                registry,
                approving(times[i][0], times[i][1]),
                abi.encodeWithSelector(HallmarkRegistry.WindowEmpty.selector, times[i][0], times[i][1])
            );
        }
    }

    function test_anApprovalIsGivenAnotherTime() public {
        approve();
        executed(registry, approving(0, UNTIL + 10 days));
        vm.warp(UNTIL);
        assertStatus(IHallmarkRegistry.Status.Approved);
    }

    function test_approvingTakesTheTimelock() public {
        bytes32 id = keccak256(approving(FROM, UNTIL));
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationUnknown.selector, id));
        vm.prank(OWNER);
        registry.approve(ARCHITECTURE, model, FROM, UNTIL);
    }

    function test_ownerAndGuardianSuspendAtOnce() public {
        approve();
        address[2] memory who = [OWNER, GUARDIAN];
        for (uint256 i = 0; i < who.length; i++) {
            vm.expectEmit(address(registry));
            emit ModelSuspended(ARCHITECTURE, model, who[i]);
            suspend(who[i]);
            assertStatus(IHallmarkRegistry.Status.Suspended);
            vm.prank(OWNER);
            registry.schedule(reinstating());
            vm.warp(FROM + (i + 1) * 2 days); // via-IR reads the clock once
            vm.expectEmit(address(registry));
            emit ModelReinstated(ARCHITECTURE, model);
            vm.prank(OWNER);
            registry.reinstate(ARCHITECTURE, model);
            assertStatus(IHallmarkRegistry.Status.Approved);
        }
    }

    function test_aSuspensionIsNotApprovedAway() public {
        approve();
        suspend(GUARDIAN);
        refused(registry, approving(FROM, UNTIL), notWith(HallmarkRegistry.Decision.Suspended));
        assertStatus(IHallmarkRegistry.Status.Suspended);
    }

    /// @dev Bytes behind the arguments make other announcements of the same, so that the guardian could not cancel them all.
    function test_whatWasScheduledBeforeTheSuspensionDoesNotLiftIt() public {
        approve();
        bytes[2] memory early = [reinstating(), bytes.concat(reinstating(), hex"00")];
        for (uint256 i = 0; i < early.length; i++) {
            vm.prank(OWNER);
            registry.schedule(early[i]);
        }
        vm.warp(FROM + 3 days);
        suspend(GUARDIAN);
        bytes memory expected =
            abi.encodeWithSelector(HallmarkRegistry.AnnouncedBeforeSuspension.selector, model, FROM + 3 days);
        for (uint256 i = 0; i < early.length; i++) {
            vm.prank(OWNER);
            (bool success, bytes memory answer) = address(registry).call(early[i]);
            check(!success && keccak256(answer) == keccak256(expected), "announced before the suspension");
        }
        assertStatus(IHallmarkRegistry.Status.Suspended);
        executed(registry, bytes.concat(reinstating(), hex"0000"));
        assertStatus(IHallmarkRegistry.Status.Approved);
    }

    function test_onlyWhatIsApprovedIsSuspendedAndTheOtherWayRound() public {
        vm.expectRevert(notWith(HallmarkRegistry.Decision.None));
        suspend(GUARDIAN);
        refused(registry, reinstating(), notWith(HallmarkRegistry.Decision.None));
        vm.warp(NOW);
        approve();
        vm.warp(NOW + 30 days);
        refused(registry, reinstating(), notWith(HallmarkRegistry.Decision.Approved));
    }

    function test_anApprovalEndsEarlier() public {
        approve();
        uint64 until = uint64(block.timestamp + 1);
        vm.expectEmit(address(registry));
        emit ModelShortened(ARCHITECTURE, model, until);
        vm.prank(OWNER);
        registry.shorten(ARCHITECTURE, model, until);
        assertStatus(IHallmarkRegistry.Status.Approved);
        vm.warp(until);
        assertStatus(IHallmarkRegistry.Status.Expired);
        vm.expectRevert(abi.encodeWithSelector(HallmarkRegistry.NotShorter.selector, until));
        vm.prank(OWNER);
        registry.shorten(ARCHITECTURE, model, until);
    }

    function test_aRevocationIsForGood() public {
        approve();
        vm.expectEmit(address(registry));
        emit ModelRevoked(ARCHITECTURE, model);
        revoke();
        assertStatus(IHallmarkRegistry.Status.Revoked);
        refused(registry, approving(FROM, UNTIL), notWith(HallmarkRegistry.Decision.Revoked));
        vm.expectRevert(notWith(HallmarkRegistry.Decision.Revoked));
        suspend(GUARDIAN);
        refused(registry, reinstating(), notWith(HallmarkRegistry.Decision.Revoked));
        vm.expectRevert(notWith(HallmarkRegistry.Decision.Revoked));
        revoke();
        assertStatus(IHallmarkRegistry.Status.Revoked);
    }

    function test_aModelIsRevokedBeforeItWasEverApproved() public {
        revoke();
        refused(registry, approving(FROM, UNTIL), notWith(HallmarkRegistry.Decision.Revoked));
    }

    function test_othersChangeNothing() public {
        approve();
        address[2] memory who = [ALICE, GUARDIAN];
        for (uint256 i = 0; i < who.length; i++) {
            bytes memory expected = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, who[i]);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            registry.approve(ARCHITECTURE, model, FROM, UNTIL);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            registry.reinstate(ARCHITECTURE, model);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            registry.shorten(ARCHITECTURE, model, 0);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            registry.revoke(ARCHITECTURE, model);
        }
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.NotGuardian.selector, ALICE));
        suspend(ALICE);
    }

    function test_snapshot() public {
        approve();
        vm.cool(address(registry)); // its storage, as a transaction of its own finds it
        registry.requireApproved(ARCHITECTURE, weights);
        vm.snapshotGasLastCall("HallmarkRegistry", "requireApproved");
        check(address(registry).code.length <= 24_576, "EIP-170");
    }
}
