// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../HallmarkCall.sol";
import {IHallmarkVerifierErrors} from "../interfaces/IHallmarkVerifier.sol";

/// @title A verifier that believes what a test tells it to
/// @notice Stands for a generated verifier of any shape in tests of contracts that consume proofs: it rejects every call until the
/// test says otherwise. It exists on local chains only: anywhere else its constructor and every function revert.
contract MockHallmarkVerifier is IHallmarkVerifierErrors {
    uint256 private constant FOUNDRY_CHAIN = 31337;
    uint256 private constant DEVELOPMENT_CHAIN = 1337;

    bytes32 private immutable _ID;
    uint256 private immutable _SCALE;
    uint256 private immutable _LENGTH;
    bytes4 private immutable _VERIFY;
    bytes4 private immutable _TRY_VERIFY;

    bool private _acceptsAll;
    bytes4 private _refusal;
    mapping(bytes32 context => bool accepted) private _contexts;

    /// @notice This is a mock, and the chain is not local.
    /// @param chainId the chain.
    error NotALocalChain(uint256 chainId);

    /// @notice The mock has no such function: its shape is not that of the call.
    /// @param selector selector of the call.
    error UnknownFunction(bytes4 selector);

    /// @dev Only where nothing is at stake.
    modifier onlyLocal() {
        _requireLocal();
        _;
    }

    /// @notice A verifier of this shape, which rejects everything.
    /// @param id its `MODEL_ID`, or its `ARCHITECTURE_ID` if the shape has a model.
    /// @param scale its `OUTPUT0_SCALE`.
    /// @param shape lengths of the arrays that `verify` takes.
    constructor(bytes32 id, uint256 scale, HallmarkCall.Shape memory shape) onlyLocal {
        (_ID, _SCALE, _LENGTH) = (id, scale, HallmarkCall.lengthOf(shape));
        (_VERIFY, _TRY_VERIFY) = (HallmarkCall.selectorOf(shape), HallmarkCall.trySelectorOf(shape));
    }

    // solhint-disable no-complex-fallback

    /// @notice `verify` and `tryVerify` of its shape, by what the test has said.
    /// @param call selector and arguments.
    /// @return answer nothing, or the bool of `tryVerify`.
    fallback(bytes calldata call) external onlyLocal returns (bytes memory answer) {
        bytes4 selector = bytes4(call);
        if (selector == _TRY_VERIFY) return abi.encode(_refusalOf(call) == 0);
        if (selector != _VERIFY) revert UnknownFunction(selector);
        bytes4 refusal = _refusalOf(call);
        if (refusal == 0) return "";
        assembly ("memory-safe") {
            mstore(0, refusal)
            revert(0, 4)
        }
    }

    // solhint-enable no-complex-fallback

    /// @notice Accepts every call of the right length, or no longer does.
    /// @param all whether it does.
    function acceptAll(bool all) external onlyLocal {
        _acceptsAll = all;
    }

    /// @notice Accepts every statement for a context, or no longer does.
    /// @param context the context.
    /// @param accepted whether it does.
    function acceptContext(bytes32 context, bool accepted) external onlyLocal {
        _contexts[context] = accepted;
    }

    /// @notice Rejects with another error than `ProofRejected`.
    /// @param selector selector of an error without arguments; zero for `ProofRejected` again.
    function rejectWith(bytes4 selector) external onlyLocal {
        _refusal = selector;
    }

    // solhint-disable func-name-mixedcase

    /// @notice The id that the test has chosen.
    /// @return id the digest.
    function MODEL_ID() external view onlyLocal returns (bytes32 id) {
        return _ID;
    }

    /// @notice The id that the test has chosen.
    /// @return id the digest.
    function ARCHITECTURE_ID() external view onlyLocal returns (bytes32 id) {
        return _ID;
    }

    /// @notice The scale that the test has chosen.
    /// @return scale of the first output.
    function OUTPUT0_SCALE() external view onlyLocal returns (uint256 scale) {
        return _SCALE;
    }

    /// @notice Selector of the `verify` that it has.
    /// @return selector the first four bytes of a call of it.
    function VERIFY_SELECTOR() external view onlyLocal returns (bytes4 selector) {
        return _VERIFY;
    }

    /// @notice Selector of the `tryVerify` that it has.
    /// @return selector the first four bytes of a call of it.
    function TRY_VERIFY_SELECTOR() external view onlyLocal returns (bytes4 selector) {
        return _TRY_VERIFY;
    }

    // solhint-enable func-name-mixedcase

    /// @notice Names a model, as a verifier with committed weights does.
    /// @param model the commitment to the weights.
    /// @return id the model's id.
    function modelId(uint256[2] calldata model) external view onlyLocal returns (bytes32 id) {
        return HallmarkCall.modelIdOf(_ID, model);
    }

    /// @dev The error that the call deserves, or zero.
    function _refusalOf(bytes calldata call) private view returns (bytes4 selector) {
        if (call.length != _LENGTH) return CalldataLength.selector;
        if (_acceptsAll || _contexts[bytes32(call[4:36])]) return 0;
        return _refusal == 0 ? ProofRejected.selector : _refusal;
    }

    function _requireLocal() private view {
        if (block.chainid != FOUNDRY_CHAIN && block.chainid != DEVELOPMENT_CHAIN) revert NotALocalChain(block.chainid);
    }
}
