import assert from "node:assert/strict";
import { test } from "node:test";

import * as viem from "viem";

import { type Fixed, type Hex, WAD, atLeast, exponentOf, keccak256, toDecimal, toNumber, toWad } from "../src/index.js";

/** Numbers of at most so many bits with a sign; the same in every run. */
function* numbers(count: number, bits: number): Generator<bigint> {
  let state = 0x9e3779b97f4a7c15n;
  for (let i = 0; i < count; i++) {
    state = BigInt.asUintN(128, state * 0xda942042e4dd58b5d1342543de82ef95n + 1n);
    yield BigInt.asIntN(bits, state >> 3n);
  }
}

test("keccak256 is the EVM's, at every length around a block", () => {
  for (let length = 0; length < 300; length += length < 130 || length > 140 ? 7 : 1) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + length) % 256);
    assert.equal(keccak256(bytes), viem.keccak256(bytes), `${length} bytes`);
    assert.equal(keccak256(viem.bytesToHex(bytes)), viem.keccak256(bytes), `${length} bytes in hex`);
  }
});

test("keccak256 refuses what is no bytes", () => {
  for (const text of ["0xzz", "0x1", "1234", "", "0x12 "]) assert.throws(() => keccak256(text as Hex), TypeError, text);
  assert.equal(keccak256("0x"), viem.keccak256("0x"));
});

test("decimals are exact", () => {
  const cases: [Fixed | bigint, string][] = [
    [{ integer: 1n, exponent: 1 }, "0.5"],
    [{ integer: -3n, exponent: 2 }, "-0.75"],
    [{ integer: 0n, exponent: 44 }, "0"],
    [{ integer: 1n << 44n, exponent: 44 }, "1"],
    [{ integer: 1n, exponent: 44 }, "0.00000000000005684341886080801486968994140625"],
    [{ integer: -5n, exponent: -3 }, "-40"],
    [{ integer: 25n, exponent: 0 }, "25"],
    [-(1n << 127n), "-170141183460469231731687303715884105728"],
  ];
  for (const [value, expected] of cases) assert.equal(toDecimal(value), expected);
  for (const integer of numbers(200, 120)) {
    const decimal = toDecimal({ integer, exponent: 44 });
    const [whole = "", fraction = ""] = decimal.split(".");
    // read back: digits times 2^44 over a power of ten
    assert.equal((BigInt(whole + fraction) << 44n) / 10n ** BigInt(fraction.length), integer, decimal);
    assert(!decimal.endsWith("0") || fraction === "", decimal);
  }
});

test("wads are rounded down, and comparisons are exact", () => {
  for (const integer of numbers(200, 100)) {
    const value = { integer, exponent: 44 };
    const wad = toWad(value);
    assert(wad << 44n <= integer * WAD && integer * WAD < (wad + 1n) << 44n);
    assert(atLeast(value, wad) && !atLeast(value, wad + 1n));
    assert.equal(atLeast(value, wad + 1n), integer * WAD >= (wad + 1n) << 44n);
  }
  assert.equal(toWad({ integer: 3n, exponent: -2 }), 12n * WAD);
  assert.equal(toWad(-7n), -7n * WAD);
});

test("doubles are the nearest ones", () => {
  for (const integer of numbers(100, 53)) assert.equal(toNumber({ integer, exponent: 44 }), Number(integer) / 2 ** 44);
});

test("scales are powers of two", () => {
  assert.deepEqual([1, 2 ** 44, 0.25].map(exponentOf), [0, 44, -2]);
  for (const scale of [0, -2, 3, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => exponentOf(scale), RangeError);
  assert.throws(() => toDecimal({ integer: 1n, exponent: 0.5 }), /0.5 is no exponent/);
});
