"""What the ledger knows about images, to be compared with the disk. Reads only, for `open_reader`.

The images are read in pages by id. Each page is a short transaction, so that a ledger of years takes little memory and
never keeps SQLite from tidying its log. A page may be out of date when it is compared: `read_again` reads it anew.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, func, select

from inspectd.clock import utc_text
from inspectd.domain import Stat
from inspectd.ledger.database import reading
from inspectd.ledger.read.filters import JOINED, Span
from inspectd.ledger.records import Finished
from inspectd.ledger.schema import FINISHED_STATES, State, images, inspections, models, removals
from inspectd.ledger.transactions import CHUNK, IS_CLAIMED, IS_OPEN, AnyRow, chunks


@dataclass(frozen=True)
class VerdictInForce:
    """The verdict in force on an image, as far as its overlay and sidecar need it."""

    inspection_id: int
    verdict: str
    label: str
    score: float
    overlay: str | None
    support: float | None
    bundle: str


@dataclass(frozen=True)
class Record:
    """One image as the ledger has it, with its verdict in force."""

    image_id: int
    watch: str
    path: str
    stat: Stat
    seen_at: str
    part: str | None
    sha256: str | None
    state: str
    reason: str | None
    finished_at: str | None
    after: str | None
    moved_to: str | None
    in_force: VerdictInForce | None

    @property
    def is_finished(self) -> bool:
        """Whether the image has its outcome."""
        return self.state in FINISHED_STATES

    @property
    def outcome(self) -> str:
        """The verdict in force, or ``failed``. Only a finished image has one."""
        return self.in_force.verdict if self.in_force else State.FAILED

    def finished(self) -> Finished:
        """The image as `after` takes it. Only for a finished image."""
        return Finished(self.image_id, self.watch, self.path, self.stat, self.outcome, self.finished_at or "")


def records(engine: Engine, span: Span, watch: str | None) -> Iterator[list[Record]]:
    """Yield the images that were first seen in the span, in pages, oldest first."""
    wanted = [images.c.watch == watch] if watch else []
    wanted += [images.c.seen_at >= utc_text(span.since)] if span.since else []
    wanted += [images.c.seen_at < utc_text(span.until)] if span.until else []
    beyond = 0
    while page := _read(engine, _RECORDS.where(images.c.id > beyond, *wanted).order_by(images.c.id).limit(CHUNK)):
        yield page
        beyond = page[-1].image_id


def read_again(engine: Engine, ids: Sequence[int]) -> list[Record]:
    """Read at most 500 images again; images that have been folded into others are missing."""
    return _read(engine, _RECORDS.where(images.c.id.in_(ids)).order_by(images.c.id))


def superseded(engine: Engine, asked: Sequence[Record]) -> set[int]:
    """The ids of those images, of at most 500, whose path has a newer row, which stands for the file there now."""
    newest = select(images.c.watch, images.c.path, func.max(images.c.id).label("newest")).where(
        images.c.path.in_({record.path for record in asked})
    )
    with reading(engine).connect() as connection:
        found = connection.execute(newest.group_by(images.c.path, images.c.watch)).all()
    last = {(row.watch, row.path): row.newest for row in found}
    return {each.image_id for each in asked if last.get((each.watch, each.path), 0) > each.image_id}


def without_outcome(engine: Engine, watch: str, paths: Sequence[str]) -> set[str]:
    """The given paths that have a row without an outcome."""
    in_watch = images.c.watch == watch
    return set().union(*(_known(engine, images.c.path, paths, in_watch, state) for state in (IS_OPEN, IS_CLAIMED)))


def watches(engine: Engine) -> list[str]:
    """The watches that the ledger has images of, by name."""
    with reading(engine).connect() as connection:
        return list(connection.scalars(select(images.c.watch).distinct().order_by(images.c.watch)))


def bundles(engine: Engine) -> list[str]:
    """The identities of all models that were ever in service here, oldest first."""
    with reading(engine).connect() as connection:
        return list(connection.scalars(select(models.c.bundle).order_by(models.c.id)))


@dataclass(frozen=True)
class ArtifactOwner:
    """The image whose id stands in the name of an overlay or sidecar."""

    state: str
    bundles: frozenset[str]  # identities of the models that have judged it
    overlays: frozenset[str]


def artifact_owners(engine: Engine, ids: Iterable[int]) -> dict[int, ArtifactOwner]:
    """The images that the names of overlays and sidecars mean, by id; an unknown id is missing."""
    found: dict[int, list[AnyRow]] = {}
    with reading(engine).connect() as connection:
        for chunk in chunks(ids):
            for row in connection.execute(_OWNERS.where(images.c.id.in_(chunk))):
                found.setdefault(row.id, []).append(row)
    return {
        image_id: ArtifactOwner(
            state=rows[0].state,
            bundles=frozenset(row.bundle for row in rows if row.bundle),
            overlays=frozenset(row.overlay for row in rows if row.overlay),
        )
        for image_id, rows in found.items()
    }


def being_removed(engine: Engine, paths: Sequence[str]) -> set[str]:
    """The given overlays and sidecars that retention is about to remove."""
    return _known(engine, removals.c.path, paths)


_RECORDS: Select[Any] = select(
    *(images.c[name] for name in ("id", "watch", "path", "size", "mtime_ns", "ctime_ns", "seen_at", "part", "sha256")),
    *(images.c[name] for name in ("state", "reason", "finished_at", "after", "moved_to", "inspection_id")),
    *(inspections.c[name] for name in ("verdict", "label", "score", "overlay", "support")),
    models.c.bundle,
).select_from(JOINED)
_OWNERS = select(images.c.id, images.c.state, inspections.c.overlay, models.c.bundle).select_from(
    images.outerjoin(inspections, inspections.c.image_id == images.c.id).outerjoin(
        models, models.c.id == inspections.c.model_id
    )
)


def _known(engine: Engine, path: ColumnElement[str], paths: Sequence[str], *which: ColumnElement[bool]) -> set[str]:
    """The given paths that stand in a column, in rows that meet the conditions."""
    with reading(engine).connect() as connection:
        found = (connection.scalars(select(path).where(path.in_(chunk), *which)) for chunk in chunks(paths))
        return {each for rows in found for each in rows}


def _read(engine: Engine, query: Select[Any]) -> list[Record]:
    with reading(engine).connect() as connection:
        return [_record(row) for row in connection.execute(query)]


def _record(row: AnyRow) -> Record:
    in_force = None
    if row.verdict is not None:
        in_force = VerdictInForce(
            row.inspection_id, row.verdict, row.label, row.score, row.overlay, row.support, row.bundle
        )
    return Record(
        image_id=row.id,
        watch=row.watch,
        path=row.path,
        stat=Stat(row.size, row.mtime_ns, row.ctime_ns),
        seen_at=row.seen_at,
        part=row.part,
        sha256=row.sha256,
        state=row.state,
        reason=row.reason,
        finished_at=row.finished_at,
        after=row.after,
        moved_to=row.moved_to,
        in_force=in_force,
    )
