import { type Hex, isHex } from "./hex.js";

/** A proof file that is not what `hallmark prove` writes. `path` is where it is not, such as `outputs[0].integer`. */
export class ProofFileError extends Error {
  override readonly name = "ProofFileError";
  readonly path: string;

  constructor(path: string, detail: string) {
    super(`${path === "" ? "the proof file" : path} ${detail}`);
    this.path = path;
  }
}

/** A public value. */
export interface PublicValue {
  readonly name: string;
  /** What the contract sees. */
  readonly integer: bigint;
  /** Roughly what it stands for, in the model's units; `toDecimal` is exact. */
  readonly value: number;
}

/** A salted Poseidon digest of the hashed inputs, or outputs. */
export interface Digest {
  readonly of: "inputs" | "outputs";
  readonly digest: bigint;
}

/** A proof with its statement. Nothing of it is true unless the verifier accepts the proof. */
export interface Proof {
  /** 32 bytes: `MODEL_ID` of the verifier or, with committed weights, its `modelId(weights)`. */
  readonly modelId: Hex;
  readonly context: Hex;
  /** Commitment to the weights, or none where the verifying key has them. */
  readonly weights: readonly bigint[];
  readonly outputs: readonly PublicValue[];
  readonly digests: readonly Digest[];
  /** Inputs that are packed in the outputs, as `hallmark prove` has read them: for people. `readPublicInputs` reads them again. */
  readonly publicInputs: readonly PublicValue[];
  readonly proof: readonly bigint[];
}

/** The format that is read. */
const FORMAT = 1;

function object(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProofFileError(path, `is not an object: ${shown(value)}`);
  }
  return value as Record<string, unknown>;
}

/** The entries of an array, which is empty if it may be missing and is. */
function entries(file: Record<string, unknown>, field: string, mayBeMissing: boolean): readonly unknown[] {
  const value = file[field];
  if (value === undefined && mayBeMissing) return [];
  if (!Array.isArray(value)) throw new ProofFileError(field, value === undefined ? "is missing" : `is not an array: ${shown(value)}`);
  return value;
}

function word(value: unknown, path: string): Hex {
  if (!isHex(value, 32)) throw new ProofFileError(path, `is not 0x and 64 hex digits: ${shown(value)}`);
  return value.toLowerCase() as Hex;
}

function text(value: unknown, path: string): string {
  if (typeof value !== "string") throw new ProofFileError(path, `is not a text: ${shown(value)}`);
  return value;
}

/** What was found, in few characters. */
function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

function publicValue(entry: unknown, path: string): PublicValue {
  const { name, integer, value } = object(entry, path);
  if (typeof integer !== "string" || !/^-?[0-9]{1,39}$/.test(integer)) {
    throw new ProofFileError(`${path}.integer`, `is not an integer in decimal digits: ${shown(integer)}`);
  }
  const exact = BigInt(integer);
  if (BigInt.asIntN(128, exact) !== exact) throw new ProofFileError(`${path}.integer`, `has more than 128 bits: ${integer}`);
  if (typeof value !== "number") throw new ProofFileError(`${path}.value`, `is not a number: ${shown(value)}`);
  return { name: text(name, `${path}.name`), integer: exact, value };
}

function digest(entry: unknown, path: string): Digest {
  const { of, digest } = object(entry, path);
  if (of !== "inputs" && of !== "outputs") throw new ProofFileError(`${path}.of`, `is neither inputs nor outputs: ${shown(of)}`);
  return { of, digest: BigInt(word(digest, `${path}.digest`)) };
}

/**
 * Reads a proof file of `hallmark prove`: its text, or what `JSON.parse` makes of it. Its form is checked, and not whether the proof holds.
 *
 * @throws ProofFileError, which says where and what is wrong.
 */
export function readProof(content: unknown): Proof {
  let parsed = content;
  if (typeof content === "string") {
    try {
      parsed = JSON.parse(content);
    } catch (error) {
      throw new ProofFileError("", `is not JSON: ${(error as SyntaxError).message}`);
    }
  }
  const file = object(parsed, "");
  if (file["format"] !== FORMAT) {
    throw new ProofFileError("format", `is ${shown(file["format"])}, and this package reads format ${FORMAT}`);
  }
  const id = file["model_id"];
  if (!isHex(`0x${String(id)}`, 32)) throw new ProofFileError("model_id", `is not 64 hex digits: ${shown(id)}`);
  const words = (field: string, mayBeMissing: boolean): readonly bigint[] =>
    entries(file, field, mayBeMissing).map((value, i) => BigInt(word(value, `${field}[${i}]`)));
  const proof: Proof = {
    modelId: `0x${String(id).toLowerCase()}`,
    context: word(file["context"], "context"),
    weights: words("weights", true),
    outputs: entries(file, "outputs", false).map((value, i) => publicValue(value, `outputs[${i}]`)),
    digests: entries(file, "digests", true).map((value, i) => digest(value, `digests[${i}]`)),
    publicInputs: entries(file, "public_inputs", true).map((value, i) => publicValue(value, `public_inputs[${i}]`)),
    proof: words("proof", false),
  };
  if (proof.outputs.length + proof.digests.length === 0) throw new ProofFileError("outputs", "is empty, and there are no digests");
  if (proof.proof.length === 0) throw new ProofFileError("proof", "is empty");
  return proof;
}
