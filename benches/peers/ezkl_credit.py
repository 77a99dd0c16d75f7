#!/usr/bin/env python3
"""Measures EZKL's verifier on the credit example: private input, public output, private weights.

    pip install -r requirements.txt
    python3 ezkl_credit.py > ezkl.json         # a minute

How EZKL is run is in ezkl_steps.py.
"""

import datetime
import importlib.metadata
import json
import sys
import tempfile

from ezkl_steps import EVM, ROOT, RUNS, SOLC, Failed, Run

EXAMPLE = ROOT / "examples" / "credit"


def row(run, name, run_args):
    # the model without its declared domain's data: one applicant, and rows to calibrate on
    applicant = json.loads((EXAMPLE / "applicants.json").read_text())["input_data"][0]
    rows = json.loads((EXAMPLE / "calibration.json").read_text())["input_data"]
    run.prepare([applicant], [[row] for row in rows[:20]])
    logrows, usage = run.contract(EXAMPLE / "credit.onnx", run_args)
    figures = run.figures()
    compiler = figures.pop("solc").split("+")[0]
    return {
        "name": name,
        "version": importlib.metadata.version("ezkl"),
        "date": datetime.date.today().isoformat(),
        "statement": "private input, 1 public output",
        **figures,
        **{f"prove_{key}": value for key, value in usage["prove"].items()},
        "source": f"ezkl_credit.py; {describe(run_args)}; k = {logrows}; solc {compiler}, {RUNS} run, {EVM}",
    }


def describe(run_args):
    return ", ".join(f"{key} = {value}" for key, value in run_args.items()) or "default settings"


def main():
    rows = []
    for name, run_args in [("EZKL", {}), ("EZKL, tuned", {"num_inner_cols": 1, "decomp_base": 128, "decomp_legs": 4})]:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(Run(folder), name, run_args))
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
