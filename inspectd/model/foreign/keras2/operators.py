"""Translates graph operators: TensorFlow functions that Keras 2 saved by name become Keras 3 operators.

The file gives the name and the arguments. A table chooses the call: no name from a file is looked up in TensorFlow.
Each row is a function with the parameters of TensorFlow's function; it returns the Keras 3 call.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.foreign.keras2.layers import LAYERS, WAY_OUT, Json, hard_sigmoid, plain

NUMPY, NN, CORE, MATH, IMAGE = (f"keras.src.ops.{part}" for part in ("numpy", "nn", "core", "math", "image"))


@dataclass(frozen=True)
class OperatorCall:
    """One call of an operator or layer of Keras 3.

    Attributes:
        kind: Its class.
        inputs: Its arguments: tensors and constants.
        options: The options of its constructor.
        module: The module of the class.
        following: Layers that are called with its output, one after the other.
    """

    kind: str
    inputs: tuple[Any, ...]
    options: Json = field(default_factory=dict)
    module: str = NUMPY
    following: tuple[Json, ...] = ()


Row = Callable[..., OperatorCall]


def _binary(kind: str) -> Row:
    return lambda x, y: OperatorCall(kind, (constant(x), constant(y)))


def _unary(kind: str, module: str = NUMPY) -> Row:
    return lambda x: OperatorCall(kind, (x,), module=module)


def _reduced(kind: str) -> Row:
    return lambda x, axis=None, keepdims=False: OperatorCall(kind, (x,), {"axis": axis, "keepdims": bool(keepdims)})


def _same(x: Any, dtype: Any = None) -> OperatorCall:
    return OperatorCall("Identity", (x,), module=LAYERS) if dtype is None else _cast(x, dtype)


def _cast(x: Any, dtype: Any) -> OperatorCall:
    return OperatorCall("Cast", (x,), {"dtype": dtype["config"] if isinstance(dtype, dict) else dtype}, CORE)


def _get_item(x: Any, slice_spec: Any) -> OperatorCall:
    keys = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    return OperatorCall("GetItem", (x, [_index(each) for each in keys]))


def _index(value: Any) -> Any:
    if isinstance(value, dict) and "class_name" not in value:
        return {"class_name": "__slice__", "config": value}
    return {"class_name": "__ellipsis__", "config": {}} if isinstance(value, dict) else value


def _bias_add(x: Any, bias: Any, data_format: str = "NHWC") -> OperatorCall:
    if data_format not in ("NHWC", "channels_last"):
        raise TypeError(f"data_format={data_format}")
    return OperatorCall("Add", (x, constant(bias)))


def _split(x: Any, num_or_size_splits: Any, axis: int = 0) -> OperatorCall:
    sizes = num_or_size_splits
    where = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)] if isinstance(sizes, list) else sizes
    return OperatorCall("Split", (x,), {"indices_or_sections": where, "axis": axis})


def _pad(x: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> OperatorCall:
    value = (constant_values,) if mode.upper() == "CONSTANT" else ()
    return OperatorCall("Pad", (x, *value), {"pad_width": paddings, "mode": mode.lower()})


def _resize(
    x: Any, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False, antialias: bool = False
) -> OperatorCall:
    if preserve_aspect_ratio:
        raise TypeError("preserve_aspect_ratio")
    options = {"size": size, "interpolation": method, "antialias": antialias, "data_format": "channels_last"}
    return OperatorCall("Resize", (x,), options, IMAGE)


def _softmax(x: Any, axis: int = -1) -> OperatorCall:
    return OperatorCall("Softmax", (x,), {"axis": axis}, NN)


def _relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> OperatorCall:
    return OperatorCall("ReLU", (x,), {"negative_slope": alpha, "max_value": max_value, "threshold": threshold}, LAYERS)


def _silu(x: Any, beta: float = 1.0) -> OperatorCall:
    if beta != 1:
        raise TypeError(f"beta={beta}")
    return OperatorCall("Silu", (x,), module=NN)


def _hard_sigmoid(x: Any) -> OperatorCall:
    scale, cut = hard_sigmoid("hard_sigmoid")
    return OperatorCall("Rescaling", (x,), _but_name(scale["config"]), LAYERS, (cut,))


def _but_name(config: Json) -> Json:
    return {key: value for key, value in config.items() if key != "name"}


def _transpose(x: Any, perm: Any = None, conjugate: bool = False) -> OperatorCall:
    if conjugate:
        raise TypeError("conjugate")
    return OperatorCall("Transpose", (x,), {"axes": perm})


def _pooling(kind: str) -> Row:
    def pooled(x: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC") -> OperatorCall:
        if data_format != "NHWC":
            raise TypeError(f"data_format={data_format}")
        sizes = {"pool_size": _height_and_width(ksize), "strides": _height_and_width(strides)}
        return OperatorCall(kind, (x,), sizes | {"padding": padding.lower()}, LAYERS)

    return pooled


def _height_and_width(size: Any) -> Any:
    return size[1:3] if isinstance(size, list) and len(size) == 4 else size


def _crop(x: Any, offset_height: int, offset_width: int, target_height: int, target_width: int) -> OperatorCall:
    starts, sizes = (0, offset_height, offset_width), (None, target_height, target_width)
    cuts = [
        {"start": start, "stop": size and start + size, "step": None} for start, size in zip(starts, sizes, strict=True)
    ]
    return _get_item(x, cuts)


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> OperatorCall:
    if transpose_a or transpose_b:
        raise TypeError("transpose_a or transpose_b")
    return OperatorCall("Matmul", (constant(a), constant(b)))


ROWS: dict[str, Row] = {
    "__operators__.add": _binary("Add"),
    "__operators__.getitem": _get_item,
    **{
        f"math.{name}": _binary(kind)
        for name, kind in {
            **{"add": "Add", "subtract": "Subtract", "multiply": "Multiply", "truediv": "TrueDivide"},
            **{"divide": "TrueDivide", "divide_no_nan": "DivideNoNan", "floordiv": "FloorDivide", "floormod": "Mod"},
            **{"pow": "Power", "maximum": "Maximum", "minimum": "Minimum", "greater": "Greater", "less": "Less"},
            **{"greater_equal": "GreaterEqual", "less_equal": "LessEqual", "equal": "Equal", "not_equal": "NotEqual"},
        }.items()
    },
    **{
        f"math.{name}": _unary(kind)
        for name, kind in {
            **{"abs": "Absolute", "negative": "Negative", "sqrt": "Sqrt", "square": "Square", "exp": "Exp"},
            **{"log": "Log", "log1p": "Log1p", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign"},
            **{"tanh": "Tanh", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos"},
        }.items()
    },
    **{
        f"math.reduce_{name}": _reduced(kind)
        for name, kind in {
            **{"mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "std": "Std", "variance": "Var"},
            **{"prod": "Prod"},
        }.items()
    },
    "math.rsqrt": _unary("Rsqrt", MATH),
    "math.sigmoid": _unary("Sigmoid", NN),
    "math.softplus": _unary("Softplus", NN),
    "math.add_n": lambda inputs: OperatorCall("Add", (inputs,), module=LAYERS),
    "math.l2_normalize": lambda x, axis: OperatorCall("UnitNormalization", (x,), {"axis": axis}, LAYERS),
    "linalg.matmul": _matmul,
    "nn.relu": _unary("Relu", NN),
    "nn.relu6": _unary("Relu6", NN),
    "nn.silu": _silu,
    "nn.swish": _silu,
    "nn.elu": lambda x, alpha=1.0: OperatorCall("Elu", (x,), {"alpha": alpha}, NN),
    "nn.selu": _unary("Selu", NN),
    "nn.softsign": _unary("Softsign", NN),
    "nn.softmax": _softmax,
    "nn.log_softmax": lambda x, axis=-1: OperatorCall("LogSoftmax", (x,), {"axis": axis}, NN),
    "nn.leaky_relu": lambda x, alpha=0.2: OperatorCall("LeakyRelu", (x,), {"negative_slope": alpha}, NN),
    "nn.gelu": lambda x, approximate=False: OperatorCall("Gelu", (x,), {"approximate": approximate}, NN),
    "nn.bias_add": _bias_add,
    "cast": _cast,
    "identity": _same,
    "stop_gradient": _same,
    "convert_to_tensor": _same,
    "expand_dims": lambda x, axis=-1: OperatorCall("ExpandDims", (x,), {"axis": axis}),
    "squeeze": lambda x, axis=None: OperatorCall("Squeeze", (x,), {"axis": axis}),
    "reshape": lambda x, shape: OperatorCall("Reshape", (x,), {"newshape": shape}),
    "transpose": _transpose,
    "concat": lambda values, axis=-1: OperatorCall("Concatenate", (values,), {"axis": axis}),
    "stack": lambda values, axis=0: OperatorCall("Stack", (values,), {"axis": axis}),
    "unstack": lambda x, num=None, axis=0: OperatorCall("Unstack", (x,), {"num": num, "axis": axis}, CORE),
    "split": _split,
    "tile": lambda x, multiples: OperatorCall("Tile", (x,), {"repeats": multiples}),
    "repeat": lambda x, repeats, axis=None: OperatorCall("Repeat", (x,), {"repeats": repeats, "axis": axis}),
    "pad": _pad,
    "reverse": lambda x, axis: OperatorCall("Flip", (x,), {"axis": axis}),
    "where": lambda condition, x, y: OperatorCall("Where", (condition, constant(x), constant(y))),
    "clip_by_value": lambda x, clip_value_min, clip_value_max: OperatorCall(
        "Clip", (x,), {"x_min": clip_value_min, "x_max": clip_value_max}
    ),
    "floor_div": _binary("FloorDivide"),
    **dict.fromkeys(("nn.max_pool", "nn.max_pool2d"), _pooling("MaxPooling2D")),
    **dict.fromkeys(("nn.avg_pool", "nn.avg_pool2d"), _pooling("AveragePooling2D")),
    "nn.space_to_depth": lambda x, block_size: OperatorCall("SpaceToDepth", (x,), {"block_size": block_size}, NN),
    "nn.depth_to_space": lambda x, block_size: OperatorCall("DepthToSpace", (x,), {"block_size": block_size}, NN),
    "image.resize": _resize,
    "image.flip_left_right": lambda x: OperatorCall("Flip", (x,), {"axis": -2}),
    "image.flip_up_down": lambda x: OperatorCall("Flip", (x,), {"axis": -3}),
    "image.crop_to_bounding_box": _crop,
    "image.grayscale_to_rgb": lambda x: OperatorCall("Concatenate", ([x, x, x],), {"axis": -1}),
    "image.rgb_to_grayscale": lambda x: OperatorCall("RGBToGrayscale", (x,), {"data_format": "channels_last"}, IMAGE),
    "keras.activations.relu": _relu,
    "keras.activations.hard_sigmoid": _hard_sigmoid,
    "keras.activations.linear": _same,
    "keras.backend.permute_dimensions": lambda x, pattern: OperatorCall("Transpose", (x,), {"axes": pattern}),
    "keras.backend.concatenate": lambda values, axis=-1: OperatorCall("Concatenate", (values,), {"axis": axis}),
    "keras.backend.reverse": lambda x, axes: OperatorCall("Flip", (x,), {"axis": axes}),
    "keras.backend.pow": lambda x, a: OperatorCall("Power", (x, a)),
    "keras.backend.clip": lambda x, min_value, max_value: OperatorCall(
        "Clip", (x,), {"x_min": min_value, "x_max": max_value}
    ),
    "keras.backend.relu": _relu,
    "keras.backend.hard_sigmoid": _hard_sigmoid,
}


def call_of(function: str, first: Any, arguments: Json) -> OperatorCall:
    """The Keras 3 call that replaces a function of TensorFlow.

    Args:
        function: Its public name, without `tf.`.
        first: Its first argument; tensors are already described for Keras 3.
        arguments: The other arguments, by their names in TensorFlow.

    Raises:
        BundleError: the table has no such function, or not with these arguments.
    """
    row = _row(function)
    given = {key: plain(value) for key, value in arguments.items() if value is not None and key != "name"}
    if row is not None:
        try:
            return row(first, **given)
        except TypeError:
            pass
    options = ", ".join(f"{key}={value}" for key, value in given.items() if not isinstance(value, dict))
    raise BundleError(f"Keras 3 has no counterpart of its operator tf.{function}({options}). {WAY_OUT}")


def _row(function: str) -> Row | None:
    """The row of a function; functions of Keras and TensorFlow 1 map to TensorFlow's."""
    names = [function, function.removeprefix("compat.v1.")]
    if function.startswith("keras."):
        name = function.rpartition(".")[2]
        names += [name, f"nn.{name}", f"math.{name}", f"math.reduce_{name}"]
    return next((ROWS[each] for each in names if each in ROWS), None)


def constant(value: Any) -> Any:
    """A constant in Keras 3's description: a number as it is, a list of numbers as an array."""
    if not isinstance(value, list):
        return value
    kinds = {type(each) for each in _flat(value)}
    dtype = "float32" if float in kinds else "int32"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}


def _flat(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _flat(each)] if isinstance(value, list) else [value]
