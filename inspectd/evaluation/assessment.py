"""Computes all numbers of an evaluation from the findings in each image. Pure arithmetic; opens no file."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from inspectd.domain import Verdict
from inspectd.evaluation.curves import Curves, Reliability, curves, reliability
from inspectd.evaluation.heat import NEAR
from inspectd.evaluation.judging import Judged
from inspectd.evaluation.metrics import auc, average_precision
from inspectd.evaluation.rates import Rate, share_of
from inspectd.evaluation.thresholds import Margins
from inspectd.model.spec import ImageClass

PERFECT = 0.999  # from this AUC on only the heat can be in doubt
EXPLAINED = 0.5  # the share of the margin that regions must carry to explain the verdicts
PLACED = 0.9  # the share that the heat must reach then: defects with the peak near the mask, or its own AUC


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix: the verdicts on the images of each class.

    Attributes:
        columns: The classes as labels of a verdict, then `review`, then `failed`.
        counts: A row for each class in the bundle's order.
    """

    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassRow:
    """The figures of one class.

    Attributes:
        images: The number of judged images.
        wrong: Defects passed as OK (escapes), or good images rejected (overkill).
        review: Images for review by a person.
        recall: Of the class's images, those that carry its name as label of a final verdict.
        precision: Of the images that carry its name, those that are of the class.
    """

    name: str
    ok: bool
    images: int
    wrong: Rate
    review: Rate
    recall: Rate
    precision: Rate


@dataclass(frozen=True)
class Placement:
    """The position of the heat on defects with a usable mask.

    Attributes:
        exact, near: Pointing game: the hottest point in the mask, or at most 15 pixels of the image away from it.
        touched: Defects with a region that touches the mask.
        inside: The mean share of an image's heat that lies in the mask.
    """

    exact: Rate
    near: Rate
    touched: Rate
    inside: float


@dataclass(frozen=True)
class Grounds:
    """Whether the verdicts rest on the shown regions, measured on rejected defects by erasing regions in the image.

    Attributes:
        located: Rejected defects with a region.
        share: The median share of the margin that goes with the regions; a defect without a region counts as 0.
        falls: Rejected defects that are no longer rejected without their regions.
        area: The median share of the image that is erased.
        control_share, control_falls: The same for equal shapes at another place.
    """

    located: Rate
    share: float
    falls: Rate
    area: float
    control_share: float
    control_falls: Rate

    @property
    def explain(self) -> bool:
        """Whether the regions carry most of the margin of the median rejected defect."""
        return self.share >= EXPLAINED


@dataclass(frozen=True)
class Assessment:
    """The numbers of an evaluation.

    Attributes:
        escape: Judged defects that passed as OK.
        caught: Judged defects that were rejected.
        overkill: Judged good images that were rejected.
        review: Judged images for review by a person.
        auc, average_precision: Of the margins; images without a finite margin are left out.
        curves: See `curves.Curves`.
        calibration: See `curves.Reliability`.
        heat_auc: The chance that a defect's heat maximum exceeds a good image's, each on its fixed scale.
        dark: Good images without any region.
        lit: Defects with a region anywhere.
        placement: The position of the heat; None without masks.
        grounds: See `Grounds`; None if no defect was rejected, or the bundle does not know the margin of good images.
    """

    failed: int
    escape: Rate
    caught: Rate
    overkill: Rate
    review: Rate
    auc: float
    average_precision: float
    curves: Curves
    confusion: Confusion
    classes: tuple[ClassRow, ...]
    calibration: Reliability
    heat_auc: float
    dark: Rate
    lit: Rate
    placement: Placement | None
    grounds: Grounds | None

    @property
    def heat_is_misplaced(self) -> bool:
        """Whether the ranking is perfect although the heat does not show the defect."""
        placed = self.heat_auc if self.placement is None else self.placement.near.value or 0.0
        return self.auc >= PERFECT and placed < PLACED


def assess(judged: Sequence[Judged], failed: Sequence[int], classes: Sequence[ImageClass]) -> Assessment:
    """Computes all figures.

    Args:
        judged: Good images and defects, both with at least one finite margin.
        failed: The class of each image that could not be read.
    """
    good = [each for each in judged if classes[each.case.target].ok]
    bad = [each for each in judged if not classes[each.case.target].ok]
    margins = _finite(each.case.margin for each in good), _finite(each.case.margin for each in bad)
    heat = _finite(each.warmth for each in good), _finite(each.warmth for each in bad)
    scores = np.array([each.score for each in judged])
    defective = np.array([not classes[each.case.target].ok for each in judged])
    return Assessment(
        failed=len(failed),
        escape=share_of([each.verdict == Verdict.OK for each in bad]),
        caught=share_of([each.verdict == Verdict.DEFECT for each in bad]),
        overkill=share_of([each.verdict == Verdict.DEFECT for each in good]),
        review=share_of([each.verdict == Verdict.REVIEW for each in judged]),
        auc=auc(*margins),
        average_precision=average_precision(*margins),
        curves=curves(*margins),
        confusion=_confusion(judged, failed, classes),
        classes=tuple(_row(index, judged, classes) for index in range(len(classes))),
        calibration=reliability(scores, defective),
        heat_auc=auc(*heat),
        dark=share_of([each.regions == 0 for each in good]),
        lit=share_of([each.regions > 0 for each in bad]),
        placement=_placement(bad),
        grounds=_grounds([each for each in bad if each.verdict == Verdict.DEFECT]),
    )


