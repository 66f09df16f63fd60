"""When is a file whole? Pure logic: stats and the clock are passed in, no file is touched and no thread runs.

A file that its writer closed, or that was renamed into place, is ready as soon as its stat is taken. A file that was
only seen (created, or found by a scan) is ready when its stat has not changed for `settle` seconds. The same wait is
owed by a file that is empty or ends in zeros, whatever event announced it: a copying program may have given it its
size before its content. Nothing is remembered of a file that is ready, gone or known to the ledger.

A file whose writer is known to be done (`Step.CLOSED`) is told apart from one that merely has not changed
(`Step.READY`): that one's writer may have paused, so that `after` must wait longer before it moves the file.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from inspectd.domain import Stat

SECOND_LOOK = 5  # times `settle`: how long a file that a worker could not read must be unchanged to be read again


class Step(Enum):
    """What a look at a file led to."""

    WAIT = auto()
    READY = auto()  # it has not changed for long enough; forgotten here
    CLOSED = auto()  # as READY, and since its last change an event said that its writer is done
    STALLED = auto()  # told once: not whole for `stalled` seconds; still watched


@dataclass(slots=True)
class _Pending:
    first: float  # when it was first heard of
    since: float  # since when its stat has been what it is
    due: float  # when to look next
    quiet: float  # how long it must be unchanged
    stat: Stat | None = None
    closed: bool = False  # an event says that its writer is done; no look has been taken since
    done: bool = False  # the same, and its stat is still the one that the next look took
    recorded: bool = False  # the ledger has an open row for it
    stalled: bool = False


class Settler:
    """The files of one watch that are not yet whole.

    Args:
        settle: Seconds without a change after which a file is whole.
        stalled: Seconds after which a file that is still changing is reported.
    """

    def __init__(self, settle: float, stalled: float) -> None:
        self._settle = settle
        self._stalled_after = stalled
        self._pending: dict[str, _Pending] = {}
        self._agenda: list[tuple[float, str]] = []  # a heap; an entry counts only while it agrees with its file's `due`
        self._stalled = 0

    @property
    def stalled(self) -> int:
        """How many files have been reported as stalled and are still watched."""
        return self._stalled

    @property
    def settling(self) -> int:
        """How many files are waited for besides."""
        return len(self._pending) - self._stalled

    def hint(self, path: str, now: float, *, closed: bool) -> bool:
        """An event named this file: look at it at once. Another word of a file already waited for changes nothing,
        unless it says that the writer is done. True if this is the first word of it."""
        pending = self._pending.get(path)
        first = pending is None
        if pending is None:
            pending = self._add(path, now)
        elif not closed:
            return False
        pending.closed |= closed
        self._set_due(path, pending, now)
        return first

    def found(self, path: str, stat: Stat, now: float) -> bool:
        """A scan saw this file, which the ledger does not know. True if this is the first word of it."""
        if path in self._pending:
            return False
        pending = self._add(path, now)
        pending.stat = stat
        self._set_due(path, pending, now + self._settle)
        return True

    def put_back(self, path: str, now: float, *, second_look: bool) -> None:
        """A worker put this file's row back: it changed while it was read, or (`second_look`) it could not be read and
        must now be unchanged for a good while longer."""
        pending = self._pending.get(path)
        if pending is None:
            pending = self._add(path, now)
        elif pending.recorded:
            return
        pending.recorded = True
        pending.quiet = (SECOND_LOOK if second_look else 1) * self._settle
        self._set_due(path, pending, now)

    def due(self, now: float) -> Iterator[tuple[str, bool]]:
        """The files to look at now, and whether an event says that the writer is done. Follow each with `look` or
        `forget`, before asking for the one after it."""
        while self.next_due() <= now:
            path = heapq.heappop(self._agenda)[1]
            yield path, self._pending[path].closed

    def look(self, path: str, stat: Stat, now: float, *, hollow: bool) -> Step:
        """Judge a file by the stat just taken. `hollow`: it is empty or ends in zeros (only asked after an event)."""
        pending = self._pending[path]
        if stat != pending.stat:
            pending.stat, pending.since, pending.done = stat, now, False
        pending.done |= pending.closed
        whole_at = pending.since + pending.quiet
        if (pending.closed and not hollow) or now >= whole_at:
            self._drop(path)
            return Step.CLOSED if pending.done else Step.READY
        pending.closed = False
        self._set_due(path, pending, whole_at)
        # A file that merely waits its turn is not stalled, however long `settle` is.
        if pending.stalled or now - pending.first < max(self._stalled_after, pending.quiet):
            return Step.WAIT
        pending.stalled = pending.recorded = True
        self._stalled += 1
        return Step.STALLED

    def forget(self, path: str) -> bool:
        """Wait no longer for a file that cannot be looked at; true if the ledger has an open row for it."""
        return self._drop(path).recorded

    def clear(self) -> None:
        """Forget everything; the next scan finds what is still there."""
        self._pending.clear()
        self._agenda.clear()
        self._stalled = 0

    def next_due(self) -> float:
        """When the next look is due; infinity if there is nothing to wait for."""
        while self._agenda:
            due, path = self._agenda[0]
            pending = self._pending.get(path)
            if pending is not None and pending.due == due:
                return due
            heapq.heappop(self._agenda)  # put off, brought forward or forgotten since
        return float("inf")

    def _add(self, path: str, now: float) -> _Pending:
        pending = self._pending[path] = _Pending(first=now, since=now, due=now, quiet=self._settle)
        return pending

    def _drop(self, path: str) -> _Pending:
        pending = self._pending.pop(path)
        self._stalled -= pending.stalled
        return pending

    def _set_due(self, path: str, pending: _Pending, due: float) -> None:
        pending.due = due
        heapq.heappush(self._agenda, (due, path))
