// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {HallmarkGoverned} from "../../../contracts/HallmarkGoverned.sol";
import {HallmarkRouter} from "../../../contracts/HallmarkRouter.sol";
import {IHallmarkVerifierErrors} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {IHallmarkRouter} from "../../../contracts/interfaces/IHallmarkRouter.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditBlsVerifier} from "../golden/CreditBlsVerifier.sol";
import {CreditHashedVerifier} from "../golden/CreditHashedVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {Call} from "../utils/Call.sol";
import {Deploy} from "../utils/Deploy.sol";
import {vm} from "../utils/Vm.sol";
import {LibraryTest} from "./utils/LibraryTest.sol";

/// @notice Two ways to the same verdict, and what each costs a consumer, who has the proof in its calldata.
contract TwoWays {
    function direct(CreditVerifier verifier, bytes32 context, int256[1] calldata outputs, uint256[12] calldata proof)
        external
        view
        returns (uint256 used)
    {
        uint256 start = gasleft();
        verifier.verify(context, outputs, proof);
        return start - gasleft();
    }

    function routed(
        IHallmarkRouter router,
        bytes32 key,
        bytes32 context,
        int256[1] calldata outputs,
        uint256[12] calldata proof
    ) external view returns (uint256 used) {
        uint256 start = gasleft();
        router.verify(key, abi.encodeCall(CreditVerifier.verify, (context, outputs, proof)));
        return start - gasleft();
    }
}

