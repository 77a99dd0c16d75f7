"""A convolutional classifier of 8 by 8 digits, and its graph as the exporters of PyTorch and of Keras write it.

Neither framework is needed: the filters are the principal components of the images' patches, and the dense layer is a
logistic regression on the pooled responses.
"""

import numpy
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, checker, helper, numpy_helper
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

SIDE, FILTERS, KERNEL, LABELS = 8, 3, 3, 10
EPSILON = 1e-3


class Classifier:
    """Convolution with zero padding, normalisation, ReLU, maxima of 2 by 2, dense layer."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, x, y):
        patches = self._patches(x).reshape(-1, KERNEL * KERNEL)
        self.filters = PCA(FILTERS, random_state=self.seed).fit(patches).components_.astype(numpy.float32)
        self.bias = -(self.filters @ patches.mean(axis=0)).astype(numpy.float32)
        responses = self._responses(x)
        self.mean, self.variance = responses.mean(axis=(0, 2, 3)), responses.var(axis=(0, 2, 3))
        self.head = LogisticRegression(max_iter=2000).fit(self._pooled(x), y)
        self.classes_ = self.head.classes_
        return self

    def predict(self, x):
        return self.head.predict(self._pooled(x))

    def score(self, x, y):
        return self.head.score(self._pooled(x), y)

    def _patches(self, x):
        padded = numpy.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
        return sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))

    def _responses(self, x):
        responses = numpy.einsum("nhwij,cij->nchw", self._patches(x), self.filters.reshape(-1, KERNEL, KERNEL))
        return responses + self.bias[:, None, None]

    def _pooled(self, x):
        channel = (slice(None), None, None)
        normal = (self._responses(x) - self.mean[channel]) / numpy.sqrt(self.variance + EPSILON)[channel]
        halves = numpy.maximum(normal, 0).reshape(len(x), FILTERS, SIDE // 2, 2, SIDE // 2, 2)
        return halves.max(axis=(3, 5)).reshape(len(x), -1)


def tensor(name, values):
    return numpy_helper.from_array(numpy.ascontiguousarray(values), name)


def floats(name, values):
    return tensor(name, numpy.asarray(values, dtype=numpy.float32))


def finished(nodes, constants, source, sink, opset):
    graph = helper.make_graph(nodes, "main_graph", [source], [sink], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def pytorch(model, _):
    """What torch.onnx makes of Conv2d, BatchNorm2d, ReLU, MaxPool2d, Flatten and Linear: channels first, a logit per digit."""
    constants = [
        floats("conv.weight", model.filters.reshape(FILTERS, 1, KERNEL, KERNEL)),
        floats("conv.bias", model.bias),
        floats("bn.weight", numpy.ones(FILTERS)),
        floats("bn.bias", numpy.zeros(FILTERS)),
        floats("bn.running_mean", model.mean),
        floats("bn.running_var", model.variance),
        floats("fc.weight", model.head.coef_),
        floats("fc.bias", model.head.intercept_),
    ]
    statistics = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    square = {"kernel_shape": [KERNEL, KERNEL], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight", "conv.bias"], ["/conv/Conv_output_0"], "/conv/Conv", **square),
        helper.make_node(
            "BatchNormalization", ["/conv/Conv_output_0", *statistics], ["/bn/Bn_output_0"], "/bn/Bn", epsilon=EPSILON, momentum=0.9
        ),
        helper.make_node("Relu", ["/bn/Bn_output_0"], ["/relu/Relu_output_0"], "/relu/Relu"),
        helper.make_node(
            "MaxPool", ["/relu/Relu_output_0"], ["/pool/MaxPool_output_0"], "/pool/MaxPool",
            kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=0,
        ),  # fmt: skip
        helper.make_node("Flatten", ["/pool/MaxPool_output_0"], ["/Flatten_output_0"], "/Flatten", axis=1),
        helper.make_node("Gemm", ["/Flatten_output_0", "fc.weight", "fc.bias"], ["output"], "/fc/Gemm", alpha=1.0, beta=1.0, transB=1),
    ]
    source = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch_size", 1, SIDE, SIDE])
    sink = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", LABELS])
    return finished(nodes, constants, source, sink, 17)


def keras(model, _):
    """What tf2onnx makes of Conv2D, BatchNormalization, ReLU, MaxPooling2D, Flatten and Dense with a softmax: channels last
    outside, channels first inside, the normalisation folded into a product and a sum."""
    slope = 1 / numpy.sqrt(model.variance + EPSILON)
    side = SIDE // 2
    # Flatten sees the channels last
    kernel = model.head.coef_.reshape(LABELS, FILTERS, side, side).transpose(2, 3, 1, 0).reshape(-1, LABELS)
    scope = "StatefulPartitionedCall/sequential"
    constants = [
        floats("conv_kernel", model.filters.reshape(FILTERS, 1, KERNEL, KERNEL)),
        floats("conv_bias", model.bias.reshape(1, FILTERS, 1, 1)),
        floats("bn_scale", slope.reshape(1, FILTERS, 1, 1)),
        floats("bn_offset", (-model.mean * slope).reshape(1, FILTERS, 1, 1)),
        tensor("flat", numpy.asarray([-1, FILTERS * side * side], dtype=numpy.int64)),
        floats("dense_kernel", kernel),
        floats("dense_bias", model.head.intercept_),
    ]

    def node(operator, inputs, name, **attributes):
        return helper.make_node(operator, inputs, [f"{scope}/{name}:0"], f"{scope}/{name}", **attributes)

    def output(name):
        return f"{scope}/{name}:0"

    nodes = [
        node("Transpose", ["conv2d_input"], "conv2d/Conv2D__6", perm=[0, 3, 1, 2]),
        node(
            "Conv", [output("conv2d/Conv2D__6"), "conv_kernel"], "conv2d/Conv2D",
            auto_pad="SAME_UPPER", strides=[1, 1], dilations=[1, 1], group=1, kernel_shape=[KERNEL, KERNEL],
        ),  # fmt: skip
        node("Add", [output("conv2d/Conv2D"), "conv_bias"], "conv2d/BiasAdd"),
        node("Mul", [output("conv2d/BiasAdd"), "bn_scale"], "batch_normalization/mul"),
        node("Add", [output("batch_normalization/mul"), "bn_offset"], "batch_normalization/add"),
        node("Relu", [output("batch_normalization/add")], "re_lu/Relu"),
        node("MaxPool", [output("re_lu/Relu")], "max_pooling2d/MaxPool", auto_pad="VALID", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", [output("max_pooling2d/MaxPool")], "max_pooling2d/MaxPool__12", perm=[0, 2, 3, 1]),
        node("Reshape", [output("max_pooling2d/MaxPool__12"), "flat"], "flatten/Reshape"),
        node("MatMul", [output("flatten/Reshape"), "dense_kernel"], "dense/MatMul"),
        node("Add", [output("dense/MatMul"), "dense_bias"], "dense/BiasAdd"),
        helper.make_node("Softmax", [output("dense/BiasAdd")], ["dense"], f"{scope}/dense/Softmax", axis=-1),
    ]
    source = helper.make_tensor_value_info("conv2d_input", TensorProto.FLOAT, ["unk__1", SIDE, SIDE, 1])
    sink = helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["unk__1", LABELS])
    return finished(nodes, constants, source, sink, 15)
