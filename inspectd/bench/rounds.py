"""Measuring on a machine that is not alone: variants take turns, A B C, A B C, …, and a round is compared with itself.

Times drift by tens of percent on shared machines, and ratios within one round hardly at all. Pure: whoever measures is
passed in, and so is the clock.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from inspectd.domain import Precision

MOST = 15  # rounds, after which more tell nothing new

Clock = Callable[[], float]


@dataclass(frozen=True)
class Measurement:
    """One line of the table: what is measured, and with which settings. `name` is a key of `report.MEANING`."""

    name: str
    precision: Precision | None = None
    batch: int | None = None
    threads: int | None = None


Numbers = dict[Measurement, tuple[float, ...]]  # one for each round
Measure = Callable[[], Mapping[Measurement, float]]


def interleave(measures: Sequence[Measure], until: float, clock: Clock = time.monotonic) -> Numbers:
    """Let all measures take turns for at least one round, and for as many as end by `until`.

    Args:
        until: On `clock`, in seconds.
    """
    found: defaultdict[Measurement, list[float]] = defaultdict(list)
    began = clock()
    for done in range(1, MOST + 1):
        for measure in measures:
            for line, value in measure().items():
                found[line].append(value)
        now = clock()
        if now + (now - began) / done >= until:
            break
    return {line: tuple(values) for line, values in found.items()}


def pace(call: Callable[[], object], images: int, seconds: float, clock: Clock = time.perf_counter) -> float:
    """Images a second of a call that takes `images` of them, repeated until `seconds` are over."""
    began, done = clock(), 0
    while True:
        call()
        done += images
        elapsed = clock() - began
        if elapsed >= seconds:
            return done / elapsed


def by_round(upper: Iterable[float], lower: Iterable[float]) -> tuple[float, ...]:
    """The quotient of each round."""
    return tuple(above / below for above, below in zip(upper, lower, strict=True))


def middle(rounds: Sequence[float]) -> float:
    """What the rounds come to: their median."""
    return float(median(rounds))


class Budget:
    """The time of a benchmark, in shares: what one stage leaves over is the next one's."""

    def __init__(self, seconds: float, shares: Mapping[str, float], clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._shares = shares
        self._began = clock()
        self._clock = clock

    def until(self, stage: str) -> float:
        """When this stage should have ended, on the clock."""
        names = list(self._shares)
        return self._began + self._seconds * sum(self._shares[name] for name in names[: names.index(stage) + 1])

    def has_time(self, stage: str) -> bool:
        """Whether the stage may begin: the time is not over before it."""
        return self._clock() <= self.until(stage)

    def share(self, stage: str) -> float:
        """Its own seconds."""
        return self._seconds * self._shares[stage]
