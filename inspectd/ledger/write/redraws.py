"""Overlays to be drawn again: listed by `reconcile --repair`, taken by a worker that has nothing else to do.

The verdict stays in force. Only its picture is missing, so nothing is queued or judged. A worker takes an overlay off
the list before it draws, so that an image that crashes workers is not tried for ever. If a picture is lost to a crash,
the next `inspectd reconcile` finds it missing again.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import and_, delete, exists, func, insert, select

from inspectd.domain import DEFAULT_METHOD
from inspectd.ledger.records import Redraw
from inspectd.ledger.schema import images, inspections, redraws
from inspectd.ledger.transactions import Transactions, chunks, not_searched

_has_overlay = select(inspections.c.id).where(inspections.c.overlay.is_not(None))
_listed = exists().where(redraws.c.inspection_id == inspections.c.id)
_WANTED = (
    redraws.join(inspections, and_(inspections.c.id == redraws.c.inspection_id, inspections.c.overlay.is_not(None)))
).join(images, images.c.id == inspections.c.image_id)


class Redraws:
    """The list of overlays that are to be drawn again."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    def add(self, inspection_ids: Iterable[int]) -> None:
        """Put the overlays of these inspections on the list, unless they are on it already."""
        with self._ledger.writing() as connection:
            # Inspections that retention has removed, or whose overlay it is removing.
            gone = ~_has_overlay.where(inspections.c.id == redraws.c.inspection_id).exists()
            connection.execute(delete(redraws).where(gone))
            for chunk in chunks(inspection_ids):
                wanted = _has_overlay.where(inspections.c.id.in_(chunk), ~_listed)
                connection.execute(insert(redraws).from_select(["inspection_id"], wanted))

    def count(self, watches: Sequence[str]) -> int:
        """Count the overlays of these watches on the list."""
        query = select(func.count()).select_from(_WANTED).where(not_searched(images.c.watch).in_(watches))
        with self._ledger.reading() as connection:
            return connection.scalar(query) or 0

    def take(self, watches: Sequence[str], limit: int) -> list[Redraw]:
        """Take up to `limit` overlays of these watches off the list, oldest first. Writes nothing if there are none."""
        if not self.count(watches):
            return []
        query = (
            select(
                inspections.c.id.label("inspection_id"),
                *(inspections.c.model_id, inspections.c.overlay, inspections.c.page, inspections.c.support),
                *(images.c.watch, images.c.path, images.c.moved_to, images.c.sha256),
                func.coalesce(inspections.c.method, DEFAULT_METHOD).label("method"),  # NULL: by an older version
            )
            .select_from(_WANTED)
            .where(not_searched(images.c.watch).in_(watches))
            .order_by(redraws.c.inspection_id)
            .limit(limit)
        )
        with self._ledger.writing() as connection:
            taken = [Redraw(**row) for row in connection.execute(query).mappings()]
            ids = [each.inspection_id for each in taken]
            connection.execute(delete(redraws).where(redraws.c.inspection_id.in_(ids)))
        return taken
