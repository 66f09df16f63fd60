"""The feed: what is new in the ledger since the last look, and what waits there now. The metrics are made from it.

Every committed row is reported exactly once, whatever a worker says. A look is one bounded read. Verdicts and events
are followed by their ids, failures by their time: after the clock was set back by more than `LATE`, one look reports no
failure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection, Engine, bindparam, func, select

from inspectd.clock import utc_text
from inspectd.ledger.database import reading
from inspectd.ledger.records import reason_code
from inspectd.ledger.schema import State, events, images, inspections
from inspectd.ledger.transactions import IS_PENDING, AnyRow

MOST = 2048  # verdicts, or events, in one look; more than the largest batch
LATE = timedelta(seconds=10)  # the wall clock may step back so far without an effect


@dataclass(frozen=True)
class NewVerdict:
    """One image that got its verdict. An image that is judged again does not count.

    Attributes:
        latency: seconds from the moment the file was first seen whole to its verdict; 0 if the clock was set back.
        stages: seconds by stage.
    """

    watch: str
    verdict: str
    latency: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Backlog:
    """Images without an outcome by (watch, state), and when the oldest queued image of each watch was first seen."""

    counts: dict[tuple[str, str], int]
    oldest: dict[str, datetime]


@dataclass(frozen=True)
class News:
    """The result of one look.

    Attributes:
        batches: how many images each call of a network judged.
        failed: watch and code of every image that failed.
        events: kind and detail of every row of the audit trail.
        more: whether there is more than one look takes; look again soon.
    """

    verdicts: tuple[NewVerdict, ...]
    batches: tuple[int, ...]
    failed: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]
    backlog: Backlog
    more: bool


class Feed:
    """Follows one ledger from the moment this object is made."""

    def __init__(self, engine: Engine, now: datetime) -> None:
        self._engine = reading(engine)
        self._looked = now
        with self._engine.connect() as connection:
            self._inspection = _newest(connection, _NEWEST_INSPECTION)
            self._event = _newest(connection, _NEWEST_EVENT)
            self._failed = {(row.id, row.finished_at) for row in _failures(connection, now)}

    def look(self, now: datetime) -> News:
        """Return what was committed since the last look; `now` is the wall clock's time, with its zone."""
        with self._engine.connect() as connection:
            judged, more = self._take_inspections(connection)
            told, more_told = self._take_events(connection)
            failed = self._take_failures(connection, now)
            waiting = backlog(connection)
        return News(
            verdicts=tuple(map(_new_verdict, judged)),
            batches=tuple(len(list(batch)) for _, batch in groupby(judged, _batch)),
            failed=failed,
            events=told,
            backlog=waiting,
            more=more or more_told,
        )

    def _take_inspections(self, connection: Connection) -> tuple[list[AnyRow], bool]:
        """The next verdicts, in whole batches: one transaction has one time."""
        rows = list(connection.execute(_INSPECTIONS, {"after": self._inspection}))
        is_full = len(rows) == MOST
        if is_full and _batch(rows[0]) != _batch(rows[-1]):
            rows = [row for row in rows if _batch(row) != _batch(rows[-1])]
        if rows:
            self._inspection = rows[-1].id
        return [row for row in rows if row.is_in_force], is_full

    def _take_events(self, connection: Connection) -> tuple[tuple[tuple[str, str], ...], bool]:
        rows = connection.execute(_EVENTS, {"after": self._event}).all()
        if rows:
            self._event = rows[-1].id
        return tuple((row.kind, row.detail) for row in rows), len(rows) == MOST

    def _take_failures(self, connection: Connection, now: datetime) -> tuple[tuple[str, str], ...]:
        """The failures since the last look, and those shortly before it that were not committed then."""
        was_set_back = now < self._looked - LATE
        rows = _failures(connection, now if was_set_back else self._looked)
        new = [row for row in rows if (row.id, row.finished_at) not in self._failed]
        self._failed = {(row.id, row.finished_at) for row in rows}
        self._looked = now
        # After the clock was set back, all rows later than `now` look new. They count as reported from here on.
        return () if was_set_back else tuple((row.watch, reason_code(row.reason or "unknown")) for row in new)


def backlog(connection: Connection) -> Backlog:
    """Read what waits in the ledger now, from an index."""
    counts = {(row.watch, row.state): row.number for row in connection.execute(BACKLOG)}
    waiting = [watch for watch, state in counts if state == State.QUEUED]
    seen = {watch: connection.scalar(_OLDEST, {"watch": watch}) for watch in waiting}
    return Backlog(counts, {watch: datetime.fromisoformat(at) for watch, at in seen.items() if at})


_NEWEST_INSPECTION = select(func.max(inspections.c.id))
_NEWEST_EVENT = select(func.max(events.c.id))
_INSPECTIONS = (
    select(
        *(inspections.c.id, inspections.c.model_id, inspections.c.inspected_at, inspections.c.verdict),
        *(inspections.c.timings, images.c.watch, images.c.seen_at),
        (images.c.inspection_id == inspections.c.id).label("is_in_force"),
    )
    .join(images, images.c.id == inspections.c.image_id)
    .where(inspections.c.id > bindparam("after"))
    .order_by(inspections.c.id)
    .limit(MOST)
)
_EVENTS = select(events).where(events.c.id > bindparam("after")).order_by(events.c.id).limit(MOST)
_FAILURES = select(images.c.id, images.c.finished_at, images.c.watch, images.c.reason).where(
    images.c.finished_at >= bindparam("since"), images.c.verdict == State.FAILED
)
BACKLOG = (
    select(images.c.watch, images.c.state, func.count().label("number"))
    .where(IS_PENDING)
    .group_by(images.c.state, images.c.watch)
)
_OLDEST = (
    select(images.c.seen_at)
    .where(images.c.state == State.QUEUED, images.c.watch == bindparam("watch"), IS_PENDING)
    .order_by(images.c.id)
    .limit(1)
)


def _newest(connection: Connection, query: object) -> int:
    return int(connection.scalar(query) or 0)  # type: ignore[call-overload]


def _failures(connection: Connection, since: datetime) -> list[AnyRow]:
    return list(connection.execute(_FAILURES, {"since": utc_text(since - LATE)}))


def _batch(row: AnyRow) -> tuple[str, int]:
    return row.inspected_at, row.model_id


def _new_verdict(row: AnyRow) -> NewVerdict:
    return NewVerdict(
        watch=row.watch,
        verdict=row.verdict,
        latency=seconds_between(row.seen_at, row.inspected_at),
        stages={stage: milliseconds / 1000 for stage, milliseconds in row.timings.items()},
    )


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two times of the ledger; 0 if the clock was set back between them."""
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
