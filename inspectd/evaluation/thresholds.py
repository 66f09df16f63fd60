"""Where a margin becomes a defect, and what probability it stands for. Pure arithmetic on margins of known images."""

import numpy as np
from numpy.typing import NDArray

from inspectd.model.spec import Calibration

Margins = NDArray[np.float64]


def choose_threshold(good: Margins, bad: Margins) -> float:
    """The margin with the fewest errors: the middle between two neighbouring margins, or the least of all.

    Of several that are equally good, the middle of the widest gap; so for margins that are separated, the middle of the
    gap between good and bad. The least margin rejects everything, which is what a network that knows nothing deserves.
    """
    values = np.unique(np.concatenate([good, bad]))
    candidates = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    gaps = np.concatenate([[0.0], np.diff(values)])
    escapes = np.searchsorted(np.sort(bad), candidates, "left")
    overkills = len(good) - np.searchsorted(np.sort(good), candidates, "left")
    return float(candidates[np.lexsort((-gaps, escapes + overkills))[0]])


def calibrate(good: Margins, bad: Margins, threshold: float) -> Calibration:
    """Probabilities around the threshold: the temperature with the greatest likelihood, but never below a floor.

    Where margins are separated, likelihood would drive the temperature to zero and every probability to 0 or 1. The
    floor lets nobody be surer than n images allow: the margin as far from the threshold as the nearest correct one has
    probability 1 / (n + 2) of being wrong (Laplace's rule of succession, n images on the smaller side).
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
