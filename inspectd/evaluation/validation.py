"""Derives threshold, calibration, heat scale and metrics from the validation images.

Pure arithmetic on the findings of the saved bundle's inspector, so the evaluated network is the one that will run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from inspectd.evaluation.heatscale import HeatScales, heat_scales
from inspectd.evaluation.metrics import auc, cross_entropy
from inspectd.evaluation.thresholds import calibrate, choose_threshold
from inspectd.model.inspector import Finding
from inspectd.model.spec import Calibration, ImageClass, Thresholds
from inspectd.model.verdict import Activation, margin


@dataclass(frozen=True)
class ValidationMetrics:
    """Measured on validation images, with the chosen threshold.

    Attributes:
        loss: Mean cross-entropy of the logits, as in training.
        accuracy: Share of images on the right side of the threshold (OK or NG).
        auc: Probability that a defect's margin exceeds a good image's; a tie counts half.
        escapes, overkills: Defects passed as OK, good images rejected.
        good, defects: The numbers of images.
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
        """The entries of `bundle.yaml`."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Validation:
    """The results for the bundle, and sentences for the user."""

    thresholds: Thresholds
    calibration: Calibration
    heat_scale: HeatScales
    good_margin: float
    metrics: ValidationMetrics
    remarks: tuple[str, ...]


def validate(
    findings: Sequence[Finding],
    targets: NDArray[np.int64],
    classes: Sequence[ImageClass],
    activation: Activation,
    threshold: float | None = None,
) -> Validation:
    """Computes the results from findings on images of known class.

    Args:
        targets: (n,), indices into `classes`, both sides present.
        threshold: The threshold, if these images must not choose it.
    """
    margins = np.array([margin(finding.logits, classes, activation) for finding in findings])
    bad = np.array([not classes[target].ok for target in targets])
    good_margins, bad_margins = margins[~bad], margins[bad]
    chosen = threshold is None
    if threshold is None:
        threshold = choose_threshold(good_margins, bad_margins)
    escapes, overkills = int((bad_margins < threshold).sum()), int((good_margins >= threshold).sum())
    maxima = {each: np.array([finding.maxima[each] for finding in findings]) for each in findings[0].maxima}
    scales, remarks = heat_scales(maxima, [finding.explained for finding in findings], targets, classes)
    metrics = ValidationMetrics(
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
    summary = _summary(metrics) if chosen else _decided(metrics, threshold)
    good_margin = float(np.median(good_margins))
    return Validation(Thresholds(threshold), calibration, scales, good_margin, metrics, (summary, *remarks))


def _decided(metrics: ValidationMetrics, threshold: float) -> str:
    return (
        f"At the threshold {threshold:.4g}, which no image chose, {metrics.escapes} of {metrics.defects} defects "
        f"escape and {metrics.overkills} of {metrics.good} good images are rejected."
    )


def _summary(metrics: ValidationMetrics) -> str:
    if metrics.good_max < metrics.defect_min:
        return (
            f"Validation images are separated (good up to {metrics.good_max:.4g}, defects from "
            f"{metrics.defect_min:.4g}): the threshold is the middle of the gap."
        )
    return (
        f"Validation images overlap: at the best threshold {metrics.escapes} of {metrics.defects} defects escape and "
        f"{metrics.overkills} of {metrics.good} good images are rejected."
    )
