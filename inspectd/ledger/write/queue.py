"""The queue: the ledger as the daemon writes it, in one class.

`arrivals` is its ingest side, `claims` and `outcomes` are its worker side; here are what follows an outcome, the
counts, and the audit trail. Every method is one short transaction, so any process may die between any two of them.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, exists, func, insert, not_, or_, select, update

from inspectd.clock import utc_now, utc_text
from inspectd.domain import Stat
from inspectd.ledger import trail
from inspectd.ledger.records import Counts, Finished, Replay
from inspectd.ledger.schema import After, events, images, models
from inspectd.ledger.transactions import IS_AFTER_PENDING, IS_PENDING, not_searched, waits
from inspectd.ledger.write.arrivals import Arrivals
from inspectd.ledger.write.outcomes import Outcomes
from inspectd.ledger.write.redraws import Redraws
from inspectd.ledger.write.reinspections import Reinspections

_newer = images.alias()
_IS_SUPERSEDED = exists().where(
    _newer.c.path == images.c.path, _newer.c.watch == images.c.watch, _newer.c.id > images.c.id
)


class Queue(Arrivals, Outcomes, Redraws, Reinspections):
    """Everything that ingest, the worker and the supervisor do to the ledger. One instance serves one process."""

    def owed(self, watches: Sequence[str], limit: int, beyond: int = 0) -> list[Finished]:
        """Finished images whose file is to be moved or deleted now, by their ids, from `beyond` on.

        A file that may be unfinished has to wait for its `after_at`, unless a newer row of its path shows that it is no
        longer the file that was judged.
        """
        query = (
            select(images)
            .where(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), images.c.id > beyond)
            .where(or_(images.c.after_at.is_(None), not_(waits()), _IS_SUPERSEDED))
            .order_by(images.c.id)
            .limit(limit)
        )
        with self._reading() as connection:
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

    def next_owed(self, watches: Sequence[str], beyond: int = 0) -> str | None:
        """When the next of the files that may be unfinished is to be moved or deleted; None where none waits."""
        query = select(func.min(images.c.after_at)).where(
            *(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), images.c.id > beyond, waits())
        )
        with self._reading() as connection:
            due: str | None = connection.scalar(query)
            return due

    def shorten_waits(self, watches: Sequence[str], longest: float) -> None:
        """Let no file wait for more than `longest` seconds from now: its time is one of a clock that was set back."""
        too_long = update(images).where(IS_AFTER_PENDING, not_searched(images.c.watch).in_(watches), waits(longest))
        with self._writing() as connection:
            connection.execute(too_long.values(after_at=utc_text(datetime.now(UTC) + timedelta(seconds=longest))))

    def settle_after(self, results: Sequence[tuple[Finished, After, str | None]]) -> None:
        """Record what became of the files of finished images: (what was owed, result, where it was moved to).

        Rows whose file was dropped again and folded meanwhile are left alone; they still owe a move.
        """
        if not results:
            return
        same = [images.c[name] == bindparam(f"owed_{name}") for name in vars(results[0][0].stat)]
        settled = update(images).where(images.c.id == bindparam("row"), IS_AFTER_PENDING, *same)
        rows = [
            {"row": owed.image_id, "after": after, "moved_to": moved_to}
            | {f"owed_{name}": value for name, value in vars(owed.stat).items()}
            for owed, after, moved_to in results
        ]
        with self._writing() as connection:
            connection.execute(settled, rows)

    def open_count(self, watches: Sequence[str]) -> Counts:
        """How many images of these watches have no outcome yet, by state."""
        query = (
            select(images.c.state, func.count()).where(IS_PENDING, images.c.watch.in_(watches)).group_by(images.c.state)
        )
        with self._reading() as connection:
            return Counts(**dict(connection.execute(query).all()))

    def note_brightness(self, watch: str, model: str, sentence: str) -> None:
        """Add to the audit trail, once in a run of the daemon, that images of a watch do not suit the model's bits."""
        detail = trail.brightness(watch, model, sentence)
        known = select(events.c.id).where(
            events.c.kind == trail.BRIGHTNESS, events.c.detail == detail, trail.SINCE_START
        )
        with self._writing() as connection:
            if connection.execute(known).first():
                return
            trail.write(connection, trail.BRIGHTNESS, detail)
        trail.say(trail.BRIGHTNESS, detail, logging.WARNING)

    def register_model(
        self,
        bundle: str,
        name: str,
        version: int,
        classes: Sequence[str],
        metrics: Mapping[str, Any],
        replay: Replay | None = None,
    ) -> int:
        """The row id of the model with this bundle identity (64 hex digits), created on its first use.

        A row that knows nothing of `replay`, because an older version made it, is told.
        """
        reads = {} if replay is None else vars(replay) | {"ok": list(replay.ok)}
        this = models.c.bundle == bundle
        with self._writing() as connection:
            known = connection.execute(select(models.c.id, models.c.ok).where(this)).one_or_none()
            if known is not None:
                if reads and known.ok is None:
                    connection.execute(update(models).where(this).values(reads))
                return int(known.id)
            row = {
                "bundle": bundle,
                "name": name,
                "version": version,
                "classes": list(classes),
                "metrics": dict(metrics),
                "first_used_at": utc_now(),
                **reads,
            }
            created: int = connection.execute(insert(models).values(row).returning(models.c.id)).scalar_one()
            return created
