"""The log as a program reads it: `--log-format json`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from inspectd.ledger import trail

LOGGING = """
import logging, sys, warnings
from inspectd.cli.logs import setup_logging
from inspectd.ledger import trail
setup_logging("json")
logging.getLogger("inspectd.ingest.gate").info("%s", "a\\nb\\x1b \\udce9.png")
trail.say("hang", "worker 7 is silent", logging.WARNING, worker=7, level_of_noise=0.5)
logging.getLogger("elsewhere").info("quiet")
warnings.warn("old ways")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("inspectd.worker.worker").exception("how odd")
raise LookupError("nobody expected this")
"""


def lines(stderr: int = subprocess.PIPE, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOGGING], env={**os.environ, **environment}, stderr=stderr, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_every_line_is_an_object_even_the_last_words() -> None:
    plain, event, warned, caught, last = map(json.loads, lines().splitlines())
    time = plain.pop("time")
    assert (len(time), time[10], time[-1]) == (24, "T", "Z")
    assert plain == {"level": "info", "room": "ingest", "event": None, "message": "a\nb\x1b \udce9.png"}
    assert event.pop("time") >= time
    assert event == {
        "level": "warning",
        "room": "events",
        "event": "hang",
        "message": "worker 7 is silent",
        "worker": 7,
        "level_of_noise": 0.5,
    }
    assert "old ways" in warned["message"]
    assert (caught["message"], caught["level"]) == ("how odd", "error")
    assert "ZeroDivisionError" in caught["traceback"]
    assert (last["level"], last["room"]) == ("critical", "cli")
    assert "nobody expected this" in last["message"]
    assert last["traceback"].startswith("Traceback")


def test_the_journal_gets_its_priority_before_the_object() -> None:
    read, write = os.pipe()
    status = os.fstat(write)
    lines(write, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    os.close(write)
    with os.fdopen(read) as journal:
        written = journal.read().splitlines()
    assert [line[:3] for line in written] == ["<6>", "<4>", "<4>", "<3>", "<2>"]
    assert all(json.loads(line[3:]) for line in written)


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, list[Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", "run", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_what_stops_a_start_is_a_line_for_each_mistake(tmp_path: Path) -> None:
    assert run(tmp_path, "--log-format", "json")[1][0]["level"] == "error"
    (tmp_path / "config.yaml").write_text("output: out\nfoo: 1\nwatch: []\n")
    code, said = run(tmp_path, INSPECTD_LOG_FORMAT="json")
    assert code == 78
    assert len(said) >= 3
    assert any("foo" in line["message"] for line in said)


def test_the_count_of_expired_leases_is_read_from_what_was_written() -> None:
    assert trail.expired_count(trail.expired(17)) == 17
