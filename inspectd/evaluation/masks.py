"""Finds the mask of an image by its name; a mask marks the place of a defect.

The mask of `crack/part7.jpg` is `crack/part7.png` or `part7.png` in the folder of masks, or `part7_mask.png`,
`part7_label.bmp` and so on; every pixel that is not zero marks the defect. Pairs that do not
fit are reported, never guessed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.config.globs import IMAGE_ENDINGS
from inspectd.dataset.folder import FoundFile
from inspectd.dataset.manifest import Sample
from inspectd.dataset.masks import is_lossy, is_mask_folder, read_levels, unmarked
from inspectd.dataset.walk import is_shown
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass
from inspectd.paths import from_text, to_text

_SUFFIXES = (*IMAGE_ENDINGS, ".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2")
_DISTORTED = 0.03  # the allowed difference of proportions between mask and image, for the rounding of a resized mask


@dataclass(frozen=True)
class Masks:
    """The masks of a folder of images.

    Attributes:
        files: For each defect with a mask, by the image's path: the mask's name in the folder.
        remarks: Sentences about pairs that do not fit.
    """

    folder: Path
    files: dict[str, str]
    remarks: tuple[str, ...] = ()


class MaskError(Exception):
    """A mask that cannot be used; the message is a sentence."""


def find_masks(folder: Path, root: Path, images: Sequence[FoundFile | Sample], classes: Sequence[ImageClass]) -> Masks:
    """The masks of all defects among `images`, of which there may be more than are evaluated.

    Args:
        folder: The folder of the masks, at any depth. It may hold images too, or be `root`.
        root: The folder of the images.

    Raises:
        DataError: there is no such folder, no mask in it belongs to an image, or a mask could belong to two defects.
    """
    if not folder.is_dir():
        raise DataError(
            f"--masks {folder} is not a folder. Give a folder with a picture named as its image for each defect."
        )
    present = _present(folder, {root.resolve() / from_text(image.path) for image in images})
    index = _index(present, {each.name for each in classes})
    defects = [image.path for image in images if not classes[image.target].ok]
    chosen = {path: names[0] for path in defects if (names := _names(path, index))}
    if not chosen:
        wanted = f"{PurePosixPath(defects[0]).stem}.png" if defects else "its image"
        raise DataError(f"None of the {len(present)} masks in {folder} is named as a defect, such as {wanted}.")
    for name, count in Counter(chosen.values()).items():
        if count > 1:
            both = " and ".join([path for path, used in chosen.items() if used == name][:2])
            raise DataError(
                f"{folder / name} could be the mask of {both}. Put the masks of each class into a folder of its name."
            )
    known = {name for image in images for name in _names(image.path, index)}
    remarks = []
    if idle := sorted(present - known):
        many = f"have no image, such as {idle[0]}." if len(idle) > 1 else f"has no image: {idle[0]}."
        remarks.append(f"{len(idle)} of {len(present)} masks {many}")
    return Masks(folder, chosen, tuple(remarks))


def read_mask(masks: Masks, image: str, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """An image's mask as bool (H, W) at its `size` (width, height), with at least one pixel set; None if it has none.

    Raises:
        MaskError: it cannot be used for this image.
    """
    if image not in masks.files:
        return None
    try:
        return _at_size(_read(masks.folder / from_text(masks.files[image])), size)
    except MaskError as error:
        raise MaskError(f"The mask {masks.files[image]} {error}.") from None


def _read(path: Path) -> NDArray[np.bool_]:
    """The marked pixels of a mask of any size."""
    try:
        levels = read_levels(path.read_bytes())
    except OSError as error:
        raise MaskError(f"cannot be read ({error.strerror})") from error
    if levels is None:
        raise MaskError("is not a complete picture")
    marked = levels.reshape(*levels.shape[:2], -1).any(axis=2)
    if not marked.any():
        raise MaskError("marks nothing")
    return np.asarray(marked, np.bool_)


def _at_size(marked: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = marked.shape
    if abs(width * size[1] / (height * size[0]) - 1) > _DISTORTED:
        raise MaskError(f"has {width}×{height} pixels, but its image {size[0]}×{size[1]}")
    if (width, height) == size:
        return marked
    # Averaged and not sampled, so that a thin mark does not fall between two pixels.
    levels = cv2.resize(np.where(marked, np.float32(1), np.float32(0)), size, interpolation=cv2.INTER_AREA)
    return np.asarray(levels > 0, np.bool_)


def _present(folder: Path, images: set[Path]) -> set[str]:
    """The pictures in a folder of masks that are not images, relative to the folder."""
    place = folder.resolve()
    paths = [path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES and path not in images]
    shown = [path for path in paths if all(map(is_shown, path.relative_to(place).parts)) and path.is_file()]
    return {to_text(path.relative_to(place).as_posix()) for path in shown}


def _index(present: set[str], classes: set[str]) -> dict[PurePosixPath, list[str]]:
    """The possible masks by an image's path, without its ending and without folders such as `Label`.

    Pictures marked as masks come first, JPEGs last, because a JPEG is rather the photograph.
    """
    index: dict[PurePosixPath, list[str]] = {}
    ranked = sorted(present, key=lambda name: (is_lossy(name), name))
    for is_marked in (True, False):
        for name in ranked:
            path = PurePosixPath(name)
            stem = unmarked(path.stem) if is_marked else path.stem
            if stem is not None:
                folders = [part for part in path.parts[:-1] if part in classes or not is_mask_folder(part)]
                index.setdefault(PurePosixPath(*folders, stem), []).append(name)
    return index


def _names(image: str, index: dict[PurePosixPath, list[str]]) -> list[str]:
    """The possible masks of an image, the likeliest first: named as its path below the data, or as its file."""
    path = PurePosixPath(image)
    keys = dict.fromkeys((path.with_suffix(""), PurePosixPath(path.parts[0], path.stem), PurePosixPath(path.stem)))
    return [name for key in keys for name in index.get(key, ())]
