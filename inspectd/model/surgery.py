"""Opens a saved network, finds its layers, removes its last activation and sets its precision.

The functions work on any Keras model (flat, nested, Sequential, subclassed): they look at which layers are called and
in which order, not at how the model was built. Nothing here decides anything about images.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspectd.domain import Precision
from inspectd.errors import BundleError
from inspectd.model.engine import engine
from inspectd.model.engine.backend import keras
from inspectd.model.engine.observing import observed

_UNKNOWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown layer:) '([^']+)'")

TOO_LARGE = (
    "describes a network that needs more memory than this machine has free. Import it on a larger one, or copy it "
    "again if it should not be that large."
)
_SHORTAGE = re.compile("ResourceExhausted|RESOURCE_EXHAUSTED|OOM when allocating")  # of TensorFlow and of JAX


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer, or of an operator of the graph, such as an addition.

    Attributes:
        node: The layer or operator.
        shape: The shape of its output (n, …); empty if the output is not a single tensor.
    """

    node: Any
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Anatomy:
    """The observations of one pass through a network.

    Attributes:
        units: The number of outputs.
        calls: The calls of its layers and operators at any depth, in the order in which they finished. Nested networks
            are left out, because their layers are listed.
        last: The layer whose output is the network's output, called once; None if other operations follow it. If
            later layers pass that output on unchanged, the first with an activation.
    """

    units: int
    calls: tuple[LayerCall, ...]
    last: Any | None

    @property
    def called(self) -> tuple[Any, ...]:
        """The layers, in the order in which they finished."""
        return tuple(each.node for each in self.calls if isinstance(each.node, keras.layers.Layer))


def load_network(path: Path) -> Any:
    """Loads `model.keras` without running any code from the file.

    Raises:
        BundleError: the file is not a Keras model, or holds code (a Lambda layer) or classes unknown here.
    """
    with loading(path):
        return keras.saving.load_model(path, compile=False, safe_mode=True)


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Turns Keras's errors on loading a file into sentences.

    Raises:
        BundleError: see `load_network`.
    """
    try:
        yield
    except Exception as error:  # Keras raises any exception, and appends the whole configuration
        first = first_cause(error)
        reason = " ".join(str(first).split())
        if "lambda" in reason and "arbitrary code" in reason:
            raise BundleError(
                f"{path} holds a Lambda layer, which would run code from the file. Build the network from Keras's own "
                "layers."
            ) from error
        if "safe_mode" in reason:
            raise BundleError(
                f"{path} holds a part that Keras does not load from a file, because that can run code or read other "
                f"files ({reason[:200]}). Build the network without it."
            ) from error
        if is_shortage(first):
            raise BundleError(f"{path} {TOO_LARGE}") from error
        if found := _UNKNOWN.match(reason):
            raise BundleError(
                f"{path} needs {found[1]}, which is not part of Keras, and inspectd runs no code from files. Build "
                "the network from Keras's own layers."
            ) from error
        raise BundleError(
            f"{path} cannot be loaded by Keras {keras.__version__} ({type(first).__name__}: {reason[:300]}). Save it "
            "again with `model.save('model.keras')`, or copy it again."
        ) from error


def is_shortage(error: BaseException) -> bool:
    """Whether the error means that memory did not suffice to build the network."""
    return isinstance(error, MemoryError) or _SHORTAGE.search(str(error)) is not None


def first_cause(error: BaseException) -> BaseException:
    """The first error of the chain."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def inner_layers(network: Any) -> list[Any]:
    """Every layer at any depth, each once; the layers of a nested network follow it.

    The order is that of building. `examine` gives the order of computation.
    """
    found: dict[int, Any] = {}
    for layer in _direct(network):
        for each in (layer, *inner_layers(layer)):
            found.setdefault(id(each), each)
    return list(found.values())


def parts(network: Any) -> list[Any]:
    """The layers and graph operators of a network and of the networks nested in it.

    The inner parts of a layer (the projections of an attention, a wrapped layer) are not included.
    """
    found: dict[int, Any] = {}
    operators = [each for each in getattr(network, "operations", ()) if not isinstance(each, keras.layers.Layer)]
    for each in (*_direct(network), *operators):
        for part in parts(each) if isinstance(each, keras.Model) else (each,):
            found.setdefault(id(part), part)
    return list(found.values())


