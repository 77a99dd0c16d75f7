// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "./HallmarkCall.sol";
import {HallmarkGoverned} from "./HallmarkGoverned.sol";
import {IHallmarkRouter} from "./interfaces/IHallmarkRouter.sol";
import {IHallmarkCommittedVerifier, IHallmarkVerifier} from "./interfaces/IHallmarkVerifier.sol";

/// @title One address for many verifiers
/// @notice Forwards a call of `verify` to the verifier of a verifying key: of a model, or of an architecture if the weights are an
/// argument. Once a route is there it never leads elsewhere, and a removed one never comes back: owner and guardian decide only whether
/// there is an answer. Before it is there, look at the code that was announced: a contract can claim any `MODEL_ID`, and
/// `hallmark match` says whether it is the model.
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

    /// @notice A verifier and how it is called.
    struct Route {
        address verifier;
        bytes4 selector; // of its `verify`
        uint8 model; // words of its commitment to the weights, 0 if they are fixed
        State state;
    }

    /// @notice Whether the table takes no more routes.
    bool public isFrozen;

    /// @dev A route in one word, by hand: the compiler would read it once for every field. From the lowest bits on: 160 of the
    /// address, 32 of the selector, 8 of the words of the model, and the state.
    uint256 private constant SELECTOR = 160;
    uint256 private constant MODEL = 192;
    uint256 private constant STATE = 200;

    /// @dev `State.Active` in a route that was shifted by SELECTOR.
    uint256 private constant ACTIVE = 1 << 40;

    mapping(bytes32 key => uint256 route) private _routes;
    mapping(bytes32 key => uint256 time) private _stoppedAt; // the last time, 0 if never
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

    /// @notice The route was stopped after it was announced that it would be resumed: what made it stop was not known then.
    /// @param key the verifying key.
    /// @param stoppedAt when it was stopped.
    error AnnouncedBeforeStop(bytes32 key, uint256 stoppedAt);

    /// @notice The contract's code is not the one that was announced.
    /// @param expected hash of the code that was announced.
    /// @param given hash of the contract's.
    error AnotherCode(bytes32 expected, bytes32 given);

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

    /// @notice A table without routes.
    /// @param owner_ the first owner.
    /// @param guardian_ the first guardian.
    /// @param delay seconds from announcing a route to adding it.
    constructor(address owner_, address guardian_, uint256 delay) HallmarkGoverned(owner_, guardian_, delay) {}

    /// @notice Adds a verifier. Timelocked.
    /// @param key its `MODEL_ID`, or its `ARCHITECTURE_ID` if the weights are an argument.
    /// @param verifier its address. A verifier as it was generated: not one behind a proxy, whose code somebody can replace.
    /// @param codeHash hash of its code, so that what was announced is what will be asked.
    /// @param shape lengths of the arrays that its `verify` takes.
    function addRoute(bytes32 key, address verifier, bytes32 codeHash, HallmarkCall.Shape calldata shape)
        external
        onlyOwner
        timelocked
    {
        if (isFrozen) revert TableFrozen();
        State state = _stateOf(key);
        if (state == State.Removed) revert RouteRemoved(key);
        if (state != State.Unknown) revert RouteExists(key);
        if (verifier.code.length == 0) revert VerifierHasNoCode(verifier);
        if (verifier.codehash != codeHash) revert AnotherCode(codeHash, verifier.codehash);
        if (shape.model > 3) revert ModelTooLong(shape.model);
        bytes32 given = shape.model == 0
            ? IHallmarkVerifier(verifier).MODEL_ID()
            : IHallmarkCommittedVerifier(verifier).ARCHITECTURE_ID();
        if (given != key) revert AnotherKey(key, given);
        bytes4 selector = HallmarkCall.selectorOf(shape);
        _probe(verifier, selector, HallmarkCall.lengthOf(shape));
        _routes[key] = uint256(uint160(verifier)) | (uint256(uint32(selector)) << SELECTOR)
            | (uint256(shape.model) << MODEL) | (uint256(State.Active) << STATE);
        _keys.push(key);
        emit RouteAdded(key, verifier, selector, codeHash);
    }

    /// @notice Lets a stopped route work again. Timelocked, and announced after the stop.
    /// @param key its verifying key.
    function resume(bytes32 key) external onlyOwner {
        uint256 announcedAt = _execute(keccak256(msg.data));
        if (_stateOf(key) != State.Stopped) revert RouteNotStopped(key);
        if (announcedAt < _stoppedAt[key]) revert AnnouncedBeforeStop(key, _stoppedAt[key]);
        _setState(key, State.Active);
        emit RouteResumed(key);
    }

    /// @notice Stops routes at once. Those that do not work anyway are passed over, so that no one can make the others wait.
    /// @param keys their verifying keys.
    function stop(bytes32[] calldata keys) external onlyGuardian {
        for (uint256 i = 0; i < keys.length; ++i) {
            _stop(keys[i]);
        }
    }

    /// @notice Stops every route at once. With more routes than a transaction can hold, use `stop`.
    function stopAll() external onlyGuardian {
        for (uint256 i = 0; i < _keys.length; ++i) {
            _stop(_keys[i]);
        }
    }

    /// @notice Gives a key up at once and for good, whether it has a route or not.
    /// @param key the verifying key.
    function remove(bytes32 key) external onlyOwner {
        if (_stateOf(key) == State.Removed) revert RouteRemoved(key);
        _routes[key] = uint256(State.Removed) << STATE;
        emit RouteTombstoned(key);
    }

    /// @notice Closes the table for good. Routes can still be stopped, resumed and removed.
    function freeze() external onlyOwner {
        if (isFrozen) revert TableFrozen();
        isFrozen = true;
        emit Frozen();
    }

    /// @inheritdoc IHallmarkRouter
    function verify(bytes32 modelId, bytes calldata data) external view {
        uint256 route = _routes[modelId];
        // active, weights fixed, and the selector: all in one comparison
        if (route >> SELECTOR != ACTIVE | _selectorOf(data)) _refuse(modelId, route, bytes4(data), true);
        _forward(address(uint160(route)), data);
    }

    /// @inheritdoc IHallmarkRouter
    function verifyModel(bytes32 architectureId, bytes32 modelId, bytes calldata data) external view {
        uint256 route = _routes[architectureId];
        uint256 words = uint8(route >> MODEL);
        uint256 expected = ACTIVE | (words << (MODEL - SELECTOR)) | _selectorOf(data);
        if (route >> SELECTOR != expected || words == 0) _refuse(architectureId, route, bytes4(data), false);
        if (data.length < 36 + 32 * words) revert CalldataLength();
        bytes32 given = HallmarkCall.modelIdOf(architectureId, data, words);
        if (given != modelId) revert AnotherModel(modelId, given);
        _forward(address(uint160(route)), data);
    }

    /// @notice Where a key leads.
    /// @param key the verifying key.
    /// @return route the verifier, and whether it is asked.
    function routeOf(bytes32 key) external view returns (Route memory route) {
        uint256 word = _routes[key];
        return Route(address(uint160(word)), bytes4(uint32(word >> SELECTOR)), uint8(word >> MODEL), _stateOf(key));
    }

    /// @notice All keys that were ever added, those that are stopped or removed among them.
    /// @return keys the verifying keys, in the order of their addition.
    function allKeys() external view returns (bytes32[] memory keys) {
        return _keys;
    }

    function _stop(bytes32 key) private {
        if (_stateOf(key) != State.Active) return;
        _setState(key, State.Stopped);
        _stoppedAt[key] = block.timestamp;
        emit RouteHalted(key, msg.sender);
    }

    function _setState(bytes32 key, State state) private {
        uint256 rest = _routes[key] & ((1 << STATE) - 1);
        _routes[key] = rest | (uint256(state) << STATE);
    }

    function _stateOf(bytes32 key) private view returns (State state) {
        return State(_routes[key] >> STATE);
    }

    /// @dev The selector of a call in the lowest bits, or zero if the call is shorter. As `bytes4(data)`, for less.
    function _selectorOf(bytes calldata data) private pure returns (uint256 selector) {
        assembly ("memory-safe") {
            selector := mul(shr(224, calldataload(data.offset)), gt(data.length, 3))
        }
    }

    /// @dev Makes the call, and ends the one that is being made: with nothing if the verifier accepts, with its error if not.
    function _forward(address verifier, bytes calldata data) private view {
        if (verifier.code.length == 0) revert VerifierHasNoCode(verifier);
        assembly ("memory-safe") {
            // free memory, which need not be allocated: nothing else is put there
            let start := mload(0x40)
            calldatacopy(start, data.offset, data.length)
            if iszero(staticcall(gas(), verifier, start, data.length, 0, 0)) {
                // the verifier's error as it is; none if it ran out of gas
                returndatacopy(start, 0, returndatasize())
                revert(start, returndatasize())
            }
            // `verify` returns nothing, and nothing is left to do
            if iszero(returndatasize()) { stop() }
        }
        revert UnexpectedAnswer(verifier);
    }

    /// @dev Says why a call is not forwarded.
    function _refuse(bytes32 key, uint256 route, bytes4 given, bool fixedWeights) private pure {
        State state = State(route >> STATE);
        if (state == State.Unknown) revert RouteUnknown(key);
        if (state == State.Stopped) revert RouteStopped(key);
        if (state == State.Removed) revert RouteRemoved(key);
        if (fixedWeights != (uint8(route >> MODEL) == 0)) {
            if (fixedWeights) revert ModelNotNamed(key);
            revert ModelIsFixed(key);
        }
        revert NotVerify(bytes4(uint32(route >> SELECTOR)), given);
    }

    /// @dev Zeros are no proof of anything, and a verifier says so by name; a function that does not exist has no name for it.
    function _probe(address verifier, bytes4 selector, uint256 length) private view {
        bytes memory call = bytes.concat(selector, new bytes(length - 4));
        (bool success, bytes memory answer) = verifier.staticcall(call);
        if (success || answer.length != 4) revert NotAVerifier(verifier, selector);
    }
}
