"""Outcomes: a worker records what it found, in one transaction a batch.

An outcome counts only while its claim holds (fencing). Otherwise it is dropped, because another worker has the image or
will get it. One content under one name has one verdict by one model, however often the file is dropped or touched.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Update,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from inspectd import __version__
from inspectd.clock import utc_now, utc_text
from inspectd.ledger.records import Failed, Inspected, Outcome, Read, Unsettled, reason_code
from inspectd.ledger.schema import FINISHED_STATES, After, State, images, inspections
from inspectd.ledger.transactions import FAILED, IS_CLAIMED, AnyRow, Transactions, chunks
from inspectd.ledger.write.claims import FREE, delete_superseded, held_images


class Outcomes:
    """How a worker records the outcomes of its claims."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    def fold(self, owner: str, reads: Sequence[Read], after: Collection[str] = ()) -> dict[int, int]:
        """Fold files that were touched, restored or dropped again without new content into their older row.

        If the last finished row of a path has a verdict on the sha256 that was just read, that row gets the new stat
        and the claimed row is deleted. In the `after` watches the file is then to be moved or deleted like its first
        copy, once it has been unchanged for `Read.quiet` seconds. A failed row takes no file: an image that was too
        large may be judged after the limit was raised.

        Returns:
            By the claim's image id, the id of the older row that now stands for the file, without claims whose lease
            is lost. Nearly always empty, at the cost of one SELECT and no write.
        """
        by_id = {read.claim.image_id: read for read in reads}
        contents = {read.claim.image_id: read.sha256 for read in reads}
        with self._ledger.reading() as connection:
            if not _repeats(connection, contents, State.DONE):
                return {}
        with self._ledger.writing() as connection:
            held = held_images(connection, owner, self._ledger.clock, [read.claim for read in reads])
            repeats = {id: row for id, row in _repeats(connection, contents, State.DONE).items() if id in held}
            now = utc_now()
            for image_id, older in repeats.items():
                _fold(connection, older, by_id[image_id], now, owed=older.watch in after)
        return {image_id: older.id for image_id, older in repeats.items()}

    def repeated_failures(self, failed: Sequence[Failed]) -> set[int]:
        """The image ids of failures that an earlier row of the path records already: `finish` will fold them."""
        with self._ledger.reading() as connection:
            return set(_repeated_failures(connection, failed))

    def finish(self, owner: str, model_id: int, outcomes: Sequence[Outcome], after: Collection[str] = ()) -> set[int]:
        """Commit outcomes in one transaction; returns the image ids whose outcome was accepted.

        - The outcome of a claim that is no longer held (state, owner, attempt, unexpired lease) is dropped.
        - In the `after` watches, the files of finished images become pending: they are to be moved or deleted once they
          have been unchanged for the outcome's `quiet` seconds.
        - An `Unsettled` whose path already has an open row is deleted: that row stands for the file's present content.
        - An image that this model has already judged keeps its first verdict.
        - A file that fails again for the same reason, with the same content, is folded into its earlier failure.
        """
        with self._ledger.writing() as connection:
            now = utc_now()  # under the lock, so that outcomes become visible in the order of their times
            held = held_images(connection, owner, self._ledger.clock, [outcome.claim for outcome in outcomes])
            accepted = [outcome for outcome in outcomes if outcome.claim.image_id in held]
            inspected = [outcome for outcome in accepted if isinstance(outcome, Inspected)]
            insert_inspections(connection, model_id, inspected, now)
            _update_rows(connection, _DONE, [_done(outcome, model_id, now, after) for outcome in inspected])
            failed = _fold_failures(connection, [each for each in accepted if isinstance(each, Failed)], now, after)
            _update_rows(connection, _FAILED, [_failed(outcome, now, after) for outcome in failed])
            unsettled = [outcome for outcome in accepted if isinstance(outcome, Unsettled)]
            delete_superseded(connection, [outcome.claim.image_id for outcome in unsettled])
            _update_rows(connection, _SETTLING, [_settling(outcome) for outcome in unsettled])
        return held


_other = images.alias()
_older = images.alias()
_last_finished = (
    select(func.max(_other.c.id))
    .where(_other.c.watch == images.c.watch, _other.c.path == images.c.path, _other.c.state.in_(FINISHED_STATES))
    .scalar_subquery()
)
_LAST_FINISHED = (
    select(images.c.id.label("claimed_id"), _older)
    .select_from(images)
    .join(_older, _older.c.id == _last_finished)
    .where(images.c.id.in_(bindparam("ids", expanding=True)), IS_CLAIMED)
)


def _repeats(connection: Connection, contents: Mapping[int, str | None], state: State) -> dict[int, AnyRow]:
    """By claimed image id, the last finished row of the path, if it is in `state` and has the given content."""
    rows = chain.from_iterable(connection.execute(_LAST_FINISHED, {"ids": chunk}) for chunk in chunks(contents))
    return {row.claimed_id: row for row in rows if row.state == state and row.sha256 == contents[row.claimed_id]}


def _fold_failures(connection: Connection, failed: Sequence[Failed], now: str, after: Collection[str]) -> list[Failed]:
    """Fold repeated failures into the rows that already record them; returns the new failures."""
    earlier = _repeated_failures(connection, failed)
    for outcome in failed:
        claim = outcome.claim
        if older := earlier.get(claim.image_id):
            read = Read(claim, outcome.sha256 or "", claim.stat, outcome.quiet)
            _fold(connection, older, read, now, owed=claim.watch in after)
    return [outcome for outcome in failed if outcome.claim.image_id not in earlier]


