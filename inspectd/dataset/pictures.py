"""Reads images of known class in parallel with the daemon's decoder.

Memory holds only a few images at a time, so a folder may be larger than the memory. A file that cannot be read is
returned in its place with the reason; no file is dropped silently.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.folder import FoundFile
from inspectd.dataset.manifest import Sample
from inspectd.domain import MOST_PIXELS
from inspectd.errors import DataError
from inspectd.paths import from_text
from inspectd.vision.decode import DecodeError, decode

MOST_AT_ONCE = 64_000_000  # pixels in memory at a time
THREADS = min(8, os.cpu_count() or 1)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A decoded image of known class.

    Attributes:
        path: Its path relative to the data's folder, see `FoundFile`.
        sha256: Of the file's bytes, 64 hexadecimal digits.
        target: The index of its class.
        pixels: uint8 (height, width, 3), RGB and upright; or the result of `prepared`.
        doubt: Why the file may be incomplete, as the rest of "The file …".
        used: The used bits of a 16-bit file; None for other files (see `Decoded.used`).
    """

    path: str
    sha256: str
    target: int
    pixels: Pixels
    doubt: str | None
    used: int | None = None


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read, and the reason."""

    path: str
    target: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


Item = TypeVar("Item", Picture, Picture | Unreadable)


def read_pictures(
    root: Path,
    files: Iterable[FoundFile | Sample],
    prepared: Callable[[Pixels], Pixels] = lambda pixels: pixels,
    *,
    bits: int,
) -> Iterator[Picture | Unreadable]:
    """Reads the files of the folder `root` in their order.

    Args:
        prepared: Turns decoded pixels into those of the `Picture`; any thread may call it.
        bits: The bits of values in 16-bit files, from the bundle.

    Raises:
        DataError: memory does not suffice for one of them; no image is left out for that.
    """
    waiting = iter(files)
    with ThreadPoolExecutor(THREADS) as pool:

        def begin(count: int) -> Iterator[Future[Picture | Unreadable]]:
            return (pool.submit(_read, root, file, prepared, bits) for file in islice(waiting, count))

        reading = deque(begin(THREADS + 1))
        while reading:
            yield reading.popleft().result()
            reading.extend(begin(1))


def in_batches(pictures: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """Yields the pictures in order; decodes fewer at once if they are large."""
    batch: list[Item] = []
    pixels = 0
    for each in pictures:
        batch.append(each)
        pixels += each.pixels.shape[0] * each.pixels.shape[1] if isinstance(each, Picture) else 0
        if len(batch) == most or pixels >= MOST_AT_ONCE:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _read(
    root: Path, file: FoundFile | Sample, prepared: Callable[[Pixels], Pixels], bits: int
) -> Picture | Unreadable:
    try:
        data = (root / from_text(file.path)).read_bytes()
        decoded = decode(data, MOST_PIXELS, bits)
    except OSError as error:
        return Unreadable(file.path, file.target, f"cannot be read ({error.strerror})")
    except DecodeError as error:
        return Unreadable(file.path, file.target, error.without_limits(MOST_PIXELS))
    except MemoryError as error:
        path = root / from_text(file.path)
        raise DataError(
            f"There is not enough memory to decode {path}: let other programs end, and try again."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    return Picture(file.path, sha256, file.target, prepared(decoded.pixels), decoded.doubt, decoded.used)
