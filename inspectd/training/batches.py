"""What a network is fed with while it learns: prepared images and answers in batches, mirrored and turned at random."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.pixels import Dataset
from inspectd.model.backend import keras
from inspectd.model.preparation import normalise
from inspectd.training.recipe import Recipe


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


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras ships no types
    """Batches of (pixels as the network takes them, answers): to learn from in a new order each epoch, or as it is."""

    def __init__(
        self,
        data: Dataset,
        chosen: NDArray[np.int64],
        answers: NDArray[np.float32],
        recipe: Recipe,
        order: np.random.Generator | None = None,
    ) -> None:
        """The images `chosen` (indices) with their rows of `answers` (n, units).

        Args:
            order: Shuffles before each epoch, and augments as the recipe says; None: neither.
        """
        super().__init__()
        self.data, self.chosen, self.answers, self.recipe, self.rng = data, chosen, answers, recipe, order
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self.chosen) / self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        size = self.recipe.batch
        members = self.order[index * size : (index + 1) * size]
        pixels = self.data.pixels[members]
        recipe = self.recipe
        if self.rng is not None:
            pixels = augment(pixels, self.rng, flips=recipe.flips, rotations=recipe.rotations)
        return normalise(pixels.astype(np.float32), recipe.preparation), self.answers[members]

    def on_epoch_end(self) -> None:
        self.order = self.chosen if self.rng is None else self.rng.permutation(self.chosen)
