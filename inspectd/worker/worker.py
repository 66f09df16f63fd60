"""The worker process: loads bundles, claims images, judges them, records verdicts.

It ends when its supervisor's line closes, whatever it is doing: its leases are then given back by the next supervisor.
Order is everything here: overlays are durable before the verdict commits, and the verdict is committed before the
source file is touched, by a thread that no batch waits for (`putting_away.py`).
"""

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2

from inspectd.config import Config
from inspectd.durable import write_all
from inspectd.errors import ConfigError, InspectdError, LedgerDamaged, LedgerUnavailable
from inspectd.ledger.database import open_writer
from inspectd.ledger.write.queue import Queue
from inspectd.worker.batch import Batch, Judged, Pipeline
from inspectd.worker.brightness import Brightness
from inspectd.worker.channel import Channel, Progress, Ready, Refused
from inspectd.worker.hands import Hands
from inspectd.worker.lane import Lane
from inspectd.worker.line import Line
from inspectd.worker.opening import open_model, register
from inspectd.worker.putting_away import PuttingAway
from inspectd.worker.redraw import redrawn
from inspectd.worker.reinspect import Reinspector
from inspectd.worker.signs import PULSE, Signs

log = logging.getLogger(__name__)

IDLE = 1.0  # seconds between two looks at the queue when nobody wakes us
TROUBLE = 1.0  # seconds to wait before trying again what the disk or the ledger refused

Result = TypeVar("Result")
Item = TypeVar("Item")


