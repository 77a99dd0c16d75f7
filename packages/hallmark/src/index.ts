/**
 * Proofs that `hallmark prove` writes, in applications that talk to Ethereum.
 *
 * Nothing is fetched, and nothing is sent: functions of this package take and return plain values, for viem, ethers or any other library.
 */
export { type Claim, type EntryPoint, callSignature, toArguments, toBatchCalldata, toCalldata, toClaim } from "./call.js";
export { type Binding, type Consumer, type Flavour, type Use, toContext, toNullifier, toTypedData } from "./context.js";
export { type DecodedError, decodeError, explain, revertData } from "./errors.js";
export { type Fixed, WAD, atLeast, exponentOf, toDecimal, toNumber, toWad } from "./fixed.js";
export type { Hex } from "./hex.js";
export { keccak256 } from "./keccak.js";
export { type Manifest, type PackedInput, readManifest, readPublicInputs } from "./manifest.js";
export { type Digest, type Proof, ProofFileError, type PublicValue, readProof } from "./proof.js";
