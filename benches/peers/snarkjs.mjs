// Measures snarkjs' verifiers on the credit statement: Groth16, PLONK and fflonk, with one public value (the score) and with
// eleven (the features too).
//
//   npm ci && node snarkjs.mjs > snarkjs.json
//
// The setup is made here and worthless. Two or three minutes, half of them for the powers of tau.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as snarkjs from 'snarkjs';
import { writePtau } from './ptau.mjs';
import { compile, measure } from './receipt.mjs';

const here = import.meta.dirname;
const require = createRequire(import.meta.url);
const version = (name) => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version;
const SYSTEMS = { groth16: 'Groth16', plonk: 'PLONK', fflonk: 'fflonk' };
// snarkjs prescribes no compiler settings: ours, and fewer runs where the contract would be larger than EIP-170 allows
const SOLC_RUNS = [1_000_000, 10_000];
const EIP170 = 24_576;
const FEATURES = [3, 12, 4, 2069, 1, 3, 2, 1, 0, 1];
// milliseconds that a child process may take
const LIMIT = 600_000;

const log = (text) => process.stderr.write(`${text}\n`);

function circuit(folder, name, publicInputs) {
  const source = readFileSync(join(here, 'credit.circom'), 'utf8');
  const inputs = publicInputs ? ' {public [feature]}' : '';
  writeFileSync(join(folder, `${name}.circom`), `${source}\ncomponent main${inputs} = Credit();\n`);
  const circom = require.resolve('circom2/cli.js');
  const options = { cwd: folder, stdio: ['ignore', 2, 2], timeout: LIMIT };
  execFileSync(process.execPath, [circom, `${name}.circom`, '--r1cs', '--wasm', '--O2'], options);
  return { r1cs: join(folder, `${name}.r1cs`), wasm: join(folder, `${name}_js`, `${name}.wasm`) };
}

async function setup(folder, system, r1cs, ptau) {
  const zkey = join(folder, `${system}.zkey`);
  if (system === 'groth16') {
    const first = join(folder, 'first.zkey');
    await snarkjs.zKey.newZKey(r1cs, ptau, first);
    await snarkjs.zKey.contribute(first, zkey, 'peers', 'not secret');
  } else {
    await snarkjs[system].setup(r1cs, ptau, zkey);
  }
  return zkey;
}

/** The child process: one proof, with what the process has used when the proof is done. */
async function prove(system, wasm, zkey, path) {
  const proved = await snarkjs[system].fullProve({ feature: FEATURES }, wasm, zkey);
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const usage = { prove_cpu_seconds: (userCPUTime + systemCPUTime) / 1e6, prove_peak_rss_bytes: maxRSS * 1024 };
  writeFileSync(path, JSON.stringify({ ...proved, usage }));
}

async function row(folder, system, publicInputs, { r1cs, wasm }, ptau) {
  log(`${system}, ${publicInputs ? 'public' : 'private'} input`);
  const zkey = await setup(folder, system, r1cs, ptau);
  const proved = join(folder, 'proof.json');
  const command = [fileURLToPath(import.meta.url), '--prove', system, wasm, zkey, proved];
  execFileSync(process.execPath, command, { stdio: ['ignore', 2, 2], timeout: LIMIT });
  const { proof, publicSignals, usage } = JSON.parse(readFileSync(proved, 'utf8'));

  const template = readFileSync(join(here, 'node_modules', 'snarkjs', 'templates', `verifier_${system}.sol.ejs`), 'utf8');
  const source = join(folder, 'verifier.sol');
  writeFileSync(source, await snarkjs.zKey.exportSolidityVerifier(zkey, { [system]: template }));
  const contract = /^contract (\w+)/m.exec(readFileSync(source, 'utf8'))[1];
  const builds = SOLC_RUNS.map((runs) => ({ runs, ...compile({ source, contract, runs }) }));
  const compiled = builds.find((build) => build.runtimeBytes <= EIP170);
  // all arguments are static, so their encoding is their concatenation, and a public value comes last
  const values = system === 'fflonk' ? [publicSignals, proof] : [proof, publicSignals];
  const text = await snarkjs[system].exportSolidityCallData(...values);
  const words = text.match(/0x[0-9a-fA-F]+/g).map((word) => word.slice(2).padStart(64, '0'));
  const signature = Object.keys(compiled.selectors).find((known) => known.startsWith('verifyProof('));
  const calldata = Buffer.from(compiled.selectors[signature] + words.join(''), 'hex');
  return {
    name: `snarkjs ${SYSTEMS[system]}`,
    version: version('snarkjs'),
    date: new Date().toISOString().slice(0, 10),
    statement: publicInputs ? '10 public inputs, 1 public output' : 'private input, 1 public output',
    ...(await measure(compiled.creation, calldata)),
    contract_bytes: compiled.runtimeBytes,
    proof_bytes: 32 * (words.length - publicSignals.length),
    ...usage,
    source: `snarkjs.mjs; circom2 ${version('circom2')}; solc ${compiled.solc.split('+')[0]}, ${compiled.runs} runs`,
  };
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'peers-'));
  try {
    const circuits = [false, true].map((isPublic) => circuit(folder, isPublic ? 'public' : 'private', isPublic));
    log('powers of tau');
    const ptau = join(folder, 'powers.ptau');
    await writePtau(ptau);
    const rows = [];
    for (const system of Object.keys(SYSTEMS)) {
      for (const isPublic of [false, true]) rows.push(await row(folder, system, isPublic, circuits[Number(isPublic)], ptau));
    }
    console.log(JSON.stringify(rows, null, 2));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await (process.argv[2] === '--prove' ? prove(...process.argv.slice(3)) : main());
// snarkjs' worker threads would keep the process alive
process.exit(0);
