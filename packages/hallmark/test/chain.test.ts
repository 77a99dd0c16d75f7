/** Real proofs on a real chain: what the package says is what the contracts do. */

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { Contract, JsonRpcProvider, TypedDataEncoder } from "ethers";
import { type Address, encodeAbiParameters, encodeFunctionData, hashTypedData, keccak256, toBytes } from "viem";

import {
  type Consumer,
  type Flavour,
  type Hex,
  type Use,
  callSignature,
  decodeError,
  explain,
  readManifest,
  readProof,
  readPublicInputs,
  revertData,
  toArguments,
  toBatchCalldata,
  toCalldata,
  toContext,
  toNullifier,
  toTypedData,
} from "../src/index.js";
import { CreditModel, creditVerifierAbi, creditVerifierBatchAbi } from "./app/CreditModel.js";
import { type Artifact, Chain, HALLMARK, PACKAGE, build, compile, consumer as consumerArtifact, json, output, prove, scratch, text } from "./support.js";

const CONTEXT: Hex = `0x${"11".repeat(32)}`;
const SALT = `0x${"07".repeat(32)}`;
const ATTESTED = ["--name", "AttestedVerifier", "--hashed-inputs", "all", "--public-inputs", "savings,credit_amount_dm"];

let work: { path: string; remove(): Promise<void> };
let chain: Chain;
let made: (name: string) => Promise<Artifact>;
let scoreConsumer: Artifact;
let folders: { credit: string; attested: string; committed: string };

before(async () => {
  work = await scratch();
  const at = (name: string): string => join(work.path, name, name);
  folders = { credit: at("credit"), attested: at("attested"), committed: at("committed") };
  for (const name of Object.keys(folders)) await mkdir(join(work.path, name));
  await Promise.all([
    compile(folders.credit),
    compile(folders.attested, ...ATTESTED),
    compile(folders.committed, "--name", "CommittedVerifier", "--weights", "committed"),
  ]);
  [made, scoreConsumer, chain] = await Promise.all([build(Object.values(folders), "chain"), consumerArtifact("chain"), Chain.start()]);
});

after(async () => {
  chain?.stop();
  await work.remove();
});

/** What a call reverts with, or undefined if it does not. */
async function rejection(to: Address, data: Hex): Promise<string | undefined> {
  try {
    await chain.client.call({ to, data });
    return undefined;
  } catch (error) {
    return explain(error)?.name ?? "an unknown error";
  }
}

/** The generated module of a compiled folder, by the compiler's strictest reading. */
async function generated(folder: string, model: string): Promise<any> {
  const out = join(PACKAGE, "dist/generated");
  const strict = ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noUnusedLocals", "--verbatimModuleSyntax"];
  const options = [...strict, "--target", "ES2020", "--module", "esnext", "--moduleResolution", "bundler", "--types", "", "--outDir", out];
  await output(process.execPath, [join(PACKAGE, "node_modules/typescript/bin/tsc"), join(folder, `typescript/${model}.ts`), ...options]);
  return import(pathToFileURL(join(out, `${model}.js`)).href);
}

test("the files of a compiled folder are the golden ones, and their ABI is the compiler's", async () => {
  assert.equal(await readFile(join(folders.credit, "typescript/CreditModel.ts"), "utf8"), await text("packages/hallmark/test/app/CreditModel.ts"));
  const sorted = (abi: readonly unknown[]): string[] => abi.map((entry) => JSON.stringify(sortedKeys(entry))).sort();
  for (const [folder, names] of [
    [folders.credit, ["CreditVerifier", "CreditVerifierBatch"]],
    [folders.attested, ["AttestedVerifier", "AttestedVerifierBatch"]],
    [folders.committed, ["CommittedVerifier", "CommittedVerifierBatch"]],
  ] as const) {
    for (const name of names) {
      const given = JSON.parse(await readFile(join(folder, `abi/${name}.json`), "utf8"));
      assert.deepEqual(sorted(given), sorted((await made(name)).abi), name);
    }
  }
  assert.deepEqual(creditVerifierBatchAbi, JSON.parse(await readFile(join(folders.credit, "abi/CreditVerifierBatch.json"), "utf8")));
});

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [key, sortedKeys(entry)]));
}

