"""Loads whole models that Keras 3 saved as `.h5`, which Keras's own loader cannot always read.

That loader looks for every class among Keras's layers. But operators of the graph (`x / 127.5 - 1`) and layers of a
single application are in other modules, and it takes an operator called `Add` for the layer of that name. This module
adds the module name to every class of Keras, as in a `.keras` file, and lets Keras read the result.
"""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from inspectd.model.engine.backend import keras
from inspectd.model.foreign.keras2.layers import LAYERS, MODULES, Json
from inspectd.model.modelfile import ModelFile
from inspectd.model.surgery import loading

PLACES = {"Functional": "keras.src.models.functional", "Sequential": "keras", **MODULES}
OPERATORS = tuple(f"keras.src.ops.{part}" for part in ("numpy", "nn", "core", "math", "image", "linalg", "einops"))


def load_hdf5(file: ModelFile) -> Any:
    """The network of an `.h5` file of Keras 3, whatever the file is called.

    Raises:
        BundleError: Keras cannot load it, or it holds code or classes unknown here.
    """
    with tempfile.TemporaryDirectory(prefix="inspectd-") as folder, loading(file.path):
        network = keras.saving.deserialize_keras_object(_described(file.entry), safe_mode=True)
        link = Path(folder) / "model.h5"  # Keras decides by the file extension
        link.symlink_to(file.path.resolve())
        network.load_weights(link)
        return network


def _described(value: Any) -> Any:
    """The description with module names for all networks, layers and operators of Keras, at every depth."""
    if isinstance(value, list):
        return [_described(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _described(each) for key, each in value.items()}
    if "module" not in found and isinstance(found.get("config"), dict) and (module := _module(found)):
        found |= {"module": module, "registered_name": None}
    return found


def _module(part: Json) -> str | None:
    """The module of a class of network, layer or operator; None if it is not part of Keras."""
    kind = str(part.get("class_name"))
    if kind in PLACES:
        return PLACES[kind]
    if "trainable" in part["config"]:  # every layer says so, and no operator does
        return LAYERS if hasattr(keras.layers, kind) else None
    return next((each for each in OPERATORS if _is_operator(each, kind)), None) if "inbound_nodes" in part else None


def _is_operator(module: str, kind: str) -> bool:
    found = getattr(import_module(module), kind, None)
    return isinstance(found, type) and issubclass(found, keras.Operation) and found.__module__ == module
