import { type Hex, isHex } from "./hex.js";
import { keccakText } from "./keccak.js";

/** An error that a contract reverted with. */
export interface DecodedError {
  /** `ProofRejected`, for one. */
  readonly name: string;
  /** Arguments by name: numbers as bigint, addresses and bytes in hex, texts as they are. */
  readonly args: Readonly<Record<string, bigint | Hex | string>>;
  /** What it means, in words. */
  readonly message: string;
}

/** Errors as Solidity declares them, with what they mean; `{argument}` stands for the argument. */
const MEANINGS: readonly (readonly [declaration: string, meaning: string])[] = [
  // a verifier
  ["CalldataLength()", "the call does not have exactly the bytes of its arguments"],
  ["OutputOutOfRange()", "a public value is outside of the range that the model can produce"],
  ["ScalarNotCanonical()", "a scalar of the proof is not below the order of the group"],
  ["PointNotOnCurve()", "a point of the proof is not on the curve"],
  ["ProofRejected()", "the proof does not hold for this context, these outputs and this model"],
  ["PrecompileMissing()", "the chain lacks a precompile that the verifier needs, or it does not work"],
  // a verifier of batches
  ["EmptyBatch()", "there is no claim to verify"],
  ["OutputOutOfRange(uint256 index)", "claim {index}: a public value is outside of the range that the model can produce"],
  ["ScalarNotCanonical(uint256 index)", "claim {index}: a scalar of the proof is not below the order of the group"],
  ["PointNotOnCurve(uint256 index)", "claim {index}: a point of the proof is not on the curve"],
  ["ProofRejected(uint256 index)", "claim {index}: the proof does not hold for its context, its outputs and this model"],
  // typed libraries and the registry
  ["OtherModel(bytes32 expected, bytes32 given)", "the proof is of the model {given}, and the approved one is {expected}"],
  [
    "ModelNotApproved(bytes32 architectureId, bytes32 modelId, uint8 status)",
    "the model {modelId} of the architecture {architectureId} is not approved now: it {status}",
  ],
  // HallmarkConsumer
  ["WrongChain(uint256 expected, uint256 given)", "the proof was made for the chain {given}, and this is {expected}"],
  ["WrongConsumer(address expected, address given)", "the proof was made for the contract {given}, and this is {expected}"],
  ["WrongCaller(address expected, address given)", "the proof was made for the caller {given}, and {expected} has called"],
  ["WrongNonce(uint256 expected, uint256 given)", "the proof was made for the nonce {given}, and the caller's next one is {expected}"],
  ["ContextExpired(uint256 deadline)", "the proof could be used until second {deadline}, which is over"],
  ["StatementUsed(bytes32 nullifier)", "the statement was used in this context: nullifier {nullifier}"],
  // HallmarkRouter
  ["RouteUnknown(bytes32 key)", "the router has no verifier for {key}"],
  ["RouteStopped(bytes32 key)", "the verifier for {key} is stopped"],
  ["RouteRemoved(bytes32 key)", "the verifier for {key} was removed for good"],
  ["ModelNotNamed(bytes32 architectureId)", "the verifier for {architectureId} is one of many models, and the call does not say which: use verifyModel"],
  ["ModelIsFixed(bytes32 modelId)", "the verifier for {modelId} has one model: use verify"],
  ["AnotherModel(bytes32 expected, bytes32 given)", "the call is for the model {given}, and {expected} was asked for"],
  ["NotVerify(bytes4 expected, bytes4 given)", "the call is of the function {given}, and verify is {expected}"],
  ["VerifierHasNoCode(address verifier)", "there is no code at the verifier's address {verifier}"],
  ["UnexpectedAnswer(address verifier)", "the contract at {verifier} has returned data, which no verifier does"],
  // Solidity's own
  ["Error(string reason)", "{reason}"],
  ["Panic(uint256 code)", "a panic with the code {code}"],
];

