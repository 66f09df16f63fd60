"""What other thresholds would have said of the past: stored logits judged again, and held against what people said.

No network and no image is needed. What no threshold decided stays as it is: a file that is in doubt is for review.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from inspectd.domain import PAGE, Verdict
from inspectd.ledger.read.filters import Span
from inspectd.ledger.read.replay import ReplayModel, StoredVerdict, replay_models, stored_verdicts
from inspectd.model.spec import ImageClass, Thresholds
from inspectd.model.verdict import Activation, margins

_NAMES = np.array([Verdict.OK, Verdict.REVIEW, Verdict.DEFECT])


@dataclass(frozen=True)
class Errors:
    """Errors among images that a person has reviewed: defects passed as OK, good images rejected."""

    escapes: int
    overkills: int


@dataclass
class Replayed:
    """What would change for the verdicts of one model.

    Attributes:
        model: As the view `verdicts` names it.
        moves: How many verdicts there are by (verdict that stands, verdict by the other thresholds).
        reviewed: How many of them have been reviewed, by what they are and the same two verdicts.
        unreadable: Verdicts that cannot be replayed, because nothing is known of the model but its name.
    """

    model: str
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    reviewed: Counter[tuple[bool, str, str]] = field(default_factory=Counter)
    unreadable: int = 0

    @property
    def images(self) -> int:
        """How many verdicts were replayed."""
        return self.moves.total()

    @property
    def changed(self) -> int:
        """How many of them would be another."""
        return sum(count for (old, new), count in self.moves.items() if old != new)

    def reviewed_as(self, good: bool) -> int:
        """How many of the replayed images people have found good, or defective."""
        return sum(count for (is_good, _, _), count in self.reviewed.items() if is_good == good)

    @property
    def before(self) -> Errors:
        """The errors of the verdicts that stand."""
        return _errors((good, old, count) for (good, old, _), count in self.reviewed.items())

    @property
    def after(self) -> Errors:
        """The errors that the other thresholds would have made."""
        return _errors((good, new, count) for (good, _, new), count in self.reviewed.items())


def what_if(
    engine: Engine, thresholds: Thresholds, span: Span, watch: str | None = None, model: str | None = None
) -> list[Replayed]:
    """Replays what each model said in the span, the oldest model first; models that said nothing then are left out.

    Args:
        watch: Only of this one.
        model: Only by the model that `NAME` or `NAME@HASH` names.
    """
    known = {judge.id: judge for judge in replay_models(engine, model)}
    found = {judge.id: Replayed(judge.title) for judge in known.values()}
    for page in stored_verdicts(engine, span, watch, list(known)):
        rows: dict[int, list[StoredVerdict]] = {}
        for each in page:
            rows.setdefault(each.model_id, []).append(each)
        for model_id, verdicts in rows.items():
            _replay(found[model_id], known[model_id], verdicts, thresholds)
    return [each for each in found.values() if each.images or each.unreadable]


def _replay(into: Replayed, judge: ReplayModel, verdicts: list[StoredVerdict], thresholds: Thresholds) -> None:
    if judge.ok is None or judge.activation is None:
        into.unreadable += len(verdicts)
        return
    classes = [ImageClass(name, ok) for name, ok in zip(judge.classes, judge.ok, strict=True)]
    activation: Activation = "softmax" if judge.activation == "softmax" else "sigmoid"
    logits = np.array([each.logits for each in verdicts], np.float64)  # None becomes NaN
    is_good = {"ok": True, "defect": False} | {each.name: each.ok for each in classes}
    for each, replayed in zip(verdicts, decide_all(margins(logits, classes, activation), thresholds), strict=True):
        in_doubt = each.verdict == Verdict.REVIEW and not (each.reason or PAGE).startswith(PAGE)
        new = each.verdict if in_doubt else str(replayed)
        into.moves[each.verdict, new] += 1
        if each.reviewed_as in is_good:
            into.reviewed[is_good[each.reviewed_as], each.verdict, new] += 1


def decide_all(values: NDArray[np.float64], thresholds: Thresholds) -> NDArray[np.str_]:
    """`verdict.decide` for many margins at once."""
    passing = thresholds.defect if thresholds.review is None else thresholds.review
    return _NAMES[np.where(values >= thresholds.defect, 2, np.where(values < passing, 0, 1))]


def _errors(reviewed: Iterable[tuple[bool, str, int]]) -> Errors:
    counts: Counter[tuple[bool, str]] = Counter()
    for good, verdict, count in reviewed:
        counts[good, verdict] += count
    return Errors(escapes=counts[False, Verdict.OK], overkills=counts[True, Verdict.DEFECT])
