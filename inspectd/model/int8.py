"""Quantises the layers up to a network's target layer to int8, and runs them on a processor.

After training, TensorFlow Lite's converter quantises weights and activations; sample images show their ranges. Its
interpreter runs the result (XNNPACK). The layers after the target layer stay in float32, so the trained head computes
logits and heat. We use TensorFlow's interpreter because LiteRT's own package is the same engine at the same speed, and
one more package to install.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import BundleError
from inspectd.model.bundle import INT8, NETWORK, Bundle
from inspectd.model.engine.backend import without_noise
from inspectd.model.engine.observing import observed, only_maps, standing_in
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.preparation import normalise
from inspectd.model.spec import Preparation
from inspectd.model.surgery import examine, layer_named, load_network, take_off_activation

SAME = 1e-3  # of the largest logit: the joined halves of a network differ from the network by less


class Int8Part:
    """The int8 part of a bundle; it runs on all cores. Only one thread may use it at a time.

    Raises:
        BundleError: the bundle has no int8 part, or one of another network.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._to = bundle.spec.preparation
        if INT8 not in bundle.files:
            raise BundleError(
                f"{bundle.path} has no int8 part. Make a version that has one with `inspectd model quantize`, or set "
                "`precision: auto`."
            )
        path = bundle.path / INT8
        try:
            self._interpreter = _interpreter(path.read_bytes())
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BundleError(f"{path} cannot be used ({reason}). Quantise the model again.") from error
        (taken,), (given,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._taken, self._given = taken["index"], given["index"]
        wanted, shape = (1, self._to.height, self._to.width, self._to.channels), given["shape"]
        if tuple(taken["shape"]) != wanted or len(shape) != 4 or {taken["dtype"], given["dtype"]} != {np.float32}:
            raise BundleError(f"{path} does not turn an image of {wanted[1:]} into a map. Quantise the model again.")
        self.shape = int(shape[1]), int(shape[2]), int(shape[3])

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The target layer's output, float32 (n, h, w, k), for uint8 (n, height, width, channels).

        It runs image by image: all cores work on each image, and larger batches were not faster.
        """
        found = np.empty((len(pixels), *self.shape), np.float32)
        for index, inputs in enumerate(_inputs(pixels, self._to)):
            self._interpreter.set_tensor(self._taken, inputs)
            self._interpreter.invoke()
            found[index] = self._interpreter.get_tensor(self._given)[0]
        return found


def convert(bundle: Bundle, samples: Sequence[NDArray[np.uint8]], progress: Callable[[int, int], None]) -> bytes:
    """Quantises the layers up to the target layer; returns the content of a TensorFlow Lite file.

    Args:
        samples: Prepared images, uint8 (height, width, channels), like those to inspect; they give the ranges.
        progress: Called with the number of samples done and their total.

    Raises:
        BundleError: the network cannot be cut at its target layer, or has layers that int8 does not support.
    """
    spec, to = bundle.spec, bundle.spec.preparation
    network = load_network(bundle.path / NETWORK)
    shape = (to.height, to.width, to.channels)
    take_off_activation(examine(network, shape), spec.activation)
    target = layer_named(network, str(spec.layer))

    def lower(inputs: Any) -> Any:
        seen: list[Any] = []

        def look(maps: Any) -> Any:
            seen.append(maps)
            return maps

        with observed(target, look):
            network(inputs, training=False)
        return only_maps(seen, target)

    function = tf.function(lower, autograph=False, input_signature=[tf.TensorSpec((1, *shape), tf.float32)])
    _refuse_a_way_around(network, target, function, next(_inputs(samples, to)))

    def ranges() -> Iterator[list[NDArray[np.float32]]]:
        for done, inputs in enumerate(_inputs(samples, to), 1):
            yield [inputs]
            progress(done, len(samples))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = ranges
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        with without_noise(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notice that it finds the input's range by itself
            return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its parts raise
        reason = " ".join(str(error).split())[:300]
        raise BundleError(
            f"{bundle.path}: the part up to {target.name} cannot be quantised to int8: {reason}"
        ) from error


def _refuse_a_way_around(network: Any, target: Any, lower: Any, inputs: NDArray[np.float32]) -> None:
    """Whether the head needs only the target layer's output: then another input image does not change its result."""
    whole = np.asarray(network(inputs, training=False))
    with standing_in(target, lower(inputs)):
        parts = np.asarray(network(np.zeros_like(inputs), training=False))
    if not np.abs(parts - whole).max() <= SAME * np.abs(whole).max():
        raise BundleError(
            f"layer: the network cannot be cut at {target.name}, because another path leads past it to the decision. "
            "It stays in float32 or bfloat16."
        )


def _inputs(pixels: Iterable[NDArray[np.uint8]], to: Preparation) -> Iterator[NDArray[np.float32]]:
    """Yields each image as float32 (1, height, width, channels) on the network's scale."""
    for each in pixels:
        yield np.ascontiguousarray(normalise(each[np.newaxis].astype(np.float32), to))


def _interpreter(content: bytes) -> Any:
    with without_noise(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notice that LiteRT has a package of its own
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=len(os.sched_getaffinity(0)))
        interpreter.allocate_tensors()
    return interpreter
