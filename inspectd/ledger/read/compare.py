"""Compare two models on the images that both have judged. Reads only, for `open_reader`.

The verdicts of both come from the index on (model, image, verdict) alone, so that a million images are compared in
seconds. Rows of images are read only if the two models disagree or a filter asks for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, Engine, and_, bindparam, func, select

from inspectd.domain import Verdict
from inspectd.errors import LedgerError
from inspectd.ledger.read.columns import MODEL, columns_of
from inspectd.ledger.read.filters import Filter, looked_up, model_is, outcomes, source
from inspectd.ledger.schema import images, inspections, models
from inspectd.ledger.transactions import chunks


@dataclass(frozen=True)
class ModelRow:
    """A model that has judged images here; `title` is name@hash."""

    id: int
    title: str
    version: int


@dataclass(frozen=True)
class Disagreement:
    """An image on which two models disagree; `overlay_a` and `overlay_b` are relative to `output`."""

    id: int
    watch: str
    path: str
    part: str | None
    verdict_a: str
    verdict_b: str
    label_a: str
    label_b: str
    score_a: float
    score_b: float
    overlay_a: str | None
    overlay_b: str | None


@dataclass(frozen=True)
class Agreement:
    """How often two models agree; `counts` has the images by the two verdicts."""

    counts: Mapping[tuple[str, str], int]

    @property
    def compared(self) -> int:
        """Images that both have judged."""
        return sum(self.counts.values())

    @property
    def agreed(self) -> int:
        """Images with the same verdict by both."""
        return sum(number for (a, b), number in self.counts.items() if a == b)

    @property
    def to_defect(self) -> int:
        """Images that are `ok` by the first model and `defect` by the second."""
        return self.counts.get((Verdict.OK, Verdict.DEFECT), 0)

    @property
    def to_ok(self) -> int:
        """Images that are `defect` by the first model and `ok` by the second."""
        return self.counts.get((Verdict.DEFECT, Verdict.OK), 0)

    @property
    def review(self) -> int:
        """Images that are `review` by only one of the two."""
        return self.compared - self.agreed - self.to_defect - self.to_ok


_a, _b = inspections.alias("a"), inspections.alias("b")
_PAIRS = _a.join(_b, _b.c.image_id == _a.c.image_id)
_ARE_THEIRS = and_(_a.c.model_id == bindparam("a"), _b.c.model_id == bindparam("b"))
_COUNTS = (
    select(_a.c.verdict.label("verdict_a"), _b.c.verdict.label("verdict_b"), func.count().label("number"))
    .select_from(_PAIRS)
    .group_by(_a.c.verdict, _b.c.verdict)
)
_DIFFER = select(_a.c.image_id).select_from(_PAIRS).where(_a.c.verdict != _b.c.verdict)
_ROWS = (
    select(
        *columns_of(
            Disagreement,
            images,
            **{f"{name}_a": _a.c[name] for name in ("verdict", "label", "score", "overlay")},
            **{f"{name}_b": _b.c[name] for name in ("verdict", "label", "score", "overlay")},
        )
    )
    .select_from(_PAIRS.join(images, images.c.id == _a.c.image_id))
    .where(_ARE_THEIRS)
    .order_by(images.c.id.desc())
)


def model_row(engine: Engine, text: str) -> ModelRow:
    """Find the one model that a person names: by name, by ``name@`` and the first digits of its hash, or by version.

    Raises:
        LedgerError: no model of this name has judged images here, or several have.
    """
    with engine.connect() as connection:
        query = select(*columns_of(ModelRow, models, title=MODEL)).order_by(models.c.id)
        known = [ModelRow(*row) for row in connection.execute(query)]
        found = [ModelRow(*row) for row in connection.execute(query.where(_is_called(text)))]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{each.title} (version {each.version})" for each in found or known) or "none"
    if found:
        raise LedgerError(f"{text} may be any of {listed}: name one of them with its hash.")
    raise LedgerError(f"No model {text} has judged here. Those that have: {listed}.")


def agreement(engine: Engine, a: ModelRow, b: ModelRow, wanted: Filter) -> Agreement:
    """Count the images of a filter that two models have judged, by both verdicts."""
    with engine.connect() as connection:
        rows = connection.execute(_COUNTS.where(*_narrowed(connection, wanted)), {"a": a.id, "b": b.id})
        return Agreement({(row.verdict_a, row.verdict_b): row.number for row in rows})


def disagreements(engine: Engine, a: ModelRow, b: ModelRow, wanted: Filter) -> Iterator[Disagreement]:
    """Yield the images of a filter on which two models disagree, newest arrival first, in short reads."""
    pair = {"a": a.id, "b": b.id}
    with engine.connect() as connection:
        found = _DIFFER.where(*_narrowed(connection, wanted)).order_by(_a.c.image_id.desc()).limit(wanted.limit)
        ids = connection.scalars(found, pair).all()
    for chunk in chunks(ids):
        with engine.connect() as connection:
            rows = connection.execute(_ROWS.where(images.c.id.in_(chunk)), pair).all()
        yield from (Disagreement(*row) for row in rows)


def _narrowed(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """The conditions for the two models and for the filter, which is about the verdict in force."""
    if replace(wanted, limit=None) == Filter():
        return [_ARE_THEIRS]
    among = select(images.c.id).select_from(source(wanted)).where(*outcomes(wanted, looked_up(connection, wanted)))
    return [_ARE_THEIRS, _a.c.image_id.in_(among)]


def _is_called(text: str) -> ColumnElement[bool]:
    if text.isdecimal():
        return models.c.version == int(text)
    return model_is(text)
