"""Finds the files that are really in a watched folder: the streaming walk, when it is due, and a look at one file.

A scan advances in slices, so that a folder of a million files never blocks its caller, and remembers nothing about the
files that it passes. It reads names and stats, never content (but for the tail of a file), and changes nothing.

Besides the names that `naming` excludes, a scan does not take folders, pipes, sockets, devices, and links to files and
folders unless the watch follows them.
"""

import errno
import logging
import os
import stat as modes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inspectd.config import Watch
from inspectd.domain import Stat
from inspectd.ingest.left_out import FOLDER, LINK, LeftOut, count, ending
from inspectd.ingest.naming import Fate, Naming
from inspectd.ledger.write.queue import Queue
from inspectd.paths import to_text

log = logging.getLogger(__name__)

CHUNK = 500  # the most files that one slice hands over
SHARE = 100  # a scan may take 1/100 of the time
TAIL = 4096  # bytes at the end of a file that must not all be zero

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # there is nothing, or a link that leads nowhere

Identity = tuple[int, int]  # (st_dev, st_ino)


def identity(folder: Path) -> Identity | None:
    """The folder that this path leads to now; None if there is none."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if modes.S_ISDIR(stat.st_mode) else None


def is_empty(folder: Path) -> bool:
    """Whether a folder is empty; False if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def look(path: Path, *, follow_links: bool) -> Stat | None:
    """The stat of a file that may be inspected; None if there is no regular file at this path.

    Raises:
        OSError: the file is there, or may be, but cannot be looked at.
    """
    try:
        stat = path.stat(follow_symlinks=follow_links)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise
    return Stat.of(stat) if modes.S_ISREG(stat.st_mode) else None


