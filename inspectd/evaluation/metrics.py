"""The few numbers that a bundle carries about itself. Pure arithmetic on logits and margins."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from inspectd.evaluation.thresholds import Margins
from inspectd.model.spec import ImageClass
from inspectd.model.verdict import Activation


@dataclass(frozen=True)
class Metrics:
    """Measured on validation images, with the chosen threshold.

    Attributes:
        loss: Mean cross-entropy of the logits, as in training.
        accuracy: Share of images on the right side of the threshold (OK or NG).
        auc: Probability that a defect's margin exceeds a good image's; a tie counts half.
        escapes, overkills: Defects passed as OK, good images rejected.
        good, defects: How many images there were of each.
        good_max, defect_min: The margins nearest the other side; separated when good_max < defect_min.
    """

    loss: float
    accuracy: float
    auc: float
    escapes: int
    overkills: int
    good: int
    defects: int
    good_max: float
    defect_min: float

    def as_numbers(self) -> dict[str, float | int]:
        """As `bundle.yaml` keeps them."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def auc(good: Margins, bad: Margins) -> float:
    """The area under the ROC curve: the chance that a defect's margin exceeds a good image's; a tie counts half."""
    sides = np.repeat([0, 1], [len(good), len(bad)])
    return float(roc_auc_score(sides, np.concatenate([good, bad])))


def cross_entropy(
    logits: NDArray[np.float64], targets: NDArray[np.int64], classes: Sequence[ImageClass], activation: Activation
) -> float:
    """The mean loss of logits (n, units): binary cross-entropy for sigmoid units, categorical for softmax."""
    wanted = answers(targets, classes, logits.shape[1])
    if activation == "softmax":
        return float((np.logaddexp.reduce(logits, axis=1) - (wanted * logits).sum(axis=1)).mean())
    return float((np.logaddexp(0, logits) - wanted * logits).mean())


def answers(targets: NDArray[np.int64], classes: Sequence[ImageClass], units: int) -> NDArray[np.float32]:
    """What the network should say, float32 (n, units): one-hot, or 1 for a defect where there is a single unit."""
    if units == 1:
        return np.array([[0.0 if classes[target].ok else 1.0] for target in targets], np.float32)
    return np.eye(len(classes), dtype=np.float32)[targets]