test("with viem: a proof is accepted, and a changed one is rejected by name", async () => {
  const address = await chain.deploy(await made("CreditVerifier"));
  const content = await prove(folders.credit, 0, CONTEXT);
  const { args, result } = CreditModel.proof(content);
  const contract = { address, abi: creditVerifierAbi } as const;
  assert.equal(await chain.client.readContract({ ...contract, functionName: "MODEL_ID" }), CreditModel.MODEL_ID);
  assert.equal(await chain.client.readContract({ ...contract, functionName: "tryVerify", args }), true);
  await chain.client.readContract({ ...contract, functionName: "verify", args });
  assert.equal(encodeFunctionData({ abi: creditVerifierAbi, functionName: "verify", args }), toCalldata(readProof(content)));
  assert.equal(result.score.integer, readProof(content).outputs[0]?.integer);
  assert.equal(await chain.client.readContract({ ...contract, functionName: "OUTPUT0_SCALE" }), 2n ** BigInt(result.score.exponent));

  const [context, [score], proof] = args;
  const at = (place: number, word: bigint): bigint[] => proof.map((old, i) => (i === place ? word : old));
  const cases = [
    ["ProofRejected", [context, [score + 1n], proof]],
    ["ProofRejected", [`0x${"12".repeat(32)}`, [score], proof]],
    ["OutputOutOfRange", [context, [1n << 120n], proof]],
    ["PointNotOnCurve", [context, [score], at(0, 5n)]],
    ["ScalarNotCanonical", [context, [score], at(5, (1n << 256n) - 1n)]],
  ] as unknown as [string, typeof args][];
  for (const [name, changed] of cases) {
    await assert.rejects(chain.client.readContract({ ...contract, functionName: "verify", args: changed }), (error) => {
      const decoded = explain(error);
      assert.equal(decoded?.name, name);
      assert.match(decoded?.message ?? "", /proof|public value/);
      return true;
    });
    assert.equal(await chain.client.readContract({ ...contract, functionName: "tryVerify", args: changed }), false);
  }
  assert.equal(await rejection(address, `${toCalldata(readProof(content))}00`), "CalldataLength");
});

test("with ethers: the same", async () => {
  const address = await chain.deploy(await made("CreditVerifier"));
  const provider = new JsonRpcProvider(chain.url, undefined, { staticNetwork: true, cacheTimeout: -1 });
  const contract = new Contract(address, creditVerifierAbi, provider);
  const proof = readProof(await prove(folders.credit, 1, CONTEXT));
  const [context, ...arrays] = toArguments(proof);
  assert.equal(await contract.getFunction("tryVerify").staticCall(context, ...arrays), true);
  assert.equal(contract.interface.encodeFunctionData("verify", [context, ...arrays]), toCalldata(proof));
  assert.equal(contract.interface.getFunction("tryVerify")?.format("sighash"), callSignature(proof, "tryVerify"));
  await contract.getFunction("verify").staticCall(context, ...arrays);
  const other: Hex = `0x${"12".repeat(32)}`;
  await assert.rejects(contract.getFunction("verify").staticCall(other, ...arrays), (error) => {
    assert.deepEqual(explain(error), decodeError(revertData(error) as Hex));
    assert.equal(explain(error)?.name, "ProofRejected");
    return true;
  });
  provider.destroy();
});

