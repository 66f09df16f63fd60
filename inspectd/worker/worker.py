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
from inspectd.worker.batch import Batch, Lane
from inspectd.worker.brightness import Brightness
from inspectd.worker.channel import Channel, Progress, Ready, Refused, WorkerChannel
from inspectd.worker.models import open_model, register
from inspectd.worker.putting_away import PuttingAway
from inspectd.worker.redraw import redrawn
from inspectd.worker.reinspect import Reinspector
from inspectd.worker.slots import PULSE, Heartbeats, Slots

log = logging.getLogger(__name__)

IDLE = 1.0  # seconds between two looks at the queue when nobody wakes us
TROUBLE = 1.0  # seconds to wait before trying again what the disk or the ledger refused

Result = TypeVar("Result")
Item = TypeVar("Item")


class Worker:
    """Claims for the lanes in turns, and takes what it claimed to its outcomes, two batches at once."""

    def __init__(self, config: Config, queue: Queue, channel: WorkerChannel) -> None:
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._queue = queue
        self._channel = channel
        self._settings = channel.settings
        self._batch = channel.settings.batch  # halved where memory does not suffice
        self._finished = 0
        self._troubles: dict[int, str] = {}  # what the disk or the ledger refuses, by the thread that waits for it
        self._heartbeats = Heartbeats()
        self._network = threading.Lock()  # held by the batch that computes
        self._putting_away = PuttingAway(config.watch, queue, channel.wake.set, config.limits.stalled)
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
            opened = open_model(self._config, path, self._settings.batch, self._beat)
            bundle = opened.inspector.bundle
            lanes.append(
                Lane(
                    *(self._config, opened, self._queue),
                    model_id=register(self._queue, bundle),
                    watches=watches,
                    owner=self._settings.owner,
                    pool=pool,
                    network=self._network,
                    beat=self._beat,
                    brightness=Brightness(bundle, self._note),
                )
            )
        first = lanes[0].inspector
        bundles = [lane.inspector.bundle for lane in lanes]
        ready = Ready(
            device=first.device,
            precision=first.precision,
            models=[bundle.title for bundle in bundles],
            versions=[bundle.spec.version for bundle in bundles],
            bundles=[str(path) for path in names],
            slowest=max(lane.opened.slowest for lane in lanes),
        )
        self._channel.say(ready)
        return lanes

    def run(self, lanes: Sequence[Lane], pool: ThreadPoolExecutor) -> None:
        """Work until told to stop; what is in hand is always finished."""
        serving = {lane.inspector.bundle.identity: lane.opened for lane in lanes}
        reinspector = Reinspector(
            *(self._config, self._queue, pool, serving),
            batch=self._settings.batch,
            progress=self._beat,
            wake=self._channel.wake.set,
        )
        self._putting_away.start()
        with Slots(self._channel.wake.set) as slots:
            try:
                self._work(slots, deque(lanes), reinspector)
            except BaseException:
                self._channel.end()  # or the other batch might wait for a disk for ever
                raise
        self._count(slots)
        self._end_of_work(lanes)
        self._persist(reinspector.close)
        has_put_away = self._putting_away.end()
        self._putting_away.check()
        if reinspector.is_opening or not has_put_away:
            self._channel.hang_up()  # or a thread that waits for a disk would keep the line open
            os._exit(0)  # nothing is in hand, and a thread deep in TensorFlow would crash the interpreter's end

    def _work(self, slots: Slots, turns: deque[Lane], reinspector: Reinspector) -> None:
        while not self._channel.stop.is_set():
            self._count(slots)
            self._putting_away.check()
            if not slots.are_full and (batch := self._claim(turns)):
                slots.begin(partial(self._heartbeats.watch, partial(self._go, batch)))
            elif not slots.are_empty or not self._look_back(turns, reinspector):
                if slots.are_empty:  # otherwise the batches give heartbeats themselves, or hang
                    self._say_progress()
                    self._end_of_work(turns)
                self._channel.wake.wait(IDLE)
                self._channel.wake.clear()

    def _count(self, slots: Slots) -> None:
        """Say how many images are finished, if any are that were not yet counted."""
        if finished := slots.collect():
            self._finished += finished
            self._say_progress()

    def _claim(self, turns: deque[Lane]) -> Batch | None:
        """A batch for the next lane that has something queued; None when no lane has, or what is next must wait."""
        for _ in range(len(turns)):
            lane = turns[0]
            most = lane.opened.at_once(self._batch)
            ours = self._settings.owner, lane.names, most, self._settings.lease
            claims = self._persist(partial(self._queue.claims.take, *ours))
            if claims is None:  # it must be alone: were others served meanwhile, its turn would never come
                return None
            turns.rotate(-1)
            if claims:
                return Batch(lane, claims)
        return None

    def _look_back(self, lanes: Sequence[Lane], reinspector: Reinspector) -> bool:
        """A little of what past images still want; False when there is nothing of it."""
        return bool(self._persist(lambda: self._redraw(lanes)) or self._persist(reinspector.step))

    def _beat(self) -> None:
        """A sign of life; called for every image, said a few times a second."""
        self._heartbeats.beat()
        if time.monotonic() - self._said_at >= PULSE:
            self._say_progress()

    def _say_progress(self) -> None:
        self._heartbeats.beat()
        self._said_at = time.monotonic()
        trouble = next(iter(list(self._troubles.values())), None)
        files = self._putting_away
        self._channel.say(Progress(self._finished, trouble, self._heartbeats.quiet, files.is_busy, files.hang))

    def _pulse(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with a sign of life for each: a slow disk is no hang."""
        for item in items:
            self._beat()
            yield item

    def _go(self, batch: Batch) -> int:
        """Takes a batch from its claims to its outcomes, in halves if the memory does not suffice for all of it.

        Returns:
            How many images have an outcome now.

        Raises:
            MemoryError: a single image needs too much; the supervisor sees to it that only this image fails.
        """
        self._say_progress()
        size = len(batch.claims)
        try:
            judged = self._persist(batch.judge)
        except MemoryError:
            if size == 1:
                raise
            self._batch = size // 2
            log.warning("not enough memory for %d images at once: batch is now %d", size, self._batch)
        else:
            if judged:
                self._persist(batch.commit)
                self._putting_away.wake(batch.to_put_away)
                self._say_progress()
            return len(batch.finished)
        return sum(self._go(half) for half in batch.halves())  # here, where nothing holds on to the pixels

    def _end_of_work(self, lanes: Iterable[Lane]) -> None:
        """No batch has begun: what was seen of each watch's brightness has to suffice."""
        for lane in lanes:
            if lane.brightness:
                lane.brightness.conclude()

    def _note(self, watch: str, model: str, sentence: str) -> None:
        self._persist(lambda: self._queue.note_brightness(watch, model, sentence))

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
            if self._channel.stop.wait(TROUBLE):
                return None


def main(channel_fd: int) -> int:
    """Be the worker at the other end of an inherited socket; returns the exit code."""
    channel = WorkerChannel(Channel(socket.socket(fileno=channel_fd)))
    # Ctrl-C reaches the whole foreground group, but when a worker ends is its supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: channel.end())
    config = Config.model_validate_json(channel.settings.config)
    threads = config.worker.threads or len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)  # one thread an image: the pool keeps every core busy already
    with ThreadPoolExecutor(threads, thread_name_prefix="image") as pool:
        try:
            worker = Worker(config, Queue(open_writer(config.database)), channel)
            worker.run(worker.open_lanes(pool), pool)
        except InspectdError as error:
            channel.say(Refused(str(error)))
            return _exit_code(error)
    return 0


def _exit_code(error: InspectdError) -> int:
    """What tells the supervisor apart: a ledger that takes nothing just now, one that is damaged, all else."""
    if isinstance(error, LedgerUnavailable):
        return os.EX_TEMPFAIL
    return os.EX_DATAERR if isinstance(error, LedgerDamaged) else ConfigError.exit_code
