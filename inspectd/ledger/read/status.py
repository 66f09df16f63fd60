"""What stands now, from the ledger alone: what waits, what was last judged and by which model, what last happened.

Reads only, for `open_reader`, and quick on a ledger of years: every question is answered from an index.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, bindparam, func, select

from inspectd.domain import Verdict
from inspectd.ledger import trail
from inspectd.ledger.schema import State, events, images, inspections, models
from inspectd.ledger.transactions import IS_AFTER_PENDING, IS_FINISHED, IS_PENDING, waits
from inspectd.ledger.write.reinspections import reinspecting


@dataclass(frozen=True)
class WatchStatus:
    """One watch: its images by state, and its newest verdict.

    Attributes:
        configured: whether the configuration names it; what waits in another one is not worked on.
        counts: the number of images by every state, 0 included.
        oldest_queued_at: when the image that has been queued longest was first seen; None while none is.
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
    """The newest line of one kind in the audit trail."""

    kind: str
    at: str
    detail: str


@dataclass(frozen=True)
class Status:
    """The ledger at one moment; configured watches first, events in the order in which they happened."""

    last_verdict_at: str | None
    reinspecting: int  # past images that are still to be judged again
    watches: tuple[WatchStatus, ...]
    events: tuple[LastEvent, ...]


def status(engine: Engine, configured: Sequence[str]) -> Status:
    """What stands now, in one read."""
    with engine.connect() as connection:
        counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(map(str, State), 0))
        for watch, state, number in connection.execute(_WAITING):
            counts[watch][state] = number
        for watch, verdict, number in connection.execute(_FINISHED):
            counts[watch][State.FAILED if verdict == State.FAILED else State.DONE] += number
        oldest = dict(connection.execute(_OLDEST).all())
        owed = {watch: (pending, waiting) for watch, pending, waiting in connection.execute(_owed())}
        names = [*configured, *sorted(set(counts) - set(configured))]
        return Status(
            last_verdict_at=connection.scalar(_LAST),
            reinspecting=reinspecting(connection),
            watches=tuple(
                WatchStatus(
                    *(name, name in configured, counts[name], oldest.get(name)),
                    *_last(connection, name),
                    *owed.get(name, (0, 0)),
                )
                for name in names
            ),
            events=tuple(LastEvent(*row) for row in connection.execute(_EVENTS)),
        )


_WAITING = (
    select(images.c.watch, images.c.state, func.count()).where(IS_PENDING).group_by(images.c.state, images.c.watch)
)
_FINISHED = (
    select(images.c.watch, images.c.verdict, func.count()).where(IS_FINISHED).group_by(images.c.watch, images.c.verdict)
)
_OLDEST = (
    select(images.c.watch, func.min(images.c.seen_at))
    .where(images.c.state == State.QUEUED, IS_PENDING)
    .group_by(images.c.watch)
)
_LAST = (
    select(images.c.finished_at)
    .where(IS_FINISHED, images.c.inspection_id.is_not(None))
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(1)
)
_newest = select(func.max(events.c.id)).group_by(events.c.kind)
_EVENTS = select(events.c.kind, events.c.at, events.c.detail).where(events.c.id.in_(_newest)).order_by(events.c.id)


_BRIGHTNESS = (
    select(events.c.detail)
    .where(events.c.kind == trail.BRIGHTNESS, trail.SINCE_START)
    .order_by(events.c.id.desc())
    .limit(1)
)


def _owed() -> Select[Any]:
    """By watch, how many files `after` has still to move or delete, and how many of them it is too early for."""
    return (
        select(images.c.watch, func.count(), func.count().filter(waits()))
        .where(IS_AFTER_PENDING)
        .group_by(images.c.watch)
    )


def _last(connection: Connection, watch: str) -> tuple[str | None, str | None, int | None, str | None]:
    """When the newest verdict of a watch was given, by which model and version, and whether its images suit that."""
    found = [connection.execute(_NEWEST, {"watch": watch, "verdict": verdict}).one_or_none() for verdict in Verdict]
    newest = max(filter(None, found), key=lambda row: (row.finished_at, row.id), default=None)
    if newest is None:
        return None, None, None, None
    told = trail.brightness(watch, newest.model, "")
    sentence = connection.scalar(_BRIGHTNESS.where(events.c.detail.startswith(told, autoescape=True)))
    return newest.finished_at, newest.model, newest.version, sentence and sentence.removeprefix(told)


_NEWEST = (
    select(
        *(images.c.id, images.c.finished_at),
        (models.c.name + "@" + func.substr(models.c.bundle, 1, 8)).label("model"),
        models.c.version,
    )
    .select_from(images)
    .join(inspections, inspections.c.id == images.c.inspection_id)
    .join(models, models.c.id == inspections.c.model_id)
    .where(images.c.watch == bindparam("watch"), images.c.verdict == bindparam("verdict"))
    .order_by(images.c.finished_at.desc(), images.c.id.desc())
    .limit(1)
)
