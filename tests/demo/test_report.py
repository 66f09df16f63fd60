"""The demo's count: exactly one outcome a file, errors named, and the pictures worth seeing in order."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspectd.demo.camera import Shot, Truth
from inspectd.demo.report import DemoReport, audit, worth_seeing, write_sheet
from inspectd.demo.site import sheet_of
from inspectd.ledger.read.search import Row
from inspectd.rehearsal.arrivals import in_place
from inspectd.rehearsal.site import RehearsalSite


def shot(name: str, truth: Truth = "OK", kind: str = "good") -> Shot:
    return Shot(name, truth, kind, b"", in_place)


def row(path: str, verdict: str = "ok", score: float | None = 0.1, reason: str | None = None) -> Row:
    overlay = None if score is None else f"{path}.jpg"
    return Row(1, verdict, reason, None, "demo", path, path[:4], None, None, score, "m@1", overlay, None)


def test_one_outcome_for_each_file_is_what_is_wanted() -> None:
    assert not list(audit([shot("a"), shot("b")], [row("b", "failed", None), row("a")]))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "a has no outcomes."),
        ([row("a"), row("a", "defect")], "a has 2 outcomes."),
        ([row("a", "pending", None, "truncated: half")], "a still waits (truncated: half)."),
        ([row("a"), row("a", "pending", None)], "a still waits (no reason given)."),
        ([row("a"), row("x")], "x is in the ledger, but the camera never took it."),
    ],
)
def test_anything_else_is_named(rows: list[Row], problem: str) -> None:
    assert list(audit([shot("a")], rows)) == [problem]


@pytest.fixture
def report(tmp_path: Path) -> DemoReport:
    taken = (
        shot("0001"),
        shot("0002"),
        shot("0003", "NG", "crack"),
        shot("0004", "NG", "crack"),
        shot("0005", "NG", "crack"),
        shot("0006", "NG", "smear"),
        shot("0007", "broken", "no image"),
    )
    rows = (
        row("0001", "ok", 0.1),
        row("0002", "defect", 0.6),
        row("0003", "defect", 0.8),
        row("0004", "defect", 0.9),
        row("0005", "ok", 0.2),
        row("0006", "defect", 0.7),
        row("0007", "failed", None, "not an image: text"),
    )
    return DemoReport(RehearsalSite(tmp_path), taken, rows, 1.0)


def test_the_verdicts_are_counted_against_the_truth(report: DemoReport) -> None:
    assert (report.escapes, report.overkills, report.problems) == (1, 1, [])
    assert list(report.counts) == ["good", "crack", "smear", "no image"]
    assert report.counts["crack"] == {"defect": 2, "ok": 1}


def test_errors_are_shown_first_then_kinds_in_turns_then_good_ones(report: DemoReport) -> None:
    assert [row.path for _, row in worth_seeing(report.pairs)] == ["0002", "0005", "0004", "0006", "0003", "0001"]


def test_the_sheet_shows_every_overlay_that_is_there(report: DemoReport) -> None:
    assert not write_sheet(report)
    report.site.output.mkdir()
    for row in report.rows[:6]:
        cv2.imwrite(str(report.site.output / str(row.overlay)), np.full((300, 200, 3), 200, np.uint8))
    assert write_sheet(report)
    sheet = cv2.imread(str(sheet_of(report.site)))
    assert sheet is not None
    bright = (sheet == 200).all(axis=2).sum()
    assert bright == 6 * 256 * round(200 * 256 / 300)
