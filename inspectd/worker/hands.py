"""Two batches at once: while the network has one, the images of the other are read and decoded, or drawn and recorded.

Each batch goes its whole way in a thread of its own, as if it were alone; only the network is taken in turns.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

BATCHES = 2  # at once; each more would keep its pixels in memory, and its images from other workers


class Hands:
    """What a worker has in hand. One thread uses it, and leaves it when every batch is finished.

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
        """Take a batch in hand: a call that finishes it, and returns how many images got their outcome."""
        future = self._threads.submit(batch)
        self._begun.add(future)
        future.add_done_callback(lambda _: self._freed())

    def put_down(self) -> int:
        """Let go of the batches that are finished; returns how many images those were.

        Raises:
            Exception: what a batch ended in instead.
        """
        finished = {future for future in self._begun if future.done()}
        self._begun -= finished
        return sum([future.result() for future in finished])
