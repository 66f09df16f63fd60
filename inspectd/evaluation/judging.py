"""Judges images of known class with a bundle's inspector, and keeps a line of numbers for each.

Decoder, preparation, network, verdict and regions are those of the daemon; no image is kept.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspectd.dataset.folder import FoundFile
from inspectd.dataset.manifest import Sample, Split
from inspectd.dataset.pictures import Picture, Unreadable, in_batches, read_pictures
from inspectd.domain import Verdict
from inspectd.evaluation.cases import Case, case
from inspectd.evaluation.heat import OnMask, on_mask, warmth
from inspectd.evaluation.masks import MaskError, Masks, read_mask
from inspectd.model.explanation import explain
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.support import Support, supports
from inspectd.vision.depth import Depths

AT_ONCE = 8  # images
STAGES = ("read", "prepare", "network", "heat")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    """One image of known class and its findings.

    Attributes:
        verdict: The daemon's verdict: `review` if the file is in doubt.
        label: The class that names the verdict.
        score: The calibrated probability of a defect, 0..1.
        warmth: The heat's maximum on its fixed scale: 0 is `low`, 1 is `high`.
        regions: The number of hot regions.
        on_mask: The position of the heat, for a defect with a mask.
        support: What the regions of a rejected image carry; see `model.support`.
        control: The same for equal shapes at another place.
    """

    case: Case
    verdict: Verdict
    label: str
    score: float
    warmth: float
    regions: int
    on_mask: OnMask | None
    support: Support | None = None
    control: Support | None = None


@dataclass(frozen=True)
class Speed:
    """The speed, without warm-up.

    Attributes:
        stages: Milliseconds per image: waiting for files to be read and decoded by other threads, preparing pixels, the
            network with its heat, regions and masks.
    """

    images: int
    seconds: float
    stages: dict[str, float]

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / max(self.seconds, 1e-9)

    def as_numbers(self) -> dict[str, object]:
        """The entries of `metrics.json`."""
        stages = {stage: round(value, 3) for stage, value in self.stages.items()}
        return {"images_per_second": round(self.rate, 2), "ms_per_image": stages}


@dataclass(frozen=True)
class Judgement:
    """All images of an evaluation: judged images, unreadable files, unusable masks, and the used bits of 16-bit
    files."""

    judged: tuple[Judged, ...]
    failed: tuple[Unreadable, ...]
    speed: Speed
    remarks: tuple[str, ...]
    depths: Depths


def judge(
    inspector: Inspector,
    root: Path,
    files: Sequence[FoundFile | Sample],
    splits: Mapping[str, Split],
    masks: Masks | None,
    progress: Progress,
) -> Judgement:
    """Inspects the files of the folder `root`, in order.

    Args:
        splits: By SHA-256, the split in which the bundle used an image; other images are `test`.
        progress: Called with the number of files done and their total.
    """
    at_once = warm_up(inspector)
    judged: list[Judged] = []
    failed: list[Unreadable] = []
    unusable: list[str] = []
    spent = dict.fromkeys(STAGES, 0.0)
    clock = _Stopwatch(spent)
    bits = inspector.bundle.spec.preparation.bits
    used: dict[str, int] = {}
    for batch in in_batches(read_pictures(root, files, bits=bits), at_once):
        clock.lap("read")
        pictures = [each for each in batch if isinstance(each, Picture)]
        used |= {each.path: each.used for each in pictures if each.used is not None}
        failed += [each for each in batch if isinstance(each, Unreadable)]
        prepared = [inspector.prepare(picture.pixels) for picture in pictures]
        clock.lap("prepare")
        findings = inspector.inspect(prepared) if prepared else []
        clock.lap("network")
        tests = zip(
            supports(inspector, prepared, findings),
            supports(inspector, prepared, findings, elsewhere=True),
            strict=True,
        )
        clock.skip()
        for picture, finding, (support, control) in zip(pictures, findings, tests, strict=True):
            mask = _mask(picture, masks, unusable)
            split = splits.get(picture.sha256, "test")
            judged.append(replace(_judged(picture, finding, split, mask, inspector), support=support, control=control))
        clock.lap("heat")
        progress(len(judged) + len(failed), len(files))
    stages = {stage: 1000 * seconds / max(len(files), 1) for stage, seconds in spent.items()}
    return Judgement(
        tuple(judged), tuple(failed), Speed(len(files), sum(spent.values()), stages), tuple(unusable), Depths(used)
    )


class _Stopwatch:
    """Adds up the time of each stage."""

    def __init__(self, spent: dict[str, float]) -> None:
        self.spent, self.last = spent, time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.spent[stage] += now - self.last
        self.last = now

    def skip(self) -> None:
        """Leaves out the time since the last lap."""
        self.last = time.perf_counter()


def warm_up(inspector: Inspector) -> int:
    """Warms an inspector up for as many images as the memory holds; returns that number.

    Raises:
        MemoryError: memory does not suffice for one image.
    """
    at_once = AT_ONCE
    while True:
        try:
            inspector.warm_up(at_once)
        except MemoryError:
            if at_once == 1:
                raise
            at_once //= 2
        else:
            return at_once


def _mask(picture: Picture, masks: Masks | None, unusable: list[str]) -> NDArray[np.bool_] | None:
    """The image's mask, if it has a usable one; adds the reason to `unusable` otherwise."""
    if masks is None:
        return None
    try:
        return read_mask(masks, picture.path, (picture.pixels.shape[1], picture.pixels.shape[0]))
    except MaskError as error:
        unusable.append(str(error))
        return None


def _judged(
    picture: Picture, finding: Finding, split: Split, mask: NDArray[np.bool_] | None, inspector: Inspector
) -> Judged:
    height, width = picture.pixels.shape[:2]
    explained = explain(finding, (width, height), picture.doubt)
    found = case(picture.path, picture.sha256, picture.target, split, finding, inspector.bundle.spec)
    return Judged(
        case=found,
        verdict=explained.verdict,
        label=finding.label,
        score=finding.score,
        warmth=warmth(found.heat_max, inspector.bundle.spec.scale_of(finding.method, finding.explained)),
        regions=len(explained.regions),
        on_mask=None if mask is None else on_mask(finding.heat, finding.scale, mask),
    )
