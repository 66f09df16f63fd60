"""The engine on TensorFlow; the only module that imports TensorFlow. See `engine.Engine`.

The gradient comes from a tape that watches the target layer's output.
"""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from inspectd.errors import ConfigError, DeviceError
from inspectd.model.engine.backend import BACKEND
from inspectd.model.engine.gpu import Gpu
from inspectd.model.engine.observing import observed, only_maps

if BACKEND != "tensorflow":
    raise ConfigError(
        f"KERAS_BACKEND={BACKEND}: this command needs TensorFlow; only the inspection of images runs without it. Unset "
        "KERAS_BACKEND for this command."
    )

import tensorflow as tf

INSTALL = "Install inspectd[gpu] (`make venv GPU=1` or `make install GPU=1`) and see that `nvidia-smi` lists the device"
USES_BFLOAT16 = True  # on processors, by oneDNN
USES_INT8 = True  # on processors, by TensorFlow Lite

__all__ = ["INSTALL", "USES_BFLOAT16", "USES_INT8", "compiled", "gpus", "gradient", "narrowed", "tf", "trace", "use"]


def gpus() -> list[Gpu]:
    found = []
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found.append(Gpu(details.get("device_name", ""), details.get("compute_capability", (0, 0)) >= (8, 0)))
    return found


def use(index: int | None) -> None:
    """Hides every other GPU too, so that no memory is taken there."""
    visible = [] if index is None else [tf.config.list_physical_devices("GPU")[index]]
    try:
        if tf.config.get_visible_devices("GPU") != visible:
            tf.config.set_visible_devices(visible, "GPU")
        for gpu in visible:
            if not tf.config.experimental.get_memory_growth(gpu):
                # Otherwise TensorFlow reserves the whole GPU, and the next worker finds no memory left.
                tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise DeviceError("This process already runs on another device. Start a new one for this device.") from error


def trace(function: Callable[[Any], None], shape: tuple[int, int, int]) -> None:
    tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((None, *shape), tf.float32))


def gradient(forward: Callable[[], tuple[Any, Any]], layer: Any) -> tuple[Any, Any, Any | None]:
    seen: list[Any] = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:

        def watch(maps: Any) -> Any:
            tape.watch(maps)
            seen.append(maps)
            return maps

        with observed(layer, watch):
            numbers, found = forward()
    maps = only_maps(seen, layer)
    return found, maps, tape.gradient(numbers, maps)


def narrowed(value: Any) -> Any:
    return tf.Variable(tf.cast(value, tf.bfloat16), trainable=False)


def compiled(
    call: Callable[[Any], Sequence[Any]], _network: Any, shape: tuple[int, int, int], dtype: str
) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    function = tf.function(call, autograph=False, input_signature=[tf.TensorSpec((None, *shape), dtype)])
    function.get_concrete_function()

    def run(pixels: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            found = function(tf.constant(pixels))
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(str(error)) from error
        return [tensor.numpy() for tensor in found]

    return run
