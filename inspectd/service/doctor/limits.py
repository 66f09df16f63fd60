"""Compares the kernel's limits of inotify with the folders and watches of the site."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inspectd.ingest.observe import backend_of
from inspectd.service.doctor.finding import Diagnosis, Site, fault, ok, warn

SYSCTL = Path("/proc/sys")
QUEUE = 16_384  # events, the kernel's default: a burst may bring so many while the reader is busy
NEARLY = 0.8  # of a limit
ROOM = 4  # times the needed number, if a limit must be raised ...
LEAST = 128  # ... and at least the kernel's default


def check_limits(site: Site) -> Iterator[Diagnosis]:
    """Checks the numbers of folders, observers and waiting events against their limits."""
    inotify = [watch for watch in site.config.watch if backend_of(watch) == "inotify"]
    if not inotify:
        return
    most = limit("watches")
    folders = sum(count_folders(watch.path, most.value + 1) if watch.recursive else 1 for watch in inotify)
    yield against("folders in the watches", folders, most)
    # The daemon may run as another user than this one, and has its observers already.
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
        """The command by which root raises it, now and after every start."""
        return f"`echo {self.key}={value} > /etc/sysctl.d/60-{self.key}.conf && sysctl --system`"


def limit(what: str) -> Limit:
    """The limit of `watches` or `instances` of a user: the machine's, or a container's if that is lower."""
    keys = (f"fs.inotify.max_user_{what}", f"user.max_inotify_{what}")  # some kernels lack the second
    files = {key: SYSCTL / key.replace(".", "/") for key in keys}
    found = [Limit(int(file.read_text()), key) for key, file in files.items() if file.exists()]
    return min(found, key=lambda limit: limit.value)


def against(subject: str, number: int, most: Limit) -> Diagnosis:
    """Compares a number with its limit; the advice is the command that raises it."""
    if number > most.value:
        found = f"more than the {most.value:,} allowed"
        return fault("limits", subject, found, most.raised(ROOM * max(number, LEAST)))
    found = f"{number:,} of {most.value:,} allowed"
    if number > NEARLY * most.value:
        return warn("limits", subject, found, most.raised(ROOM * max(number, LEAST)))
    return ok("limits", subject, found)


def waiting(queue: int) -> Diagnosis:
    """Checks the queue of events: after a burst that overflows it, only a scan finds the files."""
    subject, found = "events that may wait", f"{queue:,}"
    if queue < QUEUE:
        return warn("limits", subject, found, Limit(queue, "fs.inotify.max_queued_events").raised(QUEUE))
    return ok("limits", subject, found)


def count_folders(root: Path, most: int) -> int:
    """Counts the folder and all folders below it, up to `most`; does not follow links."""
    number = 0
    for _ in os.walk(root):
        number += 1
        if number >= most:
            break
    return number


def instances(uid: int) -> int:
    """Counts the inotify instances of a user's processes, as far as /proc shows them."""
    number = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != uid:
                continue
            number += sum(os.readlink(fd) == "anon_inode:inotify" for fd in (process / "fd").iterdir())  # noqa: PTH115
        except OSError:  # it ended meanwhile, or may not be read
            continue
    return number


def _user_of(daemon: int | None) -> int:
    """The daemon's user; this process's own user if there is no daemon, or if it has just ended."""
    try:
        return Path(f"/proc/{daemon}").stat().st_uid
    except FileNotFoundError:
        return os.geteuid()
