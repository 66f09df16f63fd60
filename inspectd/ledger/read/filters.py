"""Filters: which images a question is about, as SQL that an index answers in a ledger of years.

Waiting images and finished images are asked for separately: the former are few and ordered by arrival, the latter by
the time of their outcome. Where a condition must not choose the index, it is made with `not_searched`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, false, func, select

from inspectd.clock import utc_text
from inspectd.ledger.schema import OPEN_STATES, State, images, inspections, models
from inspectd.ledger.transactions import CHUNK, IS_FINISHED, IS_PENDING, not_searched

PENDING = "pending"  # the verdict of an image that has none
FEW = 10_000  # outcomes, which are read in milliseconds

JOINED = images.outerjoin(inspections, inspections.c.id == images.c.inspection_id).outerjoin(
    models, models.c.id == inspections.c.model_id
)
_sought = images.alias("sought")
_judged = inspections.alias("judged")

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """A half-open range of times; None is without end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is within the span."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def holds_day(self, day: str) -> bool:
        """Whether any moment of a UTC day, as ``2026-11-23``, is within the span."""
        since = utc_text(self.since)[:10] if self.since else ""
        return day >= since and (self.until is None or f"{day}T00:00:00.000Z" < utc_text(self.until))


@dataclass(frozen=True)
class Filter:
    """Which images a question is about; every condition must hold.

    Attributes:
        since, until: half-open range of the time of the outcome; of the arrival for pending images.
        verdict: ``ok | defect | review | failed | pending``.
        model: a name, or ``name@`` and the first digits of the bundle's hash.
        path: a glob over the path within the watch: ``*`` (also across folders), ``?``, ``[abc]``, ``[!abc]``.
        limit: the newest so many rows; None: all. Does not apply to statistics.
    """

    since: datetime | None = None
    until: datetime | None = None
    watch: str | None = None
    part: str | None = None
    verdict: str | None = None
    label: str | None = None
    model: str | None = None
    score_min: float | None = None
    score_max: float | None = None
    path: str | None = None
    limit: int | None = None

    @property
    def is_about_outcomes(self) -> bool:
        """Whether the filter asks only for verdict, watch and time, which one index has."""
        return self.part is None and self.path is None and not self.is_about_inspections

    @property
    def is_about_inspections(self) -> bool:
        """Whether the filter asks for something that only an image with a verdict has."""
        return any(value is not None for value in (self.label, self.model, self.score_min, self.score_max))


def source(wanted: Filter) -> FromClause:
    """The tables that the filter needs, and no more, so that an index alone may answer."""
    return JOINED if wanted.is_about_inspections else images


