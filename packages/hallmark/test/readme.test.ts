/** The README's blocks are the files of test/app, and do what it says. */

import assert from "node:assert/strict";
import { chdir, cwd } from "node:process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { JsonRpcProvider } from "ethers";
import type { Address } from "viem";

import { readProof, toCalldata, toContext, toDecimal } from "../src/index.js";
import { submission } from "./app/any.js";
import { record } from "./app/consumer.js";
import { decision } from "./app/ethers.js";
import { verifiedScore } from "./app/viem.js";
import { Chain, HALLMARK, ROOT, build, consumer as consumerArtifact, output, scratch, text, tool } from "./support.js";

const README = "packages/hallmark/README.md";
const EXAMPLES = ["viem", "ethers", "consumer", "any"];
const START = cwd();

let work: { path: string; remove(): Promise<void> };
let chain: Chain;
let verifier: Address;
let consumer: Address;
let proofFile: string;

/** Blocks of code, with their languages. */
async function blocks(): Promise<{ language: string; code: string }[]> {
  const parts = (await text(README)).split(/^```/m).filter((_, i) => i % 2 === 1);
  return parts.map((part) => ({ language: part.slice(0, part.indexOf("\n")), code: part.slice(part.indexOf("\n") + 1) }));
}

before(async () => {
  work = await scratch();
  await mkdir(join(work.path, "src"));
  await symlink(join(ROOT, "examples"), join(work.path, "examples"));
  process.env["PATH"] = [dirname(HALLMARK), process.env["PATH"]].join(delimiter);
  const shell = (await blocks()).filter((block) => block.language === "sh");
  for (const { code } of shell) await output("sh", ["-e", "-c", code], { cwd: work.path });
  proofFile = join(work.path, "proof.json");
  const [made, scores, started] = await Promise.all([build([join(work.path, "build/credit")], "readme"), consumerArtifact("readme"), Chain.start()]);
  chain = started;
  verifier = await chain.deploy(await made("CreditVerifier"));
  consumer = await chain.deploy(scores, verifier);
});

after(async () => {
  chdir(START);
  chain?.stop();
  await work.remove();
});

test("every block is run or compiled", async () => {
  const all = await blocks();
  const typescript = all.filter((block) => block.language === "ts").map((block) => block.code);
  const files = await Promise.all(EXAMPLES.map((name) => text(`packages/hallmark/test/app/${name}.ts`)));
  assert.deepEqual(typescript, files);
  assert.equal(all.length, 1 + files.length, "blocks of another language");
  assert.equal(await readFile(join(work.path, "src/CreditModel.ts"), "utf8"), await text("packages/hallmark/test/app/CreditModel.ts"));
});

test("viem and ethers read the same score", async () => {
  const score = readProof(await readFile(proofFile, "utf8")).outputs[0]?.integer ?? 0n;
  assert.equal(await verifiedScore(proofFile, chain.client, verifier), toDecimal({ integer: score, exponent: 44 }));
  const provider = new JsonRpcProvider(chain.url, undefined, { staticNetwork: true });
  const { favourable, wad } = await decision(proofFile, provider, verifier);
  assert.deepEqual([favourable, wad], [score >= 0n, (score * 10n ** 18n) >> 44n]);
  // where there is no verifier there is no error of one
  await assert.rejects(decision(proofFile, provider, consumer), /the call has failed/);
  provider.destroy();
});

test("the call of any model is the generated one", async () => {
  const manifest = await readFile(join(work.path, "build/credit/manifest.json"), "utf8");
  const { data, lines } = submission(await readFile(proofFile, "utf8"), manifest);
  assert.equal(data, (await output(HALLMARK, ["calldata", "build/credit", "proof.json"], { cwd: work.path })).trim());
  await chain.client.call({ to: verifier, data });
  assert.deepEqual(lines, [`score ${await verifiedScore(proofFile, chain.client, verifier)}`]);
});

test("a consumer accepts the proof that was made for it", async () => {
  chdir(work.path);
  const about = { name: "ScoreConsumer", version: "1", chainId: 31337, address: consumer };
  const applicant = "examples/credit/applicant.json";
  const receipt = async (version: string, nonce: bigint) => {
    const hash = await record(chain.wallet, { ...about, version }, 5n, applicant, nonce, (1n << 64n) - 1n);
    return chain.client.waitForTransactionReceipt({ hash });
  };
  const accepted = await receipt("1", 0n);
  assert.deepEqual([accepted.status, accepted.logs.length], ["success", 1], "it is nullified");
  assert.equal((await receipt("2", 1n)).status, "reverted");
});

test("cast is used as contracts/README.md says", async () => {
  const lines = (await text("contracts/README.md")).match(/^ {4}cast .*$/gm) ?? [];
  assert.equal(lines.length, 5);
  const [verify, selector, modelId, contextOf, send] = lines as [string, string, string, string, string];
  const proof = readProof(await readFile(proofFile, "utf8"));
  const about = { name: "ScoreConsumer", version: "1", chainId: 31337, address: consumer };
  const use = { caller: chain.account, action: proof.modelId, nonce: 0n, deadline: 1n << 40n };
  const named = { VERIFIER: verifier, LENDER: consumer, CALLER: use.caller, ACTION: use.action, DEADLINE: String(use.deadline) };
  const env = { ...process.env, ...named, RPC: chain.url, PATH: [dirname(await tool("cast")), process.env["PATH"]].join(delimiter) };
  const cast = async (line: string): Promise<string> => (await output("sh", ["-e", "-c", line], { cwd: work.path, env })).trim();

  assert.equal(await cast(verify), "0x");
  assert.equal(await cast(modelId), proof.modelId);
  assert.equal(await cast(contextOf), toContext("sequential", about, use).context);
  assert.match(await cast(send), /^status +1 \(success\)$/m);

  const [score, ...others] = proof.outputs;
  assert(score);
  const another = toCalldata({ ...proof, outputs: [{ ...score, integer: score.integer + 1n }, ...others] });
  const rejected = new RegExp(`data: "${await cast(selector)}"`);
  for (const line of [verify, send]) await assert.rejects(cast(line.replace(/\$\(.*\)/, another)), rejected);
});
