"""The way of one batch through a worker: read, fold, decode, infer, draw.

Every image of a batch ends in exactly one outcome, whatever its bytes do to a decoder. Nothing is written here: the
outcomes and the files that belong to them are handed on together, so that the worker can make them durable in order.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from inspectd.clock import utc_now
from inspectd.config import Config
from inspectd.ledger.queue import Queue
from inspectd.ledger.records import Claim, Failed, Finished, Inspected, Outcome, Read, Unsettled
from inspectd.ledger.schema import Verdict
from inspectd.model.explanation import explain
from inspectd.model.inspector import Finding, Inspector
from inspectd.vision.decode import Decoded, DecodeError, decode
from inspectd.vision.overlay import Style
from inspectd.worker.artifacts import artifact_path, outcome_of, sidecar, stored_heat
from inspectd.worker.source import Source, SourceError, read

PIXELS_KEPT = 64 * 1024 * 1024  # bytes; larger images are decoded again for their overlay, so that a batch stays small
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


@dataclass(frozen=True)
class Judged:
    """The outcomes of a batch, the files that must be durable before them, and what was folded into older rows."""

    outcomes: list[Outcome]
    files: list[tuple[Path, bytes]]
    folded: list[Finished]

    def finished(self, accepted: Collection[int]) -> list[Finished]:
        """The images whose outcome stands, as `after` needs them: those just accepted, and those folded."""
        now = utc_now()
        return self.folded + [
            Finished(claim.image_id, claim.watch, claim.path, claim.stat, outcome_of(outcome), now)
            for outcome in self.outcomes
            if (claim := outcome.claim).image_id in accepted and not isinstance(outcome, Unsettled)
        ]


@dataclass(frozen=True)
class Prepared:
    """An image ready for the network."""

    claim: Claim
    source: Source
    decoded: Decoded | None  # None: too large to be kept beside a whole batch
    tensor: np.ndarray
    doubt: str | None
    size: tuple[int, int]  # width, height of the upright image
    timings: dict[str, float]


class Pipeline:
    """Judges batches of one bundle with one inspector."""

    def __init__(
        self,
        config: Config,
        inspector: Inspector,
        queue: Queue,
        owner: str,
        pool: ThreadPoolExecutor,
        progress: Callable[[], None],
    ) -> None:
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._inspector = inspector
        self._queue = queue
        self._owner = owner
        self._pool = pool
        self._progress = progress
        self._putting_away = {watch.name for watch in config.watch if watch.after != "keep"}
        self._style = Style(**config.overlay.model_dump(exclude={"write"}))

    def judge(self, claims: Sequence[Claim]) -> Judged:
        """Take a batch of claims to its outcomes; one for each claim that was not folded."""
        sources: list[tuple[Claim, Source]] = []
        outcomes: list[Outcome] = []
        for claim, source in zip(claims, self._pool.map(self._read, claims), strict=True):
            self._progress()
            if isinstance(source, Source):
                sources.append((claim, source))
            else:
                outcomes.append(source)
        reads = [Read(claim, source.sha256, source.stat) for claim, source in sources]
        folded = self._queue.fold(self._owner, reads, self._putting_away)
        self._progress()
        prepared: list[Prepared] = []
        fresh = [(claim, source) for claim, source in sources if claim.image_id not in folded]
        for result in self._pool.map(self._prepare, fresh):
            self._progress()
            if isinstance(result, Prepared):
                prepared.append(result)
            else:
                outcomes.append(result)
        self._progress()
        started = time.perf_counter()
        findings = self._inspector.inspect([image.tensor for image in prepared]) if prepared else []
        infer = _milliseconds(started) / max(1, len(prepared))
        self._progress()
        files = [file for outcome in outcomes if isinstance(outcome, Failed) for file in self._sidecar(outcome)]
        for inspected, written in self._pool.map(self._conclude, prepared, findings, repeat(infer)):
            self._progress()
            outcomes.append(inspected)
            files += written
        return Judged(outcomes, files, list(folded.values()))

    def _read(self, claim: Claim) -> Source | Outcome:
        watch = self._watches[claim.watch]
        try:
            return read(watch.path, claim.path, follow_links=watch.follow_links, max_bytes=self._config.limits.bytes)
        except SourceError as error:
            return _second_look(claim, error.reason, None)

    def _prepare(self, pair: tuple[Claim, Source]) -> Prepared | Outcome:
        claim, source = pair
        if source.stat != claim.stat:  # not the file that had settled: its writer has been here since
            return Unsettled(claim)
        started = time.perf_counter()
        try:
            decoded = decode(source.data, self._config.limits.pixels)
        except DecodeError as error:
            return _second_look(claim, f"{error.code}: {error}", source.sha256)
        decode_ms = _milliseconds(started)
        height, width = decoded.pixels.shape[:2]
        started = time.perf_counter()
        tensor = self._inspector.prepare(decoded.pixels)
        return Prepared(
            claim,
            source,
            decoded if decoded.pixels.nbytes <= PIXELS_KEPT else None,
            tensor,
            decoded.doubt,
            (width, height),
            {"decode": decode_ms, "prepare": _milliseconds(started)},
        )

    def _conclude(
        self, image: Prepared, finding: Finding, infer_ms: float
    ) -> tuple[Inspected, list[tuple[Path, bytes]]]:
        """The record of one finding, its overlay and its sidecar."""
        bundle = self._inspector.bundle
        started = time.perf_counter()
        explanation = explain(finding, image.size, image.doubt)
        wanted = self._config.overlay.write
        files: list[tuple[Path, bytes]] = []
        overlay: Path | None = None
        if wanted == "all" or (wanted == "not_ok" and explanation.verdict is not Verdict.OK):
            overlay = artifact_path(image.claim, bundle.short, SUFFIX[self._style.format])
            decoded = image.decoded or decode(image.source.data, self._config.limits.pixels)
            files.append((self._config.output / overlay, explanation.picture(decoded.pixels, self._style)))
        inspected = Inspected(
            claim=image.claim,
            sha256=image.source.sha256,
            verdict=explanation.verdict,
            reason=explanation.reason,
            label=finding.label,
            logits=finding.logits,
            score=finding.score,
            thresholds=bundle.spec.thresholds.as_dict(),
            overlay=str(overlay) if overlay else None,
            regions=tuple(explanation.regions),
            heat=stored_heat(finding.heat),
            timings={**image.timings, "infer": infer_ms, "overlay": _milliseconds(started)},
            precision=self._inspector.precision,
            device=self._inspector.device,
        )
        return inspected, files + self._sidecar(inspected)

    def _sidecar(self, outcome: Inspected | Failed) -> list[tuple[Path, bytes]]:
        """What a PLC or MES waits for, if the configuration wants it: for a failure too, because silence is no OK."""
        if not self._config.sidecar:
            return []
        path = artifact_path(outcome.claim, self._inspector.bundle.short, ".json")
        return [(self._config.output / path, sidecar(outcome, self._config.output))]


def _second_look(claim: Claim, reason: str | None, sha256: str | None) -> Outcome:
    """No file fails at first sight: it may still be arriving. The same fault in the same bytes, later, is final."""
    if reason is None:
        return Unsettled(claim)
    same = claim.reason is not None and claim.reason.partition(":")[0] == reason.partition(":")[0]
    if same and claim.sha256 == sha256 and not reason.startswith("vanished"):
        return Failed(claim, reason, sha256)
    return Unsettled(claim, reason, sha256)


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