/// @notice The router: real verifiers behind it, its table, and who may change it.
contract RouterTest is LibraryTest {
    using Call for bytes;

    event RouteAdded(bytes32 indexed key, address indexed verifier, bytes4 selector, bytes32 codeHash);
    event RouteHalted(bytes32 indexed key, address indexed by);
    event RouteResumed(bytes32 indexed key);
    event RouteTombstoned(bytes32 indexed key);
    event Frozen();

    /// @dev Most that the way through the router may cost, on the compiler and with the settings whose figures are kept.
    uint256 private constant MOST = 6_000;

    HallmarkCall.Shape private shape = HallmarkCall.Shape(0, 1, 0, 12);

    HallmarkRouter private router;
    CreditVerifier private verifier;
    CreditVerifier private second;
    TwoWays private ways;
    bytes32 private key;
    bytes private valid;

    function setUp() public {
        vm.warp(NOW);
        router = table(2 days);
        verifier = CreditVerifier(fresh("CreditVerifier"));
        second = CreditVerifier(fresh("CreditVerifier"));
        ways = new TwoWays();
        key = verifier.MODEL_ID();
        valid = Call.load("applicant0");
        executed(router, adding(key, address(verifier), shape));
    }

    function fresh(string memory name) private returns (address deployed) {
        (deployed,) = Deploy.fresh(name);
        check(deployed != address(0), name);
    }

    function table(uint256 delay) private returns (HallmarkRouter empty) {
        return HallmarkRouter(Deploy.made("HallmarkRouter", "HallmarkRouter", abi.encode(OWNER, GUARDIAN, delay)));
    }

    function adding(bytes32 key_, address verifier_, HallmarkCall.Shape memory shape_)
        private
        view
        returns (bytes memory call)
    {
        return abi.encodeCall(HallmarkRouter.addRoute, (key_, verifier_, verifier_.codehash, shape_));
    }

    function keys(bytes32 one) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = one;
    }

    function stop(address by, bytes32 key_) private {
        vm.prank(by);
        router.stop(keys(key_));
    }

    function remove(bytes32 key_) private {
        vm.prank(OWNER);
        router.remove(key_);
    }

    function freeze() private {
        vm.prank(OWNER);
        router.freeze();
    }

    function failure(bytes4 selector, bytes32 key_) private pure returns (bytes memory answer) {
        return abi.encodeWithSelector(selector, key_);
    }

    // What it forwards

    function test_acceptsProofsOfEveryModelThatItHas() public {
        address hashed = fresh("CreditHashedVerifier");
        bytes32 hashedKey = CreditHashedVerifier(hashed).MODEL_ID();
        executed(router, adding(hashedKey, hashed, HallmarkCall.Shape(0, 1, 1, 16)));
        address bls = fresh("CreditBlsVerifier");
        bytes32 blsKey = CreditBlsVerifier(bls).MODEL_ID();
        executed(router, adding(blsKey, bls, HallmarkCall.Shape(0, 1, 0, 18)));
        router.verify(key, valid);
        router.verify(key, Call.load("applicant1"));
        router.verify(hashedKey, Call.load("CreditHashedVerifier/applicant0"));
        router.verify(blsKey, Call.load("CreditBlsVerifier/applicant0"));
        check(router.allKeys().length == 3 && router.allKeys()[2] == blsKey, "keys");
    }

    function test_errorsBubbleUp() public {
        bytes memory call = valid;
        call.setWord(Call.CONTEXT, 0);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        router.verify(key, call);
        call.setWord(Call.EVALUATIONS, type(uint256).max);
        reverts(IHallmarkVerifierErrors.ScalarNotCanonical.selector);
        router.verify(key, call);
        call = valid;
        call.setPoint(Call.OPENING, 1, 1);
        reverts(IHallmarkVerifierErrors.PointNotOnCurve.selector);
        router.verify(key, call);
        call.setWord(Call.SCORE, uint256(type(int256).max));
        reverts(IHallmarkVerifierErrors.OutputOutOfRange.selector);
        router.verify(key, call);
        reverts(IHallmarkVerifierErrors.CalldataLength.selector);
        router.verify(key, bytes.concat(call, hex"00"));
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        router.verify(key, Call.load("other_model"));
    }

    /// @dev Whoever forwards `tryVerify` and looks at nothing accepts everything.
    function test_onlyVerifyIsForwarded() public {
        bytes memory call = valid;
        refusedSelector(CreditVerifier.tryVerify.selector, call);
        refusedSelector(bytes4(keccak256("MODEL_ID()")), call);
        bytes4 verify = CreditVerifier.verify.selector;
        for (uint256 length = 0; length < 4; length++) {
            // a selector is four bytes, whatever comes behind them in the calldata
            vm.expectRevert(
                abi.encodeWithSelector(IHallmarkRouter.NotVerify.selector, verify, bytes4(valid.resized(length)))
            );
            router.verify(key, valid.resized(length));
        }
    }

    function testFuzz_onlyVerifyIsForwarded(bytes4 selector) public {
        vm.assume(selector != CreditVerifier.verify.selector);
        refusedSelector(selector, valid);
    }

    function refusedSelector(bytes4 selector, bytes memory call) private {
        call.setSelector(selector);
        vm.expectRevert(
            abi.encodeWithSelector(IHallmarkRouter.NotVerify.selector, CreditVerifier.verify.selector, selector)
        );
        router.verify(key, call);
    }

    function test_anErrorWithArgumentsBubblesUpWhole() public {
        bytes memory error_ =
            abi.encodeWithSignature("Something(uint256,string)", 5, "a text of more than one word, to be sure");
        vm.mockCallRevert(address(verifier), valid, error_);
        vm.expectRevert(error_);
        router.verify(key, valid);
    }

    /// @dev Not even one that says true.
    function test_anAnswerIsNoVerdict() public {
        vm.mockCall(address(verifier), valid, abi.encode(true));
        vm.expectRevert(abi.encodeWithSelector(IHallmarkRouter.UnexpectedAnswer.selector, verifier));
        router.verify(key, valid);
    }

    function test_tooLittleGasIsNoVerdict() public view {
        bytes memory call = abi.encodeCall(router.verify, (key, valid));
        for (uint256 limit = 0; limit < 150_000; limit += 2_000) {
            (bool success, bytes memory answer) = address(router).staticcall{gas: limit}(call);
            check(!success && answer.length == 0, "too little gas");
        }
    }

    function testFuzz_aKeyWithoutARouteAcceptsNothing(bytes32 other) public {
        vm.assume(other != key);
        vm.expectRevert(failure(IHallmarkRouter.RouteUnknown.selector, other));
        router.verify(other, valid);
    }

    function testFuzz_aMutatedCallIsNeverAccepted(uint256 place, uint8 bit) public view {
        bytes memory call = valid;
        call[place % call.length] ^= bytes1(uint8(1 << (bit % 8)));
        (bool success,) = address(router).staticcall(abi.encodeCall(router.verify, (key, call)));
        check(!success, "accepted");
    }

    function test_codeThatVanishesAcceptsNothing() public {
        vm.etch(address(verifier), "");
        vm.expectRevert(abi.encodeWithSelector(IHallmarkRouter.VerifierHasNoCode.selector, address(verifier)));
        router.verify(key, valid);
    }

    // Committed weights

    function committed() private returns (bytes32 architecture, MockHallmarkVerifier target, bytes memory call) {
        architecture = "architecture";
        HallmarkCall.Shape memory shape_ = HallmarkCall.Shape(2, 1, 0, 1);
        target = mock(architecture, shape_);
        executed(router, adding(architecture, address(target), shape_));
        target.acceptContext("context", true);
        call = bytes.concat(target.VERIFY_SELECTOR(), abi.encode(bytes32("context"), [uint256(3), 4], 5, 6));
    }

    function test_aModelHasToBeNamedAndTheCallsOwn() public {
        (bytes32 architecture, MockHallmarkVerifier target, bytes memory call) = committed();
        bytes32 model = target.modelId([uint256(3), 4]);
        router.verifyModel(architecture, model, call);
        vm.expectRevert(failure(IHallmarkRouter.ModelNotNamed.selector, architecture));
        router.verify(architecture, call);
        bytes32 other = target.modelId([uint256(4), 3]);
        vm.expectRevert(abi.encodeWithSelector(IHallmarkRouter.AnotherModel.selector, other, model));
        router.verifyModel(architecture, other, call);
        call.setWord(0, 0);
        reverts(IHallmarkVerifierErrors.ProofRejected.selector);
        router.verifyModel(architecture, model, call);
    }

    function test_aCallTooShortForAModelIsRefused() public {
        (bytes32 architecture, MockHallmarkVerifier target, bytes memory call) = committed();
        bytes32 model = target.modelId([uint256(3), 4]);
        reverts(IHallmarkVerifierErrors.CalldataLength.selector);
        router.verifyModel(architecture, model, call.resized(99));
        reverts(IHallmarkVerifierErrors.CalldataLength.selector);
        router.verifyModel(architecture, model, call.resized(100));
    }

    function test_fixedWeightsAreNotNamed() public {
        vm.expectRevert(failure(IHallmarkRouter.ModelIsFixed.selector, key));
        router.verifyModel(key, "model", valid);
        vm.expectRevert(failure(IHallmarkRouter.RouteUnknown.selector, "none"));
        router.verifyModel("none", "model", valid);
    }

    // The table

    function test_aRouteIsAdded() public {
        MockHallmarkVerifier other = mock("other");
        bytes memory call = adding("other", address(other), shape);
        vm.prank(OWNER);
        router.schedule(call);
        vm.warp(block.timestamp + 2 days);
        vm.expectEmit(address(router));
        emit RouteAdded("other", address(other), CreditVerifier.verify.selector, address(other).codehash);
        vm.prank(OWNER);
        router.addRoute("other", address(other), address(other).codehash, shape);
        HallmarkRouter.Route memory route = router.routeOf("other");
        check(route.verifier == address(other) && route.selector == CreditVerifier.verify.selector, "route");
        check(route.state == HallmarkRouter.State.Active && route.model == 0, "state");
    }

    function test_aRouteIsNotAddedBeforeItsTime() public {
        MockHallmarkVerifier other = mock("other");
        bytes32 id = keccak256(adding("other", address(other), shape));
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.OperationUnknown.selector, id));
        vm.prank(OWNER);
        router.addRoute("other", address(other), address(other).codehash, shape);
    }

    function test_aRouteNeverLeadsElsewhere() public {
        bytes memory call = adding(key, fresh("CreditVerifier"), shape);
        refused(router, call, failure(HallmarkRouter.RouteExists.selector, key));
        stop(GUARDIAN, key);
        vm.warp(block.timestamp + 30 days);
        refused(router, call, failure(HallmarkRouter.RouteExists.selector, key));
    }

    function test_aKeyIsItsVerifiers() public {
        refused(
            router,
            adding("other", address(verifier), shape),
            abi.encodeWithSelector(HallmarkRouter.AnotherKey.selector, bytes32("other"), key)
        );
    }

    /// @dev The mock has any id: what it does is in its code, and only the code that was announced is added.
    function test_theCodeIsTheOneThatWasAnnounced() public {
        MockHallmarkVerifier other = mock("other");
        bytes32 announced = address(other).codehash;
        bytes memory call = adding("other", address(other), shape);
        vm.etch(address(other), address(verifier).code);
        bytes32 given = address(other).codehash;
        check(given != announced, "other code");
        refused(router, call, abi.encodeWithSelector(HallmarkRouter.AnotherCode.selector, announced, given));
    }

    function test_onlyVerifiersOfThatShapeAreAdded() public {
        CreditVerifier other = CreditVerifier(fresh("CreditVerifier"));
        HallmarkRouter empty = table(1 days);
        refused(
            empty, adding(key, ALICE, shape), abi.encodeWithSelector(IHallmarkRouter.VerifierHasNoCode.selector, ALICE)
        );
        HallmarkCall.Shape memory another = HallmarkCall.Shape(0, 1, 0, 13);
        refused(
            empty,
            adding(key, address(other), another),
            abi.encodeWithSelector(
                HallmarkRouter.NotAVerifier.selector, address(other), HallmarkCall.selectorOf(another)
            )
        );
        another = HallmarkCall.Shape(4, 1, 0, 12);
        refused(
            empty, adding(key, address(other), another), abi.encodeWithSelector(HallmarkRouter.ModelTooLong.selector, 4)
        );
        // one that accepts anything
        MockHallmarkVerifier gullible = mock("gullible");
        gullible.acceptAll(true);
        refused(
            empty,
            adding("gullible", address(gullible), shape),
            abi.encodeWithSelector(
                HallmarkRouter.NotAVerifier.selector, address(gullible), CreditVerifier.verify.selector
            )
        );
        executed(empty, adding(key, address(other), shape));
    }

    // Stop, resume

    function test_ownerAndGuardianStopAtOnce() public {
        address[2] memory who = [GUARDIAN, OWNER];
        for (uint256 i = 0; i < who.length; i++) {
            vm.expectEmit(address(router));
            emit RouteHalted(key, who[i]);
            stop(who[i], key);
            vm.expectRevert(failure(IHallmarkRouter.RouteStopped.selector, key));
            router.verify(key, valid);
            executed(router, abi.encodeCall(router.resume, (key)));
            router.verify(key, valid);
        }
    }

    function test_everythingStopsAtOnce() public {
        executed(router, adding("a", address(mock("a")), shape));
        executed(router, adding("b", address(mock("b")), shape));
        remove("a");
        vm.prank(GUARDIAN);
        router.stopAll();
        vm.expectRevert(failure(IHallmarkRouter.RouteStopped.selector, key));
        router.verify(key, valid);
        vm.expectRevert(failure(IHallmarkRouter.RouteStopped.selector, "b"));
        router.verify("b", valid);
        vm.expectRevert(failure(IHallmarkRouter.RouteRemoved.selector, "a"));
        router.verify("a", valid);
    }

    function test_whatDoesNotWorkIsPassedOver() public {
        bytes32[] memory list = new bytes32[](3);
        (list[0], list[1], list[2]) = ("unknown", key, key);
        vm.prank(GUARDIAN);
        router.stop(list);
        check(router.routeOf(key).state == HallmarkRouter.State.Stopped, "stopped");
        check(router.routeOf("unknown").state == HallmarkRouter.State.Unknown, "unknown");
    }

    function test_resumingTakesTheTimelock() public {
        stop(GUARDIAN, key);
        bytes memory call = abi.encodeCall(router.resume, (key));
        vm.expectRevert(failure(HallmarkGoverned.OperationUnknown.selector, keccak256(call)));
        vm.prank(OWNER);
        router.resume(key);
        vm.prank(OWNER);
        router.schedule(call);
        vm.warp(block.timestamp + 2 days);
        vm.expectEmit(address(router));
        emit RouteResumed(key);
        vm.prank(OWNER);
        router.resume(key);
        router.verify(key, valid);
    }

    /// @dev Bytes behind the arguments make other announcements of the same, so that the guardian could not cancel them all.
    function test_whatWasScheduledBeforeTheStopDoesNotUndoIt() public {
        bytes memory call = abi.encodeCall(router.resume, (key));
        schedule(call);
        schedule(bytes.concat(call, hex"00"));
        uint256 first = NOW + 5 days;
        vm.warp(first);
        stop(GUARDIAN, key);
        resumesTooEarly(call, first);
        resumesTooEarly(bytes.concat(call, hex"00"), first);
        // nor does one that was announced after an earlier stop
        vm.prank(OWNER);
        router.cancel(keccak256(call));
        schedule(call);
        schedule(bytes.concat(call, hex"0000"));
        uint256 second = first + 2 days;
        vm.warp(second);
        vm.prank(OWNER);
        router.resume(key);
        router.verify(key, valid);
        stop(GUARDIAN, key);
        resumesTooEarly(bytes.concat(call, hex"0000"), second);
        vm.expectRevert(failure(IHallmarkRouter.RouteStopped.selector, key));
        router.verify(key, valid);
    }

    function schedule(bytes memory call) private {
        vm.prank(OWNER);
        router.schedule(call);
    }

    function resumesTooEarly(bytes memory call, uint256 stoppedAt) private {
        vm.prank(OWNER);
        (bool success, bytes memory answer) = address(router).call(call);
        bytes memory expected = abi.encodeWithSelector(HallmarkRouter.AnnouncedBeforeStop.selector, key, stoppedAt);
        check(!success && keccak256(answer) == keccak256(expected), "announced before the stop");
    }

    function test_onlyWhatIsStoppedIsResumed() public {
        bytes4 expected = HallmarkRouter.RouteNotStopped.selector;
        refused(router, abi.encodeCall(router.resume, (key)), failure(expected, key));
        refused(router, abi.encodeCall(router.resume, ("none")), failure(expected, "none"));
        remove(key);
        vm.warp(block.timestamp + 30 days);
        refused(router, abi.encodeCall(router.resume, (key)), failure(expected, key));
    }

    // Tombstones, freeze

    function test_aRemovedKeyIsGoneForGood() public {
        vm.expectEmit(address(router));
        emit RouteTombstoned(key);
        remove(key);
        vm.expectRevert(failure(IHallmarkRouter.RouteRemoved.selector, key));
        router.verify(key, valid);
        refused(
            router, adding(key, fresh("CreditVerifier"), shape), failure(IHallmarkRouter.RouteRemoved.selector, key)
        );
        vm.expectRevert(failure(IHallmarkRouter.RouteRemoved.selector, key));
        remove(key);
        check(router.routeOf(key).verifier == address(0), "no address is left");
    }

    function test_aKeyIsGivenUpBeforeItWasEverAdded() public {
        bytes32 bad = CreditHashedVerifier(fresh("CreditHashedVerifier")).MODEL_ID();
        remove(bad);
        refused(
            router,
            adding(bad, fresh("CreditHashedVerifier"), HallmarkCall.Shape(0, 1, 1, 16)),
            failure(IHallmarkRouter.RouteRemoved.selector, bad)
        );
    }

    function test_aFrozenTableTakesNothing() public {
        vm.expectEmit(address(router));
        emit Frozen();
        freeze();
        check(router.isFrozen(), "frozen");
        refused(
            router,
            adding("other", address(mock("other")), shape),
            abi.encodeWithSelector(HallmarkRouter.TableFrozen.selector)
        );
        reverts(HallmarkRouter.TableFrozen.selector);
        freeze();
        // what is in it can still be stopped, resumed and removed
        stop(GUARDIAN, key);
        executed(router, abi.encodeCall(router.resume, (key)));
        router.verify(key, valid);
        remove(key);
    }

    function test_othersChangeNothing() public {
        address[2] memory who = [ALICE, GUARDIAN];
        for (uint256 i = 0; i < who.length; i++) {
            bytes memory expected = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, who[i]);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            router.addRoute(key, address(verifier), address(verifier).codehash, shape);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            router.resume(key);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            router.remove(key);
            vm.expectRevert(expected);
            vm.prank(who[i]);
            router.freeze();
        }
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.NotGuardian.selector, ALICE));
        stop(ALICE, key);
        vm.expectRevert(abi.encodeWithSelector(HallmarkGoverned.NotGuardian.selector, ALICE));
        vm.prank(ALICE);
        router.stopAll();
    }

    // What it costs

    /// @dev All that is called is cold, as in a transaction of its own: the two ways lead to two instances of one verifier.
    function test_snapshot() public {
        (bytes32 context, int256[1] memory outputs, uint256[12] memory proof) =
            abi.decode(valid.tail(4), (bytes32, int256[1], uint256[12]));
        uint256 direct = ways.direct(second, context, outputs, proof);
        uint256 routed = ways.routed(router, key, context, outputs, proof);
        bool kept = keccak256(bytes(vm.envOr("FOUNDRY_PROFILE", "default"))) == keccak256("default");
        if (kept && routed - direct > MOST) revert Differ("overhead", MOST, routed - direct);
        vm.snapshotValue("HallmarkRouter", "verify, direct", direct);
        vm.snapshotValue("HallmarkRouter", "verify, routed", routed);
        vm.snapshotValue("HallmarkRouter", "overhead", routed - direct);
        check(address(router).code.length <= 24_576, "EIP-170");
    }
}
