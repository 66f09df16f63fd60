"""Checks whether the kernel's events reach this program, with a canary in each watch.

The canary is a file with a name that ingest never takes. It is removed as soon as it is created: its event is in the
kernel's queue by then, and even if this process is killed, no file is left behind.
"""

import errno
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.events import FileCreatedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver

from inspectd.config import Watch
from inspectd.ingest.observe import backend_of
from inspectd.service.doctor.finding import Diagnosis, Site, fault, is_folder, ok, warn

PATIENCE = 3.0  # seconds; watchdog itself delays an event by half a second


def check_events(site: Site) -> Iterator[Diagnosis]:
    """Tries one canary in each watch that inotify observes."""
    for watch in site.config.watch:
        if is_folder(watch.path):
            yield canary(watch)


def canary(watch: Watch) -> Diagnosis:
    """Creates a file and waits for its event."""
    subject = f"watch {watch.name}, {watch.path}"
    if backend_of(watch) == "polling":
        return ok("events", subject, "polled every second or less often; no events are needed")
    file = watch.path / f".inspectd-canary-{uuid.uuid4().hex}.tmp"

    def drop() -> None:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        file.unlink()

    try:
        if arrives(watch.path, file.name, drop):
            return ok("events", subject, "inotify: the event of a new file arrived")
    except Undropped as error:
        return warn(
            "events",
            subject,
            f"not tried: no file can be created here ({error})",
            "run this once as root, or as the user that fills the watch: it creates a hidden file for a moment",
        )
    except OSError as error:
        where = "`folders` above" if error.errno in (errno.EACCES, errno.ENOENT) else "`limits` below"
        return fault("events", subject, f"no events can be received: {error.strerror}", f"see {where}")
    return unheard(watch.backend, subject)


def unheard(backend: str, subject: str) -> Diagnosis:
    """The diagnosis if no event arrived."""
    meanwhile = (
        "it will also be polled after files were missed, " if backend == "auto" else "files are found by the scan, "
    )
    advice = f"{meanwhile}or at once with `backend: polling`"
    return warn("events", subject, f"no event of a new file within {PATIENCE:g} s", advice)


class Undropped(Exception):
    """The canary could not be created."""


def arrives(folder: Path, name: str, drop: Callable[[], None], patience: float = PATIENCE) -> bool:
    """Whether watchdog reports a new file with this name in a folder after `drop` has created it.

    Raises:
        Undropped: `drop` failed.
        OSError: the folder cannot be observed.
    """
    heard = threading.Event()

    class CanaryHandler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            if os.path.basename(os.fsdecode(event.src_path)) == name:  # noqa: PTH119 - may be bytes
                heard.set()

    observer = InotifyObserver()
    observer.schedule(CanaryHandler(), os.path.realpath(folder), event_filter=[FileCreatedEvent])
    observer.start()
    try:
        drop()
        return heard.wait(patience)
    except OSError as error:
        raise Undropped(error.strerror) from error
    finally:
        observer.stop()
        observer.join()
