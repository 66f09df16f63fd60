"""One model and one image: turns bytes into the network's input, and a finding into the record and the overlay.

New and earlier images go the same way. Nothing is read from a disk, written or claimed here, so any thread may run it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspectd.config import Config
from inspectd.ledger.records import Claim, Heat, Inspected
from inspectd.model.explanation import explain
from inspectd.model.inspector import Inspector
from inspectd.model.pages import Worst
from inspectd.vision.decode import Decoded, Pages
from inspectd.vision.heat import block_maxima
from inspectd.vision.overlay import Style
from inspectd.worker.artifacts import artifact_path
from inspectd.worker.source import Source

# Bytes of pixels that each of the two batches keeps for its overlays. An image above its share is decoded again from
# its file's bytes, which are smaller, so that batches of large images do not fill the memory.
PIXELS_KEPT = 1 << 29
HEAT_STORED = 32  # cells a side, at most, of the heatmap that the ledger keeps
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True)
class Prepared:
    """An image ready for the network, with what its overlay needs.

    Attributes:
        kept: Its pixels; or the file's bytes, to decode them again, if there are several pages or too many pixels.
        tensors: Its pages as the network's input; empty if they are to be made again from `kept`.
        sizes: Width and height of each upright page.
    """

    claim: Claim
    sha256: str
    kept: Decoded | bytes
    tensors: tuple[NDArray[np.uint8], ...]
    doubt: str | None
    unproven: bool  # it ends in zeros: black pixels, or bytes that are not written yet
    sizes: tuple[tuple[int, int], ...]
    timings: dict[str, float]
    used: int | None  # bits that the values of a 16-bit file take


class Judge:
    """The work before and after the network, for one bundle with its inspector."""

    def __init__(self, config: Config, inspector: Inspector) -> None:
        self.inspector = inspector
        self._config = config
        self._bits = inspector.bundle.spec.preparation.bits
        self._style = Style(**config.overlay.model_dump(exclude={"write"}))

    def prepare(self, claim: Claim, source: Source) -> Prepared:
        """Decodes a file's bytes, one page after the other, and prepares them as the network's input.

        Raises:
            DecodeError: the bytes are not a whole image; one broken page is enough.
            MemoryError: this machine lacks the memory at the moment.
        """
        share = PIXELS_KEPT // self._config.worker.batch
        tensors: list[NDArray[np.uint8]] = []
        sizes: list[tuple[int, int]] = []
        room, prepare_ms = share, 0.0
        started = time.perf_counter()
        used: list[int] = []
        pages = Pages(source.data, self._config.limits.pixels, self._bits)
        for decoded in pages:
            begun = time.perf_counter()
            tensor = self._prepared(decoded)
            room -= tensor.nbytes
            if len(pages) == 1 or room >= 0:
                tensors.append(tensor)
            sizes.append(decoded.size)
            if decoded.used is not None:
                used.append(decoded.used)
            prepare_ms += milliseconds(begun)
        return Prepared(
            claim=claim,
            sha256=source.sha256,
            kept=decoded if len(pages) == 1 and decoded.samples.nbytes <= share else source.data,
            tensors=tuple(tensors) if len(tensors) == len(pages) else (),
            doubt=decoded.doubt,
            unproven=decoded.unproven,
            sizes=tuple(sizes),
            timings={"decode": round(milliseconds(started) - prepare_ms, 3), "prepare": round(prepare_ms, 3)},
            used=max(used, default=None),
        )

    def tensors(self, image: Prepared) -> Iterator[NDArray[np.uint8]]:
        """Yields the pages of an image as the network's input; makes them one by one if they were too large to keep.

        Raises:
            MemoryError: there is not enough memory to decode them again.
        """
        yield from image.tensors
        if not image.tensors and isinstance(image.kept, bytes):
            for page in Pages(image.kept, self._config.limits.pixels, self._bits):
                yield self._prepared(page)

    def conclude(self, image: Prepared, worst: Worst, infer_ms: float) -> tuple[Inspected, list[tuple[Path, bytes]]]:
        """Returns the record of an image's worst page, and its overlay as a file if the configuration asks for one.

        Raises:
            MemoryError: there is not enough memory for its pixels beside those of the other images.
        """
        bundle, finding, pages = self.inspector.bundle, worst.finding, len(image.sizes)
        started = time.perf_counter()
        support = worst.support
        share = support.share if support else None
        explanation = explain(finding, image.sizes[worst.page - 1], image.doubt, worst.page, pages, share)
        files: list[tuple[Path, bytes]] = []
        overlay: Path | None = None
        if self._config.overlay.is_wanted(explanation.verdict):
            overlay = artifact_path(image.claim, bundle.short, SUFFIX[self._style.format])
            pixels = self._page(image, worst.page).pixels
            with _one_memory_error():
                files.append((self._config.output / overlay, explanation.picture(pixels, self._style)))
        inspected = Inspected(
            claim=image.claim,
            sha256=image.sha256,
            verdict=explanation.verdict,
            reason=explanation.reason,
            label=finding.label,
            logits=finding.logits,
            score=finding.score,
            thresholds=bundle.spec.thresholds.as_dict(),
            overlay=str(overlay) if overlay else None,
            page=worst.page if pages > 1 else None,
            regions=tuple(explanation.regions),
            support=share,
            verdict_falls=support.falls if support else None,
            heat=stored_heat(finding.heat),
            method=finding.method,
            timings={**image.timings, "infer": infer_ms, "overlay": milliseconds(started)},
            precision=self.inspector.precision,
            device=self.inspector.device,
        )
        return inspected, files

    def _prepared(self, page: Decoded) -> NDArray[np.uint8]:
        with _one_memory_error():
            return self.inspector.prepare(page.samples)

    def _page(self, image: Prepared, number: int) -> Decoded:
        if isinstance(image.kept, Decoded):
            return image.kept
        return Pages(image.kept, self._config.limits.pixels, self._bits).decode(number)


def stored_heat(heat: NDArray[np.float32]) -> Heat:
    """Returns the heatmap as the ledger keeps it: at most 32×32 cells of uint8, where 255 stands for the maximum.

    Args:
        heat: float32 (h, w), ≥ 0. Larger maps are reduced by the maximum of each block, which keeps thin cracks.
    """
    rows, columns = (-(-side // HEAT_STORED) for side in heat.shape)
    small = block_maxima(np.nan_to_num(heat), rows, columns)
    top = float(small.max())
    cells = np.zeros(small.shape, np.uint8) if top <= 0 else np.round(small * (255 / top)).astype(np.uint8)
    return Heat(cells.tobytes(), small.shape[1], small.shape[0], max(top, 0.0))


@contextmanager
def _one_memory_error() -> Iterator[None]:
    """Turns OpenCV's own error for a shortage of memory into MemoryError."""
    try:
        yield
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError(str(error)) from error


def milliseconds(started: float) -> float:
    """Milliseconds since a moment of `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1000, 3)
