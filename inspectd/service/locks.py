"""One daemon for a ledger and for a watch, by `flock`: the kernel releases a lock when its process dies."""

import fcntl
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from inspectd.config import Config, Watch
from inspectd.durable import lacks_room
from inspectd.errors import ConfigError, InspectdError, LedgerError, LedgerUnavailable

KERNEL_LIST = Path("/proc/locks")


class Locks:
    """Exclusive locks of this process on files and folders, until it ends."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def take(self, paths: Iterable[Path], what: str) -> None:
        """Locks each path that can be opened; a folder is locked itself, without a file in it.

        If a locked path leads to another file or folder by now, that one is locked instead.

        Raises:
            InspectdError: another process holds one of them.
        """
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError:  # the code that reads it reports the error
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
        """Releases every path except these, for example those of a configuration that was refused."""
        for path in [path for path in self._held if path not in paths]:
            os.close(self._held.pop(path))


class DaemonLocks:
    """The folders and the ledger that one daemon alone may serve: made, locked, and checked again."""

    def __init__(self, config: Config) -> None:
        self._output = config.output
        self._ledger = config.database_file
        self._watches = config.watch
        self._lock = config.lock_file
        self._locks = Locks()
        self._ledger_id: tuple[int, int] | None = None

    def take(self) -> None:
        """Creates the folders that the daemon writes to, and locks the ledger and the watches.

        Raises:
            ConfigError: a folder cannot be created or written.
            LedgerUnavailable: a disk has no room at the moment; the same call may be made again.
            InspectdError: another daemon serves the same ledger or watch.
        """
        try:
            self._output.mkdir(parents=True, exist_ok=True)
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            self._lock.touch()
        except OSError as error:
            kind = LedgerUnavailable if lacks_room(error) else ConfigError
            raise kind(f"{error.filename} cannot be created or written: {error.strerror}.") from None
        if not os.access(self._output, os.W_OK | os.X_OK):
            raise ConfigError(f"{self._output} cannot be written by this user, and overlays go there.")
        self._locks.take([self._lock], "ledger")
        self.take_watches(self._watches)

    def take_watches(self, watches: Sequence[Watch]) -> None:
        """Locks the folders of these watches; see `Locks.take`."""
        self._locks.take([watch.path for watch in watches], "watch")

    def ledger_opened(self) -> None:
        """Remembers which file the ledger is."""
        self._ledger_id = _file_id(self._ledger)

    def hold(self, watches: Sequence[Watch], others: Sequence[Watch]) -> None:
        """Checks that folders and ledger are still those that were locked and opened; releases all other locks.

        Args:
            watches: Those in force.
            others: Those of a configuration that is being proven; their locks are kept too.

        Raises:
            InspectdError: another daemon has a folder that was created again, or the ledger's file is gone. Rows that
                are written to a deleted file are lost; a new start creates a new file.
        """
        self.take_watches(watches)
        self._locks.keep({self._lock, *(watch.path for watch in (*watches, *others))})
        if _file_id(self._ledger) != self._ledger_id:
            raise LedgerError(f"The database {self._ledger} was deleted or replaced: start inspectd anew.")


def holder(lock: Path) -> int | None:
    """Returns the process that holds the daemon's lock on the ledger; None if there is none.

    It reads the kernel's list, because trying the lock could stop a daemon that starts at this very moment.
    """
    try:
        found = lock.stat()
        lines = KERNEL_LIST.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if fields[1] != "FLOCK" or len(fields) < 6:
            continue
        major, minor, inode = fields[5].split(":")
        # A file system without a device of its own (btrfs, overlay) may be listed under another number.
        same = (int(major, 16), int(minor, 16)) == (os.major(found.st_dev), os.minor(found.st_dev))
        if int(inode) == found.st_ino and (same or int(major, 16) == os.major(found.st_dev) == 0):
            return int(fields[4])
    return None


def _file_id(path: Path) -> tuple[int, int] | None:
    """The file that this path leads to now; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
