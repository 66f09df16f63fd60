"""Decides when a file is whole. Pure logic: stats and the clock are passed in; no file is touched and no thread runs.

A file that its writer closed, or that was renamed into place, is ready as soon as its stat is taken. A file that was
only seen (created, or found by a scan) is ready when its stat has not changed for `settle` seconds. A file that is
empty or ends in zeros must wait for so long too, after any event, because a copying program may have set its size
before its content. Files that are ready, gone or known to the ledger are forgotten.

If the writer is known to be done, the step is `CLOSED`, otherwise `READY`: that file's writer may only have paused, so
`after` must wait longer before it moves the file.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from inspectd.domain import Stat

SECOND_LOOK = 5  # times `settle`: how long a file that a worker could not read must stay unchanged to be read again


class Step(Enum):
    """What follows from a look at a file."""

    WAIT = auto()
    READY = auto()  # unchanged for long enough; forgotten here
    CLOSED = auto()  # like READY, and since its last change an event said that its writer is done
    STALLED = auto()  # returned once: not whole after `stalled` seconds; still watched


@dataclass(slots=True)
class _Pending:
    first: float  # when the file was first seen
    since: float  # since when its stat has not changed
    due: float  # when to look next
    quiet: float  # how long it must stay unchanged
    stat: Stat | None = None
    closed: bool = False  # an event says that its writer is done; no look since
    done: bool = False  # the same, and its stat is still that of the next look
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
        """How many other files it waits for."""
        return len(self._pending) - self._stalled

    def hint(self, path: str, now: float, *, closed: bool) -> bool:
        """An event named this file: look at it at once. For a file that it already waits for, only an event that the
        writer is done changes anything. Returns whether the file is new."""
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
        """A scan saw this file, which the ledger does not know. Returns whether the file is new."""
        if path in self._pending:
            return False
        pending = self._add(path, now)
        pending.stat = stat
        self._set_due(path, pending, now + self._settle)
        return True

    def unsettle(self, path: str, now: float, *, second_look: bool) -> None:
        """A worker returned this file: it changed while it was read, or (`second_look`) it could not be judged and
        must now stay unchanged for `SECOND_LOOK` times as long."""
        pending = self._pending.get(path)
        if pending is None:
            pending = self._add(path, now)
        elif pending.recorded:
            return
        pending.recorded = True
        pending.quiet = (SECOND_LOOK if second_look else 1) * self._settle
        self._set_due(path, pending, now)

    def due(self, now: float) -> Iterator[tuple[str, bool]]:
        """Yields the files to look at now, and whether an event says that the writer is done. Call `look` or `forget`
        for each before taking the next."""
        while self.next_due() <= now:
            path = heapq.heappop(self._agenda)[1]
            yield path, self._pending[path].closed

    def look(self, path: str, stat: Stat, now: float, *, hollow: bool) -> Step:
        """Decides by the stat just taken. `hollow`: the file is empty or ends in zeros (only asked after an event)."""
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
        # A file that only waits for its time is not stalled, however long `settle` is.
        if pending.stalled or now - pending.first < max(self._stalled_after, pending.quiet):
            return Step.WAIT
        pending.stalled = pending.recorded = True
        self._stalled += 1
        return Step.STALLED

    def forget(self, path: str) -> bool:
        """Stops waiting for a file that cannot be looked at; returns whether the ledger has an open row for it."""
        return self._drop(path).recorded

    def clear(self) -> None:
        """Forgets everything; the next scan finds the files that are still there."""
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
