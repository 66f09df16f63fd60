"""The null network, whose logit is the mean brightness. It needs neither TensorFlow nor training.

It has the interface of a real network, and serves tests and measurements of processes, files and the ledger: the
brighter an image, the stronger its defect. It is not a model for a factory.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.domain import DEFAULT_METHOD, Method, Precision
from inspectd.model.bundle import Bundle, write_bundle
from inspectd.model.inspector import Finding, find
from inspectd.model.preparation import prepare
from inspectd.model.spec import HeatScale, ImageClass, Preparation, Spec, Thresholds, Tiles

SIZE, BLOCKS = 64, 8
STEEPNESS = 10.0  # logit of white 5, of black −5


class NullInspector:
    """Judges by mean brightness: logit = 10 · (brightness − ½), brightness in 0..1. Heat: brightness in 8×8 blocks."""

    device = "cpu"
    precision: Precision = "float32"

    def __init__(self, bundle: Bundle, method: Method = DEFAULT_METHOD) -> None:
        self.bundle = bundle
        self.method = method
        self.remarks: list[str] = []

    def warm_up(self, batch: int) -> float:
        to = self.bundle.spec.preparation
        blank = np.zeros((to.height, to.width, to.channels), np.uint8)
        start = time.perf_counter()
        self.inspect([blank] * batch)
        return time.perf_counter() - start

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return prepare(pixels, self.bundle.spec.preparation)

    def inspect(self, prepared: Sequence[NDArray[np.uint8]], methods: Sequence[Method] = ()) -> list[Finding]:
        return [self._inspect(image, methods or [self.method]) for image in prepared]

    def _inspect(self, image: NDArray[np.uint8], methods: Sequence[Method]) -> Finding:
        blocks = cv2.resize(image.astype(np.float32), (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
        heat = np.asarray(blocks, np.float32).reshape(BLOCKS, BLOCKS, -1).mean(axis=2) / np.float32(255)
        logit = np.array([STEEPNESS * (float(heat.mean()) - 0.5)], np.float32)
        return find(self.bundle.spec, logit, "defect", heat, dict.fromkeys(methods, float(heat.max())))


def write_null_bundle(
    path: Path,
    name: str = "null",
    thresholds: Thresholds | None = None,
    preparation: Preparation | None = None,
    tiles: Tiles | None = None,
) -> Bundle:
    """Writes a bundle of the null network.

    Args:
        thresholds: In its logits; by default an image brighter than mid-grey is a defect.
        preparation: By default, 64×64 pixels.
    """
    spec = Spec(
        name=name,
        network="null",
        classes=(ImageClass("ok", True), ImageClass("defect", False)),
        activation="sigmoid",
        preparation=preparation or Preparation(width=SIZE, height=SIZE),
        thresholds=thresholds or Thresholds(defect=0.0),
        heat_scale={DEFAULT_METHOD: {"defect": HeatScale(low=0.5, high=1.0)}},
        tiles=tiles,
    )
    return write_bundle(path, spec, {})
