"""Past verdicts with the logits they were decided from: what is needed to replay them with other thresholds.

Reads only, for `open_reader`, in pages along the index of times. Each page is a short transaction, so that millions of
verdicts take little memory and never keep SQLite from tidying its log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, select, tuple_

from inspectd.clock import utc_text
from inspectd.ledger.database import reading
from inspectd.ledger.read.columns import MODEL, REVIEWED_AS, columns_of
from inspectd.ledger.read.filters import Span, model_is
from inspectd.ledger.schema import images, inspections, models
from inspectd.ledger.transactions import not_searched

PAGE = 5000


@dataclass(frozen=True)
class ReplayModel:
    """A model that has judged images here; `ok` (by class) and `activation` are None where only the name is known."""

    id: int
    title: str  # name@first 8 of the bundle's hash
    classes: list[str]
    ok: list[bool] | None
    activation: str | None


@dataclass(frozen=True)
class StoredVerdict:
    """One verdict as the ledger has it.

    Attributes:
        logits: float32 values as they were decided from; None in place of one that was no number.
        reason: Why the image is for review if its score did not decide that; and the page, of several.
        reviewed_as: The newest review by a person.
    """

    model_id: int
    verdict: str
    logits: list[float | None]
    reason: str | None
    reviewed_as: str | None


def replay_models(engine: Engine, model: str | None = None) -> list[ReplayModel]:
    """The models that have judged images here, the oldest first; or those that `NAME` or `NAME@HASH` names."""
    query = select(*columns_of(ReplayModel, models, title=MODEL)).order_by(models.c.id)
    named = [model_is(model)] if model else []
    with reading(engine).connect() as connection:
        return [ReplayModel(*row) for row in connection.execute(query.where(*named))]


def stored_verdicts(
    engine: Engine, span: Span, watch: str | None, model_ids: Sequence[int]
) -> Iterator[list[StoredVerdict]]:
    """The verdicts of these models that were given in the span, in pages, the oldest first.

    They include verdicts that are not in force on their image.
    """
    query = _VERDICTS.where(*_conditions(span, watch), (inspections.c.model_id + 0).in_(model_ids))
    beyond: tuple[str, int] = ("", 0)
    while page := _page(engine, query.where(tuple_(inspections.c.inspected_at, inspections.c.id) > beyond)):
        yield [StoredVerdict(row.model_id, row.verdict, row.logits, row.reason, row.reviewed_as) for row in page]
        beyond = (page[-1].inspected_at, page[-1].id)


_VERDICTS: Select[Any] = (
    select(
        *(inspections.c[name] for name in ("inspected_at", "id", "model_id", "verdict", "logits")),
        images.c.reason,
        REVIEWED_AS.label("reviewed_as"),
    )
    .join(images, images.c.id == inspections.c.image_id)
    .order_by(inspections.c.inspected_at, inspections.c.id)
    .limit(PAGE)
)


def _conditions(span: Span, watch: str | None) -> Iterator[ColumnElement[bool]]:
    """The conditions, made so that only the index of times serves them: the pages must come in its order."""
    if span.since:
        yield inspections.c.inspected_at >= utc_text(span.since)
    if span.until:
        yield inspections.c.inspected_at < utc_text(span.until)
    if watch:
        yield not_searched(images.c.watch) == watch


def _page(engine: Engine, query: Select[Any]) -> Sequence[Any]:
    with reading(engine).connect() as connection:
        return connection.execute(query).all()
