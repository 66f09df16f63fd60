"""The notes must be able to fail: each promise is broken here once, and kept once."""

from dataclasses import replace
from typing import Any

import pytest

from inspectd.ledger.read.search import Row
from inspectd.simulate.audit import Audit, Expected, Notes, audit

ROW = Row(1, "ok", None, None, "line", "a.png", None, "2026-11-24T10:00:02.500Z", "ok", 0.2, "null@1", "a.jpg", "aa")
FAILED = replace(
    ROW, id=2, verdict="failed", reason="truncated: it ends early", overlay=None, path="b.png", sha256="bb"
)
DROPPED_AT = 1795514400.0  # 2026-11-24T10:00:00Z


def notes(**expected: Expected) -> Notes:
    """Contents `aa` in a.png, `bb` in b.png and so on."""
    kept = Notes()
    for letters, fate in expected.items():
        kept.note((f"{letters[0]}.png", letters), fate)
    return kept


def held(kept: Notes, *rows: Row, overlays: tuple[str, ...] = ("a.jpg",), twice: tuple[int, ...] = ()) -> Audit:
    return audit(kept, rows, lambda overlay: overlay in overlays, twice)


def broken(found: Audit) -> dict[str, tuple[str, ...]]:
    return {name: paths for name, paths in found.promises.items() if paths}


def test_a_judged_image_and_a_failed_file_keep_every_promise() -> None:
    found = held(notes(aa=Expected.JUDGED, bb=Expected.FAILED), ROW, FAILED)
    assert broken(found) == {}
    assert found.verdicts == {"ok": 1}
    assert found.failures == {"truncated": 1}


@pytest.mark.parametrize(
    ("rows", "promises"),
    [
        ([], {"lost": ("a.png",)}),
        ([replace(ROW, sha256="other")], {"lost": ("a.png",), "truncated_but_judged": ("a.png",)}),
        ([ROW, replace(ROW, id=3)], {"duplicated": ("a.png",)}),
        ([ROW, replace(ROW, id=3, verdict="pending", sha256=None)], {"lost": ("a.png",)}),
        ([replace(FAILED, path="a.png", sha256="aa")], {"whole_but_failed": ("a.png",)}),
        ([replace(FAILED, path="a.png", sha256="aa", reason="crashes the worker: 3 workers died")], {}),
        ([ROW, replace(ROW, id=3, path="z.png")], {"truncated_but_judged": ("z.png",), "unexplained": ("z.png",)}),
        ([ROW, replace(FAILED, path="a.png", sha256=None, reason="vanished: gone")], {"unexplained": ("a.png",)}),
        ([replace(ROW, overlay=None)], {"overlays_missing": ("a.png",)}),
        ([replace(ROW, overlay="gone.jpg")], {"overlays_missing": ("a.png",)}),
        ([ROW, replace(FAILED, path="a.png", sha256="half")], {}),  # a writer that paused for long
    ],
)
def test_what_becomes_of_a_whole_image(rows: list[Row], promises: dict[str, Any]) -> None:
    assert broken(held(notes(aa=Expected.JUDGED), *rows)) == promises


def test_a_second_inspection_of_one_image_is_a_duplicate() -> None:
    assert broken(held(notes(aa=Expected.JUDGED), ROW, twice=(ROW.id,))) == {"duplicated": ("a.png",)}


def test_a_truncated_file_with_a_verdict_breaks_a_promise_and_one_without_any_outcome_is_lost() -> None:
    kept = notes(aa=Expected.FAILED)
    assert broken(held(kept, ROW)) == {"truncated_but_judged": ("a.png",)}
    assert broken(held(kept)) == {"lost": ("a.png",)}


def test_an_image_that_was_soon_taken_away_may_be_judged_or_vanish_or_never_be_seen() -> None:
    kept = notes(aa=Expected.PERHAPS)
    kept.vanish(["a.png"])
    vanished = replace(FAILED, path="a.png", sha256=None, reason="vanished: gone")
    for rows in ([], [ROW], [vanished], [ROW, vanished]):
        assert broken(held(kept, *rows)) == {}
    assert broken(held(kept, ROW, replace(ROW, id=3))) == {"duplicated": ("a.png",)}


def test_a_broken_file_that_was_away_after_its_first_look_has_one_outcome_when_it_is_back() -> None:
    kept = notes(bb=Expected.FAILED)
    vanished = replace(FAILED, id=1, reason="vanished: gone")
    kept.meet([vanished])
    assert kept.awaited == 1
    kept.vanish(["b.png"])
    assert broken(held(kept, vanished)) == {"lost": ("b.png",)}
    assert broken(held(kept, vanished, FAILED)) == {}


def test_two_contents_under_one_name_are_two_images() -> None:
    kept = notes(aa=Expected.JUDGED, ab=Expected.JUDGED)
    assert broken(held(kept, ROW)) == {"lost": ("a.png",)}
    assert broken(held(kept, ROW, replace(ROW, id=3, sha256="ab"))) == {}


def test_latency_runs_from_the_whole_file_to_the_verdict_and_never_below_zero() -> None:
    kept = notes(aa=Expected.JUDGED, ab=Expected.JUDGED, bb=Expected.FAILED)
    kept.whole(("a.png", "aa"), DROPPED_AT)
    kept.whole(("a.png", "ab"), DROPPED_AT + 60)  # the clock was set back after it
    kept.whole(("b.png", "bb"), DROPPED_AT)
    assert held(kept, ROW, replace(ROW, id=3, sha256="ab"), FAILED).latencies == (0.0, 2.5)


def test_what_must_have_an_outcome_is_awaited_until_it_is_shown() -> None:
    kept = notes(aa=Expected.JUDGED, bb=Expected.FAILED, cc=Expected.PERHAPS)
    assert kept.awaited == 2
    kept.meet([replace(ROW, verdict="pending"), FAILED])
    assert kept.awaited == 1
    assert not kept.has_outcome(("a.png", "aa"))
    kept.meet([ROW])
    assert kept.awaited == 0
    assert kept.has_outcome(("a.png", "aa"))
