/** Bytes in hex, with `0x`: the type that viem and abitype have for them. */
export type Hex = `0x${string}`;

/** A word of the EVM as 64 digits; a negative number in two's complement. */
export function digits(word: bigint): string {
  return BigInt.asUintN(256, word).toString(16).padStart(64, "0");
}

/** Whether this is `0x` and an even number of digits, of so many bytes if given. */
export function isHex(value: unknown, bytes?: number): value is Hex {
  if (typeof value !== "string" || !/^0x([0-9a-fA-F]{2})*$/.test(value)) return false;
  return bytes === undefined || value.length === 2 + 2 * bytes;
}

/** Bytes of digits without `0x`. */
export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Digits of bytes, without `0x`. */
export function fromBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
