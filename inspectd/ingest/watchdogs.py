"""watchdog's observers, mended where they fail without a message, and its events turned into hints.

The code runs in watchdog's threads. It must never raise there, and it looks at no file.
"""

import errno
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from watchdog.events import FileClosedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import inotify
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_c import CallbackId, InotifyFD, Mask, WatchCallback, WatchDescriptor
from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent
from watchdog.observers.polling import PollingEmitter

from inspectd.config import Watch
from inspectd.ingest.hints import Hint, Hints
from inspectd.ingest.naming import Naming

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between two polls, at least
POLL_SHARE = 10  # ... and polls take at most 1/10 of the time


class InotifyObserver(BaseObserver):
    """watchdog's observer, with a reader that reports folders that got no inotify watch.

    `on_full` is called in the thread that starts this, or in the reader's.
    """

    def __init__(self, on_full: Callable[[], None]) -> None:
        self.reader = _Reader(on_full)
        self.reader.start()
        super().__init__(InotifyEmitter, inotify_fd=self.reader)

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self.reader.stop()
        self.reader.join()


class InotifyEmitter(inotify.InotifyEmitter):
    """Corrects watchdog, which calls a file created that was renamed into the watched tree from outside."""

    def build_and_queue_event(self, event: GroupedInotifyEvent, *, full_events: bool = False) -> None:
        renamed_in = isinstance(event, PathedInotifyEvent) and event.ev.is_moved_to and not event.ev.is_directory
        super().build_and_queue_event(event, full_events=full_events or renamed_in)


class _Reader(InotifyFD):
    """Corrects watchdog, which passes over a subfolder that got no watch, without a message."""

    def __init__(self, on_full: Callable[[], None]) -> None:
        super().__init__()
        self._on_full = on_full

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._on_full()
            raise


class HintHandler(FileSystemEventHandler):
    """Turns events into hints. It never raises: an exception would end the observer's thread without a message."""

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
                self._hints.put(path, Hint(closed=self._is_closed(event), event=self._trusted))
        except Exception:
            log.exception("An event was lost; the scan finds its file.")
            self._hints.lose()

    def _is_closed(self, event: FileSystemEvent) -> bool:
        """Whether the event is a close, or a rename of the file itself. A rename of its folder says nothing about its
        writer, and polling takes a new file on the inode of a deleted one for a rename."""
        done = isinstance(event, FileClosedEvent | FileMovedEvent)
        return done and self._trusted and not event.is_synthetic


class Poller(PollingEmitter):
    """watchdog's poller, limited to a share of the time; it takes its first picture in its own thread."""

    def __init__(self, *args: Any, on_ready: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_ready = on_ready
        self._rest = POLL

    def on_thread_start(self) -> None:
        """Does nothing yet: this runs in the thread that starts the observer, and a big folder takes long."""

    def run(self) -> None:
        try:
            super().on_thread_start()
        except OSError:
            return  # the folder is gone: a dead emitter is replaced
        self._on_ready()  # no event names a file that arrived before the picture was taken
        super().run()

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002
        if self.stopped_event.wait(self._rest):
            return
        began = time.monotonic()
        super().queue_events(0)
        self._rest = max(POLL, POLL_SHARE * (time.monotonic() - began))


class OverflowListener(logging.Handler):
    """Notices lost inotify events, which watchdog reports only to its logger."""

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
        self.LOGGER.setLevel(logging.WARNING)  # at any log level of the rest of the program
        self.LOGGER.addHandler(self)

    def stop(self) -> None:
        self.LOGGER.removeHandler(self)


def is_running(observer: BaseObserver) -> bool:
    # watchdog's observer goes on when its emitters, or the thread that reads for them, have ended.
    threads = [observer, *observer.emitters, getattr(observer, "reader", observer)]
    return bool(observer.emitters) and all(thread.is_alive() for thread in threads)
