"""Loads the images of a manifest into memory, prepared as in inspection.

Each takes width × height × channels bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.manifest import Manifest, Sample, Split
from inspectd.dataset.pictures import Picture, Pixels, Unreadable, read_pictures
from inspectd.errors import DataError
from inspectd.model.preparation import prepare
from inspectd.model.spec import Preparation


@dataclass(frozen=True)
class Dataset:
    """Images of known classes.

    Attributes:
        samples: The manifest's entry of each image.
        pixels: uint8 (n, height, width, channels), prepared.
        targets: int64 (n,), the index of each image's class.
    """

    samples: tuple[Sample, ...]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]

    def of(self, split: Split) -> NDArray[np.int64]:
        """The indices of a split's images."""
        return np.flatnonzero([sample.split == split for sample in self.samples])


def read_listed(
    root: Path,
    samples: Sequence[Sample],
    prepared: Callable[[Pixels], Pixels],
    progress: Callable[[int, int], None],
    *,
    bits: int,
) -> Iterator[Picture]:
    """Reads the files of a manifest, in order.

    Args:
        root: The folder from which the manifest was made.
        prepared, bits: See `read_pictures`.
        progress: Called with the number of files done and their total.

    Raises:
        DataError: a file changed since it was listed.
    """
    pictures = read_pictures(root, samples, prepared, bits=bits)
    for done, (sample, picture) in enumerate(zip(samples, pictures, strict=True), 1):
        if isinstance(picture, Unreadable) or picture.sha256 != sample.sha256:
            raise DataError(
                f"{root / sample.path} changed since it was listed. Start again when nothing writes to the folder."
            )
        yield picture
        progress(done, len(samples))


def load_dataset(
    root: Path, manifest: Manifest, splits: tuple[Split, ...], to: Preparation, progress: Callable[[int, int], None]
) -> Dataset:
    """Reads the images of some splits.

    Args:
        root: The folder from which the manifest was made.
        progress: Called with the number of files read and their total.

    Raises:
        DataError: a file changed since it was listed.
    """
    samples = tuple(sample for sample in manifest.samples if sample.split in splits)
    pixels = np.empty((len(samples), to.height, to.width, to.channels), np.uint8)

    def prepared(image: Pixels) -> Pixels:
        return prepare(image, to)

    for index, picture in enumerate(read_listed(root, samples, prepared, progress, bits=to.bits)):
        pixels[index] = picture.pixels
    return Dataset(samples, pixels, np.array([sample.target for sample in samples], np.int64))
