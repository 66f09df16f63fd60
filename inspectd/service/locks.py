"""One supervisor for a ledger and for a watch, held by `flock`: the kernel lets go when the process dies."""

import fcntl
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from inspectd.errors import InspectdError

LISTED = Path("/proc/locks")


class Locks:
    """Exclusive locks of this process on files and folders, until `release` or the end of the process."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def take(self, paths: Iterable[Path], what: str) -> None:
        """Lock each path that can be opened; a folder is locked itself, without a file in it.

        A path that we hold is looked at again: where it leads to another file or folder by now, that one is locked.

        Raises:
            InspectdError: when another process holds one of them.
        """
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError:  # whoever reads it says so
                continue
            held = self._held.get(path)
            if held is not None and os.path.samestat(os.fstat(held), os.fstat(descriptor)):
                os.close(descriptor)
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                name = str(path).removesuffix(".lock")
                raise InspectdError(
                    f"another inspectd already serves the {what} {name}: stop it first, or give this one its own."
                ) from None
            self._held[path] = descriptor
            if held is not None:
                os.close(held)

    def keep(self, paths: Collection[Path]) -> None:
        """Let go of every path but these, such as those of a configuration that was not taken."""
        for path in [path for path in self._held if path not in paths]:
            os.close(self._held.pop(path))


def holder(lock: Path) -> int | None:
    """The process that holds the daemon's lock on the ledger; None if none does.

    The kernel's list is read: to try the lock could bar a daemon that starts at this very moment.
    """
    try:
        found = lock.stat()
        lines = LISTED.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if fields[1] != "FLOCK" or len(fields) < 6:
            continue
        major, minor, inode = fields[5].split(":")
        # Where the file system has no device of its own (btrfs, overlay) the list may name another number.
        same = (int(major, 16), int(minor, 16)) == (os.major(found.st_dev), os.minor(found.st_dev))
        if int(inode) == found.st_ino and (same or int(major, 16) == os.major(found.st_dev) == 0):
            return int(fields[4])
    return None
