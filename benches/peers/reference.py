#!/usr/bin/env python3
"""The float model's outputs for one input, by onnxruntime: one flat array, as JSON.

    python3 reference.py MODEL.onnx INPUT.json

A program of its own, so that the memory of its libraries is not counted as that of what models.py measures.
"""

import json
import sys

import numpy
import onnxruntime

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}


def main(model, sample):
    with open(sample) as file:
        arrays = json.load(file)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {}
    for tensor, values in zip(session.get_inputs(), arrays, strict=True):
        # what is not fixed is the batch
        shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
        feed[tensor.name] = numpy.array(values, dtype=TYPES[tensor.type]).reshape(shape)
    print(json.dumps([float(value) for output in session.run(None, feed) for value in numpy.asarray(output).ravel()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
