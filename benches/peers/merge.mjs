// Merges a folder of measurements, as run.sh leaves them, into peers.json. A row replaces the one of its name and statement; rows
// that were not measured stay.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { anvilVersion } from './receipt.mjs';

const folder = process.argv[2];
const path = join(import.meta.dirname, 'peers.json');
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const round = (seconds) => Math.round(1000 * seconds) / 1000;

function merge(old, measured) {
  const key = (row) => `${row.name}: ${row.statement}`;
  const known = new Set(measured.map(key));
  return [...measured, ...old.filter((row) => !known.has(key(row)))];
}

/** What `hallmark bench --json` prints, as a row. */
function ours(curve) {
  const bench = read(join(folder, `hallmark-${curve}.json`));
  return {
    name: `Hallmark, ${curve === 'bn254' ? 'BN254' : 'BLS12-381'}`,
    version: readFileSync(join(folder, 'hallmark.version'), 'utf8').trim(),
    date: new Date().toISOString().slice(0, 10),
    statement: 'private input, 1 public output',
    transaction_gas: bench.gas.transaction,
    execution_gas: bench.gas.execution,
    deployment_gas: bench.gas.deployment,
    calldata_bytes: bench.calldata_bytes,
    contract_bytes: bench.contract_bytes,
    proof_bytes: bench.proof_bytes,
    prove_cpu_seconds: bench.prove.cpu_seconds,
    prove_peak_rss_bytes: bench.prove.peak_rss_bytes,
    source: `hallmark bench; solc ${bench.solc.split('+')[0]}`,
  };
}

const old = read(path);
const measured = existsSync(join(folder, 'hallmark.version'));
const peers = {
  model: old.model,
  chain: `anvil ${anvilVersion()}, osaka, gas from receipts`,
  machine: `${process.platform}, ${process.arch}, ${availableParallelism()} cores`,
  hallmark: measured ? ['bn254', 'bls12-381'].map(ours) : old.hallmark,
  peers: merge(old.peers, ['ezkl', 'snarkjs'].flatMap((name) => read(join(folder, `${name}.json`)))),
};
writeFileSync(path, `${JSON.stringify(peers, (key, value) => (key === 'prove_cpu_seconds' ? round(value) : value), 2)}\n`);
