"""What `inspectd status` shows: what waits, the newest verdicts and events, and the figures of the last 24 hours.

Reads only, for `open_reader`. Every question is answered from an index, and the figures read the rows of those hours
alone, so that the answer stays quick on a ledger of years.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import Connection, Engine, Select, bindparam, func, literal_column, select

from inspectd.clock import utc_text
from inspectd.domain import Verdict
from inspectd.ledger import trail
from inspectd.ledger.read.columns import MODEL
from inspectd.ledger.read.feed import BACKLOG, seconds_between
from inspectd.ledger.records import reason_code
from inspectd.ledger.schema import State, events, images, inspections, models
from inspectd.ledger.transactions import IS_AFTER_PENDING, IS_FINISHED, IS_PENDING, not_searched, waits
from inspectd.ledger.write.reinspections import reinspecting

SPAN = timedelta(hours=24)
SAMPLE = 1000  # the newest verdicts whose times are measured
RESTARTS = {"worker-died": "died", "hang": "hang"}  # the event's kind: its name in the figures


@dataclass(frozen=True)
class WatchStatus:
    """One watch: its images by state, and its newest verdict.

    Attributes:
        configured: whether the configuration names the watch; images of other watches are not worked on.
        counts: the number of images by every state, 0 included.
        oldest_queued_at: when the image that has been queued longest was first seen; None if none is queued.
        last_verdict_at, model, version: of the newest verdict; the model as name@hash.
        brightness: why images since the daemon's last start do not suit the bits of that model; None if they do.
        after_pending: how many files `after` has still to move or delete.
        after_waiting: those of them that may be unfinished, and must first stay unchanged for a while.
    """

    watch: str
    configured: bool
    counts: dict[str, int]
    oldest_queued_at: str | None
    last_verdict_at: str | None
    model: str | None
    version: int | None
    brightness: str | None
    after_pending: int
    after_waiting: int


@dataclass(frozen=True)
class LastEvent:
    """The newest row of one kind in the audit trail."""

    kind: str
    at: str
    detail: str


@dataclass(frozen=True)
class Status:
    """The ledger at one moment; configured watches first, events in the order in which they happened."""

    last_verdict_at: str | None
    reinspecting: int  # earlier images that are still to be judged again
    watches: tuple[WatchStatus, ...]
    events: tuple[LastEvent, ...]


def status(engine: Engine, configured: Sequence[str]) -> Status:
    """Read the present state of all configured watches, and of others that the ledger has images of."""
    with engine.connect() as connection:
        counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(map(str, State), 0))
        for row in connection.execute(BACKLOG):
            counts[row.watch][row.state] = row.number
        for row in connection.execute(_FINISHED):
            counts[row.watch][State.FAILED if row.verdict == State.FAILED else State.DONE] += row.number
        oldest = {row.watch: row.seen_at for row in connection.execute(_OLDEST)}
        after = {row.watch: (row.pending, row.waiting) for row in connection.execute(_after_pending())}
        names = [*configured, *sorted(set(counts) - set(configured))]
        return Status(
            last_verdict_at=connection.scalar(_LAST_VERDICT),
            reinspecting=reinspecting(connection),
            watches=tuple(
                WatchStatus(
                    *(name, name in configured, counts[name], oldest.get(name)),
                    *_newest_verdict(connection, name),
                    *after.get(name, (0, 0)),
                )
                for name in names
            ),
            events=tuple(LastEvent(row.kind, row.at, row.detail) for row in connection.execute(_LAST_EVENTS)),
        )


_number = func.count().label("number")
_FINISHED = (
    select(images.c.watch, images.c.verdict, _number).where(IS_FINISHED).group_by(images.c.watch, images.c.verdict)
)
_OLDEST = (
    select(images.c.watch, func.min(images.c.seen_at).label("seen_at"))
    .where(images.c.state == State.QUEUED, IS_PENDING)
    .group_by(images.c.watch)
)
_LAST_VERDICT = (
    select(images.c.finished_at)
    .where(IS_FINISHED, images.c.inspection_id.is_not(None))
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(1)
)
_newest_of_each_kind = select(func.max(events.c.id)).group_by(events.c.kind)
_LAST_EVENTS = select(events).where(events.c.id.in_(_newest_of_each_kind)).order_by(events.c.id)
_BRIGHTNESS = (
    select(events.c.detail)
    .where(events.c.kind == trail.BRIGHTNESS, trail.SINCE_START)
    .order_by(events.c.id.desc())
    .limit(1)
)
_NEWEST_VERDICT = (
    select(images.c.id, images.c.finished_at, MODEL.label("model"), models.c.version)
    .select_from(images)
    .join(inspections, inspections.c.id == images.c.inspection_id)
    .join(models, models.c.id == inspections.c.model_id)
    .where(images.c.watch == bindparam("watch"), images.c.verdict == bindparam("verdict"))
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(1)
)


def _after_pending() -> Select[Any]:
    """By watch, how many files `after` has still to move or delete, and how many of them must wait."""
    counted = func.count().label("pending"), func.count().filter(waits()).label("waiting")
    return select(images.c.watch, *counted).where(IS_AFTER_PENDING).group_by(images.c.watch)


def _newest_verdict(connection: Connection, watch: str) -> tuple[str | None, str | None, int | None, str | None]:
    """When a watch got its newest verdict, by which model and version, and why its images do not suit that model."""
    asked = ({"watch": watch, "verdict": verdict} for verdict in Verdict)
    found = [connection.execute(_NEWEST_VERDICT, values).one_or_none() for values in asked]
    newest = max(filter(None, found), key=lambda row: (row.finished_at, row.id), default=None)
    if newest is None:
        return None, None, None, None
    beginning = trail.brightness(watch, newest.model, "")
    sentence = connection.scalar(_BRIGHTNESS.where(events.c.detail.startswith(beginning, autoescape=True)))
    return newest.finished_at, newest.model, newest.version, sentence and sentence.removeprefix(beginning)


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
        sample: how many of the newest verdicts the times are taken from; these may be older than `since`.
        latency: from an image's entry in the ledger to its verdict; None if there is no verdict.
        stages: the time of one image in each stage of the worker.
        restarts: workers that ``died``, and workers that were killed for a ``hang``.
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
    """Read the figures of the `SPAN` before `now`."""
    since = utc_text(now - SPAN)
    with engine.connect() as connection:
        outcomes = dict.fromkeys((*map(str, Verdict), State.FAILED.value), 0)
        outcomes |= {row.verdict: row.number for row in connection.execute(_OUTCOMES, {"since": since})}
        failures: Counter[str] = Counter()
        for row in connection.execute(_FAILURES, {"since": since}):
            failures[reason_code(row.reason or "unknown")] += row.number
        sample = connection.execute(_NEWEST_VERDICTS).all()
        stages: dict[str, list[float]] = {}
        for row in sample:
            for stage, milliseconds in row.timings.items():
                stages.setdefault(stage, []).append(milliseconds / 1000)
        expired, restarts = 0, dict.fromkeys(RESTARTS.values(), 0)
        for row in connection.execute(_WORKER_EVENTS, {"since": since}):
            if row.kind == trail.LEASE_EXPIRED:
                expired += trail.expired_count(row.detail)
            else:
                restarts[RESTARTS[row.kind]] += 1
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
    """The median and the 95th percentile, each a value that occurs (nearest rank); None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    return Times(*(ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95)))


_verdict = not_searched(images.c.verdict)  # the time finds the rows
_OUTCOMES = (
    select(_verdict.label("verdict"), _number)
    .where(IS_FINISHED, images.c.finished_at >= bindparam("since"))
    .group_by(_verdict)
)
_FAILURES = (
    select(images.c.reason, _number)
    .where(images.c.finished_at >= bindparam("since"), images.c.verdict == State.FAILED)
    .group_by(images.c.reason)
)
_NEWEST_VERDICTS = (  # verdicts in force: an image that was judged again counts with its first verdict
    select(images.c.seen_at, inspections.c.inspected_at, inspections.c.timings)
    .select_from(images.join(inspections, inspections.c.id == images.c.inspection_id))
    .where(IS_FINISHED)
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(literal_column(str(SAMPLE)))
)
_WORKER_EVENTS = select(events.c.kind, events.c.detail).where(
    events.c.at >= bindparam("since"), events.c.kind.in_((*RESTARTS, trail.LEASE_EXPIRED))
)
