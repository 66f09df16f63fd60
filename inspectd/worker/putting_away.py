"""Source files are put away apart from the batches: what `after` says happens in a thread of its own.

It is fed from the ledger (`after = 'pending'`), so nothing is forgotten that a refusal, a stop or a crash has cut
short, and a file that may be unfinished is not given out before its time. Claims and batches never wait for it. A disk
that gives no answer holds up this thread alone: `hang` says so, and the worker goes on judging.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

from inspectd.config import Watch
from inspectd.errors import LedgerUnavailable
from inspectd.ledger.records import Finished
from inspectd.ledger.write.queue import Queue
from inspectd.worker.after import carry_out
from inspectd.worker.process import HANG_LEAST

log = logging.getLogger(__name__)

EVERY = 60.0  # seconds between two rounds over all files that wait, those that were refused among them
AT_ONCE = 200  # files that are put away before the ledger is told
PATIENCE = 5.0  # seconds that a worker which ends waits for this thread
TROUBLE = 1.0  # seconds before a ledger that takes nothing is asked again


class PuttingAway:
    """Moves or deletes the source files of finished images, from `start` to `end`.

    Args:
        watches: All that the worker serves; those with `after: keep` have nothing to put away.
        failed: Is called, from the thread, when it ends in an error: `check` raises that.
        longest: Seconds that a file which may be unfinished waits at most.
    """

    def __init__(self, watches: Iterable[Watch], queue: Queue, failed: Callable[[], None], longest: float) -> None:
        self.watches = {watch.name: watch for watch in watches if watch.after != "keep"}
        self._queue = queue
        self._failed = failed
        self._longest = longest
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._fresh: int | None = None  # the lowest image id among the newly finished
        self._round_at = 0.0  # when the next round begins
        self._round_beyond = 0  # the image id that the round has got to
        self._is_working = True
        self._at: tuple[Finished, float] | None = None  # the file in hand, and since when
        self._thread = threading.Thread(target=self._work, daemon=True, name="putting-away")

    def start(self) -> None:
        """Begin with what an earlier worker has left."""
        if self.watches:
            self._thread.start()
        else:
            self._is_working = False

    def wake(self, image_ids: Collection[int]) -> None:
        """These images are finished, and their files may have to be put away. Only a hint: a round finds them too."""
        if image_ids and self.watches:
            with self._lock:
                self._fresh = min(image_ids) if self._fresh is None else min(self._fresh, *image_ids)
            self._woken.set()

    def check(self) -> None:
        """Raise the error that has ended the thread, if one has."""
        if self._failure:
            raise self._failure

    def end(self) -> bool:
        """Put away what is left, as far as that goes in `PATIENCE` seconds; whether the thread has ended."""
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        return not self._thread.is_alive()

    @property
    def is_busy(self) -> bool:
        """Whether files are being put away; not while they wait for their next round, or for a disk that hangs."""
        with self._lock:
            return (self._is_working or self._fresh is not None) and self.hang is None

    @property
    def hang(self) -> str | None:
        """Why no file is put away just now; None while files are, or none has to be."""
        at = self._at
        if at is None or time.monotonic() - at[1] < HANG_LEAST:
            return None
        watch = self.watches[at[0].watch]
        return f"files are not put away: no answer from a disk over {at[0].path} of {watch.name} (after: {watch.after})"

    def _work(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    self._step()
                except LedgerUnavailable:  # the claims meet that too, and the worker tells of it
                    self._ending.wait(TROUBLE)
                    self._round_at, self._round_beyond = 0.0, 0
            self._go_through(0)
        except LedgerUnavailable:
            log.warning("the ledger takes nothing: the next start puts away what is left")
        except Exception as error:
            self._failure = error
            self._failed()

    def _step(self) -> None:
        """The files of newly finished images, or else a part of a round if it is time for one, or else a rest."""
        with self._lock:
            fresh, self._fresh = self._fresh, None
            is_time = time.monotonic() >= self._round_at
            self._is_working = fresh is not None or is_time
        if fresh is not None:
            self._go_through(fresh - 1)
            self._round_at = min(self._round_at, self._next_round(fresh - 1))
        elif is_time:
            if self._round_beyond == 0:
                self._queue.after.shorten_waits(list(self.watches), self._longest)
            self._round_beyond = self._put_away(self._round_beyond) or 0
            if self._round_beyond == 0:
                self._round_at = self._next_round(0)
        else:
            self._woken.wait(self._round_at - time.monotonic())
            self._woken.clear()

    def _next_round(self, beyond: int) -> float:
        """When to go over all files again: earlier than usual if one of them, from an id on, has waited long enough."""
        due = self._queue.after.next_due(list(self.watches), beyond)
        wait = (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds() if due else EVERY
        return time.monotonic() + min(EVERY, max(0.0, wait))

    def _go_through(self, beyond: int | None) -> None:
        while beyond is not None:
            beyond = self._put_away(beyond)

    def _put_away(self, beyond: int) -> int | None:
        """Put away the next files from an image id on, each tried once; returns the id got to, None at the end."""
        owed = self._queue.after.pending(list(self.watches), AT_ONCE, beyond)
        done, refused = [], []
        for each in owed:
            self._at = each, time.monotonic()
            try:
                became, moved_to = carry_out(self.watches[each.watch], each)
            except OSError as error:
                refused.append(f"{each.path} in {each.watch}: {error}")
            else:
                done.append((each, became, moved_to))
        self._at = None
        if refused:
            log.warning("%d files cannot be put away yet; the first is %s", len(refused), refused[0])
        self._queue.after.record(done)
        return owed[-1].image_id if len(owed) == AT_ONCE else None
