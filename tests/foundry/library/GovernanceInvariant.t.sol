// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {HallmarkGoverned} from "../../../contracts/HallmarkGoverned.sol";
import {HallmarkRegistry} from "../../../contracts/HallmarkRegistry.sol";
import {HallmarkRouter} from "../../../contracts/HallmarkRouter.sol";
import {IHallmarkRegistry} from "../../../contracts/interfaces/IHallmarkRegistry.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {IScoreVerifier, ScoreConsumer} from "./utils/Consumers.sol";
import {InvariantTest} from "./utils/InvariantTest.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Owner, guardian and consumers who call everything in any order, most of it at the wrong time, and a memory of what must not
/// come back. Calls that are refused are part of it: they go through low-level calls.
contract GovernanceHandler is LibraryTest {
    HallmarkRouter public immutable ROUTER;
    HallmarkRegistry public immutable REGISTRY;
    ScoreConsumer public immutable CONSUMER;

    MockHallmarkVerifier[4] public verifiers;

    mapping(bytes32 key => bool removed) public removed;
    mapping(bytes32 key => address verifier) public leads;
    mapping(bytes32 model => bool revoked) public revoked;
    mapping(bytes32 id => uint256 at_) public scheduledAt;
    bool public frozen;
    uint256 public routesWhenFrozen;
    uint256 public used;
    uint256 public additions;

    constructor(HallmarkRouter router, HallmarkRegistry registry, ScoreConsumer consumer) {
        (ROUTER, REGISTRY, CONSUMER) = (router, registry, consumer);
        for (uint256 i = 0; i < 4; i++) {
            verifiers[i] = mock(keyOf(i));
        }
    }

    function keyOf(uint256 seed) public pure returns (bytes32 key) {
        return bytes32("key") | bytes32(seed % 4 + 1);
    }

    function by(address who, HallmarkGoverned governed, bytes memory call) private returns (bool success) {
        vm.prank(who);
        (success,) = address(governed).call(call);
    }

    function someone(uint256 seed) private view returns (address who) {
        return [OWNER, OWNER, OWNER, GUARDIAN, ALICE][seed % 5];
    }

    /// @dev A call of the timelock, announced or made: whatever comes first.
    function timelocked(HallmarkGoverned governed, bytes memory call, uint256 seed) private returns (bool success) {
        bytes32 id = keccak256(call);
        address who = someone(seed);
        success = by(who, governed, call);
        if (!success) {
            if (by(who, governed, abi.encodeCall(governed.schedule, (call)))) scheduledAt[id] = block.timestamp;
            return false;
        }
        check(who == OWNER, "only the owner");
        check(scheduledAt[id] != 0 && block.timestamp >= scheduledAt[id] + governed.DELAY(), "too early");
        scheduledAt[id] = 0;
    }

    function addRoute(uint256 seed, uint256 caller) external {
        bytes32 key = keyOf(seed);
        HallmarkCall.Shape memory shape = HallmarkCall.Shape(0, 1, 0, 12);
        address verifier = address(verifiers[seed % 4]);
        if (timelocked(ROUTER, abi.encodeCall(ROUTER.addRoute, (key, verifier, verifier.codehash, shape)), caller)) {
            check(!removed[key] && leads[key] == address(0) && !frozen, "a route that must not be added");
            leads[key] = verifier;
            additions++;
        }
    }

    function resume(uint256 seed, uint256 caller) external {
        timelocked(ROUTER, abi.encodeCall(ROUTER.resume, (keyOf(seed))), caller);
    }

    function stop(uint256 seed, uint256 caller) external {
        bytes32[] memory keys = new bytes32[](1);
        keys[0] = keyOf(seed);
        if (by(someone(caller), ROUTER, abi.encodeCall(ROUTER.stop, (keys)))) {
            check(someone(caller) != ALICE, "stopped by anybody");
            check(ROUTER.routeOf(keys[0]).state != HallmarkRouter.State.Active, "not stopped");
        }
    }

    /// @dev Seldom, or nothing would be left.
    function remove(uint256 seed, uint256 caller) external {
        if (seed % 8 != 0) return;
        bytes32 key = keyOf(seed >> 3);
        if (by(someone(caller), ROUTER, abi.encodeCall(ROUTER.remove, (key)))) removed[key] = true;
    }

    function freeze(uint256 seed, uint256 caller) external {
        if (seed % 16 != 0) return;
        if (by(someone(caller), ROUTER, abi.encodeCall(ROUTER.freeze, ()))) {
            (frozen, routesWhenFrozen) = (true, ROUTER.allKeys().length);
        }
    }

    function approve(uint256 seed, uint256 caller, uint64 time) external {
        uint64 until = uint64(block.timestamp / 30 days + 2 + time % 3) * 30 days;
        bytes memory call = abi.encodeCall(REGISTRY.approve, ("architecture", keyOf(seed), 0, until));
        if (timelocked(REGISTRY, call, caller)) check(!revoked[keyOf(seed)], "approved after its revocation");
    }

    function reinstate(uint256 seed, uint256 caller) external {
        timelocked(REGISTRY, abi.encodeCall(REGISTRY.reinstate, ("architecture", keyOf(seed))), caller);
    }

    function suspend(uint256 seed, uint256 caller) external {
        by(someone(caller), REGISTRY, abi.encodeCall(REGISTRY.suspend, ("architecture", keyOf(seed))));
    }

    function revoke(uint256 seed, uint256 caller) external {
        if (seed % 8 != 0) return;
        bytes32 key = keyOf(seed >> 3);
        if (by(someone(caller), REGISTRY, abi.encodeCall(REGISTRY.revoke, ("architecture", key)))) revoked[key] = true;
    }

    /// @dev A proof that the mock accepts, in either flavour; and the same once more, which is refused.
    function consume(uint256 seed, bool ordered, uint8 nonce) external {
        address who = someone(seed);
        bytes32 action = CONSUMER.actionOf(seed % 3);
        (, HallmarkConsumer.Binding memory binding) = ordered
            ? CONSUMER.sequentialContext(who, action, block.timestamp)
            : CONSUMER.unorderedContext(who, action, nonce, block.timestamp);
        int256[1] memory score;
        uint256[12] memory proof;
        bytes memory call = ordered
            ? abi.encodeCall(CONSUMER.recordInOrder, (seed % 3, binding, score, proof))
            : abi.encodeCall(CONSUMER.record, (seed % 3, binding, score, proof));
        vm.prank(who);
        (bool success,) = address(CONSUMER).call(call);
        if (success) used++;
        vm.prank(who);
        (success,) = address(CONSUMER).call(call);
        check(!success, "used twice");
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + time % 2 days);
    }
}

