#!/usr/bin/env python3
"""Measures EZKL and Hallmark on the same models in one run, and writes models.json and the tables of docs/benchmarks.md.

    pip install -r requirements.txt
    python3 models.py                                  # the credit example
    python3 models.py --collection DIR                 # and models of a folder, in DIR/NAME/network.onnx and input.json
    python3 models.py --collection DIR --models lstm   # only some, on standard output: nothing is written
    python3 models.py --collection DIR --forecasts     # Hallmark alone: what it forecasts of ten models, and what comes of it
    python3 models.py --table                          # only the tables, from models.json and forecasts.json

`make setup` and `cargo build --release` have to be run before. The statement is everywhere the same: private input and weights,
public outputs. Every step is a process of its own; CPU seconds are user and system time over all threads.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from ezkl_steps import ROOT, Failed, Run, measured, together

RESULTS = pathlib.Path(__file__).resolve().parent / "models.json"
FORECASTS = RESULTS.with_name("forecasts.json")
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- models.py writes from here -->", "<!-- to here -->"
BEGIN_FORECASTS, END_FORECASTS = "<!-- models.py --forecasts writes from here -->", "<!-- forecasts to here -->"
COLLECTION = ["xgboost", "4l_relu_conv_fc", "lenet_5", "large_mlp", "lstm", "layernorm"]
# Models that forecasts are compared on, beside the credit example.
FORECAST_MODELS = ["xgboost", "4l_relu_conv_fc", "lenet_5", "lstm", "layernorm", "sklearn_mlp", "oh_decision_tree",
                   "softplus", "tutorial"]
# log2 of the powers of the test setup, for models that the embedded ceremony is too small for
SRS_K = 19
# Samples that Hallmark is calibrated on, the given one among them.
SAMPLES = 32
# The largest contract that EIP-170 allows.
MAX_CONTRACT = 24_576


def reach(sample):
    """The largest magnitude, rounded up to one digit."""
    largest = max(0.05, *(abs(value) for value in sample))
    unit = 10 ** math.floor(math.log10(largest))
    return math.ceil(largest / unit) * unit


class Model:
    """A model with the sample that is proved, and files that Hallmark and EZKL read."""

    def __init__(self, name, onnx, sample, work):
        # a flat array an input of the model
        self.name, self.onnx, self.sample = name, onnx, sample
        self.input = work / "input.json"
        self.input.write_text(json.dumps({"input_data": [[value for array in sample for value in array]]}))
        self.options, self.rows = [], [sample]

    @classmethod
    def credit(cls, work):
        example = ROOT / "examples" / "credit"
        applicant = json.loads((example / "applicants.json").read_text())["input_data"][0]
        model = cls("credit", example / "credit.onnx", [applicant], work)
        # its domain is declared there
        model.options = ["--data", example / "calibration.json", "--max-error", "1e-4"]
        model.rows = [[row] for row in json.loads((example / "calibration.json").read_text())["input_data"][:20]]
        return model

    @classmethod
    def of_collection(cls, name, folder, work):
        """The domain is what the sample spans, rounded up: from zero if it has no negative number, else on both sides of it."""
        sample = json.loads((folder / "input.json").read_text())["input_data"]
        model = cls(name, folder / "network.onnx", sample, work)
        flat = [value for array in sample for value in array]
        high = reach(flat)
        low = 0.0 if min(flat) >= 0 else -high
        names = [f"f{i}" for i in range(len(flat))]
        domain, data = work / "domain.json", work / "calibration.json"
        domain.write_text(json.dumps({"features": [{"name": name, "min": low, "max": high} for name in names]}))
        draw = random.Random(1)
        more = [[draw.uniform(low, high) for _ in flat] for _ in range(SAMPLES - 1)]
        data.write_text(json.dumps({"input_data": [flat, *more]}))
        model.options = ["--data", data, "--domain", domain]
        return model

    def reference(self):
        """The float model's outputs for the sample: one flat array."""
        script = pathlib.Path(__file__).with_name("reference.py")
        arrays = self.input.with_name("sample.json")
        arrays.write_text(json.dumps(self.sample))
        done = subprocess.run([sys.executable, script, self.onnx, arrays], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"reference.py: {(done.stderr.strip().splitlines() or [''])[-1]}")
        return json.loads(done.stdout)

    def error(self, outputs):
        """The greatest error of a proved output on the sample."""
        reference = self.reference()
        if len(outputs) != len(reference):
            raise Failed(f"{len(outputs)} outputs are proved, the float model has {len(reference)}")
        return max(abs(a - b) for a, b in zip(outputs, reference))


