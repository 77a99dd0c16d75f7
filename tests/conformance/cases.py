"""Writes the operator tests that the onnx package ships as files that tests/conformance/main.rs reads.

    python cases.py FOLDER

A test is a model, its inputs and the outputs that it must give. It becomes NAME.json and up to three models, its forms:
with all inputs as the test has them; with the integers and booleans among them as constants, for operators whose shapes
follow from such inputs; with all but the first as constants, as weights are.

Operators that ONNX defines by others are tested once more as functions that the model brings along (NAME_as_function).
"""

import argparse
import json
import shutil
import warnings
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, version_converter
from onnx.backend.test.loader import load_model_tests

# What models of operator sets before 7 are converted to.
OPSET = 13
# "real" and "light" are whole networks, to be downloaded or without weights.
KINDS = ["node", "simple", "pytorch-operator", "pytorch-converted"]


def data_of(case):
    """The inputs and the outputs of a test, as arrays; anything else (sequences, optionals) as None."""
    if case.model is not None:
        [(inputs, outputs)] = case.data_sets
    else:
        [folder] = Path(case.model_dir).glob("test_data_set_*")
        inputs, outputs = ([read(folder / f"{what}_{i}.pb") for i in range(count(folder, what))] for what in ("input", "output"))
    return [array(value) for value in inputs], [array(value) for value in outputs]


def count(folder, what):
    return len(list(folder.glob(f"{what}_*.pb")))


def read(path):
    tensor = TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return tensor


def array(value):
    value = numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
    return numpy.asarray(value) if isinstance(value, (numpy.ndarray, numpy.generic, int, float, bool)) else None


def element_type(values):
    """What the judge distinguishes: "float", "signed", "unsigned", "bool" or "other"."""
    kinds = {"f": "float", "i": "signed", "u": "unsigned", "b": "bool"}
    # Types beyond NumPy's own, such as bfloat16 and int4, come from ml_dtypes.
    return kinds.get(values.dtype.kind, "other") if values is not None and values.dtype.isbuiltin == 1 else "other"


def listed(values):
    """Elements in row-major order. JSON has no infinities: they are strings."""
    if element_type(values) == "other":
        return []
    return [v if isinstance(v, (bool, int)) or numpy.isfinite(v) else str(v) for v in values.reshape(-1).tolist()]


def described(values):
    return {"type": element_type(values), "values": listed(values)}


def with_constants(model, inputs, constant):
    """The model with the inputs at the places `constant` made initializers, and every other one declared as it comes."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for place, (declared, values) in enumerate(zip(model.graph.input, inputs)):
        if values is None or not declared.type.HasField("tensor_type"):
            continue
        declared.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto())
        for size in values.shape:
            declared.type.tensor_type.shape.dim.add().dim_value = size
        if place in constant:
            model.graph.initializer.append(numpy_helper.from_array(values, declared.name))
    return model


def forms(model, inputs):
    """Pairs of a form's name and the places of its constants, without repetition."""
    known = [place for place, values in enumerate(inputs) if values is not None]
    choices = {
        "as given": [],
        "integers constant": [p for p in known[1:] if element_type(inputs[p]) in ("signed", "unsigned", "bool")],
        "all but the first constant": known[1:],
    }
    seen = []
    for form, constant in choices.items():
        if constant not in seen:
            seen.append(constant)
            yield form, constant


def operators(cases):
    """The operator under test by the test's name. An expanded test spells out the operator's definition by others."""
    own = {}
    for case in cases:
        nodes = case.model.graph.node if case.model is not None else []
        if case.kind == "node" and "_expanded" not in case.name:
            [node] = nodes
            own[case.name] = node.op_type if not node.domain else f"{node.domain}::{node.op_type}"
    return {case.name: own.get(case.name.split("_expanded")[0], f"({case.kind} models)") for case in cases}


def model_of(case):
    """The model of a test; one of an operator set older than those that are understood is brought to a newer one."""
    model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
    versions = [opset.version for opset in model.opset_import if opset.domain == ""]
    return version_converter.convert_version(model, OPSET) if versions and versions[0] < 7 else model


def as_function(case):
    """The model of an operator's test with the operator's definition by others as a function that the model brings along;
    None if there is no such definition."""
    if case.kind != "node" or case.model is None or "_expanded" in case.name:
        return None
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    [node] = model.graph.node
    [version] = [opset.version for opset in model.opset_import if opset.domain == node.domain] or [0]
    if node.domain != "" or not defs.has(node.op_type, version, ""):
        return None
    schema = defs.get_schema(node.op_type, version, "")
    written = [v for v in schema.function_opset_versions if v <= version]
    if not schema.has_function or not written:
        return None
    function = onnx.FunctionProto.FromString(schema.get_function_with_opset_version(max(written)))
    function.domain = node.domain = "local"
    del function.opset_import[:], function.attribute[:]
    function.opset_import.append(helper.make_opsetid("", version))
    for attribute in schema.attributes.values():
        if attribute.default_value.name:
            function.attribute_proto.append(attribute.default_value)
        else:
            function.attribute.append(attribute.name)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


def write(folder, case, name, model, operator):
    inputs, outputs = data_of(case)
    described_forms = []
    for i, (form, constant) in enumerate(forms(model, inputs)):
        file = f"{case.kind}.{name}.{i}.onnx"
        (folder / file).write_bytes(with_constants(model, inputs, constant).SerializeToString())
        left = [described(values) for place, values in enumerate(inputs) if place not in constant]
        described_forms.append({"form": form, "model": file, "inputs": left})
    # results in half precision are rounded, and so was what led to them
    halves = [abs(values).max() for values in outputs if getattr(values, "dtype", None) == numpy.float16 and values.size]
    half_unit = float(max(halves, default=0)) * 2.0**-10
    result = {
        "name": name,
        "operator": operator,
        "rtol": case.rtol,
        "atol": case.atol + (half_unit if numpy.isfinite(half_unit) else 0.0),
        "forms": described_forms,
        "outputs": [described(values) for values in outputs],
    }
    (folder / f"{case.kind}.{name}.json").write_text(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore", RuntimeWarning)  # the tests divide by zero on purpose
    cases = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    by_name = operators(cases)
    for case in cases:
        write(folder, case, case.name, model_of(case), by_name[case.name])
    functions = [(case, model) for case in cases if (model := as_function(case)) is not None]
    for case, model in functions:
        write(folder, case, f"{case.name}_as_function", model, by_name[case.name])
    print(f"{len(cases) + len(functions)} tests of onnx {onnx.__version__} in {folder}")


if __name__ == "__main__":
    main()
