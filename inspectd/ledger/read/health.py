"""The health of the ledger, read in seconds however large it is: for `inspectd doctor`.

Reads only. `backup.check` checks every row.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from inspectd.ledger import trail
from inspectd.ledger.database import open_reader
from inspectd.ledger.schema import events, inspections
from inspectd.paths import database_file
from inspectd.sizes import GB

QUICK_MOST = GB  # bytes; the quick check reads the whole file: two seconds from memory, a dozen from a slow disk


@dataclass(frozen=True)
class LedgerHealth:
    """The ledger at one moment.

    Attributes:
        size, wal: bytes of the file and of its write-ahead log.
        damage: what the quick check found; None if it found nothing or was not made.
        quick: whether the quick check was made: not in a file of more than `QUICK_MOST`.
        started_at: when the daemon was last started; None if never.
        newest_at: the newest time in the ledger, UTC ISO text; None if there is none.
    """

    size: int
    wal: int
    damage: str | None
    quick: bool
    started_at: str | None
    newest_at: str | None


def ledger_health(url: str, quick_most: int = QUICK_MOST) -> LedgerHealth:
    """Read the health of the ledger.

    Raises:
        LedgerError: the ledger cannot be opened, or is not at this software's schema.
    """
    path = database_file(url)
    engine = open_reader(url)
    size = path.stat().st_size
    quick = size <= quick_most
    with engine.connect() as connection:
        found = connection.scalars(text("PRAGMA quick_check(3)")).all() if quick else ["ok"]
        started = connection.scalar(select(func.max(events.c.at)).where(events.c.kind == trail.START))
        times = [connection.scalar(select(func.max(column))) for column in (events.c.at, inspections.c.inspected_at)]
    return LedgerHealth(
        size=size,
        wal=_size(path.with_name(f"{path.name}-wal")),
        damage=None if found == ["ok"] else "; ".join(map(str, found)),
        quick=quick,
        started_at=started,
        newest_at=max(filter(None, times), default=None),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
