"""Builds the network of a training, fills it with weights, and chooses the layers to train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspectd.errors import DataError
from inspectd.model.engine.backend import keras
from inspectd.model.networks import add_head, open_backbone
from inspectd.model.weights import is_whole, load_weights_by_name, load_whole
from inspectd.training.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """A network before its training.

    Attributes:
        origin: The origin of its weights, for people.
        filled: The layers with weights from an earlier training.
    """

    network: Any
    origin: str
    filled: frozenset[str]


def start(recipe: Recipe, classes: int) -> Start:
    """Builds the recipe's network for a number of classes.

    Raises:
        DataError: it cannot be built, or the weights are not available or do not fit.
    """
    if recipe.weights not in ("imagenet", "none") and not Path(recipe.weights).is_file():
        raise DataError(
            f"--weights {recipe.weights}: this file does not exist. Give imagenet, none or a Keras `.h5` file."
        )
    backbone = open_backbone(recipe.backbone, recipe.preparation, imagenet=recipe.weights == "imagenet")
    if recipe.weights in ("imagenet", "none"):
        network = add_head(backbone, recipe.cut, recipe.head, classes)
        filled = frozenset(layer.name for layer in backbone.layers) if recipe.weights == "imagenet" else frozenset()
        started = Start(network, "weights of ImageNet" if filled else "random weights", filled)
    else:
        file = Path(recipe.weights)
        whole = load_whole(backbone, file) if is_whole(file) else None
        network = add_head(backbone, recipe.cut, recipe.head, classes)
        loaded = whole or load_weights_by_name(network, file)
        started = Start(network, str(loaded), frozenset(loaded.taken))
    _hold_still(started, recipe.train_from, settled=recipe.head_epochs > 0)
    return started


def _hold_still(started: Start, first: str | None, settled: bool) -> None:
    """Makes only the layers from `first` on trainable (None: all).

    Args:
        settled: Whether batch normalisation keeps its statistics: a head trained on features under these statistics
            would otherwise get other features.

    Raises:
        DataError: there is no such layer.
    """
    names = [layer.name for layer in started.network.layers]
    if first is not None and first not in names:
        raise DataError(f"train_from: {first}: the network has no such layer. It has {', '.join(names[1:])}.")
    begin = 0 if first is None else names.index(first)
    for index, layer in enumerate(started.network.layers):
        normalises = isinstance(layer, keras.layers.BatchNormalization) and layer.name in started.filled
        layer.trainable = index >= begin and not (settled and normalises)
