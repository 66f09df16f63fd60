"""`inspectd results --compare`: two models side by side on the same images."""

import csv
import io
import json
from pathlib import Path

import pytest
from support.ledger import Ledger, fill, judged

from inspectd.domain import Verdict
from inspectd.ledger.database import open_writer
from inspectd.ledger.write.queue import Queue

FIRST, SECOND = "demo@aaaaaaaa", "demo@bbbbbbbb"
AGAIN = {
    "4711_left.png": (Verdict.OK, "good", 0.1),  # a defect to the first
    "4711_right.png": (Verdict.DEFECT, "stain", 0.9),  # ok
    "sub/4712.png": (Verdict.DEFECT, "crack", 0.8),  # review
    "moved.png": (Verdict.DEFECT, "crack", 0.7),  # a defect, of another kind
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Where a second version has judged four of five images again."""
    filled = fill(tmp_path_factory.mktemp("compare"))
    queue = Queue(open_writer(f"sqlite:///{filled.root / 'inspectd.db'}"))
    model = queue.register_model("b" * 64, "demo", 4, ["good", "crack"], {})
    queue.register_model("c" * 64, "other", 4, ["good", "crack"], {})
    queue.reinspections.add("b" * 64, "/models/demo/4", [filled.ids[path] for path in AGAIN])
    request = queue.reinspections.next_request()
    assert request is not None
    past = queue.reinspections.take(request, 10)
    again = [judged(each.claim, *AGAIN[each.claim.path]) for each in past]
    assert queue.reinspections.record(request, model, again, []) == len(AGAIN)
    return filled


def test_people_see_who_said_what_and_how_often(ledger: Ledger) -> None:
    code, out, err = ledger.run("results", "--compare", "3", SECOND)
    assert (code, err) == (0, "")
    *table, summary = out.splitlines()
    assert summary == (
        f"{FIRST} and {SECOND}: 4 images compared, 1 agreements, 1 ok → defect, 1 defect → ok, 1 to or from review."
    )
    assert table[0].split()[:3] == ["id", FIRST, SECOND]
    said = {row[-2]: row[1:5] for row in (line.split() for line in table[1:])}
    assert said == {
        "4711_left.png": ["defect", "ok", "0.983", "0.100"],
        "4711_right.png": ["ok", "defect", "0.012", "0.900"],
        "sub/4712.png": ["review", "defect", "0.500", "0.800"],
    }


def test_a_filter_narrows_both_the_list_and_the_counts(ledger: Ledger) -> None:
    code, out, _ = ledger.run("results", "--compare", FIRST, SECOND, "--verdict", "defect", "--json")
    found = json.loads(out)
    assert code == 0
    assert {name: found[name] for name in ("compared", "agreed", "to_defect", "to_ok", "review")} == {
        "compared": 2,
        "agreed": 1,
        "to_defect": 0,
        "to_ok": 1,
        "review": 0,
    }
    (row,) = found["disagreements"]
    assert (row["path"], row["label_a"], row["label_b"]) == ("4711_left.png", "crack", "good")
    assert Path(row["overlay_b"]).is_relative_to(ledger.root / "output")


def test_the_newest_come_first_and_a_limit_is_told(ledger: Ledger) -> None:
    _, out, err = ledger.run("results", "--compare", FIRST, SECOND, "--limit", "1")
    assert "sub/4712.png" in out.splitlines()[1]
    assert "4 images compared" in out
    assert err == "Only the newest 1 are shown; --limit 0 shows all.\n"
    code, out, err = ledger.run("results", "--compare", FIRST, SECOND, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, [row["verdict_a"] for row in rows]) == (0, ["review", "ok", "defect"])
    assert "4 images compared" in err


def test_a_model_that_is_not_named_clearly_is_refused(ledger: Ledger) -> None:
    _, _, err = ledger.run("results", "--compare", "demo", SECOND)
    assert f"demo may be any of {FIRST} (version 3), {SECOND} (version 4)" in err
    _, _, err = ledger.run("results", "--compare", FIRST, "4")
    assert f"4 may be any of {SECOND} (version 4), other@cccccccc (version 4)" in err
    code, _, err = ledger.run("results", "--compare", "demo@ffff", "9")
    assert code == 1
    assert "No model demo@ffff has judged here. Those that have: " in err
    code, _, err = ledger.run("results", "--compare", FIRST, SECOND, "--follow")
    assert code == 2


def test_models_that_agree_are_told_so(ledger: Ledger) -> None:
    _, out, err = ledger.run("results", "--compare", FIRST, SECOND, "--path", "moved*")
    assert out.endswith(": 1 images compared, 1 agreements, 0 ok → defect, 0 defect → ok, 0 to or from review.\n")
    assert err == "There is no disagreement.\n"
