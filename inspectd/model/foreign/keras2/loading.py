"""Opens a network that Keras 2 saved: translates its description, has Keras 3 build it, and fills in the weights."""

import re
from typing import Any

from inspectd.errors import BundleError
from inspectd.model.engine.backend import keras
from inspectd.model.foreign.keras2.graph import translate_network
from inspectd.model.foreign.keras2.layers import WAY_OUT
from inspectd.model.foreign.keras2.weights import fill
from inspectd.model.modelfile import ModelFile
from inspectd.model.surgery import TOO_LARGE, first_cause, is_shortage

_COLOURS = re.compile(r"\x1b\[\d*m")  # of terminals, in Keras's messages


def load_keras2(file: ModelFile) -> Any:
    """The network as a Keras 3 model that computes the same as in Keras 2.

    Raises:
        BundleError: part of it has no counterpart in Keras 3, or a weight is missing.
    """
    entry: Any = file.entry
    try:
        network = _built(_translated(entry))
        with file.weights() as weights:
            fill(network, entry, weights)
    except BundleError as error:
        raise BundleError(f"{file.path} was saved by Keras 2, and {error}") from error
    return network


def _translated(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        return translate_network(entry)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"its description of the network is damaged ({type(error).__name__}: {error}). Save it again, or copy it "
            "again."
        ) from error


def _built(entry: dict[str, Any]) -> Any:
    try:
        return keras.saving.deserialize_keras_object(entry, safe_mode=True)
    except Exception as error:  # Keras raises any exception
        first = first_cause(error)
        if is_shortage(first):
            raise BundleError(f"it {TOO_LARGE}") from error
        reason = " ".join(_COLOURS.sub("", str(first)).split())[:300]
        raise BundleError(f"Keras 3 cannot build it ({type(first).__name__}: {reason}). {WAY_OUT}") from error
