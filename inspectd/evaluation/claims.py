"""What images of known class support of a pair of thresholds: counts, and sentences with one-sided bounds.

A sentence says which images it rests on, and whether the same images chose the thresholds, because then it flatters.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from inspectd.evaluation.intervals import images_needed, upper_bound
from inspectd.evaluation.thresholds import Limits, Margins, Purpose
from inspectd.model.spec import Thresholds

LEVEL = 0.95


@dataclass(frozen=True)
class Outcome:
    """What thresholds do to images: how many of `defects` pass (escapes), how many of `good` are rejected (overkills).

    `reviews` is how many of both are for a person to look at.
    """

    defects: int
    escapes: int
    good: int
    overkills: int
    reviews: int


def outcome(good: Margins, bad: Margins, thresholds: Thresholds) -> Outcome:
    """Counts what `verdict.decide` would say of these margins."""
    passing = thresholds.defect if thresholds.review is None else thresholds.review
    rejected = sum(int((side >= thresholds.defect).sum()) for side in (good, bad))
    passed = sum(int((side < passing).sum()) for side in (good, bad))
    return Outcome(
        defects=len(bad),
        escapes=int((bad < passing).sum()),
        good=len(good),
        overkills=int((good >= thresholds.defect).sum()),
        reviews=len(good) + len(bad) - rejected - passed,
    )


def support(found: Outcome, purpose: Purpose) -> Iterator[str]:
    """Sentences on what the counts say of the rates, and what they would have to be for what was asked."""
    asked = purpose if isinstance(purpose, Limits) else Limits()
    yield _claim(found.escapes, found.defects, "defects missed", "escape", asked.escape, "defect images without a miss")
    yield _claim(
        found.overkills, found.good, "good images rejected", "overkill", asked.overkill, "good images, none rejected"
    )
    if found.reviews:
        yield f"{found.reviews} of {found.good + found.defects} images are for review."


def percent(share: float) -> str:
    """A share as a percentage with its digits as they are: 0.005 is `0.5 %`."""
    return f"{100 * share:.10g} %"


def _claim(errors: int, images: int, what: str, rate: str, asked: float | None, needed: str) -> str:
    bound = upper_bound(errors, images, LEVEL)
    said = f"{errors} of {images} {what}: the {rate} rate is below {_rounded_up(bound)} with {LEVEL:.0%} confidence"
    said = said.replace("95%", "95 %") + " (one-sided)"
    if asked is None or bound <= asked:
        return f"{said}."
    if asked == 0:
        return f"{said}; no number of images shows that it is 0."
    return f"{said}; to claim {percent(asked)} you need {images_needed(asked, LEVEL)} {needed}."


def _rounded_up(bound: float) -> str:
    """A bound with two digits, never below itself: 0.01977 is `2.0 %`."""
    digits = max(0, 1 - math.floor(math.log10(100 * bound)))
    return f"{math.ceil(100 * bound * 10**digits - 1e-9) / 10**digits:.{digits}f} %"
