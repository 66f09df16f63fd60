"""The interface between worker and model: takes pixels, gives verdicts, logits and heat.

`loading.open_inspector` opens a bundle as an `Inspector`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Method, Precision, Verdict
from inspectd.model.bundle import Bundle
from inspectd.model.spec import HeatScale, Spec
from inspectd.model.verdict import decide, label, margin, score


@dataclass(frozen=True)
class Finding:
    """The network's answer for one image.

    Attributes:
        verdict: `ok`, `defect` or `review`.
        label: The class that names the verdict.
        logits: float32 values, one per output of the network.
        score: The calibrated probability of a defect, 0..1.
        explained: The class whose logit the heat explains.
        method: The method that computed the heat.
        heat: float32 (h, w), ≥ 0, in the units of `scale`; it covers the whole image.
        scale: The fixed colour scale for this heat; lowered for a rejected image whose heat stays below its midpoint.
        maxima: The greatest heat by method, for each requested method.
    """

    verdict: Verdict
    label: str
    logits: tuple[float, ...]
    score: float
    explained: str
    method: Method
    heat: NDArray[np.float32]
    scale: HeatScale
    maxima: Mapping[Method, float]


class Inspector(Protocol):
    """A bundle on a device. `prepare` may be called from any thread; everything else by one thread at a time."""

    @property
    def bundle(self) -> Bundle: ...

    @property
    def device(self) -> str:
        """The device, for people: `cpu`, `gpu:0 NVIDIA …`."""

    @property
    def precision(self) -> Precision: ...

    @property
    def method(self) -> Method:
        """The method that computes its heat."""

    @property
    def remarks(self) -> list[str]:
        """Sentences worth a warning in the log, such as an idle GPU."""

    def warm_up(self, batch: int) -> float:
        """Runs every batch size up to `batch` once, so that no later call has to compile.

        Returns:
            Seconds of the slowest batch.
        """

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turns an upright image, uint8 (H, W, 3) RGB or (H, W) grey, into the network's input, uint8 (h, w, channels).

        If the bundle has `tiles`, the image keeps its size.
        """

    def inspect(self, prepared: Sequence[NDArray[np.uint8]], methods: Sequence[Method] = ()) -> list[Finding]:
        """Judges images from `prepare`; returns one finding per image, in order.

        Args:
            methods: Methods for this call instead of the inspector's own: the first gives the heat, each its maximum.
        """


def find(
    spec: Spec,
    logits: NDArray[np.float32],
    explained: str,
    heat: NDArray[np.float32],
    maxima: Mapping[Method, float],
) -> Finding:
    """Turns a network's numbers for one image into a finding; the heat is that of the first method in `maxima`."""
    method = next(iter(maxima))
    values = tuple(float(logit) for logit in logits)
    distance = margin(values, spec.classes, spec.activation)
    verdict = decide(distance, spec.thresholds)
    scale = spec.scale_of(method, explained)
    if verdict == Verdict.DEFECT and spec.good_margin is not None:
        scale = scale.lowered(maxima[method])
    return Finding(
        verdict=verdict,
        label=label(verdict, values, spec.classes),
        logits=values,
        score=score(distance, spec.calibration),
        explained=explained,
        method=method,
        heat=heat,
        scale=scale,
        maxima=maxima,
    )


def badness(spec: Spec, finding: Finding) -> tuple[bool, bool, float]:
    """Sorts the findings of one image's parts, the worst last.

    A defect is the worst, then an answer that is not a number and needs review; the margin orders the rest.
    """
    distance = margin(finding.logits, spec.classes, spec.activation)
    known = bool(np.isfinite(distance))
    return known and distance >= spec.thresholds.defect, not known, distance if known else 0.0
