"""Puts the weights of a Keras 2 file into the translated network.

Both layouts follow the order of the layers in the file's description. `.h5` has a group for each outermost layer, and
holds the weights of an inner network one after the other, trained ones first. `.keras` has a group for
each layer at every depth, named by its class. Every array must fit its weight and every weight must get an
array; otherwise the network is refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np

from inspectd.errors import BundleError
from inspectd.model.foreign.keras2.graph import layers_of, name_of, new_names
from inspectd.model.foreign.keras2.layers import Json, class_of

_STATES = ("StateVar", "Variable", "seed_generator_state")


@dataclass(frozen=True)
class Leaf:
    """A layer that is not a network.

    Attributes:
        layer: The layer of Keras 3.
        outermost: The number of the outermost layer that holds it.
        group: The group of a `.keras` file with its weights.
    """

    layer: Any
    outermost: int
    group: str


@dataclass(frozen=True)
class Array:
    """An array in the file, not read yet.

    Attributes:
        name: The name of its weight, such as `kernel`; None if the file does not tell.
        data: The HDF5 data set.
    """

    name: str | None
    data: Any

    def fits(self, weight: Any) -> bool:
        """Whether a weight has the same shape and name, if both have one: `depthwise_kernel` counts as `kernel`."""
        name = re.sub(r"_\d+$", "", self.name or "Variable")
        unnamed = name == "Variable" or weight.name.startswith("variable")
        return tuple(self.data.shape) == tuple(weight.shape) and (unnamed or name.endswith(weight.name))

    def is_random_state(self) -> bool:
        """Whether it is the state of a random generator, which Keras 2 keeps among the weights."""
        return self.name is not None and self.name.startswith(_STATES) and np.issubdtype(self.data.dtype, np.integer)


def fill(network: Any, entry: Json, file: Any) -> None:
    """Puts the weights of an open HDF5 file (an `.h5` with the whole model, or a `.keras`'s weights) into a network.

    Args:
        network: The Keras 3 network that `translate_network` made from `entry`.
        entry: The network as the file describes it.

    Raises:
        BundleError: arrays and weights do not match one to one.
    """
    leaves = list(_leaves(network, entry))
    filled: set[int] = set()
    for name, weights, arrays in _outermost(leaves, file) if "model_weights" in file else _single(leaves, file):
        _put(weights, arrays, name)
        filled.update(map(id, weights))
    if empty := [weight.path for weight in network.weights if id(weight) not in filled]:
        raise BundleError(f"it holds no weights for {', '.join(empty[:3])}. Save it again, or copy it again.")
    for leaf in leaves:
        if hasattr(leaf.layer, "finalize_state"):  # a Normalization derives values from its weights
            leaf.layer.finalize_state()


Match = tuple[str, Sequence[Any], Sequence[Array]]  # a layer's name, its weights, and the arrays that belong to them


def _outermost(leaves: Sequence[Leaf], file: Any) -> Iterator[Match]:
    """`.h5`: a group for each outermost layer that has weights, in the order of the layers, as Keras 2 reads it."""
    inside: dict[int, list[Any]] = {}
    for leaf in leaves:
        if leaf.layer.weights:
            inside.setdefault(leaf.outermost, []).append(leaf.layer)
    root = file["model_weights"]
    groups = [(name, _arrays(root[name])) for name in _texts(root.attrs, "layer_names")]
    groups = [(name, arrays) for name, arrays in groups if arrays]
    if len(groups) != len(inside):
        raise BundleError(
            f"it holds weights of {len(groups)} layers, and the network has {len(inside)} with weights. Save it again, "
            "or copy it again."
        )
    for (name, arrays), layers in zip(groups, inside.values(), strict=True):
        trained = [weight for layer in layers for weight in layer.trainable_weights]
        others = [weight for layer in layers for weight in layer.non_trainable_weights]
        yield name, trained + others, arrays


def _arrays(group: Any) -> list[Array]:
    names = _texts(group.attrs, "weight_names")
    arrays = [Array(each.split("/")[-1].split(":")[0], group[each]) for each in names]
    return [each for each in arrays if not each.is_random_state()]


def _single(leaves: Sequence[Leaf], file: Any) -> Iterator[Match]:
    """`.keras`: a group for each layer at every depth, named by its class."""
    groups: dict[str, dict[int, Any]] = {}

    def visit(path: str, found: Any) -> None:
        group, _, number = path.replace("\\", "/").rpartition("/vars/")  # Windows wrote its own separator
        if isinstance(found, h5py.Dataset) and number.isdigit():
            groups.setdefault(group.replace("_layer_checkpoint_dependencies", "layers"), {})[int(number)] = found

    file.visititems(visit)
    for leaf in leaves:
        if not leaf.layer.weights:
            continue
        found = [arrays for group, arrays in groups.items() if f"{group}/".startswith(f"{leaf.group}/")]
        if len(found) > 1:
            raise BundleError(
                f"the weights of its layer {leaf.layer.name} lie in {len(found)} groups, in an order that it does not "
                "tell. Save the network with `model.save('model.h5')`, which tells it."
            )
        arrays = found[0] if found else {}
        yield leaf.layer.name, leaf.layer.weights, [Array(None, arrays[number]) for number in sorted(arrays)]


def _leaves(network: Any, entry: Json, outermost: int | None = None, group: str = "") -> Iterator[Leaf]:
    """The layers of a network at every depth in the order of the file, operators left out."""
    layers = layers_of(entry) or []
    names = new_names(layers)
    live = {layer.name: layer for layer in network.layers}
    used: dict[str, int] = {}
    for index, each in enumerate(layers):
        kind = _snake_case(class_of(each))
        number = used[kind] = used.get(kind, -1) + 1
        place = f"{group}layers/{kind}{f'_{number}' if number else ''}"
        top = index if outermost is None else outermost
        layer = live.get(names[name_of(each)])
        if layer is not None and layers_of(each) is not None:
            yield from _leaves(layer, each, top, f"{place}/")
        elif layer is not None:
            yield Leaf(layer, top, place)


def _snake_case(name: str) -> str:
    """The name of a class as Keras 2 names groups in a `.keras` file."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _texts(attributes: Any, name: str) -> list[str]:
    """A list of names; Keras splits long lists into `name0`, `name1`, …"""
    pieces = [name] if name in attributes else takewhile(attributes.__contains__, (f"{name}{i}" for i in count()))
    found = [text for piece in pieces for text in attributes[piece]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in found]


def _put(weights: Sequence[Any], arrays: Sequence[Array], name: str) -> None:
    wanted = [(weight.name, tuple(weight.shape)) for weight in weights]
    given = [(array.name, tuple(array.data.shape)) for array in arrays]
    fits = [a.fits(weight) for a, weight in zip(arrays, weights, strict=False)]
    if len(wanted) != len(given) or not all(fits):
        at = fits.index(False) if False in fits else min(len(wanted), len(given))
        raise BundleError(
            f"the weights of its layer {name} do not fit: of {len(given)} the file's number {at + 1} is "
            f"{_words(given, at)}, and of {len(wanted)} the network's is {_words(wanted, at)}. Save it again, or copy "
            "it again."
        )
    for weight, array in zip(weights, arrays, strict=True):
        weight.assign(array.data[()])


def _words(weights: Sequence[tuple[str | None, tuple[int, ...]]], at: int) -> str:
    if at >= len(weights):
        return "missing"
    name, shape = weights[at]
    return f"{name or 'an array'} of {'×'.join(map(str, shape)) or 'one number'}"
