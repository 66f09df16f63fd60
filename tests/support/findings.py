"""A model of the null network that brings its findings, as a training leaves them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inspectd.evaluation import figures
from inspectd.evaluation.cases import Case, cases_text
from inspectd.evaluation.claims import Outcome
from inspectd.evaluation.evaluate import METRICS, REPORT
from inspectd.evaluation.rates import Rate
from inspectd.model.bundle import Bundle
from inspectd.model.golden import Sighting, golden_files
from inspectd.model.null import NullInspector, write_null_bundle
from inspectd.model.versions import publish

REPORTED = {REPORT, METRICS, "mistakes.png", *figures.NAMES}
OTHERS = {
    "card.md": b"# screws, version 1\n\nA margin of 0 or more is a defect.\n",
    "data.csv": b"path,sha256,class,split\n",
    "curves.png": b"curves",
    **dict.fromkeys(REPORTED, b"by the thresholds of then"),
}


def cases(good: Sequence[float], bad: Sequence[float], split: str, start: int = 0) -> list[Case]:
    """One image for each margin; `start` numbers them."""
    targets = [0] * len(good) + [1] * len(bad)
    return [
        Case(f"{split}/{n}.png", f"{n:064x}", target, split, (margin,), margin, 1.0, "defect")  # type: ignore[arg-type]
        for n, (target, margin) in enumerate(zip(targets, [*good, *bad], strict=True), start)
    ]


def model(folder: Path, found: Sequence[Case] | None) -> Bundle:
    """The first version of a model with these findings."""
    plain = write_null_bundle(folder.parent / f"plain-{folder.name}", folder.name)
    spec = replace(plain.spec, metrics={"accuracy": 0.5, "escapes": 9, "overkills": 9, "auc": 0.75})
    inspector, seen = NullInspector(plain), []
    for target, grey in enumerate((51, 204)):
        file = folder.parent / f"golden-{grey}.png"
        cv2.imwrite(str(file), np.full((64, 64), grey, np.uint8))
        seen.append(Sighting(file, target, 10 * (grey / 255 - 0.5)))
    golden = golden_files(inspector, seen, plain.spec.thresholds.defect).files
    findings = {} if found is None else {"findings.csv": cases_text(found, spec.classes)}
    return publish(folder, spec, {**OTHERS, **golden, **findings})


def outcome_of(defects: int, escapes: int, good: int, overkills: int, reviews: int) -> Outcome:
    """An outcome by its counts."""
    return Outcome(Rate(escapes, defects), Rate(overkills, good), Rate(reviews, good + defects))
