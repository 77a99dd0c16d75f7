// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Call} from "./Call.sol";

/// @notice A point of BLS12-381's first curve, y^2 = x^3 + 4, in the encoding of EIP-2537: coordinates in two words
/// each.
struct Point {
    uint256 xHigh;
    uint256 xLow;
    uint256 yHigh;
    uint256 yLow;
}

/// @notice Points of the curve, in its subgroup of order r or not, in the encodings that a proof has: 96 bytes, and 48
/// bytes for the last point, both of them in words of a call.
library G1 {
    using Call for bytes;

    /// @dev Modulus of the coordinates; (p + 1) / 4, since p = 3 mod 4; (p - 1) / 2.
    uint256 internal constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 internal constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    uint256 private constant ROOT_HIGH = 0x0680447a8e5ff9a692c6e9ed90d2eb35;
    uint256 private constant ROOT_LOW = 0xd91dd2e13ce144afd9cc34a83dac3d8907aaffffac54ffffee7fbfffffffeaab;
    uint256 private constant HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    // Bits of the first byte of 48: the point is compressed; y is the larger root.
    uint256 private constant COMPRESSED = 1 << 127;
    uint256 private constant LARGER = 1 << 125;

    /// @notice The sum. The precompile takes all points of the curve, as EIP-2537 has it.
    function add(Point memory a, Point memory b) internal view returns (Point memory sum) {
        (bool success, bytes memory answer) = address(0x0b).staticcall(abi.encode(a, b));
        require(success && answer.length == 128, "G1ADD");
        return abi.decode(answer, (Point));
    }

    /// @notice Whether the point has the order of the subgroup, or is infinity: multiplication takes no others.
    function inSubgroup(Point memory point) internal view returns (bool success) {
        (success,) = address(0x0c).staticcall{gas: 100_000}(abi.encode(point, uint256(1)));
    }

    /// @notice Reads the three words from `index` on.
    function load(bytes memory call, uint256 index) internal pure returns (Point memory point) {
        (uint256 a, uint256 b) = (call.word(index), call.word(index + 1));
        return Point(a >> 128, (a << 128) | (b >> 128), b & type(uint128).max, call.word(index + 2));
    }

    /// @notice Overwrites the three words from `index` on.
    function store(bytes memory call, uint256 index, Point memory point) internal pure {
        call.setWord(index, (point.xHigh << 128) | (point.xLow >> 128));
        call.setWord(index + 1, (point.xLow << 128) | point.yHigh);
        call.setWord(index + 2, point.yLow);
    }

    /// @notice Reads the 48 bytes from word `index` on.
    function loadCompressed(bytes memory call, uint256 index) internal view returns (Point memory point) {
        (uint256 a, uint256 b) = (call.word(index), call.word(index + 1));
        require((a >> 128) & COMPRESSED != 0, "not compressed");
        (point.xHigh, point.xLow) = ((a >> 128) & (LARGER - 1), (a << 128) | (b >> 128));
        (uint256 high, uint256 low) = power(point.xHigh, point.xLow, 0, 3);
        (point.yHigh, point.yLow) = power(high, low + 4, ROOT_HIGH, ROOT_LOW);
        if (larger(point) != ((a >> 128) & LARGER != 0)) {
            (uint256 yHigh, uint256 yLow) = (point.yHigh, point.yLow);
            unchecked {
                point.yHigh = P_HIGH - yHigh - (yLow > P_LOW ? 1 : 0);
                point.yLow = P_LOW - yLow;
            }
        }
    }

    /// @notice Overwrites the 48 bytes from word `index` on.
    function storeCompressed(bytes memory call, uint256 index, Point memory point) internal pure {
        uint256 high = COMPRESSED | (larger(point) ? LARGER : 0) | point.xHigh;
        call.setWord(index, (high << 128) | (point.xLow >> 128));
        call.setWord(index + 1, point.xLow << 128);
    }

    function larger(Point memory point) private pure returns (bool yes) {
        return point.yHigh > HALF_HIGH || (point.yHigh == HALF_HIGH && point.yLow > HALF_LOW);
    }

    /// @dev A power of a coordinate.
    function power(uint256 high, uint256 low, uint256 exponentHigh, uint256 exponentLow)
        private
        view
        returns (uint256, uint256)
    {
        bytes memory input =
            abi.encode(uint256(64), uint256(64), uint256(64), high, low, exponentHigh, exponentLow, P_HIGH, P_LOW);
        (bool success, bytes memory answer) = address(5).staticcall(input);
        require(success && answer.length == 64, "modexp");
        return abi.decode(answer, (uint256, uint256));
    }
}