def ezkl(model, work):
    run = Run(work)
    run.prepare(model.sample, model.rows)
    logrows, usage = run.contract(model.onnx, {})
    keys = sum(run.path(name).stat().st_size for name in ("pk.key", "vk.key"))
    return {"k": logrows, **usage, "key_bytes": keys, **run.figures(), "max_error": model.error(run.outputs())}


def hallmark(program, model, optimize, srs, work):
    folder, figures = work / f"hallmark-{optimize}", work / "bench.json"
    options = [*model.options, "--optimize", optimize]

    def call(*arguments):
        with tempfile.TemporaryFile("w+") as said, open(figures, "w") as stdout:
            status, usage = measured([program, *arguments, "--json"], said, stdout=stdout)
        answer = json.loads(figures.read_text() or "{}")
        if status != 0 and arguments[0] != "check":
            raise Failed(f"hallmark {arguments[0]}: {answer.get('error', status)}"[:2000])
        return answer, usage

    checked, _ = call("check", model.onnx, *options)
    if not checked["forecast"]:
        raise Failed(f"hallmark check: {checked['problems']}"[:2000])
    if not checked["forecast"]["setup"]["embedded"]:
        options += ["--srs", srs(), "--allow-unsafe-srs"]
        # with more powers there may be a better plan
        checked, _ = call("check", model.onnx, *options)
    compiled, setup = call("compile", model.onnx, *options, "-o", folder)
    bench, _ = call("bench", folder, "--input", model.input)
    plan = compiled["manifest"]["plan"]
    forecast = checked["forecast"]
    return {
        "forecast": {
            "cpu_seconds": forecast["prover"]["cpu_seconds"],
            "peak_rss_bytes": forecast["prover"]["peak_bytes"],
            "transaction_gas": forecast["plan"]["estimate"]["transaction"],
        },
        "plan": {key: plan[key] for key in ("layout", "curve", "k", "rows", "quotient_pieces")},
        "setup": together(setup),
        "prove": together(bench["prove"]),
        "key_bytes": sum((folder / name).stat().st_size for name in ("proving.key", "verifying.key")),
        "transaction_gas": bench["gas"]["transaction"],
        "execution_gas": bench["gas"]["execution"],
        "deployment_gas": bench["gas"]["deployment"],
        "calldata_bytes": bench["calldata_bytes"],
        "contract_bytes": bench["contract_bytes"],
        "solc": bench["solc"],
        "proof_bytes": bench["proof_bytes"],
        "max_error": model.error([output["value"] for output in bench["outputs"]]),
    }


def attempt(what, work):
    """The figures, or why there are none."""
    try:
        return what(work)
    except Failed as error:
        print(f"  failed: {error}", file=sys.stderr)
        # where the files were is nobody's business
        return {"failed": str(error).replace(str(work), "").replace(str(ROOT), "")}


