"""Looking into a network while it computes: what a layer at any depth gives, seen and passed on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from inspectd.errors import BundleError


@contextmanager
def observed(
    layer: Any, through: Callable[[Any], Any] | None = None, taken: Callable[[Any], object] | None = None
) -> Iterator[None]:
    """While it lasts, every output of a layer, or of an operator of the graph, goes through `through` before anyone
    else has seen it, and `taken` is told every input.
    """
    outer = vars(layer).get("call")  # of whoever looks already
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
    """While it lasts, `layer` gives these maps (n, h, w, k), whatever it is given.

    Nothing below the layer is then computed in a compiled call: no output depends on it.

    Raises:
        BundleError: they are none that it could give.
    """

    def instead(output: Any) -> Any:
        if tuple(output.shape[1:]) != tuple(maps.shape[1:]):
            raise BundleError(f"layer: {layer.name} gives maps {output.shape[1:]}, not {maps.shape[1:]}.")
        return maps

    with observed(layer, instead):
        yield


def only_maps(seen: Sequence[Any], layer: Any) -> Any:
    """The one output of a target layer that a pass has shown.

    Raises:
        BundleError: there is not exactly one, or it is no map (n, h, w, k).
    """
    name = layer.name
    if len(seen) != 1:
        raise BundleError(f"layer: {name} is used {len(seen)} times in one pass. Name a target layer used once.")
    if len(getattr(seen[0], "shape", ())) != 4:
        raise BundleError(f"layer: {name} gives no map (n, h, w, k). Name a convolutional layer.")
    return seen[0]
