"""Finds masks among images: pictures that only mark a defect of another picture. A mask must never count as an image.

A picture is suspicious by its name if it lies below a folder such as `ground_truth` or `Label`, if its name is that of
another picture plus `_mask`, `_label`, `_gt` or the like, or `mask_` before it, or if the names differ only in the
ending. Then the content decides: a mask has a few levels, a photograph has many. Only suspicious pictures are decoded.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.paths import from_text

MOST_LEVELS = 4  # levels of a mask: background, defect, and perhaps two more kinds or an uncertain border
_COARSE = 7  # the step of rows and columns of a first look, which suffices to recognise a photograph
_THREADS = 4
_LOSSY = {".jpg", ".jpeg", ".jfif", ".jpe"}

_WORD = r"(?:masks?|labels?|gt|ground[ _-]?truths?|seg(?:mentation)?s?|annotations?)"
_FOLDER = re.compile(_WORD, re.IGNORECASE)
_MARKED = re.compile(rf"(.+)[ ._-]{_WORD}|masks?[ ._-](.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class SortedOut:
    """The masks among some pictures.

    Attributes:
        masks: Pictures that are masks by name and content.
        doubtful: Pictures that are masks only by name, sorted.
    """

    masks: frozenset[str]
    doubtful: tuple[str, ...]


def is_mask_folder(name: str) -> bool:
    """Whether public data sets give this name to a folder of masks."""
    return _FOLDER.fullmatch(name) is not None


def below_masks(path: PurePosixPath) -> bool:
    """Whether a folder on the file's path is named like a folder of masks."""
    return any(is_mask_folder(name) for name in path.parts[:-1])


def unmarked(stem: str) -> str | None:
    """The stem of the image to which a mask with this stem belongs; None if the name does not mark a mask."""
    found = _MARKED.fullmatch(stem)
    return found[1] or found[2] if found else None


def named_as_masks(paths: Sequence[str]) -> set[str]:
    """The pictures below a folder of masks, and those named as another picture's mask."""
    every = [PurePosixPath(path) for path in paths]
    stems = {path.stem for path in every}
    return {str(path) for path in every if below_masks(path) or unmarked(path.stem) in stems}


def twins(paths: Iterable[str]) -> list[list[str]]:
    """The pictures that differ only in their ending, each group sorted."""
    groups: dict[PurePosixPath, list[str]] = {}
    for path in sorted(paths):
        groups.setdefault(PurePosixPath(path).with_suffix(""), []).append(path)
    return [group for group in groups.values() if len({PurePosixPath(path).suffix.lower() for path in group}) > 1]


def sort_out(root: Path, paths: Sequence[str]) -> SortedOut:
    """Tells masks from images, among pictures of the folder `root`.

    Args:
        paths: Relative to `root`, with `/`, as text (see `inspectd.paths`).
    """
    named, groups = named_as_masks(paths), twins(paths)
    # A JPEG beside a picture of its name is the photograph, and need not be decoded.
    suspicious = sorted(named.union(path for group in groups for path in group if not is_lossy(path)))
    masklike: dict[str, bool | None] = dict.fromkeys(paths, False)
    with ThreadPoolExecutor(_THREADS) as pool:
        looks = pool.map(lambda path: _looks_like_a_mask(root / from_text(path)), suspicious)
        masklike.update(zip(suspicious, looks, strict=True))
    masks = {path for path in named if masklike[path]}
    doubtful = {path for path in named if masklike[path] is False}
    for group in groups:
        rest = [path for path in group if not masklike[path]]
        if rest:  # a group of only mask-like pictures holds an image, but it is unknown which
            masks |= {path for path in group if masklike[path]}
        images = [path for path in rest or group if path not in masks]
        doubtful |= {path for path in images[1:] if masklike[path] is not None}
    return SortedOut(frozenset(masks), tuple(sorted(doubtful)))


def is_lossy(path: str) -> bool:
    """Whether the compression would change the levels of a mask."""
    return PurePosixPath(path).suffix.lower() in _LOSSY


def read_levels(data: bytes) -> NDArray[np.generic] | None:
    """The samples of a mask in any format that OpenCV reads, (H, W) or (H, W, 3), at the depth of the file; None if it
    cannot be read.

    Transparency is dropped, as everywhere; a palette's indices become its colours.
    """
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if data else None
    except cv2.error:  # more pixels than OpenCV takes
        return None


def _looks_like_a_mask(path: Path) -> bool | None:
    """Whether a picture has as few levels as a mask; None if it cannot be read."""
    try:
        levels = read_levels(path.read_bytes())
    except OSError:
        return None
    return None if levels is None else _has_few_levels(levels[::_COARSE, ::_COARSE]) and _has_few_levels(levels)


def _has_few_levels(levels: NDArray[np.generic]) -> bool:
    """Whether at most `MOST_LEVELS` grey values or colours occur, at the full depth of the samples."""
    rest = levels.reshape(-1, *levels.shape[2:])
    for _ in range(MOST_LEVELS):
        if not len(rest):
            return True
        other = rest != rest[0]
        rest = rest[other if other.ndim == 1 else other.any(axis=1)]
    return not len(rest)
