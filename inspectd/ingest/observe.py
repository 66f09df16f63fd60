"""What the system tells of a watched folder: a `watchdog` observer that is kept alive, and the hints it gives.

A hint only makes us look sooner; whatever is missed here is found by the scan. So hints are bounded in number, and
all that can go wrong (a queue that overflows, a thread that dies, a folder that is deleted, renamed or unmounted)
ends in the same two steps: a new observer, and a scan. Nothing here looks at a file.
"""

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from watchdog.events import FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent
from watchdog.events import FileSystemEventHandler as Handler
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.polling import PollingEmitter

from inspectd.config import Watch
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Identity, identity
from inspectd.ledger.mounts import file_system, is_network

log = logging.getLogger(__name__)

Backend = Literal["inotify", "polling"]

MOST_HINTS = 20_000  # kept at a time; a folder with more news than that is scanned instead
POLL = 1.0  # seconds between two polls, at least
POLL_SHARE = 10  # and they take 1/10 of the time at most
STOP = 2.0  # seconds to wait for an observer's threads, which a hanging mount may hold


class Hints:
    """Paths to look at, handed from the observer's threads to the thread that ticks. Thread-safe and bounded."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: dict[str, bool] = {}
        self._lost = False

    def __len__(self) -> int:
        return len(self._paths) + self._lost

    def put(self, path: str, *, closed: bool) -> None:
        """An event named this relative path; `closed` if it says that the writer is done."""
        with self._lock:
            first = not self._paths
            if path in self._paths or len(self._paths) < MOST_HINTS:
                self._paths[path] = self._paths.get(path, False) or closed
            else:
                self._lost = True
        if first:
            self._call()

    def lose(self) -> None:
        """Events were lost, nobody knows which."""
        with self._lock:
            self._lost = True
        self._call()

    def take(self, limit: int) -> tuple[dict[str, bool], bool]:
        """Up to `limit` of the paths, the first ones first, with their `closed`; and whether events were lost."""
        with self._lock:
            paths = {path: self._paths.pop(path) for path in list(islice(self._paths, limit))}
            lost, self._lost = self._lost, False
        return paths, lost

    def _call(self) -> None:
        try:
            self._wake()
        except Exception:  # it would end the observer's thread; without a wake the next tick merely comes later
            log.exception("The main loop could not be woken.")


class Observer:
    """The observer of one watch, replaced when it or its folder is no longer what it was.

    Folders behind links inside the watch give no events, also where links are followed: a loop of links would never
    end. Their files are found by the scan.

    Args:
        events: False to keep an eye on the folder only, without any observer.
    """

    def __init__(self, watch: Watch, naming: Naming, hints: Hints, *, events: bool) -> None:
        self._watch = watch
        self._naming = naming
        self._hints = hints
        self._events = events
        self._observer: BaseObserver | None = None
        self._identity: Identity | None = None
        self._trouble: str | None = None  # said once, until it is over

    @property
    def backend(self) -> Backend:
        """How this folder is observed; of a folder that is missing, how it would be."""
        if self._watch.backend != "auto":
            return self._watch.backend
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        return "polling" if needs_polling(file_system(Path(os.path.realpath(self._watch.path)), mounts)) else "inotify"

    @property
    def missing(self) -> bool:
        """Whether the folder was not there at the last `tend`."""
        return self._identity is None

    def is_same_folder(self) -> bool:
        """Whether the folder is there and still the one of the last `tend`."""
        return not self.missing and identity(self._watch.path) == self._identity

    def tend(self) -> bool:
        """Put right what is wrong, without ever raising for it; true if a scan must find what was missed meanwhile."""
        now_there = identity(self._watch.path)
        changed, self._identity = now_there != self._identity, now_there
        if now_there is None:
            self.stop()
            self._say(f"the folder {str(self._watch.path)!r} is missing or cannot be read; trying again until it can")
            return False
        if not self._events:
            self._say(None)
            return changed
        if self._is_running() and not changed:
            return False
        self.stop()
        return self._start() or changed

    def stop(self) -> None:
        """End the observer. Threads that a hanging file system holds are left behind; what they say does no harm."""
        if self._observer is not None:
            stopper = threading.Thread(target=_end, args=(self._observer,), daemon=True)
            stopper.start()
            stopper.join(STOP)
            self._observer = None

    def _is_running(self) -> bool:
        if self._observer is None:
            return False
        # watchdog's observer goes on when its emitters, or the thread that reads for them, have ended.
        threads = [self._observer, *self._observer.emitters, getattr(self._observer, "_inotify_fd", self._observer)]
        return bool(self._observer.emitters) and all(thread.is_alive() for thread in threads)

    def _start(self) -> bool:
        # Raised on nested folders made at once; its text lists every watched folder and can be megabytes long.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        observer: BaseObserver | None = None
        try:
            observer = self._build(os.path.realpath(self._watch.path))
            observer.start()
        except OSError as error:
            if observer is not None:
                _end(observer)
            self._say(
                f"no events from {str(self._watch.path)!r} ({error.strerror or error}); until they can be had its "
                f"files are found by the scan every {self._watch.rescan:g} s"
            )
            return False
        self._observer = observer
        self._say(None)
        return True

    def _build(self, root: str) -> BaseObserver:
        polling = self.backend == "polling"
        handler = _Handler(root, self._watch, self._naming, self._hints, trusted=not polling)
        events: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent]
        events.append(FileModifiedEvent if polling else FileClosedEvent)
        observer = (
            # Files are polled with `lstat`, so that a loop of links is not walked round and round.
            BaseObserver(_Poller, stat=os.lstat, on_ready=self._hints.lose) if polling else InotifyObserver()
        )
        observer.schedule(handler, root, recursive=self._watch.recursive, event_filter=events)
        return observer

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            log.warning("Watch %s: %s.", self._watch.name, trouble)
        elif trouble is None and self._trouble is not None:
            log.info("Watch %s: the folder %r is watched again.", self._watch.name, str(self._watch.path))
        self._trouble = trouble


class _Handler(Handler):
    """Turns events into hints. It never raises: an exception would end the observer's thread without a word."""

    def __init__(self, root: str, watch: Watch, naming: Naming, hints: Hints, *, trusted: bool) -> None:
        self._prefix = f"{root.rstrip('/')}/"
        self._recursive = watch.recursive
        self._naming = naming
        self._hints = hints
        self._trusted = trusted

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            path = os.fsdecode(event.dest_path or event.src_path).removeprefix(self._prefix)
            if self._naming.reaches(path) and (self._recursive or "/" not in path):
                self._hints.put(path, closed=self._is_closed(event))
        except Exception:
            log.exception("An event was lost; the scan finds its file.")
            self._hints.lose()

    def _is_closed(self, event: FileSystemEvent) -> bool:
        """A close, or a rename of the file itself. The one of its folder says nothing of its writer; nor does polling,
        which takes a new file on the inode of a deleted one for a rename."""
        done = isinstance(event, FileClosedEvent | FileMovedEvent)
        return done and self._trusted and not event.is_synthetic


