"""Training data: a folder of images per class, read once, prepared as in inspection, split and served in batches.

All prepared images are held in memory: width × height × channels bytes each. What cannot be read is listed with its
reason and left out; nothing is ever dropped in silence.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import DataError
from inspectd.model.backend import keras
from inspectd.model.preparation import normalise, prepare
from inspectd.model.spec import ImageClass, Preparation
from inspectd.training.recipe import Recipe
from inspectd.vision.decode import DecodeError, decode

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Dataset:
    """Images of known classes.

    Attributes:
        classes: In the order of the network's outputs.
        pixels: uint8 (n, height, width, channels), as `prepare` makes them.
        targets: int64 (n,), the index of each image's class.
        skipped: A sentence for each file that could not be read.
    """

    classes: tuple[ImageClass, ...]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    skipped: tuple[str, ...]

    def counts(self, chosen: NDArray[np.int64]) -> dict[str, int]:
        """How many of the images `chosen` (indices) each class has."""
        numbers = np.bincount(self.targets[chosen], minlength=len(self.classes))
        return {each.name: int(number) for each, number in zip(self.classes, numbers, strict=True)}


def load_dataset(
    root: Path, classes: Sequence[ImageClass], to: Preparation, progress: Callable[[int, int], None]
) -> Dataset:
    """Reads a folder per class; files at any depth below it belong to it, names that begin with a dot do not.

    Args:
        classes: As `find_classes` found them.
        progress: Is told how many of how many files are read.

    Raises:
        DataError: a class has fewer than two readable images.
    """
    files = [(path, index) for index, each in enumerate(classes) for path in _images(root / each.name)]
    pixels = np.empty((len(files), to.height, to.width, to.channels), np.uint8)
    targets: list[int] = []
    skipped: list[str] = []
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda file: _read(file[0], to), files)
        for done, ((path, index), image) in enumerate(zip(files, read, strict=True), start=1):
            if isinstance(image, str):
                skipped.append(f"{path.relative_to(root)}: {image}")
            else:
                pixels[len(targets)] = image
                targets.append(index)
            progress(done, len(files))
    for index, each in enumerate(classes):
        if (count := targets.count(index)) < 2:
            raise DataError(
                f"{root / each.name} has {count or 'no'} readable image{'' if count == 1 else 's'}. A class needs at "
                "least two: one to learn from and one to validate with."
            )
    return Dataset(tuple(classes), pixels[: len(targets)], np.array(targets, np.int64), tuple(skipped))


def find_classes(root: Path, ok: Sequence[str]) -> tuple[ImageClass, ...]:
    """The class folders of `root`, OK classes first, each group by name.

    Args:
        ok: The names of the classes that pass.

    Raises:
        DataError: there are none, an OK name is not among them, or nothing is left to tell apart.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Give a folder that has one folder of images for each class.")
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{root} has no folders. Put the images of each class into a folder of its own.")
    if unknown := [name for name in ok if name not in names]:
        raise DataError(f"--ok {unknown[0]}: {root} has no such class. It has {', '.join(names)}.")
    if all(name in ok for name in names):
        raise DataError(
            f"{root} has only OK classes ({', '.join(names)}). A model needs at least one class of defects."
        )
    if not ok:
        raise DataError(f"No class of {root} is named as good. Name it with --ok; there are {', '.join(names)}.")
    return tuple(sorted((ImageClass(name, name in ok) for name in names), key=lambda each: (not each.ok, each.name)))


def split(
    targets: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices for training and for validation; of each class about `share` validates, never none and never all."""
    train: list[NDArray[np.int64]] = []
    validation: list[NDArray[np.int64]] = []
    for index in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == index))
        count = min(max(1, round(share * len(members))), len(members) - 1)
        validation.append(members[:count])
        train.append(members[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(validation))


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


def _images(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def _read(path: Path, to: Preparation) -> NDArray[np.uint8] | str:
    """The prepared image, or why there is none."""
    try:
        decoded = decode(path.read_bytes(), MAX_PIXELS)
    except (DecodeError, OSError) as error:
        return str(error)
    return f"The file {decoded.doubt}" if decoded.doubt else prepare(decoded.pixels, to)
