// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "./HallmarkCall.sol";
import {HallmarkGoverned} from "./HallmarkGoverned.sol";
import {IHallmarkRegistry} from "./interfaces/IHallmarkRegistry.sol";

/// @title Approved models of an architecture
/// @notice A verifier with committed weights accepts proofs of every model of its architecture, also of one that somebody made up
/// this morning. This registry says which are approved, and when. An approval takes the timelock; ending one does not.
///
/// - The owner approves models for a time, and gives them another time, through the timelock.
/// - The guardian, or the owner, suspends models at once; the owner reinstates them, through the timelock.
/// - The owner ends an approval earlier than announced, or revokes it for good, at once.
contract HallmarkRegistry is HallmarkGoverned, IHallmarkRegistry {
    /// @notice What was decided of a model, whatever the time: one word of storage.
    enum Decision {
        None,
        Approved,
        Suspended,
        Revoked
    }

    /// @notice A decision, and the time for which an approval holds: `from <= block.timestamp < until`.
    struct Entry {
        uint64 from;
        uint64 until;
        Decision decision;
    }

    mapping(bytes32 architectureId => mapping(bytes32 modelId => Entry entry)) private _entries;

    /// @dev The last time that a model was suspended, 0 if never. Not in its entry: whoever asks for the status would pay for it.
    mapping(bytes32 architectureId => mapping(bytes32 modelId => uint256 time)) private _suspendedAt;

    /// @notice A model was approved, or its approval was given another time.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @param from the first second at which it is approved.
    /// @param until the first second at which it is not any more.
    event ModelApproved(bytes32 indexed architectureId, bytes32 indexed modelId, uint64 from, uint64 until);

    /// @notice An approval ends earlier.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @param until the first second at which it is not approved any more.
    event ModelShortened(bytes32 indexed architectureId, bytes32 indexed modelId, uint64 until);

    /// @notice A model is not approved for now.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @param by the owner or the guardian.
    event ModelSuspended(bytes32 indexed architectureId, bytes32 indexed modelId, address indexed by);

    /// @notice A model is no longer suspended.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    event ModelReinstated(bytes32 indexed architectureId, bytes32 indexed modelId);

    /// @notice A model will never be approved again.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    event ModelRevoked(bytes32 indexed architectureId, bytes32 indexed modelId);

    /// @notice The time is empty, or over.
    /// @param from its first second.
    /// @param until the first second after it.
    error WindowEmpty(uint64 from, uint64 until);

    /// @notice The approval does not end earlier by that.
    /// @param until when it ends.
    error NotShorter(uint64 until);

    /// @notice The model was suspended after its reinstatement was announced: what made it so was not known then.
    /// @param modelId the model.
    /// @param suspendedAt when it was suspended.
    error AnnouncedBeforeSuspension(bytes32 modelId, uint256 suspendedAt);

    /// @notice What was decided of the model before does not permit this.
    /// @param decision what was decided.
    error NotWith(Decision decision);

    /// @notice A registry without models.
    /// @param owner_ the first owner.
    /// @param guardian_ the first guardian.
    /// @param delay seconds from announcing an approval to giving it.
    constructor(address owner_, address guardian_, uint256 delay) HallmarkGoverned(owner_, guardian_, delay) {}

    /// @notice Approves a model for a time, or gives an approved one another time. Timelocked.
    /// @param architectureId the verifier's `ARCHITECTURE_ID`.
    /// @param modelId what the verifier's `modelId` says of the weights.
    /// @param from the first second at which it is approved; an earlier one than now means at once.
    /// @param until the first second at which it is not any more.
    function approve(bytes32 architectureId, bytes32 modelId, uint64 from, uint64 until) external onlyOwner timelocked {
        Entry storage entry = _entries[architectureId][modelId];
        Decision decision = entry.decision;
        if (decision != Decision.None && decision != Decision.Approved) revert NotWith(decision);
        if (from >= until || until <= block.timestamp) revert WindowEmpty(from, until);
        _entries[architectureId][modelId] = Entry(from, until, Decision.Approved);
        emit ModelApproved(architectureId, modelId, from, until);
    }

    /// @notice Lifts a suspension; the time of the approval is what it was. Timelocked, and announced after the suspension.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    function reinstate(bytes32 architectureId, bytes32 modelId) external onlyOwner {
        uint256 announcedAt = _execute(keccak256(msg.data));
        _move(architectureId, modelId, Decision.Suspended, Decision.Approved);
        uint256 suspendedAt = _suspendedAt[architectureId][modelId];
        if (announcedAt < suspendedAt) revert AnnouncedBeforeSuspension(modelId, suspendedAt);
        emit ModelReinstated(architectureId, modelId);
    }

    /// @notice Suspends an approved model at once.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    function suspend(bytes32 architectureId, bytes32 modelId) external onlyGuardian {
        _move(architectureId, modelId, Decision.Approved, Decision.Suspended);
        _suspendedAt[architectureId][modelId] = block.timestamp;
        emit ModelSuspended(architectureId, modelId, msg.sender);
    }

    /// @notice Lets an approval end earlier.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @param until the first second at which it is not approved any more.
    function shorten(bytes32 architectureId, bytes32 modelId, uint64 until) external onlyOwner {
        Entry storage entry = _entries[architectureId][modelId];
        if (until >= entry.until) revert NotShorter(entry.until);
        entry.until = until;
        emit ModelShortened(architectureId, modelId, until);
    }

    /// @notice Revokes a model at once and for good, whether it was approved or not.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    function revoke(bytes32 architectureId, bytes32 modelId) external onlyOwner {
        Entry storage entry = _entries[architectureId][modelId];
        if (entry.decision == Decision.Revoked) revert NotWith(Decision.Revoked);
        entry.decision = Decision.Revoked;
        emit ModelRevoked(architectureId, modelId);
    }

    /// @inheritdoc IHallmarkRegistry
    function requireApproved(bytes32 architectureId, uint256[2] calldata model)
        external
        view
        returns (bytes32 modelId)
    {
        modelId = HallmarkCall.modelIdOf(architectureId, model);
        _requireApproved(architectureId, modelId);
    }

    /// @inheritdoc IHallmarkRegistry
    function requireApproved(bytes32 architectureId, bytes32 modelId) external view {
        _requireApproved(architectureId, modelId);
    }

    /// @notice What was decided of a model.
    /// @param architectureId the architecture.
    /// @param modelId the model.
    /// @return entry the decision, and the time of its approval.
    function entryOf(bytes32 architectureId, bytes32 modelId) external view returns (Entry memory entry) {
        return _entries[architectureId][modelId];
    }

    /// @inheritdoc IHallmarkRegistry
    function statusOf(bytes32 architectureId, bytes32 modelId) public view returns (Status status) {
        Entry memory entry = _entries[architectureId][modelId];
        if (entry.decision == Decision.None) return Status.Unknown;
        if (entry.decision == Decision.Suspended) return Status.Suspended;
        if (entry.decision == Decision.Revoked) return Status.Revoked;
        if (block.timestamp < entry.from) return Status.Early;
        return block.timestamp < entry.until ? Status.Approved : Status.Expired;
    }

    function _requireApproved(bytes32 architectureId, bytes32 modelId) private view {
        Status status = statusOf(architectureId, modelId);
        if (status != Status.Approved) revert ModelNotApproved(architectureId, modelId, status);
    }

    function _move(bytes32 architectureId, bytes32 modelId, Decision from, Decision to) private {
        Entry storage entry = _entries[architectureId][modelId];
        if (entry.decision != from) revert NotWith(entry.decision);
        entry.decision = to;
    }
}