def is_hollow(path: Path, size: int) -> bool:
    """Whether a file is empty or its last `TAIL` bytes (all of a shorter one) are zero, or cannot be read."""
    try:
        # If a pipe has replaced the file since its stat was taken, opening it must not block.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return not any(os.pread(handle, TAIL, max(0, size - TAIL)))
    except OSError:
        return True
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to walk: its path below the root and, if links are followed, the folders that led to it."""

    path: str
    identity: Identity | None = None
    parent: "_Folder | None" = None

    def is_loop(self) -> bool:
        ancestor = self.parent
        while ancestor is not None and ancestor.identity != self.identity:
            ancestor = ancestor.parent
        return ancestor is not None


class Walk:
    """One pass over a watch's folder. Iterating yields the relative path and stat of every file that may be inspected,
    in no order, and None for an entry that is passed over, so that the caller can stop anywhere.

    `unreadable` is called with a folder (relative; empty for the root) that cannot be read; the walk goes on.
    `left_out` counts the files left out so far.
    """

    def __init__(self, watch: Watch, naming: Naming, unreadable: Callable[[str, OSError], None]) -> None:
        self._root = watch.path
        self._recursive = watch.recursive
        self._follow_links = watch.follow_links
        self._naming = naming
        self._unreadable = unreadable
        self.left_out = LeftOut()

    def __iter__(self) -> Iterator[tuple[str, Stat] | None]:
        self.left_out = LeftOut()
        folders = [_Folder("", identity(self._root))]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(f"{self._root}/{folder.path}") as entries:
                    for entry in entries:
                        seen = self._visit(entry, folder)
                        if isinstance(seen, _Folder):
                            folders.append(seen)
                            seen = None
                        yield seen
            except OSError as error:
                self._fault(folder, error)

    def _visit(self, entry: os.DirEntry[str], folder: _Folder) -> tuple[str, Stat] | _Folder | None:
        path = f"{folder.path}/{entry.name}" if folder.path else entry.name
        try:
            is_link = entry.is_symlink() and not self._follow_links
            is_folder = not is_link and entry.is_dir()
            fate = self._naming.folder(path) if is_folder else self._naming.file(path)
            if fate is Fate.TAKEN and (is_link or (is_folder and not self._recursive)):
                fate = Fate.LEFT_OUT
            if fate is not Fate.TAKEN:
                self._leave_out(fate, LINK if is_link else FOLDER if is_folder else ending(entry.name))
                return None
            if is_folder:
                return self._enter(path, entry, folder)
            stat = entry.stat()
        except OSError as error:
            self._fault(folder, error)
            return None
        return (path, Stat.of(stat)) if modes.S_ISREG(stat.st_mode) else None

    def _leave_out(self, fate: Fate, what: str) -> None:
        if fate is not Fate.HIDDEN:
            count(self.left_out.system if fate is Fate.SYSTEM else self.left_out.globs, what)

    def _enter(self, path: str, entry: os.DirEntry[str], folder: _Folder) -> _Folder | None:
        if not self._follow_links:
            return _Folder(path)
        inner = _Folder(path, identity(Path(entry.path)), folder)
        return None if inner.identity is None or inner.is_loop() else inner

    def _fault(self, folder: _Folder, error: OSError) -> None:
        if error.errno not in GONE:
            self._unreadable(folder.path, error)


class Scanner:
    """Decides when a watch's folder is walked, and how far at a time.

    A walk is due at the start, every `rescan` seconds (but for at most 1/100 of the time), and on request.
    """

    def __init__(self, watch: Watch, naming: Naming, queue: Queue) -> None:
        self._watch = watch
        self._naming = naming
        self._queue = queue
        self._walk = Walk(watch, naming, self.say_unreadable)
        self._pass: Iterator[tuple[str, Stat] | None] | None = None  # the present walk
        self.left_out: LeftOut | None = None  # in the last complete pass
        self._started = self._cost = 0.0
        self._due = float("-inf")
        self._requested = False
        self._unreadable: set[str] = set()  # folders that could not be read; those found in this pass
        self._unreadable_now: set[str] = set()
        self._reopened = False
        self._complete = False
        self._is_routine = False

    @property
    def is_routine(self) -> bool:
        """Whether this pass is only due by time, `rescan` seconds after a complete one, and nothing has happened
        since."""
        return self._is_routine

    @property
    def is_done(self) -> bool:
        """Whether a pass has been completed and none is in progress or requested."""
        return self._complete and self._pass is None and not self._requested

    def request(self) -> None:
        """Asks for another walk after the present one, because files may have been missed."""
        self._requested, self._is_routine = True, False

    def restart(self) -> None:
        """Drops the present walk and starts another, because the files so far no longer count."""
        self._pass = None
        self._requested, self._is_routine = True, False

    def next_due(self) -> float:
        """When `advance` has something to do."""
        return float("-inf") if self._requested or self._pass is not None else self._due

    def advance(self, now: float, until: float) -> list[tuple[str, Stat]]:
        """Walks on until `until` on the monotonic clock if a pass is due, but over at most `CHUNK` files.

        Returns:
            The files that the ledger does not know, as relative path and stat.
        """
        if self._pass is None:
            if now < self.next_due():
                return []
            self._pass = iter(self._walk)
            self._is_routine = self._complete and not self._requested
            self._started, self._cost, self._requested = now, 0.0, False
        began = time.monotonic()
        chunk: list[tuple[str, Stat]] = []
        ended = True
        for seen in self._pass:
            if seen is not None:
                chunk.append(seen)
            if len(chunk) == CHUNK or time.monotonic() >= until:
                ended = False
                break
        unknown = self._unknown(chunk)
        self._cost += time.monotonic() - began
        if ended:
            self._end()
        return unknown

    def say_unreadable(self, folder: str, error: OSError) -> None:
        """Logs that a folder, or files in it, cannot be read: once, until a complete pass has read it."""
        if folder not in self._unreadable and folder not in self._unreadable_now:
            log.warning(
                "Watch %s: the folder %r cannot be read (%s); its files wait until it can.",
                self._watch.name,
                to_text(folder or "."),
                error.strerror,
            )
        self._unreadable_now.add(folder)

    def take_reopened(self) -> bool:
        """Whether a pass has read a folder that could not be read before; returned once."""
        reopened, self._reopened = self._reopened, False
        return reopened

    def _unknown(self, chunk: list[tuple[str, Stat]]) -> list[tuple[str, Stat]]:
        if not chunk:
            return []
        texts = [(to_text(path), stat) for path, stat in chunk]
        known = self._queue.arrivals.known(self._watch.name, texts)
        return [seen for seen, (text, _) in zip(chunk, texts, strict=True) if text not in known]

    def _end(self) -> None:
        self._pass = None
        self._due = self._started + max(self._watch.rescan, SHARE * self._cost)
        self._complete = True
        self.left_out = self._walk.left_out
        for folder in self._unreadable - self._unreadable_now:
            self._reopened = True
            log.info("Watch %s: the folder %r can be read again.", self._watch.name, to_text(folder or "."))
        self._unreadable, self._unreadable_now = self._unreadable_now, set()
