"""Two models side by side on the images that both have judged. Reads only, for `open_reader`.

The verdicts of both come from the index on (model, image, verdict) alone, so that a million images are compared in
seconds; the rows of the images are read only for those on which the two disagree, or where a filter asks for them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, Engine, and_, bindparam, func, select

from inspectd.domain import Verdict
from inspectd.errors import LedgerError
from inspectd.ledger.read.filters import Filter, looked_up, model_is, outcomes, source
from inspectd.ledger.read.search import MODEL
from inspectd.ledger.schema import images, inspections, models
from inspectd.ledger.transactions import chunks


@dataclass(frozen=True)
class ModelRow:
    """A model that has judged here; `title` is name@hash."""

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
    """Images that two models have judged, by the verdict of the one and of the other."""

    counts: Mapping[tuple[str, str], int]

    @property
    def compared(self) -> int:
        return sum(self.counts.values())

    @property
    def agreed(self) -> int:
        return sum(number for (a, b), number in self.counts.items() if a == b)

    @property
    def to_defect(self) -> int:
        """`ok` by the first, `defect` by the second."""
        return self.counts.get((Verdict.OK, Verdict.DEFECT), 0)

    @property
    def to_ok(self) -> int:
        """`defect` by the first, `ok` by the second."""
        return self.counts.get((Verdict.DEFECT, Verdict.OK), 0)

    @property
    def review(self) -> int:
        """`review` by one of them alone."""
        return self.compared - self.agreed - self.to_defect - self.to_ok


_a, _b = inspections.alias("a"), inspections.alias("b")
_PAIRS = _a.join(_b, _b.c.image_id == _a.c.image_id)
_ARE_THEIRS = and_(_a.c.model_id == bindparam("a"), _b.c.model_id == bindparam("b"))
_COUNTS = select(_a.c.verdict, _b.c.verdict, func.count()).select_from(_PAIRS).group_by(_a.c.verdict, _b.c.verdict)
_DIFFER = select(_a.c.image_id).select_from(_PAIRS).where(_a.c.verdict != _b.c.verdict)
_ROWS = (
    select(
        *(images.c.id, images.c.watch, images.c.path, images.c.part),
        *(each.c[name] for name in ("verdict", "label", "score", "overlay") for each in (_a, _b)),
    )
    .select_from(_PAIRS.join(images, images.c.id == _a.c.image_id))
    .where(_ARE_THEIRS)
    .order_by(images.c.id.desc())
)


def model_row(engine: Engine, text: str) -> ModelRow:
    """The one model that a person means: a name, ``name@`` and the first digits of its hash, or a version.

    Raises:
        LedgerError: none has judged here that is called so, or several have.
    """
    with engine.connect() as connection:
        query = select(models.c.id, MODEL, models.c.version).order_by(models.c.id)
        known = [ModelRow(*row) for row in connection.execute(query)]
        found = [ModelRow(*row) for row in connection.execute(query.where(_is_called(text)))]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{each.title} (version {each.version})" for each in found or known) or "none"
    if found:
        raise LedgerError(f"{text} may be any of {listed}: name one of them with its hash.")
    raise LedgerError(f"No model {text} has judged here. Those that have: {listed}.")


def agreement(engine: Engine, a: ModelRow, b: ModelRow, wanted: Filter) -> Agreement:
    """How the verdicts of two models go together, on the images of a filter that both have judged."""
    with engine.connect() as connection:
        rows = connection.execute(_COUNTS.where(*_narrowed(connection, wanted)), {"a": a.id, "b": b.id})
        return Agreement({(one, other): number for one, other, number in rows})


def disagreements(engine: Engine, a: ModelRow, b: ModelRow, wanted: Filter) -> Iterator[Disagreement]:
    """The images of a filter on which two models disagree, newest arrival first, in short reads."""
    models_ = {"a": a.id, "b": b.id}
    with engine.connect() as connection:
        found = _DIFFER.where(*_narrowed(connection, wanted)).order_by(_a.c.image_id.desc()).limit(wanted.limit)
        ids = connection.scalars(found, models_).all()
    for chunk in chunks(ids):
        with engine.connect() as connection:
            rows = connection.execute(_ROWS.where(images.c.id.in_(chunk)), models_).all()
        yield from (Disagreement(*row) for row in rows)


def _narrowed(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """The two models, and the filter where it asks for anything: it is about the verdict in force."""
    if replace(wanted, limit=None) == Filter():
        return [_ARE_THEIRS]
    among = select(images.c.id).select_from(source(wanted)).where(*outcomes(wanted, looked_up(connection, wanted)))
    return [_ARE_THEIRS, _a.c.image_id.in_(among)]


def _is_called(text: str) -> ColumnElement[bool]:
    if text.isdecimal():
        return models.c.version == int(text)
    return model_is(text)
