"""What a worker sees of a model: pixels in; verdicts, logits and heat out.

`open_inspector` gives a bundle's inspector. TensorFlow (or JAX) is imported only where a network is opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inspectd.errors import BundleError
from inspectd.ledger.schema import Verdict
from inspectd.model.bundle import Bundle
from inspectd.model.spec import HeatScale, Method, Precision, Spec
from inspectd.model.verdict import decide, label, margin, score

if TYPE_CHECKING:
    from inspectd.model.choices import Choices


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


def open_inspector(
    bundle: Bundle,
    device: str = "auto",
    precision: Precision | Literal["auto"] = "auto",
    method: Method = "gradcam",
    choices: "Choices | None" = None,
    alive: Callable[[], None] = lambda: None,
) -> Inspector:
    """Loads a bundle's network onto a device, where it must reproduce the bundle's golden images (see `proof`).

    Args:
        device: `auto`, `cpu`, `gpu` or `gpu:N`.
        precision: `auto` is the fastest that passes; without golden images the one the bundle was evaluated in, or
            float32 where the device lacks it.
        method: How the heat is computed.
        choices: Where the choice of `auto` is remembered.
        alive: Is called for each golden image, and later for each call of the network where images come in tiles.

    Raises:
        BundleError: the network is not what the bundle says, does not reproduce them, or has no scale for the heat.
        DeviceError: the device is not there.
    """
    from inspectd.model.proof import open_proven

    return open_proven(bundle, device, precision, method, choices, alive)


def load_inspector(
    bundle: Bundle,
    device: str,
    precision: Precision,
    method: Method = "gradcam",
    alive: Callable[[], None] = lambda: None,
) -> Inspector:
    """Loads a bundle's network onto a device; what it does there is still to be proven.

    Raises:
        BundleError, DeviceError: as `open_inspector`.
    """
    if method not in bundle.spec.heat_scale:
        raise BundleError(
            f"{bundle.path} has no heat scale for {method}, so that its heat could not be read. "
            f"Choose {' or '.join(bundle.spec.heat_scale)}, or train it again: training measures every method."
        )
    inspector = _load_network(bundle, device, precision, method)
    if bundle.spec.tiles is None:
        return inspector
    from inspectd.model.tiled_inspector import TiledInspector

    return TiledInspector(inspector, bundle.spec.tiles, alive)


def _load_network(bundle: Bundle, device: str, precision: Precision, method: Method) -> Inspector:
    if bundle.spec.network == "null":
        from inspectd.model.null import NullInspector

        return NullInspector(bundle, method)
    from inspectd.model.keras_inspector import KerasInspector

    return KerasInspector(bundle, device, precision, method)


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
