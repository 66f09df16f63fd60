"""What one model makes of one image: bytes become the network's input, a finding becomes the record and the overlay.

New images and past ones go this same way. Nothing is read, written or claimed here, so it may run in any thread.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspectd.config import Config
from inspectd.ledger.records import Claim, Inspected
from inspectd.model.explanation import explain
from inspectd.model.inspector import Finding, Inspector
from inspectd.vision.decode import Decoded, DecodeError, decode
from inspectd.vision.overlay import Style
from inspectd.worker.artifacts import stored_heat
from inspectd.worker.names import artifact_path
from inspectd.worker.source import Source

# Bytes of pixels kept for the overlays of one batch, of which two are in hand. An image above its share is decoded
# again from its file's bytes, which are smaller, so that batches of large images do not fill the memory.
PIXELS_KEPT = 1 << 29
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True)
class Prepared:
    """An image ready for the network, with what its overlay needs: the pixels, or the file's bytes to decode again."""

    claim: Claim
    sha256: str
    kept: Decoded | bytes
    tensor: NDArray[np.uint8]
    doubt: str | None
    size: tuple[int, int]  # width, height of the upright image
    timings: dict[str, float]
    used: int | None  # bits that the values of a 16-bit file take


class Judge:
    """One bundle with its inspector, in front of and behind the network."""

    def __init__(self, config: Config, inspector: Inspector) -> None:
        self.inspector = inspector
        self._config = config
        self._bits = inspector.bundle.spec.preparation.bits
        self._style = Style(**config.overlay.model_dump(exclude={"write"}))

    def prepare(self, claim: Claim, source: Source) -> Prepared:
        """Decode a file's bytes and bring them to the network's input.

        Raises:
            DecodeError: they are no whole image.
        """
        started = time.perf_counter()
        decoded = decode(source.data, self._config.limits.pixels, self._bits)
        decode_ms = milliseconds(started)
        started = time.perf_counter()
        tensor = self.inspector.prepare(decoded.samples)
        return Prepared(
            claim=claim,
            sha256=source.sha256,
            kept=decoded if decoded.samples.nbytes <= PIXELS_KEPT // self._config.worker.batch else source.data,
            tensor=tensor,
            doubt=decoded.doubt,
            size=decoded.size,
            timings={"decode": decode_ms, "prepare": milliseconds(started)},
            used=decoded.used,
        )

    def conclude(
        self, image: Prepared, finding: Finding, infer_ms: float
    ) -> tuple[Inspected, list[tuple[Path, bytes]]]:
        """The record of one finding, and its overlay as a file where the configuration wants one.

        Raises:
            MemoryError: there is not enough for its pixels, beside those of the others.
        """
        bundle = self.inspector.bundle
        started = time.perf_counter()
        explanation = explain(finding, image.size, image.doubt)
        files: list[tuple[Path, bytes]] = []
        overlay: Path | None = None
        if self._config.overlay.is_wanted(explanation.verdict):
            overlay = artifact_path(image.claim, bundle.short, SUFFIX[self._style.format])
            pixels = self._decoded(image.kept).pixels
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
            regions=tuple(explanation.regions),
            heat=stored_heat(finding.heat),
            method=finding.method,
            timings={**image.timings, "infer": infer_ms, "overlay": milliseconds(started)},
            precision=self.inspector.precision,
            device=self.inspector.device,
        )
        return inspected, files

    def _decoded(self, kept: Decoded | bytes) -> Decoded:
        if isinstance(kept, Decoded):
            return kept
        try:
            return decode(kept, self._config.limits.pixels, self._bits)
        except DecodeError as error:  # it was a whole image a moment ago, when there was memory for it
            raise MemoryError(str(error)) from error


def milliseconds(started: float) -> float:
    """Since a moment of `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1000, 3)
