"""How far the judging of earlier images is, and which could not be judged again and why.

Reads only, for `open_reader`. `write/reinspections.py` fills the two tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, and_, bindparam, case, func, select, tuple_

from inspectd.ledger.read.columns import MODEL, columns_of
from inspectd.ledger.schema import images, models, reinspection_images, reinspections
from inspectd.ledger.transactions import CHUNK


@dataclass(frozen=True)
class ReinspectionProgress:
    """How far one request is.

    Attributes:
        model: name@hash; the hash alone if the model was never in service.
        waiting, judged, failed: numbers of images.
        reason: why the model could not be used, or that a person cancelled the request.
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
_MODEL = func.coalesce(MODEL, func.substr(_requests.c.bundle, 1, 8))
_REASON = func.coalesce(_listed.c.reason, _requests.c.reason)
_REQUESTS = _requests.outerjoin(models, models.c.bundle == _requests.c.bundle)
_IS_LISTED = _listed.c.image_id.is_not(None)
_PROGRESS = (
    select(
        *columns_of(
            ReinspectionProgress,
            _requests,
            model=_MODEL,
            waiting=func.count(case((and_(_IS_LISTED, _REASON.is_(None)), 1))),
            failed=func.count(case((and_(_IS_LISTED, _REASON.is_not(None)), 1))),
        )
    )
    .select_from(_REQUESTS.outerjoin(_listed, _listed.c.reinspection_id == _requests.c.id))
    .group_by(_requests.c.id, models.c.id)
    .order_by(_requests.c.id.desc())
)
_NOT_REINSPECTED = (
    select(
        *columns_of(NotReinspected, images, model=_MODEL, image=images.c.id, reason=_REASON),
        _requests.c.id.label("request"),
    )
    .select_from(
        _REQUESTS.join(_listed, _listed.c.reinspection_id == _requests.c.id).join(
            images, images.c.id == _listed.c.image_id
        )
    )
    .where(_REASON.is_not(None), tuple_(_requests.c.id, images.c.id) > tuple_(bindparam("request"), bindparam("image")))
    .order_by(_requests.c.id, images.c.id)
    .limit(CHUNK)
)


def reinspection_progress(engine: Engine) -> list[ReinspectionProgress]:
    """Return all requests, newest first."""
    with engine.connect() as connection:
        return [ReinspectionProgress(*row) for row in connection.execute(_PROGRESS)]


def not_reinspected(engine: Engine) -> Iterator[NotReinspected]:
    """Yield the images that could not be judged again, request by request, in short reads."""
    beyond = {"request": 0, "image": 0}
    while True:
        with engine.connect() as connection:
            rows = connection.execute(_NOT_REINSPECTED, beyond).all()
        yield from (NotReinspected(row.model, row.image, row.watch, row.path, row.reason) for row in rows)
        if len(rows) < CHUNK:
            return
        beyond = {"request": rows[-1].request, "image": rows[-1].image}