class _Poller(PollingEmitter):
    """watchdog's poller, held to a share of the time, and taking its first picture in its own thread."""

    def __init__(self, *args: Any, on_ready: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_ready = on_ready
        self._rest = POLL

    def on_thread_start(self) -> None:
        """Nothing yet: this runs in the thread of who starts the observer, and a big folder takes long."""

    def run(self) -> None:
        try:
            super().on_thread_start()
        except OSError:
            return  # the folder went away: a dead emitter is replaced
        self._on_ready()  # a file that came before the picture was taken is in no event
        super().run()

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002
        if self.stopped_event.wait(self._rest):
            return
        began = time.monotonic()
        super().queue_events(0)
        self._rest = max(POLL, POLL_SHARE * (time.monotonic() - began))


class OverflowListener(logging.Handler):
    """Hears of lost inotify events, which watchdog tells nobody but its logger."""

    LOGGER = logging.getLogger("watchdog.observers.inotify_c")

    def __init__(self, heard: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._heard()
        except Exception:
            self.handleError(record)

    def start(self) -> None:
        self.LOGGER.setLevel(logging.WARNING)  # whatever level the rest of the program logs at
        self.LOGGER.addHandler(self)

    def stop(self) -> None:
        self.LOGGER.removeHandler(self)


def needs_polling(file_system: str) -> bool:
    """Whether files on this type of file system may be written by other machines, of which inotify says nothing. A
    FUSE file system may be anything (but for `fuseblk`, a disk of this machine)."""
    return is_network(file_system) or file_system in ("fuse", "virtiofs") or file_system.startswith("fuse.")


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