def _direct(layer: Any) -> list[Any]:
    # Never with `recursive`, which reverses the order of inner layers.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def has_learned(node: Any) -> bool:
    """Whether a layer or operator has trained weights; the pixel statistics of a Normalization do not count."""
    return bool(getattr(node, "weights", ())) and not isinstance(node, keras.layers.Normalization)


def nodes_named(network: Any, name: str) -> list[Any]:
    """The layers of this name at any depth; if there is none, the operators of this name."""
    layers = [layer for layer in inner_layers(network) if layer.name == name]
    return layers or [part for part in parts(network) if part.name == name]


def layer_named(network: Any, name: str) -> Any:
    """The layer or operator of this name, at any depth.

    Raises:
        BundleError: there is no such layer, or more than one.
    """
    found = nodes_named(network, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise BundleError(f"layer: {name} is the name of {len(found)} layers. Give the target layer a name of its own.")
    names = ", ".join(layer.name for layer in inner_layers(network)[-12:])
    raise BundleError(f"layer: the network has no layer {name}. Its last ones are {names}.")


def examine(network: Any, shape: tuple[int, int, int]) -> Anatomy:
    """Traces one pass over an input (h, w, c) without computing.

    Raises:
        BundleError: the network expects another input, or its output is not one row of numbers per image.
    """
    calls: list[tuple[Any, Any]] = []

    def record(node: Any) -> Callable[[Any], Any]:
        def recorded(output: Any) -> Any:
            calls.append((node, output))
            return output

        return recorded

    def trace(pixels: Any) -> Any:
        anatomy.append(_anatomy(network(pixels, training=False), calls))

    anatomy: list[Anatomy] = []
    with ExitStack() as stack:
        for node in _computing(network):
            stack.enter_context(observed(node, record(node)))
        try:
            engine.trace(trace, shape)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise BundleError(f"preparation: the network does not take an input of {shape}: {reason}") from error
    return anatomy[0]


def _computing(network: Any) -> Iterator[Any]:
    """Every layer and operator that is not itself a network."""
    layers = [layer for layer in inner_layers(network) if not (isinstance(layer, keras.Model) and _direct(layer))]
    yield from {id(node): node for node in (*layers, *parts(network))}.values()


def _anatomy(output: Any, calls: list[tuple[Any, Any]]) -> Anatomy:
    if not hasattr(output, "shape") or len(output.shape) != 2 or output.shape[1] is None:
        shape = getattr(output, "shape", None) or "several of them"
        raise BundleError(f"The network's output must be one row of numbers per image, not {shape}.")
    listed = tuple(LayerCall(node, tuple(getattr(seen, "shape", None) or ())) for node, seen in calls)
    ends = [node for node, seen in calls if seen is output and isinstance(node, keras.layers.Layer)]
    activating = (each for each in ends if hasattr(each, "activation") or isinstance(each, keras.layers.Softmax))
    last = next(activating, ends[0] if ends else None)
    once = sum(each.node is last for each in listed) == 1
    return Anatomy(int(output.shape[1]), listed, last if once else None)


def take_off_activation(anatomy: Anatomy, expected: str) -> bool:
    """Makes the network return logits by giving its last layer a linear activation.

    Args:
        expected: `sigmoid` or `softmax`, from the bundle. A layer that is already linear stays unchanged.

    Returns:
        Whether the network now returns logits; False if its activation cannot be separated from the rest.

    Raises:
        BundleError: the network ends in another activation.
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
    """Makes every layer compute in `precision` with float32 weights; the layers that compute the logits stay in
    float32.

    A saved network carries the precision of each layer, so the policy is set on the loaded layers.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    for layer in inner_layers(network):
        layer.dtype_policy = policy
    for layer in reversed(anatomy.called):
        for each in (layer, *inner_layers(layer)):
            each.dtype_policy = "float32"
        if layer.weights:
            break


def narrow_weights(network: Any) -> None:
    """Converts the weights that the network uses only in bfloat16 (see `set_precision`) to bfloat16.

    No result changes. Without this, Keras converts all weights in every call, a third of the time of one image, and
    holds twice the memory. Weights that a layer uses in float32, such as those of a batch normalisation, stay float32.
    """
    layers = inner_layers(network)
    exact = {id(weight) for layer in layers if layer.compute_dtype == "float32" for weight in layer.variables}
    for weight in {id(weight): weight for layer in layers for weight in layer.variables}.values():
        if weight._autocast and weight.dtype == "float32" and id(weight) not in exact:
            weight._value = engine.narrowed(weight.value)  # Keras offers no public way
