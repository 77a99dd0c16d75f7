import { type Hex, type Manifest, type Proof, readManifest, readProof, readPublicInputs, toCalldata, toDecimal } from "hallmark-verifier";

/** The call that submits a proof of any model, and what the proof says. */
export function submission(proofFile: string, manifestFile: string): { data: Hex; lines: string[] } {
  const proof: Proof = readProof(proofFile); // throws a ProofFileError that says what is wrong
  const manifest: Manifest = readManifest(manifestFile);
  const values = proof.outputs.map((output) => output.integer);
  const score = `score ${toDecimal({ integer: values[0] ?? 0n, exponent: manifest.outputs[0]?.exponent ?? 0 })}`;
  const inputs = [...readPublicInputs(manifest, values)].map(([name, value]) => `${name} ${toDecimal(value)}`);
  return { data: toCalldata(proof), lines: [score, ...inputs] };
}