/** What `IHallmarkRegistry.Status` means. */
const STATUSES = ["was never", "will be later", "is", "was until an earlier moment", "is suspended", "is revoked for good"];

interface Parameter {
  readonly type: string;
  readonly name: string;
}

interface Entry {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly meaning: string;
}

let table: ReadonlyMap<string, Entry> | undefined;

/** Entries by selector; made when an error is decoded for the first time. */
function entries(): ReadonlyMap<string, Entry> {
  table ??= new Map(
    MEANINGS.map(([declaration, meaning]) => {
      const [name = "", list = ""] = declaration.slice(0, -1).split("(");
      const parameters = list === "" ? [] : list.split(", ").map((parameter) => {
        const [type = "", label = ""] = parameter.split(" ");
        return { type, name: label };
      });
      const types = parameters.map((parameter) => parameter.type).join(",");
      return [keccakText(`${name}(${types})`).slice(0, 10), { name, parameters, meaning }];
    }),
  );
  return table;
}

/** The argument in a word, or undefined if the word encodes none of this type. `body` is all words' digits. */
function argument(type: string, word: string, body: string): bigint | Hex | string | undefined {
  const value = BigInt(`0x${word}`);
  if (type === "string") {
    if (value > BigInt(body.length / 2)) return undefined;
    const at = 2 * Number(value);
    const length = BigInt(`0x0${body.slice(at, at + 64)}`);
    if (length > BigInt(body.length / 2)) return undefined;
    const digits = body.slice(at + 64, at + 64 + 2 * Number(length));
    if (digits.length !== 2 * Number(length)) return undefined;
    return new TextDecoder().decode(Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)));
  }
  if (type === "address") return value < 1n << 160n ? `0x${word.slice(24)}` : undefined;
  const [, bytes] = /^bytes([0-9]+)$/.exec(type) ?? [];
  return bytes === undefined ? value : `0x${word.slice(0, 2 * Number(bytes))}`;
}

/**
 * What a contract of Hallmark's reverted with, given its revert data. Undefined if it is none of their errors, nor one of Solidity's: data that
 * only begins like one is none.
 */
export function decodeError(data: Hex): DecodedError | undefined {
  if (!isHex(data) || data.length < 10) return undefined;
  const entry = entries().get(data.slice(0, 10).toLowerCase());
  if (entry === undefined) return undefined;
  const body = data.slice(10).toLowerCase();
  const exact = entry.parameters.every((parameter) => parameter.type !== "string");
  const words = body.length / 64;
  if (exact ? words !== entry.parameters.length : words < entry.parameters.length) return undefined;
  const args: Record<string, bigint | Hex | string> = {};
  for (const [i, { type, name }] of entry.parameters.entries()) {
    const value = argument(type, body.slice(64 * i, 64 * (i + 1)), body);
    if (value === undefined) return undefined;
    args[name] = value;
  }
  const message = entry.meaning.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = args[name];
    return name === "status" ? (STATUSES[Number(value)] ?? `has the status ${String(value)}`) : String(value);
  });
  return { name: entry.name, args, message };
}

/** Where viem, ethers and JSON-RPC put revert data, or the error that has it. */
const PLACES = ["data", "raw", "cause", "error", "info", "originalError"] as const;

/** The revert data in an error that viem, ethers or a JSON-RPC client has thrown. */
export function revertData(error: unknown): Hex | undefined {
  const [seen, waiting]: [Set<unknown>, unknown[]] = [new Set(), [error]];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    if (isHex(next) && next.length >= 10) return next;
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    waiting.push(...PLACES.map((place) => (next as Record<string, unknown>)[place]).filter((value) => value !== undefined));
  }
  return undefined;
}

/** `decodeError` of what a call with viem, ethers or a JSON-RPC client has thrown. */
export function explain(error: unknown): DecodedError | undefined {
  const data = revertData(error);
  return data === undefined ? undefined : decodeError(data);
}
