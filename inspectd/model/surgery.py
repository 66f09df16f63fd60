"""Opening a saved network: its layers found, its last activation taken off, its precision set.

All of it acts on a live Keras model of any make (flat, nested, Sequential, subclassed), because it asks which layers
are called, never how the model was put together. Nothing here decides anything about images.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.backend import keras
from inspectd.model.engine import engine
from inspectd.model.observing import observed
from inspectd.model.spec import Precision

_UNKNOWN = re.compile(r"Could not locate (?:class|function) '(\w+)'")


@dataclass(frozen=True)
class Anatomy:
    """What one pass through a network showed.

    Attributes:
        units: Number of outputs.
        called: Its innermost layers, in the order in which they finished.
        last: The layer whose very output is the network's, called once; None if something follows it.
    """

    units: int
    called: tuple[Any, ...]
    last: Any | None


def load_network(path: Path) -> Any:
    """Loads `model.keras` without running any code that the file brings along.

    Raises:
        BundleError: the file is no Keras model, or holds code (a Lambda layer) or classes unknown here.
    """
    with loading(path):
        return keras.saving.load_model(path, compile=False, safe_mode=True)


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Says in a sentence why Keras cannot load a file.

    Raises:
        BundleError: see `load_network`.
    """
    try:
        yield
    except Exception as error:  # Keras raises whatever its parts raise, and wraps it in the whole configuration
        first = first_cause(error)
        reason = " ".join(str(first).split())
        if "safe_mode" in str(error) or "Lambda" in str(error):
            raise BundleError(
                f"{path} holds a Lambda layer, which would run code from the file. Build the network from Keras's own "
                "layers."
            ) from error
        if found := _UNKNOWN.match(reason):
            raise BundleError(
                f"{path} needs {found[1]}, which Keras does not bring and no code of which is run. Build the network "
                "from Keras's own layers."
            ) from error
        raise BundleError(
            f"{path} cannot be loaded by Keras {keras.__version__} ({type(first).__name__}: {reason[:300]}). Save it "
            "again with `model.save('model.keras')`, or copy it again."
        ) from error


def first_cause(error: BaseException) -> BaseException:
    """The error that all others followed from."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def inner_layers(network: Any) -> list[Any]:
    """Every layer at any depth, each once."""
    return list({id(layer): layer for layer in network._flatten_layers(include_self=False)}.values())


def layer_named(network: Any, name: str) -> Any:
    """The layer called `name`, at any depth.

    Raises:
        BundleError: there is none, or more than one.
    """
    found = [layer for layer in inner_layers(network) if layer.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise BundleError(f"layer: {name} is the name of {len(found)} layers. Give the target layer a name of its own.")
    names = ", ".join(layer.name for layer in inner_layers(network)[-12:])
    raise BundleError(f"layer: the network has no layer {name}. Its last ones are {names}.")


def examine(network: Any, shape: tuple[int, int, int]) -> Anatomy:
    """Traces one pass over an input (h, w, c), computing nothing.

    Raises:
        BundleError: the network takes another input, or does not give one row of numbers per image.
    """
    calls: list[tuple[Any, Any]] = []

    def record(layer: Any) -> Callable[[Any], Any]:
        def recorded(output: Any) -> Any:
            calls.append((layer, output))
            return output

        return recorded

    def trace(pixels: Any) -> Any:
        output = network(pixels, training=False)
        last = [layer for layer, seen in calls if seen is output]
        anatomy.append(_anatomy(output, [layer for layer, _ in calls], last[0] if last else None))

    anatomy: list[Anatomy] = []
    with ExitStack() as stack:
        for layer in inner_layers(network):
            if not layer._flatten_layers(include_self=False, recursive=False):
                stack.enter_context(observed(layer, record(layer)))
        try:
            engine.trace(trace, shape)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BundleError(f"preparation: the network does not take an input of {shape}: {reason}") from error
    return anatomy[0]


def _anatomy(output: Any, called: list[Any], last: Any | None) -> Anatomy:
    if not hasattr(output, "shape") or len(output.shape) != 2 or output.shape[1] is None:
        shape = getattr(output, "shape", None) or "several of them"
        raise BundleError(f"The network's output must be one row of numbers per image, not {shape}.")
    return Anatomy(int(output.shape[1]), tuple(called), last if called.count(last) == 1 else None)


def take_off_activation(anatomy: Anatomy, expected: str) -> bool:
    """Makes the network give logits, by a linear activation in its last layer.

    Args:
        expected: `sigmoid` or `softmax`, as the bundle says. A layer that is linear already stays as it is.

    Returns:
        Whether the network now gives logits; False if its activation cannot be told apart from the rest.

    Raises:
        BundleError: the network's last activation is another one.
    """
    last: Any = anatomy.last
    if isinstance(last, keras.layers.Softmax):
        name: str = "softmax"
        last.call = lambda inputs, **_: inputs
    elif hasattr(last, "activation"):
        name = last.activation.__name__
        last.activation = keras.activations.linear
    else:
        return False
    if name not in (expected, "linear"):
        raise BundleError(f"activation: the bundle says {expected}, but the network ends in {name}.")
    return True


def set_precision(network: Any, anatomy: Anatomy, precision: Precision) -> None:
    """Lets every layer compute in `precision`, its weights in float32; the layers that make the logits stay float32.

    A saved network carries its layers' precision with it, so the policy is set on the loaded layers themselves.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    for layer in inner_layers(network):
        layer.dtype_policy = policy
    for layer in reversed(anatomy.called):
        layer.dtype_policy = "float32"
        if layer.weights:
            break


def narrow_weights(network: Any) -> None:
    """Keeps in bfloat16, for good, the weights that `set_precision` has made the network use in bfloat16 only.

    Not a number changes: else Keras converts all of them in every call, which is a third of the time of one image, and
    holds them in twice the memory. What a layer uses in float32, such as what a batch normalisation knows, stays.
    """
    layers = inner_layers(network)
    exact = {id(weight) for layer in layers if layer.compute_dtype == "float32" for weight in layer.variables}
    for weight in {id(weight): weight for layer in layers for weight in layer.variables}.values():
        if weight._autocast and weight.dtype == "float32" and id(weight) not in exact:
            weight._value = engine.narrowed(weight.value)  # Keras has no other way to it
