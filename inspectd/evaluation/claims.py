"""Counts the errors of thresholds on images of known class, and words claims with one-sided bounds.

Images that chose a threshold flatter it. A caller that prints a claim must say which images support it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from inspectd.evaluation.cases import Case
from inspectd.evaluation.intervals import images_needed
from inspectd.evaluation.rates import Rate, below
from inspectd.evaluation.thresholds import Costs, ErrorLimits, Margins, Purpose
from inspectd.model.spec import ImageClass, Thresholds


@dataclass(frozen=True)
class Outcome:
    """The errors of thresholds: passed defects, rejected good images, images for review."""

    escape: Rate  # of the defects
    overkill: Rate  # of the good images
    review: Rate  # of all

    def as_numbers(self) -> dict[str, dict[str, object]]:
        """JSON, as the rates in `metrics.json`."""
        return {name: rate.as_numbers() for name, rate in vars(self).items()}


def sides(cases: Iterable[Case], classes: Sequence[ImageClass]) -> tuple[Margins, Margins]:
    """The margins of the good images, and of the defects."""
    known = [(each.margin, classes[each.target].ok) for each in cases]
    return np.array([margin for margin, ok in known if ok]), np.array([margin for margin, ok in known if not ok])


def outcome(good: Margins, bad: Margins, thresholds: Thresholds) -> Outcome:
    """Counts the verdicts on these margins."""
    both, passing = np.concatenate([good, bad]), thresholds.defect if thresholds.review is None else thresholds.review
    decided = int((both >= thresholds.defect).sum()) + int((both < passing).sum())
    return Outcome(
        escape=Rate(int((bad < passing).sum()), len(bad)),
        overkill=Rate(int((good >= thresholds.defect).sum()), len(good)),
        review=Rate(len(both) - decided, len(both)),
    )


def counted(found: Outcome) -> str:
    """The counts as part of a sentence."""
    review = f", {found.review.count} of {found.review.of} for review" if found.review.count else ""
    return (
        f"{found.escape.count} of {found.escape.of} defects missed, {found.overkill.count} of {found.overkill.of} good "
        f"images rejected{review}"
    )


def asked(purpose: Purpose) -> str:
    """The purpose of thresholds, as part of a sentence."""
    if isinstance(purpose, Costs):
        look = "" if purpose.review is None else f", a look {purpose.review:g}"
        share = "" if purpose.defect_share is None else f", where {_exact(purpose.defect_share)} are defects"
        return f"least cost; an escape costs {purpose.escape:g}, an overkill {purpose.overkill:g}{look}{share}"
    escape = [] if purpose.escape is None else [f"at most {_exact(purpose.escape)} of the defects missed"]
    overkill = [] if purpose.overkill is None else [f"at most {_exact(purpose.overkill)} of the good images rejected"]
    return ", ".join(escape + overkill)


def claims(found: Outcome, purpose: Purpose) -> list[str]:
    """Sentences: the bound on each rate, and how many images a claim of the wished rate needs."""
    limits = purpose if isinstance(purpose, ErrorLimits) else ErrorLimits()
    escape, overkill = found.escape, found.overkill
    review = [f"{found.review.count} of {found.review.of} for review."] if found.review.count else []
    return [
        f"{escape.count} of {escape.of} defects missed: the escape rate "
        + _support(escape, limits.escape, "defect images without a miss"),
        f"{overkill.count} of {overkill.of} good images rejected: the overkill rate "
        + _support(overkill, limits.overkill, "good images of which none is rejected"),
        *review,
    ]


def _exact(share: float) -> str:
    """Formats a share as a percentage with all digits: 0.005 is `0.5 %`."""
    return f"{100 * share:.10g} %"


def _support(rate: Rate, limit: float | None, needed: str) -> str:
    said = f"is below {below(rate.at_most)} with 95 % confidence (one-sided)"
    if limit is None or rate.at_most <= limit:
        return f"{said}."
    if limit == 0:
        return f"{said}; no number of images shows that it is 0."
    return f"{said}; to claim {_exact(limit)} you need {images_needed(limit)} {needed}."
