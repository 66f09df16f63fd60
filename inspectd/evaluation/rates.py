"""A count of errors with the bounds on its rate."""

import math
from dataclasses import dataclass

from inspectd.evaluation.intervals import clopper_pearson, upper_bound


@dataclass(frozen=True)
class Rate:
    """`count` of `of` images."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The share, 0..1; None without images."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Two-sided 95 % (Clopper–Pearson), for tables."""
        return clopper_pearson(self.count, self.of)

    @property
    def at_most(self) -> float:
        """One-sided 95 %: "the rate is below this", for claims."""
        return upper_bound(self.count, self.of)

    def as_numbers(self) -> dict[str, object]:
        """The entry of `metrics.json`."""
        low, high = (round(limit, 6) for limit in self.interval)
        share = None if self.value is None else round(self.value, 6)
        return {
            "count": self.count,
            "of": self.of,
            "rate": share,
            "two_sided_95": [low, high],
            "upper_bound_95": round(self.at_most, 6),
        }


def share_of(truths: list[bool]) -> Rate:
    """The rate of true values."""
    return Rate(sum(truths), len(truths))


def percent(share: float | None) -> str:
    """Formats a share for people: finer near 0 and 100 %, and never rounded to either."""
    if share is None:
        return "–"
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f} %"
    return f"{min(max(value, 0.01), 99.99):.{2 if min(value, 100 - value) < 1 else 1}f} %"


def below(bound: float) -> str:
    """Formats an upper bound for people, rounded up, so that a claim promises no more than was shown."""
    digits = 2 if bound < 0.0099 else 1
    value = math.ceil(100 * bound * 10**digits - 1e-9) / 10**digits
    return f"{value:.{digits}f} %" if value < 100 else "100 %"
