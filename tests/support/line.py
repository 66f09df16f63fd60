"""A worker's line to a supervisor that does not exist."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from inspectd.config import Config
from inspectd.ledger.records import Counts
from inspectd.ledger.write.queue import Queue
from inspectd.worker.channel import Progress, Settings, WorkerChannel
from inspectd.worker.worker import Worker


class StubLine:
    """A line to nobody, which counts what is said; it says stop as soon as there was `enough`."""

    def __init__(self, enough: Callable[[], bool] = lambda: False) -> None:
        self._enough = enough
        self.settings = Settings("", "me", 4, 60.0)
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.said = 0
        self.quiet = 0.0  # by the last sign of life

    def say(self, message: Any) -> None:
        self.said += 1
        if isinstance(message, Progress):
            self.quiet = message.quiet
        if self._enough():
            self.end()

    def end(self) -> None:
        self.stop.set()
        self.wake.set()


def work_off(
    settings: Config, queue: Queue, prepare: Callable[[], object] = lambda: None, line: StubLine | None = None
) -> None:
    """Let a worker judge everything that is queued; `prepare` is called when its models are open."""
    watches = [watch.name for watch in settings.watch]
    line = line or StubLine(lambda: queue.open_count(watches) == Counts())
    worker = Worker(settings, queue, cast(WorkerChannel, line))
    with ThreadPoolExecutor(2) as pool:
        lanes = worker.open_lanes(pool)
        prepare()
        worker.run(lanes, pool)
