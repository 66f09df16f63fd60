"""Puts source files away (moves or deletes them, as `after` says) in a thread of its own, apart from the batches.

The ledger says which files (`after = 'pending'`), so a refusal, a stop or a crash forgets none, and a file that may be
unfinished waits for its time. Claims and batches never wait for this thread. A disk that does not answer stops only
this thread: `hang` says so, and the worker goes on judging.
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

EVERY = 60.0  # seconds between two rounds over all waiting files, which include those that were refused
AT_ONCE = 200  # files that are put away before the ledger records them
PATIENCE = 5.0  # seconds that an ending worker waits for this thread
TROUBLE = 1.0  # seconds before a ledger that refused is tried again


class PuttingAway:
    """Moves or deletes the source files of finished images, from `start` to `end`.

    Args:
        watches: All watches of the worker; those with `after: keep` have no files to put away.
        failed: Is called from the thread when it ends in an error, which `check` then raises.
        longest: The most seconds that a file which may be unfinished waits.
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
        self._fresh: int | None = None  # the lowest id of newly finished images
        self._round_at = 0.0  # when the next round begins
        self._round_beyond = 0  # the image id that the round has reached
        self._is_working = True
        self._at: tuple[Finished, float] | None = None  # the file that is being put away, and since when
        self._thread = threading.Thread(target=self._work, daemon=True, name="putting-away")

    def start(self) -> None:
        """Begins with the files that an earlier worker has left."""
        if self.watches:
            self._thread.start()
        else:
            self._is_working = False

    def wake(self, image_ids: Collection[int]) -> None:
        """Says that these images are finished and may have files to put away. Only a hint: a round finds them too."""
        if image_ids and self.watches:
            with self._lock:
                self._fresh = min(image_ids) if self._fresh is None else min(self._fresh, *image_ids)
            self._woken.set()

    def check(self) -> None:
        """Raises the error that ended the thread, if there was one."""
        if self._failure:
            raise self._failure

    def end(self) -> bool:
        """Puts away the files that are left, for at most `PATIENCE` seconds; returns whether the thread has ended."""
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        return not self._thread.is_alive()

    @property
    def is_busy(self) -> bool:
        """Whether files are being put away; False while they wait for the next round or for a disk that hangs."""
        with self._lock:
            return (self._is_working or self._fresh is not None) and self.hang is None

    @property
    def hang(self) -> str | None:
        """Why no file is put away at the moment; None if the thread works or has nothing to do."""
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
                except LedgerUnavailable:  # the worker's claims fail too, and it reports the trouble
                    self._ending.wait(TROUBLE)
                    self._round_at, self._round_beyond = 0.0, 0
            self._go_through(0)
        except LedgerUnavailable:
            log.warning("the ledger cannot be written: the next start puts away the files that are left")
        except Exception as error:
            self._failure = error
            self._failed()

    def _step(self) -> None:
        """Puts away files of newly finished images; otherwise a part of a round if it is due; otherwise waits."""
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
        """When the next round begins: earlier than usual if a file, from an id on, has waited long enough by then."""
        due = self._queue.after.next_due(list(self.watches), beyond)
        wait = (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds() if due else EVERY
        return time.monotonic() + min(EVERY, max(0.0, wait))

    def _go_through(self, beyond: int | None) -> None:
        while beyond is not None:
            beyond = self._put_away(beyond)

    def _put_away(self, beyond: int) -> int | None:
        """Tries the next files from an image id on, each once; returns the id reached, None at the end."""
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
