"""The last hours in figures, from the ledger alone: outcomes, failures by reason, times, and what befell the workers.

Reads only, for `open_reader`. It reads the rows of those hours and no others, so that it stays quick over the years.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, Engine, bindparam, func, literal_column, select

from inspectd.clock import utc_text
from inspectd.domain import Verdict
from inspectd.ledger import trail
from inspectd.ledger.read.feed import seconds_between
from inspectd.ledger.records import reason_code
from inspectd.ledger.schema import State, events, images, inspections
from inspectd.ledger.transactions import IS_FINISHED, not_searched

SPAN = timedelta(hours=24)
SAMPLE = 1000  # the newest verdicts whose times are looked at
RESTARTS = {"worker-died": "died", "hang": "hang"}  # the event's kind: what it is called in figures


@dataclass(frozen=True)
class Times:
    """Seconds that half of the images, and 95 % of them, took at most."""

    p50: float
    p95: float


@dataclass(frozen=True)
class RecentFigures:
    """The hours since `since`.

    Attributes:
        outcomes: images by ``ok | defect | review | failed``, 0 included.
        failures: the failed ones by their reason's code, the most frequent first.
        sample: how many of the newest verdicts of all stand behind the times; they may be older than `since`.
        latency: from an image's entry in the ledger to its verdict; None while there is no verdict.
        stages: the time of one image in each stage of the worker.
        restarts: workers that ``died``, and that were killed for a ``hang``.
    """

    since: str
    outcomes: dict[str, int]
    failures: dict[str, int]
    sample: int
    latency: Times | None
    stages: dict[str, Times]
    expired_leases: int
    restarts: dict[str, int]


def recent(engine: Engine, now: datetime) -> RecentFigures:
    """The figures of the `SPAN` before `now`, in one read."""
    since = utc_text(now - SPAN)
    with engine.connect() as connection:
        outcomes = dict.fromkeys((*map(str, Verdict), State.FAILED.value), 0)
        outcomes |= dict(connection.execute(_OUTCOMES, {"since": since}).all())
        failures: Counter[str] = Counter()
        for reason, number in connection.execute(_FAILURES, {"since": since}):
            failures[reason_code(reason or "unknown")] += number
        sample = connection.execute(_NEWEST).all()
        stages: dict[str, list[float]] = {}
        for row in sample:
            for stage, milliseconds in row.timings.items():
                stages.setdefault(stage, []).append(milliseconds / 1000)
        expired, restarts = _workers(connection, since)
        return RecentFigures(
            since=since,
            outcomes=outcomes,
            failures=dict(failures.most_common()),
            sample=len(sample),
            latency=times([seconds_between(row.seen_at, row.inspected_at) for row in sample]),
            stages={stage: found for stage, values in stages.items() if (found := times(values))},
            expired_leases=expired,
            restarts=restarts,
        )


def times(values: Sequence[float]) -> Times | None:
    """The median and the 95th percentile, each a value that occurs (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    return Times(*(ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95)))


def _workers(connection: Connection, since: str) -> tuple[int, dict[str, int]]:
    """How many leases expired, and how many workers were replaced, by what befell them."""
    restarts = dict.fromkeys(RESTARTS.values(), 0)
    expired = 0
    for kind, detail in connection.execute(_EVENTS, {"since": since}):
        if kind == trail.LEASE_EXPIRED:
            expired += trail.expired_count(detail)
        else:
            restarts[RESTARTS[kind]] += 1
    return expired, restarts


_verdict = not_searched(images.c.verdict)  # the time finds them
_OUTCOMES = (
    select(_verdict, func.count()).where(IS_FINISHED, images.c.finished_at >= bindparam("since")).group_by(_verdict)
)
_FAILURES = (
    select(images.c.reason, func.count())
    .where(images.c.finished_at >= bindparam("since"), images.c.verdict == State.FAILED)
    .group_by(images.c.reason)
)
_NEWEST = (
    select(images.c.seen_at, inspections.c.inspected_at, inspections.c.timings)
    .select_from(
        images.join(inspections, inspections.c.id == images.c.inspection_id)
    )  # not what was judged again since
    .where(IS_FINISHED)
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(literal_column(str(SAMPLE)))
)
_EVENTS = select(events.c.kind, events.c.detail).where(
    events.c.at >= bindparam("since"), events.c.kind.in_((*RESTARTS, trail.LEASE_EXPIRED))
)
