"""The two slots of a worker for batches, and the heartbeats of the batches in them.

While the network has one batch, the images of the other are read and decoded, or drawn and recorded. Each batch goes
its whole way in a thread of its own, as if it were alone; only the network is taken in turns. Each batch has its own
heartbeat, so that a batch that goes on never hides another that hangs.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

BATCHES = 2  # more would keep their pixels in memory, and their images from other workers
PULSE = 0.5  # seconds between two heartbeats while a batch is in a slot


class Slots:
    """The batches that a worker has begun. One thread uses it as a context, which ends when every batch is finished.

    Args:
        freed: Is called, from another thread, whenever a batch is finished.
    """

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._threads = ThreadPoolExecutor(BATCHES, thread_name_prefix="batch")
        self._begun: set[Future[int]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    @property
    def are_full(self) -> bool:
        return len(self._begun) == BATCHES

    @property
    def are_empty(self) -> bool:
        return not self._begun

    def begin(self, batch: Callable[[], int]) -> None:
        """Starts a batch: a call that finishes it and returns how many of its images have an outcome."""
        future = self._threads.submit(batch)
        self._begun.add(future)
        future.add_done_callback(lambda _: self._freed())

    def collect(self) -> int:
        """Frees the slots of finished batches; returns how many of their images have an outcome.

        Raises:
            Exception: the error that a batch ended in.
        """
        finished = {future for future in self._begun if future.done()}
        self._begun -= finished
        return sum([future.result() for future in finished])


class Heartbeats:
    """When each batch in a slot last gave a heartbeat. A batch is known by its thread."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def watch(self, batch: Callable[[], int]) -> int:
        """Calls `batch` in this thread, which counts as in work meanwhile; returns what `batch` returns."""
        thread = threading.get_ident()
        self._last[thread] = time.monotonic()
        try:
            return batch()
        finally:
            del self._last[thread]

    def beat(self) -> None:
        """Records a heartbeat of this thread's batch; does nothing without a batch."""
        if (thread := threading.get_ident()) in self._last:
            self._last[thread] = time.monotonic()

    @property
    def quiet(self) -> float:
        """Seconds since the last heartbeat of the batch that has been silent longest; 0 without a batch."""
        return time.monotonic() - min(list(self._last.values()), default=time.monotonic())


@contextmanager
def turn(lock: threading.Lock, beat: Callable[[], None]) -> Iterator[None]:
    """Holds a lock; gives heartbeats while it waits for the lock, because the holder has heartbeats of its own."""
    while not lock.acquire(timeout=PULSE):
        beat()
    try:
        yield
    finally:
        lock.release()