/// @notice What holds of router, registry and consumer whatever anybody does.
contract GovernanceInvariantTest is LibraryTest, InvariantTest {
    GovernanceHandler private handler;
    HallmarkRouter private router;
    HallmarkRegistry private registry;
    ScoreConsumer private consumer;

    function setUp() public {
        vm.warp(NOW);
        bytes memory arguments = abi.encode(OWNER, GUARDIAN, 1 days);
        router = HallmarkRouter(Deploy.made("HallmarkRouter", "HallmarkRouter", arguments));
        registry = HallmarkRegistry(Deploy.made("HallmarkRegistry", "HallmarkRegistry", arguments));
        MockHallmarkVerifier verifier = mock("credit");
        verifier.acceptAll(true);
        consumer = new ScoreConsumer(IScoreVerifier(address(verifier)));
        handler = new GovernanceHandler(router, registry, consumer);
        bytes4[] memory selectors = new bytes4[](11);
        selectors[0] = handler.addRoute.selector;
        selectors[1] = handler.resume.selector;
        selectors[2] = handler.stop.selector;
        selectors[3] = handler.remove.selector;
        selectors[4] = handler.freeze.selector;
        selectors[5] = handler.approve.selector;
        selectors[6] = handler.reinstate.selector;
        selectors[7] = handler.suspend.selector;
        selectors[8] = handler.revoke.selector;
        selectors[9] = handler.consume.selector;
        selectors[10] = handler.wait_.selector;
        target(address(handler), selectors);
    }

    /// @notice A key leads to where it was first led, or nowhere; a tombstone is for good; a frozen table has no new keys.
    function invariant_routesOnlyGoAway() public view {
        for (uint256 i = 0; i < 4; i++) {
            bytes32 key = handler.keyOf(i);
            HallmarkRouter.Route memory route = router.routeOf(key);
            if (handler.removed(key)) {
                check(route.state == HallmarkRouter.State.Removed && route.verifier == address(0), "removed");
            } else {
                check(route.state != HallmarkRouter.State.Removed && route.verifier == handler.leads(key), "leads");
            }
        }
        check(router.isFrozen() == handler.frozen(), "frozen");
        if (handler.frozen()) same(handler.routesWhenFrozen(), router.allKeys().length, "new keys");
        same(handler.additions(), router.allKeys().length, "keys");
    }

    /// @notice What was revoked is not approved.
    function invariant_revocationsAreForGood() public view {
        for (uint256 i = 0; i < 4; i++) {
            bytes32 model = handler.keyOf(i);
            bool revoked = registry.statusOf("architecture", model) == IHallmarkRegistry.Status.Revoked;
            check(revoked == handler.revoked(model), "revoked");
        }
    }

    /// @notice Every proof that was believed was believed once.
    function invariant_proofsAreUsedOnce() public view {
        uint256 accepted = consumer.accepted(0) + consumer.accepted(1) + consumer.accepted(2);
        same(handler.used(), accepted, "accepted");
    }

    /// @notice Nobody but those who were appointed.
    function invariant_ownerAndGuardianStay() public view {
        check(router.owner() == OWNER && router.guardian() == GUARDIAN, "router");
        check(registry.owner() == OWNER && registry.guardian() == GUARDIAN, "registry");
    }

    /// @dev Enough of everything happens in a run of forge's length.
    function test_theHandlerGetsThere() public {
        for (uint256 i = 0; i < 60; i++) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            handler.addRoute(i, seed);
            handler.approve(i, seed, uint64(seed));
            handler.stop(seed, seed >> 8);
            handler.resume(seed, seed >> 16);
            handler.suspend(seed, seed >> 8);
            handler.reinstate(seed, seed >> 16);
            handler.consume(seed, i % 2 == 0, uint8(seed));
            handler.wait_(seed);
            if (i == 40) {
                handler.remove(0, 0);
                handler.revoke(0, 0);
                handler.freeze(0, 0);
            }
            invariant_routesOnlyGoAway();
            invariant_revocationsAreForGood();
            invariant_proofsAreUsedOnce();
        }
        check(handler.additions() >= 3 && handler.used() >= 50 && handler.frozen(), "done");
        check(registry.entryOf("architecture", handler.keyOf(1)).until != 0, "approved");
    }
}
