"""Copy the ledger while the daemon writes, and check whether a ledger or a copy is whole.

Neither changes the ledger or keeps the daemon waiting. Each check is one statement, so that it sees one state.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Select, and_, case, func, or_, select, text

from inspectd.errors import LedgerError
from inspectd.ledger.database import copy_database, open_reader
from inspectd.ledger.schema import FINISHED_STATES, OPEN_STATES, REVISION, Base, State, images, inspections
from inspectd.paths import database_file

RESTORE = "stop inspectd, keep the file, and put the newest good copy in its place"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `fault` says what is wrong and what to do, None if nothing is."""

    name: str
    promise: str
    fault: str | None = None


def backup(url: str, target: Path) -> None:
    """Copy the ledger to `target`. The copy is whole and durable under that name, or not there.

    Raises:
        LedgerError: there is no usable ledger at this software's schema, or the target exists or cannot be written.
    """
    open_reader(url).dispose()
    copy_database(database_file(url), target)


def check(url: str, watches: Collection[str]) -> Iterator[CheckResult]:
    """Read the whole ledger and yield the result of each check as it is made.

    Args:
        watches: the names of the configured watches.

    Raises:
        LedgerError: the ledger cannot be opened.
    """
    engine = open_reader(url)
    for name, promise, look in (
        ("integrity", "the file is undamaged", _integrity),
        ("references", "every row that another row names exists", _references),
        ("schema", f"tables and indexes are those of schema {REVISION}", _schema),
        *((name, promise, _none(found)) for name, promise, found in _RULES),
        ("watches", "every image without an outcome belongs to a configured watch", _watched(watches)),
    ):
        try:
            with engine.connect() as connection:
                fault = look(connection)
        except LedgerError as error:
            fault = str(error)
        yield CheckResult(name, promise, fault)


_count = select(func.count())
_has_inspection = and_(inspections.c.id == images.c.inspection_id, inspections.c.image_id == images.c.id)
_stands = case((images.c.state == State.DONE, inspections.c.verdict), (images.c.state == State.FAILED, State.FAILED))
_no_reason = and_(images.c.state == State.FAILED, images.c.reason.is_(None))
# Rules that hold after every transaction: the check's name, the promise, and the count of rows that break it.
_RULES = (
    ("states", "every image is in a known state", _count.where(images.c.state.not_in(tuple(State)))),
    (
        "verdicts",
        "every image that is done has its inspection",
        _count.select_from(images.outerjoin(inspections, _has_inspection)).where(
            images.c.state == State.DONE, inspections.c.id.is_(None)
        ),
    ),
    (
        "outcome",
        "the verdict of every image is that of its inspection in force",
        _count.select_from(images.outerjoin(inspections, inspections.c.id == images.c.inspection_id)).where(
            images.c.verdict.is_distinct_from(_stands)
        ),
    ),
    (
        "inspections",
        "every inspection belongs to an image that is done",
        _count.select_from(inspections.outerjoin(images, images.c.id == inspections.c.image_id)).where(
            func.coalesce(images.c.state, "") != State.DONE
        ),
    ),
    (
        "outcomes",
        "every outcome has a time, every failure a reason",
        _count.where(images.c.state.in_(FINISHED_STATES), or_(images.c.finished_at.is_(None), _no_reason)),
    ),
    (
        "leases",
        "every claimed image has a lease that ends",
        _count.where(
            images.c.state == State.CLAIMED, or_(images.c.lease_owner.is_(None), images.c.lease_until.is_(None))
        ),
    ),
)


def _integrity(connection: Connection) -> str | None:
    found = connection.scalars(text("PRAGMA integrity_check(3)")).all()
    return None if found == ["ok"] else f"{'; '.join(map(str, found))}: {RESTORE}"


def _references(connection: Connection) -> str | None:
    return _fault(len(connection.execute(text("PRAGMA foreign_key_check")).all()))


def _schema(connection: Connection) -> str | None:
    tables = Base.metadata.tables.values()
    wanted = {table.name for table in tables} | {str(index.name) for table in tables for index in table.indexes}
    missing = sorted({*wanted, "verdicts"} - set(connection.scalars(text("SELECT name FROM sqlite_master"))))
    return f"{', '.join(missing)} missing: {RESTORE}" if missing else None


def _none(found: Select[int]) -> Callable[[Connection], str | None]:
    return lambda connection: _fault(connection.scalar(found) or 0)


def _fault(number: int) -> str | None:
    return f"{number} {'row violates' if number == 1 else 'rows violate'} this: {RESTORE}" if number else None


def _watched(watches: Collection[str]) -> Callable[[Connection], str | None]:
    stranded = (
        select(images.c.watch, func.count().label("number"))
        .where(images.c.state.in_((*OPEN_STATES, State.CLAIMED)), images.c.watch.not_in(watches))
        .group_by(images.c.watch)
    )

    def look(connection: Connection) -> str | None:
        found = [f"{row.watch} ({row.number} {_images(row.number)})" for row in connection.execute(stranded)]
        are = "is" if len(found) == 1 else "are"
        advice = "put the watch back into the configuration"
        return f"{', '.join(found)} {are} not configured: {advice}" if found else None

    return look


def _images(number: int) -> str:
    return "image" if number == 1 else "images"
