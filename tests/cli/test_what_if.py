"""`inspectd what-if` on a real ledger."""

import json
import sqlite3
from pathlib import Path

import pytest
from support.ledger import Ledger, fill


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The site of the other commands, whose model is known and some of whose images have been reviewed."""
    ledger = fill(tmp_path_factory.mktemp("site"))
    with sqlite3.connect(ledger.root / "inspectd.db") as connection:
        connection.execute("""UPDATE models SET ok = '[true, false]', activation = 'softmax'""")
        for name, word in (("4711_left.png", "crack"), ("moved.png", "good")):
            row = (ledger.ids[name], "2026-11-24T08:00:00.000Z", "Ada", word)
            connection.execute(
                "INSERT INTO reviews (image_id, reviewed_at, reviewer, reviewed_as) VALUES (?, ?, ?, ?)", row
            )
    return ledger


def test_json_has_the_moves_and_the_errors(site: Ledger) -> None:
    code, out, err = site.run("what-if", "--threshold", "9", "--json")
    assert (code, err) == (0, "")
    [row] = json.loads(out)
    assert (row["model"], row["verdicts"], row["changed"], row["unreadable"]) == ("demo@aaaaaaaa", 5, 2, 0)
    assert row["moves"] == {  # all have the margin 8.5; the doubtful file stays for review
        "ok": {"ok": 2, "review": 0, "defect": 0},
        "review": {"ok": 0, "review": 1, "defect": 0},
        "defect": {"ok": 2, "review": 0, "defect": 0},
    }
    assert row["reviewed"] == {
        "good": 1,
        "defects": 1,
        "before": {"escapes": 0, "overkills": 1},
        "after": {"escapes": 1, "overkills": 0},
    }


def test_people_get_a_table_and_a_sentence(site: Ledger) -> None:
    code, out, _ = site.run("what-if", "--threshold", "9", "--review", "8", "--since", "7d")
    assert code == 0
    header, row, sentence = out.splitlines()
    assert header.split("  ")[0] == "model"
    assert row.split() == ["demo@aaaaaaaa", "4", "4", "2", "0", "0", "0", "0", "2"]
    assert sentence == (
        "demo@aaaaaaaa: reviewed as defects: 1, of which 0 passed and 0 would; reviewed as good: 1, of which 1 were "
        "rejected and 0 would be."
    )


def test_a_model_that_nobody_can_read_is_said(ledger: Ledger) -> None:
    code, out, _ = ledger.run("what-if", "--threshold", "0")
    assert (code, "5 verdicts cannot be replayed" in out) == (0, True)


def test_thresholds_may_be_negative(site: Ledger) -> None:
    code, out, _ = site.run("what-if", "--threshold", "-1.5", "--review", "-2.25", "--json")
    assert (code, json.loads(out)[0]["moves"]["ok"]["defect"]) == (0, 2)


def test_review_lies_below_the_threshold(ledger: Ledger) -> None:
    assert ledger.run("what-if", "--threshold", "1", "--review", "1")[0] == 2


@pytest.mark.parametrize("threshold", ["nan", "inf"])
def test_a_threshold_is_a_number(threshold: str, ledger: Ledger) -> None:
    assert ledger.run("what-if", "--threshold", threshold)[0] == 2


def test_it_needs_no_bundle(site: Ledger) -> None:
    assert not Path(site.root / "models").exists()
