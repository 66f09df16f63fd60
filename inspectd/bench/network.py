"""A bundle's network on this device: every way, precision and batch size that can be had, warm, to take turns."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from inspectd.bench.report import ARTICLE, FORWARD, GRADCAM, VIS
from inspectd.bench.rounds import Measure, Measurement, pace
from inspectd.bench.ways import article, compiled, tf_keras_vis
from inspectd.domain import Precision
from inspectd.errors import BundleError
from inspectd.model.bundle import INT8, Bundle
from inspectd.model.devices import open_device
from inspectd.model.inspector import Inspector
from inspectd.model.keras_inspector import batch_sizes
from inspectd.model.loading import load_inspector, open_inspector
from inspectd.model.preparation import prepare

LARGEST = {"cpu": 32, "gpu": 256}  # images in a batch
VIS_BATCH = 8
LEAST = 0.4  # seconds that a measurement takes at least
AHEAD = 5  # what a size costs from its first run to the end of one round, in runs

Way = Callable[[NDArray[np.uint8]], object]


class Network:
    """The ways to run one network.

    Attributes:
        device: Where it runs, in words.
        precisions: Those that the device has and the bundle's golden images allow.
        left_out: What cannot be measured here, and why, as sentences.
    """

    def __init__(
        self,
        bundle: Bundle,
        pictures: list[NDArray[np.uint8]],
        seconds: float = math.inf,
        least: float = LEAST,
    ) -> None:
        """Load and warm all of it.

        Args:
            pictures: uint8 (H, W, 3), as they are decoded.
            seconds: For this and one round of `measures`; large batches for which that is too little are left out.
            least: Seconds that each measurement takes at least.

        Raises:
            BundleError: the network cannot be used in any precision.
        """
        began = time.monotonic()
        to = bundle.spec.preparation
        self._least = least
        self.left_out: list[str] = []
        self._inspectors: dict[Precision, Inspector] = {}
        self._forwards: dict[Precision, Way] = {}
        self.device = self._open(bundle)
        sizes = batch_sizes(LARGEST[self.device.partition(":")[0]])
        prepared = [prepare(pixels, to) for pixels in pictures]
        self._images = [prepared[index % len(prepared)] for index in range(sizes[-1])]
        self._pixels = np.stack(self._images)
        self._article = self._openable(ARTICLE, lambda: article(bundle), self._pixels[0])
        self._vis = self._openable(VIS, lambda: tf_keras_vis(bundle), self._pixels[:VIS_BATCH])
        self._sizes = self._warm(sizes, began + seconds)
        for inspector in self._inspectors.values():
            inspector.warm_up(self._sizes[-1])

    def _open(self, bundle: Bundle) -> str:
        """Every precision that the device has and the bundle allows; returns the device in words."""
        site, spec = open_device("auto"), bundle.spec
        for precision in get_args(Precision):
            if precision != "float32" and not getattr(site, precision):
                self.left_out.append(f"{precision}: {site.text} has none of its own.")
                continue
            if precision == "int8" and INT8 not in bundle.files:
                self.left_out.append("int8: the model has no int8 part; `inspectd model quantize` makes one.")
                continue
            if precision == "int8" and spec.int8 and not spec.int8.ranks_as_well:
                self.left_out.append("int8: it ranked the validation images worse than float32.")
                continue
            try:
                inspector = open_inspector(bundle, "auto", precision)
            except BundleError as error:
                self.left_out.append(f"{precision}: {error}")
                continue
            if spec.tiles:  # proven with them; measured without
                inspector = load_inspector(replace(bundle, spec=replace(spec, tiles=None)), "auto", precision)
            self._inspectors[precision] = inspector
            self._forwards[precision] = compiled(bundle, precision)
        if not self._inspectors:
            raise BundleError("\n".join(self.left_out))
        if spec.tiles:
            tile = f"{spec.preparation.width}×{spec.preparation.height}"
            self.left_out.append(
                f"tiles: the network's own lines are of one tile of {tile}; an image of end to end has several."
            )
        return site.text

    def _warm(self, sizes: Sequence[int], until: float) -> tuple[int, ...]:
        """Run the bare network in one size after the other, as long as all that these sizes cost ends by `until`."""
        began = time.monotonic()
        for index, size in enumerate(sizes):
            now = time.monotonic()
            if index and now + (now - began) * AHEAD * size / sizes[index - 1] > until:
                self.left_out.append(f"batches of {size} and more: they take too long; give more --minutes.")
                return tuple(sizes[:index])
            for forward in self._forwards.values():
                forward(self._pixels[:size])
        return tuple(sizes)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return tuple(self._inspectors)

    @property
    def measures(self) -> list[Measure]:
        """One for each line, those that are compared side by side."""
        found: list[Measure] = []
        for precision in self.precisions:
            for size in self._sizes:
                found.append(partial(self.forward, FORWARD, precision, size))
                found.append(partial(self.gradcam, GRADCAM, precision, size))
        if self._article:
            found.append(partial(self.article, ARTICLE))
        if self._vis:
            found.append(self._tf_keras_vis)
        return found

    def forward(self, name: str, precision: Precision, batch: int) -> Mapping[Measurement, float]:
        """The bare forward pass, warm."""
        rate = pace(partial(self._forwards[precision], self._pixels[:batch]), batch, self._least)
        return {Measurement(name, precision, batch): rate}

    def gradcam(self, name: str, precision: Precision, batch: int) -> Mapping[Measurement, float]:
        """What the worker calls."""
        rate = pace(partial(self._inspectors[precision].inspect, self._images[:batch]), batch, self._least)
        return {Measurement(name, precision, batch): rate}

    def article(self, name: str) -> Mapping[Measurement, float]:
        """The article's way with one image; nothing where it cannot be gone."""
        if not self._article:
            return {}
        return {Measurement(name, "float32", 1): pace(partial(self._article, self._pixels[0]), 1, self._least)}

    def _tf_keras_vis(self) -> Mapping[Measurement, float]:
        assert self._vis
        pixels = self._pixels[:VIS_BATCH]
        return {Measurement(VIS, "float32", len(pixels)): pace(partial(self._vis, pixels), len(pixels), self._least)}

    def _openable(
        self,
        name: str,
        make: Callable[[], Way],
        pixels: NDArray[np.uint8],
    ) -> Way | None:
        """A way that is of others and may not suit this network, warm; None with a sentence where it does not."""
        try:
            way = make()
            way(pixels)
        except ImportError:
            self.left_out.append(f"{name}: it is not installed (`pip install {name}`).")
        except Exception as error:  # they raise whatever their parts raise
            reason = " ".join(str(error).split())[:200]
            self.left_out.append(f"{name}: it cannot take this network ({type(error).__name__}: {reason}).")
        else:
            return way
        return None