def looked_up(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """The images of a part, path, model, label or score, as a condition on ids; an empty list: search by time instead.

    The ids are used if they are fewer than the outcomes that a search by time would read, from the newest on. Each
    condition is answered by an index alone. A glob without a literal beginning, and a score, read the whole index,
    which is still far quicker than reading the images.
    """
    sought = _sought_by_index(wanted)
    for found in sought:
        ids = connection.scalars(found.limit(CHUNK + 1)).all()
        if len(ids) <= CHUNK:
            return [images.c.id.in_(ids)]
    most = FEW
    while sought and not _come_soon(connection, wanted, most):
        most *= 10
        for found in sought:
            if connection.scalar(found.offset(most).limit(1)) is None:
                return [images.c.id.in_(found)]
    return []


def outcomes(wanted: Filter, among: Sequence[ColumnElement[bool]] = ()) -> list[ColumnElement[bool]]:
    """The filter as SQL over its `source`, for finished images.

    Images are found by their ids if `among` has a condition from `looked_up`. Otherwise they are found in the order of
    time, newest first, which the index on watch and verdict has too.
    """
    in_time = not_searched if among else _plain
    finished, verdict = in_time(images.c.finished_at), in_time(images.c.verdict)
    watch = in_time(images.c.watch) if wanted.verdict else not_searched(images.c.watch)
    asked = _asked(
        wanted,
        since=lambda value: finished >= utc_text(value),
        until=lambda value: finished < utc_text(value),
        watch=lambda value: watch == value,
        part=_is_part,
        verdict=lambda value: verdict == value,
        label=lambda value: not_searched(inspections.c.label) == value,
        model=lambda value: inspections.c.model_id.in_(_named(value)),
        score_min=lambda value: inspections.c.score >= value,
        score_max=lambda value: inspections.c.score <= value,
        path=_matches,
    )
    return [IS_FINISHED, *among, *asked]


def waiting(wanted: Filter, among: Sequence[ColumnElement[bool]] = ()) -> list[ColumnElement[bool]]:
    """The filter as SQL over `images`, for images without an outcome."""
    if wanted.is_about_inspections or wanted.verdict not in (None, PENDING):
        return [false()]
    searched = not_searched if among else _plain
    is_pending = not_searched(images.c.state).in_((*OPEN_STATES, State.CLAIMED)) if among else IS_PENDING
    asked = _asked(
        wanted,
        since=lambda value: images.c.seen_at >= utc_text(value),
        until=lambda value: images.c.seen_at < utc_text(value),
        watch=lambda value: searched(images.c.watch) == value,
        part=_is_part,
        path=_matches,
    )
    return [is_pending, *among, *asked]


def model_is(model: str) -> ColumnElement[bool]:
    """Whether a model is the named one: a name, or ``name@`` and the first digits of the bundle's hash."""
    name, _, digits = model.partition("@")
    return and_(models.c.name == name, func.substr(models.c.bundle, 1, len(digits)) == digits)


def _asked(wanted: Filter, **made: Callable[[Any], T]) -> list[T]:
    return [make(value) for name, make in made.items() if (value := getattr(wanted, name)) is not None]


def _plain(column: ColumnElement[str]) -> ColumnElement[str]:
    return column


def _sought_by_index(wanted: Filter) -> list[Select[int]]:
    """One query for each condition with an index of its own: the ids of all images that meet the condition."""
    judged = select(_judged.c.image_id)
    verdicts = _asked(
        wanted,
        label=lambda value: _judged.c.label == value,
        score_min=lambda value: _judged.c.score >= value,
        score_max=lambda value: _judged.c.score <= value,
    )
    found = _asked(
        wanted,
        part=lambda value: select(_sought.c.id).where(_sought.c.part == value),
        path=lambda value: select(_sought.c.id).where(_begins_and_matches(_sought.c.path, value)),
        model=lambda value: judged.where(_judged.c.model_id.in_(_named(value))),
    )
    return [*found, judged.where(*verdicts)] if verdicts else found


def _come_soon(connection: Connection, wanted: Filter, most: int) -> bool:
    """Whether the newest `most` outcomes hold enough matches (the limit, or 10 %), or are all outcomes there are."""
    at = images.c.finished_at
    in_time = Filter(since=wanted.since, until=wanted.until, watch=wanted.watch, verdict=wanted.verdict)
    newest = select(at).where(*outcomes(in_time)).order_by(at.desc(), images.c.id.desc())
    oldest = connection.scalar(newest.offset(most).limit(1))
    if oldest is None:
        return True
    part = most // 10 or 1
    enough = part if wanted.limit is None else min(wanted.limit, part)
    recent = outcomes(replace(wanted, since=datetime.fromisoformat(oldest)))
    found = select(images.c.id).select_from(source(wanted)).where(*recent).limit(enough)
    return len(connection.scalars(found).all()) == enough


def _named(model: str) -> Select[int]:
    return select(models.c.id).where(model_is(model))


def _is_part(part: str) -> ColumnElement[bool]:
    return not_searched(images.c.part) == part


def _matches(pattern: str) -> ColumnElement[bool]:
    return _glob(not_searched(images.c.path), pattern)


def _begins_and_matches(path: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """The literal beginning as a range, which an index serves, and GLOB for the rest."""
    prefix = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if prefix == pattern:
        return path == pattern
    return and_(path >= prefix, path < prefix + "\U0010ffff", _glob(path, pattern))


def _glob(path: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """GLOB, SQLite's own operator. For another database, only this function changes."""
    return path.op("GLOB", is_comparison=True)(pattern.replace("[!", "[^"))
