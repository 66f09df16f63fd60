"""`inspectd results` and `inspectd stats` on a real ledger."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import typer
from support.ledger import EVIL, Ledger

from inspectd.cli.lookup import moment
from inspectd.domain import Stat
from inspectd.ledger.database import open_writer
from inspectd.ledger.records import Arrival, Failed
from inspectd.ledger.write.queue import Queue
from inspectd.paths import to_text


def newest_first(ledger: Ledger) -> list[int]:
    """The one that waits, then the outcomes; one of them is of long ago."""
    first, last = ledger.ids["slow.png"], ledger.ids["sub/4712.png"]
    return [first, *sorted(set(ledger.ids.values()) - {first, last}, reverse=True), last]


def paths(ledger: Ledger, *options: str) -> set[str]:
    """The images that a filter leaves."""
    code, out, err = ledger.run("results", "--json", *options)
    assert (code, err) == (0, "")
    return {row["path"] for row in json.loads(out)}


def test_json_has_the_columns_of_the_view_and_the_full_path_of_the_overlay(ledger: Ledger) -> None:
    rows = json.loads(ledger.run("results", "--json")[1])
    assert [row["id"] for row in rows] == newest_first(ledger)
    with sqlite3.connect(ledger.root / "inspectd.db") as connection:
        view = [column[0] for column in connection.execute("SELECT * FROM verdicts LIMIT 0").description]
    assert list(rows[0]) == ["id", *view]
    [row] = [row for row in rows if row["path"] == "4711_left.png"]
    assert (row["verdict"], row["label"], row["score"], row["part"]) == ("defect", "crack", 0.983, "4711")
    assert row["overlay"] == f"{ledger.root}/output/line-1/2026-11-23/4711_left-{row['id']}-aaaaaaaa.jpg"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--verdict", "defect"], {"4711_left.png", "moved.png"}),
        (["--verdict", "failed"], {"bad.png"}),
        (["--verdict", "pending"], {"slow.png"}),
        (["--watch", "line-2", "--verdict", "ok"], {"evil\n\x1b[31m[red]%E9.png"}),
        (["--part", "4711"], {"4711_left.png", "4711_right.png"}),
        (["--label", "crack"], {"4711_left.png", "sub/4712.png"}),
        (["--model", "demo@aaa", "--score-min", "0.5"], {"4711_left.png", "moved.png", "sub/4712.png"}),
        (["--model", "other"], set()),
        (["--score-max", "0.05"], {"4711_right.png"}),
        (["--path", "sub/*"], {"sub/4712.png"}),
        (["--path", "*left*"], {"4711_left.png"}),
        (["--until", "2026-01-16T00:00Z"], {"sub/4712.png"}),
        (["--since", "2026-01-15T23:30:00.001Z", "--verdict", "review"], set()),
        (["--since", "1h", "--score-min", "0.9"], {"4711_left.png"}),
        (["--limit", "2"], {"slow.png", "moved.png"}),
    ],
)
def test_filters(ledger: Ledger, options: list[str], expected: set[str]) -> None:
    assert paths(ledger, *options) == expected


def test_csv_has_the_same_rows_one_line_each(ledger: Ledger) -> None:
    code, out, _ = ledger.run("results", "--csv")
    assert code == 0
    assert len(out.splitlines()) == len(ledger.ids) + 1
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["id"]) for row in rows] == newest_first(ledger)
    assert rows[2]["path"] == r"evil\n\x1b[31m[red]%E9.png"


def test_the_table_is_one_line_an_image_whatever_its_name(ledger: Ledger) -> None:
    code, out, err = ledger.run("results")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == len(ledger.ids) + 1
    assert lines[0].split() == ["id", "inspected", "verdict", "score", "label", "watch", "part", "path", "reason"]
    assert r"evil\n\x1b[31m[red]%E9.png" in lines[3]
    assert "0.983" in lines[-2]


def test_a_table_says_when_it_does_not_show_all(ledger: Ledger) -> None:
    code, out, err = ledger.run("results", "--limit", "2")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert err == "Only the newest 2 are shown; --limit 0 shows all.\n"
    assert ledger.run("results", "--limit", "0")[2] == ""


@pytest.mark.parametrize("command", ["results", "stats"])
def test_a_table_without_a_row_is_a_sentence(command: str, ledger: Ledger) -> None:
    assert ledger.run(command, "--watch", "nosuch") == (0, "", "No image matches.\n")


@pytest.mark.parametrize(
    "options",
    [["--since", "yesterday"], ["--verdict", "bad"], ["--score-min", "2"], ["--limit", "-1"], ["--json", "--csv"]],
)
def test_wrong_usage(ledger: Ledger, options: list[str]) -> None:
    assert ledger.run("results", *options)[0] == 2


def test_a_ledger_that_is_not_there_is_a_sentence(tmp_path: Path, ledger: Ledger) -> None:
    elsewhere = Ledger(tmp_path, {})
    elsewhere.config.write_text(ledger.config.read_text())
    code, out, err = elsewhere.run("results")
    assert (code, out) == (1, "")
    assert err.startswith(f"inspectd: There is no results database {tmp_path}/inspectd.db yet.")
    assert list(tmp_path.iterdir()) == [elsewhere.config]


def test_follow_prints_outcomes_as_they_come(ledger: Ledger) -> None:
    command = [sys.executable, "-m", "inspectd", "results", "-c", str(ledger.config), "--follow", "--csv"]
    program = subprocess.Popen([*command, "--verdict", "failed"], stdout=subprocess.PIPE, text=True)
    assert program.stdout
    try:
        assert program.stdout.readline().startswith("id,verdict,")  # it follows from here on
        queue = Queue(open_writer(f"sqlite:///{ledger.root}/inspectd.db"))
        queue.arrivals.enqueue("line-1", [Arrival("new.png", Stat(1, 2, 3))])
        [claim] = queue.claims.take("worker", ["line-1"], 1, 60.0)
        queue.outcomes.finish("worker", 1, [Failed(claim, "empty: the file has no content.")])
        assert ",new.png," in program.stdout.readline()
    finally:
        program.terminate()
        program.wait()
        with sqlite3.connect(ledger.root / "inspectd.db") as connection:
            connection.execute("DELETE FROM images WHERE path = 'new.png'")


def test_ctrl_c_ends_following_as_done(ledger: Ledger) -> None:
    command = [sys.executable, "-m", "inspectd", "results", "-c", str(ledger.config), "--follow", "--csv"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout
    program.stdout.readline()
    program.send_signal(2)
    assert program.communicate()[1] == ""
    assert program.returncode == 0


def test_stats_by_watch(ledger: Ledger) -> None:
    rows = json.loads(ledger.run("stats", "--json")[1])
    counts = {"total": 5, "ok": 1, "defect": 1, "review": 1, "failed": 1, "pending": 1}
    assert rows[0] == {"watch": "line-1", **counts, "defect_rate": 1 / 3}
    assert (rows[1]["watch"], rows[1]["total"], rows[1]["defect_rate"]) == ("line-2", 2, 0.5)


def test_stats_by_local_day_and_hour(ledger: Ledger) -> None:
    for by, group in (("day", "2026-01-16"), ("hour", "2026-01-16 00:00")):
        done = subprocess.run(
            [sys.executable, "-m", "inspectd", "stats", "-c", str(ledger.config), "--by", by, "--csv"],
            env={**os.environ, "TZ": "Europe/Berlin"},
            capture_output=True,
            text=True,
            check=True,
        )
        first = next(csv.DictReader(io.StringIO(done.stdout)))
        assert (first[by], first["total"], first["review"], first["defect_rate"]) == (group, "1", "1", "0.0")


def test_stats_as_a_table_and_with_filters(ledger: Ledger) -> None:
    code, out, _ = ledger.run("stats", "--watch", "line-1", "--path", "*.png")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["watch", "total", "ok", "defect", "review", "failed", "pending", "defect", "rate"],
        ["line-1", "5", "1", "1", "1", "1", "1", "33.3%"],
    ]


NOW = datetime.fromisoformat("2026-11-23T12:00:00+00:00")


@pytest.mark.parametrize(
    ("text", "option", "expected"),
    [
        ("30m", "--since", "2026-11-23T11:30:00+00:00"),
        ("12h", "--until", "2026-11-23T00:00:00+00:00"),
        ("7d", "--since", "2026-11-16T12:00:00+00:00"),
        ("2026-11-23T15:00Z", "--since", "2026-11-23T15:00:00+00:00"),
        ("2026-11-23T15:00+02:00", "--until", "2026-11-23T13:00:00+00:00"),
    ],
)
def test_moments(text: str, option: str, expected: str) -> None:
    assert moment(text, option, now=NOW) == datetime.fromisoformat(expected)


def test_a_day_alone_is_its_beginning_or_as_an_end_the_whole_of_it_in_local_time() -> None:
    assert moment("2026-11-23", "--since") == datetime(2026, 11, 23).astimezone()
    assert moment("2026-11-23", "--until") == datetime(2026, 11, 24).astimezone()
    assert moment("2026-11-23T15:00", "--until") == datetime(2026, 11, 23, 15).astimezone()
    assert moment(None, "--since") is None


@pytest.mark.parametrize("text", ["", "now", "5", "5w", "2026-13-01", "999999d", "9999-12-31"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        moment(text, "--until")


def test_stored_names_are_found_as_they_are_on_the_disk(ledger: Ledger) -> None:
    assert to_text(EVIL) in paths(ledger)
