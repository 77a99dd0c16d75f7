// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Context} from "@openzeppelin/contracts/utils/Context.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Binds proofs to their use
/// @notice A proof is good for one context. This contract makes the context from everything that must not change between the one
/// who proves and the contract that believes it: chain, contract and its version, caller, what the proof is to bring about, a nonce and
/// a deadline. Whoever copies a proof from the mempool is another caller; on another chain or contract it is another context.
///
/// Two flavours, which do not accept each other's proofs:
///
/// - *sequential*: an account's proofs are used in the order of their nonces, each once. Cheap from the second use on.
/// - *unordered*: the caller picks any nonce, so that several proofs can be on their way. What was used is remembered by its
///   nullifier, the hash of context and statement. A statement has many proofs, so a hash of the proof would not do.
///
/// @dev The context is the EIP-712 hash of a struct under this contract's domain. That is what separates chains, contracts and versions
/// of a protocol, fields cannot run into each other, no other message that is hashed by EIP-712 has the same hash, and every wallet
/// library computes it without asking a node. Nobody signs it: the proof takes the place of the signature.
///
/// The binding's fields come from the caller, are checked against what is the case, and only then hashed: a proof that is used in
/// the wrong place is refused by name before the verifier is called, and a binding that lies is another context.
abstract contract HallmarkConsumer is Context, EIP712 {
    /// @notice What a proof was made for.
    struct Binding {
        uint256 chainId;
        address consumer;
        address caller;
        uint256 nonce;
        uint256 deadline; // the last second at which it can be used
    }

    /// @notice EIP-712 type of the contexts of sequential proofs.
    bytes32 public constant SEQUENTIAL_TYPEHASH =
        keccak256("Sequential(address caller,bytes32 action,uint256 nonce,uint256 deadline)");

    /// @notice EIP-712 type of the contexts of unordered proofs.
    bytes32 public constant UNORDERED_TYPEHASH =
        keccak256("Unordered(address caller,bytes32 action,uint256 nonce,uint256 deadline)");

    /// @notice The nonce of an account's next sequential proof.
    mapping(address caller => uint256 nonce) public nextNonce;

    /// @notice Which nullifiers of unordered proofs were used.
    mapping(bytes32 nullifier => bool used) public nullified;

    /// @notice An unordered proof was used.
    /// @param nullifier hash of its context and its statement.
    event Nullified(bytes32 indexed nullifier);

    /// @notice The proof was made for another chain.
    /// @param expected this chain.
    /// @param given the chain that it was made for.
    error WrongChain(uint256 expected, uint256 given);

    /// @notice The proof was made for another contract.
    /// @param expected this contract.
    /// @param given the contract that it was made for.
    error WrongConsumer(address expected, address given);

    /// @notice The proof was made by another account.
    /// @param expected the caller.
    /// @param given the account that it was made for.
    error WrongCaller(address expected, address given);

    /// @notice The proof was made for another place in the sequence: it was used, or one before it was not.
    /// @param expected the caller's next nonce.
    /// @param given the nonce that the proof was made for.
    error WrongNonce(uint256 expected, uint256 given);

    /// @notice The proof came too late.
    /// @param deadline the last second at which it could be used.
    error ContextExpired(uint256 deadline);

    /// @notice The statement was used in this context.
    /// @param nullifier hash of both.
    error StatementUsed(bytes32 nullifier);

    /// @notice Sets the EIP-712 domain.
    /// @param name name of the protocol, which is part of every context.
    /// @param version its version, likewise.
    constructor(string memory name, string memory version) EIP712(name, version) {}

    /// @notice What to prove for, to use the proof as the caller's next sequential one.
    /// @param caller the account that will call.
    /// @param action what the proof is to bring about: the hash that the function to be called makes of its arguments.
    /// @param deadline the last second at which it can be used.
    /// @return context for `hallmark prove --context`.
    /// @return binding to be passed along with the proof.
    function sequentialContext(address caller, bytes32 action, uint256 deadline)
        public
        view
        returns (bytes32 context, Binding memory binding)
    {
        binding = Binding(block.chainid, address(this), caller, nextNonce[caller], deadline);
        context = _context(SEQUENTIAL_TYPEHASH, caller, action, binding.nonce, deadline);
    }

    /// @notice What to prove for, to use the proof in any order.
    /// @param caller the account that will call.
    /// @param action what the proof is to bring about: the hash that the function to be called makes of its arguments.
    /// @param nonce any number; contexts with different ones are different.
    /// @param deadline the last second at which it can be used.
    /// @return context for `hallmark prove --context`.
    /// @return binding to be passed along with the proof.
    function unorderedContext(address caller, bytes32 action, uint256 nonce, uint256 deadline)
        public
        view
        returns (bytes32 context, Binding memory binding)
    {
        binding = Binding(block.chainid, address(this), caller, nonce, deadline);
        context = _context(UNORDERED_TYPEHASH, caller, action, nonce, deadline);
    }

    /// @notice The context of the caller's next sequential proof, which is used up by it.
    /// @dev Verify the proof for this context in the same call, or revert.
    /// @param binding what the caller says that the proof was made for.
    /// @param action what this call is about to do: a hash with a name of its own, and everything that matters.
    /// @return context what the proof must have been made for.
    function _useSequential(Binding calldata binding, bytes32 action) internal returns (bytes32 context) {
        address caller = _check(binding);
        uint256 nonce = nextNonce[caller];
        if (binding.nonce != nonce) revert WrongNonce(nonce, binding.nonce);
        nextNonce[caller] = nonce + 1;
        context = _context(SEQUENTIAL_TYPEHASH, caller, action, nonce, binding.deadline);
    }

    /// @notice The context of an unordered proof, in which its statement is used up by it.
    /// @dev Verify the proof for this context and this statement in the same call, or revert. The context is not used up: another
    /// statement may be used in it, and where values are hashed a fresh salt makes one. What may happen once per nonce or per action has to be
    /// recorded by the consumer.
    /// @param binding what the caller says that the proof was made for.
    /// @param action what this call is about to do: a hash with a name of its own, and everything that matters.
    /// @param statement hash of what is proved: the model's id if it is an argument, and all outputs and digests.
    /// @return context what the proof must have been made for.
    function _useUnordered(Binding calldata binding, bytes32 action, bytes32 statement)
        internal
        returns (bytes32 context)
    {
        address caller = _check(binding);
        context = _context(UNORDERED_TYPEHASH, caller, action, binding.nonce, binding.deadline);
        bytes32 nullifier = nullifierOf(context, statement);
        if (nullified[nullifier]) revert StatementUsed(nullifier);
        nullified[nullifier] = true;
        emit Nullified(nullifier);
    }

    /// @notice What is remembered of an unordered proof that was used.
    /// @param context what it was made for.
    /// @param statement hash of what it proves.
    /// @return nullifier hash of both.
    function nullifierOf(bytes32 context, bytes32 statement) public pure returns (bytes32 nullifier) {
        return keccak256(abi.encode(context, statement));
    }

    /// @dev Refuses by name what was not made for this call.
    function _check(Binding calldata binding) private view returns (address caller) {
        caller = _msgSender();
        if (binding.chainId != block.chainid) revert WrongChain(block.chainid, binding.chainId);
        if (binding.consumer != address(this)) revert WrongConsumer(address(this), binding.consumer);
        if (binding.caller != caller) revert WrongCaller(caller, binding.caller);
        if (block.timestamp > binding.deadline) revert ContextExpired(binding.deadline);
    }

    function _context(bytes32 typeHash, address caller, bytes32 action, uint256 nonce, uint256 deadline)
        private
        view
        returns (bytes32 context)
    {
        return _hashTypedDataV4(keccak256(abi.encode(typeHash, caller, action, nonce, deadline)));
    }
}
