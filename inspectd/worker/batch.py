"""The way of one batch through a worker: read, decode, fold, infer, draw.

Every image of a batch ends in exactly one outcome, whatever its bytes do to a decoder. Nothing is written here: the
outcomes and the files that belong to them are handed on together, so that the worker can make them durable in order.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from inspectd.clock import utc_now
from inspectd.config import Config
from inspectd.ledger.queue import Queue
from inspectd.ledger.records import VANISHED, Claim, Failed, Finished, Inspected, Outcome, Read, Unsettled, reason_code
from inspectd.model.inspector import Finding, Inspector
from inspectd.vision.decode import DecodeError
from inspectd.worker.artifacts import outcome_of, sidecar
from inspectd.worker.judge import Judge, Prepared, milliseconds
from inspectd.worker.names import artifact_path
from inspectd.worker.signs import PULSE, turn
from inspectd.worker.source import SourceError, read

Result = TypeVar("Result")


@dataclass(frozen=True)
class Judged:
    """The outcomes of a batch, the files that must be durable before them, what was folded into older rows, and of
    each image that was judged its watch and the bits that its values take (`Decoded.used`).
    """

    outcomes: list[Outcome]
    files: list[tuple[Path, bytes]]
    folded: list[Finished]
    used: list[tuple[str, int | None]]

    def finished(self, accepted: Collection[int]) -> list[Finished]:
        """The images whose outcome stands, as `after` needs them: those just accepted, and those folded."""
        now = utc_now()
        return self.folded + [
            Finished(claim.image_id, claim.watch, claim.path, claim.stat, outcome_of(outcome), now)
            for outcome in self.outcomes
            if (claim := outcome.claim).image_id in accepted and not isinstance(outcome, Unsettled)
        ]


@dataclass(frozen=True)
class Taken:
    """What came of reading one claimed file: the bytes' identity, if they could be read, and what follows from them."""

    read: Read | None
    result: Prepared | Outcome


class Pipeline:
    """Judges batches of one bundle with one inspector."""

    def __init__(
        self,
        config: Config,
        inspector: Inspector,
        queue: Queue,
        owner: str,
        pool: ThreadPoolExecutor,
        network: Lock,
        progress: Callable[[], None],
    ) -> None:
        """`network` is held by whoever computes on the device; all else of several batches goes on at the same time."""
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._judge = Judge(config, inspector)
        self._inspector = inspector
        self._queue = queue
        self._owner = owner
        self._pool = pool
        self._network = network
        self._progress = progress
        self._putting_away = {watch.name for watch in config.watch if watch.after != "keep"}

    def judge(self, claims: Sequence[Claim]) -> Judged:
        """Take a batch of claims to its outcomes; one for each claim that was not folded."""
        taken = list(self._each(self._take, claims))
        reads = [each.read for each in taken if each.read]
        folded = self._queue.fold(self._owner, reads, self._putting_away)
        results = [each.result for claim, each in zip(claims, taken, strict=True) if claim.image_id not in folded]
        images = [result for result in results if isinstance(result, Prepared)]
        outcomes: list[Outcome] = [result for result in results if not isinstance(result, Prepared)]
        files = self._failures([outcome for outcome in outcomes if isinstance(outcome, Failed)])
        self._progress()
        with turn(self._network, self._progress):
            started = time.perf_counter()
            findings = self._inspector.inspect([image.tensor for image in images]) if images else []
            infer = round(milliseconds(started) / max(1, len(images)), 3)
        for inspected, written in self._each(self._conclude, images, findings, repeat(infer)):
            outcomes.append(inspected)
            files += written
        return Judged(outcomes, files, list(folded.values()), [(image.claim.watch, image.used) for image in images])

    def _each(self, work: Callable[..., Result], *arguments: Iterable[Any]) -> Iterator[Result]:
        """Work in the pool, in order, with signs of life: large images take their time, and so does their turn."""
        working = [self._pool.submit(work, *each) for each in zip(*arguments, strict=False)]
        try:
            for each in working:
                while not wait([each], PULSE).done:
                    if not each.running():
                        self._progress()
                self._progress()
                yield each.result()
        finally:
            for each in working:
                each.cancel()

    def _take(self, claim: Claim) -> Taken:
        """Read, hash, decode and prepare one file."""
        watch = self._watches[claim.watch]
        try:
            source = read(watch.path, claim.path, follow_links=watch.follow_links, max_bytes=self._config.limits.bytes)
        except SourceError as error:
            return Taken(None, _second_look(claim, error.reason, None))
        content = Read(claim, source.sha256, source.stat)
        if source.stat != claim.stat:  # not the file that had settled: its writer has been here since
            return Taken(content, Unsettled(claim))
        try:
            return Taken(content, self._judge.prepare(claim, source))
        except DecodeError as error:
            return Taken(content, _second_look(claim, f"{error.code}: {error}", source.sha256))

    def _conclude(
        self, image: Prepared, finding: Finding, infer_ms: float
    ) -> tuple[Inspected, list[tuple[Path, bytes]]]:
        """The record of one finding, its overlay and its sidecar."""
        inspected, files = self._judge.conclude(image, finding, infer_ms)
        return inspected, files + self._sidecar(inspected)

    def _failures(self, failed: Sequence[Failed]) -> list[tuple[Path, bytes]]:
        """The sidecars of failures that are news; one that is folded into an earlier row leaves none."""
        told = self._queue.told(failed) if failed and self._config.sidecar else ()
        return [file for each in failed if each.claim.image_id not in told for file in self._sidecar(each)]

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
    same = claim.reason is not None and reason_code(claim.reason) == reason_code(reason)
    if same and claim.sha256 == sha256 and reason_code(reason) != VANISHED:
        return Failed(claim, reason, sha256)
    return Unsettled(claim, reason, sha256)
