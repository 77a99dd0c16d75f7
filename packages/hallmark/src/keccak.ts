import { type Hex, fromBytes, isHex, toBytes } from "./hex.js";

/** Bytes that are absorbed between two permutations. */
const RATE = 136;

const MASK = (1n << 64n) - 1n;

/** Offsets of rho along the path of pi, which visits all lanes but the first: the triangular numbers. */
const ROTATIONS = Array.from({ length: 24 }, (_, i) => BigInt((((i + 1) * (i + 2)) / 2) % 64));

/** Lanes in the order of pi. */
const PATH = lanes();

/** Constants of iota, from the linear feedback shift register of FIPS 202, section 3.2.5. */
const ROUNDS = rounds();

function lanes(): readonly number[] {
  const path = [];
  for (let i = 0, x = 1, y = 0; i < 24; i++) {
    [x, y] = [y, (2 * x + 3 * y) % 5];
    path.push(x + 5 * y);
  }
  return path;
}

function rounds(): readonly bigint[] {
  const constants = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j <= 6; j++) {
      if (register & 1) constant |= 1n << BigInt((1 << j) - 1);
      register <<= 1;
      if (register & 0x100) register ^= 0x171;
    }
    constants.push(constant);
  }
  return constants;
}

function rotated(lane: bigint, by: bigint): bigint {
  return ((lane << by) | (lane >> (64n - by))) & MASK;
}

/** Keccak-f[1600]. Every index is below 25. */
function permute(state: BigUint64Array): void {
  const lane = (i: number): bigint => state[i] as bigint;
  for (const constant of ROUNDS) {
    const columns = [0, 1, 2, 3, 4].map((x) => lane(x) ^ lane(x + 5) ^ lane(x + 10) ^ lane(x + 15) ^ lane(x + 20));
    for (let i = 0; i < 25; i++) {
      const x = i % 5;
      state[i] = lane(i) ^ (columns[(x + 4) % 5] as bigint) ^ rotated(columns[(x + 1) % 5] as bigint, 1n);
    }
    let moving = lane(1);
    PATH.forEach((to, i) => {
      const next = lane(to);
      state[to] = rotated(moving, ROTATIONS[i] as bigint);
      moving = next;
    });
    for (let y = 0; y < 25; y += 5) {
      const row = [0, 1, 2, 3, 4].map((x) => lane(y + x));
      row.forEach((value, x) => {
        state[y + x] = value ^ (~(row[(x + 1) % 5] as bigint) & MASK & (row[(x + 2) % 5] as bigint));
      });
    }
    state[0] = lane(0) ^ constant;
  }
}

/** Keccak-256, the hash of the EVM, of bytes. Throws a TypeError if a text is not `0x` and an even number of digits. */
export function keccak256(data: Hex | Uint8Array): Hex {
  if (typeof data === "string" && !isHex(data)) throw new TypeError(`"${String(data)}" is not 0x and an even number of hex digits`);
  const bytes = typeof data === "string" ? toBytes(data.slice(2)) : data;
  const padded = new Uint8Array((Math.floor(bytes.length / RATE) + 1) * RATE);
  padded.set(bytes);
  padded[bytes.length] = 0x01;
  padded[padded.length - 1] = (padded[padded.length - 1] as number) | 0x80;
  const [state, view] = [new BigUint64Array(25), new DataView(padded.buffer)];
  for (let block = 0; block < padded.length; block += RATE) {
    for (let i = 0; i < RATE / 8; i++) state[i] = (state[i] as bigint) ^ view.getBigUint64(block + 8 * i, true);
    permute(state);
  }
  const hash = new DataView(new ArrayBuffer(32));
  for (let i = 0; i < 4; i++) hash.setBigUint64(8 * i, state[i] as bigint, true);
  return `0x${fromBytes(new Uint8Array(hash.buffer))}`;
}

/** Keccak-256 of a text's UTF-8. */
export function keccakText(text: string): Hex {
  return keccak256(new TextEncoder().encode(text));
}
