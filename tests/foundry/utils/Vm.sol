// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @notice The cheat codes of Foundry that this suite uses.
interface Vm {
    function readFile(string calldata path) external view returns (string memory text);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory value);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32 value);
    function parseJsonBytes32Array(string calldata json, string calldata key)
        external
        pure
        returns (bytes32[] memory values);
    function getCode(string calldata artifact) external view returns (bytes memory creationCode);
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function mockCallRevert(address callee, bytes calldata data, bytes calldata answer) external;
    function clearMockedCalls() external;
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256 gasUsed);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function assume(bool condition) external pure;
    function etch(address where, bytes calldata code) external;
    function prank(address sender) external;
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function cool(address target) external;
    function expectRevert(bytes calldata answer) external;
    function expectEmit(address emitter) external;
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory value);
    function split(string calldata text, string calldata delimiter) external pure returns (string[] memory parts);
    function indexOf(string calldata text, string calldata part) external pure returns (uint256 index);
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
