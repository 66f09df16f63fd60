"""Translates operators that TensorFlow 2.0 to 2.3 saved as nodes of TensorFlow's graph with their constants."""

from collections.abc import Callable, Sequence
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.foreign.keras2.layers import WAY_OUT, Json, plain
from inspectd.model.foreign.keras2.operators import ROWS, OperatorCall

NODES = {  # nodes whose inputs are the arguments of a function, in that order
    **{"Add": "math.add", "AddV2": "math.add", "Sub": "math.subtract", "Mul": "math.multiply"},
    **{"RealDiv": "math.truediv", "Div": "math.truediv", "Pow": "math.pow", "Maximum": "math.maximum"},
    **{"Minimum": "math.minimum", "Neg": "math.negative", "Abs": "math.abs", "Sqrt": "math.sqrt"},
    **{"Rsqrt": "math.rsqrt", "Square": "math.square", "Exp": "math.exp", "Log": "math.log", "Tanh": "math.tanh"},
    **{"Relu": "nn.relu", "Relu6": "nn.relu6", "Sigmoid": "math.sigmoid", "Softmax": "nn.softmax", "Elu": "nn.elu"},
    **{"Softplus": "math.softplus", "Identity": "identity", "ExpandDims": "expand_dims", "Reshape": "reshape"},
    **{"Transpose": "transpose", "ReverseV2": "reverse", "Pad": "pad"},
}
REDUCTIONS = {"Mean": "math.reduce_mean", "Sum": "math.reduce_sum", "Max": "math.reduce_max", "Min": "math.reduce_min"}
DTYPES = {"DT_FLOAT": "float32", "DT_HALF": "float16", "DT_INT32": "int32", "DT_UINT8": "uint8"}


def call_of_node(config: Json, tensors: Any, name: str) -> OperatorCall:
    """The Keras 3 call that replaces a node.

    Args:
        config: `node_def`, and `constants` by their input numbers.
        tensors: The other inputs, described: one, or a list of them in order.
        name: The operator's name in the graph, for messages.

    Raises:
        BundleError: Keras 3 has no counterpart.
    """
    node = config["node_def"]
    constants = {int(number): plain(value) for number, value in config.get("constants", {}).items()}
    others = iter(tensors if isinstance(tensors, list) else [tensors])
    inputs = [constants[i] if i in constants else next(others) for i in range(len(node["input"]))]
    if call := _call(node["op"], inputs, node.get("attr", {})):
        return call
    raise BundleError(f"Keras 3 has no counterpart of its operator {name} ({node['op']}). {WAY_OUT}")


def _call(kind: str, inputs: Sequence[Any], attributes: Json) -> OperatorCall | None:
    if kind in NODES:
        return ROWS[NODES[kind]](*inputs)
    if kind in REDUCTIONS:
        return ROWS[REDUCTIONS[kind]](*inputs, keepdims=attributes.get("keep_dims", {}).get("b", False))
    special = SPECIAL.get(kind)
    return special(inputs, attributes) if special else None


def _cast(inputs: Sequence[Any], attributes: Json) -> OperatorCall | None:
    dtype = DTYPES.get(attributes["DstT"]["type"])
    return ROWS["cast"](inputs[0], dtype) if dtype else None


def _bias_add(inputs: Sequence[Any], attributes: Json) -> OperatorCall | None:
    channels_first = attributes.get("data_format", {}).get("s") == "TkNIVw=="  # NCHW, in base64
    return None if channels_first else ROWS["nn.bias_add"](*inputs)


def _squeeze(inputs: Sequence[Any], attributes: Json) -> OperatorCall:
    axes = [int(axis) for axis in attributes.get("squeeze_dims", {}).get("list", {}).get("i", [])]
    return ROWS["squeeze"](inputs[0], axes or None)


def _strided_slice(inputs: Sequence[Any], attributes: Json) -> OperatorCall:
    """A slice for each dimension; the masks' bits mark dimensions that are open, `...`, new, or a single index."""

    def bit(mask: str, at: int) -> bool:
        return bool(int(attributes.get(f"{mask}_mask", {}).get("i", 0)) >> at & 1)

    def key(at: int, begin: int, end: int, stride: int) -> Any:
        if bit("ellipsis", at):
            return {"class_name": "__ellipsis__"}
        if bit("new_axis", at):
            return None
        if bit("shrink_axis", at):
            return begin
        start, stop = None if bit("begin", at) else begin, None if bit("end", at) else end
        return {"start": start, "stop": stop, "step": stride}

    x, *bounds = inputs
    return ROWS["__operators__.getitem"](x, [key(at, *each) for at, each in enumerate(zip(*bounds, strict=True))])


SPECIAL: dict[str, Callable[[Sequence[Any], Json], OperatorCall | None]] = {
    "Cast": _cast,
    "BiasAdd": _bias_add,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "ConcatV2": lambda inputs, _: ROWS["concat"](list(inputs[:-1]), inputs[-1]),
    "Pack": lambda inputs, attributes: ROWS["stack"](list(inputs), int(attributes.get("axis", {}).get("i", 0))),
}
