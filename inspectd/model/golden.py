"""Golden images: original files in a bundle, with the logits and the heat that its network gave when it was evaluated.

A bundle keeps the files as they were, so a proof reproduces decoding and preparation too. Logits and heat are always
those of float32. The expected verdict follows from the logits and the bundle's thresholds, so a bundle with other
thresholds can hold the same images. `proof` compares an inspector with them.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from inspectd.domain import DEFAULT_METHOD, MOST_PIXELS, Method
from inspectd.errors import BundleError
from inspectd.mistakes import first_mistake
from inspectd.model.bundle import Bundle
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.spec import ImageClass
from inspectd.vision.decode import DecodeError, Pages

FOLDER = "golden"
INDEX = f"{FOLDER}/golden.json"
OF_EACH_CLASS = 4
MOST_BYTES = 20_000_000  # of one file
CELLS = 16  # of the heat, a side

_RULES = ConfigDict(extra="forbid")
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Row = Annotated[tuple[_Finite, ...], Field(min_length=CELLS, max_length=CELLS)]
_Grid = Annotated[tuple[_Row, ...], Field(min_length=CELLS, max_length=CELLS)]


@checked(frozen=True, config=_RULES)
class GoldenImage:
    """One golden image and its expected logits and heat.

    Attributes:
        file: Its path in the bundle.
        target: The name of its true class.
        logits: float32 values, one per output of the network.
        heat: By method, 16×16 rows of the heat in its own units; see `grid`.
    """

    file: str
    target: str
    logits: Annotated[tuple[_Finite, ...], Field(min_length=1)]
    heat: dict[Method, _Grid]


@checked(frozen=True, config=_RULES)
class Golden:
    """The golden images of a bundle, and the validation logit gap by which differences are measured (`logit_gap`)."""

    gap: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    images: Annotated[tuple[GoldenImage, ...], Field(min_length=1)]


_GOLDEN = TypeAdapter(Golden)


@dataclass(frozen=True)
class Sighting:
    """A candidate: its original file, the index of its true class, and its margin in float32."""

    path: Path
    target: int
    margin: float


@dataclass(frozen=True)
class GoldenFiles:
    """The files for a bundle: contents by path; empty if there are none, and then `remarks` says why."""

    files: dict[str, bytes]
    remarks: tuple[str, ...] = ()


def read_golden(bundle: Bundle) -> Golden | None:
    """The golden images of a verified bundle; None if it has none.

    Raises:
        BundleError: `golden.json` is not valid, or names a file that is not in the bundle.
    """
    files = bundle.files
    if INDEX not in files:
        return None
    try:
        golden = _GOLDEN.validate_json((bundle.path / INDEX).read_bytes())
    except (OSError, ValidationError) as error:
        reason = first_mistake(error) if isinstance(error, ValidationError) else error
        raise BundleError(f"{bundle.path / INDEX} cannot be used ({reason}). Copy the bundle again.") from error
    if missing := [image.file for image in golden.images if image.file not in files]:
        raise BundleError(f"{bundle.path / INDEX} names {missing[0]}, which the bundle lacks. Copy the bundle again.")
    return golden


def golden_files(inspector: Inspector, sightings: Sequence[Sighting], threshold: float) -> GoldenFiles:
    """Chooses golden images and measures them, each from the bytes that the bundle will hold.

    Args:
        inspector: The saved network in float32.
        sightings: The validation images, or test images or others that training has not seen.
        threshold: An image with at least this margin is a defect.
    """
    classes = inspector.bundle.spec.classes
    gap = logit_gap(sightings, classes)
    if gap <= 0:
        return GoldenFiles({}, (_useless(gap),))
    files: dict[str, bytes] = {}
    images: list[GoldenImage] = []
    remarks: list[str] = []
    for index, each in enumerate(classes):
        for sighting in choose([sighting for sighting in sightings if sighting.target == index], threshold):
            try:
                data = sighting.path.read_bytes()
                seen = {method: look(inspector, data, method) for method in inspector.bundle.spec.heat_scale}
            except (OSError, DecodeError) as error:
                remarks.append(
                    f"{sighting.path.name} is not used as a golden image: it changed since it was read ({error})."
                )
                continue
            heat = {method: _rows(finding.heat) for method, finding in seen.items()}
            name = f"{FOLDER}/{len(images):03}-{_plain(sighting.path.name)}"
            files[name] = data
            images.append(GoldenImage(name, each.name, seen[DEFAULT_METHOD].logits, heat))
    if not images:
        remarks.append("No golden images: none of the images is available as a file of at most 20 MB.")
        return GoldenFiles({}, tuple(remarks))
    content = _GOLDEN.dump_python(Golden(gap, tuple(images)), mode="json")
    return GoldenFiles({**files, INDEX: json.dumps(content).encode() + b"\n"}, tuple(remarks))


def logit_gap(sightings: Sequence[Sighting], classes: Sequence[ImageClass]) -> float:
    """The median margin of the defects minus that of the good images: how far the network separates the two.

    Medians, so that no single image decides how much the arithmetic may differ. Positive for every network that
    separates the two at all; −∞ if one side has no images.
    """
    good = [sighting.margin for sighting in sightings if classes[sighting.target].ok]
    bad = [sighting.margin for sighting in sightings if not classes[sighting.target].ok]
    return float(np.median(bad) - np.median(good)) if good and bad else -np.inf


def choose(sightings: Sequence[Sighting], threshold: float) -> list[Sighting]:
    """At most four images of one class: the two nearest the threshold, the middle one and the farthest.

    The nearest ones change their verdict first; the others show the arithmetic where the network is certain.
    """
    usable = [each for each in sightings if each.path.is_file() and each.path.stat().st_size <= MOST_BYTES]
    ranked = sorted(usable, key=lambda each: (abs(each.margin - threshold), each.path))
    count = len(ranked)
    if count <= OF_EACH_CLASS:
        return ranked
    return [ranked[0], ranked[1], ranked[max(2, count // 2)], ranked[-1]]


def look(inspector: Inspector, data: bytes, method: Method | None = None) -> Finding:
    """Inspects one image file as every other image, with the inspector's own method of heat or with `method`.

    If the file has several pages, the first is inspected: bundles from before pages were distinguished may hold such
    files, and any page proves the arithmetic.

    Raises:
        DecodeError: the bytes are not an image.
    """
    page = Pages(data, MOST_PIXELS, inspector.bundle.spec.preparation.bits).decode(1)
    prepared = inspector.prepare(page.pixels)
    (finding,) = inspector.inspect([prepared], [method] if method else [])
    return finding


def find_golden(inspector: Inspector, image: GoldenImage) -> Finding:
    """Inspects one of the bundle's golden images.

    Raises:
        BundleError: the file is not an image.
    """
    path = inspector.bundle.path / image.file
    try:
        return look(inspector, path.read_bytes())
    except (OSError, DecodeError) as error:
        raise BundleError(
            f"{path}: this golden image cannot be read ({error}), so it proves nothing. Create the bundle again."
        ) from error


def golden_bits(bundle: Bundle) -> int | None:
    """The used bits of the darkest golden image with 16-bit values (`Decoded.used`); None if there is no such image."""
    golden, bits = read_golden(bundle), bundle.spec.preparation.bits
    files = [(bundle.path / image.file).read_bytes() for image in golden.images] if golden else []
    pages = [Pages(data, MOST_PIXELS, bits).decode(1) for data in files]
    return min((page.used for page in pages if page.used), default=None)


def grid(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heat (h, w) as 16×16 cells in the same units: the mean over each cell, interpolated if the heat is coarser."""
    shrinks = min(heat.shape) >= CELLS
    cells = cv2.resize(heat, (CELLS, CELLS), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cells.astype(np.float32, copy=False)


def _rows(heat: NDArray[np.float32]) -> _Grid:
    return tuple(tuple(float(f"{cell:.6g}") for cell in row) for row in grid(heat))


def _plain(name: str) -> str:
    """A file name that every file system and archive accepts."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:]


def _useless(gap: float) -> str:
    if np.isinf(gap):
        return "No golden images: they need images of good parts and of defects that training has not seen."
    return (
        f"No golden images: the network does not separate defects from good images (the median of their margins "
        f"differs by {gap:.4g}), so there is no gap to compare with."
    )
