// A powers of tau file for snarkjs with as many points as the credit circuits need, which is minutes instead of most of an hour:
// snarkjs' own preparation is for every size up to the largest, in both groups. The secrets are known here: worthless elsewhere.
import * as binfile from '@iden3/binfileutils';
import { curves } from 'snarkjs';

// Groth16's domain is 2^11, PLONK's and fflonk's 2^13. fflonk reads nine times its domain of powers.
const GROTH16 = 11;
const PLONK = 13;
const FFLONK_POWERS = 9 * 2 ** PLONK + 18;

export async function writePtau(path) {
  const curve = await curves.getCurveFromName('bn128');
  const { G1, G2, Fr } = curve;
  const [tau, alpha, beta] = [Fr.random(), Fr.random(), Fr.random()];
  // [scale * tau^i] for i below `count`
  const powers = (G, count, scale) => {
    const points = new Uint8Array(count * G.oneAffine.byteLength);
    for (let i = 0; i < count; i++) points.set(G.oneAffine, i * G.oneAffine.byteLength);
    return G.batchApplyKey(points, scale, tau, 'affine', 'affine');
  };
  const tau1 = await powers(G1, FFLONK_POWERS, Fr.one);
  const tau2 = await powers(G2, 2 ** GROTH16, Fr.one);
  const alpha1 = await powers(G1, 2 ** GROTH16, alpha);
  const beta1 = await powers(G1, 2 ** GROTH16, beta);
  const beta2 = await powers(G2, 1, beta);

  const file = await binfile.createBinFile(path, 'ptau', 1, 10);
  const section = async (id, write) => {
    await binfile.startWriteSection(file, id);
    await write();
    await binfile.endWriteSection(file);
  };
  await section(1, async () => {
    await file.writeULE32(curve.F1.n8);
    await binfile.writeBigInt(file, curve.q, curve.F1.n8);
    await file.writeULE32(PLONK);
    await file.writeULE32(PLONK);
  });
  const points = { 2: tau1, 3: tau2, 4: alpha1, 5: beta1, 6: beta2 };
  for (const [id, buffer] of Object.entries(points)) await section(Number(id), () => file.write(buffer));
  // the Lagrange bases of all domains, smallest first
  for (const [id, G, buffer, power] of [
    [12, G1, tau1, PLONK],
    [13, G2, tau2, GROTH16],
    [14, G1, alpha1, GROTH16],
    [15, G1, beta1, GROTH16],
  ]) {
    await section(id, async () => {
      for (let p = 0; p <= power; p++) {
        const used = buffer.slice(0, 2 ** p * G.oneAffine.byteLength);
        await file.write(await G.lagrangeEvaluations(used, 'affine', 'affine'));
      }
    });
  }
  await file.close();
}
