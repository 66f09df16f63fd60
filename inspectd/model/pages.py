"""Judges images of one or several pages: the worst page decides the verdict of its image."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Verdict
from inspectd.model.inspector import Finding, Inspector, badness
from inspectd.model.support import Support, supports


@dataclass(frozen=True)
class Worst:
    """The finding that decides an image's verdict, and the number of its page, from 1 on."""

    finding: Finding
    page: int
    support: Support | None = None  # of a rejected image whose explanation was tested


def inspect_pages(
    inspector: Inspector, images: Sequence[Iterable[NDArray[np.uint8]]], alive: Callable[[], None] = lambda: None
) -> list[Worst]:
    """Judges every page of every image; among equally bad pages the first one decides.

    Args:
        images: For each image its pages from `Inspector.prepare`, at least one. They are taken one per image at a time,
            so an iterator may prepare each page when it is taken.
        alive: Called for each call of the network.
    """
    spec = inspector.bundle.spec
    worst: dict[int, Worst] = {}
    waiting = (
        (index, number, page) for index, pages in enumerate(images) for number, page in enumerate(pages, start=1)
    )
    while batch := list(islice(waiting, len(images))):
        findings = inspector.inspect([page for _, _, page in batch])
        for (index, number, _), finding in zip(batch, findings, strict=True):
            if index not in worst or badness(spec, finding) > badness(spec, worst[index].finding):
                worst[index] = Worst(finding, number)
        alive()
    return [worst[index] for index in range(len(images))]


def with_support(
    inspector: Inspector, images: Sequence[Iterable[NDArray[np.uint8]]], found: Sequence[Worst]
) -> list[Worst]:
    """The same findings; those of rejected images with the test of their explanation, if the memory suffices for it.

    Args:
        images: The images, as for `inspect_pages`; only the deciding pages of rejected ones are taken.
    """
    if inspector.bundle.spec.good_margin is None:  # nothing can be tested, so no page needs to be prepared again
        return list(found)
    try:
        return _with_support(inspector, images, found)
    except (MemoryError, cv2.error):  # OpenCV's own error; a verdict must not depend on the test of its explanation
        return list(found)


def _with_support(
    inspector: Inspector, images: Sequence[Iterable[NDArray[np.uint8]]], found: Sequence[Worst]
) -> list[Worst]:
    rejected = [index for index, worst in enumerate(found) if worst.finding.verdict == Verdict.DEFECT]
    pages = [next(islice(images[index], found[index].page - 1, None)) for index in rejected]
    tests = supports(inspector, pages, [found[index].finding for index in rejected])
    supported = dict(zip(rejected, tests, strict=True))
    return [replace(worst, support=supported.get(index)) for index, worst in enumerate(found)]