def _repeated_failures(connection: Connection, failed: Sequence[Failed]) -> dict[int, AnyRow]:
    """By claimed image id, the last finished row of the path, if it records the same failure of the same content."""
    earlier = _repeats(connection, {outcome.claim.image_id: outcome.sha256 for outcome in failed}, State.FAILED)
    codes = {outcome.claim.image_id: reason_code(outcome.reason) for outcome in failed}
    return {
        image_id: older for image_id, older in earlier.items() if reason_code(older.reason or "") == codes[image_id]
    }


def _after_at(now: str, quiet: float) -> str | None:
    """When `after` may act on a file that must stay unchanged for `quiet` seconds from `now` on; None: at once."""
    return utc_text(datetime.fromisoformat(now) + timedelta(seconds=quiet)) if quiet else None


def _fold(connection: Connection, older: AnyRow, read: Read, now: str, *, owed: bool) -> None:
    stat = vars(read.stat)
    same_stat = exists().where(
        _other.c.watch == older.watch,
        _other.c.path == older.path,
        *(_other.c[name] == value for name, value in stat.items()),
    )
    this = update(images).where(images.c.id == older.id)
    connection.execute(delete(images).where(images.c.id == read.claim.image_id))
    # A row queued meanwhile may already have that stat; it will be claimed, read and folded in its turn.
    connection.execute(this.where(~same_stat).values(**stat))
    if owed:
        connection.execute(this.values(after=After.PENDING, after_at=_after_at(now, read.quiet), moved_to=None))


def _of_model(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    """A column of the model's inspection of the image."""
    of = inspections.c.image_id == bindparam("row"), inspections.c.model_id == bindparam("model")
    return select(column).where(*of).scalar_subquery()


_INSPECTED = select(inspections.c.image_id).where(
    inspections.c.image_id.in_(bindparam("ids", expanding=True)), inspections.c.model_id == bindparam("model")
)
_UNLEASED = update(images).where(images.c.id == bindparam("row")).values(**FREE)
# Two subqueries rather than UPDATE … FROM, which takes SQLite 13 µs a row longer.
_DONE = _UNLEASED.values(
    state=State.DONE, inspection_id=_of_model(inspections.c.id), verdict=_of_model(inspections.c.verdict)
)
_FAILED = _UNLEASED.values(FAILED)
_SETTLING = _UNLEASED.values(state=State.SETTLING)


def _update_rows(connection: Connection, statement: Update, rows: Sequence[dict[str, Any]]) -> None:
    """Run an UPDATE for each of the rows; `row` is the image's id, other keys are columns or parameters."""
    if rows:
        connection.execute(statement, rows)


def insert_inspections(connection: Connection, model_id: int, outcomes: Sequence[Inspected], now: str) -> None:
    """Add inspections by a model; an image that it has judged already keeps its first inspection."""
    judged: set[int] = set()
    for chunk in chunks(outcome.claim.image_id for outcome in outcomes):
        judged.update(connection.scalars(_INSPECTED, {"ids": chunk, "model": model_id}))
    new = [_inspection(outcome, model_id, now) for outcome in outcomes if outcome.claim.image_id not in judged]
    if new:
        connection.execute(insert(inspections), new)


def _inspection(outcome: Inspected, model_id: int, now: str) -> dict[str, Any]:
    heat = outcome.heat
    return {
        "image_id": outcome.claim.image_id,
        "model_id": model_id,
        "inspected_at": now,
        "verdict": outcome.verdict,
        "label": outcome.label,
        "logits": [logit if math.isfinite(logit) else None for logit in outcome.logits],  # JSON has no NaN
        "score": outcome.score,
        "thresholds": dict(outcome.thresholds),
        "overlay": outcome.overlay,
        "page": outcome.page,
        "regions": [vars(region) for region in outcome.regions],
        "support": outcome.support,
        "verdict_falls": outcome.verdict_falls,
        "heat": heat and heat.values,
        "heat_width": heat and heat.width,
        "heat_height": heat and heat.height,
        "heat_max": heat and heat.maximum,
        "method": outcome.method,
        "timings": dict(outcome.timings),
        "precision": outcome.precision,
        "device": outcome.device,
        "software": __version__,
    }


def _done(outcome: Inspected, model_id: int, now: str, after: Collection[str]) -> dict[str, Any]:
    values = {"model": model_id, "sha256": outcome.sha256}
    return values | _outcome(outcome, now, after)


def _failed(outcome: Failed, now: str, after: Collection[str]) -> dict[str, Any]:
    return {"sha256": outcome.sha256 or outcome.claim.sha256} | _outcome(outcome, now, after)


def _outcome(outcome: Inspected | Failed, now: str, after: Collection[str]) -> dict[str, Any]:
    return {
        "row": outcome.claim.image_id,
        "reason": outcome.reason,
        "finished_at": now,
        "after": After.PENDING if outcome.claim.watch in after else None,
        "after_at": _after_at(now, outcome.quiet) if outcome.claim.watch in after else None,
    }


def _settling(outcome: Unsettled) -> dict[str, Any]:
    return {"row": outcome.claim.image_id, "reason": outcome.reason, "sha256": outcome.sha256}
