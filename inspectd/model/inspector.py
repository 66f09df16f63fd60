"""What a worker sees of a model: pixels in; verdicts, logits and heat out.

The interface alone. `loading.open_inspector` opens a bundle behind it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Method, Precision, Verdict
from inspectd.model.bundle import Bundle
from inspectd.model.spec import HeatScale, Spec
from inspectd.model.verdict import decide, label, margin, score

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Finding:
    """What the network says of one image.

    Attributes:
        verdict: `ok`, `defect` or `review`.
        label: The class that names the verdict.
        logits: float32 values, one per output of the network.
        score: The calibrated probability of a defect, 0..1.
        explained: The class whose logit the heat explains.
        method: How the heat was computed.
        heat: float32 (h, w), ≥ 0, in the units of `scale`; it covers the whole image.
        scale: The fixed colour scale for this heat.
        maxima: The greatest heat by method: of this one, and of others that were asked for.
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
        """Where it runs, for people: `cpu`, `gpu:0 NVIDIA …`."""

    @property
    def precision(self) -> Precision: ...

    @property
    def method(self) -> Method:
        """How its heat is computed."""

    @property
    def remarks(self) -> list[str]:
        """Sentences worth a warning in the log, such as an idle GPU."""

    def warm_up(self, batch: int) -> float:
        """Runs every batch size up to `batch` once, so that no later call is slower than it has to be.

        Returns:
            Seconds that the slowest of them took.
        """

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An upright image, uint8 (H, W, 3) RGB or (H, W) grey, as the network's input, uint8 (h, w, channels).

        With `tiles` in the bundle the image stays as large as it is.
        """

    def inspect(self, prepared: Sequence[NDArray[np.uint8]], methods: Sequence[Method] = ()) -> list[Finding]:
        """Judges images that `prepare` made, in their order.

        Args:
            methods: How to explain this once, instead of by the inspector's own method: the first gives the heat, all
                of them their maxima.
        """


def find(
    spec: Spec,
    logits: NDArray[np.float32],
    explained: str,
    heat: NDArray[np.float32],
    maxima: Mapping[Method, float],
) -> Finding:
    """What a network's numbers for one image mean under `spec`; the heat is that of the first method in `maxima`."""
    method = next(iter(maxima))
    values = tuple(float(logit) for logit in logits)
    distance = margin(values, spec.classes, spec.activation)
    verdict = decide(distance, spec.thresholds)
    return Finding(
        verdict=verdict,
        label=label(verdict, values, spec.classes),
        logits=values,
        score=score(distance, spec.calibration),
        explained=explained,
        method=method,
        heat=heat,
        scale=spec.scale_of(method, explained),
        maxima=maxima,
    )


def badness(spec: Spec, finding: Finding) -> tuple[bool, bool, float]:
    """What orders findings in parts of one image, the worst last.

    A defect is the worst, then an answer that is no number and is for review; the margin orders the rest.
    """
    distance = margin(finding.logits, spec.classes, spec.activation)
    known = bool(np.isfinite(distance))
    return known and distance >= spec.thresholds.defect, not known, distance if known else 0.0
