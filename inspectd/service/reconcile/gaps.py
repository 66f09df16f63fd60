"""What a comparison of disk and ledger finds, and what it does not yet call a gap."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from inspectd.config import Watch
from inspectd.ingest.settle import SECOND_LOOK
from inspectd.ledger.read.reconcile import Record
from inspectd.ledger.records import Arrival


class Kind(StrEnum):
    """What does not agree with what."""

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
    """One disagreement.

    Attributes:
        path: within the watch, as the ledger writes it; of a stray overlay or sidecar, within `output`.
        detail: what is wrong, as a sentence or a part of one.
        arrival: the file, where it has no row.
        record: the image, where there is one.
    """

    kind: Kind
    watch: str
    path: str
    detail: str
    arrival: Arrival | None = None
    record: Record | None = None


def grace(watch: Watch) -> timedelta:
    """How long a file may lie in a watch before it must have a row: until the next scan, and then a second look."""
    return timedelta(seconds=watch.rescan + SECOND_LOOK * watch.settle)


def lies(path: Path) -> bool:
    """Whether anything lies at a path.

    Raises:
        OSError: it cannot be known.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
