// Measures snarkjs' verifiers on the credit statement: Groth16, PLONK and fflonk, with one public value (the score) and with
// eleven (the features too).
//
//   npm install && node snarkjs.mjs > snarkjs.json
//
// The setup is made here and worthless. Minutes, most of them for the powers of tau.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as snarkjs from 'snarkjs';
import { compile, measure } from './receipt.mjs';

const here = import.meta.dirname;
const require = createRequire(import.meta.url);
const version = (name) => JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version;
const POWER = Number(process.env.POWER ?? 15);
const SOLC_RUNS = 1_000_000;
const FEATURES = [3, 12, 4, 2069, 1, 3, 2, 1, 0, 1];

const folder = mkdtempSync(join(tmpdir(), 'peers-'));
const file = (name) => join(folder, name);
const log = (text) => process.stderr.write(`${text}\n`);

function circuit(name, publicInputs) {
  const source = readFileSync(join(here, 'credit.circom'), 'utf8');
  const inputs = publicInputs ? ' {public [feature]}' : '';
  writeFileSync(file(`${name}.circom`), `${source}\ncomponent main${inputs} = Credit();\n`);
  const circom = require.resolve('circom2/cli.js');
  const options = { cwd: folder, stdio: ['ignore', 2, 2] };
  execFileSync(process.execPath, [circom, `${name}.circom`, '--r1cs', '--wasm', '--O2'], options);
  return { r1cs: file(`${name}.r1cs`), wasm: file(join(`${name}_js`, `${name}.wasm`)) };
}

async function powersOfTau() {
  const [first, second, ptau] = ['0.ptau', '1.ptau', 'final.ptau'].map(file);
  const curve = await snarkjs.curves.getCurveFromName('bn128');
  await snarkjs.powersOfTau.newAccumulator(curve, POWER, first);
  await snarkjs.powersOfTau.contribute(first, second, 'peers', 'not secret');
  await snarkjs.powersOfTau.preparePhase2(second, ptau);
  return ptau;
}

async function setup(system, name, r1cs, ptau) {
  const zkey = file(`${name}-${system}.zkey`);
  if (system === 'groth16') {
    await snarkjs.zKey.newZKey(r1cs, ptau, file('0.zkey'));
    await snarkjs.zKey.contribute(file('0.zkey'), zkey, 'peers', 'not secret');
  } else {
    await snarkjs[system].setup(r1cs, ptau, zkey);
  }
  return zkey;
}

async function row(system, name, { r1cs, wasm }, ptau) {
  log(`${system}, ${name}`);
  const zkey = await setup(system, name, r1cs, ptau);
  const { proof, publicSignals } = await snarkjs[system].fullProve({ feature: FEATURES }, wasm, zkey);
  const template = readFileSync(join(here, 'node_modules', 'snarkjs', 'templates', `verifier_${system}.sol.ejs`), 'utf8');
  const source = file(`${name}-${system}.sol`);
  writeFileSync(source, await snarkjs.zKey.exportSolidityVerifier(zkey, { [system]: template }));
  const contract = /^contract (\w+)/m.exec(readFileSync(source, 'utf8'))[1];
  const compiled = compile({ source, contract, runs: SOLC_RUNS });
  // all arguments are static: their encoding is their concatenation
  const text = await snarkjs[system].exportSolidityCallData(proof, publicSignals);
  const words = text.match(/0x[0-9a-fA-F]+/g).map((word) => word.slice(2).padStart(64, '0'));
  const [signature] = Object.keys(compiled.selectors).filter((known) => known.startsWith('verifyProof('));
  const calldata = `0x${compiled.selectors[signature]}${words.join('')}`;
  const figures = await measure(compiled.creation, calldata);
  return {
    name: `snarkjs ${system}`,
    version: version('snarkjs'),
    statement: `credit MLP 10-32-1, ${publicSignals.length} public`,
    ...figures,
    proof_bytes: 32 * (words.length - publicSignals.length),
    contract_bytes: compiled.runtimeBytes,
    settings: `solc ${compiled.solc.split('+')[0]}, ${SOLC_RUNS} runs; circom2 ${version('circom2')}`,
  };
}

try {
  const circuits = { private: circuit('private', false), public: circuit('public', true) };
  log('powers of tau');
  const ptau = await powersOfTau();
  const rows = [];
  for (const system of ['groth16', 'plonk', 'fflonk']) {
    for (const [name, built] of Object.entries(circuits)) rows.push(await row(system, name, built, ptau));
  }
  console.log(JSON.stringify(rows, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
