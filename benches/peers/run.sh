#!/usr/bin/env bash
# Measures the peers, and Hallmark where there is a binary of it, on this machine, and merges the figures into peers.json.
#
#   [HALLMARK=path/to/hallmark] [PYTHON=python3] benches/peers/run.sh
#
# The binary is $HALLMARK, else target/release/hallmark. Needs `make setup`, Node.js and Python. Five minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=benches/peers
credit=examples/credit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# a copy, so that all rows are from one binary even if a build replaces it
hallmark=${HALLMARK:-target/release/hallmark}
if [ -x "$hallmark" ]; then
    cp "$hallmark" "$work/hallmark"
elif [ -n "${HALLMARK:-}" ]; then
    echo "run.sh: \$HALLMARK, $hallmark, is no program" >&2
    exit 1
fi

npm ci --prefix "$peers" --no-progress --loglevel=error
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$peers/requirements.txt"

if [ -x "$work/hallmark" ]; then
    "$work/hallmark" --version | cut -d' ' -f2 >"$work/hallmark.version"
    for curve in bn254 bls12-381; do
        echo "hallmark, $curve" >&2
        "$work/hallmark" compile "$credit/credit.onnx" --data "$credit/calibration.json" --curve "$curve" --quiet \
            -o "$work/$curve" >/dev/null
        "$work/hallmark" bench "$work/$curve" --input "$credit/applicant.json" --json >"$work/hallmark-$curve.json"
    done
else
    echo "run.sh: no hallmark binary, so its rows stay as they are" >&2
fi
"$work/venv/bin/python" "$peers/ezkl_credit.py" >"$work/ezkl.json"
node "$peers/snarkjs.mjs" >"$work/snarkjs.json"
node "$peers/merge.mjs" "$work"
