"""What Keras leaves to TensorFlow or JAX: one compiled call, one gradient, the devices.

`engine` is the module of the one in use; both have the functions of `Engine`. All else in this room is written against
Keras alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from inspectd.model.engine.backend import BACKEND
from inspectd.model.engine.gpu import Gpu


class Engine(Protocol):
    """What each of the modules has."""

    INSTALL: str  # the beginning of a sentence: what to do where no GPU is seen
    USES_BFLOAT16: bool  # of a processor that has it
    USES_INT8: bool  # likewise

    def gpus(self) -> Sequence[Gpu]:
        """The accelerators that it sees, in its own order."""

    def use(self, index: int | None) -> None:
        """Runs everything from now on on that accelerator, or on the processor.

        Raises:
            DeviceError: this process already runs on another device.
        """

    def trace(self, function: Callable[[Any], None], shape: tuple[int, int, int]) -> None:
        """Calls `function` with a float32 stand-in for images (n, h, w, c), computing nothing.

        Raises:
            ValueError, TypeError: what the function raises.
        """

    def gradient(self, forward: Callable[[], tuple[Any, Any]], layer: Any) -> tuple[Any, Any, Any]:
        """One forward pass, and the gradient from `layer` upwards only.

        Args:
            forward: Gives (n) numbers, each of its own image alone, and anything else.
            layer: A layer that `forward` calls once, whatever it is nested in; it gives maps (n, h, w, k).

        Returns:
            Anything else; the maps; the gradient of the numbers with respect to them, of the same shape, or None where
            the numbers do not depend on them.

        Raises:
            BundleError: the layer is not called just once, or gives no maps.
        """

    def narrowed(self, value: Any) -> Any:
        """The value of a Keras variable in bfloat16, as such a variable can hold it."""

    def compiled(
        self, call: Callable[[Any], Sequence[Any]], network: Any, shape: tuple[int, int, int], dtype: str
    ) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
        """Compiles a call of arrays (n, h, w, c) that uses the variables of `network`; traces it once at once.

        The compiled call raises MemoryError where the device's memory does not suffice.
        """


engine: Engine
if BACKEND == "jax":
    from inspectd.model.engine import on_jax

    engine = on_jax
else:
    from inspectd.model.engine import on_tensorflow

    engine = on_tensorflow
