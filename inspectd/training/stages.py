"""Builds the stages of a recipe: the head on cached features, then the network."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Precision
from inspectd.model.engine.backend import keras
from inspectd.model.engine.on_tensorflow import tf
from inspectd.model.networks import FEATURES
from inspectd.model.surgery import Anatomy, set_precision
from inspectd.training.batches import Batches, as_they_are, images
from inspectd.training.learn import Stage, Witness
from inspectd.training.recipe import Recipe

CACHED = 3_000_000_000  # bytes of features, at most, unless a single view of the images takes more

View = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Material:
    """The data of a training.

    Attributes:
        pixels: uint8 (n, height, width, 3), prepared.
        answers, weights: float32 (n, units) and (n,).
        training, validation: The indices of their images.
    """

    pixels: NDArray[np.uint8]
    answers: NDArray[np.float32]
    weights: NDArray[np.float32]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]


@contextmanager
def learning(network: Any, anatomy: Anatomy, precision: Precision) -> Iterator[None]:
    """Within this context the network returns logits and computes in `precision`; afterwards it is as it will be saved.

    The loss of a saturated probability would have no gradient.
    """
    decision = network.layers[-1]
    activation, decision.activation = decision.activation, keras.activations.linear
    set_precision(network, anatomy, precision)
    try:
        yield
    finally:
        set_precision(network, anatomy, "float32")
        decision.activation = activation
        for layer in network.layers:
            layer.trainable = True


def stages(network: Any, material: Material, recipe: Recipe, witness: Witness) -> list[Callable[[], Stage]]:
    """The recipe's stages in order; each is created when its turn comes."""
    wanted: list[Callable[[], Stage]] = []
    if recipe.head_epochs:
        wanted.append(lambda: _head(network, material, recipe, witness))
    if recipe.epochs:
        wanted.append(lambda: _whole(network, material, recipe))
    return wanted


def _whole(network: Any, material: Material, recipe: Recipe) -> Stage:
    batches = _batches(material.pixels, material, images(recipe), recipe.seed)
    # A separate model, so that `network` is saved without the optimizer's state.
    model = keras.Model(network.inputs, network.outputs)
    return Stage("epoch", model, *batches, recipe.epochs, recipe.rate, recipe.schedule)


def _head(network: Any, material: Material, recipe: Recipe, witness: Witness) -> Stage:
    """The stage of the head: the layers from its first weights on, fed with the cached features of each image."""
    layers = network.layers
    first = next(index for index, layer in enumerate(layers) if layer.name in ("hidden", FEATURES, "decision"))
    below = layers[first].input
    seen = _views(recipe, len(material.pixels) * math.prod(below.shape[1:]))
    features = _features(keras.Model(network.inputs, below), material, recipe, seen, witness)
    above = keras.Model(below, network.outputs)
    viewed = replace(
        material,
        answers=np.tile(material.answers, (len(seen), 1)),
        weights=np.tile(material.weights, len(seen)),
        training=np.concatenate([material.training + view * len(material.pixels) for view in range(len(seen))]),
    )
    batches = _batches(features, viewed, as_they_are, recipe.seed)
    return Stage("head's epoch", above, *batches, recipe.head_epochs, recipe.head_rate, "constant")


def _views(recipe: Recipe, size: int) -> list[View]:
    """The views of an image whose features are cached: the image, then mirrored and turned ones if the memory allows.

    Args:
        size: The number of feature values of all images.
    """
    views: list[View] = [lambda images: images]
    if recipe.flips:
        views += [lambda images: images[:, ::-1], lambda images: images[:, :, ::-1]]
    if recipe.rotations:
        views += [lambda images: images[:, ::-1, ::-1]]
    return views[: max(1, CACHED // (2 * size))]


def _batches(inputs: NDArray[Any], material: Material, feed: Any, seed: int) -> tuple[Batches, Batches]:
    answers, weights = material.answers, material.weights
    return (
        Batches(inputs, answers, weights, material.training, feed, seed),
        Batches(inputs, answers, weights, material.validation, feed),
    )


def _features(
    below: Any, material: Material, recipe: Recipe, views: list[View], witness: Witness
) -> NDArray[np.float16]:
    """The features below the head of every image, view after view, in inference mode, float16 (views · n, …)."""
    run = tf.function(lambda pixels: tf.cast(below(pixels, training=False), tf.float16))
    everything = np.arange(len(material.pixels))
    found: list[NDArray[np.float16]] = []
    for view in views:
        pixels = view(material.pixels)
        batches = Batches(pixels, material.answers, material.weights, everything, images(recipe))
        batches.begin(0, 1)
        for index in range(len(batches)):
            found.append(run(batches[index][0]).numpy())
            witness.progress("features", len(found), len(views) * len(batches))
    return np.concatenate(found)
