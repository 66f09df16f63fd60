"""Brings the files of one watch into the ledger: finds them by hints and scans, waits until they are whole, enqueues
them.

It remembers nothing that a scan could not find again, so after any trouble it forgets all and scans again.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import dirname

from inspectd.config import LimitSettings, Watch
from inspectd.domain import Stat
from inspectd.ingest.evidence import Evidence
from inspectd.ingest.hints import Hints
from inspectd.ingest.left_out import LeftOut
from inspectd.ingest.naming import Naming
from inspectd.ingest.observe import Observer
from inspectd.ingest.scan import CHUNK, Scanner, is_hollow, look
from inspectd.ingest.settle import Settler, Step
from inspectd.ledger.records import Arrival
from inspectd.ledger.transactions import REST
from inspectd.ledger.write.queue import Queue
from inspectd.paths import from_text, to_text

log = logging.getLogger(__name__)

CHECK = 1.0  # seconds between two looks at a watch's folder, its observer and the rows that workers returned
PATIENCE = 5.0  # seconds before a watch whose disk failed is tried again
MOST_SETTLING = 20_000  # files that it waits for at a time; the scan finds more when these are whole


@dataclass(frozen=True, slots=True)
class Counters:
    """What the intake of one watch has counted since its start, and what it waits for now."""

    missed: int  # new files that a scan or a poll found although an event should have named them
    rescans: int  # extra scans because events were lost
    stalled: int  # files not whole after `limits.stalled` seconds and still watched
    settling: int  # other files that it waits for


class Gate:
    """The intake of one watch: its observer, its scans, and the files that it waits for.

    The arguments are those of `Intake`, for this watch alone.
    """

    def __init__(
        self,
        watch: Watch,
        limits: LimitSettings,
        queue: Queue,
        wake: Callable[[], None],
        on_enqueued: Callable[[int], None],
        observe: bool,
    ) -> None:
        self._watch = watch
        self._queue = queue
        self._on_enqueued = on_enqueued
        self._stalled_reason = f"stalled: the file was still being written after {limits.stalled:g} seconds"
        self._naming = Naming(watch)
        self.hints = Hints(wake)
        self.observer = Observer(watch, self._naming, self.hints, events=observe)
        self.settler = Settler(watch.settle, limits.stalled)
        self._scanner = Scanner(watch, self._naming, queue)
        self._evidence = Evidence(watch.rescan)
        self._rescans = 0
        self._standing = self.observer.standing
        self._missing: str | None = None  # the state of the folder that `events` knows
        self._check_at = float("-inf")
        self._failing = False

    @property
    def counters(self) -> Counters:
        """The present counts."""
        return Counters(self._evidence.missed, self._rescans, self.settler.stalled, self.settler.settling)

    @property
    def left_out(self) -> LeftOut | None:
        """What the last whole scan left out; None before the first."""
        return self._scanner.left_out

    def is_quiet(self) -> bool:
        """As `Intake.quiet`, for this watch."""
        return bool(self.observer.missing) or (self._scanner.is_done and not self.hints and not self.settler.settling)

    def tend(self) -> None:
        """Checks the folder and its observer, and replaces the observer if it failed."""
        if self.observer.tend():
            self._scanner.restart()
            self._evidence.excuse()
        if self.observer.missing:
            self._forget()

    def tick(self, now: float, share: float) -> float:
        """As `Intake.tick`, for `share` seconds."""
        try:
            due = self._work(now, time.monotonic() + share)
        except OSError as error:
            self._forget()
            if not self._failing:
                log.warning("Watch %s: its folder cannot be used (%s); trying again.", self._watch.name, error)
            self._failing = True
            return now + PATIENCE
        except Exception:
            self._forget()
            raise
        self._failing = False
        return due

    def _work(self, now: float, until: float) -> float:
        if now >= self._check_at:
            self._check_at = now + CHECK
            self.tend()
            self._tell_of_folder()
            if not self.observer.missing:
                self._judge_events(now)
                self._take_back(now)
        if self.observer.missing:
            return self._check_at
        if self._has_room():
            self._take_hints(now)
            for path, stat in self._scanner.advance(now, (time.monotonic() + until) / 2):
                if self.settler.found(path, stat, now) and self._scanner.is_routine and self.observer.hears:
                    self._evidence.found(path)
            if self._scanner.take_reopened():  # a folder that was unreadable at the start has no inotify watch yet
                self.observer.stop()
                self._check_at = now
        self._settle(now, until)
        due = min(self._check_at, self.settler.next_due())
        if self._has_room():
            due = min(due, self._scanner.next_due(), now if self.hints else due)
        return max(now, due)

    def _has_room(self) -> bool:
        return self.settler.settling < MOST_SETTLING

    def _take_back(self, now: float) -> None:
        for waiting in self._queue.arrivals.unsettled(self._watch.name):
            self.settler.unsettle(from_text(waiting.path), now, second_look=waiting.second_look)

    def _take_hints(self, now: float) -> None:
        paths, lost = self.hints.take(CHUNK)
        if lost:
            log.info("Watch %s: events were lost; scanning its folder for the files that they named.", self._watch.name)
            self._scanner.request()
            self._evidence.excuse()
            self._rescans += 1
        for path, hint in paths.items():
            first = self.settler.hint(path, now, closed=hint.closed)
            if hint.event:
                self._evidence.named(path)
            elif first and self.observer.hears:
                self._evidence.found(path)

    def _tell_of_folder(self) -> None:
        """Records that the folder is missing, or that it is back."""
        missing = self.observer.missing
        if missing == self._missing:
            return
        folder = f"{self._watch.name}: the folder {to_text(str(self._watch.path))!r}"
        if missing:
            waits = f"{folder} {missing}; inspectd waits until it is back"
            self._queue.event("watch", waits, logging.WARNING)
        else:
            self._queue.event("watch", f"{folder} is watched again")
        self._missing = missing

    def _judge_events(self, now: float) -> None:
        """Polls beside inotify while events do not arrive, and reports a change."""
        self.observer.set_deaf(not self._evidence.arrive(now))
        standing = self.observer.standing
        if standing != self._standing:
            level = logging.INFO if standing == self.observer.backend else logging.WARNING
            self._queue.event("watch", f"{self._watch.name}: its files are now found by {standing}", level)
            self._standing = standing

    def _settle(self, now: float, until: float) -> None:
        """Looks at the files that are due and records them, in transactions of at most `CHUNK` files."""
        ready: list[Arrival] = []
        stalled: list[Arrival] = []
        gone: list[str] = []
        for path, closed in self.settler.due(now):
            file = self._watch.path / path
            try:
                stat = look(file, follow_links=self._watch.follow_links)
            except OSError as error:
                self._scanner.say_unreadable(dirname(path), error)
                self.settler.forget(path)  # until a scan can read it
                self._evidence.gone(path)
                continue
            if stat is None:
                self._evidence.gone(path)
                if self.settler.forget(path):
                    gone.append(to_text(path))
            else:
                hollow = closed and is_hollow(file, stat.size)
                step = self.settler.look(path, stat, now, hollow=hollow)
                if step is not Step.WAIT:
                    arrival = self._arrival(path, stat, closed=step is Step.CLOSED)
                    (stalled if step is Step.STALLED else ready).append(arrival)
            if time.monotonic() >= until or max(len(ready), len(stalled), len(gone)) == CHUNK:
                break
        self._count_missed([arrival.path for arrival in ready], now)
        self._tell(ready, stalled, gone)

    def _count_missed(self, whole: list[str], now: float) -> None:
        """Counts the files that became whole and that events missed. A file that is not new may only have been
        touched, and a file behind a link gives no events."""
        suspects = [path for path in whole if self._evidence.is_suspect(from_text(path))]
        if not suspects:
            return
        root = os.path.realpath(self._watch.path)
        new = self._queue.arrivals.without_row(self._watch.name, suspects)
        for path in map(from_text, suspects):
            if to_text(path) in new and os.path.realpath(f"{root}/{path}") == f"{root}/{path}":
                self._evidence.miss(path, now)
            else:
                self._evidence.gone(path)

    def _tell(self, ready: list[Arrival], stalled: list[Arrival], gone: list[str]) -> None:
        if ready:
            if count := self._queue.arrivals.enqueue(self._watch.name, ready):
                self._on_enqueued(count)
            time.sleep(REST)
        if stalled:
            self._queue.arrivals.stall(self._watch.name, stalled, self._stalled_reason)
            for arrival in stalled:
                log.warning("Watch %s: %r is not whole yet; still watching it.", self._watch.name, arrival.path)
        if gone and self.observer.is_same_folder():  # a folder that was unmounted has lost no file
            self._queue.arrivals.close_vanished(self._watch.name, gone)

    def _arrival(self, path: str, stat: Stat, *, closed: bool) -> Arrival:
        part, fields = self._naming.fields(path)
        return Arrival(to_text(path), stat, part, fields, closed)

    def _forget(self) -> None:
        self.settler.clear()
        self._scanner.restart()
        self._evidence.excuse()
