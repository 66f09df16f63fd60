"""Judges earlier images again, by a model that need not be in service, when the worker has nothing else to do.

Each step is one small batch, so that a new image never waits longer than that. A thread opens the model while the work
goes on; the model is closed when no image waits for it. A fault of the model or of an image becomes a reason on the
list, and the worker goes on.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from inspectd.config import Config
from inspectd.durable import write_all
from inspectd.errors import BundleError, InspectdError
from inspectd.ledger.records import EarlierImage, Inspected, ReinspectionRequest
from inspectd.ledger.write.queue import Queue
from inspectd.ledger.write.reinspections import OPENINGS
from inspectd.model.pages import Worst, inspect_pages, with_support
from inspectd.paths import from_text
from inspectd.vision.decode import DecodeError
from inspectd.worker.judge import Judge, Prepared, milliseconds
from inspectd.worker.models import Opened, open_model, register
from inspectd.worker.process import HANG_BATCHES, HANG_LEAST
from inspectd.worker.source import SourceError, read_again

log = logging.getLogger(__name__)

MOST = 8  # images in a batch
WAIT = 1.0  # seconds that a batch may keep a new image waiting, unless a single image takes longer
PULSE = 0.5  # seconds between two heartbeats while a network computes

CRASHES = f"crashes the worker: {OPENINGS} workers in a row ended over it, with no image judged"
NO_MEMORY = "no memory: this machine lacked the memory to decode it; judge it again when less else is running"
TOO_LARGE = "too large: there is not enough memory to judge it"

Item = TypeVar("Item")
Failure = tuple[int, str]  # an image's id, and "code: sentence"
_Concluded = tuple[Inspected, list[tuple[Path, bytes]]]


@dataclass(frozen=True)
class _Open:
    """A model that is open for the list."""

    judge: Judge
    model_id: int
    batch: int
    patience: float  # seconds after which a batch counts as hung


@dataclass(frozen=True)
class _Done:
    """A batch that is judged, but not recorded yet."""

    request: ReinspectionRequest
    model_id: int
    inspected: list[Inspected]
    files: list[tuple[Path, bytes]]
    failed: list[Failure]


class _Opening:
    """A model that a thread of its own opens."""

    def __init__(self, config: Config, request: ReinspectionRequest, batch: int, done: Callable[[], None]) -> None:
        self.request = request
        self.result: Opened | str | None = None  # the model, or why it cannot be used
        self._config = config
        self._batch = batch
        self._done = done
        threading.Thread(target=self._open, daemon=True, name="opening").start()

    def _open(self) -> None:
        path = Path(from_text(self.request.path))
        try:
            opened = open_model(self._config, path, self._batch)
            if opened.inspector.bundle.identity != self.request.bundle:
                raise BundleError(
                    f"{path} holds {opened.inspector.bundle.title} now, which is not the requested model."
                )
        except InspectdError as error:
            self.result = str(error)
        except Exception as error:
            log.exception("the model %s cannot be opened", path)
            self.result = f"{path} cannot be opened: {type(error).__name__}: {error}"
        else:
            self.result = opened
        self._done()


class Reinspector:
    """Works off the list of earlier images.

    Args:
        serving: The models in service, by their identity.
        progress: Gives a heartbeat.
        wake: Is called from another thread when a step has something to do again.
    """

    def __init__(
        self,
        config: Config,
        queue: Queue,
        pool: ThreadPoolExecutor,
        serving: Mapping[str, Opened],
        *,
        batch: int,
        progress: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._config = config
        self._queue = queue
        self._pool = pool
        self._serving = serving
        self._batch = min(batch, MOST)
        self._progress = progress
        self._wake = wake
        self._open: dict[str, _Open] = {}  # by identity; one at most that is not in service
        self._opening: _Opening | None = None
        self._done: _Done | None = None

    @property
    def is_opening(self) -> bool:
        """Whether a thread opens a model, which cannot be stopped."""
        return self._opening is not None and self._opening.result is None

    def step(self) -> bool:
        """Judges one batch, or prepares for it; returns False if there is nothing to do at the moment.

        Raises:
            OSError, LedgerUnavailable: the disk or the ledger refuses. The next call goes on from there.
        """
        if self._done is None:
            request = self._queue.reinspections.next_request()
            if request is None:
                self._let_go()
                return False
            model = self._model(request) if request.waits else None
            if request.waits and model is None:
                return not self.is_opening
            past = self._queue.reinspections.take(request, model.batch) if model else []
            if not model or not past:
                self._queue.reinspections.close(request)
                return True
            self._done = self._judge(request, model, past)
        done = self._done
        write_all(done.files, self._progress)  # durable before the ledger names them
        self._queue.reinspections.record(done.request, done.model_id, done.inspected, done.failed)
        self._done = None
        return True

    def close(self) -> None:
        """Says that the worker ends, so that a model that is being opened is not blamed for the end."""
        if self._opening:
            self._queue.reinspections.forget_opening(self._opening.request)

    def _let_go(self) -> None:
        """Closes the model, because no image waits for it."""
        if self._opening and not self.is_opening:
            self._opening = None
        if self._open:
            self._open.clear()
            gc.collect()  # a network is large, and full of cycles

    def _model(self, request: ReinspectionRequest) -> _Open | None:
        """The model of a request; None while it is being opened, or after it was refused."""
        if model := self._open.get(request.bundle):
            return model
        if opened := self._serving.get(request.bundle):
            return self._take_in(request, opened)
        if self._opening is None:
            self._let_go()  # at most one model beside those in service
            if self._queue.reinspections.begin_opening(request):
                self._opening = _Opening(self._config, request, self._batch, self._wake)
            else:
                self._queue.reinspections.refuse(request, CRASHES)
            return None
        if self.is_opening:
            return None
        of, result = self._opening.request, self._opening.result
        if isinstance(result, Opened):
            model = self._take_in(of, result)
        else:
            self._queue.reinspections.refuse(of, f"refused: {result}")
        self._opening = None
        return model if of.bundle == request.bundle else None

    def _take_in(self, request: ReinspectionRequest, opened: Opened) -> _Open:
        inspector = opened.inspector
        model = _Open(
            judge=Judge(self._config, inspector),
            model_id=register(self._queue, inspector.bundle),
            batch=opened.at_once(max(1, min(self._batch, int(self._batch * WAIT / max(opened.slowest, 1e-3))))),
            patience=max(HANG_LEAST, HANG_BATCHES * opened.slowest),
        )
        self._open = {request.bundle: model}
        return model

    def _judge(self, request: ReinspectionRequest, model: _Open, past: Sequence[EarlierImage]) -> _Done:
        """Takes images to their records; an image that fails gets a reason of its own."""
        done = _Done(request, model.model_id, [], [], [])
        images: list[Prepared] = []
        for each in self._pulse(self._pool.map(partial(self._look, model.judge), past)):
            if isinstance(each, Prepared):
                images.append(each)
            else:
                done.failed.append(each)
        started = time.perf_counter()
        with self._heartbeats(model.patience):
            answers = list(zip(images, _find(model.judge, images), strict=True))
        infer = round(milliseconds(started) / max(1, len(images)), 3)
        done.failed.extend((image.claim.image_id, why) for image, why in answers if isinstance(why, str))
        found = [(image, worst) for image, worst in answers if isinstance(worst, Worst)]
        for concluded in self._pulse(self._pool.map(partial(_conclude, model.judge, infer), found)):
            if isinstance(concluded[0], Inspected):
                done.inspected.append(concluded[0])
                done.files.extend(concluded[1])
            else:
                done.failed.append(concluded)
        return done

    def _look(self, judge: Judge, past: EarlierImage) -> Prepared | Failure:
        """Reads, decodes and prepares one earlier image, or returns why that fails."""
        claim = past.claim
        try:
            source = read_again(self._config, claim.watch, claim.path, past.moved_to, claim.sha256 or "")
            return judge.prepare(claim, source)
        except SourceError as error:
            return claim.image_id, str(error)
        except DecodeError as error:
            return claim.image_id, f"{error.code}: {error}"
        except MemoryError:
            return claim.image_id, NO_MEMORY

    def _pulse(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            self._progress()
            yield item

    @contextmanager
    def _heartbeats(self, most: float) -> Iterator[None]:
        """Gives heartbeats for `most` seconds, because this network may be slower than those by which a hang is
        measured."""
        finished = threading.Event()

        def pulse() -> None:
            end = time.monotonic() + most
            while not finished.wait(PULSE) and time.monotonic() < end:
                self._progress()

        thread = threading.Thread(target=pulse, daemon=True, name="heartbeats")
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()


def _conclude(judge: Judge, infer: float, found: tuple[Prepared, Worst]) -> _Concluded | Failure:
    image, worst = found
    try:
        return judge.conclude(image, worst, infer)
    except MemoryError:
        return image.claim.image_id, TOO_LARGE


def _find(judge: Judge, images: Sequence[Prepared]) -> list[Worst | str]:
    """Returns the finding of each image, or why there is none; tries images one by one if the network fails."""
    if not images:
        return []
    try:
        found = [*inspect_pages(judge.inspector, [*map(judge.tensors, images)])]
        return [*with_support(judge.inspector, [*map(judge.tensors, images)], found)]
    except MemoryError:
        why = TOO_LARGE
    except Exception as error:
        log.exception("%s gave no answer", judge.inspector.bundle.title)
        why = f"no answer: the network failed with {type(error).__name__}: {error}"
    if len(images) == 1:
        return [why]
    return [found for image in images for found in _find(judge, [image])]
