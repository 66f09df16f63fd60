"""Metrics of ranking and fit on images of known class. Pure arithmetic on logits and margins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from inspectd.evaluation.thresholds import Margins
from inspectd.model.spec import ImageClass
from inspectd.model.verdict import Activation


def auc(good: Margins, bad: Margins) -> float:
    """The area under the ROC curve: the chance that a defect's margin exceeds a good image's; a tie counts half."""
    return float(roc_auc_score(*labelled(good, bad)))


def average_precision(good: Margins, bad: Margins) -> float:
    """The mean precision over the defects as they are found one by one; it depends on how many images are good."""
    return float(average_precision_score(*labelled(good, bad)))


def labelled(good: Margins, bad: Margins) -> tuple[NDArray[np.int64], Margins]:
    """Labels (0 good, 1 defect) and margins, as scikit-learn expects them."""
    return np.repeat([0, 1], [len(good), len(bad)]), np.concatenate([good, bad])


def cross_entropy(
    logits: NDArray[np.float64], targets: NDArray[np.int64], classes: Sequence[ImageClass], activation: Activation
) -> float:
    """The mean loss of logits (n, units): binary cross-entropy for sigmoid units, categorical for softmax."""
    wanted = answers(targets, classes, logits.shape[1])
    if activation == "softmax":
        return float((np.logaddexp.reduce(logits, axis=1) - (wanted * logits).sum(axis=1)).mean())
    return float((np.logaddexp(0, logits) - wanted * logits).mean())


def answers(targets: NDArray[np.int64], classes: Sequence[ImageClass], units: int) -> NDArray[np.float32]:
    """The targets of the network's outputs, float32 (n, units): one-hot, or 1 for a defect for a single unit."""
    if units == 1:
        return np.array([[0.0 if classes[target].ok else 1.0] for target in targets], np.float32)
    return np.eye(len(classes), dtype=np.float32)[targets]
