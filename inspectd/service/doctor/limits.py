"""The kernel's limits of inotify, against the folders and watches of the site."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inspectd.ingest.observe import backend_of
from inspectd.service.doctor.finding import Diagnosis, Site, fault, ok, warn

SYSCTL = Path("/proc/sys")
QUEUE = 16_384  # events, the kernel's default: what a burst may bring while the reader is busy
NEARLY = 0.8  # of a limit
ROOM = 4  # times what is needed, where a limit is raised ...
LEAST = 128  # ... of at least the kernel's default


def check_limits(site: Site) -> Iterator[Diagnosis]:
    """Folders to watch, watches and events waiting, each against its limit."""
    inotify = [watch for watch in site.config.watch if backend_of(watch) == "inotify"]
    if not inotify:
        return
    most = limit("watches")
    folders = sum(count_folders(watch.path, most.value + 1) if watch.recursive else 1 for watch in inotify)
    yield against("folders in the watches", folders, most)
    # The daemon may be another user than this one, and has its observers already.
    taken = instances(_user_of(site.daemon))
    needed = taken if site.daemon else taken + len(inotify)
    yield against("observers of the user", needed, limit("instances"))
    yield waiting(int((SYSCTL / "fs/inotify/max_queued_events").read_text()))


@dataclass(frozen=True)
class Limit:
    """A sysctl and its value."""

    value: int
    key: str

    def raised(self, value: int) -> str:
        """How root sets it, now and for ever."""
        return f"`echo {self.key}={value} > /etc/sysctl.d/60-{self.key}.conf && sysctl --system`"


def limit(what: str) -> Limit:
    """How many `watches` or `instances` a user may have: the machine's limit, or the lower one of a container."""
    keys = (f"fs.inotify.max_user_{what}", f"user.max_inotify_{what}")  # some kernels lack the second
    files = {key: SYSCTL / key.replace(".", "/") for key in keys}
    found = [Limit(int(file.read_text()), key) for key, file in files.items() if file.exists()]
    return min(found, key=lambda limit: limit.value)


def against(subject: str, number: int, most: Limit) -> Diagnosis:
    """A number against its limit, with the line that raises it."""
    if number > most.value:
        found = f"more than the {most.value:,} allowed"
        return fault("limits", subject, found, most.raised(ROOM * max(number, LEAST)))
    found = f"{number:,} of {most.value:,} allowed"
    if number > NEARLY * most.value:
        return warn("limits", subject, found, most.raised(ROOM * max(number, LEAST)))
    return ok("limits", subject, found)


def waiting(queue: int) -> Diagnosis:
    """The events that a burst may bring; where they are too many for the queue, only a scan finds the files."""
    subject, found = "events that may wait", f"{queue:,}"
    if queue < QUEUE:
        return warn("limits", subject, found, Limit(queue, "fs.inotify.max_queued_events").raised(QUEUE))
    return ok("limits", subject, found)


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
