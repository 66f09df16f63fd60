"""Opening a saved network: its layers found, its last activation taken off, its precision set.

All of it acts on a live Keras model of any make (flat, nested, Sequential, subclassed), because it asks which layers
are called and in which order, never how the model was put together. Nothing here decides anything about images.
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
        shape: That of its output (n, …); empty where the output is not one tensor.
    """

    node: Any
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Anatomy:
    """What one pass through a network showed.

    Attributes:
        units: Number of outputs.
        calls: Those of its layers and operators at any depth, in the order in which they finished. Networks nested in
            it are left out, because what they are made of is listed.
        last: The layer whose very output is the network's, called once; None if something follows it. Of several that
            hand it on unchanged, the first with an activation.
    """

    units: int
    calls: tuple[LayerCall, ...]
    last: Any | None

    @property
    def called(self) -> tuple[Any, ...]:
        """The layers, in the order in which they finished."""
        return tuple(each.node for each in self.calls if isinstance(each.node, keras.layers.Layer))


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
                f"{path} needs {found[1]}, which Keras does not bring and no code of which is run. Build the network "
                "from Keras's own layers."
            ) from error
        raise BundleError(
            f"{path} cannot be loaded by Keras {keras.__version__} ({type(first).__name__}: {reason[:300]}). Save it "
            "again with `model.save('model.keras')`, or copy it again."
        ) from error


def is_shortage(error: BaseException) -> bool:
    """Whether it was memory that a network could not be built with."""
    return isinstance(error, MemoryError) or _SHORTAGE.search(str(error)) is not None


def first_cause(error: BaseException) -> BaseException:
    """The error that all others followed from."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def inner_layers(network: Any) -> list[Any]:
    """Every layer at any depth, each once, those of a nested network after it.

    The order is that in which they were put together. In which they compute, only `examine` knows.
    """
    found: dict[int, Any] = {}
    for layer in _direct(network):
        for each in (layer, *inner_layers(layer)):
            found.setdefault(id(each), each)
    return list(found.values())


def parts(network: Any) -> list[Any]:
    """What a network computes with: its layers and the operators of its graph, and those of networks nested in it.

    What a layer is made of within (the projections of an attention, what a wrapper wraps) is not among them.
    """
    found: dict[int, Any] = {}
    operators = [each for each in getattr(network, "operations", ()) if not isinstance(each, keras.layers.Layer)]
    for each in (*_direct(network), *operators):
        for part in parts(each) if isinstance(each, keras.Model) else (each,):
            found.setdefault(id(part), part)
    return list(found.values())


def _direct(layer: Any) -> list[Any]:
    # Never with `recursive`: that turns the order of inner layers around.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def has_learned(node: Any) -> bool:
    """Whether a layer or operator has weights that training gives; what a Normalization knows of pixels is none."""
    return bool(getattr(node, "weights", ())) and not isinstance(node, keras.layers.Normalization)


def nodes_named(network: Any, name: str) -> list[Any]:
    """The layers of this name at any depth; if there is none, the operators of this name."""
    layers = [layer for layer in inner_layers(network) if layer.name == name]
    return layers or [part for part in parts(network) if part.name == name]


def layer_named(network: Any, name: str) -> Any:
    """The layer called `name`, at any depth, or the operator.

    Raises:
        BundleError: there is none, or more than one.
    """
    found = nodes_named(network, name)
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
    """Every layer and operator that is not itself a network of others."""
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
        for each in (layer, *inner_layers(layer)):
            each.dtype_policy = "float32"
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
