/** Files, tools and a chain for the tests. */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { type Abi, type Address, createPublicClient, createWalletClient, http } from "viem";
import { foundry } from "viem/chains";

import type { Hex } from "../src/index.js";

/** The checkout, from the compiled tests. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
export const PACKAGE = join(ROOT, "packages/hallmark");
export const HALLMARK = process.env["HALLMARK_BIN"] ?? join(ROOT, "target/release/hallmark");

const run = promisify(execFile);

/** Standard output of a program that succeeds. */
export async function output(program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Promise<string> {
  const { stdout } = await run(program, args, { cwd: ROOT, maxBuffer: 1 << 26, ...options });
  return stdout;
}

export const text = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");
export const json = async (path: string): Promise<any> => JSON.parse(await text(path));

/** A folder that is removed in the end. */
export async function scratch(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "hallmark-"));
  return { path, remove: () => rm(path, { recursive: true }) };
}

/** Compiles the credit model into a folder. */
export async function compile(folder: string, ...options: string[]): Promise<void> {
  const data = ["--data", "examples/credit/calibration.json", "--max-error", "1e-4"];
  await output(HALLMARK, ["compile", "examples/credit/credit.onnx", ...data, ...options, "--no-tests", "-o", folder]);
}

/** A proof for an applicant of the example. */
export async function prove(folder: string, index: number, context: Hex, ...options: string[]): Promise<string> {
  const file = join(folder, "..", `proof-${index}-${context.slice(2, 10)}.json`);
  const input = ["--input", "examples/credit/applicants.json", "--index", String(index)];
  await output(HALLMARK, ["prove", folder, ...input, "--context", context, ...options, "-o", file]);
  return readFile(file, "utf8");
}

/** What forge makes of a contract. */
export interface Artifact {
  readonly abi: Abi;
  readonly bytecode: { readonly object: Hex };
}

/** What forge makes of the contracts of compiled folders, all of them in one project. What it has made before is kept between runs, per `user`: forge processes must not share folders. */
export async function build(folders: readonly string[], user: string): Promise<(name: string) => Promise<Artifact>> {
  const project = await scratch();
  const out = join(PACKAGE, "dist/forge", user);
  await mkdir(join(project.path, "contracts"));
  for (const folder of folders) await cp(join(folder, "contracts"), join(project.path, "contracts"), { recursive: true });
  await cp(join(folders[0] as string, "foundry.toml"), join(project.path, "foundry.toml"));
  await forge(project.path, out);
  await project.remove();
  return (name) => artifact(out, `${name}.sol`, name);
}

/** The consumer of contracts/ that the Foundry suite tests; `user` as in `build`. */
export async function consumer(user: string): Promise<Artifact> {
  const out = join(PACKAGE, "dist/consumer", user);
  await forge(ROOT, out, "tests/foundry/library/utils/Consumers.sol");
  return artifact(out, "Consumers.sol", "ScoreConsumer");
}

async function forge(root: string, out: string, ...sources: string[]): Promise<void> {
  const env = { ...process.env, FOUNDRY_OUT: out, FOUNDRY_CACHE_PATH: join(out, "cache"), FOUNDRY_PROFILE: "default" };
  await output(join(ROOT, "script/forge"), ["build", "--root", root, ...sources], { env });
}

async function artifact(out: string, file: string, name: string): Promise<Artifact> {
  return JSON.parse(await readFile(join(out, file, `${name}.json`), "utf8")) as Artifact;
}

/** Where a tool of Foundry's is, as the scripts look for it. */
export async function tool(name: "anvil" | "cast"): Promise<string> {
  const script = `root=$1; . "$root/script/tools.sh"; native_tool ${name} || npm_tool ${name}`;
  const found = await output("sh", ["-c", script, "sh", ROOT]).catch(() => assert.fail(`${name}: not found; run script/setup.sh`));
  return found.trim();
}

/** A fresh chain, with one account that signs without a key. */
export class Chain {
  readonly wallet;
  readonly client;

  private constructor(
    readonly url: string,
    readonly account: Address,
    private readonly process: ChildProcess,
  ) {
    const transport = http(url, { retryCount: 0 });
    this.client = createPublicClient({ chain: foundry, transport, pollingInterval: 50 });
    this.wallet = createWalletClient({ account, chain: foundry, transport });
  }

  static async start(): Promise<Chain> {
    const anvil = process.env["HALLMARK_ANVIL"] || (await tool("anvil"));
    const child = spawn(anvil, ["--hardfork", "osaka", "--host", "127.0.0.1", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    const ended = new Promise<never>((_, reject) => child.once("exit", (code) => reject(new Error(`${anvil} ended with ${code}`))));
    ended.catch(() => undefined);
    const listening = new Promise<string>((resolve) => {
      lines.on("line", (line) => {
        const [, address] = /Listening on (\S+)/.exec(line) ?? [];
        if (address !== undefined) resolve(`http://${address}`);
      });
    });
    const url = await Promise.race([listening, ended]);
    const client = createPublicClient({ chain: foundry, transport: http(url) });
    const [account] = (await client.request({ method: "eth_accounts" as never })) as unknown as Address[];
    assert(account);
    return new Chain(url, account, child);
  }

  stop(): void {
    this.process.kill();
  }

  async deploy({ abi, bytecode }: Artifact, ...args: unknown[]): Promise<Address> {
    const hash = await this.wallet.deployContract({ abi, bytecode: bytecode.object, args } as never);
    const { contractAddress } = await this.client.waitForTransactionReceipt({ hash });
    assert(contractAddress);
    return contractAddress;
  }
}
