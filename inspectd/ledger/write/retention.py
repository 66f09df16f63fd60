"""Retention's side of the ledger: find the oldest files and rows, let go of them, and note which files must follow.

In one transaction the ledger lets go of a file and notes in `removals` that the file is still to be removed. If the
file were removed first, a crash in between would leave a verdict that points at nothing. Without the note, it would
leave a file that no row names. Retention removes the noted files before anything else. Images that are pinned,
reviewed, or a `review` of any model are never let go of: each statement checks this itself.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from inspectd.domain import Verdict
from inspectd.ledger import trail
from inspectd.ledger.records import Cursor, Removal, RetentionCandidate
from inspectd.ledger.schema import (
    FINISHED_STATES,
    After,
    State,
    events,
    images,
    inspections,
    models,
    redraws,
    reinspection_images,
    removals,
    reviews,
)
from inspectd.ledger.transactions import IS_FINISHED, Transactions, not_searched

_REVIEW: ColumnElement[str] = literal_column(f"'{Verdict.REVIEW}'")  # literal words match the partial indexes
_any_inspection = inspections.alias()
_REVIEWED = exists().where(reviews.c.image_id == images.c.id)
_UNDER_REVIEW = exists().where(_any_inspection.c.image_id == images.c.id, _any_inspection.c.verdict == _REVIEW)
PROTECTED = or_(images.c.pinned, _REVIEWED, _UNDER_REVIEW)

_HAS_OVERLAY = and_(inspections.c.overlay.is_not(None), inspections.c.verdict != _REVIEW)
_IS_MOVED = and_(images.c.after == literal_column(f"'{After.MOVED}'"), images.c.state == State.DONE)
_newer = images.alias()
_IS_SETTLED = and_(
    images.c.state == State.DONE,
    func.coalesce(images.c.after, After.KEPT) != literal_column(f"'{After.PENDING}'"),
)
_SUPERSEDED = exists().where(
    _newer.c.path == images.c.path,
    _newer.c.watch == images.c.watch,
    _newer.c.id > images.c.id,
    _newer.c.state.in_(FINISHED_STATES),
)


def _candidates(id: ColumnElement[int], at: ColumnElement[str], file: ColumnElement[str]) -> Select[tuple[object, ...]]:
    return select(
        id.label("id"),
        at.label("at"),
        images.c.id.label("image_id"),
        *(images.c.watch, images.c.path, images.c.seen_at, file.label("file")),
        *(images.c.size, images.c.mtime_ns, images.c.ctime_ns, images.c.after),
        PROTECTED.label("is_protected"),
        _SUPERSEDED.label("is_superseded"),
    )


_OVERLAYS = (
    _candidates(inspections.c.id, inspections.c.inspected_at, inspections.c.overlay)
    .select_from(inspections.join(images, images.c.id == inspections.c.image_id))
    .where(_HAS_OVERLAY)
)
_SOURCES = _candidates(images.c.id, images.c.finished_at, images.c.moved_to).where(_IS_MOVED)
_ROWS = _candidates(images.c.id, images.c.finished_at, images.c.moved_to).where(_IS_SETTLED, IS_FINISHED)


class RetentionLedger:
    """The ledger for retention.

    Args:
        engine: From `open_writer` with ``foreign_keys=False``; for `pending` and what only asks, from `open_reader`.
    """

    def __init__(self, engine: Engine) -> None:
        self._ledger = Transactions(engine)
        self.event = self._ledger.event

    def overlays(self, beyond: Cursor, limit: int) -> list[RetentionCandidate]:
        """Inspections with an overlay beyond a cursor, oldest first; `file` is relative to `output`."""
        return self._page(_OVERLAYS, inspections.c.inspected_at, inspections.c.id, beyond, limit)

    def sources(self, beyond: Cursor, limit: int) -> list[RetentionCandidate]:
        """Judged images whose file was moved away, beyond a cursor, oldest first; `file` is absolute."""
        return self._page(_SOURCES, images.c.finished_at, images.c.id, beyond, limit)

    def rows(self, beyond: Cursor, limit: int) -> list[RetentionCandidate]:
        """Judged images that `after` is done with, beyond a cursor, oldest first; `file`: where it was moved to."""
        return self._page(_ROWS, images.c.finished_at, images.c.id, beyond, limit)

    def newest_before(self, at: str) -> str | None:
        """The time of the newest outcome or event before `at`; None if there is none."""
        asked = (
            select(func.max(images.c.finished_at)).where(IS_FINISHED, images.c.finished_at < at),
            select(func.max(events.c.at)).where(events.c.at < at),
        )
        with self._ledger.reading() as connection:
            return max(filter(None, map(connection.scalar, asked)), default=None)

    def shared(self, ids: Sequence[int]) -> set[str]:
        """The moved files of these images that another image has too: the same content under the same name."""
        contents = select(images.c.sha256).where(images.c.id.in_(ids))
        query = (
            select(images.c.moved_to)
            .where(images.c.sha256.in_(contents), not_searched(images.c.after) == After.MOVED)
            .group_by(images.c.moved_to)
            .having(func.count() > 1)
        )
        with self._ledger.reading() as connection:
            return set(connection.scalars(query))

    def protected(self) -> dict[str, int]:
        """Count the images that are never removed, by the reason; an image may have several reasons."""
        asked = {
            "pinned": select(func.count()).where(images.c.pinned),
            "reviewed": select(func.count(reviews.c.image_id.distinct())),
            "review": select(func.count(inspections.c.image_id.distinct())).where(
                inspections.c.verdict == Verdict.REVIEW
            ),
            "failed": select(func.count()).where(images.c.verdict == State.FAILED),
        }
        with self._ledger.reading() as connection:
            return {reason: connection.scalar(query) or 0 for reason, query in asked.items()}

    def expire_overlays(self, files: Mapping[int, Sequence[Removal]]) -> None:
        """Let go of the overlays of these inspections, and note the files given with each for removal."""
        free = select(images.c.id).where(images.c.id == inspections.c.image_id, ~PROTECTED)
        let_go = update(inspections).where(inspections.c.overlay.is_not(None), free.exists()).values(overlay=None)
        with self._ledger.writing() as connection:
            gone = connection.scalars(let_go.where(inspections.c.id.in_(files)).returning(inspections.c.id)).all()
            _note(connection, files, gone)

    def expire_sources(self, files: Mapping[int, Sequence[Removal]]) -> None:
        """Let go of the moved files of these images, and note the files given with each for removal."""
        let_go = update(images).where(_IS_MOVED, ~PROTECTED).values(after=After.EXPIRED)
        with self._ledger.writing() as connection:
            gone = connection.scalars(let_go.where(images.c.id.in_(files)).returning(images.c.id)).all()
            _note(connection, files, gone)

    def remove_rows(self, files: Mapping[int, Sequence[Removal]]) -> None:
        """Remove these images and their inspections, and note the files given with each for removal.

        The two tables point at each other, and both ends go in one transaction. With foreign keys enforced SQLite would
        read all images for each inspection that goes.
        """
        free = select(images.c.id).where(images.c.id.in_(files), _IS_SETTLED, ~PROTECTED)
        with self._ledger.writing() as connection:
            gone = connection.scalars(free).all()
            judged = select(inspections.c.id).where(inspections.c.image_id.in_(gone))
            connection.execute(delete(redraws).where(redraws.c.inspection_id.in_(judged)))
            connection.execute(delete(reinspection_images).where(reinspection_images.c.image_id.in_(gone)))
            connection.execute(delete(inspections).where(inspections.c.image_id.in_(gone)))
            connection.execute(delete(images).where(images.c.id.in_(gone)))
            _note(connection, files, gone)

    def drawn(self, image_ids: Sequence[int]) -> dict[int, list[tuple[str | None, str]]]:
        """By image, the overlay of each inspection, if it has one, and the first 8 digits of the model's bundle."""
        query = (
            select(inspections.c.image_id, inspections.c.overlay, func.substr(models.c.bundle, 1, 8).label("model"))
            .join(models, models.c.id == inspections.c.model_id)
            .where(inspections.c.image_id.in_(image_ids))
        )
        found: dict[int, list[tuple[str | None, str]]] = {image_id: [] for image_id in image_ids}
        with self._ledger.reading() as connection:
            for row in connection.execute(query):
                found[row.image_id].append((row.overlay, row.model))
        return found

    def due(self, limit: int, beyond: int = 0) -> list[Removal]:
        """Up to `limit` files that are still to be removed, by id, beyond the id `beyond`."""
        query = select(removals).where(removals.c.id > beyond).order_by(removals.c.id).limit(limit)
        with self._ledger.reading() as connection:
            return [Removal(row.root, row.path, row.size, row.mtime_ns, row.id) for row in connection.execute(query)]

    def pending(self) -> int:
        """Count the files that are still to be removed."""
        with self._ledger.reading() as connection:
            return connection.scalar(select(func.count()).select_from(removals)) or 0

    def removed(self, ids: Sequence[int]) -> None:
        """Forget noted files: they are gone from the disk, durably."""
        if ids:
            with self._ledger.writing() as connection:
                connection.execute(delete(removals).where(removals.c.id.in_(ids)))

    def _page(
        self,
        query: Select[tuple[object, ...]],
        at: ColumnElement[str],
        id: ColumnElement[int],
        beyond: Cursor,
        limit: int,
    ) -> list[RetentionCandidate]:
        following = query.where(tuple_(at, id) > tuple_(beyond.at, beyond.id)).order_by(at, id).limit(limit)
        with self._ledger.reading() as connection:
            return [RetentionCandidate(**row) for row in connection.execute(following).mappings()]


def pin(engine: Engine, image_id: int, *, pinned: bool, detail: str) -> bool:
    """Pin or unpin an image, with a row in the audit trail; returns False if nothing changed."""
    change = update(images).where(images.c.id == image_id, images.c.pinned != pinned).values(pinned=pinned)
    with engine.begin() as connection:
        changed = connection.execute(change).rowcount > 0
        if changed:
            trail.write(connection, "pin" if pinned else "unpin", detail)
    return changed


def _note(connection: Connection, files: Mapping[int, Sequence[Removal]], gone: Sequence[int]) -> None:
    rows = [
        {"root": each.root, "path": each.path, "size": each.size, "mtime_ns": each.mtime_ns}
        for id in gone
        for each in files[id]
    ]
    if rows:
        connection.execute(insert(removals), rows)
