"""Chooses thresholds and calibrates probabilities. Pure arithmetic on margins of known images.

Only thresholds that separate images are considered: the middle between two neighbouring margins, the least margin
(everything is rejected) and the next number above the greatest (everything passes). Among equally good
thresholds the one in the widest gap wins: for separated sides, the middle of the gap. A margin that is not a number is
for review at every threshold, and counts neither as escape nor as overkill.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import DataError
from inspectd.model.spec import Calibration, Thresholds

Margins = NDArray[np.float64]
_ROUNDING = 1e-12  # costs that differ by less, in parts of their size, are equal


@dataclass(frozen=True)
class ErrorLimits:
    """The most allowed shares, 0..1: of defects that pass, and of good images that are rejected."""

    escape: float | None = None
    overkill: float | None = None


@dataclass(frozen=True)
class Costs:
    """The cost of an escape, an overkill and, optionally, a review, in one unit.

    `defect_share` is the share of defects on the line, 0..1; None: as among the images.
    """

    escape: float
    overkill: float
    review: float | None = None
    defect_share: float | None = None


Purpose = ErrorLimits | Costs


@dataclass(frozen=True)
class _Edges:
    """All thresholds to consider, ascending, with their errors."""

    margin: Margins
    gap: Margins  # the distance between the margins on its two sides
    escapes: NDArray[np.int64]
    overkills: NDArray[np.int64]

    def best(self, value: NDArray[np.generic], among: NDArray[np.bool_]) -> int:
        """The index with the least `value`; of equals the one with the fewest errors, then that in the widest gap."""
        chosen = np.flatnonzero(among)
        keys = (-self.gap[chosen], (self.escapes + self.overkills)[chosen], value[chosen])
        return int(chosen[np.lexsort(keys)[0]])


def choose_threshold(good: Margins, bad: Margins) -> float:
    """The threshold with the fewest errors, but never one that passes everything.

    At the least margin everything is rejected, which is right for a network that cannot separate anything.
    """
    edges = _edges(good, bad)
    some_fail = np.arange(len(edges.margin)) < len(edges.margin) - 1
    return float(edges.margin[edges.best(edges.escapes + edges.overkills, some_fail)])


def choose(good: Margins, bad: Margins, purpose: Purpose) -> Thresholds:
    """One or two thresholds for a purpose; between two lies `review`.

    A limit on one side is kept with the fewest errors on the other side. If no single threshold keeps the limits on
    both sides, two thresholds do, with the fewest images for review. For costs, the cheapest threshold, or two if that
    is cheaper.

    Raises:
        DataError: there are no good images, or no defects; or every threshold costs the same.
    """
    if not np.isfinite(good).any() or not np.isfinite(bad).any():
        raise DataError("There are no good images, or no defects, to choose a threshold from: both are needed.")
    edges = _edges(good, bad)
    if isinstance(purpose, Costs):
        _refuse_no_cost(purpose)
        return _cheapest(edges, purpose, len(good), len(bad))
    few_escapes = edges.escapes <= _allowed(purpose.escape, len(bad))
    few_overkills = edges.overkills <= _allowed(purpose.overkill, len(good))
    fewest_overkills, fewest_escapes = (
        edges.best(edges.overkills, few_escapes),
        edges.best(edges.escapes, few_overkills),
    )
    if purpose.overkill is None:
        return Thresholds(float(edges.margin[fewest_overkills]))
    if purpose.escape is None:
        return Thresholds(float(edges.margin[fewest_escapes]))
    if (both := few_escapes & few_overkills).any():
        return Thresholds(float(edges.margin[edges.best(edges.escapes + edges.overkills, both)]))
    return Thresholds(defect=float(edges.margin[fewest_escapes]), review=float(edges.margin[fewest_overkills]))


def _refuse_no_cost(costs: Costs) -> None:
    if costs.overkill == 0 and (costs.escape == 0 or costs.defect_share == 0):
        raise DataError(
            "Without costs every threshold is equal: give the costs of a missed defect and of a rejected good "
            "image, or their ratio, such as 100 and 1."
        )


def _edges(good: Margins, bad: Margins) -> _Edges:
    good, bad = np.sort(good[np.isfinite(good)]), np.sort(bad[np.isfinite(bad)])
    values = np.unique(np.concatenate([good, bad]))
    above = np.nextafter(values[-1:], np.inf)
    margin = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, above])
    return _Edges(
        margin=margin,
        gap=np.concatenate([[0.0], np.diff(values), [0.0]]),
        escapes=np.searchsorted(bad, margin, "left"),
        overkills=len(good) - np.searchsorted(good, margin, "left"),
    )


def _allowed(share: float | None, images: int) -> int:
    """The number of errors that a limit allows; all without a limit."""
    return images if share is None else int(share * images + _ROUNDING)


def _cheapest(edges: _Edges, costs: Costs, good: int, bad: int) -> Thresholds:
    """The thresholds with the least expected cost of an image.

    With two thresholds it is a sum of one term for each: images below `defect` are reviewed, minus those below
    `review`. So for every `defect` the best `review` below it is the least of a running minimum.
    """
    share = bad / (good + bad) if costs.defect_share is None else costs.defect_share
    of_defect, of_good = share / bad, (1 - share) / good  # the weight of one image
    escaping, rejecting = costs.escape * of_defect * edges.escapes, costs.overkill * of_good * edges.overkills
    one = _least(edges, escaping + rejecting)
    if costs.review is None:
        return Thresholds(float(edges.margin[one]))
    looking = costs.review * (of_defect * edges.escapes + of_good * (edges.overkills[0] - edges.overkills))
    two = np.full(len(edges.margin), np.inf)
    two[1:] = (rejecting + looking)[1:] + np.minimum.accumulate(escaping - looking)[:-1]
    if two.min() >= (escaping + rejecting)[one] * (1 - _ROUNDING):
        return Thresholds(float(edges.margin[one]))
    defect = _least(edges, two)
    review = _least(edges, np.where(edges.margin < edges.margin[defect], escaping - looking, np.inf))
    return Thresholds(float(edges.margin[defect]), float(edges.margin[review]))


def _least(edges: _Edges, cost: NDArray[np.float64]) -> int:
    near = cost <= cost.min() + _ROUNDING * np.abs(cost[np.isfinite(cost)]).max()
    return edges.best(np.zeros_like(cost), near)


def calibrate(good: Margins, bad: Margins, threshold: float) -> Calibration:
    """Probabilities around the threshold: the temperature with the greatest likelihood, but never below a floor.

    Where margins are separated, likelihood would drive the temperature to zero and every probability to 0 or 1. The
    floor keeps the certainty within what n images allow: the margin as far from the threshold as the nearest correct
    one has probability 1 / (n + 2) of being wrong (Laplace's rule of succession, n images on the smaller side).
    """
    distances = np.concatenate([threshold - good, bad - threshold])  # positive where right
    right = distances[distances > 0]
    if len(right) == 0:
        return Calibration(threshold)
    floor = right.min() / np.log(min(len(good), len(bad)) + 1)
    candidates = np.geomspace(floor, max(np.abs(distances).max() * 10, floor), 400)
    losses = [np.logaddexp(0, -distances / temperature).mean() for temperature in candidates]
    separated = bool((distances > 0).all())
    return Calibration(threshold, float(floor if separated else candidates[int(np.argmin(losses))]))
