"""Signs of life. Each batch in hand gives its own, so that one that goes on never hides another that hangs.

Whoever waits for its turn is alive: what it waits for has signs of its own to give.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PULSE = 0.5  # seconds between two signs of life while images are in hand


class Signs:
    """When each batch in hand last gave a sign of life. A batch is known by its thread."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def watch(self, batch: Callable[[], int]) -> int:
        """Call what takes a batch to its end, in this thread; returns what it returns."""
        thread = threading.get_ident()
        self._last[thread] = time.monotonic()
        try:
            return batch()
        finally:
            del self._last[thread]

    def give(self) -> None:
        """This thread lives; of no account where it has no batch."""
        if (thread := threading.get_ident()) in self._last:
            self._last[thread] = time.monotonic()

    @property
    def quiet(self) -> float:
        """Seconds since the last sign of the batch that has given none for the longest; 0 while none is in hand."""
        return time.monotonic() - min(list(self._last.values()), default=time.monotonic())


@contextmanager
def turn(lock: threading.Lock, alive: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; signs of life while it is waited for."""
    while not lock.acquire(timeout=PULSE):
        alive()
    try:
        yield
    finally:
        lock.release()
