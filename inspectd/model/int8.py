"""The part of a network up to its target layer in int8, for processors: made once, with images that show its ranges.

TensorFlow Lite's converter quantises it after training, weights and activations, and its interpreter runs it (XNNPACK).
What follows the target layer stays in float32, so that logits and heat come from the head as it was trained. The
interpreter is that of TensorFlow: LiteRT's own package is the same engine, as fast, and one more thing to install.
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

SAME = 1e-3  # of the largest logit: the two parts of a network, put together again, differ from it by less


class Int8Part:
    """The int8 part of a bundle, on the processor, with all of its cores. To be used by one thread at a time.

    Raises:
        BundleError: the bundle has none, or it is not of this network.
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
            raise BundleError(f"{path} does not take an image of {wanted[1:]} to a map. Quantise the model again.")
        self.shape = int(shape[1]), int(shape[2]), int(shape[3])

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the target layer gives, float32 (n, h, w, k), for uint8 (n, height, width, channels).

        One image after the other: every core works on each, and larger batches were no faster.
        """
        found = np.empty((len(pixels), *self.shape), np.float32)
        for index, inputs in enumerate(_inputs(pixels, self._to)):
            self._interpreter.set_tensor(self._taken, inputs)
            self._interpreter.invoke()
            found[index] = self._interpreter.get_tensor(self._given)[0]
        return found


def convert(bundle: Bundle, samples: Sequence[NDArray[np.uint8]], progress: Callable[[int, int], None]) -> bytes:
    """Makes the int8 part of a bundle's network, as TensorFlow Lite's file.

    Args:
        samples: Prepared images, uint8 (height, width, channels), like those that it will see: they give the ranges.
        progress: Is told how many of how many of them have done so.

    Raises:
        BundleError: the network cannot be cut at its target layer, or has parts that cannot be had in int8.
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
            warnings.simplefilter("ignore")  # that it finds out about the input's range by itself
            return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its parts raise
        reason = " ".join(str(error).split())[:300]
        raise BundleError(f"{bundle.path}: the part up to {target.name} cannot be had in int8: {reason}") from error


def _refuse_a_way_around(network: Any, target: Any, lower: Any, inputs: NDArray[np.float32]) -> None:
    """Whether the part after the target layer needs nothing but what that gives: then another image changes nothing."""
    whole = np.asarray(network(inputs, training=False))
    with standing_in(target, lower(inputs)):
        parts = np.asarray(network(np.zeros_like(inputs), training=False))
    if not np.abs(parts - whole).max() <= SAME * np.abs(whole).max():
        raise BundleError(
            f"layer: the network cannot be cut at {target.name}, because something goes past it to the decision. It "
            "stays in float32 or bfloat16."
        )


def _inputs(pixels: Iterable[NDArray[np.uint8]], to: Preparation) -> Iterator[NDArray[np.float32]]:
    """Image by image, float32 (1, height, width, channels) on the network's scale."""
    for each in pixels:
        yield np.ascontiguousarray(normalise(each[np.newaxis].astype(np.float32), to))


def _interpreter(content: bytes) -> Any:
    with without_noise(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that LiteRT has a package of its own
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=len(os.sched_getaffinity(0)))
        interpreter.allocate_tensors()
    return interpreter
