"""What is printed, and logged, about files whose names are meant to do harm."""

import csv
import io
import json
import logging
import os
import re
import subprocess
import sys

import pytest

from inspectd.cli.output import local_time, printable, write_csv, write_json, write_table

EVIL = "a\n\x1b[31m[red]\u202egnp.exe\u2028.png"
SHOWN = r"a\n\x1b[31m[red]\u202egnp.exe\u2028.png"


def test_what_cannot_be_printed_is_escaped_and_the_rest_is_left() -> None:
    assert printable(EVIL) == SHOWN
    assert printable("Prüfung 検査.png") == "Prüfung 検査.png"


def test_a_table_shows_markup_as_text_and_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(["path"], [[EVIL], ["x" * 300]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == ["path", SHOWN, "x" * 300]


def test_json_keeps_a_name_exactly_and_shows_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    write_json([{"path": EVIL}, {"path": "b"}])
    out = capsys.readouterr().out
    assert [row["path"] for row in json.loads(out)] == [EVIL, "b"]
    assert out.isascii()
    assert "\x1b" not in out


def test_json_without_rows_is_an_empty_array(capsys: pytest.CaptureFixture[str]) -> None:
    write_json([])
    assert json.loads(capsys.readouterr().out) == []


def test_csv_is_one_line_a_row_quotes_what_needs_it_and_holds_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    names = [EVIL, 'a "b", c', "=1+1.png", "+1", "-1", "@x", "plain"]
    write_csv(["path", "score"], [{"path": name, "score": -0.5} for name in names])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(names) + 1
    rows = list(csv.reader(io.StringIO(out)))[1:]
    assert [row[0] for row in rows] == [SHOWN, 'a "b", c', "'=1+1.png", "'+1", "'-1", "'@x", "plain"]
    assert {row[1] for row in rows} == {"-0.5"}


def test_times_are_shown_local() -> None:
    code = "from inspectd.cli.output import local_time; print(local_time('2026-07-01T22:30:00.123Z'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2026-07-02 00:30:00\n"
    assert local_time(None) == ""


LOGGING = """
import logging, sys
from inspectd.cli.logs import setup_logging
setup_logging()
logging.getLogger("inspectd.ingest.gate").info("%s", "a\\nb.png")
logging.getLogger("inspectd.worker.worker").warning("hot")
logging.getLogger("elsewhere").info("quiet")
logging.getLogger("matplotlib").warning("no cache")
"""


def log_lines(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_log_lines_carry_utc_time_level_and_room() -> None:
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    first, second = log_lines(JOURNAL_STREAM="1:2")  # inherited, but standard error goes elsewhere
    assert re.fullmatch(rf"{time} INFO  ingest: a\\nb\.png", first)
    assert re.fullmatch(rf"{time} WARNING worker: hot", second)


def test_the_journal_gets_levels_and_no_time() -> None:
    read, write = os.pipe()
    status = os.fstat(write)
    try:
        subprocess.run(
            [sys.executable, "-c", LOGGING],
            env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            stderr=write,
            check=True,
        )
    finally:
        os.close(write)
    with os.fdopen(read) as journal:
        assert journal.read().splitlines() == [r"<6>INFO  ingest: a\nb.png", "<4>WARNING worker: hot"]
    assert logging.getLogger("inspectd").level == logging.NOTSET  # the set-up was the child's
