"""Turns logits into a verdict. Pure arithmetic on float32 logits, never on probabilities.

Probabilities saturate: a confident network gives exactly 1.0 for every defect, so they cannot be ranked. The *margin*
decides, in the units of the logits: the higher, the more like a defect.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Verdict
from inspectd.model.spec import Calibration, ImageClass, Thresholds

Activation = Literal["softmax", "sigmoid"]


def margin(logits: Sequence[float], classes: Sequence[ImageClass], activation: Activation) -> float:
    """The margin of one image.

    - One sigmoid unit for two classes: the unit itself, which stands for the defect.
    - Softmax: log Σ exp over the NG classes − log Σ exp over the OK classes, the logit of 1 − Σ p(OK).
    - Two sigmoid units, one OK and one NG: their difference, so that argmax changes at 0.
    - Any other sigmoid units: the strongest NG unit.

    Args:
        logits: One per output of the network, in the order of `classes`; or one for two classes.

    Returns:
        The margin; NaN if any logit is not finite.
    """
    return float(margins(np.array([logits]), classes, activation)[0])


def margins(logits: NDArray[np.float64], classes: Sequence[ImageClass], activation: Activation) -> NDArray[np.float64]:
    """The margins (n,) of many images with logits (n, units)."""
    known = np.isfinite(logits).all(axis=1)
    of = logits[known]
    ok = np.array([each.ok for each in classes])
    if of.shape[1] == 1:
        found = of[:, 0]
    elif activation == "softmax":
        found = np.logaddexp.reduce(of[:, ~ok], axis=1) - np.logaddexp.reduce(of[:, ok], axis=1)
    elif ok.sum() == (~ok).sum() == 1:
        found = (of[:, ~ok] - of[:, ok])[:, 0]
    else:
        found = of[:, ~ok].max(axis=1)
    result = np.full(len(logits), np.nan)
    result[known] = found
    return result


def decide(margin: float, thresholds: Thresholds) -> Verdict:
    """The verdict for a margin; `review` if the margin is not finite, because a missing answer is never OK."""
    if not math.isfinite(margin):
        return Verdict.REVIEW
    if margin >= thresholds.defect:
        return Verdict.DEFECT
    if thresholds.review is not None and margin >= thresholds.review:
        return Verdict.REVIEW
    return Verdict.OK


def label(verdict: Verdict, logits: Sequence[float], classes: Sequence[ImageClass]) -> str:
    """The class that names the verdict: the strongest OK class when it is `ok`, else the strongest NG class."""
    candidates = [
        (logit, each.name)
        for logit, each in zip(class_logits(logits, classes), classes, strict=True)
        if each.ok == (verdict == Verdict.OK)
    ]
    return max(candidates, key=lambda candidate: candidate[0])[1]


def score(margin: float, calibration: Calibration) -> float:
    """The calibrated probability of a defect, 0..1; ½ (no opinion) for a margin that is not finite."""
    if not math.isfinite(margin):
        return 0.5
    scaled = (margin - calibration.offset) / calibration.temperature
    return float(0.5 * (1.0 + math.tanh(0.5 * scaled)))  # the sigmoid, in a form that cannot overflow


def class_logits(logits: Sequence[float], classes: Sequence[ImageClass]) -> list[float]:
    """One logit per class: a single unit z stands for the defect, and −z for the class beside it."""
    if len(logits) == len(classes):
        return [float(logit) for logit in logits]
    return [-float(logits[0]) if each.ok else float(logits[0]) for each in classes]