test("a batch is accepted, and the first bad claim is named", async () => {
  const address = await chain.deploy(await made("CreditVerifierBatch"));
  const files = [await prove(folders.credit, 0, CONTEXT), await prove(folders.credit, 1, CONTEXT)];
  const claims = files.map((file) => CreditModel.proof(file).claim);
  const contract = { address, abi: creditVerifierBatchAbi, functionName: "verifyBatch" } as const;
  await chain.client.readContract({ ...contract, args: [claims] });
  assert.equal(encodeFunctionData({ ...contract, args: [claims] }), toBatchCalldata(files.map(readProof)));
  const [first, second] = claims as [(typeof claims)[0], (typeof claims)[0]];
  const changed = [first, first, { ...second, outputs: first.outputs }];
  await assert.rejects(chain.client.readContract({ ...contract, args: [changed] }), (error) => {
    const { name, args, message } = explain(error) ?? {};
    assert.deepEqual([name, args], ["ProofRejected", { index: 2n }]);
    assert.match(message ?? "", /^claim 2: /);
    return true;
  });
  await assert.rejects(chain.client.readContract({ ...contract, args: [[]] }), (error) => explain(error)?.name === "EmptyBatch");
});

test("hashed and public inputs are read as the contract's library has them", async () => {
  const verifier = await chain.deploy(await made("AttestedVerifier"));
  const content = await prove(folders.attested, 0, CONTEXT, "--salt", SALT);
  const { AttestedModel, attestedVerifierAbi: abi } = await generated(folders.attested, "AttestedModel");
  const { args, result, claim } = AttestedModel.proof(content);
  await chain.client.readContract({ address: verifier, abi, functionName: "verify", args });

  const applicant = (await json("examples/credit/applicants.json")).input_data[0] as number[];
  const features = (await json("examples/credit/calibration.json")).features.map((feature: { name: string }) => feature.name) as string[];
  const input = (name: string): bigint => BigInt(applicant[features.indexOf(name)] as number);
  assert.equal(result.savings, input("savings"));
  assert.equal(result.creditAmountDm, input("credit_amount_dm"));
  assert.equal(result.inputsDigest, claim.digests[0]);

  const manifest = readManifest(await readFile(join(folders.attested, "manifest.json"), "utf8"));
  const proof = readProof(content);
  const inputs = readPublicInputs(manifest, proof.outputs.map((value) => value.integer));
  assert.deepEqual(
    [...inputs].map(([name, value]) => [name, value.integer]),
    proof.publicInputs.map(({ name, integer }) => [name, integer]),
  );
  assert.equal(inputs.get("savings")?.integer, input("savings"));
  assert.equal(proof.digests[0]?.digest, result.inputsDigest);

  // another digest, or another reading of the packed word, is another statement
  const changed = { ...proof, digests: [{ of: "inputs", digest: result.inputsDigest + 1n }] } as const;
  assert.equal(await rejection(verifier, toCalldata(changed)), "ProofRejected");
  const digest = await output(HALLMARK, ["hash", folders.attested, "--input", "examples/credit/applicants.json", "--index", "0", "--salt", SALT]);
  assert(digest.includes(result.inputsDigest.toString(16).padStart(64, "0")), digest);
});

test("with committed weights the model is an argument", async () => {
  const address = await chain.deploy(await made("CommittedVerifier"));
  const content = await prove(folders.committed, 0, CONTEXT);
  const { CommittedModel, committedVerifierAbi: abi } = await generated(folders.committed, "CommittedModel");
  const { args, claim, modelId } = CommittedModel.proof(content);
  await chain.client.readContract({ address, abi, functionName: "verify", args });
  assert.equal(await chain.client.readContract({ address, abi, functionName: "modelId", args: [claim.weights] }), modelId);
  assert.equal(await chain.client.readContract({ address, abi, functionName: "ARCHITECTURE_ID" }), CommittedModel.ARCHITECTURE_ID);
  const proof = readProof(content);
  assert.deepEqual(proof.weights, claim.weights);
  assert.equal(await rejection(address, toCalldata(proof)), undefined);
  const [x, y] = proof.weights as [bigint, bigint];
  assert.notEqual(await rejection(address, toCalldata({ ...proof, weights: [y, x] })), undefined);
});

