"""The life of one batch: taken, folded, inferred, drawn, committed, and handed on to be put away.

A batch keeps what is done and what is still to be done. So a step that the disk or the ledger refuses can be tried
again without acting twice, and a batch that is too large for the memory can be divided. Every image of a batch gets
exactly one outcome, whatever its bytes do to a decoder.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any, Self, TypeVar

from inspectd.config import Config
from inspectd.durable import write_all
from inspectd.ledger.records import Claim, Failed, Inspected, Outcome, Read, Unsettled
from inspectd.ledger.schema import State
from inspectd.ledger.write.queue import Queue
from inspectd.model.inspector import Inspector
from inspectd.model.pages import Worst, inspect_pages, with_support
from inspectd.vision.decode import DecodeError
from inspectd.worker.after import concerns
from inspectd.worker.artifacts import artifact_path, sidecar
from inspectd.worker.brightness import Brightness
from inspectd.worker.judge import Judge, Prepared, milliseconds
from inspectd.worker.models import Opened
from inspectd.worker.second_look import (
    look_at,
    may_be_mended,
    may_be_unfinished,
    once_there_is_memory,
    second_look,
)
from inspectd.worker.slots import PULSE, turn
from inspectd.worker.source import Source, SourceError, read

Result = TypeVar("Result")
File = tuple[Path, bytes]


@dataclass(frozen=True)
class Taken:
    """One claimed file after reading: the identity of its bytes, if they could be read, and what follows from them."""

    read: Read | None
    result: Prepared | Outcome


class Lane:
    """A bundle in service with the watches that it judges, and the tools that its batches share.

    Args:
        model_id: The bundle's row in the ledger.
        network: Held by the batch that computes on the device; all other work of several batches goes on beside it.
        beat: Is called for each image: a heartbeat.
    """

    def __init__(
        self,
        config: Config,
        opened: Opened,
        queue: Queue,
        *,
        model_id: int,
        watches: Sequence[str],
        owner: str,
        pool: ThreadPoolExecutor,
        network: Lock,
        beat: Callable[[], None],
        brightness: Brightness | None = None,
    ) -> None:
        self.config = config
        self.opened = opened
        self.queue = queue
        self.model_id = model_id
        self.names = list(watches)
        self.watches = {watch.name: watch for watch in config.watch}
        self.putting_away = {watch.name for watch in config.watch if watch.after != "keep"}
        self.owner = owner
        self.pool = pool
        self.network = network
        self.beat = beat
        self.judge = Judge(config, opened.inspector)
        self.brightness = brightness

    @property
    def inspector(self) -> Inspector:
        return self.opened.inspector

    def each(self, work: Callable[..., Result], *arguments: Iterable[Any]) -> Iterator[Result]:
        """Works in the pool and yields the results in order, with heartbeats: large images take their time."""
        working = [self.pool.submit(work, *each) for each in zip(*arguments, strict=False)]
        try:
            for each in working:
                while not wait([each], PULSE).done:
                    if not each.running():
                        self.beat()
                self.beat()
                yield each.result()
        finally:
            for each in working:
                each.cancel()


class Batch:
    """Claimed images of one lane.

    Attributes:
        claims: Those whose outcome is still to be found.
        folded: The ids of the older images that stand for claims which the ledger has folded.
        outcomes: What was found, one for each claim.
        files: What must be durable before the outcomes are recorded.
        finished: The ids of images whose outcome the ledger has accepted, after `commit`.
    """

    def __init__(self, lane: Lane, claims: Sequence[Claim], folded: Sequence[int] = ()) -> None:
        self.claims = list(claims)
        self.folded = list(folded)
        self.outcomes: list[Outcome] = []
        self.files: list[File] = []
        self.finished: set[int] = set()
        self._lane = lane
        self._taken: dict[int, Taken] | None = None  # by image, until the batch is judged
        self._is_folded = False
        # A full batch means that more images wait: their verdicts come before the test of explanations.
        self._has_time = len(claims) < lane.config.worker.batch or lane.config.worker.batch == 1
        self._used: list[tuple[str, int | None]] = []  # of each judged image: its watch, the bits of its values

    def judge(self) -> Self:
        """Takes, folds, infers and draws. It may be called again after an error, and goes on from there.

        Raises:
            LedgerUnavailable: the ledger refuses at the moment.
            MemoryError: there is not enough memory for all images at once; `halves` may help.
        """
        try:
            taken = self._take()
            self._fold(taken)
            results = [taken[claim.image_id].result for claim in self.claims]
            failed = [self._delayed(result) for result in results if not isinstance(result, Prepared)]
            files = self._failure_sidecars([outcome for outcome in failed if isinstance(outcome, Failed)])
            images = [result for result in results if isinstance(result, Prepared)]
            found, infer_ms = self._infer(images)
            drawn = list(self._lane.each(self._draw, images, found, repeat(infer_ms)))
        except MemoryError:
            self._taken = None  # its pixels may be what fills the memory
            raise
        self.outcomes = [*failed, *(inspected for inspected, _ in drawn)]
        self.files = [*files, *(file for _, written in drawn for file in written)]
        self._used = [(image.claim.watch, image.used) for image in images]
        self._taken = None
        return self

    def halves(self) -> "tuple[Batch, Batch]":
        """The claims in two batches; what is folded stays with the first."""
        middle = len(self.claims) // 2
        return Batch(self._lane, self.claims[:middle], self.folded), Batch(self._lane, self.claims[middle:])

    def commit(self) -> Self:
        """Makes the files durable, then records the outcomes. It may be called again after an error.

        A verdict never names an overlay that a power failure took.

        Raises:
            OSError, LedgerUnavailable: the disk or the ledger refuses at the moment.
        """
        lane = self._lane
        write_all(self.files, lane.beat)
        accepted = lane.queue.outcomes.finish(lane.owner, lane.model_id, self.outcomes, lane.putting_away)
        final = {each.claim.image_id for each in self.outcomes if not isinstance(each, Unsettled)}
        self.finished = final & set(accepted)
        if lane.brightness:
            lane.brightness.see(self._used)
        return self

    @property
    def to_put_away(self) -> set[int]:
        """The ids of images whose file `after` may have to move or delete now."""
        return self.finished | set(self.folded)

    def _take(self) -> dict[int, Taken]:
        """Reads, hashes, decodes and prepares every file, once."""
        if self._taken is None:
            ids = [claim.image_id for claim in self.claims]
            self._taken = dict(zip(ids, self._lane.each(self._take_one, self.claims), strict=True))
        return self._taken

    def _fold(self, taken: dict[int, Taken]) -> None:
        """Has the ledger fold content that was judged before under its name; those claims leave the batch."""
        if self._is_folded:
            return
        lane, reads = self._lane, [each.read for each in taken.values() if each.read]
        older = lane.queue.outcomes.fold(lane.owner, reads, lane.putting_away)
        self.claims = [claim for claim in self.claims if claim.image_id not in older]
        self.folded += older.values()
        self._is_folded = True

    def _infer(self, images: Sequence[Prepared]) -> tuple[list[Worst], float]:
        """Sends the images through the network in this batch's turn; returns findings and milliseconds an image."""
        lane = self._lane
        lane.beat()
        with turn(lane.network, lane.beat):
            started = time.perf_counter()
            found = list(inspect_pages(lane.inspector, [*map(lane.judge.tensors, images)], lane.beat))
            if self._has_time:
                found = with_support(lane.inspector, [*map(lane.judge.tensors, images)], found)
            return found, round(milliseconds(started) / max(1, len(images)), 3)

    def _draw(self, image: Prepared, worst: Worst, infer_ms: float) -> tuple[Inspected, list[File]]:
        """Makes the record of one image, its overlay and its sidecar."""
        inspected, files = self._lane.judge.conclude(image, worst, infer_ms)
        concerned = concerns(self._lane.watches[inspected.claim.watch], inspected.verdict)
        inspected = replace(inspected, quiet=self._quiet(concerned and may_be_unfinished(image)))
        return inspected, files + self._sidecar(inspected)

    def _take_one(self, claim: Claim) -> Taken:
        config, watch = self._lane.config, self._lane.watches[claim.watch]
        try:
            source = read(watch.path, claim.path, follow_links=watch.follow_links, max_bytes=config.limits.bytes)
        except SourceError as error:
            return Taken(None, second_look(claim, error.reason, None))
        if source.stat != claim.stat:  # the file has changed since it settled
            return Taken(self._read(claim, source, unfinished=True), Unsettled(claim))
        try:
            image = self._lane.judge.prepare(claim, source)
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
        return self._lane.config.limits.stalled if unfinished else 0.0

    def _delayed(self, outcome: Outcome) -> Outcome:
        """The outcome of a file that could not be judged, with how long `after` waits for the file."""
        if isinstance(outcome, Failed):
            concerned = concerns(self._lane.watches[outcome.claim.watch], State.FAILED)
            return replace(outcome, quiet=self._quiet(concerned and may_be_mended(outcome)))
        return outcome

    def _failure_sidecars(self, failed: Sequence[Failed]) -> list[File]:
        """The sidecars of new failures; a failure that is folded into an earlier row gets none."""
        is_wanted = failed and self._lane.config.sidecar
        repeated = self._lane.queue.outcomes.repeated_failures(failed) if is_wanted else ()
        return [file for each in failed if each.claim.image_id not in repeated for file in self._sidecar(each)]

    def _sidecar(self, outcome: Inspected | Failed) -> list[File]:
        """The sidecar that a PLC or MES waits for, if the configuration asks for one: for a failure too."""
        config = self._lane.config
        if not config.sidecar:
            return []
        path = artifact_path(outcome.claim, self._lane.inspector.bundle.short, ".json")
        return [(config.output / path, sidecar(outcome, config.output))]
