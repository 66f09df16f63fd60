"""Earlier images that a model judges again: listed for a person, judged by a worker that has nothing else to do.

A request names a model; its list holds images with a verdict. An image leaves the list in the transaction that records
the new inspection, or stays on it with the reason why it cannot be judged again. The verdict in force does not change,
and nothing goes through the queue: live images do not wait for this work and are not blamed for it.

Attempts at an image, and at opening a model, are counted before the work begins, so that an image or a model that kills
workers is given up.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from logging import INFO, WARNING
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, delete, exists, func, insert, select, update

from inspectd.clock import utc_now
from inspectd.ledger import trail
from inspectd.ledger.records import EarlierImage, Inspected, ReinspectionCounts, ReinspectionRequest, reason_code
from inspectd.ledger.schema import After, State, images, inspections, models, reinspection_images, reinspections
from inspectd.ledger.transactions import AnyRow, Transactions
from inspectd.ledger.write.claims import to_claim
from inspectd.ledger.write.outcomes import insert_inspections

DONE, REFUSED = "reinspect", "reinspect-refused"  # kinds of events
ATTEMPTS = 3  # at an image, before it is given up
OPENINGS = 5  # of a model with nothing judged between them: more than one image alone can cost
GONE = {
    After.DELETED: "deleted: the file was deleted after its verdict, as `after: delete` says",
    After.EXPIRED: "expired: the file was moved after its verdict, and removed by retention since",
}
CRASHES = f"crashes the worker: {ATTEMPTS} workers ended while they judged it again"
CANCELLED = "cancelled: a person took it off the list"

_listed, _requests = reinspection_images, reinspections
_IS_OPEN = _requests.c.finished_at.is_(None)
_WAITS = _listed.c.reason.is_(None)
_OF_REQUEST = _listed.join(_requests, _requests.c.id == _listed.c.reinspection_id)
_WAITING = select(func.count()).select_from(_OF_REQUEST).where(_IS_OPEN, _WAITS)


class Reinspections:
    """The list of earlier images that are to be judged again."""

    def __init__(self, ledger: Transactions) -> None:
        self._ledger = ledger

    def add(self, bundle: str, path: str, image_ids: Sequence[int]) -> ReinspectionCounts:
        """Put images, at most 500, on the list for a model. Images that are on it or judged already are only counted.

        Args:
            bundle: the identity of the model.
            path: the folder of its bundle, absolute, as ledger text.
        """
        with self._ledger.writing() as connection:
            rows = connection.execute(_known_images(bundle).where(images.c.id.in_(image_ids))).all()
            new = [row for row in rows if row.state == State.DONE and not row.is_judged and not row.is_waiting]
            if new:
                _forget(connection, bundle, [row.id for row in new])
                of = {"reinspection_id": _request(connection, bundle, path), "attempts": 0}
                entries = [of | {"image_id": row.id, "reason": GONE.get(row.after)} for row in new]
                connection.execute(insert(_listed), entries)
        gone = sum(row.after in GONE for row in new)
        return ReinspectionCounts(
            listed=len(new) - gone,
            gone=gone,
            judged=sum(bool(row.is_judged) for row in rows),
            waiting=sum(bool(row.is_waiting) for row in rows if not row.is_judged),
            without=sum(row.state != State.DONE for row in rows),
        )

    def cancel(self, bundle: str | None = None) -> int:
        """Cancel the requests for a model, or all of them; returns how many images waited."""
        which = _IS_OPEN if bundle is None else and_(_IS_OPEN, _requests.c.bundle == bundle)
        with self._ledger.writing() as connection:
            waited = connection.scalar(_WAITING.where(which)) or 0
            connection.execute(update(_requests).where(which).values(finished_at=utc_now(), reason=CANCELLED))
        return waited

    def count(self) -> int:
        """Count the images that are still to be judged again."""
        with self._ledger.reading() as connection:
            return reinspecting(connection)

    def next_request(self) -> ReinspectionRequest | None:
        """Return the oldest open request; None if there is none."""
        waits = exists().where(_listed.c.reinspection_id == _requests.c.id, _WAITS)
        query = select(_requests.c.id, _requests.c.bundle, _requests.c.path, waits.label("waits")).where(_IS_OPEN)
        with self._ledger.reading() as connection:
            row = connection.execute(query.order_by(_requests.c.id).limit(1)).one_or_none()
        return ReinspectionRequest(row.id, row.bundle, row.path, row.waits) if row else None

    def begin_opening(self, request: ReinspectionRequest) -> bool:
        """Count an attempt to open the model; returns False after too many workers in a row ended while they tried."""
        counted = _row_of(request).values(openings=_requests.c.openings + 1).returning(_requests.c.openings)
        with self._ledger.writing() as connection:
            openings: int = connection.execute(counted).scalar_one()
        return openings <= OPENINGS

    def forget_opening(self, request: ReinspectionRequest) -> None:
        """Forget the attempts to open the model: the worker is ending because it was asked to."""
        with self._ledger.writing() as connection:
            connection.execute(_row_of(request).values(openings=0))

    def take(self, request: ReinspectionRequest, limit: int) -> list[EarlierImage]:
        """Return up to `limit` images of a request, oldest first, and count an attempt at each.

        An image whose last attempt did not end is taken alone; one with too many attempts is given up. Images stay on
        the list until `record`.
        """
        query = (
            select(images, _listed.c.attempts.label("attempts"))
            .join(_listed, _listed.c.image_id == images.c.id)
            .where(_listed.c.reinspection_id == request.id, _WAITS)
            .order_by(_listed.c.image_id)
            .limit(limit)
        )
        with self._ledger.writing() as connection:
            rows = connection.execute(query).all()
            while hopeless := [row.id for row in rows if row.attempts >= ATTEMPTS]:
                connection.execute(_entries(request, hopeless).values(reason=CRASHES))
                rows = connection.execute(query).all()
            taken = _together(rows)
            counted = {"attempts": _listed.c.attempts + 1}
            connection.execute(_entries(request, [row.id for row in taken]).values(counted))
        return [EarlierImage(to_claim(row), row.moved_to) for row in taken]

    def record(
        self,
        request: ReinspectionRequest,
        model_id: int,
        inspected: Sequence[Inspected],
        failed: Sequence[tuple[int, str]],
    ) -> int:
        """Record what became of taken images, in one transaction; returns how many were judged.

        Images that are no longer on the list are dropped: another worker has judged them, or retention removed them.

        Args:
            failed: image ids, each with "code: sentence".
        """
        with self._ledger.writing() as connection:
            now = utc_now()
            this = _listed.c.reinspection_id == request.id
            ids = [each.claim.image_id for each in inspected]
            listed = set(connection.scalars(select(_listed.c.image_id).where(this, _listed.c.image_id.in_(ids))))
            judged = [each for each in inspected if each.claim.image_id in listed]
            insert_inspections(connection, model_id, judged, now)
            connection.execute(delete(_listed).where(this, _listed.c.image_id.in_(listed)))
            if judged:
                connection.execute(_row_of(request).values(judged=_requests.c.judged + len(judged), openings=0))
            for image_id, reason in failed:
                connection.execute(_entries(request, [image_id]).values(reason=reason))
        return len(judged)

    def close(self, request: ReinspectionRequest) -> None:
        """Close a request of which no image waits any more, and write its result into the audit trail."""
        reasons = select(_listed.c.reason).where(_listed.c.reinspection_id == request.id, _listed.c.reason.is_not(None))
        with self._ledger.writing() as connection:
            codes = Counter(reason_code(reason) for reason in connection.scalars(reasons))
            judged = _finish(connection, request, None)
            if judged is None:
                return
            detail = f"{_title(connection, request.bundle)} has judged {judged} earlier images again"
            if codes:
                listed = ", ".join(f"{number} {code}" for code, number in codes.most_common())
                detail += f"; {codes.total()} could not be: {listed}"
            trail.write(connection, DONE, detail)
        trail.say(DONE, detail, WARNING if codes else INFO)

    def refuse(self, request: ReinspectionRequest, reason: str) -> None:
        """Close a request whose model cannot be used, and write the reason into the audit trail."""
        of_this = and_(_listed.c.reinspection_id == request.id, _WAITS)
        with self._ledger.writing() as connection:
            waits = connection.scalar(select(func.count()).select_from(_listed).where(of_this))
            if _finish(connection, request, reason) is None:
                return
            detail = f"{waits} earlier images are not judged again by {_title(connection, request.bundle)}: {reason}"
            trail.write(connection, REFUSED, detail)
        trail.say(REFUSED, detail, WARNING)


def reinspecting(connection: Connection) -> int:
    """Count the images that are still to be judged again."""
    return connection.scalar(_WAITING) or 0


def _known_images(bundle: str) -> Select[Any]:
    """Images, with whether a model has judged them already and whether they wait for that model."""
    judged = exists().where(
        inspections.c.image_id == images.c.id, inspections.c.model_id == models.c.id, models.c.bundle == bundle
    )
    waiting = exists().where(
        _listed.c.image_id == images.c.id, _WAITS, _requests.c.id == _listed.c.reinspection_id, _is_open_for(bundle)
    )
    return select(images.c.id, images.c.state, images.c.after, judged.label("is_judged"), waiting.label("is_waiting"))


def _is_open_for(bundle: str) -> ColumnElement[bool]:
    return and_(_IS_OPEN, _requests.c.bundle == bundle)


def _forget(connection: Connection, bundle: str, image_ids: Sequence[int]) -> None:
    """Remove images that earlier requests of the model could not judge: they are tried again."""
    of_model = select(_requests.c.id).where(_requests.c.bundle == bundle)
    connection.execute(
        delete(_listed).where(_listed.c.image_id.in_(image_ids), _listed.c.reinspection_id.in_(of_model))
    )


def _request(connection: Connection, bundle: str, path: str) -> int:
    """The id of the open request of a model, created if there is none."""
    known = connection.scalar(select(_requests.c.id).where(_is_open_for(bundle)))
    if known is not None:
        return int(known)
    row = {"bundle": bundle, "path": path, "requested_at": utc_now(), "judged": 0, "openings": 0}
    return int(connection.execute(insert(_requests).values(row).returning(_requests.c.id)).scalar_one())


def _finish(connection: Connection, request: ReinspectionRequest, reason: str | None) -> int | None:
    """Close a request; returns how many images it has judged, or None if it is closed already."""
    closing = _row_of(request).where(_IS_OPEN).values(finished_at=utc_now(), reason=reason)
    judged: int | None = connection.scalar(closing.returning(_requests.c.judged))
    return judged


def _title(connection: Connection, bundle: str) -> str:
    """The model as name@hash, or ``the model HASH`` if it was never in service."""
    name = connection.scalar(select(models.c.name).where(models.c.bundle == bundle))
    return f"{name or 'the model '}{'@' if name else ''}{bundle[:8]}"


def _row_of(request: ReinspectionRequest) -> Update:
    return update(_requests).where(_requests.c.id == request.id)


def _entries(request: ReinspectionRequest, image_ids: Sequence[int]) -> Update:
    return update(_listed).where(_listed.c.reinspection_id == request.id, _listed.c.image_id.in_(image_ids))


def _together(rows: Sequence[AnyRow]) -> Sequence[AnyRow]:
    """The next batch of the oldest images; an image that was tried before is taken alone."""
    if rows and rows[0].attempts:
        return rows[:1]
    return list(takewhile(lambda row: not row.attempts, rows))
