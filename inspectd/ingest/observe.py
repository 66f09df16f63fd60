"""Keeps `watchdog` observers of a watched folder alive: inotify, polling or both.

Lost events are harmless: the scan finds the files. So every fault (a queue that overflows, a thread that dies, a folder
that is deleted, renamed or unmounted) leads to the same two steps: a new observer, and a scan. Nothing here looks at a
file.
"""

import logging
import os
import threading
import warnings
from pathlib import Path
from typing import Literal

from watchdog.events import FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent
from watchdog.observers.api import BaseObserver

from inspectd.config import Watch
from inspectd.ingest.hints import Hints
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Identity, identity, is_empty
from inspectd.ingest.watchdogs import HintHandler, InotifyObserver, Poller, is_running
from inspectd.mounts import file_system, is_network, mount_of, mountinfo

log = logging.getLogger(__name__)

Backend = Literal["inotify", "polling"]

STOP = 2.0  # seconds to wait for an observer's threads, which a hanging mount may block


class Observer:
    """The observers of one watch, replaced when one of them fails or the folder changes.

    Folders behind links inside the watch give no events, even if links are followed, because a loop of links would
    never end. The scan finds their files.

    Args:
        events: False to check only the folder, without an observer.
    """

    def __init__(self, watch: Watch, naming: Naming, hints: Hints, *, events: bool) -> None:
        self._watch = watch
        self._naming = naming
        self._hints = hints
        self._events = events
        self._observers: dict[Backend, BaseObserver] = {}
        self._identity: Identity | None = None
        self._disk: int | None = None  # st_dev of the folder when it was last there,
        self._mount = Path("/")  # and where that disk was mounted
        self._missing: str | None = "has not been looked at"
        self._trouble: str | None = None  # logged once, until it is over
        self._deaf = False
        self._full = threading.Event()  # the system has no inotify watch left for a folder below
        self._was_full = False

    @property
    def backend(self) -> Backend:
        """How this folder is observed, apart from added polling; for a missing folder, how it would be."""
        return backend_of(self._watch)

    @property
    def standing(self) -> str:
        """The backend, and why polling was added to inotify."""
        backend, *beside = self._wanted()
        if not beside:
            return backend
        return "polling (no inotify watches left)" if self._full.is_set() else "polling (no events arrive)"

    @property
    def hears(self) -> bool:
        """Whether inotify works in every folder, so that a file without an event was missed by events."""
        return "inotify" in self._observers and not self._full.is_set()

    @property
    def missing(self) -> str | None:
        """What was wrong with the folder at the last `tend`: it was missing, or it was the empty folder that an
        unmounted disk leaves. None if it was there."""
        return self._missing

    def is_same_folder(self) -> bool:
        """Whether the folder is there and still the folder of the last `tend`."""
        return self.missing is None and identity(self._watch.path) == self._identity

    def set_deaf(self, deaf: bool) -> None:
        """Adds polling to inotify from the next `tend` on, if `backend` is `auto`, or removes it."""
        self._deaf = deaf

    def tend(self) -> bool:
        """Repairs what is wrong, without ever raising; returns whether a scan must find files that were missed."""
        now_there = identity(self._watch.path) if os.access(self._watch.path, os.R_OK | os.X_OK) else None
        unmounted = now_there is not None and now_there[0] != self._disk and self._is_unmounted()
        if now_there is None or unmounted:
            self._identity = None
            self._missing = "is empty and on another disk than before" if unmounted else "is missing or cannot be read"
            self.stop()
            return False
        self._missing = None
        changed, self._identity = now_there != self._identity, now_there
        if now_there[0] != self._disk:
            self._disk, self._mount = now_there[0], self._mount_point()
        if not self._events:
            self._say(None)
            return changed
        if changed:
            self.stop()
        wanted = self._wanted()
        for backend in [*self._observers]:
            if backend not in wanted or not is_running(self._observers[backend]):
                self._end(backend)
        started = [self._start(backend) for backend in wanted if backend not in self._observers]
        if set(wanted) <= set(self._observers):
            self._say(None)
        self._say_full()
        return any(started) or changed

    def _is_unmounted(self) -> bool:
        """Whether the folder is the empty mount point of a disk that was removed."""
        point = self._mount_point()
        return point != self._mount and self._mount.is_relative_to(point) and is_empty(self._watch.path)

    def _mount_point(self) -> Path:
        try:
            return mount_of(Path(os.path.realpath(self._watch.path)), mountinfo()).point
        except OSError:  # no file can be opened at the moment: the earlier answer still counts
            return self._mount

    def stop(self) -> None:
        """Stops the observers. Threads that a hanging file system blocks are left behind; their hints do no harm."""
        for backend in [*self._observers]:
            self._end(backend)

    def _wanted(self) -> list[Backend]:
        backend = self.backend
        beside = backend == "inotify" and self._watch.backend == "auto" and (self._deaf or self._full.is_set())
        return ["inotify", "polling"] if beside else [backend]

    def _end(self, backend: Backend) -> None:
        stopper = threading.Thread(target=_end, args=(self._observers.pop(backend),), daemon=True)
        stopper.start()
        stopper.join(STOP)

    def _start(self, backend: Backend) -> bool:
        # Raised on nested folders made at once; its text lists every watched folder and can be megabytes long.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"(inspectd\.ingest\.)?watchdog")
        observer: BaseObserver | None = None
        try:
            observer = self._build(backend, os.path.realpath(self._watch.path))
            observer.start()
        except OSError as error:
            if observer is not None:
                _end(observer)
            self._say(
                f"no events from {str(self._watch.path)!r} ({error.strerror or error}); until they arrive its "
                f"files are found by the scan every {self._watch.rescan:g} s"
            )
            return False
        self._observers[backend] = observer
        return True

    def _build(self, backend: Backend, root: str) -> BaseObserver:
        polling = backend == "polling"
        handler = HintHandler(root, self._watch, self._naming, self._hints, trusted=not polling)
        events: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent]
        events.append(FileModifiedEvent if polling else FileClosedEvent)
        if polling:
            # Files are polled with `lstat`, so that a loop of links is not walked round and round.
            observer = BaseObserver(Poller, stat=os.lstat, on_ready=self._hints.lose)
        else:
            self._full.clear()
            observer = InotifyObserver(self._full.set)
        observer.schedule(handler, root, recursive=self._watch.recursive, event_filter=events)
        return observer

    def _say_full(self) -> None:
        if self._full.is_set() and not self._was_full:
            log.warning(
                "Watch %s: the system has no inotify watch left for some of its folders, so not every event arrives: "
                "raise fs.inotify.max_user_watches, then reload inspectd.",
                self._watch.name,
            )
        self._was_full = self._full.is_set()

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            log.warning("Watch %s: %s.", self._watch.name, trouble)
        elif trouble is None and self._trouble is not None:
            log.info("Watch %s: the folder %r is watched again.", self._watch.name, str(self._watch.path))
        self._trouble = trouble


def backend_of(watch: Watch, mounts: str | None = None) -> Backend:
    """The backend that `backend: auto` chooses; for a missing folder, the one that it would choose.

    Args:
        mounts: The mount table as `mountinfo` gives it; None: the present one, read only if needed.
    """
    if watch.backend != "auto":
        return watch.backend
    kind = file_system(Path(os.path.realpath(watch.path)), mountinfo() if mounts is None else mounts)
    return "polling" if needs_polling(kind) else "inotify"


def needs_polling(file_system: str) -> bool:
    """Whether other machines may write to this type of file system, which gives no events. A FUSE file system may be
    anything, except for `fuseblk`, a disk of this machine."""
    return is_network(file_system) or file_system in ("fuse", "virtiofs") or file_system.startswith("fuse.")


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