def measure(names, collection, program, peers=True):
    models = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        # a copy, so that all figures are from one binary even if a build replaces it
        binary = shutil.copy(program, scratch / "hallmark")
        srs_file = scratch / "test.srs"

        def srs():
            if not srs_file.exists():
                print(f"hallmark srs generate-unsafe, k = {SRS_K}", file=sys.stderr)
                command = [binary, "srs", "generate-unsafe", "-k", str(SRS_K), "-o", srs_file, "--quiet"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return srs_file

        for name in names:
            print(f"== {name}", file=sys.stderr)
            work = scratch / name
            work.mkdir()
            model = Model.credit(work) if name == "credit" else Model.of_collection(name, collection / name, work)
            row = {"name": name, "onnx_bytes": model.onnx.stat().st_size, "hallmark": {}}
            for optimize in ("gas", "prover"):
                print(f"hallmark, --optimize {optimize}", file=sys.stderr)
                row["hallmark"][optimize] = attempt(lambda work: hallmark(binary, model, optimize, srs, work), work)
            if peers:
                (work / "ezkl").mkdir()
                row["ezkl"] = attempt(lambda work: ezkl(model, work), work / "ezkl")
            models.append(row)
            # keys of gigabytes
            shutil.rmtree(work)
        version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": f"{sys.platform}, {os.uname().machine}",
        },
        "versions": {"ezkl": importlib.metadata.version("ezkl"), "hallmark": version},
        "models": models,
    }


# Figures of the tables: a title, where the figure is, and how it is written.
FIGURES = [
    ("proving, CPU s", lambda row: row["prove"]["cpu_seconds"], lambda value: f"{value:.2f}"),
    ("peak memory, MB", lambda row: row["prove"]["peak_rss_bytes"] / 1e6, lambda value: f"{value:,.0f}"),
    ("setup, CPU s", lambda row: row["setup"]["cpu_seconds"], lambda value: f"{value:.2f}"),
    ("keys, MB", lambda row: row["key_bytes"] / 1e6, lambda value: f"{value:,.2f}"),
    ("proof, bytes", lambda row: row["proof_bytes"], lambda value: f"{value:,}"),
    ("gas", lambda row: row["transaction_gas"], lambda value: f"{value:,}"),
    ("contract, bytes", lambda row: row["contract_bytes"], lambda value: f"{value:,}" + ("" if value <= MAX_CONTRACT else " (over EIP-170)")),
    ("error", lambda row: row["max_error"], lambda value: f"{value:.1e}"),
]


def ratio(peer, ours):
    if not ours:
        return "-"
    times = peer / ours
    return f"{times:,.0f} ×" if times >= 100 else f"{times:.1f} ×" if times >= 10 else f"{times:.2f} ×"


def tables(results):
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"EZKL {versions['ezkl']} with its defaults and Hallmark {versions['hallmark']}, measured on {results['date']} in one run on "
        f"{machine['cores']} cores with {machine['memory_gb']} GB ({machine['system']}).",
        "",
        "Ratios, EZKL over Hallmark: what is above 1 is in favour of Hallmark.",
        "",
    ]
    titles = [title for title, _, _ in FIGURES]
    lines += ["| model, `--optimize` | " + " | ".join(title.split(",")[0] for title in titles) + " |"]
    lines += ["| --- |" + " ---: |" * len(titles)]
    for row in results["models"]:
        for optimize, ours in row["hallmark"].items():
            failed = next((name for name, of in (("EZKL", row["ezkl"]), ("Hallmark", ours)) if "failed" in of), None)
            if failed:
                cells = [f"{failed} failed"] + [""] * (len(titles) - 1)
            else:
                cells = [ratio(of(row["ezkl"]), of(ours)) for _, of, _ in FIGURES]
            lines.append(f"| {row['name']}, {optimize} | " + " | ".join(cells) + " |")
    for row in results["models"]:
        lines += ["", f"**{row['name']}**, ONNX file of {row['onnx_bytes']:,} bytes", ""]
        lines += ["| | k | " + " | ".join(titles) + " |", "| --- | ---: |" + " ---: |" * len(titles)]
        systems = [("EZKL", row["ezkl"])] + [(f"Hallmark, {optimize}", ours) for optimize, ours in row["hallmark"].items()]
        for name, of in systems:
            if "failed" in of:
                # one line without a column's end
                reason = " ".join(of["failed"].replace("|", "/").split())
                lines.append(f"| {name} | | " + f"failed: {reason[:160]}" + " |" * len(titles))
                continue
            if "plan" in of:
                pieces = "one piece" if of["plan"]["quotient_pieces"] == 1 else "two pieces"
                name += f": {of['plan']['layout']}, quotient in {pieces}"
            k = of.get("k") or of["plan"]["k"]
            lines.append(f"| {name} | {k} | " + " | ".join(write(value(of)) for _, value, write in FIGURES) + " |")
    return "\n".join(lines)


