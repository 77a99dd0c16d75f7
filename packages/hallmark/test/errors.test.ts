import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { encodeErrorResult, parseAbi } from "viem";

import { type Hex, decodeError, explain, revertData } from "../src/index.js";
import { ROOT } from "./support.js";

/** Errors that the contracts of a folder declare, as they stand there. */
async function declared(folder: string): Promise<string[]> {
  const names = (await readdir(join(ROOT, folder))).filter((name) => name.endsWith(".sol"));
  const sources = await Promise.all(names.map((name) => readFile(join(ROOT, folder, name), "utf8")));
  return sources.flatMap((source) => source.match(/^ *error \w+\(.*\);$/gm) ?? []).map((line) => line.trim().slice(0, -1));
}

const VALUES: Record<string, { given: unknown; read: unknown }> = {
  uint256: { given: 7n, read: 7n },
  uint8: { given: 5, read: 5n },
  address: { given: `0x${"5a".repeat(20)}`, read: `0x${"5a".repeat(20)}` },
  bytes32: { given: `0x${"c3".repeat(32)}`, read: `0x${"c3".repeat(32)}` },
  bytes4: { given: "0x01020304", read: "0x01020304" },
};

/** What an integrator of a verifier, a consumer or a router meets; the rest is for who governs them. */
test("every error that a generated verifier or a consumer reverts with has words", async () => {
  const consumer = await readFile(join(ROOT, "contracts/HallmarkConsumer.sol"), "utf8");
  const router = await readFile(join(ROOT, "contracts/interfaces/IHallmarkRouter.sol"), "utf8");
  const registry = await readFile(join(ROOT, "contracts/interfaces/IHallmarkRegistry.sol"), "utf8");
  const own = [consumer, router, registry.match(/error ModelNotApproved.*/)?.[0] ?? ""].flatMap((source) => source.match(/error \w+\(.*\);/g) ?? []);
  const declarations = new Set([...(await declared("tests/foundry/golden")), ...own.map((line) => line.slice(0, -1))]);
  assert(declarations.size > 18, `${declarations.size} errors`);
  for (const declaration of declarations) {
    const [, name = "", list = ""] = /^error (\w+)\((.*)\)$/.exec(declaration.replace("Status status", "uint8 status")) ?? [];
    const parameters = list === "" ? [] : list.split(", ").map((parameter) => parameter.split(" ") as [string, string]);
    const abi = parseAbi([`error ${name}(${list})`] as readonly string[]);
    const args = parameters.map(([type]) => VALUES[type]?.given);
    const data = encodeErrorResult({ abi, errorName: name, args } as never);
    const decoded = decodeError(data);
    assert(decoded, `${declaration} has no words`);
    assert.equal(decoded.name, name);
    assert.deepEqual(decoded.args, Object.fromEntries(parameters.map(([type, label]) => [label, VALUES[type]?.read])), declaration);
    assert(decoded.message.length > 20 && !/[{}]|undefined/.test(decoded.message), decoded.message);
    // data that only begins like the error
    assert.equal(decodeError(`${data}00`), undefined);
    assert.equal(decodeError(`${data}${"00".repeat(32)}`), undefined);
  }
});

test("Solidity's own errors are read too", () => {
  const abi = parseAbi(["error Error(string reason)", "error Panic(uint256 code)"]);
  const reason = "not approved: größer als 32 Bytes ist dieser Text ganz gewiss";
  assert.equal(decodeError(encodeErrorResult({ abi, errorName: "Error", args: [reason] }))?.message, reason);
  assert.equal(decodeError(encodeErrorResult({ abi, errorName: "Panic", args: [0x11n] }))?.message, "a panic with the code 17");
});

test("damaged data is no error", () => {
  const text = (offset: string, length: string): Hex => `0x08c379a0${offset.padStart(64, "0")}${length.padStart(64, "0")}${"61".padEnd(64, "0")}`;
  assert.equal(decodeError(text("20", "1"))?.message, "a");
  for (const data of ["0x", "0x08c379a0", "0x12345678", text("f".repeat(64), "1"), text("20", "f".repeat(64)), text("20", "21")]) {
    assert.equal(decodeError(data as Hex), undefined, data);
  }
  // an address of more than 20 bytes
  const wide = encodeErrorResult({ abi: parseAbi(["error WrongCaller(uint256, uint256)"]), args: [1n << 160n, 0n] });
  assert.equal(decodeError(`0x${"0".repeat(8)}${wide.slice(10)}`), undefined);
});

test("revert data is found in errors within errors", () => {
  const data = "0x439cc0cd";
  for (const error of [{ data }, { cause: { error: { data } } }, { info: { error: { data: { data } } } }, { cause: { raw: data } }]) {
    assert.equal(revertData(error), data);
  }
  const circle: { cause?: unknown; data?: unknown } = { data: "not hex" };
  circle.cause = circle;
  assert.equal(revertData(circle), undefined);
  for (const nothing of [undefined, null, "reverted", new Error("reverted"), { data: "0x" }]) assert.equal(explain(nothing), undefined);
});
