"""Whether the kernel's events reach this program: a canary in each watch, and the limits of inotify.

The canary is a file of a name that ingest never takes. It is removed in the same breath in which it is made: the event
of its making is in the kernel's queue by then, and whatever ends this process leaves no file behind.
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
from inspectd.ingest.hints import Hints
from inspectd.ingest.naming import Naming
from inspectd.ingest.observe import Observer
from inspectd.service.doctor.finding import Finding, Site, fault, is_folder, ok, warn

PATIENCE = 3.0  # seconds; watchdog itself holds an event back for half a second
KERNEL = Path("/proc/sys/fs/inotify")
NAMESPACE = Path("/proc/sys/user")  # where a container has limits of its own
QUEUE = 16_384  # events, the kernel's default: what a burst may bring while the reader is busy
NEARLY = 0.8  # of a limit


def check_events(site: Site) -> Iterator[Finding]:
    """One canary for each watch that is observed by inotify."""
    for watch in site.config.watch:
        if is_folder(watch.path):
            yield canary(watch)


def canary(watch: Watch) -> Finding:
    """Drop a file, wait for the event."""
    subject = f"watch {watch.name}, {watch.path}"
    backend = Observer(watch, Naming(watch), Hints(lambda: None), events=False).backend
    if backend == "polling":
        return ok("events", subject, "polled every second or less often; no events are needed")
    file = watch.path / f".inspectd-canary-{uuid.uuid4().hex}.tmp"

    def drop() -> None:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        file.unlink()

    try:
        if arrives(watch.path, file.name, drop):
            return ok("events", subject, "inotify: the event of a file made here arrived")
    except Undropped as error:
        return warn(
            "events",
            subject,
            f"not tried: no file can be made here ({error})",
            "let who fills it, or root, run this once: the test needs a hidden file for a moment",
        )
    except OSError as error:
        where = "`folders` above" if error.errno in (errno.EACCES, errno.ENOENT) else "`limits` below"
        return fault("events", subject, f"no events can be had: {error.strerror}", f"see {where}")
    return warn(
        "events", subject, f"no event of a new file within {PATIENCE:g} s", "set `backend: polling` for this watch"
    )


class Undropped(Exception):
    """The canary could not be made."""


def arrives(folder: Path, name: str, drop: Callable[[], None], patience: float = PATIENCE) -> bool:
    """Whether watchdog tells of a new file of this name in a folder once `drop` has made it.

    Raises:
        Undropped: `drop` failed.
        OSError: the folder cannot be observed.
    """
    heard = threading.Event()

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            if os.path.basename(os.fsdecode(event.src_path)) == name:  # noqa: PTH119 - may be bytes
                heard.set()

    observer = InotifyObserver()
    observer.schedule(Handler(), os.path.realpath(folder), event_filter=[FileCreatedEvent])
    observer.start()
    try:
        drop()
        return heard.wait(patience)
    except OSError as error:
        raise Undropped(error.strerror) from error
    finally:
        observer.stop()
        observer.join()


def check_limits(site: Site) -> Iterator[Finding]:
    """Folders to watch, watches and events waiting, each against its limit."""
    inotify = [
        watch
        for watch in site.config.watch
        if Observer(watch, Naming(watch), Hints(lambda: None), events=False).backend == "inotify"
    ]
    if not inotify:
        return
    most = limit("max_user_watches", "max_inotify_watches")
    folders = sum(count_folders(watch.path, most + 1) if watch.recursive else 1 for watch in inotify)
    yield against("folders in the watches", folders, most, "max_user_watches")
    most = limit("max_user_instances", "max_inotify_instances")
    # The daemon may be another user than this one, and has its observers already.
    taken = instances(_user_of(site.daemon))
    needed = taken if site.daemon else taken + len(inotify)
    yield against("observers of the user", needed, most, "max_user_instances")
    queue = int((KERNEL / "max_queued_events").read_text())
    if queue < QUEUE:
        yield warn("limits", "events that may wait", f"{queue:,}", sysctl("max_queued_events", QUEUE))
    else:
        yield ok("limits", "events that may wait", f"{queue:,}")


def against(subject: str, number: int, most: int, name: str) -> Finding:
    """A number against its limit, with the line that raises it."""
    found = f"{min(number, most + 1):,} of {most:,} allowed"
    if number > most:
        return fault("limits", subject, f"more than the {most:,} allowed", sysctl(name, 4 * max(number, most, 128)))
    if number > NEARLY * most:
        return warn("limits", subject, found, sysctl(name, 4 * most))
    return ok("limits", subject, found)


def sysctl(name: str, value: int) -> str:
    """How root sets a limit, now and for ever."""
    line = f"fs.inotify.{name}={value}"
    return f"`echo {line} > /etc/sysctl.d/60-inspectd-{name.split('_')[-1]}.conf && sysctl --system`"


def limit(name: str, in_namespace: str) -> int:
    """What this user may have: the machine's limit, or the lower one of a container."""
    files = (KERNEL / name, NAMESPACE / in_namespace)  # a kernel without user namespaces lacks the second
    return min(int(file.read_text()) for file in files if file.exists())


def count_folders(root: Path, most: int) -> int:
    """The folder and all below it, links not followed, counted up to `most`."""
    number = 0
    for _ in os.walk(root):
        number += 1
        if number >= most:
            break
    return number


def instances(uid: int) -> int:
    """Inotify instances that processes of a user hold, as far as /proc lets us see."""
    number = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != uid:
                continue
            number += sum(os.readlink(fd) == "anon_inode:inotify" for fd in (process / "fd").iterdir())  # noqa: PTH115
        except OSError:  # it ended meanwhile, or is closed to us
            continue
    return number


def _user_of(daemon: int | None) -> int:
    """The daemon's user; this process's own where there is no daemon, or it has just ended."""
    try:
        return Path(f"/proc/{daemon}").stat().st_uid
    except FileNotFoundError:
        return os.geteuid()