test("contexts are those of HallmarkConsumer, and its refusals have words", async () => {
  const verifier = await chain.deploy(await made("CreditVerifier"));
  const address = await chain.deploy(scoreConsumer, verifier);
  const consumer: Consumer = { name: "ScoreConsumer", version: "1", chainId: 31337, address };
  const item = 5n;
  const action = keccak256(
    encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [keccak256(toBytes("Record(uint256 item)")), item]),
  );
  const use: Use = { caller: chain.account, action, nonce: 0n, deadline: (1n << 64n) - 1n };
  const { abi } = scoreConsumer;
  const asked: Record<Flavour, readonly unknown[]> = {
    sequential: [use.caller, action, use.deadline],
    unordered: [use.caller, action, use.nonce, use.deadline],
  };
  const same = (a: string, b: string): void => assert.equal(a.toLowerCase(), b.toLowerCase());
  for (const [flavour, args] of Object.entries(asked) as [Flavour, readonly unknown[]][]) {
    const answer = await chain.client.readContract({ address, abi, functionName: `${flavour}Context`, args });
    const [context, theirs] = answer as unknown as [Hex, Record<string, bigint | string>];
    const ours = toContext(flavour, consumer, use);
    assert.equal(ours.context, context, flavour);
    for (const [field, value] of Object.entries(ours.binding)) same(String(value), String(theirs[field]));
    const data = toTypedData(flavour, consumer, use);
    assert.equal(hashTypedData(data as never), context);
    assert.equal(TypedDataEncoder.hash(data.domain, data.types as never, data.message), context);
  }

  const { context, binding } = toContext("unordered", consumer, use);
  const { claim } = CreditModel.proof(await prove(folders.credit, 0, context));
  const record = async (given: typeof binding): Promise<string> => {
    const call = { address, abi, functionName: "record", args: [item, given, claim.outputs, claim.proof], account: chain.account } as const;
    try {
      await chain.client.simulateContract(call);
    } catch (error) {
      const { name, message } = explain(error) ?? {};
      return `${name}: ${message}`;
    }
    await chain.client.waitForTransactionReceipt({ hash: await chain.wallet.writeContract(call) });
    return "recorded";
  };
  const stranger: Hex = `0x${"ab".repeat(20)}`;
  assert.equal(await record({ ...binding, chainId: 1n }), "WrongChain: the proof was made for the chain 1, and this is 31337");
  assert.match(await record({ ...binding, consumer: stranger }), /^WrongConsumer: .*0xabab/);
  assert.match(await record({ ...binding, caller: stranger }), /^WrongCaller: .*0xabab/);
  assert.equal(await record({ ...binding, deadline: 1n }), "ContextExpired: the proof could be used until second 1, which is over");
  assert.match(await record({ ...binding, nonce: 1n }), /^ProofRejected: /);
  assert.equal(await record(binding), "recorded");

  const statement = keccak256(encodeAbiParameters([{ type: "int256[1]" }], [claim.outputs]));
  const nullifier = toNullifier(context, statement);
  assert.equal(await chain.client.readContract({ address, abi, functionName: "nullified", args: [nullifier] }), true);
  assert.equal(await record(binding), `StatementUsed: the statement was used in this context: nullifier ${nullifier}`);
});

test("what is no address, hash or number makes no context", () => {
  const consumer: Consumer = { name: "C", version: "1", chainId: 1, address: `0x${"01".repeat(20)}` };
  const use: Use = { caller: `0x${"02".repeat(20)}`, action: CONTEXT, nonce: 0n, deadline: 1n };
  assert.throws(() => toContext("sequential", { ...consumer, address: "0x01" }, use), /the consumer is not an address: 0x01/);
  assert.throws(() => toContext("sequential", consumer, { ...use, caller: CONTEXT }), /the caller is not an address/);
  assert.throws(() => toContext("sequential", consumer, { ...use, action: "0x" }), /the action is not 32 bytes/);
  assert.throws(() => toContext("sequential", consumer, { ...use, nonce: -1n }), /the nonce is not a uint256: -1/);
  assert.throws(() => toContext("sequential", consumer, { ...use, deadline: 1n << 256n }), /the deadline is not a uint256/);
});
