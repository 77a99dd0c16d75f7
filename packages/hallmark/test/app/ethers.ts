import { readFile } from "node:fs/promises";

import { Contract, type Provider } from "ethers";
import { explain, toWad } from "hallmark-verifier";

import { CreditModel, creditVerifierAbi } from "./CreditModel.js";

/** Whether the proof in a file is one of a favourable decision, and its score times 10^18. */
export async function decision(file: string, provider: Provider, verifier: string): Promise<{ favourable: boolean; wad: bigint }> {
  const { args, result } = CreditModel.proof(await readFile(file, "utf8"));
  const contract = new Contract(verifier, creditVerifierAbi, provider);
  try {
    await contract.getFunction("verify").staticCall(...args);
  } catch (error) {
    throw new Error(explain(error)?.message ?? "the call has failed", { cause: error });
  }
  return { favourable: CreditModel.decide(result), wad: toWad(result.score) };
}
