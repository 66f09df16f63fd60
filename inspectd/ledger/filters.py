"""Which images a question is about, and how SQL asks for them so that an index finds them in a ledger of years.

Images that wait and images that have their outcome are asked for apart: the former are few and stand in the order of
their arrival, the latter stand in the order of time. SQLite keeps no statistics here and guesses that any equality
finds few rows, so what must not choose the index is said where the condition is made.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, false, func, select

from inspectd.clock import utc_text
from inspectd.ledger.schema import OPEN_STATES, State, images, inspections, models
from inspectd.ledger.transactions import IS_JUDGED, IS_PENDING, not_searched

PENDING = "pending"  # the verdict of an image that has none
FEW = 20_000  # images that are sorted in milliseconds; of what finds more, the newest come sooner in the order of time

JOINED = images.outerjoin(inspections, inspections.c.id == images.c.inspection_id).outerjoin(
    models, models.c.id == inspections.c.model_id
)
_judged = inspections.alias("judged")


@dataclass(frozen=True)
class Filter:
    """Which images a question is about; every condition must hold.

    Attributes:
        since, until: half-open range of the time of the outcome; of the arrival's while pending.
        verdict: ``ok | defect | review | failed | pending``.
        model: a name, or ``name@`` and the first digits of the bundle's hash.
        path: a glob over the path within the watch: ``*`` (also across folders), ``?``, ``[abc]``, ``[!abc]``.
        limit: at most so many rows, the newest; None: all. Does not apply to statistics.
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
    def is_about_inspections(self) -> bool:
        """Whether it asks for what only an image with a verdict has."""
        return any(value is not None for value in (self.label, self.model, self.score_min, self.score_max))


def source(wanted: Filter) -> FromClause:
    """The tables that the filter's conditions are about: no more, so that an index alone may answer."""
    return JOINED if wanted.is_about_inspections else images


def outcomes(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter as SQL over its `source`, for the images that have their outcome.

    What finds few images finds them by its own index. All else goes in the order of time, in which the newest are found
    first, and which watch and verdict together have too.
    """
    finder = _finder(connection, wanted)
    in_time = not_searched if finder else _plain
    finished, verdict = in_time(images.c.finished_at), in_time(images.c.verdict)
    watch = in_time(images.c.watch) if wanted.verdict else not_searched(images.c.watch)
    path = images.c.path if finder == "path" else not_searched(images.c.path)
    asked = _asked(
        wanted,
        since=lambda value: finished >= utc_text(value),
        until=lambda value: finished < utc_text(value),
        watch=lambda value: watch == value,
        part=lambda value: images.c.part == value,
        verdict=lambda value: verdict == value,
        label=lambda value: inspections.c.label == value,
        model=lambda value: _is_of(value, by_index=finder == "model"),
        score_min=lambda value: inspections.c.score >= value,
        score_max=lambda value: inspections.c.score <= value,
        path=lambda value: _matches(path, value),
    )
    return [IS_JUDGED, *asked]


def waiting(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter as SQL over `images`, for those that have no outcome yet."""
    if wanted.is_about_inspections or wanted.verdict not in (None, PENDING):
        return [false()]
    finder = _finder(connection, wanted)
    watch = not_searched(images.c.watch) if finder else images.c.watch
    path = images.c.path if finder == "path" else not_searched(images.c.path)
    by_state = not_searched(images.c.state).in_((*OPEN_STATES, State.CLAIMED)) if finder else IS_PENDING
    asked = _asked(
        wanted,
        since=lambda value: images.c.seen_at >= utc_text(value),
        until=lambda value: images.c.seen_at < utc_text(value),
        watch=lambda value: watch == value,
        part=lambda value: images.c.part == value,
        path=lambda value: _matches(path, value),
    )
    return [by_state, *asked]


def model_is(model: str) -> ColumnElement[bool]:
    """A name, or ``name@`` and the first digits of the bundle's hash."""
    name, _, digits = model.partition("@")
    return and_(models.c.name == name, func.substr(models.c.bundle, 1, len(digits)) == digits)


def _asked(wanted: Filter, **made: Callable[[Any], ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    return [make(value) for name, make in made.items() if (value := getattr(wanted, name)) is not None]


def _plain(column: ColumnElement[str]) -> ColumnElement[str]:
    return column


def _finder(connection: Connection, wanted: Filter) -> str | None:
    """Which of the conditions finds few images by an index of its own."""
    if wanted.part is not None:
        return "part"
    if wanted.path is not None and _are_few(connection, select(images.c.id).where(_begins_like(wanted.path))):
        return "path"
    if wanted.model is not None and _are_few(connection, _images_of(wanted.model)):
        return "model"
    return None


def _are_few(connection: Connection, found: Select[int]) -> bool:
    counted = select(func.count()).select_from(found.limit(FEW + 1).subquery())
    return (connection.scalar(counted) or 0) <= FEW


def _named(model: str) -> Select[int]:
    return select(models.c.id).where(model_is(model))


def _images_of(model: str) -> Select[int]:
    return select(_judged.c.image_id).where(_judged.c.model_id.in_(_named(model)))


def _is_of(model: str, *, by_index: bool) -> ColumnElement[bool]:
    """That the verdict in force is this model's."""
    in_force = inspections.c.model_id.in_(_named(model))
    return and_(images.c.id.in_(_images_of(model)), in_force) if by_index else in_force


def _prefix(pattern: str) -> str:
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def _begins_like(pattern: str) -> ColumnElement[bool]:
    """The path's literal beginning, as a range that an index serves."""
    prefix = _prefix(pattern)
    return and_(images.c.path >= prefix, images.c.path < prefix + "\U0010ffff")


def _matches(path: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """A range over the literal beginning, and GLOB for the rest.

    GLOB is SQLite's own operator: another database needs its own spelling here, and nowhere else.
    """
    prefix = _prefix(pattern)
    if prefix == pattern:
        return path == pattern
    matches = path.op("GLOB", is_comparison=True)(pattern.replace("[!", "[^"))
    return and_(path >= prefix, path < prefix + "\U0010ffff", matches)
