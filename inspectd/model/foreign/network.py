"""Loads networks that were made elsewhere: `.keras` files, legacy whole-model `.h5`, and the article's weights-only
`.h5`.

No code from a file is run. Weights are matched by their order and shapes, because Keras names layers
differently in each session (`dense`, `dense_1`, …) and files of Keras 2 and Keras 3 are laid out differently.
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import h5py  # type: ignore[import-untyped]
import numpy as np

from inspectd.errors import BundleError, DataError
from inspectd.model.engine.backend import keras
from inspectd.model.foreign.fitting import fitted
from inspectd.model.foreign.hdf5 import load_hdf5
from inspectd.model.foreign.keras2.loading import load_keras2
from inspectd.model.modelfile import ModelFile, look_at, refuse_code
from inspectd.model.networks import build_network
from inspectd.model.spec import Preparation
from inspectd.model.surgery import Anatomy, load_network, loading

Architecture = Literal["article"]

ARTICLE_UNITS = 2
ARTICLE_SIDE = 224  # pixels
_ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of weights in files of Keras 3, without the optimizer's


def read_network(path: Path, architecture: Architecture | None, size: tuple[int, int] | None) -> Any:
    """The network in a file, ending in its activation.

    Args:
        architecture: The network of a file that holds only weights.
        size: Width and height of that network's input; None for the article's 224×224.

    Raises:
        DataError: the file is of another kind, or its weights belong to another network.
        BundleError: Keras cannot load it, or it holds code (a Lambda layer).
    """
    file = look_at(path)
    if file.entry and architecture:
        raise DataError(f"{path} holds a whole model, with its architecture. Leave out --architecture.")
    if file.entry:
        refuse_code(file)
        return fitted(_loaded(file), path)
    if not architecture:
        raise DataError(
            f"{path} holds weights only, without the network that they belong to. Give --architecture article if they "
            "are of the article's network; else build yours, load them into it, and save it with "
            "`model.save('model.keras')`."
        )
    to = Preparation(*(size or (ARTICLE_SIDE, ARTICLE_SIDE)))
    network = build_network("vgg16", None, "flatten", ARTICLE_UNITS, to)
    _fill(network, file)
    return network


def activation_of(network: Any, anatomy: Anatomy) -> Literal["softmax", "sigmoid"]:
    """The meaning of a network's outputs, by its last activation; a linear one gives logits.

    Raises:
        BundleError: it is another activation, or not in a layer of its own.
    """
    softmax = isinstance(anatomy.last, keras.layers.Softmax)
    name = "softmax" if softmax else getattr(getattr(anatomy.last, "activation", None), "__name__", None)
    if name == "sigmoid" or (name == "linear" and anatomy.units == 1):
        return "sigmoid"
    if name in ("softmax", "linear") and anatomy.units > 1:
        return "softmax"
    if name == "softmax":
        raise BundleError("The network ends in a softmax over one output, which is always 1. Train it with a sigmoid.")
    what = f"ends in {name}" if name else f"does not end in a layer with an activation ({network.layers[-1].name})"
    raise BundleError(
        f"The network {what}. Its last layer must be a softmax, a sigmoid, or linear (logits): one output for each "
        "class, or a single one for two classes."
    )


def turn_around(anatomy: Anatomy) -> None:
    """Inverts a single output by negating the last layer's weights and bias: sigmoid(−z) = 1 − sigmoid(z).

    Raises:
        BundleError: the last layer is not a Dense layer.
    """
    last: Any = anatomy.last
    if type(last) is not keras.layers.Dense:
        raise BundleError(
            "The network's single output stands for the second class, which is OK, and cannot be inverted because its "
            "last layer is not a Dense layer. Train it with the defect as the second class."
        )
    last.set_weights([-array for array in last.get_weights()])


def _loaded(file: ModelFile) -> Any:
    """Loads the network of a file with a whole model."""
    if file.generation == 1:
        raise BundleError(
            f"{file.path} was saved by Keras 1. Load it with Keras 2.0 to 2.3, and save that with "
            "`model.save('model.h5')`."
        )
    if file.generation == 2:
        return load_keras2(file)
    if file.suffix == ".h5":
        return load_hdf5(file)
    if file.path.suffix == file.suffix:
        return load_network(file.path)
    with tempfile.TemporaryDirectory(prefix="inspectd-") as folder, loading(file.path):
        link = Path(folder) / f"model{file.suffix}"  # Keras goes by the ending
        link.symlink_to(file.path.resolve())
        return keras.saving.load_model(link, compile=False, safe_mode=True)


def _fill(network: Any, file: ModelFile) -> None:
    """Puts the weights of a file into a network of the same shapes in the same order."""
    path = file.path
    with file.weights() as weights:
        found = list(_legacy(weights) if "layer_names" in weights.attrs else _current(weights))
    wanted = [tuple(weight.shape) for weight in network.weights]
    given = [array.shape for array in found]
    if given != wanted:
        first = next((i for i, (a, b) in enumerate(zip(given, wanted, strict=False)) if a != b), None)
        where = (
            f"it holds {len(given)} arrays, and the network needs {len(wanted)}"
            if first is None
            else f"its array {first + 1} is {_shape(given[first])}, and the network needs {_shape(wanted[first])}"
        )
        raise DataError(
            f"{path} holds the weights of another network than the article's: {where}. Build yours, load them into it, "
            "and import what `model.save('model.keras')` writes."
        )
    network.set_weights(found)


def _legacy(file: Any) -> Iterator[Any]:
    """Keras 2: layers in their order, each with the names of its weights; a nested network is one layer."""
    for layer in file.attrs["layer_names"]:
        group = file[layer]
        for name in group.attrs["weight_names"]:
            yield group[name][()]


def _current(file: Any) -> list[Any]:
    """Keras 3: a group a layer, by names that sort by class; convolutions come before dense layers in our networks."""
    found: dict[str, dict[int, Any]] = {}

    def visit(name: str, entry: Any) -> None:
        folder, _, number = name.rpartition("/vars/")
        if folder.split("/")[0] in _ROOTS and number.isdigit() and np.issubdtype(entry.dtype, np.floating):
            found.setdefault(folder, {})[int(number)] = entry[()]

    file.visititems(lambda name, entry: visit(name, entry) if isinstance(entry, h5py.Dataset) else None)
    layers = [(folder, [arrays[number] for number in sorted(arrays)]) for folder, arrays in found.items()]
    layers.sort(key=lambda layer: (-layer[1][0].ndim, _natural(layer[0])))
    return [array for _, arrays in layers for array in arrays]


def _natural(name: str) -> list[tuple[str, int]]:
    """A sort key that puts `conv2d` before `conv2d_2` and `conv2d_2` before `conv2d_10`."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)]


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
