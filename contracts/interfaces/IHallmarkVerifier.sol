// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title Errors of a generated verifier's `verify`
/// @notice Whoever forwards a call lets them through as they are, so that they can be decoded wherever it came from.
interface IHallmarkVerifierErrors {
    /// @notice The call does not have exactly the bytes of its arguments.
    error CalldataLength();

    /// @notice A public value is outside of the range that the model can produce.
    error OutputOutOfRange();

    /// @notice A scalar of the proof is not below the order of the group.
    error ScalarNotCanonical();

    /// @notice A point of the proof is not on the curve.
    error PointNotOnCurve();

    /// @notice The proof does not hold for this context, these outputs and this model.
    error ProofRejected();
}

/// @title What all generated verifiers have in common
/// @notice A verifier of one model. Its weights are fixed: `MODEL_ID` names the approved model.
/// @dev Every verifier also has
///
///     verify(bytes32 context, int256[N] outputs, uint256[D] digests, uint256[M] proof) view
///     tryVerify(bytes32 context, int256[N] outputs, uint256[D] digests, uint256[M] proof) view returns (bool)
///
/// without the arrays that are empty. N, D and M belong to the model, so no interface can name these functions for all of them:
/// use the generated contract's own type, or `HallmarkCall` with a call encoded by it. `verify` reverts or returns nothing.
/// `tryVerify` returns its judgement, and a caller that ignores it accepts everything: nothing in this library forwards it.
interface IHallmarkVerifier is IHallmarkVerifierErrors {
    /// @notice Names the approved model: the digest of its verifying key.
    /// @return id the digest.
    function MODEL_ID() external view returns (bytes32 id); // solhint-disable-line func-name-mixedcase
}

/// @title A generated verifier that takes the commitment to the weights as an argument
/// @notice A verifier of one architecture: a proof holds for the weights that `model` commits to, and these may be anybody's.
/// Whoever consumes it has to check that this very model is approved: see `IHallmarkRegistry`.
/// @dev `verify(bytes32 context, uint256[2] model, int256[N] outputs, uint256[D] digests, uint256[M] proof) view`, and `tryVerify`.
interface IHallmarkCommittedVerifier is IHallmarkVerifierErrors {
    /// @notice Names the architecture: the digest of everything in the verifying key but the weights.
    /// @return id the digest.
    function ARCHITECTURE_ID() external view returns (bytes32 id); // solhint-disable-line func-name-mixedcase

    /// @notice Names the model of this architecture with these weights.
    /// @dev On BN254. On BLS12-381 a commitment has three words, also as an argument of `verify`: use the generated contract's own type.
    /// @param model the commitment to the weights, as `verify` takes it.
    /// @return id `keccak256(abi.encode(ARCHITECTURE_ID, model))`.
    function modelId(uint256[2] calldata model) external view returns (bytes32 id);
}
