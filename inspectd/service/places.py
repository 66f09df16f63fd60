"""What one supervisor alone may serve: its watches, its ledger, its output. Made, locked, and looked at again."""

import os
from collections.abc import Sequence
from pathlib import Path

from inspectd.config import Config, Watch
from inspectd.durable import lacks_room
from inspectd.errors import ConfigError, LedgerError, LedgerUnavailable
from inspectd.service.locks import Locks


class Places:
    """The folders and the ledger's file of one configuration; they are held until the process ends."""

    def __init__(self, config: Config) -> None:
        self._output = config.output
        self._ledger = config.database_file
        self._watches = config.watch
        self._lock = config.lock_file
        self._locks = Locks()
        self._ledger_id: tuple[int, int] | None = None

    def take(self) -> None:
        """Make the folders that we write to, and lock ledger and watches.

        Raises:
            ConfigError: when a folder cannot be made or written.
            LedgerUnavailable: when a disk has no room for that just now; the same call may be made again.
            InspectdError: when another supervisor serves the same ledger or watch.
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
        """Lock the folders of these watches; see `Locks.take`."""
        self._locks.take([watch.path for watch in watches], "watch")

    def ledger_opened(self) -> None:
        """Remember which file the ledger is."""
        self._ledger_id = _file_id(self._ledger)

    def hold(self, watches: Sequence[Watch], others: Sequence[Watch]) -> None:
        """Look whether the folders and the ledger are still those that we locked and opened; let go of all others.

        Args:
            watches: those in force.
            others: those of a configuration that is being proven; they are kept as well.

        Raises:
            InspectdError: when another supervisor has a folder that was made anew, or the ledger's file is gone: what
                is written to a deleted file is lost, and a new start makes a new one.
        """
        self.take_watches(watches)
        self._locks.keep({self._lock, *(watch.path for watch in (*watches, *others))})
        if _file_id(self._ledger) != self._ledger_id:
            raise LedgerError(f"The database {self._ledger} was deleted or replaced: start inspectd anew.")


def _file_id(path: Path) -> tuple[int, int] | None:
    """Which file this path leads to now; None if to none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
