"""The engine on JAX. See `engine.Engine`.

The gradient is taken with respect to a zero that is added to the target layer's output. It equals the gradient with
respect to that output, and the network need not be cut there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from inspectd.model.engine.backend import keras
from inspectd.model.engine.gpu import Gpu
from inspectd.model.engine.observing import observed, only_maps

INSTALL = "Install the JAX for your device, such as `pip install 'jax[cuda13]'`, and see that `nvidia-smi` lists it"
USES_INT8 = False
USES_BFLOAT16 = False  # on a processor XLA converts to float32 and back


def gpus() -> list[Gpu]:
    return [Gpu(device.device_kind, _has_bfloat16(device)) for device in _accelerators()]


def use(index: int | None) -> None:
    """Values that are already on another device stay there and remain usable."""
    device = jax.devices("cpu")[0] if index is None else _accelerators()[index]
    jax.config.update("jax_default_device", device)


def trace(function: Callable[[Any], None], shape: tuple[int, int, int]) -> None:
    jax.eval_shape(function, jax.ShapeDtypeStruct((1, *shape), np.float32))


def gradient(forward: Callable[[], tuple[Any, Any]], layer: Any) -> tuple[Any, Any, Any | None]:
    seen: list[Any] = []

    def look(maps: Any) -> Any:
        seen.append(maps)
        return maps

    with observed(layer, look):
        jax.eval_shape(lambda: forward()[0])
    maps = only_maps(seen, layer)

    def changed(change: Any) -> tuple[Any, tuple[Any, Any]]:
        seen.clear()
        with observed(layer, lambda maps: look(maps + change)):
            numbers, found = forward()
        return numbers.sum(), (found, seen[0])

    zero = jax.numpy.zeros(maps.shape, maps.dtype)
    if not _depends(lambda change: changed(change)[0], zero):
        return changed(zero)[1][0], zero, None
    gradients, (found, maps) = jax.grad(changed, has_aux=True)(zero)
    return found, maps, gradients


def narrowed(value: Any) -> Any:
    return value.astype(jax.numpy.bfloat16)


def compiled(
    call: Callable[[Any], Sequence[Any]], network: Any, shape: tuple[int, int, int], dtype: str
) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    variables = network.variables
    values = [variable.value for variable in variables]

    def with_values(values: Sequence[Any], pixels: Any) -> Sequence[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return call(pixels)

    function = jax.jit(with_values)  # values are arguments: otherwise each compiled size would hold them as constants
    function.trace(values, jax.ShapeDtypeStruct((1, *shape), dtype))

    def run(pixels: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            return [np.asarray(each) for each in function(values, pixels)]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError(str(error)) from error

    return run


def _accelerators() -> list[Any]:
    return [device for device in jax.devices() if device.platform != "cpu"]


def _has_bfloat16(device: Any) -> bool:
    capability = str(getattr(device, "compute_capability", ""))  # of NVIDIA: 8.0
    major = capability.partition(".")[0]
    return device.platform == "tpu" or (major.isdigit() and int(major) >= 8)


def _depends(function: Callable[[Any], Any], argument: Any) -> bool:
    """Whether a function's result depends on its argument."""
    program = jax.make_jaxpr(function)(argument).jaxpr
    reached = {id(variable) for variable in program.invars}
    for step in program.eqns:
        if not reached.isdisjoint(map(id, step.invars)):
            reached.update(map(id, step.outvars))
    return id(program.outvars[0]) in reached
