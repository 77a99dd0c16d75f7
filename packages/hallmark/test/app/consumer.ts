import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { type Consumer, toContext } from "hallmark-verifier";
import { type Account, type Chain, type Hash, type Transport, type WalletClient, encodeAbiParameters, keccak256, parseAbi, toBytes } from "viem";

import { CreditModel } from "./CreditModel.js";

const abi = parseAbi([
  "struct Binding { uint256 chainId; address consumer; address caller; uint256 nonce; uint256 deadline; }",
  "function record(uint256 item, Binding binding, int256[1] score, uint256[12] proof)",
]);

/** Proves an applicant's score for this very call, and makes it. */
export async function record(
  wallet: WalletClient<Transport, Chain, Account>,
  consumer: Consumer,
  item: bigint,
  applicant: string,
  nonce: bigint,
  deadline: bigint,
): Promise<Hash> {
  // the hash that the consumer's function makes of its arguments: this one's is keccak256(abi.encode(keccak256("Record(uint256 item)"), item))
  const type = keccak256(toBytes("Record(uint256 item)"));
  const action = keccak256(encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [type, item]));

  const { context, binding } = toContext("unordered", consumer, { caller: wallet.account.address, action, nonce, deadline });
  execFileSync("hallmark", ["prove", "build/credit", "--input", applicant, "--context", context, "-o", "proof.json"]);

  const { outputs, proof } = CreditModel.proof(readFileSync("proof.json", "utf8")).claim;
  return wallet.writeContract({ address: consumer.address, abi, functionName: "record", args: [item, binding, outputs, proof] });
}
