"""Transactions on the ledger, and the conditions and helpers that its readers and writers share.

A transaction never outlives one method call and never waits for anything but the database. A list of values is cut into
chunks, well below any database's limit on parameters.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, FromClause, Row, literal_column

from inspectd.clock import BootClock, Clock, utc_text
from inspectd.ledger import trail
from inspectd.ledger.database import reading, without_fsync
from inspectd.ledger.schema import OPEN_STATES, After, State, images

FAILED: dict[str, Any] = {"state": State.FAILED, "verdict": State.FAILED}
CHUNK = 500
REST = 0.005  # seconds between two of many transactions, in which other processes get the write lock

AnyRow = Row[*tuple[Any, ...]]


def is_open(table: FromClause) -> ColumnElement[bool]:
    """Whether an image waits to be claimed or to become whole. Literal values, or its partial index would not match."""
    return table.c.state.in_([literal_column(f"'{state}'") for state in OPEN_STATES])


def is_pending(table: FromClause) -> ColumnElement[bool]:
    """Whether an image has no outcome yet; literal for the same reason."""
    return table.c.state.in_([literal_column(f"'{state}'") for state in (*OPEN_STATES, State.CLAIMED)])


def is_claimed(table: FromClause) -> ColumnElement[bool]:
    """Whether a worker holds an image; literal for the same reason."""
    return table.c.state == literal_column(f"'{State.CLAIMED}'")


def not_searched(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column's value, in a form that no index serves: for when another condition finds fewer rows.

    Without statistics SQLite guesses that any equality finds few rows, but `verdict` and `watch` may each find a
    million. Statistics (ANALYZE with a limit, which `PRAGMA optimize` runs) do not replace this. Tried on 300,000
    images, SQLite still sorted all images of a watch to find the newest, and a ledger without statistics, as every new
    one is, took minutes for one query.
    """
    return column.concat("")


IS_PENDING = is_pending(images)
IS_FINISHED = images.c.verdict.is_not(None)  # has an outcome: a verdict or a failure
IS_AFTER_PENDING = images.c.after == literal_column(f"'{After.PENDING}'")  # literal for the same reason
IS_OPEN = is_open(images)
IS_CLAIMED = is_claimed(images)

T = TypeVar("T")


def waits(seconds: float = 0.0) -> ColumnElement[bool]:
    """Whether `after` must still wait with an image's file, `seconds` from now."""
    return images.c.after_at > utc_text(datetime.now(UTC) + timedelta(seconds=seconds))


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Cut the values into lists of at most `size` (`itertools.batched`, which Python 3.11 lacks)."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


class Transactions:
    """One ledger opened for writing, and the clock that its leases are measured on. All parts of `write/` use one."""

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self._engine = engine
        self._reader = reading(engine)
        self._without_fsync = without_fsync(engine)
        self.clock = clock or BootClock()

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that holds the write lock from its beginning, so that what it has read stays true."""
        return self._engine.begin()

    def writing_without_fsync(self) -> AbstractContextManager[Connection]:
        """Like `writing`, without waiting for the disk: for what a restart after a power cut finds again."""
        return self._without_fsync.begin()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the ledger and never waits for a writer."""
        return self._reader.connect()

    def event(self, kind: str, detail: str, level: int = logging.INFO, **fields: object) -> None:
        """Add a row to the audit trail and a line to the log; only the line has the `fields`."""
        with self.writing() as connection:
            trail.write(connection, kind, detail)
        trail.say(kind, detail, level, **fields)
