"""Translates the configuration of single layers from Keras 2 to Keras 3. Data in, data out; it builds nothing.

A layer becomes one layer, or a chain if Keras 3 needs several to compute the same. An option that Keras 3 lacks is left
out only if it has no effect at its value; otherwise the layer is refused.
"""

import inspect
from importlib import import_module
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.engine.backend import keras

Json = dict[str, Any]

LAYERS = "keras.layers"
WAY_OUT = (
    "Where the network was made, build it again with Keras's own layers in that place, take over the weights with "
    "`new.set_weights(old.get_weights())`, and save it with `new.save('model.h5')`."
)
CLASSES = {  # of Keras 2 → of Keras 3
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
    "RandomHeight": "Identity",  # both change images in training only
    "RandomWidth": "Identity",
    "RandomCrop": "Resizing",  # as Keras 2 does outside training
}
ADDED = {"RandomCrop": {"crop_to_aspect_ratio": True}}
MODULES = {  # Keras's own layers that are not in `keras.layers`
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
OPTIONS = {("LeakyReLU", "alpha"): "negative_slope", ("ThresholdedReLU", "theta"): "threshold"}
TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")  # the weights are in the file
MEANINGLESS: dict[str, tuple[Any, ...]] = {  # options that Keras 3 lacks: values at which they change nothing
    "groups": (1,),
    "ragged": (False, None),
    "sparse": (False, None),
    "time_major": (False,),
    "renorm": (False,),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "trainable": (True, False),  # of layers without weights
}
IGNORED = {  # options that change no output of a trained network
    *("batch_input_shape", "input_shape", "input_dim", "input_dtype", "input_length", "rng_type", "seed", "fused"),
    *("renorm_clipping", "renorm_momentum", "implementation", "dynamic", "optional", "experimental_autocast"),
    *("force_generator", "query_shape", "key_shape", "value_shape", "synchronized", "softmax_robust_masking"),
    "noise_shape",
}
CODE = {"Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"}  # would run code from files
RECURRENT = {"LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "LSTMCell", "GRUCell"}
WRAPPED = ("layer", "backward_layer", "cell")  # options that hold a layer


def translate_layer(entry: Json, name: str) -> list[Json]:
    """The Keras 3 layers that compute the same as one Keras 2 layer, in the order of their calls, not yet connected.

    Args:
        entry: The layer as the file describes it: `class_name` and `config`.
        name: The name of the first of them; the other names begin with it.

    Raises:
        BundleError: Keras 3 has no such layer, or not with these options.
    """
    original = class_of(entry)
    kind = CLASSES.get(original, original)
    if kind == "InputLayer":
        return [input_layer(entry["config"], name)]
    config, activation = _options(original, kind, entry["config"], name)
    layer = {"module": MODULES.get(kind, LAYERS), "class_name": kind, "config": config, "registered_name": None}
    return [layer | {"name": name}, *activation]


def class_of(entry: Json) -> str:
    """The class name of a layer without its registered package: `Custom>LayerScale` is `LayerScale`."""
    return str(entry["class_name"]).rpartition(">")[2]


def input_layer(config: Json, name: str) -> Json:
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if config.get("ragged") or config.get("sparse"):
        raise BundleError(f"its input {name} is ragged or sparse. inspectd gives a network images, which are neither.")
    return layer("InputLayer", name, batch_shape=plain(shape), dtype=_dtype(config.get("dtype") or "float32"))


def layer(kind: str, name: str, **options: Any) -> Json:
    """The description of a Keras 3 layer."""
    config = {"name": name} | options
    return {"module": LAYERS, "class_name": kind, "config": config, "registered_name": None, "name": name}


def plain(value: Any) -> Any:
    """Unwraps a value: Keras 2 wraps tuples, shapes and arrays.

    Raises:
        BundleError: it describes an object instead of a value.
    """
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape"):
        return plain(value["items"])
    if value.get("class_name") in ("__numpy__", "__tensor__"):
        return value["config"]["value"]
    if value.get("class_name") not in (None, "__ellipsis__", "__keras_tensor__"):
        raise BundleError(f"it holds a {value['class_name']} where a number or a name is due. {WAY_OUT}")
    return value["value"] if value.get("type") == "ndarray" else value


def _options(original: str, kind: str, given: Json, name: str) -> tuple[Json, list[Json]]:
    """The options of a layer, and the layers that replace an activation that Keras 3 lacks."""
    taken = _taken(kind, name)
    config: Json = {"name": name, **ADDED.get(original, {})}
    following: list[Json] = []
    for key, value in given.items():
        option = OPTIONS.get((original, key), key)
        if key == "name" or key in IGNORED or key.endswith(TRAINING_ONLY) or kind == "Identity":
            continue
        if option == "dtype":
            config[option] = _dtype(value)
        elif option in ("activation", "recurrent_activation"):
            config[option], following = _activation(value, name, option, kind)
        elif option in WRAPPED and isinstance(value, dict):
            config[option] = _wrapped(value, name)
        elif option in taken:
            config[option] = _one(plain(value)) if option == "axis" else plain(value)
        elif value not in MEANINGLESS.get(option, ()):
            raise BundleError(
                f"its layer {name} ({original}) has {key}={value}, which Keras 3 has no counterpart for. {WAY_OUT}"
            )
    return config, following


def _taken(kind: str, name: str) -> set[str]:
    """The options of a Keras 3 class."""
    made = getattr(import_module(MODULES[kind]) if kind in MODULES else keras.layers, kind, None)
    if kind in CODE or not (isinstance(made, type) and issubclass(made, keras.layers.Layer)):
        raise BundleError(
            f"its layer {name} is of the class {kind}, which is not part of Keras, and inspectd runs no code from "
            f"files. {WAY_OUT}"
        )
    taken = set(inspect.signature(made).parameters)
    return taken | {"trainable"} if "kwargs" in taken else taken


def _dtype(value: Any) -> str:
    """A dtype, or the name of a dtype policy."""
    name = value["config"]["name"] if isinstance(value, dict) else value
    return "float32" if name in (None, "_infer", "infer", "policy_v1") else str(name)


def _one(axis: Any) -> Any:
    return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis


def _wrapped(entry: Json, name: str) -> Json:
    if "layers" in entry["config"]:
        raise BundleError(f"its layer {name} wraps a whole network. inspectd gives a network one image at a time.")
    inner = translate_layer(entry, str(entry["config"].get("name", "layer")).replace("/", "_"))
    if len(inner) > 1:
        raise BundleError(f"inside its layer {name} is an activation that Keras 3 does not have. {WAY_OUT}")
    return inner[0]


def _activation(value: Any, name: str, option: str, kind: str) -> tuple[Any, list[Json]]:
    """The name of an activation in Keras 3, and the layers that replace it if it needs any."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value["config"]
    following = []
    if isinstance(value, dict) and isinstance(value.get("config"), dict):  # a layer, such as LeakyReLU
        following = translate_layer(value, f"{name}_activation")
    elif value == "hard_sigmoid":
        following = hard_sigmoid(f"{name}_activation")
    elif value is not None and not hasattr(keras.activations, str(value)):
        what = value if isinstance(value, str) else "a Python function"
        raise BundleError(
            f"its layer {name} uses {what}, which is not part of Keras, and inspectd runs no code from files. {WAY_OUT}"
        )
    if following and (kind in RECURRENT or option != "activation"):
        raise BundleError(f"its layer {name} ({kind}) has an {option} that Keras 3 lacks there. {WAY_OUT}")
    return ("linear", following) if following else (value, [])


def hard_sigmoid(name: str) -> list[Json]:
    """Keras 2's hard sigmoid: x / 5 + 0.5, clipped to 0..1. Keras 3's hard sigmoid is x / 6 + 0.5."""
    return [layer("Rescaling", f"{name}_scale", scale=0.2, offset=0.5), layer("ReLU", name, max_value=1.0)]
