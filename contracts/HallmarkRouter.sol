// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "./HallmarkCall.sol";
import {HallmarkGoverned} from "./HallmarkGoverned.sol";
import {IHallmarkRouter} from "./interfaces/IHallmarkRouter.sol";
import {IHallmarkCommittedVerifier, IHallmarkVerifier} from "./interfaces/IHallmarkVerifier.sol";

/// @title One address for many verifiers
/// @notice Forwards a call of `verify` to the verifier of a verifying key: of a model, or of an architecture if the weights are an
/// argument. A key names what is proved, and a route, once there, never leads to another contract: consumers that name a key cannot
/// be given another model. Owner and guardian decide only whether there is an answer.
///
/// - The owner adds routes, through the timelock, until the table is frozen.
/// - The guardian, or the owner, stops routes at once; the owner resumes them, through the timelock.
/// - The owner removes a route at once and for good: its key can never be added again.
/// - The owner freezes the table for good: what is not in it can never be added.
contract HallmarkRouter is HallmarkGoverned, IHallmarkRouter {
    /// @notice What a key leads to.
    enum State {
        Unknown,
        Active,
        Stopped,
        Removed
    }

    /// @notice A verifier and how it is called: one word of storage.
    struct Route {
        address verifier;
        bytes4 selector; // of its `verify`
        uint8 model; // words of its commitment to the weights, 0 if they are fixed
        State state;
    }

    /// @notice Whether the table takes no more routes.
    bool public frozen;

    mapping(bytes32 key => Route route) private _routes;
    bytes32[] private _keys;

    /// @notice A verifier was added.
    /// @param key its verifying key.
    /// @param verifier its address.
    /// @param selector that of its `verify`.
    /// @param codeHash hash of its code.
    event RouteAdded(bytes32 indexed key, address indexed verifier, bytes4 selector, bytes32 codeHash);

    /// @notice A route was stopped.
    /// @param key its verifying key.
    /// @param by the owner or the guardian.
    event RouteHalted(bytes32 indexed key, address indexed by);

    /// @notice A route works again.
    /// @param key its verifying key.
    event RouteResumed(bytes32 indexed key);

    /// @notice A key was given up for good.
    /// @param key the verifying key.
    event RouteTombstoned(bytes32 indexed key);

    /// @notice The table takes no more routes.
    event Frozen();

    /// @notice The table takes no more routes.
    error TableFrozen();

    /// @notice There is a route for this key, and it leads where it leads.
    /// @param key the verifying key.
    error RouteExists(bytes32 key);

    /// @notice The route is not stopped, so it cannot be resumed.
    /// @param key the verifying key.
    error RouteNotStopped(bytes32 key);

    /// @notice The contract is not the verifier of this key.
    /// @param expected the key that was to be added.
    /// @param given the key that the contract says it has.
    error AnotherKey(bytes32 expected, bytes32 given);

    /// @notice The commitment to the weights has more words than any curve's.
    /// @param words its words.
    error ModelTooLong(uint256 words);

    /// @notice A call of this shape with zeros for all arguments was not rejected by a named error: it is not the shape of this
    /// contract's `verify`, or the contract is no verifier.
    /// @param verifier the contract.
    /// @param selector that of the call.
    error NotAVerifier(address verifier, bytes4 selector);

    /// @param owner_ the first owner.
    /// @param guardian_ the first guardian.
    /// @param delay seconds from announcing a route to adding it.
    constructor(address owner_, address guardian_, uint256 delay) HallmarkGoverned(owner_, guardian_, delay) {}

    /// @notice Adds a verifier. Timelocked.
    /// @param key its `MODEL_ID`, or its `ARCHITECTURE_ID` if the weights are an argument.
    /// @param verifier its address. A verifier as it was generated: not one behind a proxy, whose code somebody can replace.
    /// @param shape lengths of the arrays that its `verify` takes.
    function addRoute(bytes32 key, address verifier, HallmarkCall.Shape calldata shape) external onlyOwner timelocked {
        if (frozen) revert TableFrozen();
        State state = _routes[key].state;
        if (state == State.Removed) revert RouteRemoved(key);
        if (state != State.Unknown) revert RouteExists(key);
        if (verifier.code.length == 0) revert HallmarkCall.VerifierHasNoCode(verifier);
        if (shape.model > 3) revert ModelTooLong(shape.model);
        bytes32 given = shape.model == 0
            ? IHallmarkVerifier(verifier).MODEL_ID()
            : IHallmarkCommittedVerifier(verifier).ARCHITECTURE_ID();
        if (given != key) revert AnotherKey(key, given);
        bytes4 selector = HallmarkCall.selectorOf(shape);
        _probe(verifier, selector, HallmarkCall.lengthOf(shape));
        _routes[key] = Route(verifier, selector, uint8(shape.model), State.Active);
        _keys.push(key);
        emit RouteAdded(key, verifier, selector, verifier.codehash);
    }

    /// @notice Lets a stopped route work again. Timelocked.
    /// @param key its verifying key.
    function resume(bytes32 key) external onlyOwner timelocked {
        if (_routes[key].state != State.Stopped) revert RouteNotStopped(key);
        _routes[key].state = State.Active;
        emit RouteResumed(key);
    }

    /// @notice Stops routes at once. Those that do not work anyway are passed over, so that no one can make the others wait.
    /// @param keys their verifying keys.
    function stop(bytes32[] calldata keys) external onlyGuardian {
        for (uint256 i = 0; i < keys.length; i++) {
            _stop(keys[i]);
        }
    }

    /// @notice Stops every route at once.
    function stopAll() external onlyGuardian {
        for (uint256 i = 0; i < _keys.length; i++) {
            _stop(_keys[i]);
        }
    }

    /// @notice Gives a key up at once and for good, whether it has a route or not.
    /// @param key the verifying key.
    function remove(bytes32 key) external onlyOwner {
        if (_routes[key].state == State.Removed) revert RouteRemoved(key);
        _routes[key] = Route(address(0), 0, 0, State.Removed);
        emit RouteTombstoned(key);
    }

    /// @notice Closes the table for good. Routes can still be stopped, resumed and removed.
    function freeze() external onlyOwner {
        if (frozen) revert TableFrozen();
        frozen = true;
        emit Frozen();
    }

    /// @inheritdoc IHallmarkRouter
    function verify(bytes32 modelId, bytes calldata call) external view {
        Route memory route = _active(modelId);
        if (route.model != 0) revert ModelNotNamed(modelId);
        HallmarkCall.verify(route.verifier, route.selector, call);
    }

    /// @inheritdoc IHallmarkRouter
    function verifyModel(bytes32 architectureId, bytes32 modelId, bytes calldata call) external view {
        Route memory route = _active(architectureId);
        if (route.model == 0) revert ModelIsFixed(architectureId);
        if (call.length < 36 + 32 * uint256(route.model)) revert CalldataLength();
        bytes32 given = HallmarkCall.modelIdOf(architectureId, call, route.model);
        if (given != modelId) revert AnotherModel(modelId, given);
        HallmarkCall.verify(route.verifier, route.selector, call);
    }

    /// @notice Where a key leads.
    /// @param key the verifying key.
    /// @return route the verifier, and whether it is asked.
    function routeOf(bytes32 key) external view returns (Route memory route) {
        return _routes[key];
    }

    /// @notice All keys that were ever added, those that are stopped or removed among them.
    /// @return keys the verifying keys, in the order of their addition.
    function allKeys() external view returns (bytes32[] memory keys) {
        return _keys;
    }

    function _stop(bytes32 key) private {
        if (_routes[key].state != State.Active) return;
        _routes[key].state = State.Stopped;
        emit RouteHalted(key, msg.sender);
    }

    function _active(bytes32 key) private view returns (Route memory route) {
        route = _routes[key];
        if (route.state == State.Active) return route;
        if (route.state == State.Unknown) revert RouteUnknown(key);
        if (route.state == State.Stopped) revert RouteStopped(key);
        revert RouteRemoved(key);
    }

    /// @dev Zeros are no proof of anything, and a verifier says so by name; a function that does not exist has no name for it.
    function _probe(address verifier, bytes4 selector, uint256 length) private view {
        bytes memory call = bytes.concat(selector, new bytes(length - 4));
        (bool success, bytes memory answer) = verifier.staticcall(call);
        if (success || answer.length != 4) revert NotAVerifier(verifier, selector);
    }
}
