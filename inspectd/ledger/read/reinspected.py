"""How far past images have been judged again, and which could not be and why. Reads only, for `open_reader`."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, and_, bindparam, case, func, select, tuple_

from inspectd.ledger.read.search import MODEL
from inspectd.ledger.schema import images, models, reinspection_images, reinspections
from inspectd.ledger.transactions import CHUNK


@dataclass(frozen=True)
class ReinspectionProgress:
    """One request that a model judge past images again; the newest first.

    Attributes:
        model: name@hash; the hash alone while it was never in service.
        waiting, judged, failed: so many of its images.
        reason: why the model could not be used, or who took the images off the list.
    """

    model: str
    path: str
    requested_at: str
    finished_at: str | None
    waiting: int
    judged: int
    failed: int
    reason: str | None


@dataclass(frozen=True)
class NotReinspected:
    """An image that could not be judged again."""

    model: str
    image: int
    watch: str
    path: str
    reason: str


_listed, _requests = reinspection_images, reinspections
_TITLE = func.coalesce(MODEL, func.substr(_requests.c.bundle, 1, 8)).label("model")
_REASON = func.coalesce(_listed.c.reason, _requests.c.reason)
_NAMED = _requests.outerjoin(models, models.c.bundle == _requests.c.bundle)
_IS_LISTED = _listed.c.image_id.is_not(None)
_STANDINGS = (
    select(
        _TITLE,
        *(_requests.c.path, _requests.c.requested_at, _requests.c.finished_at),
        func.count(case((and_(_IS_LISTED, _REASON.is_(None)), 1))),
        _requests.c.judged,
        func.count(case((and_(_IS_LISTED, _REASON.is_not(None)), 1))),
        _requests.c.reason,
    )
    .select_from(_NAMED.outerjoin(_listed, _listed.c.reinspection_id == _requests.c.id))
    .group_by(_requests.c.id, models.c.id)
    .order_by(_requests.c.id.desc())
)
_NOT_JUDGED = (
    select(_TITLE, images.c.id, images.c.watch, images.c.path, _REASON, _requests.c.id)
    .select_from(
        _NAMED.join(_listed, _listed.c.reinspection_id == _requests.c.id).join(
            images, images.c.id == _listed.c.image_id
        )
    )
    .where(_REASON.is_not(None), tuple_(_requests.c.id, images.c.id) > tuple_(bindparam("request"), bindparam("image")))
    .order_by(_requests.c.id, images.c.id)
    .limit(CHUNK)
)


def reinspection_progress(engine: Engine) -> list[ReinspectionProgress]:
    """Every request there was, the newest first."""
    with engine.connect() as connection:
        return [ReinspectionProgress(*row) for row in connection.execute(_STANDINGS)]


def not_reinspected(engine: Engine) -> Iterator[NotReinspected]:
    """The images that could not be judged again, request by request, in short reads."""
    beyond = {"request": 0, "image": 0}
    while True:
        with engine.connect() as connection:
            rows = connection.execute(_NOT_JUDGED, beyond).all()
        for *told, _ in rows:
            yield NotReinspected(*told)
        if len(rows) < CHUNK:
            return
        beyond = {"request": rows[-1][-1], "image": rows[-1][1]}
