"""What validation images say of a network: threshold, calibration, heat scale and metrics.

Pure arithmetic on what the finished bundle's own inspector found, so that what is evaluated is what will run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.evaluation.thresholds import Margins, calibrate, choose_threshold
from inspectd.model.inspector import Finding
from inspectd.model.spec import Calibration, HeatScale, ImageClass, Thresholds
from inspectd.model.verdict import Activation, margin


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


@dataclass(frozen=True)
class Evaluation:
    """Everything that a bundle takes from validation, and sentences that a user should read about it."""

    thresholds: Thresholds
    calibration: Calibration
    heat_scale: dict[str, dict[str, HeatScale]]
    metrics: Metrics
    remarks: tuple[str, ...]


def evaluate(
    findings: Sequence[Finding], targets: NDArray[np.int64], classes: Sequence[ImageClass], activation: Activation
) -> Evaluation:
    """Evaluates findings on images of known class: `targets` (n,) are indices into `classes`, both sides present."""
    margins = np.array([margin(finding.logits, classes, activation) for finding in findings])
    bad = np.array([not classes[target].ok for target in targets])
    good_margins, bad_margins = margins[~bad], margins[bad]
    threshold = choose_threshold(good_margins, bad_margins)
    escapes, overkills = int((bad_margins < threshold).sum()), int((good_margins >= threshold).sum())
    scale, remarks = _heat_scale(findings, targets, classes)
    metrics = Metrics(
        loss=cross_entropy(np.array([finding.logits for finding in findings]), targets, classes, activation),
        accuracy=1 - (escapes + overkills) / len(margins),
        auc=auc(good_margins, bad_margins),
        escapes=escapes,
        overkills=overkills,
        good=len(good_margins),
        defects=len(bad_margins),
        good_max=float(good_margins.max()),
        defect_min=float(bad_margins.min()),
    )
    calibration = calibrate(good_margins, bad_margins, threshold)
    return Evaluation(Thresholds(threshold), calibration, {"gradcam": scale}, metrics, (_summary(metrics), *remarks))


def auc(good: Margins, bad: Margins) -> float:
    """The area under the ROC curve, as the rank statistic of Mann and Whitney."""
    ranked = np.sort(good)
    below = np.searchsorted(ranked, bad, "left") + np.searchsorted(ranked, bad, "right")
    return float(below.mean() / (2 * len(good)))


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


def _heat_scale(
    findings: Sequence[Finding], targets: NDArray[np.int64], classes: Sequence[ImageClass]
) -> tuple[dict[str, HeatScale], list[str]]:
    """For each NG class: `low` so that good images stay dark, `high` so that its usual defect has full colour."""
    maxima = np.array([finding.heat.max() for finding in findings])
    good = np.array([classes[target].ok for target in targets])
    low = float(np.percentile(maxima[good], 99))
    scales: dict[str, HeatScale] = {}
    remarks: list[str] = []
    for index, each in enumerate(classes):
        if each.ok:
            continue
        explaining = np.array([finding.explained == each.name for finding in findings]) & (targets == index)
        high = float(np.median(maxima[explaining if explaining.any() else targets == index]))
        if high <= low:
            remarks.append(
                f"The heat does not tell {each.name} from good: its median maximum is {high:.4g}, and 1 in 100 good "
                f"images exceeds {low:.4g}. Its overlays will often be empty. More epochs, a finer cut or "
                "`--preprocess backbone` may help."
            )
            high = 2 * low or 1.0
        scales[each.name] = HeatScale(low, high)
    return scales, remarks


def _summary(metrics: Metrics) -> str:
    if metrics.good_max < metrics.defect_min:
        return (
            f"Validation images are separated (good up to {metrics.good_max:.4g}, defects from "
            f"{metrics.defect_min:.4g}): the threshold is the middle of the gap."
        )
    return (
        f"Validation images overlap: at the best threshold {metrics.escapes} of {metrics.defects} defects escape and "
        f"{metrics.overkills} of {metrics.good} good images are rejected."
    )


def as_numbers(metrics: Metrics) -> dict[str, float | int]:
    """The metrics as `bundle.yaml` keeps them."""
    return {name: round(value, 6) for name, value in asdict(metrics).items()}
