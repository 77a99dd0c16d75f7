import { type Hex, digits, isHex } from "./hex.js";
import { keccak256, keccakText } from "./keccak.js";

/** The contract that a proof is for: an heir of HallmarkConsumer. */
export interface Consumer {
  /** Name and version that its constructor gives to HallmarkConsumer; `eip712Domain()` has them. */
  readonly name: string;
  readonly version: string;
  readonly chainId: bigint | number;
  readonly address: Hex;
}

/** What a proof is to be used for. */
export interface Use {
  /** The account that will call. */
  readonly caller: Hex;
  /** What the proof is to bring about: the hash that the consumer's function makes of its arguments. */
  readonly action: Hex;
  readonly nonce: bigint;
  /** The last second at which it can be used. */
  readonly deadline: bigint;
}

/** `sequential`: nonces in order, the next is the consumer's `nextNonce(caller)`. `unordered`: any nonce. */
export type Flavour = "sequential" | "unordered";

/** The struct that is passed along with a proof. */
export interface Binding {
  readonly chainId: bigint;
  readonly consumer: Hex;
  readonly caller: Hex;
  readonly nonce: bigint;
  readonly deadline: bigint;
}

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const FIELDS = [
  { name: "caller", type: "address" },
  { name: "action", type: "bytes32" },
  { name: "nonce", type: "uint256" },
  { name: "deadline", type: "uint256" },
] as const;

const PRIMARY = { sequential: "Sequential", unordered: "Unordered" } as const;

/** Digits of an address, widened to a word. */
function address(value: Hex, what: string): string {
  if (!isHex(value, 20)) throw new TypeError(`${what} is not an address: ${value}`);
  return value.slice(2).toLowerCase().padStart(64, "0");
}

function bytes32(value: Hex, what: string): string {
  if (!isHex(value, 32)) throw new TypeError(`${what} is not 32 bytes in hex: ${value}`);
  return value.slice(2).toLowerCase();
}

function uint256(value: bigint, what: string): string {
  if (typeof value !== "bigint" || BigInt.asUintN(256, value) !== value) throw new RangeError(`${what} is not a uint256: ${value}`);
  return digits(value);
}

function hash(...words: string[]): string {
  return keccak256(`0x${words.join("")}`).slice(2);
}

/**
 * The context of a proof, as `sequentialContext` and `unorderedContext` of the consumer give it, without asking a node: for
 * `hallmark prove --context`. `binding` is what the consumer's function takes.
 */
export function toContext(flavour: Flavour, consumer: Consumer, use: Use): { readonly context: Hex; readonly binding: Binding } {
  const { caller, action, nonce, deadline } = use;
  const chainId = BigInt(consumer.chainId);
  const text = (value: string): string => keccakText(value).slice(2);
  const separator = hash(
    text(DOMAIN),
    text(consumer.name),
    text(consumer.version),
    uint256(chainId, "the chain's id"),
    address(consumer.address, "the consumer"),
  );
  const type = `${PRIMARY[flavour]}(${FIELDS.map((field) => `${field.type} ${field.name}`).join(",")})`;
  const struct = hash(
    text(type),
    address(caller, "the caller"),
    bytes32(action, "the action"),
    uint256(nonce, "the nonce"),
    uint256(deadline, "the deadline"),
  );
  return {
    context: `0x${hash("1901", separator, struct)}`,
    binding: { chainId, consumer: consumer.address, caller, nonce, deadline },
  };
}

/**
 * The same as EIP-712 typed data, for whoever has a hasher of their own: viem's `hashTypedData(data)`, or ethers'
 * `TypedDataEncoder.hash(data.domain, data.types, data.message)`, is the context. Nobody signs it.
 */
export function toTypedData(flavour: Flavour, consumer: Consumer, use: Use) {
  const primaryType = PRIMARY[flavour];
  const { name, version, address: verifyingContract } = consumer;
  const { caller, action, nonce, deadline } = use;
  return {
    domain: { name, version, chainId: BigInt(consumer.chainId), verifyingContract },
    types: { [primaryType]: FIELDS } as Record<string, typeof FIELDS>,
    primaryType: primaryType as string,
    message: { caller, action, nonce, deadline },
  };
}

/** What the consumer remembers of an unordered proof: `nullifierOf(context, statement)`, whose use `nullified` tells. */
export function toNullifier(context: Hex, statement: Hex): Hex {
  return `0x${hash(bytes32(context, "the context"), bytes32(statement, "the statement"))}`;
}