def as_numbers(found: Assessment) -> dict[str, object]:
    """The entries of `metrics.json`; the pictures show the curves."""
    classes = [
        {"class": row.name, "ok": row.ok, "images": row.images}
        | {"overkill" if row.ok else "escape": row.wrong.as_numbers(), "review": row.review.as_numbers()}
        | {"recall": row.recall.as_numbers(), "precision": row.precision.as_numbers()}
        for row in found.classes
    ]
    heat: dict[str, object] = {
        "auc": round(found.heat_auc, 6),
        "good_without_region": found.dark.as_numbers(),
        "defects_with_region": found.lit.as_numbers(),
        "misplaced": found.heat_is_misplaced,
    }
    if grounds := found.grounds:
        heat["explanation"] = {
            "rejected_with_region": grounds.located.as_numbers(),
            "median_support": round(grounds.share, 6),
            "verdict_falls": grounds.falls.as_numbers(),
            "median_area": round(grounds.area, 6),
            "control_median_support": round(grounds.control_share, 6),
            "control_verdict_falls": grounds.control_falls.as_numbers(),
        }
    if found.placement:
        heat["masks"] = {
            "pointing_game_exact": found.placement.exact.as_numbers(),
            "pointing_game_15px": found.placement.near.as_numbers(),
            "region_touches_mask": found.placement.touched.as_numbers(),
            "share_of_heat_inside": round(found.placement.inside, 6),
        }
    return {
        "failed": found.failed,
        "escape": found.escape.as_numbers(),
        "caught": found.caught.as_numbers(),
        "overkill": found.overkill.as_numbers(),
        "review": found.review.as_numbers(),
        "auc": round(found.auc, 6),
        "average_precision": round(found.average_precision, 6),
        "confusion": asdict(found.confusion),
        "classes": classes,
        "calibration": {
            "expected_calibration_error": round(found.calibration.error, 6),
            "bins": [asdict(each) for each in found.calibration.bins],
        },
        "heat": heat,
    }


def _finite(values: Iterable[float]) -> Margins:
    return np.array([value for value in values if math.isfinite(value)])


def _confusion(judged: Sequence[Judged], failed: Sequence[int], classes: Sequence[ImageClass]) -> Confusion:
    names = [each.name for each in classes]
    counts = np.zeros((len(names), len(names) + 2), int)
    for each in judged:
        column = len(names) if each.verdict == Verdict.REVIEW else names.index(each.label)
        counts[each.case.target, column] += 1
    np.add.at(counts[:, -1], list(failed), 1)
    return Confusion((*names, "review", "failed"), tuple(tuple(row) for row in counts.tolist()))


def _row(index: int, judged: Sequence[Judged], classes: Sequence[ImageClass]) -> ClassRow:
    own = [each for each in judged if each.case.target == index]
    name, ok = classes[index].name, classes[index].ok
    wrong = Verdict.DEFECT if ok else Verdict.OK
    named = [each for each in judged if each.verdict != Verdict.REVIEW and each.label == name]
    return ClassRow(
        name=name,
        ok=ok,
        images=len(own),
        wrong=share_of([each.verdict == wrong for each in own]),
        review=share_of([each.verdict == Verdict.REVIEW for each in own]),
        recall=share_of([each.verdict != Verdict.REVIEW and each.label == name for each in own]),
        precision=share_of([each.case.target == index for each in named]),
    )


def _grounds(rejected: Sequence[Judged]) -> Grounds | None:
    tested = [(each.support, each.control, each.regions > 0) for each in rejected if each.support and each.control]
    if not tested:
        return None
    return Grounds(
        located=share_of([located for _, _, located in tested]),
        share=float(np.median([support.share for support, _, _ in tested])),
        falls=share_of([support.falls for support, _, _ in tested]),
        area=float(np.median([support.area for support, _, _ in tested])),
        control_share=float(np.median([control.share for _, control, _ in tested])),
        control_falls=share_of([control.falls for _, control, _ in tested]),
    )


def _placement(bad: Sequence[Judged]) -> Placement | None:
    held = [each.on_mask for each in bad if each.on_mask]
    if not held:
        return None
    return Placement(
        exact=share_of([each.distance == 0 for each in held]),
        near=share_of([each.distance <= NEAR for each in held]),
        touched=share_of([each.touched for each in held]),
        inside=float(np.mean([each.inside for each in held])),
    )
