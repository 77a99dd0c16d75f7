#!/usr/bin/env python3
"""Trains the credit model and writes credit.onnx with its calibration data, domain and sample applicants.

    train.py                    write the files beside this script
    train.py --check            train again and fail if any file differs by a byte
    train.py --seed 2 --out DIR train another model of the same shape
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from data import FEATURES, Applicants, load
from model import Model, auc, cross_validated_auc, train

OPSET = 17
IR_VERSION = 8
MAX_SCORE = 50.0
THRESHOLD = 0.0
# The source's cost matrix: a bad loan approved costs five times a good loan refused.
COST_THRESHOLD = float(np.log(5.0))

DOC = """Credit score of the Hallmark example, not lending advice.
Input: ten integers on the raw scale, in the order of the metadata entry feature_names. \
Output: score, the log-odds that the loan is repaid; score > 0 means good credit.
Trained on Statlog (German Credit Data), Hans Hofmann, UCI Machine Learning Repository, \
https://doi.org/10.24432/C5NC77, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); \
ten of the twenty attributes, categories coded as integers."""


def to_onnx(model: Model) -> onnx.ModelProto:
    width = len(FEATURES)
    nodes = [
        helper.make_node("Sub", ["applicant", "feature_mean"], ["centred"], name="centre"),
        helper.make_node("Mul", ["centred", "feature_inverse_std"], ["normalised"], name="normalise"),
        helper.make_node("Gemm", ["normalised", "hidden_weight", "hidden_bias"], ["hidden"], name="hidden_linear"),
        helper.make_node("Relu", ["hidden"], ["activated"], name="hidden_relu"),
        helper.make_node("Gemm", ["activated", "score_weight", "score_bias"], ["score"], name="score_linear"),
    ]
    constants = {
        "feature_mean": model.mean,
        "feature_inverse_std": model.inverse_std,
        "hidden_weight": model.w1,
        "hidden_bias": model.b1,
        "score_weight": model.w2,
        "score_bias": model.b2,
    }
    graph = helper.make_graph(
        nodes,
        "credit",
        [helper.make_tensor_value_info("applicant", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    proto = helper.make_model(
        graph,
        producer_name="hallmark-example-credit",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        doc_string=DOC,
    )
    helper.set_model_props(proto, {"feature_names": ",".join(feature.name for feature in FEATURES)})
    return proto


def verify(proto: onnx.ModelProto, model: Model, raw: np.ndarray) -> float:
    """Checks the exported model against the NumPy one on all rows; returns the largest difference."""
    onnx.checker.check_model(proto, full_check=True)
    (exported,) = ReferenceEvaluator(proto).run(["score"], {"applicant": raw.astype(np.float32)})
    expected = model.score(raw)
    if exported.shape != (len(raw), 1) or exported.dtype != np.float32:
        raise SystemExit(f"credit.onnx: output is {exported.dtype} {exported.shape}, expected float32 ({len(raw)}, 1)")
    difference = float(np.abs(exported[:, 0] - expected).max())
    if difference > 1e-5:
        raise SystemExit(f"credit.onnx: scores differ from the NumPy model by up to {difference:.2e}, allowed 1e-5")
    if np.any((exported[:, 0] > THRESHOLD) != (expected > THRESHOLD)):
        raise SystemExit("credit.onnx: float32 rounding changes a decision")
    return difference


def report(model: Model, data: Applicants, seed: int) -> None:
    """Prints what the README states."""
    training, held_out = ~data.held_out, data.held_out
    folds = cross_validated_auc(data.features[training], data.good[training], seed)
    score = model.score(data.features)
    good, held_score = data.good[held_out], score[held_out]
    print(f"AUC, 5-fold cross-validation on {training.sum()} training rows: {folds.mean():.4f} +- {folds.std():.4f}")
    print(f"AUC, training rows: {auc(score[training], data.good[training]):.4f}")
    print(f"AUC, {held_out.sum()} held-out rows: {auc(held_score, good):.4f}")
    for threshold in (THRESHOLD, COST_THRESHOLD):
        approved = held_score > threshold
        cost = 5 * int((approved & (good == 0)).sum()) + int((~approved & (good == 1)).sum())
        print(
            f"held-out, score > {threshold:.3f}: accuracy {(approved == good).mean():.4f}, 5:1 cost {cost}, approved "
            f"{approved.mean():.3f} (of the good {approved[good == 1].mean():.3f}, of the bad "
            f"{approved[good == 0].mean():.3f})"
        )
    young = data.age[held_out] <= 25
    for label, group in (("aged 25 or less", young), ("older than 25", ~young)):
        print(
            f"held-out, {label}: {group.sum()} rows, {good[group].mean():.3f} good, "
            f"{(held_score[group] > THRESHOLD).mean():.3f} approved"
        )
    print(f"scores of the 1,000 applicants: {score.min():.2f} to {score.max():.2f}")


def check_domain(model: Model) -> None:
    """The score must stay moderate on the whole declared domain, since a circuit proves ranges over all of it."""
    low, high = (np.array([getattr(feature, bound) for feature in FEATURES]) for bound in ("min", "max"))
    least, most = model.score_bounds(low, high)
    print(f"score bounds over the declared domain: {least:.2f} to {most:.2f}")
    if max(-least, most) > MAX_SCORE:
        raise SystemExit(f"score bounds {least:.2f} to {most:.2f} exceed +-{MAX_SCORE}: raise L2 in model.py")


def json_lines(blocks: dict[str, list]) -> bytes:
    """JSON with one list element per line for lists of lists or objects, and one line for any other value."""
    parts = []
    for key, value in blocks.items():
        if isinstance(value[0], (list, dict)):
            body = "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in value) + "\n]"
        else:
            body = json.dumps(value, separators=(",", ":"))
        parts.append(f"{json.dumps(key)}: {body}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def build(seed: int) -> dict[str, bytes]:
    """Trains, verifies, prints the figures, and returns every file's content by name."""
    data = load()
    training = ~data.held_out
    model = train(data.features[training], data.good[training], seed)
    proto = to_onnx(model)
    difference = verify(proto, model, data.features)
    report(model, data, seed)
    check_domain(model)
    print(f"credit.onnx equals the NumPy model on {len(data.good)} rows within {difference:.1e}")

    declarations = [feature.declaration() for feature in FEATURES]
    approved_and_good = data.held_out & (data.good == 1) & (model.score(data.features) > THRESHOLD)
    applicant = data.features[np.flatnonzero(approved_and_good)[0]]
    named = {feature.name: int(value) for feature, value in zip(FEATURES, applicant, strict=True)}
    return {
        "credit.onnx": proto.SerializeToString(deterministic=True),
        "calibration.json": json_lines({"features": declarations, "input_data": data.features[training].tolist()}),
        "features.json": json_lines({"features": declarations}),
        "applicants.json": json_lines(
            {
                "ids": list(range(1, len(data.good) + 1)),
                "good": data.good.tolist(),
                "held_out": data.held_out.astype(int).tolist(),
                "input_data": data.features.tolist(),
            }
        ),
        "applicant.json": (json.dumps(named, indent=2) + "\n").encode(),
    }


def write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="seed of the initial weights (default 1)")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder of the files")
    parser.add_argument("--check", action="store_true", help="compare with the files in --out, write nothing")
    arguments = parser.parse_args()

    files = build(arguments.seed)
    if arguments.check:
        stale = [
            name
            for name, content in files.items()
            if not (arguments.out / name).is_file() or (arguments.out / name).read_bytes() != content
        ]
        for name in stale:
            print(f"{arguments.out / name}: missing or different from a fresh run", file=sys.stderr)
        if stale:
            print("run train.py with the versions pinned in requirements.txt to write them again", file=sys.stderr)
            return 1
        print(f"{len(files)} files in {arguments.out} are what a fresh run writes")
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(arguments.out / name, content)
        print(f"wrote {arguments.out / name}, {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
