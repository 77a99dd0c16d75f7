// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title Says which models of an architecture are approved
/// @notice What a consumer needs of the registry if its verifier takes the commitment to the weights as an argument.
interface IHallmarkRegistry {
    /// @notice What there is to say of a model at this moment.
    enum Status {
        Unknown, // never approved
        Early, // approved from a later moment on
        Approved,
        Expired, // was approved until an earlier moment
        Suspended, // for now
        Revoked // for good
    }

    /// @notice The model is not approved at this moment.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @param status what it is instead.
    error ModelNotApproved(bytes32 architectureId, bytes32 modelId, Status status);

    /// @notice Reverts unless the model with these weights is approved now.
    /// @dev For BN254. On BLS12-381, where a commitment has three words, use `requireApproved(architectureId, verifier.modelId(weights))`.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param model the commitment to the weights, as it is passed to `verify`.
    /// @return modelId the model's id.
    function requireApproved(bytes32 architectureId, uint256[2] calldata model) external view returns (bytes32 modelId);

    /// @notice Reverts unless the model of this id is approved now.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param modelId what the verifier's `modelId` says of the weights.
    function requireApproved(bytes32 architectureId, bytes32 modelId) external view;

    /// @notice What there is to say of a model at this moment.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param modelId what the verifier's `modelId` says of the weights.
    /// @return status approved, or why not.
    function statusOf(bytes32 architectureId, bytes32 modelId) external view returns (Status status);
}
