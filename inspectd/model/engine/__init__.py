"""The engines, TensorFlow and JAX: they compile the call, compute the gradient and open the device.

`engine` is the module of the engine in use; both have the functions of `Engine`. Everything else in `model` uses only
Keras.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from inspectd.model.engine.backend import BACKEND
from inspectd.model.engine.gpu import Gpu


class Engine(Protocol):
    """The functions of an engine's module."""

    INSTALL: str  # the beginning of a sentence: what to do if no GPU is found
    USES_BFLOAT16: bool  # whether it uses bfloat16 on a processor that has it
    USES_INT8: bool  # whether it uses int8 on a processor that has it

    def gpus(self) -> Sequence[Gpu]:
        """The GPUs that the engine finds, in its order."""

    def use(self, index: int | None) -> None:
        """Makes all later computation run on that GPU, or on the processor.

        Raises:
            DeviceError: this process already runs on another device.
        """

    def trace(self, function: Callable[[Any], None], shape: tuple[int, int, int]) -> None:
        """Calls `function` with a float32 stand-in for images (n, h, w, c), without computing.

        Raises:
            ValueError, TypeError: what the function raises.
        """

    def gradient(self, forward: Callable[[], tuple[Any, Any]], layer: Any) -> tuple[Any, Any, Any]:
        """Runs one forward pass and computes the gradient from the output down to `layer`.

        Args:
            forward: Returns (n) numbers, each of which depends on its own image alone, and any second value.
            layer: A layer that `forward` calls once, at any depth; its output is maps (n, h, w, k).

        Returns:
            The second value; the maps; the gradient of the numbers with respect to the maps, of the same shape, or None
            if the numbers do not depend on them.

        Raises:
            BundleError: the layer is not called exactly once, or its output is not maps.
        """

    def narrowed(self, value: Any) -> Any:
        """The value of a Keras variable converted to bfloat16, in the form that a variable can hold."""

    def compiled(
        self, call: Callable[[Any], Sequence[Any]], network: Any, shape: tuple[int, int, int], dtype: str
    ) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
        """Compiles a function of arrays (n, h, w, c) that uses the variables of `network`, and traces it once.

        The compiled function raises MemoryError if the device's memory does not suffice.
        """


engine: Engine
if BACKEND == "jax":
    from inspectd.model.engine import on_jax

    engine = on_jax
else:
    from inspectd.model.engine import on_tensorflow

    engine = on_tensorflow
