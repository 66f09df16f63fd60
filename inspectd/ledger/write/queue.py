"""The queue: the ledger as the daemon writes it, put together from one part for each concern.

Ingest uses `arrivals`; the worker and the supervisor use `claims`, `outcomes`, `after`, `redraws` and `reinspections`.
Every method is one short transaction, so any process may die between any two of them.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, func, insert, select, update

from inspectd.clock import Clock, utc_now
from inspectd.ledger import trail
from inspectd.ledger.records import Counts, Replay
from inspectd.ledger.schema import events, images, models
from inspectd.ledger.transactions import IS_PENDING, Transactions
from inspectd.ledger.write.after import AfterOutcome
from inspectd.ledger.write.arrivals import Arrivals
from inspectd.ledger.write.claims import Claims
from inspectd.ledger.write.outcomes import Outcomes
from inspectd.ledger.write.redraws import Redraws
from inspectd.ledger.write.reinspections import Reinspections


class Queue:
    """Everything that ingest, the worker and the supervisor do to the ledger. One instance serves one process.

    Attributes:
        arrivals: Files come in, wait until they are whole, or vanish.
        claims: A worker takes images, keeps them, or gives them back.
        outcomes: A worker records what it found.
        after: Source files to be moved or deleted after their outcome.
        redraws: Overlays to be drawn again.
        reinspections: Earlier images to be judged again by another model.
        event: Adds a row to the audit trail and a line to the log.
    """

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self._ledger = Transactions(engine, clock)
        self.arrivals = Arrivals(self._ledger)
        self.claims = Claims(self._ledger)
        self.outcomes = Outcomes(self._ledger)
        self.after = AfterOutcome(self._ledger)
        self.redraws = Redraws(self._ledger)
        self.reinspections = Reinspections(self._ledger)
        self.event = self._ledger.event

    def open_count(self, watches: Sequence[str]) -> Counts:
        """Count the images of these watches that have no outcome yet, by state."""
        query = (
            select(images.c.state, func.count()).where(IS_PENDING, images.c.watch.in_(watches)).group_by(images.c.state)
        )
        with self._ledger.reading() as connection:
            return Counts(**dict(connection.execute(query).all()))

    def note_brightness(self, watch: str, model: str, sentence: str) -> None:
        """Add to the audit trail, once in a run of the daemon, that a watch's images do not suit the model's bits."""
        detail = trail.brightness(watch, model, sentence)
        known = select(events.c.id).where(
            events.c.kind == trail.BRIGHTNESS, events.c.detail == detail, trail.SINCE_START
        )
        with self._ledger.writing() as connection:
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
        """Return the row id of a model, and create the row on the model's first use.

        Args:
            bundle: The identity of the bundle, 64 hex digits.
            replay: How stored logits are read. A row made by an older version, without it, is completed.
        """
        reads = {} if replay is None else vars(replay) | {"ok": list(replay.ok)}
        this = models.c.bundle == bundle
        with self._ledger.writing() as connection:
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
