// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkConsumer} from "../../../../contracts/HallmarkConsumer.sol";

/// @notice The credit model's verifier, or a mock of it.
interface IScoreVerifier {
    function verify(bytes32 context, int256[1] calldata outputs, uint256[12] calldata proof) external view;
}

/// @notice A consumer of both flavours, which counts what it believed and measures what believing costs.
contract ScoreConsumer is HallmarkConsumer {
    bytes32 private constant ACTION_TYPEHASH = keccak256("Record(uint256 item)");

    IScoreVerifier private immutable VERIFIER;

    /// @notice How many proofs were accepted for an item.
    mapping(uint256 item => uint256 count) public accepted;

    constructor(IScoreVerifier verifier) HallmarkConsumer("ScoreConsumer", "1") {
        VERIFIER = verifier;
    }

    function recordInOrder(uint256 item, Binding calldata binding, int256[1] calldata score, uint256[12] calldata proof)
        external
    {
        VERIFIER.verify(_useSequential(binding, actionOf(item)), score, proof);
        accepted[item]++;
    }

    function record(uint256 item, Binding calldata binding, int256[1] calldata score, uint256[12] calldata proof)
        external
    {
        bytes32 statement = keccak256(abi.encode(score));
        VERIFIER.verify(_useUnordered(binding, actionOf(item), statement), score, proof);
        accepted[item]++;
    }

    /// @notice Gas of the context and the nonce.
    function measureSequential(Binding calldata binding, bytes32 action) external returns (uint256 used) {
        uint256 start = gasleft();
        _useSequential(binding, action);
        return start - gasleft();
    }

    /// @notice Gas of the context and the nullifier.
    function measureUnordered(Binding calldata binding, bytes32 action, bytes32 statement)
        external
        returns (uint256 used)
    {
        uint256 start = gasleft();
        _useUnordered(binding, action, statement);
        return start - gasleft();
    }

    function actionOf(uint256 item) public pure returns (bytes32 action) {
        return keccak256(abi.encode(ACTION_TYPEHASH, item));
    }
}
