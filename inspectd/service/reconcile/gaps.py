"""The kinds of gaps between disk and ledger, and the grace period before one counts."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from inspectd.config import Watch
from inspectd.ingest.settle import SECOND_LOOK
from inspectd.ledger.read.reconcile import Record
from inspectd.ledger.records import Arrival


class Kind(StrEnum):
    """The kind of a gap; its value is the name in JSON."""

    UNREADABLE = "not-compared"
    FILE = "file-without-row"
    ROW = "row-without-file"
    CHANGED = "moved-file-changed"
    WAITING = "no-outcome"
    OVERLAY = "verdict-without-overlay"
    SIDECAR = "outcome-without-sidecar"
    STRAY = "overlay-without-verdict"
    NUMBER = "number-missing"


@dataclass(frozen=True)
class Gap:
    """One gap.

    Attributes:
        path: In the watch, as the ledger writes it; for a stray overlay or sidecar, in `output`.
        detail: What is wrong, as a sentence or a part of one.
        arrival: The file, if it has no row.
        record: The image, if there is one.
    """

    kind: Kind
    watch: str
    path: str
    detail: str
    arrival: Arrival | None = None
    record: Record | None = None


def grace(watch: Watch) -> timedelta:
    """How long a file may lie in a watch before it must have a row: until the next scan and a second look."""
    return timedelta(seconds=watch.rescan + SECOND_LOOK * watch.settle)


def lies(path: Path) -> bool:
    """Whether a path exists.

    Raises:
        OSError: it cannot be known.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
