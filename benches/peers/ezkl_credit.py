#!/usr/bin/env python3
"""Measures EZKL's verifier on the credit example: private input, public output, private weights.

    pip install -r requirements.txt
    python3 ezkl_credit.py > ezkl.json         # a minute

Runs from a checkout whose `make setup` has been run: solc 0.8.20 and anvil are taken from there. The setup is EZKL's test
SRS, which is worthless. EZKL's settings are its defaults after `calibrate_settings(target="resources")`.
"""

import asyncio
import datetime
import importlib.metadata
import inspect
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "credit"
# The versions that EZKL itself compiles its contract with.
SOLC, RUNS, EVM = "0.8.20", 1, "shanghai"
# Seconds that one call of EZKL may take.
LIMIT = 600
# ru_maxrss counts kilobytes, but bytes on Apple's systems.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def stage(name, arguments):
    """The child process: one call of EZKL."""
    import ezkl

    if name == "gen_settings":
        run_args = ezkl.PyRunArgs()
        for key, value in arguments.pop("run_args").items():
            setattr(run_args, key, value)
        run_args.variables = [("batch", 1)]
        arguments["py_run_args"] = run_args

    async def call():
        result = getattr(ezkl, name)(**arguments)
        return await result if inspect.isawaitable(result) else result

    asyncio.run(call())


class Run:
    """EZKL's steps in one folder, each in a process of its own: some end in a crash after their work is done."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        # where EZKL looks for its compiler
        home = self.path("home")
        solc = home / ".svm" / SOLC / f"solc-{SOLC}"
        solc.parent.mkdir(parents=True)
        solc.write_text(f'#!/bin/sh\nHALLMARK_SOLC_VERSION={SOLC} exec "{ROOT}/script/solc" "$@"\n')
        solc.chmod(0o755)
        self.environment = dict(os.environ, HOME=str(home))
        self.environment.pop("XDG_DATA_HOME", None)

    def path(self, name):
        return self.folder / name

    def step(self, name, written, **arguments):
        """Calls `name`; it has worked if the file `written` is new. Returns the child's resource usage."""
        print(name, file=sys.stderr)
        before = self.path(written).stat().st_mtime_ns if self.path(written).exists() else None
        arguments = {key: str(value) if isinstance(value, pathlib.Path) else value for key, value in arguments.items()}
        command = [sys.executable, __file__, "--stage", name, json.dumps(arguments)]
        with tempfile.TemporaryFile("w+") as said:
            child = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=said, stderr=said)
            timer = threading.Timer(LIMIT, child.kill)
            timer.start()
            # wait4 says what this one child used, which `subprocess` does not
            _, status, usage = os.wait4(child.pid, 0)
            timer.cancel()
            child.returncode = os.waitstatus_to_exitcode(status)
            if not self.path(written).exists() or self.path(written).stat().st_mtime_ns == before:
                said.seek(0)
                sys.exit(f"{name} wrote no {written}, and ended with {child.returncode}:\n{said.read()[-2000:]}")
        return usage

    def prepare(self):
        """The model without its declared domain's data: one applicant, and rows to calibrate on."""
        applicant = json.loads((EXAMPLE / "applicants.json").read_text())["input_data"][0]
        rows = json.loads((EXAMPLE / "calibration.json").read_text())["input_data"]
        self.path("input.json").write_text(json.dumps({"input_data": [applicant]}))
        # EZKL takes the rows of a batch as one flat array
        flat = [value for row in rows[:20] for value in row]
        self.path("calibration.json").write_text(json.dumps({"input_data": [flat]}))

    def contract(self, run_args):
        """From the model to a contract and calldata. Returns the circuit's size, and the usage of proving."""
        p, model = self.path, EXAMPLE / "credit.onnx"
        settings, compiled, srs = p("settings.json"), p("model.compiled"), p("kzg.srs")
        visibility = {"input_visibility": "private", "output_visibility": "public", "param_visibility": "private"}
        self.step("gen_settings", "settings.json", model=model, output=settings, run_args={**visibility, **run_args})
        self.step("calibrate_settings", "settings.json", data=p("calibration.json"), model=model, settings=settings,
                  target="resources")
        self.step("compile_circuit", "model.compiled", model=model, compiled_circuit=compiled, settings_path=settings)
        logrows = json.loads(settings.read_text())["run_args"]["logrows"]
        self.step("gen_srs", "kzg.srs", srs_path=srs, logrows=logrows)
        self.step("setup", "pk.key", model=compiled, vk_path=p("vk.key"), pk_path=p("pk.key"), srs_path=srs)
        witness = self.step("gen_witness", "witness.json", data=p("input.json"), model=compiled,
                            output=p("witness.json"), vk_path=p("vk.key"), srs_path=srs)
        proof = self.step("prove", "proof.json", witness=p("witness.json"), model=compiled, pk_path=p("pk.key"),
                          proof_path=p("proof.json"), srs_path=srs)
        self.step("create_evm_verifier", "verifier.sol", vk_path=p("vk.key"), settings_path=settings,
                  sol_code_path=p("verifier.sol"), abi_path=p("abi.json"), srs_path=srs)
        self.step("encode_evm_calldata", "calldata.bin", proof=p("proof.json"), calldata=p("calldata.bin"))
        # from the input to the proof, as the other systems do it in one process
        return logrows, {
            "prove_cpu_seconds": sum(step.ru_utime + step.ru_stime for step in (witness, proof)),
            "prove_peak_rss_bytes": RSS_UNIT * max(witness.ru_maxrss, proof.ru_maxrss),
        }

    def row(self, name, run_args):
        logrows, usage = self.contract(run_args)
        calldata = self.path("calldata.bin").read_bytes()
        self.path("calldata.hex").write_text(calldata.hex())
        # verifyProof(bytes, uint256[]): the second head word is where the public values are, behind their number
        instances = 4 + int.from_bytes(calldata[36:68], "big")
        request = {
            "source": str(self.path("verifier.sol")),
            "contract": "Halo2Verifier",
            "calldataFile": str(self.path("calldata.hex")),
            "publicByte": instances + 63,
            "solc": f"solc-{SOLC}",
            "runs": RUNS,
            "evmVersion": EVM,
        }
        measure = ["node", ROOT / "benches" / "peers" / "receipt.mjs", json.dumps(request)]
        done = subprocess.run(measure, stdout=subprocess.PIPE, check=True, text=True, timeout=LIMIT)
        figures = json.loads(done.stdout)
        compiler = figures.pop("solc").split("+")[0]
        proof = json.loads(self.path("proof.json").read_text())
        encoded = proof.get("hex_proof") or bytes(proof["proof"]).hex()
        return {
            "name": name,
            "version": importlib.metadata.version("ezkl"),
            "date": datetime.date.today().isoformat(),
            "statement": "private input, 1 public output",
            **figures,
            "proof_bytes": len(encoded.removeprefix("0x")) // 2,
            **usage,
            "source": f"ezkl_credit.py; {describe(run_args)}; k = {logrows}; solc {compiler}, {RUNS} run, {EVM}",
        }


def describe(run_args):
    return ", ".join(f"{key} = {value}" for key, value in run_args.items()) or "default settings"


def main():
    rows = []
    for name, run_args in [("EZKL", {}), ("EZKL, tuned", {"num_inner_cols": 1, "decomp_base": 128, "decomp_legs": 4})]:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder)
            run.prepare()
            rows.append(run.row(name, run_args))
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        stage(sys.argv[2], json.loads(sys.argv[3]))
    else:
        main()
