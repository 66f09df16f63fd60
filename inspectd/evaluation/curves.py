"""Computes ROC, precision-recall and reliability curves. Pure arithmetic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from inspectd.evaluation.metrics import labelled
from inspectd.evaluation.thresholds import Margins

BINS = 10

Line = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Shares, each 0..1, along falling (ROC) and rising (precision, recall) thresholds.

    Attributes:
        overkill, found: The ROC curve: good images rejected against defects found.
        recall, precision: Defects found against the share of defects among what is rejected.
    """

    overkill: Line
    found: Line
    recall: Line
    precision: Line


@dataclass(frozen=True)
class Bin:
    """Images whose calibrated probability of a defect lies in one tenth of 0..1.

    Attributes:
        said: The mean of their probabilities.
        defects: The number of defects among them.
    """

    images: int
    said: float
    defects: int


@dataclass(frozen=True)
class Reliability:
    """The reliability of calibrated probabilities.

    Attributes:
        bins: The bins with images, by rising probability.
        error: The expected calibration error: the mean distance between predicted and true share, weighted by images.
    """

    bins: tuple[Bin, ...]
    error: float


def curves(good: Margins, bad: Margins) -> Curves:
    """Computes the curves for finite margins of both sides."""
    truth, margins = labelled(good, bad)
    overkill, found, _ = roc_curve(truth, margins)
    precision, recall, _ = precision_recall_curve(truth, margins)
    return Curves(overkill, found, recall, precision)


def reliability(scores: Line, defective: NDArray[np.bool_]) -> Reliability:
    """Ten bins of equal width, after Guo et al., "On calibration of modern neural networks" (2017, arXiv:1706.04599).

    Args:
        scores: Calibrated probabilities of a defect (n,), n ≥ 1.
        defective: Whether each image is a defect (n,).
    """
    numbers = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [
        Bin(len(chosen), float(scores[chosen].mean()), int(defective[chosen].sum()))
        for chosen in (np.flatnonzero(numbers == number) for number in range(BINS))
        if len(chosen)
    ]
    error = sum(each.images * abs(each.said - each.defects / each.images) for each in bins) / len(scores)
    return Reliability(tuple(bins), error)
