"""Images of a manifest as a network takes them: prepared as in inspection, all in memory.

They take width × height × channels bytes each.
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
        samples: What each image is.
        pixels: uint8 (n, height, width, channels), as `prepare` makes them.
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
    """Reads what a manifest lists, in its order.

    Args:
        root: The folder that the manifest was made from.
        prepared, bits: As for `read_pictures`.
        progress: Is told how many of how many files are done.

    Raises:
        DataError: a file is not the one that is listed any more.
    """
    pictures = read_pictures(root, samples, prepared, bits=bits)
    for done, (sample, picture) in enumerate(zip(samples, pictures, strict=True), 1):
        if isinstance(picture, Unreadable) or picture.sha256 != sample.sha256:
            raise DataError(
                f"{root / sample.path} changed since it was listed. Start again when the folder is at rest."
            )
        yield picture
        progress(done, len(samples))


def load_dataset(
    root: Path, manifest: Manifest, splits: tuple[Split, ...], to: Preparation, progress: Callable[[int, int], None]
) -> Dataset:
    """Reads the images of some splits.

    Args:
        root: The folder that the manifest was made from.
        progress: Is told how many of how many files are read.

    Raises:
        DataError: a file is not the one that the manifest names any more.
    """
    samples = tuple(sample for sample in manifest.samples if sample.split in splits)
    pixels = np.empty((len(samples), to.height, to.width, to.channels), np.uint8)

    def prepared(image: Pixels) -> Pixels:
        return prepare(image, to)

    for index, picture in enumerate(read_listed(root, samples, prepared, progress, bits=to.bits)):
        pixels[index] = picture.pixels
    return Dataset(samples, pixels, np.array([sample.target for sample in samples], np.int64))
