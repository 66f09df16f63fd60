"""Batches of inputs and answers for training, in a new order each epoch.

Order and augmentation of an epoch depend only on the seed and the epoch's number, so a resumed training continues
exactly.
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

    Pixels only change places: resampling would blur the defects.
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
    """Feeds prepared images: mirrored and turned by the recipe during training, then scaled."""

    def feed(pixels: NDArray[Any], rng: np.random.Generator | None) -> NDArray[np.float32]:
        if rng is not None:
            pixels = augment(pixels, rng, flips=recipe.flips, rotations=recipe.rotations)
        return np.asarray(normalise(pixels.astype(np.float32), recipe.preparation))

    return feed


def as_they_are(inputs: NDArray[Any], _: np.random.Generator | None) -> NDArray[np.float32]:
    """Feeds arrays that are already a network's input."""
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
        """Uses the rows `chosen` (indices) of `inputs` (n, …), `answers` (n, units) and `weights` (n,).

        Args:
            feed: Turns rows into the network's input.
            seed: Seeds the shuffling and the generator of `feed`; None: neither, as for validation.
        """
        super().__init__()
        self.inputs, self.answers, self.weights = inputs, answers, weights
        self.chosen, self.feed, self.seed = chosen, feed, seed
        self.begin(0, 1)

    def begin(self, epoch: int, batch: int) -> None:
        """Divides an epoch (from 0) into batches."""
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
    """The weight of each image (n,): equal, or such that every class of the `chosen` images has the same weight."""
    if not balanced:
        return np.ones(len(targets), np.float32)
    counts = np.bincount(targets[chosen], minlength=int(targets.max()) + 1)
    return np.asarray(len(chosen) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)[targets]
