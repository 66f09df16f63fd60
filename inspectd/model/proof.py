"""The proof: an inspector must reproduce its bundle's golden images on this device in this precision, or is refused.

float32 passes if every logit is within 1 % of the validation logit gap. A reduced precision passes if every verdict is
the expected one, every logit is within 5 % (bfloat16) or 25 % (int8) of the gap, and the heat has the expected pattern
(cosine ≥ 0.99 or 0.95). `loading` chooses the precision by these proofs.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Precision, Verdict
from inspectd.errors import BundleError
from inspectd.model.golden import Golden, GoldenImage, find_golden, grid
from inspectd.model.inspector import Finding, Inspector
from inspectd.model.verdict import decide, margin

log = logging.getLogger(__name__)

ALLOWED: dict[Precision, float] = {"float32": 0.01, "bfloat16": 0.05, "int8": 0.25}  # shares of the gap
ALIKE: dict[Precision, float] = {"bfloat16": 0.99, "int8": 0.95}  # the least cosine of a reduced precision's heat
DARK = 0.01  # of full colour: weaker heat counts as no heat


@dataclass(frozen=True)
class Reproduced:
    """The comparison of one golden image.

    Attributes:
        expected: The verdict of the expected logits under the bundle's thresholds.
        share: The largest difference of a logit, as a share of the gap; infinite if one is not a number.
        cosine: The cosine of the found and the expected heat, 0..1; None if no heat is expected.
    """

    image: GoldenImage
    expected: Verdict
    found: Finding
    share: float
    cosine: float | None

    def faults(self, precision: Precision) -> list[str]:
        """Why the image does not pass, with figures; empty if it passes."""
        faults = []
        if self.share > ALLOWED[precision]:
            allowed = f"{ALLOWED[precision]:.0%} is allowed"
            faults.append(f"its logit is off by {self.share:.2%} of the validation logit gap, {allowed}")
        if precision != "float32":
            if self.found.verdict != self.expected:
                faults.append(f"its verdict is {self.found.verdict} instead of {self.expected}")
            if self.cosine is None:
                faults.append(f"it expects no heat of {self.found.method}")
            elif not self.cosine >= ALIKE[precision]:
                faults.append(f"its heat has cosine {self.cosine:.3f}, {ALIKE[precision]} is needed")
        return faults


@dataclass(frozen=True)
class Proof:
    """The result of reproducing all golden images of a bundle."""

    title: str
    device: str
    precision: Precision
    images: tuple[Reproduced, ...]

    @property
    def passed(self) -> bool:
        return not any(each.faults(self.precision) for each in self.images)

    def as_dicts(self) -> list[dict[str, Any]]:
        """JSON: one entry for each image; NaN and infinity become null."""
        return [
            {
                "precision": self.precision,
                "device": self.device,
                "image": each.image.file,
                "class": each.image.target,
                "expected_verdict": str(each.expected),
                "verdict": str(each.found.verdict),
                "expected_logits": list(each.image.logits),
                "logits": [logit if math.isfinite(logit) else None for logit in each.found.logits],
                "share": each.share if math.isfinite(each.share) else None,
                "cosine": each.cosine,
                "passes": not each.faults(self.precision),
            }
            for each in self.images
        ]

    def __str__(self) -> str:
        """The result in a sentence without a full stop."""
        where = f"on {self.device} in {self.precision}"
        failed = [each for each in self.images if each.faults(self.precision)]
        if not failed:
            most = max(each.share for each in self.images)
            found = f"logits within {most:.2%} of the validation logit gap, {ALLOWED[self.precision]:.0%} is allowed"
            return f"{self.title} reproduces its {len(self.images)} golden images {where}: {found}"
        worst = max(failed, key=lambda each: each.share)
        count = f"{len(failed)} of its {len(self.images)} golden images"
        faults = "; ".join(worst.faults(self.precision))
        return f"{self.title} does not reproduce {count} {where}: {worst.image.file}: {faults}"


def prove(inspector: Inspector, golden: Golden, alive: Callable[[], None]) -> Proof:
    """Reproduces every golden image; `alive` is called after each."""
    images = []
    for image in golden.images:
        images.append(_reproduce(inspector, image, golden.gap))
        alive()
    return Proof(inspector.bundle.title, inspector.device, inspector.precision, tuple(images))


def cosine(found: NDArray[np.float32], expected: NDArray[np.float32], dark: float) -> float:
    """The cosine of two heats (16, 16), ≥ 0: 1 for the same pattern at any strength; 0 if one is not finite.

    Heat that is nowhere above `dark` counts as none: the cosine of two such heats is 1, of one such and another 0.
    """
    is_dark = [float(heat.max()) <= dark for heat in (found, expected)]
    if any(is_dark):
        return float(all(is_dark))
    alike = float((found * expected).sum() / (np.linalg.norm(found) * np.linalg.norm(expected)))
    return alike if math.isfinite(alike) else 0.0


def _reproduce(inspector: Inspector, image: GoldenImage, gap: float) -> Reproduced:
    spec = inspector.bundle.spec
    found = find_golden(inspector, image)
    if len(found.logits) != len(image.logits):
        raise BundleError(
            f"{image.file} expects {len(image.logits)} logits, but the network gives {len(found.logits)}."
        )
    share = float(np.abs(np.subtract(found.logits, image.logits)).max()) / gap
    heat = image.heat.get(found.method)
    return Reproduced(
        image=image,
        expected=decide(margin(image.logits, spec.classes, spec.activation), spec.thresholds),
        found=found,
        share=share if math.isfinite(share) else math.inf,
        cosine=cosine(grid(found.heat), np.array(heat, np.float32), DARK * found.scale.high) if heat else None,
    )
