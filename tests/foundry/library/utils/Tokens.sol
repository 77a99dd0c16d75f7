// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice An asset of six decimals, of which anybody may have as much as they like.
contract Dollar is ERC20 {
    constructor() ERC20("Dollar", "USD") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}

/// @notice An asset that keeps one percent of every transfer.
contract Toll is Dollar {
    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(this), amount / 100);
    }
}

/// @notice An asset that calls somebody in the midst of every transfer.
contract Caller is Dollar {
    address public target;
    bytes public data;
    bytes public answer;

    function callOnTransfer(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target == address(0)) return;
        address called = target;
        target = address(0);
        (, answer) = called.call(data);
    }
}
