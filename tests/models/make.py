"""Makes the models in this folder. Needs the Python packages `onnx` and `numpy`."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

FOLDER = Path(__file__).parent
RANDOM = np.random.default_rng(1)


def weights(name, *shape):
    return numpy_helper.from_array(RANDOM.normal(0, 0.5, shape).astype(np.float32), name)


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def save(name, inputs, outputs, nodes, initializers, opset=13):
    value = lambda v: helper.make_tensor_value_info(v[0], TensorProto.FLOAT, v[1])
    graph = helper.make_graph(nodes, name, [value(v) for v in inputs], [value(v) for v in outputs], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model, full_check=True)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())


node = helper.make_node

# Three dense layers behind a normalisation, with a symbolic batch.
save(
    "mlp",
    [("x", ["batch", 4])],
    [("score", ["batch", 1])],
    [
        node("Sub", ["x", "mean"], ["centred"], "centre"),
        node("Div", ["centred", "deviation"], ["normalised"], "normalise"),
        node("Gemm", ["normalised", "w1", "b1"], ["h1"], "dense1", transB=1),
        node("Relu", ["h1"], ["r1"], "relu1"),
        node("Gemm", ["r1", "w2", "b2"], ["h2"], "dense2"),
        node("Relu", ["h2"], ["r2"], "relu2"),
        node("MatMul", ["r2", "w3"], ["score"], "dense3"),
    ],
    [
        numpy_helper.from_array(np.array([40, 2000, 0.5, 3], dtype=np.float32), "mean"),
        numpy_helper.from_array(np.array([12, 900, 0.2, 1], dtype=np.float32), "deviation"),
        weights("w1", 6, 4),
        weights("b1", 6),
        weights("w2", 6, 5),
        weights("b2", 5),
        weights("w3", 5, 1),
    ],
)

# Two inputs, two outputs, a residual connection and most operators.
save(
    "branches",
    [("a", [1, 2, 3]), ("b", [1, 6])],
    [("sum", [1, 6]), ("scores", [1, 4])],
    [
        node("Transpose", ["a"], ["t"], "transpose", perm=[0, 2, 1]),
        node("Reshape", ["t", "shape"], ["flat"], "reshape"),
        node("Gemm", ["flat", "w1", "b"], ["h"], "dense1", alpha=0.5, beta=2.0),
        node("Relu", ["h"], ["r"], "relu"),
        node("Dropout", ["r"], ["d"], "dropout"),
        node("Add", ["d", "b"], ["sum"], "residual"),
        node("Neg", ["sum"], ["n"], "negate"),
        node("Unsqueeze", ["n", "axes"], ["u"], "unsqueeze"),
        node("Squeeze", ["u", "axes"], ["s"], "squeeze"),
        node("Concat", ["s", "flat", "half"], ["c"], "concat", axis=1),
        node("MatMul", ["c", "w2"], ["scores"], "dense2"),
    ],
    [
        integers("shape", 1, -1),
        integers("axes", 0),
        weights("w1", 6, 6),
        weights("w2", 13, 4),
        numpy_helper.from_array(np.array([[0.5]], dtype=np.float32), "half"),
    ],
)
