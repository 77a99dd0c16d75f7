/** A fixed-point number: `integer / 2 ** exponent`. Generated modules have such types; a bigint is one with the exponent 0. */
export interface Fixed {
  readonly integer: bigint;
  readonly exponent: number;
}

/** 10^18, as Solidity's tokens and rates have it. */
export const WAD = 10n ** 18n;

/** Exponents of models are far below this. */
const LARGEST = 1024;

function parts(value: Fixed | bigint): readonly [integer: bigint, exponent: number] {
  const [integer, exponent] = typeof value === "bigint" ? [value, 0] : [value.integer, value.exponent];
  if (!Number.isInteger(exponent) || Math.abs(exponent) > LARGEST) throw new RangeError(`${exponent} is no exponent of a fixed-point number`);
  return exponent < 0 ? [integer << BigInt(-exponent), 0] : [integer, exponent];
}

/** The number in decimal digits, exactly: `2^-44` has 44 of them behind the point. */
export function toDecimal(value: Fixed | bigint): string {
  const [integer, exponent] = parts(value);
  const negative = integer < 0n;
  // n / 2^e = n 5^e / 10^e
  const scaled = (negative ? -integer : integer) * 5n ** BigInt(exponent);
  const all = scaled.toString().padStart(exponent + 1, "0");
  const whole = all.slice(0, all.length - exponent);
  const fraction = all.slice(all.length - exponent).replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The number times 10^18, rounded down: what `toWad` of the model's Solidity library returns. */
export function toWad(value: Fixed | bigint): bigint {
  const [integer, exponent] = parts(value);
  return (integer * WAD) >> BigInt(exponent);
}

/** Whether the number is at least one with 18 decimals. Exact. */
export function atLeast(value: Fixed | bigint, wad: bigint): boolean {
  const [integer, exponent] = parts(value);
  return integer * WAD >= wad << BigInt(exponent);
}

/** The number as the nearest double: for charts, never for decisions. */
export function toNumber(value: Fixed | bigint): number {
  return Number(toDecimal(value));
}

/**
 * The exponent of a scale of `manifest.json`, which is a power of two.
 *
 * @throws RangeError for any other number.
 */
export function exponentOf(scale: number): number {
  const exponent = Math.round(Math.log2(scale));
  if (!Number.isFinite(exponent) || 2 ** exponent !== scale) throw new RangeError(`the scale ${scale} is no power of two`);
  return exponent;
}
