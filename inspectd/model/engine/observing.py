"""Observes layers of a network while it computes, or replaces their outputs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from inspectd.errors import BundleError


@contextmanager
def observed(
    layer: Any, through: Callable[[Any], Any] | None = None, taken: Callable[[Any], object] | None = None
) -> Iterator[None]:
    """Within this context each output of a layer or graph operator is first passed through `through`, and `taken` gets
    each input.
    """
    outer = vars(layer).get("call")  # of an outer observer
    call = layer.call

    def observed_call(*args: Any, **kwargs: Any) -> Any:
        if taken:
            taken(args[0] if args else next(iter(kwargs.values()), None))
        output = call(*args, **kwargs)
        return through(output) if through else output

    layer.call = observed_call  # hides the method; Keras looks `call` up on each use
    try:
        yield
    finally:
        del layer.call
        if outer is not None:
            layer.call = outer


@contextmanager
def standing_in(layer: Any, maps: Any) -> Iterator[None]:
    """Within this context `layer` returns these maps (n, h, w, k) for any input.

    A compiled call then skips everything below the layer, because no output depends on it.

    Raises:
        BundleError: the layer's own output has another shape.
    """

    def instead(output: Any) -> Any:
        if tuple(output.shape[1:]) != tuple(maps.shape[1:]):
            raise BundleError(f"layer: {layer.name} gives maps {output.shape[1:]}, not {maps.shape[1:]}.")
        return maps

    with observed(layer, instead):
        yield


def only_maps(seen: Sequence[Any], layer: Any) -> Any:
    """The single output of a target layer in one pass.

    Raises:
        BundleError: there is not exactly one output, or it is not a map (n, h, w, k).
    """
    name = layer.name
    if len(seen) != 1:
        raise BundleError(f"layer: {name} is used {len(seen)} times in one pass. Name a target layer used once.")
    if len(getattr(seen[0], "shape", ())) != 4:
        raise BundleError(f"layer: {name} does not output a map (n, h, w, k). Name a convolutional layer.")
    return seen[0]
