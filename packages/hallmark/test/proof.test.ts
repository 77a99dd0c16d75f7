import assert from "node:assert/strict";
import { before, test } from "node:test";

import { type Proof, ProofFileError, callSignature, readManifest, readProof, readPublicInputs, toArguments, toBatchCalldata, toCalldata, toClaim } from "../src/index.js";
import { json } from "./support.js";

const FIXTURES = "tests/foundry/fixtures";

/** A proof file with the words of a fixture, which has them as Foundry reads them. */
async function file(name: string): Promise<Record<string, unknown>> {
  return toFile(await json(`${FIXTURES}/${name}.json`));
}

function toFile(fixture: any): Record<string, unknown> {
  const outputs = fixture.outputs.map((word: string, i: number) => {
    const integer = BigInt.asIntN(256, BigInt(word));
    return { name: `output ${i}`, integer: integer.toString(), value: Number(integer) / 2 ** 44 };
  });
  const digests = fixture.digests?.map((digest: string) => ({ of: "inputs", digest }));
  const { context, proof, weights } = fixture;
  return JSON.parse(JSON.stringify({ format: 1, model_id: "ab".repeat(32), context, weights, outputs, digests, proof }));
}

let credit: Record<string, any>;

before(async () => {
  credit = await file("applicant0");
});

test("calls are those that hallmark calldata makes", async () => {
  const names = ["applicant0", "applicant1", "CreditBlsVerifier/applicant0", "CreditHashedVerifier/applicant1", "CreditCommittedVerifier/retrained0"];
  for (const name of names) {
    const { calldata } = await json(`${FIXTURES}/${name}.json`);
    assert.equal(toCalldata(readProof(await file(name))), calldata, name);
  }
  for (const folder of ["", "CreditHashedVerifier/", "CreditCommittedVerifier/"]) {
    const { claims, calldata } = await json(`${FIXTURES}/${folder}batch.json`);
    const proofs = claims.map((claim: unknown) => readProof(toFile(claim)));
    assert.equal(toBatchCalldata(proofs), calldata, folder);
  }
});

test("arguments are in the order of the signature", async () => {
  const proof = readProof(await file("CreditHashedVerifier/applicant0"));
  assert.equal(callSignature(proof), "verify(bytes32,int256[1],uint256[1],uint256[16])");
  assert.equal(callSignature(proof, "tryVerify"), "tryVerify(bytes32,int256[1],uint256[1],uint256[16])");
  const { context, outputs, digests, proof: words } = toClaim(proof);
  assert.deepEqual(toArguments(proof), [context, outputs, digests, words]);
  assert(!("weights" in toClaim(proof)));
});

test("a batch is of one verifier", async () => {
  const proofs = [readProof(credit), readProof(await file("CreditHashedVerifier/applicant0"))];
  assert.throws(() => toBatchCalldata(proofs), /proof 1 has the shape \(bytes32,int256\[1\],uint256\[1\],uint256\[16\]\)/);
  assert.throws(() => toBatchCalldata([]), /at least one/);
});

test("a proof file is read from its text and from its value", () => {
  const proof: Proof = readProof(JSON.stringify(credit));
  assert.deepEqual(proof, readProof(credit));
  assert.equal(proof.proof.length, 12);
  assert.equal(proof.modelId, `0x${"ab".repeat(32)}`);
});

