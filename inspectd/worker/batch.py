"""The way of one batch through a worker: read, decode, fold, infer, draw.

Every image of a batch ends in exactly one outcome, whatever its bytes do to a decoder. Nothing is written here: the
outcomes and the files that belong to them are handed on together, so that the worker can make them durable in order.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from inspectd.config import Config
from inspectd.ledger.records import Claim, Failed, Inspected, Outcome, Read, Unsettled
from inspectd.ledger.schema import State
from inspectd.ledger.write.queue import Queue
from inspectd.model.inspector import Inspector
from inspectd.model.pages import Worst, inspect_pages
from inspectd.vision.decode import DecodeError
from inspectd.worker.after import concerns
from inspectd.worker.artifacts import sidecar
from inspectd.worker.judge import Judge, Prepared, milliseconds
from inspectd.worker.looks import look_at, may_be_mended, may_be_unfinished, once_there_is_memory, second_look
from inspectd.worker.names import artifact_path
from inspectd.worker.signs import PULSE, turn
from inspectd.worker.source import Source, SourceError, read

Result = TypeVar("Result")


@dataclass
class Batch:
    """Claims on their way to their outcomes. Whoever tries again takes only what is still here.

    Attributes:
        claims: Those that have no outcome yet.
        folded: The ids of the older images that stand for the others.
    """

    claims: list[Claim]
    folded: list[int] = field(default_factory=list)

    def fold(self, older: Mapping[int, int]) -> None:
        """Let go of the claims that the ledger has folded, given by their image ids: their rows are gone."""
        self.claims = [claim for claim in self.claims if claim.image_id not in older]
        self.folded += older.values()

    def halves(self) -> "tuple[Batch, Batch]":
        """The claims in two batches; what is folded stays with the first."""
        middle = len(self.claims) // 2
        return Batch(self.claims[:middle], self.folded), Batch(self.claims[middle:])


@dataclass(frozen=True)
class Judged:
    """What became of a batch.

    Attributes:
        files: What must be durable before the outcomes are recorded.
        folded: The ids of the older images that stand for some of the batch.
        used: Of each image that was judged, its watch and the bits that its values take (`Decoded.used`).
    """

    outcomes: list[Outcome]
    files: list[tuple[Path, bytes]]
    folded: list[int]
    used: list[tuple[str, int | None]]

    def finished(self, accepted: Collection[int]) -> set[int]:
        """The ids of those images that have their outcome, where the ledger has accepted it."""
        final = (outcome for outcome in self.outcomes if not isinstance(outcome, Unsettled))
        return {outcome.claim.image_id for outcome in final} & set(accepted)


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

    def judge(self, batch: Batch) -> Judged:
        """Take a batch to its outcomes: one for each claim that was not folded.

        An exception leaves in the batch what is still to be done, and the same call may be made again.
        """
        taken = dict(zip([claim.image_id for claim in batch.claims], self._each(self._take, batch.claims), strict=True))
        reads = [each.read for each in taken.values() if each.read]
        batch.fold(self._queue.outcomes.fold(self._owner, reads, self._putting_away))
        results = [taken[claim.image_id].result for claim in batch.claims]
        images = [result for result in results if isinstance(result, Prepared)]
        outcomes = [self._waited(result) for result in results if not isinstance(result, Prepared)]
        files = self._failures([outcome for outcome in outcomes if isinstance(outcome, Failed)])
        self._progress()
        with turn(self._network, self._progress):
            started = time.perf_counter()
            found = inspect_pages(self._inspector, [*map(self._judge.tensors, images)], self._progress)
            infer = round(milliseconds(started) / max(1, len(images)), 3)
        for inspected, written in self._each(self._conclude, images, found, repeat(infer)):
            outcomes.append(inspected)
            files += written
        return Judged(outcomes, files, batch.folded, [(image.claim.watch, image.used) for image in images])

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
            return Taken(None, second_look(claim, error.reason, None))
        if source.stat != claim.stat:  # not the file that had settled: its writer has been here since
            return Taken(self._read(claim, source, unfinished=True), Unsettled(claim))
        try:
            image = self._judge.prepare(claim, source)
        except DecodeError as error:
            failed = second_look(claim, f"{error.code}: {error}", source.sha256)
            return Taken(self._read(claim, source, unfinished=True), failed)
        except MemoryError:
            again = once_there_is_memory(claim, source.sha256)
            return Taken(self._read(claim, source, unfinished=True), again)
        content = self._read(claim, source, unfinished=may_be_unfinished(image))
        return Taken(content, look_at(image, source.sha256))

    def _read(self, claim: Claim, source: Source, *, unfinished: bool) -> Read:
        return Read(claim, source.sha256, source.stat, self._quiet(unfinished))

    def _quiet(self, unfinished: bool) -> float:
        """How many seconds without a change `after` waits for a file that may be unfinished."""
        return self._config.limits.stalled if unfinished else 0.0

    def _waited(self, outcome: Outcome) -> Outcome:
        """The outcome of a file that could not be judged, with how long `after` waits for it."""
        if isinstance(outcome, Failed):
            concerned = concerns(self._watches[outcome.claim.watch], State.FAILED)
            return replace(outcome, quiet=self._quiet(concerned and may_be_mended(outcome)))
        return outcome

    def _conclude(self, image: Prepared, worst: Worst, infer_ms: float) -> tuple[Inspected, list[tuple[Path, bytes]]]:
        """The record of one image, its overlay and its sidecar."""
        inspected, files = self._judge.conclude(image, worst, infer_ms)
        concerned = concerns(self._watches[inspected.claim.watch], inspected.verdict)
        inspected = replace(inspected, quiet=self._quiet(concerned and may_be_unfinished(image)))
        return inspected, files + self._sidecar(inspected)

    def _failures(self, failed: Sequence[Failed]) -> list[tuple[Path, bytes]]:
        """The sidecars of failures that are news; one that is folded into an earlier row leaves none."""
        told = self._queue.outcomes.repeated_failures(failed) if failed and self._config.sidecar else ()
        return [file for each in failed if each.claim.image_id not in told for file in self._sidecar(each)]

    def _sidecar(self, outcome: Inspected | Failed) -> list[tuple[Path, bytes]]:
        """What a PLC or MES waits for, if the configuration wants it: for a failure too, because silence is no OK."""
        if not self._config.sidecar:
            return []
        path = artifact_path(outcome.claim, self._inspector.bundle.short, ".json")
        return [(self._config.output / path, sidecar(outcome, self._config.output))]
