import { type Fixed, exponentOf } from "./fixed.js";

/** A public input: bits of one of the public values. */
export interface PackedInput {
  readonly name: string;
  /** Which public value. */
  readonly output: number;
  readonly shift: number;
  readonly bits: number;
  /** Added to the bits. */
  readonly plus: bigint;
  readonly exponent: number;
}

/** What `manifest.json` says of a model's public values. */
export interface Manifest {
  readonly modelId: string;
  readonly contract: string;
  /** Per tensor: its values follow each other in `outputs`. */
  readonly outputs: readonly { readonly name: string; readonly length: number; readonly exponent: number }[];
  readonly publicInputs: readonly PackedInput[];
}

function malformed(path: string, what: string): never {
  throw new TypeError(`manifest.json: ${path} ${what}`);
}

/** A value below `root`, which must be of the kind. */
function at<Kind>(root: unknown, path: string, is: (value: unknown) => value is Kind, what: string): Kind {
  let value = root;
  for (const key of path.split(".")) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return is(value) ? value : malformed(path, `is not ${what}`);
}

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";
const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
const isArray = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const isInteger = (value: unknown): value is string => isText(value) && /^-?[0-9]{1,39}$/.test(value);

/**
 * Reads what `manifest.json` of a compiled folder says of public values: its text, or what `JSON.parse` makes of it.
 *
 * @throws TypeError that says what is missing, SyntaxError if it is not JSON.
 */
export function readManifest(content: unknown): Manifest {
  const root: unknown = isText(content) ? JSON.parse(content) : content;
  if (at(root, "format", isNumber, "a number") !== 1) malformed("format", "is not 1, which this package reads");
  const exponents = new Map<string, number>();
  for (const input of at(root, "domain.inputs", isArray, "an array")) {
    exponents.set(at(input, "name", isText, "a text"), exponentOf(at(input, "scale", isNumber, "a number")));
  }
  const outputs = at(root, "outputs", isArray, "an array").map((output) => ({
    name: at(output, "name", isText, "a text"),
    length: at(output, "ranges", isArray, "an array").length,
    exponent: exponentOf(at(output, "scale", isNumber, "a number")),
  }));
  const publicInputs = at(root, "public_inputs", isArray, "an array").map((input) => {
    const name = at(input, "name", isText, "a text");
    return {
      name,
      output: at(input, "place.output", isCount, "a count"),
      shift: at(input, "place.shift", isCount, "a count"),
      bits: at(input, "place.bits", isCount, "a count"),
      plus: BigInt(at(input, "plus", isInteger, "an integer in decimal digits")),
      exponent: exponents.get(name) ?? malformed("public_inputs", `has "${name}", which domain.inputs has not`),
    };
  });
  const [modelId, contract] = [at(root, "model.id", isText, "a text"), at(root, "contract.name", isText, "a text")];
  return { modelId, contract, outputs, publicInputs };
}

/**
 * Public inputs by name, read from the bits of the public values of a proof: `(outputs[output] >> shift) mod 2^bits + plus`.
 *
 * @throws RangeError if there is no such public value.
 */
export function readPublicInputs(manifest: Manifest, outputs: readonly bigint[]): ReadonlyMap<string, Fixed> {
  const read = ({ name, output, shift, bits, plus, exponent }: PackedInput): [string, Fixed] => {
    const word = outputs[output];
    if (word === undefined) throw new RangeError(`"${name}" is in public value ${output}, and there are ${outputs.length}`);
    return [name, { integer: BigInt.asUintN(bits, word >> BigInt(shift)) + plus, exponent }];
  };
  return new Map(manifest.publicInputs.map(read));
}
