"""The inspector of large images: it judges overlapping tiles, and the worst tile decides.

It passes tiles to an inspector of the network's input size. Memory holds the image and its whole heat, and only as many
tiles as one call of the network takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from inspectd.domain import Method, Precision
from inspectd.model.bundle import Bundle
from inspectd.model.inspector import Finding, Inspector, badness
from inspectd.model.mosaic import Mosaic, Place
from inspectd.model.preparation import to_channels
from inspectd.model.spec import HeatScale, Spec, Tiles


class TiledInspector:
    """A bundle with `tiles` on a device. See `inspector.Inspector`.

    Args:
        inner: The inspector of single tiles, of the same bundle.
        tiles: The overlap of the tiles.
        alive: Called for each call of the network: an image may need hundreds.
    """

    def __init__(self, inner: Inspector, tiles: Tiles, alive: Callable[[], None]) -> None:
        self._inner = inner
        self._tiles = tiles
        self._alive = alive
        self._batch = 1

    @property
    def bundle(self) -> Bundle:
        return self._inner.bundle

    @property
    def device(self) -> str:
        return self._inner.device

    @property
    def precision(self) -> Precision:
        return self._inner.precision

    @property
    def method(self) -> Method:
        return self._inner.method

    @property
    def remarks(self) -> list[str]:
        return self._inner.remarks

    def warm_up(self, batch: int) -> float:
        """See `Inspector.warm_up`; a batch consists of tiles."""
        self._batch = batch
        return self._inner.warm_up(batch)

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the image (H, W, channels) at its own resolution."""
        return to_channels(pixels, self.bundle.spec.preparation.channels)

    def inspect(self, prepared: Sequence[NDArray[np.uint8]], methods: Sequence[Method] = ()) -> list[Finding]:
        to = self.bundle.spec.preparation
        size, overlap = (to.height, to.width), self._tiles.overlap
        images = [_Judged(self.bundle.spec, Mosaic(image, size, overlap)) for image in prepared]
        waiting = ((image, place) for image in images for place in image.mosaic.places)
        while batch := list(islice(waiting, self._batch)):
            findings = self._inner.inspect([image.mosaic.tile(place) for image, place in batch], methods)
            for (image, place), finding in zip(batch, findings, strict=True):
                image.add(place, finding)
            self._alive()
        return [image.finding() for image in images]


class _Judged:
    """The combined findings of one image's tiles so far.

    Tiles may explain different classes, whose heats have different scales. Heats are compared and joined relative to
    their scale: 0 is its `low`, 1 its `high`.
    """

    def __init__(self, spec: Spec, mosaic: Mosaic) -> None:
        self.mosaic = mosaic
        self._spec = spec
        self._worst: Finding | None = None
        self._peaks: dict[Method, float] = {}

    def add(self, place: Place, finding: Finding) -> None:
        """Adds the finding of the tile at `place`."""
        if self._worst is None or badness(self._spec, finding) > badness(self._spec, self._worst):
            self._worst = finding
        self.mosaic.put(place, _on_scale(finding.heat, finding.scale))
        for method, maximum in finding.maxima.items():
            scale = self._spec.scale_of(method, finding.explained)
            self._peaks[method] = float(np.fmax(self._peaks.get(method, -np.inf), _on_scale(maximum, scale)))

    def finding(self) -> Finding:
        """The image's finding: that of its worst tile, with the heat of all tiles on that tile's scale."""
        worst = self._worst
        assert worst is not None, "an image has at least one tile"
        scales = {method: self._spec.scale_of(method, worst.explained) for method in self._peaks}
        maxima = {method: float(_off_scale(peak, scales[method])) for method, peak in self._peaks.items()}
        return replace(worst, heat=_off_scale(self.mosaic.heat(), worst.scale), maxima=maxima)


def _on_scale(heat: NDArray[np.float32] | float, scale: HeatScale) -> NDArray[np.float32]:
    return np.asarray((np.asarray(heat) - scale.low) / (scale.high - scale.low), np.float32)


def _off_scale(parts: NDArray[np.float32] | float, scale: HeatScale) -> NDArray[np.float32]:
    return np.asarray(np.maximum(np.asarray(parts) * (scale.high - scale.low) + scale.low, 0), np.float32)
