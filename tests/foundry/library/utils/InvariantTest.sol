// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @notice Which functions of which contract forge calls at random between two looks at the invariants.
abstract contract InvariantTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    address private _handler;
    bytes4[] private _selectors;

    /// @dev The test calls this once for its handler.
    function target(address handler, bytes4[] memory selectors) internal {
        (_handler, _selectors) = (handler, selectors);
    }

    /// @notice Read by forge.
    function targetContracts() external view returns (address[] memory contracts) {
        contracts = new address[](1);
        contracts[0] = _handler;
    }

    /// @notice Read by forge.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(_handler, _selectors);
    }
}