def off(forecast, measured):
    """How far a forecast is from what was measured."""
    return f"{(forecast / measured - 1) * 100:+.1f} %"


def forecast_table(results):
    machine = results["machine"]
    lines = [
        f"Hallmark {results['versions']['hallmark']}, measured on {results['date']} on {machine['cores']} cores with "
        f"{machine['memory_gb']} GB ({machine['system']}). CPU seconds and memory are those of a whole `hallmark prove`.",
        "",
        "| model, `--optimize` | plan | k | gas | forecast | CPU s | forecast | MB | forecast |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results["models"]:
        for optimize, ours in row["hallmark"].items():
            if "failed" in ours:
                lines.append(f"| {row['name']}, {optimize} | failed |" + " |" * 7)
                continue
            plan, forecast, prove = ours["plan"], ours["forecast"], ours["prove"]
            pieces = "1 piece" if plan["quotient_pieces"] == 1 else "2 pieces"
            cells = [f"{plan['layout']}, {pieces}", plan["k"]]
            cells += [f"{ours['transaction_gas']:,}", off(forecast["transaction_gas"], ours["transaction_gas"])]
            cells += [f"{prove['cpu_seconds']:.2f}", off(forecast["cpu_seconds"], prove["cpu_seconds"])]
            cells += [f"{prove['peak_rss_bytes'] / 1e6:,.0f}", off(forecast["peak_rss_bytes"], prove["peak_rss_bytes"])]
            lines.append(f"| {row['name']}, {optimize} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def write_page(begin, end, text):
    before, rest = PAGE.read_text().split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(description="EZKL and Hallmark on the same models, in one run")
    parser.add_argument("--collection", type=pathlib.Path, default=os.environ.get("HALLMARK_COLLECTION"),
                        help="folder with NAME/network.onnx and NAME/input.json; $HALLMARK_COLLECTION by default")
    parser.add_argument("--models", help="some of them, with commas between: printed, not written")
    parser.add_argument("--hallmark", type=pathlib.Path, default=ROOT / "target" / "release" / "hallmark")
    parser.add_argument("--forecasts", action="store_true", help="Hallmark alone, on ten models: forecasts and figures")
    parser.add_argument("--table", action="store_true", help="only write the tables, from models.json and forecasts.json")
    arguments = parser.parse_args()
    if arguments.table:
        if RESULTS.exists():
            write_page(BEGIN, END, tables(json.loads(RESULTS.read_text())))
        if FORECASTS.exists():
            write_page(BEGIN_FORECASTS, END_FORECASTS, forecast_table(json.loads(FORECASTS.read_text())))
        return None
    if not os.access(arguments.hallmark, os.X_OK):
        sys.exit(f"{arguments.hallmark} is no program: cargo build --release, or --hallmark")
    collection = arguments.collection and pathlib.Path(arguments.collection).resolve()
    more = FORECAST_MODELS if arguments.forecasts else COLLECTION
    names = arguments.models.split(",") if arguments.models else ["credit"] + (more if collection else [])
    missing = [name for name in names if name != "credit" and not (collection and (collection / name / "network.onnx").exists())]
    if missing:
        sys.exit(f"no model in --collection: {', '.join(missing)}")
    results = measure(names, collection, arguments.hallmark.resolve(), peers=not arguments.forecasts)
    written, table, begin, end = (
        (FORECASTS, forecast_table, BEGIN_FORECASTS, END_FORECASTS) if arguments.forecasts else (RESULTS, tables, BEGIN, END)
    )
    if arguments.models:
        print(json.dumps(results, indent=2), table(results), sep="\n\n")
        return None
    written.write_text(json.dumps(results, indent=2) + "\n")
    return write_page(begin, end, table(results))


if __name__ == "__main__":
    main()
