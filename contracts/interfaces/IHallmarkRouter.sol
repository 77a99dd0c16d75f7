// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IHallmarkVerifierErrors} from "./IHallmarkVerifier.sol";

/// @title Finds the verifier of a verifying key
/// @notice What a consumer needs of the router. Both functions return if the proof is valid, and revert with the verifier's own error
/// if it is not, or with one of the router's.
interface IHallmarkRouter is IHallmarkVerifierErrors {
    /// @notice No verifier was ever added for this key.
    /// @param key the verifying key asked for.
    error RouteUnknown(bytes32 key);

    /// @notice The verifier is stopped for now.
    /// @param key the verifying key asked for.
    error RouteStopped(bytes32 key);

    /// @notice The key was given up for good.
    /// @param key the verifying key asked for.
    error RouteRemoved(bytes32 key);

    /// @notice The verifier takes any weights: say with `verifyModel` whose.
    /// @param architectureId the verifying key asked for.
    error ModelNotNamed(bytes32 architectureId);

    /// @notice The verifier's weights are fixed: `verify` is the function to call.
    /// @param modelId the verifying key asked for.
    error ModelIsFixed(bytes32 modelId);

    /// @notice The call is for other weights than those of the model that was named.
    /// @param expected the model that was named.
    /// @param given the model of the call.
    error AnotherModel(bytes32 expected, bytes32 given);

    /// @notice Returns if the proof is valid for the model whose weights the verifier fixes.
    /// @param modelId the verifier's `MODEL_ID`.
    /// @param call `abi.encodeCall(CreditVerifier.verify, (context, outputs, ..., proof))`.
    function verify(bytes32 modelId, bytes calldata call) external view;

    /// @notice Returns if the proof is valid for this model of an architecture. Whether the model is approved is for the caller to check.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param modelId what the verifier's `modelId` says of the weights that the call is for.
    /// @param call `abi.encodeCall(CreditVerifier.verify, (context, model, outputs, ..., proof))`.
    function verifyModel(bytes32 architectureId, bytes32 modelId, bytes calldata call) external view;
}