test("what is wrong with a file is said", () => {
  const changed = (change: (file: any) => void): unknown => {
    const copy = structuredClone(credit);
    change(copy);
    return copy;
  };
  const cases: [unknown, string, RegExp][] = [
    ["{", "", /^the proof file is not JSON: /],
    ["null", "", /^the proof file is not an object: null$/],
    [[], "", /is not an object: \[\]/],
    [changed((f) => (f.format = 2)), "format", /^format is 2, and this package reads format 1$/],
    [changed((f) => delete f.format), "format", /^format is undefined/],
    [changed((f) => (f.model_id = "0x12")), "model_id", /is not 64 hex digits: "0x12"/],
    [changed((f) => (f.context = "0x12")), "context", /^context is not 0x and 64 hex digits: "0x12"$/],
    [changed((f) => delete f.outputs), "outputs", /^outputs is missing$/],
    [changed((f) => (f.outputs = [])), "outputs", /is empty, and there are no digests/],
    [changed((f) => (f.outputs[0].integer = 5)), "outputs[0].integer", /^outputs\[0\].integer is not an integer in decimal digits: 5$/],
    [changed((f) => (f.outputs[0].integer = "0x5")), "outputs[0].integer", /decimal/],
    [changed((f) => (f.outputs[0].integer = (1n << 127n).toString())), "outputs[0].integer", /more than 128 bits/],
    [changed((f) => (f.outputs[0].value = "5")), "outputs[0].value", /is not a number: "5"/],
    [changed((f) => (f.outputs[0].name = null)), "outputs[0].name", /is not a text: null/],
    [changed((f) => (f.digests = [{ of: "weights", digest: f.context }])), "digests[0].of", /neither inputs nor outputs/],
    [changed((f) => (f.weights = "0x00")), "weights", /is not an array/],
    [changed((f) => (f.proof[3] = f.proof[3].slice(1))), "proof[3]", /64 hex digits/],
    [changed((f) => (f.proof = [])), "proof", /^proof is empty$/],
    [changed((f) => (f.proof[0] = "x".repeat(1000))), "proof[0]", /^.{0,150}$/],
  ];
  for (const [content, path, message] of cases) {
    assert.throws(() => readProof(content), (error) => error instanceof ProofFileError && error.path === path && message.test(error.message), path);
  }
});

const MANIFEST = {
  format: 1,
  model: { id: "ab" },
  contract: { name: "LoanVerifier" },
  domain: { inputs: [{ name: "age", scale: 1 }, { name: "debt", scale: 2 ** 20 }, { name: "income", scale: 0.25 }] },
  outputs: [{ name: "score", scale: 2 ** 44, ranges: [{}] }, { name: "public_inputs", scale: 1, ranges: [{}] }],
  public_inputs: [
    { name: "age", place: { output: 1, shift: 0, bits: 7 }, plus: "18" },
    { name: "debt", place: { output: 1, shift: 7, bits: 30 }, plus: "-500" },
    { name: "income", place: { output: 1, shift: 37, bits: 0 }, plus: "12" },
  ],
};

test("public inputs are read from their bits", () => {
  const manifest = readManifest(JSON.stringify(MANIFEST));
  assert.deepEqual(manifest, readManifest(MANIFEST));
  assert.deepEqual(manifest.outputs[0], { name: "score", length: 1, exponent: 44 });
  const word = 23n + (1_000_000n << 7n);
  const expected = {
    age: { integer: 41n, exponent: 0 },
    debt: { integer: 999_500n, exponent: 20 },
    income: { integer: 12n, exponent: -2 },
  };
  assert.deepEqual(Object.fromEntries(readPublicInputs(manifest, [5n, word])), expected);
  assert.throws(() => readPublicInputs(manifest, [5n]), /"age" is in public value 1, and there are 1/);
});

test("a manifest of another kind is refused", () => {
  const without = (key: string): unknown => ({ ...MANIFEST, [key]: undefined });
  assert.throws(() => readManifest(without("format")), /manifest.json: format is not a number/);
  assert.throws(() => readManifest({ ...MANIFEST, format: 2 }), /format is not 1/);
  assert.throws(() => readManifest(without("domain")), /domain.inputs is not an array/);
  assert.throws(() => readManifest({ ...MANIFEST, domain: { inputs: [] } }), /has "age", which domain.inputs has not/);
  assert.throws(() => readManifest({ ...MANIFEST, outputs: [{ name: "score", scale: 3, ranges: [] }] }), /scale 3 is no power of two/);
  assert.throws(() => readManifest("null"), /format is not a number/);
  assert.throws(() => readManifest("{"), SyntaxError);
});
