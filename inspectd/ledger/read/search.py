"""Search the ledger: the images that a filter names, and one image in full. Reads only, for `open_reader`.

Every question is answered in short reads, so that a slow terminal never keeps SQLite from tidying its log.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, bindparam, func, literal_column, or_, select

from inspectd.clock import utc_text
from inspectd.domain import Stat
from inspectd.ledger.read.columns import MODEL, REVIEWED_AS, columns_of
from inspectd.ledger.read.filters import JOINED, PENDING, Filter, looked_up, outcomes, source, waiting
from inspectd.ledger.schema import images, inspections, models, reviews
from inspectd.ledger.transactions import IS_FINISHED, chunks

_LATE = timedelta(seconds=10)  # the wall clock may step back so far without hiding a result from `Follower`


@dataclass(frozen=True)
class Row:
    """An image as the view `verdicts` shows it, after its id."""

    id: int
    verdict: str
    reason: str | None
    reviewed_as: str | None
    watch: str
    path: str
    part: str | None
    inspected_at: str | None
    label: str | None
    score: float | None
    model: str | None
    overlay: str | None
    sha256: str | None


@dataclass(frozen=True)
class InspectionDetail:
    """One verdict of one model in full; `regions` in pixels, `timings` in milliseconds, `logits` as stored."""

    id: int
    inspected_at: str
    verdict: str
    label: str
    score: float
    logits: list[float]
    thresholds: dict[str, float]
    overlay: str | None
    regions: list[dict[str, float]]
    timings: dict[str, float]
    precision: str
    device: str
    software: str
    method: str | None  # how the heat was computed
    page: int | None  # of several, the worst, which decides
    support: float | None  # of a rejection: the share of the margin that goes when its regions are erased
    verdict_falls: bool | None  # whether it is no longer rejected then
    model: str  # name@first 8 of the bundle's hash
    version: int
    bundle: str
    classes: list[str]


@dataclass(frozen=True)
class ReviewDetail:
    """What one person said of an image."""

    reviewed_at: str
    reviewer: str
    reviewed_as: str
    note: str | None


@dataclass(frozen=True)
class Detail:
    """Everything that is known about one image; inspections and reviews oldest first."""

    row: Row
    state: str
    stat: Stat
    seen_at: str
    finished_at: str | None
    fields: dict[str, str]
    attempt: int
    alone: bool
    deaths: int
    after: str | None
    after_at: str | None
    moved_to: str | None
    pinned: bool
    inspection_id: int | None  # the inspection in force
    inspections: tuple[InspectionDetail, ...]
    reviews: tuple[ReviewDetail, ...]

    @property
    def in_force(self) -> InspectionDetail | None:
        """The inspection whose verdict stands: what was acted upon."""
        return next((each for each in self.inspections if each.id == self.inspection_id), None)


_VERDICT = func.coalesce(images.c.verdict, literal_column(f"'{PENDING}'"))
_ROWS = select(
    *columns_of(
        Row,
        *(images, inspections),
        verdict=_VERDICT,
        reviewed_as=REVIEWED_AS,
        inspected_at=images.c.finished_at,
        model=MODEL,
    )
).select_from(JOINED)
_INSPECTIONS = (
    select(*columns_of(InspectionDetail, inspections, models, model=MODEL))
    .join(models, models.c.id == inspections.c.model_id)
    .where(inspections.c.image_id == bindparam("image"))
    .order_by(inspections.c.id)
)
_REVIEWS = (
    select(*columns_of(ReviewDetail, reviews)).where(reviews.c.image_id == bindparam("image")).order_by(reviews.c.id)
)
# The fields of `Detail` that are columns of `images`.
_PLAIN = (
    *("state", "seen_at", "finished_at", "fields", "attempt", "alone", "deaths"),
    *("after", "after_at", "moved_to", "pinned", "inspection_id"),
)


def results(engine: Engine, wanted: Filter) -> Iterator[Row]:
    """The images that the filter names, in the order of `image_ids`.

    Which they are is decided in one read when the first row is taken; the rows follow in pages.
    """
    for chunk in chunks(image_ids(engine, wanted)):
        with engine.connect() as connection:
            rows = {row.id: row for row in connection.execute(_ROWS.where(images.c.id.in_(chunk)))}
        yield from (Row(*rows[image_id]) for image_id in chunk if image_id in rows)


def image_ids(engine: Engine, wanted: Filter) -> Sequence[int]:
    """The images that the filter names: those that wait, newest arrival first; then the rest, newest outcome first."""
    with engine.connect() as connection:
        among = looked_up(connection, wanted)
        pending = select(images.c.id).where(*waiting(wanted, among)).order_by((images.c.id + 0).desc())
        found = list(connection.scalars(pending.limit(wanted.limit)))
        left = None if wanted.limit is None else wanted.limit - len(found)
        judged = select(images.c.id).select_from(source(wanted)).where(*outcomes(wanted, among))
        newest = judged.order_by(images.c.finished_at.desc(), images.c.id.desc())
        return found + list(connection.scalars(newest.limit(left)))


class Follower:
    """Images as they get their outcome, from the moment this object is made."""

    def __init__(self, engine: Engine, wanted: Filter) -> None:
        self._engine = engine
        self._wanted = wanted
        with engine.connect() as connection:
            newest = connection.scalar(select(func.max(images.c.finished_at)).where(IS_FINISHED))
        self._newest: str = newest or ""
        self._told = {(row.inspected_at, row.id) for row in self._recent()}

    def poll(self) -> list[Row]:
        """Return the outcomes since the last poll, oldest first."""
        recent = self._recent()
        new = [row for row in recent if (row.inspected_at, row.id) not in self._told]
        self._newest = max([self._newest, *(row.inspected_at or "" for row in recent)])
        self._told = {(row.inspected_at, row.id) for row in recent}
        return new

    def _recent(self) -> list[Row]:
        """The outcomes from 10 s before the newest known one on.

        The overlap catches several images of the same millisecond, and a clock that was set back.
        """
        start = utc_text(datetime.fromisoformat(self._newest) - _LATE) if self._newest else ""
        with self._engine.connect() as connection:
            query = _ROWS.where(*outcomes(self._wanted), images.c.finished_at >= start)
            return [Row(*row) for row in connection.execute(query.order_by(images.c.finished_at, images.c.id))]


def show(engine: Engine, what: str, watch: str | None = None) -> list[Detail]:
    """Everything known about the images whose id, part or path is `what`, newest first.

    A path is taken as in the ledger, within its watch; where nothing else fits, as a file name in any folder.
    """
    exact = or_(images.c.part == what, images.c.path == what)
    if re.fullmatch(r"\d{1,18}", what):
        exact = or_(exact, images.c.id == int(what))
    in_watch = [images.c.watch == watch] if watch else []
    with engine.connect() as connection:
        query = select(images.c.id).order_by(images.c.id.desc())
        found = connection.scalars(query.where(exact, *in_watch)).all()
        if not found:
            found = connection.scalars(
                query.where(images.c.path.endswith(f"/{what}", autoescape=True), *in_watch)
            ).all()
    return [detail for image_id in found for detail in _detail(engine, image_id)]


def _detail(engine: Engine, image_id: int) -> Iterator[Detail]:
    """One image in full, read in one transaction; nothing if it has been folded into another meanwhile."""
    with engine.connect() as connection:
        row = connection.execute(_ROWS.where(images.c.id == image_id)).one_or_none()
        image = connection.execute(select(images).where(images.c.id == image_id)).one_or_none()
        judged = connection.execute(_INSPECTIONS, {"image": image_id}).all()
        reviewed = connection.execute(_REVIEWS, {"image": image_id}).all()
    if row is None or image is None:
        return
    yield Detail(
        row=Row(*row),
        stat=Stat(image.size, image.mtime_ns, image.ctime_ns),
        inspections=tuple(InspectionDetail(*found) for found in judged),
        reviews=tuple(ReviewDetail(*found) for found in reviewed),
        **{name: getattr(image, name) for name in _PLAIN},
    )
