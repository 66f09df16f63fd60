"""Measures a draft bundle on images that its network was not trained with, with the inspector that will run it.

Training and import share this module, so both determine threshold, calibration, heat scale and golden images alike.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inspectd.dataset.manifest import Split
from inspectd.dataset.pictures import Picture, in_batches
from inspectd.domain import METHOD_NAMES
from inspectd.errors import DataError
from inspectd.evaluation.cases import Case, case
from inspectd.evaluation.heatscale import HeatScales
from inspectd.evaluation.judging import warm_up
from inspectd.evaluation.validation import validate
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.spec import HeatScale, ImageClass, Spec
from inspectd.paths import from_text


@dataclass(frozen=True)
class Seen:
    """A network's answers for images of known class: a case and a finding for each, in the same order."""

    cases: list[Case]
    findings: list[Finding]


@dataclass(frozen=True)
class Measured:
    """The measured draft.

    Attributes:
        spec: The draft's description with all measured values.
        golden: The contents of the golden images' files by their paths in the bundle.
        remarks: Sentences that a user should read.
    """

    spec: Spec
    golden: dict[str, bytes]
    remarks: tuple[str, ...]


def unmeasured(classes: Sequence[ImageClass]) -> HeatScales:
    """Placeholder heat scales of a draft."""
    return {method: {each.name: HeatScale(0.0, 1.0) for each in classes if not each.ok} for method in METHOD_NAMES}


def see(inspector: Inspector, pictures: Iterable[Picture], split: Split) -> Seen:
    """Runs the network on prepared pictures, with heat by every method.

    Raises:
        DataError: an answer is not a number.
    """
    seen = Seen([], [])
    for batch in in_batches(pictures, warm_up(inspector)):
        findings = inspector.inspect([each.pixels for each in batch], METHOD_NAMES)
        for each, finding in zip(batch, findings, strict=True):
            seen.cases.append(case(each.path, each.sha256, each.target, split, finding, inspector.bundle.spec))
            seen.findings.append(finding)
    if silent := [each.path for each in seen.cases if not math.isfinite(each.margin)]:
        raise DataError(
            f"The network gives no finite number for {silent[0]}: training diverged, or its weights are damaged. Lower "
            "--rate, or take a whole file."
        )
    return seen


def measure(inspector: Inspector, root: Path, seen: Seen, threshold: float | None = None) -> Measured:
    """Threshold, calibration, heat scale, metrics and golden images from good images and every kind of defect.

    Args:
        root: The folder of the images.
        threshold: The threshold, if these images must not choose it.
    """
    spec = inspector.bundle.spec
    targets = np.array([each.target for each in seen.cases])
    found = validate(seen.findings, targets, spec.classes, spec.activation, threshold)
    sightings = [Sighting(root / from_text(each.path), each.target, each.margin) for each in seen.cases]
    golden = golden_files(inspector, sightings, found.thresholds.defect)
    measured = replace(
        spec,
        thresholds=found.thresholds,
        calibration=found.calibration,
        heat_scale=found.heat_scale,
        good_margin=found.good_margin,
        metrics=found.metrics.as_numbers(),
    )
    return Measured(measured, golden.files, (*found.remarks, *golden.remarks))
