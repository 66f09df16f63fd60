"""What a network is fed with while it learns: batches of inputs and answers, in a new order each epoch.

Order and augmentation of an epoch follow from the seed and the epoch's number alone, so that a training which is
resumed goes on as it would have.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.model.engine.backend import keras
from inspectd.model.preparation import normalise
from inspectd.training.recipe import Recipe

Feed = Callable[[NDArray[Any], np.random.Generator | None], NDArray[np.float32]]


def augment(pixels: NDArray[np.uint8], rng: np.random.Generator, *, flips: bool, rotations: bool) -> NDArray[np.uint8]:
    """Images (n, h, w, c), each mirrored (either way) and turned (by 90°, or 180° if not square) at random.

    Pixels only change places: resampling would blur the very defects that are to be learned.
    """
    quarter = 1 if pixels.shape[1] == pixels.shape[2] else 2
    changed = np.empty_like(pixels)
    for index, original in enumerate(pixels):
        image = original
        if flips:
            image = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        if rotations:
            image = np.rot90(image, quarter * int(rng.integers(4)))
        changed[index] = image
    return changed


def images(recipe: Recipe) -> Feed:
    """Feeds prepared images: mirrored and turned as the recipe says while learning, then brought to the scale."""

    def feed(pixels: NDArray[Any], rng: np.random.Generator | None) -> NDArray[np.float32]:
        if rng is not None:
            pixels = augment(pixels, rng, flips=recipe.flips, rotations=recipe.rotations)
        return np.asarray(normalise(pixels.astype(np.float32), recipe.preparation))

    return feed


def as_they_are(inputs: NDArray[Any], _: np.random.Generator | None) -> NDArray[np.float32]:
    """Feeds what is a network's input already."""
    return inputs


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras ships no types
    """Batches of (inputs, answers, weights)."""

    def __init__(
        self,
        inputs: NDArray[Any],
        answers: NDArray[np.float32],
        weights: NDArray[np.float32],
        chosen: NDArray[np.int64],
        feed: Feed,
        seed: int | None = None,
    ) -> None:
        """Those rows of `inputs` (n, …), `answers` (n, units) and `weights` (n,) that are `chosen` (indices).

        Args:
            feed: Makes the network's input of some rows.
            seed: Shuffles, and gives `feed` a generator; None: neither, as for validation.
        """
        super().__init__()
        self.inputs, self.answers, self.weights = inputs, answers, weights
        self.chosen, self.feed, self.seed = chosen, feed, seed
        self.begin(0, 1)

    def begin(self, epoch: int, batch: int) -> None:
        """Lays out an epoch (from 0) in batches of a size."""
        self.epoch, self.batch = epoch, batch
        self.order = self.chosen
        if self.seed is not None:
            self.order = np.random.default_rng([self.seed, epoch]).permutation(self.chosen)

    def __len__(self) -> int:
        return math.ceil(len(self.chosen) / self.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        members = self.order[index * self.batch : (index + 1) * self.batch]
        rng = None if self.seed is None else np.random.default_rng([self.seed, self.epoch, index])
        return self.feed(self.inputs[members], rng), self.answers[members], self.weights[members]


def class_weights(targets: NDArray[np.int64], chosen: NDArray[np.int64], balanced: bool) -> NDArray[np.float32]:
    """How much each image (n,) counts: all the same, or so that every class of the `chosen` ones counts the same."""
    if not balanced:
        return np.ones(len(targets), np.float32)
    counts = np.bincount(targets[chosen], minlength=int(targets.max()) + 1)
    return np.asarray(len(chosen) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)[targets]
