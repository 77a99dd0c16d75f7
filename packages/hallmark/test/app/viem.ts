import { readFile } from "node:fs/promises";

import { explain, toDecimal } from "hallmark-verifier";
import type { Address, PublicClient } from "viem";

import { CreditModel, creditVerifierAbi } from "./CreditModel.js";

/** The score in a proof file, as a decimal number, if the verifier accepts the proof. */
export async function verifiedScore(file: string, client: PublicClient, verifier: Address): Promise<string> {
  const { args, result } = CreditModel.proof(await readFile(file, "utf8"));
  try {
    await client.readContract({ address: verifier, abi: creditVerifierAbi, functionName: "verify", args });
  } catch (error) {
    throw new Error(explain(error)?.message ?? "the call has failed", { cause: error });
  }
  return toDecimal(result.score);
}
