"""Compares int8 with float32 on the same images, as numbers and as sentences. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from inspectd.evaluation.cases import FINDINGS, INT8_FINDINGS, Case, read_cases
from inspectd.evaluation.claims import sides
from inspectd.evaluation.metrics import auc
from inspectd.model.bundle import Bundle
from inspectd.model.spec import MOST_AUC_LOST, Quantised, Spec, Thresholds
from inspectd.model.verdict import decide


@dataclass(frozen=True)
class Beside:
    """A comparison, and a description of its images."""

    found: Quantised
    images: str

    def as_numbers(self) -> dict[str, Any]:
        """The entry of `metrics.json`."""
        return {**asdict(self.found), "of": self.images}


def beside_float32(bundle: Bundle, coarse: Iterable[Case]) -> Beside | None:
    """Compares int8 findings with the bundle's float32 findings on the same images.

    If the bundle holds too few of them, the comparison of the quantisation; None if it has no int8 part.
    """
    spec = bundle.spec
    if spec.int8 is None:
        return None
    known = {each.sha256: each for each in read_cases(bundle.path / FINDINGS, spec)} if FINDINGS in bundle.files else {}
    both = [each for each in coarse if each.sha256 in known and np.isfinite(each.margin)]
    if len({spec.classes[each.target].ok for each in both}) == 2:
        exact = [known[each.sha256] for each in both]
        return Beside(compare(exact, both, spec, spec.int8.calibrated_with), "of these images")
    return Beside(spec.int8, "images that chose the threshold")


def compared_again(bundle: Bundle, thresholds: Thresholds) -> Quantised | None:
    """The bundle's own comparison under other thresholds; None if it has no int8 part."""
    spec = bundle.spec
    if spec.int8 is None:
        return None
    coarse = read_cases(bundle.path / INT8_FINDINGS, spec)
    known = {each.path: each for each in read_cases(bundle.path / FINDINGS, spec)}
    exact = [known[each.path] for each in coarse]
    return compare(exact, coarse, replace(spec, thresholds=thresholds), spec.int8.calibrated_with)


def compare(exact: Sequence[Case], coarse: Sequence[Case], spec: Spec, calibrated_with: int) -> Quantised:
    """Compares the cases of int8 and float32, the same images in the same order, of both sides.

    Args:
        spec: The description whose thresholds decide.
        calibrated_with: The number of calibration images.
    """
    pairs = list(zip(exact, coarse, strict=True))
    changed = (decide(a.margin, spec.thresholds) != decide(b.margin, spec.thresholds) for a, b in pairs)
    return Quantised(
        calibrated_with=calibrated_with,
        images=len(pairs),
        auc_float32=round(auc(*sides(exact, spec.classes)), 6),
        auc=round(auc(*sides(coarse, spec.classes)), 6),
        verdicts_changed=sum(changed),
        farthest=float(f"{max(float(np.abs(np.subtract(a.logits, b.logits)).max()) for a, b in pairs):.6g}"),
    )


def told(found: Quantised, images: str) -> tuple[str, ...]:
    """The comparison in sentences; `images` describes the images."""
    lost = found.auc_float32 - found.auc
    sentences = (
        f"int8 beside float32 on {found.images} {images}: {found.verdicts_changed} verdicts differ, AUC "
        f"{found.auc:.4f} beside {found.auc_float32:.4f}, no logit farther off than {found.farthest:.4g}.",
    )
    if found.ranks_as_well:
        return sentences
    return (
        *sentences,
        f"It loses {lost:.4f} of the AUC, more than {MOST_AUC_LOST}: `precision: auto` does not take it.",
    )
