// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Owner, guardian and timelock
/// @notice What takes trust away happens at once, by the owner or the guardian. What gives trust is the owner's, and is announced
/// a delay ahead: the owner schedules the call, and makes it, byte for byte, when its time has come. In between the guardian may
/// cancel it, and whoever depends on it may leave.
/// @dev A function with `timelocked` must be `onlyOwner` as well. OpenZeppelin's TimelockController as the owner would leave it to the
/// deployment whether there is a timelock at all, and would delay what has to be quick.
abstract contract HallmarkGoverned is Ownable2Step {
    /// @notice A call that the owner has announced.
    struct Operation {
        uint64 readyAt; // 0 if there is none
        bool ownersOnly; // whether the guardian may not cancel it
    }

    /// @notice The least and the greatest delay that a deployment can choose.
    uint256 public constant MIN_DELAY = 1 days;

    /// @notice See `MIN_DELAY`.
    uint256 public constant MAX_DELAY = 30 days;

    /// @notice How long an operation may be executed once it is ready.
    uint256 public constant GRACE_PERIOD = 14 days;

    /// @notice Seconds between the announcement of an operation and the first moment at which it can be executed.
    uint256 public immutable DELAY;

    /// @notice May stop and cancel, and nothing else.
    address public guardian;

    /// @notice What has been announced, by the hash of the call.
    mapping(bytes32 id => Operation operation) public operations;

    /// @notice A call was announced.
    /// @param id hash of the call.
    /// @param call selector and arguments.
    /// @param readyAt when it can be made.
    event OperationScheduled(bytes32 indexed id, bytes call, uint256 readyAt);

    /// @notice An announced call will not be made.
    /// @param id hash of the call.
    /// @param by the owner or the guardian.
    event OperationCancelled(bytes32 indexed id, address indexed by);

    /// @notice An announced call was made.
    /// @param id hash of the call.
    event OperationExecuted(bytes32 indexed id);

    /// @notice There is another guardian.
    /// @param from the former one.
    /// @param to the present one.
    event GuardianSet(address indexed from, address indexed to);

    /// @notice The delay is below `MIN_DELAY` or above `MAX_DELAY`.
    /// @param delay what was asked for.
    error DelayOutOfRange(uint256 delay);

    /// @notice The guardian would be nobody.
    error NoGuardian();

    /// @notice The caller is neither owner nor guardian.
    /// @param caller who called.
    error NotGuardian(address caller);

    /// @notice The call is announced already.
    /// @param id its hash.
    error OperationPending(bytes32 id);

    /// @notice The call was not announced, or has been made or cancelled since.
    /// @param id its hash.
    error OperationUnknown(bytes32 id);

    /// @notice The delay is not over.
    /// @param id hash of the call.
    /// @param readyAt when it will be.
    error OperationNotReady(bytes32 id, uint256 readyAt);

    /// @notice The call was not made in time; it may be announced again.
    /// @param id its hash.
    /// @param expiredAt when its time ended.
    error OperationExpired(bytes32 id, uint256 expiredAt);

    /// @notice The guardian cannot prevent its own replacement.
    /// @param id hash of the call.
    error OwnersOperation(bytes32 id);

    /// @notice Without an owner what is stopped would stay so for ever.
    error RenouncingRefused();

    /// @dev By the owner or the guardian.
    modifier onlyGuardian() {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        _;
    }

    /// @dev Only if this very call was announced and its time has come; an announcement serves once.
    modifier timelocked() {
        _execute(keccak256(msg.data));
        _;
    }

    /// @notice Appoints owner and guardian, and sets the delay for good.
    /// @param owner_ the first owner.
    /// @param guardian_ the first guardian.
    /// @param delay seconds from announcement to execution.
    constructor(address owner_, address guardian_, uint256 delay) Ownable(owner_) {
        if (delay < MIN_DELAY || delay > MAX_DELAY) revert DelayOutOfRange(delay);
        DELAY = delay;
        _setGuardian(guardian_);
    }

    /// @notice Announces a call of one of this contract's timelocked functions.
    /// @param call selector and arguments, as `abi.encodeCall` gives them; whoever is owner when its time comes makes it.
    /// @return id its hash.
    function schedule(bytes calldata call) external onlyOwner returns (bytes32 id) {
        id = keccak256(call);
        uint256 pending = operations[id].readyAt;
        // one that has expired is as good as none
        if (pending != 0 && block.timestamp <= pending + GRACE_PERIOD) revert OperationPending(id);
        uint256 readyAt = block.timestamp + DELAY;
        operations[id] = Operation(uint64(readyAt), bytes4(call) == this.setGuardian.selector);
        emit OperationScheduled(id, call, readyAt);
    }

    /// @notice Takes an announcement back.
    /// @param id hash of the call.
    function cancel(bytes32 id) external onlyGuardian {
        Operation memory operation = operations[id];
        if (operation.readyAt == 0) revert OperationUnknown(id);
        if (operation.ownersOnly && msg.sender != owner()) revert OwnersOperation(id);
        delete operations[id];
        emit OperationCancelled(id, msg.sender);
    }

    /// @notice Replaces the guardian. Timelocked, or whoever steals the owner's key would be rid of the guardian at once.
    /// @param guardian_ the next one.
    function setGuardian(address guardian_) external onlyOwner timelocked {
        _setGuardian(guardian_);
    }

    /// @inheritdoc Ownable
    function renounceOwnership() public view override onlyOwner {
        revert RenouncingRefused();
    }

    function _setGuardian(address guardian_) private {
        if (guardian_ == address(0)) revert NoGuardian();
        emit GuardianSet(guardian, guardian_);
        guardian = guardian_;
    }

    /// @notice What `timelocked` does, for functions that ask when the call was announced.
    /// @param id hash of the call.
    /// @return announcedAt when it was.
    function _execute(bytes32 id) internal returns (uint256 announcedAt) {
        uint256 readyAt = operations[id].readyAt;
        // zero is no time but stands for no operation
        // slither-disable-next-line incorrect-equality
        if (readyAt == 0) revert OperationUnknown(id);
        if (block.timestamp < readyAt) revert OperationNotReady(id, readyAt);
        if (block.timestamp > readyAt + GRACE_PERIOD) revert OperationExpired(id, readyAt + GRACE_PERIOD);
        delete operations[id];
        emit OperationExecuted(id);
        return readyAt - DELAY;
    }
}
