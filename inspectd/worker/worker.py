"""The worker process: loads bundles, claims images, judges them, records verdicts.

It exits at once when its supervisor's channel closes; the next supervisor returns its images to the queue. The order of
writes matters: overlays are durable before the verdict commits, and the verdict is committed before a thread of its own
(`putting_away.py`) touches the source file.
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

IDLE = 1.0  # seconds between two looks at the queue without a wake-up
TROUBLE = 1.0  # seconds before an action that the disk or the ledger refused is tried again

Result = TypeVar("Result")
Item = TypeVar("Item")


class Worker:
    """Claims images for its lanes in turns and takes them to their outcomes, two batches at once."""

    def __init__(self, config: Config, queue: Queue, channel: WorkerChannel) -> None:
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._queue = queue
        self._channel = channel
        self._settings = channel.settings
        self._batch = channel.settings.batch  # halved if the memory does not suffice
        self._finished = 0
        self._troubles: dict[int, str] = {}  # why the disk or the ledger refuses, by the thread that waits for it
        self._heartbeats = Heartbeats()
        self._network = threading.Lock()  # held by the batch that computes
        self._putting_away = PuttingAway(config.watch, queue, channel.wake.set, config.limits.stalled)
        self._said_at = 0.0

    def open_lanes(self, pool: ThreadPoolExecutor) -> list[Lane]:
        """Loads, proves and warms every bundle once, then tells the supervisor that this worker is ready.

        Raises:
            InspectdError: a bundle or the device cannot be used.
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
        """Works until told to stop; batches that have begun are always finished."""
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
                self._channel.end()  # otherwise the other batch might wait for a disk for ever
                raise
        self._count(slots)
        self._end_of_work(lanes)
        self._persist(reinspector.close)
        has_put_away = self._putting_away.end()
        self._putting_away.check()
        if reinspector.is_opening or not has_put_away:
            self._channel.hang_up()  # otherwise a thread that waits for a disk would keep the channel open
            os._exit(0)  # no batch is left, and a thread inside TensorFlow would crash the interpreter's end

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
        """Counts newly finished images and reports them."""
        if finished := slots.collect():
            self._finished += finished
            self._say_progress()

    def _claim(self, turns: deque[Lane]) -> Batch | None:
        """Claims a batch for the next lane with queued images; None if there is none, or the next image must wait."""
        for _ in range(len(turns)):
            lane = turns[0]
            most = lane.opened.at_once(self._batch)
            ours = self._settings.owner, lane.names, most, self._settings.lease
            claims = self._persist(partial(self._queue.claims.take, *ours))
            if claims is None:  # it must be alone: if others were served meanwhile, its turn would never come
                return None
            turns.rotate(-1)
            if claims:
                return Batch(lane, claims)
        return None

    def _look_back(self, lanes: Sequence[Lane], reinspector: Reinspector) -> bool:
        """Draws a few overlays again, or judges a few earlier images; returns False if there are none."""
        return bool(self._persist(lambda: self._redraw(lanes)) or self._persist(reinspector.step))

    def _beat(self) -> None:
        """Records a heartbeat; called for every image, reported a few times a second."""
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
        """Yields the items with a heartbeat for each, because a slow disk is not a hang."""
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
        return sum(self._go(half) for half in batch.halves())  # outside the `except`, so that nothing keeps the pixels

    def _end_of_work(self, lanes: Iterable[Lane]) -> None:
        """Decides about each watch's brightness by the images so far, because no more are waiting."""
        for lane in lanes:
            if lane.brightness:
                lane.brightness.conclude()

    def _note(self, watch: str, model: str, sentence: str) -> None:
        self._persist(lambda: self._queue.note_brightness(watch, model, sentence))

    def _redraw(self, lanes: Sequence[Lane]) -> bool:
        """Draws a few of the overlays that a repair has asked for; returns False if there are none."""
        wanted = self._queue.redraws.take(list(self._watches), self._settings.batch)
        inspectors = {lane.model_id: lane.inspector for lane in lanes}
        for file in self._pulse(redrawn(self._config, inspectors, wanted)):
            self._persist(partial(write_all, [file]))
        return bool(wanted)

    def _persist(self, action: Callable[[], Result]) -> Result | None:
        """Repeats an action until the disk and the ledger allow it; returns None only if told to stop meanwhile.

        An operator mends a full disk or a locked ledger. Waiting loses no image, and none is judged twice, because the
        ledger refuses results whose lease has expired meanwhile.
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
    """Runs the worker at the other end of an inherited socket; returns the exit code."""
    channel = WorkerChannel(Channel(socket.socket(fileno=channel_fd)))
    # Ctrl-C reaches the whole foreground group, but the supervisor decides when a worker ends.
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
    """Tells the supervisor whether the ledger cannot be written at the moment, is damaged, or something else failed."""
    if isinstance(error, LedgerUnavailable):
        return os.EX_TEMPFAIL
    return os.EX_DATAERR if isinstance(error, LedgerDamaged) else ConfigError.exit_code
