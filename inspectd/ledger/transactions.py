"""How the ledger is written: short transactions, statements of bounded size, and the few conditions all writers share.

A transaction here never outlives one method call and never waits for anything but the database. Statements with a list
of values are cut into chunks, well below any database's limit on parameters.
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
REST = 0.005  # seconds between two transactions of one who makes many, in which others get at the ledger

AnyRow = Row[*tuple[Any, ...]]


def is_open(table: FromClause) -> ColumnElement[bool]:
    """Waiting to be claimed, or to become whole. In literal words: only so does it match its partial index."""
    return table.c.state.in_([literal_column(f"'{state}'") for state in OPEN_STATES])


def is_pending(table: FromClause) -> ColumnElement[bool]:
    """Without an outcome; literal for the same reason."""
    return table.c.state.in_([literal_column(f"'{state}'") for state in (*OPEN_STATES, State.CLAIMED)])


def is_claimed(table: FromClause) -> ColumnElement[bool]:
    """Held by a worker; literal for the same reason."""
    return table.c.state == literal_column(f"'{State.CLAIMED}'")


def not_searched(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column's value where no index may serve it, because another condition finds fewer rows.

    SQLite guesses that any equality finds few; `verdict` and `watch` may each find a million.
    """
    return column.concat("")


IS_PENDING = is_pending(images)
IS_FINISHED = images.c.verdict.is_not(None)  # with an outcome, be it a failure
IS_AFTER_PENDING = images.c.after == literal_column(f"'{After.PENDING}'")  # as its partial index says it
IS_OPEN = is_open(images)
IS_CLAIMED = is_claimed(images)

T = TypeVar("T")


def waits(seconds: float = 0.0) -> ColumnElement[bool]:
    """Whether it will be too early, in so many seconds from now, for `after` to act on an image's file."""
    return images.c.after_at > utc_text(datetime.now(UTC) + timedelta(seconds=seconds))


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in lists of at most `size` (itertools.batched, which Python 3.11 lacks)."""
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
        """A transaction that holds the write lock from its first statement: what it has read stays true."""
        return self._engine.begin()

    def writing_without_fsync(self) -> AbstractContextManager[Connection]:
        """Like `writing`, without waiting for the disk: for what a restart after a power cut finds again."""
        return self._without_fsync.begin()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the ledger and never waits for a writer."""
        return self._reader.connect()

    def event(self, kind: str, detail: str, level: int = logging.INFO, **fields: object) -> None:
        """Add to the audit trail what happened, and say it in the log; `fields` are of the log's line alone."""
        with self.writing() as connection:
            trail.write(connection, kind, detail)
        trail.say(kind, detail, level, **fields)
