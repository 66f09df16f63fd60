"""What `after` has still to do: source files that are to be moved or deleted because their outcome is committed.

`finish` and `fold` note in the outcome's own transaction that a file is pending. A worker's thread moves or deletes the
file and records the result here, as often as a crash makes it necessary.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, exists, func, not_, or_, select, update

from inspectd.clock import utc_text
from inspectd.domain import Stat
from inspectd.ledger.records import Finished
from inspectd.ledger.schema import After, images
from inspectd.ledger.transactions import IS_AFTER_PENDING, Transactions, not_searched, waits

_newer = images.alias()
_IS_SUPERSEDED = exists().where(
    _newer.c.path == images.c.path, _newer.c.watch == images.c.watch, _newer.c.id > images.c.id
)


class AfterOutcome:
    """The files that `after` has still to move or delete."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    def pending(self, watches: Sequence[str], limit: int, beyond: int = 0) -> list[Finished]:
        """Finished images whose file is to be moved or deleted now, by id, beyond the id `beyond`.

        A file that may be unfinished waits for its `after_at`, unless a newer row of its path shows that another file
        lies there now.
        """
        query = (
            select(images)
            .where(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), images.c.id > beyond)
            .where(or_(images.c.after_at.is_(None), not_(waits()), _IS_SUPERSEDED))
            .order_by(images.c.id)
            .limit(limit)
        )
        with self._ledger.reading() as connection:
            return [
                Finished(
                    image_id=row.id,
                    watch=row.watch,
                    path=row.path,
                    stat=Stat(row.size, row.mtime_ns, row.ctime_ns),
                    outcome=row.verdict,
                    finished_at=row.finished_at,
                )
                for row in connection.execute(query)
            ]

    def next_due(self, watches: Sequence[str], beyond: int = 0) -> str | None:
        """When the next waiting file may be moved or deleted; None if no file waits."""
        query = select(func.min(images.c.after_at)).where(
            *(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), images.c.id > beyond, waits())
        )
        with self._ledger.reading() as connection:
            due: str | None = connection.scalar(query)
            return due

    def shorten_waits(self, watches: Sequence[str], longest: float) -> None:
        """Let no file wait longer than `longest` seconds from now: a longer wait means that the clock was set back."""
        too_long = update(images).where(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), waits(longest))
        with self._ledger.writing() as connection:
            connection.execute(too_long.values(after_at=utc_text(datetime.now(UTC) + timedelta(seconds=longest))))

    def record(self, results: Sequence[tuple[Finished, After, str | None]]) -> None:
        """Record what became of files, each as (finished image, result, path it was moved to).

        Rows whose file was dropped again and folded meanwhile are left alone; their new file is still pending.
        """
        if not results:
            return
        same = [images.c[name] == bindparam(f"judged_{name}") for name in vars(results[0][0].stat)]
        settled = update(images).where(images.c.id == bindparam("row"), IS_AFTER_PENDING, *same)
        rows = [
            {"row": image.image_id, "after": after, "moved_to": moved_to}
            | {f"judged_{name}": value for name, value in vars(image.stat).items()}
            for image, after, moved_to in results
        ]
        with self._ledger.writing() as connection:
            connection.execute(settled, rows)
