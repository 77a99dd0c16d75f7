// Compiles a verifier, deploys it on a fresh anvil (osaka), sends one call and reads its receipt.
//
//   node receipt.mjs '{"source": "verifier.sol", "contract": "Verifier", "calldataFile": "call.hex", "solc": "solc", "runs": 200}'
//
// prints the figures as JSON. `solc` names a package below the checkout's node_modules; `publicByte` is the place of a public
// value's last byte in the calldata, the end if it is absent; `codeSizeLimit` is for contracts that no real chain would deploy.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
// of a transaction's gas, by EIP-7825
const LIMIT = 2 ** 24;
const BASE = 21_000;

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

/** The version of anvil, as `1.7.1`. */
export function anvilVersion() {
  return /\d+\.\d+\.\d+/.exec(execFileSync(anvilProgram(), ['--version'], { encoding: 'utf8' }))[0];
}

/** The call's gas without its instructions, and EIP-7623's floor. */
function prices(bytes) {
  const zeros = bytes.filter((byte) => byte === 0).length;
  const tokens = zeros + 4 * (bytes.length - zeros);
  return { calldata: 4 * tokens, floor: BASE + 10 * tokens };
}

/**
 * Gas of the deployment and of the call, from their receipts. A verifier that refuses the proof is an error, and so is one that
 * accepts it with another public value, whose last byte is `calldata[publicByte]`.
 */
export async function measure(creation, calldata, publicByte = calldata.length - 1, codeSizeLimit) {
  const port = await freePort();
  const arguments_ = ['--hardfork', 'osaka', '--silent', '--port', String(port)];
  if (codeSizeLimit) arguments_.push('--code-size-limit', String(codeSizeLimit));
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
    const hex = (bytes) => `0x${bytes.toString('hex')}`;
    const verdict = (bytes) => rpc('eth_call', { from, to, data: hex(bytes) }).then(BigInt, () => 0n);
    if ((await verdict(calldata)) !== 1n) throw new Error('the verifier rejects the proof');
    const tampered = Buffer.from(calldata);
    tampered[publicByte] ^= 1;
    if ((await verdict(tampered)) === 1n) throw new Error('the verifier accepts another public value');
    const receipt = await send({ to, data: hex(calldata) });
    if (receipt.status !== '0x1') throw new Error('the transaction failed');
    const transaction = Number(receipt.gasUsed);
    const price = prices(calldata);
    return {
      transaction_gas: transaction,
      execution_gas: transaction === price.floor ? null : transaction - BASE - price.calldata,
      deployment_gas: Number(deployed.gasUsed),
      calldata_bytes: calldata.length,
    };
  } finally {
    anvil.kill();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = JSON.parse(process.argv[2]);
  const { creation, runtimeBytes, solc } = compile(options);
  const calldata = Buffer.from(readFileSync(options.calldataFile, 'utf8').trim().replace('0x', ''), 'hex');
  const figures = await measure(creation, calldata, options.publicByte, options.codeSizeLimit);
  console.log(JSON.stringify({ ...figures, contract_bytes: runtimeBytes, solc }));
}
