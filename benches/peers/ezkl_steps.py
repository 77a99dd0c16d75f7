"""EZKL's steps on one model, each in a process of its own, from the model to a contract and its gas.

A module of ezkl_credit.py and models.py. `make setup` must have been run: solc 0.8.20 and anvil are taken from there. The setup is
EZKL's test SRS, which is worthless. EZKL's settings are its defaults after `calibrate_settings(target="resources")`.
"""

import asyncio
import inspect
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The versions that EZKL itself compiles its contract with.
SOLC, RUNS, EVM = "0.8.20", 1, "shanghai"
# Seconds that one process may take.
LIMIT = 3600
# ru_maxrss counts kilobytes, but bytes on Apple's systems.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Failed(Exception):
    """A step that did not do its work."""


def measured(command, said, **options):
    """Runs a command to its end. Returns how it ended, and its seconds, CPU seconds and peak memory; its children's are in them."""
    start = time.monotonic()
    child = subprocess.Popen(command, **options, **({} if "stdout" in options else {"stdout": said}), stderr=said)
    timer = threading.Timer(LIMIT, child.kill)
    timer.start()
    # wait4 says what this one child used, which `subprocess` does not
    _, status, usage = os.wait4(child.pid, 0)
    timer.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, {
        "wall_seconds": time.monotonic() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": RSS_UNIT * usage.ru_maxrss,
    }


def together(*steps):
    """Processes one after another: times are added, the largest peak counts."""
    return {
        "cpu_seconds": sum(step["cpu_seconds"] for step in steps),
        "peak_rss_bytes": max(step["peak_rss_bytes"] for step in steps),
    }


def stage(name, arguments):
    """The child process: one call of EZKL."""
    import ezkl

    if name == "gen_settings":
        run_args = ezkl.PyRunArgs()
        for key, value in arguments.pop("run_args").items():
            setattr(run_args, key, value)
        # as exporters name it
        run_args.variables = [("batch", 1), ("batch_size", 1)]
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
        command = [sys.executable, __file__, name, json.dumps(arguments)]
        with tempfile.TemporaryFile("w+") as said:
            status, usage = measured(command, said, cwd=self.folder, env=self.environment)
            if not self.path(written).exists() or self.path(written).stat().st_mtime_ns == before:
                said.seek(0)
                # the error itself, below the traceback
                last = (said.read().split("\n\n")[-1].strip().splitlines() or [""])[-1]
                raise Failed(f"{name} wrote no {written}, and ended with {status}: {last}")
        return usage

    def prepare(self, sample, rows):
        """`sample` is proved: a flat array an input of the model. Each of `rows` is one more to calibrate on."""
        self.path("input.json").write_text(json.dumps({"input_data": sample}))
        # EZKL takes the rows of a batch as one flat array
        flat = [[value for row in rows for value in row[i]] for i in range(len(sample))]
        self.path("calibration.json").write_text(json.dumps({"input_data": flat}))

    def contract(self, model, run_args):
        """From the model to a contract and calldata. Returns the circuit's size, and what the steps used."""
        p = self.path
        settings, compiled, srs = p("settings.json"), p("model.compiled"), p("kzg.srs")
        visibility = {"input_visibility": "private", "output_visibility": "public", "param_visibility": "private"}
        self.step("gen_settings", "settings.json", model=model, output=settings, run_args={**visibility, **run_args})
        self.step("calibrate_settings", "settings.json", data=p("calibration.json"), model=model, settings=settings,
                  target="resources")
        self.step("compile_circuit", "model.compiled", model=model, compiled_circuit=compiled, settings_path=settings)
        logrows = json.loads(settings.read_text())["run_args"]["logrows"]
        self.step("gen_srs", "kzg.srs", srs_path=srs, logrows=logrows)
        setup = self.step("setup", "pk.key", model=compiled, vk_path=p("vk.key"), pk_path=p("pk.key"), srs_path=srs)
        witness = self.step("gen_witness", "witness.json", data=p("input.json"), model=compiled,
                            output=p("witness.json"), vk_path=p("vk.key"), srs_path=srs)
        proof = self.step("prove", "proof.json", witness=p("witness.json"), model=compiled, pk_path=p("pk.key"),
                          proof_path=p("proof.json"), srs_path=srs)
        self.step("create_evm_verifier", "verifier.sol", vk_path=p("vk.key"), settings_path=settings,
                  sol_code_path=p("verifier.sol"), abi_path=p("abi.json"), srs_path=srs)
        self.step("encode_evm_calldata", "calldata.bin", proof=p("proof.json"), calldata=p("calldata.bin"))
        # from the input to the proof, as the other systems do it in one process
        return logrows, {"setup": together(setup), "prove": together(witness, proof)}

    def figures(self):
        """What the contract costs, from receipts, and the proof's size."""
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
            # its contracts may be larger than a chain allows; they are measured all the same
            "codeSizeLimit": 1_000_000,
        }
        measure = ["node", ROOT / "benches" / "peers" / "receipt.mjs", json.dumps(request)]
        done = subprocess.run(measure, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode != 0:
            raise Failed(f"receipt.mjs: {done.stderr.strip()[-2000:]}")
        proof = json.loads(self.path("proof.json").read_text())
        encoded = proof.get("hex_proof") or bytes(proof["proof"]).hex()
        return {**json.loads(done.stdout), "proof_bytes": len(encoded.removeprefix("0x")) // 2}

    def outputs(self):
        """The outputs that were proved, in the model's units: one flat array."""
        witness = json.loads(self.path("witness.json").read_text())
        return [float(value) for output in witness["pretty_elements"]["rescaled_outputs"] for value in output]


if __name__ == "__main__":
    stage(sys.argv[1], json.loads(sys.argv[2]))
