"""Loads weights from a file: a legacy `.h5` into layers of the same name, a Keras 3 `.weights.h5` into a whole
backbone.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from inspectd.errors import DataError


@dataclass(frozen=True)
class Loaded:
    """The result of loading: layers with weights from the file, layers left unchanged, and unused names."""

    taken: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"weights for {_span(self.taken)}; not in the file: {_span(self.left)}"
        if not self.left:
            text = f"weights for all {len(self.taken)} layers that have any"
        return text + (f"; unused: {_span(self.unused)}" if self.unused else "")


def is_whole(path: Path) -> bool:
    """Whether a file is a Keras 3 `.weights.h5`, which follows a network's structure and fits only the whole network.

    Raises:
        DataError: the file is not HDF5.
    """
    try:
        with h5py.File(path) as file:
            return "layer_names" not in file.get("model_weights", file).attrs and "layers" in file
    except OSError as error:
        raise DataError(f"--weights {path}: it cannot be read as a Keras `.h5` file ({error}).") from error


def load_whole(backbone: Any, path: Path) -> Loaded:
    """Fills a whole backbone, without its top, from a Keras 3 `.weights.h5` file.

    Raises:
        DataError: the file belongs to another network.
    """
    try:
        with warnings.catch_warnings():
            # Keras looks for layers in two places and warns about the one that older files lack.
            warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"--weights {path}: these are not the weights of the whole {backbone.name} without its top: {reason[:200]}"
        ) from error
    return Loaded(tuple(layer.name for layer in backbone.layers if layer.weights), (), ())


def load_weights_by_name(network: Any, path: Path) -> Loaded:
    """Fills layers from a Keras `.h5` weights file, which holds the weights by layer name.

    Raises:
        DataError: the file is of another kind, holds nothing for this network, or a layer's weights have another shape.
    """
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            stored = {_text(name): _arrays(root[_text(name)]) for name in root.attrs["layer_names"]}
    except (OSError, KeyError) as error:
        raise DataError(
            f"--weights {path}: it does not hold Keras weights by layer name ({error}). Give a legacy `.h5` file."
        ) from error
    stored = {name: arrays for name, arrays in stored.items() if arrays}
    layers = {layer.name: layer for layer in network.layers if layer.weights}
    taken = [name for name in layers if name in stored]
    if not taken:
        raise DataError(f"--weights {path}: it holds {_span(tuple(stored))}, none of which is in this network.")
    for name in taken:
        wanted = [tuple(weight.shape) for weight in layers[name].weights]
        given = [array.shape for array in stored[name]]
        if wanted != given:
            raise DataError(f"--weights {path}: {name} has shapes {given}, but this network needs {wanted}.")
    for name in taken:
        layers[name].set_weights(stored[name])
    left = tuple(name for name in layers if name not in stored)
    return Loaded(tuple(taken), left, tuple(name for name in stored if name not in layers))


def _arrays(group: Any) -> list[Any]:
    return [group[_text(name)][()] for name in group.attrs["weight_names"]]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _span(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "none"
