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

    /// @notice The call is not one of the verifier's `verify`. One of `tryVerify` would return its judgement to nobody.
    /// @param expected selector of `verify`.
    /// @param given selector of the call.
    error NotVerify(bytes4 expected, bytes4 given);

    /// @notice There is no contract at the verifier's address: a call to it would succeed whatever the proof.
    /// @param verifier the address.
    error VerifierHasNoCode(address verifier);

    /// @notice The verifier returned data, which `verify` never does: what was called is something else.
    /// @param verifier the address.
    error UnexpectedAnswer(address verifier);

    /// @notice Returns if the proof is valid for the model whose weights the verifier fixes.
    /// @param modelId the verifier's `MODEL_ID`.
    /// @param data the call: `abi.encodeCall(CreditVerifier.verify, (context, outputs, ..., proof))`.
    function verify(bytes32 modelId, bytes calldata data) external view;

    /// @notice Returns if the proof is valid for this model of an architecture. Whether the model is approved is for the caller to check.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param modelId what the verifier's `modelId` says of the weights that the call is for.
    /// @param data the call: `abi.encodeCall(CreditVerifier.verify, (context, model, outputs, ..., proof))`.
    function verifyModel(bytes32 architectureId, bytes32 modelId, bytes calldata data) external view;
}
