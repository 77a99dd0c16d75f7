import { type Hex, digits } from "./hex.js";
import { keccakText } from "./keccak.js";
import type { Proof } from "./proof.js";

/** The arguments of `verify` and `tryVerify` by name, which are the members of a claim of `verifyBatch`. None is empty. */
export interface Claim {
  readonly context: Hex;
  readonly weights?: readonly bigint[];
  readonly outputs?: readonly bigint[];
  readonly digests?: readonly bigint[];
  readonly proof: readonly bigint[];
}

/** The entry points for one proof. */
export type EntryPoint = "verify" | "tryVerify";

/** The proof as a claim: an element of the argument of `verifyBatch`, in viem and ethers alike. */
export function toClaim(proof: Proof): Claim {
  const { context, weights } = proof;
  const outputs = proof.outputs.map((output) => output.integer);
  const digests = proof.digests.map((digest) => digest.digest);
  return {
    context,
    ...(weights.length > 0 && { weights }),
    ...(outputs.length > 0 && { outputs }),
    ...(digests.length > 0 && { digests }),
    proof: proof.proof,
  };
}

/** The arguments of `verify` and `tryVerify` in their order, for viem's `args`, and for ethers spread out. */
export function toArguments(proof: Proof): readonly [context: Hex, ...arrays: (readonly bigint[])[]] {
  const { context, ...arrays } = toClaim(proof);
  return [context, ...Object.values(arrays)];
}

/** The types of a claim, and what precedes its opening parenthesis. */
function signature(name: string, claim: Claim): string {
  const { outputs, weights, digests, proof } = claim;
  const arrays = [["uint256", weights], ["int256", outputs], ["uint256", digests], ["uint256", proof]] as const;
  const types = arrays.flatMap(([kind, words]) => (words === undefined ? [] : [`${kind}[${words.length}]`]));
  return `${name}(${["bytes32", ...types].join(",")})`;
}

function selector(signature: string): Hex {
  return keccakText(signature).slice(0, 10) as Hex;
}

/** All types are static: the encoding is the words, one after the other. */
function encoded({ context, ...arrays }: Claim): string {
  return context.slice(2) + Object.values(arrays).flat().map(digits).join("");
}

/** Signature of `verify` or `tryVerify` of this proof's verifier, for `cast` and the like. */
export function callSignature(proof: Proof, name: EntryPoint = "verify"): string {
  return signature(name, toClaim(proof));
}

/** The call that `hallmark calldata` prints: `data` of a transaction or of an `eth_call`. */
export function toCalldata(proof: Proof, name: EntryPoint = "verify"): Hex {
  const claim = toClaim(proof);
  return `${selector(signature(name, claim))}${encoded(claim)}`;
}

/**
 * The call of `verifyBatch` with these proofs.
 *
 * @throws RangeError if there is none, or if one has another shape than the first.
 */
export function toBatchCalldata(proofs: readonly Proof[]): Hex {
  const claims = proofs.map(toClaim);
  const [first] = claims;
  if (first === undefined) throw new RangeError("a batch has at least one proof");
  const shape = signature("", first);
  claims.forEach((claim, i) => {
    const other = signature("", claim);
    if (other !== shape) throw new RangeError(`proof ${i} has the shape ${other}, and the first has ${shape}: they are of different verifiers`);
  });
  const head = digits(32n) + digits(BigInt(claims.length));
  return `${selector(`verifyBatch(${shape}[])`)}${head}${claims.map(encoded).join("")}`;
}
