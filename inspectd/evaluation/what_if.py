"""Applies other thresholds to stored logits, and compares the results with the reviews of people.

Needs neither network nor images. Verdicts that no threshold decided stay: a doubtful file remains for review.
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
    """The changes in the verdicts of one model.

    Attributes:
        model: The model's name in the view `verdicts`.
        moves: The number of verdicts by (current verdict, verdict under the other thresholds).
        reviewed: The number of reviewed verdicts by (true class, the same two verdicts).
        unreadable: Verdicts that cannot be replayed, because the ledger has only the model's name.
    """

    model: str
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    reviewed: Counter[tuple[bool, str, str]] = field(default_factory=Counter)
    unreadable: int = 0

    @property
    def images(self) -> int:
        """The number of replayed verdicts."""
        return self.moves.total()

    @property
    def changed(self) -> int:
        """The number of verdicts that would change."""
        return sum(count for (old, new), count in self.moves.items() if old != new)

    def reviewed_as(self, good: bool) -> int:
        """The number of replayed images that people reviewed as good, or as defective."""
        return sum(count for (is_good, _, _), count in self.reviewed.items() if is_good == good)

    @property
    def before(self) -> Errors:
        """The errors of the current verdicts."""
        return _errors((good, old, count) for (good, old, _), count in self.reviewed.items())

    @property
    def after(self) -> Errors:
        """The errors under the other thresholds."""
        return _errors((good, new, count) for (good, _, new), count in self.reviewed.items())


def what_if(
    engine: Engine, thresholds: Thresholds, span: Span, watch: str | None = None, model: str | None = None
) -> list[Replayed]:
    """Replays the verdicts of each model in the span, the oldest model first; models without verdicts are left out.

    Args:
        watch: Only this watch.
        model: Only this model, as `NAME` or `NAME@HASH`.
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
