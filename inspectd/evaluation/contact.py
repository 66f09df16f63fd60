"""Draws the worst mistakes on one sheet, each with its heat and, if there is a mask, the defect's outline.

Only the shown images are read and inspected again; an evaluation keeps no pictures.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from inspectd.dataset.folder import FoundFile
from inspectd.dataset.pictures import Picture, read_pictures
from inspectd.domain import Verdict, support_text
from inspectd.evaluation.judging import Judged
from inspectd.evaluation.masks import MaskError, Masks, read_mask
from inspectd.model.explanation import explain
from inspectd.model.inspector import Inspector
from inspectd.model.spec import ImageClass
from inspectd.vision.contact import LIGHT, Colour, Tile, contact_sheet
from inspectd.vision.overlay import Style, draw, encode

SHOWN = 12
COLUMNS = 4
RED, GREEN, AMBER = (181, 64, 58), (47, 125, 91), (185, 122, 18)
_MASK = (255, 0, 200)  # no colour of the heat's


@dataclass(frozen=True)
class ShownImages:
    """The images of the sheet: mistakes, worst first, or the images nearest the threshold if there are none."""

    title: str
    mistakes: bool
    shown: tuple[Judged, ...]


def worst(judged: Sequence[Judged], classes: Sequence[ImageClass], threshold: float) -> ShownImages:
    """At most twelve images: escapes and overkills in turns, the furthest from the threshold first.

    Without mistakes, defects and good images in turns, the nearest to the threshold first. Images without a
    finite margin are never chosen: they have no distance, and their heat says nothing.
    """
    bad = [each for each in judged if not classes[each.case.target].ok and math.isfinite(each.case.margin)]
    good = [each for each in judged if classes[each.case.target].ok and math.isfinite(each.case.margin)]

    def distance(each: Judged) -> float:
        return abs(each.case.margin - threshold)

    escapes = sorted((each for each in bad if each.verdict == Verdict.OK), key=distance, reverse=True)
    overkills = sorted((each for each in good if each.verdict == Verdict.DEFECT), key=distance, reverse=True)
    if escapes or overkills:
        shown = tuple(_in_turns(escapes, overkills))[:SHOWN]
        what = "The mistakes" if len(shown) == len(escapes) + len(overkills) else f"The {SHOWN} worst mistakes"
        return ShownImages(what, True, shown)
    nearest = tuple(_in_turns(sorted(bad, key=distance), sorted(good, key=distance)))[:SHOWN]
    return ShownImages("No mistakes: the images nearest the threshold", False, nearest)


def least_explained(judged: Sequence[Judged], classes: Sequence[ImageClass]) -> ShownImages:
    """At most twelve rejected defects whose regions carry least of the margin, the least first."""
    tested = [(each.support.share, each) for each in judged if each.support and not classes[each.case.target].ok]
    shown = [each for _, each in sorted(tested, key=lambda pair: pair[0])[:SHOWN]]
    return ShownImages("The rejected defects that the shown regions explain least", True, tuple(shown))


def sheet(choice: ShownImages, inspector: Inspector, root: Path, masks: Masks | None) -> bytes:
    """The contact sheet as a PNG file. Images that have disappeared are left out."""
    found = [FoundFile(each.case.path, each.case.target) for each in choice.shown]
    tiles = [
        _tile(each, picture, inspector, masks)
        for each, picture in zip(
            choice.shown, read_pictures(root, found, bits=inspector.bundle.spec.preparation.bits), strict=True
        )
        if isinstance(picture, Picture)
    ]
    note = "Heat on its fixed scale; outlined in white what the daemon shows as a region"
    note += ", in magenta the mask of the defect." if masks else "."
    return encode(contact_sheet(choice.title, note, tiles, COLUMNS, LIGHT), "png")


def _in_turns(first: Sequence[Judged], second: Sequence[Judged]) -> Iterator[Judged]:
    pairs = chain.from_iterable(zip_longest(first, second))
    return (each for each in pairs if each is not None)


def _tile(each: Judged, picture: Picture, inspector: Inspector, masks: Masks | None) -> Tile:
    finding = inspector.inspect([inspector.prepare(picture.pixels)])[0]
    size = (picture.pixels.shape[1], picture.pixels.shape[0])
    regions = explain(finding, size, picture.doubt).regions
    overlay = draw(picture.pixels, finding.heat, finding.scale.low, finding.scale.high, regions, None, Style())
    with suppress(MaskError):  # said when the image was judged
        if masks and (marked := read_mask(masks, picture.path, size)) is not None:
            contours, _ = cv2.findContours(marked.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(overlay, contours, -1, _MASK, max(1, round(max(size) / 256)), cv2.LINE_AA)
    classes = inspector.bundle.spec.classes
    truth = classes[each.case.target]
    title = f"{truth.name}: {_name(each, truth)}"
    explained = f", {support_text(each.support.share)}" if each.support else ""
    below = f"margin {each.case.margin:.4g}{explained}  {PurePosixPath(each.case.path).name}"
    return Tile(overlay, title, below, _colour(each, truth))


def _name(each: Judged, truth: ImageClass) -> str:
    if each.verdict == Verdict.REVIEW:
        return "review"
    if truth.ok:
        return "passed" if each.verdict == Verdict.OK else f"overkill ({each.label})"
    return "escape" if each.verdict == Verdict.OK else f"found ({each.label})"


def _colour(each: Judged, truth: ImageClass) -> Colour:
    if each.verdict == Verdict.REVIEW:
        return AMBER
    return GREEN if (each.verdict == Verdict.OK) == truth.ok else RED