class Worker:
    """Claims for the lanes in turns, and takes what it claimed to its outcomes, two batches at once."""

    def __init__(self, config: Config, queue: Queue, line: Line) -> None:
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._queue = queue
        self._line = line
        self._settings = line.settings
        self._batch = line.settings.batch  # halved where memory does not suffice
        self._judged = 0
        self._troubles: dict[int, str] = {}  # what the disk or the ledger refuses, by the thread that waits for it
        self._signs = Signs()
        self._network = threading.Lock()  # held by the batch that computes
        self._putting_away = PuttingAway(config.watch, queue, line.wake.set, config.limits.stalled)
        self._said_at = 0.0

    def open_lanes(self, pool: ThreadPoolExecutor) -> list[Lane]:
        """Load, prove and warm every bundle once, then tell the supervisor that this worker is ready.

        Raises:
            InspectdError: for a bundle or a device that cannot be used.
        """
        names: dict[Path, list[str]] = {}
        for watch in self._config.watch:
            names.setdefault(watch.model, []).append(watch.name)
        lanes: list[Lane] = []
        for path, watches in names.items():
            opened = open_model(self._config, path, self._settings.batch, self._alive)
            inspector = opened.inspector
            pipeline = Pipeline(
                *(self._config, inspector, self._queue, self._settings.owner, pool, self._network, self._alive)
            )
            model_id, brightness = register(self._queue, inspector.bundle), Brightness(inspector.bundle, self._note)
            lanes.append(Lane(opened, pipeline, model_id, watches, brightness))
        first = lanes[0].inspector
        bundles = [lane.inspector.bundle for lane in lanes]
        titles, versions = [bundle.title for bundle in bundles], [bundle.spec.version for bundle in bundles]
        slowest = max(lane.opened.slowest for lane in lanes)
        self._line.say(Ready(first.device, first.precision, titles, versions, [str(path) for path in names], slowest))
        return lanes

    def run(self, lanes: Sequence[Lane], pool: ThreadPoolExecutor) -> None:
        """Work until told to stop; what is in hand is always finished."""
        serving = {lane.inspector.bundle.identity: lane.opened for lane in lanes}
        reinspector = Reinspector(
            *(self._config, self._queue, pool, serving),
            batch=self._settings.batch,
            progress=self._alive,
            wake=self._line.wake.set,
        )
        self._putting_away.start()
        with Hands(self._line.wake.set) as hands:
            try:
                self._work(hands, deque(lanes), reinspector)
            except BaseException:
                self._line.end()  # or the other batch might wait for a disk for ever
                raise
        self._count(hands)
        self._conclude(lanes)
        self._persist(reinspector.close)
        has_put_away = self._putting_away.end()
        self._putting_away.check()
        if reinspector.is_opening or not has_put_away:
            self._line.hang_up()  # or a thread that waits for a disk would keep the line open
            os._exit(0)  # nothing is in hand, and a thread deep in TensorFlow would crash the interpreter's end

    def _work(self, hands: Hands, turns: deque[Lane], reinspector: Reinspector) -> None:
        while not self._line.stop.is_set():
            self._count(hands)
            self._putting_away.check()
            if not hands.are_full and (batch := self._claim(turns)):
                hands.begin(partial(self._signs.watch, partial(self._judge, *batch)))
            elif not hands.are_empty or not self._look_back(turns, reinspector):
                if hands.are_empty:  # else what is in hand speaks for itself, or hangs
                    self._say_progress()
                    self._conclude(turns)
                self._line.wake.wait(IDLE)
                self._line.wake.clear()

    def _count(self, hands: Hands) -> None:
        """Say how many images are finished, if any are that were not yet counted."""
        if finished := hands.put_down():
            self._judged += finished
            self._say_progress()

    def _claim(self, turns: deque[Lane]) -> tuple[Lane, Batch] | None:
        """A batch for the next lane that has something queued; None when no lane has, or what is next must wait."""
        for _ in range(len(turns)):
            lane = turns[0]
            most = lane.opened.at_once(self._batch)
            ours = self._settings.owner, lane.watches, most, self._settings.lease
            claims = self._persist(partial(self._queue.claims.take, *ours))
            if claims is None:  # it must be alone: were others served meanwhile, its turn would never come
                return None
            turns.rotate(-1)
            if claims:
                return lane, Batch(claims)
        return None

    def _look_back(self, lanes: Sequence[Lane], reinspector: Reinspector) -> bool:
        """A little of what past images still want; False when there is nothing of it."""
        return bool(self._persist(lambda: self._redraw(lanes)) or self._persist(reinspector.step))

    def _alive(self) -> None:
        """A sign of life; called for every image, said a few times a second."""
        self._signs.give()
        if time.monotonic() - self._said_at >= PULSE:
            self._say_progress()

    def _say_progress(self) -> None:
        self._signs.give()
        self._said_at = time.monotonic()
        trouble = next(iter(list(self._troubles.values())), None)
        files = self._putting_away
        self._line.say(Progress(self._judged, trouble, self._signs.quiet, files.is_busy, files.hang))

    def _pulse(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with a sign of life for each: a slow disk is no hang."""
        for item in items:
            self._alive()
            yield item

    def _judge(self, lane: Lane, batch: Batch) -> int:
        """Take a batch to its outcomes: together, or in halves where memory does not suffice for all of it.

        Returns:
            How many images have one now.

        Raises:
            MemoryError: for an image that is too much by itself; the supervisor sees to it that only this one fails.
        """
        self._say_progress()
        tried = len(batch.claims)
        try:
            judged = self._persist(lambda: lane.pipeline.judge(batch))
        except MemoryError:
            if tried == 1:
                raise
            self._batch = tried // 2
            log.warning("not enough memory for %d images at once: batch is now %d", tried, self._batch)
        else:
            return self._finish(lane, judged) if judged else 0
        return sum(self._judge(lane, half) for half in batch.halves())  # here, where nothing holds on to the pixels

    def _finish(self, lane: Lane, judged: Judged) -> int:
        """Record what was judged; returns how many images have an outcome now."""
        finished = judged.finished(self._persist(lambda: self._commit(lane, judged)) or set())
        self._putting_away.wake(finished | set(judged.folded))
        self._say_progress()
        lane.brightness.see(judged.used)
        return len(finished)

    def _conclude(self, lanes: Iterable[Lane]) -> None:
        """Nothing is in hand: what was seen of each watch has to do."""
        for lane in lanes:
            lane.brightness.conclude()

    def _note(self, watch: str, model: str, sentence: str) -> None:
        self._persist(lambda: self._queue.note_brightness(watch, model, sentence))

    def _commit(self, lane: Lane, judged: Judged) -> set[int]:
        """Overlays first, then the verdicts: a verdict never points at a picture that a power cut took."""
        write_all(judged.files, self._alive)
        return self._queue.outcomes.finish(
            self._settings.owner, lane.model_id, judged.outcomes, self._putting_away.watches
        )

    def _redraw(self, lanes: Sequence[Lane]) -> bool:
        """Draw the overlays that a repair has asked for, a few at a time; False when there are none."""
        wanted = self._queue.redraws.take(list(self._watches), self._settings.batch)
        inspectors = {lane.model_id: lane.inspector for lane in lanes}
        for file in self._pulse(redrawn(self._config, inspectors, wanted)):
            self._persist(partial(write_all, [file]))
        return bool(wanted)

    def _persist(self, action: Callable[[], Result]) -> Result | None:
        """Do what needs the disk or the ledger, as often as it takes; None only when told to stop meanwhile.

        A full disk or a locked ledger is an operator's business and passes; no image is lost by waiting, and none is
        judged twice, because a lease that expires meanwhile makes the ledger refuse our results.
        """
        thread = threading.get_ident()
        while True:
            try:
                result = action()
            except OSError as error:
                trouble = f"{error.strerror or error}: {self._config.output}"  # a write that fails names no file
            except LedgerUnavailable as error:
                trouble = str(error)
            else:
                if self._troubles.pop(thread, None):
                    self._say_progress()
                return result
            self._troubles[thread] = trouble
            self._say_progress()
            if self._line.stop.wait(TROUBLE):
                return None


def main(channel_fd: int) -> int:
    """Be the worker at the other end of an inherited socket; returns the exit code."""
    line = Line(Channel(socket.socket(fileno=channel_fd)))
    # Ctrl-C reaches the whole foreground group, but when a worker ends is its supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: line.end())
    config = Config.model_validate_json(line.settings.config)
    threads = config.worker.threads or len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)  # one thread an image: the pool keeps every core busy already
    with ThreadPoolExecutor(threads, thread_name_prefix="image") as pool:
        try:
            worker = Worker(config, Queue(open_writer(config.database)), line)
            worker.run(worker.open_lanes(pool), pool)
        except InspectdError as error:
            line.say(Refused(str(error)))
            return _exit_code(error)
    return 0


def _exit_code(error: InspectdError) -> int:
    """What tells the supervisor apart: a ledger that takes nothing just now, one that is damaged, all else."""
    if isinstance(error, LedgerUnavailable):
        return os.EX_TEMPFAIL
    return os.EX_DATAERR if isinstance(error, LedgerDamaged) else ConfigError.exit_code
