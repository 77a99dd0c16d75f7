// Compiles a verifier, deploys it on a fresh anvil (osaka), sends one call and reads its receipt.
//
//   node receipt.mjs '{"source": "verifier.sol", "contract": "Verifier", "calldata": "0x…", "solc": "solc", "runs": 200}'
//
// prints the figures as JSON. `solc` names a package below the checkout's node_modules.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const LIMIT = 2 ** 24;

/** Creation code, runtime code and selectors of a contract; `settings` go to solc as they are. */
export function compile({ source, contract, solc = 'solc', runs = 1_000_000, evmVersion }) {
  const compiler = createRequire(import.meta.url)(join(root, 'node_modules', solc));
  const outputs = ['evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'];
  const settings = { optimizer: { enabled: true, runs }, outputSelection: { '*': { '*': outputs } } };
  if (evmVersion) settings.evmVersion = evmVersion;
  const sources = { 'verifier.sol': { content: readFileSync(source, 'utf8') } };
  const output = JSON.parse(compiler.compile(JSON.stringify({ language: 'Solidity', sources, settings })));
  const errors = (output.errors ?? []).filter((error) => error.severity === 'error');
  if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
  const { evm } = output.contracts['verifier.sol'][contract];
  return {
    creation: '0x' + evm.bytecode.object,
    runtimeBytes: evm.deployedBytecode.object.length / 2,
    selectors: evm.methodIdentifiers,
    solc: compiler.version(),
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

function anvilProgram() {
  if (process.env.HALLMARK_ANVIL) return process.env.HALLMARK_ANVIL;
  const platform = `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const npm = join(root, 'node_modules', '@foundry-rs', `anvil-${platform}`, 'bin', 'anvil');
  return existsSync(npm) ? npm : 'anvil';
}

/** Gas of the deployment and of the call, from their receipts, and what a tampered call says. */
export async function measure(creation, calldata) {
  const port = await freePort();
  const arguments_ = ['--hardfork', 'osaka', '--silent', '--port', String(port)];
  const anvil = spawn(anvilProgram(), arguments_, { stdio: 'ignore' });
  const failed = once(anvil, 'error').then(([error]) => Promise.reject(error));
  failed.catch(() => {});
  const rpc = async (method, ...params) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json' };
    const request = fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body });
    const answer = await (await Promise.race([request, failed])).json();
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  };
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await rpc('eth_chainId');
        break;
      } catch (error) {
        if (attempt === 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    const [from] = await rpc('eth_accounts');
    const send = async (transaction) => {
      const hash = await rpc('eth_sendTransaction', { from, gas: '0x' + LIMIT.toString(16), ...transaction });
      for (;;) {
        const receipt = await rpc('eth_getTransactionReceipt', hash);
        if (receipt) return receipt;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const deployed = await send({ data: creation });
    if (deployed.status !== '0x1') throw new Error('the deployment failed');
    const to = deployed.contractAddress;
    const verdict = (data) => rpc('eth_call', { from, to, data }).then(BigInt, () => 0n);
    if ((await verdict(calldata)) !== 1n) throw new Error('the verifier rejects the proof');
    // the last word of the arguments is a public value of all of these verifiers
    const digit = (parseInt(calldata.at(-1), 16) ^ 1).toString(16);
    const tampered = calldata.slice(0, -1) + digit;
    if ((await verdict(tampered)) === 1n) throw new Error('the verifier accepts a tampered call');
    const receipt = await send({ to, data: calldata });
    if (receipt.status !== '0x1') throw new Error('the transaction failed');
    const bytes = Buffer.from(calldata.slice(2), 'hex');
    const price = bytes.reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), 0);
    const transaction = Number(receipt.gasUsed);
    return {
      transaction_gas: transaction,
      execution_gas: transaction - 21_000 - price,
      deployment_gas: Number(deployed.gasUsed),
      calldata_bytes: bytes.length,
    };
  } finally {
    anvil.kill();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2]);
  const { creation, runtimeBytes, solc } = compile(options);
  const calldata = options.calldata ?? readFileSync(options.calldataFile, 'utf8').trim();
  console.log(JSON.stringify({ ...(await measure(creation, calldata)), contract_bytes: runtimeBytes, solc }));
}
