"""Masks: pictures that mark where a defect is, found by the image's name.

The mask of `crack/part7.jpg` is `crack/part7.png` or `part7.png` in the folder of masks; every pixel that is not zero
marks the defect. What does not fit together is said, never guessed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.folder import Found
from inspectd.dataset.manifest import Sample
from inspectd.errors import DataError
from inspectd.model.spec import ImageClass
from inspectd.paths import from_text, to_text

_DISTORTED = 0.03  # how far the proportions of mask and image may differ: rounding of a resized mask, no more


@dataclass(frozen=True)
class Masks:
    """The masks of a folder of images.

    Attributes:
        files: By the image's path, for each defect that has one: its name in the folder.
        remarks: What does not fit together.
    """

    folder: Path
    files: dict[str, str]
    remarks: tuple[str, ...] = ()


class MaskError(Exception):
    """One mask that cannot be used, in a sentence."""


def find_masks(folder: Path, images: Sequence[Found | Sample], classes: Sequence[ImageClass]) -> Masks:
    """The masks of all defects among `images`, of which there may be more than are evaluated.

    Raises:
        DataError: there is no such folder, no mask in it belongs to an image, or a mask could belong to two defects.
    """
    if not folder.is_dir():
        raise DataError(
            f"--masks {folder} is not a folder. Give a folder with a PNG named as its image for each defect."
        )
    present = {to_text(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if _is_mask(path)}
    defects = [image.path for image in images if not classes[image.target].ok]
    chosen = {path: name for path in defects if (name := _name(path, present))}
    if not chosen:
        wanted = f"{PurePosixPath(defects[0]).stem}.png" if defects else "its image"
        raise DataError(f"None of the {len(present)} masks in {folder} is named as a defect, such as {wanted}.")
    for name, count in Counter(chosen.values()).items():
        if count > 1:
            both = " and ".join([path for path, used in chosen.items() if used == name][:2])
            raise DataError(
                f"{folder / name} could be the mask of {both}. Put the masks of each class into a folder of its name."
            )
    known = set(chosen.values()) | {
        name for image in images if classes[image.target].ok and (name := _name(image.path, present))
    }
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
    """What is marked in a mask of any size."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MaskError(f"cannot be read ({error.strerror})") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if len(data) else None
    if picture is None:
        raise MaskError("is no whole picture")
    marked = np.asarray(picture).reshape(*picture.shape[:2], -1).max(axis=2) > 0
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


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.name.startswith(".") and path.is_file()


def _name(image: str, present: set[str]) -> str | None:
    """The mask's name in its folder: as the image's path below the data, or as its file name alone."""
    path = PurePosixPath(image)
    names = (
        path.with_suffix(".png"),
        PurePosixPath(path.parts[0]) / f"{path.stem}.png",
        PurePosixPath(f"{path.stem}.png"),
    )
    return next((str(name) for name in names if str(name) in present), None)
